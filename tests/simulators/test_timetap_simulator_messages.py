"""What the TimeTap simulator says and does about messages: definitions, actions, templates, invitations, and what is due."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.timetap.book import RowKind
from calrelay.simulators.timetap.due import Channel, Message, Origin
from calrelay.simulators.timetap.events import a_definition_body, an_action_body
from calrelay.simulators.timetap.invitations import InvitedType
from calrelay.simulators.timetap.rows import Reminders, a_reason, a_staff
from calrelay.simulators.timetap.settings import ActionPost, Anchor, DefinitionShape, TimeTapSettings
from calrelay.simulators.timetap.simulator import TimeTapSimulator
from calrelay.simulators.timetap.templates import CLIENT_REMINDER, TRIGGER, Recipient, a_template_body
from calrelay.simulators.timetap.world import populate_timetap

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=90)
SILENT = Reminders(client_email=0, staff_email=0, client_sms=0, staff_sms=None)
NOON = datetime.fromisoformat("2026-12-01 12:00")
NOON_UTC = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)


def a_simulator(**settings: Any) -> TimeTapSimulator:
    return TimeTapSimulator(clock=SimulatedClock(NOW), settings=TimeTapSettings(**settings))


def with_token(sim: TimeTapSimulator) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {sim.tokens.mint()}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=sim.app), base_url="https://api.timetap.example/live", headers=headers)


def a_quiet_appointment(sim: TimeTapSimulator, **extras: Any) -> int:
    """Book one whose built-in reminders are all off, so that only triggers speak."""
    return sim.book.book(NOON, 60, "America/New_York", **{"reminders": SILENT, **extras})


def a_template(sim: TimeTapSimulator, *, to: str = "%CLIENT_EMAILADDRESS%") -> int:
    number: int = sim.stores.templates.create(a_template_body(TRIGGER, to=to))["emailTemplateId"]
    return number


def a_trigger(sim: TimeTapSimulator, event_type: int, hours: int, *, to: str = "%CLIENT_EMAILADDRESS%", **more: Any) -> tuple[int, int]:
    definition = sim.stores.events.save_definition(a_definition_body(event_type, hours, "test") | more)["eventDefnId"]
    action = sim.stores.events.save_action(an_action_body(definition, a_template(sim, to=to)))["eventActionId"]
    return definition, action


def due(sim: TimeTapSimulator) -> list[Message]:
    return sim.messages_due(NOW, LATER)


async def definitions(client: httpx.AsyncClient, event_type: int = 3) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await client.get(f"/eventDefinition/eventType/{event_type}")).json()
    return rows


async def actions(client: httpx.AsyncClient, definition: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await client.get(f"/eventAction/eventDefinition/{definition}")).json()
    return rows


def request_form(action: dict[str, Any]) -> dict[str, Any]:
    """Write an action as the vendor's own pages post it, with state no GET returns."""
    return action | {"template": {"emailTemplateId": 1}, "recipient": {"value": "client"}, "msgType": {"value": "email"}}


async def test_definitions_come_by_type_with_null_actions() -> None:
    sim = a_simulator()
    number, _ = a_trigger(sim, 3, -24)
    async with with_token(sim) as client:
        (found,) = await definitions(client)
        assert await definitions(client, 2) == []
    assert found["eventDefnId"] == number
    assert found["eventActions"] is None
    assert found["eventType"] == {"eventCategory": "REMINDER", "eventType": "APPT_REMINDER", "eventTypeId": 3, "objectType": "CALENDAR"}
    assert (found["triggerHours"], found["triggerMinutes"]) == (-24, 0)


async def test_a_definition_by_id_is_an_object_or_an_array() -> None:
    sim = a_simulator()
    number, _ = a_trigger(sim, 3, -24)
    async with with_token(sim) as client:
        assert (await client.get(f"/eventDefinition/{number}")).json()["eventDefnId"] == number
        assert (await client.get("/eventDefinition/9")).status_code == 404
        sim.settings.definition_shape = DefinitionShape.ARRAY
        assert [d["eventDefnId"] for d in (await client.get(f"/eventDefinition/{number}")).json()] == [number]
        assert (await client.get("/eventDefinition/9")).json() == []


