"""A load goes chunk by chunk, in longer ones where little is sent; stopped it goes on where it was, and reads its open chunk again."""

import itertools
from contextlib import nullcontext

from calrelay.domain.event import SourceId
from calrelay.domain.link import MessageMode
from calrelay.domain.window import INSTANT, Span
from calrelay.engine.backfill import DAY, FILLED, backfill
from calrelay.errors import VendorUnavailable
from tests.fakes.memory_source import NOW, an_event
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
    bench.target._failing.clear()
    return days


async def test_a_load_that_broke_off_reads_its_open_chunk_again_and_those_behind_it_only() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 41)), first_load=0)
    assert await load(bench, broken_after=7) == [7, 14]
    bench.target.upserts.clear()
    assert await load(bench) == [7, 14, 14]
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
