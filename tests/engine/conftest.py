"""Every engine test runs over all ledgers: the dictionaries of the fake, and the real one over SQLite and over PostgreSQL."""

from collections.abc import Callable, Iterator

import pytest

from calrelay.ports import Ledger
from calrelay.state.database import open_in_memory
from calrelay.state.ledger import SqlLedger
from tests.fakes import pipelines
from tests.fakes.memory_ledger import MemoryLedger
from tests.postgres.databases import Lender


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def new_ledger(request: pytest.FixtureRequest) -> Iterator[Callable[[], Ledger]]:
    """Makes ledgers that remember nothing."""
    if request.param == "memory":
        yield MemoryLedger
    elif request.param == "sqlite":
        opened = []

        def new_sqlite_ledger() -> SqlLedger:
            opened.append(open_in_memory())
            return SqlLedger(opened[-1])

        yield new_sqlite_ledger
        for database in opened:
            database.close()
    else:
        lender: Lender = request.getfixturevalue("lender")
        yield lambda: SqlLedger(lender.lend())


@pytest.fixture(autouse=True)
def _ledger(new_ledger: Callable[[], Ledger], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines, "new_ledger", new_ledger)
