"""What the simulated Tripleseat serves to those who read events: lists, search, pages, shapes, deletions."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from calrelay.simulators.faults import Fault, Kind, SimulatedClock
from calrelay.simulators.people import Person
from calrelay.simulators.tripleseat.places import ALDER_HOUSE, HARBOUR_HOUSE, MEWS_HOUSE
from calrelay.simulators.tripleseat.rows import Row, an_event_row
from calrelay.simulators.tripleseat.settings import BadDates, Deletion, TripleseatSettings
from calrelay.simulators.tripleseat.simulator import TripleseatSimulator
from calrelay.simulators.tripleseat.variants import Variant, vary

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
DAY = datetime(2026, 12, 1, 18, 0)  # noqa: DTZ001  # a wall clock time has no zone
KEYS_AS_SERVED = (
    "id name event_date event_date_iso8601 status event_start event_end event_start_utc event_end_utc event_start_iso8601 "
    "event_end_iso8601 event_start_time event_end_time start_date end_date setup_time teardown_time event_start_time_with_setup_time "
    "event_end_time_with_teardown_time event_start_with_setup_iso8601 event_end_with_teardown_iso8601 event_timezone event_style "
    "guaranteed_guest_count guest_count food_and_beverage_min price_per_person deposit_amount rental_fee actual_amount grand_total "
    "amount_due description contact_id account_id owned_by created_at updated_at deleted_at booking_id updated_by created_by "
    "customer_id site_id location_id room_ids managing_user_ids unassigned event_type_id post_as delivery_instructions "
    "selected_gratuity offsite_address document_ids start_time end_time event_type lost_reason lost_reason_details rooms location "
    "booking documents custom_fields category_totals billing_totals owner creator updator managers lead selected_lead_sources "
    "contact secondary_contacts account status_changes attachments"
)
KEYS = KEYS_AS_SERVED.split()


def a_simulator(**settings: Any) -> TripleseatSimulator:
    return TripleseatSimulator(clock=SimulatedClock(NOW), settings=TripleseatSettings(requests_per_second=0, **settings))


def client_of(sim: TripleseatSimulator) -> httpx.AsyncClient:
    token = sim.issue_tokens().access_token
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=sim.app), base_url="https://api.example.com", headers={"authorization": f"Bearer {token}"}
    )


def fill(sim: TripleseatSimulator, count: int) -> None:
    """Add events 1 to count, one a day, created a minute apart in the order of their ids."""
    for number in range(1, count + 1):
        start = DAY + timedelta(days=number - 1)
        row = an_event_row(number, start, start + timedelta(hours=3))
        sim.events.add(row, created=NOW - timedelta(days=90) + timedelta(minutes=number))


async def search(sim: TripleseatSimulator, path: str = "/v1/events/search.json", **params: Any) -> tuple[int, list[int]]:
    """Ask for one page and return total_pages and the ids in their order."""
    async with client_of(sim) as client:
        answer = await client.get(path, params=params)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"total_pages", "results"}
    return body["total_pages"], [row["id"] for row in body["results"]]


async def show(sim: TripleseatSimulator, event_id: int) -> httpx.Response:
    async with client_of(sim) as client:
        return await client.get(f"/v1/events/{event_id}.json")


async def test_the_plain_list_ignores_dates_and_page_sizes() -> None:
    sim = a_simulator()
    fill(sim, 60)
    pages, ids = await search(
        sim, "/v1/events.json", event_start_date="12/01/2026", event_end_date="12/01/2026", per_page=5, limit=5, status="lost", nonsense=1
    )
    assert (pages, ids) == (2, list(range(1, 51)))


@pytest.mark.parametrize(
    ("params", "ids"),
    [
        ({"event_start_date": "12/02/2026", "event_end_date": "12/03/2026"}, [2, 3]),
        ({"event_start_date": "12/2/2026", "event_end_date": "12/2/2026"}, [2]),
        ({"event_start_date": "12/02/2026"}, [1, 2, 3, 4]),
        ({"event_start_date": "2026-12-02", "event_end_date": "2026-12-03"}, [1, 2, 3, 4]),
        ({"status": "lost"}, [2]),
        ({"status": "LOST,Tentative"}, [2, 3]),
        ({"status[]": ["LOST", "DEFINITE"]}, [1, 2, 4]),
        ({"room_ids": "90012"}, [4]),
        ({"location_ids": "2601,2603"}, [1, 2, 3]),
        ({"site_id": "1502"}, [4]),
        ({"query": "cy.dun@EXAMPLE.com"}, [1, 2, 3, 4]),
        ({"query": "555-0147"}, [1, 2, 3, 4]),
        ({"query": "regatta"}, [3]),
        ({"contact_id": "7700001"}, [1, 2, 3, 4]),
        ({"account_id": "1"}, []),
        ({"custom_field_values[][custom_field_id]": "41", "custom_field_values[][custom_field_value]": "None"}, []),
        ({"event_created_start_date": "08/23/2026", "event_created_end_date": "08/23/2026"}, [1, 2, 3, 4]),
        ({"event_created_start_date": "08/24/2026", "event_created_end_date": "08/25/2026"}, []),
        ({"event_updated_start_date": "11/21/2026", "event_updated_end_date": "11/21/2026"}, [2, 3, 4]),
        ({"order": "event_start", "sort_direction": "desc"}, [4, 3, 2, 1]),
        ({"order": "updated_at"}, [1, 2, 3, 4]),
        ({"order": "name"}, [1, 2, 4, 3]),
        ({"order": "nonsense"}, [1, 2, 3, 4]),
    ],
    ids=str,
)
async def test_a_search_obeys_its_filters(params: dict[str, Any], ids: list[int]) -> None:
    sim = a_simulator()
    fill(sim, 4)
    sim.events.set_status(2, "LOST")
    sim.events.set_status(3, "TENTATIVE")
    sim.events.rename(3, "Regatta Dinner")
    sim.events.relocate(4, HARBOUR_HOUSE.id, [90012])
    assert await search(sim, **params) == (1 if ids else 0, ids)


async def test_a_date_without_its_partner_can_be_refused() -> None:
    sim = a_simulator(bad_dates=BadDates.REJECT)
    async with client_of(sim) as client:
        answer = await client.get("/v1/events/search.json", params={"event_start_date": "12/01/2026"})
    assert (answer.status_code, answer.json()["success"]) == (400, False)


async def test_every_status_comes_without_a_filter() -> None:
    sim = a_simulator()
    fill(sim, 4)
    for event_id, status in enumerate(("WAITLIST", "LOST", "PROSPECT", "ON_HOLD_NEW"), start=1):
        sim.events.set_status(event_id, status)
    assert await search(sim) == (1, [1, 2, 3, 4])


async def test_pages_hold_fifty_and_end_empty() -> None:
    sim = a_simulator()
    assert await search(sim) == (0, [])
    fill(sim, 120)
    assert await search(sim, page=3) == (3, list(range(101, 121)))
    assert await search(sim, page=4) == (3, [])


async def test_two_sites_find_nothing_until_both_are_named() -> None:
    sim = a_simulator(two_sites=True)
    fill(sim, 2)
    assert await search(sim, location_ids="2601") == (0, [])
    assert await search(sim, site_id="1501") == (0, [])
    assert await search(sim, site_id="1501", location_ids="2601") == (1, [1, 2])


async def test_an_id_can_be_on_two_pages_and_no_row_is_left_out() -> None:
    sim = a_simulator(repeat_rows=2)
    fill(sim, 100)
    pages = [(await search(sim, page=n)) for n in (1, 2, 3)]
    assert [total for total, _ in pages] == [3, 3, 3]
    assert pages[0][1][-2:] == pages[1][1][:2]
    assert {i for _, ids in pages for i in ids} == set(range(1, 101))


async def test_a_row_can_move_to_another_page_while_somebody_reads() -> None:
    sim = a_simulator()
    fill(sim, 60)
    sim.after_page(1, lambda: sim.events.delete(1))
    _, first = await search(sim, page=1)
    _, second = await search(sim, page=2)
    assert 51 not in (*first, *second)
    assert first[0] == 1


async def test_a_change_after_a_page_happens_once() -> None:
    sim = a_simulator()
    fill(sim, 2)
    sim.after_page(1, lambda: sim.events.shift(1, timedelta(hours=1)))
    await search(sim)
    await search(sim)
    assert sim.events.get(1).start == DAY + timedelta(hours=1)


async def test_an_event_is_wrapped_and_has_every_key_in_its_order() -> None:
    sim = a_simulator()
    fill(sim, 1)
    answer = await show(sim, 1)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert list(answer.json()) == ["event"]
    assert list(answer.json()["event"]) == KEYS


async def test_an_unknown_id_is_404_and_an_unknown_route_500() -> None:
    async with client_of(a_simulator()) as client:
        statuses = [
            (await client.get(path)).status_code for path in ("/v1/events/9.json", "/v1/events/x.json", "/v1/nothing.json", "/api/v1")
        ]
    assert statuses == [404, 404, 500, 500]


async def test_sites_and_locations_are_bare_arrays() -> None:
    async with client_of(a_simulator()) as client:
        sites, locations = await client.get("/v1/sites.json"), await client.get("/v1/locations.json")
        one, none = await client.get("/v1/locations/2602.json"), await client.get("/v1/locations/1.json")
    assert [row["site"]["timezone"] for row in sites.json()] == ["Eastern Time (US & Canada)", "America/Vancouver", "London"]
    assert [row["location"]["id"] for row in locations.json()] == [2601, 2602, 2603]
    assert one.json()["location"]["rooms"][1]["name"] == "Terrace"
    assert none.status_code == 404


async def test_without_a_suffix_the_accept_header_must_say_json() -> None:
    sim = a_simulator()
    fill(sim, 1)
    async with client_of(sim) as client:
        wanted = await client.get("/v1/events/1", headers={"accept": "application/json"})
        refused = [await client.get(path) for path in ("/v1/events/1", "/v1/events/search.xml", "/v1/events/1.xml", "/v1/sites")]
    assert wanted.json()["event"]["id"] == 1
    assert {answer.status_code for answer in refused} == {406}


async def test_signs_are_escaped_as_rails_does() -> None:
    async with client_of(a_simulator()) as client:
        text = (await client.get("/v1/sites.json")).text
    assert "US \\u0026 Canada" in text


async def test_rows_can_be_wrapped() -> None:
    sim = a_simulator(wrap_rows=True)
    fill(sim, 1)
    async with client_of(sim) as client:
        results = (await client.get("/v1/events/search.json")).json()["results"]
    assert [list(row) for row in results] == [["event"]]


async def test_financials_come_only_when_asked_for() -> None:
    sim = a_simulator()
    fill(sim, 1)
    async with client_of(sim) as client:
        plain, thick = [(await client.get("/v1/events/1.json", params=p)).json() for p in ({}, {"show_financial": "true"})]
    assert "line_items" not in plain["event"]["documents"][0]
    assert "line_items" in thick["event"]["documents"][0]


@pytest.mark.parametrize(
    ("location", "start", "hours", "utc"),
    [
        (ALDER_HOUSE, "2026-12-01T22:00", 4, ("2026-12-02T03:00:00Z", "2026-12-02T07:00:00Z")),  # over midnight
        (ALDER_HOUSE, "2027-03-14T02:30", 1, ("2027-03-14T07:30:00Z", "2027-03-14T07:30:00Z")),  # in the gap: the offset before it
        (ALDER_HOUSE, "2026-11-01T01:30", 2, ("2026-11-01T05:30:00Z", "2026-11-01T08:30:00Z")),  # in the fold: the first one
        (HARBOUR_HOUSE, "2026-12-15T18:00", 2, ("2026-12-16T01:00:00Z", "2026-12-16T03:00:00Z")),  # UTC-7 in winter since 2026
        (MEWS_HOUSE, "2027-03-28T18:00", 2, ("2027-03-28T17:00:00Z", "2027-03-28T19:00:00Z")),
    ],
)
def test_instants_follow_the_zone_of_the_site(location: Any, start: str, hours: int, utc: tuple[str, str]) -> None:
    first = datetime.fromisoformat(start)
    row = an_event_row(1, first, first + timedelta(hours=hours), location=location)
    assert (row["event_start_utc"], row["event_end_utc"]) == utc
    assert datetime.fromisoformat(row["event_start_iso8601"]).astimezone(UTC) == datetime.fromisoformat(utc[0])


def test_dates_are_american_and_not_padded() -> None:
    row = an_event_row(1, datetime(2026, 3, 9, 18, 0), datetime(2026, 3, 10, 0, 30))  # noqa: DTZ001  # wall clock times
    assert (row["event_start"], row["event_end"], row["start_date"]) == ("3/9/2026 6:00 PM", "3/10/2026 12:30 AM", "3/9/2026")
    assert (row["event_start_time_with_setup_time"], row["event_end_with_teardown_iso8601"]) == (
        "3/9/2026 5:00 PM",
        "2026-03-10T01:00:00-04:00",
    )


async def test_a_moved_event_says_so_in_every_time_field() -> None:
    sim = a_simulator()
    fill(sim, 1)
    sim.events.move(1, DAY + timedelta(days=2))
    expected = an_event_row(1, DAY + timedelta(days=2), DAY + timedelta(days=2, hours=3))
    row = (await show(sim, 1)).json()["event"]
    assert {k: row[k] for k in KEYS[:22] if k != "id"} == {k: expected[k] for k in KEYS[:22] if k != "id"}
    assert (row["start_time"], list(row)) == (expected["start_time"], KEYS)


async def test_an_event_can_go_to_another_room_and_another_house() -> None:
    sim = a_simulator()
    fill(sim, 1)
    sim.events.relocate(1, ALDER_HOUSE.id, [90002])
    assert [room["name"] for room in sim.events.get(1).row["rooms"]] == ["Terrace"]
    sim.events.relocate(1, HARBOUR_HOUSE.id, [90011])
    row = (await show(sim, 1)).json()["event"]
    assert (row["location"]["name"], row["site_id"], row["room_ids"]) == ("Harbour House", 1502, [90011])
    assert (row["event_start"], row["event_start_utc"]) == ("12/1/2026 6:00 PM", "2026-12-02T01:00:00Z")


async def test_a_contact_can_change_without_a_trace_in_updated_at() -> None:
    sim = a_simulator()
    fill(sim, 1)
    before = sim.events.get(1).row["updated_at"]
    sim.events.set_contact(1, Person(number=7, first_name="Ana", last_name="Ito", email="ana@example.com", phone="212-555-0107"))
    row = (await show(sim, 1)).json()["event"]
    assert (row["contact"]["email_addresses"][0]["address"], row["updated_at"]) == ("ana@example.com", before)


async def test_two_edits_within_a_minute_look_alike_in_updated_at() -> None:
    sim = a_simulator()
    fill(sim, 1)
    stamps = [sim.events.rename(1, name)["updated_at"] for name in ("One", "Two")]
    assert stamps == ["11/21/2026 10:00 AM"] * 2


@pytest.mark.parametrize(("mode", "listed", "status"), [(Deletion.GONE, [], 404), (Deletion.MARKED, [], 200), (Deletion.LISTED, [1], 200)])
async def test_a_deleted_event_leaves_behind_what_the_mode_says(mode: Deletion, listed: list[int], status: int) -> None:
    sim = a_simulator()
    fill(sim, 1)
    sim.events.delete(1, mode)
    assert (await search(sim))[1] == listed
    answer = await show(sim, 1)
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["event"]["deleted_at"] == "11/21/2026 10:00 AM"
    sim.events.restore(1)
    assert (await show(sim, 1)).json()["event"]["deleted_at"] is None


def varied(variant: Variant) -> Row:
    row = an_event_row(1, DAY, DAY + timedelta(hours=3))
    vary(row, variant)
    return row


@pytest.mark.parametrize("variant", Variant)
async def test_every_odd_row_differs_from_a_plain_one_and_is_found_by_a_search(variant: Variant) -> None:
    sim = a_simulator()
    row = sim.events.add(varied(variant))
    assert json.dumps(row) != json.dumps(an_event_row(1, DAY, DAY + timedelta(hours=3)))
    assert await search(sim, event_start_date="12/01/2026", event_end_date="12/01/2026") == (1, [1])


def test_odd_rows_are_odd_in_the_way_they_are_called() -> None:
    assert varied(Variant.NULL_GUEST_COUNTS)["guest_count"] is None
    assert varied(Variant.MONEY_NUMBERS)["grand_total"] == 2984.17
    assert len(varied(Variant.TWO_ROOMS)["rooms"]) == 2
    assert varied(Variant.BLANKS_IN_NAMES)["rooms"][0]["name"].endswith(" ")
    assert varied(Variant.EMPTY_PHONES)["contact"]["phone_numbers"] == []
    assert "account" not in varied(Variant.ACCOUNT_IN_BOOKING)
    assert varied(Variant.ACCOUNT_IN_BOOKING)["booking"]["account"]["name"] == "Alder LLC"
    assert varied(Variant.UTC_DISAGREES)["event_start_utc"] == "2026-12-02T00:00:00Z"
    assert varied(Variant.PADDED_DATES)["event_start"] == "12/01/2026 06:00 PM"
    assert varied(Variant.WALL_CLOCK_ONLY).keys().isdisjoint({"event_start_utc", "event_start_iso8601"})


@pytest.mark.parametrize(("retry_after", "header"), [(False, None), (True, "1")])
async def test_too_many_requests_in_a_second_are_429(retry_after: bool, header: str | None) -> None:
    sim = a_simulator(retry_after=retry_after)
    sim.settings.requests_per_second = 3
    async with client_of(sim) as client:
        answers = [await client.get("/v1/sites.json") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].headers.get("retry-after") == header


async def test_answers_fail_on_demand() -> None:
    """Each fault of section 7 of the vendor page can be had, and the next request works again."""
    sim = a_simulator()
    faults = [
        (Fault(kind=Kind.STATUS, status=500), 500),
        (Fault(kind=Kind.STATUS, status=502, body="<html>Bad Gateway</html>"), 502),
        (Fault(kind=Kind.STATUS, status=422, body='{"errors": {"booking": ["is invalid"]}}'), 422),
        (Fault(kind=Kind.HTML), 200),
        (Fault(kind=Kind.SLOW, seconds=0.0), 200),
    ]
    async with client_of(sim) as client:
        for fault, status in faults:
            sim.faults.add(fault)
            assert (await client.get("/v1/sites.json")).status_code == status
        sim.faults.add(Fault(kind=Kind.CUT))
        with pytest.raises(json.JSONDecodeError):
            (await client.get("/v1/sites.json")).json()
        sim.faults.add(Fault(kind=Kind.RESET))
        with pytest.raises(httpx.TransportError):
            await client.get("/v1/sites.json")
        assert (await client.get("/v1/sites.json")).status_code == 200
