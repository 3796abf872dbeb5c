"""What a complete read does not show: expected events that are missing, asked for one by one before they are called gone (rule 2)."""

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from calrelay.domain.guard import Approval, Count, HoldKind, Limits, Parked
from calrelay.domain.link import HANDS_OFF, Link, State
from calrelay.domain.plan import GONE, Delete, plan_gone
from calrelay.domain.window import Span
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.survey import Surveyor

FAR_FINDS = 20  # linked events outside the window that one pass asks for: care goes beyond discovery (rule 17), a few requests at a time
MEMO_FAR = "far:{pipeline}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Absences:
    """Links that a complete read should have shown and did not."""

    expected: int
    unclear: int  # in the span, and not shown either, of which nothing is planned
    missing: Sequence[Link]
    far: Sequence[Link]  # outside the window, so that the read says nothing about them


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GuardTerms:
    """What the guards of a pass measure by."""

    limits: Limits
    live: Count
    recent_deletes: Count


def absences(pipeline: Pipeline, surveyor: Surveyor, span: Span, now: datetime, *, remember: bool) -> Absences:
    """Compare the live links with what was seen; only whoever knows that the read was complete may ask this."""
    expected, undecided, missing, far, unclear = 0, 0, [], [], []
    for source_id, start, state in pipeline.ledger.live_starts(pipeline.name, ending_after=now):
        if source_id in surveyor.survey.undecided:  # nothing is planned for it
            is_shown = source_id in surveyor.survey.shown
            expected, undecided = expected + (is_shown and start in span), undecided + (not is_shown and start in span)
            continue
        if source_id in surveyor.survey.seen and state not in HANDS_OFF:
            expected += start in span
        else:
            unclear.append(source_id)
    found = pipeline.ledger.links(pipeline.name, unclear)
    for link in (found[source_id] for source_id in unclear if source_id in found):
        if link.outlives_its_row or link.accepted is None:
            continue
        is_seen = link.source_id in surveyor.survey.seen
        if link.accepted.start in span:
            expected += 1
            missing += [] if is_seen else [link]
        else:
            far += [] if is_seen else [link]
    return Absences(expected=expected, unclear=undecided, missing=missing, far=_next_far(pipeline, far, remember=remember))


def forget_unsent(pipeline: Pipeline, surveyor: Surveyor, span: Span, now: datetime) -> None:
    """Let go of events that were never sent and that a complete read does not show any more, and of what waits for those that are over."""
    for link in pipeline.ledger.links_in(pipeline.name, {State.QUARANTINED, State.HELD, State.WAITING, State.READY}):
        is_shown = link.source_id in surveyor.survey.seen
        if _is_over(link, now) and (not is_shown or (link.accepted is not None and link.state is not State.QUARANTINED)):
            surveyor.survey.seen.add(link.source_id)
            surveyor.survey.changed.append(
                dataclasses.replace(link, state=State.SETTLED, wanted=link.accepted, reason="over", remedy="", hold=None)
            )
            continue
        is_expected = not link.was_deleted_there and (link.wanted is None or link.wanted.start in span)
        if link.accepted is None and is_expected and not is_shown:
            surveyor.survey.seen.add(link.source_id)
            gone = dataclasses.replace(link, state=State.SETTLED, wanted=None, source_hash="", reason=GONE, remedy="", hold=None)
            surveyor.survey.changed.append(gone)


def _is_over(link: Link, now: datetime) -> bool:
    """Say whether all that is known of an event has ended, at the target and as it was wanted."""
    known = [imprint for imprint in (link.accepted, link.wanted) if imprint is not None]
    return bool(known) and all(imprint.end <= now for imprint in known)


async def settle_absences(surveyor: Surveyor, found: Absences, terms: GuardTerms, approval: Approval, *, now: datetime) -> Parked | None:
    """Ask for what is missing and plan what comes of it; return what is too much to be asked for without a decision.

    Events of which anything was approved are asked for: one that moved beyond the window is missing here, and held for what became of it.
    """
    suspects = [delete for link in found.missing if isinstance(delete := plan_gone(link, now=now), Delete)]
    approved = {delete.link.source_id for delete in suspects if delete.link.source_id in approval.digests}
    undecided = [delete for delete in suspects if delete.link.source_id not in approved]
    kind = _too_much(found, len(undecided), terms)
    asked = [link for link in found.missing if kind is None or link.source_id in approved]
    far = found.far if kind is not HoldKind.EMPTY_READ else ()  # it may be another account, and what that does not know is not gone
    before = {link.source_id: link for link in (*asked, *far)}
    for link in await surveyor.find(before.keys(), before, missing={link.source_id for link in asked}):
        surveyor.add(plan_gone(link, now=now), link)
    if kind is None:
        return None
    surveyor.survey.seen.update(delete.link.source_id for delete in undecided)
    missing = {link.source_id: link for link in found.missing}
    surveyor.survey.links.update({delete.link.source_id: missing[delete.link.source_id] for delete in undecided})
    return Parked(kind=kind, actions=tuple(undecided))


def _too_much(found: Absences, undecided: int, terms: GuardTerms) -> HoldKind | None:
    """Say which hold the absences belong into, if they are more than a venue loses on a normal day."""
    if undecided == 0:
        return None
    if len(found.missing) == found.expected and found.expected + found.unclear >= 2:
        return HoldKind.EMPTY_READ
    if terms.limits.deletes.is_exceeded(undecided + terms.recent_deletes(), terms.live):
        return HoldKind.ABSENCES
    return None


def _next_far(pipeline: Pipeline, far: Sequence[Link], *, remember: bool) -> Sequence[Link]:
    """Take the next few of them in turn, so that each is asked for sooner or later however many they are."""
    if len(far) <= FAR_FINDS:
        return far
    memo = pipeline.ledger.memo(MEMO_FAR.format(pipeline=pipeline.name))
    ordered = sorted(far, key=lambda link: link.source_id)
    after = [link for link in ordered if memo is None or link.source_id > memo[0]]
    chosen = (after + ordered)[:FAR_FINDS]
    if remember:
        pipeline.ledger.save_memo(MEMO_FAR.format(pipeline=pipeline.name), chosen[-1].source_id, pipeline.clock())
    return chosen
