"""What a TimeTap appointment means in our words, field by field from top to bottom. Pure: no requests, no clock."""

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from calrelay.domain.event import Event, Lifecycle, SourceId
from calrelay.domain.mapping_log import MappingLog
from calrelay.domain.people import Participant, PhoneField, Role, contactable, person_name
from calrelay.domain.reminders import Channel, Guest, OwnMessages, Recipient, Reminder
from calrelay.domain.text import title
from calrelay.vendors.timetap.context import Context
from calrelay.vendors.timetap.times import staff_id, when, zone_of
from calrelay.vendors.timetap.wire import AppointmentRow, Client, Staff

MAPPING_VERSION: Final = "1"  # raise it when a release maps the same row differently
NO_CLIENT: Final = "no client: time off, a hold or an imported busy event"

# TimeTap: 6. The last five are claimed to be statuses, and documented as sub-statuses of OPEN. The last three follow OPEN while the booking
# stands, so they must never delete it: a guest who checks in has not cancelled.
_LIFECYCLES: Final[Mapping[str, Lifecycle]] = {
    "OPEN": Lifecycle.LIVE,
    "PENDING": Lifecycle.LIVE,
    "COMPLETED": Lifecycle.LIVE,
    "CANCELLED": Lifecycle.CANCELLED,
    "NO_SHOW": Lifecycle.KEPT,
    "PENDING_CONFIRMATION": Lifecycle.LIVE,
    "PENDING_WAITLIST": Lifecycle.LIVE,
    "CONFIRMED": Lifecycle.UNKNOWN,
    "CHECKEDIN": Lifecycle.UNKNOWN,
    "INPROGRESS": Lifecycle.UNKNOWN,
}
STATUSES: Final = tuple(_LIFECYCLES)  # all that this release knows


def to_canonical(row: AppointmentRow, context: Context) -> Event:
    """Return the canonical event of a row.

    A row without client is exempt, and like a cancelled one it needs no time that can be read: neither will ever be sent.

    Raises:
        MappingError: no time can be read, the appointment ends before it starts, or nobody says which zone it is in.
    """
    log = MappingLog()
    status, lifecycle = _status(row, log)
    exempt = _exempt(row, log)
    timed = when(row, context, log, matters=not exempt and lifecycle is not Lifecycle.CANCELLED)
    return Event(
        source_id=SourceId(row.id),
        status=status,
        lifecycle=lifecycle,
        start=timed.start,
        end=timed.end,
        zone=timed.zone,
        title=_title(row),
        location=title((row.location.location_name or "") if row.location else ""),
        participants=_participants(row, context, log),
        facets=_facets(row),
        custom=_custom(row, status),
        group=_group(row, timed.start),
        exempt=exempt,
        own=_own(row, status),
        notes=tuple(log.notes),
        reasoning=log.in_words() if context.explains else (),
    )


def lacks_zone(row: AppointmentRow, context: Context) -> bool:
    """Say whether a row needs its staff member's own record, because neither the config nor the row itself names a zone."""
    if _exempt(row, MappingLog()) or staff_id(row) is None:
        return False
    return zone_of(row, dataclasses.replace(context, staff_zones={})) is None


def _status(row: AppointmentRow, log: MappingLog) -> tuple[str, Lifecycle]:
    # The sub-status is the customer's own word and decides nothing (rule 7 of the vendor page).
    status = (row.status or "").upper()
    lifecycle = _LIFECYCLES.get(status, Lifecycle.UNKNOWN)
    if lifecycle is Lifecycle.UNKNOWN:
        log.notes.append("the status is missing" if not status else "the status is not one this release knows")
    log.because("lifecycle: {}, because status is {}", lifecycle, status or "missing")
    return status, lifecycle


def _exempt(row: AppointmentRow, log: MappingLog) -> str:
    """Say why a row is nobody's booking: TimeTap tells time off, holds and imports only by what their rows lack (TimeTap: 6)."""
    if _client(row) is not None:
        return ""
    log.because("exempt: {}", NO_CLIENT)
    return NO_CLIENT


def _client(row: AppointmentRow) -> Client | None:
    """Return the client; an object in which nothing is told stands for none."""
    return row.client if row.client and any(row.client.model_dump().values()) else None


def _title(row: AppointmentRow) -> str:
    client = _client(row)
    parts = (_service(row), _name_of(client) if client else "")
    return title(" – ".join(part for part in parts if part))


