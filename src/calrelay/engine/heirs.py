"""What becomes of a retired pipeline's events: they stay claimed, so that whoever relays them next takes them over."""

import dataclasses
from typing import TYPE_CHECKING

from calrelay.domain.link import Basis, Link, State
from calrelay.ports import Ledger

if TYPE_CHECKING:  # `status` asks what is retired, and runs nothing
    from calrelay.engine.pipeline import Pipeline

MEMO_RETIRED = "retired:{pipeline}"
RETIRED = "let go: its pipeline was retired"
TAKEN_OVER = "taken over by pipeline"  # what the reason of a link begins with whose entry another pipeline has now


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Legacy:
    """An event handed over; stored in this order, because the claim has to be free before it is taken."""

    given_up: Link
    taken: Link


def is_retired(ledger: Ledger, pipeline: str) -> bool:
    """Say whether a pipeline was ended by `retire`."""
    return ledger.memo(MEMO_RETIRED.format(pipeline=pipeline)) is not None


def retired_ones(ledger: Ledger) -> set[str]:
    """Return the names of all pipelines that were ended by `retire`."""
    prefix = MEMO_RETIRED.format(pipeline="")
    return {key.removeprefix(prefix) for key in ledger.memos(prefix)}


def inherit(ledger: Ledger, owner: str, heir: Link) -> Legacy | None:
    """Return what a retired pipeline left behind of an event; None when it was not retired, or the target holds nothing of its.

    The heir knows what the target accepted, field by field, so that only what it wants otherwise is sent; an event the operator ignored
    stays ignored, and what was rejected of it stays rejected.
    """
    if not is_retired(ledger, owner):
        return None
    left = _left_by(ledger, owner, heir)
    if left is None or left.accepted is None:
        return None
    is_rejected = left.state is State.IGNORED and left.until_changed
    reason = f"{TAKEN_OVER} {heir.pipeline}"
    given_up = dataclasses.replace(left, state=State.RELEASED, wanted=None, accepted=None, target_id=None, hold=None, reason=reason)
    taken = dataclasses.replace(
        left,
        pipeline=heir.pipeline,
        source_id=heir.source_id,
        state=State.IGNORED if left.state is State.IGNORED else State.SETTLED,
        source_hash=left.source_hash if is_rejected else "",
        basis=Basis(zone_data="", mapping="", config=""),
        wanted=left.wanted if is_rejected else left.accepted,
        reason=left.reason if is_rejected else f"taken over from pipeline {owner}",
        remedy="",
        hold=None,
    )
    return Legacy(given_up=given_up, taken=taken)


def inherit_decision(ledger: Ledger, heir: Link) -> Link | None:
    """Return what an heir begins with of an event that another pipeline was told to leave alone, and the target has not; else None.

    What was decided in a retired pipeline goes on. One that is not may relay it again itself: somebody is to decide anew.
    """
    links = [link for link in ledger.link_by_external_id(heir.base_id) if link.pipeline != heir.pipeline and link.target == heir.target]
    ignored = [link for link in links if link.state is State.IGNORED and not link.is_live]
    if not ignored:
        return None
    left = next((link for link in ignored if is_retired(ledger, link.pipeline)), None)
    if left is None:
        return dataclasses.replace(heir, let_in=True)
    return dataclasses.replace(
        left,
        pipeline=heir.pipeline,
        source_id=heir.source_id,
        generation=max(left.generation, heir.generation),
        basis=Basis(zone_data="", mapping="", config=""),
    )


def _left_by(ledger: Ledger, owner: str, heir: Link) -> Link | None:
    links = ledger.link_by_external_id(heir.base_id)
    return next((link for link in links if link.pipeline == owner and link.target == heir.target), None)


def how_to_part(own: str, other: str, *, is_known: bool) -> str:
    """Say what to do where another pipeline has an event, perhaps one that the config does not name; never what would double it."""
    if is_known:
        return (
            f"if one is a copy of the other, remove it; else narrow one of the two filters; where a `reject` left it with {other}, "
            "`calrelay ignore ID --undo`, and approve that it goes; "
            f"if {other} is what {own} was called before, `calrelay rename {other} {own}`; an "
            "`id_prefix` is for pipelines that read different accounts: of the same bookings it makes two entries, and their guests get "
            "every message twice"
        )
    return (
        f"if {other} is what {own} was called before, `calrelay rename {other} {own}`; if it is the new name, write it into the config; "
        f"else `calrelay retire {other}`, and {own} takes its events over"
    )


def take_up_again(pipeline: "Pipeline") -> None:
    """Take up a retired pipeline's own events again, as they were; nothing for any other pipeline. Passes go on once that is ended.

    What another has taken over meanwhile comes back where that one was retired, too; else it is an event that another pipeline has.
    """
    ledger = pipeline.ledger
    if not is_retired(ledger, pipeline.name):
        return
    released = ledger.links_in(pipeline.name, {State.RELEASED})
    links = [dataclasses.replace(link, state=State.SETTLED, reason="") for link in released if link.reason == RETIRED]
    given_up = [link for link in released if link.reason.startswith(TAKEN_OVER)]
    claims = ledger.claims(pipeline.target.account, [link.base_id for link in given_up])
    for link in given_up:
        claim = claims.get(link.base_id)
        legacy = inherit(ledger, claim.pipeline, link) if claim is not None and claim.bars(pipeline.name) else None
        known = dataclasses.replace(link, state=State.SETTLED, reason="", source_hash="", let_in=True)
        links += [known] if legacy is None else [legacy.given_up, legacy.taken]
    ledger.store(links)


def end_retirement(pipeline: "Pipeline") -> None:
    """Let passes of a retired pipeline go on, once all of what its target holds has been looked at."""
    if is_retired(pipeline.ledger, pipeline.name):
        pipeline.ledger.save_memo(MEMO_RETIRED.format(pipeline=pipeline.name), None, pipeline.clock())
