"""What the TimeTap simulator answers to those who read appointments: tokens, lists, single rows, shapes and clocks."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from calrelay.simulators.faults import Fault, Kind, SimulatedClock
from calrelay.simulators.timetap.book import RowKind
from calrelay.simulators.timetap.rows import ClientPair, an_appointment_row, end_of, start_of
from calrelay.simulators.timetap.settings import BeyondEnd, IdLists, Spelling, StaffFilter, TimeTapSettings, UnknownId, WithoutStatuses
from calrelay.simulators.timetap.simulator import TimeTapSimulator
from calrelay.simulators.timetap.world import STAFF, populate_timetap

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
ORIGIN = "https://api.timetap.example"


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def a_simulator(**settings: Any) -> TimeTapSimulator:
    return TimeTapSimulator(clock=SimulatedClock(NOW), settings=TimeTapSettings(**settings))


def without_token(sim: TimeTapSimulator, base: str = "/live") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=sim.app), base_url=ORIGIN + base)


def with_token(sim: TimeTapSimulator, base: str = "/live") -> httpx.AsyncClient:
    client = without_token(sim, base)
    client.headers["Authorization"] = f"Bearer {sim.tokens.mint()}"
    return client


def signature(sim: TimeTapSimulator) -> str:
    return hashlib.md5((sim.settings.api_key + sim.settings.private_key).encode()).hexdigest()


def book_many(sim: TimeTapSimulator, count: int) -> list[int]:
    return [sim.book.book(wall("2026-12-01 09:00") + timedelta(hours=n), 30, "America/New_York") for n in range(count)]


async def ids_of(client: httpx.AsyncClient, **query: str) -> list[int]:
    answer = await client.get("/appointmentList/report", params={"pageSize": "500", **query})
    return [row["calendarId"] for row in answer.json()]


@pytest.mark.parametrize("stamp", ["1790000000", "1790000000000", "1790000000.25"])
async def test_a_right_signature_gets_a_new_token_each_time(stamp: str) -> None:
    sim = a_simulator()
    query = {"apiKey": "55500", "timestamp": stamp, "signature": signature(sim)}
    async with without_token(sim) as client:
        first, second = [(await client.get("/sessionToken", params=query)).json()["sessionToken"] for _ in range(2)]
        reads = [await client.get("/appointmentList/report", headers={"Authorization": f"Bearer {t}"}) for t in (first, second)]
    assert first != second
    assert first.startswith("st:api:api:")
    assert [r.status_code for r in reads] == [200, 200]


@pytest.mark.parametrize("wrong", [{"signature": "0" * 32}, {"apiKey": "1"}, {"timestamp": "soon"}])
async def test_a_wrong_signature_key_or_timestamp_is_403(wrong: dict[str, str]) -> None:
    sim = a_simulator()
    query = {"apiKey": "55500", "timestamp": "1", "signature": signature(sim)} | wrong
    async with without_token(sim) as client:
        assert (await client.get("/sessionToken", params=query)).status_code == 403


async def test_no_token_and_a_stale_token_are_401_and_a_new_one_works() -> None:
    sim = a_simulator()
    async with without_token(sim) as bare, with_token(sim) as client:
        assert (await bare.get("/appointmentList/report")).status_code == 401
        assert (await client.get("/appointmentList/report")).status_code == 200
        sim.tokens.expire()
        assert (await client.get("/appointmentList/report")).status_code == 401
    async with with_token(sim) as client:
        assert (await client.get("/appointmentList/report")).status_code == 200


async def test_a_token_dies_of_age() -> None:
    sim = a_simulator(token_minutes=60.0)
    async with with_token(sim) as client:
        sim.clock.advance(timedelta(minutes=61))
        assert (await client.get("/appointmentList/report")).status_code == 401


async def test_a_token_dies_of_use() -> None:
    sim = a_simulator(token_calls=2)
    async with with_token(sim) as client:
        assert [(await client.get("/appointmentList/report")).status_code for _ in range(3)] == [200, 200, 401]


async def test_a_new_token_can_kill_the_old_one() -> None:
    sim = a_simulator(parallel_tokens=False)
    async with with_token(sim) as client:
        sim.tokens.mint()
        assert (await client.get("/appointmentList/report")).status_code == 401


async def test_the_query_carries_a_token_on_get_only() -> None:
    sim = a_simulator()
    query = {"sessionToken": sim.tokens.mint()}
    (number,) = book_many(sim, 1)
    async with without_token(sim) as client:
        assert (await client.get(f"/appointments/{number}", params=query)).status_code == 200
        assert (await client.patch(f"/appointments/{number}", params=query, json={"note": "x"})).status_code == 401


async def test_live_and_test_serve_the_same_business() -> None:
    sim = a_simulator()
    numbers = book_many(sim, 2)
    async with with_token(sim, "/live") as live, with_token(sim, "/test") as test:
        assert await ids_of(live) == await ids_of(test) == numbers


async def test_pages_are_one_based_default_to_25_and_end_with_an_empty_one() -> None:
    sim = a_simulator()
    numbers = book_many(sim, 30)
    async with with_token(sim) as client:
        pages = [(await client.get("/appointmentList/report", params={"pageNumber": str(n)})).json() for n in (1, 2, 3)]
        default = (await client.get("/appointmentList/report")).json()
    assert [len(page) for page in pages] == [25, 5, 0]
    assert [row["calendarId"] for page in pages for row in page] == numbers
    assert default == pages[0]


async def test_the_cap_cuts_pages_without_a_word() -> None:
    sim = a_simulator(page_cap=10)
    book_many(sim, 30)
    async with with_token(sim) as client:
        assert len((await client.get("/appointmentList/report", params={"pageSize": "99999"})).json()) == 10


async def test_the_page_beyond_the_end_can_be_the_last_one_again() -> None:
    sim = a_simulator(beyond_end=BeyondEnd.LAST)
    numbers = book_many(sim, 30)
    async with with_token(sim) as client:
        assert await ids_of(client, pageNumber="7", pageSize="25") == numbers[25:]


async def test_rows_shift_between_pages_both_ways() -> None:
    sim = a_simulator(page_shift=2)
    numbers = book_many(sim, 30)
    async with with_token(sim) as client:
        assert await ids_of(client, pageNumber="1", pageSize="10") == numbers[:10]
        assert await ids_of(client, pageNumber="2", pageSize="10") == numbers[12:22]
        sim.settings.page_shift = -2
        assert await ids_of(client, pageNumber="2", pageSize="10") == numbers[8:18]
        assert await ids_of(client, pageNumber="1", pageSize="10") == numbers[:10]


async def test_a_row_can_vanish_while_pages_are_read() -> None:
    """A pending booking that is not paid in time disappears between two pages and pulls a row over the edge."""
    sim = a_simulator()
    numbers = book_many(sim, 20)
    pending = iter(numbers[:1])
    sim.appointments.after_page.append(lambda: [sim.book.vanish(n) for n in pending])
    async with with_token(sim) as client:
        first = await ids_of(client, pageNumber="1", pageSize="10")
        second = await ids_of(client, pageNumber="2", pageSize="10")
    assert first == numbers[:10]
    assert second == numbers[11:]


async def test_the_count_agrees_unless_told_to_lie() -> None:
    sim = a_simulator()
    book_many(sim, 7)
    async with with_token(sim) as client:
        assert (await client.get("/appointmentList/reportCount")).json() == {"count": 7}
        sim.settings.count_offset = 3
        assert (await client.get("/appointments/reportCount")).json() == {"count": 10}
        both = (await client.get("/appointmentList/reportWithCount", params={"pageSize": "2"})).json()
        sim.settings.counts = False
        assert (await client.get("/appointmentList/reportCount")).status_code == 404
    assert both["count"] == 10
    assert len(both["appointments"]) == 2


async def test_the_older_report_is_the_same_and_plain_appointments_is_405() -> None:
    sim = a_simulator()
    book_many(sim, 3)
    async with with_token(sim) as client:
        new, old = await client.get("/appointmentList/report"), await client.get("/appointments/report")
        assert new.json() == old.json()
        assert (await client.get("/appointments")).status_code == 405


async def test_dates_filter_on_the_staff_clock_and_include_both_ends() -> None:
    sim = a_simulator()
    days = [sim.book.book(wall(f"2026-12-{day:02d} 23:00"), 30, "America/Vancouver") for day in (1, 2, 3)]
    async with with_token(sim) as client:
        assert await ids_of(client, startDate="2026-12-02", endDate="2026-12-02") == [days[1]]
        assert await ids_of(client, startDate="2026-12-02") == days[1:]


@pytest.mark.parametrize(
    "query", [{"startDate": "2026-12-02Xend"}, {"startDate": "1790000000000"}, {"modifiedSince": "2026-12-02"}, {"statusList": "NONSENSE"}]
)
async def test_malformed_and_unknown_parameters_give_everything(query: dict[str, str]) -> None:
    sim = a_simulator()
    numbers = book_many(sim, 4)
    async with with_token(sim) as client:
        assert await ids_of(client, **query) == numbers


async def test_status_location_reason_and_client_filter() -> None:
    sim = a_simulator()
    kept, cancelled = book_many(sim, 2)
    sim.book.cancel(cancelled)
    async with with_token(sim) as client:
        assert await ids_of(client, statusList="OPEN,PENDING") == [kept]
        assert await ids_of(client, statusList="CANCELLED") == [cancelled]
        assert await ids_of(client, locationIdList="41001,9") == [kept, cancelled]
        assert await ids_of(client, locationIdList="9") == []
        assert await ids_of(client, reasonIdList="9") == []
        assert await ids_of(client, clientId="9") == []


async def test_only_the_chosen_staff_parameter_is_obeyed() -> None:
    sim = a_simulator()
    numbers = book_many(sim, 2)
    async with with_token(sim) as client:
        assert await ids_of(client, staffIdList="9", professionalIdList="9") == numbers
        sim.settings.staff_filter = StaffFilter.PROFESSIONAL
        assert await ids_of(client, staffIdList="9") == numbers
        assert await ids_of(client, professionalIdList="9") == []


async def test_a_report_without_statuses_can_be_short() -> None:
    sim = a_simulator(without_statuses=WithoutStatuses.OPEN)
    kept, cancelled = book_many(sim, 2)
    sim.book.cancel(cancelled)
    async with with_token(sim) as client:
        assert await ids_of(client) == [kept]
        sim.settings.without_statuses = WithoutStatuses.NOTHING
        assert await ids_of(client) == []


async def test_time_off_appears_only_when_both_switches_ask_for_it() -> None:
    sim = a_simulator()
    row = an_appointment_row(1, wall("2026-12-01 12:00"), 60, "America/Denver", client=None, reason=None)
    sim.book.add(row, RowKind.TIME_OFF)
    (kept,) = book_many(sim, 1)
    async with with_token(sim) as client:
        assert await ids_of(client, excludeTimeOff="true") == [kept]
        assert await ids_of(client, excludeTimeOff="false") == [kept]
        assert await ids_of(client, excludeTimeOff="false", onlyTimeOff="1") == [1]
        sim.settings.time_off_always = True
        assert await ids_of(client, excludeTimeOff="true") == [kept, 1]


async def test_an_unknown_id_answers_in_three_ways() -> None:
    sim = a_simulator()
    async with with_token(sim) as client:
        missing = await client.get("/appointments/123")
        sim.settings.unknown_id = UnknownId.BAD_REQUEST
        refused = await client.get("/appointments/123")
        sim.settings.unknown_id = UnknownId.EMPTY
        empty = await client.get("/appointments/123")
    assert missing.status_code == 404
    assert (refused.status_code, refused.json()) == (400, "Appointment for Id 123 not found!")
    assert (empty.status_code, empty.content) == (200, b"")


async def test_one_appointment_is_the_composite_object() -> None:
    sim = a_simulator()
    row = an_appointment_row(70_000_009, wall("2026-03-06 15:30"), 45, "America/New_York", client_zone="America/Los_Angeles")
    sim.book.add(row)
    async with with_token(sim) as client:
        shown = (await client.get("/appointments/70000009")).json()
    wanted = {
        "startDate": "2026-03-06",
        "startTime": 1530,
        "endTime": 1615,
        "clientStartTime": 1230,
        "clientEndTime": 1315,
        "startDateTimeUTC": "2026-03-06T20:30:00Z",
        "endDateTimeUTC": "2026-03-06T21:15:00Z",
        "appointmentDateTimeClient": "Friday, March 06, 2026 at 12:30 PM PST",
    }
    assert {key: shown[key] for key in wanted} == wanted
    assert shown["staff"]["timeZoneCode"]["timeZoneCode"] == "America/New_York"
    assert len(shown["appointementIdHash"]) in (10, 11, 12)


async def test_shapes_follow_the_switches() -> None:
    sim = a_simulator(utc_fields=False, staff_time_zone=False, null_fields=True, null_client=True, legacy_zones=True)
    (number,) = book_many(sim, 1)
    async with with_token(sim) as client:
        bare = (await client.get(f"/appointments/{number}")).json()
        sim.settings.spelling = Spelling.WEBHOOK_OLD
        respelt = (await rows_of(client))[0]
        sim.settings.spelling = Spelling.REST
        sim.settings.staff_zone_object = False
        zoneless = (await client.get(f"/appointments/{number}")).json()
        staff = (await client.get("/staff/61001")).json()
    assert {"startDateTimeUTC", "endDateTimeUTC", "staffTimeZone"}.isdisjoint(bare)
    assert bare["client"] is None
    assert bare["fields"] is None
    assert bare["staff"]["timeZoneCode"]["timeZoneCode"] == bare["clientTimeZone"] == "US/Eastern"
    assert respelt["calendarid"] == number
    assert isinstance(respelt["createddate"], str)
    assert "staff" not in respelt
    assert respelt["professional"]["professionalId"] == 61001
    assert zoneless["staff"]["timeZoneCode"] is None
    assert staff["timeZoneCode"]["timeZoneCode"] == "US/Eastern"
    assert "startDateTimeUTC" in sim.book.row(number)


async def rows_of(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await client.get("/appointmentList/report")).json()
    return rows


@pytest.mark.parametrize(("clock", "number"), [("00:00", 0), ("00:30", 30), ("08:00", 800), ("14:30", 1430)])
def test_times_are_integers_without_leading_zeros(clock: str, number: int) -> None:
    row = an_appointment_row(1, wall(f"2026-12-01 {clock}"), 30, "America/New_York")
    assert row["startTime"] == number


def test_a_row_may_cross_midnight_on_one_clock_and_not_on_the_other() -> None:
    row = an_appointment_row(1, wall("2026-12-01 23:30"), 90, "America/New_York", client_zone="America/Vancouver")
    assert (row["startDate"], row["startTime"], row["endDate"], row["endTime"]) == ("2026-12-01", 2330, "2026-12-02", 100)
    assert row["clientStartDate"] == row["clientEndDate"] == "2026-12-01"


@pytest.mark.parametrize(
    ("zone", "utc"),
    [
        ("America/New_York", "2026-12-15T20:00:00Z"),
        ("America/Denver", "2026-12-15T22:00:00Z"),
        ("America/Vancouver", "2026-12-15T22:00:00Z"),
    ],
)
def test_instants_follow_the_newest_zone_rules(zone: str, utc: str) -> None:
    """Vancouver stays on UTC-7 in the winter of 2026; zone data from 2025 does not know that."""
    assert an_appointment_row(1, wall("2026-12-15 15:00"), 30, zone)["startDateTimeUTC"] == utc


def test_a_gap_takes_the_offset_before_it_and_keeps_the_typed_clock() -> None:
    row = an_appointment_row(1, wall("2026-03-08 02:30"), 30, "America/New_York")
    assert (row["startTime"], row["startDateTimeUTC"], row["endTime"]) == (230, "2026-03-08T07:30:00Z", 400)


def test_a_fold_takes_its_first_occurrence_unless_told() -> None:
    first = an_appointment_row(1, wall("2026-11-01 01:30"), 30, "America/New_York")
    second = an_appointment_row(2, wall("2026-11-01 01:30").replace(fold=1), 30, "America/New_York")
    assert first["startTime"] == second["startTime"] == 130
    assert start_of(second) - start_of(first) == timedelta(hours=1)


def test_the_client_pair_can_be_the_staff_clock_and_stays_so_when_moved() -> None:
    sim = a_simulator()
    pair = {"client_zone": "Europe/London", "client_pair": ClientPair.STAFF_CLOCK}
    number = sim.book.add(an_appointment_row(1, wall("2026-12-01 10:00"), 30, "America/New_York", **pair))  # type: ignore[arg-type]
    assert sim.book.row(number)["clientStartTime"] == 1000
    moved = sim.book.move(number, wall("2026-12-01 11:00"))
    assert (moved["startTime"], moved["clientStartTime"], moved["startDateTimeUTC"]) == (1100, 1100, "2026-12-01T16:00:00Z")


async def test_a_moved_row_keeps_its_length_and_all_its_clocks_agree() -> None:
    sim = a_simulator()
    number = sim.book.book(wall("2026-12-01 10:00"), 45, "America/New_York", client_zone="America/Denver")
    sim.book.move(number, wall("2026-12-02 23:30"))
    row = sim.book.row(number)
    assert (row["startDate"], row["endDate"], row["endTime"]) == ("2026-12-02", "2026-12-03", 15)
    assert (row["clientStartDate"], row["clientStartTime"]) == ("2026-12-02", 2130)
    assert row["startDateTimeUTC"] == "2026-12-03T04:30:00Z"


async def test_cancelled_reopened_and_deleted_rows() -> None:
    sim = a_simulator()
    number, deleted, hidden = book_many(sim, 3)
    cancelled = sim.book.cancel(number)
    assert (cancelled["status"], cancelled["cancelReason"], cancelled["cancelUser"]) == ("CANCELLED", "client asked", "mhall")
    assert (cancelled["modifiedUser"], cancelled["createdUser"]) == ("mhall", "WebClient")
    assert sim.book.reopen(number)["status"] == "OPEN"
    assert sim.book.no_show(number)["displayStatus"] == "NO_SHOW"
    sim.book.delete(deleted)
    sim.book.hide(hidden)
    async with with_token(sim) as client:
        assert await ids_of(client) == [number]
        assert (await client.get(f"/appointments/{deleted}")).status_code == 404
        assert (await client.get(f"/appointments/{hidden}")).status_code == 200
        sim.book.show(hidden)
        assert await ids_of(client) == [number, hidden]


async def test_every_write_to_an_appointment_is_recorded_as_mail() -> None:
    sim = a_simulator()
    (number,) = book_many(sim, 1)
    async with with_token(sim) as client:
        await client.get(f"/appointments/{number}")
        assert sim.mails.sent == []
        assert (await client.patch(f"/appointments/{number}", json={"note": "new"})).json()["note"] == "new"
        assert (await client.put(f"/appointments/{number}", json={"status": "OPEN", "note": "newer"})).status_code == 200
        await client.put(f"/appointments/{number}/cancel/true/true")
    assert [(mail.cause, mail.calendar_id) for mail in sim.mails.sent] == [
        (f"PATCH /live/appointments/{number}", number),
        (f"PUT /live/appointments/{number}", number),
        (f"PUT /live/appointments/{number}/cancel/true/true", number),
    ]
    assert sim.book.row(number)["status"] == "CANCELLED"


@pytest.mark.parametrize(("verb", "status"), [("completed", "COMPLETED"), ("noshow", "NO_SHOW")])
async def test_status_calls_set_the_status_and_mail(verb: str, status: str) -> None:
    sim = a_simulator()
    (number,) = book_many(sim, 1)
    async with with_token(sim) as client:
        assert (await client.put(f"/appointments/{number}/{verb}/true")).json()["status"] == status
        assert (await client.put(f"/appointments/5/{verb}/true")).status_code == 400
    assert len(sim.mails.sent) == 1


@pytest.mark.parametrize(
    "path", ["/status", "/waitlist", "/recurringclassschedule", "/calendar/event/APPOINTMENT/{}", "/appointments/{}/checkWaitList"]
)
async def test_the_rest_of_what_a_client_could_read_answers_200(path: str) -> None:
    sim = a_simulator()
    (number,) = book_many(sim, 1)
    async with with_token(sim) as client:
        answer = await client.get(path.format(number))
    assert answer.status_code == 200
    assert isinstance(answer.json(), dict if "APPOINTMENT" in path else list)


async def test_a_refused_write_changes_nothing_and_mails_nobody() -> None:
    sim = a_simulator()
    (number,) = book_many(sim, 1)
    async with with_token(sim) as client:
        unknown = await client.patch("/appointments/5", json={"note": "x"})
        statusless = await client.put(f"/appointments/{number}", json={"note": "x"})
    assert (unknown.status_code, unknown.json()) == (400, "Appointment for Id 5 not found!")
    assert statusless.status_code == 400
    assert sim.book.row(number)["note"] == ""
    assert sim.mails.sent == []


async def test_posting_an_appointment_books_it_and_mails() -> None:
    sim = a_simulator()
    (known,) = book_many(sim, 1)
    row = sim.book.row(known)
    body = {
        "client": {"clientId": row["client"]["clientId"]},
        "staff": {"professionalId": 61001},
        "location": {"locationId": 41001},
        "reason": {"reasonId": 88001},
        "startDate": "2026-12-24",
        "startTime": 30,
        "endDate": "2026-12-24",
        "endTime": 115,
        "status": "OPEN",
        "clientReminderHours": 12,
    }
    async with with_token(sim) as client:
        booked = (await client.post("/appointments", json=body)).json()
        refused = await client.post("/appointments", params={"STATUS": "OPEN"})
    assert (booked["startDateTimeUTC"], booked["clientReminderHours"]) == ("2026-12-24T05:30:00Z", 12)
    assert booked["client"]["emailAddress"] == row["client"]["emailAddress"]
    assert refused.status_code == 400
    assert [mail.cause for mail in sim.mails.sent] == ["POST /live/appointments"]


async def test_the_audit_trail_tells_each_changed_column() -> None:
    sim = a_simulator()
    (number,) = book_many(sim, 1)
    sim.book.patch(number, {"note": "new", "status": "OPEN"})
    async with with_token(sim) as client:
        trail = (await client.get(f"/auditTrail/calendar/{number}")).json()
    assert [(e["columnName"], e["oldValue"], e["newValue"], e["tableId"]) for e in trail] == [("note", "", "new", number)]


async def test_the_directory_lists_what_the_business_has() -> None:
    sim = a_simulator()
    populate_timetap(sim, appointments=60, now=NOW, seed=1)
    async with with_token(sim) as client:
        assert (await client.get("/staffIdList")).json() == [61001, 61002, 61003]
        sim.settings.id_lists = IdLists.OBJECT
        assert (await client.get("/locationIdList")).json() == {"locationIdList": [41001, 41002, 41003]}
        assert len((await client.get("/reasonIdList")).json()["reasonIdList"]) == 4
        assert (await client.get("/clientIdList")).json()["clientIdList"]
        assert len((await client.get("/classschedule/list/Open/61001")).json()) >= 1
        assert (await client.get("/classschedule/93001")).json()["status"] == "OPEN"
        assert (await client.get("/classschedule/location/41002")).json() == []
        assert (await client.get("/staff/9")).status_code == 404


async def test_there_are_377_zones_with_the_legacy_names_first() -> None:
    async with with_token(a_simulator()) as client:
        zones = (await client.get("/timezones")).json()
    assert len(zones) == 377
    assert zones[0]["timeZoneCode"].startswith(("US/", "Canada/"))
    assert {staff["timeZoneCode"]["timeZoneCode"] for staff in STAFF} <= {zone["timeZoneCode"] for zone in zones}


async def test_the_client_search_returns_somebody_else_too() -> None:
    sim = a_simulator()
    populate_timetap(sim, appointments=10, now=NOW, seed=1)
    phone = sim.book.row(min(sim.book.bookings))["client"]["cellPhone"]
    async with with_token(sim) as client:
        found = (await client.get("/clients", params={"cellPhone": phone})).json()
    assert found[0]["cellPhone"] == phone
    assert found[-1]["cellPhone"] != phone


async def test_a_taken_hour_is_no_free_slot() -> None:
    sim = a_simulator()
    sim.book.book(wall("2026-12-01 10:15"), 45, "America/New_York")
    async with with_token(sim) as client:
        slots = (await client.get("/availability/2026/12/01/61001/41001/88001")).json()
    assert [slot["startTime"] for slot in slots] == [900, 1100, 1200, 1300, 1400, 1500, 1600]


async def test_calendars_show_time_off_and_series_their_lessons() -> None:
    sim = a_simulator()
    populate_timetap(sim, appointments=60, now=NOW, seed=1)
    async with with_token(sim) as client:
        everything = (await client.get("/calendar/range/61002")).json()
        series = (await client.get("/appointments/recurringappointments/64001")).json()
        pending = (await client.get("/appointments/status/PENDING")).json()
        assert (await client.get("/appointments/resource/1/OPEN")).json() == []
    assert any(row["client"] is None for row in everything)
    assert len(series) == 4
    assert len({row["client"]["clientId"] for row in series}) == 1
    assert {row["status"] for row in pending} == {"PENDING"}


async def test_faults_hit_the_vendor_calls_and_leave_the_journal_true() -> None:
    sim = a_simulator()
    book_many(sim, 3)
    for kind in (Kind.EMPTY, Kind.HTML, Kind.CUT):
        sim.faults.add(Fault(kind=kind, path="/report"))
    sim.faults.add(Fault(kind=Kind.STATUS, status=504, path="/sessionToken", times=2))
    async with with_token(sim) as client:
        empty, page, cut = [await client.get("/appointmentList/report") for _ in range(3)]
        tokens = [await client.get("/sessionToken") for _ in range(3)]
        assert len((await client.get("/appointmentList/report")).json()) == 3
    assert empty.content == b""
    assert page.text.startswith("<!DOCTYPE html>")
    with pytest.raises(json.JSONDecodeError):
        cut.json()
    assert [t.status_code for t in tokens] == [504, 504, 403]
    assert sim.journal.count("GET", "/report") == 4


async def test_too_many_requests_a_minute_are_429() -> None:
    sim = a_simulator(requests_per_minute=2)
    async with with_token(sim) as client:
        codes = [(await client.get("/appointmentList/report")).status_code for _ in range(3)]
    assert codes == [200, 200, 429]


def test_the_world_is_the_same_for_the_same_seed_and_has_everything_odd() -> None:
    one, two, other = a_simulator(), a_simulator(), a_simulator()
    populate_timetap(one, appointments=80, now=NOW, seed=7)
    populate_timetap(two, appointments=80, now=NOW, seed=7)
    populate_timetap(other, appointments=80, now=NOW, seed=8)
    rows = [booking.row for booking in one.book.bookings.values()]
    assert rows == [booking.row for booking in two.book.bookings.values()]
    assert rows != [booking.row for booking in other.book.bookings.values()]
    assert len(rows) == 80
    assert {row["status"] for row in rows} == {"OPEN", "CANCELLED", "COMPLETED", "NO_SHOW", "PENDING", "RESCHEDULED"}
    assert {booking.kind for booking in one.book.bookings.values()} == set(RowKind)
    assert {row["staffTimeZone"] for row in rows} == {"America/New_York", "America/Denver", "America/Vancouver"}
    assert {0, 30} <= {row["startTime"] for row in rows}
    assert any(row["startDate"] != row["endDate"] for row in rows)
    assert any(row["subStatus"] == "CHECKEDIN" for row in rows)


@pytest.mark.parametrize("hours", [0, 6, 12, 18])
def test_what_took_place_is_over_and_within_the_last_day(hours: int) -> None:
    sim, now = a_simulator(), NOW + timedelta(hours=hours)
    populate_timetap(sim, appointments=300, now=now, seed=2)
    rows = [b.row for b in sim.book.bookings.values() if b.row["status"] in ("COMPLETED", "NO_SHOW")]
    assert len(rows) > 2
    assert all(now - timedelta(hours=24) < start_of(row) and end_of(row) <= now for row in rows)


def test_class_attendees_are_rows_of_their_own() -> None:
    sim = a_simulator()
    populate_timetap(sim, appointments=80, now=NOW, seed=7)
    attendees = [b.row for b in sim.book.bookings.values() if (b.row["reason"] or {}).get("reasonType") == "CLASS"]
    assert len(attendees) == 8
    assert len({row["startDateTimeUTC"] for row in attendees}) < len(attendees)
    assert len({row["client"]["clientId"] for row in attendees}) == len(attendees)


@pytest.mark.parametrize("size", [0, 1, 9, 48, 500])
def test_the_world_has_exactly_as_many_rows_as_asked_for_within_two_months(size: int) -> None:
    sim = a_simulator()
    populate_timetap(sim, appointments=size, now=NOW, seed=3)
    rows = [booking.row for booking in sim.book.bookings.values()]
    assert len(rows) == size
    assert all(NOW - timedelta(days=1) < start_of(row) < NOW + timedelta(days=62) for row in rows)
    clients = [row["client"] for row in rows if row["client"]]
    assert all((c["emailAddress"] or "x@example.com").endswith("@example.com") for c in clients)
    assert all("-555-01" in (c["cellPhone"] or "-555-01") for c in clients)


async def test_staff_can_be_played_from_the_control_calls() -> None:
    sim = a_simulator()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=sim.app), base_url=ORIGIN + "/_control") as control:
        body = {"start": "2026-12-01T10:00", "minutes": 30, "staff_zone": "America/Denver", "note": "hi"}
        body |= {"client_zone": "Europe/London", "client_pair": "staff-clock", "reminders": {"client_email": 3}}
        number = (await control.post("/appointments", json=body)).json()["calendarId"]
        moved = (await control.post(f"/appointments/{number}/move", json={"start": "2026-12-01T11:00"})).json()
        cancelled = (await control.post(f"/appointments/{number}/cancel")).json()
        assert (await control.post(f"/appointments/{number}/bake")).status_code == 400
        assert (await control.post("/appointments/1/cancel")).status_code == 404
        assert (await control.post(f"/appointments/{number}/delete")).json() is None
        assert (await control.get("/appointments")).json() == []
        assert (await control.get("/mails")).json() == []
        assert (await control.post("/tokens/expire")).status_code == 200
        state = (await control.get("/state")).json()
    assert (moved["startTime"], moved["endTime"]) == (1100, 1130)
    assert cancelled["status"] == "CANCELLED"
    assert (cancelled["clientStartTime"], cancelled["clientReminderHours"], cancelled["note"]) == (1100, 3, "hi")
    assert state["snapshot"]["appointments"] == 0
    assert state["settings"]["page_size"] == 25
