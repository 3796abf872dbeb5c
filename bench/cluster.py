"""Many pipelines, few accounts, some workers: `python -m bench.cluster` measures passes per second and how late they come.

The vendors' journals say whether any account was ever asked faster than it may be, over all workers. Everything runs on one machine:
the workers, PostgreSQL, and the simulators, which want a share of the same cores.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.crowd import Busiest, Terms, Vendors, a_minute, consent, serve_vendors, write_config
from bench.lateness import Lateness, lateness
from bench.machine import machine, revision
from bench.usage import Usage, look
from sqlalchemy import Engine, create_engine, text

from tests.postgres.databases import own_server
from tests.postgres.keeper import installation
from tests.soaking.crew import Member

HERE = Path(__file__).parent
CREWS = (1, 2, 4)
PIPELINES = 1000
SECONDS = 45.0
LOAD_WITHIN = 600.0
PERIODS = 3  # that a measurement lasts at least, and that a crew is given to come to its pace
WARM_WITHIN = 75.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A while of a crew at work."""

    since: datetime
    until: datetime
    warm_up: float
    usage: Usage
    asked: int  # of the sources


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of it; lags in seconds."""

    terms: Terms
    workers: int
    loaded_in: float
    watched: Watched
    lateness: Lateness
    journals: Busiest

    @property
    def runs(self) -> float:
        """Passes a second."""
        return self.lateness.passes / self.terms.seconds

    @property
    def busiest(self) -> float:
        """The most that any account saw of what it allows, as a share."""
        return max(self.journals.second, self.journals.minute)

    @property
    def refused(self) -> int:
        """Requests that were answered with 429."""
        return self.journals.refused

    def row(self) -> str:
        """Return a line of the table."""
        terms, late, usage = self.terms, self.lateness, self.watched.usage
        most = statistics.quantiles(late.lags, n=20)[-1] if len(late.lags) > 1 else late.lags[0]
        allowed = terms.accounts * terms.rate * terms.seconds
        return (
            f"| {self.workers} | {terms.demand:.0f} | {terms.accounts} × {terms.rate:g}/s | {self.runs:.1f} "
            f"| {statistics.median(late.lags):.1f} s | {most:.1f} s | {max(late.lags):.1f} s "
            f"| {late.overdue_at_first} → {late.overdue_at_last} | {self.watched.asked / allowed:.0%} | {usage.cores(terms.seconds)} "
            f"| {1000 * usage.workers / max(1, late.passes):.0f} ms | {self.loaded_in:.0f} s "
            f"| {self.watched.warm_up:.0f} s | {terms.seconds:.0f} s |"
        )


HEADER = (
    "| workers | due per second | accounts | passes/s | lag, median | lag, 95 % | lag, most | overdue, at first → at last "
    "| of the accounts' rates | cores: workers / PostgreSQL / simulators / idle | CPU per pass | first load | warm-up | measured |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


async def measure(terms: Terms, crews: Sequence[int], folder: Path) -> AsyncIterator[Measured]:
    """Let the first load pass, then measure crews of these sizes, one after the other, and yield what each came to."""
    with own_server() as server, _engine(url := server.make(is_empty=False)) as engine:
        postmaster = int((server.server.folder / "data" / "postmaster.pid").read_text().split()[0])
        async with serve_vendors(terms) as vendors:
            write_config(config := folder / "config.toml", terms, vendors)
            consent(url, folder, vendors)
            crew = [Member(name=f"worker-{number}", config=config, url=url) for number in range(1, max(crews) + 1)]
            began = time.monotonic()
            async with _at_work(crew):
                await _until_loaded(engine, terms, crew)
            loaded_in = time.monotonic() - began
            for size in crews:
                async with _at_work(crew[:size]):
                    warm_up = await _until_warm(engine, terms)
                    watched = await _watch(terms, crew[:size], vendors, postmaster, warm_up)
                yield Measured(  # only now, because a pass is noted when it ends
                    terms=terms,
                    workers=size,
                    loaded_in=loaded_in,
                    watched=watched,
                    lateness=lateness(_begun(engine), terms.period, watched.since, watched.until),
                    journals=vendors.busiest(terms),
                )


async def _watch(terms: Terms, crew: Sequence[Member], vendors: Vendors, postmaster: int, warm_up: float) -> Watched:
    pids = [member.pid for member in crew]
    since, began, before = datetime.now(UTC), time.monotonic(), look(pids, postmaster)
    await asyncio.sleep(terms.seconds)
    return Watched(
        usage=look(pids, postmaster).since(before),
        asked=vendors.asked(began, time.monotonic()),
        since=since,
        until=datetime.now(UTC),
        warm_up=warm_up,
    )


async def _until_warm(engine: Engine, terms: Terms) -> float:
    """Wait until all pipelines have had a pass by this crew, and hardly one is overdue; return how long that took.

    A crew that falls behind never gets there: it is given some periods to come to its own pace, and the table shows who is overdue.
    """
    began, since = time.monotonic(), datetime.now(UTC)
    while True:
        await asyncio.sleep(1)
        last = await asyncio.to_thread(_last_begun, engine)  # the simulators, in this loop, are to note requests when they come
        took, now = time.monotonic() - began, datetime.now(UTC)
        is_seen, late = min(last) > since, sum(now > at + terms.period for at in last)
        has_caught_up = took >= terms.every and late <= max(1.0, terms.demand)  # those of the last second
        if (is_seen and (has_caught_up or took >= PERIODS * terms.every)) or took >= WARM_WITHIN:
            return took


@contextlib.asynccontextmanager
async def _at_work(crew: Sequence[Member]) -> AsyncIterator[None]:
    """Let a crew work for as long as the context lasts."""
    try:
        for member in crew:
            await member.start()
        yield
        for member in crew:
            await member.end()
    finally:
        for member in crew:
            await member.kill()


@contextlib.contextmanager
def _engine(url: str):  # type: ignore[no-untyped-def] # a generator of one engine
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), pool_pre_ping=True)
    try:
        yield engine
    finally:
        engine.dispose()


async def _until_loaded(engine: Engine, terms: Terms, crew: Sequence[Member]) -> None:
    deadline = time.monotonic() + LOAD_WITHIN
    while True:
        loaded = await asyncio.to_thread(_count_loaded, engine)
        if loaded >= terms.pipelines:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {loaded} of {terms.pipelines} pipelines were loaded\n" + "\n".join(one.tail() for one in crew))
        await asyncio.sleep(0.5)


def _count_loaded(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM pipeline WHERE first_complete_at IS NOT NULL")) or 0


def _last_begun(engine: Engine) -> list[datetime]:
    """Return when the last pass of each pipeline began."""
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT max(started_at) FROM pass GROUP BY pipeline")))


def _begun(engine: Engine) -> dict[str, list[datetime]]:
    """Return when the passes of each pipeline began."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT pipeline, started_at FROM pass ORDER BY pipeline, started_at")).all()
    begun: defaultdict[str, list[datetime]] = defaultdict(list)
    for row in rows:
        begun[row.pipeline].append(row.started_at)
    return begun


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What was measured on the same terms: lines of the table, and what the vendors' journals tell of all of them."""

    rows: Sequence[str]
    journals: str

    def lines(self) -> Iterator[str]:
        """Return its part of the report."""
        yield HEADER
        yield from self.rows
        yield ""
        yield self.journals
        yield ""