async def test_deleting_a_definition_hides_it_and_keeps_it() -> None:
    sim = a_simulator()
    number, _ = a_trigger(sim, 3, -24)
    async with with_token(sim) as client:
        assert (await client.delete(f"/eventDefinition/{number}")).json()["active"] is False
        assert await definitions(client) == []
        assert (await client.get(f"/eventDefinition/{number}")).status_code == 404
        assert (await client.delete(f"/eventDefinition/{number}")).status_code == 400
        restored = await client.post("/eventDefinition", json=sim.stores.events.definitions[number] | {"active": True})
        assert restored.json()["eventDefnId"] == number
        assert len(await definitions(client)) == 1
        assert len(await actions(client, number)) == 1


async def test_a_restored_definition_may_have_lost_its_actions() -> None:
    sim = a_simulator(restored_definitions_lose_actions=True)
    number, _ = a_trigger(sim, 3, -24)
    sim.stores.events.retire(number)
    async with with_token(sim) as client:
        await client.post("/eventDefinition", json=sim.stores.events.definitions[number] | {"active": True})
        assert await actions(client, number) == []


async def test_posting_the_vendors_own_request_creates_a_definition_with_actions() -> None:
    sim = a_simulator()
    action = {k: v for k, v in an_action_body(0, a_template(sim)).items() if k != "eventDefnId"}
    body = a_definition_body(3, -24, "day before") | {"templateActions": [request_form(action)], "triggerMinutes": None}
    del body["eventActions"]
    async with with_token(sim) as client:
        posted = (await client.post("/eventDefinition", json=body)).json()
        (created,) = await actions(client, posted["eventDefnId"])
    assert posted["eventType"] == {"eventCategory": None, "eventType": None, "eventTypeId": 3, "objectType": None}
    assert posted["filterTagMapJson"] is None
    assert posted["triggerMinutes"] == 0
    assert "template" not in created


@pytest.mark.parametrize("missing", ["active", "businessId", "objectType", "triggerHours", "triggerMinutes", "eventActions", "eventType"])
async def test_a_definition_without_a_required_field_is_refused(missing: str) -> None:
    sim = a_simulator()
    body = a_definition_body(3, -24, "day before")
    del body[missing]
    async with with_token(sim) as client:
        assert (await client.post("/eventDefinition", json=body)).status_code == 400
    assert sim.stores.events.definitions == {}


async def test_posting_an_action_with_its_id_updates_it_and_without_makes_a_second() -> None:
    sim = a_simulator()
    definition, action = a_trigger(sim, 3, -24)
    async with with_token(sim) as client:
        (found,) = await actions(client, definition)
        del found["eventActionId"]
        await client.post("/eventAction", json=found)
        assert len(await actions(client, definition)) == 2
        await client.post("/eventAction", json=found | {"eventActionId": action, "active": False})
        assert action not in [a["eventActionId"] for a in await actions(client, definition)]
        assert (await client.post("/eventAction", json=found | {"eventActionId": 5})).status_code == 400


async def test_actions_cannot_be_deleted_and_definitions_not_listed() -> None:
    async with with_token(a_simulator()) as client:
        assert (await client.delete("/eventAction/1")).status_code == 404
        assert (await client.get("/eventDefinition")).status_code == 405


@pytest.mark.parametrize("missing", ["actionType", "active", "businessId", "emailTemplateId", "eventDefnId"])
async def test_an_action_without_a_required_field_is_refused(missing: str) -> None:
    sim = a_simulator()
    definition, _ = a_trigger(sim, 3, -24)
    body = an_action_body(definition, 1)
    del body[missing]
    async with with_token(sim) as client:
        assert (await client.post("/eventAction", json=body)).status_code == 400
    assert len(sim.stores.events.actions) == 1


