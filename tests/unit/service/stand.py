"""A daemon over pipelines in memory and a state on disk, and what a test sees of it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

from calrelay.assembly import KeepAlive, Relay
from calrelay.config.load import Config, parse_config
from calrelay.domain.guard import Limits
from calrelay.engine.order import Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport
from calrelay.errors import ConfigError
from calrelay.service.daemon import Daemon, Service
from calrelay.service.rhythm import Health
from calrelay.service.systemd import Systemd
from calrelay.state.opening import open_state
from calrelay.vendors.registry import VENDORS
from tests.fakes.memory_source import NOW, an_event
from tests.fakes.memory_target import MemoryTarget
from tests.fakes.pipelines import Bench
from tests.unit.service.gates import Gate, GatedSource

CONFIG = """
[state]
url = "sqlite:///{state}.db"
[accounts.venue]
vendor = "tripleseat"
client_id = "an-app"
client_secret = {{ env = "NOWHERE" }}
[accounts.reminders]
vendor = "apptoto"
username = "ops@example.com"
api_key = {{ env = "NOWHERE" }}
[[pipelines]]
name = "venue"
source = "venue"
target = "reminders"
calendar = "{calendar}"
every = "5m"
"""


class Stand:
    """A daemon, the file its config is in, and what it does, pass by pass."""

    def __init__(self, folder: Path, listener: socket.socket) -> None:
        self.folder = folder
        self.source = GatedSource([an_event(1)])
        self.source.gate = Gate()
        self.target = MemoryTarget()
        self.listener = listener
        self.now = NOW
        self.limits = Limits(first_load=100)
        self.problem: ConfigError | None = None
        self.opened: list[Config] = []
        self.closed: list[Config] = []
        self.keep_alive: list[KeepAlive] = []
        self.passes: asyncio.Queue[Reach] = asyncio.Queue()
        self.text = CONFIG.format(state="calrelay", calendar="Main Hall")

    def config(self) -> Config:
        """Read the config as it is now."""
        if self.problem is not None:
            raise self.problem
        return parse_config(self.text, path=self.folder / "config.toml", vendors=VENDORS)

    @contextlib.asynccontextmanager
    async def assemble(self, config: Config, *, command: str) -> AsyncIterator[Relay]:
        """Open a relay over the ends in memory."""
        with open_state(config.state_url(), config.folder) as state:
            self.opened.append(config)
            bench = Bench(source=self.source, target=self.target, ledger=state.ledger, limits=self.limits, now=self.now)
            yield Relay(
                config=config,
                state=state,
                command=command,
                clock=lambda: self.now,
                pipelines={"venue": bench.pipeline},
                ends={},
                keep_alive=tuple(self.keep_alive),
            )
        self.closed.append(config)

    def daemon(self, *services: Service) -> Daemon:
        """Return a daemon that has not started."""
        daemon = Daemon(
            self.config(),
            reload=self.config,
            services=services,
            assembler=self.assemble,
            systemd=Systemd({"NOTIFY_SOCKET": self.listener.getsockname(), "WATCHDOG_USEC": "20000"}),
            stop_within=timedelta(seconds=5),
            clock=lambda: self.now,
        )
        daemon.listeners.append(self._hear)
        return daemon

    def _hear(self, _pipeline: Pipeline, reach: Reach, _report: PassReport, _health: Health) -> None:
        self.passes.put_nowait(reach)

    @contextlib.asynccontextmanager
    async def running(self, *services: Service) -> AsyncIterator[Daemon]:
        """Run a daemon until the block ends, which has to end it in order."""
        daemon = self.daemon(*services)
        task = asyncio.create_task(daemon.run())
        await asyncio.wait_for(asyncio.wait([task, asyncio.create_task(daemon.ready.wait())], return_when=asyncio.FIRST_COMPLETED), 5)
        try:
            yield daemon
        finally:
            daemon.stop()
            await asyncio.wait_for(task, 10)

    async def next_pass(self) -> Reach:
        """Wait for the next pass to end."""
        return await asyncio.wait_for(self.passes.get(), 5)

    def told(self) -> list[str]:
        """Return the lines systemd was told since the last look."""
        lines: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                lines += self.listener.recv(4096).decode().split("\n")
        return lines
