"""The daemon's life: one relay at a time, a runner for each pipeline, services beside them, reload, end. Passes are the runners' work."""

import asyncio
import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

from calrelay.assembly import Relay, assemble, utc_now
from calrelay.config.load import Config, keep_running
from calrelay.engine.order import Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport
from calrelay.errors import CalrelayError, ConfigError
from calrelay.log import get_logger
from calrelay.ports import Clock
from calrelay.service.deserted import deserted
from calrelay.service.freshness import Freshness, freshness
from calrelay.service.lending import Answer, Lending, Work
from calrelay.service.loaded import COMMAND, note_loaded
from calrelay.service.metrics import Metrics
from calrelay.service.pass_log import PassLog
from calrelay.service.refusals import Refusal, tell_refusals
from calrelay.service.rhythm import Health, Rhythm
from calrelay.service.runner import Listener, Runner
from calrelay.service.schedule import Schedule
from calrelay.service.systemd import Systemd
from calrelay.state.locks import DaemonLock

STOP_WITHIN = timedelta(seconds=25)  # below TimeoutStopSec=30s of the unit
FIRST_WITHIN = timedelta(seconds=3)  # rule 26 allows 5 s; spread, so that pipelines on one account do not all begin at once
APART = timedelta(milliseconds=250)
NAMED = 12  # pipelines in systemd's status line; the others are counted
_log = get_logger(__name__)


class Assembler(Protocol):
    """Opens a relay from a config, as `assembly.assemble` does."""

    def __call__(self, config: Config, *, command: str) -> AbstractAsyncContextManager[Relay]:
        """Open it; leaving the context closes it."""


