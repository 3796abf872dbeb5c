"""Sends a simulated Tripleseat's webhooks: signing, retries, bursts and wrong order (Tripleseat: Webhooks)."""

import asyncio
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import httpx

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.tripleseat.events import Trigger
from calrelay.simulators.tripleseat.rows import Row
from calrelay.simulators.tripleseat.settings import SendWhen, TripleseatSettings

TIMEOUT = 10.0
# One edit of a guest count gave these three within a minute, in an order that is not guaranteed.
BURST = (Trigger.UPDATE_BOOKING, Trigger.CHANGE_EVENT_GUEST_COUNTS, Trigger.UPDATE_EVENT)


class Order(StrEnum):
    """In which order waiting webhooks go out."""

    AS_HAPPENED = "as_happened"
    REVERSED = "reversed"


class Signature(StrEnum):
    """How a webhook is signed."""

    SOUND = "sound"
    BAD = "bad"
    NONE = "none"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of one webhook: the status of each attempt, 0 where there was no answer."""

    trigger: str
    event_id: int | None
    statuses: tuple[int, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether the receiver said 200 in the end."""
        return self.statuses[-1:] == (200,)


class Webhooks:
    """What waits to be sent, and what was. Edits from Python wait for `flush`, so that tests decide when.

    `transport` replaces the network, for receivers that are ASGI apps.
    """

    def __init__(self, settings: TripleseatSettings, clock: SimulatedClock) -> None:
        self._settings = settings
        self._clock = clock
        self.outbox: list[tuple[Trigger, bytes, int | None]] = []
        self.deliveries: list[Delivery] = []
        self.transport: httpx.AsyncBaseTransport | None = None

    def note(self, trigger: Trigger, row: Row) -> None:
        """Queue the webhook of an edit, if there is somebody to tell."""
        if self._settings.webhook_url:
            self.outbox.append((trigger, payload(trigger, row), row.get("id")))

    async def flush(self, order: Order = Order.AS_HAPPENED, signature: Signature = Signature.SOUND, *, copies: int = 1) -> list[Delivery]:
        """Send everything that waits, one after the other, each `copies` times and with up to `webhook_retries` more attempts."""
        waiting, self.outbox = [one for one in self.outbox for _ in range(copies)], []
        if order is Order.REVERSED:
            waiting.reverse()
        return await self._send(waiting, signature)

    async def flush_now(self) -> None:
        """Send what an edit over HTTP has queued, unless the settings say to wait."""
        if self.outbox and self._settings.webhook_send is SendWhen.AT_ONCE:
            await self.flush()

    async def send(self, trigger: Trigger, row: Row, signature: Signature = Signature.SOUND) -> Delivery:
        """Send one webhook now, about any row: `{"id": 1}` is one as well."""
        return (await self._send([(trigger, payload(trigger, row), row.get("id"))], signature))[0]

    async def burst(self, row: Row, order: Order = Order.AS_HAPPENED) -> list[Delivery]:
        """Send the three webhooks of one edit."""
        triggers = BURST if order is Order.AS_HAPPENED else tuple(reversed(BURST))
        return await self._send([(t, payload(t, row), row.get("id")) for t in triggers], Signature.SOUND)

    async def _send(self, waiting: Iterable[tuple[Trigger, bytes, int | None]], signature: Signature) -> list[Delivery]:
        sent = []
        async with httpx.AsyncClient(transport=self.transport, timeout=TIMEOUT, trust_env=False) as client:
            for trigger, body, event_id in waiting:
                statuses = await self._attempts(client, body, signature)
                sent.append(Delivery(trigger=trigger, event_id=event_id, statuses=statuses))
        self.deliveries.extend(sent)
        return sent

    async def _attempts(self, client: httpx.AsyncClient, body: bytes, signature: Signature) -> tuple[int, ...]:
        statuses: list[int] = []
        t = 0
        while statuses[-1:] != [200] and len(statuses) <= self._settings.webhook_retries:
            if statuses:
                await asyncio.sleep(self._settings.webhook_retry_seconds)
            t = max(int(self._clock.now().timestamp()), t + 1)  # a repeat is signed anew, also where two fall into one second here
            statuses.append(await self._post(client, body, signature, t))
        return tuple(statuses)

    async def _post(self, client: httpx.AsyncClient, body: bytes, signature: Signature, t: int) -> int:
        headers = {"content-type": "application/json"}
        if signature is not Signature.NONE:
            key = self._settings.webhook_key if signature is Signature.SOUND else self._settings.webhook_key + "?"
            headers["x-signature"] = sign(body, key, t)
        try:
            return (await client.post(self._settings.webhook_url, content=body, headers=headers)).status_code
        except httpx.HTTPError:
            return 0


def payload(trigger: Trigger, row: Row) -> bytes:
    """Write the body: the full event under `event`, or under `booking` the event's booking."""
    about: dict[str, Any] = {"booking": row.get("booking")} if trigger is Trigger.UPDATE_BOOKING else {"event": row}
    message = trigger.value.replace("_", " ").capitalize()
    return json.dumps({"webhook_trigger_type": trigger.value, "message": message, **about}).encode()


def sign(body: bytes, key: str, t: int) -> str:
    """Write X-Signature: HMAC-SHA256 over `t`, a dot and the raw body."""
    digest = hmac.new(key.encode(), f"{t}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={t},v1={digest}"
