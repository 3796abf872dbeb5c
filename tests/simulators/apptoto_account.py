"""A client of a simulated Apptoto account, as tests of the simulator use it; no tests here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from calrelay.simulators.apptoto.simulator import ApptotoSimulator

JANE = {"name": "Jane Roe", "email": "jane@example.com", "phone": "+12125550147"}
MAX = {"name": "Max Moe", "email": "max@example.com", "phone": "312-555-0123"}
START = "2026-12-03T18:30:00-05:00"
END = "2026-12-03T22:00:00-05:00"


class Account:
    """A client of a simulated account with one calendar, speaking as the adapter would."""

    def __init__(self, simulator: ApptotoSimulator, http: httpx.AsyncClient) -> None:
        self.simulator = simulator
        self.events = simulator.events
        self.settings = simulator.settings
        self.http = http
        self.calendar = simulator.add_calendar("Main Hall")

    def row(self, external_id: str | None = "ts-1", **fields: Any) -> dict[str, Any]:
        whole = {"calendar_id": self.calendar, "title": "Dinner", "start_time": START, "end_time": END, "participants": [JANE]}
        return {**whole, "external_id": external_id, **fields}

    async def put(self, *rows: Any, method: str = "PUT", **top: Any) -> httpx.Response:
        return await self.http.request(method, "/v1/events", json={"prevent_calendar_creation": True, "events": list(rows), **top})

    async def written(self, *rows: Any, **top: Any) -> list[dict[str, Any]]:
        answer = await self.put(*rows, **top)
        assert answer.status_code == 200, answer.text
        events: list[dict[str, Any]] = answer.json()["events"]
        return events

    async def listed(self, **query: Any) -> list[dict[str, Any]]:
        answer = await self.http.get("/v1/events", params=query)
        events: list[dict[str, Any]] = answer.json()["events"]
        return events

    async def delete(self, external_id: str) -> httpx.Response:
        return await self.http.delete("/v1/events", params={"external_id": external_id})


@asynccontextmanager
async def open_account(simulator: ApptotoSimulator | None = None) -> AsyncIterator[Account]:
    """Give a client with the right key, and no rate limit unless the simulator is brought along."""
    if simulator is None:
        simulator = ApptotoSimulator(seed=7)
        simulator.settings.requests_per_minute = None
    credentials = (simulator.settings.username, simulator.settings.api_key)
    transport = httpx.ASGITransport(simulator.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://api.apptoto.example.com", auth=credentials) as http:
        yield Account(simulator, http)
