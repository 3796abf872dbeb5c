"""Locks on files: what lies on the disk. What every lock keeps is in the contract."""

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from calrelay.errors import Busy, StateError
from calrelay.state.database import Database, open_database, open_in_memory
from calrelay.state.file_locks import FileLock, lock_path, safe_name
from calrelay.state.locks import PipelineLock


def test_the_lock_file_says_who_and_is_for_its_owner_alone(database: Database, tmp_path: Path) -> None:
    begin = datetime.now(UTC)
    path = tmp_path / "calrelay.db.venue.lock"
    with PipelineLock(database, "venue", command="sync"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        known = json.loads(path.read_text())
    assert (known["pid"], known["command"]) == (os.getpid(), "sync")
    assert begin <= datetime.fromisoformat(known["since"]) <= datetime.now(UTC)


def test_a_lock_whose_file_is_unreadable_still_keeps_others_out(database: Database) -> None:
    with PipelineLock(database, "venue", command="sync"):
        lock_path(database, "venue").write_text("{half")
        with pytest.raises(Busy, match="by another process"), PipelineLock(database, "venue", command="sync"):
            pass


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "x" * 500, "daemon"])
def test_no_name_leads_out_of_the_folder_or_to_anothers_lock(name: str) -> None:
    safe = safe_name(name)
    assert "/" not in safe
    assert "." not in safe
    assert 0 < len(safe) < 150
    assert safe != name


def test_a_folder_that_has_gone_is_a_state_error(database: Database) -> None:
    lock = FileLock(lock_path(database, "venue").parent / "gone" / "calrelay.db.venue.lock", what="pipeline venue", command="sync")
    with pytest.raises(StateError, match="cannot be opened"), lock:
        pass


def test_a_database_that_is_no_file_has_no_locks_yet() -> None:
    with open_in_memory() as database, pytest.raises(StateError, match="no file to put locks beside"):
        PipelineLock(database, "venue", command="sync")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand files over")
def test_what_root_creates_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    """An administrator's `calrelay sync` must not shut the daemon's user out."""
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with open_database("sqlite:///calrelay.db", folder) as made, PipelineLock(made, "venue", command="sync"):
        assert {path.name: path.stat().st_uid for path in folder.iterdir()} == dict.fromkeys(
            (path.name for path in folder.iterdir()), 65534
        )
