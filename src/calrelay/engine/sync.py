"""One pass of one pipeline: fetch → map → plan → guard → apply → record. Every command and the daemon walk this road."""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from calrelay.domain.event import SourceId
from calrelay.domain.guard import Approval, HoldKind, Parked, Verdict, as_decided, guard, joined, start_of
from calrelay.domain.link import State
from calrelay.domain.plan import Action, Create, Delete, plan_gone
from calrelay.domain.policy import Policy
from calrelay.domain.window import Span
from calrelay.domain.words import counted
from calrelay.engine.absence import GuardTerms, absences, forget_unsent, settle_absences
from calrelay.engine.apply import Applier
from calrelay.engine.heirs import end_retirement, is_retired, take_up_again
from calrelay.engine.holdings import Holdings, ask_for_unlisted, look_at_target
from calrelay.engine.holds import approval_of, shifts_held, standing_in
from calrelay.engine.latecomers import look_for_latecomers
from calrelay.engine.newcomers import Arrivals, Intake, leave_queued
from calrelay.engine.order import Order, Reach
from calrelay.engine.orphans import adopt_orphans, adopt_unlisted, forget_lost
from calrelay.engine.overlapping import remember_overlap
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.record import close_done, count_dry_run, record_plan, remember_pipeline
from calrelay.engine.report import Outcome, PassReport, Problem, problems_of_flaws, requests_since
from calrelay.engine.scope import is_rescoped, remember_scope, remember_unseen
from calrelay.engine.shelf import Shelf
from calrelay.engine.survey import Surveyor
from calrelay.engine.unanswered import resolve_unanswered
from calrelay.engine.vigil import Vigil
from calrelay.errors import CLAIMED, CalrelayError, ExitCode, GuardRefused, VendorError
from calrelay.ports import Flaw, Hold, Scope

_STANDING = (State.QUARANTINED, State.HELD, State.WAITING)
CLOCK_SKEW = timedelta(minutes=5)
DAY = timedelta(days=1)
Progress = Callable[[PassReport], None]


async def run_pass(
    pipeline: Pipeline,
    order: Order,
    *,
    progress: Progress | None = None,
    holdings: Holdings | None = None,
    arrivals: Arrivals | None = None,
) -> PassReport:
    """Run one pass and report; never raises for what a vendor or a guard does.

    `holdings` is what the target holds, where the caller has looked already; `arrivals` tells what comes in while it sends. StateError and
    bugs pass through: they stop everything. The caller holds the pipeline's lock, unless the order is a dry run.
    """
    started, before = time.monotonic(), pipeline.request_counts()
    report = PassReport(pipeline=pipeline.name, command=order.command, started_at=pipeline.clock(), is_dry_run=order.is_dry_run)
    work = _Pass(pipeline, order, report, progress, holdings)
    try:
        await work.run(arrivals)
    except CalrelayError as error:
        if error.exit_code in (ExitCode.STATE, ExitCode.BUG):
            raise
        report.fail(error, Outcome.REFUSED if isinstance(error, GuardRefused) else Outcome.FAILED)
    if progress is not None and report.outcome is Outcome.FAILED:
        progress(report)  # where it raises, a stop may be all that ailed the vendor, and nothing is to be said of it
    report.seconds = time.monotonic() - started
    report.requests = requests_since(before, pipeline.request_counts())
    if not order.is_dry_run:
        count_standing(pipeline, report)
    if report.held or report.quarantined or any(problem.kind == CLAIMED for problem in report.problems):
        report.worsen(Outcome.PARTIAL)
    if not order.is_dry_run and not work.is_paused:  # what a pause kept from running says nothing of how the pipeline stands
        pipeline.ledger.record_pass(report.to_record())
    return report


def count_standing(pipeline: Pipeline, report: PassReport) -> None:
    """Fill in how many events stand in quarantine, in holds and in waiting. Raises StateError."""
    states = pipeline.ledger.count_states(pipeline.name, _STANDING)
    report.quarantined, report.held, report.waiting = (states.get(s, 0) for s in _STANDING)


