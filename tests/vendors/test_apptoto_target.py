"""Apptoto's adapter keeps a target's contract on the simulator, and survives what Apptoto is known or feared to do."""

import dataclasses
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from calrelay.domain.link import CalendarId, ExternalId, Field, TargetId
from calrelay.domain.people import Phone
from calrelay.domain.window import Span
from calrelay.errors import AuthFailed, RequestRejected, ResponseInvalid, VendorUnavailable
from calrelay.ports import Flaw, Holding
from calrelay.simulators.apptoto.settings import AfterDelete, BadEvents, CalendarChange, CalendarList, Extraction
from calrelay.simulators.faults import Fault, Kind, When
from calrelay.vendors.apptoto.settings import TimeZoneNames
from calrelay.vendors.apptoto.target import ApptotoTarget
from tests.contracts.target_contract import JANE, START, YEAR, TargetContract, a_put, an_entry
from tests.vendors.apptoto_world import ApptotoWorld, a_client, open_world


@pytest.fixture
async def world() -> AsyncIterator[ApptotoWorld]:
    async with open_world() as opened:
        yield opened


async def listed(target: ApptotoTarget, span: Span = YEAR) -> tuple[list[Holding], list[Flaw]]:
    holdings: list[Holding] = []
    flaws: list[Flaw] = []
    async for part in target.listing(span):
        if isinstance(part, Flaw):
            flaws.append(part)
        else:
            holdings += part
    return holdings, flaws


