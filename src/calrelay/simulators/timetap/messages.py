"""The HTTP calls of the simulated TimeTap that concern messages: Events API, e-mail templates, mails sent, invitations."""

from collections.abc import Callable
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.timetap.appointments import read_object, unknown_id
from calrelay.simulators.timetap.book import AppointmentBook
from calrelay.simulators.timetap.due import Channel, MessageSchedule, MessageStores
from calrelay.simulators.timetap.events import posted_definition
from calrelay.simulators.timetap.invitations import InvitedType
from calrelay.simulators.timetap.mail import Mails
from calrelay.simulators.timetap.rows import BUSINESS_ID, Json, millis
from calrelay.simulators.timetap.settings import DefinitionShape, TimeTapSettings
from calrelay.simulators.timetap.templates import Refused

MANY = 10_000
FIRST_MAIL = 880_001


async def saved(request: Request, save: Callable[[Json], Json]) -> Response:
    """Store the body and answer with what is stored; 400 with a bare JSON string when it is refused."""
    body = await read_object(request)
    if body is None:
        return JSONResponse("Unreadable body", 400)
    return answered(lambda: save(body))


def answered(act: Callable[[], Json]) -> Response:
    """Answer with what a store returns, or with its refusal."""
    try:
        return JSONResponse(act())
    except Refused as refusal:
        return JSONResponse(str(refusal), 400)


class EventCalls:
    """The endpoints of the Events API (Events page)."""

    def __init__(self, *, stores: MessageStores, schedule: MessageSchedule, settings: TimeTapSettings) -> None:
        self._events = stores.events
        self._schedule = schedule
        self._settings = settings

    def routes(self) -> list[Route]:
        """List the routes; there is no list of all definitions and no DELETE for actions."""
        return [
            Route("/eventDefinition/eventType/{type:int}", self.definitions_of_type),
            Route("/eventDefinition/INVITATION_CAMPAIGN/{id:int}", self.definitions_of_campaign),
            Route("/eventDefinition/{id:int}", self.definition, methods=["GET", "DELETE"]),
            Route("/eventDefinition", self.save_definition, methods=["POST"]),
            Route("/eventAction/eventDefinition/{id:int}", self.actions_of_definition),
            Route("/eventAction", self.save_action, methods=["POST"]),
            Route("/eventTriggers/CALENDAR/{id:int}", self.triggers_of_appointment),
            Route("/eventTriggers/invitation/{uuid}", self.triggers_of_invitation),
        ]

    async def definitions_of_type(self, request: Request) -> Response:
        """GET /eventDefinition/eventType/{eventTypeId}: active ones, eventActions always null."""
        return JSONResponse(list(self._events.of_type(request.path_params["type"])))

    async def definitions_of_campaign(self, request: Request) -> Response:
        """GET /eventDefinition/INVITATION_CAMPAIGN/{invitationCampaignId}."""
        return JSONResponse(list(self._events.of_campaign(request.path_params["id"])))

    async def definition(self, request: Request) -> Response:
        """GET gives an object or an array of one; DELETE sets it inactive."""
        number = request.path_params["id"]
        if request.method == "DELETE":
            return answered(lambda: self._events.retire(number))
        found = self._events.visible(number)
        if self._settings.definition_shape is DefinitionShape.ARRAY:
            return JSONResponse([found] if found else [])
        return JSONResponse(found) if found else unknown_id("Event definition", number, self._settings)

    async def save_definition(self, request: Request) -> Response:
        """POST /eventDefinition: update with eventDefnId, create without."""
        return await saved(request, lambda body: posted_definition(self._events.save_definition(body)))

    async def actions_of_definition(self, request: Request) -> Response:
        """GET /eventAction/eventDefinition/{eventDefinitionId}: active ones."""
        return JSONResponse(list(self._events.actions_of(request.path_params["id"])))

    async def save_action(self, request: Request) -> Response:
        """POST /eventAction: update with eventActionId, a second action without."""
        return await saved(request, self._events.save_action)

    async def triggers_of_appointment(self, request: Request) -> Response:
        """GET /eventTriggers/CALENDAR/{calendarId}: past and scheduled ones."""
        return JSONResponse(self._schedule.triggers_of(request.path_params["id"]))

    async def triggers_of_invitation(self, request: Request) -> Response:
        """GET /eventTriggers/invitation/{invitationUUID}."""
        return JSONResponse(self._schedule.triggers_of_invitation(request.path_params["uuid"]))