@pytest.mark.parametrize(
    ("mode", "plain_takes", "form_takes"),
    [(ActionPost.ANY, True, True), (ActionPost.REQUEST_FORM, False, True), (ActionPost.NONE, False, False)],
)
async def test_an_update_may_be_echoed_and_not_taken(mode: ActionPost, plain_takes: bool, form_takes: bool) -> None:
    sim = a_simulator(action_post=mode)
    definition, action = a_trigger(sim, 3, -24)
    async with with_token(sim) as client:
        (found,) = await actions(client, definition)
        for body, takes in ((found, plain_takes), (request_form(found), form_takes)):
            sim.stores.events.actions[action]["active"] = True
            answer = await client.post("/eventAction", json=body | {"active": False})
            assert (answer.status_code, answer.json()["active"]) == (200, False)
            assert (await actions(client, definition) == []) is takes


async def test_triggers_of_an_appointment_are_past_and_scheduled_ones_with_lasting_ids() -> None:
    sim = a_simulator()
    a_trigger(sim, 3, -24)
    number = a_quiet_appointment(sim)
    async with with_token(sim) as client:
        (scheduled,) = (await client.get(f"/eventTriggers/CALENDAR/{number}")).json()
        sim.clock.advance(timedelta(days=20))
        sim.tokens.expire()
    async with with_token(sim) as client:
        (past,) = (await client.get(f"/eventTriggers/CALENDAR/{number}")).json()
        assert (await client.get("/eventTriggers/CALENDAR/5")).json() == []
    assert (scheduled["status"], scheduled["completedTime"]) == ("PENDING", None)
    assert scheduled["scheduledTime"] == (NOON_UTC - timedelta(hours=24)).timestamp() * 1000
    assert past["status"] == "COMPLETED"
    assert past["completedTime"] >= past["scheduledTime"]
    assert past["eventTriggerId"] == scheduled["eventTriggerId"]


def test_built_in_reminders_are_due_to_client_and_staff_by_mail_and_text() -> None:
    sim = a_simulator()
    sim.book.book(NOON, 60, "America/New_York", reminders=Reminders(client_email=24, staff_email=12, client_sms=2, staff_sms=1))
    assert [(m.at, m.channel, m.recipient) for m in due(sim)] == [
        (NOON_UTC - timedelta(hours=24), Channel.EMAIL, Recipient.CLIENT),
        (NOON_UTC - timedelta(hours=12), Channel.EMAIL, Recipient.STAFF),
        (NOON_UTC - timedelta(hours=2), Channel.SMS, Recipient.CLIENT),
        (NOON_UTC - timedelta(hours=1), Channel.SMS, Recipient.STAFF),
    ]
    assert {m.origin for m in due(sim)} == {Origin.BUILT_IN}


def test_nobody_is_reminded_of_what_is_cancelled_unreachable_or_switched_off() -> None:
    sim = a_simulator()
    number = sim.book.book(NOON, 60, "America/New_York", reminders=Reminders(client_email=24, staff_email=0, client_sms=2))
    assert len(due(sim)) == 2
    sim.stores.templates.excluded.add(CLIENT_REMINDER)
    assert [m.channel for m in due(sim)] == [Channel.SMS]
    sim.book.patch(number, {"client": sim.book.row(number)["client"] | {"cellPhone": None}})
    assert due(sim) == []
    sim.stores.templates.excluded.clear()
    assert len(due(sim)) == 1
    sim.book.cancel(number)
    assert due(sim) == []


def test_a_reminder_older_than_the_booking_is_not_due() -> None:
    sim = a_simulator()
    soon = datetime.fromisoformat("2026-11-21 15:00")  # five hours from now
    sim.book.book(soon, 60, "America/New_York", reminders=Reminders(client_email=24, staff_email=2))
    assert [m.recipient for m in sim.messages_due(NOW - timedelta(days=9), LATER)] == [Recipient.STAFF]


