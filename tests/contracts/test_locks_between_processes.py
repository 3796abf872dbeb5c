"""Locks on files and on a server keep one contract."""

from pathlib import Path

import pytest

from tests.contracts.lock_contract import LockContract, Place
from tests.postgres.databases import Databases


class TestLocksBesideAFile(LockContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(url="sqlite:///calrelay.db", folder=tmp_path)


class TestLocksOnPostgresql(LockContract):
    @pytest.fixture
    def place(self, postgres: Databases, tmp_path: Path) -> Place:
        return Place(url=postgres.make(is_empty=False), folder=tmp_path)
