"""A newcomer's way: `simulate`, `init`, `check`, `login`, `plan`, `backfill`, `run`, each as the installed command and at a terminal."""

import contextlib
import dataclasses
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

COMMAND = Path(sys.executable).with_name("calrelay")
PATIENCE = 60.0
VENDORS = 3


@dataclasses.dataclass(slots=True, kw_only=True)
class Simulators:
    """A running `calrelay simulate`, and what it printed when everything answered."""

    process: subprocess.Popen[str]
    document: dict[str, Any]
    first_port: int


def type_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a folder, without a terminal."""
    return subprocess.run(
        [COMMAND, *words],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def environment(**more: str) -> dict[str, str]:
    """Return an environment without a config and a screen of its own."""
    known = {
        key: value for key, value in os.environ.items() if not key.startswith("CALRELAY") and "DISPLAY" not in key and key != "BROWSER"
    }
    return {**known, "COLUMNS": "200", **more}


@contextlib.contextmanager
def simulating(folder: Path, *words: str) -> Iterator[Simulators]:
    """Run the simulators on ports of their own for as long as the block runs."""
    for _ in range(20):
        first_port = _four_free_ports()
        process = subprocess.Popen(
            [COMMAND, "simulate", "--json", "--port", str(first_port), *words],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        document = json.loads(process.stdout.readline())
        if "urls" in document:  # else another test took one of the ports meanwhile
            break
        process.communicate(timeout=PATIENCE)
    try:
        yield Simulators(process=process, document=document, first_port=first_port)
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def _four_free_ports() -> int:
    while True:
        with socket.create_server(("127.0.0.1", 0)) as found:
            first: int = found.getsockname()[1]
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(first, first + 1 + VENDORS):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


@pytest.fixture
def simulators(tmp_path: Path) -> Iterator[Simulators]:
    with simulating(tmp_path, "--events", "12") as running:
        yield running


def a_config(folder: Path, simulators: Simulators) -> Path:
    done = type_in(folder, "init", "--simulate", "--port", str(simulators.first_port))
    assert done.returncode == 0, done
    path = folder / "config.toml"
    text = path.read_text().replace('listen = "127.0.0.1:8642"', 'listen = ""')  # tests share one machine
    path.write_text(text.replace('future = "180d"', 'future = "14d"'))  # and little time
    return path


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return json.loads(answer.read())


def test_from_nothing_to_a_running_daemon_without_any_account(tmp_path: Path, simulators: Simulators) -> None:
    a_config(tmp_path, simulators)
    check = type_in(tmp_path, "check")
    assert (check.returncode, "Nothing is wrong" in check.stdout) == (0, True), check
    plan = type_in(tmp_path, "plan")
    assert (plan.returncode, "would create" in plan.stdout) == (4, True), plan  # the first load waits for somebody's decision
    assert "calrelay backfill venue" in plan.stdout
    today = datetime.now(UTC).date()
    days = ("--from", f"{today - timedelta(days=2)}", "--to", f"{today + timedelta(days=15)}")
    for pipeline in ("venue", "studio"):
        loaded = type_in(tmp_path, "backfill", pipeline, *days, "--messages", "no-booking")
        assert loaded.returncode in (0, 1), loaded
    held = get(f"{simulators.document['urls']['apptoto']}/_control/state")
    assert held["snapshot"]["events"] > 0
    again = json.loads(type_in(tmp_path, "plan", "venue", "--json").stdout)
    assert (again["passes"][0]["created"], again["passes"][0]["outcome"]) == (0, "ok")
    _runs_until_it_is_ended(tmp_path)


def _runs_until_it_is_ended(folder: Path) -> None:
    with subprocess.Popen([COMMAND, "run"], cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr is not None
        for line in daemon.stderr:
            if '"pass"' in line and '"venue"' in line:
                assert json.loads(line)["outcome"] == "ok", line
                break
        daemon.send_signal(signal.SIGTERM)
        rest = daemon.stderr.read()
    assert daemon.returncode == 0, rest
    assert "Traceback" not in rest


def test_consent_to_a_simulated_account_needs_no_browser(tmp_path: Path, simulators: Simulators) -> None:
    path = a_config(tmp_path, simulators)
    with socket.create_server(("127.0.0.1", 0)) as free:
        redirect_uri = f"http://127.0.0.1:{free.getsockname()[1]}/callback"
    _register(simulators, redirect_uri)
    path.write_text(
        path.read_text()
        .replace('auth = "client_credentials"', 'auth = "authorization_code"')
        .replace('redirect_uri = "http://127.0.0.1:8650/callback"', f'redirect_uri = "{redirect_uri}"')
    )
    refused = type_in(tmp_path, "check")
    assert (refused.returncode, "calrelay login venue" in refused.stdout) == (3, True), refused
    with subprocess.Popen(
        [COMMAND, "login", "venue"], cwd=tmp_path, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as login:
        assert login.stdout is not None
        url = next(line.strip() for line in login.stdout if "oauth2/authorize" in line)
        with urllib.request.urlopen(url, timeout=PATIENCE) as page:  # follows the redirect, as `curl -L` and browsers do
            assert "close this page" in page.read().decode()
        said, _ = login.communicate(timeout=PATIENCE)
    assert (login.returncode, "is logged in, and it works" in said) == (0, True), said
    assert type_in(tmp_path, "check").returncode == 0


def _register(simulators: Simulators, redirect_uri: str) -> None:
    request = urllib.request.Request(
        f"{simulators.document['urls']['tripleseat']}/_control/settings",
        data=json.dumps({"redirect_uri": redirect_uri}).encode(),
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_simulators_end_well_when_they_are_told_to(tmp_path: Path, number: signal.Signals) -> None:
    with simulating(tmp_path, "--events", "2") as simulators:
        simulators.process.send_signal(number)
        out, err = simulators.process.communicate(timeout=PATIENCE)
        assert (simulators.process.returncode, out) == (0, "")
    assert "Traceback" not in err


def test_simulators_on_taken_ports_say_which(tmp_path: Path, simulators: Simulators) -> None:
    second = type_in(tmp_path, "simulate", "--port", str(simulators.first_port))
    assert second.returncode == 2
    assert f"127.0.0.1:{simulators.first_port + 1}, where tripleseat is to be simulated" in second.stderr
    assert "--port" in second.stderr


# --- at a terminal ---


def _state(pid: int) -> str:
    """Return how a process is doing, "S" when it waits (proc(5), the third field)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


