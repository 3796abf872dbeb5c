"""What is rejected while a request for it has no answer: it is heard, nothing is lost by it, and what the target holds is found out."""

import dataclasses
from datetime import timedelta

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.guard import Limit
from calrelay.domain.link import REJECTED_FOR_NOW, ExternalId, Link, State
from calrelay.domain.policy import Match, Route
from calrelay.engine import decisions
from calrelay.engine.report import PassReport
from calrelay.errors import RateLimited, VendorUnavailable
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.memory_target import TERRACE, Applied, Call
from tests.fakes.pipelines import Bench, a_bench

TEN = range(1, 11)
WHILE = timedelta(minutes=20)
NO_ANSWER = VendorUnavailable("no answer")


async def ten_that_belong_to_another_calendar() -> Bench:
    """Return a bench whose bookings all wait in a hold, because a route sends them elsewhere now, and whose hold was approved."""
    bench = a_bench(*(an_event(i) for i in TEN))
    await bench.sync()
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"main hall"})}), calendar=TERRACE),)
    bench.basis = dataclasses.replace(bench.basis, config="2")
    assert (await bench.sync()).held == len(TEN)
    approve(bench)
    return bench


def approve(bench: Bench) -> None:
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)


def reject(bench: Bench) -> None:
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)


async def some_passes(bench: Bench, number: int = 3) -> PassReport:
    for _ in range(number):
        bench.now += WHILE
        report = await bench.sync()
    return report


def link(bench: Bench, number: int) -> Link:
    return bench.ledger.links("venue", [SourceId(str(number))])[SourceId(str(number))]


@pytest.mark.parametrize("applied", Applied)
async def test_a_booking_whose_move_is_rejected_while_its_delete_has_no_answer_stays_somewhere(applied: Applied) -> None:
    bench = await ten_that_belong_to_another_calendar()
    bench.target.fail_next(NO_ANSWER, call=Call.DELETE, after=3, applied=applied)
    await bench.sync()
    reject(bench)
    await some_passes(bench)
    assert len(bench.target.live) == len(TEN)


async def test_bookings_whose_old_entries_are_gone_already_are_created_though_their_move_is_rejected() -> None:
    bench = await ten_that_belong_to_another_calendar()
    bench.target.fail_next(RateLimited("429", account="reminders", status=429), call=Call.UPSERT, times=5)
    await bench.sync()
    assert not bench.target.live
    bench.target.stop_failing()
    reject(bench)
    await some_passes(bench)
    assert len(bench.target.live) == len(TEN)


async def test_a_create_that_is_rejected_after_it_arrived_is_known_and_goes_with_its_booking() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(*(an_event(i) for i in range(31, 71)))
    assert (await bench.sync()).held == 40
    approve(bench)
    bench.target.fail_next(NO_ANSWER, call=Call.UPSERT, applied=Applied.ALL, times=30)
    await bench.sync()
    bench.target.stop_failing()
    sent = [int(one.source_id) for one in bench.ledger.links_in("venue", {State.SENDING})]
    reject(bench)
    assert {link(bench, i).reason for i in sent} == {decisions.REJECTED_IN_FLIGHT}
    await some_passes(bench, 1)
    assert {(link(bench, i).state, link(bench, i).accepted is not None, link(bench, i).reason) for i in sent} == {
        (State.IGNORED, True, REJECTED_FOR_NOW)
    }
    bench.limits = dataclasses.replace(bench.limits, deletes=Limit(count=100, share=1))  # so that no guard is in the way
    bench.source.put(*(with_status(an_event(i), "LOST") for i in sent))
    await some_passes(bench)
    assert sent
    assert not {f"ms-{i}" for i in sent} & bench.target.live.keys()


