"""The operator's hand: decide over holds, quarantine, single events and whole pipelines. Everything takes effect in the next pass."""

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from calrelay.domain.event import SourceId
from calrelay.domain.guard import FOR_GOOD, HoldKind
from calrelay.domain.link import REJECTED, REJECTED_FOR_NOW, ExternalId, Link, MessageMode, State, external_id_parts, once_more
from calrelay.engine.claims import as_barred
from calrelay.engine.holds import DELETE, MOVE, as_shown, is_approved, without
from calrelay.errors import ConfigError, GuardRefused
from calrelay.ports import Claim, Clock, Happening, Hold, HoldItem, Ledger

IGNORED = "ignored by the operator"
IGNORED_IN_FLIGHT = "ignored by the operator; what was being sent before may have arrived"
REJECTED_IN_FLIGHT = f"{REJECTED}; what was being sent before may have arrived"
_IN_FLIGHT = (IGNORED_IN_FLIGHT, REJECTED_IN_FLIGHT)


def approve(ledger: Ledger, name: str, *, clock: Clock) -> list[Hold]:
    """Approve a hold, or all holds of a pipeline, item by item as they were shown; return them as they are now.

    What came, or changed, after a hold was listed stays undecided (rule 15), and what is approved already is not approved again. Raises
    ConfigError when there is no such hold, and GuardRefused when nothing of it was shown as it is now.
    """
    shown, now = _as_shown(ledger, name), clock()
    ledger.approve([_undecided(hold, now) for hold in shown], now)
    chosen = {hold.id for hold in shown}
    return [hold for hold in ledger.holds() if hold.id in chosen]


def _undecided(hold: Hold, now: datetime) -> Hold:
    return dataclasses.replace(hold, items=tuple(item for item in hold.items if not is_approved(item, now)))


def reject(ledger: Ledger, name: str, *, clock: Clock) -> list[Hold]:
    """Reject a hold, or all holds of a pipeline, as they were shown: the target keeps what it has. Return what was rejected of each.

    Events that a changed filter or route affects are released for good (rule 13); all others are left alone until their source row changes
    again. What was approved before and is under way to another calendar goes on: its entry may be gone, and the target is to keep one.
    Raises ConfigError when there is no such hold, and GuardRefused when nothing of it was shown as it is now.
    """
    rejected = []
    for hold in _as_shown(ledger, name):
        items = {item.source_id: item for item in hold.items}
        links = ledger.links(hold.pipeline, items).values()
        left = [link for link in links if not (link.is_hands_off or _is_half_moved(link, items[link.source_id].action))]
        settled = [rejected_link(link, hold.kind, items[link.source_id]) for link in left]
        happenings = [_happening(link, "rejected", hold.kind.value, clock()) for link in settled]
        _leave_out(ledger, hold.pipeline, items.keys(), settled, happenings, of=hold.id)
        if settled:
            rejected.append(without(hold, items.keys() - {link.source_id for link in settled}))
    return rejected


def _leave_out(
    ledger: Ledger,
    pipeline: str,
    gone: Collection[SourceId],
    links: Iterable[Link],
    happenings: Iterable[Happening],
    *,
    of: str | None = None,
) -> None:
    """Take events out of the holds of a pipeline, or out of one of them, and store what they are now; a hold without any is closed."""
    left = [without(hold, gone) if of in (None, hold.id) else hold for hold in ledger.holds(pipeline)]
    ledger.save_holds(pipeline, [hold for hold in left if hold.items], links, happenings)


def _is_half_moved(link: Link, action: str) -> bool:
    """Whether the target may have nothing to keep: the delete of a move is in a request, or done."""
    return action == MOVE and (link.state is State.SENDING or link.accepted is None)


def rejected_link(link: Link, kind: HoldKind, item: HoldItem) -> Link:
    """Return a link that is held as it is when that is rejected."""
    if kind in FOR_GOOD:
        is_released = link.state is not State.SENDING  # else as soon as it is known what became of the request
        state, until_changed = State.RELEASED if is_released else State.IGNORED, False
        left = dataclasses.replace(link, wanted=link.accepted) if is_released else link
    else:
        state, until_changed = State.IGNORED, True
        left = _until_its_row_changes(link, item)
    reason = _why_rejected(link, is_for_good=kind in FOR_GOOD)
    return dataclasses.replace(left, state=state, until_changed=until_changed, reason=reason, remedy="", hold=None)