def test_time_triggers_count_before_the_start_and_after_the_end() -> None:
    sim = a_simulator()
    a_quiet_appointment(sim)
    a_trigger(sim, 3, -2)
    a_trigger(sim, 3, 3)
    assert [m.at for m in due(sim)] == [NOON_UTC - timedelta(hours=2), NOON_UTC + timedelta(hours=4)]
    sim.settings.after_counts_from = Anchor.START
    assert due(sim)[-1].at == NOON_UTC + timedelta(hours=3)


def test_a_span_includes_its_begin_and_not_its_end() -> None:
    sim = a_simulator()
    a_quiet_appointment(sim)
    a_trigger(sim, 3, -2)
    at = NOON_UTC - timedelta(hours=2)
    assert len(sim.messages_due(at, at + timedelta(seconds=1))) == 1
    assert sim.messages_due(at - timedelta(hours=1), at) == []


def test_a_time_trigger_older_than_the_booking_is_not_due() -> None:
    sim = a_simulator()
    a_quiet_appointment(sim)
    a_trigger(sim, 3, -24 * 30)
    assert sim.messages_due(NOW - timedelta(days=60), LATER) == []


def test_the_recipient_of_a_trigger_stands_in_its_template() -> None:
    sim = a_simulator()
    a_quiet_appointment(sim)
    definition, action = a_trigger(sim, 3, -2, to="%STAFF_EMAIL%")
    (message,) = due(sim)
    assert (message.recipient, message.definition_id, message.action_id) == (Recipient.STAFF, definition, action)
    assert (message.origin, message.channel, message.template_id) == (Origin.TIME, Channel.EMAIL, 12001)


@pytest.mark.parametrize("scope", [{"reasonIdList": [9]}, {"professionalIdList": [9]}, {"locationIdList": [9]}])
def test_scope_lists_keep_a_trigger_from_other_appointments(scope: dict[str, Any]) -> None:
    sim = a_simulator()
    extras = {"reason": a_reason(9, "Tour", 30), "staff": a_staff(9, "America/New_York"), "location": {"locationId": 9}}
    wanted = a_quiet_appointment(sim, **extras)
    a_quiet_appointment(sim)
    a_trigger(sim, 3, -2, **scope)
    assert [m.calendar_id for m in due(sim)] == [wanted]


def test_class_reminders_reach_attendees_of_classes_only() -> None:
    sim = a_simulator()
    attendee = a_quiet_appointment(sim, reason=a_reason(9, "Morning yoga", 60, kind="CLASS"))
    a_quiet_appointment(sim)
    a_trigger(sim, 6, -12)
    assert [m.calendar_id for m in due(sim)] == [attendee]


def test_time_off_holds_and_busy_events_message_nobody() -> None:
    sim = a_simulator()
    a_trigger(sim, 3, -2, to="%STAFF_EMAIL%")
    for kind in (RowKind.TIME_OFF, RowKind.HOLD, RowKind.BUSY):
        number = a_quiet_appointment(sim)
        sim.book.bookings[number].kind = kind
    assert due(sim) == []


def test_switched_off_actions_and_definitions_are_silent_unless_the_scheduled_ones_outlive_them() -> None:
    sim = a_simulator()
    a_quiet_appointment(sim)
    definition, action = a_trigger(sim, 3, -2)
    stored = sim.stores.events.actions[action]
    sim.stores.events.save_action(stored | {"active": False})
    assert due(sim) == []
    sim.stores.events.save_action(stored | {"active": True})
    sim.stores.events.retire(definition)
    assert due(sim) == []
    sim.settings.deleted_definitions_fire = True
    assert len(due(sim)) == 1


def test_a_retired_template_is_replaced_and_a_disabled_category_is_silent() -> None:
    """Deleting a template does not silence a trigger: a more general one of its category takes over."""
    sim = a_simulator()
    a_quiet_appointment(sim)
    default = sim.stores.templates.add_default(TRIGGER, to="%CLIENT_EMAILADDRESS%")["emailTemplateId"]
    a_trigger(sim, 3, -2)
    (before,) = due(sim)
    sim.stores.templates.retire(before.template_id or 0)
    assert [m.template_id for m in due(sim)] == [default]
    sim.stores.templates.excluded.add(TRIGGER)
    assert due(sim) == []


