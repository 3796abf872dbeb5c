"""The one table from what SQLite and PostgreSQL say to StateError: what happened, to which database, and what to do."""

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from calrelay.errors import StateError
from calrelay.state import server_failures
from calrelay.state.server_failures import Words

_OWNER = "make the file and its folder belong to the user calrelay runs as (chown), and let that user write both"
_DAMAGE = "stop calrelay, keep a copy of the file, and restore a backup; without one move it away and run `calrelay adopt PIPELINE`"
_DAMAGED = Words("is damaged", _DAMAGE)
_FULL = Words("does not fit on its disk any more", "free some space and try again; what was recorded is kept")

# By result code, else by the primary one in its last eight bits: https://sqlite.org/rescode.html
_SQLITE: dict[int, Words] = {
    sqlite3.SQLITE_PERM: Words("may not be opened by this user", _OWNER),
    sqlite3.SQLITE_BUSY: Words("is locked by another process", "end what has it open (a backup, an sqlite3 shell) and try again"),
    sqlite3.SQLITE_LOCKED: Words("is locked by this process", "try again; if it stays, restart calrelay"),
    sqlite3.SQLITE_READONLY: Words("cannot be written", _OWNER),
    sqlite3.SQLITE_IOERR: Words("could not be read or written by the disk", "look whether it is full (df), and at its health (dmesg)"),
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,  # the file beside the database, which all its readers share, cannot grow
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_CANTOPEN: Words("cannot be opened", _OWNER),
    sqlite3.SQLITE_NOTADB: Words("is not a database of calrelay's, or its beginning is damaged", _DAMAGE),
}
_SQLITE_OTHER = Words("does not have the shape this program expects", _DAMAGE)


def explain(error: SQLAlchemyError | sqlite3.Error, where: str) -> StateError:
    """Return what to raise for a database's error. It carries no cause: a server's texts quote rows, and rows hold tokens."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        # Errors that Python's sqlite3 raises by itself carry no code.
        code, said = getattr(original, "sqlite_errorcode", 0), getattr(original, "sqlite_errorname", type(original).__name__)
        return _state_error(where, _SQLITE.get(code) or _SQLITE.get(code & 0xFF, _SQLITE_OTHER), said)
    code = getattr(original, "sqlstate", None)
    said = str(original) if isinstance(error, InterfaceError | OperationalError) else None
    return _state_error(
        where, server_failures.words_for(code, said), f"{type(original).__name__} {code}" if code else type(original).__name__
    )


def damaged(where: str, found: str) -> StateError:
    """Return what to raise when a check found damage; `found` is a word or two of ours."""
    return _state_error(where, _DAMAGED, found)


def _state_error(where: str, words: Words, said: str) -> StateError:
    return StateError(f"the state database {where} {words.what} ({said})", remedy=words.remedy)
