"""A TimeTap account for tests: the simulator, and everything of ours that talks to it."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from calrelay.domain.event import SourceId
from calrelay.http.client import Finished, VendorClient
from calrelay.http.pacing import Pacer
from calrelay.http.retry import Retry
from calrelay.simulators.faults import Fault, Faults, SimulatedClock
from calrelay.simulators.timetap.rows import to_wall
from calrelay.simulators.timetap.settings import TimeTapSettings
from calrelay.simulators.timetap.simulator import TimeTapSimulator
from calrelay.vendors.timetap.auth import TimeTapAuth
from calrelay.vendors.timetap.client import TimeTapClient
from calrelay.vendors.timetap.source import TimeTapSource

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
BASE_URL = "https://api.timetap.com/live"
NEW_YORK = "America/New_York"
REPORT = "/appointmentList/report"


async def no_wait(_: float) -> None:
    """Let a retry follow at once."""


@dataclasses.dataclass(slots=True, kw_only=True)
class _NotTheCount(Fault):
    """A fault of the report that leaves its count alone, whose path begins alike."""

    def matches(self, method: str, path: str) -> bool:
        return not path.endswith("Count") and Fault.matches(self, method, path)


class ListFaults(Faults):
    """Hands faults on to the simulator; those of the report hit nothing else."""

    def __init__(self, inner: Faults) -> None:
        self._inner = inner
        self.rules = inner.rules

    def add(self, fault: Fault) -> Fault:
        if fault.path == REPORT:
            fault = _NotTheCount(**{field.name: getattr(fault, field.name) for field in dataclasses.fields(fault)})
        return self._inner.add(fault)


@dataclasses.dataclass(slots=True, kw_only=True)
class TimeTapAccount:
    """The simulator and what talks to it; a SourceBench."""

    sim: TimeTapSimulator
    auth: TimeTapAuth
    http: VendorClient
    client: TimeTapClient
    source: TimeTapSource
    finished: list[Finished]
    faults: Faults
    now: datetime = NOW
    listing: str = REPORT
    empty_page: str = "[]"
    page_size: int = 25

    def a_source(self, **options: Any) -> TimeTapSource:
        return TimeTapSource(account="studio", client=self.client, now=self.sim.clock.now, **options)

    def add(self, start: datetime, *, zone: str = NEW_YORK, **about: Any) -> SourceId:
        return SourceId(str(self.sim.book.book(to_wall(start, zone), 60, zone, **about)))

    def rename(self, source_id: SourceId) -> None:
        self.sim.book.patch(int(source_id), {"reason": None})

    def cancel(self, source_id: SourceId) -> None:
        self.sim.book.cancel(int(source_id))

    def delete(self, source_id: SourceId) -> None:
        self.sim.book.delete(int(source_id))

    def spoil(self, source_id: SourceId) -> None:
        # Its end is before its start: it is found where it was, but no event comes of it.
        self.sim.book.patch(int(source_id), {"endDateTimeUTC": "2020-01-01T00:00:00Z"})

    def overlap_pages(self, rows: int) -> None:
        self.sim.settings.page_shift = -rows

    def refuse_credentials(self) -> None:
        self.sim.settings.private_key = "f" * 32
        self.sim.tokens.expire()

    def asked(self, path: str) -> list[dict[str, str]]:
        """Return the queries of the requests whose path ends in this."""
        return [dict(entry.query) for entry in self.sim.journal.entries if entry.path.endswith(path)]


def an_auth(sim: TimeTapSimulator, **changes: Any) -> TimeTapAuth:
    keys = {"api_key": sim.settings.api_key, "private_key": sim.settings.private_key, **changes}
    return TimeTapAuth(account="studio", base_url=BASE_URL, now=sim.clock.now, **keys)


@asynccontextmanager
async def open_account(*, keys: dict[str, str] | None = None, page_size: int = 25, **settings: Any) -> AsyncIterator[TimeTapAccount]:
    """Start a simulator and connect to it."""
    sim = TimeTapSimulator(clock=SimulatedClock(NOW), settings=TimeTapSettings(**settings))
    auth = an_auth(sim, **keys or {})
    finished: list[Finished] = []
    http = VendorClient(
        account="studio",
        vendor="TimeTap",
        base_url=BASE_URL,
        pacer=Pacer(100_000),
        auth=auth,
        retry=Retry(wait=no_wait),
        transport=httpx.ASGITransport(app=sim.app),
        observer=finished.append,
        now=sim.clock.now,
    )
    async with http:
        client = TimeTapClient(http, page_size=page_size, now=sim.clock.now)
        source = TimeTapSource(account="studio", client=client, now=sim.clock.now)
        faults = ListFaults(sim.faults)
        yield TimeTapAccount(sim=sim, auth=auth, http=http, client=client, source=source, finished=finished, faults=faults)
