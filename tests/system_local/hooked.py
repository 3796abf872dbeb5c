"""A daemon in a process of its own that receives webhooks, vendors that send them, and what can be seen of both."""

import asyncio
import contextlib
import dataclasses
import json
import os
import queue
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from calrelay.simulators.apptoto.events import StoredEvent
from calrelay.simulators.timetap.rows import start_of
from calrelay.simulators.timetap.shapes import dress
from calrelay.simulators.tripleseat.places import to_wall_clock
from calrelay.simulators.tripleseat.webhooks import sign
from tests.system_local.stage import COMMAND, Stage

PATIENCE = 30.0
SECRET = "a-path-secret-of-many-letters"
UNGUARDED = "1000\nupdates = 100000\ncreates = 100000\ndeletes = 100000\nsame_shift = 100000"
WEB = '\n[web]\nlisten = "{page}"\nhooks = "127.0.0.1:{port}"\n'


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One POST as a vendor sends it."""

    vendor: str
    body: bytes
    is_signed: bool = True


@dataclasses.dataclass(slots=True, kw_only=True)
class Hooked:
    """The daemon, and the stage it plays on."""

    stage: Stage
    port: int
    popen: subprocess.Popen[bytes]
    log: Path
    _seen: "queue.Queue[StoredEvent]"

    @property
    def url(self) -> str:
        """Where it receives."""
        return f"http://127.0.0.1:{self.port}/hooks"

    def lines(self, event: str = "pass") -> list[dict[str, Any]]:
        """Return what it has logged so far under this event."""
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]

    def memory(self) -> float:
        """Return its resident memory in MiB."""
        pages = int(Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def seconds_until(self, change: Callable[[], object], external_id: str) -> float:
        """Make a change at a source, and return how long it took until the target was told of that event."""
        while not self._seen.empty():
            self._seen.get_nowait()
        began = time.monotonic()
        change()
        while self._seen.get(timeout=PATIENCE).external_id != external_id:
            pass
        return time.monotonic() - began

    def wait_for(self, is_so: Callable[[], bool], *, within: float = PATIENCE) -> None:
        """Look again each time the target was told of something, or after a moment."""
        until = time.monotonic() + within
        while not is_so():
            assert time.monotonic() < until, f"not within {within} s; the log ends with {self.log.read_text()[-2000:]}"
            with contextlib.suppress(queue.Empty):
                self._seen.get(timeout=0.2)

    def control(self, vendor: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Steer a simulator over HTTP, as a person at the vendor's page does: its webhooks go out before it answers."""
        answer = httpx.post(f"{self.stage.urls[vendor]}/_control/{path}", json=body or {}, timeout=PATIENCE)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, webhooks: Sequence[Webhook], *, within: float) -> list[int]:
        """Send these webhooks evenly over this many seconds, many at a time, and return the answers' statuses."""
        return asyncio.run(self._post_all(webhooks, within))

    async def _post_all(self, webhooks: Sequence[Webhook], within: float) -> list[int]:
        gate = asyncio.Semaphore(20)
        began = time.monotonic()
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:

            async def send(number: int, webhook: Webhook) -> int:
                await asyncio.sleep(max(0.0, began + within * number / len(webhooks) - time.monotonic()))
                async with gate:
                    return await self._post_one(client, webhook)

            return list(await asyncio.gather(*(send(number, webhook) for number, webhook in enumerate(webhooks))))

    async def _post_one(self, client: httpx.AsyncClient, webhook: Webhook) -> int:
        if webhook.vendor == "timetap":
            key = SECRET if webhook.is_signed else "guessed"
            return (await client.post(f"{self.url}/timetap/studio/{key}", content=webhook.body)).status_code
        key = self.stage.world.tripleseat.settings.webhook_key + ("" if webhook.is_signed else "?")
        headers = {"x-signature": sign(webhook.body, key, int(time.time()))}
        return (await client.post(f"{self.url}/tripleseat/venue", content=webhook.body, headers=headers)).status_code

    def end(self) -> int:
        """End it in order, and return its exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(PATIENCE)


class Edits:
    """Changes at both sources, one after the other, and the webhooks that tell of them."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._world = stage.world
        self._rng = random.Random(seed)
        now = stage.world.clock.now()
        self._events = [stored.row["id"] for stored in self._world.tripleseat.events if _is_ahead(stored.row, now)]
        book = self._world.timetap.book.bookings
        ahead = now + timedelta(days=2)
        self._appointments = [number for number, one in book.items() if one.row["status"] == "OPEN" and start_of(one.row) > ahead]
        self._takes = 0

    def next(self) -> tuple[str, Webhook]:
        """Change something, and return its external id and its webhook."""
        self._takes += 1
        return self.rename() if self._takes % 2 else self.move()

    def rename(self) -> tuple[str, Webhook]:
        """Give an event another name."""
        number = self._rng.choice(self._events)
        row = self._world.tripleseat.events.rename(number, f"Dinner, take {self._takes}")
        body = json.dumps({"webhook_trigger_type": "UPDATE_EVENT", "event": row}).encode()
        return f"ts-{number}", Webhook(vendor="tripleseat", body=body)

    def move(self) -> tuple[str, Webhook]:
        """Give an appointment another start."""
        number = self._rng.choice(self._appointments)
        book, settings = self._world.timetap.book, self._world.timetap.settings
        row = book.move(number, wall_clock(book.row(number)) + timedelta(minutes=5))
        return f"tt-{number}", Webhook(vendor="timetap", body=json.dumps(dress(row, settings, settings.webhook_spelling)).encode())


