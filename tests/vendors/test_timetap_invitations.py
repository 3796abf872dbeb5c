"""What is asked to learn how far invitations came: how many requests, of which campaigns, and what their words mean."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from calrelay.domain.messages import InvitationStatus
from calrelay.simulators.timetap.invitations import InvitedType
from calrelay.simulators.timetap.rows import millis
from calrelay.vendors.timetap.messages import CAMPAIGNS_ASKED, TimeTapMessenger
from calrelay.vendors.timetap.messages_client import TimeTapMessagesClient
from calrelay.vendors.timetap.messages_mapping import to_invitation
from calrelay.vendors.timetap.messages_wire import Invitation, InvitationCampaign
from tests.vendors.timetap_account import TimeTapAccount, open_account

APPOINTMENT = 70_000_001


@pytest.fixture
async def account() -> AsyncIterator[TimeTapAccount]:
    async with open_account() as account:
        yield account


def a_messenger(account: TimeTapAccount) -> TimeTapMessenger:
    client = TimeTapMessagesClient(account.http, now=account.sim.clock.now)
    return TimeTapMessenger(account="studio", client=client, now=account.sim.clock.now)


def a_campaign(account: TimeTapAccount, *, calendar: int | None = APPOINTMENT, expired: bool = False) -> int:
    """Add a campaign with one client who is invited."""
    store = account.sim.stores.invitations
    body: dict[str, Any] = {"description": "Campaign", "emailTemplateId": 1, "eventDefinitionList": [], "calendarId": calendar}
    number = int(store.add_campaign(body)["invitationCampaignId"])
    store.invite(number, InvitedType.CLIENT, 9_100_001)
    if expired:
        store.campaigns[number]["expireDate"] = millis(account.sim.clock.now() - timedelta(days=9))
    return number


def requests(account: TimeTapAccount, part: str) -> int:
    return sum(part in entry.path for entry in account.sim.journal.entries)


async def test_it_costs_the_lists_pages_and_one_request_for_a_campaign(account: TimeTapAccount) -> None:
    numbers = [a_campaign(account) for _ in range(3)]
    answer = await a_messenger(account).invitations()
    assert answer.campaigns == {str(number) for number in numbers}
    assert {(one.event, one.guest_id, one.status) for one in answer.found} == {(str(APPOINTMENT), "9100001", InvitationStatus.SENT)}
    assert requests(account, "/invitation/invitationCampaign/") == 3
    assert requests(account, "/live/invitationCampaign") == 2  # the page, and the empty one that is the end


async def test_no_more_campaigns_are_asked_than_allowed_and_those_of_an_appointment_go_first(account: TimeTapAccount) -> None:
    first = a_campaign(account)
    for _ in range(CAMPAIGNS_ASKED + 5):
        a_campaign(account, calendar=None)
    answer = await a_messenger(account).invitations()
    assert len(answer.campaigns) == CAMPAIGNS_ASKED
    assert str(first) in answer.campaigns
    assert len(answer.found) == 1


async def test_a_campaign_that_is_over_is_not_asked(account: TimeTapAccount) -> None:
    a_campaign(account, expired=True)
    answer = await a_messenger(account).invitations()
    assert (answer.campaigns, answer.found) == (frozenset(), ())


async def test_nobody_is_mailed_by_it(account: TimeTapAccount) -> None:
    a_campaign(account)
    await a_messenger(account).invitations()
    assert account.sim.mails.sent == []
    assert {entry.method for entry in account.sim.journal.entries} == {"GET"}


@pytest.mark.parametrize(
    ("told", "status"),
    [
        *(({"status": status.upper()}, status) for status in InvitationStatus),
        ({"status": None, "sent": True}, InvitationStatus.SENT),
        ({"status": "", "sent": True, "opened": True}, InvitationStatus.OPENED),
        ({"sent": True, "opened": False, "clicked": True}, InvitationStatus.CLICKED),  # in one of the vendor's own samples
        ({"status": "LATER", "clicked": True, "completed": True}, InvitationStatus.COMPLETED),
        ({"clicked": True, "declined": True}, InvitationStatus.DECLINED),
        ({}, InvitationStatus.PENDING),
    ],
)
def test_its_word_is_taken_and_where_there_is_none_its_flags(told: dict[str, Any], status: InvitationStatus) -> None:
    row = Invitation.model_validate({"objectType": "APPOINTMENT", "objectId": APPOINTMENT, "createdDate": 1771000000000} | told)
    found = to_invitation(row, InvitationCampaign.model_validate({"invitationCampaignId": 99001}))
    assert found is not None
    assert found.status is status
