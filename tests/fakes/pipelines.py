"""A whole pipeline in memory: what an engine test needs to run passes and look at what came of them."""

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta

from calrelay.domain.entry import Hasher
from calrelay.domain.guard import HoldKind, Limits
from calrelay.domain.link import Basis, CalendarId, MessageMode
from calrelay.domain.policy import CalendarRef, Filter, Match, NamedRoute, Policy, Route
from calrelay.domain.rendering import TITLE, Texts
from calrelay.domain.window import Hours, Window
from calrelay.engine import decisions
from calrelay.engine.order import Order, Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport
from calrelay.engine.sync import run_pass
from calrelay.ports import Ledger
from tests.fakes.memory_ledger import MemoryLedger
from tests.fakes.memory_source import NOW, MemorySource, an_event
from tests.fakes.memory_target import MemoryTarget

MAIN_HALL = CalendarId("1000030001")
TERRACE = CalendarId("1000030002")
new_ledger: Callable[[], Ledger] = MemoryLedger
WINDOW = Window(past=timedelta(days=1), future=timedelta(days=180))


@dataclasses.dataclass(slots=True, kw_only=True)
class Bench:
    """A source, a target, a ledger and a clock; rules may be changed between passes as an operator edits the config."""

    source: MemorySource
    target: MemoryTarget
    ledger: Ledger
    name: str = "venue"
    now: datetime = NOW
    statuses: frozenset[str] = frozenset({"DEFINITE", "CLOSED"})
    rooms: frozenset[str] = frozenset()
    calendar: CalendarId = MAIN_HALL
    routes: tuple[Route, ...] = ()
    title: str = TITLE
    basis: Basis = Basis(zone_data="2026f", mapping="1", config="1")
    target_identity: str = "ops"
    scope: str = "all"
    limits: Limits = Limits(first_load=10_000)
    mode: MessageMode = MessageMode.SEND
    settle: timedelta = timedelta()
    create_hours: Hours | None = None

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline as the config is now."""
        return Pipeline(
            name=self.name,
            source=self.source,
            target=self.target,
            ledger=self.ledger,
            clock=lambda: self.now,
            hasher=Hasher(self.ledger.hash_key()),
            limits=self.limits,
            window=WINDOW,
            near=timedelta(days=14),
            calendar=CalendarRef(id=self.calendar),
            routes=[NamedRoute(match=route.match, calendar=CalendarRef(id=route.calendar)) for route in self.routes],
            make_policy=self._policy,
            every=timedelta(minutes=5),
            full_every=timedelta(hours=1),
            scope=self.scope,
            target_identity=self.target_identity,
        )

    def _policy(self, calendar: CalendarId, routes: tuple[Route, ...]) -> Policy:
        include = Match(facets={"rooms": self.rooms} if self.rooms else {})
        return Policy(
            pipeline=self.name,
            target=self.target.account,
            id_prefix=self.source.id_prefix,
            filter=Filter(statuses=self.statuses, include=include),
            calendar=calendar,
            routes=routes,
            texts=Texts(title=self.title),
            mode=self.mode,
            basis=self.basis,
            window=WINDOW,
            settle=self.settle,
            create_hours=self.create_hours,
        )

    async def sync(self, **changes: object) -> PassReport:
        """Run one complete pass."""
        return await run_pass(self.pipeline, Order(command="sync", **changes))  # type: ignore[arg-type] # the fields of Order

    def edit(self, config: str) -> None:
        """Say that the config has another version: of what chooses events, a blank, and of the texts."""
        self.basis = dataclasses.replace(self.basis, config=config)

    def reject(self, kind: HoldKind | None = None) -> None:
        """Reject what is held, or what is of one kind."""
        for hold in [hold for hold in self.ledger.holds() if kind in (None, hold.kind)]:
            decisions.reject(self.ledger, hold.id, clock=lambda: self.now)

    async def quick(self) -> PassReport:
        """Run one incremental pass."""
        return await self.sync(reach=Reach.QUICK)


def a_bench(*events: object, first_load: int = 10_000) -> Bench:
    """A bench whose source holds these events."""
    source = MemorySource(events)  # type: ignore[arg-type] # events only
    limits = Limits(first_load=first_load)
    return Bench(source=source, target=MemoryTarget(), ledger=new_ledger(), limits=limits)


async def a_loaded_bench(number: int = 30) -> Bench:
    """A bench whose bookings are at the target, by a config in two parts."""
    bench = a_bench(*(an_event(i) for i in range(1, number + 1)))
    bench.edit("choice texts")
    await bench.sync()
    return bench
