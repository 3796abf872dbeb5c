"""When an appointment takes place, and in which zone: whose clock is believed. Pure: no requests, no clock."""

from datetime import UTC, date, datetime

from calrelay.domain.mapping_log import MappingLog
from calrelay.domain.readings import NEVER, Place, Reading, When, decide, nominally, overruling_place, read_wall, second_time, told_place
from calrelay.domain.zones import Resolution, Zone, hhmm, parse_wall_clock, resolve_zone
from calrelay.errors import MappingError
from calrelay.vendors.timetap.context import Context
from calrelay.vendors.timetap.wire import AppointmentRow


def when(row: AppointmentRow, context: Context, log: MappingLog, *, matters: bool) -> When:
    """Say when and in which zone an appointment takes place.

    Raises:
        MappingError: the time matters, and cannot be read, or ends before it starts, or nobody says which zone it is in.
    """
    try:
        place = _place(row, context, log)
        start = _reading(row, "start", place, log).instant
        return When(start=start, end=_end(start, _reading(row, "end", place, log), log), zone=place.zone)
    except MappingError as error:
        if matters:
            raise
        log.because("time: does not matter, and cannot be told: {}", error.message)
        return _nominal(row)


def zone_of(row: AppointmentRow, context: Context) -> Zone | None:
    """Return the zone an appointment is in, or None where nobody names one that this release knows."""
    place = _overriding_place(row, context) or _told_place(row, context, MappingLog())
    return place.zone if place else None


def start_day(row: AppointmentRow) -> date | None:
    """Return the day on which the row starts, on the staff member's clock, as the report's filter understands days."""
    try:
        return parse_wall_clock(row.start_date).date() if row.start_date else None
    except MappingError:
        return None


def _nominal(row: AppointmentRow) -> When:
    """Place an appointment that will never be sent about where it would be, so that it is seen in the window it belongs to."""
    try:
        start = (_utc_field(row.start_date_time_utc) or _wall(row.start_date, row.start_time) or NEVER).replace(tzinfo=UTC)
    except MappingError:
        start = NEVER
    return nominally(start)


def _place(row: AppointmentRow, context: Context, log: MappingLog) -> Place:
    """Find the zone: the config's for the staff member, then for the location, then what TimeTap says of the staff member."""
    place = _overriding_place(row, context) or _told_place(row, context, log)
    if place is None:
        staff, location = staff_id(row), _location_id(row)
        named = f"staff:{staff}" if staff or not location else f"location:{location}"
        raise MappingError(
            "Nobody says which time zone the appointment is in: neither it nor its staff member names one this release knows.",
            remedy=f'Set the staff member\'s time zone in TimeTap, or name it in the config: zones = {{ "{named}" = "America/New_York" }}.',
        )
    log.because("zone: {}, from {}", place.zone, place.told_by)
    return place


def _overriding_place(row: AppointmentRow, context: Context) -> Place | None:
    return overruling_place(context.zones, f"staff:{staff_id(row)}", f"location:{_location_id(row)}")


def _told_place(row: AppointmentRow, context: Context, log: MappingLog) -> Place | None:
    # The client's zone is none of these: the appointment takes place where the staff member is (TimeTap: 5).
    told = (
        ("staffTimeZone", row.staff_time_zone),
        ("the staff's timeZoneCode", row.staff.time_zone_code if row.staff else None),
        ("the staff member's record", context.staff_zones.get(staff_id(row) or "")),
    )
    return told_place(told, log, refusal="is no time zone this release knows")


def _reading(row: AppointmentRow, edge: str, place: Place, log: MappingLog) -> Reading:
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
    # The client's clock never decides: who books by API often fills it with the staff member's time (TimeTap: 5).
    client = _client_reading(row, edge)
    return decide(edge, deciding if client is None else [*deciding, client], log)


def _utc_reading(row: AppointmentRow, edge: str, log: MappingLog) -> Reading | None:
    name = f"{edge}DateTimeUTC"
    text: str | None = getattr(row, f"{edge}_date_time_utc")
    try:
        moment = _utc_field(text)
    except MappingError:
        log.notes.append(f"{name} cannot be read")
        return None
    if moment is None and text is not None:
        log.notes.append(f"{name} names no offset and was not used")
    return None if moment is None else Reading(field=name, instant=moment)


def _utc_field(text: str | None) -> datetime | None:
    """Read a UTC field; without Z or an offset nobody knows whose clock it shows, whatever the field is called (TimeTap: 5)."""
    moment = parse_wall_clock(text) if text else None
    return None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)


def _staff_reading(row: AppointmentRow, edge: str, place: Place, log: MappingLog) -> Reading | None:
    names = f"{edge}Date and {edge}Time"
    try:
        wall = _wall(getattr(row, f"{edge}_date"), getattr(row, f"{edge}_time"))
    except MappingError:
        log.notes.append(f"{names} cannot be read")
        return None
    return None if wall is None else read_wall(names, wall, place.zone)


def _client_reading(row: AppointmentRow, edge: str) -> Reading | None:
    try:
        wall = _wall(getattr(row, f"client_{edge}_date"), getattr(row, f"client_{edge}_time"))
        zone = resolve_zone(row.client_time_zone) if row.client_time_zone else None
    except MappingError:
        return None
    return None if wall is None or zone is None else read_wall(f"the client's {edge} clock", wall, zone)


def _wall(day: str | None, clock: int | None) -> datetime | None:
    if day is None or clock is None:
        return None
    return datetime.combine(parse_wall_clock(day).date(), hhmm(clock))


def _end(start: datetime, reading: Reading, log: MappingLog) -> datetime:
    """Refuse an end before the start, which no calendar takes."""
    end = reading.instant
    if end < start and reading.flag is Resolution.FOLD:
        end = second_time(reading)
        log.because("end: {}, the second of the two: the first lies before the start", end.isoformat())
    if end < start:
        raise MappingError(
            f"The appointment ends {start - end} before it starts.",
            remedy="Correct its start or end in TimeTap; an appointment past midnight ends on the next day.",
        )
    if end == start:
        log.notes.append("the appointment ends when it starts")
    return end


def staff_id(row: AppointmentRow) -> str | None:
    """Return the id of the staff member."""
    return row.staff.professional_id if row.staff else None


def _location_id(row: AppointmentRow) -> str | None:
    return row.location.location_id if row.location else None
