"""Writes RESULTS.md: what was measured, on what, and which of the aims are met."""

import dataclasses
import os
import platform
import sqlite3
import statistics
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from contenders_list import CALRELAY, Contender
from frugal import Frugal
from trials import Measured

BATCH = 50
IN_FLIGHT = 8
TOOLKITS = ("drt", "dlt", "singer-sdk", "airbyte-cdk")


@dataclasses.dataclass(slots=True, kw_only=True)
class Results:
    """Everything a run measured, by contender; plain runs by latency too."""

    events: int
    many: int
    rounds: int
    contenders: Sequence[Contender]
    first: dict[float, dict[str, list[Measured]]] = dataclasses.field(default_factory=lambda: {0.0: {}, 0.02: {}})
    second: dict[float, dict[str, list[Measured]]] = dataclasses.field(default_factory=lambda: {0.0: {}, 0.02: {}})
    killed: dict[str, Measured] = dataclasses.field(default_factory=dict)
    poisoned: dict[str, Measured] = dataclasses.field(default_factory=dict)
    shaken: dict[str, Measured] = dataclasses.field(default_factory=dict)
    many_first: Measured | None = None
    many_second: Measured | None = None
    frugal: Frugal | None = None
    minutes: float = 0.0

    def rate(self, runs: dict[str, list[Measured]], name: str) -> float:
        """Return the median rate of a contender, 0 where it did not carry everything."""
        return statistics.median(run.rate(self.events) if run.held == self.events else 0.0 for run in runs[name])


def write_results(results: Results, path: Path) -> None:
    """Write the report, and print it."""
    text = "\n".join(_report(results)) + "\n"
    path.write_text(text)
    print(text)


def _report(results: Results) -> Iterator[str]:
    yield "# Bench"
    yield ""
    yield "Written by `make bench`; what is measured and how is said in [README.md](README.md)."
    yield ""
    yield f"{datetime.now(UTC):%Y-%m-%d}, {results.minutes:.0f} minutes, {_machine()}, load {os.getloadavg()[2]:.1f} at the end."
    yield ""
    yield from _versions(results)
    yield from _rates(results)
    yield from _costs(results)
    yield from _mishaps(results)
    yield from _frugality(results)
    yield from _aims(results)


def _machine() -> str:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ""
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python, system = platform.python_version(), f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} × {model or platform.machine()}, {memory:.0f} GB, {system}, CPython {python}, SQLite {sqlite3.sqlite_version}"


def _versions(results: Results) -> Iterator[str]:
    yield "| contender | versions | how |"
    yield "|---|---|---|"
    for one in results.contenders:
        yield f"| {one.name} | {one.versions} | {one.remark} |"
    yield ""


def _rates(results: Results) -> Iterator[str]:
    yield f"## {results.events:,} events, median of {results.rounds}"
    yield ""
    yield "Events per second from the first request to the end of the process; in brackets the second, identical run."
    yield ""
    yield "| contender | 0 ms | 20 ms | start-up, s |"
    yield "|---|--:|--:|--:|"
    for one in results.contenders:
        cells = [
            f"{results.rate(results.first[latency], one.name):,.0f} ({results.rate(results.second[latency], one.name):,.0f})"
            for latency in (0.0, 0.02)
        ]
        startup = statistics.median(run.startup for run in results.first[0.0][one.name])
        yield f"| {one.name} | {cells[0]} | {cells[1]} | {startup:.1f} |"
    yield ""


def _costs(results: Results) -> Iterator[str]:
    yield "## What that cost (20 ms)"
    yield ""
    yield "| contender | CPU, s | peak, MB | reads | writes | second run: CPU, s | writes | held what calrelay sends |"
    yield "|---|--:|--:|--:|--:|--:|--:|---|"
    ours = results.first[0.02].get(CALRELAY)
    for one in results.contenders:
        first, second = results.first[0.02][one.name], results.second[0.02][one.name]
        cpu, cpu_again = (statistics.median(run.cpu for run in runs) for runs in (first, second))
        peak = max(run.peak for run in first)
        same = "yes" if ours and first[-1].digest == ours[-1].digest else "no"
        yield (
            f"| {one.name} | {cpu:.1f} | {peak:.0f} | {first[-1].reads} | {first[-1].writes} "
            f"| {cpu_again:.1f} | {second[-1].writes} | {same} |"
        )
    yield ""


