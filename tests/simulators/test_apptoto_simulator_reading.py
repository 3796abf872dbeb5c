"""Apptoto simulator: lists, single events, and what it makes of times, numbers and free text."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from calrelay.simulators.apptoto.settings import Extraction
from tests.simulators.apptoto_account import JANE, MAX, START, Account, open_account


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    """An account of a simulator without a rate limit."""
    async with open_account() as opened:
        yield opened


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

    @pytest.mark.parametrize("value", [{}, None, "", "tomorrow", 17, "9999-12-31T23:00:00Z"])
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
