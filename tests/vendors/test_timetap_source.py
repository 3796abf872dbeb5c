"""What TimeTap's source asks for, when it calls a read whole, and what it takes for proof that an appointment is gone."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from calrelay.domain.event import Event, Lifecycle, SourceId, Unmappable
from calrelay.domain.people import Role
from calrelay.errors import ResponseInvalid, VendorError
from calrelay.ports import Source
from calrelay.simulators.faults import Fault, Kind
from calrelay.simulators.timetap.book import RowKind
from calrelay.simulators.timetap.rows import a_staff, an_appointment_row, start_of
from calrelay.simulators.timetap.settings import BeyondEnd, Spelling, UnknownId
from calrelay.simulators.timetap.world import populate_timetap
from calrelay.vendors.timetap.mapping import NO_CLIENT
from tests.contracts.source_contract import DAY, SourceContract, fill, read
from tests.vendors.timetap_account import NEW_YORK, NOW, REPORT, TimeTapAccount, open_account


@pytest.fixture
async def bench() -> AsyncIterator[TimeTapAccount]:
    async with open_account() as account:
        yield account


class TestTimeTapSource(SourceContract):
    """TimeTap keeps what every source keeps."""


def test_it_is_a_source(bench: TimeTapAccount) -> None:
    source: Source = bench.source
    assert (source.vendor, source.id_prefix, source.can_read_changes) == ("timetap", "tt-", False)


# --- what is asked ---


async def test_a_read_asks_for_the_days_of_the_span_and_one_more_on_both_sides(bench: TimeTapAccount) -> None:
    await read(bench)
    [query] = bench.asked(REPORT)
    assert (query["startDate"], query["endDate"]) == ("2026-11-19", "2027-05-22")


async def test_a_read_asks_for_a_token_the_count_and_its_pages_to_the_empty_one(bench: TimeTapAccount) -> None:
    fill(bench, pages=3)
    await read(bench)
    paths = [entry.path.removeprefix("/live") for entry in bench.sim.journal.entries]
    assert paths == ["/sessionToken", "/appointmentList/reportCount", *([REPORT] * 4)]


async def test_a_near_read_asks_for_the_near_days_only(bench: TimeTapAccount) -> None:
    near, _ = bench.add(NOW + DAY), bench.add(NOW + 90 * DAY)
    assert (await read(bench, changed_since=NOW, days=14)).ids == [near]


async def test_reading_writes_nothing_and_mails_nobody(bench: TimeTapAccount) -> None:
    populate_timetap(bench.sim, appointments=80, now=NOW, seed=1)
    found = await read(bench)
    for row in found.rows:
        await bench.source.find(row.source_id)
    await bench.source.probe()
    await bench.source.site_zone()
    assert {entry.method for entry in bench.sim.journal.entries} == {"GET"}
    assert bench.sim.mails.sent == []


async def test_a_whole_world_is_read_without_a_flaw_or_a_row_that_cannot_be_mapped(bench: TimeTapAccount) -> None:
    populate_timetap(bench.sim, appointments=200, now=NOW, seed=1)
    found = await read(bench)
    assert found.flaws == []
    listed = {str(b.row["calendarId"]): b.row for b in bench.sim.book.bookings.values() if b.row["status"] != "RESCHEDULED"}
    events = {row.source_id: row for row in found.rows if isinstance(row, Event)}
    assert events.keys() == {number for number, row in listed.items() if row["reason"] or row["note"] != "Time off"}
    assert all(event.start == start_of(listed[number]) for number, event in events.items())


# --- rows that are nobody's booking, and odd shapes ---


async def test_time_off_that_is_listed_all_the_same_is_skipped_without_a_zone(bench: TimeTapAccount) -> None:
    bench.sim.settings.time_off_always = bench.sim.settings.staff_zone_object = True
    staff = a_staff(61009, NEW_YORK) | {"timeZoneCode": {"timeZoneCode": None}}
    start = (NOW + DAY).replace(tzinfo=None)
    row = an_appointment_row(1, start, 60, NEW_YORK, client=None, reason=None, staff=staff) | {"staffTimeZone": None}
    bench.sim.book.add(row, RowKind.TIME_OFF)
    found = await read(bench)
    assert found.event(SourceId("1")).exempt == NO_CLIENT
    assert bench.sim.journal.count("GET", "/staff/") == 0


@pytest.mark.parametrize("spelling", Spelling)
async def test_rows_are_read_in_every_spelling(bench: TimeTapAccount, spelling: Spelling) -> None:
    ids = fill(bench, pages=2)
    bench.sim.settings.spelling = spelling
    found = await read(bench)
    assert (found.flaws, found.ids) == ([], ids)


async def test_the_people_a_pipeline_wants_take_part(bench: TimeTapAccount) -> None:
    source_id = bench.add(NOW + DAY)
    bench.source = bench.a_source(people=(Role.STAFF,))
    assert [who.email for who in (await read(bench)).event(source_id).participants] == ["mhall@example.org"]


async def test_a_zone_in_the_config_overrules_the_vendor(bench: TimeTapAccount) -> None:
    source_id = bench.add(NOW + DAY)
    bench.source = bench.a_source(zones={"staff:61001": "America/Chicago"})
    assert (await read(bench)).event(source_id).start == NOW + DAY + timedelta(hours=1)


# --- zones from staff records ---


async def test_staff_are_asked_for_their_zone_once_and_only_where_rows_name_none(bench: TimeTapAccount) -> None:
    ids = fill(bench, pages=3)
    await read(bench)
    assert bench.sim.journal.count("GET", "/staff/") == 0
    bench.sim.settings.staff_time_zone = bench.sim.settings.staff_zone_object = bench.sim.settings.utc_fields = False
    found = await read(bench)
    assert (found.flaws, found.ids) == ([], ids)
    assert found.event(ids[0]).start == NOW + DAY
    assert isinstance(await bench.source.find(ids[0]), Event)
    assert bench.sim.journal.count("GET", "/staff/") == 1


async def test_a_zone_that_could_not_be_asked_for_leaves_its_rows_out_and_the_read_incomplete(bench: TimeTapAccount) -> None:
    zoneless, sound = bench.add(NOW + DAY), bench.add(NOW + 2 * DAY)
    staff = a_staff(61009, NEW_YORK) | {"timeZoneCode": None}
    bench.sim.book.bookings[int(zoneless)].row |= {"staff": staff, "staffTimeZone": None}
    bench.sim.faults.add(Fault(kind=Kind.STATUS, status=504, path="/staff/", times=None))
    bench.sim.settings.staff_zone_object = False
    found = await read(bench)
    assert found.ids == [sound]
    [flaw] = found.flaws
    assert "zones of 1 appointments" in flaw.what
    with pytest.raises(VendorError):
        await bench.source.find(zoneless)
    bench.sim.settings.unknown_id = UnknownId.EMPTY
    with pytest.raises(ResponseInvalid):
        await bench.source.find(SourceId("123"))


async def test_staff_without_a_zone_anywhere_cost_only_their_rows(bench: TimeTapAccount) -> None:
    source_id = bench.add(NOW + DAY)
    bench.sim.settings.staff_time_zone = bench.sim.settings.staff_zone_object = False
    bench.sim.directory.staff[61001] = a_staff(61001, "Atlantis/Main")
    found = await read(bench)
    assert found.flaws == []
    [row] = found.rows
    assert isinstance(row, Unmappable)
    assert f'"staff:{61001}"' in row.error.remedy
    assert row.source_id == source_id


# --- when a read is whole ---


@pytest.mark.parametrize("offset", [-1, 1])
async def test_a_count_that_disagrees_is_a_flaw(bench: TimeTapAccount, offset: int) -> None:
    ids = fill(bench, pages=2)
    bench.sim.settings.count_offset = offset
    found = await read(bench)
    assert found.ids == ids
    [flaw] = found.flaws
    assert flaw.what == f"{len(ids)} appointments were listed, but {len(ids) + offset} are counted"


async def test_rows_that_slip_from_page_to_page_are_missed_by_the_list_and_noticed_by_the_count(bench: TimeTapAccount) -> None:
    fill(bench, pages=3)
    bench.sim.settings.page_shift = 2
    assert len((await read(bench)).flaws) == 1


async def test_a_cap_on_the_page_size_loses_nothing(bench: TimeTapAccount) -> None:
    ids = fill(bench, pages=3)
    bench.sim.settings.page_cap = 10
    found = await read(bench)
    assert (found.flaws, found.ids) == ([], ids)


async def test_a_booking_made_while_pages_are_read_is_no_flaw(bench: TimeTapAccount) -> None:
    ids = fill(bench, pages=3)
    fresh = iter([NOW + 100 * DAY])
    bench.sim.appointments.after_page.append(lambda: [bench.add(start) for start in fresh])
    found = await read(bench)
    assert found.flaws == []
    assert len(found.ids) == len(ids) + 1


async def test_an_account_that_is_told_no_count_reads_to_the_empty_page(bench: TimeTapAccount) -> None:
    ids = fill(bench, pages=3)
    bench.sim.settings.counts = False
    found = await read(bench)
    assert (found.flaws, found.ids) == ([], ids)


async def test_a_last_page_shown_for_ever_is_the_end_where_the_count_agrees(bench: TimeTapAccount) -> None:
    ids = fill(bench, pages=3)
    bench.sim.settings.beyond_end = BeyondEnd.LAST
    found = await read(bench)
    assert (found.flaws, found.ids) == ([], ids)
    bench.sim.settings.counts = False
    [flaw] = (await read(bench)).flaws
    assert "did not end with an empty page" in flaw.what


async def test_a_page_number_that_is_ignored_is_noticed_by_the_count(bench: TimeTapAccount) -> None:
    ids = fill(bench, pages=3)
    page = json.dumps([bench.sim.book.row(int(number)) for number in ids[:25]])
    bench.faults.add(Fault(kind=Kind.STATUS, status=200, body=page, path=REPORT, times=None))
    found = await read(bench)
    assert found.ids == ids[:25]
    assert found.flaws


async def test_a_count_that_fails_is_a_flaw_and_the_pages_count(bench: TimeTapAccount) -> None:
    ids = fill(bench, pages=2)
    bench.sim.faults.add(Fault(kind=Kind.STATUS, status=504, path="Count", times=None))
    found = await read(bench)
    assert found.ids == ids
    assert [flaw.what for flaw in found.flaws] == ["the appointments could not be counted"]


async def test_a_count_that_fails_the_second_time_is_a_flaw(bench: TimeTapAccount) -> None:
    fill(bench, pages=2)
    fresh = iter([NOW + 100 * DAY])
    bench.sim.appointments.after_page.append(lambda: [bench.add(start) for start in fresh])
    bench.sim.faults.add(Fault(kind=Kind.STATUS, status=504, path="Count", skip=1, times=None))
    assert [flaw.what for flaw in (await read(bench)).flaws] == ["the appointments could not be counted"]


async def test_refused_keys_are_asked_about_once(bench: TimeTapAccount) -> None:
    bench.refuse_credentials()
    assert len((await read(bench)).flaws) == 1
    assert len(bench.sim.journal.entries) == 1


async def test_rows_without_an_id_make_the_read_incomplete(bench: TimeTapAccount) -> None:
    source_id = bench.add(NOW + DAY)
    body = json.dumps([bench.sim.book.row(int(source_id)), {"calendarId": None}, 7])
    bench.faults.add(Fault(kind=Kind.STATUS, status=200, body=body, path=REPORT))
    found = await read(bench)
    assert found.ids == [source_id]
    assert [flaw.what for flaw in found.flaws] == ["2 rows have no id"]


async def test_rows_of_other_days_are_read_too_and_told_of_once(bench: TimeTapAccount, caplog: pytest.LogCaptureFixture) -> None:
    """TimeTap ignores parameters it does not like in silence, and gives everything: nothing is lost by that."""
    near, far = bench.add(NOW + DAY), bench.add(NOW + 300 * DAY)
    body = json.dumps([bench.sim.book.row(int(number)) for number in (near, far)])
    for _ in range(2):
        bench.faults.add(Fault(kind=Kind.STATUS, status=200, body=body, path=REPORT))
        bench.faults.add(Fault(kind=Kind.STATUS, status=200, body="[]", path=REPORT))
    bench.sim.settings.count_offset = 1
    for _ in range(2):
        found = await read(bench)
        assert (found.flaws, found.ids) == ([], [near, far])
    assert len([record for record in caplog.records if "other days" in record.getMessage()]) == 1


async def test_nothing_but_rows_of_other_days_is_a_flaw(bench: TimeTapAccount) -> None:
    far = bench.add(NOW + 300 * DAY)
    bench.faults.add(Fault(kind=Kind.STATUS, status=200, body=json.dumps([bench.sim.book.row(int(far))]), path=REPORT))
    bench.sim.settings.count_offset = 1
    [flaw] = (await read(bench)).flaws
    assert "did not understand" in flaw.what


# --- one appointment by its id ---


@pytest.mark.parametrize("way", [UnknownId.NOT_FOUND, UnknownId.BAD_REQUEST])
async def test_not_found_is_proof_without_any_read(bench: TimeTapAccount, way: UnknownId) -> None:
    bench.sim.settings.unknown_id = way
    assert await bench.source.find(SourceId("123")) is None


async def test_an_appointment_that_no_list_shows_is_found_by_its_id(bench: TimeTapAccount) -> None:
    source_id = bench.add(NOW + DAY)
    bench.sim.book.hide(int(source_id))
    assert (await read(bench)).rows == []
    assert isinstance(await bench.source.find(source_id), Event)


async def test_a_cancelled_appointment_is_found_and_says_so(bench: TimeTapAccount) -> None:
    source_id = bench.add(NOW + DAY)
    bench.cancel(source_id)
    event = await bench.source.find(source_id)
    assert isinstance(event, Event)
    assert event.lifecycle is Lifecycle.CANCELLED


async def test_an_appointment_with_an_unknown_status_is_found(bench: TimeTapAccount) -> None:
    """The list cannot be asked for a status nobody knows."""
    source_id = bench.add(NOW + DAY)
    bench.sim.book.mark(int(source_id), "RESCHEDULED")
    assert (await read(bench)).rows == []
    event = await bench.source.find(source_id)
    assert isinstance(event, Event)
    assert event.lifecycle is Lifecycle.UNKNOWN


async def test_an_empty_answer_is_proof_only_where_a_complete_read_misses_the_appointment(bench: TimeTapAccount) -> None:
    source_id, other = bench.add(NOW + 60 * DAY), bench.add(NOW + DAY)
    bench.sim.settings.unknown_id = UnknownId.EMPTY
    bench.delete(source_id)
    with pytest.raises(ResponseInvalid, match="proves nothing"):
        await bench.source.find(source_id)
    assert await bench.source.find(source_id, is_missing=True) is None
    assert await bench.source.find(other, is_missing=True) is not None


# --- the account ---


async def test_the_probe_shows_staff_with_zones_locations_services_zones_and_the_count(bench: TimeTapAccount) -> None:
    populate_timetap(bench.sim, appointments=60, now=NOW, seed=1)
    facts = {fact.name: fact for fact in await bench.source.probe()}
    assert facts["staff 61001"].value == "M. Hall, America/New_York"
    assert facts["staff 61003"].value == "P. Novak, America/Vancouver"
    assert facts["location 41001"].value == "Main hall"
    assert facts["service 88001"].value == "Venue tour"
    assert facts["time zones"].value == "377 on offer, 0 unknown to this release"
    assert facts["appointments"].value.startswith("readable, ")
    assert facts["count"].value.endswith("around the next 14 days")
    assert not any(fact.warning for fact in facts.values())


async def test_the_probe_warns_of_staff_without_a_zone_and_of_a_missing_count(bench: TimeTapAccount) -> None:
    bench.add(NOW + DAY)
    bench.sim.settings.staff_time_zone = bench.sim.settings.staff_zone_object = bench.sim.settings.counts = False
    bench.sim.directory.staff[61001] = a_staff(61001, "Atlantis/Main")
    bench.sim.faults.add(Fault(kind=Kind.STATUS, status=200, body='[{"timeZoneCode": "Atlantis/Main"}]', path="/timezones"))
    facts = {fact.name: fact for fact in await bench.source.probe()}
    assert "staff:61001" in facts["staff 61001"].warning
    assert facts["count"].warning
    assert "Atlantis/Main" in facts["time zones"].warning


async def test_the_probe_does_without_the_list_of_zones(bench: TimeTapAccount) -> None:
    bench.sim.faults.add(Fault(kind=Kind.STATUS, status=405, path="/timezones", times=None))
    assert "time zones" not in {fact.name for fact in await bench.source.probe()}


@pytest.mark.parametrize(
    ("zones", "site"),
    [([], None), (["America/Denver"], "America/Denver"), ([NEW_YORK, "US/Eastern"], NEW_YORK), ([NEW_YORK, "America/Denver"], None)],
)
async def test_the_site_s_zone_is_the_one_all_staff_share(bench: TimeTapAccount, zones: list[str], site: str | None) -> None:
    for number, zone in enumerate(zones):
        bench.add(NOW + (number + 1) * DAY, zone=zone, staff=a_staff(61001 + number, zone))
    assert await bench.source.site_zone() == site


async def test_the_clock_s_distance_is_told(bench: TimeTapAccount) -> None:
    before = bench.source.clock_skew_seconds
    await read(bench)
    after = bench.source.clock_skew_seconds
    assert before is None
    assert after is not None
    assert abs(after) < 5
