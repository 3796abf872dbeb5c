"""A day of the daemon in seconds, with everything that vendors do wrong: what it keeps stays the same size, and the watchdog is fed.

These tests take some seconds each: what they look for, growth and starvation, shows only over many passes.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from calrelay.engine.sync import run_pass
from calrelay.service.daemon import Daemon
from calrelay.service.notify import keep_watch
from calrelay.service.pulse import show_life
from calrelay.service.runner import STUCK_AFTER
from calrelay.service.upkeep import feed_watchdog, keep_consents, keep_house
from calrelay.simulators.faults import Fault, Kind
from calrelay.state import ledger
from tests.fakes.fast_day import FastDay, bytes_of, rows_of
from tests.soaking.edits import Hands

HOUR = 3600.0
SERVICES = (feed_watchdog, keep_consents, keep_house, keep_watch, show_life)
KEPT = 20  # passes of a pipeline; with the real number a day would not be long enough to reach it
TROUBLES: tuple[dict[str, Fault], ...] = (
    {},
    {"tripleseat": Fault(kind=Kind.STATUS, status=503, times=None)},
    {"timetap": Fault(kind=Kind.HTML, times=None), "tripleseat": Fault(kind=Kind.RESET, times=None, chance=0.3)},
    {"apptoto": Fault(kind=Kind.STATUS, status=502, times=None)},
    {"tripleseat": Fault(kind=Kind.HANG, seconds=90, times=None), "timetap": Fault(kind=Kind.STATUS, status=429, times=None, chance=0.5)},
    {"timetap": Fault(kind=Kind.EMPTY, times=None, chance=0.5), "apptoto": Fault(kind=Kind.CUT, times=None, chance=0.3)},
    {"tripleseat": Fault(kind=Kind.STATUS, status=401, times=None)},
    {},
)


@pytest.fixture
def day(tmp_path: Path) -> Iterator[FastDay]:
    logging.disable()  # pytest keeps every line, which would look like growth
    with FastDay(tmp_path) as day:
        yield day
    logging.disable(logging.NOTSET)


def trouble(day: FastDay, faults: dict[str, Fault]) -> None:
    for simulator in (day.world.tripleseat, day.world.timetap, day.world.apptoto):
        simulator.faults.clear()
        if fault := faults.get(simulator.name):
            simulator.faults.add(fault)


def test_a_day_of_faults_leaves_memory_and_database_as_large_as_before_its_last_third(
    day: FastDay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PASSES_KEPT", KEPT)
    hands, outcomes = Hands(day.world, 1), Counter[str]()
    blocks: list[int] = []
    rows: list[dict[str, int]] = []
    sizes: list[int] = []

    async def spoil(daemon: Daemon) -> None:
        daemon.listeners.append(lambda _pipeline, _reach, report, _health: outcomes.update([report.outcome.value]))
        for _ in range(3):
            for faults in TROUBLES:
                trouble(day, faults)
                hands.edit()
                daemon.metrics.render()
                await asyncio.sleep(HOUR)
            blocks.append(day.blocks())
            rows.append(rows_of(daemon.relay.state.database))
            sizes.append(bytes_of(daemon.relay.state.database))
        daemon.stop()

    day.live(*SERVICES, spoil)
    assert outcomes["ok"] > 50
    assert outcomes["failed"] > 20
    assert day.heart.longest_silence < 31
    assert [one["pass"] for one in rows] == [2 * KEPT] * 3
    assert rows[-1]["link"] <= rows[0]["link"] + hands.changed.total()
    assert rows[-1]["history"] <= rows[0]["history"] + 10 * hands.changed.total()
    assert (rows[-1]["memo"], rows[-1]["hold"]) == (rows[0]["memo"], rows[0]["hold"])
    assert sizes[2] <= sizes[1] + 8192
    assert blocks[2] - blocks[1] < 1000, blocks  # what edits and tokens add is half of it; a report kept of every pass would be twice


def test_the_watchdog_is_fed_while_a_vendor_does_not_answer_for_an_hour(day: FastDay) -> None:
    said: list[str] = []

    async def go_on(daemon: Daemon) -> None:
        await asyncio.sleep(0.2 * HOUR)
        trouble(day, {name: Fault(kind=Kind.HANG, seconds=10 * HOUR, times=None) for name in ("tripleseat", "timetap", "apptoto")})
        await asyncio.sleep(HOUR)
        said.append(day.heart.status)
        trouble(day, {})
        await asyncio.sleep(HOUR)
        said.append(day.heart.status)
        daemon.stop()

    day.live(*SERVICES, go_on)
    assert day.heart.longest_silence < 31
    assert said == ["venue: down; studio: down", "venue: well; studio: well"]


def test_the_watchdog_starves_when_a_step_of_ours_hangs(day: FastDay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked and nothing gets on: no vendor's fault. The other pipeline goes on meanwhile."""
    passes = Counter[str]()

    async def hangs(pipeline: Any, order: Any, **rest: Any) -> Any:
        passes[pipeline.name] += 1
        if pipeline.name == "venue" and passes["venue"] == 2:
            await asyncio.Event().wait()
        return await run_pass(pipeline, order, **rest)

    monkeypatch.setattr("calrelay.service.runner.run_pass", hangs)

    async def watch(daemon: Daemon) -> None:
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(HOUR)
        assert day.heart.last_beat is not None
        starved_after = day.heart.last_beat - began - 20 * 60  # the second pass begins, and hangs, after `every`
        assert abs(starved_after - STUCK_AFTER.total_seconds()) < 60
        daemon.stop()

    day.live(*SERVICES, watch)
    assert passes["venue"] == 2
    assert passes["studio"] > 2


def test_stale_is_said_to_systemd_without_any_pass(day: FastDay) -> None:
    said: list[str] = []

    async def go_on(daemon: Daemon) -> None:
        await asyncio.sleep(60)
        trouble(day, {"tripleseat": Fault(kind=Kind.STATUS, status=503, times=None)})
        await asyncio.sleep(3 * HOUR + 60)
        said.append(day.heart.status)
        trouble(day, {})
        await asyncio.sleep(HOUR + 60)
        said.append(day.heart.status)
        daemon.stop()

    day.live(*SERVICES, go_on)
    assert said == ["venue: down, stale; studio: well", "venue: well; studio: well"]
