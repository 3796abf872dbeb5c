"""Workers as processes that are killed, stopped, woken up, ended and started again. Which of them sent a request is known by its socket."""

import asyncio
import dataclasses
import math
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from calrelay.errors import ExitCode
from tests.soaking.process import COMMAND, ENDS_WITHIN

URL = "CALRELAY_STATE_URL"  # where the config of a crew names its database
CLEAN = (0, -signal.SIGTERM)  # the latter while it starts, before it obeys signals


@dataclasses.dataclass(slots=True, kw_only=True)
class Member:
    """One of the crew, a process after another under one name; the name is also that of its database sessions.

    A process that begins while the server is away ends with 5 and says so; systemd begins it anew, and so does a soak. `away_at` tells when
    the server was away last, by the monotonic clock.
    """

    name: str
    config: Path
    url: str
    arguments: tuple[str, ...] = ()
    process: asyncio.subprocess.Process | None = None
    pids: set[int] = dataclasses.field(default_factory=set)
    is_asleep: bool = False
    odd_ends: list[str] = dataclasses.field(default_factory=list)
    away_at: Callable[[], float] = lambda: -math.inf
    is_ending: bool = False  # because somebody asked it to
    is_out: bool = False  # ended by itself, and not begun anew yet
    began: float = 0.0
    logged: int = 0  # bytes that were in its log when it began

    @property
    def log(self) -> Path:
        """Where it logs."""
        return self.config.with_name(f"{self.name}.log")

    @property
    def pid(self) -> int:
        """The process that runs, or ran last."""
        return self.process.pid if self.process else 0

    async def start(self) -> None:
        """Start it."""
        self.is_out = False
        self.began, self.logged = time.monotonic(), self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                COMMAND,
                "--config",
                self.config,
                "worker",
                *self.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, URL: f"{self.url}&application_name={self.name}"},
            )
        self.pids.add(self.process.pid)

    async def kill(self) -> None:
        """Kill it: nothing can be tidied up."""
        await self._end_with(signal.SIGKILL)

    async def end(self) -> float:
        """Ask it to end, and return how long that took; a late or unclean end is odd."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(ENDS_WITHIN):
                code = await self._end_with(signal.SIGTERM)
        except TimeoutError:
            self.odd_ends.append(f"{self.name} had not ended {ENDS_WITHIN:.0f} s after SIGTERM\n{self.tail()}")
            await self.kill()
        else:
            if code not in CLEAN and not self._found_no_server(code):
                self.odd_ends.append(f"{self.name} ended with {code} after SIGTERM\n{self.tail()}")
        return time.monotonic() - began

    async def sleep(self, seconds: float) -> None:
        """Let it stand still for so long (SIGSTOP, SIGCONT)."""
        self._signal(signal.SIGSTOP)
        self.is_asleep = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self.is_asleep = False
            self._signal(signal.SIGCONT)

    def look_after(self) -> None:
        """Note where it ended by itself."""
        if self.process is not None and self.process.returncode is not None and not self.is_ending:
            code, self.process, self.is_out = self.process.returncode, None, True
            if not self._found_no_server(code):
                self.odd_ends.append(f"{self.name} ended with {code}, and nobody had asked for it\n{self.tail()}")

    def tail(self, lines: int = 8) -> str:
        """Return the last lines of its log."""
        return "\n".join(f"    {line}" for line in self.log.read_text("utf-8", "replace").splitlines()[-lines:])

    def _found_no_server(self, code: int) -> bool:
        was_ready = b'"event": "ready"' in self.log.read_bytes()[self.logged :]
        return code == ExitCode.STATE and not was_ready and self.began <= self.away_at()

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def _end_with(self, number: signal.Signals) -> int:
        if self.process is None:
            return 0
        self.is_ending = True
        try:
            self._signal(number)
            code = await self.process.wait()
        finally:
            self.process, self.is_ending = None, False
        return code


class Sockets:
    """Whose socket a request came from, looked up while its connection lives."""

    def __init__(self, crew: Mapping[str, Member]) -> None:
        self._crew = crew
        self._known: dict[int, str] = {}

    def owner(self, port: int) -> str | None:
        """Return the name of the member whose connection has this local port; None where it is nobody's."""
        inode = _inode(port)
        for name, member in self._crew.items():
            if inode and member.pid and inode in _inodes(member.pid):
                self._known[port] = name
                return name
        return self._known.get(port)  # it has died meanwhile


def _inode(port: int) -> str | None:
    """Return the inode of the established socket with this local port, by proc(5)."""
    wanted = f"0100007F:{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == wanted and fields[9] != "0":
            return fields[9]
    return None


def _inodes(pid: int) -> set[str]:
    found = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            target = str(entry.readlink())
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        return found
    return found
