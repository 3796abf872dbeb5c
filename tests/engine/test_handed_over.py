"""Two pipelines with the same external ids at one target: a booking that goes from one to the other stops neither."""

import dataclasses
from contextlib import nullcontext
from datetime import timedelta

import pytest

from calrelay.domain.event import Event, SourceId
from calrelay.domain.link import ExternalId, MessageMode
from calrelay.domain.window import INSTANT, Span
from calrelay.engine.backfill import DAY, backfill
from calrelay.engine.order import Order, Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport
from calrelay.engine.sync import run_pass
from calrelay.errors import VendorUnavailable
from tests.fakes.memory_source import NOW, an_event, moved, with_status
from tests.fakes.memory_target import MAIN_HALL, TERRACE, Call
from tests.fakes.pipelines import Bench, a_bench


def two_pipelines() -> tuple[Bench, Bench]:
    """Return a pipeline for the main hall with twenty bookings, and one for the terrace with ten."""
    bench = a_bench(*(in_room(i, "main hall") for i in range(1, 21)), *(in_room(i, "terrace") for i in range(21, 31)))
    terrace = dataclasses.replace(bench, name="terrace", calendar=TERRACE, rooms=frozenset({"terrace"}))
    bench.rooms = frozenset({"main hall"})
    return bench, terrace


def in_room(number: int, room: str) -> Event:
    return an_event(number, facets={"rooms": frozenset({room})})


def sharing(bench: Bench) -> Pipeline:
    return dataclasses.replace(bench.pipeline, owns_prefix=False)


async def passes(*benches: Bench, number: int | None = None) -> list[PassReport]:
    """Run a pass of each, or have each told of one booking."""
    ids = frozenset() if number is None else frozenset({SourceId(str(number))})
    order = Order(command="sync", reach=Reach.COMPLETE if number is None else Reach.IDS, ids=ids)
    return [await run_pass(sharing(bench), order) for bench in benches]


async def test_its_entry_is_not_taken_for_a_create_that_came_late() -> None:
    hall, terrace = two_pipelines()
    await passes(hall, terrace)
    hall.source.put(in_room(40, "terrace"))
    hall.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT)
    await passes(terrace)
    hall.source.put(in_room(40, "main hall"))
    await passes(terrace, hall)
    hall.source.put(with_status(in_room(25, "terrace"), "LOST"))
    terrace.now += timedelta(minutes=1)
    (report,) = await passes(terrace)
    assert (report.deleted, report.problems) == (1, [])
    assert hall.target.live[ExternalId("ms-40")].calendar == MAIN_HALL


@pytest.mark.parametrize("is_whole", [True, False])
async def test_its_entry_is_not_adopted_by_the_one_that_gave_it_away_during_its_first_load(*, is_whole: bool) -> None:
    hall, terrace = two_pipelines()
    await passes(hall)
    parts = [(0, 185)] if is_whole else [(0, 60), (60, 185)]
    await load(terrace, *parts[0])
    hall.source.put(in_room(25, "main hall"))
    await passes(terrace, hall, number=25)
    hall.source.put(in_room(90, "terrace"), with_status(in_room(28, "terrace"), "LOST"))
    for part in parts[1:]:
        await load(terrace, *part)
    (report,) = await passes(terrace)
    assert report.problems == []
    assert "ms-28" not in hall.target.live
    assert {"ms-25.2", "ms-90"} <= hall.target.live.keys()


async def test_its_entry_is_not_taken_for_an_orphan_when_it_moves_out_of_the_window() -> None:
    hall, terrace = two_pipelines()
    await passes(hall)
    await load(terrace, 0, 185)
    hall.source.put(in_room(25, "main hall"))
    await passes(terrace, hall, number=25)
    hall.source.put(moved(in_room(25, "main hall"), 300 * DAY), with_status(in_room(28, "terrace"), "LOST"))
    await passes(hall, number=25)
    (report,) = await passes(terrace)
    assert (report.deleted, report.problems) == (1, [])
    assert "ms-25.2" in hall.target.live


async def load(bench: Bench, begin: int, end: int) -> None:
    span = Span(begin=NOW + begin * DAY, end=NOW + end * DAY - INSTANT)
    assert [step async for step in backfill(sharing(bench), span, MessageMode.SKIP, lock=nullcontext)]
