"""What a TimeTap appointment means in our words, field by field from top to bottom. Pure: no requests, no clock."""

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

from calrelay.domain.event import Event, Lifecycle, SourceId
from calrelay.domain.people import Participant, PhoneField, Role, contactable, person_name
from calrelay.domain.reminders import Channel, Guest, OwnMessages, Recipient, Reminder
from calrelay.domain.text import title
from calrelay.domain.zones import Resolution, Zone, hhmm, offset_at, parse_wall_clock, resolve_zone, to_instant, with_offset
from calrelay.errors import MappingError
from calrelay.vendors.timetap.wire import AppointmentRow, Client, Staff

MAPPING_VERSION: Final = "1"  # raise it when a release maps the same row differently
DISAGREEMENT: Final = "times disagree"  # every note about it begins so
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
_TOLERANCE: Final = timedelta(minutes=1)  # the wall clock has no seconds
_DAY: Final = timedelta(days=1)
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)  # when something takes place whose time neither can be read nor matters


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a row does not say itself.

    `zones` are the config's overrides by "staff:<id>" and "location:<id>", `staff_zones` what each staff member's own record says by id.
    `people` are the roles the pipeline wants to reach, `region` how phone numbers without a country code are read.
    """

    people: frozenset[Role] = frozenset({Role.CLIENT})
    region: str = "US"
    zones: Mapping[str, str] = dataclasses.field(default_factory=dict)
    staff_zones: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True)
class _Log:
    """What is told about a mapping: notes are few and alike, because reports count them by their words; reasoning is for `show`."""

    notes: list[str] = dataclasses.field(default_factory=list)
    reasoning: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The zone an appointment is in, who says so, and whether the config overrules the vendor's instants with it (rule 5)."""

    zone: Zone
    told_by: str
    overrules: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One clock's opinion of an instant; `wall` is what it shows, in `zone`."""

    field: str
    instant: datetime
    wall: datetime | None = None
    zone: Zone | None = None
    flag: Resolution = Resolution.EXACT


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _When:
    """When it takes place, and the zone of the place."""

    start: datetime
    end: datetime
    zone: Zone


def to_canonical(row: AppointmentRow, context: Context) -> Event:
    """Return the canonical event of a row.

    A row without client is exempt, and like a cancelled one it needs no time that can be read: neither will ever be sent.

    Raises:
        MappingError: no time can be read, the appointment ends before it starts, or nobody says which zone it is in.
    """
    log = _Log()
    status, lifecycle = _status(row, log)
    exempt = _exempt(row, log)
    when = _when(row, context, log, matters=not exempt and lifecycle is not Lifecycle.CANCELLED)
    return Event(
        source_id=SourceId(row.id),
        status=status,
        lifecycle=lifecycle,
        start=when.start,
        end=when.end,
        zone=when.zone,
        title=_title(row),
        location=title((row.location.location_name or "") if row.location else ""),
        participants=_participants(row, context, log),
        facets=_facets(row),
        custom=_custom(row, status),
        group=_group(row, when.start),
        exempt=exempt,
        own=_own(row, status),
        notes=tuple(log.notes),
        reasoning=tuple(log.reasoning),
    )


def zone_of(row: AppointmentRow, context: Context) -> Zone | None:
    """Return the zone an appointment is in, or None where nobody names one that this release knows."""
    place = _overriding_place(row, context) or _told_place(row, context, _Log())
    return place.zone if place else None


def lacks_zone(row: AppointmentRow, context: Context) -> bool:
    """Say whether a row needs its staff member's own record, because neither the config nor the row itself names a zone."""
    if _exempt(row, _Log()) or _staff_id(row) is None:
        return False
    return zone_of(row, dataclasses.replace(context, staff_zones={})) is None


def start_day(row: AppointmentRow) -> date | None:
    """Return the day on which the row starts, on the staff member's clock, as the report's filter understands days."""
    try:
        return parse_wall_clock(row.start_date).date() if row.start_date else None
    except MappingError:
        return None


def _status(row: AppointmentRow, log: _Log) -> tuple[str, Lifecycle]:
    # The sub-status is the customer's own word and decides nothing (rule 7 of the vendor page).
    status = (row.status or "").upper()
    lifecycle = _LIFECYCLES.get(status, Lifecycle.UNKNOWN)
    if lifecycle is Lifecycle.UNKNOWN:
        log.notes.append("the status is missing" if not status else "the status is not one this release knows")
    log.reasoning.append(f"lifecycle: {lifecycle}, because status is {status or 'missing'}")
    return status, lifecycle


