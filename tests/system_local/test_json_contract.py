"""What `--json` promises: one document whatever happens, counters that add up, requests by account, and an exit code for each outcome."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calrelay.simulators.faults import Fault, Kind
from calrelay.simulators.tripleseat.rows import an_event_row
from tests.system_local.stage import Stage
from tests.unit.cli.schemas import assert_fits

COUNTERS = ("read", "created", "updated", "deleted", "unchanged", "skipped", "quarantined", "held", "waiting")
KEYS = {"pipeline", "outcome", *COUNTERS, "requests", "seconds", "problems"}


def the_pass(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the only pass of a document that keeps the contract."""
    assert_fits(document, "passes")
    (one,) = document["passes"]
    assert one.keys() >= KEYS
    assert all(isinstance(one[name], int) and one[name] >= 0 for name in COUNTERS)
    return one  # type: ignore[no-any-return] # a document


def balance(one: Mapping[str, Any]) -> int:
    """Return how many events are accounted for twice (above zero) or not at all (below)."""
    return sum(int(one[name]) for name in COUNTERS if name != "read") - int(one["read"])


def synced(stage: Stage, pipeline: str = "venue") -> Mapping[str, Any]:
    return the_pass(stage.type("sync", pipeline, "--json").document)


def soonest(stage: Stage, number: int) -> list[int]:
    """Return the ids of the first relayed events from tomorrow on."""
    held = sorted(stage.held().values(), key=lambda event: event.start_time)
    ahead = [event for event in held if event.start_time > datetime.now(UTC) + timedelta(days=2)]
    return [int((event.external_id or "").removeprefix("ts-")) for event in ahead[:number]]


@pytest.mark.parametrize("pipeline", ["venue", "studio"])
def test_the_counters_of_a_pass_add_up_to_what_was_read(full_stage: Stage, pipeline: str) -> None:
    for _ in range(2):
        one = synced(full_stage, pipeline)
        assert (balance(one), one["outcome"]) == (0, "ok")


def test_the_counters_of_a_plan_are_those_of_the_sync_that_follows(full_stage: Stage) -> None:
    planned = the_pass(full_stage.type("plan", "venue", "--json").document)
    done = synced(full_stage)
    assert {name: planned[name] for name in COUNTERS} == {name: done[name] for name in COUNTERS}
    assert len(planned["actions"]) == done["created"]


def test_updates_cancellations_and_quarantine_add_up_as_well(full_stage: Stage) -> None:
    synced(full_stage)
    events = full_stage.world.tripleseat.events
    moved, renamed, lost, broken = soonest(full_stage, 4)
    events.shift(moved, timedelta(hours=1))
    events.rename(renamed, "Another Name")
    events.set_status(lost, "LOST")
    events.patch(broken, {"event_end_utc": "2001-01-01T00:00:00Z", "event_end_iso8601": "2001-01-01T00:00:00+00:00"})
    one = synced(full_stage)
    assert {name: one[name] for name in ("updated", "deleted", "quarantined")} == {"updated": 2, "deleted": 1, "quarantined": 1}
    assert balance(one) == 0


def test_held_events_add_up_as_well(full_stage: Stage) -> None:
    synced(full_stage)
    for event_id in soonest(full_stage, 30):
        full_stage.world.tripleseat.events.set_status(event_id, "LOST")
    one = synced(full_stage)
    assert (one["held"], one["deleted"], balance(one)) == (30, 0, 0)


def test_a_calendar_move_is_a_delete_and_a_create_and_so_counts_twice(full_stage: Stage) -> None:
    synced(full_stage)
    (event_id,) = [n for n in soonest(full_stage, 40) if full_stage.calendar_of(f"ts-{n}") == "Main Hall"][:1]
    row = full_stage.world.tripleseat.events.get(event_id).row
    terrace = {2601: 90002, 2602: 90012}[row["location_id"]]
    full_stage.world.tripleseat.events.relocate(event_id, row["location_id"], [terrace])
    one = synced(full_stage)
    assert (one["deleted"], one["created"], balance(one)) == (1, 1, 1)


