"""Passes over named events only, as after a webhook: the same road and the same guards, and no door beside them."""

import dataclasses
from datetime import timedelta

from calrelay.domain.event import Event, SourceId
from calrelay.domain.guard import Earlier, HoldKind, Limit, Limits
from calrelay.domain.link import State
from calrelay.engine import decisions
from calrelay.engine.order import Reach
from calrelay.engine.report import Outcome, PassReport
from calrelay.errors import ExitCode, VendorUnavailable
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.pipelines import Bench, a_bench

HOUR = timedelta(hours=1)
NOTHING = Earlier()


async def a_loaded_bench(number: int = 30, **limits: object) -> Bench:
    bench = a_bench(*(an_event(i) for i in range(1, number + 1)))
    bench.limits = Limits(first_load=10_000, **limits)  # type: ignore[arg-type] # the fields of Limits
    assert (await bench.sync()).outcome is Outcome.OK
    return bench


async def look(bench: Bench, *numbers: int, earlier: Earlier = NOTHING) -> PassReport:
    ids = frozenset(SourceId(str(number)) for number in numbers)
    return await bench.sync(reach=Reach.IDS, ids=ids, earlier=earlier)


def writes(bench: Bench) -> int:
    return len(bench.target.upserts) + len(bench.target.deletes)


async def test_only_the_named_event_is_asked_for_and_brought_in_step() -> None:
    bench = await a_loaded_bench()
    requests = bench.source.requests
    bench.source.put(moved(an_event(1), HOUR), moved(an_event(2), HOUR))
    report = await look(bench, 1)
    assert (report.read, report.updated, bench.source.found) == (1, 1, ["1"])
    assert bench.source.requests == requests + 1


async def test_a_new_event_is_created_one_that_was_lost_deleted_and_one_that_is_gone_deleted() -> None:
    bench = await a_loaded_bench()
    bench.source.put(an_event(31), with_status(an_event(2), "LOST"))
    bench.source.remove(3)
    report = await look(bench, 31, 2, 3, 999)
    assert (report.created, report.deleted, report.exit_code) == (1, 2, 0)


async def test_it_counts_as_no_read_of_the_pipeline() -> None:
    """Freshness, and where incremental reads go on, are those of scheduled passes."""
    bench = await a_loaded_bench()
    before = bench.ledger.pipeline("venue")
    bench.now += HOUR
    report = await look(bench, 1)
    assert bench.ledger.pipeline("venue") == before
    assert not report.is_complete


async def test_nothing_is_concluded_of_events_that_were_not_named() -> None:
    bench = await a_loaded_bench()
    bench.source.remove(1, 2, 3)
    assert (await look(bench, 4)).deleted == 0


async def test_a_new_event_outside_the_window_is_left_alone_and_a_known_one_is_looked_after() -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), timedelta(days=300)), moved(an_event(31), timedelta(days=300)))
    report = await look(bench, 1, 31)
    assert (report.created, report.updated) == (0, 1)
    assert SourceId("31") not in bench.ledger.links("venue", [SourceId("31")])


async def test_a_first_load_does_not_come_in_one_by_one() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 4)), first_load=2)
    assert (await bench.sync()).outcome is Outcome.REFUSED
    for number in (1, 2, 3):
        assert (await look(bench, number)).created == 0
    assert writes(bench) == 0
    assert bench.ledger.pipeline("venue").first_complete_at is None


async def test_a_paused_pipeline_is_not_looked_at() -> None:
    bench = await a_loaded_bench()
    decisions.set_paused(bench.ledger, "venue", is_paused=True)
    bench.source.put(moved(an_event(1), HOUR))
    report = await look(bench, 1)
    assert (report.outcome, report.updated, bench.source.found) == (Outcome.REFUSED, 0, [])


async def test_what_cannot_be_asked_for_is_not_deleted_and_nothing_of_it_is_forgotten() -> None:
    bench = await a_loaded_bench()
    bench.source.remove(1)
    bench.source.find_error = VendorUnavailable("no answer")
    report = await look(bench, 1)
    assert (report.outcome, report.deleted, report.exit_code) == (Outcome.FAILED, 0, ExitCode.VENDOR)
    assert bench.ledger.links("venue", [SourceId("1")])[SourceId("1")].state is State.SETTLED


async def test_deletes_of_the_last_day_count_though_they_came_one_by_one() -> None:
    bench = await a_loaded_bench(20, deletes=Limit(count=5, share=0.2))
    bench.source.remove(*range(1, 9))
    reports = [await look(bench, number) for number in range(1, 9)]
    assert sum(report.deleted for report in reports) == 5
    (hold,) = bench.ledger.holds("venue")
    assert (hold.kind, len(hold.items)) == (HoldKind.DELETES, 3)


async def test_what_is_settling_is_not_sent_by_a_second_webhook() -> None:
    bench = await a_loaded_bench()
    bench.settle = timedelta(minutes=2)
    bench.source.put(moved(an_event(1), HOUR))
    for _ in range(2):
        assert ((await look(bench, 1)).waiting, bench.target.sent[30:]) == (1, [])
    bench.now += timedelta(minutes=2)
    assert (await look(bench, 1)).updated == 1


async def test_what_is_held_stays_held_and_goes_once_it_is_approved() -> None:
    bench = await a_loaded_bench(20, updates=Limit(count=0, share=0.0))
    bench.source.put(moved(an_event(1), HOUR))
    for _ in range(2):
        assert ((await look(bench, 1)).held, bench.target.sent[20:]) == (1, [])
    bench.ledger.approve(bench.ledger.holds("venue"), bench.now)
    assert (await look(bench, 1)).updated == 1


async def walk_one_by_one(bench: Bench, events: list[Event]) -> list[PassReport]:
    """Change events at the source one after the other, each told by a webhook, as the daemon counts them together."""
    earlier, reports = Earlier(), []
    for event in events:
        bench.source.put(event)
        report = await look(bench, int(event.source_id), earlier=earlier)
        earlier = earlier.with_passed(report.passed)
        reports.append(report)
    return reports


async def test_new_events_that_come_in_drops_meet_the_guard_that_a_flood_meets() -> None:
    bench = await a_loaded_bench(20, creates=Limit(count=5, share=0.2))
    reports = await walk_one_by_one(bench, [an_event(number) for number in range(31, 41)])
    assert sum(report.created for report in reports) == 5
    (hold,) = bench.ledger.holds("venue")
    assert (hold.kind, len(hold.items), hold.people) == (HoldKind.CREATES, 5, 5)


async def test_a_zone_gone_wrong_is_noticed_though_each_event_comes_alone() -> None:
    bench = await a_loaded_bench(20, same_shift=Limit(count=5, share=0.1))
    reports = await walk_one_by_one(bench, [moved(an_event(number), HOUR) for number in range(1, 11)])
    assert sum(report.updated for report in reports) == 4
    assert {hold.kind for hold in bench.ledger.holds("venue")} == {HoldKind.SAME_SHIFT}


async def test_one_event_that_is_edited_again_and_again_is_no_flood() -> None:
    bench = await a_loaded_bench(20, updates=Limit(count=2, share=0.0))
    edits = [dataclasses.replace(an_event(1), title=f"Dinner, take {take}") for take in range(9)]
    reports = await walk_one_by_one(bench, edits)
    assert [report.updated for report in reports] == [1] * 9
