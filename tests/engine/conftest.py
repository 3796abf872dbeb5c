"""Every engine test runs over all ledgers: the dictionaries of the fake, and the real one over SQLite and over PostgreSQL."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest

from calrelay.domain.link import ExternalId, TargetId
from calrelay.errors import VendorUnavailable
from calrelay.ports import Holding, Ledger, Put
from calrelay.state.database import open_in_memory
from calrelay.state.ledger import SqlLedger
from tests.fakes import pipelines
from tests.fakes.memory_ledger import MemoryLedger
from tests.fakes.pipelines import Bench
from tests.postgres.databases import Lender

Fails = Callable[[str], bool]
FailingOver = Callable[[Bench, int, Fails], None]
SilentAbout = Callable[[Bench, Fails], None]


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


def server_error(status: int) -> VendorUnavailable:
    return VendorUnavailable(f"{status}", account="reminders", status=status)


@pytest.fixture
def failing_over(monkeypatch: pytest.MonkeyPatch) -> FailingOver:
    """Let PUTs with these external ids, and DELETEs of them, be answered with a server error; each PUT takes a second."""

    def fail(bench: Bench, status: int, over: Fails) -> None:
        upsert, delete = bench.target.upsert, bench.target.delete

        async def upserting(puts: Sequence[Put]) -> Sequence[Holding]:
            bench.now += timedelta(seconds=1)
            if any(over(put.external_id) for put in puts):
                bench.target.requests += 1
                raise server_error(status)
            return await upsert(puts)

        async def deleting(target_id: TargetId) -> None:
            if any(over(external_id) for external_id, held in bench.target.live.items() if held.target_id == target_id):
                raise server_error(status)
            await delete(target_id)

        monkeypatch.setattr(bench.target, "upsert", upserting)
        monkeypatch.setattr(bench.target, "delete", deleting)

    return fail


@pytest.fixture
def silent_about(monkeypatch: pytest.MonkeyPatch) -> SilentAbout:
    """Let questions about these external ids be answered with a server error."""

    def fail(bench: Bench, over: Fails) -> None:
        find = bench.target.find

        async def finding(external_id: ExternalId) -> Holding | None:
            if over(external_id):
                raise server_error(500)
            return await find(external_id)

        monkeypatch.setattr(bench.target, "find", finding)

    return fail
