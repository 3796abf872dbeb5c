"""A Tripleseat account as a source: what to ask for, when a read is whole, and how rows become events. No field's meaning lives here."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Final

from calrelay.domain.event import Event, SourceId, Unmappable
from calrelay.domain.people import Role
from calrelay.domain.window import Span
from calrelay.domain.zones import Zone, resolve_zone
from calrelay.errors import MappingError, NotFound, VendorError
from calrelay.http.paging import Page as FetchedPage
from calrelay.http.paging import PageFlaw, read_pages
from calrelay.ports import Clock, Fact, Flaw, Page, Recall, Scope
from calrelay.vendors.tripleseat.auth import utc_now
from calrelay.vendors.tripleseat.client import Days, Direction, Order, Search, TripleseatClient
from calrelay.vendors.tripleseat.context import Context
from calrelay.vendors.tripleseat.mapping import MAPPING_VERSION, is_deleted, lacks_channels, lacks_zone, to_canonical
from calrelay.vendors.tripleseat.wire import EventRow, Location, Site, Unreadable, bytes_of

PAGE_CAP: Final = 2_000  # a hundred thousand events, more than any venue has; a vendor that promises more is not believed

ELSEWHERE: Final = "at a site or location that this account does not read"

_DAY: Final = timedelta(days=1)
_BEHIND: Final = timedelta(hours=12)  # clocks are at most this far behind UTC …
_AHEAD: Final = timedelta(hours=14)  # … and at most this far ahead


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What of an account is read: one site, some locations, or all there is; and the OAuth scope, for `check`."""

    site_id: str | None = None
    location_ids: tuple[str, ...] = ()
    scope: str = ""

    def covers(self, row: EventRow) -> bool:
        """Say whether an event is at one of these places. Asked for by its id, as after a webhook, one of any site answers."""
        is_here = self.site_id is None or row.site_id in (None, self.site_id)
        return is_here and (not self.location_ids or row.location_id is None or row.location_id in self.location_ids)


@dataclasses.dataclass(slots=True, kw_only=True)
class _Walk:
    """One reading of a list: the ids it showed, rows without an id, and rows that were shown twice."""

    ids: set[str] = dataclasses.field(default_factory=set)
    strays: int = 0
    repeated: int = 0
    is_flawed: bool = False

    @property
    def is_doubtful(self) -> bool:
        """Whether rows moved between pages meanwhile, so that one may have slipped through."""
        return self.repeated > 0 and not self.is_flawed


