"""`calrelay worker` as several processes on a real PostgreSQL: they share the work, take over from each other, refuse what clashes."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from calrelay.assembly import Relay
from calrelay.simulators.faults import When
from tests.postgres.databases import Databases
from tests.system_local.naive import is_complete
from tests.system_local.stage import Stage
from tests.system_local.test_on_postgresql import keep_state_at
from tests.system_local.test_processes import Trap

PATIENCE = 120.0  # of a busy machine
Processes = list[subprocess.Popen[str]]


@pytest.fixture
def stage(small_stage: Stage, postgres: Databases) -> Stage:
    small_stage.configure(level="info", venue='every = "1s"\nfull_every = "3s"')
    keep_state_at(small_stage, postgres.make())
    return small_stage


@contextlib.contextmanager
def workers(stage: Stage, count: int = 1) -> Iterator[Processes]:
    """So many workers, killed in the end if they still live."""
    running = [stage.spawn("worker") for _ in range(count)]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate(timeout=30)


class Journal:
    """What a worker logs, read while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[dict[str, Any]] = []
        self._process = process
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def events(self, *, after: str | None = None) -> list[str]:
        """Return all events so far, or those after the first of this name."""
        events = [str(line["event"]) for line in self.lines]
        if after is None:
            return events
        return events[events.index(after) + 1 :] if after in events else []

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of an event."""
        return [line for line in self.lines if line["event"] == event]

    def of_level(self, *levels: str) -> list[dict[str, Any]]:
        """Return the lines of these levels."""
        return [line for line in self.lines if line["level"] in levels]

    def end(self) -> list[str]:
        """End the process with SIGTERM, and return all events."""
        self._process.send_signal(signal.SIGTERM)
        return self.to_end()

    def to_end(self) -> list[str]:
        """Return all events when the process has ended, which it does well."""
        code = self._process.wait(40)
        self._reading.join(40)
        assert code == 0, self.lines
        return self.events()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(json.loads(line))


def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def passes(stage: Stage, pipeline: str) -> int:
    async def count(relay: Relay) -> int:
        return len(relay.ledger.passes(pipeline, 200))

    return stage.within(count)


def pipelines_of(journal: Journal) -> set[str]:
    return {line["pipeline"] for line in journal.of("pass")}


def is_loaded(stage: Stage) -> bool:
    return is_complete(stage.held(), stage.world)


def test_two_workers_share_two_pipelines_and_end_well(stage: Stage) -> None:
    with workers(stage, 2) as running:
        journals = [Journal(process) for process in running]
        until(lambda: is_loaded(stage) and all("venue" in pipelines_of(journal) for journal in journals))
        assert [journal.end()[-1] for journal in journals] == ["stopped", "stopped"]
    assert [line for journal in journals for line in journal.lines if line["level"] != "info" and "zone" not in line] == []
    assert is_loaded(stage)


def test_whose_worker_was_killed_in_the_middle_is_taken_up_by_another(stage: Stage) -> None:
    trap = Trap(When.AFTER, 1)
    stage.world.apptoto.faults.add(trap)
    with workers(stage) as (victim,):
        assert trap.sprung.wait(PATIENCE)
        with workers(stage):
            victim.kill()
            killed_at = time.monotonic()
            until(lambda: is_loaded(stage) and passes(stage, "venue") and passes(stage, "studio"))
            assert time.monotonic() - killed_at < 20  # a lease of 6 s, and a start


def test_ended_in_the_middle_of_a_pass_it_leaves_the_rest_to_another_at_once(stage: Stage) -> None:
    trap = Trap(When.BEFORE, 1)
    stage.world.apptoto.faults.add(trap)
    with workers(stage) as (first,):
        assert trap.sprung.wait(PATIENCE)
        first.send_signal(signal.SIGTERM)
        assert first.stderr is not None
        assert any('"stopping"' in line for line in first.stderr)
        first.send_signal(signal.SIGTERM)  # the answer never comes: asked twice, it does not wait
        with workers(stage):
            until(lambda: is_loaded(stage))
        assert first.wait(30) == 0


def test_a_daemon_beside_a_worker_is_refused_and_a_worker_beside_a_daemon(stage: Stage) -> None:
    for there, refused in (("worker", "run"), ("run", "worker")):
        with stage.spawn(there) as process:
            try:
                assert process.stderr is not None
                assert any('"ready"' in line for line in process.stderr)
                second = stage.execute(refused)
                assert second.code == 6, second
                assert f"process {process.pid} on " in second.err
            finally:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=40)


def test_a_command_beside_workers_finds_its_pipeline_busy_or_free_and_nothing_is_doubled(stage: Stage) -> None:
    with workers(stage, 2):
        until(lambda: passes(stage, "venue"))
        codes = {stage.type("sync", "venue", "--json").code for _ in range(10)}
        assert codes <= {0, 6}
        until(lambda: is_loaded(stage))


def test_without_a_server_a_worker_says_what_it_needs(small_stage: Stage) -> None:
    said = small_stage.execute("worker")
    assert said.code == 2
    assert "PostgreSQL" in said.err
    assert "calrelay run" in said.err


def test_status_tells_which_worker_has_a_pipeline(stage: Stage) -> None:
    trap = Trap(When.BEFORE, 0)
    stage.world.apptoto.faults.add(trap)
    with workers(stage) as (process,):
        assert trap.sprung.wait(PATIENCE)
        document = stage.type("status", "--json").document
        assert {(one["process"], one["command"]) for one in document["at_work"]} == {(process.pid, "worker")}
        assert f"process {process.pid} on " in stage.type("status").out


def test_status_tells_all_workers_and_none_that_is_gone(stage: Stage) -> None:
    def at_work() -> set[int]:
        return {one["process"] for one in stage.type("status", "--json").document["workers"]}

    with workers(stage, 2) as (one, other):
        until(lambda: at_work() == {one.pid, other.pid})
        told = stage.type("status").out
        assert "daemon does not run: 2 workers share the pipelines, on " in told
        assert all(str(process.pid) in told for process in (one, other))
        one.kill()
        until(lambda: at_work() == {other.pid})
        told = stage.type("status").out
        assert f"daemon does not run: 1 worker shares the pipelines, on {socket.gethostname()} (process {other.pid})" in told


def test_a_config_that_is_refused_interrupts_nothing_and_a_changed_one_is_taken_into_use(stage: Stage) -> None:
    with workers(stage) as (process,):
        assert process.stderr is not None
        events = (json.loads(line)["event"] for line in process.stderr)
        assert "ready" in events
        sound = stage.config.read_text()
        stage.config.write_text("this is no config")
        process.send_signal(signal.SIGHUP)
        assert any(str(event).startswith("reload refused") for event in events)
        missing = re.sub('api_key = "[^"]*"', 'api_key = { file = "nowhere" }', sound)  # which is found out when the account is opened
        stage.config.write_text(missing)
        process.send_signal(signal.SIGHUP)
        assert any(str(event).startswith("reload refused") for event in events)
        stage.config.write_text(sound.replace('every = "1s"', 'every = "2s"'))
        process.send_signal(signal.SIGHUP)
        assert "reloaded" in events
        assert "ready" in events
        assert "pass" in events
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
