"""Appointment objects whole, as the book keeps them: builders, clocks and zones. How they are served is not decided here."""

import dataclasses
import functools
import hashlib
import string
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, TypedDict, Unpack

import pytz

from calrelay.simulators.people import Person

Json = dict[str, Any]

BUSINESS_ID = 55500
TIMEZONE_COUNT = 377  # as long as the vendor's own list


class ClientPair(StrEnum):
    """What stands in clientStartDate, clientStartTime and their ends."""

    CORRECT = "correct"
    STAFF_CLOCK = "staff-clock"  # as API bookers fill it: the staff member's wall clock
    NULL = "null"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reminders:
    """The built-in reminders copied onto an appointment, in hours before its start; 0 or None means none."""

    client_email: int | None = 24
    staff_email: int | None = 24
    client_sms: int | None = 0
    staff_sms: int | None = 0


class RowExtras(TypedDict, total=False):
    """What may be told of a row besides its id, time and zone; `created` is aware, `client` None means nobody."""

    client_zone: str
    client_pair: ClientPair
    client: Json | None
    staff: Json
    reason: Json | None
    location: Json | None
    status: str
    sub_status: str | None
    note: str | None
    series: int | None
    reminders: Reminders
    created: datetime
    created_user: str
    fields: list[Json] | None
    business_id: int


def hhmm(moment: datetime) -> int:
    """Write a wall clock as TimeTap does: 800, 1430, 0 for midnight, 30 for half past midnight."""
    return moment.hour * 100 + moment.minute


def millis(moment: datetime) -> int:
    """Write an instant as milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def to_instant(wall: datetime, zone: str) -> datetime:
    """Return the UTC instant of a naive wall clock.

    A gap takes the offset before it (RFC 5545, 3.3.5); a fold its first occurrence, or its second when `fold` is 1.
    """
    tz = pytz.timezone(zone)
    try:
        return tz.localize(wall.replace(fold=0), is_dst=None).astimezone(UTC)
    except pytz.AmbiguousTimeError:
        both = sorted(tz.localize(wall.replace(fold=0), is_dst=dst).astimezone(UTC) for dst in (True, False))
        return both[wall.fold]
    except pytz.NonExistentTimeError:
        before = tz.localize(wall - timedelta(hours=6)).utcoffset()
        return (wall - (before or timedelta())).replace(tzinfo=UTC)


def to_wall(instant: datetime, zone: str) -> datetime:
    """Return the naive wall clock of an instant in a zone."""
    return instant.astimezone(pytz.timezone(zone)).replace(tzinfo=None)


def start_of(row: Json) -> datetime:
    """Return the true start of a stored row, whatever the settings let a client see of it."""
    return datetime.fromisoformat(row["startDateTimeUTC"])


def end_of(row: Json) -> datetime:
    """Return the true end of a stored row."""
    return datetime.fromisoformat(row["endDateTimeUTC"])


@functools.cache
def timezone_list() -> tuple[Json, ...]:
    """Return what GET /timezones lists: 377 zones, legacy aliases first."""
    legacy = [name for name in pytz.all_timezones if name.startswith(("US/", "Canada/"))]
    rest = [name for name in pytz.common_timezones if name not in legacy]
    rest.sort(key=lambda name: (not name.startswith(("America/", "Europe/", "Pacific/", "Australia/", "Asia/")), name))
    names = [*legacy, *rest][:TIMEZONE_COUNT]
    return tuple(
        {"sortOrder": n, "timeZoneCode": name, "timeZoneDesc": name, "timeZoneId": n, "visible": True} for n, name in enumerate(names, 1)
    )


def zone_object(zone: str) -> Json:
    """Return the `timeZoneCode` object of a staff member, whose inner key repeats its name."""
    number = next((z["timeZoneId"] for z in timezone_list() if z["timeZoneCode"] == zone), 0)
    return {"timeZoneId": number, "timeZoneCode": zone, "timeZoneDesc": zone}


def a_staff(professional_id: int, zone: str, *, full_name: str = "M. Hall", business_id: int = BUSINESS_ID) -> Json:
    """Build a staff object."""
    user = full_name.lower().replace(". ", "").replace(" ", "")
    return {
        "professionalId": professional_id,
        "businessId": business_id,
        "userName": user,
        "fullName": full_name,
        "email": f"{user}@example.org",
        "timeZoneCode": zone_object(zone),
    }


def a_reason(reason_id: int, text: str, minutes: int, *, kind: str = "SERVICE", business_id: int = BUSINESS_ID) -> Json:
    """Build a service, or a class when `kind` is CLASS."""
    return {
        "reasonId": reason_id,
        "businessId": business_id,
        "reasonDesc": text,
        "internalName": f"{text.rsplit(maxsplit=1)[-1].lower()}-{minutes}",
        "internalDisplayName": text,
        "reasonType": kind,
        "visitMinutes": minutes,
        "active": True,
    }


def a_location(location_id: int, name: str, *, business_id: int = BUSINESS_ID) -> Json:
    """Build a location object; it knows no zone."""
    return {"locationId": location_id, "businessId": business_id, "locationName": name, "locationType": "Office"}


def a_client(person: Person, *, business_id: int = BUSINESS_ID) -> Json:
    """Build the client object of a made-up person."""
    return {
        "clientId": 9_100_000 + person.number,
        "businessId": business_id,
        "firstName": person.first_name,
        "lastName": person.last_name,
        "fullName": f"{person.first_name} {person.last_name}",
        "emailAddress": person.email,
        "cellPhone": person.phone,
        "homePhone": None,
        "companyName": None,
        "address1": None,
        "address2": None,
        "city": "Reno",
        "state": "NV",
        "zip": None,
        "country": "US",
        "dateOfBirth": "1990-01-31",
        "status": "Active",
        "notes": None,
        "fields": [],
    }


ANA = Person(number=5001, first_name="Ana", last_name="Lopez", email="ana.lopez.5001@example.com", phone="617-555-0101")


def an_appointment_row(calendar_id: int, start_local: datetime, minutes: int, staff_zone: str, **extras: Unpack[RowExtras]) -> Json:
    """Build the whole appointment object; `start_local` is naive, on the staff member's clock (TimeTap page, section 3.1)."""
    if start_local.tzinfo is not None:
        raise ValueError("start_local must be naive: it is the staff member's wall clock")
    business_id = extras.get("business_id", BUSINESS_ID)
    reason = extras.get("reason", a_reason(88001, "Venue tour", 45, business_id=business_id))
    status = extras.get("status", "OPEN")
    row: Json = {"calendarId": calendar_id, "businessId": business_id}
    row |= when(start_local, minutes, staff_zone, extras.get("client_zone", staff_zone), extras.get("client_pair", ClientPair.CORRECT))
    row |= {
        "status": status,
        "subStatus": extras.get("sub_status"),
        "displayStatus": status,
        "cancelReason": None,
        "cancelUser": None,
    }
    row |= {"note": extras.get("note", ""), "recurringAppointmentId": extras.get("series"), "joinURL": None}
    row |= {"appointementIdHash": _short_hash(calendar_id), **_reminder_fields(extras.get("reminders", Reminders()))}
    created = extras.get("created", start_of(row) - timedelta(days=14))
    row |= {
        "createdDate": millis(created),
        "createdUser": extras.get("created_user", "WebClient"),
        "modifiedDate": None,
        "modifiedUser": None,
    }
    row |= {
        "client": extras.get("client", a_client(ANA)),
        "staff": extras.get("staff", a_staff(61001, staff_zone, business_id=business_id)),
    }
    row |= {"location": extras.get("location", a_location(41001, "Main hall", business_id=business_id)), "reason": reason}
    return row | {"fields": extras.get("fields", [a_field("party", "Party size", "4", reason)])}


