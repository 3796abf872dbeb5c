"""How long the daemon waits for others: an outage is no reason to be restarted, and an answer that never comes does not keep it alive."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from calrelay.domain.link import State
from calrelay.engine.order import Reach
from calrelay.errors import VendorUnavailable
from calrelay.ports import Flaw, Page, Scope
from calrelay.service.rhythm import Health, Rhythm
from calrelay.service.runner import Runner
from calrelay.state.database import open_database
from calrelay.state.ledger import SqlLedger
from tests.fakes.memory_source import MemorySource
from tests.fakes.pipelines import a_bench
from tests.unit.service.gates import Gate, GatedTarget
from tests.unit.service.stand import Stand


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield Stand(tmp_path, listener)


class DownSource(MemorySource):
    """A source that does not answer."""

    async def read(self, scope: Scope) -> AsyncIterator[Page | Flaw]:
        """Fail as an outage does after all retries."""
        for page in list[Page]():
            yield page
        raise VendorUnavailable("no answer", account="venue")


async def test_a_vendor_that_is_down_for_an_hour_starves_no_watchdog() -> None:
    bench, seconds, passes = a_bench(), 0.0, 0
    bench.source = DownSource([])

    def hear(*_: object) -> None:
        nonlocal passes
        passes += 1

    rhythm = Rhythm(every=timedelta(minutes=5), full_every=timedelta(hours=1))
    runner = Runner(bench.pipeline, lock=nullcontext, rhythm=rhythm, listener=hear, now=lambda: seconds)
    task = asyncio.create_task(runner.run())
    for minute in range(61):
        seconds = minute * 60.0
        if minute % 5 == 0:
            runner.due(Reach.QUICK)
        for _ in range(50):
            assert not runner.is_stuck()
            await asyncio.sleep(0)
    assert passes > 2
    assert rhythm.health is Health.DOWN
    runner.stop()
    await asyncio.wait_for(task, 5)


async def test_an_answer_that_never_comes_does_not_keep_a_stopping_daemon_alive(stand: Stand) -> None:
    """What was in flight stays `sending`, so the next start asks what became of it: nothing is lost, and nothing sent twice."""
    target = GatedTarget()
    target.gate = Gate()
    target.gate.close()
    stand.target = target
    with capture_logs() as lines:
        async with stand.running() as daemon:
            daemon._stop_within = timedelta(milliseconds=50)
            await asyncio.wait_for(target.gate.reached.wait(), 5)
    assert [line["passes"] for line in lines if line["event"] == "cut off"] == [1]
    with open_database(stand.config().state_url(), stand.folder) as database:
        assert SqlLedger(database).links_in("venue", {State.SENDING})
    target.gate.open()
    async with stand.running():
        await stand.next_pass()
    with open_database(stand.config().state_url(), stand.folder) as database:
        assert not SqlLedger(database).links_in("venue", {State.SENDING})
        settled = [link.external_id for link in SqlLedger(database).links_in("venue", {State.SETTLED})]
    assert len(settled) == len(set(settled)) > 0
