"""Many pipelines, few accounts, some workers: `python -m bench.cluster` measures passes per second and how late they come.

The vendors' journals say whether any account was ever asked faster than it may be, over all workers. Everything runs on one machine:
the workers, PostgreSQL, and the simulators, which want a share of the same cores.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import math
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from sqlalchemy import Engine, create_engine, text

from calrelay.ports import TokenPair
from calrelay.simulators.apptoto.simulator import ApptotoSimulator
from calrelay.simulators.faults import Journal
from calrelay.simulators.server import FREE_PORTS, SimulatorServer
from calrelay.simulators.tripleseat.simulator import TripleseatSimulator
from calrelay.simulators.worlds import populate_tripleseat
from calrelay.state.database import open_database
from calrelay.state.tokens import SqlTokenStore
from tests.postgres.databases import own_server
from tests.soaking.crew import URL, Member

LOAD_WITHIN = 600.0
WARM_UP = 10.0
EVENTS = 2  # at each account, so that a first load is one request to the target

_HEAD = """\
[state]
url = {{ env = "{url}" }}

[log]
level = "warning"
format = "json"
"""
_ACCOUNT = """
[accounts.target{number}]
vendor = "apptoto"
username = "{username}"
api_key = "{api_key}"
base_url = "{target}/v1"
requests_per_minute = {target_rate}

[accounts.venue{number}]
vendor = "tripleseat"
client_id = "{client_id}"
client_secret = "{client_secret}"
base_url = "{base}/v1"
requests_per_second = {rate}
"""
_PIPELINE = """
[[pipelines]]
name = "p{number}"
source = "venue{account}"
target = "target{account}"
calendar = "Main Hall"
id_prefix = "p{number}-"
every = "{every}s"
full_every = "1h"
guards = {{ first_load = 1000 }}
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is measured: so many pipelines, each due every so often, on so many pairs of accounts, each asked at this rate at most."""

    pipelines: int = 1000
    accounts: int = 10
    rate: float = 10.0
    target_rate: float = 30.0
    every: float = 15.0
    seconds: float = 25.0

    @property
    def demand(self) -> float:
        """Passes that fall due in a second."""
        return self.pipelines / self.every


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of it; lags in seconds. `busiest`: the most requests that an account saw in any second, as a share of its rate."""

    terms: Terms
    workers: int
    loaded_in: float
    runs: float
    lag_median: float
    lag_most: float  # of 95 in 100
    busiest: float
    refused: int
    cpu: float  # seconds of the workers for each pass

    def row(self) -> str:
        """Return a line of the table."""
        terms = self.terms
        return (
            f"| {self.workers} | {terms.demand:.0f} | {terms.accounts} × {terms.rate:g}/s | {self.runs:.1f} | {self.lag_median:.1f} s | "
            f"{self.lag_most:.1f} s | {self.loaded_in:.0f} s | {1000 * self.cpu:.0f} ms | {self.busiest:.0%} | {self.refused} |"
        )


