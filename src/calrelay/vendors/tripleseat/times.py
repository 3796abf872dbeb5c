"""When an event takes place, and in which zone: which of its fields is believed. Pure: no requests, no clock."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from calrelay.domain.event import Lifecycle
from calrelay.domain.mapping_log import MappingLog
from calrelay.domain.zones import Resolution, Zone, parse_wall_clock, resolve_zone, to_instant, with_offset
from calrelay.errors import MappingError
from calrelay.vendors.tripleseat.context import Context
from calrelay.vendors.tripleseat.wire import EventRow

DISAGREEMENT: Final = "times disagree"  # every note about it begins so
_LONGEST: Final = timedelta(hours=24)  # Tripleseat: Time and zones; longer business is one booking with several events
_TOLERANCE: Final = timedelta(minutes=1)  # the wall clock has no seconds
_USUAL_YEARS: Final = range(2000, 2101)
_ZONES_KEPT: Final = 1024  # a venue has few sites
_READINGS_KEPT: Final = 8192  # events start and end at few times of day, and every pass reads the same ones again
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)  # when something takes place whose time neither can be read nor matters


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The zone an event is in, who says so, and whether the config overrules the vendor's instants with it (rule 5)."""

    zone: Zone
    told_by: str
    overrules: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One field's opinion of an instant."""

    field: str
    instant: datetime
    wall: datetime | None = None
    flag: Resolution = Resolution.EXACT


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """When it takes place, and the zone of the place."""

    start: datetime
    end: datetime
    zone: Zone


def when(row: EventRow, context: Context, log: MappingLog, lifecycle: Lifecycle) -> When:
    """Say when and in which zone an event takes place; a cancellation whose times are gone is kept, at a time that is over.

    Raises:
        MappingError: no time can be read, the event ends before it starts, or nobody says which zone it is in.
    """
    try:
        place = _place(row, context, log)
        start = _instant(row, "start", place, log)
        return When(start=start, end=_end(start, _instant(row, "end", place, log), lifecycle, log), zone=place.zone)
    except MappingError:
        if lifecycle is not Lifecycle.CANCELLED:
            raise
    log.because("times: none can be read, and none is needed for a cancellation")
    return When(start=_NEVER, end=_NEVER, zone=resolve_zone("UTC"))


def names_zone(row: EventRow, context: Context) -> bool:
    """Say whether the config or the row itself names a zone, so that its site need not be asked."""
    return _overriding_place(row, context) is not None or _is_zone(row.event_timezone)


def _place(row: EventRow, context: Context, log: MappingLog) -> _Place:
    """Find the zone: the config's for the location, then for the site, then the row's own, then the site's."""
    place = _overriding_place(row, context) or _told_place(row, context, log)
    if place is None:
        site = site_id(row)
        named = f"site:{site}" if site else f"location:{location_id(row)}"
        raise MappingError(
            "Nobody says which time zone the event is in: neither the event nor its site names one this release knows.",
            remedy=f'Set the site\'s time zone in Tripleseat, or name it in the config: zones = {{ "{named}" = "America/New_York" }}.',
        )
    log.because("zone: {}, from {}", place.zone, place.told_by)
    return place


def _overriding_place(row: EventRow, context: Context) -> _Place | None:
    for key in (f"location:{location_id(row)}", f"site:{site_id(row)}") if context.zones else ():
        if key in context.zones:
            return _Place(zone=resolve_zone(context.zones[key]), told_by=f"the config's zones for {key}", overrules=True)
    return None


def _told_place(row: EventRow, context: Context, log: MappingLog) -> _Place | None:
    site = site_id(row)
    # The format of event_timezone was never seen; Rails names and IANA ids are read alike (Tripleseat: Unknowns).
    told = [("event_timezone", row.event_timezone), (f"site {site}", context.site_zones.get(site or ""))]
    if site is None and len(context.site_zones) == 1:
        told.append(("the only site", next(iter(context.site_zones.values()))))
    for told_by, name in told:
        if not name:
            continue
        try:
            return _named_place(told_by, name)
        except MappingError:
            log.notes.append(f"{told_by} names no time zone this release knows")
    return None


@lru_cache(maxsize=_ZONES_KEPT)
def _named_place(told_by: str, name: str) -> _Place:
    return _Place(zone=resolve_zone(name), told_by=f"{told_by} (“{name}”)")


def _is_zone(name: str | None) -> bool:
    try:
        return bool(name) and bool(resolve_zone(name or ""))
    except MappingError:
        return False


def _instant(row: EventRow, edge: str, place: _Place, log: MappingLog) -> datetime:
    """Read the start or the end: UTC field, offset field, wall clock (rule 5), or the wall clock first where the config overrules."""
    agreed = None if place.overrules else _agreed(row, edge, place.zone)
    if agreed is not None:
        log.because("{}: {}, from {}", edge, agreed.isoformat(), f"event_{edge}_utc")
        return agreed
    readings = list(_readings(row, edge, place, log))
    if not readings:
        raise MappingError(
            f"Tripleseat tells no {edge} of the event that can be read.",
            remedy="Correct the date and time in Tripleseat; the event is read again in the next pass.",
        )
    chosen = readings[0]
    log.because("{}: {}, from {}", edge, chosen.instant.isoformat(), chosen.field)
    _doubt(edge, chosen, readings[1:], place, log)
    return chosen.instant