async def listed_of(rows_of: Callable[[int], list[dict[str, Any]]]) -> tuple[list[Holding], list[Flaw]]:
    """Read a list whose pages a function makes up."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"events": rows_of(int(request.url.params["page"]))})

    async with a_client(answer) as client:
        return await listed(ApptotoTarget(account="reminders", client=client))


async def fill(world: ApptotoWorld, count: int) -> None:
    for n in range(count):
        await world.target.upsert([a_put(f"ts-{n}", an_entry(world.main_hall, start=START + timedelta(days=n)))])


class TestContract(TargetContract):
    @pytest.fixture
    async def world(self) -> AsyncIterator[ApptotoWorld]:
        async with open_world(batch_size=5) as opened:
            yield opened


class TestWriting:
    async def test_only_puts_reads_and_deletes_of_events_ever_go_out(self, world: ApptotoWorld) -> None:
        """POST doubles events, send_message and mark message people, contacts are nobody's business."""
        [holding] = await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        await world.target.find(ExternalId("ts-1"))
        await listed(world.target)
        await world.target.probe()
        await world.target.calendar_is_sound(world.main_hall)
        await world.target.delete(holding.target_id)
        asked = {(entry.method, entry.path) for entry in world.simulator.journal.entries}
        assert asked == {
            ("PUT", "/v1/events"),
            ("GET", "/v1/event"),
            ("GET", "/v1/events"),
            ("GET", "/v1/calendars"),
            ("DELETE", "/v1/events"),
        }
        assert (world.simulator.messages.one_offs, world.simulator.messages.marks) == ([], [])

    async def test_nothing_to_send_is_no_request(self, world: ApptotoWorld) -> None:
        assert await world.target.upsert([]) == ()
        assert world.target.requests == 0

    @pytest.mark.parametrize("status", [400, 422])
    async def test_an_unknown_calendar_is_a_refusal_whatever_the_status(self, world: ApptotoWorld, status: int) -> None:
        world.settings.unknown_calendar_status = status
        with pytest.raises(RequestRejected):
            await world.target.upsert([a_put("ts-1", an_entry(CalendarId("4711")))])
        assert not any(calendar.provisioned for calendar in world.simulator.events.calendars.values())

    @pytest.mark.parametrize("change", list(CalendarChange))
    async def test_an_update_never_moves_to_another_calendar_nor_doubles(self, world: ApptotoWorld, change: CalendarChange) -> None:
        world.settings.calendar_change = change
        entry = an_entry(world.main_hall)
        await world.target.upsert([a_put("ts-1", entry)])
        [holding] = await world.target.upsert([a_put("ts-1", an_entry(world.main_hall, title="Supper"), frozenset({Field.TITLE}))])
        assert (holding.calendar, holding.title) == (world.main_hall, "Supper")
        assert world.simulator.events.duplicates() == {}

    async def test_a_deleted_event_that_took_an_update_is_shown_as_deleted(self, world: ApptotoWorld) -> None:
        world.settings.after_delete = AfterDelete.UPDATE_DELETED
        [holding] = await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        await world.target.delete(holding.target_id)
        [again] = await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        assert again.is_deleted

    async def test_of_a_batch_cut_short_the_first_events_are_answered(self, world: ApptotoWorld) -> None:
        world.settings.poison, world.settings.bad_events = ("ts-2",), BadEvents.PARTIAL
        holdings = await world.target.upsert([a_put(f"ts-{n}", an_entry(world.main_hall)) for n in range(4)])
        assert {h.external_id for h in holdings} == {"ts-0", "ts-1"}

    async def test_nobody_is_taken_out_of_the_texts_even_without_participants(self, world: ApptotoWorld) -> None:
        world.settings.extraction = Extraction.ABSENT
        entry = an_entry(world.main_hall, participants=(), content="caterer 212-555-0188")
        [holding] = await world.target.upsert([a_put("ts-1", entry)])
        assert holding.participants == ()
        assert world.simulator.events.extracted == []

    async def test_a_number_that_apptoto_cannot_dial_is_told_in_the_log_by_event_alone(self, world: ApptotoWorld) -> None:
        strange = dataclasses.replace(JANE, phone=Phone("0147"))
        entries = (an_entry(world.main_hall, participants=(strange,)), an_entry(world.main_hall))
        with capture_logs() as lines:
            await world.target.upsert([a_put(f"ts-{n}", entry) for n, entry in enumerate(entries)])
        assert [(line["log_level"], line["events"]) for line in lines] == [("warning", ["ts-0"])]
        assert "0147" not in str(lines)

    @pytest.mark.parametrize(
        ("zone", "name"), [("America/New_York", "Eastern Time (US & Canada)"), ("America/Boise", "Mountain Time (US & Canada)")]
    )
    async def test_the_zone_is_named_as_rails_does(self, world: ApptotoWorld, zone: str, name: str) -> None:
        await world.target.upsert([a_put("ts-1", an_entry(world.main_hall, zone=zone))])
        [event] = world.simulator.events.live_events()
        assert event.time_zone == name

    async def test_a_zone_without_a_rails_name_is_left_out_and_told_once(self, world: ApptotoWorld) -> None:
        with capture_logs() as lines:
            for _ in range(2):
                await world.target.upsert([a_put("ts-1", an_entry(world.main_hall, zone="Antarctica/Troll"))])
        [event] = world.simulator.events.live_events()
        assert event.time_zone is None
        assert [line["zone"] for line in lines] == ["Antarctica/Troll"]

    @pytest.mark.parametrize(("names", "sent"), [(TimeZoneNames.IANA, "America/New_York"), (TimeZoneNames.OMIT, None)])
    async def test_the_config_decides_how_zones_are_named(self, names: TimeZoneNames, sent: str | None) -> None:
        async with open_world(time_zone_names=names) as world:
            await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
            [event] = world.simulator.events.live_events()
            assert event.time_zone == sent


class TestDeleting:
    async def test_a_404_for_a_second_delete_is_a_success(self, world: ApptotoWorld) -> None:
        world.settings.delete_again_status = 404
        [holding] = await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        await world.target.delete(holding.target_id)
        await world.target.delete(holding.target_id)

    async def test_a_404_that_is_a_page_for_people_proves_nothing(self, world: ApptotoWorld) -> None:
        world.simulator.faults.add(Fault(kind=Kind.STATUS, status=404, body="<html>no such page</html>", times=None))
        with pytest.raises(ResponseInvalid):
            await world.target.find(ExternalId("ts-1"))
        with pytest.raises(ResponseInvalid):
            await world.target.delete(TargetId("900112233"))

    @pytest.mark.parametrize("status", [500, 503])
    async def test_a_server_error_is_no_delete(self, world: ApptotoWorld, status: int) -> None:
        [holding] = await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        world.simulator.faults.add(Fault(kind=Kind.STATUS, method="DELETE", status=status, times=None))
        with pytest.raises(VendorUnavailable):
            await world.target.delete(holding.target_id)

    @pytest.mark.parametrize("when", [When.BEFORE, When.AFTER])
    @pytest.mark.parametrize("body", ["", "{}", '{"events": []}', '{"events": [{"id": 1, "is_deleted": true}]}', "gone"])
    async def test_a_delete_that_is_not_told_of_is_asked_about(self, world: ApptotoWorld, body: str, when: When) -> None:
        """A 200 alone is no proof: the answer shows the event, flagged as deleted."""
        [holding] = await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        world.simulator.faults.add(Fault(kind=Kind.STATUS, method="DELETE", status=200, body=body, when=when, times=None))
        if when is When.AFTER:
            await world.target.delete(holding.target_id)
        else:
            with pytest.raises(ResponseInvalid, match="still there"):
                await world.target.delete(holding.target_id)


