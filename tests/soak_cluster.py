"""A soak of workers: `python -m tests.soak_cluster --seconds N --seed S`, which `make soak-cluster` calls.

Three workers share two pipelines on a PostgreSQL of their own while bookings change. Workers are killed, stopped and woken up, and ended;
the server restarts under them: each once in an order of the seed, then at random. Afterwards the target must come to hold what the sources
want, and both the database and the simulators are asked whether ever two passes of a pipeline were at work at a time. A seed repeats edits
and disturbances in their order.
"""

import asyncio
import contextlib
import dataclasses
import json
import math
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl

from sqlalchemy import Engine, create_engine
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calrelay.simulators.server import FREE_PORTS, SimulatorServer
from calrelay.simulators.worlds import World, a_world
from calrelay.state.database import open_database
from calrelay.state.tokens import SqlTokenStore
from tests.postgres.databases import Databases, own_server
from tests.soaking import audit
from tests.soaking.audit import Write
from tests.soaking.crew import URL, Member, Sockets
from tests.soaking.edits import Hands
from tests.soaking.ground import Ground
from tests.soaking.process import Operator
from tests.soaking.repeating import repeat
from tests.soaking.witness import Witness

WORKERS = 3
PREFIXES = {"venue": "ts-", "studio": "tt-"}
QUIET_WITHIN = 120.0
PACE = 4.0  # edits a second
DISTURBANCES = {"kill -9": 3, "SIGSTOP, SIGCONT": 4, "SIGTERM": 2, "server restart": 1}  # and how often each comes beside the others


@dataclasses.dataclass(slots=True, kw_only=True)
class Outcome:
    """What a soak of workers came to."""

    seed: int
    seconds: float
    settled_in: float | None = None
    edits: int = 0
    disturbed: Counter[str] = dataclasses.field(default_factory=Counter)
    leases: int = 0
    recorded: int = 0
    refreshed: int = 0
    logins: int = 0
    writes: int = 0
    late: int = 0
    held: int = 0
    by_worker: Counter[str] = dataclasses.field(default_factory=Counter)
    wrong: list[str] = dataclasses.field(default_factory=list)

    def describe(self) -> str:
        """Tell it."""
        disturbed = ", ".join(f"{number} × {name}" for name, number in sorted(self.disturbed.items()))
        shares = ", ".join(f"{name} {number}" for name, number in sorted(self.by_worker.items()))
        settled = "never" if self.settled_in is None else f"{self.settled_in:.1f} s"
        return "\n".join(
            [
                f"seed {self.seed}, {self.seconds:.0f} seconds, {WORKERS} workers",
                f"changes at the sources   {self.edits}",
                f"disturbances             {disturbed}",
                f"leases taken             {self.leases}; {self.recorded} rows written under them",
                f"tokens renewed           {self.refreshed}; consents given anew {self.logins}",
                f"writes at the target     {self.writes} ({shares}); {self.late} of them in hand when the lease was lost",
                f"in step again after      {settled}; {self.held} events at the target",
                "",
                *(["no two passes of a pipeline at work at a time, nothing lost, nothing doubled"] if not self.wrong else self.wrong),
            ]
        )


