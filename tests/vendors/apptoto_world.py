"""Apptoto's adapter over the simulator, and over answers made up by a test; no tests here."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from calrelay.domain.link import CalendarId
from calrelay.http.client import AsyncBaseTransport
from calrelay.http.retry import Retry
from calrelay.simulators.apptoto.settings import BadEvents
from calrelay.simulators.apptoto.simulator import ApptotoSimulator
from calrelay.simulators.faults import Fault, Kind, When
from calrelay.vendors.apptoto.client import ApptotoClient
from calrelay.vendors.apptoto.target import ApptotoTarget


class Waits:
    """A clock that a wait moves on; nobody really waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waited: list[float] = []

    async def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds

    def retry(self) -> Retry:
        return Retry(wait=self.wait, clock=lambda: self.now, jitter=lambda: 0.0)


def a_client(transport: AsyncBaseTransport | Callable[[httpx.Request], httpx.Response], **options: Any) -> ApptotoClient:
    """A client over a transport, or over a function that answers requests; it never waits."""
    if not isinstance(transport, AsyncBaseTransport):
        transport = httpx.MockTransport(transport)
    defaults: dict[str, Any] = {
        "account": "reminders",
        "username": "ops@example.com",
        "api_key": "apptoto-key",
        "base_url": "https://api.apptoto.example.com/v1",
        "requests_per_minute": 6_000_000,
        "transport": transport,
        "retry": Waits().retry(),
    }
    return ApptotoClient(**defaults | options)


class ApptotoWorld:
    """The adapter on a simulated account with two calendars, which messages nobody; a TargetWorld."""

    def __init__(self, simulator: ApptotoSimulator, client: ApptotoClient, **options: Any) -> None:
        self.simulator = simulator
        self.settings = simulator.settings
        self.client = client
        self.main_hall = CalendarId(str(simulator.add_calendar("Main Hall")))
        self.terrace = CalendarId(str(simulator.add_calendar("Terrace")))
        self.target = ApptotoTarget(account="reminders", client=client, now=simulator.clock.now, **options)

    def refuse(self, external_id: str) -> None:
        self.settings.poison = (external_id,)

    def drop(self, external_id: str) -> None:
        self.settings.poison, self.settings.bad_events = (external_id,), BadEvents.DROP

    def fail_writes(self, *, applied: bool) -> None:
        self.simulator.faults.add(Fault(kind=Kind.STATUS, method="PUT", status=502, times=2, when=When.AFTER if applied else When.BEFORE))

    def fail_page(self) -> None:
        self.simulator.faults.add(Fault(kind=Kind.STATUS, method="GET", path="/events", status=503, skip=1, times=5))

    def refuse_credentials(self) -> None:
        self.settings.api_key = "another-key"

    def hide_external_ids(self) -> None:
        self.settings.echo_external_id = False


@asynccontextmanager
async def open_world(**options: Any) -> AsyncIterator[ApptotoWorld]:
    """Give the adapter on a new simulated account without rate limit; its pages hold three, and it messages nobody."""
    simulator = ApptotoSimulator(seed=7)
    simulator.settings.requests_per_minute = None
    simulator.settings.page_cap = 3
    simulator.settings.rules = ()
    async with a_client(httpx.ASGITransport(simulator.app)) as client:
        yield ApptotoWorld(simulator, client, **options)
