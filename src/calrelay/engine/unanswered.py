"""Crash recovery: links left in SENDING were in a request whose answer nobody saw; the target is asked before anything else is planned."""

import dataclasses

from calrelay.domain.event import SourceId
from calrelay.domain.guard import Approval
from calrelay.domain.link import DELETED_THERE, REJECTED, REJECTED_FOR_NOW, ExternalId, Field, Imprint, Link, State
from calrelay.domain.plan import Cause, Delete
from calrelay.engine.asking import ask_for, check_that_it_answers
from calrelay.engine.decisions import REJECTED_IN_FLIGHT
from calrelay.engine.holds import approval_of
from calrelay.engine.latecomers import remember
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import Problem
from calrelay.errors import VendorError, VendorUnavailable
from calrelay.ports import DELETED, DELETED_AS_APPROVED, Happening, Holding

DELETED_REMEDY = "`calrelay quarantine retry ID` creates it again, which can message its guest; `calrelay quarantine drop ID` leaves it"


async def resolve_unanswered(pipeline: Pipeline) -> dict[SourceId, Problem]:
    """Bring every SENDING link, and what was rejected while it was one, back to what is known of it (rule 19).

    One over which the target fails, though it answers otherwise, stays SENDING, and is told as a problem: it is not to be touched. Raises
    VendorError when the target cannot be asked: nothing else would be safe.
    """
    rejected = pipeline.ledger.links_in(pipeline.name, {State.IGNORED}, reason=REJECTED_IN_FLIGHT)
    unanswered = [*pipeline.ledger.links_in(pipeline.name, {State.SENDING}), *rejected]
    remember(pipeline, unanswered)
    failed: dict[ExternalId, VendorError] = {}
    holdings = await ask_for(pipeline, {link.external_id: link for link in unanswered}, failed=failed)
    if failed and not holdings:
        await check_that_it_answers(pipeline, failed)
    answered = [link for link in unanswered if link.external_id in holdings]
    resolved = [resolve(link, holdings[link.external_id]) for link in answered]
    if resolved:
        approval = approval_of(pipeline.ledger.holds(pipeline.name), pipeline.clock())
        happenings = [_happening(before, link, pipeline, approval) for before, link in zip(answered, resolved, strict=True)]
        pipeline.ledger.store([_as_decided(before, link) for before, link in zip(answered, resolved, strict=True)], happenings)
    return {link.source_id: _untold(link, failed[link.external_id]) for link in unanswered if link.external_id in failed}


def _untold(link: Link, error: VendorError) -> Problem:
    ignore = f"`calrelay ignore {link.external_id}`"
    return Problem(
        kind=VendorUnavailable.__name__,
        is_unresolved=True,
        message=f"the target answers, and fails over the question what became of this event: {error.message}",
        remedy=f"it is left as it is, and each pass asks again; look at it in Apptoto, or leave it alone with {ignore}",
        external_id=link.external_id,
    )


def _as_decided(before: Link, resolved: Link) -> Link:
    """Leave alone what was rejected meanwhile, with what the target holds of it: a change of its row is compared with that.

    What was to be let go for good is, unless it is gone: then the request was carried out, and nothing is left to keep.
    """
    if before.state is State.SENDING:
        return resolved
    if not before.until_changed:
        is_gone = resolved.accepted is None
        state = State.SETTLED if is_gone else State.RELEASED
        return dataclasses.replace(resolved, state=state, wanted=resolved.accepted, reason="" if is_gone else REJECTED, remedy="")
    return dataclasses.replace(resolved, state=State.IGNORED, wanted=before.wanted, reason=REJECTED_FOR_NOW, remedy="")


def resolve(link: Link, holding: Holding | None) -> Link:
    """Return what is known after asking: where it is and when, but not its other fields, so that those are sent again."""
    if holding is None or holding.is_deleted:
        return _absent(link, was_there=holding is not None)
    known = link.accepted or link.wanted
    if known is None or holding.start is None or holding.end is None:
        return dataclasses.replace(link, state=State.READY, target_id=holding.target_id, accepted=_unknown(link))
    accepted = Imprint(calendar=holding.calendar or known.calendar, start=holding.start, end=holding.end, hashes=_certain(link))
    return dataclasses.replace(link, state=State.READY, target_id=holding.target_id, accepted=accepted, hold=None)


def _happening(before: Link, resolved: Link, pipeline: Pipeline, approval: Approval) -> Happening:
    detail = "the target has it" if resolved.accepted else resolved.reason or "the target does not have it"
    what = _word(before, resolved, approval)
    return Happening(at=pipeline.clock(), pipeline=pipeline.name, external_id=before.external_id, what=what, detail=detail)


def _word(before: Link, resolved: Link, approval: Approval) -> str:
    """Name what became of it; a delete that was carried out counts as one for the guard, though nobody saw its answer."""
    if resolved.state is not State.READY:
        return "quarantined" if before.state is State.SENDING else "resolved"  # what was rejected meanwhile is left alone
    if before.accepted is None or resolved.accepted is not None:
        return "resolved"
    return DELETED_AS_APPROVED if approval.covers(Delete(link=before, reason="", cause=Cause.SOURCE)) else DELETED


def _absent(link: Link, *, was_there: bool) -> Link:
    """Return what is known of an entry that the target does not have: the create did not arrive, or the delete, or a move's, was applied.

    With an update in flight, or a create that the target shows as deleted, neither can be: somebody deleted the entry there. Creating it
    again could message its guest, so that is left to the operator, as with whatever `verify` finds lost.
    """
    if link.accepted is None and not was_there:
        return dataclasses.replace(link, state=State.READY, target_id=None, hold=None)
    gone = dataclasses.replace(link, accepted=None, target_id=None, generation=link.generation + 1, hold=None)  # this generation is used up
    if link.wanted is None or (link.accepted is not None and link.wanted.calendar != link.accepted.calendar):
        return dataclasses.replace(gone, state=State.READY)
    return dataclasses.replace(gone, state=State.QUARANTINED, attempts=max(1, link.attempts), reason=DELETED_THERE, remedy=DELETED_REMEDY)


def _certain(link: Link) -> dict[Field, str]:
    """Keep the hashes of the fields that were not being changed: those are the same whether or not the request was applied."""
    if link.accepted is None:
        return {}
    if link.wanted is None:
        return dict(link.accepted.hashes)
    changing = link.wanted.differs_from(link.accepted)
    return {field: value for field, value in link.accepted.hashes.items() if field not in changing}


def _unknown(link: Link) -> Imprint | None:
    known = link.accepted or link.wanted
    return None if known is None else dataclasses.replace(known, hashes={})