async def test_a_create_that_is_rejected_before_it_arrives_is_not_sent_again_and_found_when_it_comes_late() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(*(an_event(i) for i in range(31, 71)))
    await bench.sync()
    approve(bench)
    bench.target.fail_next(NO_ANSWER, call=Call.UPSERT, times=30)
    await bench.sync()
    bench.target.stop_failing()
    (first, *_) = bench.ledger.links_in("venue", {State.SENDING})
    reject(bench)
    bench.now += timedelta(seconds=10)
    await bench.sync()
    assert len(bench.target.live) == 30
    late = next(put for put in bench.target.sent if put.external_id == first.external_id)
    bench.target.place(late.external_id, late.entry)
    bench.now += timedelta(minutes=1)
    await bench.sync()
    seen = link(bench, int(first.source_id))
    assert (seen.state, seen.accepted is not None) == (State.IGNORED, True)


async def test_an_update_that_is_rejected_after_it_arrived_is_put_right_when_its_source_is() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(*(moved(an_event(i), timedelta(hours=1)) for i in TEN))
    assert (await bench.sync()).held == len(TEN)
    approve(bench)
    bench.target.fail_next(NO_ANSWER, call=Call.UPSERT, applied=Applied.ALL, times=30)
    await bench.sync()
    bench.target.stop_failing()
    reject(bench)
    await some_passes(bench, 1)
    bench.limits = dataclasses.replace(bench.limits, same_shift=Limit(count=100, share=1))
    bench.source.put(*(an_event(i) for i in TEN))
    await some_passes(bench)
    assert [bench.target.live[ExternalId(f"ms-{i}")].start for i in TEN] == [an_event(i).start for i in TEN]


async def test_a_delete_that_is_rejected_after_it_was_done_is_undone_when_its_booking_returns() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(*(with_status(an_event(i), "LOST") for i in TEN))
    assert (await bench.sync()).held == len(TEN)
    approve(bench)
    bench.target.fail_next(NO_ANSWER, call=Call.DELETE, applied=Applied.ALL)
    await bench.sync()
    reject(bench)
    await bench.sync()
    bench.source.put(*(an_event(i) for i in TEN))
    await some_passes(bench)
    assert {external_id.split(".")[0] for external_id in bench.target.live} == {f"ms-{i}" for i in range(1, 31)}


@pytest.mark.parametrize("applied", Applied)
async def test_what_a_filter_leaves_out_stays_for_good_when_it_is_rejected_while_its_delete_has_no_answer(applied: Applied) -> None:
    bench = a_bench(*(an_event(i) for i in TEN))
    await bench.sync()
    bench.rooms, bench.basis = frozenset({"cellar"}), dataclasses.replace(bench.basis, config="2")
    assert (await bench.sync()).held == len(TEN)
    approve(bench)
    bench.target.fail_next(NO_ANSWER, call=Call.DELETE, applied=applied)
    await bench.sync()
    reject(bench)
    await some_passes(bench)
    assert len(bench.target.live) == (10 if applied is Applied.NOTHING else 9)
    assert {(link(bench, i).state, link(bench, i).accepted is not None) for i in TEN} == (
        {(State.RELEASED, True)} if applied is Applied.NOTHING else {(State.RELEASED, True), (State.SETTLED, False)}
    )
    assert list(bench.ledger.holds()) == []


async def test_an_update_that_is_rejected_while_a_person_deletes_its_entry_is_left_alone_and_not_told_as_quarantined() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(*(moved(an_event(i), timedelta(hours=1)) for i in TEN))
    await bench.sync()
    approve(bench)
    bench.target.fail_next(NO_ANSWER, call=Call.UPSERT, times=30)
    await bench.sync()
    bench.target.stop_failing()
    first = next(iter(bench.ledger.links_in("venue", {State.SENDING})))
    reject(bench)
    await bench.target.delete(bench.target.live[first.external_id].target_id)
    report = await some_passes(bench)
    told = [line.what for line in bench.ledger.history("venue", first.base_id)]
    assert (report.quarantined, link(bench, int(first.source_id)).state) == (0, State.IGNORED)
    assert "resolved" in told
    assert "quarantined" not in told
