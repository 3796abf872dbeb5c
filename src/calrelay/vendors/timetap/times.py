"""When an appointment takes place, and in which zone: whose clock is believed. Pure: no requests, no clock."""

import dataclasses
from datetime import UTC, date, datetime, timedelta
from typing import Final

from calrelay.domain.mapping_log import MappingLog
from calrelay.domain.zones import Resolution, Zone, hhmm, offset_at, parse_wall_clock, resolve_zone, to_instant, with_offset
from calrelay.errors import MappingError
from calrelay.vendors.timetap.context import Context
from calrelay.vendors.timetap.wire import AppointmentRow

DISAGREEMENT: Final = "times disagree"  # every note about it begins so
_TOLERANCE: Final = timedelta(minutes=1)  # the wall clock has no seconds
_DAY: Final = timedelta(days=1)
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)  # when something takes place whose time neither can be read nor matters


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
class When:
    """When it takes place, and the zone of the place."""

    start: datetime
    end: datetime
    zone: Zone


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
        start = (_utc_field(row.start_date_time_utc) or _wall(row.start_date, row.start_time) or _NEVER).replace(tzinfo=UTC)
    except MappingError:
        start = _NEVER
    return When(start=start, end=start, zone=resolve_zone("UTC"))


def _place(row: AppointmentRow, context: Context, log: MappingLog) -> _Place:
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


def _overriding_place(row: AppointmentRow, context: Context) -> _Place | None:
    for key in (f"staff:{staff_id(row)}", f"location:{_location_id(row)}"):
        if key in context.zones:
            return _Place(zone=resolve_zone(context.zones[key]), told_by=f"the config's zones for {key}", overrules=True)
    return None


def _told_place(row: AppointmentRow, context: Context, log: MappingLog) -> _Place | None:
    # The client's zone is none of these: the appointment takes place where the staff member is (TimeTap: 5).
    told = (
        ("staffTimeZone", row.staff_time_zone),
        ("the staff's timeZoneCode", row.staff.time_zone_code if row.staff else None),
        ("the staff member's record", context.staff_zones.get(staff_id(row) or "")),
    )
    for told_by, name in told:
        if not name:
            continue
        try:
            return _Place(zone=resolve_zone(name), told_by=f"{told_by} (“{name}”)")
        except MappingError:
            log.notes.append(f"{told_by} is no time zone this release knows")
    return None


def _reading(row: AppointmentRow, edge: str, place: _Place, log: MappingLog) -> _Reading:
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
    log.because("{}: {}, from {}", edge, chosen.instant.isoformat(), chosen.field)
    # The client's clock never decides: who books by API often fills it with the staff member's time (TimeTap: 5).
    client = _client_reading(row, edge)
    _doubt(edge, chosen, deciding[1:] if client is None else [*deciding[1:], client], log)
    return chosen


def _utc_reading(row: AppointmentRow, edge: str, log: MappingLog) -> _Reading | None:
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


def _staff_reading(row: AppointmentRow, edge: str, place: _Place, log: MappingLog) -> _Reading | None:
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


def _doubt(edge: str, chosen: _Reading, others: list[_Reading], log: MappingLog) -> None:
    """Note what is odd about a reading: a clock change, and clocks that say something else."""
    if chosen.flag is Resolution.GAP:
        log.notes.append(f"the {edge} is a time the clocks skipped; it was read with the offset before the change")
    if chosen.flag is Resolution.FOLD:
        log.notes.append(f"the {edge} is a time the clocks showed twice; the first one was taken")
    for other in others:
        if not _agree(chosen, other):
            log.notes.append(f"{DISAGREEMENT}: {chosen.field} was taken, {other.field} says otherwise")
            log.because("{}: {} by {}, which disagrees", edge, other.instant.isoformat(), other.field)


def _agree(chosen: _Reading, other: _Reading) -> bool:
    """Compare two readings. A wall clock agrees with any instant at which clocks show it, so with both occurrences in a fold."""
    if abs(chosen.instant - other.instant) < _TOLERANCE:
        return True
    if other.wall is None or other.zone is None:
        return False
    return abs(with_offset(chosen.instant, other.zone).replace(tzinfo=None) - other.wall) < _TOLERANCE


def _end(start: datetime, reading: _Reading, log: MappingLog) -> datetime:
    """Refuse an end before the start, which no calendar takes."""
    end = reading.instant
    if end < start and reading.flag is Resolution.FOLD:
        end = _second_time(reading)
        log.because("end: {}, the second of the two: the first lies before the start", end.isoformat())
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


def staff_id(row: AppointmentRow) -> str | None:
    """Return the id of the staff member."""
    return row.staff.professional_id if row.staff else None


def _location_id(row: AppointmentRow) -> str | None:
    return row.location.location_id if row.location else None
