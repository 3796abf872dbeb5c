"""A house whose daemon runs as a process of its own with a page on a free port; the simulators live in the test's process."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode

from tests.unit.cli.house import House, a_house

TOKEN = "only-for-simulated-guests"
PATIENCE = 30.0
POISON = "Poisoned Supper"
_PIPELINE = """calendar = "Main Hall"
every = "1s"
full_every = "2s"
guards = { first_load = 1000, deletes = 2, creates = 1000, updates = 1000, same_shift = { count = 1000, share = 1.0 } }"""


class PageHouse:
    """The house, its daemon and the page's address."""

    def __init__(self, house: House, port: int) -> None:
        self.house = house
        self.url = f"http://127.0.0.1:{port}"
        self._world = house.world.tripleseat

    @property
    def ids(self) -> list[int]:
        """The venue's events that Apptoto holds, by their number."""
        held = self.house.world.apptoto.events.live_events()
        return sorted(int(event.external_id.removeprefix("ts-").partition(".")[0]) for event in held if event.external_id)

    def cancel(self, count: int) -> list[int]:
        """Have this many bookings lost, and return which."""
        lost = self.ids[:count]
        for number in lost:
            self._world.events.set_status(number, "LOST")
        return lost

    def poison(self) -> int:
        """Have Apptoto refuse an event, and return which."""
        number = self.ids[-1]
        self.house.world.apptoto.settings.poison = (POISON,)
        self._world.events.rename(number, POISON)
        return number

    def cure(self) -> None:
        """Have Apptoto take everything again."""
        self.house.world.apptoto.settings.poison = ()

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Return status and text of an address."""
        status, text, _ = self.ask(path, None, **headers)
        return status, text

    def ask(self, path: str, form: dict[str, str] | None, **headers: str) -> tuple[int, str, Message]:
        """Ask over a real socket, following nothing; a form makes it a POST."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data=urlencode(form).encode() if form is not None else None, headers=sent)
        try:
            with _OPENER.open(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode(), answer.headers
        except HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode(), refusal.headers


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        return None


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())


@contextlib.contextmanager
def a_page_house(folder: Path) -> Iterator[PageHouse]:
    """Open the house and run its daemon until the block ends, which has to end it in order."""
    with a_house(folder) as house, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        text = house.config.read_text().replace('listen = ""', f'listen = "127.0.0.1:{port}"\ntoken = "{TOKEN}"')
        text = text[: text.index('[[pipelines]]\nname = "studio"')]
        house.config.write_text(text.replace('calendar = "Main Hall"', _PIPELINE))
        free.close()
        with _running(house.config):
            page = PageHouse(house, port)
            wait_for(lambda: "in step" in _text(page))
            yield page


def _text(page: PageHouse) -> str:
    try:
        return page.get("/")[1]
    except OSError:
        return ""


@contextlib.contextmanager
def _running(config: Path) -> Iterator[None]:
    env = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    daemon = subprocess.Popen(
        [sys.executable, "-m", "calrelay", "--config", str(config), "run"], env=env, stderr=subprocess.PIPE, text=True
    )
    try:
        yield
        daemon.send_signal(signal.SIGTERM)
        _, err = daemon.communicate(timeout=PATIENCE)
        assert daemon.returncode == 0, err
        assert TOKEN not in err
        assert not re.search("Traceback|ERROR:", err), err
    finally:
        daemon.kill()
        daemon.communicate()


def wait_for(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, in another process."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)
