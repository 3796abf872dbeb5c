"""Apptoto's answers in every shape that its documents show, leave open or were seen in."""

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from calrelay.vendors.apptoto.wire import Calendars, EventList, EventRow, OneEvent, Written

# The sample of the vendor's page, section 3.1, with fixtures instead of people.
SAMPLE: dict[str, Any] = {
    "id": 900112233,
    "calendar_id": 1000030001,
    "calendar_name": "Main Hall",
    "external_id": "ts-55120",
    "start_time": "2026-11-03T18:30:00-05:00",
    "end_time": "2026-11-03T22:00:00-05:00",
    "title": "Holiday dinner - Jane Roe",
    "location": "Main Hall",
    "content": "",
    "is_deleted": False,
    "participants": [
        {
            "id": 700045,
            "event_id": 900112233,
            "name": "Jane Roe",
            "phone": "212-555-0147",
            "normalized_phone": "+12125550147",
            "email": "jane@example.com",
            "state": "initial",
            "conversations": [{"messages": [{"id": 1, "event_type": "sent", "content": "Reminder"}]}],
        }
    ],
    "custom_data": {"guest_count": "40"},
}


def row(**changes: Any) -> EventRow:
    return EventRow.model_validate_json(json.dumps({**SAMPLE, **changes}))


def parsed(shape: type[BaseModel], value: object) -> Any:
    return shape.model_validate_json(json.dumps(value)).root  # type: ignore[attr-defined] # every shape here is a root model


def test_the_documents_sample_is_read_whole() -> None:
    read = row()
    assert (read.id, read.calendar_id, read.external_id) == ("900112233", "1000030001", "ts-55120")
    assert (read.start_time, read.is_deleted, read.custom_data) == ("2026-11-03T18:30:00-05:00", False, {"guest_count": "40"})
    [person] = read.participants
    assert (person.normalized_phone, person.state, person.id) == ("+12125550147", "initial", "700045")


def test_conversations_are_not_kept() -> None:
    """They quote what guests wrote, and no rule needs them."""
    assert "Reminder" not in row().model_dump_json()


@pytest.mark.parametrize(
    ("sent", "read"),
    [(9007199254740993, "9007199254740993"), ("900112233", "900112233"), (900112233.0, "900112233"), (" 7 ", "7")],
)
def test_an_id_is_text_whatever_its_type(sent: object, read: str) -> None:
    assert (row(id=sent).id, row(calendar_id=sent).calendar_id, row(external_id=sent).external_id) == (read, read, read)


@pytest.mark.parametrize("nothing", [None, "", "  ", True, [], {}])
def test_a_blank_external_id_is_none(nothing: object) -> None:
    assert row(external_id=nothing).external_id is None


@pytest.mark.parametrize("nothing", [None, "", True, [], {}])
def test_an_event_without_an_id_is_refused(nothing: object) -> None:
    with pytest.raises(ValidationError):
        row(id=nothing)


def test_an_event_may_have_nothing_but_an_id() -> None:
    bare = EventRow.model_validate({"id": 1})
    assert (bare.external_id, bare.participants, bare.custom_data, bare.is_deleted) == (None, [], {}, False)
    assert not bare.says("content")


def test_null_and_missing_are_told_apart() -> None:
    assert row(content=None).says("content")
    assert row(content=None).content is None


@pytest.mark.parametrize("odd", [{}, [], True, {"date": "2026"}])
@pytest.mark.parametrize("field", ["title", "start_time", "location", "content"])
def test_a_text_that_is_none_costs_only_itself(field: str, odd: object) -> None:
    assert getattr(row(**{field: odd}), field) is None


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"a": 40, "b": True, "c": None, "d": ["x"]}, {"a": "40", "b": "true", "c": "", "d": '["x"]'}),
        (None, {}),
        ([], {}),
        ("x", {}),
    ],
)
def test_custom_data_is_text_by_name(sent: object, read: dict[str, str]) -> None:
    assert row(custom_data=sent).custom_data == read