def _exempt(row: AppointmentRow, log: _Log) -> str:
    """Say why a row is nobody's booking: TimeTap tells time off, holds and imports only by what their rows lack (TimeTap: 6)."""
    if _client(row) is not None:
        return ""
    log.reasoning.append(f"exempt: {NO_CLIENT}")
    return NO_CLIENT


def _client(row: AppointmentRow) -> Client | None:
    """Return the client; an object in which nothing is told stands for none."""
    return row.client if row.client and any(row.client.model_dump().values()) else None


def _when(row: AppointmentRow, context: Context, log: _Log, *, matters: bool) -> _When:
    try:
        place = _place(row, context, log)
        start = _reading(row, "start", place, log).instant
        return _When(start=start, end=_end(start, _reading(row, "end", place, log), log), zone=place.zone)
    except MappingError as error:
        if matters:
            raise
        log.reasoning.append(f"time: does not matter, and cannot be told: {error.message}")
        return _nominal(row)


def _nominal(row: AppointmentRow) -> _When:
    """Place an appointment that will never be sent about where it would be, so that it is seen in the window it belongs to."""
    try:
        start = (_utc_field(row.start_date_time_utc) or _wall(row.start_date, row.start_time) or _NEVER).replace(tzinfo=UTC)
    except MappingError:
        start = _NEVER
    return _When(start=start, end=start, zone=resolve_zone("UTC"))


def _place(row: AppointmentRow, context: Context, log: _Log) -> _Place:
    """Find the zone: the config's for the staff member, then for the location, then what TimeTap says of the staff member."""
    place = _overriding_place(row, context) or _told_place(row, context, log)
    if place is None:
        staff, location = _staff_id(row), _location_id(row)
        named = f"staff:{staff}" if staff or not location else f"location:{location}"
        raise MappingError(
            "Nobody says which time zone the appointment is in: neither it nor its staff member names one this release knows.",
            remedy=f'Set the staff member\'s time zone in TimeTap, or name it in the config: zones = {{ "{named}" = "America/New_York" }}.',
        )
    log.reasoning.append(f"zone: {place.zone}, from {place.told_by}")
    return place


def _overriding_place(row: AppointmentRow, context: Context) -> _Place | None:
    for key in (f"staff:{_staff_id(row)}", f"location:{_location_id(row)}"):
        if key in context.zones:
            return _Place(zone=resolve_zone(context.zones[key]), told_by=f"the config's zones for {key}", overrules=True)
    return None


def _told_place(row: AppointmentRow, context: Context, log: _Log) -> _Place | None:
    # The client's zone is none of these: the appointment takes place where the staff member is (TimeTap: 5).
    told = (
        ("staffTimeZone", row.staff_time_zone),
        ("the staff's timeZoneCode", row.staff.time_zone_code if row.staff else None),
        ("the staff member's record", context.staff_zones.get(_staff_id(row) or "")),
    )
    for told_by, name in told:
        if not name:
            continue
        try:
            return _Place(zone=resolve_zone(name), told_by=f"{told_by} (“{name}”)")
        except MappingError:
            log.notes.append(f"{told_by} is no time zone this release knows")
    return None


def _reading(row: AppointmentRow, edge: str, place: _Place, log: _Log) -> _Reading:
    """Read the start or the end: UTC field, then the staff member's clock; the other way round where the config overrules (rule 5)."""
    readings = [_utc_reading(row, edge, log), _staff_reading(row, edge, place, log)]
    if place.overrules:
        readings.reverse()  # the vendor computed its instants with the zone that is wrong; the staff's clock is what was typed
    deciding = [reading for reading in readings if reading is not None]
    if not deciding:
        raise MappingError(
            f"TimeTap tells no {edge} of the appointment that can be read.",
            remedy="Look at its date and time in TimeTap; the appointment is read again in the next pass.",
        )
    chosen = deciding[0]
    log.reasoning.append(f"{edge}: {chosen.instant.isoformat()}, from {chosen.field}")
    # The client's clock never decides: who books by API often fills it with the staff member's time (TimeTap: 5).
    client = _client_reading(row, edge)
    _doubt(edge, chosen, deciding[1:] if client is None else [*deciding[1:], client], log)
    return chosen


def _utc_reading(row: AppointmentRow, edge: str, log: _Log) -> _Reading | None:
    name = f"{edge}DateTimeUTC"
    text: str | None = getattr(row, f"{edge}_date_time_utc")
    try:
        moment = _utc_field(text)
    except MappingError:
        log.notes.append(f"{name} cannot be read")
        return None
    if moment is None and text is not None:
        log.notes.append(f"{name} names no offset and was not used")
    return None if moment is None else _Reading(field=name, instant=moment)


def _utc_field(text: str | None) -> datetime | None:
    """Read a UTC field; without Z or an offset nobody knows whose clock it shows, whatever the field is called (TimeTap: 5)."""
    moment = parse_wall_clock(text) if text else None
    return None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)


