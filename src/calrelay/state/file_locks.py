"""Locks on one machine: files beside the database, locked with flock, so that the kernel frees them when their holder dies (rule 22)."""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from calrelay.errors import StateError
from calrelay.state.database import Database
from calrelay.state.holder import Holder, busy, holder_from, this_process
from calrelay.state.ownership import give_to_owner

_RESERVED = frozenset({"daemon", "tokens"})
GLANCE = timedelta(milliseconds=100)  # somebody who only looks at a lock holds it for less than this
POLL_SECONDS = 0.01


class FileLock:
    """An exclusive lock on one file. A context manager; entering it raises Busy while another holds it, in this process or elsewhere.

    The file stays when the lock is given back: removing it would let two processes hold two files of one name.
    """

    def __init__(self, path: Path, *, what: str, command: str, patience: timedelta = GLANCE) -> None:
        self.path = path
        self._what = what
        self._command = command
        self._patience = patience
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        descriptor = _open(self.path, self._what)
        try:
            self._take(descriptor)
            _write(descriptor, self._command)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        with contextlib.suppress(OSError):  # a full disk cannot keep the lock
            os.ftruncate(descriptor, 0)
        os.close(descriptor)

    def holder(self) -> Holder | None:
        """Return who holds the lock now, or None."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return None if _try(descriptor, fcntl.LOCK_SH) else _read(descriptor)
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        deadline = time.monotonic() + self._patience.total_seconds()
        while not _try(descriptor, fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                raise busy(self._what, _read(descriptor))
            time.sleep(POLL_SECONDS)


def lock_path(database: Database, name: str) -> Path:
    """Return the file that stands for a lock. Raises StateError where the database is not a file."""
    if database.path is None:
        raise StateError(
            f"the state database {database.where} has no file to put locks beside",
            remedy='use a file: `url = "sqlite:///calrelay.db"` under [state]',
        )
    return database.path.with_name(f"{database.path.name}.{name}.lock")


def safe_name(name: str) -> str:
    """Return a part of a file's name that no other pipeline or account has."""
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:100]
    if name and safe == name and name not in _RESERVED:
        return safe
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _open(path: Path, what: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(path, what, error) from error
    give_to_owner(path)
    return descriptor


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise StateError(
            f"the file system of the state database cannot lock files ({error.strerror})",
            remedy="keep the database on a local disk, not on a network share",
        ) from error
    return True


def _write(descriptor: int, command: str) -> None:
    with contextlib.suppress(OSError):  # a full disk must not stop us here; others then read that somebody is at work, not who
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, this_process(command).to_json().encode(), 0)


def _read(descriptor: int) -> Holder | None:
    try:
        return holder_from(os.pread(descriptor, 4096, 0))
    except OSError:
        return None


def _unusable(path: Path, what: str, error: OSError) -> StateError:
    return StateError(
        f"the lock of {what} at {path} cannot be opened ({error.strerror})",
        remedy="make the database's folder and what is in it belong to the user calrelay runs as (chown)",
    )
