"""Every transition of every zone, and any instant at all, there and back again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import pytz
from hypothesis import given
from hypothesis import strategies as st

from calrelay.domain.zones import LocalInstant, Resolution, Zone, offset_at, parse_wall_clock, resolve_zone, to_instant, with_offset
from calrelay.errors import MappingError

FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
AROUND = [timedelta(minutes=minutes) for minutes in (-1500, -121, -60, -31, -1, 0, 1, 29, 30, 59, 60, 119, 1500)]
REGIONS = sorted({name.split("/")[0] for name in pytz.common_timezones})


def transitions(zone: Zone) -> Iterator[datetime]:
    """Find them by looking at offsets week by week, then halving: independent of how pytz stores them.

    Nowhere are two closer than the four weeks of Ramadan.
    """
    day, offset = FIRST, offset_at(FIRST, zone)
    while day < LAST:
        following = day + WEEK
        if (changed := offset_at(following, zone)) != offset:
            yield _first_instant_of(changed, day, following, zone)
            offset = changed
        day = following


def _first_instant_of(offset: timedelta, low: datetime, high: datetime, zone: Zone) -> datetime:
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        low, high = (low, middle) if offset_at(middle, zone) == offset else (middle, high)
    return high.replace(microsecond=0)


def wall(instant: datetime, zone: Zone) -> datetime:
    return with_offset(instant, zone).replace(tzinfo=None)


def occurrences(clock: datetime, zone: Zone) -> list[datetime]:
    """Every instant at which the zone's clocks show `clock`, found by trying all offsets in quarters of an hour."""
    guesses = (clock.replace(tzinfo=UTC) - timedelta(minutes=15 * quarter) for quarter in range(-50, 59))
    return sorted(instant for instant in guesses if wall(instant, zone) == clock)


def assert_returns(instant: datetime, zone: Zone, found: LocalInstant) -> None:
    assert wall(found.instant, zone) == wall(instant, zone), (zone, instant)
    if found.flag is Resolution.EXACT:
        assert found.instant == instant, (zone, instant)
    else:
        assert found.flag is Resolution.FOLD, (zone, instant)
        assert found.instant <= instant, (zone, instant)


@pytest.mark.parametrize("region", REGIONS)
def test_every_instant_around_a_transition_comes_back_from_its_wall_clock(region: str) -> None:
    """Instant to wall to instant is the identity, save that the second showing of a fold becomes the first."""
    for name in pytz.common_timezones:
        if name.split("/")[0] == region:
            zone = resolve_zone(name)
            for transition in transitions(zone):
                for shift in AROUND:
                    assert_returns(transition + shift, zone, to_instant(wall(transition + shift, zone), zone))


zones = st.sampled_from(pytz.common_timezones).map(resolve_zone)
quarters = st.integers(0, 14 * 366 * 96 - 1).map(lambda quarter: FIRST.replace(tzinfo=None) + timedelta(minutes=15 * quarter))


@given(zones, quarters)
def test_any_wall_clock_is_its_first_occurrence_or_a_gap_read_with_the_offset_before(zone: Zone, clock: datetime) -> None:
    found, shown = to_instant(clock, zone), occurrences(clock, zone)
    if shown:
        assert found.instant == shown[0]
        assert (found.flag is Resolution.FOLD) == (len(shown) > 1)
    else:
        assert found.flag is Resolution.GAP
        assert clock.replace(tzinfo=UTC) - found.instant == offset_at(found.instant - timedelta(days=1), zone)


@given(zones, quarters)
def test_wherever_pytz_is_sure_we_agree_with_it(zone: Zone, clock: datetime) -> None:
    try:
        sure = pytz.timezone(zone).localize(clock, is_dst=None)
    except pytz.InvalidTimeError:
        assert to_instant(clock, zone).flag is not Resolution.EXACT
    else:
        assert to_instant(clock, zone) == LocalInstant(instant=sure.astimezone(UTC), flag=Resolution.EXACT)


@given(
    st.text(max_size=40) | st.from_regex(r"\A\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,4}( \d{1,2}:\d\d)?( [AP]M)?( [A-Z]{1,4})?([+-]\d\d:?\d\d)?\Z")
)
def test_any_text_is_a_date_or_a_mapping_error(text: str) -> None:
    try:
        value = parse_wall_clock(text)
    except MappingError:
        return
    assert str(value.year) in text or not text.isascii()


@given(st.datetimes(datetime.fromisoformat("1970-01-01"), datetime.fromisoformat("2200-12-31")))
def test_tripleseats_way_to_write_a_minute_is_read_back(value: datetime) -> None:
    value = value.replace(second=0, microsecond=0)
    hour = value.hour % 12 or 12
    text = f"{value.month}/{value.day}/{value.year} {hour}:{value.minute:02} {'AM' if value.hour < 12 else 'PM'}"
    assert parse_wall_clock(text) == value
