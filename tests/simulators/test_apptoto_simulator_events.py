"""Apptoto simulator: writing, reading and deleting events, and the modes of what the vendor leaves open."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import httpx
import pytest
from tests.simulators.apptoto_account import JANE, MAX, START, Account, open_account

from calrelay.simulators.apptoto_settings import AfterDelete, BadEvents, CalendarChange, CalendarList, Extraction, Race


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    """An account of a simulator without a rate limit."""
    async with open_account() as opened:
        yield opened


class TestCredentials:
    async def test_a_request_without_credentials_gets_401(self, account: Account) -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(account.simulator.app), base_url="http://sim") as http:
            assert (await http.get("/v1/events")).status_code == 401

    async def test_a_wrong_key_gets_401(self, account: Account) -> None:
        answer = await account.http.get("/v1/events", auth=("ops@example.com", "wrong"))
        assert answer.status_code == 401

    async def test_a_right_key_gets_403_when_switched(self, account: Account) -> None:
        account.settings.forbidden = True
        assert (await account.http.get("/v1/events")).status_code == 403


class TestMatching:
    async def test_the_same_external_id_updates_the_same_event(self, account: Account) -> None:
        [first] = await account.written(account.row())
        [second] = await account.written({"external_id": "ts-1", "title": "Supper"})
        assert second["id"] == first["id"]
        assert second["title"] == "Supper"
        assert len(account.events.live_events()) == 1

    async def test_the_vendors_id_updates_the_same_event(self, account: Account) -> None:
        [first] = await account.written(account.row())
        [second] = await account.written({"id": first["id"], "location": "Terrace"})
        assert (second["id"], second["location"]) == (first["id"], "Terrace")

    async def test_without_any_id_every_call_makes_a_new_event(self, account: Account) -> None:
        await account.written(account.row(None))
        await account.written(account.row(None))
        assert len(account.events.live_events()) == 2

    async def test_fields_left_out_keep_their_values(self, account: Account) -> None:
        await account.written(account.row(location="Main Hall", content="40 guests", custom_data={"a": "1"}))
        [event] = await account.written({"external_id": "ts-1", "start_time": "2026-12-04T18:30:00-05:00"})
        assert (event["title"], event["location"], event["content"], event["custom_data"]) == (
            "Dinner",
            "Main Hall",
            "40 guests",
            {"a": "1"},
        )
        assert [p["name"] for p in event["participants"]] == ["Jane Roe"]

    async def test_participants_and_custom_data_are_replaced_whole(self, account: Account) -> None:
        account.settings.rules = ()
        await account.written(account.row(participants=[JANE, MAX], custom_data={"a": "1", "b": "2"}))
        [event] = await account.written({"external_id": "ts-1", "participants": [MAX], "custom_data": {"b": "3"}})
        assert [p["name"] for p in event["participants"]] == ["Max Moe"]
        assert event["custom_data"] == {"b": "3"}

    async def test_a_participant_who_stays_keeps_id_and_state(self, account: Account) -> None:
        [before] = await account.written(account.row())
        account.events.live_events()[0].participants[0].state = "confirmed"
        [after] = await account.written({"external_id": "ts-1", "participants": [MAX, {**JANE, "name": "Jane R."}]})
        jane = after["participants"][1]
        assert (jane["id"], jane["state"], jane["name"]) == (before["participants"][0]["id"], "confirmed", "Jane R.")

    async def test_an_event_keeps_its_one_place_when_it_gets_another_external_id(self, account: Account) -> None:
        [event] = await account.written(account.row())
        await account.written({"id": event["id"], "external_id": "ts-2"})
        assert account.events.by_external_id("ts-1") is None
        renamed = account.events.by_external_id("ts-2")
        assert renamed is not None
        assert renamed.id == event["id"]

    async def test_post_with_a_used_external_id_makes_a_reported_duplicate(self, account: Account) -> None:
        await account.written(account.row())
        assert account.events.duplicates() == {}
        await account.written(account.row(), method="POST")
        assert [e.external_id for e in account.events.duplicates()["ts-1"]] == ["ts-1", "ts-1"]

    async def test_a_post_that_relies_on_a_patch_is_refused(self, account: Account) -> None:
        await account.written(account.row())
        answer = await account.put({"external_id": "ts-1", "calendar_id": account.calendar}, method="POST")
        assert answer.status_code == 400

    async def test_an_unusable_body_gets_400(self, account: Account) -> None:
        assert (await account.http.put("/v1/events", content=b"not json")).status_code == 400
        assert (await account.http.put("/v1/events", json={"events": {}})).status_code == 400


class TestRaces:
    async def test_concurrent_puts_of_one_new_external_id_make_one_event_by_default(self, account: Account) -> None:
        await asyncio.gather(account.put(account.row()), account.put(account.row()))
        assert len(account.events.live_events()) == 1

    async def test_concurrent_puts_of_one_new_external_id_can_make_two_events(self, account: Account) -> None:
        account.settings.race = Race.SEVERAL
        await asyncio.gather(account.put(account.row()), account.put(account.row()))
        assert len(account.events.duplicates()["ts-1"]) == 2
        assert account.simulator.calls.peak_in_flight == 2


class TestMessagedParticipants:
    async def test_somebody_already_messaged_stays_when_dropped_from_the_array(self, account: Account) -> None:
        account.settings.rules = ()
        await account.written(account.row())
        account.events.live_events()[0].participants[0].messaged = True
        [event] = await account.written({"external_id": "ts-1", "participants": [MAX]})
        assert [p["name"] for p in event["participants"]] == ["Max Moe", "Jane Roe"]

    async def test_a_booking_message_makes_somebody_stay(self, account: Account) -> None:
        await account.written(account.row())
        [event] = await account.written({"external_id": "ts-1", "participants": [MAX]})
        assert [p["name"] for p in event["participants"]] == ["Max Moe", "Jane Roe"]

    async def test_support_can_switch_that_off(self, account: Account) -> None:
        account.settings.keep_messaged = False
        account.settings.rules = ()
        await account.written(account.row())
        account.events.live_events()[0].participants[0].messaged = True
        [event] = await account.written({"external_id": "ts-1", "participants": [MAX]})
        assert [p["name"] for p in event["participants"]] == ["Max Moe"]


class TestCalendars:
    async def test_an_unknown_name_provisions_a_calendar(self, account: Account) -> None:
        row = account.row(calendar="Typo Hall", calendar_id=None)
        [event] = await account.written(row, prevent_calendar_creation=False)
        assert event["calendar_name"] == "Typo Hall"
        assert account.events.calendars[event["calendar_id"]].provisioned

    @pytest.mark.parametrize("status", [400, 422])
    async def test_an_unknown_name_is_refused_when_creation_is_prevented(self, account: Account, status: int) -> None:
        account.settings.calendar_refusal = status
        answer = await account.put(account.row(calendar="Typo Hall", calendar_id=None))
        assert answer.status_code == status
        assert len(account.events.calendars) == 1

    async def test_a_known_name_is_found_although_creation_is_prevented(self, account: Account) -> None:
        [event] = await account.written(account.row(calendar="Main Hall", calendar_id=None))
        assert event["calendar_id"] == account.calendar

    @pytest.mark.parametrize("calendar_id", [999, {}, "Main Hall"])
    async def test_an_unknown_calendar_id_refuses_the_request(self, account: Account, calendar_id: object) -> None:
        answer = await account.put(account.row(), account.row("ts-2", calendar_id=calendar_id))
        assert answer.status_code == 400
        assert account.events.live_events() == []

    async def test_another_calendar_for_a_known_event_is_ignored_by_default(self, account: Account) -> None:
        other = account.simulator.add_calendar("Terrace")
        await account.written(account.row())
        [event] = await account.written(account.row(calendar_id=other, title="Supper"))
        assert (event["calendar_id"], event["title"]) == (account.calendar, "Supper")

    async def test_another_calendar_for_a_known_event_can_be_refused(self, account: Account) -> None:
        account.settings.calendar_change = CalendarChange.REFUSE
        other = account.simulator.add_calendar("Terrace")
        await account.written(account.row())
        assert (await account.put(account.row(calendar_id=other))).status_code == 400

    async def test_another_calendar_for_a_known_event_can_duplicate_it(self, account: Account) -> None:
        account.settings.calendar_change = CalendarChange.DUPLICATE
        other = account.simulator.add_calendar("Terrace")
        await account.written(account.row())
        [copy] = await account.written({"external_id": "ts-1", "calendar_id": other})
        assert (copy["calendar_id"], copy["title"]) == (other, "Dinner")
        assert list(account.events.duplicates()) == ["ts-1"]

    async def test_a_calendar_of_the_same_name_is_not_added_twice(self, account: Account) -> None:
        assert account.simulator.add_calendar("Main Hall") == account.calendar
        assert len(str(account.calendar)) == 10

    async def test_the_calendar_list_comes_in_three_shapes(self, account: Account) -> None:
        row = {"id": account.calendar, "name": "Main Hall"}
        assert (await account.http.get("/v1/calendars")).json() == {"calendars": [row]}
        account.settings.calendar_list = CalendarList.BARE
        assert (await account.http.get("/v1/calendars")).json() == [row]
        account.settings.calendar_list = CalendarList.MISSING
        assert (await account.http.get("/v1/calendars")).status_code == 404


class TestDeleting:
    async def test_a_deleted_event_is_kept_and_flagged(self, account: Account) -> None:
        await account.written(account.row())
        answer = await account.delete("ts-1")
        assert answer.status_code == 200
        assert answer.json()["events"][0]["is_deleted"] is True
        assert await account.listed() == []
        assert [e["is_deleted"] for e in await account.listed(include_deleted="true")] == [True]

    async def test_deleting_goes_by_the_vendors_id_too(self, account: Account) -> None:
        [event] = await account.written(account.row())
        answer = await account.http.delete("/v1/events", params={"id": event["id"]})
        assert answer.status_code == 200
        assert account.events.live_events() == []

    @pytest.mark.parametrize("status", [200, 404])
    async def test_deleting_again_answers_as_switched(self, account: Account, status: int) -> None:
        account.settings.delete_again_status = status
        await account.written(account.row())
        await account.delete("ts-1")
        assert (await account.delete("ts-1")).status_code == status

    async def test_deleting_what_never_was_is_404(self, account: Account) -> None:
        assert (await account.delete("ts-404")).status_code == 404
        assert (await account.http.delete("/v1/events")).status_code == 404

    async def test_a_put_after_a_delete_can_revive(self, account: Account) -> None:
        [first] = await account.written(account.row())
        await account.delete("ts-1")
        [again] = await account.written(account.row(title="Supper"))
        assert (again["id"], again["is_deleted"], again["title"]) == (first["id"], False, "Supper")

    async def test_a_put_after_a_delete_can_update_the_deleted_event(self, account: Account) -> None:
        account.settings.after_delete = AfterDelete.UPDATE_DELETED
        [first] = await account.written(account.row())
        await account.delete("ts-1")
        [again] = await account.written(account.row(title="Supper"))
        assert (again["id"], again["is_deleted"], again["title"]) == (first["id"], True, "Supper")

    async def test_a_put_after_a_delete_can_make_a_new_event(self, account: Account) -> None:
        account.settings.after_delete = AfterDelete.NEW
        [first] = await account.written(account.row())
        await account.delete("ts-1")
        [again] = await account.written(account.row())
        assert again["id"] != first["id"]
        assert [e.is_deleted for e in account.events.all_by_external_id("ts-1")] == [True, False]
        assert account.events.duplicates() == {}


class TestListing:
    async def test_begin_and_end_look_at_the_start_only(self, account: Account) -> None:
        """An event that is under way at `begin` is not listed (section 4)."""
        await account.written(
            account.row("before", start_time="2026-12-01T10:00:00-05:00", end_time="2026-12-05T10:00:00-05:00"),
            account.row("inside", start_time="2026-12-03T10:00:00-05:00", end_time="2026-12-09T10:00:00-05:00"),
            account.row("after", start_time="2026-12-08T10:00:00-05:00", end_time="2026-12-08T11:00:00-05:00"),
        )
        found = await account.listed(begin="2026-12-02T00:00:00-05:00", end="2026-12-08T14:59:59Z")
        assert [e["external_id"] for e in found] == ["inside"]

    async def test_the_oldest_start_comes_first(self, account: Account) -> None:
        await account.written(account.row("late", start_time="2026-12-08T10:00:00-05:00"), account.row("early"))
        assert [e["external_id"] for e in await account.listed()] == ["early", "late"]

    async def test_pages_have_thirty_rows_and_end_with_an_empty_one(self, account: Account) -> None:
        await account.written(*(account.row(f"ts-{n}") for n in range(40)))
        sizes = [len(await account.listed(page=page)) for page in (1, 2, 3)]
        assert sizes == [30, 10, 0]

    async def test_the_page_size_has_a_cap(self, account: Account) -> None:
        account.settings.page_cap = 5
        await account.written(*(account.row(f"ts-{n}") for n in range(8)))
        assert [len(await account.listed(page_size=100, page=page)) for page in (1, 2, 3)] == [5, 3, 0]

    async def test_parameters_that_are_unknown_or_unusable_are_ignored(self, account: Account) -> None:
        await account.written(account.row())
        assert len(await account.listed(limit=0, begins="2030-01-01", begin="soon", page="x", page_size="-1")) == 1

    async def test_a_person_filter_gives_a_copy_for_each_match_with_only_that_participant(self, account: Account) -> None:
        partner = {"name": "Jim Roe", "phone": "212-555-0147"}
        await account.written(account.row(participants=[JANE, partner, MAX]))
        copies = await account.listed(phone_number="+12125550147")
        assert len({e["id"] for e in copies}) == 1
        assert [[p["name"] for p in e["participants"]] for e in copies] == [["Jane Roe"], ["Jim Roe"]]
        [by_email] = await account.listed(email_address="MAX@example.com")
        assert [p["name"] for p in by_email["participants"]] == ["Max Moe"]
        assert await account.listed(phone_number="+13125550199") == []

    async def test_the_legacy_single_fetch_still_filters(self, account: Account) -> None:
        await account.written(account.row(), account.row("ts-2"))
        assert [e["external_id"] for e in await account.listed(external_id="ts-2")] == ["ts-2"]


class TestSingleFetch:
    async def test_one_event_is_a_bare_object(self, account: Account) -> None:
        [event] = await account.written(account.row())
        by_external_id = await account.http.get("/v1/event", params={"external_id": "ts-1"})
        assert by_external_id.json() == event
        assert (await account.http.get("/v1/event", params={"id": event["id"]})).json() == event

    async def test_a_missing_event_is_404(self, account: Account) -> None:
        assert (await account.http.get("/v1/event", params={"external_id": "ts-404"})).status_code == 404

    @pytest.mark.parametrize(("shown", "status"), [(True, 200), (False, 404)])
    async def test_a_deleted_event_is_flagged_or_hidden(self, account: Account, shown: bool, status: int) -> None:
        account.settings.show_deleted = shown
        await account.written(account.row())
        await account.delete("ts-1")
        assert (await account.http.get("/v1/event", params={"external_id": "ts-1"})).status_code == status

    async def test_external_id_and_time_zone_are_echoed_as_switched(self, account: Account) -> None:
        account.settings.echo_external_id, account.settings.echo_time_zone = False, True
        [event] = await account.written(account.row(time_zone="Eastern Time (US & Canada)"))
        assert "external_id" not in event
        assert event["time_zone"] == "Eastern Time (US & Canada)"
        account.settings.echo_external_id, account.settings.echo_time_zone = True, False
        [event] = await account.listed()
        assert event["external_id"] == "ts-1"
        assert "time_zone" not in event

    async def test_times_can_come_back_in_another_zones_offset(self, account: Account) -> None:
        account.settings.rendered_zone = "America/Vancouver"
        [event] = await account.written(account.row())
        assert event["start_time"] == "2026-12-03T16:30:00-07:00"
        assert datetime.fromisoformat(event["start_time"]) == datetime.fromisoformat(START)


class TestTimes:
    async def test_an_unknown_time_zone_is_accepted_in_silence(self, account: Account) -> None:
        [event] = await account.written(account.row(time_zone="PT"))
        assert event["start_time"] == START
        assert account.events.live_events()[0].time_zone == "PT"

    async def test_a_naive_time_is_read_in_the_calendars_zone(self, account: Account) -> None:
        denver = account.simulator.add_calendar("Ranch", "America/Denver")
        row = account.row(calendar_id=denver, start_time="2026-12-03T18:30:00", time_zone="Eastern Time (US & Canada)")
        [event] = await account.written(row)
        assert event["start_time"] == "2026-12-03T18:30:00-07:00"

    @pytest.mark.parametrize("value", [{}, None, "", "tomorrow", 17])
    async def test_an_unusable_start_is_answered_200_and_ignored(self, account: Account, value: object) -> None:
        await account.written(account.row())
        [event] = await account.written({"external_id": "ts-1", "start_time": value})
        assert event["start_time"] == START


class TestPhones:
    @pytest.mark.parametrize(
        ("phone", "normalized"),
        [
            ("+12125550147", "+12125550147"),
            ("+44 20 7946 0018", "+442079460018"),
            ("(212) 555-0147", "+12125550147"),
            ("1-212-555-0147", "+12125550147"),
            ("555-0147", None),
            ("call me", None),
            (None, None),
        ],
    )
    async def test_numbers_are_normalised_or_null(self, account: Account, phone: str | None, normalized: str | None) -> None:
        [event] = await account.written(account.row(participants=[{"name": "Jane Roe", "phone": phone}]))
        assert event["participants"][0]["normalized_phone"] == normalized


class TestExtraction:
    TEXT = "Catering: call (312) 555-0123 or write to chef@example.com."

    async def test_people_are_taken_out_of_texts_when_participants_are_absent(self, account: Account) -> None:
        row = account.row(content=self.TEXT)
        del row["participants"]
        [event] = await account.written(row)
        [person] = event["participants"]
        assert (person["normalized_phone"], person["email"]) == ("+13125550123", "chef@example.com")
        assert [x.phone for x in account.events.extracted] == ["+13125550123"]

    async def test_a_contact_named_in_the_title_becomes_a_participant(self, account: Account) -> None:
        await account.http.post("/v1/contacts", json={"contacts": [{"name": "Jane Roe", "phone": "212-555-0147"}]})
        row = account.row(title="Dinner for Jane Roe")
        del row["participants"]
        [event] = await account.written(row)
        assert [p["normalized_phone"] for p in event["participants"]] == ["+12125550147"]

    async def test_nobody_is_extracted_beside_explicit_participants_by_default(self, account: Account) -> None:
        [event] = await account.written(account.row(content=self.TEXT))
        [patched] = await account.written({"external_id": "ts-1", "content": self.TEXT + "!"})
        assert [p["name"] for p in event["participants"]] == [p["name"] for p in patched["participants"]] == ["Jane Roe"]
        assert account.events.extracted == []

    @pytest.mark.parametrize(("mode", "people"), [(Extraction.ABSENT, 0), (Extraction.EMPTY, 1), (Extraction.ALWAYS, 1)])
    async def test_an_empty_array_blocks_extraction_or_does_not(self, account: Account, mode: Extraction, people: int) -> None:
        account.settings.extraction = mode
        [event] = await account.written(account.row(participants=[], content=self.TEXT))
        assert len(event["participants"]) == people

    async def test_one_mode_extracts_beside_explicit_participants(self, account: Account) -> None:
        account.settings.extraction = Extraction.ALWAYS
        [event] = await account.written(account.row(content=self.TEXT))
        assert [p["email"] for p in event["participants"]] == ["jane@example.com", "chef@example.com"]
        assert len(account.events.extracted) == 1

    async def test_dates_in_texts_are_no_telephone_numbers(self, account: Account) -> None:
        row = account.row(content="Tasting 2026-11-03 18:30, invoice 20261103001")
        del row["participants"]
        [event] = await account.written(row)
        assert event["participants"] == []

    async def test_lines_of_name_and_value_become_fields(self, account: Account) -> None:
        await account.written(account.row(content="Guest Count: 40\nsee you"))
        assert account.events.live_events()[0].text_fields == {"guest_count": "40"}


class TestBadEvents:
    async def _put_three(self, account: Account) -> httpx.Response:
        account.settings.poison = ("ts-2",)
        return await account.put(*(account.row(f"ts-{n}") for n in (1, 2, 3)))

    def _live(self, account: Account) -> set[str | None]:
        return {e.external_id for e in account.events.live_events()}

    async def test_the_whole_batch_is_refused_by_default(self, account: Account) -> None:
        answer = await self._put_three(account)
        assert (answer.status_code, answer.json()) == (400, {})
        assert self._live(account) == set()

    async def test_a_refusal_can_hide_that_the_rest_was_applied(self, account: Account) -> None:
        account.settings.bad_events = BadEvents.REFUSE_PARTLY
        answer = await self._put_three(account)
        assert (answer.status_code, answer.json()) == (400, {})
        assert self._live(account) == {"ts-1", "ts-3"}

    async def test_a_batch_can_end_at_the_bad_event_with_a_short_list(self, account: Account) -> None:
        account.settings.bad_events = BadEvents.PARTIAL
        answer = await self._put_three(account)
        assert [e["external_id"] for e in answer.json()["events"]] == ["ts-1"]
        assert self._live(account) == {"ts-1"}

    async def test_the_bad_event_alone_can_be_dropped_in_silence(self, account: Account) -> None:
        account.settings.bad_events = BadEvents.DROP
        answer = await self._put_three(account)
        assert answer.status_code == 200
        assert {e["external_id"] for e in answer.json()["events"]} == self._live(account) == {"ts-1", "ts-3"}

    async def test_a_part_of_a_title_poisons_too_and_updates_as_well(self, account: Account) -> None:
        await account.written(account.row())
        account.settings.poison = ("cursed",)
        assert (await account.put({"external_id": "ts-1", "title": "a cursed dinner"})).status_code == 400

    @pytest.mark.parametrize("missing", ["title", "start_time", "end_time", "calendar_id"])
    async def test_a_new_event_without_a_required_field_is_bad(self, account: Account, missing: str) -> None:
        row = account.row()
        del row[missing]
        assert (await account.put(row)).status_code == 400

    async def test_something_that_is_no_object_is_bad(self, account: Account) -> None:
        assert (await account.put("ts-1")).status_code == 400

    async def test_results_come_in_another_order_than_sent(self, account: Account) -> None:
        sent = [f"ts-{n}" for n in range(8)]
        shuffled = [e["external_id"] for e in await account.written(*(account.row(x) for x in sent))]
        assert shuffled != sent
        assert sorted(shuffled) == sent
        account.settings.shuffle = False
        assert [e["external_id"] for e in await account.written(*(account.row(x) for x in sent))] == sent
