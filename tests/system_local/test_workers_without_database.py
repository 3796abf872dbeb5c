"""`calrelay worker` as a process whose PostgreSQL goes away: it waits, tells it once, goes on; ended meanwhile, it ends."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres.databases import own_server
from tests.postgres.keeper import Server
from tests.system_local.stage import Stage
from tests.system_local.test_on_postgresql import keep_state_at
from tests.system_local.test_workers import Journal, until, workers

ENDS_WITHIN = 20.0  # on a busy machine; the queue asks for a connection for 5 s before it gives up


@pytest.fixture
def fragile(small_stage: Stage) -> Iterator[tuple[Stage, Server]]:
    """A stage on a server that may be stopped."""
    with own_server() as databases:
        small_stage.configure(level="info", venue='every = "1s"\nfull_every = "3s"')
        keep_state_at(small_stage, databases.make())
        yield small_stage, databases.server


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where workers tell their status, as systemd hears it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(120)
        monkeypatch.setenv("NOTIFY_SOCKET", listener.getsockname())
        yield listener


def wait_for_attempts(supervisor: socket.socket, number: int) -> None:
    """Return when the worker has found the database away so many times."""
    while number:
        number -= b"waiting for the database" in supervisor.recv(4096)


def test_the_database_away_and_back_is_told_once_each_and_passes_go_on_in_the_same_process(
    fragile: tuple[Stage, Server], supervisor: socket.socket
) -> None:
    stage, server = fragile
    with workers(stage) as (process,):
        journal = Journal(process)
        until(lambda: "pass" in journal.events())
        server.stop()
        wait_for_attempts(supervisor, 2)
        server.start()
        until(lambda: "pass" in journal.events(after="database back"))
        events = journal.end()
    assert events.count("database lost") == events.count("database back") == 1
    assert journal.of_level("error") == journal.of("database lost")


def test_ended_while_it_waits_for_the_database_it_ends_well(fragile: tuple[Stage, Server], supervisor: socket.socket) -> None:
    stage, server = fragile
    with workers(stage) as (process,):
        journal = Journal(process)
        until(lambda: "pass" in journal.events())
        server.stop()
        wait_for_attempts(supervisor, 2)
        asked_at = time.monotonic()
        assert journal.end()[-1] == "stopped"
        assert time.monotonic() - asked_at < ENDS_WITHIN
    assert len(journal.of_level("error")) == 1


def test_ended_before_it_knows_that_the_database_is_away_it_promises_no_other_attempt(fragile: tuple[Stage, Server]) -> None:
    stage, server = fragile
    with workers(stage) as (process,):
        journal = Journal(process)
        until(lambda: "pass" in journal.events())
        with standing_still(process):
            server.stop()
            process.send_signal(signal.SIGTERM)
        woken_at = time.monotonic()
        assert journal.to_end()[-3:] == ["stopping", "stopping without the database", "stopped"]
        assert time.monotonic() - woken_at < ENDS_WITHIN
    assert journal.of_level("error") == []


@contextlib.contextmanager
def standing_still(process: subprocess.Popen[str]) -> Iterator[None]:
    """What is done to a process in here it all finds at once when it wakes up."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)