class Listening:
    """Stands before the target, and notes who writes what."""

    def __init__(self, world: World) -> None:
        self._app: ASGIApp = world.apptoto.app
        self._events = world.apptoto.events
        self.crew: dict[str, Member] = {}
        self.sockets = Sockets({})
        self.writes: list[Write] = []
        self.is_writing = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; whose it is must be looked up before it is answered."""
        if scope["type"] == "http" and scope["path"].startswith("/v1/events"):
            writer = self.sockets.owner(scope["client"][1])
            if scope["method"] == "DELETE" and writer is not None:
                self._note(writer, {self._external_id(scope)}, time.time())
            elif scope["method"] == "PUT" and writer is not None:
                receive = self._noting(receive, writer, time.time())
        await self._app(scope, receive, send)

    def _noting(self, receive: Receive, writer: str, at: float) -> Receive:
        body = b""

        async def noting() -> Message:
            nonlocal body
            message = await receive()
            if message["type"] == "http.disconnect":  # killed while it sent: what never came whole is no write
                return message
            body += message.get("body", b"")
            if body and not message.get("more_body"):
                self._note(writer, {str(row["external_id"]) for row in json.loads(body)["events"]}, at)
                body = b""
            return message

        return noting

    def _external_id(self, scope: Scope) -> str:
        number = dict(parse_qsl(scope["query_string"].decode())).get("id", "0")
        event = self._events.by_id(int(number))
        return (event.external_id if event else None) or ""

    def _note(self, writer: str, external_ids: set[str], at: float) -> None:
        self.is_writing.set()
        for pipeline, prefix in PREFIXES.items():
            if any(external_id.startswith(prefix) for external_id in external_ids):
                self.writes.append(Write(at=at, pipeline=pipeline, writer=writer, pid=self.crew[writer].pid))


class ClusterSoak:
    """One soak of workers. `run` may be called once."""

    def __init__(self, ground: Ground, listening: Listening, server: Databases, url: str, seed: int, seconds: float) -> None:
        self._seconds = seconds
        self._server = server
        self._rng = random.Random(f"cluster {seed}")
        self._owed = self._rng.sample(list(DISTURBANCES), len(DISTURBANCES))  # a short soak would not come to the rare ones by chance
        self._hands = Hands(ground.world, seed)
        self._witness = Witness(ground.world)
        self._hands.on_edit = self._witness.note
        self._ground = ground
        self._operator = Operator(ground.config)
        self._away_at = -math.inf  # when the server was away last, by the monotonic clock
        names = [f"worker-{number}" for number in range(1, WORKERS + 1)]
        self._crew = {name: Member(name=name, config=ground.config, url=url, away_at=lambda: self._away_at) for name in names}
        self._listening = listening
        listening.crew, listening.sockets = self._crew, Sockets(self._crew)
        self._outcome = Outcome(seed=seed, seconds=seconds)

    async def run(self, engine: Engine) -> Outcome:
        """Make trouble for the chosen time, then let it settle, then judge."""
        try:
            for member in self._crew.values():
                await member.start()
            await self._until_first_load()
            await self._trouble()
            await self._settle()
            for member in self._crew.values():
                member.look_after()
                await member.end()
        finally:
            for member in self._crew.values():
                await member.kill()
        return self._judge(engine)

    async def _until_first_load(self) -> None:
        for _ in range(300):
            if not self._witness.differences():
                return
            await asyncio.sleep(0.2)

    async def _trouble(self) -> None:
        until = time.monotonic() + self._seconds
        work = ((1 / PACE, self._edit), (1.5, self._disturb), (1.5, self._disturb), (3.0, self._operator.decide), (2.0, self._keep_books))
        async with asyncio.TaskGroup() as group:
            for mean, act in work:
                group.create_task(self._repeat(mean, act, until=until))
        self._hands.show_all()

    async def _repeat(self, mean: float, act: Callable[[], Awaitable[None]], *, until: float) -> None:
        while True:
            pause = min(self._rng.expovariate(1 / mean), 3 * mean)
            await asyncio.sleep(pause if self._owed else max(0.0, min(pause, until - time.monotonic())))
            if time.monotonic() >= until and not self._owed:
                return
            await act()

    async def _edit(self) -> None:
        self._hands.edit()

    async def _disturb(self) -> None:
        way = self._owed.pop() if self._owed else self._rng.choices(list(DISTURBANCES), weights=list(DISTURBANCES.values()))[0]
        if way == "server restart":
            await self._restart_server(way)
            return
        await self._begin_anew()
        awake = [member for member in self._crew.values() if member.process is not None and not member.is_asleep and not member.is_ending]
        if not awake:
            if not self._outcome.disturbed[way]:
                self._owed.append(way)
            return
        member = await self._somebody_writing() or self._rng.choice(awake)
        member.look_after()
        self._outcome.disturbed[way] += 1
        if way == "SIGSTOP, SIGCONT":
            await member.sleep(self._rng.uniform(0.5, 9.0))  # shorter and longer than a lease
            return
        await (member.kill() if way == "kill -9" else member.end())
        await member.start()

    async def _begin_anew(self) -> None:
        """Do what systemd does with those that ended by themselves."""
        for member in self._crew.values():
            member.look_after()
            if member.is_out:
                await member.start()

    async def _somebody_writing(self) -> Member | None:
        """Return who has a request to the target in hand just now; every other time nobody is waited for."""
        if self._rng.random() < 0.5:
            return None
        self._listening.is_writing.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await self._listening.is_writing.wait()
            member = self._crew[self._listening.writes[-1].writer]
            return member if member.process is not None and not member.is_asleep and not member.is_ending else None
        return None

    async def _restart_server(self, way: str) -> None:
        async with self._operator.at_rest:
            self._outcome.disturbed[way] += 1
            self._away_at = math.inf
            await asyncio.to_thread(self._server.server.stop)
            await asyncio.sleep(self._rng.uniform(0, 1.5))
            await asyncio.to_thread(self._server.server.start)
            self._away_at = time.monotonic()

    async def _keep_books(self) -> None:
        """Read what was asked; consent anew where a worker was killed between a rotation and storing it, which nobody can help."""
        requests = self._ground.take_requests()
        self._witness.read(requests["apptoto"])
        asked = [entry for entry in requests["tripleseat"] if entry.path == "/oauth2/token"]
        self._outcome.refreshed += sum(entry.status == 200 for entry in asked)
        if any(entry.status in (400, 401) for entry in asked):
            world = self._ground.world
            code = world.tripleseat.authority.consent(world.tripleseat.settings.redirect_uri)
            self._outcome.logins += await self._operator.log_in(code)

    async def _settle(self) -> None:
        began = time.monotonic()
        while time.monotonic() - began < QUIET_WITHIN:
            await self._keep_books()
            await self._operator.decide()
            await self._operator.retry()
            if not self._witness.differences():
                self._outcome.settled_in = time.monotonic() - began
                return
            await asyncio.sleep(0.5)

    def _judge(self, engine: Engine) -> Outcome:
        outcome, witness = self._outcome, self._witness
        lines = audit.read(engine)
        crimes, late = audit.overlaps(lines, self._listening.writes)
        outcome.edits, outcome.held, outcome.late = self._hands.changed.total(), witness.held, late
        outcome.leases = sum(line.what == "taken" for line in lines)
        outcome.recorded = sum(line.what in audit.TABLES and line.writer in self._crew for line in lines)
        outcome.writes = len(self._listening.writes)
        outcome.by_worker = Counter(write.writer for write in self._listening.writes)
        outcome.wrong = [*audit.ledger_crimes(lines, self._crew), *crimes, *witness.differences(), *witness.crimes]
        outcome.wrong += witness.message_crimes() + self._operator.odd_answers
        outcome.wrong += [end for member in self._crew.values() for end in member.odd_ends]
        if outcome.settled_in is None:
            outcome.wrong.append(f"not in step {QUIET_WITHIN:.0f} s after the last disturbance")
        return outcome


@contextlib.asynccontextmanager
async def _a_ground(folder: Path, seed: int, url: str) -> AsyncIterator[tuple[Ground, Listening]]:
    """Serve the vendors, and write a config whose state is at the address."""
    world = a_world(seed, datetime.now(UTC), tripleseat_events=60, timetap_appointments=48)
    _let_be(world)
    world.apptoto.app = listening = Listening(world)
    async with SimulatorServer((world.tripleseat, world.timetap, world.apptoto), ports=FREE_PORTS) as server:
        ground = Ground(world=world, urls=server.urls, folder=folder)
        ground.configure()
        ground.config.write_text(f'[state]\nurl = {{ env = "{URL}" }}\n\n{ground.config.read_text()}')
        ground.consent()
        with open_database("sqlite:///calrelay.db", folder) as old, open_database(url, folder) as new:
            pair = SqlTokenStore(old).load("venue")
            assert pair is not None
            SqlTokenStore(new).save("venue", pair)
        yield ground, listening


def _let_be(world: World) -> None:
    """Let the vendors behave: here it is the workers that are hurt. Tokens are renewed all the time, so that workers meet over them."""
    world.tripleseat.settings.requests_per_second = world.tripleseat.settings.requests_per_minute = 0
    world.tripleseat.settings.access_seconds = 90
    world.apptoto.settings.requests_per_minute = None
    world.apptoto.settings.seconds_per_event = 0.02


async def soak(seconds: float, seed: int, folder: Path) -> Outcome:
    """Soak for so long and return what came of it."""
    with own_server() as server:
        url = server.make(is_empty=False)
        before = os.environ.get(URL)
        os.environ[URL] = url  # for the operator's commands
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), pool_pre_ping=True)
        audit.install(engine)
        try:
            async with _a_ground(folder, seed, url) as (ground, listening):
                return await ClusterSoak(ground, listening, server, url, seed, seconds).run(engine)
        finally:
            engine.dispose()
            os.environ.pop(URL)
            if before is not None:
                os.environ[URL] = before


def main() -> int:
    """Soak as the command line says; 1 when anything was lost, doubled, written by two at a time, or not ended cleanly."""
    return repeat(soak, make="soak-cluster", description="Run workers that are killed, stopped and ended.")


if __name__ == "__main__":
    sys.exit(main())
