"""What is sent to Apptoto, to the letter, and what its events mean."""

import dataclasses
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calrelay.domain.link import CalendarId, Field
from calrelay.ports import HeldPerson
from calrelay.vendors.apptoto.mapping import from_canonical, to_body, to_holding, zone_name
from calrelay.vendors.apptoto.settings import TimeZoneNames
from calrelay.vendors.apptoto.wire import EventRow
from tests.contracts.target_contract import JANE, MAX, START, a_put, an_entry

HALL = CalendarId("1000030001")


def sent(*fields: Field, names: TimeZoneNames = TimeZoneNames.RAILS, **entry: Any) -> dict[str, Any]:
    """What goes out for these fields; without any, for all."""
    return from_canonical(a_put("ts-55120", an_entry(HALL, **entry), frozenset(fields or Field)), names)


class TestSending:
    def test_a_new_event_is_sent_to_the_letter(self) -> None:
        assert sent() == {
            "external_id": "ts-55120",
            "calendar_id": 1000030001,
            "title": "Holiday dinner",
            "start_time": "2026-12-03T18:30:00-05:00",
            "end_time": "2026-12-03T22:00:00-05:00",
            "time_zone": "Eastern Time (US & Canada)",
            "location": "Main Hall",
            "content": "40 guests",
            "participants": [{"name": "Jane Roe", "email": "jane@example.com", "phone": "+12125550147"}],
            "custom_data": {"guest_count": "40"},
        }

    def test_a_body_forbids_new_calendars_whatever_it_holds(self) -> None:
        put = a_put("ts-1", an_entry(HALL), frozenset({Field.TITLE}))
        row = {"external_id": "ts-1", "calendar_id": 1000030001, "title": "Holiday dinner"}
        assert to_body([put, put], TimeZoneNames.RAILS) == {"prevent_calendar_creation": True, "events": [row, row]}

    @pytest.mark.parametrize(
        ("field", "keys"),
        [
            (Field.TITLE, {"title"}),
            (Field.START, {"start_time"}),
            (Field.END, {"end_time"}),
            (Field.TIME_ZONE, {"time_zone"}),
            (Field.LOCATION, {"location"}),
            (Field.CONTENT, {"content"}),
            (Field.PARTICIPANTS, {"participants"}),
            (Field.CUSTOM_DATA, {"custom_data"}),
        ],
    )
    def test_an_update_sends_its_field_and_who_and_where_it_is(self, field: Field, keys: set[str]) -> None:
        assert set(sent(field)) == {"external_id", "calendar_id"} | keys

    @pytest.mark.parametrize("key", ["id", "calendar", "all_day", "show_as", "contact_id"])
    def test_what_could_do_harm_is_never_sent(self, key: str) -> None:
        assert key not in sent()

    @pytest.mark.parametrize(
        ("start", "zone", "text"),
        [
            (datetime(2026, 7, 1, 22, 30, tzinfo=UTC), "America/New_York", "2026-07-01T18:30:00-04:00"),
            (datetime(2026, 12, 15, 20, 0, tzinfo=UTC), "America/Vancouver", "2026-12-15T13:00:00-07:00"),
            (datetime(2026, 12, 3, 18, 30, tzinfo=UTC), "Europe/London", "2026-12-03T18:30:00+00:00"),
            (datetime(2026, 12, 3, 18, 30, tzinfo=UTC), "Asia/Kathmandu", "2026-12-04T00:15:00+05:45"),
            (datetime(2026, 11, 1, 6, 30, tzinfo=UTC), "America/New_York", "2026-11-01T01:30:00-05:00"),
            (datetime(2026, 12, 3, 18, 30, 0, 250_000, tzinfo=UTC), "America/New_York", "2026-12-03T13:30:00-05:00"),
        ],
    )
    def test_a_time_carries_its_numeric_offset_and_whole_seconds(self, start: datetime, zone: str, text: str) -> None:
        assert sent(Field.START, start=start, zone=zone)["start_time"] == text

    def test_utc_is_a_numeric_offset_as_well(self) -> None:
        put = a_put("ts-1", dataclasses.replace(an_entry(HALL), start=START), frozenset({Field.START}))
        text = from_canonical(put, TimeZoneNames.OMIT)["start_time"]
        assert text == "2026-12-03T23:30:00+00:00"

    def test_a_naive_time_never_goes_out(self) -> None:
        put = a_put("ts-1", dataclasses.replace(an_entry(HALL), start=START.replace(tzinfo=None)))
        with pytest.raises(ValueError, match="offset"):
            from_canonical(put, TimeZoneNames.OMIT)

    def test_everybody_is_sent_with_what_there_is_of_them(self) -> None:
        people = (JANE, dataclasses.replace(MAX, email=None), dataclasses.replace(MAX, phone=None))
        assert sent(Field.PARTICIPANTS, participants=people)["participants"] == [
            {"name": "Jane Roe", "email": "jane@example.com", "phone": "+12125550147"},
            {"name": "Max Moe", "phone": "+13125550123"},
            {"name": "Max Moe", "email": "max@example.com"},
        ]

    def test_nobody_is_sent_as_nobody(self) -> None:
        """Without the key Apptoto looks for people in the texts."""
        assert sent(participants=())["participants"] == []

    def test_custom_data_is_text_under_names_that_templates_can_use(self) -> None:
        custom = sent(Field.CUSTOM_DATA, custom_data={"guest_count": "40", "Event Type": "Gala", "room/area": "Terrace"})["custom_data"]
        assert custom == {"guest_count": "40", "event_type": "Gala", "room_area": "Terrace"}
        assert all(re.fullmatch(r"[a-z0-9_]+", key) for key in custom)

    def test_a_calendar_that_is_no_number_is_left_for_apptoto_to_refuse(self) -> None:
        put = a_put("ts-1", an_entry(CalendarId("main-hall")))
        assert from_canonical(put, TimeZoneNames.OMIT)["calendar_id"] == "main-hall"


