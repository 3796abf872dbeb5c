"""An Apptoto account as a target: what is asked, when a list is whole, and what proves a calendar gone. No field's meaning lives here."""

import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Final

from calrelay.domain.link import CalendarId, ExternalId, Field, TargetId
from calrelay.domain.window import Span
from calrelay.http.paging import PageFlaw, read_until_empty
from calrelay.log import get_logger
from calrelay.ports import Clock, Fact, Flaw, Holding, Put
from calrelay.vendors.apptoto.client import ApptotoClient, EventQuery, utc_now
from calrelay.vendors.apptoto.mapping import to_body, to_holding, zone_name
from calrelay.vendors.apptoto.settings import TimeZoneNames
from calrelay.vendors.apptoto.wire import EventRow

PAGE_CAP: Final = 2_000  # two hundred thousand events, more than any account has; a list without an end is not believed

_LOOK_BACK: Final = timedelta(days=60)  # where calendars are not listed, they are looked for in the events from here …
_LOOK_AHEAD: Final = timedelta(days=365)  # … to there
_SAMPLE_PAGES: Final = 10

_log = get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The calendars that could be found: names by id. `is_listed`: by the account itself; `is_whole`: nothing was left unread."""

    names: Mapping[CalendarId, str]
    is_listed: bool
    is_whole: bool

    @property
    def by_name(self) -> dict[str, CalendarId]:
        """The calendars by name; where several share one, each carries its id behind it, so that nobody has to guess."""
        count = Counter(self.names.values())
        return {name if count[name] == 1 else f"{name} ({calendar})": calendar for calendar, name in self.names.items()}


class ApptotoTarget:
    """Writes one account; implements `ports.Target`.

    Args:
        account: the account's name in the config.
        client: the account's endpoints; several pipelines may share it.
        batch_size: events in a PUT, at most.
        max_in_flight: PUTs under way at the same time; the engine keeps it.
        time_zone_names: in which words an event's zone is sent.
        now: our clock.
    """

    vendor = "apptoto"

    def __init__(
        self,
        *,
        account: str,
        client: ApptotoClient,
        batch_size: int = 10,
        max_in_flight: int = 1,
        time_zone_names: TimeZoneNames = TimeZoneNames.RAILS,
        now: Clock = utc_now,
    ) -> None:
        self.account = account
        self.batch_size = batch_size
        self.max_in_flight = max_in_flight
        self._client = client
        self._names = time_zone_names
        self._now = now
        self._nameless_zones: set[str] = set()

    @property
    def requests(self) -> int:
        """HTTP requests of the account so far, retries included."""
        return self._client.requests

    @property
    def clock_skew_seconds(self) -> float | None:
        """Apptoto's Date header minus our clock at the last answer, or None."""
        skew = self._client.clock_skew
        return None if skew is None else skew.total_seconds()

    # --- calendars ---

    async def calendars(self) -> Mapping[str, CalendarId]:
        """Return the calendars by name. Where the account does not list them, those that an event of the last or next months is in."""
        return (await self._see_calendars()).by_name

    async def calendar_is_sound(self, calendar: CalendarId) -> bool:
        """Say whether there is such a calendar, as far as reading can tell; nothing is written to find out.

        An account that lists its calendars proves it. One that does not is searched for an event in the calendar: one is proof, none in all
        of those months counts as gone, because after several refusals in a row a wrong or removed calendar is likelier than a calendar
        without events; then nothing is quarantined, and the operator is told. Sound when there were too many events to look at. Raises
        VendorError when the account cannot be read.
        """
        seen = await self._see_calendars(until=calendar)
        return calendar in seen.names or not seen.is_whole

    async def _see_calendars(self, until: CalendarId | None = None) -> _Seen:
        """Find out which calendars there are; where events have to tell, no longer than until one is in `until`."""
        listed = await self._client.calendars()
        if listed is not None:
            return _Seen(names={CalendarId(row.id): row.name or row.id for row in listed}, is_listed=True, is_whole=True)
        names: dict[CalendarId, str] = {}
        query = self._sample()
        for page in range(1, _SAMPLE_PAGES + 1):
            rows = await self._client.list_events(query, page)
            names |= {CalendarId(row.calendar_id): row.calendar_name or row.calendar_id for row in rows if row.calendar_id}
            if not rows or until in names:
                return _Seen(names=names, is_listed=False, is_whole=True)
        return _Seen(names=names, is_listed=False, is_whole=False)

    def _sample(self) -> EventQuery:
        return EventQuery(begin=self._now() - _LOOK_BACK, end=self._now() + _LOOK_AHEAD)

    # --- writing ---

    async def upsert(self, puts: Sequence[Put]) -> Sequence[Holding]:
        """Create or update, matched by external_id; see `ports.Target`."""
        if len(puts) > self.batch_size:
            raise ValueError(f"{len(puts)} events are more than a batch of {self.batch_size}")
        if not puts:
            return ()
        self._note_nameless_zones(puts)
        rows = await self._client.put_events(to_body(puts, self._names))
        self._note_unusable_phones(rows)
        return [to_holding(row) for row in rows]

    async def delete(self, target_id: TargetId) -> None:
        """Delete one event by Apptoto's id; see `ports.Target`."""
        await self._client.delete_event(target_id)

    def _note_nameless_zones(self, puts: Sequence[Put]) -> None:
        """Say once for each zone that messages will show the calendar's own clock."""
        if self._names is TimeZoneNames.OMIT:
            return
        for zone in {put.entry.zone for put in puts if Field.TIME_ZONE in put.fields} - self._nameless_zones:
            if zone_name(zone, self._names) is None:
                self._nameless_zones.add(zone)
                _log.warning("no Rails name for a time zone; messages show the calendar's own", account=self.account, zone=zone)

    def _note_unusable_phones(self, rows: Sequence[EventRow]) -> None:
        """Say which events have a number that Apptoto will not dial (Apptoto: 10, 5); it is recorded as sent all the same."""
        affected = [row.external_id or row.id for row in rows if any(p.is_undiallable for p in row.participants)]
        if affected:
            _log.warning("Apptoto did not normalise a phone number", account=self.account, events=affected)

    # --- reading back ---

    async def find(self, external_id: ExternalId) -> Holding | None:
        """Return one event by external id, deleted ones with `is_deleted`; None when Apptoto has none, or shows a deleted one no more."""
        row = await self._client.event(external_id=external_id)
        if row is None:
            return None
        # It was asked for by this id, so it has it, whether or not Apptoto echoes it.
        return dataclasses.replace(to_holding(row), external_id=external_id)

    async def listing(self, span: Span, *, include_deleted: bool = False) -> AsyncIterator[Sequence[Holding] | Flaw]:
        """Yield the events that start in the span, of all calendars; see `ports.Target`.

        Filters may be ignored in silence (rule 2), so what does not belong is left out here; a start that is not told is let in.
        """
        query = EventQuery(begin=span.begin, end=span.end, include_deleted=include_deleted)

        async def fetch(number: int) -> Sequence[EventRow]:
            return await self._client.list_events(query, number)

        async with aclosing(read_until_empty(fetch, key=lambda row: row.id, cap=PAGE_CAP)) as outcomes:
            async for outcome in outcomes:
                if isinstance(outcome, PageFlaw):
                    yield Flaw(what=outcome.what, error=outcome.error)
                    continue
                held = [to_holding(row) for row in outcome.rows]
                if here := [h for h in held if (include_deleted or not h.is_deleted) and (h.start is None or h.start in span)]:
                    yield here

    # --- check ---

    async def probe(self) -> Sequence[Fact]:
        """Read what `check` shows: the calendars with their ids, and whether events may be read."""
        seen = await self._see_calendars()
        found = await self._client.list_events(self._sample())
        return [
            _calendars_fact(seen),
            *(Fact(name=f"calendar {calendar}", value=name) for name, calendar in seen.by_name.items()),
            Fact(name="events", value=f"readable, {len(found)} on the first page of the months around today"),
        ]


def _calendars_fact(seen: _Seen) -> Fact:
    count = f"{len(seen.names)}"
    if seen.is_listed:
        warning = "" if seen.names else "the account has no calendar: make one in Apptoto"
        return Fact(name="calendars", value=f"{count}, as the account lists them", warning=warning)
    return Fact(
        name="calendars",
        value=f"{count}, found in its events, because it does not list them",
        warning="a calendar without events is not found by its name: give its number as `calendar_id`",
    )
