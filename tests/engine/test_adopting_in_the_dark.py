"""A lost database and a target that does not say which entry is which event's: what can be asked for is found again."""

import dataclasses
from datetime import timedelta

from calrelay.domain.event import SourceId
from calrelay.domain.link import ExternalId, MessageMode, State
from calrelay.engine import decisions
from tests.fakes.memory_source import an_event, with_status
from tests.fakes.pipelines import Bench, a_bench


async def a_bench_in_the_dark() -> Bench:
    """Six events at a target that names none, event 2 in its second generation; then the database is lost."""
    bench = a_bench(*(an_event(number) for number in range(1, 7)))
    await bench.sync()
    bench.source.put(with_status(an_event(2), "LOST"))
    await bench.sync()
    bench.source.put(an_event(2))
    await bench.sync()
    assert ExternalId("ms-2.2") in bench.target.live
    bench.target.echoes_external_ids = False
    return dataclasses.replace(a_bench(), source=bench.source, target=bench.target)


async def test_an_event_cancelled_while_the_database_was_lost_is_taken_out() -> None:
    bench = await a_bench_in_the_dark()
    bench.source.put(with_status(an_event(1), "LOST"), with_status(an_event(2), "LOST"))
    report = await bench.sync()
    assert (report.deleted, report.created, len(bench.target.live)) == (2, 0, 4)
    assert (await bench.sync()).sent == 0


async def test_a_load_does_not_adopt_again_what_is_known_and_cancelled_meanwhile() -> None:
    bench = await a_bench_in_the_dark()
    await bench.sync(adopts_only=True)
    ignored, retagged = ExternalId("ms-3"), ExternalId("ms-4")
    decisions.ignore(bench.ledger, ignored, clock=lambda: bench.now)
    decisions.retag(bench.ledger, bench.ledger.link_by_external_id(retagged), MessageMode.SKIP, clock=lambda: bench.now)
    bench.source.put(with_status(an_event(3), "LOST"), with_status(an_event(4), "LOST"))
    await bench.sync(is_load=True)
    links = bench.ledger.links("venue", [SourceId("3"), SourceId("4")])
    assert (links[SourceId("3")].state, links[SourceId("4")].mode) == (State.IGNORED, MessageMode.SKIP)
    await bench.sync()
    assert ignored in bench.target.live
    assert retagged not in bench.target.live


async def test_a_later_generation_is_found_where_deleted_entries_are_shown() -> None:
    bench = await a_bench_in_the_dark()
    report = await bench.sync()
    assert (report.created, report.deleted, len(bench.target.live)) == (0, 0, 6)
    assert [link.generation for link in bench.ledger.link_by_external_id(ExternalId("ms-2"))] == [2]


async def test_what_was_never_sent_is_asked_for_once_and_skipped() -> None:
    bench = await a_bench_in_the_dark()
    bench.source.put(with_status(an_event(9), "TENTATIVE"))
    bench.target.finds.clear()
    report = await bench.sync()
    assert bench.target.finds.count(ExternalId("ms-9")) == 1
    assert report.skipped.total() == 1
    bench.target.finds.clear()
    bench.now += timedelta(minutes=5)
    await bench.sync()
    assert bench.target.finds == []
