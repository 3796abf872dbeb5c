"""What a lively TimeTap business has set up to message people by itself. No behaviour."""

from calrelay.simulators.timetap.book import Booking, RowKind
from calrelay.simulators.timetap.events import a_definition_body, an_action_body
from calrelay.simulators.timetap.invitations import InvitedType
from calrelay.simulators.timetap.rows import Json
from calrelay.simulators.timetap.simulator import TimeTapSimulator
from calrelay.simulators.timetap.templates import CHANGED, CLIENT_REMINDER, INVITE, STAFF_REMINDER, TRIGGER, a_template_body

LESSON_ID, DENVER_STAFF = 88002, 61002
TO_STAFF, TO_CLIENT = "%STAFF_EMAIL%", "%CLIENT_EMAILADDRESS%"


def populate_messages(sim: TimeTapSimulator) -> None:
    """Add templates, a trigger of every sort, one retired trigger and, where there is an open appointment, two campaigns."""
    client, staff = _add_templates(sim)
    _add_trigger(sim, a_definition_body(3, -24, "day before"), client)
    narrow = {"reasonIdList": [LESSON_ID], "professionalIdList": [DENVER_STAFF]}
    _add_trigger(sim, a_definition_body(3, -2, "two hours before lessons") | narrow, client, staff)
    _add_trigger(sim, a_definition_body(6, -12, "class tomorrow"), client)
    _add_trigger(sim, a_definition_body(1, 0, "new booking"), staff)
    _add_trigger(sim, a_definition_body(2, 1, "thank you") | {"oldStatus": "OPEN", "newStatus": "COMPLETED"}, client)
    retired = _add_trigger(sim, a_definition_body(3, -48, "two days before"), client)
    sim.stores.events.retire(retired)
    _add_campaigns(sim, client)


def _add_templates(sim: TimeTapSimulator) -> tuple[int, int]:
    templates = sim.stores.templates
    for category, to in ((CLIENT_REMINDER, TO_CLIENT), (STAFF_REMINDER, TO_STAFF), (CHANGED, TO_CLIENT), (INVITE, TO_CLIENT)):
        templates.add_default(category, to=to)
    templates.create(a_template_body(CLIENT_REMINDER, level=3, name="Lessons") | {"reasonIdList": [LESSON_ID]})
    client = templates.create(a_template_body(TRIGGER, to=TO_CLIENT, name="To clients"))
    staff = templates.create(a_template_body(TRIGGER, to=TO_STAFF, name="To staff"))
    return client["emailTemplateId"], staff["emailTemplateId"]


def _add_trigger(sim: TimeTapSimulator, body: Json, *templates: int) -> int:
    number: int = sim.stores.events.save_definition(body)["eventDefnId"]
    for template in templates:
        sim.stores.events.save_action(an_action_body(number, template))
    return number


def _add_campaigns(sim: TimeTapSimulator, template: int) -> None:
    """Add a campaign that asks somebody to book, and one that is tied to an appointment."""
    chosen = next((b.row for b in sim.book.bookings.values() if _is_open(b)), None)
    if chosen is None:
        return
    reminder = a_definition_body(8, 24, "please book") | {"templateActions": [an_action_body(0, template)]}
    for calendar_id in (None, chosen["calendarId"]):
        body = {
            "description": "Campaign",
            "emailTemplateId": template,
            "professionalId": chosen["staff"]["professionalId"],
            "eventDefinitionList": [reminder],
            "calendarId": calendar_id,
        }
        campaign = sim.stores.invitations.add_campaign(body)
        sim.stores.invitations.invite(campaign["invitationCampaignId"], InvitedType.CLIENT, chosen["client"]["clientId"])


def _is_open(booking: Booking) -> bool:
    return booking.kind is RowKind.APPOINTMENT and booking.row["status"] == "OPEN" and booking.row["client"] is not None
