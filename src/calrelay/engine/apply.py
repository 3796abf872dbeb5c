"""Sends what is ready: deletes and moves first, then by soonest start, in batches; each answer is matched and recorded."""

import asyncio
import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from calrelay.domain.event import SourceId
from calrelay.domain.guard import Approval
from calrelay.domain.link import Field, Link, State, TargetId
from calrelay.domain.plan import Action, Create, Delete, Update, was_ignored_since
from calrelay.engine.answers import Answered, match_answers
from calrelay.engine.asking import may_be_the_event
from calrelay.engine.blame import Blame
from calrelay.engine.generations import next_generation
from calrelay.engine.newcomers import Interlude
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.queue import Batches, Upsert, in_groups, in_order, sorted_upserts
from calrelay.engine.report import PassReport
from calrelay.engine.unanswered import resolve
from calrelay.engine.vigil import Vigil
from calrelay.errors import (
    GuardRefused,
    NotFound,
    RequestRejected,
    ResponseInvalid,
    VendorError,
    VendorUnavailable,
)
from calrelay.ports import DELETED, DELETED_AS_APPROVED, Happening, Put

_ALL_FIELDS = frozenset(Field)


class Applier:
    """The one place that writes to a target. `apply` may be called once."""

    def __init__(
        self,
        pipeline: Pipeline,
        report: PassReport,
        *,
        vigil: Vigil | None = None,
        approval: Approval | None = None,
        progress: Callable[[PassReport], None] | None = None,
        interlude: Interlude | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._target = pipeline.target
        self._ledger = pipeline.ledger
        self._report = report
        self._vigil = vigil or Vigil(pipeline)
        self._approval = approval or Approval()
        self._progress = progress
        self._interlude = interlude
        self._blame = Blame(pipeline, report)
        self._made_anew: set[SourceId] = set()
        self._last: list[Action] = []  # what the target failed over in an earlier pass

    def is_undone(self, action: Action) -> bool:
        """Whether it is a delete over which the target failed, now or in an earlier pass: the guards will look at it again."""
        untried = {one.link.source_id for one in self._last}
        return isinstance(action, Delete) and action.link.source_id in self._blame.open | untried

    async def apply(self, actions: Sequence[Action], folded: Iterable[Create] = ()) -> None:
        """Send all of it, and what was folded away, which comes soonest start first.

        Raises VendorError when the target does not take anything any more; what was sent stays recorded. Raises GuardRefused when the
        operator paused the pipeline meanwhile, VendorUnavailable when the machine slept.
        """
        try:
            await self._carry_out(self._but_the_last(actions), folded)
            await self._try_the_last()
        finally:
            self._blame.quarantine_accused()
        await self._blame.quarantine_refused()
        await self._blame.judge_open()

    async def _carry_out(self, actions: Sequence[Action], folded: Iterable[Create] = ()) -> None:
        await self._take_out(actions)
        queue = await self._send_all(in_order(actions, folded), until=self._is_due)
        while queue:
            queue = await self._send_all(await self._let_in(queue), until=self._is_due)

    def _but_the_last(self, actions: Iterable[Action]) -> list[Action]:
        """Put by what the target failed over in an earlier pass, and return the others: they are not to wait for it."""
        first: list[Action] = []
        for action in actions:
            is_last = action.link.state is State.READY and action.link.attempts
            (self._last if is_last else first).append(action)
        return first

    async def _try_the_last(self) -> None:
        """Send them one by one, what failed least often first; where too many fail in a row the others have their turn in the next pass."""
        while self._last and not self._blame.is_enough:
            self._last.sort(key=lambda action: action.link.attempts)
            await self._carry_out([self._last.pop(0)])

    async def _take_out(self, actions: Sequence[Action]) -> None:
        """Send the deletes, and the moves, each group of them with the creates that follow."""
        moves = [a for a in actions if isinstance(a, Delete) and a.successor is not None]
        for delete in (a for a in actions if isinstance(a, Delete) and a.successor is None):
            self._check_standing()
            await self._delete(delete)
        for group in in_groups(moves, self._target.batch_size):  # a guest is without an entry for one request, not for all of them
            self._check_standing()
            await self._move(group)

    async def _move(self, group: Sequence[Delete]) -> None:
        """Delete the old entries and create the new ones; those whose old entry is gone also where the next delete fails."""
        moved, failure = list[Create](), None
        for move in group:
            try:
                created = await self._delete(move)
            except VendorError as error:
                failure = error
                break
            if created is not None:
                moved.append(created)
        try:
            await self._send_all(moved)
        except VendorError as error:
            raise failure or error from None
        if failure is not None:
            raise failure

    async def _send_all(self, queue: Iterable[Upsert], *, until: Callable[[], bool] = lambda: False) -> list[Upsert]:
        """Keep as many batches under way as the target takes; a failure stops those that come after, never those under way.

        Returns what is left, with nothing in flight, where `until` came true after a batch.
        """
        batches = Batches(queue, self._target.batch_size)
        noted: deque[Sequence[Upsert]] = deque()  # of these, the next: on the disk as SENDING already
        failures: list[BaseException] = []

        async def send_in_turn() -> None:
            while noted or batches:
                try:
                    self._check_standing()
                    if not noted:
                        self._note_next(batches, noted)
                    if noted:
                        await self._send(noted.popleft())
                except BaseException as error:
                    failures.append(error)
                    raise
                if failures or until():
                    return

        await asyncio.gather(*(send_in_turn() for _ in range(self._target.max_in_flight)), return_exceptions=True)
        self._call_back([a.link for batch in noted for a in batch])
        if failures:
            raise failures[0]
        return [*(action for batch in noted for action in batch), *batches.rest()]

    def _note_next(self, batches: Iterator[Sequence[Upsert]], noted: deque[Sequence[Upsert]]) -> None:
        """Commit the next batches as SENDING, as many as may be under way: each commit waits for the disk (rule 19).

        What somebody ignored while it waited is left out.
        """
        taken = list(itertools.islice(batches, self._target.max_in_flight))
        ignored = self._ignored_since([action for batch in taken for action in batch])
        taken = [[action for action in batch if action.link.source_id not in ignored] for batch in taken]
        self._store([dataclasses.replace(a.link, state=State.SENDING, hold=None) for batch in taken for a in batch])
        noted.extend(batch for batch in taken if batch)

    def _ignored_since(self, actions: Sequence[Action]) -> set[SourceId]:
        now = self._ledger.links(self._pipeline.name, [action.link.source_id for action in actions])
        planned = {action.link.source_id: action.link for action in actions}
        return {source_id for source_id, link in now.items() if was_ignored_since(link, planned[source_id])}

    # --- what comes in meanwhile ---

    def _is_due(self) -> bool:
        """Whether to let somebody in; not while the ledger does not know what became of something, because a look plans by it."""
        return self._interlude is not None and self._interlude.is_due and not self._blame.open

    async def _let_in(self, queue: Sequence[Upsert]) -> list[Upsert]:
        """Let newcomers into the queue; what they decide anew is not sent, or blamed, as it was planned before."""
        if self._interlude is None:
            return list(queue)
        self._check_standing()
        intake = await self._interlude.take_in([*queue, *self._blame.refused, *self._last])
        self._blame.let_go(intake.decided)
        self._last = [action for action in self._last if action.link.source_id not in intake.decided]
        first = self._but_the_last(intake.actions)
        await self._take_out(first)
        return sorted_upserts([*(action for action in queue if action.link.source_id not in intake.decided), *first])

    def _check_standing(self) -> None:
        """Ask before each request whether what was planned still is to be sent."""
        self._vigil.check()
        if self._ledger.pipeline(self._pipeline.name).is_paused:
            raise GuardRefused(
                f"pipeline {self._pipeline.name} was paused while it was being worked on; the rest was not sent",
                remedy=f"calrelay resume {self._pipeline.name}",
            )

    # --- deletes ---

    async def _delete(self, action: Delete) -> Create | None:
        """Delete one entry; a move goes on with a create of the next generation. What was ignored while it waited is left out."""
        if self._ignored_since([action]):
            return None
        link = action.link
        self._store([dataclasses.replace(link, state=State.SENDING, hold=None)])
        target_id = link.target_id
        try:
            if target_id is None:  # a create whose answer was never seen: the target knows its id, if it has it
                holding = await self._target.find(link.external_id)
                target_id = None if holding is None or holding.is_deleted else holding.target_id
            if target_id is not None:
                await self._target.delete(target_id)
        except VendorError as error:
            return await self._cope_with_delete(action, error)
        return self._deleted(action)

    async def _cope_with_delete(self, action: Delete, error: VendorError) -> Create | None:
        """Set an entry aside that cannot be deleted, and go on; else raise the error. A delete that turns out to be done is recorded."""
        if isinstance(error, RequestRejected) and error.is_open:
            return self._deleted(action) if await self._blame.quarantine_as_held(action, error) else None
        if isinstance(error, RequestRejected):
            self._blame.quarantine(action, error)
        elif may_be_the_event(error):
            await self._blame.leave_open(action, error)
        else:
            if not error.is_open:
                self._call_back([action.link])
            raise error
        return None

    def _deleted(self, action: Delete) -> Create | None:
        link = self._ledger.links(self._pipeline.name, [action.link.source_id]).get(action.link.source_id, action.link)
        if not (is_ignored := link.is_hands_off):  # else by somebody, while it was being deleted
            link = dataclasses.replace(action.link, state=State.SETTLED if action.successor is None else State.READY)
        generation = next_generation(self._ledger, action.link)
        gone = dataclasses.replace(link, accepted=None, target_id=None, hold=None, attempts=0, generation=generation)
        what = DELETED_AS_APPROVED if self._approval.covers(action) else DELETED
        self._store([gone], [self._happening(action.link, what, action.reason)])
        self._report.deleted += 1
        self._blame.note_taken()
        self._tell_progress()
        if action.successor is None or action.event is None or is_ignored:
            return None
        return Create(link=gone, event=action.event, entry=action.successor, cause=action.cause)

    # --- creates and updates ---

    async def _send(self, batch: Sequence[Upsert], *, halvings: int = 0, was_open: bool = False) -> None:
        """Send one batch, whose links are stored as SENDING; `was_open` says that a larger one it was a part of may have been applied."""
        try:
            holdings = await self._target.upsert([_put(a) for a in batch])
        except VendorError as error:
            await self._cope(batch, error, halvings=halvings, is_open=was_open or error.is_open)
        else:
            await self._record(batch, await match_answers(self._target, batch, holdings))

    async def _cope(self, batch: Sequence[Upsert], error: VendorError, *, halvings: int, is_open: bool) -> None:
        """Halve a batch that was refused, or that nobody answered, down to the event that is to blame (rule 20); else raise the error.

        What nobody knows to be applied or not stays SENDING, and is asked for. Of a batch that was refused nobody knows it: nothing
        promises that it is all or nothing (Apptoto: 7).
        """
        if _helps_to_halve(error, batch, halvings):
            middle = len(batch) // 2
            for half in (batch[:middle], batch[middle:]):
                await self._send(half, halvings=halvings + 1, was_open=is_open or isinstance(error, RequestRejected))
        elif isinstance(error, RequestRejected) and not isinstance(error, NotFound):
            await self._blame.refuse(batch[0], error, is_open=is_open)
        elif len(batch) == 1 and may_be_the_event(error):
            await self._blame.leave_open(batch[0], error)
        else:
            if not is_open:
                self._call_back([a.link for a in batch])
            raise error

    def _call_back(self, links: Sequence[Link]) -> None:
        """Note that these were not sent, or plainly refused; whoever ignored one of them meanwhile is heard."""
        if links:
            self._ledger.conclude(self._pipeline.name, [dataclasses.replace(link, state=State.READY, hold=None) for link in links])

    async def _record(self, batch: Sequence[Upsert], answered: Sequence[Answered]) -> None:
        """Record the answers in one transaction; events left out of an answer are sent alone, and left out again they are refused."""
        taken: dict[SourceId, TargetId] = {}
        rows: dict[SourceId, str] = {}
        at = self._pipeline.clock()
        happenings, silent, dead, unsettled = [], [], [], []
        for answer in answered:
            if answer.holding is None:
                silent.append(answer.action)
                continue
            if answer.holding.is_deleted and isinstance(answer.action, Create):
                dead.append(answer)
                continue
            link = answer.action.link
            if answer.is_elsewhere:
                unsettled.append(resolve(link, answer.holding))  # the next plan moves it where it belongs
            elif answer.is_anew:
                unsettled.append(_bare(link, answer.holding.target_id))  # the next plan sends all the rest of it
            else:
                taken[link.source_id] = answer.holding.target_id
                if row_hash := answer.action.event.known_by:
                    rows[link.source_id] = row_hash
            happenings.append(self._happening(link, *_told(answer.action), at=at))
            self._report.problems.extend(answer.problems)
            self._count(answer.action)
            self._blame.note_taken(None if answer.is_elsewhere else answer.action.entry.calendar)
        if unsettled:
            self._ledger.conclude(self._pipeline.name, unsettled)
        if happenings:
            self._ledger.settle(self._pipeline.name, taken, happenings, rows)
        self._tell_progress()
        for answer in dead:
            await self._create_anew(answer)
        if silent and len(batch) == 1:
            words = "the target answered without an error, and without this event"
            await self._blame.quarantine_as_held(silent[0], RequestRejected(words, account=self._target.account))
            return
        for action in silent:
            await self._send([action], was_open=True)

    async def _create_anew(self, answer: Answered) -> None:
        """Create under the next external id what the target took for an entry it shows as deleted, one from before our memory (rule 19).

        Only where it says so when it is asked, too, and once in a pass: a flag that means nothing must not make entries for ever.
        """
        action, link = answer.action, answer.action.link
        found = await self._target.find(link.external_id)
        if found is not None and not found.is_deleted:
            await self._record([action], [dataclasses.replace(answer, holding=found)])
            return
        fresh = dataclasses.replace(action, link=dataclasses.replace(link, generation=next_generation(self._ledger, link), target_id=None))
        if link.source_id in self._made_anew:
            words = "the target takes the event, and shows it as deleted, under a new external id as well"
            self._blame.quarantine(fresh, RequestRejected(words, account=self._target.account))
            return
        if self._ignored_since([fresh]):
            return
        self._made_anew.add(link.source_id)
        self._store([dataclasses.replace(fresh.link, state=State.SENDING, hold=None)])
        await self._send([fresh])

    # --- small things ---

    def _count(self, action: Upsert) -> None:
        match action:
            case Create():
                self._report.created += 1
            case Update():
                self._report.updated += 1

    def _happening(self, link: Link, what: str, detail: str = "", *, at: datetime | None = None) -> Happening:
        at = at or self._pipeline.clock()
        return Happening(at=at, pipeline=self._pipeline.name, external_id=link.external_id, what=what, detail=detail)

    def _store(self, links: Sequence[Link], happenings: Sequence[Happening] = ()) -> None:
        if links or happenings:
            self._ledger.store(links, happenings)

    def _tell_progress(self) -> None:
        if self._progress:
            self._progress(self._report)


def _helps_to_halve(error: VendorError, batch: Sequence[Upsert], halvings: int) -> bool:
    """Say whether smaller batches may go through; where a 404 is the answer, it is the address that is wrong, not the events."""
    if len(batch) == 1 or isinstance(error, NotFound):
        return False
    # The same PUT was repeated. One that got no answer may take minutes (240 s, Apptoto: 7), so a single smaller one follows; a 502 comes
    # at once, and batches down to five events were seen to get one: halving goes on.
    is_silence = isinstance(error, VendorUnavailable | ResponseInvalid) and error.status is None
    return isinstance(error, RequestRejected | VendorUnavailable | ResponseInvalid) and not (halvings and is_silence)


def _put(action: Upsert) -> Put:
    return Put(external_id=action.link.external_id, calendar=action.entry.calendar, entry=action.entry, fields=_fields(action))


def _fields(action: Upsert) -> frozenset[Field]:
    return action.fields if isinstance(action, Update) else _ALL_FIELDS


def _bare(link: Link, target_id: TargetId) -> Link:
    """Return the link of an entry that is there under another id of the target, of which nobody knows more than when it is."""
    accepted = link.wanted and dataclasses.replace(link.wanted, hashes={})
    return dataclasses.replace(link, state=State.READY, target_id=target_id, accepted=accepted, hold=None)


def _told(action: Upsert) -> tuple[str, str]:
    """Return what the history says of it: an update names its fields."""
    return ("created", "") if isinstance(action, Create) else ("updated", ", ".join(sorted(action.fields)))
