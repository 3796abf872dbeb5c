"""A create that the target takes for an entry which it shows as deleted: one from before our memory (rule 19)."""

import dataclasses

from calrelay.domain.link import ExternalId, State
from tests.fakes.memory_source import an_event
from tests.fakes.pipelines import Bench, a_bench

ONE = ExternalId("ms-1")


async def a_bench_that_forgot() -> Bench:
    """Event 1 was sent, deleted at the target, and forgotten with all else; the target lists no deleted entries, and revives none."""
    bench = a_bench(an_event(1), an_event(2))
    await bench.sync()
    bench.target.shows_deleted = bench.target.revives = False
    bench.target.change("ms-1", is_deleted=True)
    bench.source.remove(1)
    fresh = dataclasses.replace(a_bench(), source=bench.source, target=bench.target)
    await fresh.sync()
    return fresh


async def test_it_is_created_under_the_next_external_id_in_the_same_pass() -> None:
    bench = await a_bench_that_forgot()
    bench.source.put(an_event(1))
    report = await bench.sync()
    assert set(bench.target.live) == {ExternalId("ms-1.2"), ExternalId("ms-2")}
    assert (report.created, report.problems) == (1, [])
    assert (await bench.sync()).sent == 0


async def test_a_flag_in_the_answer_alone_doubles_nothing() -> None:
    bench = a_bench(an_event(1))
    bench.target.answers_as_deleted = True
    report = await bench.sync()
    assert (set(bench.target.live), report.created) == ({ONE}, 1)
    assert (await bench.sync()).sent == 0


async def test_a_target_that_shows_everything_as_deleted_is_sent_an_event_twice_and_no_more_often() -> None:
    bench = await a_bench_that_forgot()
    bench.target.place("ms-1.2", bench.target.sent[0].entry)
    bench.target.change("ms-1.2", is_deleted=True)
    bench.source.put(an_event(1))
    report = await bench.sync()
    [link] = bench.ledger.links_in("venue", {State.QUARANTINED})
    assert "shows it as deleted" in link.reason
    assert [problem.external_id for problem in report.problems] == [ExternalId("ms-1.3")]
    sent = len(bench.target.sent)
    await bench.sync()
    assert len(bench.target.sent) == sent