def test_status_triggers_are_possible_before_and_due_after_the_change() -> None:
    sim = a_simulator()
    number = a_quiet_appointment(sim)
    definition, _ = a_trigger(sim, 2, 1, oldStatus="OPEN", newStatus="COMPLETED")
    (possible,) = sim.messages_possible(NOON_UTC, NOON_UTC + timedelta(hours=1))
    assert (possible.at, possible.origin, possible.definition_id) == (None, Origin.STATUS, definition)
    assert sim.messages_possible(NOW, NOON_UTC) == []
    sim.book.patch(number, {"note": "an edit that leaves the status alone"})
    assert due(sim) == []
    sim.book.complete(number)
    (message,) = due(sim)
    assert message.calendar_id == number
    assert message.at is not None
    assert timedelta(minutes=59) < message.at - sim.clock.now() <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("old", "new", "fires"), [("*", "CANCELLED", True), (None, "*", True), ("PENDING", "*", False), ("*", "OPEN", False)]
)
def test_a_star_is_any_status(old: str | None, new: str, fires: bool) -> None:
    sim = a_simulator()
    number = a_quiet_appointment(sim)
    a_trigger(sim, 2, 1, oldStatus=old, newStatus=new)
    sim.book.patch(number, {"note": "an edit that leaves the status alone"})
    assert due(sim) == []
    sim.book.cancel(number)
    assert bool(due(sim)) is fires


def test_create_and_edit_triggers_go_off_when_staff_book_and_edit() -> None:
    sim = a_simulator()
    created, _ = a_trigger(sim, 1, 1, to="%STAFF_EMAIL%")
    edited, _ = a_trigger(sim, 2, 1)
    number = a_quiet_appointment(sim)
    assert [m.definition_id for m in due(sim)] == [created]
    sim.book.move(number, NOON + timedelta(hours=1))
    assert [m.definition_id for m in due(sim)] == [created, edited]
    sim.book.delete(number)
    assert due(sim) == []


async def test_a_campaign_reminds_until_it_is_answered() -> None:
    sim = a_simulator()
    number = a_quiet_appointment(sim)
    reminder = a_definition_body(8, 24, "please book") | {"templateActions": [an_action_body(0, a_template(sim))]}
    campaign = sim.stores.invitations.add_campaign({"eventDefinitionList": [reminder], "calendarId": number, "professionalId": 61001})
    uuid = sim.stores.invitations.invite(campaign["invitationCampaignId"], InvitedType.CLIENT, 9105001)["invitationUUId"]
    (message,) = due(sim)
    assert (message.calendar_id, message.origin) == (number, Origin.INVITATION)
    async with with_token(sim) as client:
        (trigger,) = (await client.get(f"/eventTriggers/invitation/{uuid}")).json()
        (definition,) = (await client.get(f"/eventDefinition/INVITATION_CAMPAIGN/{campaign['invitationCampaignId']}")).json()
        (invitation,) = (await client.get(f"/invitation/invitationCampaign/{campaign['invitationCampaignId']}")).json()
        assert (await client.get(f"/invitation/{uuid}")).json() == invitation
    assert (trigger["objectType"], trigger["objectId"], trigger["objectUUId"]) == ("INVITATION", None, uuid)
    assert (definition["objectType"], definition["eventActions"]) == ("INVITATION_CAMPAIGN", None)
    assert uuid.startswith("ivt")
    sim.stores.invitations.complete(uuid)
    assert due(sim) == []