class TripleseatSource:
    """Reads one account for one pipeline; implements `ports.Source`.

    Args:
        account: the account's name in the config.
        client: the account's endpoints; several pipelines may share it.
        people: the roles a pipeline wants to reach.
        region: how phone numbers without a country code are read.
        zones: the config's zones by "site:<id>" and "location:<id>".
        reach: what of the account is read.
        now: our clock.
    """

    vendor = "tripleseat"
    id_prefix = "ts-"
    mapping_version = f"tripleseat-{MAPPING_VERSION}"
    can_read_changes = True

    def __init__(
        self,
        *,
        account: str,
        client: TripleseatClient,
        people: Collection[Role] = (Role.CONTACT,),
        region: str = "US",
        zones: Mapping[str, str] | None = None,
        reach: Reach = Reach(),
        now: Clock = utc_now,
    ) -> None:
        self.account = account
        self._client = client
        self._context = Context(people=frozenset(people), region=region, zones=dict(zones or {}))
        self._reach = reach
        self._now = now

    @property
    def requests(self) -> int:
        """HTTP requests of the account so far, retries and token requests included."""
        return self._client.http.requests

    @property
    def clock_skew_seconds(self) -> float | None:
        """Tripleseat's Date header minus our clock at the last answer, or None."""
        skew = self._client.http.last_date_skew
        return None if skew is None else skew.total_seconds()

    # --- reading ---

    async def read(self, scope: Scope) -> AsyncIterator[Page | Flaw]:
        """Yield pages of rows, and a flaw for whatever was not read soundly; see `ports.Source`.

        Where rows moved from page to page meanwhile, the list is read a second time: it is whole when that reading is calm, or shows the
        same events. The list has no snapshot (Tripleseat: 4, stability).
        """
        search = self._search(scope)
        walk = _Walk()
        async for outcome in self._walk(search, walk, known=frozenset(), recall=scope.recall):
            yield outcome
        if not walk.is_doubtful:
            return
        again = _Walk()
        async for outcome in self._walk(search, again, known=walk.ids, recall=scope.recall):
            yield outcome
        if again.is_doubtful and again.ids != walk.ids:
            yield Flaw(what="events moved from page to page while the list was read, twice; one may have slipped through")

    async def find(self, source_id: SourceId, *, is_missing: bool = False) -> Event | Unmappable | None:  # noqa: ARG002 - a 404 is proof enough
        """Ask for one event by id; None is proof that it is gone (404 or `deleted_at`). Raises VendorError when nothing is proven."""
        try:
            row = await self._client.show(source_id)
        except NotFound:
            return None
        if is_deleted(row):
            return None
        context = await self._with_site_zones() if lacks_zone(row, self._context) else self._context
        return self._mapped(row, context)

    def _search(self, scope: Scope) -> Search:
        """Say what to search for, padded by a day on both sides whatever the site's zone (Tripleseat: 11, zone and edge of search dates).

        What changed is searched for by date only, because there is no time of day (Tripleseat: 4, updated filter), and wherever it starts:
        an event that was moved out of the span has changed, too.
        """
        reach = Search(site_id=self._reach.site_id, location_ids=self._reach.location_ids, direction=Direction.ASCENDING)
        if scope.changed_since is None:
            return dataclasses.replace(reach, order=Order.START, starting=_days(scope.span.begin, scope.span.end))
        return dataclasses.replace(reach, order=Order.UPDATED, updated=_days(scope.changed_since, self._now()))

    async def _walk(self, search: Search, walk: _Walk, known: Collection[str], recall: Recall | None) -> AsyncIterator[Page | Flaw]:
        """Read all pages once, and yield the rows that are not known yet."""

        async def fetch(number: int) -> FetchedPage[EventRow | Unreadable]:
            page = await self._client.search(search, number)
            named = [row for row in page.rows if row.id is not None]
            walk.strays += len(page.rows) - len(named)
            return FetchedPage(rows=named, total_pages=page.total_pages)

        async with aclosing(read_pages(fetch, key=lambda row: row.id, cap=PAGE_CAP)) as outcomes:
            async for outcome in outcomes:
                if isinstance(outcome, PageFlaw):
                    walk.is_flawed = True
                    yield Flaw(what=outcome.what, error=outcome.error)
                    continue
                walk.repeated += outcome.repeated
                walk.ids.update(row.id for row in outcome.rows if row.id is not None)
                for part in await self._mapped_page([row for row in outcome.rows if row.id not in known], recall):
                    yield part
        if walk.strays:
            walk.is_flawed = True
            yield Flaw(what=f"{walk.strays} rows have no id")

    async def _mapped_page(self, rows: Sequence[EventRow | Unreadable], recall: Recall | None) -> list[Page | Flaw]:
        """Map a page, save the rows that are known; a row for which more would have to be asked, in vain, makes the read incomplete."""
        flaws: list[Flaw] = []
        listed = [row for row in rows if isinstance(row, EventRow)]
        readable = await self._completed(listed, flaws)
        context = dataclasses.replace(self._context, explains=False)  # nobody asked for one of them
        zoneless = {row.id for row in readable if lacks_zone(row, context)}
        if zoneless:
            try:
                context = dataclasses.replace(await self._with_site_zones(), explains=False)
            except VendorError as error:
                flaws.append(Flaw(what=f"the zones of {len(zoneless)} events could not be read from their sites", error=error))
                readable = [row for row in readable if row.id not in zoneless]
        refused = [_refused(row) for row in rows if isinstance(row, Unreadable)]
        if recall is None:
            return [Page(rows=[*refused, *(self._mapped(row, context) for row in readable)]), *flaws]
        as_came = {id(row) for row in listed}  # the others were asked for by their id; and of the zoneless, the site tells the zone
        as_listed = {SourceId(row.id): row for row in readable if id(row) in as_came and row.id not in zoneless}
        hashes = recall({source_id: bytes_of(row) for source_id, row in as_listed.items()})
        unchanged = as_listed.keys() - hashes.keys()
        mapped = [self._mapped(row, context, hashes.get(SourceId(row.id), "")) for row in readable if row.id not in unchanged]
        return [Page(rows=[*refused, *mapped], unchanged=unchanged), *flaws]

    async def _completed(self, rows: Sequence[EventRow], flaws: list[Flaw]) -> list[EventRow]:
        """Ask by id for the events whose rows do not tell how to reach people; the client bounds how many at once."""

        async def complete(row: EventRow) -> EventRow | None:
            try:
                return await self._client.show(row.id)
            except NotFound:
                return None  # deleted since its page was read; the engine asks for it by id if it is expected
            except VendorError as error:
                flaws.append(Flaw(what=f"event {row.id} could not be read whole by its id", error=error))
                return None

        lacking = [row for row in rows if lacks_channels(row, self._context)]
        if not lacking:  # nearly every page: a task for each row would cost as much as reading it
            return list(rows)
        whole = dict(zip((row.id for row in lacking), await asyncio.gather(*map(complete, lacking)), strict=True))
        return [found for row in rows if (found := whole.get(row.id, row)) is not None]

    def _mapped(self, row: EventRow, context: Context, row_hash: str = "") -> Event | Unmappable:
        """Map a row; places are filtered by us as well, so that a list and a look by id agree on what is read (rule 2)."""
        found = _mapped(row, context, row_hash)
        if isinstance(found, Event) and not self._reach.covers(row):
            return dataclasses.replace(found, exempt=found.exempt or ELSEWHERE)
        return found

    # --- sites ---

    async def site_zone(self) -> str | None:
        """Return the IANA zone of the sites that are read; None where they differ or have none that is known."""
        sites = [site for site in await self._client.remembered_sites() if self._reach.site_id in (None, site.id)]
        zones = {self._zone_of(site) for site in sites}
        return zones.pop() if len(zones) == 1 else None

    async def probe(self) -> Sequence[Fact]:
        """Read what `check` shows: scope, sites with their zones, locations with their rooms, and whether events may be read."""
        sites, locations = await self._client.sites(), await self._client.locations()
        today = self._now()
        found = await self._client.search(self._search(Scope(span=_span(today))))
        facts = [Fact(name="scope", value=self._reach.scope)] if self._reach.scope else []
        facts += [self._site_fact(site, several=len(sites) > 1) for site in sites]
        facts += [_location_fact(location) for location in locations]
        facts += self._unknown_ids(sites, locations)
        facts.append(Fact(name="events", value=f"readable, {len(found.rows)} around today"))
        return facts

    def _site_fact(self, site: Site, *, several: bool) -> Fact:
        zone = self._zone_of(site)
        warning = ""
        if zone is None:
            warning = f'its zone is not one this release knows: name it in the account\'s zones, "site:{site.id}" = "America/New_York"'
        elif several and self._reach.site_id is None:
            # A two-site account was seen to find nothing until both were sent (Tripleseat: 4, site_id).
            warning = "the account has several sites: if events are missing, set site_id and location_ids"
        return Fact(name=f"site {site.id}", value=f"{site.name or 'unnamed'}, {zone or site.timezone or 'no zone'}", warning=warning)

    def _unknown_ids(self, sites: Sequence[Site], locations: Sequence[Location]) -> list[Fact]:
        """Warn of ids in the config that the account does not have: a search by them finds nothing, and says nothing."""
        facts = []
        if self._reach.site_id is not None and self._reach.site_id not in {site.id for site in sites}:
            facts.append(Fact(name="site_id", value=self._reach.site_id, warning="the account has no such site: correct site_id"))
        here = {location.id for location in locations}
        facts += [
            Fact(name="location_ids", value=wrong, warning="the account has no such location: correct location_ids")
            for wrong in self._reach.location_ids
            if wrong not in here
        ]
        return facts

    def _zone_of(self, site: Site) -> Zone | None:
        name = self._context.zones.get(f"site:{site.id}", site.timezone or "")
        try:
            return resolve_zone(name)
        except MappingError:
            return None

    async def _with_site_zones(self) -> Context:
        sites = await self._client.remembered_sites()
        return dataclasses.replace(self._context, site_zones={site.id: site.timezone for site in sites if site.timezone})


