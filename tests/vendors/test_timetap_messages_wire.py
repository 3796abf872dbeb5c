"""The shapes of TimeTap's messages: every sample of its three documents passes and comes back whole, and oddities cost no row."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from calrelay.vendors.timetap.messages_wire import (
    EmailTemplate,
    EventAction,
    EventDefinition,
    EventTrigger,
    Invitation,
    InvitationCampaign,
    Kept,
    parse_list,
    parse_one,
)

SAMPLES: dict[str, list[dict[str, Any]]] = json.loads(Path(__file__).with_name("timetap_message_samples.json").read_text(encoding="utf-8"))
KINDS: tuple[tuple[str, type[Kept]], ...] = (
    ("/eventDefinition", EventDefinition),
    ("/eventAction", EventAction),
    ("/eventTriggers", EventTrigger),
    ("/emailTemplates", EmailTemplate),
    ("/invitationCampaign", InvitationCampaign),
    ("/invitation", Invitation),
)


def kind_of(call: str) -> type[Kept]:
    path = call.split()[1]
    return next(kind for prefix, kind in KINDS if path.startswith(prefix))


def objects() -> Iterator[Any]:
    for page, samples in SAMPLES.items():
        for number, sample in enumerate(samples):
            rows = sample["json"] if isinstance(sample["json"], list) else [sample["json"]]
            for row in rows:
                yield pytest.param(kind_of(sample["call"]), row, id=f"{page}-{number}-{sample['kind']}-{sample['call'].split('{')[0]}")


ALL = list(objects())
each_sample = pytest.mark.parametrize(("kind", "row"), ALL)


def names_of(kind: type[BaseModel]) -> dict[str, str]:
    """Return the fields of a model by every key, folded, under which they may come."""
    found: dict[str, str] = {}
    for name, field in kind.model_fields.items():
        alias = field.validation_alias
        for choice in getattr(alias, "choices", [alias or name.replace("_", "")]):
            found[str(choice).casefold()] = name
    return found


def test_all_samples_are_there() -> None:
    assert {page: len(samples) for page, samples in SAMPLES.items()} == {"events": 10, "templates": 7, "invitations": 9}


@each_sample
def test_a_sample_comes_back_without_having_lost_a_field(kind: type[Kept], row: dict[str, Any]) -> None:
    read = kind.model_validate(row)
    assert read.to_json() == row
    assert list(read.to_json()) == list(row)


@each_sample
def test_every_key_of_a_sample_is_typed_and_every_value_that_is_told_is_read(kind: type[Kept], row: dict[str, Any]) -> None:
    """A field that the model did not know would still come back; this proves that it knows them all."""
    read, names = kind.model_validate(row), names_of(kind)
    for key, value in row.items():
        told = getattr(read, names[key.casefold()])
        assert (told in (None, (), {})) == (value in (None, [], {})), key


@each_sample
def test_a_sample_survives_being_read_from_what_it_came_back_as(kind: type[Kept], row: dict[str, Any]) -> None:
    read = kind.model_validate(row)
    assert kind.model_validate(read.to_json()) == read


@each_sample
def test_a_key_that_nobody_has_seen_is_kept(kind: type[Kept], row: dict[str, Any]) -> None:
    odd = row | {"newThing": {"a": [1]}}
    assert kind.model_validate(odd).to_json() == odd


def test_one_key_is_changed_and_the_others_stay() -> None:
    row = SAMPLES["events"][3]["json"][0]
    assert EventAction.model_validate(row).to_json(active=False) == row | {"active": False}


def test_what_is_stored_goes_without_the_users_names() -> None:
    row = SAMPLES["events"][3]["json"][0]
    kept = EventAction.model_validate(row).without_users()
    assert row.keys() - kept.keys() == {"createdUser", "modifiedUser"}


def test_nor_does_what_stands_inside_it_name_a_user() -> None:
    action = {"eventActionId": 41901, "createdUser": "mhall", "template": {"modifiedUser": "mhall", "level": 1}}
    kept = EventDefinition.model_validate({"eventDefnId": 31001, "eventActions": [action], "createdUser": "mhall"}).without_users()
    assert kept == {"eventDefnId": 31001, "eventActions": [{"eventActionId": 41901, "template": {"level": 1}}]}


@pytest.mark.parametrize("value", [{"eventDefnId": 7}, [{"eventDefnId": 7}], {"eventDefinitionId": "7"}])
def test_one_definition_is_an_object_or_a_list_of_one_under_either_name_of_its_id(value: object) -> None:
    found = parse_one(EventDefinition, value)
    assert found is not None
    assert found.event_defn_id == "7"


@pytest.mark.parametrize("value", [[], None, "", 3, [{"eventDefnId": 7}, {"eventDefnId": 8}]])
def test_what_is_not_one_object_is_none(value: object) -> None:
    assert parse_one(EventDefinition, value) is None


def test_null_actions_are_none_and_null_lists_stay_null() -> None:
    read = EventDefinition.model_validate({"eventDefnId": 7, "eventActions": None, "reasonIdList": None, "locationIdList": []})
    assert (read.event_actions, read.reason_id_list, read.location_id_list) == ((), None, ())


@pytest.mark.parametrize("value", [[240127, 159578], "240127,159578", {"0": 240127, "1": 159578}])
def test_lists_of_ids_are_read_in_every_way_they_are_written(value: object) -> None:
    assert EmailTemplate.model_validate({"reasonIdList": value}).reason_id_list == ("240127", "159578")


def test_one_id_alone_is_a_list_of_one() -> None:
    assert EmailTemplate.model_validate({"reasonIdList": 240127}).reason_id_list == ("240127",)


@pytest.mark.parametrize("value", ["2023-05-31", 1685491200000, "1685491200000"])
def test_an_expiry_is_a_date_or_milliseconds(value: object) -> None:
    assert InvitationCampaign.model_validate({"expireDate": value}).expire_date == datetime(2023, 5, 31, tzinfo=UTC)


@pytest.mark.parametrize("value", ["soon", True, 10**30, [], {}])
def test_a_moment_that_cannot_be_read_is_none(value: object) -> None:
    assert InvitationCampaign.model_validate({"expireDate": value}).expire_date is None


def test_parameters_are_read_out_of_their_text_and_a_broken_text_costs_nothing() -> None:
    read = InvitationCampaign.model_validate({"parameters": '{"staffId": "77961"}', "parameterMap": {"staffId": 61001, "jobId": None}})
    assert (read.parameters, read.parameter_map) == ({"staffId": "77961"}, {"staffId": "61001"})
    assert InvitationCampaign.model_validate({"parameters": "{"}).parameters == {}


@pytest.mark.parametrize("key", ["waitListId", "waitlistId"])
def test_the_waitlist_has_two_spellings(key: str) -> None:
    assert InvitationCampaign.model_validate({key: 5}).waitlist_id == "5"


def test_the_misspelt_requisition_number_is_read() -> None:
    assert InvitationCampaign.model_validate({"requisitionNnmber": 5}).requisition_number == "5"


@pytest.mark.parametrize("odd", [{"active": "yes"}, {"triggerHours": "soon"}, {"eventType": 3}, {"eventActions": 3}, {"createdDate": {}}])
def test_an_odd_value_costs_only_itself(odd: dict[str, Any]) -> None:
    read = EventDefinition.model_validate({"eventDefnId": 7} | odd)
    assert read.event_defn_id == "7"
    assert read.to_json() == {"eventDefnId": 7} | odd


def test_an_item_that_is_no_object_costs_only_itself() -> None:
    assert [found.event_action_id for found in parse_list(EventAction, [{"eventActionId": 1}, None, "x"])] == ["1"]