def test_an_invitation_of_an_appointment_is_about_that_appointment() -> None:
    sim = a_simulator()
    reminder = a_definition_body(8, 24, "please confirm") | {"templateActions": [an_action_body(0, a_template(sim))]}
    campaign = sim.stores.invitations.add_campaign({"eventDefinitionList": [reminder]})
    sim.stores.invitations.invite(campaign["invitationCampaignId"], InvitedType.APPOINTMENT, 70_000_001)
    sim.stores.invitations.invite(campaign["invitationCampaignId"], InvitedType.CLIENT, 9105001)
    assert Counter(m.calendar_id for m in due(sim)) == Counter([None, 70_000_001])


async def test_sending_a_campaign_mails_each_of_the_invited() -> None:
    sim = a_simulator()
    body = {
        "businessId": 55500,
        "email": {"subject": "Hi"},
        "emailTemplateId": 12001,
        "parameterMap": {"clientId": 9105001, "staffId": 61001},
    }
    body["eventDefinitionList"] = [a_definition_body(9, 0, "thanks") | {"oldStatus": "*", "newStatus": "COMPLETED"}]
    async with with_token(sim) as client:
        posted = (await client.post("/invitationCampaign/client/9105001,9105002", json=body)).json()
        assert (await client.post("/invitationCampaign/staff/61001", json=body | {"email": None})).status_code == 400
        (listed,) = (await client.get("/invitationCampaign")).json()
        (by_id,) = (await client.get(f"/invitationCampaign/{posted['invitationCampaignId']}")).json()
    assert [mail.cause for mail in sim.mails.sent] == ["POST /live/invitationCampaign/client/9105001,9105002"] * 2
    assert posted["parameterMap"] == {"clientId": "9105001", "staffId": "61001"}
    assert posted["eventDefinitionList"][0]["eventActions"] == []
    assert posted["eventDefinitionList"][0]["triggerHours"] is None
    assert (listed["email"], listed["eventDefinitionList"], listed["parameterMap"]) == (None, None, None)
    assert by_id == listed


async def test_only_description_and_expiry_of_a_campaign_change() -> None:
    sim = a_simulator()
    number = sim.stores.invitations.add_campaign({"description": "old", "professionalId": 1})["invitationCampaignId"]
    sim.stores.invitations.add_campaign({"professionalId": 2})
    async with with_token(sim) as client:
        body = {"invitationCampaignId": number, "description": "new", "expireDate": "2026-12-31", "professionalId": 7}
        changed = (await client.put("/invitationCampaign", json=body)).json()
        assert (await client.put("/invitationCampaign", json={"description": "x"})).status_code == 400
        (mine,) = (await client.get("/invitationCampaign", params={"professionalId": "1"})).json()
        second = (await client.get("/invitationCampaign", params={"pageNumber": "2", "pageSize": "1"})).json()
    assert (changed["description"], changed["expireDate"]) == ("new", 1798675200000)
    assert (changed["eventDefinitionList"], changed["parameterMap"]) == (None, None)
    assert mine["description"] == "new"
    assert [c["professionalId"] for c in second] == [2]
    assert sim.mails.sent == []


def a_level(level: int, *, language: str | None = None, reasons: list[int] | None = None) -> dict[str, Any]:
    return a_template_body(CLIENT_REMINDER, level=level) | {"language": language, "reasonIdList": reasons}


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        (a_level(1), a_level(1), True),
        (a_level(1), a_level(2, language="es"), False),
        (a_level(2, language="es"), a_level(2, language="es"), True),
        (a_level(2, language="es"), a_level(2, language="fr"), False),
        (a_level(3, reasons=[1]), a_level(3, reasons=[2, 1]), True),
        (a_level(3, reasons=[1]), a_level(3, reasons=[2]), False),
        (a_level(3, reasons=[1]), a_level(4, reasons=[1], language="es"), False),
        (a_level(4, reasons=[1, 2], language="es"), a_level(4, reasons=[2], language="es"), True),
        (a_level(4, reasons=[1], language="es"), a_level(4, reasons=[1], language="fr"), False),
        (a_level(4, reasons=[1], language="es"), a_level(4, reasons=[2], language="es"), False),
    ],
)
async def test_a_second_template_must_differ_in_level_language_or_service(
    first: dict[str, Any], second: dict[str, Any], clash: bool
) -> None:
    sim = a_simulator()
    async with with_token(sim) as client:
        assert (await client.post("/emailTemplates", json=first)).status_code == 200
        assert (await client.post("/emailTemplates", json=second)).status_code == (400 if clash else 200)
    assert len(sim.stores.templates.templates) == (1 if clash else 2)


