"""Processor seconds of processes, by proc(5). What they work on is not known here."""

import dataclasses
import os
import time
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Processor seconds used so far, or within a while: by the workers, the database, this process with its simulators; idle is idle."""

    workers: float
    database: float
    simulators: float
    idle: float

    def since(self, before: "Usage") -> "Usage":
        """Return what was used after an earlier look."""
        return Usage(**{field.name: getattr(self, field.name) - getattr(before, field.name) for field in dataclasses.fields(self)})

    def cores(self, seconds: float) -> str:
        """Say how many cores that was, in the order workers, database, simulators, idle."""
        return " / ".join(f"{used / seconds:.2f}" for used in (self.workers, self.database, self.simulators, self.idle))


def look(workers: Iterable[int], postmaster: int) -> Usage:
    """Look at what was used until now."""
    idle = int(Path("/proc/stat").read_text().split(maxsplit=5)[4]) / _TICKS
    return Usage(workers=sum(map(_used, workers)), database=_used_by_server(postmaster), simulators=time.process_time(), idle=idle)


def _used(pid: int) -> float:
    return sum(map(int, _fields(pid)[11:13])) / _TICKS


def _used_by_server(postmaster: int) -> float:
    """Return what a server used with its sessions: those that ended are reckoned to it, those that run are its children."""
    total = sum(map(int, _fields(postmaster)[11:15]))
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _fields(int(entry.name))) and int(fields[1]) == postmaster:
            total += sum(map(int, fields[11:13]))
    return total / _TICKS


def _fields(pid: int) -> list[str]:
    """Return the fields of a process from its state on; none where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