class TemplateCalls:
    """The endpoints of the e-mail templates (Email Templates page)."""

    def __init__(self, *, stores: MessageStores, settings: TimeTapSettings) -> None:
        self._templates = stores.templates
        self._settings = settings

    def routes(self) -> list[Route]:
        """List the routes; PUT is documented with and without the id."""
        return [
            Route("/emailTemplates/emailCategory/{category:int}", self.of_category),
            Route("/emailTemplates/objectType/{type}", self.of_object_type),
            Route("/emailTemplates/{id:int}/merged", self.merge, methods=["POST"]),
            Route("/emailTemplates/{id:int}", self.show),
            Route("/emailTemplates/{id:int}", self.replace, methods=["PUT"]),
            Route("/emailTemplates/{id:int}", self.retire, methods=["DELETE"]),
            Route("/emailTemplates", self.create, methods=["POST"]),
            Route("/emailTemplates", self.replace, methods=["PUT"]),
            Route("/emailCategories/excluded", self.excluded),
        ]

    async def of_category(self, request: Request) -> Response:
        """GET /emailTemplates/emailCategory/{emailCategoryId}."""
        return JSONResponse(list(self._templates.of_category(request.path_params["category"])))

    async def of_object_type(self, request: Request) -> Response:
        """GET /emailTemplates/objectType/{objectType}."""
        return JSONResponse(list(self._templates.of_object_type(request.path_params["type"])))

    async def show(self, request: Request) -> Response:
        """GET /emailTemplates/{emailTemplateId}; staffId and reasonId change nothing anybody has seen."""
        number = request.path_params["id"]
        found = self._templates.visible(number)
        return JSONResponse(found) if found else unknown_id("Email template", number, self._settings)

    async def create(self, request: Request) -> Response:
        """POST /emailTemplates."""
        return await saved(request, self._templates.create)

    async def replace(self, request: Request) -> Response:
        """PUT /emailTemplates/{emailTemplateId}."""
        number = request.path_params.get("id")
        return await saved(request, lambda body: self._templates.replace(number or int(body.get("emailTemplateId") or 0), body))

    async def retire(self, request: Request) -> Response:
        """DELETE /emailTemplates/{emailTemplateId}: sets it inactive."""
        return answered(lambda: self._templates.retire(request.path_params["id"]))

    async def merge(self, request: Request) -> Response:
        """POST /emailTemplates/{emailTemplateId}/merged: a preview; nothing is sent or stored."""
        number, body = request.path_params["id"], await read_object(request)
        found = self._templates.visible(number)
        if found is None or body is None:
            return unknown_id("Email template", number, self._settings)
        parameters = {str(k): str(v) for k, v in (body.get("parameterMap") or {}).items()}
        return JSONResponse(found | {key: _merged(found[key], parameters) for key in ("subject", "emailBody", "toName") if found.get(key)})

    async def excluded(self, _: Request) -> Response:
        """GET /emailCategories/excluded."""
        return JSONResponse([self._templates.categories[number].to_json() for number in sorted(self._templates.excluded)])


