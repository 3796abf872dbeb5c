"""Apptoto simulator: credentials, writing and deleting events, and the modes of what the vendor leaves open."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calrelay.simulators.apptoto.settings import AfterDelete, BadEvents, CalendarChange, CalendarList, Race
from tests.simulators.apptoto_account import JANE, MAX, Account, open_account


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


_FIELDS = ("id", "external_id", "calendar_id", "calendar", "title", "start_time", "end_time", "custom_data", "participants", "show_as")
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=4
)


class TestAnyRow:
    @settings(deadline=None)
    @given(row=st.dictionaries(st.sampled_from(_FIELDS), _VALUES))
    def test_any_patch_of_a_known_event_is_answered_and_never_breaks_the_server(self, row: dict[str, Any]) -> None:
        async def put_over_a_known_event() -> int:
            async with open_account() as account:
                await account.written(account.row())
                return (await account.put({"external_id": "ts-1", **row})).status_code

        assert asyncio.run(put_over_a_known_event()) in (200, 400, 422)


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
