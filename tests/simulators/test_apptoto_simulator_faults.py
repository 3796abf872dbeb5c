"""Apptoto simulator: how it fails (overload, latency, limits, broken answers), its control calls, contacts and webhooks."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from calrelay.simulators.apptoto.settings import ApptotoSettings, Overload
from calrelay.simulators.apptoto.simulator import ApptotoSimulator
from calrelay.simulators.control import Simulator
from calrelay.simulators.faults import Fault, Kind, When
from tests.simulators.apptoto_account import JANE, MAX, Account, open_account


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    """An account of a simulator without a rate limit."""
    async with open_account() as opened:
        yield opened


class TestOverload:
    @pytest.mark.parametrize(("overload", "applied"), [(Overload.BEFORE, 0), (Overload.AFTER, 1)])
    async def test_an_event_that_it_always_fails_over_gets_502_alone_too(self, account: Account, overload: Overload, applied: int) -> None:
        account.settings.failing, account.settings.overload = ("ts-2",), overload
        assert (await account.put(account.row("ts-2"))).status_code == 502
        assert (await account.put(account.row("ts-1"))).status_code == 200
        assert len(account.events.live_events()) == 1 + applied

    @pytest.mark.parametrize(("overload", "applied"), [(Overload.BEFORE, 0), (Overload.HALF_WAY, 2), (Overload.AFTER, 4)])
    async def test_a_batch_too_large_gets_502_whatever_was_applied(self, account: Account, overload: Overload, applied: int) -> None:
        account.settings.overload_above, account.settings.overload = 3, overload
        answer = await account.put(*(account.row(f"ts-{n}") for n in range(4)))
        assert answer.status_code == 502
        assert answer.headers["content-type"].startswith("text/html")
        assert len(account.events.live_events()) == applied

    async def test_a_batch_of_the_right_size_goes_through(self, account: Account) -> None:
        account.settings.overload_above = 3
        assert (await account.put(*(account.row(f"ts-{n}") for n in range(3)))).status_code == 200


class TestLatency:
    async def test_each_event_takes_its_time(self, account: Account) -> None:
        account.settings.seconds_per_event = 0.02
        loop = asyncio.get_running_loop()
        began = loop.time()
        await account.put(account.row("ts-1"), account.row("ts-2"), account.row("ts-3"))
        assert loop.time() - began >= 0.06

    async def test_nothing_takes_time_by_default(self) -> None:
        assert ApptotoSettings().seconds_per_event == 0


class TestRateLimit:
    async def test_the_hundred_and_first_request_in_a_minute_gets_429(self) -> None:
        async with open_account(ApptotoSimulator()) as account:
            answers = [await account.http.get("/v1/calendars") for _ in range(101)]
        assert [a.status_code for a in answers] == [200] * 100 + [429]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60

    async def test_a_429_may_come_without_retry_after(self, account: Account) -> None:
        account.settings.requests_per_minute, account.settings.retry_after = 1, False
        await account.http.get("/v1/calendars")
        answer = await account.http.get("/v1/calendars")
        assert answer.status_code == 429
        assert "Retry-After" not in answer.headers


class TestFaults:
    @pytest.mark.parametrize("status", [500, 503, 502, 429])
    async def test_any_status_can_be_answered_once(self, account: Account, status: int) -> None:
        account.simulator.faults.add(Fault(kind=Kind.STATUS, method="PUT", status=status))
        assert (await account.put(account.row())).status_code == status
        assert account.events.live_events() == []
        assert (await account.put(account.row())).status_code == 200

    @pytest.mark.parametrize("kind", [Kind.HTML, Kind.EMPTY, Kind.CUT])
    async def test_a_200_may_carry_no_sound_json(self, account: Account, kind: Kind) -> None:
        account.simulator.faults.add(Fault(kind=kind, path="/v1/events"))
        answer = await account.http.get("/v1/events")
        assert answer.status_code == 200
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            answer.json()

    async def test_a_reset_may_come_after_the_write_was_applied(self, account: Account) -> None:
        account.simulator.faults.add(Fault(kind=Kind.RESET, method="PUT", when=When.AFTER))
        with pytest.raises(httpx.ReadError):
            await account.put(account.row())
        assert len(account.events.live_events()) == 1

    async def test_a_client_may_give_up_waiting_for_a_write_that_was_applied(self, account: Account) -> None:
        account.simulator.faults.add(Fault(kind=Kind.HANG, method="PUT", when=When.AFTER, seconds=30))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await account.put(account.row())
        assert len(account.events.live_events()) == 1

    async def test_the_journal_has_every_request(self, account: Account) -> None:
        await account.put(account.row())
        await account.listed(page=2)
        assert [(e.method, e.path, e.status) for e in account.simulator.journal.entries] == [
            ("PUT", "/v1/events", 200),
            ("GET", "/v1/events", 200),
        ]


class TestControl:
    async def _post(self, account: Account, path: str, **body: Any) -> httpx.Response:
        return await account.http.post(f"/_control{path}", json=body)

    async def test_the_simulator_fits_the_common_protocol(self, account: Account) -> None:
        simulator: Simulator = account.simulator
        assert (simulator.name, simulator.snapshot()["events"]) == ("apptoto", 0)
        assert json.dumps(simulator.snapshot())

    async def test_modes_are_switched_by_their_names(self, account: Account) -> None:
        answer = await self._post(account, "/settings", after_delete="new", poison=["ts-9"], requests_per_minute=None)
        assert answer.status_code == 200, answer.text
        assert account.settings.poison == ("ts-9",)

    async def test_calendars_are_added_with_a_zone(self, account: Account) -> None:
        answer = await self._post(account, "/calendars", name="Ranch", time_zone="America/Denver")
        assert [(c["name"], c["time_zone"]) for c in answer.json()] == [("Main Hall", "America/New_York"), ("Ranch", "America/Denver")]

    async def test_a_guest_answers_and_the_state_can_be_read(self, account: Account) -> None:
        await account.written(account.row(participants=[JANE, MAX]))
        await self._post(account, "/participants", external_id="ts-1", email="max@example.com", state="confirmed", reply="1")
        [event] = await account.listed(include_conversations="true")
        assert {p["name"]: p["state"] for p in event["participants"]} == {"Jane Roe": "initial", "Max Moe": "confirmed"}
        assert event["participants"][1]["conversations"][0]["messages"][-1]["content"] == "1"

    async def test_a_participant_is_marked_as_messaged(self, account: Account) -> None:
        account.settings.rules = ()
        await account.written(account.row())
        await self._post(account, "/participants", external_id="ts-1", messaged=True)
        [event] = await account.written({"external_id": "ts-1", "participants": []})
        assert [p["name"] for p in event["participants"]] == ["Jane Roe"]

    @pytest.mark.parametrize(
        "body", [{"external_id": "ts-404"}, {"external_id": "ts-1", "state": "noshow"}, {"external_id": "ts-1", "phone": "5"}]
    )
    async def test_a_control_call_that_makes_no_sense_gets_400(self, account: Account, body: dict[str, Any]) -> None:
        await account.written(account.row())
        assert (await self._post(account, "/participants", **body)).status_code == 400

    async def test_the_message_ledger_is_shown(self, account: Account) -> None:
        await account.written(account.row())
        ledger = (await account.http.get("/_control/messages")).json()
        assert [m["channel"] for m in ledger["sent"]] == ["sms", "email"]
        assert ledger["one_offs"] == ledger["marks"] == ledger["extracted"] == []

    async def test_events_are_shown_with_duplicates_and_external_ids(self, account: Account) -> None:
        account.settings.echo_external_id = False
        await account.written(account.row())
        await account.written(account.row(), method="POST")
        shown = (await account.http.get("/_control/events")).json()
        assert [e["external_id"] for e in shown["events"]] == ["ts-1", "ts-1"]
        assert shown["duplicates"] == ["ts-1"]


class TestWebhooks:
    async def test_a_guests_answer_is_posted_as_some_json(self, account: Account) -> None:
        got: list[dict[str, Any]] = []

        def take(request: httpx.Request) -> httpx.Response:
            got.append(json.loads(request.content))
            return httpx.Response(204)

        account.simulator.webhooks.transport = httpx.MockTransport(take)
        account.settings.webhook_url = "http://127.0.0.1:8643/hooks/apptoto/secret"
        await account.written(account.row())
        await account.http.post("/_control/participants", json={"external_id": "ts-1", "state": "confirmed"})
        await account.simulator.webhooks.drain()
        assert [(b["participant"]["state"], b["participant"]["event"]["external_id"]) for b in got] == [("confirmed", "ts-1")]
        assert [(d.trigger, d.status) for d in account.simulator.webhooks.deliveries] == [("state", 204)]

    async def test_our_own_writes_are_told_only_where_subscribed(self, account: Account) -> None:
        account.simulator.webhooks.transport = httpx.MockTransport(lambda _: httpx.Response(500))
        account.settings.webhook_url = "http://127.0.0.1:8643/hooks"
        account.settings.webhook_triggers = ("created", "deleted")
        await account.written(account.row())
        await account.written(account.row(title="Supper"))
        await account.delete("ts-1")
        await account.simulator.webhooks.drain()
        assert [(d.trigger, d.status) for d in account.simulator.webhooks.deliveries] == [("created", 500), ("deleted", 500)]

    async def test_a_receiver_that_is_away_costs_nothing_but_the_delivery(self, account: Account) -> None:
        def refuse(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused", request=request)

        account.simulator.webhooks.transport = httpx.MockTransport(refuse)
        account.settings.webhook_url = "http://127.0.0.1:8643/hooks"
        account.settings.webhook_triggers = ("created",)
        await account.written(account.row())
        await account.simulator.webhooks.drain()
        assert [d.status for d in account.simulator.webhooks.deliveries] == [None]


ROE = {"address_book": "Guests", "name": "Jane Roe", "external_id": "c-1", "phone_numbers": [{"number": "212-555-0147"}]}


class TestContacts:
    async def test_a_contact_is_made_changed_found_and_removed(self, account: Account) -> None:
        await account.http.post("/v1/contacts", json={"contacts": [ROE]})
        change = {"external_id": "c-1", "add_email": "jane@example.com", "last_name": "Doe", "first_name": "Jane"}
        [changed] = (await account.http.put("/v1/contacts", json={"contacts": [change]})).json()["contacts"]
        assert changed["name"] == "Jane Doe"
        found = (await account.http.get("/v1/contact", params={"external_id": "c-1"})).json()
        assert (found["phone_numbers"][0]["normalized"], found["email_addresses"][0]["address"]) == ("+12125550147", "jane@example.com")
        assert len((await account.http.get("/v1/contacts")).json()["contacts"]) == 1
        assert (await account.http.get("/v1/address_books")).json()["address_books"][0]["name"] == "Guests"
        assert (await account.http.request("DELETE", "/v1/contacts", json={"id": found["id"]})).status_code == 200
        assert (await account.http.get("/v1/contact", params={"external_id": "c-1"})).status_code == 404

    async def test_an_event_may_point_to_a_contact(self, account: Account) -> None:
        await account.http.post("/v1/contacts", json={"contacts": [ROE]})
        people = [{"contact_external_id": "c-1", "contact_id": None, "name": None}, {"contact_id": 1}]
        [event] = await account.written(account.row(participants=people))
        assert [(p["name"], p["normalized_phone"]) for p in event["participants"]] == [("Jane Roe", "+12125550147")]
