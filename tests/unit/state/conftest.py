"""Databases in a folder of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from calrelay.state.database import Database, open_database

URL = "sqlite:///calrelay.db"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An open database on a file."""
    with open_database(URL, tmp_path) as opened:
        yield opened