def _until_its_row_changes(link: Link, item: HoldItem) -> Link:
    """Note of which row something was rejected; where that is its absence, what was rejected of it before is kept in mind."""
    if link.until_changed and link.state is State.HELD:  # by a filter or route, which is rejected for good, or because it is absent
        return dataclasses.replace(link, until_shown=True)
    wanted = None if item.action == DELETE else link.wanted
    known = link.source_hash if link.accepted is None else ""  # of a create, in a hold of an older version
    source_hash = known if item.source_hash is None else item.source_hash
    return dataclasses.replace(link, source_hash=source_hash, wanted=wanted, until_shown=item.source_hash == "")


def _why_rejected(link: Link, *, is_for_good: bool) -> str:
    if link.state is State.SENDING:
        return REJECTED_IN_FLIGHT
    return REJECTED if is_for_good else REJECTED_FOR_NOW


def _as_shown(ledger: Ledger, name: str) -> list[Hold]:
    """Return a hold, or all holds of a pipeline, as the operator saw them."""
    found = [hold for hold in ledger.holds() if name in (hold.id, hold.pipeline)]
    if not found:
        raise ConfigError(
            f"no hold {name}, and no pipeline of that name with holds", remedy="`calrelay holds` lists what waits for a decision"
        )
    shown = [seen for hold in found if (seen := as_shown(hold)).items]
    if not shown:
        raise GuardRefused(
            f"all that {name} holds came, or changed, after it was listed; nothing was decided", remedy="look at it with `calrelay holds`"
        )
    return shown


def retry(ledger: Ledger, pipelines: Iterable[str], external_ids: Sequence[str], *, clock: Clock) -> list[Link]:
    """Let quarantined events be tried again by the next pass; no ids means all. Of what another pipeline has taken meanwhile that tells."""
    chosen = _quarantined(ledger, pipelines, external_ids)
    claims = {target: ledger.claims(target, {link.base_id for link in chosen}) for target in {link.target for link in chosen}}
    again = [_tried_again(link, claims[link.target].get(link.base_id)) for link in chosen]
    ledger.store(again, [_happening(link, "retried", "", clock()) for link in again])
    return again


def _tried_again(link: Link, claim: Claim | None) -> Link:
    if claim is not None and claim.bars(link.pipeline):
        return as_barred(link, claim)
    mode = once_more(link.mode) if link.was_deleted_there else link.mode  # its guest has heard of it (rule 18)
    return dataclasses.replace(link, state=State.READY, mode=mode, attempts=0)


def drop(ledger: Ledger, pipelines: Iterable[str], external_id: str, *, clock: Clock) -> list[Link]:
    """Ignore a quarantined event until its source row changes."""
    dropped = [
        dataclasses.replace(
            link,
            state=State.IGNORED,
            until_changed=True,
            source_hash=link.source_hash if link.attempts else "",  # of what the target refused the row is known
            wanted=link.wanted if link.attempts else link.accepted,
            reason="dropped from quarantine until its row changes",
        )
        for link in _quarantined(ledger, pipelines, [external_id])
    ]
    ledger.store(dropped, [_happening(link, "dropped", "", clock()) for link in dropped])
    return dropped


def take_up(ledger: Ledger, links: Iterable[Link]) -> None:
    """Remember events that no pass has taken up, so that something can be decided of them; what one has meanwhile stays as it is."""
    ledger.store([link for link in links if not ledger.links(link.pipeline, [link.source_id])])


def ignore(ledger: Ledger, external_id: str, *, clock: Clock) -> list[Link]:
    """Leave an event alone for good: whatever its source says, the target keeps what it has. Raises ConfigError when it is not known."""
    ignored = [
        dataclasses.replace(link, state=State.IGNORED, until_changed=False, until_shown=False, reason=_why_ignored(link), hold=None)
        for link in find_links(ledger, external_id)
    ]
    for link in ignored:
        _leave_out(ledger, link.pipeline, {link.source_id}, [link], [_happening(link, "ignored", "", clock())])
    return ignored


