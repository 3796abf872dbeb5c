"""A load goes chunk by chunk, in longer ones where little is sent; stopped it goes on where it was, and reads its open chunk again."""

import itertools
from contextlib import nullcontext
from datetime import time, timedelta

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.link import MessageMode, State
from calrelay.domain.window import INSTANT, Hours, Span
from calrelay.engine.backfill import DAY, FILLED, backfill, merge_reports
from calrelay.engine.report import Outcome
from calrelay.errors import VendorUnavailable
from tests.fakes.memory_source import NOW, an_event, with_status
from tests.fakes.memory_target import Applied, Call
from tests.fakes.pipelines import Bench, a_bench

SPAN = Span(begin=NOW, end=NOW + 6 * 7 * DAY - INSTANT)


async def load(bench: Bench, *, span: Span = SPAN, broken_after: int = 0) -> list[int]:
    """Load, and break off in the chunk behind this day; return how many days each chunk had that was read."""
    days = []
    async for step in backfill(bench.pipeline, span, MessageMode.SKIP, lock=nullcontext):
        days.append(step.days)
        assert step.of == 42
        if step.done == broken_after:
            bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=20, applied=Applied.ALL)
    bench.target.stop_failing()
    return days


async def test_a_load_that_broke_off_reads_its_open_chunk_again_and_those_behind_it_only() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 41)), first_load=0)
    assert await load(bench, broken_after=7) == [7, 10]
    bench.target.upserts.clear()
    assert await load(bench) == [7, 10, 10, 8]
    assert len(bench.target.live) == 40
    assert {put.external_id for put in bench.target.sent} <= {f"ms-{number}" for number in range(6, 41)}


async def test_a_load_that_is_done_begins_anew_when_it_is_asked_for_again() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 41)), first_load=0)
    await load(bench)
    bench.target.upserts.clear()
    assert await load(bench) == [7, 14, 14, 7]
    assert bench.target.upserts == []


async def test_every_event_of_a_span_is_in_one_chunk_however_long_they_are() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 42)), first_load=0)
    spans = [step.span async for step in backfill(bench.pipeline, SPAN, MessageMode.SKIP, lock=nullcontext)]
    assert (spans[0].begin, spans[-1].end) == (SPAN.begin, SPAN.end)
    assert [after.begin - before.end for before, after in itertools.pairwise(spans)] == [INSTANT] * (len(spans) - 1)
    assert set(bench.target.live) == {f"ms-{i}" for i in range(1, 42) if an_event(i).start in SPAN}


