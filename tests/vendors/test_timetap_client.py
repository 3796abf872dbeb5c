"""What TimeTap is asked, how its answers are told apart, and that nothing is ever written."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest

from calrelay.errors import NotFound, RequestRejected, ResponseInvalid, VendorError, VendorUnavailable
from calrelay.simulators.faults import Fault, Kind
from calrelay.simulators.timetap.settings import UnknownId
from calrelay.vendors.timetap.client import Days, Search, TimeTapClient
from calrelay.vendors.timetap.mapping import STATUSES
from tests.contracts.source_contract import DAY
from tests.vendors.timetap_account import NOW, TimeTapAccount, open_account

SEARCH = Search(starting=Days(first=date(2026, 11, 20), last=date(2026, 12, 20)), statuses=STATUSES)
ONE = "/appointments/"


@pytest.fixture
async def account() -> AsyncIterator[TimeTapAccount]:
    async with open_account() as account:
        yield account


# --- the report ---


async def test_a_page_is_asked_for_with_days_all_statuses_and_without_time_off(account: TimeTapAccount) -> None:
    await account.client.search(SEARCH, 3)
    assert account.asked("/live/appointmentList/report") == [
        {
            "startDate": "2026-11-20",
            "endDate": "2026-12-20",
            "statusList": "OPEN,PENDING,COMPLETED,CANCELLED,NO_SHOW,PENDING_CONFIRMATION,PENDING_WAITLIST,CONFIRMED,CHECKEDIN,INPROGRESS",
            "excludeTimeOff": "true",
            "pageNumber": "3",
            "pageSize": "25",
        }
    ]


async def test_pages_have_the_size_of_the_account() -> None:
    async with open_account(page_size=2) as account:
        ids = [account.add(NOW + DAY + timedelta(hours=n)) for n in range(3)]
        pages = [await account.client.search(SEARCH, n) for n in (1, 2, 3)]
    assert [[row.id for row in page if row] for page in pages] == [ids[:2], ids[2:], []]


async def test_statuses_are_left_out_where_none_are_named(account: TimeTapAccount) -> None:
    await account.client.search(Search(starting=SEARCH.starting))
    [query] = account.asked("/report")
    assert "statusList" not in query


async def test_a_row_without_an_id_costs_only_itself(account: TimeTapAccount) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=200, body='[{"calendarId": null}, {"calendarId": 7}, 3]', path="/report"))
    rows = await account.client.search(SEARCH)
    assert [row and row.id for row in rows] == [None, "7", None]


@pytest.mark.parametrize("kind", [Kind.EMPTY, Kind.CUT])
async def test_a_page_without_a_sound_body_is_asked_for_again(account: TimeTapAccount, kind: Kind) -> None:
    account.add(NOW + DAY)
    account.sim.faults.add(Fault(kind=kind, path="/report", times=4))
    assert len(await account.client.search(SEARCH)) == 1


async def test_a_page_that_is_no_array_is_refused(account: TimeTapAccount) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=200, body='{"message": "later"}', path="/report"))
    with pytest.raises(ResponseInvalid):
        await account.client.search(SEARCH)


# --- its count ---


async def test_the_count_is_asked_for_with_the_same_filter(account: TimeTapAccount) -> None:
    account.add(NOW + DAY)
    account.add(NOW + 90 * DAY)
    assert await account.client.count(SEARCH) == 1
    assert account.asked("/appointmentList/reportCount") == [dict(SEARCH.params())]


@pytest.mark.parametrize("status", [400, 403, 404, 405])
async def test_an_account_that_is_told_no_count_gets_none(account: TimeTapAccount, status: int) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=status, path="Count", times=None))
    assert await account.client.count(SEARCH) is None


@pytest.mark.parametrize("body", ['{"total": 3}', "3", "null", '{"count": null}'])
async def test_a_count_of_an_unknown_shape_is_none(account: TimeTapAccount, body: str) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=200, body=body, path="Count"))
    assert await account.client.count(SEARCH) is None


async def test_a_count_that_fails_is_not_told_apart_from_an_outage(account: TimeTapAccount) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=504, path="Count", times=None))
    with pytest.raises(VendorUnavailable):
        await account.client.count(SEARCH)


# --- one appointment ---


async def test_one_appointment_is_read_by_its_id(account: TimeTapAccount) -> None:
    calendar_id = account.add(NOW + DAY)
    row = await account.client.show(calendar_id)
    assert row is not None
    assert row.id == calendar_id


@pytest.mark.parametrize("way", [UnknownId.NOT_FOUND, UnknownId.BAD_REQUEST])
async def test_an_unknown_id_is_not_found_in_either_way(account: TimeTapAccount, way: UnknownId) -> None:
    account.sim.settings.unknown_id = way
    with pytest.raises(NotFound):
        await account.client.show("123")
    assert account.sim.journal.count("GET", ONE) == 1


async def test_an_unknown_id_that_is_always_answered_with_nothing_is_none(account: TimeTapAccount) -> None:
    account.sim.settings.unknown_id = UnknownId.EMPTY
    assert await account.client.show("123") is None
    assert account.sim.journal.count("GET", ONE) == 6


async def test_an_empty_answer_now_and_then_is_overlooked(account: TimeTapAccount) -> None:
    calendar_id = account.add(NOW + DAY)
    account.sim.faults.add(Fault(kind=Kind.EMPTY, path=ONE, times=5))
    row = await account.client.show(calendar_id)
    assert row is not None


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, '"staffId is not valid"', RequestRejected),
        (400, '{"message": "Appointment not found"}', RequestRejected),
        (400, "", RequestRejected),
        (404, "<html><body>Not found</body></html>", ResponseInvalid),
        (400, "<html><body>not found</body></html>", ResponseInvalid),
        (200, "{}", ResponseInvalid),
        (200, "null", ResponseInvalid),
        (200, '{"calendarId": 8}', ResponseInvalid),
    ],
)
async def test_no_other_answer_means_not_found(account: TimeTapAccount, status: int, body: str, error: type[VendorError]) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=status, body=body, path=ONE, times=None))
    with pytest.raises(error) as caught:
        await account.client.show("7")
    assert not isinstance(caught.value, NotFound)


async def test_an_id_cannot_lead_elsewhere(account: TimeTapAccount) -> None:
    with pytest.raises(VendorError):
        await account.client.show("../status")
    assert not account.asked("/live/status")


# --- staff and zones ---


async def test_a_staff_member_s_zone_is_remembered_for_an_hour(account: TimeTapAccount) -> None:
    account.sim.settings.token_minutes = None
    account.add(NOW + DAY, zone="America/Denver")
    found = await asyncio.gather(*(account.client.remembered_staff_zone("61001") for _ in range(5)))
    assert found == ["America/Denver"] * 5
    assert account.sim.journal.count("GET", "/staff/") == 1
    account.sim.clock.advance(timedelta(minutes=61))
    await account.client.remembered_staff_zone("61001")
    assert account.sim.journal.count("GET", "/staff/") == 2


@pytest.mark.parametrize("way", [UnknownId.NOT_FOUND, UnknownId.BAD_REQUEST])
async def test_an_unknown_staff_member_has_no_zone_and_is_not_asked_for_again(account: TimeTapAccount, way: UnknownId) -> None:
    account.sim.settings.unknown_id = way
    assert [await account.client.remembered_staff_zone("9") for _ in range(2)] == [None, None]
    assert account.sim.journal.count("GET", "/staff/") == 1


async def test_a_staff_member_that_could_not_be_asked_for_is_asked_for_again(account: TimeTapAccount) -> None:
    account.add(NOW + DAY)
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=504, path="/staff/", times=5))
    with pytest.raises(VendorUnavailable):
        await account.client.remembered_staff_zone("61001")
    assert await account.client.remembered_staff_zone("61001") == "America/New_York"


async def test_the_zones_on_offer_are_listed(account: TimeTapAccount) -> None:
    zones = await account.client.timezones()
    assert len(zones) == 377
    assert "US/Eastern" in zones


# --- writing ---


async def test_nothing_the_client_can_do_writes(account: TimeTapAccount) -> None:
    """Any write to an appointment mails its client (TimeTap: 7); so all public methods are called, and only GETs go out."""
    calendar_id = account.add(NOW + DAY)
    calls = {
        "search": account.client.search(SEARCH),
        "count": account.client.count(SEARCH),
        "show": account.client.show(calendar_id),
        "staff": account.client.staff("61001"),
        "remembered_staff_zone": account.client.remembered_staff_zone("61001"),
        "timezones": account.client.timezones(),
    }
    assert calls.keys() == {name for name, _ in inspect.getmembers(TimeTapClient, inspect.isfunction) if not name.startswith("_")}
    for call in calls.values():
        await call
    assert {entry.method for entry in account.sim.journal.entries} == {"GET"}
    assert account.sim.mails.sent == []
