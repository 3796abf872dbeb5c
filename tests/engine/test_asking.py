"""After a kill the target is asked for what was in flight, in few requests."""

import dataclasses

import pytest

from calrelay.domain.link import State
from calrelay.errors import ExitCode, VendorUnavailable
from tests.fakes.memory_source import an_event
from tests.fakes.memory_target import Applied, Call
from tests.fakes.pipelines import Bench, a_bench

IN_FLIGHT = 100


async def broken_off(applied: Applied) -> Bench:
    """A bench that died with a large batch in flight, of which this much was applied."""
    bench = a_bench(*(an_event(i) for i in range(1, IN_FLIGHT + 1)))
    bench.target.batch_size = IN_FLIGHT
    await bench.sync()
    bench.source.put(*(dataclasses.replace(an_event(i), title=f"Renamed {i}") for i in range(1, IN_FLIGHT + 1)))
    bench.limits = dataclasses.replace(bench.limits, updates=dataclasses.replace(bench.limits.updates, count=IN_FLIGHT))
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=1, applied=applied)
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=1)
    await bench.sync()
    assert len(list(bench.ledger.links_in("venue", {State.SENDING}))) == IN_FLIGHT
    bench.target.stop_failing()
    bench.target.finds.clear()
    return bench


@pytest.mark.parametrize("applied", list(Applied))
async def test_what_the_list_of_their_days_shows_is_not_asked_for_one_by_one(applied: Applied) -> None:
    bench = await broken_off(applied)
    requests = bench.target.requests
    report = await bench.sync()
    assert (report.updated, bench.target.finds) == (IN_FLIGHT, [])
    assert bench.target.requests - requests <= 3  # a page, the one after it, and the batch
    assert {held.title for held in bench.target.live.values()} == {f"Renamed {i}" for i in range(1, IN_FLIGHT + 1)}


async def test_what_the_list_does_not_show_is_asked_for_by_id() -> None:
    bench = await broken_off(Applied.NOTHING)
    bench.target.change("ms-7", is_deleted=True)
    report = await bench.sync()
    assert (bench.target.finds, report.quarantined) == (["ms-7"], 1)


async def test_a_list_that_names_no_ids_or_breaks_off_proves_nothing() -> None:
    bench = await broken_off(Applied.NOTHING)
    bench.target.echoes_external_ids = False
    await bench.sync()
    assert sorted(bench.target.finds) == sorted(f"ms-{i}" for i in range(1, IN_FLIGHT + 1))


async def test_one_that_cannot_be_asked_for_stops_the_pass_before_anything_is_planned() -> None:
    bench = await broken_off(Applied.NOTHING)
    bench.target.lose("ms-7")
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.FIND, times=20)
    report = await bench.sync()
    assert (report.exit_code, report.read) == (ExitCode.VENDOR, 0)
    assert len(list(bench.ledger.links_in("venue", {State.SENDING}))) == IN_FLIGHT
