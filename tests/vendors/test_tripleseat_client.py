"""Every endpoint of Tripleseat's Events API, with its parameters and shapes, against the simulator."""

import json
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from calrelay.errors import AuthFailed, NotFound, RequestRejected, ResponseInvalid, VendorUnavailable
from calrelay.http.client import VendorClient
from calrelay.http.pacing import Pacer
from calrelay.simulators.faults import Fault, Kind
from calrelay.simulators.tripleseat.places import HARBOUR_HOUSE
from calrelay.simulators.tripleseat.settings import Deletion
from calrelay.vendors.tripleseat.client import Days, Direction, Order, Search, TripleseatClient
from calrelay.vendors.tripleseat.wire import EventRow, Unreadable
from tests.vendors.tripleseat_account import NOW, TripleseatAccount, open_account

DAY = timedelta(days=1)
NEW: dict[str, Any] = {
    "name": "Alder Team Dinner",
    "event_start": "12/09/2026 06:00 PM",
    "event_end": "12/09/2026 09:30 PM",
    "account_id": 5500001,
    "contact_id": 7700001,
    "location_id": 2601,
    "room_ids": [90001],
    "status": "TENTATIVE",
}


@pytest.fixture
async def account() -> AsyncIterator[TripleseatAccount]:
    async with open_account() as opened:
        yield opened


def test_every_search_parameter_is_sent_as_documented() -> None:
    days = Days(first=date(2026, 3, 9), last=date(2026, 3, 10))
    search = Search(
        query="kevin",
        order=Order.CREATED,
        direction=Direction.DESCENDING,
        contact_id="1",
        account_id="2",
        statuses=("DEFINITE", "LOST"),
        starting=days,
        created=days,
        updated=days,
        room_ids=("3", "4"),
        location_ids=("5",),
        site_id="6",
    )
    assert search.params(7) == {
        "query": "kevin",
        "order": "created_at",
        "sort_direction": "desc",
        "contact_id": "1",
        "account_id": "2",
        "status": "definite,lost",
        "event_start_date": "03/09/2026",
        "event_end_date": "03/10/2026",
        "event_created_start_date": "03/09/2026",
        "event_created_end_date": "03/10/2026",
        "event_updated_start_date": "03/09/2026",
        "event_updated_end_date": "03/10/2026",
        "room_ids": "3,4",
        "location_ids": "5",
        "site_id": "6",
        "page": "7",
    }


def test_what_is_not_asked_for_is_not_sent() -> None:
    assert Search().params(1) == {"page": "1"}


@pytest.mark.parametrize(
    ("search", "finds"),
    [
        (Search(), "both"),
        (Search(query="dinner"), "dinner"),
        (Search(statuses=("tentative",)), "wedding"),
        (Search(starting=Days(first=date(2026, 11, 23), last=date(2026, 11, 23))), "wedding"),
        (Search(location_ids=("2602",)), "wedding"),
        (Search(room_ids=("90001",)), "dinner"),
        (Search(site_id="1501"), "dinner"),
    ],
)
async def test_filters_find_what_they_say(account: TripleseatAccount, search: Search, finds: str) -> None:
    dinner = account.add(NOW + DAY, name="Team Dinner")
    wedding = account.add(NOW + 2 * DAY, name="Wedding", status="TENTATIVE", location=HARBOUR_HOUSE)
    expected = {"both": [dinner, wedding], "dinner": [dinner], "wedding": [wedding]}[finds]
    page = await account.client.search(search)
    assert [row.id for row in page.rows] == expected
    assert page.total_pages == 1


async def test_an_order_sorts(account: TripleseatAccount) -> None:
    late, early = account.add(NOW + 2 * DAY), account.add(NOW + DAY)
    ascending = await account.client.search(Search(order=Order.START))
    descending = await account.client.search(Search(order=Order.START, direction=Direction.DESCENDING))
    assert [row.id for row in ascending.rows] == [early, late]
    assert [row.id for row in descending.rows] == [late, early]


async def test_an_empty_search_has_no_pages(account: TripleseatAccount) -> None:
    page = await account.client.search(Search())
    assert (page.rows, page.total_pages) == ([], 0)


async def test_the_plain_list_is_paged(account: TripleseatAccount) -> None:
    for number in range(52):
        account.add(NOW + number * DAY)
    assert len((await account.client.list_events()).rows) == 50
    second = await account.client.list_events(2, order=Order.START)
    assert (len(second.rows), second.total_pages) == (2, 2)


async def test_one_event_is_shown(account: TripleseatAccount) -> None:
    source_id = account.add(NOW + DAY)
    row = await account.client.show(source_id)
    assert (row.id, row.name, row.location and row.location.name) == (source_id, "Alder Team Dinner", "Alder House")


async def test_a_deleted_event_may_still_be_shown(account: TripleseatAccount) -> None:
    source_id = account.add(NOW + DAY)
    account.sim.events.delete(int(source_id), Deletion.MARKED)
    assert (await account.client.show(source_id)).deleted_at


