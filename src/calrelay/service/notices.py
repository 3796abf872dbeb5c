"""Runs the operator's command for one notice at a time, and says why it failed. What is worth a notice is judged elsewhere."""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from calrelay import __version__
from calrelay.domain.words import iso
from calrelay.log import scrub

WITHIN: Final = timedelta(seconds=30)
SUMMARY: Final = "CALRELAY_SUMMARY"
# The environment may hold secrets of the config ({ env = … }), so a command gets what programs commonly need and nothing else.
_PASSED_ON: Final = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR")


class Change(StrEnum):
    """What has become of a trouble."""

    BEGINS = "begins"
    GROWS = "grows"  # more events are held, in quarantine or stuck than were told of
    ENDS = "ends"
    TEST = "test"  # somebody tries the command


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a command is told: docs/json/notice.json. No names, no addresses, no secrets (rule 23)."""

    change: Change
    kind: str
    pipeline: str
    summary: str
    remedy: str
    at: datetime
    since: datetime
    count: int = 0

    @property
    def line(self) -> str:
        """All of it in one line."""
        return " ".join(scrub(f"calrelay {self._opening}: {self.summary}").split())

    @property
    def _opening(self) -> str:
        match self.change:
            case Change.TEST:
                return "test"
            case Change.ENDS:
                return f"{self.pipeline} over"
            case Change.BEGINS | Change.GROWS:
                return f"{self.pipeline} {self.kind}"

    def to_json(self) -> dict[str, Any]:
        """Return it as the command finds it on stdin."""
        return {
            "program": "calrelay",
            "version": __version__,
            "change": self.change.value,
            "kind": self.kind,
            "pipeline": self.pipeline,
            "summary": self.line,
            "remedy": scrub(self.remedy),
            "count": self.count,
            "since": iso(self.since),
            "at": iso(self.at),
        }


async def announce(
    command: Sequence[str], notice: Notice, *, within: timedelta = WITHIN, env: Mapping[str, str] | None = None
) -> str | None:
    """Run the command and wait for it; return None, or why it failed. It is killed, with all it has started, when it takes too long.

    Its output goes nowhere: it may be anything, and a pipe that nobody empties would stop it.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=_environment(os.environ if env is None else env, notice),
            start_new_session=True,  # a process group of its own, so that a signal reaches what it starts, and ours do not reach it
        )
    except (OSError, ValueError) as error:
        return f"cannot be started ({getattr(error, 'strerror', None) or type(error).__name__})"
    try:
        async with asyncio.timeout(within.total_seconds()):
            await process.communicate(json.dumps(notice.to_json()).encode() + b"\n")
    except TimeoutError:
        return f"had not ended after {within.total_seconds():.0f} s, and was killed"
    finally:
        await _end(process)
    return None if process.returncode == 0 else f"ended with {process.returncode}"


def _environment(env: Mapping[str, str], notice: Notice) -> dict[str, str]:
    return {name: env[name] for name in _PASSED_ON if name in env} | {SUMMARY: notice.line}


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave nothing behind of a command that has not ended by itself."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
