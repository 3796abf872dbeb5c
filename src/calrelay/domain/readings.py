"""What the fields of a row say of when and where, how two of them agree, and what is noted of a doubt.

Which fields there are, how they are written and which is believed first (rule 5) is each vendor's own knowledge, in its `times.py`.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from calrelay.domain.mapping_log import MappingLog
from calrelay.domain.zones import Resolution, Zone, offset_at, resolve_zone, to_instant, with_offset
from calrelay.errors import MappingError

DISAGREEMENT: Final = "times disagree"  # every note about it begins so
NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)  # when something takes place whose time neither can be read nor matters
_TOLERANCE: Final = timedelta(minutes=1)  # a wall clock has no seconds
_DAY: Final = timedelta(days=1)
_PLACES_KEPT: Final = 1024  # an account has few sites and staff members


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The zone a booking is in, who says so, and whether the config overrules the vendor's instants with it (rule 5)."""

    zone: Zone
    told_by: str
    overrules: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One field's opinion of an instant; where the field is a wall clock, `wall` is what it shows, in `zone`."""

    field: str
    instant: datetime
    wall: datetime | None = None
    zone: Zone | None = None
    flag: Resolution = Resolution.EXACT


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """When a booking takes place, and the zone of the place."""

    start: datetime
    end: datetime
    zone: Zone


def nominally(at: datetime = NEVER) -> When:
    """Place something at an instant that nobody will ever be told."""
    return When(start=at, end=at, zone=resolve_zone("UTC"))


def overruling_place(zones: Mapping[str, str], *keys: str) -> Place | None:
    """Return the place that the config's `zones` name under the first of these keys that it has."""
    for key in keys:
        if key in zones:
            return Place(zone=resolve_zone(zones[key]), told_by=f"the config's zones for {key}", overrules=True)
    return None


def told_place(told: Iterable[tuple[str, str | None]], log: MappingLog, *, refusal: str) -> Place | None:
    """Return the place by the first of these names of zones that this release knows; each comes after the words for who tells it.

    What is noted of a name that nobody knows are the same words and the refusal.
    """
    for told_by, name in told:
        if not name:
            continue
        try:
            return _named_place(told_by, name)
        except MappingError:
            log.notes.append(f"{told_by} {refusal}")
    return None


@lru_cache(maxsize=_PLACES_KEPT)
def _named_place(told_by: str, name: str) -> Place:
    return Place(zone=resolve_zone(name), told_by=f"{told_by} (“{name}”)")


def read_wall(field: str, wall: datetime, zone: Zone) -> Reading:
    """Read a wall clock, naive, as clocks in the zone show it."""
    found = to_instant(wall, zone)
    return Reading(field=f"{field} in {zone}", instant=found.instant, wall=wall, zone=zone, flag=found.flag)


def decide(edge: str, readings: Iterable[Reading], log: MappingLog) -> Reading:
    """Return the first of the readings, of which there is one at least; note what is odd about it, and which others say something else.

    `edge` is what they are readings of, in words: start or end.
    """
    chosen, *others = readings
    log.because("{}: {}, from {}", edge, chosen.instant.isoformat(), chosen.field)
    if chosen.flag is Resolution.GAP:
        log.notes.append(f"the {edge} is a time the clocks skipped; it was read with the offset before the change")
    if chosen.flag is Resolution.FOLD:
        log.notes.append(f"the {edge} is a time the clocks showed twice; the first one was taken")
    for other in others:
        if not agree(chosen, other):
            log.notes.append(f"{DISAGREEMENT}: {chosen.field} was taken, {other.field} says otherwise")
            log.because("{}: {} by {}, which disagrees", edge, other.instant.isoformat(), other.field)
    return chosen


def agree(chosen: Reading, other: Reading) -> bool:
    """Compare two readings. A wall clock agrees with any instant at which clocks show it, so with both occurrences in a fold."""
    if chosen.instant == other.instant or abs(chosen.instant - other.instant) < _TOLERANCE:
        return True
    if other.wall is None or other.zone is None:
        return False
    return abs(with_offset(chosen.instant, other.zone).replace(tzinfo=None) - other.wall) < _TOLERANCE


def second_time(reading: Reading) -> datetime:
    """Return the second instant at which the clocks show a time of a fold: the clocks were put back by what the offsets differ."""
    if reading.zone is None:
        return reading.instant
    return reading.instant + offset_at(reading.instant - _DAY, reading.zone) - offset_at(reading.instant + _DAY, reading.zone)