@pytest.mark.parametrize("body", [a_level(0), a_level(1, language="es"), a_level(2), a_level(3), a_level(4, reasons=[1]), a_level(7)])
async def test_a_level_must_fit_language_and_services(body: dict[str, Any]) -> None:
    async with with_token(a_simulator()) as client:
        assert (await client.post("/emailTemplates", json=body)).status_code == 400


async def test_duplicates_are_fine_where_the_category_allows_them() -> None:
    sim = a_simulator()
    async with with_token(sim) as client:
        for _ in range(2):
            assert (await client.post("/emailTemplates", json=a_template_body(TRIGGER))).status_code == 200
        assert len((await client.get(f"/emailTemplates/emailCategory/{TRIGGER}")).json()) == 2
        assert len((await client.get("/emailTemplates/objectType/CALENDAR")).json()) == 2
        assert (await client.get("/emailTemplates/objectType/INVITATION")).json() == []


@pytest.mark.parametrize("missing", ["active", "businessId", "emailBody", "emailCategory", "level", "toAddress"])
async def test_a_template_without_a_required_field_is_refused(missing: str) -> None:
    body = a_level(1)
    del body[missing]
    async with with_token(a_simulator()) as client:
        answer = await client.post("/emailTemplates", json=body)
    assert answer.status_code == 400
    assert missing in answer.json()


async def test_a_template_is_changed_by_put_and_the_servers_default_is_not() -> None:
    sim = a_simulator()
    default = sim.stores.templates.add_default(CLIENT_REMINDER, to="%CLIENT_EMAILADDRESS%")["emailTemplateId"]
    async with with_token(sim) as client:
        made = (await client.post("/emailTemplates", json=a_level(1) | {"emailTemplateId": 5, "languageObject": {}})).json()
        path = f"/emailTemplates/{made['emailTemplateId']}"
        changed = (await client.put(path, json=made | {"subject": "New", "s3FileName": "mine"})).json()
        assert (await client.put("/emailTemplates", json=made | {"subject": "Newer"})).json()["subject"] == "Newer"
        assert (await client.put(path, json={k: v for k, v in made.items() if k != "emailTemplateId"})).status_code == 400
        assert (await client.put(f"/emailTemplates/{default}", json=a_level(1) | {"emailTemplateId": default})).status_code == 400
        assert (await client.delete(f"/emailTemplates/{default}")).status_code == 400
        assert (await client.get(path, params={"staffId": "1", "reasonId": "2"})).json()["subject"] == "Newer"
    assert made["emailTemplateId"] != 5
    assert "languageObject" not in made
    assert changed["subject"] == "New"
    assert changed["s3FileName"] == made["s3FileName"] == f"55500/templates/template-20-{made['emailTemplateId']}.html"


async def test_a_deleted_template_vanishes_from_every_read_and_frees_its_level() -> None:
    sim = a_simulator()
    async with with_token(sim) as client:
        number = (await client.post("/emailTemplates", json=a_level(1))).json()["emailTemplateId"]
        assert (await client.delete(f"/emailTemplates/{number}")).json()["active"] is False
        assert (await client.get(f"/emailTemplates/{number}")).status_code == 404
        assert (await client.get(f"/emailTemplates/emailCategory/{CLIENT_REMINDER}")).json() == []
        assert (await client.post("/emailTemplates", json=a_level(1))).status_code == 200


