"""Apptoto's client over its real stack, down to httpx's transport, against recorded answers; nothing is asked of the network."""

from datetime import UTC, datetime, timedelta
from typing import Any

from calrelay.vendors.apptoto.mapping import to_holding
from tests.vendors.cassettes_apptoto import DECK
from tests.vendors.cassettes_tape import Subject, playing


async def play(method: str) -> tuple[Any, Subject]:
    with playing(DECK, method) as subject:
        async with DECK.played() as client:
            return await DECK.calls[method](client, subject), subject


async def test_a_page_of_events_is_read_with_instants_calendars_and_people() -> None:
    rows, subject = await play("list_events")
    assert rows
    begin, end = (datetime.fromisoformat(subject[key]).replace(tzinfo=UTC) for key in ("first_day", "last_day"))
    for held in map(to_holding, rows):
        assert held.start is not None
        assert begin <= held.start <= end
        assert held.calendar
        assert held.participants is not None
    assert any(person.phone for row in rows for person in row.participants)


async def test_an_event_is_found_by_our_id() -> None:
    row, subject = await play("event")
    assert row.external_id == subject.get("external_id", row.external_id)
    assert row.id == subject.get("event_id", row.id)
    assert not row.is_deleted


async def test_calendars_have_ids_and_names_where_they_are_listed() -> None:
    calendars, _ = await play("calendars")
    assert calendars is None or all(calendar.id and calendar.name for calendar in calendars)


async def test_what_is_written_comes_back_with_its_id_its_calendar_and_its_instants() -> None:
    [row], subject = await play("put_events")
    held = to_holding(row)
    assert held.calendar == subject["write_calendar_id"]
    assert held.start == datetime.fromisoformat(f"{subject['write_day']}T18:30:00-05:00")
    assert held.end == held.start + timedelta(hours=3, minutes=30)


async def test_what_was_written_can_be_deleted() -> None:
    assert (await play("delete_event"))[0] is None
