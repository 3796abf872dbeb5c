"""TimeTap's own messages over real HTTP: what `messages` tells against the simulator's own account of it, and switching them off."""

import copy
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from calrelay.domain.link import ExternalId
from calrelay.errors import ExitCode
from calrelay.simulators.faults import Fault, Kind
from calrelay.simulators.timetap.due import Channel, Message, Origin
from calrelay.simulators.timetap.events import a_definition_body, an_action_body
from calrelay.simulators.timetap.invitations import InvitedType
from calrelay.simulators.timetap.rows import Reminders, a_reason, to_wall
from calrelay.simulators.timetap.settings import ActionPost
from calrelay.simulators.timetap.templates import TRIGGER, Recipient, a_template_body
from calrelay.state.database import open_database
from calrelay.state.ledger import SqlLedger
from calrelay.vendors.timetap.mapping import STATUSES
from tests.system_local.stage import Stage
from tests.unit.cli.schemas import assert_fits

ZONE = "America/New_York"
LESSON = a_reason(88002, "Piano lesson", 60)
TOUR = a_reason(88001, "Venue tour", 45)
REMINDERS = (
    Reminders(client_email=24, staff_email=0, client_sms=0, staff_sms=0),
    Reminders(client_email=0, staff_email=24, client_sms=1, staff_sms=0),
    Reminders(client_email=0, staff_email=0, client_sms=0, staff_sms=0),
    Reminders(client_email=None, staff_email=None, client_sms=None, staff_sms=None),
)
APPOINTMENTS = 40


class Business:
    """The world of the issue: forty appointments, two time triggers, one on a change of status, and one campaign."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.sim = stage.world.timetap
        self.now = self.sim.clock.now()
        self.ids = [self._book(number) for number in range(APPOINTMENTS)]
        templates = self.sim.stores.templates
        self.to_guest = templates.create(a_template_body(TRIGGER))["emailTemplateId"]
        self.to_staff = templates.create(a_template_body(TRIGGER, to="%STAFF_EMAIL%"))["emailTemplateId"]
        self.guests = self._trigger(a_definition_body(3, -48, "two days before") | {"reasonIdList": [88002]}, self.to_guest)
        self.staff = self._trigger(a_definition_body(3, -2, "two hours before"), self.to_staff)
        self.thanks = self._trigger(a_definition_body(2, 1, "thank you") | {"oldStatus": "OPEN", "newStatus": "COMPLETED"}, self.to_guest)
        reminder = a_definition_body(8, 24, "please book") | {"templateActions": [an_action_body(0, self.to_guest)]}
        body = {"description": "Campaign", "emailTemplateId": self.to_guest, "eventDefinitionList": [reminder], "calendarId": self.ids[2]}
        self.campaign = self.sim.stores.invitations.add_campaign(body)["invitationCampaignId"]
        guest = self.sim.book.row(self.ids[2])["client"]["clientId"]
        self.sim.stores.invitations.invite(self.campaign, InvitedType.CLIENT, guest)
        self.sim.webhooks.pending.clear()

    def _book(self, number: int) -> int:
        """Book one: of eight, one is cancelled, one has no address, one is the same guest's as the one before."""
        client = a_guest(number - 1 if number % 8 == 7 else number)
        if number % 8 == 5:
            client |= {"emailAddress": None, "cellPhone": None}
        if number % 8 == 6:
            client |= {"emailAddress": None}
        start = to_wall(self.now + timedelta(days=3 + number % 20, hours=number % 7), ZONE)
        status = "CANCELLED" if number % 8 == 4 else "OPEN"
        return self.sim.book.book(
            start.replace(minute=0, second=0, microsecond=0),
            60,
            ZONE,
            client=client,
            reason=LESSON if number % 3 == 0 else TOUR,
            reminders=REMINDERS[number % 4],
            status=status,
            created=self.now - timedelta(days=2),
        )

    def _trigger(self, body: dict[str, Any], template: int) -> tuple[int, int]:
        events = self.sim.stores.events
        definition = events.save_definition(body)["eventDefnId"]
        return definition, events.save_action(an_action_body(definition, template))["eventActionId"]

    def due(self) -> list[Message]:
        """Return what the simulator says it will send, by a computation of its own."""
        return self.sim.messages_due(self.now, self.now + timedelta(days=200))

    def actions(self) -> dict[int, dict[str, Any]]:
        return copy.deepcopy(self.sim.stores.events.actions)

    def written(self) -> list[tuple[str, str]]:
        return [(entry.method, entry.path) for entry in self.sim.journal.entries if entry.method != "GET"]


