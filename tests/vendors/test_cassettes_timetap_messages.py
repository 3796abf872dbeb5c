"""TimeTap's client of messages over its real stack, against recorded answers; nothing is asked of the network."""

from typing import Any

import pytest

from calrelay.vendors.timetap.messages_wire import (
    EmailTemplate,
    EventAction,
    EventDefinition,
    EventTrigger,
    Invitation,
    InvitationCampaign,
    Kept,
)
from tests.vendors.cassettes_tape import Subject, playing
from tests.vendors.cassettes_timetap_messages import DECK

LISTS: dict[str, type[Kept]] = {
    "definitions_of_type": EventDefinition,
    "definitions_of_campaign": EventDefinition,
    "actions_of": EventAction,
    "triggers_of": EventTrigger,
    "triggers_of_invitation": EventTrigger,
    "templates_of_category": EmailTemplate,
    "templates_of_type": EmailTemplate,
    "campaigns": InvitationCampaign,
    "invitations_of": Invitation,
}


async def play(method: str) -> tuple[Any, Subject]:
    with playing(DECK, method) as subject:
        async with DECK.played() as client:
            return await DECK.calls[method](client, subject), subject


@pytest.mark.parametrize(("method", "kind"), LISTS.items(), ids=list(LISTS))
async def test_a_list_brings_typed_objects(method: str, kind: type[Kept]) -> None:
    rows, _ = await play(method)
    assert rows
    assert all(type(row) is kind for row in rows)


@pytest.mark.parametrize(
    ("method", "field", "asked"),
    [
        ("definition", "event_defn_id", "definition_id"),
        ("template", "email_template_id", "template_id"),
        ("merged_template", "email_template_id", "template_id"),
        ("campaign", "invitation_campaign_id", "campaign_id"),
        ("invitation", "invitation_uuid", "invitation_uuid"),
        ("update_template", "email_template_id", "template_id"),
        ("update_campaign", "invitation_campaign_id", "campaign_id"),
    ],
)
async def test_what_is_asked_for_by_its_id_is_what_comes(method: str, field: str, asked: str) -> None:
    found, subject = await play(method)
    assert getattr(found, field) == subject[asked]


async def test_a_trigger_tells_when_it_goes_off() -> None:
    [trigger], subject = await play("triggers_of")
    assert trigger.object_id == subject["calendar_id"]
    assert trigger.scheduled_time is not None


async def test_disabled_categories_are_told_by_their_ids() -> None:
    rows, _ = await play("excluded_categories")
    assert rows[0].email_category_id


async def test_an_action_without_an_id_is_created_and_one_with_an_id_is_saved_inactive() -> None:
    (created, saved), subject = await play("save_action")
    assert created.active is True
    assert created.event_action_id not in (None, subject["action_id"])
    assert (saved.event_action_id, saved.active) == (subject["action_id"], False)


async def test_a_definition_without_an_id_is_created_and_one_with_an_id_is_changed() -> None:
    (created, saved), subject = await play("save_definition")
    assert created.event_defn_id not in (None, subject["definition_id"])
    assert saved.event_defn_id == subject["definition_id"]


@pytest.mark.parametrize("method", ["delete_definition", "delete_template"])
async def test_a_deletion_tells_nothing(method: str) -> None:
    answer, _ = await play(method)
    assert answer is None


async def test_a_new_template_has_an_id_of_its_own() -> None:
    made, subject = await play("create_template")
    assert made.email_template_id not in (None, subject["template_id"])


@pytest.mark.parametrize("method", ["invite_clients", "invite_staff"])
async def test_an_invitation_makes_a_campaign(method: str) -> None:
    campaign, _ = await play(method)
    assert campaign.invitation_campaign_id
