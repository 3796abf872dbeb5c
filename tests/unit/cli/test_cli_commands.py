"""Whole commands against the simulators: what is printed, the documents, the exit codes."""

import contextlib
import dataclasses
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calrelay.cli import loading
from calrelay.domain.event import SourceId
from calrelay.domain.link import REJECTED, ExternalId, MessageMode, State
from calrelay.domain.window import Span
from calrelay.engine.backfill import backfill
from calrelay.engine.decisions import set_paused
from calrelay.engine.report import Outcome, PassReport
from calrelay.engine.sync import run_pass
from calrelay.errors import ExitCode
from calrelay.ports import Holding, HoldItem, Put
from calrelay.simulators.apptoto.settings import BadEvents, CalendarChange
from calrelay.simulators.faults import Fault, Kind, When
from calrelay.state.database import Database, open_database
from calrelay.state.ledger import SqlLedger
from calrelay.state.locks import PipelineLock, load_lock
from tests.fakes.links import a_new_link
from tests.fakes.memory_source import NOW, an_event
from tests.fakes.pipelines import a_bench
from tests.unit.cli.house import House
from tests.unit.cli.schemas import assert_fits

REPORTING = (("status",), ("holds",), ("quarantine", "list"))


@contextlib.contextmanager
def state_of(house: House) -> Iterator[Database]:
    with open_database("sqlite:///calrelay.db", house.config.parent) as database:
        yield database


def links_of(house: House, pipeline: str = "venue", *states: State) -> list[ExternalId]:
    with state_of(house) as database:
        return [link.external_id for link in SqlLedger(database).links_in(pipeline, states or set(State))]


def settled(house: House) -> list[ExternalId]:
    return links_of(house, "venue", State.SETTLED)


def hold_deletes(house: House) -> None:
    """Load the venue, then lose so many events that the guard holds the deletes."""
    house.load("venue")
    for external_id in settled(house):
        house.world.tripleseat.events.set_status(int(external_id.removeprefix("ts-")), "LOST")
    assert house.type("sync", "venue").code == ExitCode.GUARD


# --- plan, sync, backfill, adopt ---


def test_a_first_load_is_planned_refused_loaded_and_then_in_step(house: House) -> None:
    """The way of every new installation, with the exit code of each step."""
    plan = house.ask("plan", "venue")
    assert_fits(plan, "passes")
    assert plan["passes"][0]["created"] == plan["passes"][0]["people"] == len(plan["passes"][0]["actions"]) > 10
    refused = house.type("sync", "venue")
    assert refused.code == ExitCode.GUARD
    assert "calrelay backfill venue --from" in refused.out
    assert not house.world.apptoto.events.live_events()
    loaded = house.type("backfill", "venue", "--from", _day(-1), "--to", _day(61), "--messages", "no-booking", "--json")
    assert loaded.code == 0
    assert loaded.document["passes"][0]["created"] >= plan["passes"][0]["created"]  # whole days reach a little beyond the window
    assert_fits(loaded.document, "passes")
    assert "days of backfill venue: 7 of " in loaded.err
    nothing_new = house.type("backfill", "venue", "--from", _day(-1), "--to", _day(61), "--messages", "send")
    assert (nothing_new.code, "New events carry" in nothing_new.out) == (0, False)
    again = house.type("sync", "venue", "--json")
    assert (again.code, again.document["passes"][0]["created"], again.document["passes"][0]["updated"]) == (0, 0, 0)
    assert again.err == ""


def test_a_plan_in_words_has_times_on_the_clock_of_the_place_and_calendars_by_name(house: House) -> None:
    said = house.type("plan", "venue")
    assert "Main Hall" in said.out
    assert any(zone in said.out for zone in (" EST ", " EDT ", " MST "))
    assert "people could be messaged" in said.out


def test_a_plan_leaves_no_trace(house: House) -> None:
    (house.config.parent / "calrelay.db").unlink()
    said = house.type("plan", "studio")
    assert said.code == ExitCode.GUARD
    assert sorted(path.name for path in house.config.parent.iterdir()) == ["config.toml"]


def test_a_load_of_part_of_the_window_says_what_is_left(house: House) -> None:
    said = house.type("backfill", "studio", "--from", _day(0), "--to", _day(10), "--messages", "skip")
    assert said.code == 0
    assert "is not loaded yet" in said.out
    assert "calrelay plan studio" in said.out


def test_a_load_wants_its_days_in_order(house: House) -> None:
    said = house.type("backfill", "studio", "--from", "2026-12-02", "--to", "2026-12-01", "--messages", "skip")
    assert (said.code, said.out) == (ExitCode.CONFIG, "")
    assert "is before --from" in said.err


def test_what_is_no_day_is_told_with_how_to_write_one(house: House) -> None:
    said = house.type("backfill", "studio", "--from", "tomorrow", "--to", "2026-12-01", "--messages", "skip")
    assert said.code == ExitCode.CONFIG
    assert "tomorrow is no day; write it like 2026-12-01" in said.err


