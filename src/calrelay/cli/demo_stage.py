"""Where the demo plays: three simulated vendors on loopback ports, a config and a state in a folder that is gone afterwards."""

import contextlib
import dataclasses
import socket
import tempfile
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path

from calrelay.cli.session import Session
from calrelay.simulators.apptoto.events import StoredEvent
from calrelay.simulators.apptoto.messages import AutoMessage
from calrelay.simulators.server import FREE_PORTS, PAGE, SimulatorServer
from calrelay.simulators.worlds import World, a_world

SEED = 7
PAGE_PORT = 8642
TOKEN = "for-simulated-guests-only"  # noqa: S105 - it opens a page over simulators
VENUE, STUDIO, TARGET = "venue", "studio", "reminders"
_CONFIG = """\
# The demo's config: as yours would be, but for the addresses and the speed.
[log]
level = "error"

[web]
listen = "127.0.0.1:{page_port}"
token = "{token}"

[accounts.venue]
vendor = "tripleseat"
client_id = "{client_id}"
client_secret = "{client_secret}"
base_url = "{tripleseat}/v1"
requests_per_second = 200

[accounts.studio]
vendor = "timetap"
api_key = "{timetap_key}"
private_key = "{timetap_private}"
base_url = "{timetap}/live"
requests_per_second = 200

[accounts.reminders]
vendor = "apptoto"
username = "{username}"
api_key = "{apptoto_key}"
base_url = "{apptoto}/v1"
requests_per_minute = 12000

[[pipelines]]
name = "venue"
source = "venue"
target = "reminders"
calendar = "Main Hall"
every = "15s"
full_every = "1m"
[[pipelines.routes]]
match = {{ rooms = ["Terrace"] }}
calendar = "Terrace"

[[pipelines]]
name = "studio"
source = "studio"
target = "reminders"
calendar = "Studio"
every = "15s"
full_every = "1m"
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mailbag:
    """What Apptoto itself says of messages: those it sent, and those it will send if nothing changes."""

    sent: tuple[AutoMessage, ...]
    scheduled: tuple[AutoMessage, ...]

    def since(self, earlier: "Mailbag") -> tuple[AutoMessage, ...]:
        """Return what was sent after an earlier look."""
        return self.sent[len(earlier.sent) :]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The running simulators, and the config that leads to them."""

    world: World
    urls: dict[str, str]
    config: Path

    @property
    def session(self) -> Session:
        """The session of `calrelay --config …`."""
        return Session(config_file=self.config)

    @property
    def page(self) -> str:
        """Where the simulators' knobs are."""
        return self.urls[PAGE]

    def consent(self) -> str:
        """Consent at Tripleseat, as a person would in a browser, and return the code that comes back."""
        return self.world.tripleseat.authority.consent(self.world.tripleseat.settings.redirect_uri)

    def messages(self) -> Mailbag:
        """Look into Apptoto's own ledger of messages."""
        messages = self.world.apptoto.messages
        return Mailbag(sent=tuple(messages.sent), scheduled=tuple(messages.would_send()))

    def held_by_target(self) -> list[StoredEvent]:
        """Return what Apptoto holds, deleted entries left out."""
        return self.world.apptoto.events.live_events()

    def entry(self, external_id: str) -> StoredEvent | None:
        """Return the live entry of an external id, of whatever generation."""
        alike = (e for e in self.held_by_target() if e.external_id and e.external_id.partition(".")[0] == external_id)
        return next(alike, None)

    def people_of(self, messages: Iterable[AutoMessage]) -> frozenset[str]:
        """Count persons, not messages: somebody who gets a text and an e-mail is one."""
        return frozenset(self._person(message) for message in messages)

    def _person(self, message: AutoMessage) -> str:
        event = self.world.apptoto.events.by_id(message.event_id)
        person = next((p for p in event.participants if p.id == message.participant_id), None) if event else None
        return (person.normalized_phone or person.email or message.to) if person else message.to


@contextlib.asynccontextmanager
async def set_stage(events: int) -> AsyncIterator[Stage]:
    """Start the simulators, and write the config; all of it ends with the context."""
    world = a_world(SEED, datetime.now(UTC), tripleseat_events=events, timetap_appointments=max(events * 7 // 13, 48))
    world.tripleseat.settings.requests_per_second = 0
    world.tripleseat.settings.requests_per_minute = 0
    world.apptoto.settings.requests_per_minute = None
    with tempfile.TemporaryDirectory(prefix="calrelay-demo-") as folder:
        async with SimulatorServer((world.tripleseat, world.timetap, world.apptoto), ports=FREE_PORTS) as server:
            yield Stage(world=world, urls=dict(server.urls), config=_written(Path(folder), world, server.urls))


def _page_port() -> int:
    """Return the page's usual port, or a free one where something else has it."""
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", PAGE_PORT)):
        return PAGE_PORT
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _written(folder: Path, world: World, urls: dict[str, str]) -> Path:
    path = folder / "config.toml"
    path.touch(mode=0o600)
    path.write_text(
        _CONFIG.format(
            **urls,
            page_port=_page_port(),
            token=TOKEN,
            client_id=world.tripleseat.settings.client_id,
            client_secret=world.tripleseat.settings.client_secret,
            timetap_key=world.timetap.settings.api_key,
            timetap_private=world.timetap.settings.private_key,
            username=world.apptoto.settings.username,
            apptoto_key=world.apptoto.settings.api_key,
        ),
        "utf-8",
    )
    return path
