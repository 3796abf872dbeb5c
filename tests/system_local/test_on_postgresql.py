"""The installed command with its state in PostgreSQL: killed, suspended, twice at a time, and with the server gone."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from calrelay.simulators.faults import When
from calrelay.state.database import open_database
from calrelay.state.tokens import SqlTokenStore
from tests.postgres.databases import Databases, own_server
from tests.system_local.stage import Stage, a_stage
from tests.system_local.test_processes import BACKFILL, SYNC, Trap, assert_complete, caught_in_the_middle
from tests.unit.cli.house import Said

PATIENCE = 60.0


class LateAnswer(Trap):
    """An answer that takes long enough for something to happen meanwhile."""

    @property
    def seconds(self) -> float:
        self.sprung.set()
        return 3.0

    @seconds.setter
    def seconds(self, _: float) -> None:
        pass


def keep_state_at(stage: Stage, url: str) -> None:
    """Let the config name this database, and move the consent there."""
    stage.config.write_text(f'[state]\nurl = "{url}"\n\n[web]\nlisten = ""\n\n{stage.config.read_text()}')
    with open_database("sqlite:///calrelay.db", stage.folder) as old, open_database(url, stage.folder) as new:
        pair = SqlTokenStore(old).load("venue")
        assert pair is not None
        SqlTokenStore(new).save("venue", pair)
    stage.database.unlink()


def until_free(stage: Stage, *words: str) -> Said:
    """Type a command again and again as long as it is told that another process is at work."""
    deadline = time.monotonic() + PATIENCE
    while (said := stage.type(*words)).code == 6:
        assert time.monotonic() < deadline, said
    return said


@pytest.fixture
def stage(full_stage: Stage, postgres: Databases) -> Stage:
    keep_state_at(full_stage, postgres.make())
    return full_stage


@pytest.fixture
def fragile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[Stage, Databases]]:
    """A stage on a server that may be stopped."""
    with own_server() as server, a_stage(tmp_path, capsys, events=130, appointments=70) as stage:
        keep_state_at(stage, server.make())
        yield stage, server


def test_a_load_a_change_a_hold_and_its_approval(stage: Stage) -> None:
    assert stage.type("plan", "venue", "--json").code == 0
    assert stage.type(*BACKFILL).code == 0
    assert_complete(stage)
    for external_id in sorted(stage.held())[:60]:
        stage.world.tripleseat.events.set_status(int(external_id.removeprefix("ts-")), "LOST")
    assert stage.type(*SYNC).code == 4
    assert stage.type("holds", "--json").code == 0
    assert stage.type("approve", "venue").code == 0
    assert stage.type(*SYNC).code == 0
    assert stage.type("status", "--json").code == 0
    assert stage.type("verify", "venue", "--json").code == 0


@pytest.mark.parametrize("words", [SYNC, BACKFILL])
def test_killed_in_the_middle_the_next_one_goes_on_when_the_lease_has_run_out(stage: Stage, words: tuple[str, ...]) -> None:
    with caught_in_the_middle(stage, *words, when=When.AFTER, puts=2) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    refused = stage.type(*SYNC)
    assert refused.code == 6
    assert f"process {process.pid} on " in refused.out
    assert until_free(stage, *words).code == 0
    assert_complete(stage)


def test_ended_by_a_signal_it_leaves_the_way_free_at_once(stage: Stage) -> None:
    with caught_in_the_middle(stage, *SYNC, when=When.BEFORE) as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert stage.type(*SYNC).code == 0
    assert_complete(stage)


def test_suspended_and_woken_up_late_it_sends_and_writes_nothing_more(stage: Stage) -> None:
    late = LateAnswer(When.AFTER, 2)
    stage.world.apptoto.faults.add(late)
    with stage.spawn(*SYNC) as process:
        assert late.sprung.wait(30)
        process.send_signal(signal.SIGSTOP)
        assert until_free(stage, *SYNC).code == 0
        stage.forget_requests()
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 6
    assert [problem["kind"] for problem in json.loads(out)["passes"][0]["problems"]] == ["LeaseLost"]
    assert stage.writes() == []
    assert_complete(stage)


def test_a_server_stopped_in_the_middle_is_said_and_the_next_one_goes_on(fragile: tuple[Stage, Databases]) -> None:
    stage, server = fragile
    late = LateAnswer(When.AFTER, 2)
    stage.world.apptoto.faults.add(late)
    with stage.spawn(*SYNC) as process:
        assert late.sprung.wait(30)
        server.server.stop()
        out, err = process.communicate(timeout=30)
    assert process.returncode == 5
    assert "Traceback" not in out + err
    assert "cannot be reached" in out + err
    refused = stage.type(*SYNC)
    assert (refused.code, refused.document["error"]["kind"]) == (5, "StateError")
    assert "is it running" in refused.document["error"]["remedy"]
    server.server.start()
    assert until_free(stage, *SYNC).code == 0
    assert_complete(stage)


def test_the_daemon_runs_a_second_one_is_refused_and_it_ends_well(stage: Stage) -> None:
    deadline = time.monotonic() + PATIENCE
    with stage.spawn("run") as daemon:
        try:
            while stage.type("status", "--json").document["pipelines"][0]["last_pass"] is None:
                assert time.monotonic() < deadline
            second = stage.execute("run")
            assert second.code == 6
            assert f"process {daemon.pid} on " in second.err
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.communicate(timeout=40)
    assert daemon.returncode == 0
    assert stage.held()
