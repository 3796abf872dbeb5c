"""A hold ends with what was decided over it, also where the pass that carried it out was interrupted."""

from datetime import timedelta

import pytest

from calrelay.domain.link import ExternalId
from calrelay.engine import decisions
from calrelay.errors import VendorUnavailable
from tests.fakes.memory_source import NOW, an_event
from tests.fakes.memory_target import Applied, Call
from tests.fakes.pipelines import Bench, a_bench


async def a_bench_that_lost_all_its_bookings() -> Bench:
    bench = a_bench(*(an_event(number) for number in range(1, 11)))
    await bench.sync()
    bench.source.rows.clear()
    assert (await bench.sync()).held == 10
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    return bench


@pytest.mark.parametrize("applied", Applied)
@pytest.mark.parametrize("calls", [1, 4, 10])
async def test_approved_deletes_of_which_some_were_carried_out_before_the_target_failed_leave_no_hold(calls: int, applied: Applied) -> None:
    bench = await a_bench_that_lost_all_its_bookings()
    bench.target.fail_next(VendorUnavailable("down", account="reminders"), call=Call.DELETE, applied=applied, after=calls - 1)
    await bench.sync()
    bench.now += timedelta(minutes=5)
    await bench.sync()
    await bench.sync()
    assert bench.target.live == {}
    assert bench.ledger.holds("venue") == []


async def test_a_delete_whose_answer_was_lost_counts_for_the_guard_and_in_the_history() -> None:
    bench = a_bench(*(an_event(number) for number in range(1, 11)))
    await bench.sync()
    bench.source.remove(1)
    bench.target.fail_next(VendorUnavailable("down", account="reminders"), call=Call.DELETE, applied=Applied.ALL)
    await bench.sync()
    assert bench.ledger.deletes_since("venue", NOW) == 0
    await bench.sync()
    assert bench.ledger.deletes_since("venue", NOW - timedelta(hours=1)) == 1
    assert [line.what for line in bench.ledger.history("venue", ExternalId("ms-1"))] == ["created", "deleted"]
