"""A config that was edited between two passes: a name, a prefix, a filter. Nothing is created, and nobody messaged, by that alone."""

import re
from datetime import UTC, datetime, timedelta

from calrelay.errors import ExitCode
from calrelay.simulators.worlds import a_world
from tests.unit.cli.house import House, serving
from tests.unit.cli.schemas import assert_fits


def edit(house: House, before: str, after: str) -> None:
    text = house.config.read_text()
    assert before in text
    house.config.write_text(text.replace(before, after, 1))


def live(house: House) -> int:
    return len(house.world.apptoto.events.live_events())


def in_window(house: House) -> int:
    """Count the entries that a pass would discover; a load of whole days reaches up to a day beyond the window."""
    end = datetime.now(UTC) + timedelta(days=60)
    return sum(event.start_time <= end for event in house.world.apptoto.events.live_events())


def rename_in_config(house: House) -> int:
    """Load the venue, and give its pipeline another name without telling the state; return how many events the target holds."""
    house.load("venue")
    edit(house, 'name = "venue"', 'name = "hall"')
    return live(house)


def test_a_pipeline_that_the_config_does_not_name_any_more_is_told_of(house: House) -> None:
    number = rename_in_config(house)
    status, checked = house.ask("status"), house.ask("check", "--offline")
    assert_fits(status, "status")
    assert status["deserted"] == [{"pipeline": "venue", "coming": number}]
    words, remedy = "of pipeline venue, which the config does not name", "calrelay rename venue NEW"
    told = house.type("status").out
    assert words in told
    assert remedy in told
    assert [warning for warning in checked["warnings"] if words in warning and remedy in warning]
    assert house.ask("status", "hall")["deserted"] == []
    assert house.ask("status", "venue")["deserted"] == [{"pipeline": "venue", "coming": number}]
    alone = house.type("status", "venue").out
    assert alone.startswith(f"{number} coming events of pipeline venue, which the config does not name")
    assert "hall" not in alone


def an_id(house: House) -> str:
    return next(event.external_id or "" for event in house.world.apptoto.events.live_events())


def test_an_event_of_a_pipeline_that_the_config_does_not_name_any_more_is_told_as_that(house: House) -> None:
    """Whether another would relay it now, or none is left that could."""
    rename_in_config(house)
    name = an_id(house)
    told = house.type("show", name)
    assert (told.code, f"Next: nothing: {name} is of pipeline venue, which the config does not name" in told.out) == (0, True)
    assert "calrelay rename venue NEW" in told.out
    house.config.write_text(house.config.read_text().partition("[[pipelines]]")[0])
    alone = house.type("show", name)
    assert alone.code == 2
    assert f"{name} is of pipeline venue" in alone.err
    assert house.type("status", "/").code == 2


def test_an_event_is_told_as_of_who_has_it_and_not_of_who_gave_it_up(house: House) -> None:
    house.load("venue")
    name = an_id(house)
    house.type("retire", "venue")
    edit(house, 'name = "venue"', 'name = "zoo"')
    assert "of pipeline venue" not in house.type("show", name).out, "it takes over what was retired"
    house.type("sync", "zoo")
    house.config.write_text(house.config.read_text().partition("[[pipelines]]")[0])
    assert f"{name} is of pipeline zoo" in house.type("show", name).err


def test_what_was_retired_on_purpose_is_not_told_of(house: House) -> None:
    house.load("venue")
    assert house.type("retire", "venue").code == 0
    edit(house, 'name = "venue"', 'name = "hall"')
    assert house.ask("status")["deserted"] == []


def test_what_waits_for_a_new_name_is_created_only_when_somebody_says_so(house: House) -> None:
    """The old one is ended with all its entries, after the new one has had its first pass and found them claimed."""
    rename_in_config(house)
    number = in_window(house)
    assert house.type("sync", "hall").code == ExitCode.ATTENTION
    edit(house, 'name = "hall"', 'name = "venue"')
    assert house.type("retire", "venue", "--delete", "--yes").code == 0
    edit(house, 'name = "venue"', 'name = "hall"')
    assert live(house) == 0
    assert house.type("sync", "hall").code == ExitCode.GUARD
    assert (live(house), house.world.apptoto.messages.sent) == (0, [])
    assert house.type("approve", "hall").code == 0
    assert house.type("sync", "hall").code == 0
    assert live(house) == number


