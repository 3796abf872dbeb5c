"""A stage for whole runs: three vendors on loopback, a config, a SQLite file, and calrelay in this process or as the installed command."""

import asyncio
import contextlib
import dataclasses
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from calrelay.assembly import Relay, assemble
from calrelay.cli.app import main
from calrelay.cli.passes import document_of, exit_code_of, run_passes
from calrelay.config.load import load_config
from calrelay.engine.order import Order
from calrelay.engine.report import PassReport
from calrelay.ports import TokenPair
from calrelay.simulators.apptoto.events import StoredEvent
from calrelay.simulators.faults import Entry
from calrelay.simulators.worlds import World, a_world
from calrelay.state.database import open_database
from calrelay.state.tokens import SqlTokenStore
from calrelay.vendors.registry import VENDORS
from tests.unit.cli.house import Said, serving

COMMAND = Path(sys.executable).with_name("calrelay")
Answer = TypeVar("Answer")

CONFIG = """
[log]
level = "{level}"
format = "json"

[accounts.venue]
vendor = "tripleseat"
client_id = "{client_id}"
client_secret = "{client_secret}"
base_url = "{tripleseat}/v1"
requests_per_second = 500
{venue_account}

[accounts.studio]
vendor = "timetap"
api_key = "{timetap_key}"
private_key = "{private_key}"
base_url = "{timetap}/live"
requests_per_second = 500
{studio_account}

[accounts.reminders]
vendor = "apptoto"
username = "{username}"
api_key = "{api_key}"
base_url = "{apptoto}/v1"
requests_per_minute = 30000

[[pipelines]]
name = "venue"
source = "venue"
target = "reminders"
calendar = "Main Hall"
window = {{ past = "1d", future = "{future}" }}
{venue}
[[pipelines.routes]]
match = {{ rooms = ["Terrace"] }}
calendar = "Terrace"
[pipelines.guards]
first_load = {first_load}
{venue_tables}

[[pipelines]]
name = "studio"
source = "studio"
target = "reminders"
calendar = "Studio"
window = {{ past = "1d", future = "{future}" }}
[pipelines.guards]
first_load = {first_load}
"""

DEFAULTS: Mapping[str, str] = {
    "level": "warning",
    "future": "180d",
    "first_load": "1000",
    "venue_account": "",
    "studio_account": "",
    "venue": "",
    "venue_tables": "",
}


@dataclasses.dataclass(slots=True, kw_only=True)
class Stage:
    """Vendors, a config that points at them, and ways to run calrelay against both."""

    world: World
    folder: Path
    urls: Mapping[str, str]
    capsys: pytest.CaptureFixture[str]
    values: dict[str, str] = dataclasses.field(default_factory=lambda: dict(DEFAULTS))

    @property
    def config(self) -> Path:
        """The config file."""
        return self.folder / "config.toml"

    @property
    def database(self) -> Path:
        """The state database."""
        return self.folder / "calrelay.db"

    def configure(self, **values: str) -> None:
        """Write the config, with some of its values changed for good."""
        self.values |= values
        tripleseat, timetap, apptoto = self.world.tripleseat.settings, self.world.timetap.settings, self.world.apptoto.settings
        known = {
            "client_id": tripleseat.client_id,
            "client_secret": tripleseat.client_secret,
            "timetap_key": timetap.api_key,
            "private_key": timetap.private_key,
            "username": apptoto.username,
            "api_key": apptoto.api_key,
        }
        self.config.write_text(CONFIG.format_map({**known, **self.urls, **self.values}))
        self.config.chmod(0o600)

    def consent(self) -> TokenPair:
        """Store a token pair, as `calrelay login` does."""
        issued = self.world.tripleseat.issue_tokens()
        expires = datetime.now(UTC) + timedelta(hours=1)
        pair = TokenPair(access_token=issued.access_token, refresh_token=issued.refresh_token, expires_at=expires)
        with open_database("sqlite:///calrelay.db", self.folder) as database:
            SqlTokenStore(database).save("venue", pair)
        return pair

    # --- running calrelay ---

    def type(self, *words: str) -> Said:
        """Type a command; it runs in this process, by this machine's clock."""
        self.capsys.readouterr()
        code = main(["--config", str(self.config), *words])
        out, err = self.capsys.readouterr()
        return Said(code=code, out=out, err=err)

    def spawn(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start the installed command as a process of its own."""
        arguments = [str(COMMAND), "--config", str(self.config), *words]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def execute(self, *words: str, **options: Any) -> Said:
        """Run the installed command to its end."""
        with self.spawn(*words, **options) as process:
            out, err = process.communicate(timeout=60)
        return Said(code=process.returncode, out=out, err=err)

    def sync(self, *pipelines: str) -> "Passes":
        """Run a pass of each pipeline as `sync` does, by the clock of the vendors."""
        reports: list[PassReport] = []
        self.within(lambda relay: run_passes(relay, Order(command="sync"), reports), *pipelines)
        return Passes(reports=reports, document=document_of(reports), code=exit_code_of(reports))

    def within(self, work: Callable[[Relay], Awaitable[Answer]], *pipelines: str) -> Answer:
        """Do something with the parts put together, by the clock of the vendors."""

        async def run() -> Answer:
            config = load_config(self.config, VENDORS)
            async with assemble(config, command="sync", pipelines=pipelines or None, clock=self.world.clock.now) as relay:
                return await work(relay)

        return asyncio.run(run())

    # --- what the target saw and holds ---

    def held(self) -> dict[str, StoredEvent]:
        """Return the live events of the target by external id, of which there may be one each."""
        assert self.world.apptoto.events.duplicates() == {}
        return {event.external_id or "": event for event in self.world.apptoto.events.live_events()}

    def calendar_of(self, external_id: str) -> str:
        """Return the name of the calendar in which the target holds an event."""
        names = {number: name for name, number in self.world.calendars.items()}
        return names[self.held()[external_id].calendar_id]

    def writes(self) -> list[Entry]:
        """Return the requests that write, as the target saw them."""
        return [entry for entry in self.world.apptoto.journal.entries if entry.method != "GET"]

    def rows_sent(self) -> list[dict[str, Any]]:
        """Return the rows of all PUTs, in order."""
        return [row for entry in self.writes() if entry.method == "PUT" for row in json.loads(entry.body)["events"]]

    def forget_requests(self) -> None:
        """Begin the journals anew."""
        for simulator in (self.world.tripleseat, self.world.timetap, self.world.apptoto):
            simulator.journal.clear()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """What a `sync` brought."""

    reports: Sequence[PassReport]
    document: Mapping[str, Any]
    code: int

    def of(self, pipeline: str) -> PassReport:
        """Return the report of one pipeline."""
        return next(report for report in self.reports if report.pipeline == pipeline)


@contextlib.contextmanager
def a_stage(
    folder: Path, capsys: pytest.CaptureFixture[str], *, now: datetime | None = None, events: int = 0, appointments: int = 0
) -> Iterator[Stage]:
    """Raise the curtain: so many bookings, limits out of the way, consent given, an empty target."""
    world = a_world(7, now or datetime.now(UTC), tripleseat_events=events, timetap_appointments=appointments)
    world.tripleseat.settings.requests_per_second = world.tripleseat.settings.requests_per_minute = 0
    world.apptoto.settings.requests_per_minute = None
    with serving(world) as urls:
        stage = Stage(world=world, folder=folder, urls=urls, capsys=capsys)
        stage.configure()
        stage.consent()
        yield stage