@pytest.mark.parametrize(("first", "last"), [("0001-01-01", "2026-12-01"), ("2026-12-01", "9999-12-31"), ("2026-12-01", "2206-12-01")])
def test_days_that_can_only_be_mistyped_are_refused(first: str, last: str, house: House) -> None:
    said = house.type("backfill", "studio", "--from", first, "--to", last, "--messages", "skip")
    assert said.code == ExitCode.CONFIG
    assert "more than ten years away" in said.err


def test_a_vendor_that_is_down_fails_its_pipeline_and_spares_the_other(house: House) -> None:
    house.load("venue", "studio")
    house.world.timetap.faults.add(Fault(kind=Kind.STATUS, status=403, times=None))
    said = house.type("sync", "--json")
    assert said.code == ExitCode.VENDOR
    assert_fits(said.document, "passes")
    assert [one["outcome"] for one in said.document["passes"]] == ["ok", "failed"]
    assert said.document["passes"][1]["problems"][0]["remedy"]


def test_a_pipeline_that_another_process_works_on_is_busy(house: House) -> None:
    with state_of(house) as database, PipelineLock(database, "venue", command="run"):
        said = house.type("sync", "venue", "--json")
    assert said.code == ExitCode.BUSY
    assert said.document["passes"][0]["problems"][0]["kind"] == "Busy"
    assert "calrelay run" in said.document["passes"][0]["problems"][0]["message"]


def test_a_second_load_of_a_pipeline_is_told_of_the_first_and_asks_nobody(house: House) -> None:
    with state_of(house) as database, load_lock(database, "venue", command="backfill"):
        asked = len(house.world.tripleseat.journal.entries)
        said = house.type("backfill", "venue", "--from", _day(0), "--to", _day(10), "--messages", "skip", "--json")
        assert len(house.world.tripleseat.journal.entries) == asked
    assert said.code == ExitCode.BUSY
    assert_fits(said.document, "passes")
    (problem,) = said.document["passes"][0]["problems"]
    assert (problem["kind"], "a load of pipeline venue is being worked on by process" in problem["message"]) == ("Busy", True)
    assert not house.world.apptoto.events.live_events()


def test_a_lost_database_is_adopted_without_sending_anything(house: House) -> None:
    planned = {action["external_id"] for action in house.ask("plan", "venue")["passes"][0]["actions"]}
    house.load("venue")
    with state_of(house) as database:
        SqlLedger(database).forget_pipeline("venue")
    said = house.ask("adopt", "venue")
    assert_fits(said, "passes")
    assert said["passes"][0]["created"] == 0
    assert planned <= set(links_of(house))
    assert house.ask("sync", "venue")["passes"][0]["created"] == 0


def test_an_unknown_pipeline_is_told_with_those_there_are(house: House) -> None:
    said = house.type("sync", "venu")
    assert said.code == ExitCode.CONFIG
    assert "venue" in said.err


def test_a_config_without_pipelines_is_no_silent_success(house: House) -> None:
    house.config.write_text("")
    assert house.type("sync").code == ExitCode.CONFIG


def test_missing_consent_names_the_command_that_mends_it(house: House) -> None:
    (house.config.parent / "calrelay.db").unlink()
    said = house.type("sync", "venue")
    assert said.code == ExitCode.VENDOR
    assert "calrelay login venue" in said.out


def test_a_broken_database_is_exit_five(house: House) -> None:
    (house.config.parent / "calrelay.db").write_bytes(b"this is no database" * 100)
    said = house.type("sync", "--json")
    assert said.code == ExitCode.STATE
    assert_fits(said.document, "error")


def test_the_state_is_readable_by_its_owner_only(house: House) -> None:
    house.type("sync")
    assert stat.S_IMODE((house.config.parent / "calrelay.db").stat().st_mode) == 0o600


# --- status, show ---


def test_status_tells_standing_freshness_and_last_pass(house: House) -> None:
    document = house.ask("status")
    assert_fits(document, "status")
    assert [one["standing"] for one in document["pipelines"]] == ["never run", "never run"]
    house.load("venue")
    assert house.ask("status")["pipelines"][0]["standing"] == "loaded"
    house.type("sync", "venue")
    document = house.ask("status")
    assert_fits(document, "status")
    venue = document["pipelines"][0]
    assert (venue["standing"], venue["last_pass"]["command"], venue["freshness_seconds"] < 60) == ("in step", "sync", True)
    assert venue["live"] == len(settled(house))
    text = house.type("status")
    assert "in step" in text.out
    assert "zone data 20" in text.out


def test_a_plan_that_could_not_read_says_so_and_not_that_it_would_send_nothing(house: House) -> None:
    house.world.timetap.faults.add(Fault(kind=Kind.STATUS, status=403, times=None))
    said = house.type("plan", "studio")
    assert said.code == ExitCode.VENDOR
    assert "studio: could not be read" in said.out
    assert "send nothing" not in said.out


