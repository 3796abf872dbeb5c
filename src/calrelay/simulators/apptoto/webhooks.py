"""Apptoto's webhooks as far as anybody knows: a POST of some JSON, unsigned, without retry (Apptoto: section 8)."""

import asyncio
import dataclasses
import itertools
from typing import Any

import httpx

from calrelay.simulators.apptoto.events import Change, StoredEvent
from calrelay.simulators.apptoto.listing import Listing
from calrelay.simulators.apptoto.people import Participant
from calrelay.simulators.apptoto.settings import ApptotoSettings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook run; `status` is None when nobody answered."""

    trigger: str
    body: dict[str, Any]
    status: int | None


class Webhooks:
    """Sends what happened to `settings.webhook_url`, if there is one; `transport` stands in for the network in tests."""

    def __init__(self, *, settings: ApptotoSettings, listing: Listing, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._listing = listing
        self._runs = itertools.count(8_801)
        self._pending: set[asyncio.Task[None]] = set()
        self.transport = transport
        self.deliveries: list[Delivery] = []

    def note(self, change: Change, event: StoredEvent) -> None:
        """Tell of a created, modified or deleted event, where that is subscribed to."""
        self.tell(change.value, event, None)

    def tell(self, trigger: str, event: StoredEvent, person: Participant | None) -> None:
        """Start a delivery and do not wait for it."""
        url = self._settings.webhook_url
        if not url or trigger not in self._settings.webhook_triggers:
            return
        task = asyncio.get_running_loop().create_task(self._deliver(url, trigger, self._body(event, person)))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def drain(self) -> None:
        """Wait until every delivery that was started has ended."""
        while self._pending:
            await asyncio.gather(*self._pending)

    def _body(self, event: StoredEvent, person: Participant | None) -> dict[str, Any]:
        """Write the object behind the trigger; its real field names are unknown, and differ with the trigger."""
        row = self._listing.render(event)
        run = f"run-{next(self._runs)}"
        if person is None:
            return {"webhook_run_id": run, **row}
        shown = next(p for p in row["participants"] if p["id"] == person.id)
        return {"webhook_run_id": run, "participant": {**shown, "event": {"id": event.id, "external_id": event.external_id}}}

    async def _deliver(self, url: str, trigger: str, body: dict[str, Any]) -> None:
        status = None
        try:
            async with httpx.AsyncClient(transport=self.transport, timeout=10) as client:
                status = (await client.post(url, json=body)).status_code
        except httpx.HTTPError:
            pass  # Apptoto shows a failed run in its pages and nowhere else.
        self.deliveries.append(Delivery(trigger=trigger, body=body, status=status))