class TestReading:
    async def test_a_deleted_event_that_is_hidden_is_none(self, world: ApptotoWorld) -> None:
        world.settings.show_deleted = False
        [holding] = await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        await world.target.delete(holding.target_id)
        assert await world.target.find(ExternalId("ts-1")) is None

    @pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Kathmandu", "UTC"])
    async def test_instants_count_whatever_offset_they_come_back_with(self, world: ApptotoWorld, zone: str) -> None:
        world.settings.rendered_zone = zone
        entry = an_entry(world.main_hall)
        [holding] = await world.target.upsert([a_put("ts-1", entry)])
        assert (holding.start, holding.end) == (entry.start, entry.end)

    async def test_a_short_page_is_not_the_end(self, world: ApptotoWorld) -> None:
        """The vendor's cap of three is below the hundred that are asked for."""
        await fill(world, 10)
        holdings, flaws = await listed(world.target)
        assert (len(holdings), flaws) == (10, [])

    async def test_a_login_page_is_a_flaw_and_ends_the_reading(self, world: ApptotoWorld) -> None:
        await fill(world, 8)
        world.simulator.faults.add(Fault(kind=Kind.HTML, path="/v1/events", skip=1, times=None))
        holdings, [flaw] = await listed(world.target)
        assert len(holdings) == 3
        assert isinstance(flaw.error, AuthFailed)

    @pytest.mark.parametrize("kind", [Kind.EMPTY, Kind.CUT])
    async def test_a_page_that_stays_unreadable_is_a_flaw(self, world: ApptotoWorld, kind: Kind) -> None:
        await fill(world, 8)
        world.simulator.faults.add(Fault(kind=kind, path="/v1/events", skip=1, times=5))
        holdings, [flaw] = await listed(world.target)
        assert len(holdings) == 5
        assert isinstance(flaw.error, ResponseInvalid)

    @pytest.mark.parametrize("kind", [Kind.EMPTY, Kind.CUT, Kind.RESET])
    async def test_a_page_that_fails_once_costs_nothing(self, world: ApptotoWorld, kind: Kind) -> None:
        await fill(world, 8)
        world.simulator.faults.add(Fault(kind=kind, path="/v1/events", skip=1))
        holdings, flaws = await listed(world.target)
        assert (len(holdings), flaws) == (8, [])

    @pytest.mark.parametrize("body", ["{}", "[1]", '{"events": "none"}', '{"error": "later"}', '{"events": [{"title": "no id"}]}', "null"])
    async def test_what_is_no_list_of_events_is_not_taken_for_its_end(self, world: ApptotoWorld, body: str) -> None:
        await fill(world, 2)
        world.simulator.faults.add(Fault(kind=Kind.STATUS, path="/v1/events", status=200, body=body, times=None))
        _, flaws = await listed(world.target)
        assert flaws

    async def test_filters_that_are_ignored_let_nothing_foreign_through(self) -> None:
        rows = [
            {"id": 1, "start_time": "2026-12-03T18:30:00-05:00"},
            {"id": 2, "start_time": "2027-12-03T18:30:00-05:00"},
            {"id": 3, "start_time": "2026-12-03T18:30:00-05:00", "is_deleted": True},
            {"id": 4, "start_time": "2026-12-03T18:30:00"},
        ]
        held, flaws = await listed_of(lambda page: rows if page == 1 else [])
        assert [(h.target_id, h.start) for h in held] == [("1", START), ("4", None)]
        assert flaws == []

    async def test_a_page_number_that_is_ignored_is_a_flaw(self) -> None:
        row = {"id": 1, "start_time": "2026-12-03T18:30:00-05:00"}
        held, flaws = await listed_of(lambda _: [row])
        assert ([h.target_id for h in held], len(flaws)) == (["1"], 1)

    async def test_our_own_cap_is_never_taken_for_the_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("calrelay.vendors.apptoto.target.PAGE_CAP", 20)
        held, flaws = await listed_of(lambda page: [{"id": page}])
        assert (len(held), len(flaws)) == (20, 1)


