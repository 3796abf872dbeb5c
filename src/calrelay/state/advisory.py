"""Locks that live as long as a connection to PostgreSQL: the server frees them when their holder dies (rule 22)."""

import contextlib
import time
from datetime import timedelta
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Row, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from calrelay.errors import Busy
from calrelay.state.database import Database
from calrelay.state.file_locks import GLANCE, POLL_SECONDS
from calrelay.state.holder import Holder, busy, this_process
from calrelay.state.server import lock_key

_WHO = text(
    "SELECT a.application_name, a.backend_start FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND a.datname = current_database() "
    "AND (l.classid::bigint << 32 | l.objid::bigint) = :key ORDER BY a.backend_start, a.pid"
)


SHOWN = 63  # bytes of an application's name (PostgreSQL: NAMEDATALEN)


class Sharing(StrEnum):
    """Whether others may hold the lock as well."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"  # with others who share it; not with one who holds it alone


_TAKE = {Sharing.EXCLUSIVE: func.pg_try_advisory_lock, Sharing.SHARED: func.pg_try_advisory_lock_shared}


class AdvisoryLock:
    """A lock by name on a connection of its own. A context manager; entering it raises Busy while another holds it.

    A server that restarts frees it: it keeps people from mistakes, and requests from meeting. What must never happen twice is fenced.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        *,
        what: str,
        command: str,
        patience: timedelta = GLANCE,
        sharing: Sharing = Sharing.EXCLUSIVE,
    ) -> None:
        self._database = database
        self._name = name
        self._what = what
        self._command = command
        self._patience = patience
        self._sharing = sharing
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        with self._database.told():
            connection = self._database.connect_alone(application_name=_signature(self._command))
            try:
                self._take(connection)
            except BaseException:
                connection.close()
                raise
        self._connection = connection
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()  # and the lock ends with it

    def keep(self) -> None:
        """See to it that a lock we have taken is still ours, and take it again where its connection was lost.

        Raises Busy where another has it by now, StateError while the database is away; then it may be called again.
        """
        if self._connection is not None and _answers(self._connection):
            return
        with contextlib.suppress(SQLAlchemyError):
            self.__exit__(None, None, None)
        try:
            self.__enter__()
        except Busy:
            if not self._is_our_own():  # the server has not seen yet that our connection is gone: it is taken again later
                raise

    def _is_our_own(self) -> bool:
        holder, we = self.holder(), this_process(self._command, names_host=True)
        return holder is not None and (holder.pid, holder.command) == (we.pid, we.command) and we.host.startswith(holder.host)

    def holder(self) -> Holder | None:
        """Return who holds the lock now, the first of several, or None."""
        return next(iter(self.holders()), None)

    def holders(self) -> list[Holder]:
        """Return all who hold the lock now, those first who were connected first."""
        with self._database.reading() as connection:
            key = connection.scalar(select(lock_key(self._name)))
            rows = connection.execute(_WHO, {"key": key}).all()
        return [holder for row in rows if (holder := _holder(row))]

    def _take(self, connection: Connection) -> None:
        deadline = time.monotonic() + self._patience.total_seconds()
        while not connection.scalar(select(_TAKE[self._sharing](lock_key(self._name)))):
            if time.monotonic() >= deadline:
                raise busy(self._what, self.holder())
            time.sleep(POLL_SECONDS)


def _answers(connection: Connection) -> bool:
    try:
        connection.execute(select(1))
    except SQLAlchemyError:
        return False
    return True


def _signature(command: str) -> str:
    """Return what the server shows of this connection; it keeps 63 bytes, so that a long host name is cut."""
    holder = this_process(command, names_host=True)
    room = SHOWN - len(f"calrelay {holder.pid}  {command}")
    return f"calrelay {holder.pid} {holder.host[:room]} {command}"


def _holder(row: Row[Any]) -> Holder | None:
    words: list[str] = str(row.application_name).split(" ", 3)
    if len(words) < 4 or not words[1].isdigit():
        return None
    return Holder(pid=int(words[1]), host=words[2], command=words[3], since=row.backend_start)
