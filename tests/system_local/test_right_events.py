"""The main job over a whole world: exactly the right events, and each change in a source is exactly one write."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.system_local.naive import Wanted, wanted_of
from tests.system_local.stage import Stage


def sent(stage: Stage) -> dict[str, Wanted]:
    """Read the PUTs that reached the target as entries, the texts of their times untouched."""
    names = {number: name for name, number in stage.world.calendars.items()}
    return {row["external_id"]: _as_wanted(row, names) for row in stage.rows_sent()}


def _as_wanted(row: dict[str, Any], names: dict[int, str]) -> Wanted:
    return Wanted(
        external_id=row["external_id"],
        calendar=names[row["calendar_id"]],
        title=row["title"],
        start=row["start_time"],
        end=row["end_time"],
        people=tuple((p.get("name", ""), p.get("email"), p.get("phone")) for p in row["participants"]),
    )


def assert_holds_the_right_events(stage: Stage) -> None:
    wanted = wanted_of(stage.world, datetime.now(UTC))
    assert len(wanted) > 120
    assert sent(stage) == wanted
    assert len(stage.rows_sent()) == len(wanted)
    held = stage.held()
    assert held.keys() == wanted.keys()
    for external_id, entry in wanted.items():
        assert held[external_id].start_time == datetime.fromisoformat(entry.start)
        assert held[external_id].end_time == datetime.fromisoformat(entry.end)
        assert stage.calendar_of(external_id) == entry.calendar


def day(offset: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=offset):%Y-%m-%d}"


def test_a_world_has_what_this_file_is_about(full_stage: Stage) -> None:
    """Three pages of events, every status, and appointments that are nobody's booking."""
    statuses = {stored.row["status"] for stored in full_stage.world.tripleseat.events}
    assert {"DEFINITE", "CLOSED", "LOST", "PROSPECT", "WAITLIST", "ON_HOLD_NEW"} <= statuses
    rows = [booking.row for booking in full_stage.world.timetap.book.bookings.values()]
    assert (len(full_stage.world.tripleseat.events), len(rows)) == (130, 70)
    assert any(row["client"] is None for row in rows)
    assert {"CANCELLED", "RESCHEDULED", "PENDING", "OPEN"} <= {row["status"] for row in rows}


def test_after_one_sync_the_target_holds_exactly_the_right_events(full_stage: Stage) -> None:
    said = full_stage.type("sync", "--json")
    assert said.code == 0, said
    assert_holds_the_right_events(full_stage)
    reads = [entry for entry in full_stage.world.tripleseat.journal.entries if entry.path.startswith("/v1/events/search")]
    assert sorted(dict(entry.query)["page"] for entry in reads) == ["1", "2", "3"]


def test_after_backfills_the_target_holds_exactly_the_right_events(full_stage: Stage) -> None:
    full_stage.configure(first_load="0")
    for name in ("venue", "studio"):
        said = full_stage.type("backfill", name, "--from", day(-1), "--to", day(181), "--messages", "no-booking")
        assert said.code == 0, said
    assert_holds_the_right_events(full_stage)
    full_stage.forget_requests()
    said = full_stage.type("sync", "--json")
    assert (said.code, full_stage.writes()) == (0, [])


def test_a_second_sync_sends_no_write_at_all(full_stage: Stage) -> None:
    full_stage.sync()
    full_stage.forget_requests()
    passes = full_stage.sync()
    assert full_stage.writes() == []
    for report in passes.reports:
        assert (report.sent, report.outcome.value, report.exit_code) == (0, "ok", 0)


def test_reading_back_our_own_entries_sends_nothing_either(full_stage: Stage) -> None:
    """A lost database: the first pass of a new one takes up what is there, and doubles nobody."""
    full_stage.sync()
    before = {event.id for event in full_stage.world.apptoto.events.live_events()}
    full_stage.database.unlink()
    full_stage.consent()
    full_stage.forget_requests()
    full_stage.configure(first_load="0")
    passes = full_stage.sync()
    assert {event.id for event in full_stage.world.apptoto.events.live_events()} == before
    assert [entry.method for entry in full_stage.writes()] == []
    assert passes.code == 0


