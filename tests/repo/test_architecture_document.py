"""ARCHITECTURE.md and the error tree say what the code is."""

import inspect
import re
from pathlib import Path

from calrelay import errors
from calrelay.errors import CalrelayError

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text("utf-8")


def test_every_path_it_names_exists() -> None:
    named = set(re.findall(r"`((?:src|tests|docs)/[\w./-]+)`", TEXT))
    relative = {f"src/calrelay/{path}" for path in re.findall(r"`((?:cli|service|engine|domain|http|state|config)/\w+\.py)`", TEXT)}
    missing = sorted(path for path in named | relative if not (ROOT / path).exists())
    assert len(named | relative) > 30
    assert missing == []


def test_every_document_it_links_to_exists() -> None:
    linked = re.findall(r"\]\(((?!http)[^)#]+)\)", TEXT)
    assert [path for path in linked if not (ROOT / path).exists()] == []


def test_the_error_table_names_the_exit_codes_of_the_classes() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| .* \| (\d+) \|$", TEXT, flags=re.MULTILINE)
    told = {name: int(code) for names, code in rows for name in re.findall(r"`(\w+)`", names)}
    # A refused request stops one event; the engine reports it with the code of a quarantined event.
    known = {name: 1 if name in ("RequestRejected", "NotFound") else getattr(errors, name).exit_code for name in told}
    assert told == known
    assert len(told) >= 10


def test_the_drawn_error_tree_is_the_tree_of_classes() -> None:
    drawn: dict[str, str] = {}
    stack: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^([│ ]*)(?:[├└]── )?([A-Z]\w+)(?:\s|$)", line):
            indent, name = match.groups()
            if name == "Every" or not hasattr(errors, name):
                continue
            depth = len(indent) // 4 + (1 if "──" in line else 0)
            del stack[depth:]
            drawn[name] = stack[-1] if stack else "Exception"
            stack.append(name)
    classes = {
        name: cls.__base__.__name__
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, CalrelayError) and cls.__base__
    }
    assert drawn == classes
