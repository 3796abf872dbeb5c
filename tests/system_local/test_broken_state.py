"""A database that cannot be trusted stops everything: exit code 5, one error in words, no traceback, and nothing sent."""

import ctypes
import os
import resource
import signal
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from calrelay.state.database import open_database
from tests.system_local.naive import is_complete
from tests.system_local.stage import Stage
from tests.unit.cli.house import Said

NOBODY = 65534  # a user who is not us


def overwrite(path: Path, offset: int, what: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(what)


def _garbage(path: Path) -> None:
    path.write_bytes(b"this was a spreadsheet" * 400)


def _damaged_pages(path: Path) -> None:
    for page in range(1, path.stat().st_size // 4096):
        overwrite(path, page * 4096, os.urandom(200))


def _cut_off(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("update calrelay_schema set version_num = '9999'")
    connection.close()


def _somebody_elses(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("create table recipes (name text)")
    connection.close()


def _no_links(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("pragma foreign_keys=off")
        connection.execute("drop table link")
    connection.close()


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILT: dict[str, Callable[[Path], None]] = {
    "garbage": _garbage,
    "damaged pages": _damaged_pages,
    "cut off": _cut_off,
    "written by a newer release": _newer,
    "somebody else's database": _somebody_elses,
    "a table gone": _no_links,
    "a folder in its place": _a_folder,
}


def assert_state_error(stage: Stage, said: Said) -> None:
    assert said.code == 5, said
    assert "Traceback" not in said.err + said.out
    kinds = [problem["kind"] for one in said.document.get("passes", ()) for problem in one["problems"]]
    error = said.document.get("error", {"kind": kinds[0] if kinds else ""})
    assert error["kind"] == "StateError"
    assert stage.writes() == []


@pytest.mark.parametrize("command", ["sync", "plan", "status"])
@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_database_stops_every_command(small_stage: Stage, case: str, command: str) -> None:
    small_stage.sync()
    small_stage.forget_requests()
    for leftover in small_stage.folder.glob("calrelay.db-*"):
        leftover.unlink()
    SPOILT[case](small_stage.database)
    assert_state_error(small_stage, small_stage.type(command, "--json"))


def test_a_spoilt_database_is_told_in_words_with_a_remedy(small_stage: Stage) -> None:
    _garbage(small_stage.database)
    said = small_stage.execute("sync")
    assert (said.code, said.out) == (5, "")
    assert str(small_stage.database) in said.err
    assert "→" in said.err


def test_a_database_locked_by_somebody_else_is_waited_for_and_then_named(small_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = open_database.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "patience", timedelta(milliseconds=50))
    connection = sqlite3.connect(small_stage.database, isolation_level=None)
    try:
        connection.execute("begin immediate")
        said = small_stage.type("sync", "--json")
    finally:
        connection.close()
    assert_state_error(small_stage, said)
    assert "locked by another process" in said.out
    assert small_stage.type("sync", "--json").code == 0


def without_privileges() -> None:
    """Make root a user like any other: without these two capabilities, file modes count for it, too (capabilities(7))."""
    drop, dac_override, dac_read_search = 24, 1, 2
    if os.geteuid() == 0:
        for capability in (dac_override, dac_read_search):
            ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_database_that_cannot_be_written_is_no_crash(small_stage: Stage, what: str) -> None:
    """The folder is where SQLite keeps its journal; a file that is ours, or lies in a folder that is, would be given its rights back."""
    small_stage.sync()
    small_stage.forget_requests()
    if what == "folder":
        small_stage.folder.chmod(0o500)
    elif os.geteuid() == 0:
        for path, mode in ((small_stage.folder, 0o777), (small_stage.database, 0o644)):
            os.chown(path, NOBODY, NOBODY)
            path.chmod(mode)
    else:
        pytest.skip("only root can give a file away")
    try:
        said = small_stage.execute("sync", "--json", preexec_fn=without_privileges)
    finally:
        small_stage.folder.chmod(0o700)
    assert_state_error(small_stage, said)


def limited(size: int) -> Callable[[], None]:
    """Let no file grow beyond this size, as on a disk that is full."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize("room", [0, 20_000, 60_000, 120_000])
def test_a_full_disk_stops_the_pass_and_the_next_one_doubles_nobody(small_stage: Stage, room: int) -> None:
    """Whatever the moment at which the disk is full, from the first write on."""
    said = small_stage.execute("sync", "--json", preexec_fn=limited(room))
    assert said.code == 5, said
    assert "Traceback" not in said.err + said.out
    assert said.document
    again = small_stage.type("sync", "--json")
    assert again.code == 0, again
    assert is_complete(small_stage.held(), small_stage.world)


def test_what_the_state_leaves_behind_belongs_to_its_owner_alone(small_stage: Stage) -> None:
    small_stage.sync()
    modes = {path.name: path.stat().st_mode & 0o777 for path in small_stage.folder.iterdir()}
    assert set(modes.values()) == {0o600}, modes
