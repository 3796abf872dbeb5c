"""Shows what is parked: all holds out of the state alone, or one with its events' titles, which its source is asked for.

Titles and names are shown on stdout (rule 23 allows it) and kept nowhere. Deciding stands in `decisions`.
"""

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from calrelay.cli.failures import lines_of, trouble_of
from calrelay.cli.output import Block, Output, Progress, Table
from calrelay.cli.plan_texts import GONE, names_of
from calrelay.cli.session import Session
from calrelay.config.load import Config
from calrelay.domain.event import Event, SourceId
from calrelay.domain.words import ago, in_place, iso, shift_in_words
from calrelay.engine.holds import if_approved, if_rejected, is_approved, soonest
from calrelay.engine.titles import Looked, look_up
from calrelay.errors import CalrelayError, ConfigError
from calrelay.ports import Hold, HoldItem
from calrelay.state.database import Access

ITEMS_SHOWN = 20  # of each hold in the list; one that is named shows all
TITLES_ASKED = 50  # each is a request; `calrelay plan` has them all from one complete read
NOTHING_ASKED = Looked(rows={})


def holds(session: Session, output: Output, hold_id: str | None = None) -> int:
    """List the open holds, or one of them with titles."""
    with session.state(Access.READ) as (config, state):
        found = state.ledger.holds() if hold_id is None else [one for one in state.ledger.holds() if one.id == hold_id]
    if hold_id is not None and not found:
        raise no_hold(hold_id)
    looked = NOTHING_ASKED if hold_id is None else _ask(session, config, output, found[0])
    now = session.now()
    blocks = [block for hold in found for block in describe_hold(hold, now, looked, is_whole=hold_id is not None)]
    output.answer(holds_document(found, looked), blocks or ["Nothing is held."])
    note_shown(session, found)
    if looked.error is None:
        return 0
    output.message("The titles could not be asked for; the rest is as calrelay remembers it.", *lines_of(trouble_of(looked.error)))
    return looked.error.exit_code


def no_hold(hold_id: str) -> ConfigError:
    """Return what to say where a hold is not open."""
    return ConfigError(f"no hold {hold_id}", remedy="`calrelay holds` lists what waits for a decision, with ids")


def note_shown(session: Session, found: Sequence[Hold]) -> None:
    """Remember what was listed, so that a decision covers just that (rule 15).

    Whoever may read the state and not write it sees the list all the same.
    """
    if not found:
        return
    with contextlib.suppress(CalrelayError), session.state(Access.WRITE) as (_, state):
        state.ledger.note_shown(found, session.now())


def describe_hold(hold: Hold, now: datetime, looked: Looked = NOTHING_ASKED, *, is_whole: bool = False) -> list[Block]:
    """Tell what waits, whom it touches, and how to decide."""
    facts = [
        ("pipeline", hold.pipeline),
        ("held", ago(hold.created_at, now)),
        ("people", f"{hold.people} touched"),
        ("earliest", in_place(hold.earliest, hold.zone) if hold.earliest else "not known"),
        ("meanwhile", "the target keeps what it has"),
        ("decide", _how_to_decide(hold, now)),
        *(("if approved", words) for words in if_approved(hold)),
        *(("if rejected", words) for words in if_rejected(hold)),
        *([] if is_whole else [("look", f"`calrelay holds {hold.id}` asks the source for the titles")]),
    ]
    return [f"{hold.id}: {hold.words}", Table(rows=facts, indent=2), _items(hold, now, looked, is_whole=is_whole), ""]


def holds_document(found: Sequence[Hold], looked: Looked = NOTHING_ASKED) -> dict[str, Any]:
    """Return holds as `holds.json` has them."""
    return {"holds": [_hold_to_json(hold, looked) for hold in found]}


def _ask(session: Session, config: Config, output: Output, hold: Hold) -> Looked:
    """Ask the source of a hold what its soonest events are called; whatever stands in the way, the hold is shown."""
    chosen = [item.source_id for item in soonest(hold)[:TITLES_ASKED]]
    try:
        with output.progress("asking for titles") as progress:
            return session.run(_look_up(config, hold.pipeline, chosen, progress))
    except CalrelayError as error:
        return Looked(rows={}, error=error)


async def _look_up(config: Config, pipeline: str, chosen: Sequence[SourceId], progress: Progress) -> Looked:
    from calrelay.assembly import assemble  # noqa: PLC0415 - loads the vendors, which the list of all holds does not need

    async with assemble(config, command="holds", pipelines=[pipeline], access=Access.READ) as relay:
        return await look_up(relay.pipelines[pipeline], chosen, lambda done, total: progress.glance(f"{done} of {total}"))


def _how_to_decide(hold: Hold, now: datetime) -> str:
    approved = sum(is_approved(item, now) for item in hold.items)
    if approved == len(hold.items):
        return "approved; the next pass applies it"
    open_ones = f"; {len(hold.items) - approved} {'is' if len(hold.items) - approved == 1 else 'are'} still open" if approved else ""
    return f"`calrelay approve {hold.id}` or `calrelay reject {hold.id}`{open_ones}"


def _items(hold: Hold, now: datetime, looked: Looked, *, is_whole: bool) -> Table:
    """List the items, soonest first; of one hold among many the first ones."""
    items = soonest(hold)
    shown = items if is_whole else items[:ITEMS_SHOWN]
    rows = [_row(hold, item, now, looked) for item in shown]
    if (more := len(items) - len(shown)) > 0:
        rows.append((f"and {more} more", "", "", "", "", ""))
    return Table(rows=rows, indent=4)


def _row(hold: Hold, item: HoldItem, now: datetime, looked: Looked) -> tuple[str, str, str, str, str, str]:
    event = looked.rows.get(item.source_id)
    when = in_place(item.start, item.zone) if item.start else "?"
    what = f"{item.action}, {shift_in_words(item.shift)}" if item.shift else item.action
    people = names_of(event.participants) if isinstance(event, Event) else ""
    return when, item.external_id, what, _standing(hold, item, now), _title(item, looked), people


def _standing(hold: Hold, item: HoldItem, now: datetime) -> str:
    if is_approved(item, now):
        return "approved"
    return "new" if hold.shown_at is not None and item.shown_at is None else ""


def _title(item: HoldItem, looked: Looked) -> str:
    if item.source_id not in looked.rows:
        return ""
    match looked.rows[item.source_id]:
        case Event(title=title):
            return title
        case None:
            return GONE
        case _:
            return "(its row cannot be read)"


def _hold_to_json(hold: Hold, looked: Looked) -> dict[str, Any]:
    return {
        "id": hold.id,
        "pipeline": hold.pipeline,
        "kind": hold.kind.value,
        "words": hold.words,
        "created_at": iso(hold.created_at),
        "people": hold.people,
        "earliest": iso(hold.earliest),
        "items": [_item_to_json(item, looked) for item in hold.items],
    }


def _item_to_json(item: HoldItem, looked: Looked) -> dict[str, Any]:
    event = looked.rows.get(item.source_id)
    return {
        "external_id": item.external_id,
        "action": item.action,
        "title": event.title if isinstance(event, Event) else None,
        "start": iso(item.start),
        "zone": item.zone,
        "moved_minutes": round(item.shift.total_seconds() / 60) if item.shift else None,
        "approved_at": iso(item.approved_at),
    }