def _agreed(row: EventRow, edge: str, zone: Zone) -> datetime | None:
    """Return the instant that all three fields name, each in its usual form; None where they have to be read one by one.

    That is nearly every row, and to look whether the wall clock is what clocks show then costs a tenth of reading it.
    """
    utc, iso, wall = (row.event_start_utc, row.event_start_iso8601, row.event_start) if edge == "start" else _end_texts(row)
    if not (utc and iso and wall and utc[7:8] == iso[7:8] == "-" and ":" in utc and ":" in iso):
        return None
    try:
        instant, again = datetime.fromisoformat(utc), datetime.fromisoformat(iso)
    except ValueError:
        return None
    if instant.tzinfo is None or again.tzinfo is None or instant != again or instant.year not in _USUAL_YEARS:
        return None
    shown = with_offset(instant, zone)
    half = "PM" if shown.hour >= 12 else "AM"
    usual = f"{shown.month}/{shown.day}/{shown.year} {shown.hour % 12 or 12}:{shown.minute:02} {half}"
    return instant.astimezone(UTC) if wall == usual else None


def _end_texts(row: EventRow) -> tuple[str | None, str | None, str | None]:
    return row.event_end_utc, row.event_end_iso8601, row.event_end


def _readings(row: EventRow, edge: str, place: _Place, log: MappingLog) -> Iterator[_Reading]:
    """Yield what each field says, the one that decides first."""
    utc, iso = f"event_{edge}_utc", f"event_{edge}_iso8601"
    wall = f"event_{edge}" if getattr(row, f"event_{edge}") else f"{edge}_time"  # the deprecated twin may be alone
    names = [utc, iso, wall]
    if place.overrules:
        # The vendor computed its instants with the zone that is wrong: its wall clock is what the venue typed.
        names = [wall, iso, utc]
    for name in names:
        text: str | None = getattr(row, name)
        if text is None:
            continue
        reading = _reading(name, text, place.zone, is_utc=name == utc, overrules=place.overrules)
        if reading is None:
            log.notes.append(f"{name} cannot be read")
            continue
        yield reading


def _moment(text: str) -> datetime | None:
    """Read a date with a time of day; a date alone would put the event at midnight, where nobody booked it."""
    try:
        return parse_wall_clock(text) if ":" in text else None
    except MappingError:
        return None


@lru_cache(maxsize=_READINGS_KEPT)
def _reading(name: str, text: str, zone: Zone, *, is_utc: bool, overrules: bool) -> _Reading | None:
    moment = _moment(text)
    if moment is None:
        return None
    if is_utc:
        return _Reading(field=name, instant=(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC))
    if moment.tzinfo is not None and not overrules:
        return _Reading(field=name, instant=moment.astimezone(UTC))
    wall = moment.replace(tzinfo=None)
    found = to_instant(wall, zone)
    return _Reading(field=f"{name} in {zone}", instant=found.instant, wall=wall, flag=found.flag)


def _doubt(edge: str, chosen: _Reading, others: list[_Reading], place: _Place, log: MappingLog) -> None:
    """Note what is odd about a reading: a clock change, and fields that say something else."""
    if chosen.flag is Resolution.GAP:
        log.notes.append(f"the {edge} is a time the clocks skipped; it was read with the offset before the change")
    if chosen.flag is Resolution.FOLD:
        log.notes.append(f"the {edge} is a time the clocks showed twice; the first one was taken")
    for other in others:
        if not _agree(chosen, other, place.zone):
            log.notes.append(f"{DISAGREEMENT}: {chosen.field} was taken, {other.field} says otherwise")
            log.because("{}: {} by {}, which disagrees", edge, other.instant.isoformat(), other.field)


def _agree(chosen: _Reading, other: _Reading, zone: Zone) -> bool:
    """Compare two readings. A wall clock agrees with any instant at which clocks show it, so with both occurrences in a fold."""
    if chosen.instant == other.instant or abs(chosen.instant - other.instant) < _TOLERANCE:
        return True
    shown = with_offset(chosen.instant, zone).replace(tzinfo=None)
    return other.wall is not None and abs(shown - other.wall) < _TOLERANCE


def _end(start: datetime, end: datetime, lifecycle: Lifecycle, log: MappingLog) -> datetime:
    """Refuse an end before the start, which no calendar takes, unless nothing but the cancellation matters."""
    if end < start:
        if lifecycle is not Lifecycle.CANCELLED:
            raise MappingError(
                f"The event ends {start - end} before it starts.",
                remedy="Correct its start or end in Tripleseat; an event past midnight ends on the next day.",
            )
        end = start
    if end == start:
        log.notes.append("the event ends when it starts")
    if end - start > _LONGEST:
        log.notes.append("the event lasts more than the 24 hours Tripleseat allows")
    return end


def site_id(row: EventRow) -> str | None:
    """Return the id of the site, which may stand with the location."""
    return row.site_id or (row.location.site_id if row.location else None)


def location_id(row: EventRow) -> str | None:
    """Return the id of the location."""
    return row.location_id or (row.location.id if row.location else None)
