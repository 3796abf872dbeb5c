"""Tripleseat's endpoints, typed: one method per call of its Events API, and sites and locations. What rows mean is not known here."""

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from calrelay.errors import NotFound, ResponseInvalid
from calrelay.http.client import Answer, Params, VendorClient
from calrelay.http.failures import failure_of_status, invalid
from calrelay.http.paging import Page
from calrelay.ports import Clock
from calrelay.vendors.tripleseat.auth import TripleseatAuth, utc_now
from calrelay.vendors.tripleseat.wire import (
    EventPage,
    EventRow,
    Location,
    Locations,
    OneEvent,
    OneLocation,
    Site,
    Sites,
    SoundPage,
    Unreadable,
    parse_row,
)

_SITES_KEPT: Final = timedelta(days=1)


class Order(StrEnum):
    """What events are sorted by; without it, the oldest comes first."""

    CREATED = "created_at"
    UPDATED = "updated_at"
    NAME = "name"
    START = "event_start"


class Direction(StrEnum):
    """Which way they are sorted."""

    ASCENDING = "asc"
    DESCENDING = "desc"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Whole days, both included, on the calendar of the site; Tripleseat ignores one without the other."""

    first: date
    last: date


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The parameters of /events/search; None and empty ones are not sent. All that are sent must hold.

    `site_id` is not in the documentation: accounts with two sites find nothing without it and `location_ids` (Tripleseat: 4, site_id).
    """

    query: str | None = None  # in name, contact, account, e-mail and phone
    order: Order | None = None
    direction: Direction | None = None
    contact_id: str | None = None
    account_id: str | None = None
    statuses: Sequence[str] = ()
    starting: Days | None = None
    created: Days | None = None
    updated: Days | None = None
    room_ids: Sequence[str] = ()
    location_ids: Sequence[str] = ()
    site_id: str | None = None

    def params(self, page: int) -> Params:
        """Return the query for one page, counted from 1."""
        values = {
            "query": self.query,
            "order": self.order,
            "sort_direction": self.direction,
            "contact_id": self.contact_id,
            "account_id": self.account_id,
            "status": ",".join(self.statuses).lower(),  # documented in lower case, whatever payloads say
            **_dates("event", self.starting),
            **_dates("event_created", self.created),
            **_dates("event_updated", self.updated),
            "room_ids": ",".join(self.room_ids),
            "location_ids": ",".join(self.location_ids),
            "site_id": self.site_id,
            "page": str(page),
        }
        return {key: str(value) for key, value in values.items() if value}


def _dates(prefix: str, days: Days | None) -> dict[str, str]:
    if days is None:
        return {}
    return {f"{prefix}_start_date": f"{days.first:%m/%d/%Y}", f"{prefix}_end_date": f"{days.last:%m/%d/%Y}"}


