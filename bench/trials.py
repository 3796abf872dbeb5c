"""Runs one contender against the server and measures it: wall time, CPU, memory, requests, and what became of the events."""

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
from bench.contenders_list import VENVS, Contender

POLL = 0.02  # seconds between two looks at a process
PATIENCE = 600.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one run cost and did. Seconds; `startup` until its first request, `work` from there to its end; `peak` in MB, all processes."""

    name: str
    exit_code: int
    startup: float
    work: float
    cpu: float
    peak: float
    reads: int
    writes: int
    sent: int
    sent_again: int
    held: int
    digest: str

    def rate(self, events: int) -> float:
        """Return events per second of work."""
        return events / self.work


class Server:
    """The fast server as a process of its own."""

    def __init__(self, rows: Path) -> None:
        python = VENVS / "server" / "bin" / "python"
        self._process = subprocess.Popen([python, Path(__file__).parent / "server.py", rows], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.root = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self._http = httpx.Client(base_url=self.root, timeout=60, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._process.terminate()
        self._process.wait()

    def begin(self, **order: Any) -> None:
        """Begin a trial: latency, share_503, poison, keep."""
        self._http.post("/bench/reset", json=order).raise_for_status()

    def books(self, *, digest: bool = False) -> dict[str, Any]:
        """Tell what was seen since."""
        answer: dict[str, Any] = self._http.get("/bench/books", params={"digest": 1} if digest else {}).raise_for_status().json()
        return answer


@contextlib.contextmanager
def a_folder(work: Path, name: str) -> Iterator[Path]:
    """Give a contender an empty folder."""
    folder = work / name.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def run(contender: Contender, server: Server, folder: Path, *, kill_after: int | None = None) -> Measured:
    """Run a contender to its end, or kill it with all its processes once the server was sent so many events."""
    command = contender.command(folder, server.root)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | {"BENCH_SECRET": "bench"}
    began = time.monotonic()
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True)
        peaks: dict[int, float] = {}
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            _note_peaks(process.pid, peaks)
            too_long = time.monotonic() - began > PATIENCE
            if too_long or (kill_after is not None and server.books()["sent"] >= kill_after):
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(POLL)
        over = time.monotonic()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    books = server.books(digest=True)
    first = books["first"] or over
    return Measured(
        name=contender.name,
        exit_code=process.returncode,
        startup=first - began,
        work=over - first,
        cpu=usage.ru_utime + usage.ru_stime,
        peak=sum(peaks.values()),  # not ru_maxrss: that begins with what the process that started it had
        reads=books["reads"],
        writes=books["writes"],
        sent=books["sent"],
        sent_again=books["sent_again"],
        held=books["held"],
        digest=books["digest"],
    )


def _note_peaks(session: int, peaks: dict[int, float]) -> None:
    """Note the highest memory of each process of a session so far, in MB of 1,000,000 bytes (proc(5): VmHWM, in units of 1,024)."""
    for pid in _processes_of(session):
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            line = next(line for line in lines if line.startswith("VmHWM"))
            peaks[pid] = int(line.split()[1]) * 1024 / 1_000_000


def _processes_of(session: int) -> list[int]:
    try:
        children = Path(f"/proc/{session}/task/{session}/children").read_text().split()
    except OSError:
        return [session]
    return [session, *map(int, children)]