def test_a_pass_that_could_not_read_everything_is_not_called_in_step(house: House) -> None:
    house.load("venue")
    house.type("sync", "venue")
    house.world.tripleseat.settings.page_size = 10
    house.world.tripleseat.faults.add(Fault(kind=Kind.STATUS, path="/v1/events/search", status=403, skip=1, times=None))
    assert house.type("sync", "venue").code == 3
    document = house.ask("status", "venue")
    assert_fits(document, "status")
    assert document["pipelines"][0]["standing"] == "partial"
    assert "last pass: page 2" in house.type("status", "venue").out


def test_status_says_what_needs_somebody(house: House) -> None:
    hold_deletes(house)
    house.type("pause", "venue")
    said = house.type("status")
    assert "calrelay approve venue-" in said.out
    assert "calrelay resume venue" in said.out
    assert said.code == 0


@pytest.mark.parametrize("words", REPORTING)
def test_reports_work_before_anything_ever_ran(house: House, words: tuple[str, ...]) -> None:
    (house.config.parent / "calrelay.db").unlink()
    assert house.type(*words).code == 0
    assert not (house.config.parent / "calrelay.db").exists()


@pytest.mark.parametrize("words", REPORTING)
def test_reports_need_no_secret(house: House, words: tuple[str, ...]) -> None:
    text = house.config.read_text().replace('"simulated-secret"', '{ env = "NOT_THERE" }').replace('"apptoto-key"', '{ file = "gone" }')
    house.config.write_text(text)
    assert house.type(*words).code == 0


def test_status_tells_a_load_as_one_pass_and_not_its_last_chunk(house: House) -> None:
    load = house.ask("backfill", "venue", "--from", _day(-1), "--to", _day(200), "--messages", "no-booking")["passes"][0]
    status = house.ask("status", "venue")
    last = status["pipelines"][0]["last_pass"]
    assert [last[key] for key in ("created", "unchanged", "held")] == [load[key] for key in ("created", "unchanged", "held")]
    assert last["seconds"] == pytest.approx(load["seconds"], abs=0.05)
    assert last["requests"]["reminders"] > 5
    assert {one["account"]: one["requests_last_hour"] for one in status["accounts"]}["venue"] >= last["requests"]["venue"] > 5


def test_show_tells_the_whole_story_of_an_event(house: House) -> None:
    house.load("venue")
    external_id = settled(house)[0]
    document = house.ask("show", external_id)
    assert_fits(document, "show")
    story = document["stories"][0]
    assert story["source"]["reasoning"]
    assert story["target"]["target_id"] == story["link"]["target_id"]
    assert story["history"][0]["what"] == "created"
    assert story["decision"]["what"] == "unchanged"
    text = house.type("show", external_id).out
    for heading in ("Source now", "Decision", "Wanted at the target", "Target holds now", "Remembered", "History", "Next: "):
        assert heading in text
    assert story["source"]["participants"][0]["name"] in text


def test_show_of_a_booking_that_is_gone_wants_nothing_and_names_the_id_it_had(house: House) -> None:
    house.load("venue")
    external_id = settled(house)[0]
    house.world.tripleseat.events.set_status(int(external_id.removeprefix("ts-")), "LOST")
    assert house.ask("show", external_id)["stories"][0]["wanted"] is None
    house.type("sync", "venue")
    text = house.type("show", external_id).out
    assert text.startswith(f"{external_id}, pipeline venue\n")
    assert f"generation 1 deleted; created again it would be {external_id}.2" in text
    assert "Wanted at the target" not in text


def test_show_tells_of_an_event_that_no_pass_has_taken_up(house: House) -> None:
    action = house.ask("plan", "studio")["passes"][0]["actions"][0]
    document = house.ask("show", action["external_id"])
    assert_fits(document, "show")
    story = document["stories"][0]
    assert (story["link"], story["decision"]["what"]) == (None, "create")
    assert story["next"] == "no pass has taken it up yet, and its pipeline's first load waits: `calrelay plan studio` says how to load it"
    assert "the first load would  create it" in house.type("show", action["external_id"]).out


def test_show_of_an_id_that_nobody_has_is_an_error(house: House) -> None:
    said = house.type("show", "ts-1")
    assert said.code == ExitCode.CONFIG
    assert "there is no event ts-1" in said.err


def test_show_tells_what_one_end_knows_when_the_other_is_down(house: House) -> None:
    house.load("venue")
    house.world.apptoto.faults.add(Fault(kind=Kind.STATUS, status=403, times=None))
    document = house.ask("show", settled(house)[0])
    assert_fits(document, "show")
    assert document["stories"][0]["target_error"]["kind"] == "AuthFailed"
    assert document["stories"][0]["source"] is not None


