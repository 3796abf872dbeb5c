"""Events that change calendar, leave the window, end, leave the filter and come back: each ends as rules 13, 17 and 18 say."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from calrelay.simulators.tripleseat.places import ALDER_HOUSE
from calrelay.simulators.tripleseat.rows import an_event_row
from tests.system_local.conftest import NOW
from tests.system_local.stage import Passes, Stage

FIRST = 61_000_001
MAIN_HALL, TERRACE, CELLAR = (room.id for room in ALDER_HOUSE.rooms)
EASTERN = timedelta(hours=-5)


def wall(days: float) -> datetime:
    """Return the wall clock in New York so many days from now."""
    return (NOW + timedelta(days=days) + EASTERN).replace(tzinfo=None)


def booked(stage: Stage, number: int, days: float = 10) -> int:
    event_id = FIRST + number
    stage.world.tripleseat.events.add(an_event_row(event_id, wall(days), wall(days) + timedelta(hours=3)))
    return event_id


def relayed(stage: Stage, count: int = 12) -> list[int]:
    """Book dinners on different days, and relay them all."""
    ids = [booked(stage, number, days=5 + number) for number in range(count)]
    assert stage.sync("venue").of("venue").created == count
    stage.forget_requests()
    return ids


def move_to_room(stage: Stage, event_id: int, room: int) -> None:
    stage.world.tripleseat.events.relocate(event_id, ALDER_HOUSE.id, [room])


def methods(stage: Stage) -> list[str]:
    return [entry.method for entry in stage.writes()]


def assert_calm(stage: Stage) -> None:
    """The pass after finds nothing to do."""
    stage.forget_requests()
    stage.sync("venue")
    assert stage.writes() == []


# --- rule 18 ---


def test_a_room_of_another_route_is_a_delete_and_a_create_of_the_next_generation(bare_stage: Stage) -> None:
    ids = relayed(bare_stage)
    move_to_room(bare_stage, ids[3], TERRACE)
    report = bare_stage.sync("venue").of("venue")
    assert (methods(bare_stage), report.deleted, report.created) == (["DELETE", "PUT"], 1, 1)
    assert f"ts-{ids[3]}" not in bare_stage.held()
    assert bare_stage.calendar_of(f"ts-{ids[3]}.2") == "Terrace"
    assert_calm(bare_stage)


def test_a_room_and_back_is_the_third_generation(bare_stage: Stage) -> None:
    ids = relayed(bare_stage)
    for room in (TERRACE, MAIN_HALL):
        move_to_room(bare_stage, ids[3], room)
        bare_stage.sync("venue")
    assert bare_stage.calendar_of(f"ts-{ids[3]}.3") == "Main Hall"
    assert len(bare_stage.held()) == 12
    assert_calm(bare_stage)


def test_another_room_of_the_same_calendar_is_an_update(bare_stage: Stage) -> None:
    ids = relayed(bare_stage)
    move_to_room(bare_stage, ids[3], CELLAR)
    bare_stage.sync("venue")
    (row,) = bare_stage.rows_sent()
    assert row.keys() == {"external_id", "calendar_id", "location"}


def test_many_rooms_at_once_are_held_until_somebody_approves(bare_stage: Stage) -> None:
    ids = relayed(bare_stage)
    for event_id in ids[:6]:
        move_to_room(bare_stage, event_id, TERRACE)
    passes = bare_stage.sync("venue")
    assert (passes.code, passes.of("venue").held, methods(bare_stage)) == (4, 6, [])
    assert bare_stage.type("approve", "venue").code == 0
    passes = bare_stage.sync("venue")
    assert (passes.code, passes.of("venue").deleted, passes.of("venue").created) == (0, 6, 6)
    assert sum(bare_stage.calendar_of(external_id) == "Terrace" for external_id in bare_stage.held()) == 6
    assert_calm(bare_stage)


def test_a_route_changed_in_the_config_is_one_hold(bare_stage: Stage) -> None:
    relayed(bare_stage)
    route = '[[pipelines.routes]]\nmatch = { rooms = ["Main Hall"] }\ncalendar = "Studio"\n'
    bare_stage.configure(venue=route)
    passes = bare_stage.sync("venue")
    assert (passes.code, passes.of("venue").held, methods(bare_stage)) == (4, 12, [])
    assert [hold["kind"] for hold in bare_stage.type("holds", "--json").document["holds"]] == ["route change"]


# --- rule 17 ---


def test_an_event_moved_out_of_the_window_is_followed(bare_stage: Stage) -> None:
    ids = relayed(bare_stage)
    bare_stage.world.tripleseat.events.move(ids[0], wall(300))
    assert bare_stage.sync("venue").code == 0
    (row,) = bare_stage.rows_sent()
    assert row["external_id"] == f"ts-{ids[0]}"
    assert row.keys() == {"external_id", "calendar_id", "start_time", "end_time"}
    assert_calm(bare_stage)


def test_an_event_out_there_is_still_cared_for(bare_stage: Stage) -> None:
    ids = relayed(bare_stage)
    events = bare_stage.world.tripleseat.events
    events.move(ids[0], wall(300))
    bare_stage.sync("venue")
    bare_stage.forget_requests()
    events.rename(ids[0], "Another Name")
    bare_stage.sync("venue")
    assert [row["title"] for row in bare_stage.rows_sent()] == ["Another Name"]
    events.set_status(ids[0], "LOST")
    bare_stage.sync("venue")
    assert f"ts-{ids[0]}" not in bare_stage.held()


def test_an_event_that_comes_back_into_the_window_is_the_same_entry(bare_stage: Stage) -> None:
    ids = relayed(bare_stage)
    target_id = bare_stage.held()[f"ts-{ids[0]}"].id
    for days in (300, 9.5):
        bare_stage.world.tripleseat.events.move(ids[0], wall(days))
        bare_stage.sync("venue")
    assert bare_stage.held()[f"ts-{ids[0]}"].id == target_id
    assert bare_stage.held()[f"ts-{ids[0]}"].start_time == NOW + timedelta(days=9.5)


@pytest.mark.parametrize("days", [-0.5, -40])
def test_an_event_moved_into_the_past_is_deleted(bare_stage: Stage, days: float) -> None:
    ids = relayed(bare_stage)
    bare_stage.world.tripleseat.events.move(ids[0], wall(days))
    passes = bare_stage.sync("venue")
    assert (passes.code, methods(bare_stage)) == (0, ["DELETE"])
    assert_calm(bare_stage)


def test_many_events_moved_into_the_past_are_held(bare_stage: Stage) -> None:
    ids = relayed(bare_stage)
    for event_id in ids[:6]:
        bare_stage.world.tripleseat.events.move(event_id, wall(-0.5))
    passes = bare_stage.sync("venue")
    assert (passes.code, passes.of("venue").held, methods(bare_stage)) == (4, 6, [])


@pytest.mark.parametrize("change", ["rename", "lost", "gone", "further back"])
def test_what_is_over_at_both_ends_is_left_alone(bare_stage: Stage, change: str) -> None:
    relayed(bare_stage)
    over = booked(bare_stage, 50, days=0.1)
    bare_stage.sync("venue")
    events = bare_stage.world.tripleseat.events
    bare_stage.world.clock.advance(timedelta(hours=8))
    match change:
        case "rename":
            events.rename(over, "Another Name")
        case "lost":
            events.set_status(over, "LOST")
        case "gone":
            events.delete(over)
        case _:
            events.shift(over, timedelta(hours=-2))
    bare_stage.forget_requests()
    assert bare_stage.sync("venue").code == 0
    assert bare_stage.writes() == []
    assert f"ts-{over}" in bare_stage.held()


def test_what_is_over_and_moved_ahead_again_is_updated(bare_stage: Stage) -> None:
    relayed(bare_stage)
    over = booked(bare_stage, 50, days=0.1)
    bare_stage.sync("venue")
    bare_stage.world.clock.advance(timedelta(hours=8))
    bare_stage.world.tripleseat.events.move(over, wall(20))
    bare_stage.forget_requests()
    bare_stage.sync("venue")
    assert [(row["external_id"], row.get("start_time")) for row in bare_stage.rows_sent()] == [(f"ts-{over}", "2026-12-11T10:00:00-05:00")]


def test_an_event_that_came_into_the_window_by_time_alone_is_created(bare_stage: Stage) -> None:
    relayed(bare_stage)
    far = booked(bare_stage, 50, days=183)
    bare_stage.sync("venue")
    assert bare_stage.writes() == []
    bare_stage.world.clock.advance(timedelta(days=4))
    bare_stage.sync("venue")
    assert [row["external_id"] for row in bare_stage.rows_sent()] == [f"ts-{far}"]


# --- rule 13 ---


def with_filter(stage: Stage, words: str) -> None:
    stage.configure(venue_tables=f"[pipelines.filter]\n{words}")


@pytest.mark.parametrize("status", ["PROSPECT", "TENTATIVE", "WAITLIST", "LOST", "lost"])
def test_a_status_that_is_not_relayed_deletes_what_was(bare_stage: Stage, status: str) -> None:
    ids = relayed(bare_stage)
    bare_stage.world.tripleseat.events.set_status(ids[0], status)
    assert bare_stage.sync("venue").code == 0
    assert methods(bare_stage) == ["DELETE"]
    assert_calm(bare_stage)


def test_an_unknown_status_updates_what_was_relayed_and_neither_creates_nor_deletes(bare_stage: Stage) -> None:
    ids = relayed(bare_stage)
    events = bare_stage.world.tripleseat.events
    fresh = booked(bare_stage, 50)
    for event_id in (ids[0], fresh):
        events.set_status(event_id, "ON_HOLD_NEW")
    bare_stage.sync("venue")
    bare_stage.forget_requests()
    events.rename(ids[0], "Another Name")
    passes = bare_stage.sync("venue")
    assert [(row["external_id"], row.get("title")) for row in bare_stage.rows_sent()] == [(f"ts-{ids[0]}", "Another Name")]
    assert (methods(bare_stage), passes.code) == (["PUT"], 0)
    assert f"ts-{fresh}" not in bare_stage.held()


def test_out_of_the_filter_is_a_delete_and_back_is_the_next_generation(bare_stage: Stage) -> None:
    with_filter(bare_stage, 'event_types = ["Corporate"]')
    ids = relayed(bare_stage)
    events = bare_stage.world.tripleseat.events
    events.patch(ids[0], {"event_type": "Wedding"})
    bare_stage.sync("venue")
    assert methods(bare_stage) == ["DELETE"]
    assert_calm(bare_stage)
    events.patch(ids[0], {"event_type": "Corporate"})
    bare_stage.sync("venue")
    assert [row["external_id"] for row in bare_stage.rows_sent()] == [f"ts-{ids[0]}.2"]
    assert_calm(bare_stage)


def hold_kinds(stage: Stage) -> Sequence[str]:
    return [hold["kind"] for hold in stage.type("holds", "--json").document["holds"]]


def test_a_filter_changed_in_the_config_is_one_hold_and_its_approval_deletes(bare_stage: Stage) -> None:
    ids = relayed(bare_stage)
    bare_stage.world.tripleseat.events.patch(ids[0], {"event_type": "Wedding"})
    bare_stage.sync("venue")
    bare_stage.forget_requests()
    with_filter(bare_stage, 'exclude = { event_types = ["Wedding"] }')
    passes = bare_stage.sync("venue")
    assert (passes.code, passes.of("venue").held, methods(bare_stage)) == (4, 1, [])
    assert hold_kinds(bare_stage) == ["filter change"]
    bare_stage.type("approve", "venue")
    passes = bare_stage.sync("venue")
    assert (passes.code, methods(bare_stage)) == (0, ["DELETE"])
    assert_calm(bare_stage)


def test_a_rejected_filter_change_releases_the_event_for_good(bare_stage: Stage) -> None:
    ids = relayed(bare_stage)
    bare_stage.world.tripleseat.events.patch(ids[0], {"event_type": "Wedding"})
    bare_stage.sync("venue")
    with_filter(bare_stage, 'exclude = { event_types = ["Wedding"] }')
    bare_stage.sync("venue")
    (hold,) = bare_stage.type("holds", "--json").document["holds"]
    assert bare_stage.type("reject", hold["id"]).code == 0
    bare_stage.forget_requests()
    bare_stage.world.tripleseat.events.set_status(ids[0], "LOST")
    passes = bare_stage.sync("venue")
    assert (passes.code, passes.of("venue").held, bare_stage.writes()) == (0, 0, [])
    assert f"ts-{ids[0]}" in bare_stage.held()


def test_a_no_show_is_left_as_it_is(bare_stage: Stage) -> None:
    book = bare_stage.world.timetap.book
    number = book.book(wall(5), 45, "America/New_York")
    assert bare_stage.sync("studio").of("studio").created == 1
    book.no_show(number)
    bare_stage.forget_requests()
    passes: Passes = bare_stage.sync("studio")
    assert (passes.code, bare_stage.writes()) == (0, [])
    assert f"tt-{number}" in bare_stage.held()
