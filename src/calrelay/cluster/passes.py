"""One pass of one pipeline, when its turn has come, by the engine's own road. Which worker runs it, and when, is not known here."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from calrelay.assembly import Relay
from calrelay.cluster.places import NoPlace, Places
from calrelay.cluster.rhythm import Ended, after, after_bug, health_before, look_again, reach_due
from calrelay.engine.order import Order, Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport
from calrelay.engine.sync import run_pass
from calrelay.errors import Busy, StateError
from calrelay.http.tally import counting_its_own
from calrelay.log import get_logger
from calrelay.service.pass_log import PassLog
from calrelay.service.rhythm import health_of
from calrelay.service.runner import STUCK_AFTER, Stopped
from calrelay.state.turns import SqlTurns, Turn

COMMAND = "worker"
SOON = timedelta(seconds=5)  # until a pipeline whose accounts are busy is asked for again
LATER = timedelta(minutes=1)  # until one that our config does not have is offered again, to whoever takes it
_log = get_logger(__name__)


class Passes:
    """The passes of one worker, on one relay. `work` may run many times at once, also for the same pipeline: the lease lets one through.

    `on_lost` is told of a database that does not answer.
    """

    def __init__(self, relay: Relay, turns: SqlTurns, places: Places, *, log: PassLog, on_lost: Callable[[StateError], None]) -> None:
        self._relay = relay
        self._turns = turns
        self._places = places
        self._log = log
        self._on_lost = on_lost
        self._is_stopping = False
        self._running: dict[asyncio.Task[object], _Running] = {}

    @property
    def running(self) -> list[str]:
        """The pipelines at work now."""
        return sorted(running.pipeline.name for running in self._running.values())

    def stop(self) -> None:
        """Have the passes under way end after the answer in hand, and begin no more."""
        self._is_stopping = True
        self._relay.waits.end()

    def cut_off(self) -> None:
        """Have the passes under way end now."""
        for task in self._running:
            task.cancel()

    def stuck(self) -> list[str]:
        """Return the pipelines whose pass has neither asked a vendor nor got on for too long."""
        return sorted(running.pipeline.name for running in self._running.values() if running.is_stuck())

    async def work(self, name: str) -> None:
        """Run the pass of a pipeline that is due, if it still is. Raises nothing."""
        try:
            await self._work(name)
        except StateError as error:
            self._on_lost(error)

    async def _work(self, name: str) -> None:
        pipeline = self._relay.pipelines.get(name)
        if self._is_stopping:
            self._turns.release([name])
            return
        if pipeline is None:  # of a config that is newer or older than ours
            self._turns.put_off(name, LATER)
            return
        try:
            async with self._places.taken((pipeline.source.account, pipeline.target.account)):
                await self._pass_with_lease(pipeline)
        except NoPlace:
            self._turns.put_off(name, SOON)
        except Busy as busy:  # somebody typed a command, or another worker was quicker; also when our lease was lost
            _log.info("skipped", pipeline=name, why=busy.message)
            self._turns.put_off(name, busy.again_after or SOON)
        except Stopped:
            self._turns.release([name])
        except asyncio.CancelledError:  # cut off, and due for whoever comes next
            self._turns.release([name])
            raise

    async def _pass_with_lease(self, pipeline: Pipeline) -> None:
        with self._relay.lock(pipeline.name):
            turn, now = self._turns.find(pipeline.name)
            if turn is None:
                return
            reach = reach_due(turn, pipeline.ledger.pipeline(pipeline.name), now)
            if reach is None or self._is_stopping:
                self._turns.save(look_again(turn, pipeline, now))
                return
            self._turns.save(await self._turn_after_pass(pipeline, turn, reach, began=now))

    async def _turn_after_pass(self, pipeline: Pipeline, turn: Turn, reach: Reach, *, began: datetime) -> Turn:
        try:
            with self._noted(pipeline) as running:
                async with counting_its_own():  # other pipelines ask the same accounts meanwhile
                    report = await run_pass(pipeline, Order(command=COMMAND, reach=reach), progress=running.get_on)
        except (StateError, Busy, Stopped):
            raise
        except Exception:  # noqa: BLE001 - an error of ours in one pipeline's pass is told, and keeps nobody else's from running
            _log.exception("bug", pipeline=pipeline.name, what="a pass broke off; it is tried again ever less often. Please report it")
            return after_bug(turn, pipeline, began)
        self._log.recall(pipeline.name, health_before(turn))
        self._log.note(pipeline, reach, report, health_of(report))
        now = began + timedelta(seconds=report.seconds)
        record = pipeline.ledger.pipeline(pipeline.name)
        return after(turn, pipeline, Ended(reach=reach, report=report, record=record, began=began, now=now))

    @contextmanager
    def _noted(self, pipeline: Pipeline) -> Iterator["_Running"]:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker: a coroutine is run by a task
        running = self._running[task] = _Running(pipeline, lambda: self._is_stopping)
        try:
            yield running
        finally:
            del self._running[task]


class _Running:
    """A pass under way: where it may stop, and whether it gets on."""

    def __init__(self, pipeline: Pipeline, is_stopping: Callable[[], bool]) -> None:
        self.pipeline = pipeline
        self._is_stopping = is_stopping
        self._counts = pipeline.request_counts()
        self._moved_at = time.monotonic()

    def get_on(self, _report: PassReport) -> None:
        """Note progress; called when an answer has been recorded, which is the moment to stop at."""
        self._moved_at = time.monotonic()
        if self._is_stopping():
            raise Stopped

    def is_stuck(self) -> bool:
        """Whether it has neither asked a vendor nor got on for too long."""
        counts = self.pipeline.request_counts()
        if counts != self._counts:
            self._counts, self._moved_at = counts, time.monotonic()
        return time.monotonic() - self._moved_at > STUCK_AFTER.total_seconds()