class _Pass:
    """The six verbs in order, and what they hand to each other."""

    def __init__(self, pipeline: Pipeline, order: Order, report: PassReport, progress: Progress | None, holdings: Holdings | None) -> None:
        self._pipeline = pipeline
        self._order = order
        self._report = report
        self._progress = progress
        self._holdings = holdings
        self._ledger = pipeline.ledger
        self._vigil = Vigil(pipeline)
        self._now = pipeline.clock()
        self._span = order.span or pipeline.window.at(self._now)
        self._record = self._ledger.pipeline(pipeline.name)
        self._untold: Mapping[SourceId, Problem] = {}  # events of which not even the target can tell what became of them

    @property
    def is_paused(self) -> bool:
        """Whether a pause keeps it from running; a dry run is not kept."""
        return self._record.is_paused and not self._order.is_dry_run

    async def run(self, arrivals: Arrivals | None) -> None:
        """Fetch, map, plan, guard, apply, record."""
        self._refuse_paused()
        self._report.is_of_paused = self._record.is_paused
        self._refuse_retired()
        await self._pipeline.check_target(remember=not self._order.is_dry_run)
        if self._order.adopts_only:
            take_up_again(self._pipeline)
        if self._order.reach is not Reach.IDS:
            await self._pipeline.listen()
        policy = dataclasses.replace(
            await self._pipeline.policy(remember=not self._order.is_dry_run), is_rescoped=is_rescoped(self._pipeline)
        )
        if not self._order.is_dry_run:
            left_there = await look_for_latecomers(self._pipeline)
            self._untold = await resolve_unanswered(self._pipeline)
            self._report.problems += [*left_there, *self._untold.values()]
            if self._report.problems:
                self._report.worsen(Outcome.PARTIAL)
        terms = self._guard_terms()
        holds = self._ledger.holds(self._pipeline.name) if self._order.is_dry_run else close_done(self._pipeline)
        approval = approval_of(holds, self._now)
        shelf = self._report.shelf = Shelf() if self._is_plain_first_load(policy, holds) else None
        surveyor = Surveyor(self._pipeline, policy, self._order, self._report, shelf)
        surveyor.leave_out(self._untold)
        await self._survey(surveyor, policy)
        parked = await self._survey_unseen(surveyor, terms, approval, holds)
        self._tell_flaws(surveyor)
        self._check_clocks()
        self._vigil.check()
        verdict = self._guard(surveyor, terms, approval, holds, parked)
        self._report.actions = [*surveyor.survey.actions, *(action for group in parked for action in group.actions)]
        self._report.parked = verdict.parked
        self._report.overlap = surveyor.overlap.found if surveyor.overlap else None
        self._refuse_first_load(verdict)
        if self._order.is_dry_run:
            standing = self._ledger.count_states(self._pipeline.name)
            count_dry_run(self._report, policy, surveyor.survey, verdict, standing, now=self._now)
            return
        ready = record_plan(
            self._pipeline, policy, surveyor.survey, verdict, before=holds, now=self._now, adopts_only=self._order.adopts_only
        )
        self._remember_whole_look(parked)
        if self._order.fills_batches:
            ready = self._fill_batches(ready, surveyor)
        del surveyor  # and with it the ids that were seen and all that the target holds, as large as what is still to be sent
        if not self._order.adopts_only:
            interlude = self._interlude(policy, arrivals)
            applier = Applier(
                self._pipeline, self._report, vigil=self._vigil, approval=approval, progress=self._progress, interlude=interlude
            )
            await applier.apply(ready, shelf.take_all() if shelf else ())
            late = interlude.ready if interlude else []
            if late or holds:
                close_done(self._pipeline, {action.link.source_id for action in (*ready, *late) if not applier.is_undone(action)})
            remember_pipeline(self._pipeline, self._order, self._report, now=self._now)
            if self._report.is_complete and self._report.overlap is not None:
                remember_overlap(self._ledger, self._pipeline.name, self._report.overlap)

    def _remember_whole_look(self, parked: Sequence[Parked]) -> None:
        """Note that all bookings were looked at, and end the retirement of what was adopted."""
        if self._order.adopts_only:
            if self._report.outcome is not Outcome.FAILED:
                end_retirement(self._pipeline)
        elif not self._report.is_complete:
            return
        elif not parked:
            remember_scope(self._pipeline, now=self._now)
        elif self._record.first_complete_at is None:
            remember_unseen(self._pipeline, now=self._now)

    def _is_plain_first_load(self, policy: Policy, holds: Sequence[Hold]) -> bool:
        """Say whether creates go out as they are planned: no guard holds them (rule 16), nothing is parked, and nothing has to wait."""
        is_first = self._record.first_complete_at is None and self._order.reach is Reach.COMPLETE
        is_plain = not (self._order.is_dry_run or self._order.is_load or self._order.adopts_only)
        return is_first and is_plain and not holds and not policy.settle and policy.create_hours is None

    def _fill_batches(self, ready: Sequence[Action], surveyor: Surveyor) -> list[Action]:
        """Return what fills whole batches, soonest start first, and leave the rest, of which nothing is recorded, to the next load."""
        size = self._pipeline.target.batch_size
        starts = sorted(start for action in ready if (start := start_of(action)) is not None)
        fills = (fill for fill in range(len(starts) // size * size, 0, -size) if fill == len(starts) or starts[fill - 1] < starts[fill])
        fill = next(fills, len(starts))
        if len(starts) < len(ready) or fill == len(starts):
            return list(ready)
        since = starts[fill]
        self._report.leave(surveyor.tally_from(since), since=since)
        return [action for action in ready if (start := start_of(action)) is not None and start < since]

    # --- newcomers ---

    def _interlude(self, policy: Policy, arrivals: Arrivals | None) -> "_Interlude | None":
        """Return what lets newcomers in while this pass sends; nobody comes in before a first load is over (rule 16)."""
        if arrivals is None or self._record.first_complete_at is None or self._untold:
            return None
        return _Interlude(self._pipeline, policy, self._order, self._report, arrivals, self._progress)

    async def take_in(self, policy: Policy, queued: Sequence[Action], *, is_load: bool) -> Intake:
        """Plan and guard what came in while another pass sends what is queued, and record it; that pass sends it.

        A look that was not sound decides nothing. Raises VendorError.
        """
        holds = self._ledger.holds(self._pipeline.name)
        surveyor = Surveyor(self._pipeline, policy, self._order, self._report)
        await self._survey(surveyor, policy)
        self._tell_flaws(surveyor)
        if surveyor.survey.flaws:
            return Intake()
        left = leave_queued(surveyor.survey, queued, is_load=is_load)
        verdict = self._guard(surveyor, self._guard_terms(), approval_of(holds, self._now), holds, [])
        self._report.actions, self._report.parked = surveyor.survey.actions, verdict.parked
        ready = record_plan(self._pipeline, policy, surveyor.survey, verdict, before=holds, now=self._now)
        return Intake(actions=ready, decided=(self._order.ids | surveyor.survey.seen) - left)

    # --- fetch, map, plan ---

    async def _survey(self, surveyor: Surveyor, policy: Policy) -> None:
        """Read as much of the source as the order asks for, and plan it page by page."""
        if self._order.reach is Reach.IDS:
            await self._survey_named(surveyor)
            return
        if self._looks_at_target:
            holdings = surveyor.adoption.holdings = self._holdings or await look_at_target(self._pipeline, self._span)
            if self._order.adopts_only:
                await ask_for_unlisted(self._pipeline, holdings)
        async for page in self._pipeline.source.read(dataclasses.replace(self._scope(), recall=surveyor.recall)):
            if isinstance(page, Flaw):
                surveyor.survey.flaws.append(page)
            else:
                surveyor.take_page(page, self._span)
            if self._progress:
                self._progress(self._report)
        await adopt_unlisted(self._pipeline, policy, surveyor)
        if self._order.reach is Reach.COMPLETE and not self._order.is_load and not surveyor.survey.flaws:
            await adopt_orphans(self._pipeline, policy, surveyor, anew=self._order.adopts_only)
            if self._order.adopts_only:
                forget_lost(self._pipeline, surveyor)

    @property
    def _looks_at_target(self) -> bool:
        """Whether nobody knows for sure what the target holds: no complete pass has seen it, or all is adopted anew."""
        if self._record.first_complete_at is None or self._order.adopts_only:
            return True
        return self._record.last_complete_at is None and self._order.reach is Reach.COMPLETE and not self._order.is_load

    async def _survey_named(self, surveyor: Surveyor) -> None:
        """Ask for the named events by id.

        Known ones are looked after wherever they start; new ones are taken up inside the window only (rule 17), and not before the first
        load is over, which would otherwise come in by this door, one by one (rule 16).
        """
        links = self._ledger.links(self._pipeline.name, self._order.ids)
        named = links.keys() if self._record.first_complete_at is None else self._order.ids
        for link in await surveyor.find(named, links, discover_in=self._span):
            surveyor.add(plan_gone(link, now=self._now), link)

    def _scope(self) -> Scope:
        if self._order.reach is not Reach.QUICK:
            return Scope(span=self._span)
        if self._pipeline.source.can_read_changes and self._record.last_read_at is not None:
            return Scope(span=self._span, changed_since=self._record.last_read_at)
        return Scope(span=Span(begin=self._span.begin, end=min(self._span.end, self._now + self._pipeline.near)))

    async def _survey_unseen(self, surveyor: Surveyor, terms: GuardTerms, approval: Approval, holds: Sequence[Hold]) -> list[Parked]:
        """Plan what the read did not show: expected events that are missing, and events that still owe the target something."""
        parked = []
        if self._order.reach is Reach.COMPLETE and not self._order.is_load and not surveyor.survey.flaws:
            self._report.is_complete = True
            found = absences(self._pipeline, surveyor, self._span, self._now, remember=not self._order.is_dry_run)
            group = await settle_absences(surveyor, found, terms, approval, now=self._now)
            parked = [group] if group else []
            if group is None:  # else there may be more that was not shown
                forget_unsent(self._pipeline, surveyor, self._span, self._now)
        if not (self._is_distrusted(parked, holds) or self._order.reach is Reach.IDS or self._order.is_load):
            await self._survey_owing(surveyor, approval)
        return parked

    def _is_distrusted(self, parked: Sequence[Parked], holds: Sequence[Hold]) -> bool:
        """Whether the source may be another account's (rule 2): it showed none of what is expected, now or when it was last read whole."""
        is_told_by_itself = self._report.is_complete or self._order.is_load
        kinds = {group.kind for group in parked} | {hold.kind for hold in holds if not is_told_by_itself}
        return HoldKind.EMPTY_READ in kinds

    async def _survey_owing(self, surveyor: Surveyor, approval: Approval) -> None:
        """Ask by id for unseen events that wait to be sent: what goes out is what the source says now, never what it said some time ago."""
        owing = {
            link.source_id: link
            for link in self._ledger.links_in(self._pipeline.name, {State.READY, State.WAITING, State.HELD})
            if link.source_id not in surveyor.survey.seen and (link.state is not State.HELD or link.source_id in approval.digests)
        }
        for link in await surveyor.find(owing.keys(), owing):
            surveyor.add(plan_gone(link, now=self._now), link)

    def _tell_flaws(self, surveyor: Surveyor) -> None:
        """Report an incomplete read: what was sound goes on, nothing is concluded to be gone, exit code 3 (rule 1)."""
        self._report.problems += problems_of_flaws(surveyor.survey.flaws)
        if surveyor.survey.flaws:
            self._report.is_complete = False
            self._report.worsen(Outcome.PARTIAL if self._report.read else Outcome.FAILED)

    # --- guard ---

    def _guard_terms(self) -> GuardTerms:
        """Return what the guards measure by; counted when first asked for, and nothing is written before they have asked."""
        name, since = self._pipeline.name, self._now - DAY
        return GuardTerms(
            limits=self._pipeline.limits,
            live=functools.cache(lambda: self._ledger.count_live(name)),
            recent_deletes=functools.cache(lambda: self._ledger.deletes_since(name, since)),
        )

    def _guard(self, surveyor: Surveyor, terms: GuardTerms, approval: Approval, holds: Sequence[Hold], parked: Sequence[Parked]) -> Verdict:
        if self._is_distrusted(parked, holds):
            surveyor.hold_newcomers()
        is_loading = self._order.is_load or self._record.first_complete_at is None
        actions = surveyor.survey.actions
        planned = {action.link.source_id for action in actions}
        verdict = guard(
            [as_decided(action) for action in actions] if self._order.is_load else actions,  # a load says how guests are treated
            limits=terms.limits,
            live=terms.live,
            recent_deletes=terms.recent_deletes,
            approval=approval,
            guard_creates=not is_loading,
            earlier=self._order.earlier.with_held(shifts_held(holds, self._now, but=planned)),
            standing=standing_in(holds),
        )
        return Verdict(passed=verdict.passed, parked=joined((*verdict.parked, *parked)))

    def _refuse_paused(self) -> None:
        if self.is_paused:
            raise GuardRefused(
                f"pipeline {self._pipeline.name} is paused; nothing was read or sent", remedy=f"calrelay resume {self._pipeline.name}"
            )

    def _refuse_retired(self) -> None:
        """Refuse a pipeline whose events were let go: it would take them up again without being asked; `adopt` asks for it."""
        name = self._pipeline.name
        if is_retired(self._ledger, name) and not self._order.adopts_only:
            raise GuardRefused(
                f"pipeline {name} was retired; nothing was read or sent",
                remedy=f"remove it from the config, set `enabled = false`, or take it up again with `calrelay adopt {name}`",
            )

    def _refuse_first_load(self, verdict: Verdict) -> None:
        """Refuse a first load of more events than `first_load`: each create can message its guest at once (rule 16)."""
        if self._order.is_load or self._order.adopts_only or self._record.first_complete_at is not None:
            return
        creates = sum(_is_of_first_load(action) for action in verdict.passed) + len(self._report.shelf or ())
        if creates <= self._pipeline.limits.first_load:
            return
        name, (begin, end) = self._pipeline.name, (self._span.begin.date(), self._span.end.date())
        refusal = GuardRefused(
            f"the first load of pipeline {name} would create {counted(creates, 'event')} and could message "
            f"{counted(self._report.people, 'person', 'people')} at once; `first_load` allows {self._pipeline.limits.first_load}, so "
            "nothing was sent",
            remedy=f"see them with `calrelay plan {name}`, then load them with `calrelay backfill {name} --from {begin} --to {end} "
            "--messages no-booking` (or send, auto, skip)",
        )
        if not self._order.is_dry_run:
            raise refusal
        self._report.fail(refusal, Outcome.REFUSED)

    def _check_clocks(self) -> None:
        """Refuse to act by a clock that disagrees with the vendors' Date headers: `over` and `soon` would be wrong."""
        for end in (self._pipeline.source, self._pipeline.target):
            skew = end.clock_skew_seconds
            if skew is not None and abs(skew) > CLOCK_SKEW.total_seconds():
                raise GuardRefused(
                    f"this machine's clock differs from {end.vendor}'s by {abs(skew) / 60:.0f} minutes; nothing was sent",
                    remedy="set the clock (`timedatectl`), then run again",
                )


def _is_of_first_load(action: Action) -> bool:
    """Whether it creates an entry that nobody has decided about; what a load let wait for its hour was decided by that."""
    if isinstance(action, Create):
        return not (action.is_decided and action.link.backfilled and action.link.state is State.WAITING)
    return isinstance(action, Delete) and action.successor is not None


class _Interlude:
    """Lets newcomers into a pass that sends; see `newcomers.Interlude`."""

    def __init__(
        self, pipeline: Pipeline, policy: Policy, order: Order, report: PassReport, arrivals: Arrivals, progress: Progress | None
    ) -> None:
        self._pipeline = pipeline
        self._policy = policy
        self._order = order
        self._report = report
        self._arrivals = arrivals
        self._progress = progress
        self.ready: list[Action] = []

    @property
    def is_due(self) -> bool:
        """Whether somebody waits to be let in."""
        return self._arrivals.are_due

    async def take_in(self, queued: Sequence[Action]) -> Intake:
        """Take the look that is due; one that fails decides nothing, and the pass under way goes on."""
        order = self._arrivals.next_order()
        if order is None:
            return Intake()
        found = PassReport(pipeline=self._pipeline.name, command=order.command, started_at=self._pipeline.clock())
        look = _Pass(self._pipeline, order, found, self._progress, None)
        intake = Intake()
        try:
            intake = await look.take_in(self._policy, queued, is_load=self._order.is_load)
        except VendorError as error:
            found.fail(error)
        self._arrivals.taken_in(order, found)
        if found.outcome is Outcome.OK:
            self._report.take_in(found)
        self.ready.extend(intake.actions)
        return intake