def wall_clock(row: dict[str, Any]) -> datetime:
    """Return an appointment's start on its staff member's clock."""
    return to_wall_clock(start_of(row), row["staffTimeZone"])


def _is_ahead(row: dict[str, Any], now: datetime) -> bool:
    return row["status"] == "DEFINITE" and datetime.fromisoformat(row["event_start_utc"]) > now + timedelta(days=1)


def a_storm(edits: Sequence[Webhook], rng: random.Random, *, number: int, forged: int, huge: int) -> list[Webhook]:
    """Mix edits, repeats of them, forgeries and bodies of 2 MiB, in any order, to this many in all."""
    repeats = [rng.choice(edits) for _ in range(number - len(edits) - forged - huge)]
    lies = [dataclasses.replace(rng.choice(edits), is_signed=False) for _ in range(forged)]
    large = [Webhook(vendor=rng.choice(("tripleseat", "timetap")), body=b" " * (2 << 20)) for _ in range(huge)]
    storm = [*edits, *repeats, *lies, *large]
    rng.shuffle(storm)
    return storm


@contextlib.contextmanager
def receiving(
    stage: Stage, *, every: str = "10m", full_every: str = "1h", rates: Callable[[str], str] = str, page: str = ""
) -> Iterator[Hooked]:
    """Run a daemon that has loaded both pipelines and receives webhooks; `rates` may rewrite the config's rates, `page` is [web] listen."""
    port = free_port()
    tripleseat, timetap = stage.world.tripleseat.settings, stage.world.timetap.settings
    stage.configure(
        level="info",
        first_load=UNGUARDED,
        venue_account=f'webhook_secret = "{tripleseat.webhook_key}"',
        studio_account=f'webhook_secret = "{SECRET}"',
    )
    text = stage.config.read_text() + WEB.format(port=port, page=page)
    rhythm = f'every = "{every}"\nfull_every = "{full_every}"\nsource ='
    stage.config.write_text(rates(text.replace("source =", rhythm)))
    tripleseat.webhook_url = f"http://127.0.0.1:{port}/hooks/tripleseat/venue"
    timetap.webhook_url = f"http://127.0.0.1:{port}/hooks/timetap/studio/{SECRET}"
    seen: queue.Queue[StoredEvent] = queue.Queue()
    stage.world.apptoto.events.listeners.append(lambda _change, event: seen.put(event))
    log = stage.folder / "calrelay.log"
    with log.open("wb") as stream:
        popen = subprocess.Popen([str(COMMAND), "--config", str(stage.config), "run"], stdout=stream, stderr=stream)
        hooked = Hooked(stage=stage, port=port, popen=popen, log=log, _seen=seen)
        try:
            hooked.wait_for(lambda: len(hooked.lines()) >= 2)
            yield hooked
        finally:
            popen.kill()
            popen.wait(PATIENCE)


def free_port() -> int:
    """Return a port that nobody uses at the moment, below those that the system gives to outgoing connections (32768 on)."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
