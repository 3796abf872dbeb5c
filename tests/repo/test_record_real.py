"""Recording a "real" account: the whole way over httpx's own transport, with a simulated vendor behind the vendor's host name."""

import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from starlette.types import ASGIApp, Message

from calrelay.simulators.control import Simulator
from calrelay.simulators.people import FIRST, LAST
from calrelay.simulators.worlds import a_world
from tests.record import DECKS, record
from tests.vendors.cassettes_tape import Origin, Tape, leaks, playing

API_KEY = "555001234567890"  # longer than a time in milliseconds, in which five digits are found once in a while


@pytest.fixture
def world(tmp_path: Path) -> Iterator[dict[str, dict[str, str]]]:
    """The environment for each vendor; behind their hosts are a hundred made-up people whose names must not be seen again."""
    made = a_world(11, datetime.now(UTC), tripleseat_events=40, timetap_appointments=40)
    made.timetap.settings.api_key = API_KEY
    made.tripleseat.settings.requests_per_second = 0
    made.apptoto.settings.requests_per_minute = None
    start = datetime.now(UTC) + timedelta(days=2)
    row = {
        "external_id": "ts-61000001",
        "calendar_id": made.calendars["Main Hall"],
        "title": f"{FIRST[0]} {LAST[0]} dinner",
        "start_time": start.isoformat(),
        "end_time": (start + timedelta(hours=2)).isoformat(),
        "participants": [{"name": f"{FIRST[1]} {LAST[1]}", "email": "somebody@example.org", "phone": "+14155550147"}],
        "custom_data": {f"{LAST[2]} table": "7"},
    }
    made.apptoto.events.put(row)
    env = {
        "timetap": {"CALRELAY_RECORD_TIMETAP_API_KEY": API_KEY, "CALRELAY_RECORD_TIMETAP_PRIVATE_KEY": "0123456789abcdef0123456789abcdef"},
        "apptoto": {"CALRELAY_RECORD_APPTOTO_USERNAME": "ops@example.com", "CALRELAY_RECORD_APPTOTO_API_KEY": "apptoto-key"},
        "tripleseat": tripleseat_variables(made.tripleseat, tmp_path),
    }
    env["timetap_messages"] = env["timetap"]
    # Below httpx's transport, which vcr replaces while it records.
    with respx.mock(using="httpcore", assert_all_called=False) as router:
        simulators: tuple[Simulator, ...] = (made.tripleseat, made.timetap, made.apptoto)
        for simulator in simulators:
            router.route(host=f"api.{simulator.name}.com").mock(side_effect=answering(simulator.app))
        yield env


def answering(app: ASGIApp) -> Callable[[httpx.Request], Awaitable[httpx.Response]]:
    """Answer from an app without httpx's own ASGI transport, which vcr would record as well."""

    async def answer(request: httpx.Request) -> httpx.Response:
        sent: list[Message] = []
        scope = {
            "type": "http",
            "method": request.method,
            "path": request.url.path,
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
        }

        async def receive() -> Message:
            return {"type": "http.request", "body": request.content, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await app(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent)
        return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=body)

    return answer


def tripleseat_variables(sim: Any, folder: Path) -> dict[str, str]:
    tokens = sim.issue_tokens()
    expires = datetime.now(UTC) + timedelta(minutes=30)
    path = folder / "tokens.json"
    path.write_text(
        json.dumps({"access_token": tokens.access_token, "refresh_token": tokens.refresh_token, "expires_at": expires.isoformat()})
    )
    values = {"CLIENT_ID": sim.settings.client_id, "CLIENT_SECRET": sim.settings.client_secret, "TOKENS": str(path)}
    return {f"CALRELAY_RECORD_TRIPLESEAT_{name}": value for name, value in values.items()}


@pytest.mark.parametrize("vendor", DECKS)
async def test_a_real_account_leaves_cassettes_without_its_people_that_can_be_played(
    vendor: str, world: dict[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"tests.vendors.cassettes_{vendor}._{'PER_MINUTE' if vendor == 'apptoto' else 'RATE'}", 100_000.0)
    deck = DECKS[vendor]
    told = await record(deck, world[vendor], tmp_path)
    assert sum("recorded from a real account" in line for line in told) == len(deck.calls) - len(deck.writes)
    for method in deck.calls.keys() - deck.writes:
        tape = Tape.read(deck.path(method, tmp_path))
        assert tape.origin is Origin.ACCOUNT
        assert leaks(tape.text, list(world[vendor].values())) == []
        assert not [name for name in (*FIRST, *LAST) if f'"{name}' in tape.text or f"{name} " in tape.text]
        with playing(deck, method, tmp_path) as subject:
            async with deck.played() as client:
                await deck.calls[method](client, subject)


async def test_a_rotated_refresh_token_is_written_back(
    world: dict[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.vendors.cassettes_tripleseat._RATE", 100_000.0)
    before = json.loads((tmp_path / "tokens.json").read_text())
    await record(DECKS["tripleseat"], world["tripleseat"], tmp_path)
    after = json.loads((tmp_path / "tokens.json").read_text())
    assert after["refresh_token"] != before["refresh_token"]
