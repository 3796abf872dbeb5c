"""A house to type commands in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.house import House, a_house


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[House]:
    """The simulators, and a config that points at them."""
    with a_house(tmp_path) as open_house:
        open_house.capsys = capsys
        yield open_house