class TripleseatClient:
    """Asks one account. Reads, changes and deletions are repeated where that may help, a creation never: it is not idempotent.

    Args:
        http: the account's client; its lifetime is the caller's business.
        auth: what signs its requests, to keep the consent alive.
        public_key: the lead-form key, which opens sites and locations without any consent (Tripleseat: Authentication); for a client
            whose `http` signs nothing.
        now: our clock.

    Every method raises VendorError and its children.
    """

    def __init__(
        self, http: VendorClient, *, auth: TripleseatAuth | None = None, public_key: str | None = None, now: Clock = utc_now
    ) -> None:
        self.http = http
        self._auth = auth
        self._public = {"public_key": public_key} if public_key else None
        self._now = now
        self._sites: tuple[Site, ...] = ()
        self._sites_at: datetime | None = None
        self._sites_lock = asyncio.Lock()

    # --- reading events ---

    async def search(self, search: Search, page: int = 1) -> Page[EventRow | Unreadable]:
        """Return a page of the events found; no filter of statuses means all, LOST ones too. An empty result has no pages."""
        return await self._get("/events/search.json", "events/search", search.params(page))

    async def list_events(self, page: int = 1, *, order: Order | None = None) -> Page[EventRow | Unreadable]:
        """Return a page of all events there ever were. It ignores date filters in silence (Tripleseat: 4, plain list): search instead."""
        params = {"page": str(page)} | ({"order": str(order)} if order else {})
        return await self._get("/events.json", "events", params)

    async def show(self, event_id: str) -> EventRow:
        """Return one event; it may be deleted (`deleted_at`).

        Raises:
            NotFound: Tripleseat says that there is none.
            ResponseInvalid: also for a 404 that is a page for people: it speaks of the address, not of the event.
        """
        answer = await self.http.request(
            "GET", _event_path(event_id), endpoint="events/{id}", idempotent=True, accept=(HTTPStatus.NOT_FOUND,)
        )
        if answer.status == HTTPStatus.NOT_FOUND:
            raise self._not_found(answer)
        return answer.parse(OneEvent).root

    # --- writing events: the whole API is here, the sync uses none of it ---

    async def create(self, fields: Mapping[str, object]) -> EventRow:
        """Create an event. Required: name, event_start, event_end, account_id, contact_id, location_id, room_ids, status (Tripleseat: 9).

        Dates are "mm/dd/yyyy hh:mm am|pm" on the site's clock. Without booking_id or booking, Tripleseat makes a booking.
        """
        body = {"event": dict(fields)}  # in the body, as every client has it; the documentation writes it into the query
        answer = await self.http.request("POST", "/events.json", endpoint="events", idempotent=False, json=body)
        return answer.parse(OneEvent).root

    async def update(self, event_id: str, fields: Mapping[str, object]) -> EventRow:
        """Change these fields of an event; others stay. Idempotent."""
        answer = await self.http.request(
            "PUT", _event_path(event_id), endpoint="events/{id}", idempotent=True, json={"event": dict(fields)}
        )
        return answer.parse(OneEvent).root

    async def delete(self, event_id: str) -> None:
        """Delete an event. A second time it may be NotFound. What is answered is unknown, and not read."""
        await self.http.request("DELETE", _event_path(event_id), endpoint="events/{id}", idempotent=True)

    # --- sites and locations ---

    async def sites(self) -> tuple[Site, ...]:
        """Return all sites; the list is not paged and ignores site_id."""
        answer = await self.http.request("GET", "/sites.json", endpoint="sites", idempotent=True, params=self._public)
        self._sites, self._sites_at = tuple(answer.parse(Sites).root), self._now()
        return self._sites

    async def remembered_sites(self) -> tuple[Site, ...]:
        """Return all sites as they were at most a day ago; many may ask at once for one request."""
        async with self._sites_lock:
            if self._sites_at is None or self._now() - self._sites_at > _SITES_KEPT:
                return await self.sites()
            return self._sites

    async def locations(self) -> tuple[Location, ...]:
        """Return all locations with their rooms; not paged."""
        answer = await self.http.request("GET", "/locations.json", endpoint="locations", idempotent=True, params=self._public)
        return tuple(answer.parse(Locations).root)

    async def location(self, location_id: str) -> Location:
        """Return one location. Raises NotFound."""
        path = f"/locations/{quote(location_id, safe='')}.json"
        answer = await self.http.request("GET", path, endpoint="locations/{id}", idempotent=True)
        return answer.parse(OneLocation).root

    # --- consent ---

    async def refresh_if_older_than(self, age: timedelta) -> bool:
        """Renew the tokens when they are older than this, and say whether that was so.

        How long an unused refresh token lives is unknown (Tripleseat: Unknowns): a daemon asks daily.
        """
        held = self._auth.age() if self._auth else None
        if self._auth is None or held is None or held <= age:
            return False
        self._auth.demand_renewal()
        await self.sites()
        return True

    async def _get(self, path: str, endpoint: str, params: Params) -> Page[EventRow | Unreadable]:
        answer = await self.http.request("GET", path, endpoint=endpoint, idempotent=True, params=params)
        return _page(answer)

    def _not_found(self, answer: Answer) -> NotFound | ResponseInvalid:
        if answer.is_html:
            return invalid(answer.where, answer.status, "a page for people instead of JSON")
        failure = failure_of_status(answer.where, answer.status, answer.headers, now=self._now())
        if failure is None or not isinstance(failure.error, NotFound):
            return invalid(answer.where, answer.status, "something else than promised")
        return failure.error


def _page(answer: Answer) -> Page[EventRow | Unreadable]:
    """Read a page at once; where that fails, row by row, so that a bad one costs only itself."""
    try:
        sound = answer.parse(SoundPage)
    except ResponseInvalid:
        page = answer.parse(EventPage)
        return Page(rows=[parse_row(item) for item in page.results], total_pages=page.total_pages)
    return Page(rows=sound.results, total_pages=sound.total_pages)


def _event_path(event_id: str) -> str:
    return f"/events/{quote(event_id, safe='')}.json"
