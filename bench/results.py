"""Writes RESULTS.md: what was measured, on what, and which of the aims are met."""

import dataclasses
import os
import sqlite3
import statistics
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.contenders_list import CALRELAY, Contender
from bench.frugal import PASSES, STARTS, WARM_UP, Frugal
from bench.limits import AT_THE_LIMIT, BOOKED_AFTER, EVERY, AtTheLimits
from bench.machine import machine, revision
from bench.trials import Measured

BATCH = 50
IN_FLIGHT = 8
SAME = 1.5  # times as long is still the same: what a disk and other processes do to a few milliseconds
NEAR = 1.05  # times the least a load can take
AHEAD = 2  # the batch that is put together next, or the one behind it where one is about to leave
# By how an aim's words begin: why it may be missed on a machine.
WHY = {
    "ahead of every toolkit": (
        "a new event costs 0.4 to 0.7 ms of processor, a quarter of it each for a ledger that knows of it before and after it is sent, for "
        "planning and hashing, and for HTTP and parsing, and an eighth each for mapping, with every instant checked against its other "
        "spellings, and for the PUT; the toolkits do the last three, with less of the mapping. calrelay works on one core, singer-sdk's "
        "tap and target each on their own"
    ),
    "three times the best toolkit": "eight requests in flight hide the latency, so that the same work, on one core, is what is left",
    "memory": (
        "most of it stands before the first request: what is imported, SQLAlchemy and SQLModel above all. After a kill the first load is "
        "not over yet, so that calrelay reads what the target holds by then, lest anything be doubled, and keeps that list until all is "
        "read; it asks the target besides what became of each event that was in flight, and keeps those, while the others are folded away"
    ),
    "`calrelay": (
        "nearly all of it is spent on imports, SQLAlchemy and SQLModel above all; on PostgreSQL the driver and the connection come on top"
    ),
}
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
    interrupted: dict[str, Measured] = dataclasses.field(default_factory=dict)  # until they were killed
    killed: dict[str, Measured] = dataclasses.field(default_factory=dict)  # the runs after that, with the requests of both
    poisoned: dict[str, Measured] = dataclasses.field(default_factory=dict)
    shaken: dict[str, Measured] = dataclasses.field(default_factory=dict)
    many_first: Measured | None = None
    many_second: Measured | None = None
    frugal: Frugal | None = None
    at_the_limits: AtTheLimits | None = None
    minutes: float = 0.0

    def rate(self, runs: dict[str, list[Measured]], name: str) -> float:
        """Return the median rate of a contender, 0 where it did not carry everything."""
        return statistics.median(run.rate(self.events) if run.held == self.events else 0.0 for run in runs[name])

    def cpu_at_once(self, name: str) -> float:
        """Return the median processor seconds of a contender's first runs where the vendors answer at once."""
        return statistics.median(run.cpu for run in self.first[0.0][name])

    def cores_at_once(self, name: str) -> float:
        """Return on how many cores it spent them, from its start to its end."""
        return statistics.median(run.cpu / (run.startup + run.work) for run in self.first[0.0][name])

    def peaks(self, name: str) -> dict[str, float]:
        """Return the most memory that each kind of run of a contender took, in MB."""
        plain = {"first run": self.first, "second run": self.second}
        kinds = {kind: [run for by_name in runs.values() for run in by_name[name]] for kind, runs in plain.items()}
        mishaps = {
            "run until the kill": self.interrupted,
            "run after the kill": self.killed,
            "run with a refused event": self.poisoned,
            "run with 503": self.shaken,
        }
        kinds |= {kind: [by_name[name]] for kind, by_name in mishaps.items()}
        return {kind: max(run.peak for run in runs) for kind, runs in kinds.items()}


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
    when = f"{datetime.now(UTC):%Y-%m-%d}, {results.minutes:.0f} minutes"
    yield f"{when}, {machine()}, SQLite {sqlite3.sqlite_version}, load {os.getloadavg()[2]:.1f} at the end. {revision()}"
    yield ""
    yield from _versions(results)
    yield from _rates(results)
    yield from _costs(results)
    yield from _mishaps(results)
    yield from _frugality(results)
    yield from _scales(results)
    yield from _aims(results)


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
    yield "## What that cost"
    yield ""
    yield "At 20 ms; CPU and cores at 0 ms too. A MB is 1,000,000 bytes. Cores: that CPU, by the time from start to end."
    yield ""
    yield (
        "| contender | CPU, s | peak, MB | reads | writes | second run: CPU, s | writes | held what calrelay sends "
        "| at 0 ms: CPU, s | cores |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|---|--:|--:|"
    ours = results.first[0.02].get(CALRELAY)
    for one in results.contenders:
        first, second = results.first[0.02][one.name], results.second[0.02][one.name]
        cpu, cpu_again = (statistics.median(run.cpu for run in runs) for runs in (first, second))
        peak = max(run.peak for run in first)
        same = "yes" if ours and first[-1].digest == ours[-1].digest else "no"
        yield (
            f"| {one.name} | {cpu:.1f} | {peak:.0f} | {first[-1].reads} | {first[-1].writes} "
            f"| {cpu_again:.1f} | {second[-1].writes} | {same} "
            f"| {results.cpu_at_once(one.name):.1f} | {results.cores_at_once(one.name):.1f} |"
        )
    yield ""


def _mishaps(results: Results) -> Iterator[str]:
    yield "## Mishaps"
    yield ""
    yield (
        "`kill -9` halfway, and a second run, at 20 ms; one event that is refused, with its batch, at 0 ms; 5 % of 503, at 0 ms. Sent "
        "again: events in requests beyond one each. Lost: good events that the target does not hold in the end. Peak: after the "
        "kill that of the second run."
    )
    yield ""
    yield (
        "| contender | killed: sent again | lost | peak, MB | refused: sent again | good lost | peak, MB "
        "| 503: sent again | lost | peak, MB | s |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for one in results.contenders:
        killed, poisoned, shaken = (table[one.name] for table in (results.killed, results.poisoned, results.shaken))
        cells = [
            f"{run.sent_again:,} | {good - run.held:,} | {run.peak:.0f}"
            for run, good in ((killed, results.events), (poisoned, results.events - 1), (shaken, results.events))
        ]
        yield f"| {one.name} | {' | '.join(cells)} | {shaken.work:.1f} |"
    yield ""


def _frugality(results: Results) -> Iterator[str]:
    if results.at_the_limits is None:
        return
    yield "## Frugality"
    yield ""
    yield (
        "Engine, ledger and the vendors' clients against the simulators, in virtual time and on SQLite: waits are counted, processor is "
        "not. The load on PostgreSQL is `calrelay backfill` in real time."
    )
    yield ""
    yield from _loads(results.at_the_limits)
    yield from _newcomers(results.at_the_limits)
    yield from _unchanged(results.at_the_limits)


def _loads(measured: AtTheLimits) -> Iterator[str]:
    speeds = AT_THE_LIMIT
    yield (
        f"A backfill of 56 days, at the vendors' limits: Tripleseat {speeds.source_per_second:.0f} requests a second, "
        f"Apptoto {speeds.target_per_minute:.0f} a minute with {speeds.batch_size} events each, {speeds.max_in_flight} in flight. The "
        "floor is the greater of what the rate allows and what the target takes for the events."
    )
    yield ""
    yield "| events | starts | target's time per event | took | floor | ratio | PUTs | 429 |"
    yield "|--:|---|--:|--:|--:|--:|--:|--:|"
    for load in measured.loads:
        yield (
            f"| {load.events} | {load.starts} | {load.seconds_per_event:g} s | {load.took:.1f} s | {load.floor:.1f} s | {load.ratio:.3f} "
            f"| {load.puts} | {load.refused} |"
        )
    yield ""


def _newcomers(measured: AtTheLimits) -> Iterator[str]:
    yield (
        f"A booking for the next day, made {BOOKED_AFTER:.0f} s into a daemon's catch-up with events that start later, at 0.75 s per event "
        f"in batches of ten. Without a webhook the quick pass that is due every {EVERY.total_seconds() / 60:.0f} minutes finds it."
    )
    yield ""
    yield "| events behind | told by | told after | at the target after | place in the queue | of batches |"
    yield "|--:|---|--:|--:|--:|--:|"
    for one in measured.newcomers:
        yield f"| {one.behind} | {one.told_by} | {one.told_after:.0f} s | {one.waited:.1f} s | {one.place} | {one.batches} |"
    yield ""


def _unchanged(measured: AtTheLimits) -> Iterator[str]:
    yield "A pass without changes. The least a source allows is a page of 50 for every 50 events, and one page for a quick pass."
    yield ""
    yield "| tracked events | pass | requests to the source | least | to the target |"
    yield "|--:|---|--:|--:|--:|"
    for one in measured.unchanged:
        yield f"| {one.tracked:,} | {one.reach} | {one.source} | {one.least} | {one.target} |"
    yield ""


def _scales(results: Results) -> Iterator[str]:
    if results.frugal is None:
        return
    yield "## Ten changes beside many links"
    yield ""
    yield (
        "Milliseconds for a pass of calrelay over 200 coming events, ten of them changed, beside the links of past events. Source and "
        "target are in memory and answer at once: this is the engine with its ledger on a real database, without HTTP. "
        f"Median of {PASSES}, after {WARM_UP} that are not counted."
    )
    yield ""
    yield "| links | database | complete pass | quick pass | PUTs |"
    yield "|--:|---|--:|--:|--:|"
    for scale in results.frugal.scales:
        yield f"| {scale.links:,} | {scale.database} | {scale.complete * 1000:.0f} | {scale.quick * 1000:.0f} | {scale.puts} |"
    yield ""
    told = ", ".join(f"{_command(name)} takes {seconds * 1000:.0f} ms" for name, seconds in results.frugal.commands.items())
    yield f"{told}; five pipelines, 10,000 links, median of {STARTS}."
    yield ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """One aim: what it asks for, what was measured and what is needed, in the same unit. `at_most` says on which side to be."""

    words: str
    measured: float
    needed: float
    unit: str = ""
    at_most: bool = False
    above: bool = False  # to be equal is not enough
    remark: str = ""
    digits: int = 1  # behind the point of a small number

    @property
    def is_met(self) -> bool:
        """Whether it is met."""
        if self.at_most:
            return self.measured <= self.needed
        return self.measured > self.needed if self.above else self.measured >= self.needed

    @property
    def margin(self) -> str:
        """By how much it is met or missed, in words."""
        if self.needed == 0:
            return "" if self.measured == 0 else f"{self.measured:,.0f} too many"
        share = abs(self.measured / self.needed - 1)
        if share < 0.005:
            return "just" if self.is_met else "by a hair"
        side = "over" if self.measured > self.needed else "under"
        return f"{share:.0%} {side}" if share < 1 or side == "under" else f"{self.measured / self.needed:.1f} times that"

    def row(self) -> str:
        """Return its row of the table."""
        side = "at most" if self.at_most else "more than" if self.above else "at least"
        needed = f"{side} {_number(self.needed, self.digits)}{self.unit}{self.remark}"
        met = "yes" if self.is_met else "**no**"
        return f"| {self.words} | {_number(self.measured, self.digits)}{self.unit} | {needed} | {met} | {self.margin} |"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if value < 20 and value % 1 else f"{value:,.0f}"


def _aims(results: Results) -> Iterator[str]:
    if CALRELAY not in results.first[0.0]:
        return
    aims = list(_judged(results))
    missed = [aim.words for aim in aims if not aim.is_met]
    yield "## Aims"
    yield ""
    yield f"{len(aims) - len(missed)} of {len(aims)} are met" + (f"; missed: {', '.join(missed)}." if missed else ".")
    yield ""
    yield "| aim | measured | needed | met | by |"
    yield "|---|--:|--:|---|--:|"
    for aim in aims:
        yield aim.row()
    yield ""
    if missed:
        yield "Why, [README.md](README.md) has at more length, and what was tried:"
        yield ""
        yield from (f"- {words}: {_why(words)}{_processors(results, words)}." for words in missed)
        yield ""


def _why(words: str) -> str:
    return next((why for beginning, why in WHY.items() if words.startswith(beginning)), "not known; profile it")


def _processors(results: Results, words: str) -> str:
    """Tell, where a rate at 0 ms is missed, who spent how much processor on how many cores: a loss may be due to either."""
    if not words.startswith("ahead") or not words.endswith("at 0 ms"):
        return ""
    named = [one.name for one in results.contenders if one.name == CALRELAY or one.name in TOOLKITS]
    spent = ", ".join(f"{name} {results.cpu_at_once(name):.1f} s on {results.cores_at_once(name):.1f} cores" for name in named)
    return f". The events took, start-up included: {spent}"


def _judged(results: Results) -> Iterator[Aim]:
    yield from _judged_rates(results)
    yield from _judged_memory(results)
    again = results.killed[CALRELAY].sent_again
    yield Aim(words="batches sent again after a kill", measured=again / BATCH, needed=IN_FLIGHT, at_most=True)
    lost = results.events - 1 - results.poisoned[CALRELAY].held
    yield Aim(words="good events lost to a refused one", measured=lost, needed=0, at_most=True)
    if results.at_the_limits:
        yield from _judged_frugality(results.at_the_limits)
    if results.frugal:
        yield from _judged_scales(results.frugal)


def _judged_rates(results: Results) -> Iterator[Aim]:
    rivals = [one.name for one in results.contenders if one.name in TOOLKITS]
    for latency in (0.0, 0.02):
        first, words = results.first[latency], f"at {latency * 1000:.0f} ms"
        ours = results.rate(first, CALRELAY)
        best, name = max(((results.rate(first, name), name) for name in rivals), default=(0.0, "nobody"))
        yield Aim(words=f"ahead of every toolkit {words}", measured=ours, needed=best, unit=" events/s", above=True, remark=f" ({name})")
    yield Aim(words="three times the best toolkit at 20 ms", measured=ours / best if best else 0.0, needed=3, unit=" times")
    again = results.rate(results.second[0.02], CALRELAY)
    yield Aim(words="writes of an identical second run", measured=results.second[0.02][CALRELAY][-1].writes, needed=0, at_most=True)
    yield Aim(words="the second run's rate, at 20 ms", measured=again / ours if ours else 0.0, needed=2, unit=" times the first's")


def _judged_memory(results: Results) -> Iterator[Aim]:
    peaks = results.peaks(CALRELAY)
    which = max(peaks, key=lambda kind: peaks[kind])
    yield Aim(words=f"memory at {results.events:,} events, the most ({which})", measured=peaks[which], needed=90, unit=" MB", at_most=True)
    if results.many_first and results.many_second:
        peaks = {"": results.many_first.peak, ", second run": results.many_second.peak}
        for kind, peak in peaks.items():
            yield Aim(words=f"memory at {results.many:,} events{kind}", measured=peak, needed=150, unit=" MB", at_most=True)


def _judged_frugality(measured: AtTheLimits) -> Iterator[Aim]:
    for load in measured.loads:
        words = f"backfill at the limits, {load.events} events, {load.starts}, {load.seconds_per_event:g} s each"
        yield Aim(words=words, measured=load.ratio, needed=NEAR, unit=" times the floor", at_most=True, digits=3)
    yield Aim(words="429 in these", measured=sum(load.refused for load in measured.loads), needed=0, at_most=True)
    for one in measured.newcomers:
        words = f"booking amid a catch-up with {one.behind}, told by {one.told_by}: place in the queue"
        yield Aim(words=words, measured=one.place, needed=AHEAD, at_most=True, remark=f" of {one.batches} batches")
    for passed in measured.unchanged:
        words = f"{passed.reach} pass without changes on {passed.tracked:,} events: requests to the source"
        yield Aim(words=words, measured=passed.source, needed=passed.least, at_most=True)
    yield Aim(words="and to the target", measured=sum(passed.target for passed in measured.unchanged), needed=0, at_most=True)


def _judged_scales(frugal: Frugal) -> Iterator[Aim]:
    for database in dict.fromkeys(scale.database for scale in frugal.scales):
        scales = sorted((scale for scale in frugal.scales if scale.database == database), key=lambda scale: scale.links)
        few, many = scales[0], scales[-1]
        words = f"ten changes beside {many.links:,} links, on {database}"
        times = f" times as beside {few.links:,}"
        yield Aim(words=words, measured=many.complete / few.complete, needed=SAME, unit=times, at_most=True)
    for name, seconds in frugal.commands.items():
        yield Aim(words=_command(name), measured=seconds * 1000, needed=200 if name == "--help" else 500, unit=" ms", at_most=True)


def _command(name: str) -> str:
    words, _, database = name.partition(" on ")
    return f"`calrelay {words}`" + (f" on {database}" if database else "")
