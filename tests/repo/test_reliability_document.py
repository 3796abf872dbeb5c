"""docs/reliability.md names only tests that exist, covers every rule it speaks of, and shows a soak that somebody ran."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text("utf-8")
PROVEN, _, NOT_PROVEN = TEXT.partition("\n## Not proven\n")
RULES = (1, 2, 9, *range(13, 23))


def named(text: str) -> list[tuple[str, str]]:
    """Return the tests a text names, as path and function."""
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)


@cache
def facts_of(path: str) -> frozenset[str]:
    """Return the names of the test functions and methods of a file, read without running it."""
    file = ROOT / path
    if not file.exists():
        return frozenset()
    functions = (node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def promises() -> list[str]:
    """Return the items of the lists of promises, each on one line."""
    chapters = PROVEN.partition("\n## A real soak\n")[0]
    return [" ".join(item.split()) for item in re.split(r"\n(?=- )|\n\n", chapters) if item.startswith("- ")]


def test_every_test_it_names_exists() -> None:
    missing = [f"{path}::{name}" for path, name in named(TEXT) if name not in facts_of(path)]
    assert missing == []
    assert len(set(named(TEXT))) > 80


def test_nothing_that_looks_like_a_test_is_named_in_another_way() -> None:
    """A misspelt reference would escape the test above."""
    assert len(re.findall(r"::\w*test_", TEXT)) == len(named(TEXT))


def test_every_promise_names_a_test() -> None:
    assert len(promises()) > 40
    assert [promise for promise in promises() if not named(promise)] == []


def test_every_rule_of_reliability_has_its_promises() -> None:
    told = {int(number): text for number, text in re.findall(r"^## Rule (\d+):.*?\n(.*?)(?=^## )", TEXT, flags=re.MULTILINE | re.DOTALL)}
    assert tuple(told) == RULES
    assert [number for number, text in told.items() if not named(text)] == []


def test_the_promises_of_the_readme_are_all_taken_up() -> None:
    """Each bold promise of the README's list has a line of its own; a word of it must reappear."""
    bold = re.findall(r"^- \*\*(.+?)\.\*\*", (ROOT / "README.md").read_text("utf-8"), flags=re.MULTILINE)
    chapter = TEXT.partition("\n## The README's promises\n")[2].partition("\n## ")[0].casefold()
    signs = {
        "Nothing is lost or doubled": "nothing is lost or doubled",
        "Nobody is messaged by accident": "messages nobody",
        "Nothing is deleted on a guess": "deletes nothing",
        "Large changes wait for you": "are held",
        "The hour is right": "vancouver",
    }
    assert set(bold) == set(signs)
    assert [promise for promise, sign in signs.items() if sign not in chapter] == []


def test_the_soak_on_record_lost_nothing_and_can_be_repeated() -> None:
    record = TEXT.partition("\n## A real soak\n")[2].partition("\n## ")[0]
    assert re.search(r"\d{4}-\d{2}-\d{2}", record)
    assert re.search(r"\| lost, doubled, messaged by accident \| 0, 0, 0 \|", record)
    seconds = re.search(r"`make soak SOAK=(\d+) SEED=\d+`", record)
    assert seconds
    assert int(seconds[1]) >= 60


def test_what_is_not_proven_is_told() -> None:
    assert NOT_PROVEN.count("\n- **") >= 3
