"""The units, and the daemon as they run it: an unprivileged user on a machine where only the StateDirectory can be written."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from calrelay.cli.shipped import PROGRAM, shipped
from tests.system.sandbox import LIBRARIES, PYTHON, USER, allowed_syscalls, closed, is_open
from tests.unit.cli.house import House, a_house

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="closing a machine off needs root"),
    pytest.mark.skipif(not (is_open(Path(PYTHON)) and is_open(Path(__file__))), reason="needs a Python and a checkout outside of homes"),
    pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs Debian's systemd"),
]
UNITS = ("calrelay.service", "calrelay-backfill@.service", "calrelay-worker@.service")
SECRETS = {"simulated-secret": "tripleseat_secret", "apptoto-key": "apptoto_key"}
PATIENCE = 30.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that anybody may enter, as /etc and /var are; pytest's own are root's."""
    with tempfile.TemporaryDirectory(prefix="calrelay-service-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def state(folder: Path) -> Path:
    (state := folder / "state").mkdir(mode=0o700)
    shutil.chown(state, USER, "nogroup")
    return state


@pytest.fixture
def port() -> int:
    """A port that is free now; the page is served there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def house(folder: Path, state: Path, port: int) -> Iterator[House]:
    """A house whose secrets are credentials, and whose state lies where the service keeps it."""
    with a_house(folder) as house:
        (credentials := folder / "credentials").mkdir()
        text = house.config.read_text().replace('calendar = "Main Hall"', 'calendar = "Main Hall"\nguards = { first_load = 1000 }')
        text = text[: text.index('[[pipelines]]\nname = "studio"')]
        key = re.search(r'private_key = "([^"]+)"', text)
        assert key
        for secret, name in {**SECRETS, key[1]: "timetap_key"}.items():
            text = text.replace(f'"{secret}"', f'{{ credential = "{name}" }}')
            (credentials / f"calrelay_{name}").write_text(f"{secret}\n")
        head = f'[state]\nurl = "sqlite:///{state}/calrelay.db"\n'
        house.config.write_text(head + text.replace('listen = ""', f'listen = "127.0.0.1:{port}"'))
        house.config.chmod(0o644)
        for file in folder.glob("calrelay.db*"):  # with the consent in it
            file.rename(state / file.name)
            shutil.chown(state / file.name, USER, "nogroup")
        yield house


# --- the units ---


@pytest.mark.parametrize("name", UNITS)
def test_the_exposure_is_at_most_one_and_a_half(name: str, tmp_path: Path) -> None:
    (unit := tmp_path / name.replace("@", "@venue")).write_text(shipped(f"systemd/{name}"))
    rated = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=15", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout[-300:] + rated.stderr
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", rated.stdout)
    assert found
    assert float(found[1]) <= 1.5


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong_with_the_unit(name: str, tmp_path: Path) -> None:
    (unit := tmp_path / name.replace("@", "@venue")).write_text(shipped(f"systemd/{name}").replace(PROGRAM, "/bin/true"))
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")


# --- the daemon ---


def probe(state: Path, program: str) -> str:
    done = subprocess.run(closed(state, PYTHON, "-c", program), capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": ":".join(LIBRARIES), "PYTHONDONTWRITEBYTECODE": "1"}


def test_only_the_state_folder_can_be_written(state: Path) -> None:
    program = f"""
import os
places = "/ /etc /usr /var /var/lib /var/tmp /tmp /run /dev/shm /home /root {state.parent} {state}".split()
for place in places:
    try:
        os.close(os.open(f"{{place}}/calrelay-probe", os.O_WRONLY | os.O_CREAT))
    except OSError:
        continue
    print(place)
"""
    assert probe(state, program).split() == [str(state)]


def test_the_sandbox_of_these_tests_refuses_what_the_unit_refuses(state: Path) -> None:
    assert {"read", "openat", "sendto"} < allowed_syscalls()
    assert not {"mount", "ptrace", "chroot", "setuid"} & allowed_syscalls()
    program = "import ctypes; libc = ctypes.CDLL(None, use_errno=True); print(libc.chroot(b'/'), ctypes.get_errno())"
    assert probe(state, program) == "-1 1"
    assert (
        probe(state, "import os; print(os.getuid() != 0, 'CapEff:\\t0000000000000000' in open('/proc/self/status').read())") == "True True"
    )


def test_the_daemon_works_watches_and_ends_with_nothing_but_its_state_folder(house: House, state: Path, port: int) -> None:
    """It loads a house full of bookings by credentials, serves its page, feeds the watchdog, and ends with 0."""
    address = f"\0calrelay-{os.urandom(8).hex()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(PATIENCE)
        env = environment() | {
            "NOTIFY_SOCKET": f"@{address[1:]}",
            "WATCHDOG_USEC": "2000000",
            "CREDENTIALS_DIRECTORY": str(house.config.parent / "credentials"),
            "HOME": str(state),
        }
        command = closed(state, PYTHON, "-m", "calrelay", "--config", str(house.config), "run")
        daemon = subprocess.Popen(command, env=env, cwd=state, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            told = listen(listener, daemon, until="READY=1")
            assert (state / "calrelay.db").exists()
            assert not any("STOPPING" in line for line in told)
            told = listen(listener, daemon, until="STATUS=venue: well")
            told += listen(listener, daemon, until="WATCHDOG=1")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE) as healthy:
                assert healthy.status == 200
            daemon.send_signal(signal.SIGTERM)
            told = listen(listener, daemon, until="STOPPING=1")
            out, err = daemon.communicate(timeout=PATIENCE)
        finally:
            daemon.kill()
            daemon.communicate()
    assert (daemon.returncode, out) == (0, ""), err
    assert house.world.apptoto.events.live_events()
    assert {path.owner() for path in state.iterdir()} == {USER}
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in state.iterdir()} == {0}


def listen(listener: socket.socket, daemon: subprocess.Popen[str], *, until: str) -> list[str]:
    """Return what systemd is told, up to a line that begins so."""
    told: list[str] = []
    try:
        while not any(line.startswith(until) for line in told):
            told += listener.recv(4096).decode().split("\n")
    except TimeoutError:
        daemon.kill()
        pytest.fail(f"{until} never came; it said: {daemon.communicate()[1][-3000:]}")
    return told