def test_show_tells_the_story_out_of_the_ledger_when_both_ends_are_down(house: House) -> None:
    house.load("venue")
    external_id = settled(house)[0]
    for end in (house.world.apptoto, house.world.tripleseat):
        end.faults.add(Fault(kind=Kind.STATUS, status=403, times=None))
    said = house.type("show", external_id)
    assert said.code == ExitCode.VENDOR
    assert "created" in said.out.partition("History")[2]
    assert "Next: nothing is owed" in said.out
    assert "This is not the whole story" in said.err
    assert (house.type("show", external_id, "--json").code, house.type("status").code) == (ExitCode.VENDOR, 0)


def test_show_tells_the_source_when_the_targets_calendars_cannot_be_looked_up(house: House) -> None:
    """Before a first pass the calendar is not known by its id."""
    external_id = house.ask("plan", "studio")["passes"][0]["actions"][0]["external_id"]
    house.load("venue")
    with state_of(house) as database:
        SqlLedger(database).store(
            [a_new_link(pipeline="studio", target="reminders", source_id=SourceId(external_id[3:]), base_id=external_id)]
        )
    house.world.apptoto.faults.add(Fault(kind=Kind.STATUS, status=403, times=None))
    story = house.ask("show", external_id)["stories"][0]
    assert (story["source"]["source_id"], story["decision"], story["target_error"]["kind"]) == (external_id[3:], None, "AuthFailed")


def test_an_id_of_no_pipeline_is_refused(house: House) -> None:
    said = house.type("show", "xx-1", "--json")
    assert said.code == ExitCode.CONFIG
    assert_fits(said.document, "error")


# --- decisions ---


def test_holds_are_listed_and_approved_and_the_next_pass_applies_them(house: House) -> None:
    hold_deletes(house)
    document = house.ask("holds")
    assert_fits(document, "holds")
    hold = document["holds"][0]
    assert (hold["kind"], len(hold["items"])) == ("deletes", len(links_of(house, "venue", State.HELD)))
    text = house.type("holds").out
    assert "the target keeps what it has" in text
    assert f"calrelay reject {hold['id']}" in text
    approved = house.ask("approve", "venue")
    assert_fits(approved, "holds")
    assert all(item["approved_at"] for item in approved["holds"][0]["items"])
    assert "approved; the next pass applies it" in house.type("holds").out
    applied = house.ask("sync", "venue")["passes"][0]
    assert (applied["deleted"], applied["held"]) == (len(hold["items"]), 0)


def test_holds_tell_when_each_event_is_soonest_first(house: House) -> None:
    hold_deletes(house)
    hold = house.ask("holds")["holds"][0]
    starts = {item["external_id"]: item["start"] for item in hold["items"]}
    assert min(starts.values()) == hold["earliest"]
    listed = [line.split("ts-")[1].split()[0] for line in house.type("holds").out.splitlines() if " ts-" in line]
    assert [f"ts-{number}" for number in listed] == sorted(starts, key=lambda one: (starts[one], one))[:20]


def test_a_hold_by_its_id_tells_titles_and_people_and_times_at_the_place(house: House) -> None:
    hold_deletes(house)
    hold = house.ask("holds")["holds"][0]
    said = house.type("holds", hold["id"])
    event = house.world.tripleseat.events.get(int(hold["items"][0]["external_id"].removeprefix("ts-"))).row
    row = next(line for line in said.out.splitlines() if hold["items"][0]["external_id"] in line)
    assert (said.code, event["name"] in row, " UTC" in row) == (0, True, False)
    assert event["contact"]["first_name"] in row
    assert not any(digits in said.out for digits in ("555-01", "+1"))
    assert {item["title"] is None for item in house.ask("holds", hold["id"])["holds"][0]["items"]} == {False}
    assert {item["title"] for item in house.ask("holds")["holds"][0]["items"]} == {None}


def test_a_hold_is_told_from_the_state_when_its_source_is_down(house: House) -> None:
    hold_deletes(house)
    hold = house.ask("holds")["holds"][0]
    house.world.tripleseat.faults.add(Fault(kind=Kind.STATUS, status=403, times=None))
    said = house.type("holds", hold["id"])
    assert (said.code, hold["items"][0]["external_id"] in said.out) == (ExitCode.VENDOR, True)
    assert "titles could not be asked for" in said.err


def test_an_event_that_is_held_says_what_would_come_of_it_once_approved(house: House) -> None:
    hold_deletes(house)
    (item, *_) = house.ask("holds")["holds"][0]["items"]
    text = house.type("show", item["external_id"]).out
    assert "once approved, it would  delete it" in text
    assert "the next pass would" not in text