@pytest.mark.parametrize("nothing", [None, [], "nobody", [None, 7]])
def test_participants_that_are_no_objects_are_nobody(nothing: object) -> None:
    assert row(participants=nothing).participants == []


@pytest.mark.parametrize(("sent", "read"), [(True, True), ("true", True), (1, True), (False, False), (None, False), ("no", False)])
def test_deletion_is_read_from_every_spelling(sent: object, *, read: bool) -> None:
    assert row(is_deleted=sent).is_deleted is read


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        ({"phone": "0147", "normalized_phone": None}, True),
        ({"phone": "0147"}, False),
        ({"phone": "212-555-0147", "normalized_phone": "+12125550147"}, False),
        ({"phone": None, "normalized_phone": None}, False),
    ],
)
def test_a_number_is_undiallable_only_where_apptoto_says_so(person: dict[str, Any], *, expected: bool) -> None:
    [read] = row(participants=[person]).participants
    assert read.is_undiallable is expected


class TestLists:
    @pytest.mark.parametrize("shape", [EventList, Written])
    @pytest.mark.parametrize(
        ("value", "count"),
        [({"events": [SAMPLE, SAMPLE]}, 2), ({"events": []}, 0), ({"events": None}, 0), ({"events": SAMPLE}, 1), ([SAMPLE], 1)],
    )
    def test_events_come_in_these_wrappings(self, shape: type[BaseModel], value: object, count: int) -> None:
        assert len(parsed(shape, value)) == count

    @pytest.mark.parametrize("shape", [EventList, Written])
    @pytest.mark.parametrize("value", [{}, None, "events", 7, {"error": "no"}, {"events": "none"}, {"events": 3}])
    def test_anything_else_is_no_list(self, shape: type[BaseModel], value: object) -> None:
        with pytest.raises(ValidationError):
            parsed(shape, value)

    def test_a_list_with_an_event_that_has_no_id_is_not_sound(self) -> None:
        with pytest.raises(ValidationError):
            parsed(EventList, {"events": [SAMPLE, {"title": "?"}]})

    def test_an_answer_to_a_write_passes_over_what_names_no_event(self) -> None:
        assert [e.id for e in parsed(Written, {"events": [{"error": "bad"}, SAMPLE, None, {"id": ""}]})] == ["900112233"]


class TestOneEvent:
    @pytest.mark.parametrize("value", [SAMPLE, {"event": SAMPLE}, {"events": [SAMPLE]}])
    def test_an_event_is_found_in_any_wrapping(self, value: object) -> None:
        assert parsed(OneEvent, value).id == "900112233"

    @pytest.mark.parametrize("value", [None, {"event": None}, {"events": []}, {"events": None}])
    def test_an_answer_that_says_none_is_none(self, value: object) -> None:
        assert parsed(OneEvent, value) is None

    @pytest.mark.parametrize("value", [{}, [], "gone", {"error": "later"}, {"events": [SAMPLE, SAMPLE]}])
    def test_an_answer_that_says_nothing_proves_nothing(self, value: object) -> None:
        with pytest.raises(ValidationError):
            parsed(OneEvent, value)


class TestCalendars:
    @pytest.mark.parametrize(
        "value",
        [
            {"calendars": [{"id": 1000030001, "name": "Main Hall"}]},
            [{"id": "1000030001", "name": "Main Hall", "time_zone": "UTC"}],
            {"calendars": [{"calendar": {"id": 1000030001, "name": "Main Hall"}}]},
        ],
    )
    def test_calendars_are_read_in_every_guessed_shape(self, value: object) -> None:
        assert [(c.id, c.name) for c in parsed(Calendars, value)] == [("1000030001", "Main Hall")]

    @pytest.mark.parametrize("value", [{}, None, "none", {"calendars": 2}, [{"name": "no id"}]])
    def test_anything_else_is_no_list_of_calendars(self, value: object) -> None:
        with pytest.raises(ValidationError):
            parsed(Calendars, value)
