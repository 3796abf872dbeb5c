"""Every engine test runs over both ledgers: the dictionaries of the fake, and the real one over SQLite."""

from collections.abc import Iterator

import pytest

from calrelay.state.database import open_in_memory
from calrelay.state.ledger import SqlLedger
from tests.fakes import pipelines
from tests.fakes.memory_ledger import MemoryLedger


@pytest.fixture(autouse=True, params=["memory", "sqlite"])
def _ledger(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    opened = []

    def new_sql_ledger() -> SqlLedger:
        opened.append(open_in_memory())
        return SqlLedger(opened[-1])

    monkeypatch.setattr(pipelines, "new_ledger", MemoryLedger if request.param == "memory" else new_sql_ledger)
    yield
    for database in opened:
        database.close()