def a_guest(number: int) -> dict[str, Any]:
    return {
        "clientId": 9_100_000 + number,
        "businessId": 55500,
        "firstName": "Ana",
        "lastName": "Lopez",
        "fullName": "Ana Lopez",
        "emailAddress": f"guest{number}@example.org",
        "cellPhone": f"212-555-01{number:02}",
        "homePhone": None,
    }


@pytest.fixture
def business(small_stage: Stage) -> Business:
    """The stage's own appointments and messages are cleared away first."""
    sim = small_stage.world.timetap
    sim.book.bookings.clear()
    sim.stores.events.definitions.clear()
    sim.stores.events.actions.clear()
    sim.stores.events.fired.clear()
    sim.stores.invitations.campaigns.clear()
    sim.stores.invitations.invitations.clear()
    return Business(small_stage)


def ask(business: Business, *words: str) -> Any:
    said = business.stage.type("messages", *words, "--json")
    assert said.code == 0, said
    return json.loads(said.out)


OBJECTS = {
    Origin.BUILT_IN: "appointment",
    Origin.TIME: "eventAction",
    Origin.STATUS: "eventAction",
    Origin.INVITATION: "invitationCampaign",
}
WHY = {Origin.BUILT_IN: "built-in reminder", Origin.TIME: "trigger", Origin.STATUS: "trigger", Origin.INVITATION: "invitation"}


def as_told(business: Business, message: Message) -> tuple[Any, ...]:
    """Write a message of the simulator as `messages` should tell it."""
    assert message.at is not None
    objects = {Origin.BUILT_IN: message.calendar_id, Origin.INVITATION: business.campaign}
    return (
        f"tt-{message.calendar_id}",
        "guest" if message.recipient is Recipient.CLIENT else "staff",
        message.channel.value,
        f"{message.at:%Y-%m-%dT%H:%M:%SZ}",
        WHY[message.origin],
        OBJECTS[message.origin],
        objects.get(message.origin, message.action_id),
    )


