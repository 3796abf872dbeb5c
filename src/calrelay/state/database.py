"""Opens the state database and hands out transactions. What its tables mean is the ledger's and the token store's business."""

import contextlib
import functools
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from calrelay.errors import StateError
from calrelay.state import schema, server
from calrelay.state.failures import damaged, explain
from calrelay.state.fence import Fence
from calrelay.state.heartbeat import Heartbeat
from calrelay.state.json_columns import AS_JSON
from calrelay.state.ownership import give_to_owner
from calrelay.state.tables import HEAD

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

PATIENCE = timedelta(seconds=10)  # how long a transaction waits for another process's
LEASE = timedelta(seconds=6)  # how long a pipeline of a process that was killed waits for the next one, on PostgreSQL
_CHECKED_WHOLE = 32 * 2**20  # bytes; reading a database of this size through takes about a tenth of a second
_EXAMPLE = 'set `url` under [state], for example "sqlite:///calrelay.db"'


Guard = Callable[["Database"], contextlib.AbstractContextManager[object]]
"""Keeps everybody else away from a database while its tables change; entering it raises Busy."""


class Access(StrEnum):
    """What an opened database is for."""

    WRITE = "write"
    READ = "read"  # takes no write lock, creates and migrates nothing


class Durability(StrEnum):
    """When a transaction is safe from a power cut. From the death of the process every one is safe when it ends."""

    AT_ONCE = "at once"
    WITH_THE_NEXT = "with the next"  # saves waiting for the disk where losing the transaction costs no more than asking again