class TestCalendars:
    @pytest.mark.parametrize("shape", [CalendarList.WRAPPED, CalendarList.BARE])
    async def test_a_list_is_read_in_either_shape(self, world: ApptotoWorld, shape: CalendarList) -> None:
        world.settings.calendar_list = shape
        assert await world.target.calendars() == {"Main Hall": world.main_hall, "Terrace": world.terrace}

    async def test_without_a_list_the_events_tell_which_calendars_there_are(self, world: ApptotoWorld) -> None:
        world.settings.calendar_list = CalendarList.MISSING
        await fill(world, 8)
        assert await world.target.calendars() == {"Main Hall": world.main_hall}

    async def test_without_a_list_a_calendar_with_events_is_sound_and_one_without_is_not(self, world: ApptotoWorld) -> None:
        """A wrong or removed calendar is likelier than an empty one, once it has refused several events in a row."""
        world.settings.calendar_list = CalendarList.MISSING
        await fill(world, 8)
        assert await world.target.calendar_is_sound(world.main_hall)
        assert not await world.target.calendar_is_sound(CalendarId("4711"))

    async def test_without_a_list_too_many_events_leave_it_open_and_the_calendar_sound(self, world: ApptotoWorld) -> None:
        world.settings.calendar_list = CalendarList.MISSING
        world.settings.page_cap = 1
        await fill(world, 11)
        assert await world.target.calendar_is_sound(world.terrace)

    async def test_without_a_list_one_page_with_the_calendar_is_enough(self, world: ApptotoWorld) -> None:
        world.settings.calendar_list = CalendarList.MISSING
        await fill(world, 8)
        before = world.target.requests
        await world.target.calendar_is_sound(world.main_hall)
        assert world.target.requests == before + 2

    async def test_a_calendar_cannot_be_judged_while_nobody_answers(self, world: ApptotoWorld) -> None:
        world.simulator.faults.add(Fault(kind=Kind.STATUS, status=503, times=None))
        with pytest.raises(VendorUnavailable):
            await world.target.calendar_is_sound(world.main_hall)

    async def test_two_calendars_of_one_name_are_told_apart_by_their_ids(self, world: ApptotoWorld) -> None:
        world.simulator.events.calendars[int(world.terrace)].name = "Main Hall"
        assert await world.target.calendars() == {
            f"Main Hall ({world.main_hall})": world.main_hall,
            f"Main Hall ({world.terrace})": world.terrace,
        }


class TestProbe:
    async def test_calendars_are_shown_with_their_ids(self, world: ApptotoWorld) -> None:
        facts = {fact.name: fact for fact in await world.target.probe()}
        assert facts[f"calendar {world.main_hall}"].value == "Main Hall"
        assert facts["calendars"].value.startswith("2,")
        assert not any(fact.warning for fact in facts.values())

    async def test_calendars_that_are_not_listed_are_warned_of(self, world: ApptotoWorld) -> None:
        world.settings.calendar_list = CalendarList.MISSING
        facts = {fact.name: fact for fact in await world.target.probe()}
        assert "calendar_id" in facts["calendars"].warning

    async def test_an_account_without_calendars_is_told_to_make_one(self, world: ApptotoWorld) -> None:
        world.simulator.events.calendars.clear()
        facts = {fact.name: fact for fact in await world.target.probe()}
        assert "make one" in facts["calendars"].warning

    async def test_how_far_the_clocks_are_apart_is_known_after_an_answer(self, world: ApptotoWorld) -> None:
        before: float | None = world.target.clock_skew_seconds
        assert before is None
        world.simulator.faults.add(
            Fault(kind=Kind.STATUS, path="/v1/events", status=200, body='{"events": []}', headers={"Date": "Tue, 01 Jan 2030 00:00:00 GMT"})
        )
        await world.target.probe()
        skew = world.target.clock_skew_seconds
        assert skew is not None
        assert skew > 86_400

    async def test_forbidden_access_is_told_as_such(self, world: ApptotoWorld) -> None:
        world.settings.forbidden = True
        with pytest.raises(AuthFailed):
            await world.target.probe()
