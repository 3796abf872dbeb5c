"""A sign of life for a watcher outside: what counts as heard, and that nothing else hurts or tells the address."""

import asyncio
import socket

import httpx
import pytest

from calrelay.http.ping import ping

URL = "https://watch.example.com/ping/6f2c1d0a-token"


def answering(status: int) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status))


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_any_success_is_heard(status: int) -> None:
    assert await ping(URL, transport=answering(status)) is None


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_any_other_answer_is_not(status: int) -> None:
    assert await ping(URL, transport=answering(status)) == f"it answered {status}"


async def test_a_closed_port_is_told_without_the_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    why = await ping(f"http://127.0.0.1:{port}/6f2c1d0a-token")
    assert why == "no answer (ConnectError)"


async def test_an_answer_that_never_comes_is_not_waited_for() -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    assert await ping(URL, transport=httpx.MockTransport(never), within=0.01) == "no answer (TimeoutError)"


async def test_an_impossible_address_is_no_crash() -> None:
    assert await ping("http://\x00/") == "no answer (InvalidURL)"
