"""`calrelay run` as systemd runs it: a process with a notification socket, signals, and an exit code. The vendors are simulators."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from calrelay.domain.link import State
from calrelay.errors import ExitCode
from calrelay.state.database import open_database
from calrelay.state.ledger import SqlLedger
from tests.unit.cli.house import House, a_house

PATIENCE = 30.0
RUN = [sys.executable, "-m", "calrelay", "--log-level", "info"]


class Process:
    """A daemon, or a worker, in a process of its own, and what it tells systemd."""

    def __init__(self, config: Path, listener: socket.socket, command: str) -> None:
        env = {**os.environ, "NOTIFY_SOCKET": listener.getsockname(), "PYTHONPATH": ":".join(sys.path)}
        self._listener = listener
        self.popen = subprocess.Popen(
            [*RUN, "--config", str(config), command], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_for(self, line: str) -> None:
        """Wait until systemd was told a line that begins so."""
        while not any(told.startswith(line) for told in self._listener.recv(4096).decode().split("\n")):
            pass

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, list[dict[str, object]]]:
        """Send a signal, wait for the end, and return exit code and log lines."""
        self.popen.send_signal(number)
        out, err = self.popen.communicate(timeout=PATIENCE)
        assert out == ""
        return self.popen.returncode, [json.loads(line) for line in err.splitlines()]


@contextlib.contextmanager
def running(house: House, command: str = "run") -> Iterator[Process]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(house.config.parent / f"notify-{os.urandom(4).hex()}"))
        listener.settimeout(PATIENCE)
        process = Process(house.config, listener, command)
        try:
            yield process
        finally:
            process.popen.kill()
            process.popen.communicate()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house whose first loads may go without asking; one pipeline is enough here."""
    with a_house(tmp_path) as house:
        text = house.config.read_text().replace('calendar = "Main Hall"', 'calendar = "Main Hall"\nguards = { first_load = 1000 }')
        house.config.write_text(text[: text.index('[[pipelines]]\nname = "studio"')])
        yield house


def doubled(house: House) -> int:
    return len(house.world.apptoto.events.duplicates())


def first_write(house: House, *, seconds_per_event: float) -> threading.Event:
    """Let Apptoto take its time, and return what is set once it has written something."""
    written = threading.Event()
    house.world.apptoto.settings.seconds_per_event = seconds_per_event
    house.world.apptoto.events.listeners.append(lambda _change, _event: written.set())
    return written


def test_it_loads_and_ends_with_nought(house: House) -> None:
    with running(house) as process:
        process.wait_for("READY=1")
        process.wait_for("STATUS=venue: well")
        code, lines = process.end()
    assert code == 0
    held = len(house.world.apptoto.events.live_events())
    passes = [line for line in lines if line["event"] == "pass"]
    assert [(line["reach"], line["created"]) for line in passes] == [("complete", held)]
    assert held > 0


def test_no_guest_is_named_in_its_log(house: House) -> None:
    with running(house) as process:
        process.wait_for("STATUS=venue: well")
        _, lines = process.end(signal.SIGINT)
    said = json.dumps(lines)
    guests = [person for event in house.world.apptoto.events.live_events() for person in event.participants]
    assert guests
    assert not [person.name for person in guests if person.name in said or (person.email or "@") in said]


def test_a_second_daemon_is_refused_with_six_and_told_who_is_there(house: House) -> None:
    with running(house) as process:
        process.wait_for("READY=1")
        second = subprocess.run([*RUN, "--config", str(house.config), "run"], capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert second.returncode == ExitCode.BUSY
        assert f"process {process.popen.pid} (calrelay run)" in second.stderr
        assert process.end()[0] == 0


def test_sigterm_waits_for_the_answer_in_hand_and_the_next_start_doubles_nothing(house: House) -> None:
    written = first_write(house, seconds_per_event=0.1)  # a batch of ten takes a second; the real thing is slower still
    with running(house) as process:
        process.wait_for("READY=1")
        assert written.wait(PATIENCE)
        code, _ = process.end()
    assert code == 0
    with open_database("sqlite:///calrelay.db", house.config.parent) as database:
        assert not SqlLedger(database).links_in("venue", {State.SENDING})  # the answer came, and was recorded
    house.world.apptoto.settings.seconds_per_event = 0.0
    with running(house) as process:
        process.wait_for("STATUS=venue: well")
        assert process.end()[0] == 0
    assert doubled(house) == 0


def test_kill_nine_in_mid_load_loses_and_doubles_nothing(house: House) -> None:
    written = first_write(house, seconds_per_event=0.05)
    with running(house) as process:
        process.wait_for("READY=1")
        assert written.wait(PATIENCE)
        process.popen.kill()
        process.popen.communicate()
    house.world.apptoto.settings.seconds_per_event = 0.0
    with running(house) as process:  # the kernel has freed both locks
        process.wait_for("STATUS=venue: well")
        assert process.end()[0] == 0
    with open_database("sqlite:///calrelay.db", house.config.parent) as database:
        settled = {link.external_id for link in SqlLedger(database).links_in("venue", {State.SETTLED}) if link.is_live}
    held = [event.external_id for event in house.world.apptoto.events.live_events()]
    assert sorted(held, key=str) == sorted(settled)
    assert doubled(house) == 0


def test_a_broken_config_is_told_and_the_old_one_goes_on(house: House) -> None:
    with running(house) as process:
        process.wait_for("STATUS=venue: well")
        house.config.write_text(house.config.read_text().replace('calendar = "Main Hall"', 'calender = "Main Hall"'))
        process.popen.send_signal(signal.SIGHUP)
        process.wait_for("RELOADING=1")
        process.wait_for("READY=1")
        code, lines = process.end()
    assert code == 0
    refused = next(line for line in lines if str(line["event"]).startswith("reload refused"))
    assert "calender" in str(refused["why"])


def test_a_config_that_cannot_be_used_is_refused_with_two(house: House) -> None:
    house.config.write_text(house.config.read_text().replace('target = "reminders"', 'target = "nobody"'))
    refused = subprocess.run([*RUN, "--config", str(house.config), "run"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert refused.returncode == ExitCode.CONFIG
    assert "nobody" in refused.stderr