def test_what_is_gone_was_not_read_and_so_stands_beside_the_sum(full_stage: Stage) -> None:
    synced(full_stage)
    full_stage.world.tripleseat.events.delete(soonest(full_stage, 1)[0])
    one = synced(full_stage)
    assert (one["deleted"], balance(one)) == (1, 1)


def test_requests_are_those_each_vendor_saw(full_stage: Stage) -> None:
    full_stage.forget_requests()
    for pipeline, simulator in (("venue", full_stage.world.tripleseat), ("studio", full_stage.world.timetap)):
        full_stage.forget_requests()
        one = synced(full_stage, pipeline)
        assert one["requests"] == {pipeline: len(simulator.journal.entries), "reminders": len(full_stage.world.apptoto.journal.entries)}


def test_a_calm_pass_costs_as_many_requests_as_there_are_pages(full_stage: Stage) -> None:
    synced(full_stage)
    assert synced(full_stage)["requests"] == {"venue": 3, "reminders": 0}


# --- outcomes and exit codes ---


def refuse_the_first_load(stage: Stage) -> None:
    stage.configure(first_load="0")


def hold_deletes(stage: Stage) -> None:
    synced(stage)
    for event_id in soonest(stage, 8):
        stage.world.tripleseat.events.set_status(event_id, "LOST")


def pause(stage: Stage) -> None:
    stage.type("pause", "venue")


def spoil_one(stage: Stage) -> None:
    start = (datetime.now(UTC) + timedelta(days=3)).replace(tzinfo=None)
    row = an_event_row(1, start, start - timedelta(hours=2))
    stage.world.tripleseat.events.add(row)


def break_page_2(stage: Stage) -> None:
    stage.world.tripleseat.settings.page_size = 10
    stage.world.tripleseat.faults.add(Fault(kind=Kind.HTML, path="/v1/events/search", skip=1, times=None))


def take_consent_back(stage: Stage) -> None:
    stage.world.tripleseat.authority.revoke()


def rename_the_calendar(stage: Stage) -> None:
    next(iter(stage.world.apptoto.events.calendars.values())).name = "Grand Hall"


@pytest.mark.parametrize(
    ("prepare", "code", "outcome"),
    [
        (lambda _: None, 0, "ok"),
        (spoil_one, 1, "partial"),
        (rename_the_calendar, 2, "failed"),
        (break_page_2, 3, "partial"),
        (take_consent_back, 3, "failed"),
        (refuse_the_first_load, 4, "refused"),
        (hold_deletes, 4, "partial"),
        (pause, 4, "refused"),
    ],
)
def test_each_outcome_has_its_exit_code_and_its_one_document(small_stage: Stage, prepare: Any, code: int, outcome: str) -> None:
    prepare(small_stage)
    said = small_stage.type("sync", "venue", "--json")
    assert (said.code, the_pass(said.document)["outcome"]) == (code, outcome), said
    assert said.out.endswith("}\n")
    assert all(problem["message"] and problem["remedy"] for problem in the_pass(said.document)["problems"])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("sync", "nowhere"), 2),
        (("backfill", "venue", "--from", "2027-02-01", "--to", "2027-01-01", "--messages", "skip"), 2),
        (("backfill", "venue", "--from", "2027-01-01", "--to", "2027-02-01"), 2),
        (("backfill", "venue", "--from", "soon", "--to", "2027-02-01", "--messages", "skip"), 2),
        (("sink",), 2),
    ],
)
def test_what_never_reached_a_pass_is_one_error_document(small_stage: Stage, words: tuple[str, ...], code: int) -> None:
    said = small_stage.type(*words, "--json")
    error = said.document["error"]
    assert error.keys() >= {"kind", "message", "remedy"}
    assert error["message"]
    assert said.code == code
    assert "Traceback" not in said.err


def test_a_config_that_others_can_read_is_refused(small_stage: Stage) -> None:
    small_stage.config.chmod(0o644)
    said = small_stage.type("sync", "--json")
    assert (said.code, said.document["error"]["kind"]) == (2, "ConfigError")
    assert "chmod" in json.dumps(said.document)


def test_logs_never_stand_between_a_program_and_its_document(small_stage: Stage) -> None:
    small_stage.configure(level="debug")
    said = small_stage.execute("sync", "--json")
    assert said.code == 0
    assert len(said.document["passes"]) == 2
