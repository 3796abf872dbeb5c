"""A hold ends with what was decided over it, also where the pass that carried it out was interrupted."""

from datetime import timedelta

import pytest

from calrelay.engine import decisions
from calrelay.errors import VendorUnavailable
from tests.fakes.memory_source import an_event
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
