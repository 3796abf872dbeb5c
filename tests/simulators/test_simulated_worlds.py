"""What the made-up worlds promise to those who test and show things in them."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from calrelay.simulators.tripleseat.places import MEWS_HOUSE
from calrelay.simulators.tripleseat.simulator import TripleseatSimulator
from calrelay.simulators.worlds import a_world, populate_tripleseat

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)


def a_filled_one(events: int, now: datetime = NOW, seed: int = 1) -> TripleseatSimulator:
    sim = TripleseatSimulator()
    populate_tripleseat(sim, events=events, now=now, seed=seed)
    return sim


def starts(sim: TripleseatSimulator) -> list[datetime]:
    return sorted(datetime.fromisoformat(stored.row["event_start_utc"]) for stored in sim.events)


def test_the_same_seed_gives_the_same_world() -> None:
    rows = [[stored.row for stored in a_filled_one(130, seed=seed).events] for seed in (1, 1, 2)]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


def test_most_events_are_definite_and_each_status_occurs() -> None:
    statuses = Counter(stored.row["status"] for stored in a_filled_one(130).events)
    assert statuses["DEFINITE"] > 100
    assert set(statuses) == {"DEFINITE", "CLOSED", "TENTATIVE", "LOST", "PROSPECT", "WAITLIST", "ON_HOLD_NEW"}
    assert statuses["ON_HOLD_NEW"] in (1, 2)


@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_events_begin_within_the_last_day_and_the_next_half_year(hour: int) -> None:
    """They all lie in the default window, at whatever time of day the world is made."""
    now = NOW.replace(hour=hour)
    first, *_, last = starts(a_filled_one(130, now))
    assert now - timedelta(days=1) < first < now
    assert now + timedelta(days=140) < last < now + timedelta(days=152)


def test_no_room_is_booked_twice() -> None:
    sim = a_filled_one(130)
    taken = sorted((s.row["room_ids"][0], s.row["event_start_utc"], s.row["event_end_utc"]) for s in sim.events)
    assert [(a, b) for a, b in pairwise(taken) if a[0] == b[0] and a[2] > b[1]] == []


def test_there_are_two_houses_with_a_main_hall_and_a_terrace() -> None:
    rows = [stored.row for stored in a_filled_one(130).events]
    assert {row["location_id"] for row in rows} == {2601, 2602}
    assert {"Main Hall", "Terrace"} <= {row["rooms"][0]["name"] for row in rows}


def test_a_small_world_is_all_in_the_future_and_definite() -> None:
    sim = a_filled_one(5)
    assert {stored.row["status"] for stored in sim.events} == {"DEFINITE"}
    assert starts(sim)[0] > NOW


def test_a_world_can_be_large_and_elsewhere() -> None:
    sim = TripleseatSimulator()
    populate_tripleseat(sim, events=2000, now=NOW, seed=1, locations=(MEWS_HOUSE,))
    assert len(sim.events) == 2000
    assert {stored.row["site_id"] for stored in sim.events} == {1503}


def test_a_world_has_three_vendors_on_one_clock_and_calendars() -> None:
    world = a_world(3, NOW)
    world.clock.advance(timedelta(days=1))
    assert world.tripleseat.clock is world.timetap.clock is world.apptoto.clock is world.clock
    assert (len(world.tripleseat.events), world.timetap.snapshot()["appointments"]) == (130, 70)
    assert set(world.calendars) == {"Main Hall", "Terrace", "Studio"}
    assert world.apptoto.snapshot()["events"] == 0