def test_approve_says_what_came_after_the_list_and_leaves_it(house: House) -> None:
    hold_deletes(house)
    hold = house.ask("holds")["holds"][0]
    with state_of(house) as database:
        ledger = SqlLedger(database)
        [before] = ledger.holds("venue")
        late = HoldItem(source_id=SourceId("1"), external_id=ExternalId("ts-1"), action="delete", digest="delete|1")
        ledger.save_holds("venue", [dataclasses.replace(before, items=(*before.items, late))])
    said = house.type("approve", hold["id"])
    assert f"{len(hold['items'])} of its {len(hold['items']) + 1} events" in said.out
    assert f"1 came, or changed, after it was listed, and waits for you: `calrelay holds {hold['id']}`" in said.out
    assert "new" in next(line for line in house.type("holds").out.splitlines() if "ts-1 " in line)


def test_what_is_approved_says_so_in_status_and_asks_for_nothing(house: House) -> None:
    hold_deletes(house)
    house.type("approve", "venue")
    text = house.type("status").out
    assert "approved, goes with the next pass" in text
    assert "calrelay approve" not in text


def test_a_rejected_hold_is_gone_and_the_target_keeps_what_it_has(house: House) -> None:
    hold_deletes(house)
    there = len(house.world.apptoto.events.live_events())
    hold = house.ask("holds")["holds"][0]["id"]
    assert_fits(house.ask("reject", hold), "holds")
    assert house.ask("holds")["holds"] == []
    assert house.ask("sync", "venue")["passes"][0]["deleted"] == 0
    assert len(house.world.apptoto.events.live_events()) == there


def test_what_is_rejected_is_told_by_status_and_taken_back_by_the_command_it_names(house: House) -> None:
    hold_deletes(house)
    hold = house.ask("holds")["holds"][0]
    said = house.type("reject", hold["id"]).out
    number = len(hold["items"])
    status = house.ask("status")
    assert_fits(status, "status")
    assert status["pipelines"][0]["left_alone"] == {"rejected": number, "dropped": 0, "ignored": 0, "let_go": 0}
    assert f"{number} coming events left alone: rejected" in house.type("status").out
    listed = house.ask("ignore", "--list")
    assert_fits(listed, "events")
    assert {one["external_id"] for one in listed["events"]} == {item["external_id"] for item in hold["items"]}
    (command,) = re.findall(r"`calrelay (ignore ts-.* --undo)`", said)
    assert_fits(house.ask(*command.split()), "events")
    assert sum(house.ask("status")["pipelines"][0]["left_alone"].values()) == 0
    assert house.type("ignore", "--list").out == "No event that is to come is left alone.\n"


def test_ignoring_takes_several_events_and_of_them_all_or_none(house: House) -> None:
    house.load("venue")
    first, second, third = settled(house)[:3]
    assert len(house.ask("ignore", first, second)["events"]) == 2
    assert house.type("ignore", second, third, "--undo").code == ExitCode.CONFIG
    assert house.ask("status")["pipelines"][0]["left_alone"]["ignored"] == 2
    assert "ignored" in house.type("ignore", "--list").out
    for words in (("ignore",), ("ignore", first, "--list")):
        assert house.type(*words).code == ExitCode.CONFIG


def test_approving_twice_says_so_and_counts_once(house: House) -> None:
    hold_deletes(house)
    number = len(house.ask("holds")["holds"][0]["items"])
    first, second = (house.type("approve", "venue").out for _ in range(2))
    assert (first.partition(" venue-")[0], second.partition(" venue-")[0]) == ("approved", "already approved")
    with state_of(house) as database:
        assert SqlLedger(database).count_happened("venue", {"approved"}, datetime(2000, 1, 1, tzinfo=UTC)) == {"approved": number}


def test_rejecting_takes_a_hold_and_no_pipeline(house: House) -> None:
    hold_deletes(house)
    said = house.type("reject", "venue")
    assert said.code == ExitCode.CONFIG
    assert "calrelay holds" in said.err


def test_deciding_over_nothing_says_where_to_look(house: House) -> None:
    for words in (("approve", "venue"), ("reject", "venue-deletes-1"), ("quarantine", "drop", "ts-1"), ("ignore", "ts-1")):
        said = house.type(*words)
        assert said.code == ExitCode.CONFIG, words
        assert "→" in said.err, words


def test_quarantine_is_listed_retried_and_dropped(house: House) -> None:
    external_id = house.ask("plan", "studio")["passes"][0]["actions"][0]["external_id"]
    house.world.apptoto.settings.poison = (external_id,)
    house.load("studio")
    document = house.ask("quarantine", "list")
    assert_fits(document, "quarantine")
    assert [event["external_id"] for event in document["events"]] == [external_id]
    assert "→" in house.type("quarantine", "list").out
    assert "calrelay quarantine retry" in house.type("quarantine", "list").out
    assert_fits(house.ask("quarantine", "retry"), "quarantine")
    assert house.ask("sync", "studio")["passes"][0]["quarantined"] == 1
    assert_fits(house.ask("quarantine", "drop", external_id), "quarantine")
    assert house.ask("quarantine", "list") == {"events": []}
    assert house.ask("sync", "studio")["passes"][0]["quarantined"] == 0


