"""Where a soak takes place: three simulated vendors on free ports, a config with two pipelines, a folder, and consent given."""

import contextlib
import dataclasses
import random
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from calrelay.ports import TokenPair
from calrelay.simulators.apptoto.settings import AfterDelete, CalendarList
from calrelay.simulators.faults import Entry
from calrelay.simulators.server import FREE_PORTS, SimulatorServer
from calrelay.simulators.worlds import World, a_world
from calrelay.state.database import open_database
from calrelay.state.tokens import SqlTokenStore

PIPELINES = ("venue", "studio")
_CONFIG = """\
[log]
level = "info"
format = "json"

[web]
listen = ""

[accounts.venue]
vendor = "tripleseat"
client_id = "{client_id}"
client_secret = "{client_secret}"
base_url = "{tripleseat}/v1"
requests_per_second = 100

[accounts.studio]
vendor = "timetap"
api_key = "{timetap_key}"
private_key = "{private_key}"
base_url = "{timetap}/live"
requests_per_second = 100

[accounts.reminders]
vendor = "apptoto"
username = "{username}"
api_key = "{api_key}"
base_url = "{apptoto}/v1"
requests_per_minute = 6000

[[pipelines]]
name = "venue"
source = "venue"
target = "reminders"
calendar = "Main Hall"
every = "{every}"
full_every = "5s"
guards = {{ first_load = 1000 }}
[[pipelines.routes]]
match = {{ rooms = ["Terrace"] }}
calendar = "Terrace"

[[pipelines]]
name = "studio"
source = "studio"
target = "reminders"
calendar = "Studio"
every = "{every}"
full_every = "5s"
guards = {{ first_load = 1000 }}
"""


@dataclasses.dataclass(slots=True, kw_only=True)
class Ground:
    """The vendors, the way to them, and the folder in which calrelay lives."""

    world: World
    urls: Mapping[str, str]
    folder: Path
    asked: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def config(self) -> Path:
        """The config file."""
        return self.folder / "config.toml"

    def configure(self, *, every: str = "1s") -> None:
        """Write the config; `every` is what reloads change."""
        tripleseat, timetap, apptoto = self.world.tripleseat.settings, self.world.timetap.settings, self.world.apptoto.settings
        self.config.touch(mode=0o600)
        self.config.write_text(
            _CONFIG.format(
                **self.urls,
                every=every,
                client_id=tripleseat.client_id,
                client_secret=tripleseat.client_secret,
                timetap_key=timetap.api_key,
                private_key=timetap.private_key,
                username=apptoto.username,
                api_key=apptoto.api_key,
            )
        )

    def consent(self) -> None:
        """Store a first token pair, as `calrelay login` does."""
        issued = self.world.tripleseat.issue_tokens()
        expires = datetime.now(UTC) + timedelta(seconds=self.world.tripleseat.settings.access_seconds)
        pair = TokenPair(access_token=issued.access_token, refresh_token=issued.refresh_token, expires_at=expires)
        with open_database("sqlite:///calrelay.db", self.folder) as database:
            SqlTokenStore(database).save("venue", pair)

    def take_requests(self) -> dict[str, list[Entry]]:
        """Count and hand over what was asked since the last call; the journals are emptied, so that memory does not grow."""
        taken = {}
        for simulator in (self.world.tripleseat, self.world.timetap, self.world.apptoto):
            taken[simulator.name] = list(simulator.journal.entries)
            self.asked[simulator.name] = self.asked.get(simulator.name, 0) + len(taken[simulator.name])
            simulator.journal.clear()
        return taken


@contextlib.asynccontextmanager
async def a_ground(folder: Path, seed: int, *, events: int = 110, appointments: int = 60) -> AsyncIterator[Ground]:
    """Serve the vendors for as long as the context lasts; the seed also decides how they behave where that is not known."""
    world = a_world(seed, datetime.now(UTC), tripleseat_events=events, timetap_appointments=appointments)
    _choose_manners(world, random.Random(f"manners {seed}"))
    async with SimulatorServer((world.tripleseat, world.timetap, world.apptoto), ports=FREE_PORTS) as server:
        ground = Ground(world=world, urls=server.urls, folder=folder)
        ground.configure()
        ground.consent()
        yield ground


def _choose_manners(world: World, rng: random.Random) -> None:
    tripleseat, timetap, apptoto = world.tripleseat.settings, world.timetap.settings, world.apptoto.settings
    tripleseat.requests_per_second = tripleseat.requests_per_minute = 0
    tripleseat.access_seconds = 90  # renewed after 30 s, so that kills meet rotations
    tripleseat.page_size = rng.choice((20, 50))
    timetap.token_minutes = 0.5
    apptoto.requests_per_minute = None
    apptoto.after_delete = rng.choice(list(AfterDelete))
    apptoto.delete_again_status = rng.choice((200, 404))
    apptoto.show_deleted = rng.random() < 0.5
    apptoto.calendar_list = rng.choice((CalendarList.WRAPPED, CalendarList.BARE))
    apptoto.echo_external_id = rng.random() < 0.8
    apptoto.seconds_per_event = 0.01  # so that requests last long enough to be hit
