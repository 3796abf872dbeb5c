"""The installed command as processes: two at once, killed, ended; events are neither doubled nor lost."""

import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from subprocess import Popen

import pytest

from calrelay.simulators.faults import Fault, Kind, When
from tests.system_local.naive import wanted_of
from tests.system_local.stage import Stage

FOR_EVER = 600.0


def day(offset: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=offset):%Y-%m-%d}"


BACKFILL = ("backfill", "venue", "--from", day(-1), "--to", day(181), "--messages", "no-booking", "--json")
SYNC = ("sync", "venue", "--json")


class Trap(Fault):
    """One answer that never comes, and an event that tells when somebody waits for it."""

    def __init__(self, when: When, skip: int) -> None:
        self.sprung = threading.Event()
        super().__init__(kind=Kind.HANG, method="PUT", path="/v1/events", when=when, skip=skip)

    @property
    def seconds(self) -> float:
        """How long it takes; read at the moment when the waiting begins."""
        self.sprung.set()
        return FOR_EVER

    @seconds.setter
    def seconds(self, _: float) -> None:
        pass


@contextlib.contextmanager
def caught_in_the_middle(stage: Stage, *words: str, when: When, puts: int = 1) -> Iterator[Popen[str]]:
    """Run a command until so many PUTs are done and the next one is not answered; the target has applied it already, or has not."""
    trap = Trap(when, puts)
    stage.world.apptoto.faults.add(trap)
    process = stage.spawn(*words)
    try:
        assert trap.sprung.wait(30), process.communicate(timeout=5)
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def assert_complete(stage: Stage) -> None:
    wanted = {external_id for external_id in wanted_of(stage.world, datetime.now(UTC)) if external_id.startswith("ts-")}
    assert stage.held().keys() == wanted
    everything = [event.external_id for event in stage.world.apptoto.events.all_events()]
    assert sorted(str(external_id) for external_id in everything) == sorted(wanted)  # nothing was deleted and made anew on the way
    stage.forget_requests()
    assert stage.type(*SYNC).code == 0
    assert stage.writes() == []


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("words", [SYNC, BACKFILL])
def test_killed_in_the_middle_and_run_again_everything_is_there_once(full_stage: Stage, words: tuple[str, ...], when: When) -> None:
    with caught_in_the_middle(full_stage, *words, when=when, puts=2) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert full_stage.held()
    again = full_stage.type(*words)
    assert again.code == 0, again
    assert_complete(full_stage)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("when", When)
def test_ended_in_the_middle_it_says_so_and_the_next_one_goes_on(full_stage: Stage, when: When, number: signal.Signals) -> None:
    with caught_in_the_middle(full_stage, *SYNC, when=when) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 128 + number
    assert "Traceback" not in out + err
    assert json.loads(out).keys() <= {"passes", "error"}
    again = full_stage.type(*SYNC)
    assert again.code == 0, again
    assert_complete(full_stage)


def test_the_second_of_two_at_once_is_told_who_the_first_is(small_stage: Stage) -> None:
    with caught_in_the_middle(small_stage, *SYNC, when=When.BEFORE, puts=0) as first:
        small_stage.forget_requests()
        second = small_stage.type("sync", "--json")
        told = {one["pipeline"]: one for one in second.document["passes"]}
        assert (second.code, told["venue"]["outcome"], told["studio"]["outcome"]) == (6, "failed", "ok")
        assert [problem["kind"] for problem in told["venue"]["problems"]] == ["Busy"]
        assert f"process {first.pid} (calrelay sync)" in told["venue"]["problems"][0]["message"]
        assert all(row["external_id"].startswith("tt-") for row in small_stage.rows_sent())


@pytest.mark.parametrize("words", [("plan", "--json"), ("status", "--json"), ("holds", "--json")])
def test_looking_on_is_no_second_process(small_stage: Stage, words: tuple[str, ...]) -> None:
    with caught_in_the_middle(small_stage, *SYNC, when=When.BEFORE, puts=0):
        assert small_stage.type(*words).code == 0


def test_a_dead_process_leaves_no_lock_behind(small_stage: Stage) -> None:
    with caught_in_the_middle(small_stage, *SYNC, when=When.BEFORE, puts=0) as process:
        process.kill()
        process.wait(30)
        assert small_stage.type(*SYNC).code == 0
