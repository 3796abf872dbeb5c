"""Runs the passes of one pipeline, one at a time, when told that one is due; ends after the answer in hand when told to stop."""

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import timedelta

from calrelay.domain.event import SourceId
from calrelay.domain.guard import Earlier
from calrelay.engine.order import Order, Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import Outcome, PassReport
from calrelay.engine.sync import run_pass
from calrelay.errors import AuthFailed, Busy, RateLimited, VendorUnavailable
from calrelay.http.tally import counting_its_own
from calrelay.log import get_logger
from calrelay.ports import PipelineRecord
from calrelay.service.hints import AT_ONCE, FEW, Hints, Told, to_nobody
from calrelay.service.rhythm import Health, Rhythm

# A request takes 60 s at most (rule 24); whoever neither asks a vendor nor gets on for this long hangs in our own code.
STUCK_AFTER = timedelta(minutes=10)
SCHEDULED, HINTED = "run", "webhook"  # on whose behalf a pass runs, as its record says
_DOWN = frozenset({VendorUnavailable.__name__, RateLimited.__name__, AuthFailed.__name__})  # another id would fare no better

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
        hints: Hints | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.rhythm = rhythm
        self.hints = hints or Hints()
        self._lock = lock
        self._listener = listener
        self._now = now
        self._wake = asyncio.Event()
        self._due: Reach | None = None
        self._is_stopping = False
        self._turn = asyncio.Lock()
        self._is_working = False
        self._is_hinted = False
        self._is_look_due = False
        self._let_in = Earlier()  # what webhooks brought while the scheduled pass was under way
        self._again: asyncio.TimerHandle | None = None
        self._costs: dict[Reach, int] = {}
        self._was_busy = False
        self._refused_in: PipelineRecord | None = None
        self._counts = pipeline.request_counts()
        self._moved_at = self._began = self._looked_at = now()
        if self.hints.are_ready:
            self._wake.set()

    def due(self, reach: Reach) -> None:
        """Note that a pass is due. During a scheduled pass a complete one follows; a quick one is let in while it sends, or dropped."""
        self._is_look_due = self._is_working
        if self._is_working and not self._is_hinted and reach is not Reach.COMPLETE:
            return
        if self._due is not Reach.COMPLETE:
            self._due = reach
        self._wake.set()

    def hint(self, source_ids: Collection[SourceId], *, at: float | None = None, told: Told = to_nobody) -> None:
        """Look at these events soon, because a webhook named them; a scheduled pass goes first.

        `at` is when it came, by this runner's clock. `told` hears of each id once, unless the runner stops before.
        """
        self.hints.add(source_ids, self._now() if at is None else at, told)
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
        while await self._is_woken():
            order = self._next_order()
            if order is None:
                continue
            async with self._turn:
                if self._is_stopping:
                    self._due = order.reach  # was waiting for its turn
                if self._is_stopping or not await self._passed(order):
                    return
            if self.hints.are_ready:
                self._wake.set()

    async def _is_woken(self) -> bool:
        """Wait until there may be something to do; False when there will be no more."""
        await self._wake.wait()
        self._wake.clear()
        return not self._is_stopping

    def _next_order(self) -> Order | None:
        """Return the pass to run now: a scheduled one that is due, else a look at what webhooks named."""
        due, self._due = self._due, None
        reach = None if due is None else self._choose(due)
        return Order(command=SCHEDULED, reach=reach) if reach is not None else self._hinted_order()

    def _hinted_order(self) -> Order | None:
        if not self.hints.are_ready:
            return None
        record = self._record()
        if record.is_paused or record.first_complete_at is None:
            self.hints.drop()  # the complete pass that comes first sees them all
            return None
        reach = self.hints.choose(self._costs, reads_changes=self.pipeline.source.can_read_changes)
        ids = self.hints.next_ids() if reach is Reach.IDS else frozenset()
        return Order(command=HINTED, reach=reach, ids=ids, earlier=self.hints.earlier)

    def _choose(self, due: Reach) -> Reach | None:
        if self._refused_in is not None and self._refused_in != self._record():
            self._refused_in = None  # resumed, or loaded: what stood in the way is gone
            self.rhythm.owe()
        return self.rhythm.choose(due, self._now())

    async def _passed(self, order: Order) -> bool:
        """Run one pass; False when it was stopped in the middle."""
        began = self._began = self._moved_at = self._now()
        self._is_working, self._is_hinted, self._is_look_due = True, order.command == HINTED, False
        self._let_in = Earlier()
        try:
            with self._lock():
                self._was_busy = False
                async with counting_its_own():  # other pipelines ask the same accounts meanwhile
                    report = await run_pass(self.pipeline, order, progress=self._get_on, arrivals=self)
        except Busy as busy:
            self._skip(order, busy)
        except Stopped:
            return False
        else:
            self._note(order, report, began)
        self._is_working = self._is_hinted = False
        return True

    def _note(self, order: Order, report: PassReport, began: float) -> None:
        if order.reach is not Reach.IDS and report.outcome in (Outcome.OK, Outcome.PARTIAL):
            self._costs[order.reach] = report.requests.get(self.pipeline.source.account, 0)
        if self._is_hinted:
            self._note_hinted(order, report, began)
        else:
            self._note_scheduled(order.reach, report, began)
        self._listener(self.pipeline, order.reach, report, self.rhythm.health)

    def _note_scheduled(self, reach: Reach, report: PassReport, began: float) -> None:
        self.rhythm.note(reach, report, self._now())
        self._refused_in = self._record() if self.rhythm.health is Health.REFUSED else None
        self.hints.is_patient = report.outcome is Outcome.FAILED
        if report.outcome in (Outcome.OK, Outcome.PARTIAL):
            self.hints.earlier = self._let_in
        if report.is_complete:
            self.hints.answer(began, self._now())

    def _note_hinted(self, order: Order, report: PassReport, began: float) -> None:
        """Learn from a look at what webhooks named; the rhythm of the scheduled passes learns nothing from it."""
        self.hints.earlier = self.hints.earlier.with_passed(report.passed)
        outage = next((problem for problem in report.problems if problem.kind in _DOWN), None)
        if report.outcome is Outcome.REFUSED:
            self.hints.drop()
        elif outage is not None:
            self.hints.is_patient = True
            _log.warning("webhooks wait for the next pass", pipeline=self.pipeline.name, events=len(self.hints), why=outage.message)
        else:
            self.hints.answer(began, self._now(), order.ids if order.reach is Reach.IDS else None)

    # --- while a pass sends; see `newcomers.Arrivals` ---

    @property
    def are_due(self) -> bool:
        """Whether a tick has come, or a webhook, since the pass under way began."""
        return self._is_look_due or bool(self.hints.came_since(self._began))

    def next_order(self) -> Order | None:
        """Return the look to take between two batches: at what webhooks named by id, or at all that changed."""
        named = self.hints.came_since(self._began)
        is_due, self._is_look_due = self._is_look_due, False
        self._looked_at = self._now()
        if named and (len(named) <= FEW or not self.pipeline.source.can_read_changes):
            self._is_look_due = is_due  # next time
            return Order(command=HINTED, reach=Reach.IDS, ids=frozenset(named[:AT_ONCE]), earlier=self.hints.earlier)
        return Order(command=HINTED if named else SCHEDULED, reach=Reach.QUICK, earlier=self.hints.earlier) if named or is_due else None

    def taken_in(self, order: Order, report: PassReport) -> None:
        """Note what a look found, as `_note_hinted` does of a pass."""
        if order.command != HINTED:
            return
        if report.outcome is not Outcome.OK:
            self.hints.is_patient = True
            return
        self.hints.earlier = self.hints.earlier.with_passed(report.passed)
        self._let_in = self._let_in.with_passed(report.passed)
        self.hints.answer(self._looked_at, self._now(), order.ids if order.reach is Reach.IDS else None)

    def _get_on(self, _report: PassReport) -> None:
        """Note progress; called when an answer has been recorded, which is the moment to stop at."""
        self._moved_at = self._now()
        if self._is_stopping:
            raise Stopped

    def _skip(self, order: Order, busy: Busy) -> None:
        if self._is_hinted:
            self.hints.is_patient = True
        elif order.reach is Reach.COMPLETE:
            self.rhythm.owe()
        if busy.again_after is not None and not self._is_hinted:  # a lease outlives a holder that was killed, by seconds
            self._try_again(order.reach, busy.again_after)
        if not self._was_busy:
            _log.warning("skipped", pipeline=self.pipeline.name, why=busy.message)
        self._was_busy = True

    def _try_again(self, reach: Reach, after: timedelta) -> None:
        if self._again is not None:
            self._again.cancel()
        self._again = asyncio.get_running_loop().call_later(after.total_seconds(), self.due, reach)

    def _record(self) -> PipelineRecord:
        return self.pipeline.ledger.pipeline(self.pipeline.name)
