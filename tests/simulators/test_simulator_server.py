"""The simulators over real sockets: ports, the page of knobs, a clean end."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from calrelay.simulators.faults import Fault, Kind
from calrelay.simulators.page import EXAMPLES
from calrelay.simulators.server import DEFAULT_PORTS, FREE_PORTS, PAGE, SimulatorServer
from calrelay.simulators.worlds import World, a_world

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    return a_world(1, NOW, tripleseat_events=12, timetap_appointments=6)


def a_server(world: World) -> SimulatorServer:
    return SimulatorServer([world.tripleseat, world.timetap, world.apptoto], ports=FREE_PORTS)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


async def test_each_vendor_answers_at_its_own_url(world: World, client: httpx.AsyncClient) -> None:
    async with a_server(world) as server:
        names = [(await client.get(f"{server.urls[name]}/_control/state")).json()["name"] for name in ("tripleseat", "timetap", "apptoto")]
        token = world.tripleseat.issue_tokens().access_token
        answer = await client.get(f"{server.urls['tripleseat']}/v1/events/search.json", headers={"authorization": f"Bearer {token}"})
    assert names == ["tripleseat", "timetap", "apptoto"]
    assert len(set(server.urls.values())) == 4
    assert len(answer.json()["results"]) == 12
    assert answer.headers["date"].startswith("Sat, 21 Nov 2026 15:0")


def test_the_fixed_ports_are_where_documents_say_they_are() -> None:
    assert DEFAULT_PORTS == {"page": 8700, "tripleseat": 8701, "timetap": 8702, "apptoto": 8703}


async def test_after_the_end_nobody_listens_and_it_can_start_again(world: World, client: httpx.AsyncClient) -> None:
    server = a_server(world)
    for _ in range(2):
        async with server:
            url = server.urls["timetap"]
            assert (await client.get(f"{url}/_control/state")).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/_control/state")


async def test_half_a_request_is_none(world: World, client: httpx.AsyncClient) -> None:
    """Whoever is killed while it sends has sent nothing: no server acts on a body that never came to its end."""
    for half in (b"", b'{"events": ['):
        async with a_server(world) as server:
            url = httpx.URL(server.urls["apptoto"])
            _, writer = await asyncio.open_connection(url.host, url.port)
            writer.write(
                b"PUT /v1/events HTTP/1.1\r\nHost: apptoto\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n" + half
            )
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            for _ in range(3):
                await client.get(f"{url}/v1/calendars")
        assert {entry.method for entry in world.apptoto.journal.entries} == {"GET"}


async def test_a_taken_port_is_named_and_leaves_nothing_open(world: World, client: httpx.AsyncClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]
        other.close()
        ports = {"tripleseat": free, "timetap": taken.getsockname()[1]}
        server = SimulatorServer([world.tripleseat, world.timetap], ports=ports)
        with pytest.raises(OSError, match=rf"{ports['timetap']}, where timetap"):
            await server.__aenter__()
    with pytest.raises(httpx.ConnectError):
        await client.get(f"http://127.0.0.1:{free}/_control/state")


async def test_a_reset_ends_the_connection(world: World, client: httpx.AsyncClient) -> None:
    world.apptoto.faults.add(Fault(kind=Kind.RESET))
    async with a_server(world) as server:
        with pytest.raises(httpx.TransportError):
            await client.get(f"{server.urls['apptoto']}/v1/calendars")
        assert (await client.get(f"{server.urls['apptoto']}/_control/state")).status_code == 200


async def test_an_answer_that_hangs_is_cut_off_at_the_end(world: World, client: httpx.AsyncClient) -> None:
    world.tripleseat.faults.add(Fault(kind=Kind.HANG, seconds=3600))
    reached, vendor = asyncio.Event(), world.tripleseat.app

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.set()
        await vendor(scope, receive, send)

    world.tripleseat.app = app
    async with a_server(world) as server:
        hanging = asyncio.create_task(client.get(f"{server.urls['tripleseat']}/v1/sites.json"))
        await reached.wait()
    with pytest.raises(httpx.TransportError):
        await hanging


async def test_the_page_shows_every_vendor_without_javascript(world: World, client: httpx.AsyncClient) -> None:
    async with a_server(world) as server:
        text = (await client.get(server.urls[PAGE])).text
    assert "<script" not in text
    for name in ("tripleseat", "timetap", "apptoto"):
        assert f"<section id='{name}'>" in text
        assert f"{server.urls[name]}/_control/state" in text


async def test_a_form_turns_a_knob_and_leads_back(world: World, client: httpx.AsyncClient) -> None:
    async with a_server(world) as server:
        answer = await client.post(f"{server.urls[PAGE]}/tripleseat/settings", data={"page_size": "5", "auto_consent": "true"})
        wrong = await client.post(f"{server.urls[PAGE]}/tripleseat/settings", data={"page_size": "<b>"})
        nobody = await client.post(f"{server.urls[PAGE]}/nobody/settings", data={})
    assert (answer.status_code, answer.headers["location"]) == (303, "/#tripleseat")
    assert (world.tripleseat.settings.page_size, world.tripleseat.settings.auto_consent) == (5, True)
    assert (wrong.status_code, "<b>" in wrong.text) == (400, False)
    assert nobody.status_code == 404


async def test_forms_make_faults_move_the_clock_and_call_anything(world: World, client: httpx.AsyncClient) -> None:
    async with a_server(world) as server:
        page = server.urls[PAGE]
        fields = {"kind": "status", "when": "before", "method": "*", "path": "/v1", "times": "", "status": "429", "retry_after": "7"}
        await client.post(f"{page}/tripleseat/faults", data=fields)
        broken = [await client.get(f"{server.urls['tripleseat']}/v1/sites.json") for _ in range(2)]
        shown = (await client.get(page)).text
        await client.post(f"{page}/tripleseat/faults/clear")
        await client.post(f"{page}/tripleseat/journal/clear")
        await client.post(f"{page}/tripleseat/clock", data={"minutes": "90"})
        called = await client.post(f"{page}/tripleseat/call", data={"method": "GET", "path": "state"})
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in broken] == [(429, "7")] * 2
    assert "for ever" in shown
    assert (world.tripleseat.faults.rules, world.tripleseat.journal.entries) == ([], [])
    assert world.clock.now().hour == 16
    assert "page_size" in called.text


async def test_every_call_that_the_page_gives_as_an_example_works(client: httpx.AsyncClient) -> None:
    async with a_server(a_world(1, NOW)) as server:
        page = (await client.get(server.urls[PAGE])).text
        for name, examples in EXAMPLES.items():
            for path, body in examples:
                assert path in page
                answer = await client.post(f"{server.urls[PAGE]}/{name}/call", data={"method": "POST", "path": path, "body": body})
                assert answer.status_code == 200, (path, answer.text)
    assert "GET /events" in page
    assert "POST /appointments/{id:int}/{verb}" in page
