"""Crash recovery: links left in SENDING were in a request whose answer nobody saw; the target is asked before anything else is planned."""

import dataclasses

from calrelay.domain.link import Field, Imprint, Link, State
from calrelay.engine.pipeline import Pipeline
from calrelay.ports import Happening, Holding


async def resolve_unanswered(pipeline: Pipeline) -> None:
    """Bring every SENDING link back to what is known of it (rule 19).

    Raises VendorError when the target cannot be asked: nothing else would be safe.
    """
    for link in pipeline.ledger.links_in(pipeline.name, {State.SENDING}):
        holding = await pipeline.target.find(link.external_id)
        resolved = resolve(link, None if holding is None or holding.is_deleted else holding)
        detail = "the target has it" if resolved.accepted else "the target does not have it"
        what = Happening(at=pipeline.clock(), pipeline=pipeline.name, external_id=link.external_id, what="resolved", detail=detail)
        pipeline.ledger.store([resolved], [what])


def resolve(link: Link, holding: Holding | None) -> Link:
    """Return what is known after asking: where it is and when, but not its other fields, so that those are sent again."""
    if holding is None:
        gone = link.accepted is not None  # it was there before, so the delete in flight was applied: this generation is used up
        return dataclasses.replace(
            link, state=State.READY, accepted=None, target_id=None, generation=link.generation + 1 if gone else link.generation, hold=None
        )
    known = link.accepted or link.wanted
    if known is None or holding.start is None or holding.end is None:
        return dataclasses.replace(link, state=State.READY, target_id=holding.target_id, accepted=_unknown(link))
    accepted = Imprint(calendar=holding.calendar or known.calendar, start=holding.start, end=holding.end, hashes=_certain(link))
    return dataclasses.replace(link, state=State.READY, target_id=holding.target_id, accepted=accepted, hold=None)


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