class Database:
    """An open database. Not safe for use by several threads; a context manager that closes it."""

    def __init__(
        self, engine: Engine, *, where: str, path: Path | None = None, access: Access = Access.WRITE, lease: timedelta = LEASE
    ) -> None:
        self.where = where  # for messages; no password
        self.path = path  # of the file on SQLite, where locks lie beside it; None in memory and on a server
        self.access = access
        self.lease = lease
        self.fence = Fence()
        self._engine = engine
        self._engines: dict[tuple[str, ...] | str, Engine] = {}  # it again, for each way to begin
        self._heartbeat = Heartbeat(engine, self.fence, length=lease)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    @property
    def is_private(self) -> bool:
        """Whether it lives in this process's memory, and is gone with it."""
        return self.path is None and not self.is_on_server

    @property
    def is_on_server(self) -> bool:
        """Whether it is PostgreSQL's, so that processes on several machines may be at work on it."""
        return self._engine.dialect.name == "postgresql"

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read in one transaction, from one moment's state. Raises StateError."""
        with self._transaction("BEGIN", isolation="REPEATABLE READ") as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self, *pipelines: str, durability: Durability = Durability.AT_ONCE) -> Iterator[Connection]:
        """Write in one transaction, durable when the block ends, undone when it raises. Raises StateError.

        On SQLite all writers queue up. On PostgreSQL those queue up who write to the same pipelines; LeaseLost is raised when the lease on
        one of them was lost meanwhile.
        """
        if self.access is Access.READ:
            raise StateError(f"the state database {self.where} was opened for reading only")
        level = "FULL" if durability is Durability.AT_ONCE else "NORMAL"
        begin = (f"PRAGMA synchronous={level}", "BEGIN IMMEDIATE")  # two writers queue up instead of failing half-way
        with self._transaction(*begin) as connection:
            if self.is_on_server:
                if durability is Durability.WITH_THE_NEXT:
                    connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                self.fence.enter(connection, pipelines)
            yield connection

    def queue_up(self, connection: Connection, names: Iterable[str]) -> None:
        """Wait until no other transaction has queued up under these names, and hold them until this one ends."""
        if self.is_on_server:  # on SQLite all writers have queued up already
            for name in sorted(set(names)):
                connection.execute(select(func.pg_advisory_xact_lock(server.lock_key(name))))

    def keep_leases_alive(self) -> None:
        """See to it that the leases in the fence do not run out."""
        self._heartbeat.keep_going()

    def connect_alone(self, *, application_name: str) -> Connection:
        """Open a connection of its own on a server, outside any transaction; what is bound to it ends when it is closed."""
        connection = self._engine.execution_options(isolation_level="AUTOCOMMIT").connect()
        connection.detach()
        connection.execute(select(func.set_config("application_name", application_name, False)))
        return connection

    def schema_name(self) -> str:
        """Return the name of the schema in which our tables are on a server."""
        with self.reading() as connection:
            return str(connection.scalar(select(func.current_schema())))

    def upsert(self, table: Table, *, only: Collection[str] = ()) -> "sqlite.Insert | postgresql.Insert":
        """Return a statement that inserts rows or replaces them by primary key; `only` names the columns, else all."""
        return _upsert(table, frozenset(only), is_on_server=self.is_on_server)

    def check_integrity(self) -> None:
        """Read the whole database through and raise StateError where it is damaged; takes seconds per gigabyte. SQLite only."""
        if self.is_on_server:
            return
        with self.reading() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise damaged(self.where, "quick_check")

    def bring_up_to_date(self) -> None:
        """Create or migrate the tables, all or nothing; of several processes one does it."""
        if self.path is not None:
            self._use_wal()
        with self._transaction("PRAGMA foreign_keys=OFF", "BEGIN IMMEDIATE") as connection:  # else replacing a table would cascade
            schema.bring_up_to_date(connection, self.where)
        self.close()  # and with it the connection without foreign keys

    def close(self) -> None:
        """Close all connections; the next transaction opens a new one. Idempotent."""
        self._engine.dispose()

    def _use_wal(self) -> None:
        with self.told():
            connection = self._engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA journal_mode=WAL")  # stays with the file
            finally:
                connection.close()

    @contextlib.contextmanager
    def _transaction(self, *begin: str, isolation: str = "READ COMMITTED") -> Iterator[Connection]:
        """Open a transaction; `begin` is how on SQLite, where it depends on what is to come, `isolation` is the server's."""
        with self.told(), self._beginning(begin, isolation).begin() as connection:
            yield connection

    def _beginning(self, begin: tuple[str, ...], isolation: str) -> Engine:
        key = isolation if self.is_on_server else begin
        if key not in self._engines:
            options = {"isolation_level": isolation} if self.is_on_server else {"begin": begin}
            self._engines[key] = self._engine.execution_options(**options)
        return self._engines[key]

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Raise what the database says inside the block as StateError, in our words."""
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise explain(error, self.where) from None


@functools.cache
def _upsert(table: Table, only: frozenset[str], *, is_on_server: bool) -> "sqlite.Insert | postgresql.Insert":
    insert = _insert_on_server(table) if is_on_server else _insert_in_file(table)
    keys = [column.name for column in table.primary_key]
    changed = [column.name for column in table.columns if column.name not in keys and (not only or column.name in only)]
    return insert.on_conflict_do_update(index_elements=keys, set_={name: insert.excluded[name] for name in changed or keys})


# Each dialect comes with all of its drivers, a tenth of what a short command loads: SQLAlchemy loads the one in use.


def _insert_on_server(table: Table) -> "postgresql.Insert":
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415

    return postgresql.insert(table)


def _insert_in_file(table: Table) -> "sqlite.Insert":
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415

    return sqlite.insert(table)


def open_database(
    url: str,
    folder: Path,
    *,
    access: Access = Access.WRITE,
    patience: timedelta = PATIENCE,
    lease: timedelta = LEASE,
    upgrading: Guard = contextlib.nullcontext,
) -> Database:
    """Open the database of a config; relative paths start at `folder`.

    WRITE creates it, 0600, or brings the tables of an older release up to date, under the guard `upgrading`. READ leaves everything as it
    is, and where there is no database yet opens an empty one in memory. Raises StateError when it cannot be opened or trusted.
    """
    return _prepared(_opened(_parse(url), folder, access, patience, lease), upgrading)


def open_again(url: str, folder: Path, *, patience: timedelta = PATIENCE, lease: timedelta = LEASE) -> Database:
    """Open for writing what was just opened for reading, and so is known to be there, sound and up to date. Raises StateError."""
    return _opened(_parse(url), folder, Access.WRITE, patience, lease)


def open_in_memory() -> Database:
    """Open an empty database that nobody else sees and that is gone when it is closed."""
    engine = create_engine("sqlite://", poolclass=StaticPool, hide_parameters=True, **AS_JSON)
    _prepare_sqlite(engine, Access.WRITE)
    database = Database(engine, where="in memory")
    with database.writing() as connection:
        schema.create(connection)
    return database


def _opened(url: URL, folder: Path, access: Access, patience: timedelta, lease: timedelta) -> Database:
    if url.get_backend_name() == "sqlite":
        return _open_file(_path_of(url, folder), access, patience)
    if url.get_backend_name() == "postgresql":
        return _open_server(url, access, patience, lease)
    raise StateError(f"calrelay cannot keep its state in {url.get_backend_name()}", remedy=_EXAMPLE)


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError:  # its text repeats the URL, and that may hold a password
        raise StateError("`url` under [state] is not a database's address", remedy=_EXAMPLE) from None


def _path_of(url: URL, folder: Path) -> Path:
    if not url.database or url.database == ":memory:":
        raise StateError("a state database in memory would forget everything at the end", remedy=_EXAMPLE)
    return (folder / url.database).resolve()


def _open_file(path: Path, access: Access, patience: timedelta) -> Database:
    is_empty = not path.exists() or path.stat().st_size == 0
    if is_empty and access is Access.READ:
        return open_in_memory()
    if access is Access.WRITE:
        _make_private(path)
    address = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"uri": "true", "mode": "rw"})
    engine = create_engine(address, connect_args={"timeout": patience.total_seconds()}, hide_parameters=True, **AS_JSON)
    _prepare_sqlite(engine, access)
    return Database(engine, where=str(path), path=path, access=access)


def _make_private(path: Path) -> None:
    """Create the file if need be, and keep others out of it; SQLite gives -wal and -shm the file's own mode."""
    if not path.parent.is_dir():
        raise StateError(f"the folder {path.parent} of the state database does not exist", remedy=f"mkdir -p {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):  # SQLite writes its journal beside the file
        raise StateError(f"the folder {path.parent} of the state database cannot be written", remedy=f"sudo chown $USER {path.parent}")
    # An existing file is never opened here: closing it again would drop the locks SQLite holds on it in this process.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    if not path.is_file():
        raise StateError(f"the state database {path} is not a file", remedy=_EXAMPLE)
    if path.stat().st_mode & 0o777 != 0o600 and path.stat().st_uid == os.geteuid():
        path.chmod(0o600)
    give_to_owner(path)


def _open_server(url: URL, access: Access, patience: timedelta, lease: timedelta) -> Database:
    where = server.words_for(url)
    return Database(server.engine_for(url, where, patience, is_read_only=access is Access.READ), where=where, access=access, lease=lease)


def _prepare_sqlite(engine: Engine, access: Access) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin below, not where sqlite3 guesses; DDL then is part of them
        connection.execute("PRAGMA foreign_keys=ON")
        if access is Access.READ:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        for statement in connection.get_execution_options().get("begin", ("BEGIN",)):
            connection.exec_driver_sql(statement)


def _prepared(database: Database, upgrading: Guard) -> Database:
    """Return the database when it is sound and its tables are this program's; else close it and raise StateError."""
    try:
        if database.path is not None and database.path.stat().st_size <= _CHECKED_WHOLE:
            database.check_integrity()
        return _up_to_date(database, upgrading)
    except BaseException:
        database.close()
        raise


def _up_to_date(database: Database, upgrading: Guard) -> Database:
    with database.reading() as connection:
        stamp = schema.stamp_of(connection, database.where)
    if stamp == HEAD:
        return database
    if database.access is Access.WRITE:
        with upgrading(database) if stamp is not None else contextlib.nullcontext():
            database.bring_up_to_date()
        return database
    if stamp is None:
        database.close()
        return open_in_memory()
    raise StateError(
        f"the state database {database.where} was written by an older calrelay, and this command only reads",
        remedy="make a backup, then restart the daemon, or run `calrelay sync` where there is none: that brings it up to date",
    )
