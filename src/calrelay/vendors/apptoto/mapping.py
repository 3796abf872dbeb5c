"""What an entry is in Apptoto's words, field by field, and what Apptoto's events say in ours. Pure: no requests, no clock."""

import functools
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from calrelay.domain.entry import Entry
from calrelay.domain.link import CalendarId, ExternalId, Field, TargetId
from calrelay.domain.people import Participant
from calrelay.domain.zones import Zone, parse_instant, parse_wall_clock, rails_name
from calrelay.errors import MappingError
from calrelay.ports import HeldPerson, Holding, Put
from calrelay.vendors.apptoto.settings import TimeZoneNames
from calrelay.vendors.apptoto.wire import EventRow, Person

_NO_WORD: Final = re.compile(r"\W+")


def to_body(puts: Sequence[Put], names: TimeZoneNames) -> dict[str, object]:
    """Return the body of a PUT. An unknown calendar must never make one (Apptoto: "Before anything else", 4)."""
    return {"prevent_calendar_creation": True, "events": [from_canonical(put, names) for put in puts]}


def from_canonical(put: Put, names: TimeZoneNames) -> dict[str, object]:
    """Return an event as it is sent: who it is, where it is, and the fields of the put alone; Apptoto keeps the others (Apptoto: 3.2).

    The calendar is named in updates as well, as the table of fields demands, though it cannot be changed. `all_day` and `show_as` are
    never sent: what an all-day event does to its messages is not documented.
    """
    sent = {key: value for field, key, value in _sent(put.entry, names) if field in put.fields and value is not None}
    return {"external_id": put.external_id, "calendar_id": _number(put.calendar), **sent}


def zone_name(zone: str, names: TimeZoneNames) -> str | None:
    """Return how the zone is named to Apptoto; None where it is not named at all, so that the calendar's own counts in messages.

    Which names Apptoto understands is unknown; one that it does not understand is accepted in silence (Apptoto: 5), so none is made up.
    """
    match names:
        case TimeZoneNames.RAILS:
            return rails_name(Zone(zone))
        case TimeZoneNames.IANA:
            return zone
        case TimeZoneNames.OMIT:
            return None


def to_holding(row: EventRow) -> Holding:
    """Return what Apptoto holds. Times without an offset are not told: nobody knows on which clock they are (Apptoto: 5)."""
    return Holding(
        target_id=TargetId(row.id),
        external_id=ExternalId(row.external_id) if row.external_id else None,
        calendar=CalendarId(row.calendar_id) if row.calendar_id else None,
        is_deleted=row.is_deleted,
        start=_instant(row.start_time),
        end=_instant(row.end_time),
        title=_text(row, "title", row.title),
        location=_text(row, "location", row.location),
        content=_text(row, "content", row.content),
        participants=tuple(_held(person) for person in row.participants) if row.says("participants") else None,
        custom_data=dict(row.custom_data) if row.says("custom_data") else None,
        offset=_offset(row.start_time),
    )


def _sent(entry: Entry, names: TimeZoneNames) -> tuple[tuple[Field, str, object], ...]:
    return (
        (Field.TITLE, "title", entry.title),
        (Field.START, "start_time", _time(entry.start)),
        (Field.END, "end_time", _time(entry.end)),
        (Field.TIME_ZONE, "time_zone", zone_name(entry.zone, names)),
        (Field.LOCATION, "location", entry.location),
        (Field.CONTENT, "content", entry.content),
        # Whole, and sent even when empty: without the key Apptoto looks for people in the texts (Apptoto: 7, extraction hazard).
        (Field.PARTICIPANTS, "participants", [_person(p) for p in entry.participants]),
        (Field.CUSTOM_DATA, "custom_data", {_key(name): str(value) for name, value in entry.custom_data.items()}),
    )


def _number(calendar: CalendarId) -> int | str:
    return int(calendar) if calendar.isdecimal() else calendar


def _time(moment: datetime) -> str:
    """Write an instant with its numeric offset: a naive one would be read on some other clock (Apptoto: 5)."""
    if moment.tzinfo is None:
        raise ValueError("a start or end without an offset is no instant")
    return moment.isoformat(timespec="seconds")


def _person(participant: Participant) -> dict[str, str]:
    """Return a participant. No contact_id: people go inline, and beside one Apptoto wants no name, e-mail or phone (Apptoto: 3.2)."""
    parts = {"name": participant.name, "email": participant.email, "phone": participant.phone}
    return {key: value for key, value in parts.items() if value is not None}


@functools.lru_cache(maxsize=256)  # the config's names, a handful
def _key(name: str) -> str:
    """Return a key that a template can name: {{ event.custom.guest_count }} (Apptoto: 3.2, custom_data)."""
    return _NO_WORD.sub("_", name.strip()).strip("_").lower()


def _text(row: EventRow, field: str, value: str | None) -> str | None:
    """Return a text; null is an empty one, a missing key is one that is not told."""
    return (value or "") if row.says(field) else None


def _held(person: Person) -> HeldPerson:
    return HeldPerson(name=person.name or "", email=person.email or "", phone=person.normalized_phone or person.phone or "")


def _offset(text: str | None) -> timedelta | None:
    try:
        return None if text is None else parse_wall_clock(text).utcoffset()
    except MappingError:
        return None


def _instant(text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_instant(text)
    except MappingError:
        return None
