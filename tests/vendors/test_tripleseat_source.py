"""What Tripleseat's source asks for, and when it calls a read whole."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from calrelay.domain.event import Event, Lifecycle, SourceId, Unmappable
from calrelay.domain.people import Role
from calrelay.domain.window import Span
from calrelay.errors import VendorError
from calrelay.ports import Page, Scope, Source
from calrelay.simulators.faults import Fault, Kind
from calrelay.simulators.people import Person
from calrelay.simulators.tripleseat.places import HARBOUR_HOUSE, MEWS_HOUSE
from calrelay.simulators.tripleseat.settings import Deletion
from calrelay.simulators.tripleseat.variants import Variant
from calrelay.vendors.tripleseat.source import ELSEWHERE, Reach
from tests.contracts.source_contract import DAY, SourceContract, fill, read
from tests.vendors.tripleseat_account import NOW, TripleseatAccount, open_account


@pytest.fixture
async def bench() -> AsyncIterator[TripleseatAccount]:
    async with open_account() as account:
        yield account


class TestTripleseatSource(SourceContract):
    """Tripleseat keeps what every source keeps."""


def test_it_is_a_source(bench: TripleseatAccount) -> None:
    source: Source = bench.source
    assert (source.vendor, source.id_prefix, source.can_read_changes) == ("tripleseat", "ts-", True)


async def test_a_full_read_searches_by_start_padded_by_a_day(bench: TripleseatAccount) -> None:
    await read(bench)
    [query] = bench.asked("/events/search")
    assert query == {
        "order": "event_start",
        "sort_direction": "asc",
        "event_start_date": "11/19/2026",
        "event_end_date": "05/22/2027",
        "page": "1",
    }


async def test_statuses_are_never_filtered_by_the_vendor(bench: TripleseatAccount) -> None:
    await read(bench)
    await read(bench, changed_since=NOW)
    assert not any("status" in query for query in bench.asked("/events/search"))


async def test_changes_are_searched_by_date_wherever_the_event_starts(bench: TripleseatAccount) -> None:
    await read(bench, changed_since=NOW - timedelta(minutes=5))
    [query] = bench.asked("/events/search")
    assert query == {
        "order": "updated_at",
        "sort_direction": "asc",
        "event_updated_start_date": "11/20/2026",
        "event_updated_end_date": "11/23/2026",
        "page": "1",
    }


async def test_a_read_asks_for_its_pages_and_nothing_else(bench: TripleseatAccount) -> None:
    fill(bench, pages=3)
    await read(bench)
    assert [entry.path for entry in bench.sim.journal.entries] == ["/v1/events/search.json"] * 3


async def test_a_name_that_was_cut_within_an_emoji_costs_half_an_emoji(bench: TripleseatAccount) -> None:
    whole, cut = bench.add(NOW + DAY), bench.add(NOW + 2 * DAY)
    rows = [dict(bench.sim.events.get(int(source_id)).row) for source_id in (whole, cut)]
    rows[1]["name"] = "Dinner \ud83c"
    page = json.dumps({"total_pages": 1, "results": rows})
    bench.faults.add(Fault(kind=Kind.STATUS, status=200, body=page, path=bench.listing))
    found = await read(bench)
    assert (found.ids, found.flaws, found.event(cut).title) == (sorted([whole, cut]), [], "Dinner")


async def test_an_account_with_several_sites_is_read_by_site_and_locations() -> None:
    async with open_account(two_sites=True) as account:
        account.add(NOW + DAY)
        other = account.add(NOW + DAY, location=HARBOUR_HOUSE)
        account.source = account.a_source()
        assert (await read(account)).rows == []  # seen in the field: nothing, and no error
        account.source = account.a_source(reach=Reach(site_id="1502", location_ids=("2602",)))
        assert (await read(account)).ids == [other]


async def test_no_rows_in_spite_of_site_and_locations_is_a_whole_read() -> None:
    async with open_account(two_sites=True) as account:
        account.source = account.a_source(reach=Reach(site_id="1502", location_ids=("2602",)))
        found = await read(account)
        assert (found.rows, found.flaws) == ([], [])


# --- rows that move while they are read ---


async def test_a_row_that_moves_to_an_earlier_page_is_found_by_a_second_reading(bench: TripleseatAccount) -> None:
    ids = fill(bench, pages=3)
    last = max(int(source_id) for source_id in ids)
    bench.sim.after_page(1, lambda: bench.sim.events.shift(last, -timedelta(days=8)))
    found = await read(bench, days=30)
    assert found.ids == ids
    assert found.flaws == []
    assert len(bench.asked("/events/search")) == 6


async def test_pages_that_always_overlap_are_whole_when_two_readings_agree(bench: TripleseatAccount) -> None:
    ids = fill(bench, pages=3)
    bench.overlap_pages(3)
    found = await read(bench)
    assert (found.ids, found.flaws) == (ids, [])


async def test_rows_that_never_come_to_rest_are_a_flaw(bench: TripleseatAccount) -> None:
    """Two readings that both saw rows move and saw different events prove nothing."""
    fill(bench, pages=2)
    bench.overlap_pages(2)
    bench.sim.after_page(2, lambda: bench.add(NOW + 2 * DAY))
    found = await read(bench)
    assert any("moved" in flaw.what for flaw in found.flaws)


async def test_a_list_that_shrinks_while_it_is_read_is_a_flaw(bench: TripleseatAccount) -> None:
    """Rows that move up may have been missed."""
    ids = fill(bench, pages=2)

    def delete_two() -> None:
        for source_id in ids[:2]:
            bench.delete(source_id)

    bench.sim.after_page(1, delete_two)
    assert (await read(bench)).flaws


# --- rows that tell too little ---


async def test_a_row_without_contact_arrays_is_asked_for_by_id(bench: TripleseatAccount) -> None:
    source_id, other = bench.add(NOW + DAY), bench.add(NOW + 2 * DAY)
    whole = dict(bench.sim.events.get(int(source_id)).row)
    bench.vary(source_id, Variant.NO_CONTACT_ARRAYS)
    bench.sim.after_page(1, lambda: bench.sim.events.replace(whole))
    found = await read(bench)
    assert found.event(source_id).participants[0].is_reachable
    assert found.event(other).participants[0].is_reachable
    assert len(bench.asked(f"/events/{source_id}")) == 1
    assert not bench.asked(f"/events/{other}")


async def test_empty_contact_arrays_are_taken_at_their_word(bench: TripleseatAccount) -> None:
    contact = {"id": 1, "first_name": "Cy", "last_name": "Dun", "email_addresses": [], "phone_numbers": []}
    source_id = bench.add(NOW + DAY)
    bench.sim.events.patch(int(source_id), {"contact": contact})
    assert not (await read(bench)).event(source_id).participants[0].is_reachable
    assert not bench.asked(f"/events/{source_id}")


async def test_a_cancelled_row_is_not_worth_another_request(bench: TripleseatAccount) -> None:
    source_id = bench.add(NOW + DAY)
    bench.vary(source_id, Variant.NO_CONTACT_ARRAYS)
    bench.cancel(source_id)
    assert (await read(bench)).event(source_id).lifecycle is Lifecycle.CANCELLED
    assert not bench.asked(f"/events/{source_id}")


async def test_an_event_that_could_not_be_completed_is_left_out_and_a_flaw(bench: TripleseatAccount) -> None:
    """Read without its people it would be messaged to nobody, or lose them at the target."""
    source_id, other = bench.add(NOW + DAY), bench.add(NOW + 2 * DAY)
    bench.vary(source_id, Variant.NO_CONTACT_ARRAYS)
    bench.faults.add(Fault(kind=Kind.STATUS, status=500, path=f"/events/{source_id}", times=None))
    found = await read(bench)
    assert found.ids == [other]
    assert found.flaws


async def test_a_row_without_an_id_makes_the_read_incomplete(bench: TripleseatAccount) -> None:
    good = bench.add(NOW + DAY)
    bench.faults.add(
        Fault(kind=Kind.STATUS, status=200, path="/events/search", body='{"total_pages": 1, "results": [{"name": "x"}]}', times=1)
    )
    assert (await read(bench)).flaws
    assert (await read(bench)).ids == [good]


async def test_wrapped_rows_are_read_alike(bench: TripleseatAccount) -> None:
    source_id = bench.add(NOW + DAY)
    bench.sim.settings.wrap_rows = True
    assert (await read(bench)).ids == [source_id]


# --- rows that are known ---


async def test_known_rows_are_named_and_not_mapped(bench: TripleseatAccount) -> None:
    first, second = bench.add(NOW + DAY), bench.add(NOW + 2 * DAY)
    told: dict[SourceId, bytes] = {}

    def recall(rows: Mapping[SourceId, bytes]) -> dict[SourceId, str]:
        changed = {source_id: f"hash of {source_id}" for source_id, row in rows.items() if told.get(source_id) != row}
        told.update(rows)
        return changed

    async def pages() -> list[Page]:
        scope = Scope(span=Span(begin=NOW - DAY, end=NOW + 9 * DAY), recall=recall)
        return [page async for page in bench.source.read(scope) if isinstance(page, Page)]

    [page] = await pages()
    assert [row.row_hash for row in page.rows if isinstance(row, Event)] == [f"hash of {first}", f"hash of {second}"]
    [page] = await pages()
    assert (page.rows, set(page.unchanged)) == ([], {first, second})
    bench.sim.events.patch(int(second), {"name": "Supper"})
    [page] = await pages()
    assert ([row.source_id for row in page.rows], set(page.unchanged)) == ([second], {first})


@pytest.mark.parametrize("variant", [Variant.NO_CONTACT_ARRAYS, Variant.NO_ZONE])
async def test_a_row_that_tells_too_little_is_never_taken_for_known(bench: TripleseatAccount, variant: Variant) -> None:
    """What it lacks is asked for elsewhere, and may have changed there."""
    source_id = bench.add(NOW + DAY)
    bench.vary(source_id, variant)
    scope = Scope(span=Span(begin=NOW - DAY, end=NOW + 9 * DAY), recall=lambda _rows: {})
    [page] = [page async for page in bench.source.read(scope) if isinstance(page, Page)]
    assert ([row.source_id for row in page.rows], list(page.unchanged)) == ([source_id], [])


# --- zones ---


async def test_sites_are_asked_for_once_and_only_where_a_row_needs_its_zone(bench: TripleseatAccount) -> None:
    sources = [bench.add(NOW + DAY), bench.add(NOW + 2 * DAY)]
    for source_id in sources:
        bench.vary(source_id, Variant.NO_ZONE)
    for _ in range(2):
        assert (await read(bench)).event(sources[0]).zone == "America/New_York"
    assert len(bench.asked("/sites")) == 1


async def test_sites_are_asked_for_again_after_a_day(bench: TripleseatAccount) -> None:
    source_id = bench.add(NOW + 5 * DAY)
    bench.vary(source_id, Variant.NO_ZONE)
    await read(bench)
    bench.sim.clock.advance(timedelta(hours=25))
    await read(bench)
    assert len(bench.asked("/sites")) == 2


async def test_an_event_whose_zone_could_not_be_asked_for_is_a_flaw_and_not_quarantined(bench: TripleseatAccount) -> None:
    lost, good = bench.add(NOW + DAY), bench.add(NOW + 2 * DAY)
    bench.vary(lost, Variant.NO_ZONE)
    bench.faults.add(Fault(kind=Kind.STATUS, status=500, path="/sites", times=None))
    found = await read(bench)
    assert found.ids == [good]
    assert found.flaws
    with pytest.raises(VendorError):
        await bench.source.find(lost)


async def test_a_zone_of_the_config_needs_no_site(bench: TripleseatAccount) -> None:
    source_id = bench.add(NOW + DAY)
    bench.vary(source_id, Variant.NO_ZONE)
    bench.source = bench.a_source(zones={"location:2601": "America/Chicago"})
    assert (await read(bench)).event(source_id).zone == "America/Chicago"
    assert not bench.asked("/sites")


@pytest.mark.parametrize(
    ("options", "zone"),
    [
        ({}, None),  # three sites in three zones
        ({"reach": Reach(site_id="1503")}, "Europe/London"),
        ({"reach": Reach(site_id="1503"), "zones": {"site:1503": "Europe/Dublin"}}, "Europe/Dublin"),
        ({"reach": Reach(site_id="999")}, None),
    ],
)
async def test_the_site_s_zone_is_the_one_all_read_sites_share(bench: TripleseatAccount, options: dict[str, Any], zone: str | None) -> None:
    assert await bench.a_source(**options).site_zone() == zone


# --- by id ---


@pytest.mark.parametrize("deletion", list(Deletion))
async def test_each_kind_of_deletion_is_gone_by_id(bench: TripleseatAccount, deletion: Deletion) -> None:
    source_id = bench.add(NOW + DAY)
    bench.sim.events.delete(int(source_id), deletion)
    assert await bench.source.find(source_id) is None


async def test_a_deleted_event_that_is_still_listed_is_cancelled(bench: TripleseatAccount) -> None:
    source_id = bench.add(NOW + DAY)
    bench.sim.events.delete(int(source_id), Deletion.LISTED)
    assert (await read(bench)).event(source_id).lifecycle is Lifecycle.CANCELLED


async def test_a_lost_event_is_found_and_says_so(bench: TripleseatAccount) -> None:
    source_id = bench.add(NOW + DAY)
    bench.cancel(source_id)
    found = await bench.source.find(source_id)
    assert isinstance(found, Event)
    assert found.lifecycle is Lifecycle.CANCELLED


@pytest.mark.parametrize("reach", [Reach(site_id="1502"), Reach(location_ids=("2602",))])
async def test_what_is_elsewhere_is_left_alone_also_where_it_is_asked_for_by_its_id(bench: TripleseatAccount, reach: Reach) -> None:
    """A webhook may name an event of any site of the customer; the account reads some of them."""
    here, elsewhere = bench.add(NOW + DAY, location=HARBOUR_HOUSE), bench.add(NOW + DAY)
    bench.source = bench.a_source(reach=reach)
    found = [await bench.source.find(source_id) for source_id in (here, elsewhere)]
    assert [event.exempt for event in found if isinstance(event, Event)] == ["", ELSEWHERE]


async def test_an_event_found_by_id_may_be_unmappable(bench: TripleseatAccount) -> None:
    source_id = bench.add(NOW + DAY)
    bench.spoil(source_id)
    assert isinstance(await bench.source.find(source_id), Unmappable)


async def test_an_id_is_one_part_of_the_path_whatever_it_holds(bench: TripleseatAccount) -> None:
    """An id comes from a ledger or a person; it must not reach another address."""
    with pytest.raises(VendorError):
        await bench.source.find(SourceId("../sites"))
    assert {entry.path for entry in bench.sim.journal.entries} == {"/v1/events/../sites.json"}


# --- people ---


async def test_the_people_option_decides_who_takes_part(bench: TripleseatAccount) -> None:
    source_id = bench.add(
        NOW + DAY, contact=Person(number=5, first_name="Bo", last_name="Ray", email="bo@example.com", phone="212-555-0105")
    )
    bench.source = bench.a_source(people=[Role.OWNER])
    assert [who.email for who in (await read(bench)).event(source_id).participants] == ["ada@example.com"]


# --- check ---


async def test_the_probe_shows_sites_with_zones_and_locations_with_rooms(bench: TripleseatAccount) -> None:
    facts = {fact.name: fact for fact in await bench.a_source(reach=Reach(site_id="1501", scope="read")).probe()}
    assert facts["scope"].value == "read"
    assert facts["site 1501"].value == "Alder Group, America/New_York"
    assert facts["location 2601"].value == "Alder House: Main Hall, Terrace, Cellar"
    assert facts["events"].value.startswith("readable")
    assert not any(fact.warning for fact in facts.values())


async def test_the_probe_warns_of_several_sites_without_a_choice(bench: TripleseatAccount) -> None:
    assert [fact.name for fact in await bench.source.probe() if "site_id" in fact.warning] == ["site 1501", "site 1502", "site 1503"]


async def test_the_probe_warns_of_ids_the_account_does_not_have(bench: TripleseatAccount) -> None:
    facts = await bench.a_source(reach=Reach(site_id="77", location_ids=("2601", "88"))).probe()
    assert {fact.value for fact in facts if "no such" in fact.warning} == {"77", "88"}


async def test_the_probe_warns_of_a_zone_nobody_knows(bench: TripleseatAccount) -> None:
    body = '[{"site": {"id": 1, "name": "Alder", "timezone": "Nowhere"}}]'
    bench.faults.add(Fault(kind=Kind.STATUS, status=200, path="/sites", body=body))
    assert any('"site:1"' in fact.warning for fact in await bench.source.probe())


async def test_the_clock_s_skew_is_told_once_there_was_an_answer(bench: TripleseatAccount) -> None:
    assert bench.source.clock_skew_seconds is None
    bench.faults.add(
        Fault(kind=Kind.STATUS, status=200, headers={"date": "Sat, 21 Nov 2026 15:02:00 GMT"}, body='{"total_pages": 0, "results": []}')
    )
    await read(bench)
    assert bench.source.clock_skew_seconds == pytest.approx(120, abs=10)


async def test_events_of_a_site_in_another_country_keep_their_zone(bench: TripleseatAccount) -> None:
    source_id = bench.add(NOW + DAY, location=MEWS_HOUSE)
    event = (await read(bench)).event(source_id)
    assert (event.zone, event.start) == ("Europe/London", NOW + DAY)
