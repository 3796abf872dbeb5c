"""Every shape in which TimeTap was seen, or documented, to write an appointment."""

from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from calrelay.simulators.timetap.rows import an_appointment_row
from calrelay.simulators.timetap.settings import Spelling
from calrelay.simulators.timetap.shapes import respell
from calrelay.vendors.timetap.wire import AppointmentPage, AppointmentRow, Count, OneAppointment, SessionToken, Zones, id_of, parse_row


def a_row(**changes: Any) -> dict[str, Any]:
    start = datetime.fromisoformat("2026-03-06 15:30")
    return {**an_appointment_row(70000001, start, 45, "America/New_York", series=64001), **changes}


def parsed(row: object) -> AppointmentRow:
    return AppointmentRow.model_validate(row)


def test_a_whole_row_is_read() -> None:
    row = parsed(a_row())
    assert (row.id, row.status, row.recurring_appointment_id) == ("70000001", "OPEN", "64001")
    assert (row.start_date, row.start_time, row.end_time) == ("2026-03-06", 1530, 1615)
    assert (row.start_date_time_utc, row.staff_time_zone) == ("2026-03-06T20:30:00Z", "America/New_York")
    assert (row.client_start_date, row.client_start_time, row.client_time_zone) == ("2026-03-06", 1530, "America/New_York")
    assert row.client is not None
    assert (row.client.client_id, row.client.full_name, row.client.cell_phone) == ("9105001", "Ana Lopez", "617-555-0101")
    assert row.staff is not None
    assert (row.staff.professional_id, row.staff.email, row.staff.time_zone_code) == ("61001", "mhall@example.org", "America/New_York")
    assert row.location is not None
    assert (row.location.location_id, row.location.location_name) == ("41001", "Main hall")
    assert row.reason is not None
    assert (row.reason.reason_id, row.reason.reason_desc, row.reason.reason_type) == ("88001", "Venue tour", "SERVICE")


@pytest.mark.parametrize("spelling", Spelling)
def test_every_spelling_means_the_same(spelling: Spelling) -> None:
    assert parsed(respell(a_row(), spelling)) == parsed(a_row())
    assert id_of(respell(a_row(), spelling)) == "70000001"


def test_where_both_spellings_stand_the_one_with_a_value_counts() -> None:
    professional = a_row()["staff"] | {"professionalId": 61002}
    assert parsed(a_row(calendarId=None, calendarid=5)).id == "5"
    assert parsed(a_row(calendarId=5, calendarid=None)).id == "5"
    row = parsed(a_row(staff=None, professional=professional))
    assert row.staff is not None
    assert row.staff.professional_id == "61002"


def test_the_official_webhook_sample_is_read() -> None:
    """Abbreviated as it is documented, without dates and status."""
    body = {
        "calendarid": 70000001, "businessId": 55500, "startTime": 1530, "endTime": 1615, "clientStartTime": 1530, "clientEndTime": 1615,
        "reason": {"reasonId": 88001, "visitMinutes": 45, "reasonDesc": "Venue tour"},
        "client": {"clientId": 9100001, "firstName": "Ana", "lastName": "Lopez", "emailAddress": "ana@example.org", "notes": "x"},
        "staff": {"professionalId": 61001, "timeZoneCode": {"timeZoneId": 78, "timeZoneCode": "America/New_York"}},
        "location": {"locationId": 41001, "locationName": "Main hall"}, "fields": [{"required": False}],
    }  # fmt: skip
    row = parsed(body)
    assert (row.id, row.status, row.start_date) == ("70000001", None, None)
    assert row.staff is not None
    assert row.staff.time_zone_code == "America/New_York"


@pytest.mark.parametrize("value", [None, "", "   ", [], {}, True])
def test_an_odd_value_is_no_value_and_costs_nothing_else(value: object) -> None:
    odd = {key: value for key in a_row() if key not in ("calendarId", "status")}
    row = parsed({**a_row(), **odd})
    assert (row.id, row.status) == ("70000001", "OPEN")
    told = {key: found for key, found in row.model_dump().items() if key not in ("id", "status")}
    assert not any(any(found.values()) if isinstance(found, dict) else found for found in told.values())


@pytest.mark.parametrize(
    ("written", "read"),
    [(0, 0), (30, 30), (800, 800), (1430, 1430), ("0830", 830), (1430.0, 1430), ("8 am", None), (14.5, None), (False, None), (-5, None)],
)
def test_a_clock_is_a_whole_number(written: object, read: int | None) -> None:
    assert parsed(a_row(startTime=written)).start_time == read


@pytest.mark.parametrize("code", ["America/New_York", {"timeZoneCode": "America/New_York", "timeZoneId": 78}])
def test_a_zone_is_a_name_or_an_object_that_repeats_it(code: object) -> None:
    row = parsed(a_row(staff={"professionalId": 1, "timeZoneCode": code}))
    assert row.staff is not None
    assert row.staff.time_zone_code == "America/New_York"


@pytest.mark.parametrize("item", [None, 7, "x", [], {}, {"calendarId": None}, {"calendarId": True}, {"calendarId": " "}])
def test_a_row_without_an_id_is_none(item: object) -> None:
    assert parse_row(item) is None
    assert id_of(item) is None


def test_a_page_is_a_bare_array_and_nothing_else() -> None:
    assert AppointmentPage.model_validate([]).root == []
    with pytest.raises(ValidationError):
        AppointmentPage.model_validate({"appointments": []})


def test_one_appointment_comes_bare_or_alone_in_an_array() -> None:
    assert OneAppointment.model_validate(a_row()).root == OneAppointment.model_validate([a_row()]).root
    with pytest.raises(ValidationError):
        OneAppointment.model_validate([])


def test_a_count_is_not_negative_and_has_its_own_key() -> None:
    assert Count.model_validate({"count": 7}).count == 7
    for odd in ({"count": -1}, {"total": 7}, 7):
        with pytest.raises(ValidationError):
            Count.model_validate(odd)


def test_zones_are_read_by_code() -> None:
    zones = Zones.model_validate([{"timeZoneCode": "US/Eastern", "timeZoneId": 1}, {}]).root
    assert [zone.time_zone_code for zone in zones] == ["US/Eastern", None]


def test_a_session_token_is_opaque_and_not_shown() -> None:
    token = SessionToken.model_validate({"sessionToken": "st.api.api.0123"})
    assert token.session_token == "st.api.api.0123"
    assert "0123" not in repr(token)
    with pytest.raises(ValidationError):
        SessionToken.model_validate({"sessionToken": ""})
