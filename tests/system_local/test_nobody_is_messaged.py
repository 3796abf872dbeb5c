"""Who is messaged by what: the target's own ledger of messages says whether anybody was reached by accident."""

from datetime import UTC, datetime, timedelta

import pytest

from calrelay.simulators.apptoto.messages import Purpose
from calrelay.simulators.people import Person
from tests.system_local.naive import Wanted, wanted_of
from tests.system_local.stage import Stage

Told = tuple[str, str]  # external id and address


def day(offset: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=offset):%Y-%m-%d}"


def told(stage: Stage) -> list[Told]:
    """Return the booking messages that went out, sorted."""
    return sorted((m.external_id or "", m.to) for m in stage.world.apptoto.messages.sent if m.purpose is Purpose.BOOKING)


def to_be_told(stage: Stage, prefix: str) -> list[Told]:
    """Return whom a booking message should reach: each number and each address of each wanted event, once."""
    return sorted(pair for entry in wanted(stage, prefix) for pair in addresses(entry))


def wanted(stage: Stage, prefix: str) -> list[Wanted]:
    entries = wanted_of(stage.world, datetime.now(UTC))
    return [entry for external_id, entry in entries.items() if external_id.startswith(prefix)]


def addresses(entry: Wanted) -> list[Told]:
    return [(entry.external_id, address) for _, *channels in entry.people for address in channels if address]


def load(stage: Stage, mode: str, pipeline: str = "venue") -> None:
    said = stage.type("backfill", pipeline, "--from", day(-1), "--to", day(181), "--messages", mode, "--json")
    assert said.code == 0, said


def a_relayed_id(stage: Stage) -> int:
    later = [e for e in stage.world.apptoto.events.live_events() if e.start_time > datetime.now(UTC) + timedelta(days=3)]
    return int((later[0].external_id or "").removeprefix("ts-"))


def assert_silent(stage: Stage) -> None:
    assert stage.writes() == []
    assert stage.world.apptoto.messages.sent == []
    assert stage.world.apptoto.messages.would_send() == []


def test_a_refused_first_load_messages_nobody(full_stage: Stage) -> None:
    full_stage.configure(first_load="5")
    said = full_stage.type("sync", "--json")
    assert (said.code, [one["outcome"] for one in said.document["passes"]]) == (4, ["refused", "refused"])
    assert "backfill" in said.document["passes"][0]["problems"][0]["remedy"]
    assert_silent(full_stage)


def test_a_plan_messages_nobody_and_leaves_no_trace(full_stage: Stage) -> None:
    before = full_stage.database.read_bytes()
    said = full_stage.type("plan", "--json")
    assert (said.code, sum(one["created"] for one in said.document["passes"])) == (0, len(wanted(full_stage, "t")))
    assert full_stage.database.read_bytes() == before
    assert_silent(full_stage)


def test_a_plan_counts_the_people_a_sync_would_message(full_stage: Stage) -> None:
    said = full_stage.type("plan", "venue", "--json")
    full_stage.type("sync", "venue")
    reached = {entry.people for entry in wanted(full_stage, "ts-")}
    assert said.document["passes"][0]["people"] == len(reached)


def test_a_no_booking_load_sends_no_booking_message_and_keeps_the_reminders(full_stage: Stage) -> None:
    load(full_stage, "no-booking")
    assert full_stage.world.apptoto.messages.sent == []
    assert {message.purpose for message in full_stage.world.apptoto.messages.would_send()} == {Purpose.REMINDER, Purpose.FOLLOW_UP}


def test_a_skip_load_never_sends_anything(full_stage: Stage) -> None:
    load(full_stage, "skip")
    assert full_stage.held()
    assert full_stage.world.apptoto.messages.sent == []
    assert full_stage.world.apptoto.messages.would_send() == []


@pytest.mark.parametrize(("pipeline", "prefix"), [("venue", "ts-"), ("studio", "tt-")])
def test_a_send_load_messages_exactly_the_right_people_once(full_stage: Stage, pipeline: str, prefix: str) -> None:
    load(full_stage, "send", pipeline)
    assert told(full_stage) == to_be_told(full_stage, prefix)
    for _ in range(2):
        full_stage.type("sync", pipeline)
    assert told(full_stage) == to_be_told(full_stage, prefix)


def test_with_the_master_switch_off_only_auto_reaches_anybody(small_stage: Stage) -> None:
    small_stage.world.apptoto.settings.master_switch = False
    load(small_stage, "send", "studio")
    assert small_stage.world.apptoto.messages.sent == []
    load(small_stage, "auto", "venue")
    assert told(small_stage) == to_be_told(small_stage, "ts-")


