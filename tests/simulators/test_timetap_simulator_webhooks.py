"""What the TimeTap simulator posts to a receiver, and how bursts of it arrive."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.timetap.settings import Spelling, TimeTapSettings
from calrelay.simulators.timetap.simulator import TimeTapSimulator
from calrelay.simulators.timetap.webhooks import KEPT, Order
from calrelay.simulators.timetap.world import populate_timetap

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
NOON = datetime.fromisoformat("2026-12-01 12:00")
URL = "https://relay.example/hooks/secret"


class Receiver:
    """Takes webhooks and keeps them; `status` is what it answers."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.status == 0:
            raise httpx.ConnectError("nobody listens")
        self.requests.append(request)
        return httpx.Response(self.status)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.requests]


def a_simulator(**settings: Any) -> TimeTapSimulator:
    return TimeTapSimulator(clock=SimulatedClock(NOW), settings=TimeTapSettings(webhook_url=URL, **settings))


async def test_creating_editing_cancelling_and_deleting_each_post_the_whole_row_of_that_moment() -> None:
    sim, receiver = a_simulator(), Receiver()
    number = sim.book.book(NOON, 60, "America/New_York")
    sim.book.move(number, NOON + timedelta(hours=1))
    sim.book.cancel(number, "rain")
    sim.book.delete(number)
    assert [d.status for d in await sim.webhooks.deliver(transport=receiver.transport)] == [200] * 4
    assert [body["calendarid"] for body in receiver.bodies] == [number] * 4
    assert [body["startTime"] for body in receiver.bodies] == [1200, 1300, 1300, 1300]
    assert [body["status"] for body in receiver.bodies] == ["OPEN", "OPEN", "CANCELLED", "CANCELLED"]
    assert (receiver.bodies[2]["cancelReason"], receiver.bodies[2]["cancelUser"]) == ("rain", "mhall")
    assert receiver.bodies[3] == receiver.bodies[2]


async def test_nothing_signs_or_types_a_webhook() -> None:
    sim, receiver = a_simulator(), Receiver()
    sim.book.book(NOON, 60, "America/New_York")
    await sim.webhooks.deliver(transport=receiver.transport)
    (request,) = receiver.requests
    assert (request.method, str(request.url)) == ("POST", URL)
    assert not [name for name in request.headers if "sign" in name or "event" in name or "auth" in name]
    assert not [key for key in receiver.bodies[0] if "event" in key.lower()]


async def test_both_webhook_spellings() -> None:
    sim, receiver = a_simulator(), Receiver()
    sim.book.book(NOON, 60, "America/New_York")
    sim.settings.webhook_spelling = Spelling.WEBHOOK_OLD
    sim.book.book(NOON, 60, "America/New_York")
    await sim.webhooks.deliver(transport=receiver.transport)
    new, old = receiver.bodies
    assert new["staff"]["professionalId"] == old["professional"]["professionalId"]
    assert "staff" not in old
    assert "calendarId" not in new
    assert isinstance(new["createddate"], str)


async def test_bursts_arrive_more_than_once_and_in_any_order() -> None:
    sim, receiver = a_simulator(), Receiver()
    numbers = [sim.book.book(NOON + timedelta(hours=n), 60, "America/New_York") for n in range(8)]
    waiting = list(sim.webhooks.pending)
    await sim.webhooks.deliver(order=Order.REVERSED, copies=2, transport=receiver.transport)
    assert [body["calendarid"] for body in receiver.bodies] == [n for n in reversed(numbers) for _ in range(2)]
    sim.webhooks.pending.extend(waiting)
    receiver.requests.clear()
    await sim.webhooks.deliver(order=Order.SHUFFLED, transport=receiver.transport)
    assert sorted(body["calendarid"] for body in receiver.bodies) == numbers
    assert [body["calendarid"] for body in receiver.bodies] != numbers


async def test_what_a_receiver_refuses_or_misses_is_not_sent_again() -> None:
    sim = a_simulator()
    sim.book.book(NOON, 60, "America/New_York")
    assert [d.status for d in await sim.webhooks.deliver(transport=Receiver(500).transport)] == [500]
    sim.book.book(NOON, 60, "America/New_York")
    assert [d.status for d in await sim.webhooks.deliver(transport=Receiver(0).transport)] == [0]
    assert await sim.webhooks.deliver(transport=Receiver().transport) == []


async def test_vanishing_and_hiding_are_not_told_and_neither_is_a_made_up_world() -> None:
    sim = a_simulator()
    populate_timetap(sim, appointments=10, now=NOW, seed=1)
    one, two, *_ = sim.book.bookings
    sim.book.vanish(one)
    sim.book.hide(two)
    assert list(sim.webhooks.pending) == []
    assert sim.webhooks.pending.maxlen == KEPT


async def test_without_an_address_bodies_wait() -> None:
    sim, receiver = a_simulator(), Receiver()
    sim.settings.webhook_url = ""
    sim.book.book(NOON, 60, "America/New_York")
    assert await sim.webhooks.deliver(transport=receiver.transport) == []
    assert [d.status for d in await sim.webhooks.deliver(url=URL, transport=receiver.transport)] == [200]


async def test_waiting_webhooks_can_be_sent_from_the_control_calls() -> None:
    sim = a_simulator()
    sim.settings.webhook_url = ""
    sim.book.book(NOON, 60, "America/New_York")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=sim.app), base_url="https://api.timetap.example") as control:
        assert (await control.post("/_control/webhooks", json={"order": "reversed"})).json() == []
        assert (await control.post("/_control/webhooks", json={"order": "sideways"})).status_code == 400
        assert (await control.get("/_control/state")).json()["snapshot"]["webhooks_waiting"] == 1
