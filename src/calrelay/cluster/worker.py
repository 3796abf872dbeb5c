"""A worker's life: it opens relay and queue, keeps both going when the database is lost, reloads, and hands over when it ends."""

import asyncio
import contextlib
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from enum import StrEnum

from calrelay.assembly import Relay, assemble
from calrelay.cluster.passes import COMMAND, Passes
from calrelay.cluster.places import Places
from calrelay.cluster.queue import GRACE, Queue
from calrelay.config.load import Config, keep_running
from calrelay.errors import CalrelayError, ConfigError, StateError
from calrelay.log import get_logger
from calrelay.service.loaded import note_loaded
from calrelay.service.pass_log import PassLog
from calrelay.service.refusals import Refusal, tell_refusals
from calrelay.service.systemd import Systemd
from calrelay.state.advisory import Sharing
from calrelay.state.locks import DaemonLock
from calrelay.state.server import libpq_address
from calrelay.state.turns import SqlTurns

PLACES = 16  # passes at a time; they wait for vendors most of the time
DEPTH = 5  # jobs that wait in the queue for each place of the worker that fills it up
TICK, IDLE_TICK = 0.2, 1.0  # seconds between two looks for what is due: where there was something, and where not
LONGEST_BACK_OFF = 15.0  # seconds between two attempts at a database that is away
GIVE_UP_AFTER = timedelta(minutes=15)  # then it ends with 5, and systemd begins anew
LEFT_BEHIND = "what was under way is taken up when its lease has run out"
EVERY_MINUTE, TWICE_A_DAY, DAILY = "* * * * *", "7 */12 * * *", "23 3 * * *"
_log = get_logger(__name__)


class Wish(StrEnum):
    """What a signal asks of the worker."""

    STOP = "stop"
    RELOAD = "reload"