class TestZoneNames:
    @pytest.mark.parametrize(
        ("zone", "names", "expected"),
        [
            ("America/New_York", TimeZoneNames.RAILS, "Eastern Time (US & Canada)"),
            ("America/Detroit", TimeZoneNames.RAILS, "Eastern Time (US & Canada)"),
            ("Antarctica/Troll", TimeZoneNames.RAILS, None),
            ("Mars/Olympus_Mons", TimeZoneNames.RAILS, None),
            ("America/New_York", TimeZoneNames.IANA, "America/New_York"),
            ("Antarctica/Troll", TimeZoneNames.IANA, "Antarctica/Troll"),
            ("America/New_York", TimeZoneNames.OMIT, None),
        ],
    )
    def test_a_zone_is_named_as_the_config_says(self, zone: str, names: TimeZoneNames, expected: str | None) -> None:
        assert zone_name(zone, names) == expected

    @pytest.mark.parametrize(("zone", "names"), [("Antarctica/Troll", TimeZoneNames.RAILS), ("America/New_York", TimeZoneNames.OMIT)])
    def test_a_zone_without_a_name_is_no_key_at_all(self, zone: str, names: TimeZoneNames) -> None:
        assert "time_zone" not in sent(zone=zone, names=names)


def held(**row: Any) -> Any:
    return to_holding(EventRow.model_validate({"id": 900112233, **row}))


class TestHolding:
    def test_what_apptoto_does_not_tell_is_none(self) -> None:
        bare = dataclasses.asdict(held())
        assert {key for key, value in bare.items() if value is not None} == {"target_id", "is_deleted"}

    @pytest.mark.parametrize("text", ["2026-12-03T18:30:00-05:00", "2026-12-03T23:30:00Z", "2026-12-03T23:30:00.000+00:00"])
    def test_an_instant_is_the_same_in_every_offset(self, text: str) -> None:
        assert (held(start_time=text).start, held(end_time=text).end) == (START, START)
        assert held(start_time=text).start.utcoffset() == timedelta()

    @pytest.mark.parametrize("text", ["2026-12-03T18:30:00", "2026-12-03", "soon", "", None, {}, 1796340600])
    def test_a_time_without_an_offset_is_not_told(self, text: object) -> None:
        assert held(start_time=text).start is None

    @pytest.mark.parametrize("field", ["title", "location", "content"])
    def test_null_is_an_empty_text(self, field: str) -> None:
        assert getattr(held(**{field: None}), field) == ""

    def test_the_number_that_would_be_dialled_counts_before_the_one_that_was_sent(self) -> None:
        people = [
            {"name": "Jane Roe", "phone": "212-555-0147", "normalized_phone": "+12125550147", "email": "jane@example.com"},
            {"name": None, "phone": "0147", "normalized_phone": None, "email": None},
        ]
        assert held(participants=people).participants == (
            HeldPerson(name="Jane Roe", email="jane@example.com", phone="+12125550147"),
            HeldPerson(name="", email="", phone="0147"),
        )

    def test_nobody_and_not_told_are_two_things(self) -> None:
        assert (held(participants=[]).participants, held(custom_data={}).custom_data) == ((), {})

    def test_a_deleted_event_says_so(self) -> None:
        assert held(is_deleted=True).is_deleted