def test_quarantine_alone_is_exit_one(house: House) -> None:
    external_id = house.ask("plan", "studio")["passes"][0]["actions"][0]["external_id"]
    house.world.apptoto.settings.poison = (external_id,)
    house.load("studio")
    assert house.type("sync", "studio").code == ExitCode.ATTENTION


def test_a_paused_pipeline_is_refused_until_it_is_resumed(house: House) -> None:
    house.load("venue")
    paused = house.ask("pause", "venue")
    assert_fits(paused, "pipeline")
    assert (paused["changed"], house.ask("pause", "venue")["changed"]) == (True, False)
    refused = house.type("sync", "venue", "--json")
    assert (refused.code, refused.document["passes"][0]["outcome"]) == (ExitCode.GUARD, "refused")
    assert house.ask("resume", "venue")["paused"] is False
    assert "refused" not in house.type("status", "venue").out
    assert house.type("sync", "venue").code == 0
    assert house.type("pause", "nobody").code == ExitCode.CONFIG


def test_what_stops_a_pipeline_is_said_where_one_looks(house: House) -> None:
    house.load("venue")
    external_id = settled(house)[0]
    house.ask("pause", "venue")
    assert "paused: no pass runs before `calrelay resume venue`" in house.type("plan", "venue").out
    assert "Next: nothing: its pipeline is paused" in house.type("show", external_id).out
    house.ask("resume", "venue")
    assert "paused" not in house.type("plan", "venue").out
    house.type("retire", "venue")
    assert "Next: never touched" not in house.type("show", external_id).out
    assert "`calrelay adopt venue` takes it up again" in house.type("show", external_id).out


def test_a_load_that_never_began_does_not_say_that_it_goes_on(house: House) -> None:
    house.load("venue")
    house.type("retire", "venue")
    refused = house.type("backfill", "venue", "--from", "2026-11-20", "--to", "2027-05-19", "--messages", "skip")
    assert refused.code == ExitCode.GUARD
    assert "goes on where it stopped" not in refused.out


async def test_a_load_that_was_paused_in_its_first_part_says_how_it_goes_on() -> None:
    crowd = [an_event(1 + number % 3, source_id=str(number), group=f"booking-{number}") for number in range(60)]
    bench = a_bench(*crowd, first_load=0)
    upsert = bench.target.upsert

    async def pausing(puts: Sequence[Put]) -> Sequence[Holding]:
        set_paused(bench.ledger, "venue", is_paused=True)
        return await upsert(puts)

    bench.target.upsert = pausing  # type: ignore[method-assign]
    span = Span(begin=NOW, end=NOW + timedelta(days=20))
    steps = [step async for step in backfill(bench.pipeline, span, MessageMode.SKIP, lock=nullcontext)]
    report = steps[-1].report
    assert (report.outcome, len(steps), report.created > 0) == (Outcome.REFUSED, 1, True)
    assert any("goes on where it stopped" in str(line) for line in loading._hints(bench.pipeline, report, steps))


def test_ignoring_what_the_target_has_nothing_of_says_so(house: House) -> None:
    external_id = house.ask("plan", "studio")["passes"][0]["actions"][0]["external_id"]
    house.world.apptoto.settings.poison = (external_id,)
    house.load("studio")
    assert f"{external_id} (studio): ignored from now on; the target has nothing of it" in house.type("ignore", external_id).out
    known = links_of(house, "studio", State.SETTLED)[0]
    assert "the target keeps what it has" in house.type("ignore", known).out


def test_an_ignored_event_is_left_alone(house: House) -> None:
    house.load("venue")
    external_id = settled(house)[0]
    ignored = house.ask("ignore", external_id)
    assert_fits(ignored, "events")
    house.world.tripleseat.events.set_status(int(external_id.removeprefix("ts-")), "LOST")
    assert house.ask("sync", "venue")["passes"][0]["deleted"] == 0
    assert f"Next: left alone until you type `calrelay ignore {external_id} --undo`" in house.type("show", external_id).out


def test_a_guest_is_left_out_before_the_first_load(house: House) -> None:
    actions = house.ask("plan", "venue")["passes"][0]["actions"]
    external_id = actions[0]["external_id"]
    assert_fits(house.ask("ignore", external_id), "events")
    house.load("venue")
    assert external_id not in {event.external_id for event in house.world.apptoto.events.live_events()}
    assert {action["external_id"] for action in actions} - set(settled(house)) == {external_id}
    house.type("ignore", external_id, "--undo")
    assert house.ask("sync", "venue")["passes"][0]["created"] == 1


def test_an_id_that_nobody_has_is_not_ignored_before_the_first_load(house: House) -> None:
    known = house.ask("plan", "venue")["passes"][0]["actions"][0]["external_id"]
    for unknown in ("ts-1", "nobody-1"):
        run = house.type("ignore", known, unknown)
        assert run.code == ExitCode.CONFIG
        assert unknown in run.err
    assert links_of(house) == []