def _days(begin: datetime, end: datetime) -> Days:
    """Return the days of a span and one more on both sides, on any clock of the world."""
    return Days(first=(begin.astimezone(UTC) - _DAY - _BEHIND).date(), last=(end.astimezone(UTC) + _DAY + _AHEAD).date())


def _span(now: datetime) -> Span:
    return Span(begin=now, end=now)


def _mapped(row: EventRow, context: Context, row_hash: str) -> Event | Unmappable:
    try:
        return to_canonical(row, context, row_hash=row_hash)
    except MappingError as error:
        return Unmappable(source_id=SourceId(row.id), error=error)


def _refused(row: Unreadable) -> Unmappable:
    error = MappingError(
        f"The row has another shape than an event: {row.field}.",
        remedy="Look at the event in Tripleseat; if it is sound there, this release needs an update.",
    )
    return Unmappable(source_id=SourceId(row.id or ""), error=error)


def _location_fact(location: Location) -> Fact:
    rooms = ", ".join(room.name for room in location.rooms if room.name) or "no rooms"
    places = {"locations": [location.id, location.name], "rooms": [name for room in location.rooms for name in (room.id, room.name)]}
    facets = {facet: frozenset(name for name in names if name) for facet, names in places.items()}
    return Fact(name=f"location {location.id}", value=f"{location.name or 'unnamed'}: {rooms}", facets=facets)
