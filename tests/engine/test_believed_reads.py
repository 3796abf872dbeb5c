"""A read that shows none, or too few, of the expected events proves nothing, and what comes after it is not new for that."""

import dataclasses
from contextlib import nullcontext
from datetime import timedelta

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.guard import HoldKind
from calrelay.domain.link import ExternalId, MessageMode
from calrelay.engine import decisions
from calrelay.engine.backfill import backfill
from calrelay.engine.order import Reach
from calrelay.engine.report import Outcome
from calrelay.errors import VendorUnavailable
from calrelay.ports import Flaw
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.memory_target import Call
from tests.fakes.pipelines import WINDOW, Bench, a_bench, a_loaded_bench

HOUR = timedelta(hours=1)
A_PAGE_IS_MISSING = Flaw(what="a page is missing", error=VendorUnavailable("503"))


def held(bench: Bench) -> dict[HoldKind, int]:
    return {hold.kind: len(hold.items) for hold in bench.ledger.holds(bench.name)}


async def loaded_in_part(number: int, *, until: int) -> Bench:
    """Load the first events of a window quietly; the rest is refused to any other pass."""
    bench = a_bench(*(an_event(i) for i in range(1, number + 1)), first_load=0)
    part, _ = WINDOW.at(bench.now).split_at(an_event(until).start)
    async for _ in backfill(bench.pipeline, part, MessageMode.NO_BOOKING, lock=nullcontext):
        pass
    assert 0 < len(bench.target.live) < number
    assert (await bench.sync()).outcome is Outcome.REFUSED
    return bench


@pytest.mark.parametrize(("number", "until", "shown"), [(20, 8, 0), (40, 22, 2)])
async def test_what_shows_after_a_first_load_that_ended_with_an_unbelieved_read_is_held(number: int, until: int, shown: int) -> None:
    bench = await loaded_in_part(number, until=until)
    bench.source.hidden |= {SourceId(str(i)) for i in range(shown + 1, number + 1)}
    await bench.sync()
    assert set(held(bench)) == {HoldKind.ABSENCES if shown else HoldKind.EMPTY_READ}
    bench.source.hidden.clear()
    left = number - len(bench.target.live)
    for _ in range(2):
        assert (await bench.sync()).created == 0
        assert held(bench) == {HoldKind.CREATES: left}
    bench.source.put(an_event(100), with_status(an_event(1), "LOST"))
    report = await bench.sync()
    assert (report.created, report.deleted) == (1, 1)


async def test_a_rebuilt_ledger_goes_on_while_what_is_gone_waits_for_a_decision() -> None:
    bench = await a_loaded_bench()
    bench = dataclasses.replace(a_bench(), source=bench.source, target=bench.target)
    bench.source.remove(*range(1, 13))
    await bench.sync(adopts_only=True)
    await bench.sync()
    assert held(bench) == {HoldKind.ABSENCES: 12}
    bench.source.put(an_event(100), with_status(an_event(20), "LOST"))
    report = await bench.sync()
    assert (report.deleted, report.created, held(bench)) == (1, 0, {HoldKind.ABSENCES: 12, HoldKind.CREATES: 1})
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    report = await bench.sync()
    assert (report.deleted, report.created, held(bench)) == (12, 1, {})


async def test_an_incomplete_read_lets_nothing_in_while_an_empty_one_waits_for_a_decision() -> None:
    bench = await a_loaded_bench()
    bench.source.rows.clear()
    await bench.sync()
    bench.source.put(an_event(101))
    bench.source.flaw = A_PAGE_IS_MISSING
    assert (await bench.sync()).created == 0
    assert held(bench) == {HoldKind.EMPTY_READ: 30, HoldKind.CREATES: 1}


@pytest.mark.parametrize("how", ["a quick read", "an incomplete read"])
async def test_nothing_beyond_the_window_is_asked_for_while_an_empty_read_waits_for_a_decision(how: str) -> None:
    bench = await a_loaded_bench()
    far = moved(an_event(1), timedelta(days=400))
    bench.source.put(far)
    await bench.sync(reach=Reach.IDS, ids=frozenset({far.source_id}))
    bench.source.put(moved(far, HOUR))
    bench.target.fail_next(VendorUnavailable("503", account="reminders", status=503), call=Call.UPSERT, times=9)
    await bench.sync(reach=Reach.IDS, ids=frozenset({far.source_id}))  # and so an update is owed for it
    bench.target.stop_failing()
    bench.source.rows.clear()
    bench.source.changed.clear()
    bench.now += timedelta(minutes=5)
    await bench.sync()
    assert held(bench) == {HoldKind.EMPTY_READ: 29}
    if how == "a quick read":
        report = await bench.quick()
    else:
        bench.source.flaw = A_PAGE_IS_MISSING
        report = await bench.sync()
    assert (report.deleted, len(bench.target.live)) == (0, 30)


async def test_what_cannot_be_read_and_is_over_stays_in_quarantine_for_as_long_as_it_shows() -> None:
    bench = await a_loaded_bench()
    bench.source.spoil(1)
    await bench.sync()
    bench.now = an_event(1).end
    for _ in range(4):
        bench.now += timedelta(minutes=5)
        assert (await bench.sync()).quarantined == 1
    told = [happening.what for happening in bench.ledger.history("venue", ExternalId("ms-1"))]
    assert told.count("quarantined") == 1
    bench.source.hidden.add(SourceId("1"))
    assert (await bench.sync()).quarantined == 0