def test_an_ignored_event_is_looked_after_again(house: House) -> None:
    external_id = house.ask("plan", "venue")["passes"][0]["actions"][0]["external_id"]
    house.load("venue")
    house.type("ignore", external_id)
    number = int(external_id.removeprefix("ts-"))
    house.world.tripleseat.events.rename(number, "Renamed")
    assert house.ask("sync", "venue")["passes"][0]["updated"] == 0
    assert_fits(house.ask("ignore", external_id, "--undo"), "events")
    assert house.ask("sync", "venue")["passes"][0]["updated"] == 1
    again = house.type("ignore", external_id, "--undo")
    assert (again.code, "is not ignored" in again.err) == (ExitCode.CONFIG, True)


def test_what_was_let_go_at_another_account_is_not_taken_up(house: House) -> None:
    house.load("venue")
    external_id = settled(house)[0]
    with state_of(house) as database:
        ledger = SqlLedger(database)
        (link,) = ledger.link_by_external_id(external_id)
        ledger.store([dataclasses.replace(link, target="older", state=State.RELEASED, reason=REJECTED)])
    refused = house.type("ignore", external_id, "--undo")
    assert (refused.code, "was let go at account older, and pipeline venue sends to reminders now" in refused.err) == (
        ExitCode.CONFIG,
        True,
    )
    assert house.type("sync", "venue").code == ExitCode.DONE


def test_retag_changes_one_event_or_a_whole_pipeline(house: House) -> None:
    house.load("venue")
    one = house.ask("retag", settled(house)[0], "--messages", "skip")
    assert_fits(one, "events")
    assert [event["messages"] for event in one["events"]] == ["skip"]
    assert house.ask("sync", "venue")["passes"][0]["updated"] == 1
    rest = house.ask("retag", "venue", "--messages", "skip")
    assert len(rest["events"]) == len(settled(house)) + len(links_of(house, "venue", State.READY)) - 1
    assert house.type("retag", "venue", "--messages", "loud").code == ExitCode.CONFIG


# --- try ---


def test_a_trial_copy_goes_to_nobody_but_the_operator_and_can_be_deleted(house: House) -> None:
    external_id = house.ask("plan", "studio")["passes"][0]["actions"][0]["external_id"]
    sent = house.type("try", external_id, "--to", "(212) 555-0147", "--messages", "auto")
    assert sent.code == 0
    assert f"calrelay try {external_id} --delete" in sent.out
    assert len(house.world.apptoto.events.live_events()) == 1
    assert "with nobody but you on it" in sent.out
    again = house.type("try", external_id, "--to", "+1 212 555 0148")
    assert ("with nobody but you" in again.out, "whoever else was tried on it may still hear of it" in again.out) == (False, True)
    document = house.ask("try", external_id, "--to", "ops@example.com")
    assert_fits(document, "trial")
    assert len(house.world.apptoto.events.live_events()) == 1
    gone = house.ask("try", external_id, "--delete")
    assert_fits(gone, "trial")
    assert gone["is_deleted"] is True
    assert not house.world.apptoto.events.live_events()
    assert house.ask("try", external_id, "--delete")["is_deleted"] is False


@pytest.mark.parametrize("by_hand", [True, False])
@pytest.mark.parametrize("shows_deleted", [True, False])
def test_a_trial_copy_after_a_delete_is_another_entry_with_nobody_of_before_on_it(
    house: House, *, shows_deleted: bool, by_hand: bool
) -> None:
    """What is sent to a deleted entry may bring it back, and whom it has messaged with it: here it would (Apptoto: 6)."""
    events = house.world.apptoto.events
    external_id = house.ask("plan", "studio")["passes"][0]["actions"][0]["external_id"]
    house.type("try", external_id, "--to", "+1 212 555 0147")
    (first,) = events.live_events()
    first.participants[0].messaged = True
    house.world.apptoto.settings.show_deleted = shows_deleted
    if by_hand:
        events.delete(first)
    else:
        house.type("try", external_id, "--delete")
    sent = house.type("try", external_id, "--to", "ops@example.com")
    (copy,) = events.live_events()
    assert "with nobody but you on it" in sent.out
    assert (copy.external_id, [person.email for person in copy.participants]) == (f"try-{external_id}.2", ["ops@example.com"])
    gone = house.ask("try", external_id, "--delete")
    assert (gone["external_id"], gone["is_deleted"]) == (f"try-{external_id}.2", True)


def test_a_trial_copy_without_an_answer_is_not_sent_to_again_once_it_was_deleted(house: House) -> None:
    events = house.world.apptoto.events
    external_id = house.ask("plan", "studio")["passes"][0]["actions"][0]["external_id"]
    house.world.apptoto.faults.add(Fault(kind=Kind.STATUS, status=400, body="{}", method="PUT", when=When.AFTER, times=1))
    assert house.type("try", external_id, "--to", "+1 212 555 0147").code != 0
    (first,) = events.live_events()
    first.participants[0].messaged = True
    house.world.apptoto.settings.show_deleted = False
    events.delete(first)
    house.type("try", external_id, "--to", "ops@example.com")
    (copy,) = events.live_events()
    assert (copy.external_id, [person.email for person in copy.participants]) == (f"try-{external_id}.2", ["ops@example.com"])


