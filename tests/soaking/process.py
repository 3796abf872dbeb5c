"""The daemon as a process that is killed, ended, reloaded and started again, and what it logs. Its answers are only read, never trusted."""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from calrelay.errors import ExitCode

BUSY = 6  # a pass under way took longer than the command waits for it; somebody types it again
COMMAND = Path(sys.executable).with_name("calrelay")
ENDS_WITHIN = 30.0  # rule 26: 25 s, and a little for the process itself
STARTS_WITHIN = 30.0


@dataclasses.dataclass(slots=True, kw_only=True)
class Memory:
    """Resident memory of one process in MiB: after its first pass, at its end, and when it was highest."""

    seconds: float = 0.0
    first: float = 0.0
    last: float = 0.0
    peak: float = 0.0

    def note(self, now: float, began: float) -> None:
        """Take one reading."""
        self.first = self.first or now
        self.last, self.peak = now, max(self.peak, now)
        self.seconds = began


class DaemonProcess:
    """`calrelay run`, one process after another. `odd_ends` tells each end that nobody asked for, with the last lines of the log."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._log_file = config.with_name("calrelay.log")
        self._log_file.touch()
        self._read_to = 0
        self._process: asyncio.subprocess.Process | None = None
        self._began = 0.0
        self._is_ready = False
        self._has_refused = False
        self.passes: list[dict[str, Any]] = []  # of the process that runs now
        self.memories: list[Memory] = []
        self.odd_ends: list[str] = []

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it."""
        with self._log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                COMMAND, "--config", self._config, "run", stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.read()
        self.passes.clear()
        self._is_ready = False
        self._began = asyncio.get_running_loop().time()
        self.memories.append(Memory())

    async def wait_until_ready(self) -> None:
        """Wait until it has said that it is ready, which is when signals are obeyed."""
        async with asyncio.timeout(STARTS_WITHIN):
            while self.is_running and not self._is_ready:
                self.read()
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """Kill it with SIGKILL: nothing can be tidied up."""
        await self._signal(signal.SIGKILL)

    async def end(self) -> float:
        """Ask it to end (SIGTERM), and return how long that took; a late or unclean end is odd."""
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(ENDS_WITHIN):
                code = await self._signal(signal.SIGTERM)
        except TimeoutError:
            self.odd_ends.append(f"had not ended {ENDS_WITHIN:.0f} s after SIGTERM\n{self.tail()}")
            await self.kill()
        else:
            if code != 0:
                self.odd_ends.append(f"ended with {code} after SIGTERM\n{self.tail()}")
        return asyncio.get_running_loop().time() - began

    def reload(self) -> None:
        """Ask it to read its config again (SIGHUP)."""
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGHUP)

    async def reload_in_vain(self) -> None:
        """Ask it to read a config that is broken, and wait until it has said so."""
        self.read()
        self._has_refused = False
        self.reload()
        async with asyncio.timeout(STARTS_WITHIN):
            while self.is_running and not self._has_refused:
                await asyncio.sleep(0.05)
                self.read()

    async def look_after(self) -> None:
        """Read its memory; start it anew where it ended by itself."""
        if self._process is None:
            return
        if self._process.returncode is not None:
            self.odd_ends.append(f"ended with {self._process.returncode}, and nobody had asked for it\n{self.tail()}")
            await self.start()
            return
        if (now := _resident(self._process.pid)) and self.passes:
            self.memories[-1].note(now, asyncio.get_running_loop().time() - self._began)

    def read(self) -> None:
        """Read what was logged since the last call."""
        for line in self._fresh_lines():
            self._is_ready |= line.get("event") == "ready"
            self._has_refused |= str(line.get("event")).startswith("reload refused")
            if line.get("event") == "pass":
                self.passes.append(line)

    def tail(self, lines: int = 12) -> str:
        """Return the last lines of the log."""
        return "\n".join(f"    {line}" for line in self._log_file.read_text("utf-8", "replace").splitlines()[-lines:])

    def _fresh_lines(self) -> Iterator[dict[str, Any]]:
        with self._log_file.open("rb") as log:
            log.seek(self._read_to)
            whole, _, _ = log.read().rpartition(b"\n")
        self._read_to += len(whole) + 1 if whole else 0
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):  # a traceback, or a line that a kill cut off
                yield json.loads(line)

    async def _signal(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(number)
        try:
            return await process.wait()
        except BaseException:
            self._process = process
            raise


class Operator:
    """Whoever types commands beside the daemon: looks at holds and approves them, retries quarantine, logs in again."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self.at_rest = asyncio.Lock()  # held by whoever does not want commands to be typed
        self.approved = 0
        self.odd_answers: list[str] = []

    async def decide(self) -> None:
        """Approve what is held and not yet approved."""
        document = await self._type("holds", "--json")
        for hold in document.get("holds", []):
            if any(item["approved_at"] is None for item in hold["items"]):
                # It may have dissolved meanwhile (2), or hold nothing any more that was listed (4, rule 15).
                answer = await self._type("approve", hold["id"], "--json", expected=(ExitCode.DONE, ExitCode.CONFIG, ExitCode.GUARD))
                self.approved += bool(answer.get("holds"))

    async def retry(self) -> None:
        """Let everything in quarantine be tried again."""
        await self._type("quarantine", "retry", "--json", expected=(0, BUSY))

    async def log_in(self, code: str) -> bool:
        """Consent anew; False where the vendor did not answer, so that somebody has to try again with another code."""
        async with self.at_rest:
            code_of_exit, _, _ = await self._run("login", "venue", "--code", code)
        return code_of_exit == 0

    async def _type(self, *words: str, expected: tuple[int, ...] = (0,)) -> dict[str, Any]:
        async with self.at_rest:
            code, out, err = await self._run(*words)
        if code not in expected:
            told = (err or out).decode("utf-8", "replace").strip()[-600:]
            self.odd_answers.append(f"calrelay {' '.join(words)} ended with {code}: {told}")
        if "--json" not in words or not out.strip():
            return {}
        document: dict[str, Any] = json.loads(out)
        return document

    async def _run(self, *words: str) -> tuple[int | None, bytes, bytes]:
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            "--config",
            self._config,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode, out, err


def _resident(pid: int) -> float:
    """Return a process's resident memory in MiB; 0 where it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
