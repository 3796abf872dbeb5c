"""What locks between processes keep, on a file and on a server. A subclass gives the `state` fixture."""

import os
import signal
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from calrelay.errors import Busy, ExitCode
from calrelay.state.database import Database, open_database
from calrelay.state.locks import DaemonLock, PipelineLock, load_lock
from calrelay.state.tokens import SqlTokenStore
from tests.contracts import lock_holder

SOON = timedelta(milliseconds=50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a state is, and how long a killed process's lock stays."""

    url: str
    folder: Path
    lease: timedelta = timedelta(seconds=30)

    def open(self) -> Database:
        return open_database(self.url, self.folder, lease=self.lease)

    @contextmanager
    def held_elsewhere(self) -> Iterator[subprocess.Popen[str]]:
        """Run a process that holds the lock of pipeline venue."""
        command = [sys.executable, lock_holder.__file__, self.url, str(self.folder), str(self.lease.total_seconds())]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert heard(process) == "held"
                yield process
            finally:
                process.kill()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def told(process: subprocess.Popen[str], line: str) -> str:
    """Send a line and return the answer."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return heard(process)


class LockContract:
    @pytest.fixture
    @abstractmethod
    def place(self) -> Place:
        """An empty state."""

    @pytest.fixture
    def database(self, place: Place) -> Iterator[Database]:
        with place.open() as database:
            yield database

    def test_a_second_process_is_told_who_is_at_work(self, place: Place, database: Database) -> None:
        with place.held_elsewhere() as other:
            with pytest.raises(Busy) as caught, PipelineLock(database, "venue", command="sync"):
                pass
            holder = PipelineLock(database, "venue", command="status").holder()
        assert caught.value.exit_code == ExitCode.BUSY
        assert f"pipeline venue is being worked on by process {other.pid}" in caught.value.message
        assert "(calrelay backfill), since 20" in caught.value.message
        assert caught.value.remedy
        assert holder is not None
        assert (holder.pid, holder.command) == (other.pid, "backfill")

    def test_it_is_free_at_once_when_its_holder_ends(self, place: Place, database: Database) -> None:
        with place.held_elsewhere() as other:
            assert other.stdin is not None
            other.stdin.close()
            assert heard(other) == "given back"
            with PipelineLock(database, "venue", command="sync"):
                pass

    @pytest.mark.parametrize("make", [PipelineLock, lambda database, _, command: DaemonLock(database, command=command)])
    def test_a_process_keeps_itself_out_too(self, database: Database, make: Callable[..., PipelineLock]) -> None:
        second = make(database, "venue", command="run")
        with make(database, "venue", command="run"), pytest.raises(Busy, match=f"process {os.getpid()}"), second:
            pass

    def test_a_process_that_opened_the_state_twice_keeps_itself_out_too(self, place: Place, database: Database) -> None:
        with place.open() as again, PipelineLock(database, "venue", command="run"), pytest.raises(Busy, match=f"process {os.getpid()}"):
            PipelineLock(again, "venue", command="sync").__enter__()

    def test_a_lock_can_be_taken_again_and_again(self, database: Database) -> None:
        lock = PipelineLock(database, "venue", command="run")
        for _ in range(3):
            with lock:
                assert lock.holder() is not None
            assert lock.holder() is None

    def test_a_lock_is_given_back_when_the_work_fails(self, database: Database) -> None:
        lock = PipelineLock(database, "venue", command="run")
        with pytest.raises(RuntimeError), lock:
            raise RuntimeError
        assert lock.holder() is None

    def test_pipelines_and_the_daemon_do_not_keep_each_other_out(self, database: Database) -> None:
        names = ["venue", "Venue", "daemon", "tokens", "a/b", "a_b", "a b", "ü"]
        locks = [DaemonLock(database), *(PipelineLock(database, name, command="run") for name in names)]
        for lock in locks:
            lock.__enter__()
        assert all(lock.holder() for lock in locks)
        for lock in locks:
            lock.__exit__(None, None, None)

    def test_a_second_daemon_is_refused_until_the_first_is_gone(self, place: Place, database: Database) -> None:
        with place.open() as other:
            with DaemonLock(database), pytest.raises(Busy, match=r"is being worked on by .*\(calrelay run\)") as caught:
                DaemonLock(other, command="rename").__enter__()
            assert "`systemctl stop calrelay`" in caught.value.remedy
            with DaemonLock(other):
                pass

    def test_whoever_is_kept_out_by_a_worker_is_told_how_workers_are_stopped(self, place: Place, database: Database) -> None:
        with place.open() as other, DaemonLock(database, command="worker"), pytest.raises(Busy) as caught:
            DaemonLock(other).__enter__()
        assert "systemctl stop 'calrelay-worker@*'" in caught.value.remedy

    def test_a_load_keeps_out_another_load_and_no_pass(self, place: Place, database: Database) -> None:
        with place.open() as other:
            with load_lock(database, "venue", command="backfill"):
                with load_lock(other, "garden", command="backfill"), PipelineLock(other, "venue", command="run"), DaemonLock(other):
                    pass
                with pytest.raises(Busy, match=r"a load of pipeline venue is being worked on by .*\(calrelay backfill\)") as caught:
                    load_lock(other, "venue", command="backfill").__enter__()
                assert caught.value.exit_code == ExitCode.BUSY
            with load_lock(other, "venue", command="backfill"):
                pass

    def test_one_process_at_a_time_refreshes_the_tokens_of_an_account(self, place: Place, database: Database) -> None:
        with place.open() as other:
            mine, theirs = SqlTokenStore(database, patience=SOON), SqlTokenStore(other, patience=SOON)
            with mine.refreshing("venue"):
                with theirs.refreshing("garden"):
                    pass
                with pytest.raises(Busy, match=f"token of account venue is being worked on by process {os.getpid()}"):
                    theirs.refreshing("venue").__enter__()
            with theirs.refreshing("venue"):
                pass

    def test_a_killed_holder_does_not_keep_others_out_for_long(self, place: Place, database: Database) -> None:
        short = Place(url=place.url, folder=place.folder, lease=timedelta(seconds=1))
        with short.held_elsewhere() as other:
            other.send_signal(signal.SIGKILL)
            other.wait()
        with PipelineLock(database, "venue", command="sync", patience=timedelta(seconds=20)) as lock:
            holder = lock.holder()
        assert holder is not None
        assert holder.pid == os.getpid()