def _service(row: AppointmentRow) -> str:
    # reasonDesc is what clients see when they book; the internal names are the staff's, and stand in where it is empty.
    reason = row.reason
    names = (reason.reason_desc, reason.internal_display_name, reason.internal_name) if reason else ()
    return next((text for name in names if name and (text := title(name))), "")


def _name_of(client: Client) -> str:
    return person_name(client.first_name, client.last_name, client.full_name)


def _participants(row: AppointmentRow, context: Context, log: MappingLog) -> tuple[Participant, ...]:
    """Gather the people the pipeline wants; where a staff member is the client, too, they are messaged once."""
    found: list[Participant] = []
    for role, person in _people(row):
        if role not in context.people:
            continue
        who = _participant(role, person, context, log)
        if who.email is None or who.email.casefold() not in {(other.email or "").casefold() for other in found}:
            found.append(who)
    log.because("participants: {}", ", ".join(who.role for who in found) or "nobody")
    return tuple(found)


def _people(row: AppointmentRow) -> Iterator[tuple[Role, Client | Staff]]:
    client = _client(row)
    if client is not None:
        yield Role.CLIENT, client
    if row.staff is not None:
        yield Role.STAFF, row.staff


def _participant(role: Role, person: Client | Staff, context: Context, log: MappingLog) -> Participant:
    if isinstance(person, Client):
        phones = [PhoneField(number=person.cell_phone), PhoneField(number=person.home_phone)]
        reached = contactable(name=_name_of(person), role=role, emails=[person.email_address], phones=phones, region=context.region)
    else:  # no number of a staff member was ever seen
        reached = contactable(name=person_name(full=person.full_name), role=role, emails=[person.email], region=context.region)
    log.notes += reached.notes
    return reached.participant


def _facets(row: AppointmentRow) -> dict[str, frozenset[str]]:
    reason, staff, location = row.reason, row.staff, row.location
    return {
        "services": _folded(reason.reason_id, reason.reason_desc, reason.internal_display_name, reason.internal_name)
        if reason
        else frozenset(),
        "staff": _folded(staff.professional_id, staff.full_name, staff.user_name) if staff else frozenset(),
        "locations": _folded(location.location_id, location.location_name) if location else frozenset(),
        "reason_types": _folded(reason.reason_type) if reason else frozenset(),
    }


def _folded(*values: str | None) -> frozenset[str]:
    return frozenset(text.casefold() for value in values if value and (text := title(value)))


def _custom(row: AppointmentRow, status: str) -> dict[str, str]:
    values = {
        "source": "timetap",
        "status": status,
        "service": _service(row),
        "staff": title((row.staff.full_name or "") if row.staff else ""),
        "reason_type": title((row.reason.reason_type or "") if row.reason else ""),
    }
    return {key: value for key, value in values.items() if value}


def _group(row: AppointmentRow, start: datetime) -> str:
    """Tie together what is booked as one: a series, or all attendees of a class session, whose rows share nothing but place and time."""
    if row.recurring_appointment_id not in (None, "0"):
        return f"series-{row.recurring_appointment_id}"
    if row.reason and (row.reason.reason_type or "").upper() == "CLASS":
        return f"class-{row.reason.reason_id}-{staff_id(row)}-{start.isoformat()}"
    return row.id


def _own(row: AppointmentRow, status: str) -> OwnMessages | None:
    """Return what TimeTap's own messages depend on. Null and 0 hours mean no reminder (TimeTap: 3.1 and 11, a guess)."""
    client = _client(row)
    if client is None:
        return None
    kept = (
        (Recipient.GUEST, Channel.EMAIL, row.client_reminder_hours),
        (Recipient.STAFF, Channel.EMAIL, row.staff_reminder_hours),
        (Recipient.GUEST, Channel.SMS, row.remind_client_sms_hrs),
        (Recipient.STAFF, Channel.SMS, row.remind_staff_sms_hrs),
    )
    due = () if status == "COMPLETED" else kept  # nobody is reminded of what is marked as done
    return OwnMessages(
        guest=Guest(id=client.client_id, email=client.email_address or "", phone=client.cell_phone or ""),
        booked_at=_millis(row.created_date),
        reminders=tuple(Reminder(recipient=who, channel=how, before=timedelta(hours=hours)) for who, how, hours in due if hours),
    )


def _millis(value: int | None) -> datetime | None:
    try:
        return None if value is None else datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
