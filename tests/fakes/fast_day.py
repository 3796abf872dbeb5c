"""The daemon over the simulators on a clock that nobody waits for: a day takes seconds. The loop's time and the wall clock move as one."""

import asyncio
import functools
import gc
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx
import time_machine
from sqlalchemy import func, select, text

from calrelay.assembly import assemble
from calrelay.config.load import Config, parse_config
from calrelay.ports import TokenPair
from calrelay.service.daemon import Daemon, Service
from calrelay.service.systemd import Systemd
from calrelay.simulators.worlds import a_world
from calrelay.state.database import Database, open_database
from calrelay.state.tables import Table
from calrelay.state.tokens import SqlTokenStore
from calrelay.vendors.registry import VENDORS
from tests.fakes.virtual_time import VirtualTimeLoop

BEGIN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
_CONFIG = """
[web]
listen = ""
[accounts.venue]
vendor = "tripleseat"
client_id = "{client_id}"
client_secret = "{client_secret}"
[accounts.studio]
vendor = "timetap"
api_key = "{timetap_key}"
private_key = "{private_key}"
[accounts.reminders]
vendor = "apptoto"
username = "{username}"
api_key = "{api_key}"
[[pipelines]]
name = "venue"
source = "venue"
target = "reminders"
calendar = "Main Hall"
every = "{every}"
guards = {{ first_load = 1000 }}
[[pipelines]]
name = "studio"
source = "studio"
target = "reminders"
calendar = "Studio"
every = "{every}"
guards = {{ first_load = 1000 }}
"""


class Wire(httpx.AsyncBaseTransport):
    """The way to a simulator in this process; it keeps read timeouts, which httpx leaves to the socket."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.ASGITransport(app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask the simulator."""
        try:
            async with asyncio.timeout(request.extensions["timeout"]["read"]):
                return await self._inner.handle_async_request(request)
        except TimeoutError:
            raise httpx.ReadTimeout("no answer in time", request=request) from None


class Heart(Systemd):
    """What systemd hears: the status line, and how far signs of life were apart."""

    def __init__(self) -> None:
        super().__init__({"WATCHDOG_USEC": "60000000"})
        self.status = ""
        self.last_beat: float | None = None
        self.longest_silence = 0.0

    def tell(self, *lines: str) -> None:
        """Take a message."""
        if "WATCHDOG=1" in lines:
            now = asyncio.get_running_loop().time()
            self.longest_silence = max(self.longest_silence, now - (now if self.last_beat is None else self.last_beat))
            self.last_beat = now
        self.status = next((line.removeprefix("STATUS=") for line in lines if line.startswith("STATUS=")), self.status)


class FastDay:
    """Vendors, a state on disk and a daemon. A context manager; time moves while `live` runs, and only then."""

    def __init__(self, folder: Path, *, every: str = "20m", events: int = 40, appointments: int = 20, seed: int = 1) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._size = {"tripleseat_events": events, "timetap_appointments": appointments}
        self._seed = seed
        self._every = every
        self.heart = Heart()

    def __enter__(self) -> Self:
        self._clock = self._stack.enter_context(time_machine.travel(BEGIN, tick=False))
        self._loop = VirtualTimeLoop(on_skip=self._clock.shift)
        self._stack.callback(self._loop.end)
        self.world = a_world(self._seed, BEGIN, **self._size)
        self._consent()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def live(self, *services: Service) -> Daemon:
        """Run the daemon until one of the services ends it; returns it for a look at what it left."""
        daemon = Daemon(
            self.config(),
            reload=self.config,
            services=services,
            systemd=self.heart,
        )
        daemon._assembler = functools.partial(assemble, transports=self._wires(), observer=daemon.metrics.note_request)
        self._loop.run(daemon.run())
        return daemon

    def config(self) -> Config:
        """Return the config: every limit at its default."""
        world = self.world
        filled = _CONFIG.format(
            client_id=world.tripleseat.settings.client_id,
            client_secret=world.tripleseat.settings.client_secret,
            timetap_key=world.timetap.settings.api_key,
            private_key=world.timetap.settings.private_key,
            username=world.apptoto.settings.username,
            api_key=world.apptoto.settings.api_key,
            every=self._every,
        )
        return parse_config(filled, path=self._folder / "config.toml", vendors=VENDORS)

    def forget_requests(self) -> None:
        """Empty the simulators' journals, which are none of the daemon's memory."""
        for simulator in (self.world.tripleseat, self.world.timetap, self.world.apptoto):
            simulator.journal.clear()

    def blocks(self) -> int:
        """Count the pieces of memory that live, in this whole process."""
        self.forget_requests()
        gc.collect()
        return sys.getallocatedblocks()

    def _wires(self) -> Mapping[str, httpx.AsyncBaseTransport]:
        world = self.world
        return {"venue": Wire(world.tripleseat.app), "studio": Wire(world.timetap.app), "reminders": Wire(world.apptoto.app)}

    def _consent(self) -> None:
        issued = self.world.tripleseat.issue_tokens()
        expires = BEGIN + timedelta(seconds=self.world.tripleseat.settings.access_seconds)
        pair = TokenPair(access_token=issued.access_token, refresh_token=issued.refresh_token, expires_at=expires)
        with open_database("sqlite:///calrelay.db", self._folder) as database:
            SqlTokenStore(database).save("venue", pair)


def rows_of(database: Database) -> dict[str, int]:
    """Count the rows of every table."""
    with database.reading() as connection:
        return {name: connection.scalar(select(func.count()).select_from(table)) or 0 for name, table in Table.metadata.tables.items()}


def bytes_of(database: Database) -> int:
    """Return how large the database is, free pages included."""
    with database.reading() as connection:
        pages, size = (connection.scalar(text(f"PRAGMA {word}")) for word in ("page_count", "page_size"))
    return int(pages or 0) * int(size or 0)
