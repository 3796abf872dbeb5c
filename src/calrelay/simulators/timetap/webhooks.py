"""The webhook sender of the simulated TimeTap: one body per change, no event type, no signature, no retry."""

import dataclasses
import random
from collections import deque
from enum import StrEnum

import httpx

from calrelay.simulators.timetap.book import Change
from calrelay.simulators.timetap.rows import Json
from calrelay.simulators.timetap.settings import TimeTapSettings
from calrelay.simulators.timetap.shapes import dress

KEPT = 10_000
PATIENCE = 5.0  # seconds a receiver has


class Order(StrEnum):
    """In which order a burst arrives."""

    AS_HAPPENED = "as_happened"
    REVERSED = "reversed"
    SHUFFLED = "shuffled"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One POST; `status` 0 means that nobody answered."""

    body: Json
    status: int


class WebhookSender:
    """Bodies wait here, as they were at the time of the change, until `deliver` is called."""

    def __init__(self, settings: TimeTapSettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self.pending: deque[Json] = deque(maxlen=KEPT)
        self.delivered: list[Delivery] = []

    def note_change(self, _: Change, __: Json | None, after: Json) -> None:
        """Queue the body of a change, the same for creating, editing, cancelling and deleting; the listener of the book."""
        self.pending.append(dress(after, self._settings, self._settings.webhook_spelling))

    async def deliver(
        self, *, order: Order = Order.AS_HAPPENED, copies: int = 1, url: str = "", transport: httpx.AsyncBaseTransport | None = None
    ) -> list[Delivery]:
        """POST everything that waits to `url` (default: the setting webhook_url), each body `copies` times.

        Nothing happens while there is no address; what a receiver refuses or misses is not sent again.
        """
        target = url or self._settings.webhook_url
        if not target:
            return []
        burst = self._arranged(order, copies)
        self.pending.clear()
        async with httpx.AsyncClient(transport=transport, timeout=PATIENCE) as client:
            done = [await self._post(client, target, body) for body in burst]
        self.delivered += done
        return done

    def _arranged(self, order: Order, copies: int) -> list[Json]:
        burst = [body for body in self.pending for _ in range(copies)]
        if order is Order.REVERSED:
            burst.reverse()
        elif order is Order.SHUFFLED:
            self._rng.shuffle(burst)
        return burst

    async def _post(self, client: httpx.AsyncClient, target: str, body: Json) -> Delivery:
        try:
            answer = await client.post(target, json=body)
        except httpx.HTTPError:
            return Delivery(body=body, status=0)
        return Delivery(body=body, status=answer.status_code)
