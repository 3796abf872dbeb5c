"""Writes a plan into the ledger before anything is sent: what is parked, what waits; and a pipeline's progress after it."""

import dataclasses
from collections.abc import Collection, Sequence
from datetime import datetime

from calrelay.domain.event import SourceId
from calrelay.domain.guard import Parked, Verdict, count_by_kind
from calrelay.domain.link import Basis, Link, Owed, State, Wait
from calrelay.domain.plan import Action, Cause, Create, Delete
from calrelay.domain.policy import Policy
from calrelay.engine import holds as holding
from calrelay.engine.order import Order, Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import Outcome, PassReport
from calrelay.engine.survey import Survey
from calrelay.errors import ExitCode
from calrelay.ports import Happening, Hold


def record_plan(
    pipeline: Pipeline,
    policy: Policy,
    survey: Survey,
    verdict: Verdict,
    *,
    before: Sequence[Hold],
    now: datetime,
    adopts_only: bool = False,
) -> list[Action]:
    """Store holds, waiting and changed links; return the actions that are ready to be sent.

    What is parked or waits keeps the hash and basis it had, so that the next pass plans it again from the same ground.
    """
    if adopts_only:
        adopted = [link for link in survey.changed if link.reason == "adopted"]
        happenings = [Happening(at=now, pipeline=pipeline.name, external_id=link.external_id, what="adopted") for link in adopted]
        pipeline.ledger.store(survey.changed, happenings)
        return []
    planned = (survey.seen - survey.undecided) | {action.link.source_id for group in verdict.parked for action in group.actions}
    # A load lets creates through that are held, and may break off, or leave them to its next part: they stay in their hold until then.
    planned -= {a.link.source_id for a in verdict.passed if isinstance(a, Create) and _before(a, survey).state is State.HELD}
    # What was approved stays in its hold until it is done: a pass that is interrupted must not ask again.
    asked = {item.source_id for hold in before for item in hold.items}
    going = {source_id: action for action in verdict.passed if (source_id := action.link.source_id) in asked}
    open_holds = holding.merge(pipeline.name, before, verdict.parked, planned=planned, going=going, now=now)
    hold_ids = {item.source_id: hold.id for hold in open_holds for item in hold.items}
    parked = [_parked(action, group, survey, hold_ids, now) for group in verdict.parked for action in group.actions]
    ready, waiting = _split_waiting(verdict.passed, policy, survey, now)
    happenings = [_happened(pipeline, link, now) for link in [*survey.unmappable, *(link for link in parked if _is_news(link, survey))]]
    changed = [*survey.changed, *parked, *waiting]
    if before or open_holds:
        pipeline.ledger.save_holds(pipeline.name, open_holds, changed, happenings)
    else:
        pipeline.ledger.store(changed, happenings)
    return ready


def close_done(pipeline: Pipeline, sent: Collection[SourceId] = frozenset()) -> list[Hold]:
    """Close what was approved and has been sent, now or by a pass that was cut short before it could close it; return what is open."""
    holds = pipeline.ledger.holds(pipeline.name)
    parked_anew = {source_id for source_id, link in pipeline.ledger.links(pipeline.name, sent).items() if link.state is State.HELD}
    done = {*(set(sent) - parked_anew), *_carried_out(pipeline, holds)}
    left = [holding.without(hold, done) for hold in holds]
    if left != holds:
        left = [hold for hold in left if hold.items]
        pipeline.ledger.save_holds(pipeline.name, left)
    return left


def _carried_out(pipeline: Pipeline, holds: Sequence[Hold]) -> set[SourceId]:
    """Return the approved events of which nothing is owed any more: no pass may ever see them again, as after a delete."""
    approved = {item.source_id for hold in holds for item in hold.items if item.approved_at is not None}
    links = pipeline.ledger.links(pipeline.name, approved) if approved else {}
    return {source_id for source_id, link in links.items() if link.state is State.SETTLED and link.owed is Owed.NOTHING}


def remember_pipeline(pipeline: Pipeline, order: Order, report: PassReport, *, now: datetime) -> None:
    """Note how far the pipeline has come; a first load ends with its first complete pass.

    Nothing else of the record is written: the operator may have paused the pipeline while the pass was at work.
    """
    if report.outcome is Outcome.FAILED or order.reach is Reach.IDS or order.is_load:
        return
    if any(problem.exit_code == ExitCode.VENDOR for problem in report.problems):
        return
    complete = now if report.is_complete else None
    pipeline.ledger.note_pipeline(pipeline.name, last_read_at=now, last_complete_at=complete, first_complete_at=complete)


