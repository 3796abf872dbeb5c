"""A venue from end to end in one process: simulators, vendor clients, engine and SQLite, on a clock and in a loop that never wait."""

import dataclasses
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx

from calrelay.domain.entry import Hasher
from calrelay.domain.guard import Limit, Limits
from calrelay.domain.link import Basis, CalendarId, MessageMode
from calrelay.domain.policy import CalendarRef, Filter, Match, NamedRoute, Policy, Route
from calrelay.domain.rendering import TITLE, Texts
from calrelay.domain.window import Span, Window
from calrelay.engine.backfill import Step, backfill
from calrelay.engine.newcomers import Arrivals
from calrelay.engine.order import Order, Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport
from calrelay.engine.sync import run_pass
from calrelay.errors import VendorError
from calrelay.http.client import VendorClient
from calrelay.http.pacing import Pacer
from calrelay.ports import TokenPair
from calrelay.simulators.apptoto.events import StoredEvent
from calrelay.simulators.apptoto.simulator import ApptotoSimulator
from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.tripleseat.simulator import TripleseatSimulator
from calrelay.state.database import Database, open_in_memory
from calrelay.state.ledger import SqlLedger
from calrelay.state.tokens import SqlTokenStore
from calrelay.vendors.apptoto.client import ApptotoClient
from calrelay.vendors.apptoto.target import ApptotoTarget
from calrelay.vendors.tripleseat.auth import OAuthApp, TripleseatAuth
from calrelay.vendors.tripleseat.client import TripleseatClient
from calrelay.vendors.tripleseat.source import TripleseatSource
from tests.fakes.fate import Fate, MortalLedger, MortalWire
from tests.fakes.virtual_time import VirtualTimeLoop

Found = TypeVar("Found")
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
WINDOW = Window(past=timedelta(days=1), future=timedelta(days=60))
SMALL_LIMITS = Limits(
    first_load=10_000,
    creates=Limit(count=4, share=0.5),
    updates=Limit(count=4, share=0.6),
    deletes=Limit(count=1, share=0.3, max=3),
    same_shift=Limit(count=3, share=0.2),
)


