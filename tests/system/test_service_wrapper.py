"""The wrapper that administrators type: it becomes the service's user with its credentials, and lets all else through unharmed."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from calrelay.cli.shipped import PROGRAM, shipped
from tests.system.sandbox import is_open

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root"),
    pytest.mark.skipif(not is_open(Path("/usr/bin/python3")), reason="needs the system's Python"),
]
# What stands in for calrelay: it says who it is and what it was given, or does what its first word asks.
STAND_IN = """#!/usr/bin/python3
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere"))
def rest():
    while True:  # signal.pause() would sleep through a signal that comes just before it
        time.sleep(0.05)
match sys.argv[1:]:
    case ["leave", code]:
        sys.exit(int(code))
    case ["die"]:
        os.kill(os.getpid(), signal.SIGKILL)
    case ["wait"]:
        signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        print(os.getpid(), flush=True)
        rest()
    case ["terminal"]:
        try:  # from before it is said, because Ctrl-C comes as soon as it is
            print("terminal" if all(os.isatty(number) for number in (0, 1, 2)) else "none", os.tcgetpgrp(0) == os.getpgrp(), flush=True)
            rest()
        except KeyboardInterrupt:
            sys.exit(130)
    case ["echo"]:
        sys.stderr.write("progress\\n")
        sys.stdout.write(sys.stdin.read())
    case words:
        status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
        print(json.dumps({
            "words": words, "uid": os.getuid(), "groups": os.getgroups(), "home": os.environ.get("HOME"), "mask": os.umask(0),
            "config": os.environ.get("CALRELAY_CONFIG"), "capabilities": status["CapEff"] + status["CapBnd"], "nnp": status["NoNewPrivs"],
            "credentials": {one.name: one.read_text() for one in sorted(folder.iterdir())} if folder.is_dir() else None,
            "writable": os.access(folder, os.W_OK),
        }))
"""


class Wrapper:
    """The shipped wrapper, with `nobody` for the service's user and its places in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets, self.running, self.private = folder / "credentials", folder / "running", folder / "private"
        self.secrets.mkdir(mode=0o700)
        places = {
            PROGRAM: str(self._put("stand-in", STAND_IN)),
            "user=calrelay": "user=nobody",
            "=/var/lib/calrelay": f"={folder}/state",
            "=/etc/calrelay/credentials": f"={self.secrets}",
            "=/run/credentials/calrelay.service": f"={self.running}",
            "=/run/calrelay-credentials": f"={self.private}",
        }
        text = shipped("bin/calrelay")
        for old, new in places.items():
            assert old in text
            text = text.replace(old, new)
        self.path = self._put("calrelay", text)

    def _put(self, name: str, text: str) -> Path:
        (path := self.folder / name).write_text(text)
        path.chmod(0o755)
        return path

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("CALRELAY")} | options.pop("env", {})
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([str(self.path), *words], text=True, env=env, **{**pipes, **options})

    def type(self, *words: str, given: str = "", **options: Any) -> tuple[int, str, str]:
        with self.start(*words, **options) as process:
            out, err = process.communicate(given, timeout=30)
        return process.returncode, out, err

    def ask(self, *words: str, **options: Any) -> Any:
        code, out, err = self.type(*words, **options)
        assert (code, err) == (0, "")
        return json.loads(out)


@pytest.fixture
def wrapper() -> Iterator[Wrapper]:
    with tempfile.TemporaryDirectory(prefix="calrelay-wrapper-") as name:
        Path(name).chmod(0o755)
        yield Wrapper(Path(name))


def test_root_becomes_the_service_s_user_without_any_capability(wrapper: Wrapper) -> None:
    said = wrapper.ask("status", "--json")
    assert said["uid"] == 65534
    assert 0 not in said["groups"]
    assert set(said["capabilities"]) == {"0"}
    assert (said["nnp"], said["mask"], said["home"]) == ("1", 0o077, f"{wrapper.folder}/state")
    assert said["words"] == ["status", "--json"]