class InvitationCalls:
    """The endpoints of invitations and campaigns (Invitations page); its two POSTs mail people."""

    def __init__(self, *, stores: MessageStores, settings: TimeTapSettings) -> None:
        self._invitations = stores.invitations
        self._settings = settings

    def routes(self) -> list[Route]:
        """List the routes; the page's two by-campaign descriptions are swapped, its samples are followed."""
        return [
            Route("/invitation/invitationCampaign/{id:int}", self.of_campaign),
            Route("/invitation/{uuid}", self.show),
            Route("/invitationCampaign", self.campaigns),
            Route("/invitationCampaign", self.update, methods=["PUT"]),
            Route("/invitationCampaign/{id:int}", self.campaign),
            Route("/invitationCampaign/client/{ids}", self.send_to_clients, methods=["POST"]),
            Route("/invitationCampaign/staff/{ids}", self.send_to_staff, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """GET /invitation/{invitationUUId}."""
        found = self._invitations.invitations.get(request.path_params["uuid"])
        return JSONResponse(found) if found else unknown_id("Invitation", request.path_params["uuid"], self._settings)

    async def of_campaign(self, request: Request) -> Response:
        """GET /invitation/invitationCampaign/{invitationCampaignId}: an array of invitations."""
        return JSONResponse(list(self._invitations.of_campaign(request.path_params["id"])))

    async def campaigns(self, request: Request) -> Response:
        """GET /invitationCampaign?pageNumber&pageSize&professionalId."""
        query = request.query_params
        number, size = _number(query.get("pageNumber")) or 1, _number(query.get("pageSize")) or MANY
        return JSONResponse(self._invitations.page(professional=_number(query.get("professionalId")), number=number, size=size))

    async def campaign(self, request: Request) -> Response:
        """GET /invitationCampaign/{invitationCampaignId}: an array of one campaign."""
        number = request.path_params["id"]
        found = [c for c in self._invitations.page(professional=None, number=1, size=MANY) if c["invitationCampaignId"] == number]
        return JSONResponse(found)

    async def update(self, request: Request) -> Response:
        """PUT /invitationCampaign."""
        return await saved(request, self._invitations.update)

    async def send_to_clients(self, request: Request) -> Response:
        """POST /invitationCampaign/client/{clientIdList}."""
        return await self._send(request, InvitedType.CLIENT)

    async def send_to_staff(self, request: Request) -> Response:
        """POST /invitationCampaign/staff/{staffIdList}."""
        return await self._send(request, InvitedType.STAFF)

    async def _send(self, request: Request, invited: InvitedType) -> Response:
        ids = [int(part) for part in request.path_params["ids"].split(",") if part.isdigit()]
        cause = f"{request.method} {request.url.path}"
        return await saved(request, lambda body: self._invitations.send(body, invited, ids, cause=cause))


class SentMailCalls:
    """The endpoints that list mails already sent to an appointment; there is none for texts, and the shape is a guess."""

    def __init__(self, *, book: AppointmentBook, mails: Mails, schedule: MessageSchedule, clock: SimulatedClock) -> None:
        self._book = book
        self._mails = mails
        self._schedule = schedule
        self._clock = clock

    def routes(self) -> list[Route]:
        """List the routes."""
        return [
            Route("/emails/calendar/{id:int}/recurringAppointment/{series:int}", self.of_appointment),
            Route("/emails/calendar/{id:int}", self.of_appointment),
            Route("/emails/recurringAppointment/{series:int}", self.of_series),
        ]

    async def of_appointment(self, request: Request) -> Response:
        """GET /emails/calendar/{calendarId}."""
        return JSONResponse(self._sent_to({request.path_params["id"]}))

    async def of_series(self, request: Request) -> Response:
        """GET /emails/recurringAppointment/{recurringAppointmentId}."""
        series = request.path_params["series"]
        rows = (booking.row for booking in self._book.bookings.values())
        return JSONResponse(self._sent_to({row["calendarId"] for row in rows if row["recurringAppointmentId"] == series}))

    def _sent_to(self, wanted: set[int]) -> list[Json]:
        due = self._schedule.due(datetime.fromtimestamp(0, UTC), self._clock.now())
        found = [(m.at, m.calendar_id, m.recipient.value) for m in due if m.channel is Channel.EMAIL and m.at]
        found += [(mail.at, mail.calendar_id, mail.to) for mail in self._mails.sent]
        return [
            {"emailId": FIRST_MAIL + n, "businessId": BUSINESS_ID, "calendarId": number, "sentDate": millis(at), "toName": to}
            for n, (at, number, to) in enumerate(sorted(found, key=lambda entry: entry[0]))
            if number in wanted
        ]


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() and int(text) > 0 else None


def _merged(text: str, parameters: dict[str, str]) -> str:
    for name, value in parameters.items():
        text = text.replace(f"%{name}%", value)
    return text
