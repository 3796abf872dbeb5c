"""Builders of links and holds for tests of the state."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

from calrelay.domain.event import SourceId
from calrelay.domain.guard import HoldKind
from calrelay.domain.link import Basis, CalendarId, ExternalId, Field, Imprint, Link, State, TargetId
from calrelay.ports import Happening, Hold, HoldItem, PassRecord

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def an_imprint(start: datetime = NOON, *, length: timedelta = HOUR, mark: str = "a") -> Imprint:
    """An entry's imprint; `mark` tells one version of its fields from another."""
    return Imprint(
        calendar=CalendarId("1000030001"), start=start, end=start + length, hashes={field: f"{mark}-{field.value}" for field in Field}
    )


def a_link(number: int = 1, **changes: Any) -> Link:
    """A link that is settled: the target holds what it should. `changes` are fields of Link."""
    start = changes.pop("start", NOON + number * HOUR)
    settled = Link(
        pipeline="venue",
        target="reminders",
        source_id=SourceId(str(number)),
        base_id=ExternalId(f"ts-{number}"),
        target_id=TargetId(str(9000 + number)),
        state=State.SETTLED,
        source_hash="c0ffee",
        basis=Basis(zone_data="2026f", mapping="1", config="abc"),
        wanted=an_imprint(start),
        accepted=an_imprint(start),
        since=NOON,
    )
    return dataclasses.replace(settled, **changes)


def a_new_link(number: int = 1, **changes: Any) -> Link:
    """A link whose event is still to be created."""
    return a_link(number, **{"state": State.READY, "accepted": None, "target_id": None, **changes})


def a_happening(number: int = 1, what: str = "created", **changes: Any) -> Happening:
    """One line of history."""
    return dataclasses.replace(Happening(at=NOON, pipeline="venue", external_id=ExternalId(f"ts-{number}"), what=what), **changes)


def an_item(number: int = 1, **changes: Any) -> HoldItem:
    """One parked action."""
    item = HoldItem(source_id=SourceId(str(number)), external_id=ExternalId(f"ts-{number}"), action="delete", digest=f"delete|{number}")
    return dataclasses.replace(item, **changes)


def a_hold(identity: str = "venue-deletes-1", *items: HoldItem, **changes: Any) -> Hold:
    """An open hold; with one item unless others are given."""
    hold = Hold(
        id=identity,
        pipeline="venue",
        kind=HoldKind.DELETES,
        created_at=NOON,
        words="1 to delete: more than the guard lets through",
        people=3,
        earliest=NOON + HOUR,
        items=items or (an_item(),),
    )
    return dataclasses.replace(hold, **changes)


def a_pass(**changes: Any) -> PassRecord:
    """A pass that went well."""
    record = PassRecord(
        pipeline="venue",
        command="sync",
        started_at=NOON,
        seconds=1.5,
        outcome="ok",
        is_complete=True,
        counts={"created": 1},
        requests={"venue": 3, "reminders": 2},
        problems=({"external_id": "ts-1", "kind": "MappingError", "message": "no zone", "remedy": "name one"},),
    )
    return dataclasses.replace(record, **changes)