class StoppedClock(SimulatedClock):
    """A clock that only tests move."""

    def __init__(self, at: datetime = NOW) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    def advance(self, by: timedelta) -> None:
        self._at += by


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an operator may edit in the config, and what a release may change."""

    statuses: frozenset[str] = frozenset({"DEFINITE", "CLOSED"})
    rooms: frozenset[str] = frozenset()  # only these; all where it is empty
    terrace_apart: bool = True  # a route of its own for that room
    title: str = TITLE
    mode: MessageMode = MessageMode.SEND
    zones: Mapping[str, str] = dataclasses.field(default_factory=dict)
    basis: Basis = Basis(zone_data="2026a", mapping="1", config="1 1")
    limits: Limits = SMALL_LIMITS
    settle: timedelta = timedelta()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """How fast the vendors are asked, and in how large pieces."""

    source_per_second: float = 3.0
    target_per_minute: float = 90.0
    batch_size: int = 3
    max_in_flight: int = 1


class Venue:
    """The vendors' simulators live as long as this; a process of ours may die and start again, and a database may be lost."""

    def __init__(self, *, seed: int = 0, rules: Rules = Rules(), speeds: Speeds = Speeds()) -> None:  # frozen
        self.clock = StoppedClock()
        self.tripleseat = TripleseatSimulator(seed=seed, clock=self.clock)
        self.apptoto = ApptotoSimulator(seed=seed, clock=self.clock)
        self.tripleseat.settings.access_seconds = 10**9
        self.rules = rules
        self.main_hall = CalendarId(str(self.apptoto.add_calendar("Main Hall")))
        self.terrace = CalendarId(str(self.apptoto.add_calendar("Terrace")))
        self.fate = Fate()
        self._speeds = speeds
        self._loop = VirtualTimeLoop()
        self._open_database()
        self.restart()

    # --- our process ---

    def sync(
        self, reach: Reach = Reach.COMPLETE, *, adopts_only: bool = False, dies_at: int | None = None, is_dry_run: bool = False
    ) -> PassReport | None:
        """Run one pass; None when the process died, after which the next one starts anew."""
        command = "plan" if is_dry_run else "adopt" if adopts_only else "sync"
        return self.obey(Order(command=command, reach=reach, adopts_only=adopts_only, is_dry_run=is_dry_run), dies_at=dies_at)

    def obey(self, order: Order, *, dies_at: int | str | None = None, arrivals: Arrivals | None = None) -> PassReport | None:
        """Run the pass that is asked for, as `sync`."""
        return self._mortal(run_pass(self.pipeline, order, arrivals=arrivals), dies_at)

    def load(self, span: Span, mode: MessageMode, *, dies_at: int | None = None) -> list[Step] | None:
        """Load a span chunk by chunk; None when the process died. What a vendor does ends it, as it ends the command."""

        async def steps() -> list[Step]:
            taken = []
            with suppress(VendorError):
                async for step in backfill(self.pipeline, span, mode, lock=nullcontext):
                    taken.append(step)  # noqa: PERF401 # those before the failure count
            return taken

        return self._mortal(steps(), dies_at)

    def _mortal(self, work: Coroutine[Any, Any, Found], dies_at: int | str | None) -> Found | None:
        self.fate.arm(dies_at)
        try:
            return self.run(work)
        except BaseException:  # a task group wraps what killed it
            if not self.fate.is_dead:
                raise
            self.restart()
            return None

    def restart(self) -> None:
        """Start the process anew; the one before is gone without a word."""
        self.fate.is_dead = True
        self._loop.end()
        self._start()

    def lose_database(self) -> None:
        """Stop, delete the database, log in, and start again."""
        self._loop.end()
        self.database.close()
        self._open_database()
        self._start()

    def close(self) -> None:
        """End everything."""
        self._loop.end()
        self.database.close()

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline as the config is now."""
        rules = self.rules
        apart = Match(facets={"rooms": frozenset({"terrace"})})
        return Pipeline(
            name="venue",
            source=TripleseatSource(account="venue", client=self._tripleseat_client, zones=rules.zones, now=self.clock.now),
            target=self._target,
            ledger=MortalLedger(self.ledger, self.fate),
            clock=self.clock.now,
            hasher=Hasher(self.ledger.hash_key()),
            limits=rules.limits,
            window=WINDOW,
            near=timedelta(days=7),
            calendar=CalendarRef(name="Main Hall"),
            routes=[NamedRoute(match=apart, calendar=CalendarRef(name="Terrace"))] if rules.terrace_apart else [],
            make_policy=self._policy,
            every=timedelta(minutes=5),
            full_every=timedelta(hours=1),
        )

    def _policy(self, calendar: CalendarId, routes: tuple[Route, ...]) -> Policy:
        rules = self.rules
        return Policy(
            pipeline="venue",
            target="reminders",
            id_prefix="ts-",
            filter=Filter(statuses=rules.statuses, include=Match(facets={"rooms": rules.rooms} if rules.rooms else {})),
            calendar=calendar,
            routes=routes,
            texts=Texts(title=rules.title),
            mode=rules.mode,
            basis=rules.basis,
            window=WINDOW,
            settle=rules.settle,
        )

    def run(self, work: Coroutine[Any, Any, Found]) -> Found:
        """Run anything else in this process's loop."""
        found: Found = self._loop.run(work)
        return found

    @property
    def seconds(self) -> float:
        """The loop's time: waits only, because nothing else takes any."""
        return self._loop.time()

    # --- what the target came to ---

    def carry_out_late(self) -> None:
        """Have the target carry out what was on its way to it when a process died."""
        rules, self.apptoto.faults.rules = self.apptoto.faults.rules, []
        while self.fate.on_their_way:
            self.run(httpx.ASGITransport(self.apptoto.app).handle_async_request(self.fate.on_their_way.pop(0)))
        self.apptoto.faults.rules = rules

    @property
    def live(self) -> list[StoredEvent]:
        """The target's events that are not deleted."""
        return self.apptoto.events.live_events()

    def asked(self, method: str, path: str = "") -> int:
        """Count the requests the target received."""
        return self.apptoto.journal.count(method, path)

    # --- inside ---

    def _open_database(self) -> None:
        self.database: Database = open_in_memory()
        self.ledger = SqlLedger(self.database)
        pair = self.tripleseat.issue_tokens()
        known = TokenPair(
            access_token=pair.access_token, refresh_token=pair.refresh_token, expires_at=self.clock.now() + timedelta(seconds=10**9)
        )
        SqlTokenStore(self.database).save("venue", known)

    def _start(self) -> None:
        self._loop = VirtualTimeLoop(begins_at=self._loop.time() + 60.0)
        self.ledger = SqlLedger(self.database)
        self.fate.arm(None)
        self._loop.run(self._open_clients())

    async def _open_clients(self) -> None:
        stack = AsyncExitStack()  # never closed: a process that dies closes nothing, and in-process transports hold nothing
        settings = self.tripleseat.settings
        app = OAuthApp(client_id=settings.client_id, client_secret=settings.client_secret, redirect_uri=settings.redirect_uri)
        auth = TripleseatAuth(account="venue", app=app, store=SqlTokenStore(self.database), now=self.clock.now)
        http = VendorClient(
            account="venue",
            vendor="Tripleseat",
            base_url="https://api.tripleseat.com/v1",
            pacer=Pacer(self._speeds.source_per_second),
            auth=auth,
            transport=MortalWire(self.tripleseat.app, "source", self.fate),
            now=self.clock.now,
        )
        self._tripleseat_client = TripleseatClient(await stack.enter_async_context(http), auth=auth, now=self.clock.now)
        apptoto = ApptotoClient(
            account="reminders",
            username=self.apptoto.settings.username,
            api_key=self.apptoto.settings.api_key,
            requests_per_minute=self._speeds.target_per_minute,
            transport=MortalWire(self.apptoto.app, "target", self.fate),
            now=self.clock.now,
        )
        client = await stack.enter_async_context(apptoto)
        self._target = ApptotoTarget(
            account="reminders",
            client=client,
            batch_size=self._speeds.batch_size,
            max_in_flight=self._speeds.max_in_flight,
            now=self.clock.now,
        )