def count_dry_run(
    report: PassReport, policy: Policy, survey: Survey, verdict: Verdict, standing: dict[State, int], *, now: datetime
) -> None:
    """Fill a dry run's counters with what a sync would do."""
    ready, waiting = _split_waiting(verdict.passed, policy, survey, now)
    counts = count_by_kind(ready)
    report.created, report.updated, report.deleted = (counts.get(k, 0) for k in ("create", "update", "delete"))
    report.created += sum(isinstance(action, Delete) and action.successor is not None for action in ready)
    report.waiting = len(waiting)
    report.held = sum(len(group.actions) for group in verdict.parked)
    fresh = sum(1 for link in survey.changed if link.state is State.QUARANTINED)
    report.quarantined = max(standing.get(State.QUARANTINED, 0), fresh)


# A row that is missing may show again, and a filter or route may be put back: what was rejected before still is then.
_MAY_PASS = (Cause.ABSENCE, Cause.FILTER, Cause.ROUTE)


def _before(action: Action, survey: Survey) -> Link:
    """Return the link as it was before the plan; a new one's has no hash and no basis yet, and what is created has its id of now."""
    known = survey.links.get(action.link.source_id)
    if known is not None and isinstance(action, Create):
        known = dataclasses.replace(known, target=action.link.target, base_id=action.link.base_id, generation=action.link.generation)
    return known or dataclasses.replace(action.link, source_hash="", basis=Basis(zone_data="", mapping="", config=""))


def _parked(action: Action, group: Parked, survey: Survey, hold_ids: dict[SourceId, str], now: datetime) -> Link:
    before = _before(action, survey)
    hold_id = hold_ids.get(before.source_id)
    is_rejected = before.until_changed and before.state in (State.IGNORED, State.HELD)
    stays_rejected = is_rejected and isinstance(action, Delete) and action.cause in _MAY_PASS
    return dataclasses.replace(
        before,
        state=State.HELD,
        until_changed=stays_rejected,
        until_shown=False,
        let_in=action.link.let_in,
        wanted=before.wanted if stays_rejected else action.link.wanted,
        source_hash=action.link.source_hash if isinstance(action, Create) else before.source_hash,
        basis=action.link.basis if isinstance(action, Create) else before.basis,
        reason=group.kind.value,
        remedy=holding.how_to_decide(hold_id) if hold_id else "calrelay holds",
        hold=hold_id,
        since=before.since if before.state is State.HELD else now,
    )


def _is_news(link: Link, survey: Survey) -> bool:
    before = survey.links.get(link.source_id)
    return before is None or before.hold != link.hold


def _happened(pipeline: Pipeline, link: Link, now: datetime) -> Happening:
    return Happening(at=now, pipeline=pipeline.name, external_id=link.external_id, what=link.state.value, detail=link.reason)


def _split_waiting(actions: Sequence[Action], policy: Policy, survey: Survey, now: datetime) -> tuple[list[Action], list[Link]]:
    """Part the actions that may go now from those that settle, or that wait for the hours in which events may be created."""
    ready, waiting = [], []
    for action in actions:
        since = _waits_since(action, survey)
        wait = _wait_reason(action, since, policy, now, has_settled=_has_settled(action, survey))
        if wait is None:
            ready.append(action)
            continue
        # A load may mark an event that waits already in another way: the marks are the action's, or its guests would be messaged after all.
        planned = action.link
        before = _before(action, survey)
        mode = planned.mode if isinstance(action, Create) else before.mode  # a move may be called off yet
        marked = dataclasses.replace(before, mode=mode, backfilled=planned.backfilled, attempts=planned.attempts)
        marked = dataclasses.replace(marked, state=State.WAITING, let_in=planned.let_in, since=since or now, hold=None)
        waiting.append(dataclasses.replace(marked, wanted=planned.wanted, reason=wait))
    return ready, waiting


def _waits_since(action: Action, survey: Survey) -> datetime | None:
    """Return since when exactly this has been waiting; None where it was not."""
    before = survey.links.get(action.link.source_id)
    if before is None or before.state is not State.WAITING:
        return None
    return before.since if _digest(before) == _digest(action.link) else None


def _has_settled(action: Action, survey: Survey) -> bool:
    """Whether exactly this was sent before, and did not arrive."""
    before = survey.links.get(action.link.source_id)
    return before is not None and before.state is State.READY and before.attempts > 0 and _digest(before) == _digest(action.link)


def _wait_reason(action: Action, since: datetime | None, policy: Policy, now: datetime, *, has_settled: bool) -> str | None:
    if policy.settle and not has_settled and (since is None or now - since < policy.settle):
        return Wait.SETTLING.value
    if isinstance(action, Create) and not policy.may_create_at(now, action.event.zone):
        return Wait.CREATE_HOURS.value
    return None


def _digest(link: Link) -> str:
    return link.wanted.digest if link.wanted else ""