def test_another_target_account_under_the_same_name_is_refused_until_it_is_put_back(house: House) -> None:
    """A cancellation would be answered by "not there" at another account, and counted as done."""
    house.load("venue")
    before = house.config.read_text()
    with serving(a_world(2, datetime.now(UTC), tripleseat_events=1, timetap_appointments=1)) as elsewhere:
        head, mark, tail = before.partition('vendor = "apptoto"')
        house.config.write_text(head + mark + re.sub(r'base_url = "[^"]*"', f'base_url = "{elsewhere["apptoto"]}/v1"', tail, count=1))
        checked, said = house.ask("check"), house.type("sync", "venue")
    found = [problem for problem in checked["problems"] if "another user name or address" in problem["message"]]
    assert [problem["account"] for problem in found] == ["reminders"]
    assert (said.code, "nothing was read or sent" in said.out) == (ExitCode.CONFIG, True)
    house.config.write_text(before)
    assert house.type("sync", "venue").code == 0


def test_a_retired_pipeline_that_is_still_in_the_config_is_told_of(house: House) -> None:
    house.load("venue")
    assert house.type("retire", "venue").code == 0
    assert [warning for warning in house.ask("check")["warnings"] if "pipeline venue was retired" in warning]


def test_what_another_name_has_is_claimed_and_the_way_out_doubles_nothing(house: House) -> None:
    number = rename_in_config(house)
    said = house.type("sync", "hall")
    assert said.code == ExitCode.ATTENTION
    assert "`calrelay rename venue hall`" in said.out
    [standing] = house.ask("status", "hall")["pipelines"]
    assert standing["standing"] == "partial"
    assert "for account reminders, and others" in house.type("status", "hall").out
    assert "id_prefix" not in said.out
    assert house.type("rename", "venue", "hall").code == 0
    assert house.ask("sync", "hall")["passes"][0]["created"] == 0
    assert (live(house), house.ask("status")["deserted"]) == (number, [])


def test_a_prefix_makes_no_second_entry_of_each_booking_unasked(house: House) -> None:
    number = rename_in_config(house)
    house.type("sync", "hall")
    edit(house, 'name = "hall"', 'name = "hall"\nid_prefix = "hall-"')
    assert house.type("sync", "hall").code == ExitCode.GUARD
    assert (live(house), house.ask("status", "hall")["pipelines"][0]["states"]["held"]) == (number, in_window(house))


def test_a_filter_that_was_mistyped_ends_no_first_load_for_what_it_left_out(house: House) -> None:
    edit(house, "[[pipelines]]\n", '[[pipelines]]\nfilter = { rooms = ["Mian Hall"] }\n')
    assert house.type("sync", "venue").code == 0
    edit(house, "Mian Hall", "Main Hall")
    planned = house.type("plan", "venue")
    assert house.type("sync", "venue").code == planned.code == ExitCode.GUARD
    assert (live(house), house.world.apptoto.messages.sent) == (0, [])
    assert "an edit of the config let them in" in planned.out
    house.load("venue")
    assert live(house) > 0
    assert house.type("sync", "venue").code == 0


def test_a_hold_says_what_a_decision_does_before_it_is_taken(house: House) -> None:
    """Whom it messages and how to load it without; what `reject` gives up where the config was mistyped."""
    house.load("venue")
    edit(house, 'name = "venue"\n', 'name = "venue"\nfilter = { rooms = ["Mian Hall"] }\n')
    assert house.type("sync", "venue").code == ExitCode.GUARD
    told = house.type("holds").out
    assert "if rejected  these events are let go for good; where the config was edited by mistake, put it back" in told
    assert "if approved" not in told
    edit(house, "Mian Hall", "Main Hall")
    edit(house, "rooms = [", 'statuses = ["DEFINITE", "TENTATIVE"], rooms = [')
    house.type("sync", "venue")
    words = "as `messages` of the pipeline says, or with `#nobooking` where it had been there; `calrelay backfill venue`"
    assert words in house.type("holds").out
    assert words in house.type("approve", "venue").out
