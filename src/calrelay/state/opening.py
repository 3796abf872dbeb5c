"""Opens the state of an installation whole: database, ledger, tokens. It needs no vendor, no secret of theirs and no network."""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from calrelay.errors import Busy
from calrelay.state.database import PATIENCE, Access, Database, open_again, open_database
from calrelay.state.ledger import SqlLedger
from calrelay.state.locks import DaemonLock
from calrelay.state.paces import SqlPaces
from calrelay.state.tokens import SqlTokenStore

UPGRADE = "upgrade"  # on whose behalf the daemon's lock is held while the tables change
_POLL_SECONDS = 0.1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The open state of an installation."""

    database: Database
    ledger: SqlLedger
    tokens: SqlTokenStore
    paces: SqlPaces | None = None  # where other processes may ask the same accounts: on a server


@contextmanager
def open_state(url: str, folder: Path, access: Access = Access.WRITE) -> Iterator[State]:
    """Open the state at this URL; relative paths start at `folder`. Raises StateError when it cannot be trusted."""
    with ExitStack() as stack:
        database = stack.enter_context(open_database(url, folder, access=access, upgrading=alone))
        writable = database
        if access is Access.READ and not database.is_private:  # a refreshed token pair must be kept, or the consent is lost
            writable = stack.enter_context(open_again(url, folder))
        paces = SqlPaces(writable) if writable.is_on_server else None
        if paces:
            stack.callback(paces.close)
        yield State(database=database, ledger=SqlLedger(database), tokens=SqlTokenStore(writable), paces=paces)


@contextmanager
def alone(database: Database) -> Iterator[None]:
    """Keep daemons and workers away while the tables change: an older release could not go on, nor start again. Raises Busy."""
    deadline = time.monotonic() + PATIENCE.total_seconds()
    with ExitStack() as stack:
        while not _is_taken(stack, database, deadline):
            time.sleep(_POLL_SECONDS)
        yield


def _is_taken(stack: ExitStack, database: Database, deadline: float) -> bool:
    """Take the daemon's lock. Whoever upgrades as well is soon done; anybody else at work is of the release that made the tables."""
    lock = DaemonLock(database, command=UPGRADE)
    try:
        stack.enter_context(lock)
    except Busy as busy:
        holder = lock.holder()
        if (holder is None or holder.command == UPGRADE) and time.monotonic() < deadline:
            return False
        raise Busy(
            f"the state database {database.where} is in use by an older release of calrelay: {holder or busy.message}",
            remedy="make a backup, then restart the daemon (and workers: stop all of them first) with this release, which upgrades it",
        ) from None
    return True
