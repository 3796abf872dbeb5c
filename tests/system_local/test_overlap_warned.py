"""`check`, `plan` and `status` warn where TimeTap messages guests of a pipeline whose messages are on; the extra fields over real HTTP."""

import json
from typing import Any

import pytest

from calrelay.errors import ExitCode
from calrelay.simulators.faults import Fault, Kind
from calrelay.simulators.timetap.invitations import InvitedType
from calrelay.simulators.timetap.rows import Reminders
from tests.system_local.stage import Stage
from tests.unit.cli.schemas import assert_fits

SILENT = Reminders(client_email=0, staff_email=0, client_sms=0, staff_sms=0)
EXTRAS = 'extras = ["invitation_status", "next_message"]'


def told(stage: Stage, *words: str) -> Any:
    said = stage.type(*words, "--json")
    document = json.loads(said.out)
    assert_fits(document, "passes" if words[0] in ("plan", "sync") else words[0])
    return document


def of_studio(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if row.get("name", row.get("pipeline")) == "studio")


def asked(stage: Stage, *parts: str) -> list[str]:
    entries = [entry.path for entry in stage.world.timetap.journal.entries]
    return [path for path in entries if any(part in path for part in parts)]


EVENTS_API = ("/eventDefinition", "/eventAction", "/emailTemplates", "/emailCategories", "/invitation")


def test_plan_and_status_count_the_guests_that_messages_counts(small_stage: Stage) -> None:
    plan = of_studio(told(small_stage, "plan", "studio")["passes"])["overlap"]
    doubled = told(small_stage, "messages", "studio")["guests_doubled"]
    assert doubled > 0
    assert (plan["guests"], plan["with_triggers"]) == (doubled, True)
    assert told(small_stage, "sync", "studio")["passes"][0]["outcome"] in ("ok", "partial")
    told(small_stage, "sync", "studio")
    status = of_studio(told(small_stage, "status")["pipelines"])["overlap"]
    assert (status["guests"], status["with_triggers"]) == (doubled, True)


def test_each_of_the_three_says_it_in_words_with_the_command_that_tells_more(small_stage: Stage) -> None:
    small_stage.type("sync", "studio")
    for command in ("check", "plan", "status"):
        said = small_stage.type(command)
        assert "by itself: with the target's reminders they hear of it twice" in " ".join(said.out.split()), command
        assert "→ calrelay messages studio" in said.out


def test_check_carries_it_as_json_and_is_not_worse_for_it(small_stage: Stage) -> None:
    document = told(small_stage, "check")
    assert document["exit_code"] == 0
    assert of_studio(document["pipelines"])["overlap"]["guests"] > 0
    assert any("hear of it twice" in warning for warning in document["warnings"])
    assert next(row for row in document["pipelines"] if row["name"] == "venue")["overlap"] is None


def test_status_asks_nobody(small_stage: Stage) -> None:
    small_stage.type("sync", "studio")
    small_stage.world.timetap.journal.entries.clear()
    told(small_stage, "status")
    assert small_stage.world.timetap.journal.entries == []


def test_nothing_is_said_where_nobody_is_reminded_or_the_messages_are_off(small_stage: Stage) -> None:
    sim = small_stage.world.timetap
    sim.stores.events.definitions.clear()
    for booking in sim.book.bookings.values():
        booking.row.update(clientReminderHours=0, remindClientSmsHrs=None, staffReminderHours=24)
    small_stage.type("sync", "studio")
    for command in ("check", "plan", "status"):
        assert "hear of it twice" not in small_stage.type(command).out, command


def test_a_pipeline_that_messages_nobody_is_not_warned_of(small_stage: Stage) -> None:
    config = small_stage.config
    config.write_text(config.read_text().replace('calendar = "Studio"', 'calendar = "Studio"\nmessages = "skip"'))
    small_stage.type("sync", "studio")
    for command in ("check", "plan", "status"):
        assert "hear of it twice" not in small_stage.type(command).out, command


def test_an_account_that_hides_its_triggers_is_warned_of_by_its_built_in_reminders(small_stage: Stage) -> None:
    small_stage.world.timetap.faults.add(Fault(kind=Kind.STATUS, status=500, path="/eventDefinition", times=None))
    said = small_stage.type("plan", "studio")
    assert said.code == small_stage.type("plan", "studio").code != ExitCode.BUG
    assert "by built-in reminders alone, its triggers are not known" in " ".join(said.out.split())


def test_a_pass_asks_nothing_about_messages_and_a_sync_does_it_once_a_day_when_all_is_done(small_stage: Stage) -> None:
    small_stage.type("sync", "studio")
    first = asked(small_stage, *EVENTS_API)
    paths = [entry.path for entry in small_stage.world.timetap.journal.entries]
    assert first
    assert paths[-len(first) :] == first
    small_stage.world.timetap.journal.entries.clear()
    small_stage.type("sync", "studio")
    assert asked(small_stage, *EVENTS_API) == []


# --- extra fields ---


@pytest.fixture
def enriched(small_stage: Stage) -> Stage:
    """The studio with a loaded pipeline that wants both fields from here on; one guest was invited, and clicked."""
    assert small_stage.type("sync", "studio").code in (0, ExitCode.ATTENTION)
    sim = small_stage.world.timetap
    number, booking = next((number, one) for number, one in sim.book.bookings.items() if one.row["status"] == "OPEN" and one.row["client"])
    body = {"description": "Campaign", "emailTemplateId": 12006, "eventDefinitionList": [], "calendarId": number}
    campaign = sim.stores.invitations.add_campaign(body)["invitationCampaignId"]
    invited = sim.stores.invitations.invite(campaign, InvitedType.CLIENT, booking.row["client"]["clientId"])
    invited.update(sent=True, opened=True, clicked=True, status="CLICKED")
    config = small_stage.config
    config.write_text(config.read_text().replace('calendar = "Studio"', f'calendar = "Studio"\n{EXTRAS}'))
    return small_stage


def test_they_come_as_one_hold_and_cost_a_quiet_pass_nothing(enriched: Stage) -> None:
    held = told(enriched, "sync", "studio")["passes"][0]
    assert held["held"] > 1
    assert held["updated"] == 0
    assert enriched.type("approve", "studio").code == 0
    enriched.type("sync", "studio")
    custom = [event.custom_data for event in enriched.world.apptoto.events.live_events()]
    assert sum("next_message" in one for one in custom) > 1
    assert [one["invitation_status"] for one in custom if "invitation_status" in one].count("clicked") == 1
    enriched.world.timetap.journal.entries.clear()
    quiet = told(enriched, "sync", "studio")["passes"][0]
    assert (quiet["created"], quiet["updated"], quiet["deleted"], quiet["held"]) == (0, 0, 0, 0)
    assert asked(enriched, *EVENTS_API) == []


def test_an_account_that_refuses_them_neither_spoils_the_read_nor_an_event(enriched: Stage) -> None:
    enriched.world.timetap.faults.add(Fault(kind=Kind.STATUS, status=403, path="/invitationCampaign", times=None))
    enriched.type("sync", "studio")
    done = told(enriched, "sync", "studio")["passes"][0]
    assert (done["outcome"], done["quarantined"], done["problems"]) == ("partial", 0, [])  # the fields that could be told are held
    assert "invitation_status could not be read anew" in enriched.type("plan", "studio").out