Change = Callable[[Stage, int], object]

TRIPLESEAT: dict[str, tuple[Change, str, frozenset[str]]] = {
    "a move": (lambda s, n: s.world.tripleseat.events.shift(n, timedelta(minutes=45)), "PUT", frozenset({"start_time", "end_time"})),
    "a rename": (lambda s, n: s.world.tripleseat.events.rename(n, "Another Name"), "PUT", frozenset({"title"})),
    "LOST": (lambda s, n: s.world.tripleseat.events.set_status(n, "LOST"), "DELETE", frozenset()),
    "a deletion": (lambda s, n: s.world.tripleseat.events.delete(n), "DELETE", frozenset()),
}
TIMETAP: dict[str, tuple[Change, str, frozenset[str]]] = {
    "a cancellation": (lambda s, n: s.world.timetap.book.cancel(n), "DELETE", frozenset()),
    "a deletion": (lambda s, n: s.world.timetap.book.delete(n), "DELETE", frozenset()),
    "a note": (lambda s, n: s.world.timetap.book.patch(n, {"cancelUser": "somebody"}), "", frozenset()),
}


def a_relayed_id(stage: Stage, prefix: str) -> int:
    """Choose an event some weeks ahead, in the middle of what is held."""
    ahead = sorted((e.start_time, e.external_id or "") for e in stage.world.apptoto.events.live_events())
    ours = [external_id for start, external_id in ahead if external_id.startswith(prefix) and start > datetime.now(UTC) + timedelta(days=3)]
    return int(ours[len(ours) // 2].removeprefix(prefix))


def assert_one_write(stage: Stage, external_id: str, target_id: int, method: str, fields: frozenset[str]) -> None:
    stage.forget_requests()
    assert stage.sync().code == 0
    writes = stage.writes()
    assert [entry.method for entry in writes] == ([method] if method else [])
    if method == "PUT":
        (row,) = stage.rows_sent()
        assert row.keys() == fields | {"external_id", "calendar_id"}
        assert row["external_id"] == external_id
    if method == "DELETE":
        assert dict(writes[0].query) == {"id": str(target_id)}
    stage.forget_requests()
    stage.sync()
    assert stage.writes() == []


@pytest.mark.parametrize("change", TRIPLESEAT)
def test_a_change_at_tripleseat_is_one_write_and_then_none(small_stage: Stage, change: str) -> None:
    small_stage.sync()
    number = a_relayed_id(small_stage, "ts-")
    target_id = small_stage.held()[f"ts-{number}"].id
    edit, method, fields = TRIPLESEAT[change]
    edit(small_stage, number)
    assert_one_write(small_stage, f"ts-{number}", target_id, method, fields)


@pytest.mark.parametrize("change", TIMETAP)
def test_a_change_at_timetap_is_one_write_and_then_none(small_stage: Stage, change: str) -> None:
    small_stage.sync()
    number = a_relayed_id(small_stage, "tt-")
    target_id = small_stage.held()[f"tt-{number}"].id
    edit, method, fields = TIMETAP[change]
    edit(small_stage, number)
    assert_one_write(small_stage, f"tt-{number}", target_id, method, fields)


def test_what_returns_is_created_once_under_the_next_generation(small_stage: Stage) -> None:
    small_stage.sync()
    event, appointment = a_relayed_id(small_stage, "ts-"), a_relayed_id(small_stage, "tt-")
    small_stage.world.tripleseat.events.set_status(event, "LOST")
    small_stage.world.timetap.book.cancel(appointment)
    small_stage.sync()
    small_stage.world.tripleseat.events.set_status(event, "DEFINITE")
    small_stage.world.timetap.book.reopen(appointment)
    small_stage.forget_requests()
    assert small_stage.sync().code == 0
    assert sorted(row["external_id"] for row in small_stage.rows_sent()) == [f"ts-{event}.2", f"tt-{appointment}.2"]
    assert len(small_stage.writes()) == 2
    small_stage.forget_requests()
    small_stage.sync()
    assert small_stage.writes() == []
