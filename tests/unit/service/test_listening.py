"""Who may keep a connection, and for how long; over real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from calrelay.config.section import Address
from calrelay.errors import ConfigError
from calrelay.service import listening
from calrelay.service.listening import address_of, bound, serve

Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[Address]:
    """Serve something that reads every body whole, on a free port."""
    place = bound(Address(host="127.0.0.1", port=0), key="web.listen")
    address = address_of(place)
    serving = asyncio.create_task(serve(Starlette(routes=[Route("/", echo, methods=["GET", "POST"])]), place))
    await asyncio.sleep(0)
    try:
        yield address
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def opened(address: Address, said: bytes) -> Pipe:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(said)
    return reader, writer


async def is_cut(reader: asyncio.StreamReader) -> bool:
    """Wait until the other side ends the connection; whether it did so without an answer."""
    async with asyncio.timeout(10):
        try:
            return await reader.read() == b""
        except ConnectionResetError:
            return True


@pytest.mark.parametrize("said", [b"", b"POST / HT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nfive"])
async def test_whoever_sends_nothing_or_half_a_request_is_cut_off(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(listening, "ARRIVES_WITHIN", 0.1)
    async with served() as address:
        reader, writer = await opened(address, said)
        assert await is_cut(reader)
        writer.close()


async def test_half_a_second_request_is_no_way_round_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "ARRIVES_WITHIN", 0.1)
    async with served() as address:
        reader, writer = await opened(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")
        writer.write(b"GET / HT")
        assert await is_cut(reader)
        writer.close()


async def test_a_request_that_has_arrived_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "ARRIVES_WITHIN", 0.05)
    answered = asyncio.Event()

    async def slow(_request: Request) -> PlainTextResponse:
        await answered.wait()
        return PlainTextResponse("at last")

    monkeypatch.setitem(globals(), "echo", slow)
    async with served() as address, httpx.AsyncClient(trust_env=False) as client:
        asking = asyncio.create_task(client.get(f"http://{address}/"))
        asyncio.get_running_loop().call_later(0.2, answered.set)
        assert (await asking).text == "at last"


async def test_only_so_many_connections_are_open_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "OPEN_MOST", 3)
    async with served() as address:
        held = [await opened(address, b"POST / HT") for _ in range(2)]
        reader, writer = await opened(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")
        late, another = await opened(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await is_cut(late)
        for one in (writer, another, *(writer for _, writer in held)):
            one.close()


def test_an_address_in_use_is_told_with_its_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = Address(host="127.0.0.1", port=server.getsockname()[1])
        with pytest.raises(ConfigError, match=r"web\.hooks: cannot listen"):
            bound(taken, key="web.hooks")
