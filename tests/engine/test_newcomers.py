"""What comes in while a pass sends is let in between two batches: by its start, guarded once, and in its latest form."""

import dataclasses
from collections.abc import Callable

import pytest

from calrelay.domain.event import Event, SourceId
from calrelay.domain.guard import Limit, Limits
from calrelay.domain.link import MessageMode
from calrelay.domain.window import Span
from calrelay.engine.order import Order, Reach
from calrelay.engine.report import Outcome, PassReport
from calrelay.engine.sync import run_pass
from calrelay.errors import VendorUnavailable
from tests.fakes.memory_source import NOW, an_event, moved, with_status
from tests.fakes.pipelines import WINDOW, Bench, a_bench

LOADED, CAUGHT_UP = 10, range(40, 100)  # events at the target, and those that a pass after a long outage finds
SOONEST = 11  # starts before all of those
Happens = Callable[[Bench], object]


class Meanwhile:
    """Lets something happen once so many batches are sent, and has it looked at."""

    def __init__(self, bench: Bench, order: Order, happens: Happens = lambda _: None, *, after: int = 2) -> None:
        self.bench = bench
        self.order: Order | None = order
        self.happens = happens
        self.batches = len(bench.target.upserts) + after
        self.looks: list[PassReport] = []

    @property
    def are_due(self) -> bool:
        return self.order is not None and len(self.bench.target.upserts) >= self.batches

    def next_order(self) -> Order | None:
        self.happens(self.bench)
        order, self.order = self.order, None
        return order

    def taken_in(self, order: Order, report: PassReport) -> None:
        self.looks.append(report)


def at(*numbers: int) -> Order:
    return Order(command="webhook", reach=Reach.IDS, ids=frozenset(SourceId(str(number)) for number in numbers))


QUICK = Order(command="run", reach=Reach.QUICK)


async def a_bench_behind() -> Bench:
    """A bench that has much to catch up with."""
    bench = a_bench(*(an_event(i) for i in range(20, 20 + LOADED)))
    await bench.sync()
    bench.target.upserts.clear()
    bench.limits = Limits(creates=Limit(count=len(CAUGHT_UP)))
    bench.source.put(*(an_event(i) for i in CAUGHT_UP))
    return bench


async def catch_up(bench: Bench, meanwhile: Meanwhile, **changes: object) -> PassReport:
    return await run_pass(bench.pipeline, Order(command="run", **changes), arrivals=meanwhile)  # type: ignore[arg-type] # fields of Order


def comes(*events: Event) -> Happens:
    return lambda bench: bench.source.put(*events)


def sent(bench: Bench) -> list[str]:
    return [put.external_id for put in bench.target.sent]


@pytest.mark.parametrize("order", [at(SOONEST), QUICK])
async def test_a_booking_made_meanwhile_goes_ahead_of_what_starts_later(order: Order) -> None:
    bench = await a_bench_behind()
    report = await catch_up(bench, Meanwhile(bench, order, comes(an_event(SOONEST))))
    assert sent(bench).index(f"ms-{SOONEST}") == 2 * bench.target.batch_size
    assert (report.created, report.held, report.outcome) == (len(CAUGHT_UP) + 1, 0, Outcome.OK)
    assert len(sent(bench)) == len(set(sent(bench)))
    assert (await bench.sync()).sent == 0


async def test_one_that_starts_later_waits_for_its_turn() -> None:
    bench = await a_bench_behind()
    await catch_up(bench, Meanwhile(bench, at(120), comes(an_event(120))))
    assert sent(bench)[-1] == "ms-120"


async def test_what_a_look_reads_again_is_neither_counted_by_the_guards_nor_sent_twice() -> None:
    """As many creates as the guard lets through at once are under way, and one more comes."""
    bench = await a_bench_behind()
    meanwhile = Meanwhile(bench, QUICK, comes(an_event(SOONEST)))
    await catch_up(bench, meanwhile)
    assert [action.link.external_id for action in meanwhile.looks[0].actions] == [f"ms-{SOONEST}"]
    assert sorted(sent(bench)) == sorted(f"ms-{i}" for i in [*CAUGHT_UP, SOONEST])


