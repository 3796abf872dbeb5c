"""Invitation campaigns and invitations of the simulated TimeTap. No HTTP."""

import itertools
import json
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.timetap.events import EventStore, posted_definition
from calrelay.simulators.timetap.mail import Mails
from calrelay.simulators.timetap.rows import BUSINESS_ID, Json, millis
from calrelay.simulators.timetap.templates import Refused

FIRST_CAMPAIGN = 99_001
PARAMETERS = ("clientId", "coordStaffId", "jobId", "jobRequisitionId", "locationId", "reasonId", "requisitionNumber", "staffId")
HIDDEN_IN_READS: Json = {"email": None, "eventDefinitionList": None, "parameterMap": None}


class InvitedType(StrEnum):
    """What an invitation's objectId is."""

    CLIENT = "CLIENT"
    STAFF = "STAFF"
    APPOINTMENT = "APPOINTMENT"


class InvitationStore:
    """All campaigns by id and invitations by invitationUUId; sending one is what mails people."""

    def __init__(self, *, clock: SimulatedClock, events: EventStore, mails: Mails, rng: random.Random) -> None:
        self._clock = clock
        self._events = events
        self._mails = mails
        self._rng = rng
        self._numbers = itertools.count(FIRST_CAMPAIGN)
        self.campaigns: dict[int, Json] = {}
        self.invitations: dict[str, Json] = {}

    def page(self, *, professional: int | None, number: int, size: int) -> list[Json]:
        """Return campaigns as lists show them."""
        found = [c for c in self.campaigns.values() if professional is None or c["professionalId"] == professional]
        return [campaign | HIDDEN_IN_READS for campaign in found[(number - 1) * size : number * size]]

    def of_campaign(self, campaign: int) -> Iterator[Json]:
        """Go through a campaign's invitations."""
        return (i for i in self.invitations.values() if i["invitationCampaignId"] == campaign)

    def send(self, body: Json, invited: InvitedType, ids: Iterable[int], *, cause: str) -> Json:
        """Make a campaign, invite each id and mail each of them; returns the campaign as POST answers it. Raises Refused."""
        missing = [key for key in ("businessId", "email") if body.get(key) is None]
        if missing:
            raise Refused(f"{', '.join(missing)} required")
        campaign = self.add_campaign(body)
        for number in ids:
            invitation = self.invite(campaign["invitationCampaignId"], invited, number)
            self._mails.record(cause=cause, to=f"{invited} {number}", subject="Invitation " + invitation["invitationUUId"])
        return campaign | {"email": body["email"]}

    def add_campaign(self, body: Json) -> Json:
        """Store a campaign with its definitions and mail nobody; `calendarId` ties it to an appointment."""
        number, parameters = next(self._numbers), body.get("parameterMap") or {}
        texts = {key: str(parameters[key]) for key in PARAMETERS if parameters.get(key) is not None}
        campaign = _blank_campaign(number, millis(self._clock.now())) | {
            key: body[key] for key in ("description", "emailTemplateId", "professionalId", "calendarId", "status") if key in body
        }
        campaign |= {"parameterMap": texts, "parameters": json.dumps(texts), "coordinatorStaffId": _int(texts.get("coordStaffId"))}
        campaign |= {key: _int(texts.get(key)) for key in ("locationId", "reasonId", "staffId")}
        definitions = [
            self._events.save_definition(definition | {"objectType": "INVITATION_CAMPAIGN", "objectId": number})
            for definition in body.get("eventDefinitionList") or ()
        ]
        campaign["eventDefinitionList"] = [self._nested(definition) for definition in definitions]
        self.campaigns[number] = campaign
        return campaign

    def invite(self, campaign: int, invited: InvitedType, number: int) -> Json:
        """Add one invitation, sent now."""
        uuid = f"ivt{self._rng.getrandbits(128):032x}"
        self.invitations[uuid] = {
            "businessId": BUSINESS_ID,
            "clickDate": None,
            "clicked": False,
            "completed": False,
            "completedDate": None,
            "createdDate": millis(self._clock.now()),
            "createdUser": "mhall",
            "declineDate": None,
            "declined": False,
            "email": None,
            "invitationCampaignId": campaign,
            "invitationUUId": uuid,
            "modifiedDate": None,
            "modifiedUser": None,
            "objectId": number,
            "objectType": invited.value,
            "openDate": None,
            "opened": False,
            "sent": True,
            "status": "SENT",
            "unsubscribed": False,
        }
        return self.invitations[uuid]

    def complete(self, uuid: str) -> Json:
        """Let the invited book."""
        now = millis(self._clock.now())
        self.invitations[uuid] |= {
            "completed": True,
            "completedDate": now,
            "status": "COMPLETED",
            "modifiedDate": now,
            "modifiedUser": "WebClient",
        }
        return self.invitations[uuid]

    def update(self, body: Json) -> Json:
        """Change a campaign's description and expiry, and nothing else. Raises Refused."""
        campaign = self.campaigns.get(body.get("invitationCampaignId") or 0)
        if campaign is None:
            raise Refused(f"Invitation campaign for Id {body.get('invitationCampaignId')} not found!")
        if "description" in body:
            campaign["description"] = body["description"]
        if "expireDate" in body:
            campaign["expireDate"] = _expiry(body["expireDate"])
        campaign |= {"modifiedDate": millis(self._clock.now()), "modifiedUser": "api"}
        return campaign | HIDDEN_IN_READS

    def _nested(self, definition: Json) -> Json:
        """Write a definition as it stands inside a campaign: actions filled, some keys missing, hours null."""
        kept = {
            k: v for k, v in posted_definition(definition).items() if k not in ("createdUser", "disclaimerFormIdList", "triggerMinutes")
        }
        del kept["filterTagMapJson"]
        return kept | {"triggerHours": None, "eventActions": list(self._events.actions_of(definition["eventDefnId"]))}


def _blank_campaign(number: int, created: int) -> Json:
    return {
        "businessId": BUSINESS_ID,
        "calendarId": None,
        "createdDate": created,
        "createdUser": "mhall",
        "description": None,
        "disclaimerFormUUid": None,
        "email": None,
        "emailTemplateId": None,
        "employmentDurationType": None,
        "expireDate": None,
        "invitationCampaignId": number,
        "jobRequisitionId": None,
        "jobTitle": None,
        "locationName": None,
        "modifiedDate": None,
        "modifiedUser": None,
        "professionalId": None,
        "requisitionNumber": None,
        "status": None,
        "waitlistId": None,
    }


def _int(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _expiry(value: object) -> int | None:
    """Read an expiry, a date text in requests and milliseconds in replies."""
    if isinstance(value, str):
        return millis(datetime.fromisoformat(value).replace(tzinfo=UTC))
    return value if isinstance(value, int) else None
