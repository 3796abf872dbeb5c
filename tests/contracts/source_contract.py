"""What every source keeps, whatever its vendor: a read is whole or says why not, and gone needs proof (rules 1 to 3)."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol

import pytest

from calrelay.domain.event import Event, Lifecycle, Row, SourceId, Unmappable
from calrelay.domain.window import Span
from calrelay.errors import AuthFailed, VendorError
from calrelay.ports import Flaw, Page, Scope, Source
from calrelay.simulators.faults import Fault, Faults, Kind

DAY = timedelta(days=1)


class SourceBench(Protocol):
    """A source in front of its vendor's simulator, and a hand on that. The source retries without waiting."""

    @property
    def source(self) -> Source:
        """The source."""

    @property
    def faults(self) -> Faults:
        """The simulator's faults."""

    @property
    def now(self) -> datetime:
        """The time at which everything happens."""

    @property
    def listing(self) -> str:
        """Part of the path of the calls that list, and of no other."""

    @property
    def empty_page(self) -> str:
        """JSON of a page that has no rows, though more pages are promised."""

    @property
    def page_size(self) -> int:
        """Rows in a full page."""

    def add(self, start: datetime) -> SourceId:
        """Book something that starts at this instant."""

    def rename(self, source_id: SourceId) -> None:
        """Change what it is called."""

    def cancel(self, source_id: SourceId) -> None:
        """Cancel it: it stays, and says so."""

    def delete(self, source_id: SourceId) -> None:
        """Delete it for good."""

    def spoil(self, source_id: SourceId) -> None:
        """Make a row of it that cannot be mapped."""

    def overlap_pages(self, rows: int) -> None:
        """Show this many rows of each page on the next one again."""

    def refuse_credentials(self) -> None:
        """Accept no credentials any more."""


class Reading:
    """Everything one read yielded."""

    def __init__(self, outcomes: Collection[Page | Flaw]) -> None:
        self.flaws = [outcome for outcome in outcomes if isinstance(outcome, Flaw)]
        self.rows: list[Row] = [row for outcome in outcomes if isinstance(outcome, Page) for row in outcome.rows]

    @property
    def ids(self) -> list[SourceId]:
        return sorted(row.source_id for row in self.rows)

    def event(self, source_id: SourceId) -> Event:
        [row] = [row for row in self.rows if row.source_id == source_id]
        assert isinstance(row, Event)
        return row


async def read(bench: SourceBench, *, changed_since: datetime | None = None, days: int = 180) -> Reading:
    span = Span(begin=bench.now - DAY, end=bench.now + days * DAY)
    return Reading([outcome async for outcome in bench.source.read(Scope(span=span, changed_since=changed_since))])


def fill(bench: SourceBench, pages: int) -> list[SourceId]:
    """Book so much that it takes this many pages."""
    count = bench.page_size * (pages - 1) + 2
    return sorted(bench.add(bench.now + DAY + number * timedelta(hours=2)) for number in range(count))


