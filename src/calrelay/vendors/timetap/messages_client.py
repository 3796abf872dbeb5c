"""TimeTap's endpoints about messages, typed: Events API, e-mail templates, invitations (TimeTap: 2). What they mean is not known here.

The two calls that mail people are not among them: they stand in `mailing_client`, which nothing of the program imports.
"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from calrelay.errors import NotFound, ResponseInvalid
from calrelay.http.answer import Answer
from calrelay.http.client import VendorClient
from calrelay.ports import Clock
from calrelay.vendors.timetap.asking import get, get_one, send
from calrelay.vendors.timetap.auth import utc_now
from calrelay.vendors.timetap.messages_wire import (
    EmailCategory,
    EmailTemplate,
    EventAction,
    EventDefinition,
    EventTrigger,
    Invitation,
    InvitationCampaign,
    Kind,
    parse_list,
    parse_one,
)

Body = dict[str, Any]
CAMPAIGNS_A_PAGE: Final = 100


class TimeTapMessagesClient:
    """Asks one account about its messages, and changes what it is told to.

    What takes a body wants TimeTap's own spelling. Nothing written is believed: the answers to writing calls are None where they cannot
    be read, and even a readable one may be an echo of what was not taken (TimeTap: 3.2); read back what matters.

    Every method raises VendorError and its children, NotFound where there is no such thing.

    Args:
        http: the account's client, shared with the appointments', so that both keep one pace; its lifetime is the caller's business.
        now: our clock.
    """

    def __init__(self, http: VendorClient, *, now: Clock = utc_now) -> None:
        self.http = http
        self._now = now

    # --- definitions, actions and triggers (TimeTap: Events) ---

    async def definitions_of_type(self, event_type: int) -> list[EventDefinition]:
        """Return the active definitions of an event type, 1 to 13. There is no list of all."""
        return await self._list(EventDefinition, f"/eventDefinition/eventType/{event_type}", "eventDefinition/eventType/{id}")

    async def definitions_of_campaign(self, campaign_id: str) -> list[EventDefinition]:
        """Return the active definitions of an invitation campaign."""
        path = f"/eventDefinition/INVITATION_CAMPAIGN/{_quoted(campaign_id)}"
        return await self._list(EventDefinition, path, "eventDefinition/INVITATION_CAMPAIGN/{id}")

    async def definition(self, definition_id: str) -> EventDefinition:
        """Return one active definition; the text says object, the sample a list of one (TimeTap: 2)."""
        return await self._one(EventDefinition, f"/eventDefinition/{_quoted(definition_id)}", "eventDefinition/{id}")

    async def save_definition(self, body: Body) -> EventDefinition | None:
        """Change the definition whose eventDefnId is in the body, else create one."""
        return await self._save(EventDefinition, "POST", "/eventDefinition", "eventDefinition", body, is_update="eventDefnId" in body)

    async def delete_definition(self, definition_id: str) -> None:
        """Set a definition inactive. What becomes of triggers that are scheduled already is unknown (TimeTap: 9)."""
        await send(
            self.http, "DELETE", f"/eventDefinition/{_quoted(definition_id)}", "eventDefinition/{id}", idempotent=True, now=self._now
        )

    async def actions_of(self, definition_id: str) -> list[EventAction]:
        """Return the active actions of a definition."""
        path = f"/eventAction/eventDefinition/{_quoted(definition_id)}"
        return await self._list(EventAction, path, "eventAction/eventDefinition/{id}")

    async def save_action(self, body: Body) -> EventAction | None:
        """Change the action whose eventActionId is in the body; without one a further action is made, and mails twice (TimeTap: 9)."""
        return await self._save(EventAction, "POST", "/eventAction", "eventAction", body, is_update="eventActionId" in body)

    async def triggers_of(self, calendar_id: str) -> list[EventTrigger]:
        """Return what went off for an appointment and what is scheduled to."""
        return await self._list(EventTrigger, f"/eventTriggers/CALENDAR/{_quoted(calendar_id)}", "eventTriggers/CALENDAR/{id}")

    async def triggers_of_invitation(self, invitation_uuid: str) -> list[EventTrigger]:
        """Return what went off for an invitation and what is scheduled to."""
        return await self._list(EventTrigger, f"/eventTriggers/invitation/{_quoted(invitation_uuid)}", "eventTriggers/invitation/{id}")

    # --- templates (TimeTap: Email Templates) ---

    async def templates_of_category(self, category_id: str) -> list[EmailTemplate]:
        """Return the active templates of a category."""
        path = f"/emailTemplates/emailCategory/{_quoted(category_id)}"
        return await self._list(EmailTemplate, path, "emailTemplates/emailCategory/{id}")

    async def templates_of_type(self, object_type: str) -> list[EmailTemplate]:
        """Return the active templates that concern a type of object, such as CALENDAR."""
        return await self._list(EmailTemplate, f"/emailTemplates/objectType/{_quoted(object_type)}", "emailTemplates/objectType/{type}")

    async def template(self, template_id: str, *, staff_id: str | None = None, reason_id: str | None = None) -> EmailTemplate:
        """Return one active template; what the two parameters change is not told."""
        params = {key: value for key, value in (("staffId", staff_id), ("reasonId", reason_id)) if value is not None}
        answer = await get_one(self.http, f"/emailTemplates/{_quoted(template_id)}", "emailTemplates/{id}", params or None, now=self._now)
        return _only(EmailTemplate, answer)

    async def merged_template(self, template_id: str, body: Body) -> EmailTemplate | None:
        """Return a template with its placeholders filled, for a preview; sends and stores nothing."""
        path, endpoint = f"/emailTemplates/{_quoted(template_id)}/merged", "emailTemplates/{id}/merged"
        return await self._save(EmailTemplate, "POST", path, endpoint, body, is_update=True)

    async def create_template(self, body: Body) -> EmailTemplate | None:
        """Create a template; refused as a whole where another has its level, language or service (TimeTap: 3.3)."""
        return await self._save(EmailTemplate, "POST", "/emailTemplates", "emailTemplates", body, is_update=False)

    async def update_template(self, template_id: str, body: Body) -> EmailTemplate | None:
        """Replace a template; its emailTemplateId belongs into the body, too."""
        return await self._save(
            EmailTemplate, "PUT", f"/emailTemplates/{_quoted(template_id)}", "emailTemplates/{id}", body, is_update=True
        )

    async def delete_template(self, template_id: str) -> None:
        """Set a template inactive. That silences nobody: a more general one takes its place (TimeTap: 9)."""
        await send(self.http, "DELETE", f"/emailTemplates/{_quoted(template_id)}", "emailTemplates/{id}", idempotent=True, now=self._now)

    async def excluded_categories(self) -> list[EmailCategory]:
        """Return the kinds of mail that are switched off for the whole account."""
        return await self._list(EmailCategory, "/emailCategories/excluded", "emailCategories/excluded")

    # --- invitations (TimeTap: Invitations) ---

    async def campaigns(self, page: int = 1, *, professional_id: str | None = None) -> list[InvitationCampaign]:
        """Return a page of the account's campaigns, counted from 1; the first empty one is the end."""
        params: dict[str, str | int] = {"pageNumber": page, "pageSize": CAMPAIGNS_A_PAGE}
        params |= {"professionalId": professional_id} if professional_id else {}
        answer = await get(self.http, "/invitationCampaign", "invitationCampaign", params)
        return parse_list(InvitationCampaign, _listed(answer))

    async def campaign(self, campaign_id: str) -> InvitationCampaign:
        """Return one campaign, which comes as a list of one."""
        return await self._one(InvitationCampaign, f"/invitationCampaign/{_quoted(campaign_id)}", "invitationCampaign/{id}")

    async def invitation(self, invitation_uuid: str) -> Invitation:
        """Return one invitation."""
        return await self._one(Invitation, f"/invitation/{_quoted(invitation_uuid)}", "invitation/{id}")

    async def invitations_of(self, campaign_id: str) -> list[Invitation]:
        """Return a campaign's invitations; TimeTap describes this call and `campaign` the other way round (TimeTap: 7)."""
        path = f"/invitation/invitationCampaign/{_quoted(campaign_id)}"
        return await self._list(Invitation, path, "invitation/invitationCampaign/{id}")

    async def update_campaign(self, body: Body) -> InvitationCampaign | None:
        """Change a campaign's description and expiry, the only two that can be."""
        return await self._save(InvitationCampaign, "PUT", "/invitationCampaign", "invitationCampaign", body, is_update=True)

    # --- how ---

    async def _list(self, kind: type[Kind], path: str, endpoint: str) -> list[Kind]:
        return parse_list(kind, _listed(await get_one(self.http, path, endpoint, now=self._now)))

    async def _one(self, kind: type[Kind], path: str, endpoint: str) -> Kind:
        return _only(kind, await get_one(self.http, path, endpoint, now=self._now))

    async def _save(self, kind: type[Kind], method: str, path: str, endpoint: str, body: Body, *, is_update: bool) -> Kind | None:
        answer = await send(self.http, method, path, endpoint, body=body, idempotent=is_update, now=self._now)
        try:
            return parse_one(kind, answer.json())
        except ResponseInvalid:
            return None


def _listed(answer: Answer) -> object:
    """Return the objects of an answer; a text or a number is no list of objects."""
    value = answer.json()
    if not isinstance(value, Sequence) or isinstance(value, str):
        if isinstance(value, dict):
            return [value]
        raise _odd(answer)
    return value


def _only(kind: type[Kind], answer: Answer) -> Kind:
    """Return the one object of an answer; an empty list is "no such thing"."""
    value = answer.json()
    found = parse_one(kind, value)
    if found is not None:
        return found
    if value == []:
        raise NotFound(
            f"{answer.where.who} knows no such thing: {answer.where} was answered with an empty list.", account=answer.where.account
        )
    raise _odd(answer)


def _odd(answer: Answer) -> ResponseInvalid:
    where = answer.where
    return ResponseInvalid(f"{where.who} answered {where} with another shape than promised.", account=where.account, status=answer.status)


def _quoted(identity: str) -> str:
    return quote(identity, safe="")
