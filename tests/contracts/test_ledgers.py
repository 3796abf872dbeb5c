"""The ledgers, real and fake, keep one contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from calrelay.state.database import open_database, open_in_memory
from calrelay.state.ledger import SqlLedger
from tests.contracts.ledger_contract import LedgerContract, OperatorsLedger
from tests.fakes.memory_ledger import MemoryLedger
from tests.postgres.databases import Lender


class TestSqlLedgerInAFile(LedgerContract):
    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Iterator[OperatorsLedger]:
        with open_database("sqlite:///calrelay.db", tmp_path) as database:
            yield SqlLedger(database)


class TestSqlLedgerInMemory(LedgerContract):
    @pytest.fixture
    def ledger(self) -> Iterator[OperatorsLedger]:
        with open_in_memory() as database:
            yield SqlLedger(database)


class TestSqlLedgerOnPostgresql(LedgerContract):
    @pytest.fixture
    def ledger(self, lender: Lender) -> OperatorsLedger:
        return SqlLedger(lender.lend())


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def ledger(self) -> OperatorsLedger:
        return MemoryLedger()
