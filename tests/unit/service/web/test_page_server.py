"""Where the page listens, and what becomes of it when the config changes; over real sockets."""

import asyncio
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from calrelay.errors import ConfigError
from calrelay.service.daemon import Daemon
from calrelay.service.web.server import serve_pages
from tests.unit.service.stand import Stand

TOKEN, OTHER = "a-token-of-some-length", "another-token-of-length"


def listening(stand: Stand, address: str, token: str = TOKEN) -> None:
    """Write the address into the config, in the place of another one."""
    stand.text = stand.text.partition("[web]")[0] + f'[web]\nlisten = "{address}"\ntoken = "{token}"\n'


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def has_token_file(folder: Path) -> bool:
    return any("token" in path.name for path in folder.iterdir())


async def status_of(url: str, token: str = "") -> int:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(url, headers=headers)).status_code


async def logged(lines: Sequence[Mapping[str, Any]], event: str) -> Mapping[str, Any]:
    """Wait until a line was written, without a clock."""
    async with asyncio.timeout(10):
        while not (found := [line for line in lines if line["event"] == event]):  # noqa: ASYNC110 - log lines have no event to wait for
            await asyncio.sleep(0)
    return found[-1]


async def reloaded(daemon: Daemon, event: str) -> Mapping[str, Any]:
    with capture_logs() as lines:
        daemon.reload()
        return await logged(lines, event)


async def test_the_page_is_there_when_the_daemon_is_ready_and_gone_when_it_has_ended(stand: Stand) -> None:
    listening(stand, "127.0.0.1:0")
    with capture_logs() as lines:
        async with stand.running(serve_pages):
            url = str((await logged(lines, "page"))["url"])
            assert await status_of(url) == 200
            assert await status_of(f"{url}metrics") == 200
    with pytest.raises(httpx.ConnectError):
        await status_of(url)
    assert TOKEN not in str(lines)


async def test_an_address_in_use_ends_the_start_before_ready(stand: Stand, taken: str) -> None:
    listening(stand, taken)
    with pytest.raises(ConfigError) as caught:
        await asyncio.wait_for(stand.daemon(serve_pages).run(), 5)
    assert taken in caught.value.message
    assert "web.listen" in caught.value.message
    assert "ss -ltnp" in caught.value.remedy
    assert "READY=1" not in stand.told()
    assert stand.closed == stand.opened


async def test_a_page_that_is_switched_off_makes_no_token(stand: Stand) -> None:
    stand.text = stand.text + '[web]\nlisten = ""\n'
    async with stand.running(serve_pages):
        await stand.next_pass()
    assert not has_token_file(stand.folder)


async def test_a_reload_moves_the_page(stand: Stand, taken: str) -> None:
    listening(stand, "127.0.0.1:0")
    with capture_logs() as lines:
        async with stand.running(serve_pages) as daemon:
            old = str((await logged(lines, "page"))["url"])
            listening(stand, "localhost:0")
            new = str((await reloaded(daemon, "page"))["url"])
            assert await status_of(new) == 200
            with pytest.raises(httpx.ConnectError):
                await status_of(old)


async def test_a_page_that_cannot_move_stays_and_says_why(stand: Stand, taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    listening(stand, address)
    async with stand.running(serve_pages) as daemon:
        listening(stand, taken)
        line = await reloaded(daemon, "the page cannot move")
        assert (taken in line["why"], line["stays_at"]) == (True, address)
        assert await status_of(f"http://{address}/") == 200


async def test_a_reload_switches_the_page_off_and_on(stand: Stand) -> None:
    listening(stand, "127.0.0.1:0")
    with capture_logs() as lines:
        async with stand.running(serve_pages) as daemon:
            url = str((await logged(lines, "page"))["url"])
            listening(stand, "")
            await reloaded(daemon, "reloaded")
            with pytest.raises(httpx.ConnectError):
                await gone(url)
            listening(stand, "127.0.0.1:0")
            assert await status_of(str((await reloaded(daemon, "page"))["url"])) == 200


async def gone(url: str) -> None:
    """Ask until nobody answers; an answer in hand may take a moment."""
    async with asyncio.timeout(10):
        while True:
            await status_of(url)


async def test_a_new_token_counts_from_the_reload_on(stand: Stand) -> None:
    listening(stand, "127.0.0.1:0")
    with capture_logs() as lines:
        async with stand.running(serve_pages) as daemon:
            url = str((await logged(lines, "page"))["url"]) + "events/ms-1"
            assert await status_of(url, TOKEN) == 200
            listening(stand, "127.0.0.1:0", token=OTHER)
            await reloaded(daemon, "reloaded")
            await asyncio.sleep(0)
            assert (await status_of(url, OTHER), await status_of(url, TOKEN)) == (200, 401)


async def test_a_token_that_cannot_be_had_leaves_the_old_one(stand: Stand) -> None:
    listening(stand, "127.0.0.1:0")
    with capture_logs() as lines:
        async with stand.running(serve_pages) as daemon:
            url = str((await logged(lines, "page"))["url"]) + "events/ms-1"
            listening(stand, "127.0.0.1:0", token="short")
            assert "fewer than 16" in (await reloaded(daemon, "the page keeps its old token"))["why"]
            assert await status_of(url, TOKEN) == 200


async def test_on_every_address_even_this_machine_needs_the_token(stand: Stand) -> None:
    listening(stand, "0.0.0.0:0")
    with capture_logs() as lines:
        async with stand.running(serve_pages):
            await stand.next_pass()
            url = str((await logged(lines, "page"))["url"]).replace("0.0.0.0", "127.0.0.1")
            paths = ("", "metrics", "healthz", "readyz")
            assert [await status_of(url + path) for path in paths] == [401] * 4
            assert [await status_of(url + path, TOKEN) for path in paths] == [200] * 4