def as_tuple(told: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(told[key] for key in ("external_id", "recipient", "channel", "at", "why", "object", "object_id"))


# --- 1: what is told is what will be sent ---


def test_every_message_is_told_at_its_instant_and_nothing_else(business: Business) -> None:
    document = ask(business)
    assert_fits(document, "messages")
    due = business.due()
    assert {message.origin for message in due} == {Origin.BUILT_IN, Origin.TIME, Origin.INVITATION}
    assert {message.channel for message in due} == set(Channel)
    assert sorted(as_tuple(one) for one in document["messages"]) == sorted(as_told(business, message) for message in due)


def test_exactly_the_guests_whom_both_message_are_counted_before_and_after_the_first_sync(business: Business) -> None:
    expected = {
        (row["client"]["emailAddress"] or row["client"]["cellPhone"])
        for message in business.due()
        if message.recipient is Recipient.CLIENT and message.calendar_id is not None
        for row in [business.sim.book.row(message.calendar_id)]
    }
    assert len(expected) > 10
    for _ in range(2):
        document = ask(business)
        assert document["guests_doubled"] == len(expected)
        doubled = [one for one in document["messages"] if one["doubled"]]
        assert len(doubled) == sum(1 for message in business.due() if message.recipient is Recipient.CLIENT)
        assert all(one["recipient"] == "guest" for one in doubled)
        assert business.stage.type("sync", "studio").code == 0


def test_a_guest_whom_apptoto_skips_is_not_doubled(business: Business) -> None:
    assert business.stage.type("sync", "studio").code == 0
    assert business.stage.type("retag", "studio", "--messages", "skip").code == 0
    document = ask(business)
    assert document["guests_doubled"] == 0
    assert len(document["messages"]) == len(business.due())


def test_nobody_is_named(business: Business) -> None:
    said = [business.stage.type("messages", *words) for words in ((), ("--json",), ("--event", f"tt-{business.ids[0]}"))]
    for one in said:
        assert not [word for word in ("Ana", "Lopez", "@", "555-01", "M. Hall") if word in one.out + one.err]


def test_the_summary_counts_and_names_what_would_double(business: Business) -> None:
    said = business.stage.type("messages", "studio")
    doubled = ask(business)["guests_doubled"]
    assert f"{doubled} guests would be reminded twice, by " in said.out
    assert f"trigger “two days before” (action:{business.guests[1]})" in said.out
    assert "the built-in 24-hour e-mail reminder" in said.out
    assert (
        f"trigger “thank you” (action:{business.thanks[1]}) also mails guest when an appointment is changed from OPEN to COMPLETED"
        in said.out
    )
    assert f"calrelay messages silence action:{business.guests[1]}" in said.out
    assert "Messaging Settings" in said.out


def test_an_account_without_triggers_is_said_to_be_just_that(business: Business) -> None:
    business.sim.stores.events.definitions.clear()
    said = business.stage.type("messages")
    assert "shows no triggers. That means just that" in said.out
    assert "built-in reminders are separate" in said.out
    assert all(one["why"] == "built-in reminder" for one in ask(business)["messages"])


def test_an_account_that_may_not_read_its_triggers_is_told_of_its_reminders_all_the_same(business: Business) -> None:
    business.sim.faults.add(Fault(kind=Kind.STATUS, status=403, path="/eventDefinition", times=None))
    assert "refuses to show its triggers" in business.stage.type("messages").out
    assert ask(business)["messages"]


def test_an_incomplete_read_is_said_and_is_exit_three(business: Business) -> None:
    business.sim.settings.count_offset = 3
    said = business.stage.type("messages", "--json")
    assert said.code == ExitCode.VENDOR
    assert said.err.count("not all could be read") == 1


def test_a_pipeline_whose_source_messages_nobody_is_left_out_and_said_so(business: Business) -> None:
    nothing = business.stage.type("messages", "venue")
    assert nothing.code == 0
    assert nothing.out == "venue reads no source that messages people by itself; only TimeTap's messages can be told.\n"
    assert business.stage.type("messages", "venue", "--json").document == {"guests_doubled": 0, "messages": []}
    both = business.stage.type("messages", "venue", "studio")
    assert both.code == 0
    assert both.out.endswith(nothing.out)
    assert len(both.out) > len(nothing.out)
    assert business.stage.type("messages", "venue", "--event", f"tt-{business.ids[0]}").code == ExitCode.CONFIG
    assert business.stage.type("messages", "nobody").code == ExitCode.CONFIG
    foreign = business.stage.type("messages", "--event", "ts-61000001")
    assert (foreign.code, "is no id of studio; only TimeTap's messages can be told" in foreign.err) == (ExitCode.CONFIG, True)


def test_one_event_is_told_as_a_timeline_with_what_its_triggers_really_say(business: Business) -> None:
    """A trigger of the account that goes off on a change is not scheduled ahead: once it has gone off, its own row tells."""
    number = business.ids[0]
    business.sim.book.complete(number)
    said = business.stage.type("messages", "--event", f"tt-{number}")
    assert said.code == 0
    assert "thank you" in said.out
    assert "now" in said.out
    told = ask(business, "--event", f"tt-{number}")
    due = [message for message in business.due() if message.calendar_id == number]
    assert sorted(as_tuple(one) for one in told["messages"]) == sorted(as_told(business, message) for message in due)
    assert {entry.path for entry in business.sim.journal.entries if "eventTriggers" in entry.path} == {
        f"/live/eventTriggers/CALENDAR/{number}"
    }


def test_apptotos_own_times_stand_in_the_timeline(business: Business) -> None:
    config = business.stage.config
    config.write_text(config.read_text().replace("requests_per_minute = 30000", 'requests_per_minute = 30000\nschedule = ["24h", "1h"]'))
    said = business.stage.type("messages", "--event", f"tt-{business.ids[0]}")
    assert said.out.count("Apptoto reminds") == 2


# --- 2: switching off and on ---


def test_a_dry_run_changes_nothing(business: Business) -> None:
    before = business.actions()
    said = business.stage.type("messages", "silence", f"action:{business.guests[1]}", "--json")
    assert said.code == 0
    assert_fits(json.loads(said.out), "switches")
    assert business.written() == []
    assert business.actions() == before
    assert business.stage.type("messages", "restore").out.startswith("Nothing was switched off")


@pytest.mark.parametrize("form", [ActionPost.ANY, ActionPost.REQUEST_FORM])
def test_exactly_the_named_action_is_switched_off_and_comes_back_as_it_was(business: Business, form: ActionPost) -> None:
    business.sim.settings.action_post = form
    before, messages = business.actions(), ask(business)
    guests = business.guests[1]
    said = business.stage.type("messages", "silence", f"action:{guests}", "--apply", "--json")
    told = [line for line in said.err.splitlines() if line.startswith("switching off: ")]
    assert [line.partition(",")[0] for line in told] == ["switching off: 1 of 2", "switching off: 2 of 2"]
    assert said.code == 0, said
    assert_fits(json.loads(said.out), "switches")
    off = business.actions()
    assert off.keys() == before.keys()
    assert {number for number in before if without_stamps(off[number]) != without_stamps(before[number])} == {guests}
    assert without_stamps(off[guests]) == without_stamps(before[guests]) | {"active": False}
    silent = ask(business)
    gone = [one for one in messages["messages"] if one not in silent["messages"]]
    assert gone
    assert {(one["object"], one["object_id"]) for one in gone} == {("eventAction", guests)}
    assert silent["guests_doubled"] < messages["guests_doubled"]
    assert business.stage.type("messages", "restore").code == 0
    assert business.actions() == off
    assert business.stage.type("messages", "restore", "--apply").code == 0
    assert {number: without_stamps(row) for number, row in business.actions().items()} == {
        number: without_stamps(row) for number, row in before.items()
    }
    assert ask(business) == messages
    assert business.stage.type("messages", "restore").out.startswith("Nothing was switched off")
    assert business.sim.mails.sent == []


def without_stamps(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if not key.startswith("modified")}


def test_an_action_that_takes_neither_form_is_told_with_the_place_in_timetap(business: Business) -> None:
    business.sim.settings.action_post = ActionPost.NONE
    before = business.actions()
    said = business.stage.type("messages", "silence", f"action:{business.guests[1]}", "--apply")
    assert said.code == ExitCode.VENDOR
    assert "Automated Messaging Triggers" in said.err
    assert business.actions() == before
    assert business.stage.type("messages", "restore").out.startswith("Nothing was switched off")


def test_what_messages_staff_is_left_alone_unless_told_otherwise(business: Business) -> None:
    staff = f"action:{business.staff[1]}"
    said = business.stage.type("messages", "silence", staff, f"action:{business.guests[1]}", "--apply")
    assert said.code == ExitCode.CONFIG
    assert "--staff" in said.err
    assert business.written() == []
    assert business.stage.type("messages", "silence", staff, "--staff", "--apply").code == 0
    assert business.sim.stores.events.actions[business.staff[1]]["active"] is False


@pytest.mark.parametrize("loses", [False, True])
def test_a_definition_goes_only_when_its_risk_is_spelt_out_and_comes_back_with_its_actions(business: Business, loses: bool) -> None:
    business.sim.settings.restored_definitions_lose_actions = loses
    before = ask(business)
    name = f"definition:{business.guests[0]}"
    refused = business.stage.type("messages", "silence", name, "--apply")
    assert refused.code == ExitCode.CONFIG
    assert "--definition-loses-actions" in refused.err
    assert business.written() == []
    assert business.stage.type("messages", "silence", name, "--definition-loses-actions", "--apply").code == 0
    assert ask(business) != before
    assert business.stage.type("messages", "restore", "--apply").code == 0
    assert ask(business) == before
    assert business.sim.mails.sent == []


@pytest.mark.parametrize("word", ["action:9", "definition:9"])
def test_what_is_not_there_is_refused(business: Business, word: str) -> None:
    said = business.stage.type("messages", "silence", word, "--definition-loses-actions", "--apply")
    assert said.code == ExitCode.CONFIG
    assert business.written() == []


@pytest.mark.parametrize("word", ["31001", "action:", "campaign:7", "action:7/../8"])
def test_what_is_no_id_is_refused(business: Business, word: str) -> None:
    assert business.stage.type("messages", "silence", word).code == ExitCode.CONFIG


def test_what_is_remembered_names_no_user(business: Business) -> None:
    assert business.stage.type("messages", "silence", f"action:{business.guests[1]}", "--apply").code == 0
    with open_database("sqlite:///calrelay.db", business.stage.folder) as database:
        [(text, _)] = SqlLedger(database).memos("switched-off:").values()
    kept = json.loads(text)["kept"]
    assert not kept.keys() & {"createdUser", "modifiedUser"}
    assert kept.keys() == business.sim.stores.events.actions[business.guests[1]].keys() - {"createdUser", "modifiedUser"}


# --- nobody is mailed, no appointment is written ---


def test_no_command_about_messages_mails_anybody_or_writes_an_appointment(business: Business) -> None:
    rows = copy.deepcopy({number: booking.row for number, booking in business.sim.book.bookings.items()})
    action, definition = f"action:{business.guests[1]}", f"definition:{business.thanks[0]}"
    for words in (
        (),
        ("--event", f"tt-{business.ids[0]}"),
        ("silence", action, "--apply"),
        ("silence", definition, "--definition-loses-actions", "--apply"),
        ("restore", "--apply"),
    ):
        assert business.stage.type("messages", *words).code == 0
    assert {path for _, path in business.written()} == {
        "/live/eventAction",
        "/live/eventDefinition",
        f"/live/eventDefinition/{business.thanks[0]}",
    }
    assert {number: booking.row for number, booking in business.sim.book.bookings.items()} == rows
    assert business.sim.mails.sent == []


def test_an_external_id_of_a_later_generation_is_understood(business: Business) -> None:
    assert ask(business, "--event", ExternalId(f"tt-{business.ids[0]}.2"))["messages"]


def test_it_writes_nothing_to_its_own_state_either(business: Business) -> None:
    business.stage.database.unlink()
    ask(business)
    assert not business.stage.database.exists()


# --- a business as it grows ---


def test_a_lively_business_is_told_as_its_own_ledger_has_it(full_stage: Stage) -> None:
    """Seventy appointments with classes, series, every odd status, three zones, triggers of every sort, and campaigns."""
    sim = full_stage.world.timetap
    now = sim.clock.now()
    sim.stores.events.fired.clear()  # what went off before is only known appointment by appointment
    document = full_stage.type("messages", "--json").document
    assert_fits(document, "messages")
    future = {f"tt-{number}" for number, booking in sim.book.bookings.items() if is_listed(booking.row, now)}
    due = [message for message in sim.messages_due(now, now + timedelta(days=400)) if f"tt-{message.calendar_id}" in future]
    expected = sorted(
        (
            f"tt-{message.calendar_id}",
            "guest" if message.recipient is Recipient.CLIENT else "staff",
            message.channel.value,
            f"{message.at:%Y-%m-%dT%H:%M:%SZ}",
            WHY[message.origin],
        )
        for message in due
    )
    told = sorted(tuple(one[key] for key in ("external_id", "recipient", "channel", "at", "why")) for one in document["messages"])
    assert len(expected) > 50
    assert told == expected


def is_listed(row: dict[str, Any], now: datetime) -> bool:
    """Tell whether a row is not over, and of a status that the report is asked for: others it never shows (rule 2)."""
    return row["status"] in STATUSES and datetime.fromisoformat(row["endDateTimeUTC"]) > now
