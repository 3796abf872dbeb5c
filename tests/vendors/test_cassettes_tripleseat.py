"""Tripleseat's client over its real stack, down to httpx's transport, against recorded answers; nothing is asked of the network."""

from typing import Any

import pytest

from calrelay.domain.event import Event
from calrelay.domain.zones import resolve_zone
from calrelay.vendors.tripleseat.context import Context
from calrelay.vendors.tripleseat.mapping import to_canonical
from calrelay.vendors.tripleseat.settings import STATUSES
from calrelay.vendors.tripleseat.wire import EventRow, Unreadable
from tests.vendors.cassettes_tape import Subject, playing
from tests.vendors.cassettes_tripleseat import DECK


async def play(method: str) -> tuple[Any, Subject]:
    with playing(DECK, method) as subject:
        async with DECK.played() as client:
            return await DECK.calls[method](client, subject), subject


def mapped(row: EventRow | Unreadable) -> Event:
    assert isinstance(row, EventRow)
    return to_canonical(row, Context(site_zones={row.site_id or "": "America/New_York"}))


@pytest.mark.parametrize("method", ["search", "list_events"])
async def test_a_page_is_read_and_every_row_of_it_maps(method: str) -> None:
    page, _ = await play(method)
    assert page.rows
    assert page.total_pages >= 1
    for row in page.rows:
        event = mapped(row)
        assert event.status in STATUSES
        assert event.start < event.end
        assert event.title


async def test_a_search_finds_what_starts_in_its_days_and_guests_with_a_way_to_reach_them() -> None:
    page, subject = await play("search")
    days = {mapped(row).start.date().isoformat() for row in page.rows}
    assert all(subject["first_day"] <= day <= subject["last_day"] for day in days)
    assert any(who.is_reachable for row in page.rows for who in mapped(row).participants)


async def test_an_event_is_shown_by_its_id() -> None:
    row, subject = await play("show")
    assert isinstance(row, EventRow)
    assert row.id == subject["event_id"]


@pytest.mark.parametrize("method", ["sites", "remembered_sites"])
async def test_every_site_has_a_zone_that_this_release_knows(method: str) -> None:
    found, _ = await play(method)
    sites = found[0] if method == "remembered_sites" else found
    assert sites
    assert all(resolve_zone(site.timezone) for site in sites)


async def test_remembered_sites_cost_one_request_for_two_questions() -> None:
    (first, second), _ = await play("remembered_sites")
    assert first == second


async def test_locations_have_rooms_and_a_site() -> None:
    locations, _ = await play("locations")
    assert locations
    for location in locations:
        assert location.site_id
        assert all(room.id and room.name for room in location.rooms)


async def test_a_location_is_shown_by_its_id() -> None:
    location, subject = await play("location")
    assert location.id == subject["location_id"]


async def test_tokens_are_renewed_when_asked_for() -> None:
    renewed, _ = await play("refresh_if_older_than")
    assert renewed is True


async def test_an_event_is_created_changed_and_deleted() -> None:
    created, subject = await play("create")
    assert isinstance(created, EventRow)
    assert created.status == "PROSPECT"
    changed, about = await play("update")
    assert isinstance(changed, EventRow)
    assert (changed.id, changed.status) == (about["made_id"], "LOST")
    assert subject["made_id"] == created.id
    assert (await play("delete"))[0] is None
