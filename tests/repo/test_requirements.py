"""What is installed is pinned, with hashes and without an address; workers get what the tests ran with."""

import re
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[2] / "requirements"


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (REQUIREMENTS / name).read_text("utf-8"), flags=re.MULTILINE))


@pytest.mark.parametrize("name", sorted(path.name for path in REQUIREMENTS.glob("*.txt")))
def test_each_requirement_is_pinned_with_hashes_and_without_an_address(name: str) -> None:
    entries = re.split(r"\n(?=\S)", (REQUIREMENTS / name).read_text("utf-8").strip())
    wrong = [entry.partition("\n")[0] for entry in entries if not re.match(r"[\w.-]+==\S+.*\\\n +--hash=sha256:", entry)]
    assert wrong == []
    assert "://" not in "".join(entries)


def test_workers_get_the_program_and_the_queue_as_the_tests_have_them() -> None:
    cluster, runtime, tested = pins("cluster.txt"), pins("runtime.txt"), pins("test.txt")
    assert {"procrastinate", "psycopg", "psycopg-binary"} <= cluster.keys()
    assert runtime.items() <= cluster.items() <= tested.items()
