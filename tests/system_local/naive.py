"""What the target ought to hold, worked out from the simulators' rows in the plainest way; shares nothing with calrelay's own mapping."""

import dataclasses
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytz

from calrelay.simulators.worlds import World

Row = dict[str, Any]
LATELY = timedelta(minutes=5)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One entry as the target should have been sent it; times as text, offset and all."""

    external_id: str
    calendar: str
    title: str
    start: str
    end: str
    people: tuple[tuple[str, str | None, str | None], ...]


def wanted_of(world: World, now: datetime) -> dict[str, Wanted]:
    """Return everything the two pipelines of the stage should relay, by external id."""
    events = [_from_event(stored.row) for stored in world.tripleseat.events if _is_event_wanted(stored.row, now)]
    rows = [booking.row for booking in world.timetap.book.bookings.values()]
    appointments = [_from_appointment(row) for row in rows if _is_appointment_wanted(row, now)]
    return {entry.external_id: entry for entry in (*events, *appointments)}


def is_complete(held: Collection[str], world: World) -> bool:
    """Say whether all that is wanted is held, and nothing but what is, or was a moment ago: events end while a test runs."""
    now = datetime.now(UTC)
    wanted = wanted_of(world, now).keys()
    return wanted <= set(held) <= wanted | wanted_of(world, now - LATELY).keys()


def people_of(world: World) -> list[Row]:
    """Return every contact and client there is, wanted or not, as the vendors have them."""
    contacts = [stored.row["contact"] for stored in world.tripleseat.events if stored.row.get("contact")]
    clients = [booking.row["client"] for booking in world.timetap.book.bookings.values() if booking.row["client"]]
    return [*contacts, *clients]


def e164(text: str) -> str:
    """Write a North American number the long way."""
    return "+1" + "".join(char for char in text if char in "0123456789")


def _is_event_wanted(row: Row, now: datetime) -> bool:
    if row["status"] not in ("DEFINITE", "CLOSED") or row["deleted_at"] or not row["contact"]:
        return False
    return _is_due(row["event_start_utc"], row["event_end_utc"], now)


def _is_appointment_wanted(row: Row, now: datetime) -> bool:
    client = row["client"]
    if row["status"] not in ("OPEN", "COMPLETED") or client is None or not (client["emailAddress"] or client["cellPhone"]):
        return False
    return _is_due(row["startDateTimeUTC"], row["endDateTimeUTC"], now)


def _is_due(start: str, end: str, now: datetime) -> bool:
    first, last = _utc(start), _utc(end)
    return last > now and now - timedelta(days=1) <= first <= now + timedelta(days=180)


def _from_event(row: Row) -> Wanted:
    person = row["contact"]
    mails, phones = person["email_addresses"], person["phone_numbers"]
    name = f"{person['first_name']} {person['last_name']}"
    return Wanted(
        external_id=f"ts-{row['id']}",
        calendar="Terrace" if any(room["name"].strip() == "Terrace" for room in row["rooms"]) else "Main Hall",
        title=row["name"],
        start=row["event_start_iso8601"],
        end=row["event_end_iso8601"],
        people=((name, mails[0]["address"] if mails else None, e164(phones[0]["number"]) if phones else None),),
    )


def _from_appointment(row: Row) -> Wanted:
    client = row["client"]
    name = client["fullName"] or client["firstName"]
    phone = client["cellPhone"]
    return Wanted(
        external_id=f"tt-{row['calendarId']}",
        calendar="Studio",
        title=f"{row['reason']['reasonDesc']} – {name}",
        start=_on_clock(row["startDateTimeUTC"], row["staffTimeZone"]),
        end=_on_clock(row["endDateTimeUTC"], row["staffTimeZone"]),
        people=((name, client["emailAddress"], e164(phone) if phone else None),),
    )


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _on_clock(text: str, zone: str) -> str:
    return _utc(text).astimezone(pytz.timezone(zone)).isoformat(timespec="seconds")
