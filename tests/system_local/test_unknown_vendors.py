"""What the vendors' pages leave open, every way it may turn out to be: the target ends with the same events, each once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calrelay.simulators.apptoto.settings import AfterDelete, BadEvents, CalendarChange, CalendarList, Extraction, Overload, Race
from calrelay.simulators.timetap.settings import BeyondEnd, IdLists, Spelling, StaffFilter, UnknownId, WithoutStatuses
from calrelay.simulators.tripleseat.settings import BadDates, Deletion, RefreshTokens
from tests.system_local.naive import wanted_of
from tests.system_local.stage import Stage


def turn(settings: Any, **values: object) -> None:
    for name, value in values.items():
        assert hasattr(settings, name)
        setattr(settings, name, value)


def relayed(stage: Stage, prefix: str) -> list[int]:
    """Return the ids of what is relayed and starts in some days, soonest first."""
    later = [event for event in stage.held().values() if event.start_time > datetime.now(UTC) + timedelta(days=3)]
    ids = [event.external_id or "" for event in sorted(later, key=lambda event: (event.start_time, event.id))]
    return [int(external_id.removeprefix(prefix).partition(".")[0]) for external_id in ids if external_id.startswith(prefix)]


def live_through_a_day(stage: Stage) -> None:
    """Load, change this and that, take away and bring back; each time a pass."""
    assert stage.sync().code == 0
    events, book = stage.world.tripleseat.events, stage.world.timetap.book
    moved, lost, gone, renamed, rehoused = relayed(stage, "ts-")[:5]
    cancelled, deleted = relayed(stage, "tt-")[:2]
    events.shift(moved, timedelta(hours=1))
    events.set_status(lost, "LOST")
    events.delete(gone, stage.world.tripleseat.settings.deletion)
    events.rename(renamed, "Another Name")
    location = events.get(rehoused).row["location_id"]
    taken = {room["name"] for room in events.get(rehoused).row["rooms"]}
    rooms = {2601: (90001, 90002), 2602: (90011, 90012)}[location]
    events.relocate(rehoused, location, [rooms[0 if "Terrace" in taken else 1]])
    book.cancel(cancelled)
    book.delete(deleted)
    assert stage.sync().code == 0
    assert_right(stage)
    events.set_status(lost, "DEFINITE")
    book.reopen(cancelled)
    assert stage.sync().code == 0
    assert_right(stage)
    stage.forget_requests()
    assert stage.sync().code == 0
    assert stage.writes() == []


def assert_right(stage: Stage) -> None:
    wanted = wanted_of(stage.world, datetime.now(UTC))
    held = {external_id.partition(".")[0]: (external_id, event) for external_id, event in stage.held().items()}
    assert held.keys() == wanted.keys()
    for base, (external_id, event) in held.items():
        assert (event.title, event.start_time) == (wanted[base].title, datetime.fromisoformat(wanted[base].start))
        assert stage.calendar_of(external_id) == wanted[base].calendar
        assert sorted((p.name, p.email, p.phone) for p in event.participants) == sorted(wanted[base].people)
    assert stage.world.apptoto.events.extracted == []


@pytest.mark.parametrize(
    "modes",
    [
        {"echo_external_id": False},
        {"echo_external_id": False, "rendered_zone": "Asia/Tokyo"},
        {"echo_time_zone": True, "rendered_zone": "UTC"},
        {"after_delete": AfterDelete.NEW},
        {"after_delete": AfterDelete.UPDATE_DELETED, "show_deleted": False},
        {"calendar_change": CalendarChange.REFUSE},
        {"calendar_change": CalendarChange.DUPLICATE},
        {"calendar_list": CalendarList.BARE},
        {"delete_again_status": 404},
        {"page_cap": 5},
        {"race": Race.SEVERAL, "race_seconds": 0.0},
        {"extraction": Extraction.ALWAYS},
        {"overload_above": 4, "overload": Overload.BEFORE},
        {"overload_above": 4, "overload": Overload.HALF_WAY},
        {"overload_above": 4, "overload": Overload.AFTER},
        {"keep_messaged": False, "account_zone": "Asia/Tokyo"},
    ],
    ids=str,
)
def test_whatever_apptoto_turns_out_to_be(small_stage: Stage, modes: dict[str, object]) -> None:
    turn(small_stage.world.apptoto.settings, **modes)
    live_through_a_day(small_stage)


@pytest.mark.parametrize("bad_events", BadEvents)
@pytest.mark.parametrize("echoes", [True, False])
def test_however_apptoto_refuses_a_batch_one_event_is_quarantined(small_stage: Stage, bad_events: BadEvents, *, echoes: bool) -> None:
    wanted = wanted_of(small_stage.world, datetime.now(UTC)).keys()
    bad = max(external_id for external_id in wanted if external_id.startswith("ts-"))
    turn(small_stage.world.apptoto.settings, bad_events=bad_events, poison=(bad,), echo_external_id=echoes)
    passes = small_stage.sync()
    assert (passes.code, passes.of("venue").quarantined) == (1, 1), passes.document
    assert small_stage.held().keys() == wanted - {bad}
    small_stage.forget_requests()
    assert small_stage.sync().code == 1
    assert small_stage.writes() == []


@pytest.mark.parametrize(
    "modes",
    [
        {"page_size": 7},
        {"wrap_rows": True},
        {"deletion": Deletion.MARKED},
        {"deletion": Deletion.LISTED},
        {"bad_dates": BadDates.REJECT},
        {"refresh_tokens": RefreshTokens.KEEP, "access_seconds": 1},
        {"page_size": 10, "repeat_rows": 2},
    ],
    ids=str,
)
def test_whatever_tripleseat_turns_out_to_be(small_stage: Stage, modes: dict[str, object]) -> None:
    turn(small_stage.world.tripleseat.settings, **modes)
    live_through_a_day(small_stage)


@pytest.mark.parametrize(
    "modes",
    [
        {"page_cap": 5},
        {"beyond_end": BeyondEnd.LAST},
        {"counts": False},
        {"count_key": "total"},
        {"unknown_id": UnknownId.BAD_REQUEST},
        {"without_statuses": WithoutStatuses.NOTHING},
        {"time_off_always": True},
        {"spelling": Spelling.WEBHOOK},
        {"spelling": Spelling.WEBHOOK_OLD},
        {"legacy_zones": True, "utc_fields": False},
        {"null_fields": True, "id_lists": IdLists.OBJECT, "staff_filter": StaffFilter.STAFF},
        {"parallel_tokens": False, "token_calls": 2},
    ],
    ids=str,
)
def test_whatever_timetap_turns_out_to_be(small_stage: Stage, modes: dict[str, object]) -> None:
    turn(small_stage.world.timetap.settings, **modes)
    live_through_a_day(small_stage)


@pytest.mark.parametrize("modes", [{"page_shift": 2}, {"page_shift": -2}, {"count_offset": 3}, {"count_offset": -3}], ids=str)
def test_a_list_of_appointments_that_loses_or_repeats_rows_never_deletes_one(small_stage: Stage, modes: dict[str, object]) -> None:
    small_stage.sync()
    before = small_stage.held().keys()
    turn(small_stage.world.timetap.settings, page_cap=4, **modes)
    small_stage.sync()
    assert small_stage.held().keys() == before


def test_an_event_that_two_pipelines_want_is_refused_and_then_changes_hands(small_stage: Stage) -> None:
    """A second pipeline for weddings on the same account: a dinner that becomes a wedding moves over, once."""
    small_stage.configure(
        venue_tables="""
[pipelines.filter]
exclude = { event_types = ["Wedding"] }
[[pipelines]]
name = "weddings"
source = "venue"
target = "reminders"
calendar = "Studio"
[pipelines.guards]
first_load = 1000
[pipelines.filter]
event_types = ["Wedding"]
"""
    )
    small_stage.sync("venue", "weddings")
    number = next(n for n in relayed(small_stage, "ts-") if small_stage.calendar_of(f"ts-{n}") != "Studio")
    small_stage.world.tripleseat.events.patch(number, {"event_type": "Wedding"})
    claimed = small_stage.sync("weddings")  # before the other one has let go
    assert claimed.code == 1
    assert "venue" in claimed.of("weddings").problems[0].message
    assert "weddings" in claimed.of("weddings").problems[0].message
    assert small_stage.sync("venue", "weddings").code == 0
    assert small_stage.calendar_of(f"ts-{number}.2") == "Studio"
    small_stage.forget_requests()
    assert small_stage.sync("venue", "weddings").code == 0
    assert small_stage.writes() == []