class Worker:
    """A worker from READY to STOPPING. `run` may be called once."""

    def __init__(self, config: Config, *, reload: Callable[[], Config], places: int = PLACES, systemd: Systemd | None = None) -> None:
        self.systemd = systemd or Systemd()
        self.ready = asyncio.Event()
        self._config = config
        self._load = reload
        self._places = places
        self._log = PassLog()
        self._wish: Wish | None = None
        self._woken = asyncio.Event()
        self._hurry = asyncio.Event()
        self._shift: _Shift | None = None
        self._refusals: Mapping[str, Refusal] = {}
        self._is_reloaded = False

    def stop(self) -> None:
        """End soon; asked a second time, end now."""
        if self._wish is Wish.STOP:
            self._hurry.set()
        self._wish = Wish.STOP
        self._woken.set()

    def reload(self) -> None:
        """Read the config again."""
        if self._wish is None:
            self._wish = Wish.RELOAD
            self._woken.set()

    async def run(self) -> None:
        """Run until stopped. Raises Busy while there is a daemon, ConfigError and StateError when it cannot start."""
        watchdog = asyncio.create_task(self._feed_watchdog())
        try:
            await self._run()
        finally:
            watchdog.cancel()
        self.systemd.tell("STOPPING=1")
        _log.info("stopped")

    async def _run(self) -> None:
        outage = _Outage()
        while self._wish is not Wish.STOP:
            if self._wish is Wish.RELOAD:
                await self._take_config()
            try:
                async with _opened(self._config, Places(self._places), self._log) as shift:
                    outage.is_over()
                    self._begin(shift)
                    await self._work(shift)
            except StateError as error:
                if not self.ready.is_set():
                    raise
                await self._wait_for_database(outage, error)
            finally:
                self._shift = None

    async def _wait_for_database(self, outage: "_Outage", error: StateError) -> None:
        """Wait until it is time for another attempt, which there is none of for one that is to stop."""
        if self._wish is Wish.STOP:
            _log.warning("stopping without the database", why=error.message, what=LEFT_BEHIND)
            return
        pause = outage.goes_on(error)
        self.systemd.tell_status(f"waiting for the database: {error.message}")
        await self._rest(pause)

    def _begin(self, shift: "_Shift") -> None:
        self._shift = shift
        before, self._refusals = self._refusals, tell_refusals(shift.relay, self._refusals, shift.relay.clock())
        if self._is_reloaded:  # a secret that was mended shows in no fingerprint
            shift.turns.hasten(before.keys() & shift.relay.pipelines.keys())
            self._is_reloaded = False
        pipelines = len(shift.relay.pipelines)
        self.systemd.tell("READY=1", f"STATUS=shares {pipelines} pipelines, {self._places} at a time")
        _log.info("ready", pipelines=pipelines, places=self._places)
        self.ready.set()

    async def _work(self, shift: "_Shift") -> None:
        """Do jobs until the worker ends, or another config is in use. Raises StateError when the database is lost."""
        working = asyncio.create_task(shift.run_queue())
        others = [asyncio.create_task(shift.dispatch()), asyncio.create_task(shift.is_lost.wait())]
        while not await self._is_over([working, *others]):
            pass
        if self._wish is Wish.STOP:
            self.systemd.tell("STOPPING=1", "STATUS=stopping: waiting for the answers in hand")
            _log.info("stopping", passes=shift.passes.running)
        shift.passes.stop()
        shift.queue.stop()
        for task in others:
            task.cancel()
        await self._wound_down(shift, working)
        for task in (working, *others):
            if task.done() and not task.cancelled():
                task.result()  # raises what ended it
        if shift.lost is not None:
            raise shift.lost

    async def _is_over(self, tasks: Sequence["asyncio.Task[object]"]) -> bool:
        """Wait until there is a wish, or one of the tasks has ended; a config that is refused changes nothing."""
        woken = asyncio.create_task(self._woken.wait())
        await asyncio.wait([*tasks, woken], return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()
        if self._wish is Wish.RELOAD:
            return await self._take_config()
        return True

    async def _wound_down(self, shift: "_Shift", working: "asyncio.Task[object]") -> None:
        """Wait for the passes under way; those whose answer does not come in time, or when somebody is in a hurry, are cut off."""
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait([working, hurry], timeout=GRACE.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if late := shift.passes.running:
            _log.warning("cut off", pipelines=late, what="the answer did not come in time; the next pass asks what became of it")
            shift.passes.cut_off()
        await asyncio.wait([working])

    async def _take_config(self) -> bool:
        """Take a changed config into use, or keep the old one and say why; returns whether it is another one.

        It is opened once before the passes under way end: a secret that is missing must not end the worker.
        """
        self._wish = None
        self._woken.clear()
        self.systemd.tell_reloading()
        try:
            config = keep_running(self._load(), self._config)
            if config.state_url() != self._config.state_url():
                raise ConfigError("`url` under [state] has changed, which a running worker cannot follow", remedy="restart it")
            async with assemble(config, command=COMMAND):
                pass
        except CalrelayError as error:
            _log.error("reload refused; the old config stays in use", why=error.message, remedy=error.remedy)
            self.systemd.tell("READY=1")
            return False
        self._config, self._is_reloaded = config, True
        _log.info("reloaded")
        return True

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _feed_watchdog(self) -> None:
        """Show signs of life while every pass gets on (rule 25)."""
        patience = self.systemd.watchdog
        while patience is not None:
            stuck = self._shift.passes.stuck() if self._shift else []
            if not stuck:
                self.systemd.tell("WATCHDOG=1")
            await asyncio.sleep(patience.total_seconds() / 2)


class _Shift:
    """What a worker works with from one opening to the next."""

    def __init__(self, relay: Relay, places: Places, log: PassLog, lock: DaemonLock) -> None:
        self.relay = relay
        self._lock = lock
        self.turns = SqlTurns(relay.state.database)
        self.passes = Passes(relay, self.turns, places, log=log, on_lost=self._note_lost)
        self.is_lost = asyncio.Event()
        self.lost: StateError | None = None
        self._places = places
        self.queue = Queue(
            libpq_address(relay.config.state_url()),
            schema=relay.state.database.schema_name(),
            work=self.passes.work,
            chores={EVERY_MINUTE: self._sweep, TWICE_A_DAY: self._renew_consents, DAILY: self._forget},
        )

    async def run_queue(self) -> None:
        """Do jobs until the queue is stopped."""
        await self.queue.run(concurrency=self._places.seats)

    async def dispatch(self) -> None:
        """Put what is due into the queue, for as long as it is not full: it is the turns that wait, in their order, not the jobs."""
        while True:
            self._lock.keep()
            room = DEPTH * self._places.count - await self.queue.count_waiting()
            due = self.turns.claim(room) if room > 0 else []
            if due:
                await self.queue.put(due)
            await asyncio.sleep(TICK if due or room <= 0 else IDLE_TICK)

    async def _sweep(self) -> None:
        with self._noting_lost():
            if gone := await self.queue.sweep():
                _log.warning("swept", pipelines=sorted(gone), what="their worker is gone; others go on")
                self.turns.release(gone)

    async def _renew_consents(self) -> None:
        with self._noting_lost():
            for renew in self.relay.keep_alive:
                try:
                    await renew()
                except StateError:
                    raise
                except CalrelayError as error:
                    _log.error("consent not renewed", why=error.message, remedy=error.remedy)

    async def _forget(self) -> None:
        with self._noting_lost():
            self.relay.ledger.forget_old_history(self.relay.clock())

    @contextlib.contextmanager
    def _noting_lost(self) -> Iterator[None]:
        try:
            yield
        except StateError as error:
            self._note_lost(error)

    def _note_lost(self, error: StateError) -> None:
        self.lost = self.lost or error
        self.is_lost.set()


class _Outage:
    """How long the database has been away; told once when it goes and once when it is back."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._attempts = 0

    def goes_on(self, error: StateError) -> float:
        """Return the seconds until the next attempt; raises the error when it has gone on for too long."""
        if self._since is None:
            self._since = time.monotonic()
            _log.error(
                "database lost", why=error.message, remedy=error.remedy, what=f"tried again for {GIVE_UP_AFTER.seconds // 60} minutes"
            )
        if time.monotonic() - self._since > GIVE_UP_AFTER.total_seconds():
            raise error
        self._attempts += 1
        return min(0.5 * 2.0**self._attempts, LONGEST_BACK_OFF)

    def is_over(self) -> None:
        """Note that the database answers."""
        if self._since is not None:
            _log.info("database back", seconds=round(time.monotonic() - self._since, 1))
        self._since, self._attempts = None, 0


@asynccontextmanager
async def _opened(config: Config, places: Places, log: PassLog) -> AsyncIterator[_Shift]:
    """Open everything a worker needs. Raises ConfigError, StateError, and Busy while there is a daemon."""
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(assemble(config, command=COMMAND))
        if not relay.state.database.is_on_server:
            raise ConfigError(
                "workers share their pipelines through PostgreSQL, and `url` under [state] names a file",
                remedy="on one machine `calrelay run` does all; else see `calrelay state copy` and docs/scaling.md",
            )
        lock = stack.enter_context(DaemonLock(relay.state.database, command=COMMAND, sharing=Sharing.SHARED))
        shift = _Shift(relay, places, log, lock)
        await stack.enter_async_context(shift.queue)
        note_loaded(relay.ledger, config, relay.clock())
        shift.turns.settle({name: _fingerprint(relay, name) for name in relay.pipelines})
        yield shift


def _fingerprint(relay: Relay, pipeline: str) -> str:
    """Return a hash of what the config says of a pipeline and its accounts, secrets left out; keyed, because names may be in it."""
    table = relay.config.pipeline(pipeline)
    words = repr([table, *(relay.config.account(name) for name in (table.source, table.target))])
    return hmac.new(relay.ledger.hash_key(), words.encode(), hashlib.sha256).hexdigest()[:32]