class Terminal:
    """A command at a terminal of its own, and what the screen shows."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._ours, self._theirs = pty.openpty()  # theirs stays open: what was written last can be lost when nobody has it any more
        self._screen = ""
        self.process = subprocess.Popen(
            [COMMAND, *words],
            cwd=folder,
            env=environment(),
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
        )

    def until(self, text: str) -> str:
        """Read until the screen shows a text, and return what it showed up to there."""
        deadline = time.monotonic() + PATIENCE
        while text not in self._screen:
            assert self._read(deadline), f"the screen never showed {text!r}: {self._screen}"
        before, _, self._screen = self._screen.partition(text)
        return before

    def answer(self, question: str, text: str) -> str:
        """Wait for a question, and type an answer."""
        before = self.until(question)
        self.until(": ")
        os.write(self._ours, f"{text}\n".encode())
        return before

    def end(self) -> tuple[int, str]:
        """Read to the end and return the exit code and the rest of the screen."""
        deadline = time.monotonic() + PATIENCE
        has_ended = False
        while self._read(time.monotonic() + 0.05) or not has_ended:
            has_ended = self.process.poll() is not None
            assert time.monotonic() < deadline, f"the command never ended: {self._screen}"
        for end in (self._ours, self._theirs):
            os.close(end)
        return self.process.wait(PATIENCE), self._screen

    def interrupt(self) -> None:
        """Interrupt the command while it waits for an answer: Python overlooks a signal that comes on its way into the read."""
        self.until(": ")
        deadline = time.monotonic() + PATIENCE
        while _state(self.process.pid) != "S":
            assert time.monotonic() < deadline, "the command never waited for an answer"
        self.process.send_signal(signal.SIGINT)

    def type(self, text: str) -> None:
        """Type a line without waiting for a question."""
        os.write(self._ours, f"{text}\n".encode())

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            return False
        found = os.read(self._ours, 65_536)
        self._screen += found.decode()
        return bool(found)


def test_a_person_answers_questions_and_a_secret_is_typed_unseen(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "init")
    terminal.answer("Do you use Tripleseat?", "maybe")
    terminal.answer("neither yes nor no", "yes")
    terminal.answer("Do you use TimeTap?", "n")
    terminal.answer("UID of the OAuth", "our-uid")
    terminal.answer("or here to type it now", "here")
    terminal.answer("client_secret", "s3cret-typed-unseen")
    terminal.answer("User name", "ops@example.com")
    terminal.answer("API key", "credential:apptoto")
    terminal.answer("calendar", "Main Hall")
    shown = terminal.answer("Messages", "no-booking")
    terminal.answer("Country", "")
    code, rest = terminal.end()
    assert (code, "calrelay check" in rest) == (0, True), rest
    assert "#nobooking" in shown
    assert "s3cret" not in shown + rest
    document = tomllib.loads((tmp_path / "config.toml").read_text())
    assert document["accounts"]["venue"]["client_secret"] == "s3cret-typed-unseen"
    assert document["accounts"]["reminders"]["api_key"] == {"credential": "apptoto"}
    assert [(one["name"], one["messages"], one["region"]) for one in document["pipelines"]] == [("venue", "no-booking", "US")]
    assert type_in(tmp_path, "check", "--offline").returncode == 0


def test_questions_that_are_broken_off_write_nothing_and_end_without_a_traceback(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "init")
    terminal.until("Do you use Tripleseat?")
    terminal.interrupt()
    code, rest = terminal.end()
    assert (code, "Nothing was written" in rest) == (1, True), rest
    assert "Traceback" not in rest
    assert not (tmp_path / "config.toml").exists()


def test_the_address_one_is_led_to_can_be_pasted(tmp_path: Path, simulators: Simulators) -> None:
    path = a_config(tmp_path, simulators)
    _register(simulators, "https://example.com/callback")
    path.write_text(
        path.read_text()
        .replace('auth = "client_credentials"', 'auth = "authorization_code"')
        .replace('redirect_uri = "http://127.0.0.1:8650/callback"', 'redirect_uri = "https://example.com/callback"')
    )
    terminal = Terminal(tmp_path, "login", "venue")
    terminal.until("  http")
    url = "http" + terminal.until("\r\n")
    terminal.until("pasted here")
    assert parse_qs(urlsplit(url).query)["redirect_uri"] == ["https://example.com/callback"]
    terminal.type(_where_consent_leads(url))
    code, rest = terminal.end()
    assert (code, "is logged in, and it works" in rest) == (0, True), rest


def _where_consent_leads(url: str) -> str:
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    try:
        urllib.request.build_opener(Stay).open(url, timeout=PATIENCE)
    except urllib.error.HTTPError as answer:
        return str(answer.headers["Location"])
    raise AssertionError("consent was not given at once")