async def test_one_cancelled_while_it_waits_in_the_queue_is_never_created() -> None:
    bench = await a_bench_behind()
    await catch_up(bench, Meanwhile(bench, at(95), comes(with_status(an_event(95), "LOST"))))
    assert "ms-95" not in sent(bench)


async def test_one_deleted_while_it_waits_in_the_queue_is_never_created() -> None:
    bench = await a_bench_behind()
    await catch_up(bench, Meanwhile(bench, at(95), lambda bench: bench.source.remove(95)))
    assert "ms-95" not in sent(bench)


async def test_one_moved_while_it_waits_in_the_queue_is_sent_once_as_it_is_now() -> None:
    bench = await a_bench_behind()
    later = moved(an_event(95), WINDOW.past)
    await catch_up(bench, Meanwhile(bench, at(95), comes(later)))
    assert (sent(bench).count("ms-95"), bench.target.held("ms-95").start) == (1, later.start)


async def test_one_cancelled_after_it_was_sent_is_taken_out_at_once() -> None:
    bench = await a_bench_behind()
    gone = Meanwhile(bench, at(40), comes(with_status(an_event(40), "LOST")))
    report = await catch_up(bench, gone)
    assert (report.deleted, "ms-40" in bench.target.live) == (1, False)


async def test_a_look_that_fails_changes_nothing_of_the_plan_under_way() -> None:
    bench = await a_bench_behind()
    bench.source.find_error = VendorUnavailable("no answer", account="venue")
    meanwhile = Meanwhile(bench, at(SOONEST), comes(an_event(SOONEST)))
    report = await catch_up(bench, meanwhile)
    assert (report.created, report.outcome) == (len(CAUGHT_UP), Outcome.OK)
    assert meanwhile.looks[0].outcome is not Outcome.OK


async def test_newcomers_are_guarded_and_what_was_let_through_goes_on() -> None:
    bench = await a_bench_behind()
    many = [an_event(i) for i in range(200, 262)]
    report = await catch_up(bench, Meanwhile(bench, QUICK, comes(*many)))
    assert (report.created, report.held) == (len(CAUGHT_UP), len(many))


async def test_what_was_approved_and_waits_in_the_queue_stays_approved() -> None:
    bench = await a_bench_behind()
    bench.limits = Limits(creates=Limit(count=5))
    assert (await bench.sync()).held == len(CAUGHT_UP)
    bench.ledger.approve(bench.ledger.holds("venue"), bench.now)
    report = await catch_up(bench, Meanwhile(bench, QUICK, comes(an_event(SOONEST))))
    assert (report.created, report.held, bench.ledger.holds("venue")) == (len(CAUGHT_UP) + 1, 0, [])


async def test_a_load_keeps_how_its_events_are_marked() -> None:
    bench = await a_bench_behind()
    span = Span(begin=NOW, end=NOW + WINDOW.future)
    changed = dataclasses.replace(an_event(95), title="Renamed")
    meanwhile = Meanwhile(bench, QUICK, comes(an_event(SOONEST), changed))
    await catch_up(bench, meanwhile, is_load=True, mode=MessageMode.NO_BOOKING, span=span)
    marked = {put.external_id for put in bench.target.sent if "#nobooking" in put.entry.content}
    assert marked == {f"ms-{i}" for i in CAUGHT_UP}
    assert (await bench.sync()).updated == 1


async def test_nobody_comes_in_before_the_first_load_is_over() -> None:
    bench = a_bench(*(an_event(i) for i in CAUGHT_UP))
    meanwhile = Meanwhile(bench, QUICK, comes(an_event(SOONEST)))
    await catch_up(bench, meanwhile)
    assert (meanwhile.looks, len(bench.target.live)) == ([], len(CAUGHT_UP))
