"""The locks by what they are for, whatever the database: files beside SQLite, leases and the server's own locks on PostgreSQL (rule 22)."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from types import TracebackType
from typing import Final, Protocol, Self

from calrelay.errors import Busy
from calrelay.state.advisory import AdvisoryLock, Sharing
from calrelay.state.database import Database
from calrelay.state.file_locks import GLANCE, FileLock, lock_path, safe_name
from calrelay.state.holder import Holder
from calrelay.state.leases import PipelineLease, holders

_STOP_IT = "a daemon goes on until it is stopped: `systemctl stop calrelay`, or kill that process; anything else is soon done"
_STOP_THEM = "workers go on until they are stopped, on every machine: `systemctl stop 'calrelay-worker@*'`, or kill that process"
_DAEMON = "daemon"
WORKER: Final = "worker"  # as those call themselves who hold the daemon's lock together


class _Lock(Protocol):
    def __enter__(self) -> object: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None: ...
    def holder(self) -> Holder | None: ...


class Lock:
    """A lock between processes. A context manager; entering it raises Busy, which says who holds it. May be entered again and again."""

    def __init__(self, kind: _Lock) -> None:
        self._kind = kind

    def __enter__(self) -> Self:
        self._kind.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._kind.__exit__(kind, error, traceback)

    def holder(self) -> Holder | None:
        """Return who holds the lock now, or None."""
        return self._kind.holder()


class PipelineLock(Lock):
    """The right to work on one pipeline, of one process at a time; `command` is what others are told we are doing.

    On PostgreSQL it is a lease: whoever stood still for too long has lost it, and its next write raises LeaseLost.
    """

    def __init__(self, database: Database, pipeline: str, *, command: str, patience: timedelta = GLANCE) -> None:
        if database.is_on_server:
            super().__init__(PipelineLease(database, pipeline, command=command, patience=patience))
            return
        path = lock_path(database, safe_name(pipeline))
        super().__init__(FileLock(path, what=f"pipeline {pipeline}", command=command, patience=patience))


def at_work(database: Database, pipelines: Iterable[str]) -> dict[str, Holder]:
    """Return who is at work on these pipelines now, by name; only those at which somebody is."""
    if database.is_private:
        return {}
    if database.is_on_server:
        held = holders(database)
        return {name: held[name] for name in pipelines if name in held}
    found = {name: PipelineLock(database, name, command="status").holder() for name in pipelines}
    return {name: holder for name, holder in found.items() if holder}


class DaemonLock(Lock):
    """The right to be the daemon on this database. Workers of a cluster hold it SHARED: many of them, but no daemon beside them."""

    def __init__(self, database: Database, *, command: str = "run", sharing: Sharing = Sharing.EXCLUSIVE) -> None:
        what = "the state of this configuration"
        if database.is_on_server:
            super().__init__(AdvisoryLock(database, _DAEMON, what="this state database", command=command, sharing=sharing))
            return
        super().__init__(FileLock(lock_path(database, _DAEMON), what=what, command=command))

    def __enter__(self) -> Self:
        """Take the lock. A daemon, or a worker, never finishes by itself, so the remedy of Busy is to stop it."""
        try:
            return super().__enter__()
        except Busy as busy:
            holder = self.holder()
            is_worker = holder is not None and holder.command == WORKER
            raise Busy(busy.message, remedy=_STOP_THEM if is_worker else _STOP_IT) from None

    def keep(self) -> None:
        """See to it that it is still ours: a server's restart frees it. Raises as taking it does; then it may be called again."""
        if isinstance(self._kind, AdvisoryLock):
            self._kind.keep()


def workers(database: Database) -> list[Holder]:
    """Return the workers that share the pipelines of this database now, the oldest first; one whose connection is gone is none."""
    if not database.is_on_server:
        return []
    holders = AdvisoryLock(database, _DAEMON, what="this state database", command="status").holders()
    return [holder for holder in holders if holder.command == WORKER]


def load_lock(database: Database, pipeline: str, *, command: str) -> AbstractContextManager[object]:
    """Return the right to load a pipeline from its first chunk to its last; between chunks the lock of the pipeline is free for passes.

    What must not come between two chunks holds it, too.
    """
    what = f"a load of pipeline {pipeline}"
    if database.is_on_server:
        return AdvisoryLock(database, f"load {pipeline}", what=what, command=command)
    return FileLock(lock_path(database, f"load.{safe_name(pipeline)}"), what=what, command=command)


def refresh_lock(database: Database, account: str, *, patience: timedelta) -> AbstractContextManager[object]:
    """Return the right to refresh an account's tokens, of one process at a time."""
    what, command = f"the token of account {account}", "token refresh"
    if database.is_private:
        return nullcontext()
    if database.is_on_server:
        return AdvisoryLock(database, f"token {account}", what=what, command=command, patience=patience)
    return FileLock(lock_path(database, f"tokens.{safe_name(account)}"), what=what, command=command, patience=patience)