def test_the_most_special_template_wins_and_the_default_is_the_last() -> None:
    sim = a_simulator()
    store = sim.stores.templates
    default = store.add_default(CLIENT_REMINDER, to="%CLIENT_EMAILADDRESS%")
    one, two, three = (store.create(b) for b in (a_level(1), a_level(2, language="es"), a_level(3, reasons=[1])))
    four = store.create(a_level(4, reasons=[1], language="es"))
    assert store.effective(CLIENT_REMINDER, 1, "es") == four
    assert store.effective(CLIENT_REMINDER, 1) == three
    assert store.effective(CLIENT_REMINDER, 2, "es") == two
    assert store.effective(CLIENT_REMINDER, 2) == one
    store.retire(one["emailTemplateId"])
    assert store.effective(CLIENT_REMINDER, 2) == default


async def test_a_merged_template_is_a_preview() -> None:
    sim = a_simulator()
    number = a_template(sim)
    async with with_token(sim) as client:
        body = {"businessId": 55500, "emailTemplateId": number, "parameterMap": {"APPT_DATE_TIME": "noon"}, "professionalId": 1}
        merged = (await client.post(f"/emailTemplates/{number}/merged", json=body)).json()
        assert (await client.post("/emailTemplates/5/merged", json=body)).status_code == 404
    assert merged["subject"] == "[Reminder] noon"
    assert sim.stores.templates.templates[number]["subject"] == "[Reminder] %APPT_DATE_TIME%"
    assert sim.mails.sent == []


async def test_disabled_categories_are_listed() -> None:
    sim = a_simulator()
    sim.stores.templates.excluded.add(CLIENT_REMINDER)
    async with with_token(sim) as client:
        assert [c["emailCategoryId"] for c in (await client.get("/emailCategories/excluded")).json()] == [CLIENT_REMINDER]


async def test_mails_already_sent_are_listed_by_appointment_and_series() -> None:
    sim = a_simulator()
    a_trigger(sim, 3, -24)
    number = a_quiet_appointment(sim, series=64001)
    async with with_token(sim) as client:
        assert (await client.get(f"/emails/calendar/{number}")).json() == []
        await client.patch(f"/appointments/{number}", json={"note": "x"})
        (changed,) = (await client.get(f"/emails/calendar/{number}")).json()
        sim.clock.advance(timedelta(days=10))
        sim.settings.token_minutes = None
        both = (await client.get("/emails/recurringAppointment/64001")).json()
        same = (await client.get(f"/emails/calendar/{number}/recurringAppointment/64001")).json()
        assert (await client.get("/emails/calendar/5")).json() == []
    assert changed["calendarId"] == number
    assert len(both) == 2
    assert both == same


def test_reading_messages_never_sends_any() -> None:
    sim = a_simulator()
    populate_timetap(sim, appointments=60, now=NOW, seed=1)
    sim.messages_due(NOW, LATER)
    sim.messages_possible(NOW, LATER)
    assert sim.mails.sent == []


def test_the_world_has_messages_of_every_origin() -> None:
    sim = a_simulator()
    populate_timetap(sim, appointments=60, now=NOW, seed=1)
    messages = [*sim.messages_due(NOW, LATER), *sim.messages_possible(NOW, LATER)]
    assert {m.origin for m in messages} == set(Origin)
    assert {m.recipient for m in messages} == {Recipient.CLIENT, Recipient.STAFF}
    assert {m.channel for m in messages} == set(Channel)
    assert sum(1 for d in sim.stores.events.definitions.values() if not d["active"]) == 1


async def test_what_is_due_can_be_asked_from_the_control_calls() -> None:
    sim = a_simulator()
    a_trigger(sim, 3, -24)
    a_trigger(sim, 2, 1, newStatus="COMPLETED")
    number = a_quiet_appointment(sim)
    query = {"begin": NOW.isoformat(), "end": LATER.isoformat()}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=sim.app), base_url="https://api.timetap.example") as control:
        answer = (await control.get("/_control/messages", params=query)).json()
    assert [(m["calendar_id"], m["at"]) for m in answer["due"]] == [(number, "2026-11-30T17:00:00+00:00")]
    assert [(m["calendar_id"], m["at"]) for m in answer["possible"]] == [(number, None)]