@pytest.mark.parametrize("change", [CalendarChange.DUPLICATE, CalendarChange.IGNORE])
def test_a_trial_copy_in_another_calendar_is_deleted_and_another_made(house: House, change: CalendarChange) -> None:
    events = house.world.apptoto.events
    house.world.apptoto.settings.calendar_change = change
    external_id = house.ask("plan", "studio")["passes"][0]["actions"][0]["external_id"]
    house.type("try", external_id, "--to", "ops@example.com")
    house.config.write_text(house.config.read_text().replace('calendar = "Studio"', 'calendar = "Terrace"'))
    sent = house.ask("try", external_id, "--to", "ops@example.com")
    (copy,) = events.live_events()
    assert (copy.external_id, str(copy.calendar_id)) == (f"try-{external_id}.2", sent["calendar"])
    assert house.ask("try", external_id, "--delete")["is_deleted"]
    assert not events.live_events()


def test_a_trial_copy_that_the_target_leaves_out_of_its_answer_is_not_told_as_sent(house: House) -> None:
    settings = house.world.apptoto.settings
    external_id = house.ask("plan", "studio")["passes"][0]["actions"][0]["external_id"]
    settings.bad_events, settings.poison = BadEvents.DROP, (f"try-{external_id}",)
    said = house.type("try", external_id, "--to", "ops@example.com")
    assert (said.code, "answered without the trial copy" in said.err) == (ExitCode.VENDOR, True)


def test_whoever_else_is_on_a_trial_copy_is_told_of_also_after_a_lost_database(house: House) -> None:
    external_id = house.ask("plan", "studio")["passes"][0]["actions"][0]["external_id"]
    house.type("try", external_id, "--to", "+1 212 555 0147")
    (first,) = house.world.apptoto.events.live_events()
    first.participants[0].messaged = True
    house.world.apptoto.settings.show_deleted = False
    house.type("try", external_id, "--delete")
    for path in house.config.parent.glob("calrelay.db*"):
        path.unlink()
    sent = house.type("try", external_id, "--to", "ops@example.com").out
    assert ("with nobody but you" in sent, "whoever else was tried on it may still hear of it" in sent) == (False, True)


def test_of_several_pipelines_that_may_have_an_event_the_one_that_takes_it_is_tried(house: House) -> None:
    head = house.config.read_text().partition("[[pipelines]]")[0]
    table = (
        '[[pipelines]]\nname = "{name}"\nsource = "venue"\ntarget = "reminders"\ncalendar = "{room}"\nfilter = {{ rooms = ["{room}"] }}\n'
    )
    house.config.write_text(head + table.format(name="hall", room="Main Hall") + table.format(name="terrace", room="Terrace"))
    for planned in house.ask("plan")["passes"]:
        sent = house.ask("try", planned["actions"][0]["external_id"], "--to", "ops@example.com")
        assert sent["pipeline"] == planned["pipeline"]


@pytest.mark.parametrize("words", [("--to", "12"), ("--to", "nobody@nowhere"), (), ("--to", "ops@example.com", "--delete")])
def test_try_wants_one_usable_contact_and_never_repeats_it(house: House, words: tuple[str, ...]) -> None:
    said = house.type("try", "tt-70000005", *words)
    assert said.code == ExitCode.CONFIG
    assert "nobody@nowhere" not in said.err
    assert not house.world.apptoto.events.live_events()


# --- privacy ---


def test_sync_status_and_decisions_name_no_guest(house: House) -> None:
    names = {action["title"] for action in house.ask("plan", "venue")["passes"][0]["actions"]}
    hold_deletes(house)
    said = [house.type(*words) for words in (("sync", "venue"), ("status",), ("holds",), ("quarantine", "list"))]
    assert not [name for name in names for one in said if name in one.out + one.err]


def test_an_interrupted_command_tells_what_was_done(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second pass is interrupted: the first one's report is printed all the same, and the exit code says how it ended."""

    async def interrupted_at_studio(pipeline: object, order: object, **options: Any) -> PassReport:
        if getattr(pipeline, "name", "") == "studio":
            raise KeyboardInterrupt
        return await run_pass(pipeline, order, **options)  # type: ignore[arg-type] # as it came

    monkeypatch.setattr("calrelay.cli.passes.run_pass", interrupted_at_studio)
    said = house.type("sync", "--json")
    assert said.code == 130
    assert [one["pipeline"] for one in said.document["passes"]] == ["venue"]
    assert "nothing is lost" in said.err


def _day(offset: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=offset):%Y-%m-%d}"
