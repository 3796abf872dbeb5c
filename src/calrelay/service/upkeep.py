"""What runs beside the passes to keep the daemon alive, its consents valid and its state small."""

import asyncio
import contextlib
from datetime import timedelta

from calrelay.assembly import KeepAlive, Relay
from calrelay.errors import Busy, CalrelayError, StateError
from calrelay.log import get_logger
from calrelay.service.daemon import Daemon

LOCK_EVERY = timedelta(seconds=15)
CONSENTS_EVERY = timedelta(hours=12)  # what is due is a day old (assembly); asked twice as often, none gets much older
CONSENTS_FIRST = timedelta(minutes=5)
HOUSE_EVERY = timedelta(days=1)
HOUSE_FIRST = timedelta(minutes=10)
_log = get_logger(__name__)


async def feed_watchdog(daemon: Daemon) -> None:
    """Show signs of life while every pass gets on; one that is stuck in our own code starves it, an outage does not (rule 25)."""
    patience = daemon.systemd.watchdog
    if patience is None:
        return
    was_stuck = False
    while True:
        stuck = sorted(name for name, runner in daemon.runners.items() if runner.is_stuck())
        if not stuck:
            daemon.systemd.tell("WATCHDOG=1")
        elif not was_stuck:
            _log.error("stuck", pipelines=stuck, what="a pass does not get on; systemd will restart calrelay")
        was_stuck = bool(stuck)
        await asyncio.sleep(patience.total_seconds() / 2)


async def keep_lock(daemon: Daemon) -> None:
    """Be the only daemon also after the database was away, which frees the lock. Raises Busy where another has begun meanwhile."""
    due = asyncio.Event()
    daemon.schedule.repeat("lock", due.set, every=LOCK_EVERY, first=LOCK_EVERY)
    while True:
        await due.wait()
        due.clear()
        with contextlib.suppress(StateError):  # it is away still: whoever needs it says so
            if daemon.lock is not None:
                daemon.lock.keep()


async def keep_consents(daemon: Daemon) -> None:
    """Renew consents that were not used for a day: how long a vendor keeps one that is never used is not known."""
    due = asyncio.Event()
    daemon.schedule.repeat("consents", due.set, every=CONSENTS_EVERY, first=CONSENTS_FIRST)
    was_refused = False
    while True:
        await due.wait()
        due.clear()
        try:
            refusals = await daemon.borrow(_renew_all)
        except Busy:  # a reload did not wait for the rest of them
            due.set()
            continue
        if refusals and not was_refused:
            _log.error("consent not renewed", why=refusals[0].message, remedy=refusals[0].remedy)
        was_refused = bool(refusals)


async def keep_house(daemon: Daemon) -> None:
    """Forget old history once a day; passes and the lines of a single event are trimmed as they are written."""
    due = asyncio.Event()
    daemon.schedule.repeat("history", due.set, every=HOUSE_EVERY, first=HOUSE_FIRST)
    while True:
        await due.wait()
        due.clear()
        daemon.relay.ledger.forget_old_history(daemon.clock())


async def _renew_all(relay: Relay) -> list[CalrelayError]:
    return [error for renew in relay.keep_alive if (error := await _refusal(renew)) is not None]


async def _refusal(renew: KeepAlive) -> CalrelayError | None:
    try:
        await renew()
    except CalrelayError as error:
        return error
    return None