def a_field(code: str, label: str, value: str, reason: Json | None = None) -> Json:
    """Build one custom field."""
    services = [reason["reasonId"]] if reason else []
    return {
        "required": False,
        "serviceIds": services,
        "userDefinedField": False,
        "label": label,
        "code": code,
        "value": value,
        "schedulerPreferenceFieldDefnId": 7001,
    }


def when(start_local: datetime, minutes: int, staff_zone: str, client_zone: str, pair: ClientPair = ClientPair.CORRECT) -> Json:
    """Return all time fields of a row: both clocks, UTC, both zones and the text nobody should parse."""
    start = to_instant(start_local, staff_zone)
    end = start + timedelta(minutes=minutes)
    # In a gap the wall clock that was typed stands in the row, although no clock ever shows it.
    fields = _clock("", start_local.replace(fold=0), to_wall(end, staff_zone))
    fields |= _client_clock(fields, start, end, client_zone, pair)
    fields |= {
        "startDateTimeUTC": _iso(start),
        "endDateTimeUTC": _iso(end),
        "staffTimeZone": staff_zone,
        "clientTimeZone": client_zone,
    }
    seen = start.astimezone(pytz.timezone(client_zone))
    return fields | {"appointmentDateTimeClient": seen.strftime("%A, %B %d, %Y at %I:%M %p %Z")}


def _clock(prefix: str, start: datetime, end: datetime) -> Json:
    def key(name: str) -> str:
        return f"client{name[0].upper()}{name[1:]}" if prefix else name

    return {
        key("startDate"): start.date().isoformat(),
        key("startTime"): hhmm(start),
        key("endDate"): end.date().isoformat(),
        key("endTime"): hhmm(end),
    }


def _client_clock(staff_clock: Json, start: datetime, end: datetime, zone: str, pair: ClientPair) -> Json:
    if pair is ClientPair.CORRECT:
        return _clock("client", to_wall(start, zone), to_wall(end, zone))
    return {f"client{key[0].upper()}{key[1:]}": value if pair is ClientPair.STAFF_CLOCK else None for key, value in staff_clock.items()}


def _reminder_fields(reminders: Reminders) -> Json:
    return {
        "clientReminderHours": reminders.client_email,
        "staffReminderHours": reminders.staff_email,
        "remindClientSmsHrs": reminders.client_sms,
        "remindStaffSmsHrs": reminders.staff_sms,
    }


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _short_hash(calendar_id: int) -> str:
    letters = string.ascii_letters + string.digits
    return "".join(letters[b % len(letters)] for b in hashlib.sha256(str(calendar_id).encode()).digest()[:12])


def is_date(text: str) -> bool:
    """Tell whether a parameter is a whole YYYY-MM-DD date; anything else TimeTap ignores."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2026-01-01")