def report(sections: Sequence[Section], *, where: str, pipelines: int) -> str:
    """Return what CLUSTER.md says; `where` is a sentence on when and on what it was measured, with the commit."""
    head = [
        "# Many pipelines",
        "",
        "Written by `make bench-cluster`; what is measured and how is said in [README.md](README.md#many-pipelines).",
        "",
        where,
        "",
        f"{pipelines:,} pipelines; the workers share the machine with PostgreSQL (throw-away, without fsync) and the simulated vendors.",
        "",
    ]
    return "\n".join([*head, *(line for section in sections for line in section.lines())])


def _where(minutes: float) -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}, {minutes:.0f} minutes, {machine()}, {_postgresql()}. {revision()}"


def _postgresql() -> str:
    folder = installation()
    if folder is None:
        return "no PostgreSQL"
    told = subprocess.run([folder / "bin" / "postgres", "--version"], capture_output=True, text=True, check=True).stdout.split()
    return f"PostgreSQL {told[2]}"


def main() -> None:
    """Measure with 1, 2 and 4 workers, where the accounts' rates allow all that is due, and where they do not, and write CLUSTER.md."""
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description="Passes per second of 1, 2 and 4 workers.")
    parser.add_argument("--pipelines", type=int, default=PIPELINES, help="%(default)s")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of each measurement, {PERIODS} periods at least; %(default)s")
    parser.add_argument("--workers", type=int, nargs="*", default=list(CREWS), help="%(default)s; CLUSTER.md is of the defaults only")
    asked = parser.parse_args()
    is_usual = (asked.pipelines, asked.seconds, tuple(asked.workers)) == (PIPELINES, SECONDS, CREWS)
    path = HERE / "CLUSTER.md" if is_usual else HERE / ".work" / "CLUSTER.md"
    began = time.monotonic()
    sections = asyncio.run(_measure_all(asked.pipelines, asked.seconds, asked.workers))
    path.parent.mkdir(exist_ok=True)
    path.write_text(report(sections, where=_where((time.monotonic() - began) / 60), pipelines=asked.pipelines))
    print(path)


async def _measure_all(pipelines: int, seconds: float, crews: Sequence[int]) -> list[Section]:
    """Measure, and print as it goes: a run that breaks off has told what it found."""
    sections = []
    for every, accounts, rate in ((30.0, 10, 10.0), (15.0, 20, 3.0)):  # within the accounts' rates, and beyond them
        terms = Terms(pipelines=pipelines, seconds=max(seconds, PERIODS * every), every=every, accounts=accounts, rate=rate)
        print(HEADER, flush=True)
        rows = []
        with tempfile.TemporaryDirectory(prefix="calrelay-cluster-") as folder:
            async for measured in measure(terms, crews, Path(folder)):
                rows.append(measured.row())
                print(rows[-1], flush=True)
        journals = f"{measured.journals.told()} Their limits were on: {terms.rate:g} a second, {a_minute(terms.target_rate)} a minute."
        print(f"\n{journals}\n", flush=True)
        sections.append(Section(rows=rows, journals=journals))
    return sections


if __name__ == "__main__":
    main()
