"""TimeTap's client over its real stack, down to httpx's transport, against recorded answers; nothing is asked of the network."""

from typing import Any

from calrelay.domain.zones import resolve_zone
from calrelay.vendors.timetap.context import Context
from calrelay.vendors.timetap.mapping import STATUSES, to_canonical
from calrelay.vendors.timetap.wire import AppointmentRow
from tests.vendors.cassettes_tape import Subject, playing
from tests.vendors.cassettes_timetap import DECK


async def play(method: str) -> tuple[Any, Subject]:
    with playing(DECK, method) as subject:
        async with DECK.played() as client:
            return await DECK.calls[method](client, subject), subject


async def test_a_page_of_the_report_is_read_and_every_row_of_it_maps() -> None:
    rows, subject = await play("search")
    assert rows
    for row in rows:
        event = to_canonical(row, Context())
        assert event.status in STATUSES
        assert event.start <= event.end
        assert subject["first_day"] <= row.start_date <= subject["last_day"]


async def test_guests_of_the_report_can_be_reached() -> None:
    rows, _ = await play("search")
    assert any(who.is_reachable for row in rows for who in to_canonical(row, Context()).participants)


async def test_the_report_counts_its_rows() -> None:
    count, _ = await play("count")
    assert count >= 1


async def test_an_appointment_is_shown_by_its_id() -> None:
    row, subject = await play("show")
    assert isinstance(row, AppointmentRow)
    assert row.id == subject["calendar_id"]


async def test_a_staff_member_is_shown_by_id_with_a_zone() -> None:
    staff, subject = await play("staff")
    assert staff.professional_id == subject["staff_id"]
    assert resolve_zone(staff.time_zone_code)


async def test_a_remembered_zone_costs_one_request_for_two_questions() -> None:
    (first, second), _ = await play("remembered_staff_zone")
    assert first == second
    assert resolve_zone(first)


async def test_zones_that_a_staff_member_can_have_are_known() -> None:
    zones, _ = await play("timezones")
    assert zones
    assert all(resolve_zone(zone) for zone in zones)
