"""The pages of a running daemon over pipelines in memory, asked over ASGI as a browser would."""

import contextlib
import re
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from calrelay.service.daemon import Daemon
from calrelay.service.web.access import FORM_TOKEN, Access
from calrelay.service.web.pages import Pages
from tests.unit.service.stand import Stand

TOKEN = "a-token-of-some-length"
BASE = "http://127.0.0.1:8642"


class Browser:
    """Asks the pages; after `log_in` it sends forms as a person would: those it was shown."""

    def __init__(self, daemon: Daemon, stand: Stand, *, is_loopback_only: bool = True, client: str = "127.0.0.1") -> None:
        self.daemon = daemon
        self.stand = stand
        access = Access(TOKEN, cookie="calrelay_8642", is_loopback_only=is_loopback_only)
        self.pages = Pages(daemon, access, metrics=lambda: (b"calrelay_up 1\n", "text/plain; version=0.0.4"))
        transport = httpx.ASGITransport(self.pages.app, client=(client, 50_000))
        self.http = httpx.AsyncClient(transport=transport, base_url=BASE, headers={"accept": "text/html"})

    async def log_in(self) -> httpx.Response:
        """Show the token once."""
        return await self.http.post("/login", data={"token": TOKEN}, headers={"origin": BASE})

    async def read(self, path: str = "/") -> str:
        """Return a page's text, which has to be there."""
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def press(self, action: str, *, on: str = "/", **chosen: str) -> httpx.Response:
        """Send the form with this action, and these values in it, that a page shows."""
        form = next(form for form in forms(await self.read(on), action) if chosen.items() <= form.items())
        return await self.http.post(action, data=form, headers={"origin": BASE, "sec-fetch-site": "same-origin"})


def forms(html: str, action: str) -> list[dict[str, str]]:
    """Return the hidden fields of each form with this action."""
    found = re.findall(rf'<form action="{action}" method="post">(.*?)</form>', html, re.DOTALL)
    return [dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form)) for form in found]


def form_token(html: str) -> str:
    """Return the form token of a page somebody is logged in on."""
    return next(form[FORM_TOKEN] for form in forms(html, "/logout"))


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield Stand(tmp_path, listener)


@pytest.fixture
async def browser(stand: Stand) -> AsyncIterator[Browser]:
    """A browser on a daemon whose first pass has ended."""
    async with a_browser(stand) as browser:
        yield browser


@contextlib.asynccontextmanager
async def a_browser(stand: Stand, *, is_loopback_only: bool = True, client: str = "127.0.0.1") -> AsyncIterator[Browser]:
    async with stand.running() as daemon:
        await stand.next_pass()
        browser = Browser(daemon, stand, is_loopback_only=is_loopback_only, client=client)
        async with browser.http:
            yield browser
