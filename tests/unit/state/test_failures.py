"""What an operator is told when SQLite cannot go on."""

import sqlite3

import pytest

from calrelay.state.failures import explain


@pytest.mark.parametrize(
    ("code", "words", "remedy"),
    [
        (sqlite3.SQLITE_FULL, "does not fit on its disk any more", "free some space"),
        (sqlite3.SQLITE_IOERR_SHMSIZE, "does not fit on its disk any more", "free some space"),
        (sqlite3.SQLITE_IOERR_READ, "could not be read or written by the disk", "dmesg"),
        (sqlite3.SQLITE_CORRUPT_VTAB, "is damaged", "restore a backup"),
    ],
)
def test_a_code_of_sqlite_is_told_by_what_to_do_about_it(code: int, words: str, remedy: str) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_NAME"
    told = explain(error, "calrelay.db")
    assert (words in told.message, remedy in told.remedy, "SQLITE_NAME" in told.message) == (True, True, True)