def _staff_reading(row: AppointmentRow, edge: str, place: _Place, log: _Log) -> _Reading | None:
    names = f"{edge}Date and {edge}Time"
    try:
        wall = _wall(getattr(row, f"{edge}_date"), getattr(row, f"{edge}_time"))
    except MappingError:
        log.notes.append(f"{names} cannot be read")
        return None
    return None if wall is None else _wall_reading(names, wall, place.zone)


def _client_reading(row: AppointmentRow, edge: str) -> _Reading | None:
    try:
        wall = _wall(getattr(row, f"client_{edge}_date"), getattr(row, f"client_{edge}_time"))
        zone = resolve_zone(row.client_time_zone) if row.client_time_zone else None
    except MappingError:
        return None
    return None if wall is None or zone is None else _wall_reading(f"the client's {edge} clock", wall, zone)


def _wall(day: str | None, clock: int | None) -> datetime | None:
    if day is None or clock is None:
        return None
    return datetime.combine(parse_wall_clock(day).date(), hhmm(clock))


def _wall_reading(names: str, wall: datetime, zone: Zone) -> _Reading:
    found = to_instant(wall, zone)
    return _Reading(field=f"{names} in {zone}", instant=found.instant, wall=wall, zone=zone, flag=found.flag)


def _doubt(edge: str, chosen: _Reading, others: list[_Reading], log: _Log) -> None:
    """Note what is odd about a reading: a clock change, and clocks that say something else."""
    if chosen.flag is Resolution.GAP:
        log.notes.append(f"the {edge} is a time the clocks skipped; it was read with the offset before the change")
    if chosen.flag is Resolution.FOLD:
        log.notes.append(f"the {edge} is a time the clocks showed twice; the first one was taken")
    for other in others:
        if not _agree(chosen, other):
            log.notes.append(f"{DISAGREEMENT}: {chosen.field} was taken, {other.field} says otherwise")
            log.reasoning.append(f"{edge}: {other.instant.isoformat()} by {other.field}, which disagrees")


def _agree(chosen: _Reading, other: _Reading) -> bool:
    """Compare two readings. A wall clock agrees with any instant at which clocks show it, so with both occurrences in a fold."""
    if abs(chosen.instant - other.instant) < _TOLERANCE:
        return True
    if other.wall is None or other.zone is None:
        return False
    return abs(with_offset(chosen.instant, other.zone).replace(tzinfo=None) - other.wall) < _TOLERANCE


def _end(start: datetime, reading: _Reading, log: _Log) -> datetime:
    """Refuse an end before the start, which no calendar takes."""
    end = reading.instant
    if end < start and reading.flag is Resolution.FOLD:
        end = _second_time(reading)
        log.reasoning.append(f"end: {end.isoformat()}, the second of the two: the first lies before the start")
    if end < start:
        raise MappingError(
            f"The appointment ends {start - end} before it starts.",
            remedy="Correct its start or end in TimeTap; an appointment past midnight ends on the next day.",
        )
    if end == start:
        log.notes.append("the appointment ends when it starts")
    return end


def _second_time(reading: _Reading) -> datetime:
    """Return the second instant at which the clocks show a time of a fold: the clocks were put back by what the offsets differ."""
    if reading.zone is None:
        return reading.instant
    return reading.instant + offset_at(reading.instant - _DAY, reading.zone) - offset_at(reading.instant + _DAY, reading.zone)


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


def _participants(row: AppointmentRow, context: Context, log: _Log) -> tuple[Participant, ...]:
    """Gather the people the pipeline wants; where a staff member is the client, too, they are messaged once."""
    found: list[Participant] = []
    for role, person in _people(row):
        if role not in context.people:
            continue
        who = _participant(role, person, context, log)
        if who.email is None or who.email.casefold() not in {(other.email or "").casefold() for other in found}:
            found.append(who)
    log.reasoning.append(f"participants: {', '.join(who.role for who in found) or 'nobody'}")
    return tuple(found)


def _people(row: AppointmentRow) -> Iterator[tuple[Role, Client | Staff]]:
    client = _client(row)
    if client is not None:
        yield Role.CLIENT, client
    if row.staff is not None:
        yield Role.STAFF, row.staff


def _participant(role: Role, person: Client | Staff, context: Context, log: _Log) -> Participant:
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
        return f"class-{row.reason.reason_id}-{_staff_id(row)}-{start.isoformat()}"
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


def _staff_id(row: AppointmentRow) -> str | None:
    return row.staff.professional_id if row.staff else None


def _location_id(row: AppointmentRow) -> str | None:
    return row.location.location_id if row.location else None
