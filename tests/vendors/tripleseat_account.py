"""A Tripleseat account for tests: the simulator, a token store in memory, and everything of ours that talks to it."""

import dataclasses
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from calrelay.domain.event import SourceId
from calrelay.errors import Busy
from calrelay.http.client import Finished, VendorClient
from calrelay.http.pacing import Pacer
from calrelay.http.retry import Retry
from calrelay.ports import TokenPair
from calrelay.simulators.faults import Faults, SimulatedClock
from calrelay.simulators.tripleseat.places import ALDER_HOUSE, to_wall_clock
from calrelay.simulators.tripleseat.rows import an_event_row
from calrelay.simulators.tripleseat.settings import TripleseatSettings
from calrelay.simulators.tripleseat.simulator import TripleseatSimulator
from calrelay.simulators.tripleseat.variants import Variant, vary
from calrelay.vendors.tripleseat.auth import OAuthApp, TripleseatAuth
from calrelay.vendors.tripleseat.client import TripleseatClient
from calrelay.vendors.tripleseat.source import TripleseatSource

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
CALLBACK = "http://127.0.0.1:8650/callback"


class MemoryTokens:
    """Implements ports.TokenStore in memory; `log` tells what was asked of it, `busy` makes refreshing impossible."""

    def __init__(self, pair: TokenPair | None = None) -> None:
        self.pair = pair
        self.previous: TokenPair | None = None
        self.log: list[str] = []
        self.busy = False
        self.at_refresh: TokenPair | None = None  # what another process stores just before we get the right

    def load(self, account: str) -> TokenPair | None:
        return self.pair

    def save(self, account: str, pair: TokenPair) -> None:
        self.log.append("save")
        self.previous, self.pair = self.pair, pair

    def confirm(self, account: str) -> None:
        self.log.append("confirm")
        self.previous = None

    @contextmanager
    def refreshing(self, account: str) -> Iterator[None]:
        if self.busy:
            raise Busy("another process refreshes")
        self.log.append("refreshing")
        if self.at_refresh:
            self.pair = self.at_refresh
        yield
        self.log.append("refreshed")


async def no_wait(_: float) -> None:
    """Let a retry follow at once."""


@dataclasses.dataclass(slots=True, kw_only=True)
class TripleseatAccount:
    """The simulator and what talks to it; a SourceBench."""

    sim: TripleseatSimulator
    tokens: MemoryTokens
    auth: TripleseatAuth
    http: VendorClient
    client: TripleseatClient
    source: TripleseatSource
    finished: list[Finished]
    now: datetime = NOW
    listing: str = "/events/search"
    empty_page: str = json.dumps({"total_pages": 3, "results": []})
    page_size: int = 50

    @property
    def faults(self) -> Faults:
        return self.sim.faults

    def a_source(self, **options: Any) -> TripleseatSource:
        return TripleseatSource(account="venue", client=self.client, now=self.sim.clock.now, **options)

    def add(self, start: datetime, **about: Any) -> SourceId:
        location = about.get("location", ALDER_HOUSE)
        wall = to_wall_clock(start, location.site.zone)
        row = an_event_row(self.sim.events.next_id(), wall, wall + timedelta(hours=3), **about)
        return SourceId(str(self.sim.events.add(row)["id"]))

    def rename(self, source_id: SourceId) -> None:
        self.sim.events.rename(int(source_id), "Another Dinner")

    def cancel(self, source_id: SourceId) -> None:
        self.sim.events.set_status(int(source_id), "LOST")

    def delete(self, source_id: SourceId) -> None:
        self.sim.events.delete(int(source_id))

    def spoil(self, source_id: SourceId) -> None:
        # Its end is before its start: it is found where it was, but no event comes of it.
        self.sim.events.patch(int(source_id), {"event_end_utc": "2020-01-01T00:00:00Z"})

    def vary(self, source_id: SourceId, variant: Variant) -> None:
        row = dict(self.sim.events.get(int(source_id)).row)
        vary(row, variant)
        self.sim.events.replace(row)

    def overlap_pages(self, rows: int) -> None:
        self.sim.settings.repeat_rows = rows

    def refuse_credentials(self) -> None:
        self.sim.authority.revoke()

    def asked(self, path: str) -> list[dict[str, str]]:
        """Return the queries of the requests whose path contains this."""
        return [dict(entry.query) for entry in self.sim.journal.entries if path in entry.path]


def an_app(sim: TripleseatSimulator, **changes: Any) -> OAuthApp:
    app = OAuthApp(client_id=sim.settings.client_id, client_secret=sim.settings.client_secret, redirect_uri=CALLBACK)
    return dataclasses.replace(app, **changes)


def a_pair(sim: TripleseatSimulator, *, lives: timedelta = timedelta(hours=2)) -> TokenPair:
    """Return a pair as if somebody had just logged in."""
    issued = sim.issue_tokens()
    return TokenPair(access_token=issued.access_token, refresh_token=issued.refresh_token, expires_at=sim.clock.now() + lives)


@asynccontextmanager
async def open_account(*, logged_in: bool = True, app: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[TripleseatAccount]:
    """Start a simulator and log in to it."""
    sim = TripleseatSimulator(
        clock=SimulatedClock(NOW), settings=TripleseatSettings(**{"requests_per_second": 0, "requests_per_minute": 0} | settings)
    )
    tokens = MemoryTokens(a_pair(sim) if logged_in else None)
    auth = TripleseatAuth(account="venue", app=an_app(sim, **app or {}), store=tokens, now=sim.clock.now)
    finished: list[Finished] = []
    http = VendorClient(
        account="venue",
        vendor="Tripleseat",
        base_url="https://api.tripleseat.com/v1",
        pacer=Pacer(100_000),
        auth=auth,
        retry=Retry(wait=no_wait),
        transport=httpx.ASGITransport(app=sim.app),
        observer=finished.append,
        now=sim.clock.now,
    )
    async with http:
        client = TripleseatClient(http, auth=auth, now=sim.clock.now)
        source = TripleseatSource(account="venue", client=client, now=sim.clock.now)
        yield TripleseatAccount(sim=sim, tokens=tokens, auth=auth, http=http, client=client, source=source, finished=finished)
