"""How the simulated Tripleseat sends webhooks: signed, retried, in bursts, out of order."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.tripleseat.events import Trigger
from calrelay.simulators.tripleseat.rows import an_event_row
from calrelay.simulators.tripleseat.settings import TripleseatSettings
from calrelay.simulators.tripleseat.simulator import TripleseatSimulator
from calrelay.simulators.tripleseat.webhooks import Order, Signature

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
DAY = datetime(2026, 12, 1, 18, 0)  # noqa: DTZ001  # a wall clock time has no zone
KEY = "simulated-signing-key"


class Receiver:
    """An ASGI app that keeps what it got and answers the given statuses, then 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[tuple[str | None, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.got.append((request.headers.get("x-signature"), await request.body()))
        await Response(status_code=self.statuses.pop(0) if self.statuses else 200)(scope, receive, send)

    def triggers(self) -> list[str]:
        return [json.loads(body)["webhook_trigger_type"] for _, body in self.got]


def a_simulator(receiver: Receiver, **settings: Any) -> TripleseatSimulator:
    settings = {"webhook_url": "https://hooks.example.com/tripleseat", "requests_per_second": 0, **settings}
    sim = TripleseatSimulator(clock=SimulatedClock(NOW), settings=TripleseatSettings(**settings))
    sim.webhooks.transport = httpx.ASGITransport(app=receiver)
    sim.events.add(an_event_row(1, DAY, DAY + timedelta(hours=3)))
    sim.webhooks.outbox.clear()
    return sim


def is_signed(signature: str | None, body: bytes) -> bool:
    t, _, v1 = (signature or "").removeprefix("t=").partition(",v1=")
    return hmac.compare_digest(v1, hmac.new(KEY.encode(), t.encode() + b"." + body, hashlib.sha256).hexdigest())


async def test_an_edit_from_python_waits_for_a_flush_and_is_signed() -> None:
    receiver = Receiver()
    sim = a_simulator(receiver)
    sim.events.set_guests(1, 44)
    assert receiver.got == []
    (delivery,) = await sim.webhooks.flush()
    signature, body = receiver.got[0]
    assert delivery.is_accepted
    assert is_signed(signature, body)
    assert json.loads(body)["event"]["guest_count"] == 44
    assert receiver.triggers() == ["CHANGE_EVENT_GUEST_COUNTS"]


async def test_a_refused_webhook_comes_five_times_more_each_signed_anew() -> None:
    receiver = Receiver(500, 500, 500, 500, 500, 500, 500)
    sim = a_simulator(receiver)
    delivery = await sim.webhooks.send(Trigger.UPDATE_EVENT, sim.events.get(1).row)
    assert delivery.statuses == (500,) * 6
    assert not delivery.is_accepted
    assert len({body for _, body in receiver.got}) == 1
    assert len({signature for signature, _ in receiver.got}) == 6
    assert all(is_signed(signature, body) for signature, body in receiver.got)


async def test_a_webhook_is_not_repeated_once_accepted() -> None:
    receiver = Receiver(503, 200)
    sim = a_simulator(receiver)
    assert (await sim.webhooks.send(Trigger.UPDATE_EVENT, {"id": 1})).statuses == (503, 200)


async def test_one_edit_can_make_a_burst_of_three_in_any_order() -> None:
    receiver = Receiver()
    sim = a_simulator(receiver)
    await sim.webhooks.burst(sim.events.get(1).row)
    await sim.webhooks.burst(sim.events.get(1).row, Order.REVERSED)
    assert receiver.triggers()[:3] == ["UPDATE_BOOKING", "CHANGE_EVENT_GUEST_COUNTS", "UPDATE_EVENT"]
    assert receiver.triggers()[3:] == receiver.triggers()[:3][::-1]
    assert "booking" in json.loads(receiver.got[0][1])


async def test_waiting_webhooks_can_go_out_in_the_wrong_order() -> None:
    receiver = Receiver()
    sim = a_simulator(receiver)
    sim.events.rename(1, "First")
    sim.events.delete(1)
    await sim.webhooks.flush(Order.REVERSED)
    assert receiver.triggers() == ["DELETE_EVENT", "UPDATE_EVENT"]


async def test_a_webhook_shows_the_event_as_it_was_when_it_happened() -> None:
    receiver = Receiver()
    sim = a_simulator(receiver)
    for name in ("First", "Second"):
        sim.events.rename(1, name)
    await sim.webhooks.flush()
    assert [json.loads(body)["event"]["name"] for _, body in receiver.got] == ["First", "Second"]


@pytest.mark.parametrize("signature", [Signature.BAD, Signature.NONE])
async def test_a_signature_can_be_wrong_or_missing(signature: Signature) -> None:
    receiver = Receiver()
    sim = a_simulator(receiver)
    await sim.webhooks.send(Trigger.UPDATE_EVENT, {"id": 1}, signature)
    assert not is_signed(*receiver.got[0])


async def test_edits_over_http_send_at_once_unless_told_to_wait() -> None:
    receiver = Receiver()
    sim = a_simulator(receiver)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=sim.app), base_url="https://api.example.com") as client:
        await client.post("/_control/events/1/rename", json={"name": "Now"})
        assert receiver.triggers() == ["UPDATE_EVENT"]
        await client.post("/_control/settings", json={"webhook_send": "on_flush"})
        await client.post("/_control/events/1/rename", json={"name": "Later"})
        assert len(receiver.got) == 1
        flushed = (await client.post("/_control/webhooks/flush", json={"order": "reversed"})).json()
        sent = (await client.post("/_control/webhooks/send", json={"id": 1, "id_only": True, "trigger": "DELETE_EVENT"})).json()
        await client.post("/_control/webhooks/burst", json={"id": 1})
        assert len((await client.get("/_control/webhooks")).json()) == 6
    assert flushed == [{"trigger": "UPDATE_EVENT", "event_id": 1, "statuses": [200]}]
    assert sent["trigger"] == "DELETE_EVENT"
    assert json.loads(receiver.got[2][1])["event"] == {"id": 1}


async def test_nobody_is_told_where_no_address_is_set() -> None:
    receiver = Receiver()
    sim = a_simulator(receiver, webhook_url="")
    sim.events.rename(1, "Quiet")
    assert await sim.webhooks.flush() == []


async def test_webhooks_can_come_twice_and_each_says_when_it_was_sent() -> None:
    receiver = Receiver()
    sim = a_simulator(receiver)
    sim.events.rename(1, "Twice")
    await sim.webhooks.flush(copies=2)
    assert len(receiver.got) == 2
    assert {signature.partition(",")[0] for signature, _ in receiver.got if signature} == {f"t={int(NOW.timestamp())}"}
