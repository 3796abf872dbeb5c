"""When an event takes place, and in which zone: which of its fields is believed. Pure: no requests, no clock."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from calrelay.domain.event import Lifecycle
from calrelay.domain.mapping_log import MappingLog
from calrelay.domain.readings import Place, Reading, When, decide, nominally, overruling_place, read_wall, told_place
from calrelay.domain.zones import Zone, parse_wall_clock, resolve_zone, with_offset
from calrelay.errors import MappingError
from calrelay.vendors.tripleseat.context import Context
from calrelay.vendors.tripleseat.wire import EventRow

_LONGEST: Final = timedelta(hours=24)  # Tripleseat: Time and zones; longer business is one booking with several events
_USUAL_YEARS: Final = range(2000, 2101)
_READINGS_KEPT: Final = 1024  # events start and end at few times of day, and every pass reads the same ones again


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
    return nominally()


def names_zone(row: EventRow, context: Context) -> bool:
    """Say whether the config or the row itself names a zone, so that its site need not be asked."""
    return _overriding_place(row, context) is not None or _is_zone(row.event_timezone)


def _place(row: EventRow, context: Context, log: MappingLog) -> Place:
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


def _overriding_place(row: EventRow, context: Context) -> Place | None:
    if not context.zones:
        return None
    return overruling_place(context.zones, f"location:{location_id(row)}", f"site:{site_id(row)}")


def _told_place(row: EventRow, context: Context, log: MappingLog) -> Place | None:
    site = site_id(row)
    # The format of event_timezone was never seen; Rails names and IANA ids are read alike (Tripleseat: Unknowns).
    told = [("event_timezone", row.event_timezone), (f"site {site}", context.site_zones.get(site or ""))]
    if site is None and len(context.site_zones) == 1:
        told.append(("the only site", next(iter(context.site_zones.values()))))
    return told_place(told, log, refusal="names no time zone this release knows")


def _is_zone(name: str | None) -> bool:
    try:
        return bool(name) and bool(resolve_zone(name or ""))
    except MappingError:
        return False


def _instant(row: EventRow, edge: str, place: Place, log: MappingLog) -> datetime:
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
    return decide(edge, readings, log).instant


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


def _readings(row: EventRow, edge: str, place: Place, log: MappingLog) -> Iterator[Reading]:
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
def _reading(name: str, text: str, zone: Zone, *, is_utc: bool, overrules: bool) -> Reading | None:
    moment = _moment(text)
    if moment is None:
        return None
    if is_utc:
        return Reading(field=name, instant=(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC))
    if moment.tzinfo is not None and not overrules:
        return Reading(field=name, instant=moment.astimezone(UTC))
    return read_wall(name, moment.replace(tzinfo=None), zone)


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
