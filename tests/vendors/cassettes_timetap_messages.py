"""Cassettes of TimeTap's calls about messages. Those that write come from the simulator only: a real account might mail people."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from calrelay.http.client import AsyncBaseTransport, VendorClient
from calrelay.http.pacing import Pacer
from calrelay.http.retry import Retry
from calrelay.simulators.timetap.events import a_definition_body, an_action_body
from calrelay.simulators.timetap.invitations import InvitedType
from calrelay.simulators.timetap.rows import an_appointment_row
from calrelay.simulators.timetap.simulator import TimeTapSimulator
from calrelay.simulators.timetap.templates import CLIENT_REMINDER, TRIGGER, a_template_body
from calrelay.vendors.timetap.auth import TimeTapAuth, sign
from calrelay.vendors.timetap.client import BASE_URL
from calrelay.vendors.timetap.mailing_client import TimeTapMailingClient
from tests.vendors.cassettes_tape import NOW, Call, Deck, Origin, Stage, StoppedClock, Subject
from tests.vendors.cassettes_timetap import DECK as APPOINTMENTS
from tests.vendors.cassettes_words import SCRUBBED
from tests.vendors.tripleseat_account import no_wait

_RATE: Final = 2.0
_WORDS: Final = "Text 1"  # what the scrubber leaves as it is, so that playing sends what was recorded

Client = TimeTapMailingClient


# --- the calls ---


async def _definitions_of_type(client: Client, _: Subject) -> Any:
    return await client.definitions_of_type(3)


async def _definitions_of_campaign(client: Client, subject: Subject) -> Any:
    return await client.definitions_of_campaign(subject["campaign_id"])


async def _definition(client: Client, subject: Subject) -> Any:
    return await client.definition(subject["definition_id"])


async def _actions_of(client: Client, subject: Subject) -> Any:
    return await client.actions_of(subject["definition_id"])


async def _triggers_of(client: Client, subject: Subject) -> Any:
    return await client.triggers_of(subject["calendar_id"])


async def _triggers_of_invitation(client: Client, subject: Subject) -> Any:
    return await client.triggers_of_invitation(subject["invitation_uuid"])


async def _templates_of_category(client: Client, subject: Subject) -> Any:
    return await client.templates_of_category(subject["category_id"])


async def _templates_of_type(client: Client, _: Subject) -> Any:
    return await client.templates_of_type("CALENDAR")


async def _template(client: Client, subject: Subject) -> Any:
    return await client.template(subject["template_id"])


async def _excluded_categories(client: Client, _: Subject) -> Any:
    return await client.excluded_categories()


async def _campaigns(client: Client, _: Subject) -> Any:
    return await client.campaigns()


async def _campaign(client: Client, subject: Subject) -> Any:
    return await client.campaign(subject["campaign_id"])


async def _invitations_of(client: Client, subject: Subject) -> Any:
    return await client.invitations_of(subject["campaign_id"])


async def _invitation(client: Client, subject: Subject) -> Any:
    return await client.invitation(subject["invitation_uuid"])


async def _merged_template(client: Client, subject: Subject) -> Any:
    body = {"businessId": 1, "emailTemplateId": int(subject["template_id"]), "parameterMap": {}, "professionalId": 1}
    return await client.merged_template(subject["template_id"], body)


async def _save_action(client: Client, subject: Subject) -> Any:
    """Without an id one is created, with it one is changed; the same goes for definitions."""
    body = an_action_body(int(subject["definition_id"]), int(subject["template_id"])) | {"businessId": 1}
    created = await client.save_action(body)
    return created, await client.save_action(body | {"active": False, "eventActionId": int(subject["action_id"])})


async def _save_definition(client: Client, subject: Subject) -> Any:
    body = a_definition_body(3, -24, _WORDS) | {"businessId": 1}
    created = await client.save_definition(body)
    return created, await client.save_definition(body | {"eventDefnId": int(subject["definition_id"])})


async def _delete_definition(client: Client, subject: Subject) -> Any:
    return await client.delete_definition(subject["definition_id"])


def _template_body(subject: Subject) -> dict[str, Any]:
    body = a_template_body(int(subject["category_id"]), name=_WORDS)
    texts = {"emailBody": _WORDS, "subject": _WORDS, "toAddress": _WORDS, "toName": _WORDS}
    return body | texts | {"businessId": 1, "emailCategory": {"emailCategoryId": int(subject["category_id"])}}


async def _create_template(client: Client, subject: Subject) -> Any:
    return await client.create_template(_template_body(subject))


async def _update_template(client: Client, subject: Subject) -> Any:
    body = _template_body(subject) | {"emailTemplateId": int(subject["template_id"])}
    return await client.update_template(subject["template_id"], body)


async def _delete_template(client: Client, subject: Subject) -> Any:
    return await client.delete_template(subject["template_id"])


async def _update_campaign(client: Client, subject: Subject) -> Any:
    return await client.update_campaign({"invitationCampaignId": int(subject["campaign_id"]), "expireDate": "2027-05-31"})


def _campaign_body(subject: Subject) -> dict[str, Any]:
    return {"businessId": 1, "description": _WORDS, "email": {}, "emailTemplateId": int(subject["template_id"]), "eventDefinitionList": []}


async def _invite_clients(client: Client, subject: Subject) -> Any:
    return await client.invite_clients([subject["guest_id"]], _campaign_body(subject))


async def _invite_staff(client: Client, subject: Subject) -> Any:
    return await client.invite_staff([subject["staff_id"]], _campaign_body(subject))


# --- the simulator ---


@asynccontextmanager
async def _simulated() -> AsyncIterator[Stage[Client]]:
    sim = TimeTapSimulator(clock=StoppedClock(NOW))
    keys = sim.settings.api_key, sim.settings.private_key
    yield Stage(
        open=lambda: _open(*keys, now=NOW, rate=100_000, transport=httpx.ASGITransport(app=sim.app)),
        subject=_set_up(sim),
        origin=Origin.SIMULATORS,
        may_write=True,
        secrets=lambda: (keys[1], sign(*keys)),
        today=NOW.date(),
    )


def _set_up(sim: TimeTapSimulator) -> Subject:
    """Add an appointment, a time trigger with its mail, a disabled category, and a campaign that reminds one client."""
    sim.book.add(an_appointment_row(70_000_001, datetime(2026, 12, 9, 15, 30), 45, "America/New_York"))  # noqa: DTZ001 - a wall clock
    template = sim.stores.templates.create(a_template_body(TRIGGER))["emailTemplateId"]
    definition = sim.stores.events.save_definition(a_definition_body(3, -24, "day before"))["eventDefnId"]
    action = sim.stores.events.save_action(an_action_body(definition, template))["eventActionId"]
    sim.stores.templates.excluded.add(CLIENT_REMINDER)
    reminder = a_definition_body(8, 24, "please book") | {"templateActions": [an_action_body(0, template)]}
    body = {"description": "Campaign", "emailTemplateId": template, "eventDefinitionList": [reminder], "calendarId": 70_000_001}
    campaign = sim.stores.invitations.add_campaign(body)["invitationCampaignId"]
    uuid = sim.stores.invitations.invite(campaign, InvitedType.CLIENT, 9_100_001)["invitationUUId"]
    ids = {
        "calendar_id": 70_000_001,
        "definition_id": definition,
        "action_id": action,
        "template_id": template,
        "category_id": TRIGGER,
        "campaign_id": campaign,
        "invitation_uuid": uuid,
        "guest_id": 9_100_001,
        "staff_id": 61_001,
    }
    return Subject({name: str(identity) for name, identity in ids.items()})


# --- a real account ---


@asynccontextmanager
async def _real(env: Mapping[str, str]) -> AsyncIterator[Stage[Client]]:
    keys = env[APPOINTMENTS.variables[0]], env[APPOINTMENTS.variables[1]]
    async with APPOINTMENTS.real(env) as appointments, _open(*keys, rate=_RATE) as client:
        subject = await _scout(client, appointments.subject)
    yield Stage(
        open=lambda: _open(*keys, rate=_RATE),
        subject=subject,
        origin=Origin.ACCOUNT,
        may_write=False,
        secrets=lambda: (*keys, sign(*keys)),
        today=datetime.now(UTC).date(),
    )


async def _scout(client: Client, found: Subject) -> Subject:
    """Find out what there is to ask for: a time trigger with an action and its template, a campaign with an invitation."""
    subject = Subject({key: found[key] for key in ("calendar_id",) if key in found})
    for definition in (await client.definitions_of_type(3))[:1]:
        subject["definition_id"] = definition.event_defn_id or ""
        for action in (await client.actions_of(subject["definition_id"]))[:1]:
            subject |= {"action_id": action.event_action_id or "", "template_id": action.email_template_id or ""}
            category = (await client.template(subject["template_id"])).email_category
            subject |= {"category_id": category.email_category_id} if category and category.email_category_id else {}
    for campaign in (await client.campaigns())[:1]:
        subject["campaign_id"] = campaign.invitation_campaign_id or ""
        for invitation in (await client.invitations_of(subject["campaign_id"]))[:1]:
            subject["invitation_uuid"] = invitation.invitation_uuid or ""
    return subject


# --- playing ---


@asynccontextmanager
async def _played() -> AsyncIterator[Client]:
    async with _open(SCRUBBED, SCRUBBED, rate=100_000) as client:
        yield client


@asynccontextmanager
async def _open(
    api_key: str, private_key: str, *, rate: float, now: datetime | None = None, transport: AsyncBaseTransport | None = None
) -> AsyncIterator[Client]:
    def clock() -> datetime:
        return now or datetime.now(UTC)

    auth = TimeTapAuth(account="record", api_key=api_key, private_key=private_key, base_url=BASE_URL, now=clock)
    http = VendorClient(
        account="record",
        vendor="TimeTap",
        base_url=BASE_URL,
        pacer=Pacer(rate),
        auth=auth,
        retry=Retry(wait=no_wait) if rate > _RATE else Retry(),
        transport=transport,
        now=clock,
    )
    async with http:
        yield TimeTapMailingClient(http, now=clock)


_READS: Final[Mapping[str, Call[Client]]] = {
    "definitions_of_type": _definitions_of_type,
    "definitions_of_campaign": _definitions_of_campaign,
    "definition": _definition,
    "actions_of": _actions_of,
    "triggers_of": _triggers_of,
    "triggers_of_invitation": _triggers_of_invitation,
    "templates_of_category": _templates_of_category,
    "templates_of_type": _templates_of_type,
    "template": _template,
    "excluded_categories": _excluded_categories,
    "campaigns": _campaigns,
    "campaign": _campaign,
    "invitations_of": _invitations_of,
    "invitation": _invitation,
    "merged_template": _merged_template,
}
_WRITES: Final[Mapping[str, Call[Client]]] = {
    "save_action": _save_action,
    "save_definition": _save_definition,
    "delete_definition": _delete_definition,
    "create_template": _create_template,
    "update_template": _update_template,
    "delete_template": _delete_template,
    "update_campaign": _update_campaign,
    "invite_clients": _invite_clients,
    "invite_staff": _invite_staff,
}

DECK: Final = Deck(
    vendor="timetap_messages",
    client=TimeTapMailingClient,
    calls={**_READS, **_WRITES},
    writes=frozenset(_WRITES),
    variables=APPOINTMENTS.variables,
    simulated=_simulated,
    real=_real,
    played=_played,
)
