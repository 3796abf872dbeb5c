"""What every target keeps, fake or real; a subclass brings the target and the means to hurt it. No tests are collected from here."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from calrelay.domain.entry import Entry
from calrelay.domain.link import CalendarId, ExternalId, Field, TargetId
from calrelay.domain.people import Participant, Phone, Role
from calrelay.domain.window import Span
from calrelay.domain.zones import resolve_zone, with_offset
from calrelay.errors import AuthFailed, RequestRejected, VendorUnavailable
from calrelay.ports import Flaw, HeldPerson, Holding, Put, Target

START = datetime(2026, 12, 3, 23, 30, tzinfo=UTC)  # 18:30 in New York
YEAR = Span(begin=START - timedelta(days=180), end=START + timedelta(days=180))
EVERYTHING = frozenset(Field)

JANE = Participant(name="Jane Roe", email="jane@example.com", phone=Phone("+12125550147"), role=Role.CONTACT)
MAX = Participant(name="Max Moe", email="max@example.com", phone=Phone("+13125550123"), role=Role.CONTACT)


def an_entry(calendar: CalendarId, *, start: datetime = START, zone: str = "America/New_York", **changes: Any) -> Entry:
    """A dinner of three and a half hours in New York."""
    whole: dict[str, Any] = {
        "title": "Holiday dinner",
        "location": "Main Hall",
        "content": "40 guests",
        "participants": (JANE,),
        "custom_data": {"guest_count": "40"},
    }
    clock = resolve_zone(zone)
    return Entry(
        calendar=calendar,
        start=with_offset(start, clock),
        end=with_offset(start + timedelta(hours=3, minutes=30), clock),
        zone=clock,
        **whole | changes,
    )


def a_put(external_id: str, entry: Entry, fields: frozenset[Field] = EVERYTHING) -> Put:
    """A create, or with less than all fields an update."""
    return Put(external_id=ExternalId(external_id), calendar=entry.calendar, entry=entry, fields=fields)


class TargetWorld(Protocol):
    """A target with two calendars, nothing in them and a page size of three, and the ways to hurt it."""

    main_hall: CalendarId
    terrace: CalendarId

    @property
    def target(self) -> Target:
        """The target itself."""

    def refuse(self, external_id: str) -> None:
        """Refuse every batch with this event."""

    def drop(self, external_id: str) -> None:
        """Leave this event out, without a word."""

    def fail_writes(self, *, applied: bool) -> None:
        """Let the next upsert fail with no sound answer, although it may have been applied."""

    def fail_page(self) -> None:
        """Let one page of the next listing fail."""

    def refuse_credentials(self) -> None:
        """Refuse everything that comes now."""

    def hide_external_ids(self) -> None:
        """Leave external ids out of every answer."""


class TargetContract:
    """Subclass it with a fixture `world` that gives a TargetWorld."""

    @pytest.fixture
    def world(self) -> TargetWorld:
        raise NotImplementedError("a subclass brings its world")

    # --- writing ---

    async def test_what_was_sent_is_what_is_held(self, world: TargetWorld) -> None:
        [holding] = await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        assert holding.offset in (None, timedelta(hours=-5))  # a target need not tell it
        assert holding == Holding(
            target_id=holding.target_id,
            external_id=ExternalId("ts-1"),
            calendar=world.main_hall,
            is_deleted=False,
            start=START,
            end=START + timedelta(hours=3, minutes=30),
            title="Holiday dinner",
            location="Main Hall",
            content="40 guests",
            participants=(HeldPerson(name="Jane Roe", email="jane@example.com", phone="+12125550147"),),
            custom_data={"guest_count": "40"},
            offset=holding.offset,
        )

    async def test_sending_the_same_again_makes_no_second_event(self, world: TargetWorld) -> None:
        put = a_put("ts-1", an_entry(world.main_hall))
        [first], [second] = await world.target.upsert([put]), await world.target.upsert([put])
        assert first == second
        assert [h.target_id for h in await _listed(world)] == [first.target_id]

    async def test_an_update_changes_its_fields_and_no_others(self, world: TargetWorld) -> None:
        await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        new = an_entry(world.main_hall, title="Supper", location="Cellar", content="", participants=(), custom_data={})
        await world.target.upsert([a_put("ts-1", new, frozenset({Field.TITLE}))])
        held = await _found(world, "ts-1")
        assert (held.title, held.location, held.content) == ("Supper", "Main Hall", "40 guests")
        assert [p.name for p in held.participants or ()] == ["Jane Roe"]
        assert held.custom_data == {"guest_count": "40"}

    async def test_an_event_is_moved_in_time_alone(self, world: TargetWorld) -> None:
        await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        later = an_entry(world.main_hall, start=START + timedelta(days=120), title="unsent")
        await world.target.upsert([a_put("ts-1", later, frozenset({Field.START, Field.END}))])
        held = await _found(world, "ts-1")
        assert (held.start, held.end, held.title) == (later.start, later.end, "Holiday dinner")

    async def test_people_and_custom_data_are_replaced_as_a_whole(self, world: TargetWorld) -> None:
        await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        new = an_entry(world.main_hall, participants=(MAX,), custom_data={"table": "7"})
        await world.target.upsert([a_put("ts-1", new, frozenset({Field.PARTICIPANTS, Field.CUSTOM_DATA}))])
        held = await _found(world, "ts-1")
        assert [p.name for p in held.participants or ()] == ["Max Moe"]
        assert held.custom_data == {"table": "7"}

    async def test_a_whole_batch_is_answered_in_whatever_order(self, world: TargetWorld) -> None:
        puts = [a_put(f"ts-{n}", an_entry(world.main_hall)) for n in range(world.target.batch_size)]
        holdings = await world.target.upsert(puts)
        assert {h.external_id for h in holdings} == {put.external_id for put in puts}

    async def test_more_than_a_batch_is_not_even_sent(self, world: TargetWorld) -> None:
        puts = [a_put(f"ts-{n}", an_entry(world.main_hall)) for n in range(world.target.batch_size + 1)]
        before = world.target.requests
        with pytest.raises(ValueError, match="batch"):
            await world.target.upsert(puts)
        assert world.target.requests == before

    async def test_a_refused_batch_leaves_nothing_behind(self, world: TargetWorld) -> None:
        world.refuse("ts-2")
        with pytest.raises(RequestRejected):
            await world.target.upsert([a_put(f"ts-{n}", an_entry(world.main_hall)) for n in (1, 2, 3)])
        assert await _listed(world) == []

    async def test_an_answer_may_be_shorter_than_what_was_sent(self, world: TargetWorld) -> None:
        world.drop("ts-2")
        holdings = await world.target.upsert([a_put(f"ts-{n}", an_entry(world.main_hall)) for n in (1, 2, 3)])
        assert {h.external_id for h in holdings} == {"ts-1", "ts-3"}

    async def test_an_unknown_calendar_is_refused_and_not_made(self, world: TargetWorld) -> None:
        before = await world.target.calendars()
        with pytest.raises(RequestRejected):
            await world.target.upsert([a_put("ts-1", an_entry(CalendarId("4711")))])
        assert await world.target.calendars() == before

    @pytest.mark.parametrize("applied", [False, True])
    async def test_a_write_without_an_answer_can_be_repeated(self, world: TargetWorld, applied: bool) -> None:
        put = a_put("ts-1", an_entry(world.main_hall))
        world.fail_writes(applied=applied)
        with pytest.raises(VendorUnavailable):
            await world.target.upsert([put])
        assert (await world.target.find(put.external_id) is not None) is applied
        await world.target.upsert([put])
        assert len(await _listed(world)) == 1

    # --- deleting ---

    async def test_a_deleted_event_is_not_listed_and_not_shown_as_live(self, world: TargetWorld) -> None:
        [holding] = await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        await world.target.delete(holding.target_id)
        found = await world.target.find(ExternalId("ts-1"))
        assert found is None or found.is_deleted
        assert await _listed(world) == []

    async def test_deleting_twice_is_as_good_as_once(self, world: TargetWorld) -> None:
        [holding] = await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        await world.target.delete(holding.target_id)
        await world.target.delete(holding.target_id)
        assert await _listed(world) == []

    async def test_deleting_what_never_was_is_a_success_and_hurts_nobody(self, world: TargetWorld) -> None:
        await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        await world.target.delete(TargetId("1"))
        assert len(await _listed(world)) == 1

    # --- reading ---

    async def test_an_event_that_is_not_there_is_none(self, world: TargetWorld) -> None:
        await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        assert await world.target.find(ExternalId("ts-404")) is None

    async def test_an_event_that_was_asked_for_is_named_even_where_ids_are_not_echoed(self, world: TargetWorld) -> None:
        world.hide_external_ids()
        [holding] = await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        assert holding.external_id is None
        found = await _found(world, "ts-1")
        assert (found.external_id, found.target_id) == ("ts-1", holding.target_id)

    async def test_a_list_holds_all_calendars_and_both_ends_of_the_span(self, world: TargetWorld) -> None:
        hour = timedelta(hours=1)
        starts = {"ts-before": START - hour, "ts-first": START, "ts-last": START + hour, "ts-after": START + 2 * hour}
        for number, (external_id, start) in enumerate(starts.items()):
            await world.target.upsert([a_put(external_id, an_entry((world.main_hall, world.terrace)[number % 2], start=start))])
        listed = await _listed(world, Span(begin=START, end=START + hour))
        assert {h.external_id for h in listed} == {"ts-first", "ts-last"}
        assert {h.calendar for h in listed} == {world.main_hall, world.terrace}

    async def test_deleted_events_are_listed_on_request_and_flagged(self, world: TargetWorld) -> None:
        await _fill(world, 4)
        gone = await _found(world, "ts-2")
        await world.target.delete(gone.target_id)
        pages, flaws = await _pages(world, YEAR, include_deleted=True)
        assert flaws == []
        assert {h.external_id: h.is_deleted for page in pages for h in page} == {
            "ts-0": False,
            "ts-1": False,
            "ts-2": True,
            "ts-3": False,
        }

    async def test_a_span_may_end_within_a_second(self, world: TargetWorld) -> None:
        """Chunks of a span end a microsecond before the next begins."""
        await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])
        assert await _listed(world, Span(begin=START - timedelta(hours=1), end=START - timedelta(microseconds=1))) == []
        assert len(await _listed(world, Span(begin=START, end=START + timedelta(microseconds=999_999)))) == 1

    async def test_a_list_of_several_pages_is_whole_and_without_doubles(self, world: TargetWorld) -> None:
        await _fill(world, 8)
        listed = await _listed(world)
        assert sorted(h.external_id or "" for h in listed) == [f"ts-{n}" for n in range(8)]

    async def test_an_empty_list_is_whole(self, world: TargetWorld) -> None:
        assert await _listed(world) == []

    async def test_a_page_that_fails_is_a_flaw_and_the_others_still_count(self, world: TargetWorld) -> None:
        await _fill(world, 8)
        world.fail_page()
        pages, flaws = await _pages(world, YEAR)
        assert flaws
        assert 0 < sum(len(page) for page in pages) < 8

    # --- calendars and credentials ---

    async def test_calendars_are_told_by_name(self, world: TargetWorld) -> None:
        assert await world.target.calendars() == {"Main Hall": world.main_hall, "Terrace": world.terrace}

    async def test_a_calendar_that_is_there_is_sound_and_another_is_not(self, world: TargetWorld) -> None:
        assert await world.target.calendar_is_sound(world.main_hall)
        assert not await world.target.calendar_is_sound(CalendarId("4711"))

    async def test_an_account_is_probed_without_a_trace(self, world: TargetWorld) -> None:
        facts = await world.target.probe()
        assert any("Main Hall" in fact.value for fact in facts)
        assert await _listed(world) == []

    async def test_refused_credentials_are_told_as_such(self, world: TargetWorld) -> None:
        world.refuse_credentials()
        with pytest.raises(AuthFailed):
            await world.target.probe()
        with pytest.raises(AuthFailed):
            await world.target.upsert([a_put("ts-1", an_entry(world.main_hall))])

    async def test_requests_are_counted(self, world: TargetWorld) -> None:
        before = world.target.requests
        await world.target.find(ExternalId("ts-1"))
        assert world.target.requests == before + 1


async def _fill(world: TargetWorld, count: int) -> None:
    for n in range(count):
        await world.target.upsert([a_put(f"ts-{n}", an_entry(world.main_hall, start=START + timedelta(days=n)))])


async def _pages(world: TargetWorld, span: Span, *, include_deleted: bool = False) -> tuple[list[Sequence[Holding]], list[Flaw]]:
    pages, flaws = [], []
    async for page in world.target.listing(span, include_deleted=include_deleted):
        if isinstance(page, Flaw):
            flaws.append(page)
        else:
            pages.append(page)
    return pages, flaws


async def _listed(world: TargetWorld, span: Span = YEAR) -> list[Holding]:
    """Read a list that must be whole."""
    pages, flaws = await _pages(world, span)
    assert flaws == []
    return [holding for page in pages for holding in page]


async def _found(world: TargetWorld, external_id: str) -> Holding:
    found = await world.target.find(ExternalId(external_id))
    assert found is not None
    return found