class Wish(StrEnum):
    """What a signal, or a service, asks of the daemon."""

    STOP = "stop"
    RELOAD = "reload"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A relay, and what closes it."""

    relay: Relay
    stack: AsyncExitStack


class Daemon:
    """A daemon from READY to STOPPING. `run` may be called once.

    Services run beside the passes from READY on and are cancelled at the end; one that raises ends the daemon, as a bug in a pass does.
    Listeners hear of every pass.
    """

    def __init__(
        self,
        config: Config,
        *,
        reload: Callable[[], Config],
        services: Sequence["Service"],
        assembler: Assembler | None = None,
        systemd: Systemd | None = None,
        stop_within: timedelta = STOP_WITHIN,
        clock: Clock = utc_now,
    ) -> None:
        self.systemd = systemd or Systemd()
        self.schedule = Schedule()
        self.metrics = Metrics(self)
        self.listeners: list[Listener] = [self.metrics.note_pass]
        self.on_reload: list[Callable[[], None]] = []  # told when another config is in use
        self.clock = clock
        self.started_at = clock()
        self.ready = asyncio.Event()
        self._log = PassLog()
        self._config = config
        self._load = reload
        self._services = services
        self._assembler: Assembler = assembler or functools.partial(assemble, observer=self.metrics.note_request)
        self._stop_within = stop_within
        self._wishes: asyncio.Queue[Wish] = asyncio.Queue()
        self._is_ending = False
        self._hurry = asyncio.Event()
        self.lock: DaemonLock | None = None
        self._open: Opened | None = None
        self._runners: dict[str, Runner] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._lending = Lending(lambda: self.relay)
        self._words: dict[str, str] = {}
        self._refusals: dict[str, Refusal] = {}

    @property
    def relay(self) -> Relay:
        """The relay in use; another one after a reload."""
        if self._open is None:
            raise RuntimeError("the daemon has not started")
        return self._open.relay

    async def borrow(self, work: Work[Answer]) -> Answer:
        """Do something beside the passes that asks a vendor: a reload and the end wait for it. Raises Busy where they cut it off."""
        return await self._lending.run(work)

    @property
    def runners(self) -> Mapping[str, Runner]:
        """The runners by pipeline."""
        return self._runners

    @property
    def refusals(self) -> Mapping[str, Refusal]:
        """What the config in use keeps from running, by tenant (`acme/`) or pipeline."""
        return self._refusals

    @property
    def deserted(self) -> Mapping[str, int]:
        """How many events are to come of pipelines that the config does not name any more. Reads the ledger; raises StateError."""
        return deserted(self.relay.config, self.relay.ledger, self.clock())

    def freshness(self) -> dict[str, Freshness]:
        """Judge how old what each enabled pipeline knows is, by name. Reads the ledger; raises StateError."""
        now, records = self.clock(), self.relay.ledger.pipelines(self._runners) if self._runners else {}
        return {
            name: freshness(records[name], runner.pipeline.full_every, started_at=self.started_at, now=now)
            for name, runner in self._runners.items()
        }

    def held(self) -> Counter[str]:
        """Count the events that wait for a decision, by pipeline. Reads the ledger; raises StateError."""
        return Counter(hold.pipeline for hold in self.relay.ledger.holds() for _ in hold.items)

    def tell_status(self) -> None:
        """Tell systemd how the pipelines stand; a stale one says so (systemctl status)."""
        if not self._is_ending:
            self.systemd.tell_status(self._status())

    def stop(self) -> None:
        """End soon; asked a second time, end now."""
        if self._is_ending:
            self._hurry.set()
        self._is_ending = True
        self._wishes.put_nowait(Wish.STOP)

    def reload(self) -> None:
        """Read the config again."""
        self._wishes.put_nowait(Wish.RELOAD)

    async def run(self) -> None:
        """Run until stopped. Raises Busy when there is another daemon, ConfigError and StateError when it cannot start, and any bug."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            self._open = await self._opened(self._config)
            self.lock = stack.enter_context(DaemonLock(self.relay.state.database, command=COMMAND))
            stack.enter_context(self.schedule)
            note_loaded(self.relay.ledger, self._config, self.clock())
            self._refusals = tell_refusals(self.relay, {}, self.clock())
            try:
                async with asyncio.TaskGroup() as group:
                    await self._live(group)
            except BaseExceptionGroup as failures:
                raise _first(failures) from None

    async def _live(self, group: asyncio.TaskGroup) -> None:
        self._install(group)
        services = [group.create_task(service(self)) for service in self._services]
        await asyncio.sleep(0)  # their first steps: an address in use is told before READY
        for failed in (task for task in services if task.done()):
            failed.result()
        self.systemd.tell("READY=1", f"STATUS={self._status()}")
        self.ready.set()
        _log.info("ready", pipelines=_named(self._runners))
        while await self._wishes.get() is Wish.RELOAD:
            await self._reload(group)
        self.systemd.tell("STOPPING=1", "STATUS=stopping: waiting for the answers in hand")
        _log.info("stopping")
        await self._wind_down()
        for task in services:
            task.cancel()
        _log.info("stopped")

    # --- relays come and go ---

    async def _opened(self, config: Config) -> Opened:
        async with AsyncExitStack() as stack:
            relay = await stack.enter_async_context(self._assembler(config, command=COMMAND))
            return Opened(relay=relay, stack=stack.pop_all())

    async def _close(self) -> None:
        if self._open is not None:
            await self._open.stack.aclose()

    async def _reload(self, group: asyncio.TaskGroup) -> None:
        """Take a changed config into use, or keep the old one and say why. The new relay is opened whole before the old one ends."""
        self.systemd.tell_reloading()
        try:
            config = keep_running(self._load(), self.relay.config)
            if config.state_url() != self.relay.config.state_url():
                raise ConfigError("`url` under [state] has changed, which a running daemon cannot follow", remedy="restart it")
            fresh = await self._opened(config)
        except CalrelayError as error:
            _log.error("reload refused; the old config stays in use", why=error.message, remedy=error.remedy)
        else:
            await self._exchange(group, fresh)
        self.systemd.tell("READY=1", f"STATUS={self._status()}")

    async def _exchange(self, group: asyncio.TaskGroup, fresh: Opened) -> None:
        """Let the runners end, and go on with the new relay; pipelines of which nothing changed keep their rhythm."""
        before = self.relay.config
        await self._wind_down()
        await self._close()
        self._open = fresh
        note_loaded(self.relay.ledger, self.relay.config, self.clock())
        self._refusals = tell_refusals(self.relay, self._refusals, self.clock())
        if self._is_ending:
            return
        known = self._runners.keys() & self.relay.pipelines.keys()
        kept = {name for name in known if _is_same(before, self.relay.config, name)}
        ended = self._runners.keys() - self.relay.pipelines.keys()
        self._install(group, kept)
        self._lending.open()
        for tell in self.on_reload:
            tell()
        _log.info("reloaded", changed=_named(self._runners.keys() - kept), unchanged=_named(kept), ended=_named(ended))

    def _install(self, group: asyncio.TaskGroup, kept: Collection[str] = ()) -> None:
        """Start a runner for each pipeline; those kept go on in their rhythm, the others begin with a complete pass at once."""
        pipelines, old = self.relay.pipelines, self._runners
        for name in old.keys() - pipelines.keys():
            self._unschedule(name)
        self._runners = {name: self._runner(pipeline, old[name] if name in kept else None) for name, pipeline in pipelines.items()}
        self._tasks = [group.create_task(runner.run()) for runner in self._runners.values()]
        fresh = [pipeline for name, pipeline in pipelines.items() if name not in kept]
        for number, pipeline in enumerate(fresh):
            self._schedule(pipeline, first=number * min(APART, FIRST_WITHIN / len(fresh)))
        for name in kept:
            if old[name].is_interrupted or old[name].rhythm.health is not Health.WELL:
                self._runners[name].due(Reach.COMPLETE)

    def _runner(self, pipeline: Pipeline, before: Runner | None) -> Runner:
        if before is None:
            self._log.forget(pipeline.name)
        rhythm = before.rhythm if before else Rhythm(every=pipeline.every, full_every=pipeline.full_every)
        return Runner(
            pipeline,
            lock=functools.partial(self.relay.lock, pipeline.name),
            rhythm=rhythm,
            listener=self._hear,
            now=asyncio.get_running_loop().time,
            hints=before.hints if before else None,
        )

    def _schedule(self, pipeline: Pipeline, *, first: timedelta) -> None:
        name = pipeline.name
        self.schedule.repeat(f"{name} complete", lambda: self._due(name, Reach.COMPLETE), every=pipeline.full_every, first=first)
        self.schedule.repeat(f"{name} quick", lambda: self._due(name, Reach.QUICK), every=pipeline.every, first=first + pipeline.every)

    def _unschedule(self, name: str) -> None:
        self.schedule.drop(f"{name} complete")
        self.schedule.drop(f"{name} quick")
        self._words.pop(name, None)

    def _due(self, name: str, reach: Reach) -> None:
        if runner := self._runners.get(name):
            runner.due(reach)

    async def _wind_down(self) -> None:
        """Stop the runners; what is under way ends after the answer in hand, or is cut off when that takes too long (rule 26)."""
        for runner in self._runners.values():
            runner.stop()
        self.relay.waits.end()
        self._lending.close()
        tasks, self._tasks = [*self._tasks, *self._lending.tasks], []
        ended = asyncio.create_task(_all_done(tasks))
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait([ended, hurry], timeout=self._stop_within.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if late := [task for task in tasks if not task.done()]:
            _log.warning("cut off", passes=len(late), what="the answer did not come in time; the next pass asks what became of it")
            for task in late:
                task.cancel()
        await ended

    # --- what is told ---

    def _hear(self, pipeline: Pipeline, reach: Reach, report: PassReport, health: Health) -> None:
        self._log.note(pipeline, reach, report, health)
        self._words[pipeline.name] = health.value if not report.held else f"{health.value}, {report.held} held"
        self.tell_status()
        for listener in self.listeners:
            listener(pipeline, reach, report, health)

    def _status(self) -> str:
        stale = {name for name, found in self.freshness().items() if found.is_stale}
        words = {name: self._words.get(name, "no pass yet") for name in self._runners}
        told = {name: f"{word}, stale" if name in stale else word for name, word in words.items()}
        return status_line(told | dict.fromkeys(self._refusals, "refused"))


Service = Callable[[Daemon], Coroutine[Any, Any, None]]
"""Something that runs beside the passes for as long as the daemon lives."""


def status_line(words: Mapping[str, str]) -> str:
    """Tell how pipelines stand in one line; of many only those that are not well, and not all of them either."""
    if not words:
        return "no pipeline is enabled"
    if len(words) <= NAMED:
        return "; ".join(f"{name}: {word}" for name, word in words.items())
    unwell = [f"{name}: {word}" for name, word in words.items() if word != Health.WELL]
    more = f" and {len(unwell) - NAMED} more" if len(unwell) > NAMED else ""
    return "; ".join([f"{len(words) - len(unwell)} of {len(words)} well", *unwell[:NAMED]]) + more


def _named(pipelines: Collection[str]) -> list[str] | int:
    """Return the names in order, or the number of them where they are many."""
    return sorted(pipelines) if len(pipelines) <= NAMED else len(pipelines)


async def _all_done(tasks: Sequence[asyncio.Task[Any]]) -> None:
    if tasks:
        await asyncio.wait(tasks)


def _is_same(before: Config, after: Config, pipeline: str) -> bool:
    """Tell whether nothing of a pipeline, its accounts included, was changed in the config."""
    old, new = before.pipeline(pipeline), after.pipeline(pipeline)
    return old == new and all(before.account(name) == after.account(name) for name in (new.source, new.target))


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the failure that counts: the first one, however deep in groups it is."""
    found = failures.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