async def test_chunks_grow_no_further_than_a_live_pass_may_wait() -> None:
    busy = [an_event(day, source_id=SourceId(f"{day}-{n}"), group=f"{day}-{n}") for day in range(1, 42) for n in range(FILLED // 10)]
    assert await load(a_bench(*busy, first_load=0)) == [7, 14, 10, 10, 1]


async def test_a_chunk_ends_with_a_full_batch_and_what_is_left_begins_the_next() -> None:
    events = [an_event(i, start=NOW + i * DAY / 3, end=NOW + (i + 1) * DAY / 3) for i in range(1, 121)]
    bench = a_bench(*events, *(with_status(an_event(i), "LOST") for i in range(121, 140)), first_load=0)
    steps = [step async for step in backfill(bench.pipeline, SPAN, MessageMode.SKIP, lock=nullcontext)]
    assert [len(puts) for puts in bench.target.upserts] == [10] * 12
    assert [after.span.begin - before.span.end for before, after in itertools.pairwise(steps)] == [INSTANT] * (len(steps) - 1)
    total = merge_reports("venue", NOW, [step.report for step in steps])
    wanted, lost = len(events), sum(an_event(i).start in SPAN for i in range(121, 140))
    assert (total.read, total.created, total.unchanged, total.skipped.total()) == (wanted + lost, wanted, 0, lost)
    assert len({id(action) for action in total.actions}) == wanted


@pytest.mark.parametrize("breaks_off", [False, True])
async def test_what_is_held_and_left_by_a_chunk_waits_for_the_next_and_not_for_a_live_pass(breaks_off: bool) -> None:
    bench = a_bench(*(an_event(i) for i in range(100, 140)))
    await bench.sync()
    bench.source.put(*(an_event(i, start=NOW + i * DAY / 5, end=NOW + (i + 1) * DAY / 5) for i in range(1, 32)))
    assert (await bench.sync()).held == 31
    bench.target.upserts.clear()
    async for _ in backfill(bench.pipeline, SPAN, MessageMode.SKIP, lock=nullcontext):
        assert (await bench.sync()).created == 0
        if breaks_off:
            break
    if not breaks_off:
        assert not bench.ledger.holds("venue")
        assert len(bench.target.live) == 71
    assert all("#skip" in (put.entry.content or "") for put in bench.target.sent)


async def test_events_that_start_together_stay_together() -> None:
    events = [an_event(i, start=NOW + (i // 4) * DAY, end=NOW + (i // 4 + 1) * DAY) for i in range(4, 164)]
    bench = a_bench(*events, first_load=0)
    steps = [step async for step in backfill(bench.pipeline, SPAN, MessageMode.SKIP, lock=nullcontext)]
    total = merge_reports("venue", NOW, [step.report for step in steps])
    assert (total.read, total.created, total.unchanged) == (160, 160, 0)
    assert sum(len(puts) < 10 for puts in bench.target.upserts) <= 1


async def test_many_that_start_at_once_do_not_keep_a_load_from_its_end() -> None:
    events = [an_event(i, start=NOW + DAY, end=NOW + 2 * DAY) for i in range(1, 26)]
    bench = a_bench(*events, an_event(40), first_load=0)
    steps = [step async for step in backfill(bench.pipeline, SPAN, MessageMode.SKIP, lock=nullcontext)]
    assert len(bench.target.live) == 26
    assert len(steps) < 8


@pytest.mark.parametrize(
    ("parts", "is_loaded"), [([(-1, 90), (90, 181)], True), ([(90, 181), (-1, 90)], True), ([(-1, 80), (90, 181)], False)]
)
async def test_a_window_that_was_loaded_in_parts_is_loaded_when_they_leave_no_gap(parts: list[tuple[int, int]], is_loaded: bool) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 150)), first_load=0)
    for begin, end in parts:
        assert bench.ledger.pipeline("venue").first_complete_at is None
        span = Span(begin=NOW + begin * DAY, end=NOW + end * DAY - INSTANT)
        assert [step async for step in backfill(bench.pipeline, span, MessageMode.SKIP, lock=nullcontext)]
    assert (bench.ledger.pipeline("venue").first_complete_at is not None) is is_loaded
    assert bool(bench.ledger.memo("loaded:venue")) is not is_loaded


async def test_what_a_load_left_unanswered_counts_for_the_limit_of_a_first_load() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)), first_load=29)
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=20)
    await load(bench)
    bench.target.stop_failing()
    assert bench.ledger.count_states("venue")[State.SENDING]
    report = await bench.sync()
    assert (report.outcome, report.created) == (Outcome.REFUSED, 0)
    assert "would create 30 events" in report.problems[0].message


async def test_a_part_that_was_loaded_long_ago_does_not_count_because_another_was_lately() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 150)), first_load=0)
    for begin, end in ((-1, 60), (60, 90), (90, 200)):
        span = Span(begin=NOW + begin * DAY, end=NOW + end * DAY - INSTANT)
        assert [step async for step in backfill(bench.pipeline, span, MessageMode.SKIP, lock=nullcontext)]
        bench.now += 6 * DAY
    assert bench.ledger.pipeline("venue").first_complete_at is None


async def test_what_a_load_of_a_part_let_wait_for_its_hour_is_created_then() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)), first_load=0)
    bench.create_hours = Hours(begin=time(20), end=time(21))
    part = Span(begin=NOW, end=NOW + 60 * DAY)
    assert [step async for step in backfill(bench.pipeline, part, MessageMode.SKIP, lock=nullcontext)]
    assert not bench.target.live
    for _ in range(24):
        bench.now += timedelta(hours=1)
        await bench.sync()
    assert len(bench.target.live) == 30
