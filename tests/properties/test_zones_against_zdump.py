"""Wall clocks to instants against the system's `zdump`, for every zone and every transition from 2024 to 2037 (rules 5 to 7).

Python's `zoneinfo` stands in where there is no `zdump`. A zone whose rules differ between pytz and the system is left out, because then
one of the two is simply older (rule 6); how many were compared is bounded from below.
"""

import dataclasses
import itertools
import shutil
import subprocess
import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
import pytz

from calrelay.domain.zones import Resolution, resolve_zone, to_instant, with_offset

FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2037, 12, 31, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
PLACES = ("/usr/sbin/zdump", "/usr/bin/zdump")
REGIONS = sorted({name.split("/")[0] for name in pytz.all_timezones})
ZONES_AT_LEAST = 450  # of some 590; more than that differ only where the system's data is many years old
TRANSITIONS_AT_LEAST = 3_000

Shift = tuple[datetime, timedelta]  # an instant, and the offset from it on


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A zone's clock: the offset at the beginning, and every change of it."""

    at_first: timedelta
    shifts: tuple[Shift, ...]

    @property
    def stretches(self) -> list[tuple[datetime, datetime, timedelta]]:
        """Each offset with the time from and until which it holds."""
        starts = [(datetime.min.replace(tzinfo=UTC), self.at_first), *self.shifts]
        ends = [instant for instant, _ in self.shifts] + [datetime.max.replace(tzinfo=UTC)]
        return [(begin, end, offset) for (begin, offset), end in zip(starts, ends, strict=True)]


def _merged(at_first: timedelta, shifts: Sequence[Shift]) -> Rules:
    """Leave out what changes the name of the time only, and what is before or after the years compared."""
    kept: list[Shift] = []
    offset = at_first
    for instant, following in sorted(shifts):
        if instant < FIRST:
            offset = at_first = following
        elif instant <= LAST and following != offset:
            kept.append((instant, following))
            offset = following
    return Rules(at_first=at_first, shifts=tuple(kept))


def _pytz_rules(name: str) -> Rules:
    """Read pytz's own tables, not by any function of ours."""
    zone = pytz.timezone(name)
    times, infos = getattr(zone, "_utc_transition_times", None), getattr(zone, "_transition_info", None)
    if times is None or infos is None:
        return Rules(at_first=zone.utcoffset(datetime(2024, 1, 1)) or timedelta(), shifts=())  # noqa: DTZ001 # what pytz asks for
    shifts = [(instant.replace(tzinfo=UTC), info[0]) for instant, info in zip(times, infos, strict=True)]
    return _merged(infos[0][0], shifts)


@cache
def system_rules() -> dict[str, Rules]:
    """What the system says of each zone that both know."""
    names = sorted(set(pytz.all_timezones) & zoneinfo.available_timezones())
    zdump = next((place for place in PLACES if shutil.which(place)), None)
    return {name: _zoneinfo_rules(name) for name in names} if zdump is None or not names else _zdump_rules(zdump, names)


def _zdump_rules(zdump: str, names: Sequence[str]) -> dict[str, Rules]:
    """Parse `zdump -i`: after the zone's name its first offset, then a line for each change with the new clock and the new offset."""
    command = [zdump, "-i", "-c", f"{FIRST.year},{LAST.year + 1}", *names]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {}
    for section in text.split('TZ="')[1:]:
        name, _, body = section.partition('"')
        rows = [line.split("\t") for line in body.splitlines() if line]
        at_first = _offset(rows[0][2])
        found[name] = _merged(at_first, [_shift(row) for row in rows[1:]])
    assert found.keys() == set(names)
    return found


def _shift(row: Sequence[str]) -> Shift:
    hour, minute, second = ([int(part) for part in row[1].split(":")] + [0, 0])[:3]
    wall = datetime.fromisoformat(row[0]) + timedelta(hours=hour, minutes=minute, seconds=second)
    offset = _offset(row[2])
    return (wall - offset).replace(tzinfo=UTC), offset


def _offset(text: str) -> timedelta:
    digits = text[1:].ljust(6, "0")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:6]))
    return -size if text.startswith("-") else size


def _zoneinfo_rules(name: str) -> Rules:
    """Find every change by looking at each day, then halving."""
    zone = zoneinfo.ZoneInfo(name)

    def offset_at(instant: datetime) -> timedelta:
        return instant.astimezone(zone).utcoffset() or timedelta()

    shifts = []
    day = FIRST
    while day < LAST:
        low, high = day, day + DAY
        if offset_at(low) != offset_at(high):
            while high - low > SECOND:
                middle = low + (high - low) / 2
                low, high = (middle, high) if offset_at(middle) == offset_at(low) else (low, middle)
            shifts.append((high.replace(microsecond=0), offset_at(high)))
        day += DAY
    return _merged(offset_at(FIRST), shifts)


@cache
def comparable() -> dict[str, Rules]:
    """The zones of which both have the same rules."""
    return {name: rules for name, rules in system_rules().items() if _pytz_rules(name) == rules}


def told(wall: datetime, rules: Rules) -> tuple[datetime, Resolution]:
    """What RFC 5545, 3.3.5 says a wall clock means: in a gap the offset before it, in a fold the first occurrence."""
    stretches = rules.stretches
    meant = [
        instant for begin, end, offset in stretches if begin <= (instant := (wall - offset).replace(tzinfo=UTC)) < end
    ]  # fmt: skip
    if meant:
        return min(meant), Resolution.EXACT if len(meant) == 1 else Resolution.FOLD
    for (_, end, before), (_, _, after) in itertools.pairwise(stretches):
        last = end.replace(tzinfo=None)
        if last + before <= wall < last + after:
            return (wall - before).replace(tzinfo=UTC), Resolution.GAP
    raise AssertionError("neither in a gap nor on the clock")


def walls_around(rules: Rules) -> Iterator[datetime]:
    """Clocks that matter: both edges of each change, just beside them, between them, and days away."""
    before = rules.at_first
    for instant, after in rules.shifts:
        edges = sorted(instant.replace(tzinfo=None) + offset for offset in (before, after))
        middle = edges[0] + (edges[1] - edges[0]) / 2
        for edge in (*edges, middle):
            yield from (edge + by for by in (-DAY, -HOUR, -SECOND, timedelta(), SECOND, HOUR, DAY))
        before = after
    yield from (datetime(year, month, 15, 12, 30) for year in range(2024, 2038) for month in (1, 4, 7, 10))  # noqa: DTZ001 # a wall clock


def test_nearly_every_zone_and_transition_can_be_compared() -> None:
    """A mistake in reading the system's data would prove nothing."""
    if not system_rules():
        pytest.skip("this system has no zone data")
    same = comparable()
    assert len(same) >= ZONES_AT_LEAST
    assert sum(len(rules.shifts) for rules in same.values()) >= TRANSITIONS_AT_LEAST


@pytest.mark.parametrize("region", REGIONS)
def test_a_wall_clock_means_the_instant_that_the_system_tells(region: str) -> None:
    for name, rules in comparable().items():
        if name.split("/")[0] != region:
            continue
        zone = resolve_zone(name)
        for wall in walls_around(rules):
            found = to_instant(wall, zone)
            assert (found.instant, found.flag) == told(wall, rules), (name, wall)
            shown = with_offset(found.instant, zone)
            offset = next(offset for begin, end, offset in rules.stretches if begin <= found.instant < end)
            assert shown.utcoffset() == offset, (name, wall)