async def test_an_unknown_event_is_not_found(account: TripleseatAccount) -> None:
    with pytest.raises(NotFound):
        await account.client.show("1")


@pytest.mark.parametrize("body", ["", '{"error": "Record not found"}'])
async def test_a_404_is_not_found_with_and_without_a_body(account: TripleseatAccount, body: str) -> None:
    account.faults.add(Fault(kind=Kind.STATUS, status=404, body=body))
    with pytest.raises(NotFound):
        await account.client.show("1")


async def test_a_404_page_for_people_is_no_answer(account: TripleseatAccount) -> None:
    account.faults.add(Fault(kind=Kind.STATUS, status=404, body="<!doctype html><title>Not found</title>"))
    with pytest.raises(ResponseInvalid):
        await account.client.show("1")


async def test_create_update_and_delete(account: TripleseatAccount) -> None:
    """The whole Events API works, though the sync only reads."""
    made = await account.client.create(NEW)
    assert made.status == "TENTATIVE"
    assert (await account.client.update(made.id, {"status": "CLOSED"})).status == "CLOSED"
    assert (await account.client.show(made.id)).name == "Alder Team Dinner"
    await account.client.delete(made.id)
    with pytest.raises(NotFound):
        await account.client.show(made.id)


async def test_a_created_event_goes_into_the_body(account: TripleseatAccount) -> None:
    await account.client.create(NEW)
    [entry] = [entry for entry in account.sim.journal.entries if entry.method == "POST"]
    assert (json.loads(entry.body), entry.query) == ({"event": NEW}, ())


async def test_a_refused_creation_does_not_quote_the_vendor(account: TripleseatAccount) -> None:
    with pytest.raises(RequestRejected) as caught:
        await account.client.create({"name": "Cy Dun's Dinner"})
    assert "Cy" not in f"{caught.value} {caught.value.remedy}"


async def test_a_creation_is_never_repeated(account: TripleseatAccount) -> None:
    """It has no external id, so a second one would be a second event (Tripleseat: 9)."""
    account.faults.add(Fault(kind=Kind.STATUS, method="POST", status=503, path="/events", times=None))
    with pytest.raises(VendorUnavailable):
        await account.client.create(NEW)
    assert account.sim.journal.count("POST", "/v1/events") == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_everything_else_is_repeated(account: TripleseatAccount, method: str) -> None:
    source_id = account.add(NOW + DAY)
    account.faults.add(Fault(kind=Kind.STATUS, method=method, status=503, path="/events", times=2))
    match method:
        case "GET":
            await account.client.show(source_id)
        case "PUT":
            await account.client.update(source_id, {"name": "Other"})
        case _:
            await account.client.delete(source_id)
    assert account.sim.journal.count(method, "/v1/events") == 3


async def test_sites_and_locations_are_listed(account: TripleseatAccount) -> None:
    [alder, *_] = await account.client.sites()
    assert (alder.id, alder.timezone) == ("1501", "Eastern Time (US & Canada)")
    [house, *_] = await account.client.locations()
    assert (house.name, house.site_id, len(house.rooms)) == ("Alder House", "1501", 3)
    assert (await account.client.location("2602")).name == "Harbour House"


async def test_the_lead_form_key_opens_sites_and_locations_only(account: TripleseatAccount) -> None:
    transport = httpx.ASGITransport(app=account.sim.app)
    http = VendorClient(account="v", vendor="Tripleseat", base_url="https://api.tripleseat.com/v1", pacer=Pacer(1000), transport=transport)
    async with http:
        client = TripleseatClient(http, public_key=account.sim.settings.public_key)
        assert await client.sites()
        assert await client.locations()
        with pytest.raises(AuthFailed):
            await client.search(Search())


async def test_rows_that_are_no_events_keep_their_page(account: TripleseatAccount) -> None:
    body = {"total_pages": 1, "results": [{"id": 5, "name": "x"}, {"name": "no id"}, "odd"]}
    account.faults.add(Fault(kind=Kind.STATUS, status=200, body=json.dumps(body)))
    rows = (await account.client.search(Search())).rows
    assert [type(row) for row in rows] == [EventRow, Unreadable, Unreadable]
    assert [row.id for row in rows] == ["5", None, None]


@pytest.mark.parametrize(
    "body", ["[]", '{"results": []}', '{"total_pages": 1}', '{"total_pages": -1, "results": []}', '{"total_pages": 1, "results": {}}']
)
async def test_a_page_of_another_shape_is_invalid(account: TripleseatAccount, body: str) -> None:
    account.faults.add(Fault(kind=Kind.STATUS, status=200, body=body))
    with pytest.raises(ResponseInvalid):
        await account.client.search(Search())


async def test_labels_of_requests_name_no_ids_and_no_queries(account: TripleseatAccount) -> None:
    source_id = account.add(NOW + DAY)
    await account.client.search(Search(query="Cy Dun"))
    await account.client.show(source_id)
    assert [done.endpoint for done in account.finished] == ["events/search", "events/{id}"]
