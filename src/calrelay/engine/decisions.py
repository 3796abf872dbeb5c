"""The operator's hand: decide over holds, quarantine, single events and whole pipelines. Everything takes effect in the next pass."""

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import datetime

from calrelay.domain.link import ExternalId, Link, MessageMode, State, external_id_parts
from calrelay.engine.holds import without
from calrelay.errors import ConfigError
from calrelay.ports import Clock, Happening, Hold, Ledger

REJECTED = "rejected: the target keeps what it has"


def approve(ledger: Ledger, name: str, *, clock: Clock) -> list[Hold]:
    """Approve a hold, or all holds of a pipeline, item by item as they are now. Raises ConfigError when there is none."""
    approved = []
    for hold in _named(ledger, name):
        items = tuple(dataclasses.replace(item, approved_at=clock()) for item in hold.items)
        approved.append(dataclasses.replace(hold, items=items))
    _save(ledger, approved)
    return approved


def reject(ledger: Ledger, name: str, *, clock: Clock) -> list[Hold]:
    """Reject a hold: its events are released, the target keeps what it has, and they are never touched again by themselves."""
    rejected = _named(ledger, name)
    for hold in rejected:
        links = ledger.links(hold.pipeline, [item.source_id for item in hold.items])
        released = [
            dataclasses.replace(link, state=State.RELEASED, wanted=link.accepted, reason=REJECTED, hold=None) for link in links.values()
        ]
        ledger.store(released, [_happening(link, "rejected", hold.kind.value, clock()) for link in released])
    _save(ledger, [without(hold, {item.source_id for item in hold.items}) for hold in rejected])
    return rejected


def retry(ledger: Ledger, pipelines: Iterable[str], external_ids: Sequence[str], *, clock: Clock) -> list[Link]:
    """Let quarantined events be tried again by the next pass; no ids means all."""
    chosen = _quarantined(ledger, pipelines, external_ids)
    ready = [dataclasses.replace(link, state=State.READY, attempts=0) for link in chosen]
    ledger.store(ready, [_happening(link, "retried", "", clock()) for link in ready])
    return ready


def drop(ledger: Ledger, pipelines: Iterable[str], external_id: str, *, clock: Clock) -> list[Link]:
    """Ignore a quarantined event until its source row changes."""
    dropped = [
        dataclasses.replace(link, state=State.IGNORED, until_changed=True, reason="dropped from quarantine until its row changes")
        for link in _quarantined(ledger, pipelines, [external_id])
    ]
    ledger.store(dropped, [_happening(link, "dropped", "", clock()) for link in dropped])
    return dropped


def ignore(ledger: Ledger, external_id: str, *, clock: Clock) -> list[Link]:
    """Leave an event alone for good: whatever its source says, the target keeps what it has. Raises ConfigError when it is not known."""
    ignored = [
        dataclasses.replace(link, state=State.IGNORED, until_changed=False, reason="ignored by the operator", hold=None)
        for link in find_links(ledger, external_id)
    ]
    ledger.store(ignored, [_happening(link, "ignored", "", clock()) for link in ignored])
    return ignored


def retag(ledger: Ledger, links: Iterable[Link], mode: MessageMode, *, clock: Clock) -> list[Link]:
    """Give events another message mode; the next pass sends the changed content."""
    changed = [
        dataclasses.replace(link, mode=mode, state=State.READY if link.state is State.SETTLED and link.accepted else link.state)
        for link in links
        if link.mode is not mode and link.state is not State.SENDING
    ]
    ledger.store(changed, [_happening(link, "retagged", mode.value, clock()) for link in changed])
    return changed


def set_paused(ledger: Ledger, pipeline: str, *, is_paused: bool) -> bool:
    """Pause or resume a pipeline; return whether that changed anything."""
    record = ledger.pipeline(pipeline)
    if record.is_paused is is_paused:
        return False
    ledger.save_pipeline(dataclasses.replace(record, is_paused=is_paused))
    return True


def find_links(ledger: Ledger, external_id: str) -> list[Link]:
    """Return the links of an event by its external id, of whatever generation. Raises ConfigError when there is none."""
    base, _ = external_id_parts(external_id)
    if links := ledger.link_by_external_id(ExternalId(base)):
        return links
    raise ConfigError(f"no event {external_id} is known", remedy="ids look like ts-55120 or tt-70000001; `calrelay plan` lists them")


def _named(ledger: Ledger, name: str) -> list[Hold]:
    holds = [hold for hold in ledger.holds() if name in (hold.id, hold.pipeline)]
    if not holds:
        raise ConfigError(
            f"no hold {name}, and no pipeline of that name with holds", remedy="`calrelay holds` lists what waits for a decision"
        )
    return holds


def _save(ledger: Ledger, changed: Sequence[Hold]) -> None:
    by_id = {hold.id: hold for hold in changed}
    for pipeline in {hold.pipeline for hold in changed}:
        current = [by_id.get(hold.id, hold) for hold in ledger.holds(pipeline)]
        ledger.save_holds(pipeline, [hold for hold in current if hold.items])


def _quarantined(ledger: Ledger, pipelines: Iterable[str], external_ids: Sequence[str]) -> list[Link]:
    bases = {external_id_parts(external_id)[0] for external_id in external_ids}
    found = [link for name in pipelines for link in ledger.links_in(name, {State.QUARANTINED}) if not bases or link.base_id in bases]
    if missing := sorted(bases - {link.base_id for link in found}):
        raise ConfigError(f"not in quarantine: {', '.join(missing)}", remedy="`calrelay quarantine list` shows what is")
    return found


def _happening(link: Link, what: str, detail: str, at: datetime) -> Happening:
    return Happening(at=at, pipeline=link.pipeline, external_id=link.external_id, what=what, detail=detail)
