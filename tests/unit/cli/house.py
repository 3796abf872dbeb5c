"""A house to type commands in: the three simulators on loopback in a thread of their own, and a config that points at them."""

import asyncio
import contextlib
import dataclasses
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from calrelay.cli.app import main
from calrelay.ports import TokenPair
from calrelay.simulators.server import FREE_PORTS, SimulatorServer
from calrelay.simulators.worlds import World, a_world
from calrelay.state.database import open_database
from calrelay.state.tokens import SqlTokenStore

CONFIG = """
[log]
level = "error"

[web]
listen = ""

[accounts.venue]
vendor = "tripleseat"
client_id = "simulated-client"
client_secret = "simulated-secret"
base_url = "{tripleseat}/v1"
requests_per_second = 200

[accounts.studio]
vendor = "timetap"
api_key = "{api_key}"
private_key = "{private_key}"
base_url = "{timetap}/live"
requests_per_second = 200

[accounts.reminders]
vendor = "apptoto"
username = "ops@example.com"
api_key = "apptoto-key"
base_url = "{apptoto}/v1"
requests_per_minute = 12000

[[pipelines]]
name = "venue"
source = "venue"
target = "reminders"
calendar = "Main Hall"
window = {{ future = "60d" }}

[[pipelines]]
name = "studio"
source = "studio"
target = "reminders"
calendar = "Studio"
window = {{ future = "60d" }}
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


@dataclasses.dataclass(slots=True, kw_only=True)
class House:
    """Simulators, a config, and what is typed."""

    world: World
    config: Path
    capsys: pytest.CaptureFixture[str] | None = None

    def type(self, *words: str) -> Said:
        """Type a command."""
        assert self.capsys is not None
        self.capsys.readouterr()
        code = main(["--config", str(self.config), *words])
        out, err = self.capsys.readouterr()
        return Said(code=code, out=out, err=err)

    def ask(self, *words: str) -> Any:
        """Type a command with --json, and return its document."""
        return self.type(*words, "--json").document

    def load(self, *pipelines: str) -> None:
        """Load pipelines over their whole window."""
        for name in pipelines:
            said = self.type("backfill", name, "--from", _day(-1), "--to", _day(61), "--messages", "no-booking")
            assert said.code in (0, 1), said


def _day(offset: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=offset):%Y-%m-%d}"


@contextlib.contextmanager
def a_house(folder: Path) -> Iterator[House]:
    """Open the house for as long as the block runs; consent to Tripleseat is given."""
    world = a_world(1, datetime.now(UTC), tripleseat_events=40, timetap_appointments=12)
    world.tripleseat.settings.requests_per_second = world.tripleseat.settings.requests_per_minute = 0
    world.apptoto.settings.requests_per_minute = None
    with serving(world) as urls:
        config = folder / "config.toml"
        keys = world.timetap.settings
        config.write_text(CONFIG.format(**urls, api_key=keys.api_key, private_key=keys.private_key))
        config.chmod(0o600)
        issued = world.tripleseat.issue_tokens()
        with open_database("sqlite:///calrelay.db", folder) as database:
            pair = TokenPair(
                access_token=issued.access_token, refresh_token=issued.refresh_token, expires_at=datetime.now(UTC) + timedelta(hours=1)
            )
            SqlTokenStore(database).save("venue", pair)
        yield House(world=world, config=config)


@contextlib.contextmanager
def serving(world: World) -> Iterator[dict[str, str]]:
    """Serve the simulators from a thread with its own event loop, as commands bring theirs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = SimulatorServer([world.tripleseat, world.timetap, world.apptoto], ports=FREE_PORTS)
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(30)
    try:
        yield server.urls
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