def test_the_mode_of_a_load_stays_with_its_events(small_stage: Stage) -> None:
    """Whatever happens to them later, be it a new title, a new time, or another guest."""
    load(small_stage, "no-booking")
    events = small_stage.world.tripleseat.events
    number = a_relayed_id(small_stage)
    events.rename(number, "Another Name")
    events.set_guests(number, 99)
    events.patch(number, {"description": "Doors at six"})
    small_stage.sync("venue")
    events.shift(number, timedelta(hours=1))
    events.set_contact(number, Person(number=77, first_name="Zyxa", last_name="Quombert", email="z@example.com", phone="212-555-0177"))
    small_stage.sync("venue")
    assert small_stage.held()[f"ts-{number}"].content.endswith("#nobooking")
    assert small_stage.world.apptoto.messages.sent == []


def test_a_load_marks_what_was_waiting_for_the_hours_of_creation_already(small_stage: Stage) -> None:
    """A sync at night would have sent it in the morning; a load the same night says skip, and skip it is."""
    closed = (datetime.now(UTC) + timedelta(hours=12)).hour  # far from now on the clocks of New York and Vancouver, too
    small_stage.configure(venue=f'create_hours = "{closed:02}:00-{(closed + 1) % 24:02}:00"')
    small_stage.sync("venue")
    load(small_stage, "skip")
    assert small_stage.writes() == []
    small_stage.configure(venue="")
    assert small_stage.sync("venue").code == 0
    assert small_stage.held().keys() == {entry.external_id for entry in wanted(small_stage, "ts-")}
    assert small_stage.world.apptoto.messages.sent == []


def test_changes_message_nobody_again(small_stage: Stage) -> None:
    small_stage.sync("venue")
    before = told(small_stage)
    events = small_stage.world.tripleseat.events
    number = a_relayed_id(small_stage)
    events.shift(number, timedelta(hours=1))
    events.rename(number, "Another Name")
    small_stage.sync("venue")
    events.set_status(number, "LOST")
    small_stage.sync("venue")
    assert told(small_stage) == before
    assert not any(message.external_id == f"ts-{number}" for message in small_stage.world.apptoto.messages.would_send())


def test_a_calendar_move_of_a_silent_event_stays_silent(small_stage: Stage) -> None:
    load(small_stage, "no-booking")
    number = next(int(x.removeprefix("ts-")) for x, e in small_stage.held().items() if small_stage.calendar_of(x) == "Main Hall")
    location = small_stage.world.tripleseat.events.get(number).row["location_id"]
    small_stage.world.tripleseat.events.relocate(number, location, [{2601: 90002, 2602: 90012}[location]])
    assert small_stage.sync("venue").code == 0
    assert small_stage.calendar_of(f"ts-{number}.2") == "Terrace"
    assert small_stage.world.apptoto.messages.sent == []


def test_a_lost_database_messages_nobody_again(small_stage: Stage) -> None:
    small_stage.sync("venue")
    before = told(small_stage)
    small_stage.database.unlink()
    small_stage.consent()
    assert small_stage.sync("venue").code == 0
    assert told(small_stage) == before


def test_free_text_neither_commands_nor_addresses_anybody(small_stage: Stage) -> None:
    small_stage.configure(venue_tables="[pipelines.event]\ncontent = '{{ event.content }}'")
    small_stage.sync("venue")
    sent = len(small_stage.world.apptoto.messages.sent)
    number = a_relayed_id(small_stage)
    evil = "#call the client [SKIP] ask 415-555-0133 or vendor@example.org\nDJ: Bo"
    small_stage.world.tripleseat.events.patch(number, {"name": evil, "description": evil})
    small_stage.sync("venue")
    held = small_stage.held()[f"ts-{number}"]
    assert "ask" in held.title
    assert "ask" in held.content
    assert (held.text_fields, small_stage.world.apptoto.events.extracted) == ({}, [])
    assert not any(part in held.title + held.content for part in ("#call", "[SKIP]", "0133", "vendor@"))
    assert len(small_stage.world.apptoto.messages.sent) == sent


def test_the_calls_that_message_people_are_never_made(small_stage: Stage) -> None:
    small_stage.sync()
    assert (small_stage.world.apptoto.messages.one_offs, small_stage.world.apptoto.messages.marks) == ([], [])
    assert {(entry.method, entry.path) for entry in small_stage.writes()} == {("PUT", "/v1/events")}