def _mishaps(results: Results) -> Iterator[str]:
    yield "## Mishaps"
    yield ""
    yield (
        "`kill -9` halfway at 20 ms and a second run; one event that is refused, in its batch; 5 % of 503. Sent again: events in requests "
        "beyond one each. Lost: good events that the target does not hold in the end."
    )
    yield ""
    yield "| contender | killed: sent again | lost | refused: sent again | good lost | 503: sent again | lost | s |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for one in results.contenders:
        killed, poisoned, shaken = (table[one.name] for table in (results.killed, results.poisoned, results.shaken))
        lost = [results.events - killed.held, results.events - 1 - poisoned.held, results.events - shaken.held]
        again = [max(0, run.sent - results.events) for run in (killed, poisoned, shaken)]
        yield (f"| {one.name} | {again[0]:,} | {lost[0]:,} | {again[1]:,} | {lost[1]:,} | {again[2]:,} | {lost[2]:,} | {shaken.work:.1f} |")
    yield ""


def _frugality(results: Results) -> Iterator[str]:
    if results.frugal is None:
        return
    yield "## Ten changes beside many links"
    yield ""
    yield "Milliseconds for a pass of calrelay over 200 coming events, ten of them changed, beside the links of past events."
    yield ""
    yield "| links | database | complete pass | quick pass | PUTs |"
    yield "|--:|---|--:|--:|--:|"
    for scale in results.frugal.scales:
        yield f"| {scale.links:,} | {scale.database} | {scale.complete * 1000:.0f} | {scale.quick * 1000:.0f} | {scale.puts} |"
    yield ""
    yield ", ".join(f"`calrelay {name}` takes {seconds * 1000:.0f} ms" for name, seconds in results.frugal.commands.items()) + "."
    yield ""


def _aims(results: Results) -> Iterator[str]:
    if CALRELAY not in results.first[0.0]:
        return
    yield "## Aims"
    yield ""
    yield "| aim | measured | met |"
    yield "|---|---|---|"
    for aim, measured, is_met in _judged(results):
        yield f"| {aim} | {measured} | {'yes' if is_met else '**no**'} |"
    yield ""


def _judged(results: Results) -> Iterator[tuple[str, str, bool]]:
    rivals = [one.name for one in results.contenders if one.name in TOOLKITS]
    for latency in (0.0, 0.02):
        first = results.first[latency]
        ours = results.rate(first, CALRELAY)
        best = max(((results.rate(first, name), name) for name in rivals), default=(0.0, "nobody"))
        yield f"ahead of every toolkit at {latency * 1000:.0f} ms", f"{ours:,.0f} against {best[0]:,.0f} ({best[1]})", ours > best[0]
        if latency:
            yield "three times the best at 20 ms", f"{ours / best[0]:.1f} times" if best[0] else "-", ours >= 3 * best[0]
            again = results.rate(results.second[latency], CALRELAY)
            writes = results.second[latency][CALRELAY][-1].writes
            yield "second run writes nothing", f"{writes} writes", writes == 0
            yield "second run at least twice as fast", f"{again / ours:.1f} times" if ours else "-", again >= 2 * ours > 0
    peak = max(run.peak for runs in results.first.values() for run in runs[CALRELAY])
    yield f"under 90 MB at {results.events:,} events", f"{peak:.0f} MB", peak < 90
    if results.many_first and results.many_second:
        peaks = [results.many_first.peak, results.many_second.peak]
        yield f"under 150 MB at {results.many:,} events", f"{peaks[0]:.0f} MB, second run {peaks[1]:.0f} MB", max(peaks) < 150
    again = max(0, results.killed[CALRELAY].sent - results.events)
    yield f"after a kill at most {IN_FLIGHT} batches again", f"{again / BATCH:.0f} batches", again <= IN_FLIGHT * BATCH
    lost = results.events - 1 - results.poisoned[CALRELAY].held
    yield "no good event lost to a refused one", f"{lost} lost", lost == 0
    if results.frugal:
        for name, limit in (("--help", 0.2), ("status", 0.5)):
            took = results.frugal.commands[name]
            yield f"`{name}` under {limit * 1000:.0f} ms", f"{took * 1000:.0f} ms", took < limit
