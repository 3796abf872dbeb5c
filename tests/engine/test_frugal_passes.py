"""What a pass asks for where nothing, or next to nothing, has changed."""

from tests.fakes.memory_source import an_event
from tests.fakes.pipelines import a_bench


async def test_a_pass_without_changes_over_5000_events_reads_each_page_once_and_asks_the_target_nothing() -> None:
    bench = a_bench(*(an_event(number) for number in range(5_000)))
    await bench.sync()
    source, target = bench.source.requests, bench.target.requests
    report = await bench.sync()
    assert (report.unchanged, report.outcome) == (5_000, "ok")
    assert bench.source.requests - source == 5_000 / bench.source.page_size
    assert bench.target.requests - target == 0
