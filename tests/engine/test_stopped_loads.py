"""A load that is stopped goes on where it stopped: at most the chunk that was open is read again."""

from contextlib import nullcontext
from datetime import timedelta

from calrelay.domain.link import MessageMode
from calrelay.domain.window import Span
from calrelay.engine.backfill import CHUNK, backfill
from calrelay.errors import VendorUnavailable
from tests.fakes.memory_source import NOW, an_event
from tests.fakes.memory_target import Applied, Call
from tests.fakes.pipelines import Bench, a_bench

SPAN = Span(begin=NOW, end=NOW + 6 * CHUNK - timedelta(microseconds=1))


async def load(bench: Bench, *, broken_at: int = 0) -> list[int]:
    """Load, and break off in the chunk of this number; return the chunks that were read."""
    numbers = []
    async for step in backfill(bench.pipeline, SPAN, MessageMode.SKIP, lock=nullcontext):
        numbers.append(step.number)
        if step.number == broken_at - 1:
            bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=20, applied=Applied.ALL)
    bench.target._failing.clear()
    return numbers


async def test_a_load_that_broke_off_reads_its_open_chunk_again_and_those_behind_it_only() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 41)), first_load=0)
    assert await load(bench, broken_at=4) == [1, 2, 3, 4]
    bench.target.upserts.clear()
    assert await load(bench) == [4, 5, 6]
    assert len(bench.target.live) == 40
    in_flight_or_new = {put.external_id for put in bench.target.sent}
    assert in_flight_or_new <= {f"ms-{number}" for number in range(20, 41)}


async def test_a_load_that_is_done_begins_anew_when_it_is_asked_for_again() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 41)), first_load=0)
    await load(bench)
    bench.target.upserts.clear()
    assert await load(bench) == [1, 2, 3, 4, 5, 6]
    assert bench.target.upserts == []