def test_the_config_is_the_service_s_unless_another_is_named(wrapper: Wrapper) -> None:
    assert wrapper.ask("status")["config"] == "/etc/calrelay/config.toml"
    assert wrapper.ask("status", env={"CALRELAY_CONFIG": "/elsewhere.toml"})["config"] == "/elsewhere.toml"


def test_credentials_are_those_of_the_folder_and_of_the_running_daemon(wrapper: Wrapper) -> None:
    (wrapper.secrets / "timetap_key").write_text("new")
    (wrapper.secrets / "a link").symlink_to("/etc/shadow")
    wrapper.running.mkdir()
    (wrapper.running / "calrelay_timetap_key").write_text("old")
    (wrapper.running / "from_a_drop_in").write_text("decrypted")
    said = wrapper.ask("check")
    assert said["credentials"] == {"calrelay_timetap_key": "new", "from_a_drop_in": "decrypted"}
    assert not said["writable"]


def test_nobody_else_sees_the_credentials_and_nothing_stays(wrapper: Wrapper) -> None:
    (wrapper.secrets / "timetap_key").write_text("secret")
    with wrapper.start("wait") as process:
        assert process.stdout
        process.stdout.readline()
        assert list(wrapper.private.iterdir()) == []
        assert str(wrapper.private) not in Path("/proc/mounts").read_text()
        process.terminate()
    assert list(wrapper.private.iterdir()) == []


@pytest.mark.parametrize("code", [0, 1, 4, 70])
def test_the_exit_code_is_the_command_s(wrapper: Wrapper, code: int) -> None:
    assert wrapper.type("leave", str(code))[0] == code


def test_a_death_by_signal_is_the_command_s(wrapper: Wrapper) -> None:
    assert wrapper.type("die")[0] == -signal.SIGKILL


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_reaches_the_command_itself(wrapper: Wrapper, number: signal.Signals, code: int) -> None:
    with wrapper.start("wait") as process:
        assert process.stdout
        assert int(process.stdout.readline()) == process.pid  # one process from first to last
        process.send_signal(number)
        process.wait(timeout=30)
    assert process.returncode == code


def test_stdin_stdout_and_stderr_stay_apart(wrapper: Wrapper) -> None:
    assert wrapper.type("echo", given='{"a": "ä"}\n') == (0, '{"a": "ä"}\n', "progress\n")


def test_words_arrive_as_they_were_typed(wrapper: Wrapper) -> None:
    words = ["try", "ts-55120", "--to", "+1 212 555 0147", "", "$HOME `id` 'x' \"y\" *"]
    assert wrapper.ask(*words)["words"] == words


def test_on_a_terminal_ctrl_c_ends_the_command_with_130(wrapper: Wrapper) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell has background jobs, and all their children, ignore it
        os.execv(wrapper.path, [str(wrapper.path), "terminal"])
    said = b""
    while b"\n" not in said and select.select([terminal], [], [], 30)[0]:
        said += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert said.split() == [b"terminal", b"True"]
    assert os.waitstatus_to_exitcode(status) == 130


@pytest.mark.parametrize(
    "words", [["service", "install"], ["--debug", "service", "uninstall"], ["-c", "/x", "init"], ["--config", "status", "init"]]
)
def test_what_only_root_can_do_is_done_as_root(wrapper: Wrapper, words: list[str]) -> None:
    assert wrapper.ask(*words)["uid"] == 0


@pytest.mark.parametrize("words", [["status", "service"], ["--config", "service", "status"], ["--log-level", "init", "plan"], []])
def test_everything_else_is_not(wrapper: Wrapper, words: list[str]) -> None:
    assert wrapper.ask(*words)["uid"] == 65534


def test_whoever_is_not_root_stays_who_they_are(wrapper: Wrapper) -> None:
    said = wrapper.ask("demo", user=65533, group=65533, extra_groups=[])
    assert (said["uid"], said["credentials"], said["config"]) == (65533, None, None)


def test_the_wrapper_is_sound_for_every_shell_that_is_sh() -> None:
    for shell in ("dash", "bash"):
        if shutil.which(shell):
            assert subprocess.run([shell, "-n"], input=shipped("bin/calrelay"), text=True, check=False).returncode == 0
