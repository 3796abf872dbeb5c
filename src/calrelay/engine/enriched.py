"""A source whose events carry extra custom data, made of what its account does by itself. It decides nothing and asks nothing more."""

import dataclasses
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import aclosing

from calrelay.domain.event import Event, Extra, Row, SourceId, Unmappable
from calrelay.domain.extras import with_extras
from calrelay.engine.listening import Listener
from calrelay.ports import Clock, Fact, Flaw, Page, Scope, Source


class EnrichedSource:
    """Adds extra fields to every event of another source; implements `ports.Source`.

    The fields come from what the listener knows already, so that rows cost no requests, however many there are. A pass has the listener
    renew it beforehand. Fields of which nothing was ever known are left out, and do not count as switched on yet.

    Args:
        source: the source itself.
        listener: what is known of its account.
        extras: the fields wanted.
        now: our clock.
    """

    def __init__(self, source: Source, *, listener: Listener, extras: Collection[Extra], now: Clock) -> None:
        self._source = source
        self._listener = listener
        self._extras = tuple(sorted(extras))
        self._now = now
        self.account = source.account
        self.vendor = source.vendor
        self.id_prefix = source.id_prefix
        self.can_read_changes = source.can_read_changes

    @property
    def mapping_version(self) -> str:
        """The source's own, and the fields that can be filled: switching them on or off is a mapping change, so one hold (rule 14)."""
        known = self._listener.known
        told = [extra.value for extra in self._extras if known.can_tell(extra)]
        return " ".join([self._source.mapping_version, *(["extras", *told] if told else [])])

    @property
    def requests(self) -> int:
        """HTTP requests of the account so far."""
        return self._source.requests

    @property
    def clock_skew_seconds(self) -> float | None:
        """The vendor's Date header minus our clock at the last answer, or None."""
        return self._source.clock_skew_seconds

    async def read(self, scope: Scope) -> AsyncIterator[Page | Flaw]:
        """Yield the source's pages, each event with its extra fields; see `ports.Source`."""
        # What is added comes from elsewhere, so that no row tells by itself whether its event is as it was.
        async with aclosing(self._source.read(dataclasses.replace(scope, recall=None))) as parts:  # type: ignore[type-var] # sources are async generators
            async for part in parts:
                yield Page(rows=[self._enriched(row) for row in part.rows]) if isinstance(part, Page) else part

    async def find(self, source_id: SourceId, *, is_missing: bool = False) -> Event | Unmappable | None:
        """Ask for one event by id; see `ports.Source`."""
        row = await self._source.find(source_id, is_missing=is_missing)
        return None if row is None else self._enriched(row)

    async def site_zone(self) -> str | None:
        """Return the IANA zone of the account's site; see `ports.Source`."""
        return await self._source.site_zone()

    async def probe(self) -> Sequence[Fact]:
        """Read what `check` shows; see `ports.Source`."""
        return await self._source.probe()

    def _enriched(self, row: Row) -> Row:
        if isinstance(row, Unmappable):
            return row
        event = with_extras(row, self._extras, self._listener.known, self._now())
        trouble = self._listener.trouble_with(self._extras)
        return dataclasses.replace(event, notes=(*event.notes, trouble)) if trouble else event
