"""Runs the passes of one pipeline, one at a time, when told that one is due; ends after the answer in hand when told to stop."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import timedelta

from calrelay.engine.order import Order, Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport
from calrelay.engine.sync import run_pass
from calrelay.errors import Busy
from calrelay.log import get_logger
from calrelay.ports import PipelineRecord
from calrelay.service.rhythm import Health, Rhythm

# A request takes 60 s at most (rule 24); whoever neither asks a vendor nor gets on for this long hangs in our own code.
STUCK_AFTER = timedelta(minutes=10)

Listener = Callable[[Pipeline, Reach, PassReport, Health], None]
Monotonic = Callable[[], float]
_log = get_logger(__name__)


class Stopped(Exception):
    """The pass was told to end after the answer in hand; what it had sent is recorded."""


class Runner:
    """The passes of one pipeline. Not more than one runner of a pipeline may run at a time."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        lock: Callable[[], AbstractContextManager[object]],
        rhythm: Rhythm,
        listener: Listener,
        now: Monotonic = time.monotonic,
    ) -> None:
        self.pipeline = pipeline
        self.rhythm = rhythm
        self._lock = lock
        self._listener = listener
        self._now = now
        self._wake = asyncio.Event()
        self._due: Reach | None = None
        self._is_stopping = False
        self._turn = asyncio.Lock()
        self._is_working = False
        self._was_busy = False
        self._refused_in: PipelineRecord | None = None
        self._counts = pipeline.request_counts()
        self._moved_at = now()

    def due(self, reach: Reach) -> None:
        """Note that a pass is due. During a pass a quick one is dropped, and a complete one follows."""
        if self._is_working and reach is not Reach.COMPLETE:
            return
        if self._due is not Reach.COMPLETE:
            self._due = reach
        self._wake.set()

    def stop(self) -> None:
        """End `run`: at once, or during a pass after the answer in hand."""
        self._is_stopping = True
        self._wake.set()

    def at_rest(self) -> AbstractAsyncContextManager[None]:
        """Keep passes away for as long as the context lasts; a pass under way is waited for, however long it takes."""
        return self._turn

    @property
    def is_working(self) -> bool:
        """Whether a pass is under way."""
        return self._is_working

    @property
    def is_interrupted(self) -> bool:
        """Whether a pass was under way, or due, when the runner was stopped."""
        return self._is_stopping and (self._is_working or self._due is not None)

    def is_stuck(self) -> bool:
        """Whether the pass under way has neither asked a vendor nor got on for too long."""
        counts = self.pipeline.request_counts()
        if counts != self._counts:
            self._counts, self._moved_at = counts, self._now()
        return self._is_working and self._now() - self._moved_at > STUCK_AFTER.total_seconds()

    async def run(self) -> None:
        """Run passes as they fall due, until stopped. Raises StateError and bugs."""
        while (due := await self._next()) is not None:
            reach = self._choose(due)
            if reach is None:
                continue
            async with self._turn:
                if self._is_stopping:
                    self._due = reach  # was waiting for its turn
                if self._is_stopping or not await self._passed(reach):
                    return

    async def _next(self) -> Reach | None:
        """Wait until a pass is due; None when there will be no more."""
        await self._wake.wait()
        self._wake.clear()
        if self._is_stopping:
            return None
        due, self._due = self._due, None
        return due

    def _choose(self, due: Reach) -> Reach | None:
        if self._refused_in is not None and self._refused_in != self._record():
            self._refused_in = None  # resumed, or loaded: what stood in the way is gone
            self.rhythm.owe()
        return self.rhythm.choose(due, self._now())

    async def _passed(self, reach: Reach) -> bool:
        """Run one pass; False when it was stopped in the middle."""
        self._is_working, self._moved_at = True, self._now()
        try:
            with self._lock():
                self._was_busy = False
                report = await run_pass(self.pipeline, Order(command="run", reach=reach), progress=self._get_on)
        except Busy as busy:
            self._skip(reach, busy)
        except Stopped:
            return False
        else:
            self._note(reach, report)
        self._is_working = False
        return True

    def _note(self, reach: Reach, report: PassReport) -> None:
        self.rhythm.note(reach, report, self._now())
        self._refused_in = self._record() if self.rhythm.health is Health.REFUSED else None
        self._listener(self.pipeline, reach, report, self.rhythm.health)

    def _get_on(self, _report: PassReport) -> None:
        """Note progress; called when an answer has been recorded, which is the moment to stop at."""
        self._moved_at = self._now()
        if self._is_stopping:
            raise Stopped

    def _skip(self, reach: Reach, busy: Busy) -> None:
        if reach is Reach.COMPLETE:
            self.rhythm.owe()
        if not self._was_busy:
            _log.warning("skipped", pipeline=self.pipeline.name, why=busy.message)
        self._was_busy = True

    def _record(self) -> PipelineRecord:
        return self.pipeline.ledger.pipeline(self.pipeline.name)