def _why_ignored(link: Link) -> str:
    """Keep in mind that a process died with the event in a request: what the ledger says of the target may be wrong (rule 19)."""
    was_in_flight = link.state is State.SENDING or (link.state is State.IGNORED and link.reason in _IN_FLIGHT)
    return IGNORED_IN_FLIGHT if was_in_flight else IGNORED


def unignore(ledger: Ledger, external_id: str, *, clock: Clock) -> list[Link]:
    """Look after an ignored event again; the next pass that sees it plans it as any other. Raises ConfigError when it is not ignored.

    It also takes back `quarantine drop`, and a `reject`, also one that let it go for good. What was in flight when it was ignored is in
    flight again, so that the target is asked for it first.
    """
    ignored = find_ignored(ledger, external_id)
    # No hash: whatever its row says now is compared with what the target holds.
    back = [
        dataclasses.replace(
            link,
            state=State.SENDING if link.reason in _IN_FLIGHT else State.SETTLED,
            until_changed=False,
            until_shown=False,
            source_hash="",
            reason="",
            remedy="",
        )
        for link in ignored
    ]
    ledger.store(back, [_happening(link, "no longer ignored", "", clock()) for link in back])
    return back


def find_ignored(ledger: Ledger, external_id: str) -> list[Link]:
    """Return the ignored links of an event, and those that a `reject` let go. Raises ConfigError when there is none."""
    if ignored := [link for link in find_links(ledger, external_id) if _may_be_taken_up(link)]:
        return ignored
    raise ConfigError(f"event {external_id} is not ignored", remedy=f"`calrelay show {external_id}` tells how it stands")


def _may_be_taken_up(link: Link) -> bool:
    return link.state is State.IGNORED or (link.state is State.RELEASED and link.reason == REJECTED)


def retag(ledger: Ledger, links: Iterable[Link], mode: MessageMode, *, clock: Clock) -> list[Link]:
    """Give events another message mode; the next pass sends the changed content."""
    changed = [_retagged(link, mode) for link in links if link.mode is not mode]
    ledger.store(changed, [_happening(link, "retagged", mode.value, clock()) for link in changed])
    return changed


def _retagged(link: Link, mode: MessageMode) -> Link:
    if link.state is State.SENDING:  # what becomes of the request says nothing of the new mode: its row is planned again
        return dataclasses.replace(link, mode=mode, source_hash="")
    return dataclasses.replace(link, mode=mode, state=State.READY if link.state is State.SETTLED and link.accepted else link.state)


def set_paused(ledger: Ledger, pipeline: str, *, is_paused: bool) -> bool:
    """Pause or resume a pipeline; return whether that changed anything."""
    if ledger.pipeline(pipeline).is_paused is is_paused:
        return False
    ledger.note_pipeline(pipeline, is_paused=is_paused)
    return True


def find_links(ledger: Ledger, external_id: str) -> list[Link]:
    """Return the links of an event by its external id, of whatever generation. Raises ConfigError when there is none."""
    base, _ = external_id_parts(external_id)
    if links := ledger.link_by_external_id(ExternalId(base)):
        return links
    raise ConfigError(f"no event {external_id} is known", remedy="ids look like ts-55120 or tt-70000001; `calrelay plan` lists them")


def _quarantined(ledger: Ledger, pipelines: Iterable[str], external_ids: Sequence[str]) -> list[Link]:
    bases = {external_id_parts(external_id)[0] for external_id in external_ids}
    found = [link for name in pipelines for link in ledger.links_in(name, {State.QUARANTINED}) if not bases or link.base_id in bases]
    if missing := sorted(bases - {link.base_id for link in found}):
        raise ConfigError(f"not in quarantine: {', '.join(missing)}", remedy="`calrelay quarantine list` shows what is")
    return found


def _happening(link: Link, what: str, detail: str, at: datetime) -> Happening:
    return Happening(at=at, pipeline=link.pipeline, external_id=link.external_id, what=what, detail=detail)