HEADER = (
    "| workers | due per second | accounts | passes/s | lag, median | lag, 95 % | first load | CPU per pass | busiest second | 429 |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vendors:
    """The simulators, each account with one of its own and its own journal."""

    venues: Sequence[TripleseatSimulator]
    targets: Sequence[ApptotoSimulator]
    urls: Sequence[tuple[str, str]]

    def journals(self, terms: Terms) -> list[tuple[Journal, float]]:
        """Return each account's journal, and its rate per second."""
        return [
            *((venue.journal, terms.rate) for venue in self.venues),
            *((target.journal, terms.target_rate) for target in self.targets),
        ]


async def measure(terms: Terms, crews: Sequence[int], folder: Path) -> AsyncIterator[Measured]:
    """Let the first load pass, then measure crews of these sizes, one after the other, and yield what each came to."""
    with own_server() as server, _engine(url := server.make(is_empty=False)) as engine:
        async with _vendors(terms) as vendors:
            _write(config := folder / "config.toml", terms, vendors)
            _consent(url, folder, vendors)
            crew = [Member(name=f"worker-{number}", config=config, url=url) for number in range(1, max(crews) + 1)]
            began = time.monotonic()
            async with _at_work(crew):
                await _until_loaded(engine, terms, crew)
            loaded_in = time.monotonic() - began
            for size in crews:
                for journal, _ in vendors.journals(terms):
                    journal.clear()
                async with _at_work(crew[:size]):
                    yield await _measure(terms, crew[:size], engine, vendors, loaded_in)


async def _measure(terms: Terms, crew: Sequence[Member], engine: Engine, vendors: Vendors, loaded_in: float) -> Measured:
    await asyncio.sleep(WARM_UP)
    cpu, since = _cpu(crew), datetime.now(UTC)
    await asyncio.sleep(terms.seconds)
    used = _cpu(crew) - cpu
    runs, lags = _passes(engine, since, terms)
    return Measured(
        terms=terms,
        workers=len(crew),
        loaded_in=loaded_in,
        runs=runs / terms.seconds,
        lag_median=statistics.median(lags),
        lag_most=statistics.quantiles(lags, n=20)[-1],
        busiest=max(busiest_second(journal) / math.ceil(rate) for journal, rate in vendors.journals(terms)),
        refused=sum(entry.status == 429 for journal, _ in vendors.journals(terms) for entry in journal.entries),
        cpu=used / max(1, runs),
    )


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


def busiest_second(journal: Journal) -> int:
    """Return the most requests that came within any one second, both ends included."""
    times = sorted(entry.monotonic for entry in journal.entries)
    most = first = 0
    for number, now in enumerate(times):
        while now - times[first] > 1.0:
            first += 1
        most = max(most, number - first + 1)
    return most


@contextlib.asynccontextmanager
async def _vendors(terms: Terms) -> AsyncIterator[Vendors]:
    now = datetime.now(UTC)
    venues = [TripleseatSimulator(seed=number) for number in range(terms.accounts)]
    targets = [ApptotoSimulator(seed=number) for number in range(terms.accounts)]
    async with contextlib.AsyncExitStack() as stack:
        urls = []
        for venue, target in zip(venues, targets, strict=True):
            target.settings.requests_per_minute = None  # its limit is a minute's; here every second is looked at
            target.add_calendar("Main Hall")
            venue.settings.requests_per_second = math.ceil(terms.rate)
            venue.settings.requests_per_minute = 0
            populate_tripleseat(venue, events=EVENTS, now=now, seed=1)
            served = await stack.enter_async_context(SimulatorServer([venue, target], ports=FREE_PORTS))
            urls.append((served.urls["tripleseat"], served.urls["apptoto"]))
        yield Vendors(venues=venues, targets=targets, urls=urls)


def _write(config: Path, terms: Terms, vendors: Vendors) -> None:
    parts = [_HEAD.format(url=URL)]
    for number, (venue, target, (base, target_base)) in enumerate(zip(vendors.venues, vendors.targets, vendors.urls, strict=True)):
        known = {"client_id": venue.settings.client_id, "client_secret": venue.settings.client_secret, "rate": terms.rate, "base": base}
        known |= {"username": target.settings.username, "api_key": target.settings.api_key, "target": target_base}
        parts.append(_ACCOUNT.format(number=number, target_rate=60 * terms.target_rate, **known))
    every = max(1, round(terms.every))
    parts += [_PIPELINE.format(number=number, account=number % terms.accounts, every=every) for number in range(terms.pipelines)]
    config.touch(mode=0o600)
    config.write_text("".join(parts))


def _consent(url: str, folder: Path, vendors: Vendors) -> None:
    with open_database(url, folder) as database:
        for number, venue in enumerate(vendors.venues):
            issued = venue.issue_tokens()
            expires = datetime.now(UTC) + timedelta(hours=1)
            pair = TokenPair(access_token=issued.access_token, refresh_token=issued.refresh_token, expires_at=expires)
            SqlTokenStore(database).save(f"venue{number}", pair)


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
        with engine.connect() as connection:
            loaded = connection.scalar(text("SELECT count(*) FROM pipeline WHERE first_complete_at IS NOT NULL")) or 0
        if loaded >= terms.pipelines:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {loaded} of {terms.pipelines} pipelines were loaded\n" + "\n".join(one.tail() for one in crew))
        await asyncio.sleep(0.5)


def _passes(engine: Engine, since: datetime, terms: Terms) -> tuple[int, list[float]]:
    """Return how many passes began since, and by how much each came later than it was due."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT pipeline, started_at FROM pass ORDER BY pipeline, id")).all()
    begun: defaultdict[str, list[datetime]] = defaultdict(list)
    for row in rows:
        begun[row.pipeline].append(row.started_at)
    runs = sum(at >= since for times in begun.values() for at in times)
    every = max(1, round(terms.every))
    pairs = [pair for times in begun.values() for pair in pairwise(times) if pair[1] >= since]
    lags = [(later - max(earlier, since - timedelta(seconds=every))).total_seconds() - every for earlier, later in pairs]
    return runs, lags or [0.0, 0.0]


def _cpu(crew: Sequence[Member]) -> float:
    """Return the processor seconds the workers have used, by proc(5)."""
    ticks = 0
    for member in crew:
        fields = Path(f"/proc/{member.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure with 1, 2 and 4 workers, where the accounts' rates allow all that is due, and where they do not."""
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description="Passes per second of 1, 2 and 4 workers.")
    parser.add_argument("--pipelines", type=int, default=1000, help="%(default)s")
    parser.add_argument("--seconds", type=float, default=25, help="of each measurement; %(default)s")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4], help="%(default)s")
    asked = parser.parse_args()
    asyncio.run(_measure_all(asked.pipelines, asked.seconds, asked.workers))


async def _measure_all(pipelines: int, seconds: float, crews: Sequence[int]) -> None:
    print(HEADER, flush=True)
    for every, accounts, rate in ((30.0, 10, 10.0), (15.0, 20, 3.0)):  # within the accounts' rates, and beyond them
        terms = Terms(pipelines=pipelines, seconds=seconds, every=every, accounts=accounts, rate=rate)
        with tempfile.TemporaryDirectory(prefix="calrelay-cluster-") as folder:
            async for measured in measure(terms, crews, Path(folder)):
                print(measured.row(), flush=True)


if __name__ == "__main__":
    main()