class SourceContract:
    """Subclass it and give the fixture `bench`."""

    # --- whole reads ---

    async def test_every_event_is_read_once_over_all_pages(self, bench: SourceBench) -> None:
        ids = fill(bench, pages=3)
        found = await read(bench)
        assert found.flaws == []
        assert found.ids == ids

    async def test_nothing_booked_is_a_whole_read(self, bench: SourceBench) -> None:
        found = await read(bench)
        assert (found.rows, found.flaws) == ([], [])

    async def test_events_at_the_very_edges_of_the_span_are_read(self, bench: SourceBench) -> None:
        """Vendors search by days of their own zone; nothing in the span may fall through between two zones."""
        edges = [bench.add(bench.now - DAY), bench.add(bench.now + 180 * DAY)]
        found = await read(bench)
        assert found.ids == sorted(edges)

    async def test_instants_are_aware_and_right(self, bench: SourceBench) -> None:
        start = (bench.now + 30 * DAY).replace(hour=23, minute=30, second=0, microsecond=0)
        source_id = bench.add(start)
        event = (await read(bench, days=60)).event(source_id)
        assert event.start == start
        assert event.end > start
        assert event.start.utcoffset() == timedelta()

    async def test_a_cancelled_event_is_read_and_says_so(self, bench: SourceBench) -> None:
        """Statuses are never left to the vendor's filter: a cancellation must be seen (rule 2)."""
        source_id = bench.add(bench.now + DAY)
        bench.cancel(source_id)
        assert (await read(bench)).event(source_id).lifecycle is Lifecycle.CANCELLED

    async def test_a_row_that_cannot_be_mapped_costs_only_itself(self, bench: SourceBench) -> None:
        bad, good = bench.add(bench.now + DAY), bench.add(bench.now + 2 * DAY)
        bench.spoil(bad)
        found = await read(bench)
        assert found.flaws == []
        assert found.ids == sorted([bad, good])
        [row] = [row for row in found.rows if isinstance(row, Unmappable)]
        assert row.source_id == bad
        assert row.error.remedy

    async def test_rows_that_come_twice_are_read_once(self, bench: SourceBench) -> None:
        ids = fill(bench, pages=3)
        bench.overlap_pages(2)
        assert (await read(bench)).ids == ids

    async def test_a_change_is_among_the_changes(self, bench: SourceBench) -> None:
        if not bench.source.can_read_changes:
            pytest.skip("this vendor cannot tell what changed")
        source_id = bench.add(bench.now + 3 * DAY)
        bench.rename(source_id)
        found = await read(bench, changed_since=bench.now - timedelta(minutes=5))
        assert found.flaws == []
        assert source_id in found.ids

    async def test_requests_are_counted(self, bench: SourceBench) -> None:
        fill(bench, pages=2)
        before = bench.source.requests
        await read(bench)
        assert bench.source.requests >= before + 2

    # --- reads that are not whole ---

    @pytest.mark.parametrize("kind", [Kind.HTML, Kind.EMPTY, Kind.CUT])
    async def test_a_page_that_is_not_what_was_promised_is_a_flaw_and_the_others_count(self, bench: SourceBench, kind: Kind) -> None:
        ids = fill(bench, pages=3)
        bench.faults.add(Fault(kind=kind, path=bench.listing, skip=1, times=None))
        found = await read(bench)
        assert found.flaws
        assert all(isinstance(flaw.error, VendorError) for flaw in found.flaws)
        assert 0 < len(found.ids) < len(ids)

    @pytest.mark.parametrize("status", [400, 404, 429, 500, 502])
    async def test_a_failing_page_is_a_flaw_and_the_others_count(self, bench: SourceBench, status: int) -> None:
        ids = fill(bench, pages=3)
        bench.faults.add(Fault(kind=Kind.STATUS, status=status, path=bench.listing, skip=1, times=None))
        found = await read(bench)
        assert found.flaws
        assert 0 < len(found.ids) < len(ids)

    @pytest.mark.parametrize("kind", [Kind.HTML, Kind.EMPTY, Kind.CUT, Kind.RESET])
    async def test_no_sound_page_at_all_is_a_flaw_and_never_an_empty_calendar(self, bench: SourceBench, kind: Kind) -> None:
        fill(bench, pages=1)
        bench.faults.add(Fault(kind=kind, path=bench.listing, times=None))
        found = await read(bench)
        assert found.flaws
        assert found.rows == []

    async def test_a_promised_page_without_rows_is_a_flaw(self, bench: SourceBench) -> None:
        fill(bench, pages=3)
        bench.faults.add(Fault(kind=Kind.STATUS, status=200, body=bench.empty_page, path=bench.listing, skip=1))
        assert (await read(bench)).flaws

    async def test_a_hiccup_is_repeated_and_no_flaw(self, bench: SourceBench) -> None:
        ids = fill(bench, pages=2)
        bench.faults.add(Fault(kind=Kind.STATUS, status=503, path=bench.listing, skip=1, times=2))
        found = await read(bench)
        assert (found.flaws, found.ids) == ([], ids)

    async def test_refused_credentials_are_a_flaw_that_says_so(self, bench: SourceBench) -> None:
        fill(bench, pages=1)
        bench.refuse_credentials()
        found = await read(bench)
        assert found.rows == []
        assert any(isinstance(flaw.error, AuthFailed) for flaw in found.flaws)

    # --- one event ---

    async def test_an_event_found_by_id_is_the_event_that_is_read(self, bench: SourceBench) -> None:
        source_id = bench.add(bench.now + DAY)
        assert await bench.source.find(source_id) == (await read(bench)).event(source_id)

    async def test_a_deleted_event_is_gone_by_id(self, bench: SourceBench) -> None:
        source_id = bench.add(bench.now + DAY)
        bench.delete(source_id)
        assert await bench.source.find(source_id) is None

    async def test_a_deleted_event_is_not_read_as_live(self, bench: SourceBench) -> None:
        source_id = bench.add(bench.now + DAY)
        bench.delete(source_id)
        rows = [row for row in (await read(bench)).rows if row.source_id == source_id]
        assert all(isinstance(row, Event) and row.lifecycle is Lifecycle.CANCELLED for row in rows)

    @pytest.mark.parametrize("status", [401, 403, 429, 500, 502])
    async def test_a_failure_is_no_proof_that_an_event_is_gone(self, bench: SourceBench, status: int) -> None:
        source_id = bench.add(bench.now + DAY)
        bench.faults.add(Fault(kind=Kind.STATUS, status=status, times=None))
        with pytest.raises(VendorError):
            await bench.source.find(source_id)

    @pytest.mark.parametrize("kind", [Kind.HTML, Kind.EMPTY, Kind.CUT, Kind.RESET])
    async def test_an_unsound_answer_is_no_proof_that_an_event_is_gone(self, bench: SourceBench, kind: Kind) -> None:
        source_id = bench.add(bench.now + DAY)
        bench.faults.add(Fault(kind=kind, times=None))
        with pytest.raises(VendorError):
            await bench.source.find(source_id)

    async def test_a_404_page_for_people_is_no_proof_that_an_event_is_gone(self, bench: SourceBench) -> None:
        """A wrong address answers so, for every event there is."""
        source_id = bench.add(bench.now + DAY)
        bench.faults.add(Fault(kind=Kind.STATUS, status=404, body="<html><body>Not found</body></html>", times=None))
        with pytest.raises(VendorError):
            await bench.source.find(source_id)

    # --- the account ---

    async def test_the_probe_shows_facts(self, bench: SourceBench) -> None:
        bench.add(bench.now + DAY)
        facts = await bench.source.probe()
        assert facts
        assert all(fact.name and fact.value for fact in facts)

    async def test_the_probe_fails_where_the_account_does_not_work(self, bench: SourceBench) -> None:
        bench.refuse_credentials()
        with pytest.raises(AuthFailed):
            await bench.source.probe()

    async def test_it_says_what_it_is(self, bench: SourceBench) -> None:
        source = bench.source
        assert all((source.account, source.vendor, source.id_prefix.endswith("-"), source.mapping_version))
