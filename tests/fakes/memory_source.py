"""A source that lives in memory, and builders for what flows out of it."""

import dataclasses
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from calrelay.domain.event import Event, Lifecycle, Row, SourceId, Unmappable
from calrelay.domain.people import Participant, Phone, Role
from calrelay.errors import MappingError, VendorError, VendorUnavailable
from calrelay.ports import Fact, Flaw, Page, Scope

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
_LIFECYCLES = {
    "DEFINITE": Lifecycle.LIVE,
    "CLOSED": Lifecycle.LIVE,
    "TENTATIVE": Lifecycle.LIVE,
    "LOST": Lifecycle.CANCELLED,
    "NO_SHOW": Lifecycle.KEPT,
}


def a_guest(number: int = 47) -> Participant:
    """A reachable guest; two numbers are two people."""
    return Participant(
        name=f"Guest {number}", email=f"guest{number}@example.com", phone=Phone(f"+1212555{100 + number % 100:04d}"), role=Role.CONTACT
    )


def an_event(number: int = 1, **changes: object) -> Event:
    """A wanted event, `number` days ahead."""
    start = NOW + timedelta(days=number % 150 + 1)
    event = Event(
        source_id=SourceId(str(number)),
        status="DEFINITE",
        lifecycle=Lifecycle.LIVE,
        start=start,
        end=start + timedelta(hours=2),
        zone="America/New_York",
        title=f"Dinner {number}",
        location="Alder House",
        participants=(a_guest(number),),
        facets={"rooms": frozenset({"main hall"})},
        custom={"guest_count": "40"},
        group=f"booking-{number}",
    )
    return dataclasses.replace(event, **changes)  # type: ignore[arg-type] # a builder takes whatever field the test names


def with_status(event: Event, status: str) -> Event:
    """The same event under another status of its vendor."""
    return dataclasses.replace(event, status=status, lifecycle=_LIFECYCLES.get(status, Lifecycle.UNKNOWN))


def moved(event: Event, by: timedelta) -> Event:
    """The same event at another time."""
    return dataclasses.replace(event, start=event.start + by, end=event.end + by)


class MemorySource:
    """Implements ports.Source over a dict; faults are attributes."""

    vendor = "memory"
    id_prefix = "ms-"
    clock_skew_seconds: float | None = None

    def __init__(self, events: Sequence[Event] = (), *, account: str = "venue") -> None:
        self.account = account
        self.mapping_version = "1"
        self.can_read_changes = True
        self.rows: dict[SourceId, Row] = {event.source_id: event for event in events}
        self.hidden: set[SourceId] = set()  # not listed, though there when asked for
        self.changed: set[SourceId] = set()  # what a read of changes shows
        self.requests = 0
        self.mapped = 0  # events that were read and not known already
        self.page_size = 50
        self.flaw: Flaw | None = None
        self.lost_pages = 0  # that many pages at the end are not read soundly
        self.find_error: VendorError | None = None
        self.scopes: list[Scope] = []
        self.found: list[SourceId] = []

    def put(self, *events: Event) -> None:
        """Add or replace events; a read of changes shows them."""
        for event in events:
            self.rows[event.source_id] = event
            self.changed.add(event.source_id)

    def spoil(self, number: int) -> None:
        """Make a row unmappable."""
        source_id = SourceId(str(number))
        self.rows[source_id] = Unmappable(source_id=source_id, error=MappingError("no time zone", remedy="set `zones`"))

    def remove(self, *numbers: int) -> None:
        """Delete events for good."""
        for number in numbers:
            del self.rows[SourceId(str(number))]

    async def read(self, scope: Scope) -> AsyncIterator[Page | Flaw]:
        """Yield what starts in the span, or changed."""
        self.scopes.append(scope)
        rows = [row for row in self.rows.values() if row.source_id not in self.hidden and self._is_in(row, scope)]
        pages = [rows[i : i + self.page_size] for i in range(0, len(rows), self.page_size)]
        self.requests += max(1, len(pages))
        for page in pages[: len(pages) - self.lost_pages]:
            yield self._told(page, scope)
        if self.lost_pages:
            yield Flaw(what="the last page was a login page", error=VendorUnavailable("no answer", account=self.account))
        if self.flaw:
            yield self.flaw

    def _told(self, page: Sequence[Row], scope: Scope) -> Page:
        """Leave out what the engine knows already, as a vendor does whose rows tell everything."""
        if scope.recall is None:
            return Page(rows=page)
        events = {row.source_id: row for row in page if isinstance(row, Event)}
        hashes = scope.recall({source_id: repr(event).encode() for source_id, event in events.items()})
        self.mapped += len(hashes)
        unchanged = events.keys() - hashes.keys()
        rows = [
            dataclasses.replace(row, row_hash=hashes[row.source_id]) if isinstance(row, Event) else row
            for row in page
            if row.source_id not in unchanged
        ]
        return Page(rows=rows, unchanged=unchanged)

    def _is_in(self, row: Row, scope: Scope) -> bool:
        if scope.changed_since is not None:
            return row.source_id in self.changed
        return isinstance(row, Unmappable) or row.start in scope.span.padded(timedelta(days=1))

    async def find(self, source_id: SourceId, *, is_missing: bool = False) -> Event | Unmappable | None:
        """Return an event by id."""
        self.requests += 1
        self.found.append(source_id)
        if self.find_error:
            raise self.find_error
        return self.rows.get(source_id)

    async def site_zone(self) -> str | None:
        """Return New York, where all events are."""
        return "America/New_York"

    async def probe(self) -> Sequence[Fact]:
        """Return nothing to see."""
        return ()
