"""Creating and updating events through a simulated Tripleseat's API, with its validation rules (Tripleseat: Events API)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from calrelay.simulators.tripleseat.events import Events, end_of, parse_us_time
from calrelay.simulators.tripleseat.places import Location, Room, to_wall_clock
from calrelay.simulators.tripleseat.rows import About, Row, an_event_row

STATUSES = frozenset({"PROSPECT", "TENTATIVE", "DEFINITE", "CLOSED", "LOST", "WAITLIST"})
LONGEST = timedelta(hours=24)
_DERIVED = frozenset({"id", "event_start", "event_end", "status", "location_id", "room_ids", "booking", "created_at", "updated_at"})


class Rejected(ValueError):
    """A create or update that breaks a rule; `errors` maps fields to what is wrong with them."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__("; ".join(f"{field} {', '.join(texts)}" for field, texts in errors.items()))
        self.errors = errors


def create_event(events: Events, fields: Mapping[str, Any], *, now: datetime, overlaps: bool) -> Row:
    """Create an event, and a booking where none is given; raises Rejected. Not idempotent, like the original."""
    _check(events, fields, fields, None, now=now, overlaps=overlaps)
    start, end, location, rooms = _resolve(events, fields)
    about = About(location=location, rooms=rooms, contact=None, created=now, updated=now)
    about["name"], about["status"] = str(fields["name"]), str(fields["status"]).upper()
    row = an_event_row(events.next_id(), start, end, **about)
    row.update({key: value for key, value in fields.items() if key in row and key not in _DERIVED})
    row["contact"] = _contact_of(events, fields["contact_id"])
    row["account"] = {"id": fields["account_id"], "name": "Alder LLC"}
    return events.add(row)


def update_event(events: Events, event_id: int, fields: Mapping[str, Any], *, now: datetime, overlaps: bool) -> Row:
    """Change what is given and leave the rest; raises Rejected and then changes nothing."""
    row = events.get(event_id).row
    _check(events, {**row, **fields}, fields, event_id, now=now, overlaps=overlaps)
    if {"location_id", "room_ids"} & fields.keys():
        merged = {**row, **fields}
        events.relocate(event_id, int(merged["location_id"]), [int(number) for number in merged["room_ids"]])
    if {"event_start", "event_end"} & fields.keys():
        merged = {**row, **fields}
        events.move(event_id, _time(merged, "event_start"), _time(merged, "event_end"))
    if "status" in fields:
        events.set_status(event_id, str(fields["status"]).upper())
    plain = {key: value for key, value in fields.items() if key in row and key not in _DERIVED}
    if "contact_id" in plain:
        plain["contact"] = _contact_of(events, plain["contact_id"])
    return events.patch(event_id, plain) if plain else events.get(event_id).row


def _check(
    events: Events, whole: Mapping[str, Any], given: Mapping[str, Any], event_id: int | None, *, now: datetime, overlaps: bool
) -> None:
    errors = {**_blank(whole), **_unfit(events, whole)}
    if not errors and ({"event_start", "event_end", "room_ids", "location_id", "status"} & given.keys()):
        errors = _untimely(events, whole, given, now)
    if not errors and not overlaps and _is_taken(events, whole, event_id):
        errors = {"base": ["overlaps with another event in the same area"]}
    if errors:
        raise Rejected(errors)


def _blank(whole: Mapping[str, Any]) -> dict[str, list[str]]:
    errors = {key: ["can't be blank"] for key in ("name", "event_start", "event_end", "status") if not whole.get(key)}
    for key, label in (("account_id", "account"), ("contact_id", "contact"), ("location_id", "location"), ("room_ids", "rooms")):
        if not whole.get(key):
            errors[label] = ["must be selected"]
    return errors


def _unfit(events: Events, whole: Mapping[str, Any]) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    for key in ("event_start", "event_end"):
        if whole.get(key) and parse_us_time(str(whole[key])) is None:
            errors[key] = ["is invalid"]
    if whole.get("status") and str(whole["status"]).upper() not in STATUSES:
        errors["status"] = ["is not included in the list"]
    if whole.get("location_id") and whole["location_id"] not in events.locations:
        errors["location"] = ["is invalid"]
    return errors


def _untimely(events: Events, whole: Mapping[str, Any], given: Mapping[str, Any], now: datetime) -> dict[str, list[str]]:
    start, end, location, rooms = _resolve(events, whole)
    if not rooms:
        return {"rooms": ["must be selected"]}
    if end <= start:
        return {"event_end": ["must be after the start"]}
    if end - start > LONGEST:
        return {"event_end": ["must be within 24 hours of the start"]}
    if "event_start" in given and start < to_wall_clock(now, location.site.zone):
        return {"event_start": ["can't be in the past"]}
    return {}


def _is_taken(events: Events, whole: Mapping[str, Any], event_id: int | None) -> bool:
    start, end, _, rooms = _resolve(events, whole)
    status, wanted = str(whole["status"]).upper(), {room.id for room in rooms}
    return status not in ("LOST", "WAITLIST") and any(
        other.row["id"] != event_id
        and other.deletion is None
        and not wanted.isdisjoint(other.row.get("room_ids") or ())
        and _blocks(str(other.row.get("status")), status)
        and other.start is not None
        and other.start < end
        and start < (end_of(other.row) or other.start)
        for other in events
    )


def _blocks(theirs: str, ours: str) -> bool:
    """Whether two statuses cannot share a room: PROSPECT may overlap PROSPECT, LOST and WAITLIST hold none."""
    return theirs not in ("LOST", "WAITLIST") and not theirs == ours == "PROSPECT"


def _resolve(events: Events, whole: Mapping[str, Any]) -> tuple[datetime, datetime, Location, Sequence[Room]]:
    location = events.locations[whole["location_id"]]
    rooms = [room for room in location.rooms if room.id in whole["room_ids"]]
    return _time(whole, "event_start"), _time(whole, "event_end"), location, rooms


def _time(fields: Mapping[str, Any], key: str) -> datetime:
    moment = parse_us_time(str(fields[key]))
    if moment is None:
        raise Rejected({key: ["is invalid"]})
    return moment


def _contact_of(events: Events, contact_id: object) -> Row:
    """Find the contact among those that other events have; Tripleseat has a table of them, we only have events."""
    for stored in events:
        contact = stored.row.get("contact")
        if contact and contact.get("id") == contact_id:
            return dict(contact)
    return {"id": contact_id, "first_name": "", "last_name": "", "email_addresses": [], "phone_numbers": []}
