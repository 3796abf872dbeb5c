"""What calrelay costs where next to nothing is to be done: ten changes beside a ledger of many links, and its short commands.

Source and target are in memory here, so that the ledger is what is measured.
"""

import asyncio
import dataclasses
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from calrelay.domain.event import SourceId
from calrelay.domain.link import ExternalId
from calrelay.state.database import Database, open_database
from calrelay.state.ledger import SqlLedger
from calrelay.state.rows import table_of
from calrelay.state.tables import ClaimRow, LinkRow
from tests.fakes.links import a_link
from tests.fakes.memory_source import NOW, MemorySource, an_event
from tests.fakes.memory_target import MemoryTarget
from tests.fakes.pipelines import Bench
from tests.postgres.databases import Databases, own_server

COMING = 200
CHANGED = 10
PASSES = 7
WARM_UP = 3  # pairs of passes that are not counted: the first ones load modules, plans and pages
STARTS = 7
PIPELINES, LINKS = 5, 10_000  # what `status` tells of
ANOTHER = """
[[pipelines]]
name = "venue{number}"
source = "venue"
target = "reminders"
id_prefix = "v{number}-"
calendar_id = {calendar}
"""
CALRELAY = str(Path(sys.executable).with_name("calrelay"))
SEED = 1_000  # links that are stored one by one; the database multiplies them


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How long a pass with ten changes took, in seconds, and what it asked for."""

    database: str
    links: int
    complete: float
    quick: float
    puts: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Frugal:
    """All of it. Commands in seconds; `status` on each database."""

    scales: Sequence[Scale]
    commands: dict[str, float]


def measure(work: Path, *, sizes: Sequence[int]) -> Frugal:
    """Measure everything."""
    for left in work.glob("scale-*.db*"):
        left.unlink()
    with own_server() as server:
        commands = _commands(work, server.make(is_empty=True))  # before the server has a million links to tidy up behind
        scales = asyncio.run(_scales(work, sizes, server))
    for left in work.glob("scale-*.db*"):
        left.unlink()
    return Frugal(scales=scales, commands=commands)


async def _scales(work: Path, sizes: Sequence[int], server: Databases) -> list[Scale]:
    """Fill all databases, then let them take turns: a machine that is slower for a while is so for all of them."""
    with ExitStack() as opened:
        benches: dict[tuple[str, int], Bench] = {}
        for links in sizes:
            for name, url in (("SQLite", f"sqlite:///scale-{links}.db"), ("PostgreSQL", server.make(is_empty=True))):
                database = opened.enter_context(open_database(url, work))
                benches[name, links] = await _filled(database, links)
                print(f"{links} links on {name}", flush=True)
        complete: dict[tuple[str, int], list[float]] = {key: [] for key in benches}
        quick: dict[tuple[str, int], list[float]] = {key: [] for key in benches}
        for number in range(WARM_UP + PASSES):
            for key, bench in benches.items():
                complete[key].append(await _timed(bench, 2 * number, is_quick=False))
                quick[key].append(await _timed(bench, 2 * number + 1, is_quick=True))
        return [
            Scale(
                database=name,
                links=links,
                complete=statistics.median(complete[name, links][WARM_UP:]),
                quick=statistics.median(quick[name, links][WARM_UP:]),
                puts=len(bench.target.upserts) // (2 * (WARM_UP + PASSES)),
            )
            for (name, links), bench in benches.items()
        ]


async def _filled(database: Database, links: int) -> Bench:
    """Fill a ledger with links of the past, and have a few coming events in step, ten of which each pass will find changed."""
    ledger = SqlLedger(database)
    _fill(ledger, database, links)
    bench = Bench(source=MemorySource([an_event(number) for number in range(COMING)]), target=MemoryTarget(batch_size=10), ledger=ledger)
    await bench.sync()
    bench.target.upserts.clear()
    return bench


async def _timed(bench: Bench, turn: int, *, is_quick: bool) -> float:
    bench.source.changed.clear()
    bench.source.put(*(an_event(number, title=f"Dinner, {turn + 1} times renamed") for number in range(CHANGED)))
    bench.now += timedelta(minutes=5)
    began = time.perf_counter()
    report = await (bench.quick() if is_quick else bench.sync())
    took = time.perf_counter() - began
    if report.updated != CHANGED:
        raise RuntimeError(f"{report.updated} of {CHANGED} changes were sent: {report.problems}")
    return took


def _fill(ledger: SqlLedger, database: Database, links: int) -> None:
    """Store some links, and multiply them where they are."""
    past = NOW - timedelta(days=400)
    ledger.store(
        a_link(number, source_id=SourceId(f"old-{number}"), base_id=ExternalId(f"ms-old-{number}"), start=past + timedelta(minutes=number))
        for number in range(SEED)
    )
    with database.writing("venue") as connection:
        for copy in range(1, links // SEED):
            for table, renamed in ((table_of(LinkRow), {"source_id", "base_id"}), (table_of(ClaimRow), {"base_id"})):
                names = [column.name for column in table.columns]
                values = [f"{column} || '-{copy}'" if column in renamed else column for column in names]
                originals = "base_id NOT LIKE 'ms-old-%-%'"
                connection.execute(
                    text(f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(values)} FROM {table.name} WHERE {originals}")
                )
    with database.writing("venue") as connection:
        connection.execute(text("ANALYZE"))


def _commands(work: Path, postgres: str) -> dict[str, float]:
    """Time `--help` and `status`, as processes, beside several pipelines and some thousand links."""
    folder = work / "commands"
    folder.mkdir(exist_ok=True)
    for left in folder.glob("state.db*"):
        left.unlink()
    on_sqlite, on_postgres = _a_config(folder, "sqlite:///state.db"), _a_config(folder, postgres)
    return {
        "--help": _timed_starts([CALRELAY, "--help"]),
        "status": _timed_starts([CALRELAY, "--config", str(on_sqlite), "status"]),
        "status on PostgreSQL": _timed_starts([CALRELAY, "--config", str(on_postgres), "status"]),
    }


def _a_config(folder: Path, url: str) -> Path:
    """Write a config for a database, and fill that."""
    config = folder / f"{url.partition(':')[0]}.toml"
    template = (Path(__file__).parent / "contenders" / "calrelay.toml").read_text()
    first = template.replace("@BASE@", "http://127.0.0.1:9/v1").replace("@ROOT@", "http://127.0.0.1:9").replace("sqlite:///state.db", url)
    more = (ANOTHER.format(number=number, calendar=1000030001 + number) for number in range(1, PIPELINES))
    config.write_text(first + "".join(more))
    config.chmod(0o600)
    with open_database(url, folder) as database:
        _fill(SqlLedger(database), database, LINKS)
    return config


def _timed_starts(command: Sequence[str]) -> float:
    """Return the median of some starts, after one that leaves nothing to be compiled."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    took = []
    for _ in range(STARTS + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=environment)
        took.append(time.perf_counter() - began)
    return statistics.median(took[1:])
