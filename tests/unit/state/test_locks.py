"""One process at a time: who is told what, and what the kernel does when a holder dies."""

import json
import os
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from calrelay.errors import Busy, ExitCode, StateError
from calrelay.state.database import Database, open_database, open_in_memory
from calrelay.state.file_locks import FileLock, lock_path, safe_name
from calrelay.state.locks import DaemonLock, PipelineLock

HOLD_UNTIL_KILLED = """
import sys
from pathlib import Path
from calrelay.state.database import open_database
from calrelay.state.locks import PipelineLock

database = open_database("sqlite:///calrelay.db", Path(sys.argv[1]))
with PipelineLock(database, "venue", command="backfill"):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold_elsewhere(folder: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock of pipeline venue, and return once it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_UNTIL_KILLED, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_told_who_is_at_work(database: Database, tmp_path: Path) -> None:
    with hold_elsewhere(tmp_path) as other:
        with pytest.raises(Busy) as caught, PipelineLock(database, "venue", command="sync"):
            pass
        holder = PipelineLock(database, "venue", command="status").holder()
        other.communicate("")
    assert caught.value.exit_code == ExitCode.BUSY
    assert f"pipeline venue is being worked on by process {other.pid} (calrelay backfill), since 20" in caught.value.message
    assert caught.value.remedy
    assert holder is not None
    assert (holder.pid, holder.command) == (other.pid, "backfill")


def test_a_lock_is_free_right_after_its_holder_was_killed(database: Database, tmp_path: Path) -> None:
    with hold_elsewhere(tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
    with PipelineLock(database, "venue", command="sync") as lock:
        holder = lock.holder()
    assert holder is not None
    assert holder.pid == os.getpid()


def test_a_process_keeps_itself_out_too(database: Database) -> None:
    second = PipelineLock(database, "venue", command="run")
    with PipelineLock(database, "venue", command="run"), pytest.raises(Busy, match=f"process {os.getpid()}"), second:
        pass


def test_a_lock_can_be_taken_again_and_again(database: Database) -> None:
    lock = PipelineLock(database, "venue", command="run")
    for _ in range(3):
        with lock:
            assert lock.holder() is not None
        assert lock.holder() is None


def test_a_lock_is_given_back_when_the_work_fails(database: Database) -> None:
    lock = PipelineLock(database, "venue", command="run")
    with pytest.raises(RuntimeError), lock:
        raise RuntimeError
    assert lock.holder() is None


def test_pipelines_and_the_daemon_do_not_keep_each_other_out(database: Database) -> None:
    names = ["venue", "Venue", "daemon", "tokens", "a/b", "a_b", "a b", "ü"]
    assert database.path is not None
    locks = [DaemonLock(database), *(PipelineLock(database, name, command="run") for name in names)]
    for lock in locks:
        lock.__enter__()
    assert len(list(database.path.parent.glob("*.lock"))) == len(names) + 1
    for lock in locks:
        lock.__exit__(None, None, None)


def test_a_second_daemon_is_refused(database: Database) -> None:
    with DaemonLock(database), pytest.raises(Busy, match=r"the daemon of this configuration .*calrelay run"), DaemonLock(database):
        pass


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
