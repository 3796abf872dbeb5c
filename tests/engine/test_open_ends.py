"""Requests of which nobody knows whether they were carried out, and refusals that came to a repetition of such a one (rule 19)."""

import contextlib
from collections.abc import Sequence
from datetime import timedelta

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.link import ExternalId, Imprint, MessageMode, State
from calrelay.domain.window import Span
from calrelay.engine import decisions
from calrelay.engine.backfill import backfill, is_sound
from calrelay.errors import AuthFailed, NotFound, RateLimited, RequestRejected, VendorError, VendorUnavailable
from calrelay.ports import Holding, Put
from tests.fakes.links import a_link
from tests.fakes.memory_source import NOW, an_event, moved, with_status
from tests.fakes.memory_target import MAIN_HALL, Applied, Call, MemoryTarget
from tests.fakes.pipelines import Bench, a_bench

HOUR = timedelta(hours=1)
BAD_GATEWAY = VendorUnavailable("502", account="reminders", status=502)


ANSWERS = [
    NotFound("404", account="reminders", status=404),
    RequestRejected("400", account="reminders", status=400),
    AuthFailed("401", account="reminders", status=401),
    RateLimited("429", account="reminders"),
]
every_answer = pytest.mark.parametrize("error", ANSWERS, ids=lambda error: error.message)


async def a_bench_in_step(number: int = 30) -> Bench:
    bench = a_bench(*(an_event(i) for i in range(1, number + 1)))
    await bench.sync()
    return bench


async def some_passes(bench: Bench) -> None:
    for _ in range(3):
        bench.now += timedelta(minutes=10)
        await bench.sync()


@every_answer
async def test_a_create_that_was_applied_before_its_repetition_was_refused_is_taken_out_once_it_is_cancelled(error: VendorError) -> None:
    bench = await a_bench_in_step()
    bench.source.put(an_event(31))
    bench.target.fail_next(error, call=Call.UPSERT, applied=Applied.ALL)
    await bench.sync()
    assert "ms-31" in bench.target.live
    bench.source.put(with_status(an_event(31), "LOST"))
    await some_passes(bench)
    assert "ms-31" not in bench.target.live


@every_answer
async def test_a_change_that_was_applied_before_its_repetition_was_refused_is_taken_back_with_the_booking_s(error: VendorError) -> None:
    bench = await a_bench_in_step()
    bench.source.put(moved(an_event(5), HOUR))
    bench.target.fail_next(error, call=Call.UPSERT, applied=Applied.ALL)
    await bench.sync()
    bench.source.put(an_event(5))
    await some_passes(bench)
    assert bench.target.held("ms-5").start == an_event(5).start


@every_answer
async def test_a_batch_that_was_applied_and_answered_502_is_not_taken_for_refused_by_what_its_halves_are_told(error: VendorError) -> None:
    bench = await a_bench_in_step()
    bench.source.put(*(an_event(number) for number in range(31, 35)))
    bench.target.fail_next(BAD_GATEWAY, call=Call.UPSERT, applied=Applied.ALL)
    bench.target.fail_next(error, call=Call.UPSERT, times=10)
    await bench.sync()
    assert len(bench.target.live) == 34
    bench.target._failing.clear()
    bench.source.put(*(with_status(an_event(number), "LOST") for number in range(31, 35)))
    await some_passes(bench)
    assert len(bench.target.live) == 30


@every_answer
async def test_what_was_plainly_refused_is_not_asked_for_and_forbids_no_other_target(error: VendorError) -> None:
    bench = a_bench(an_event(1), an_event(2))
    bench.target.fail_next(error, call=Call.UPSERT, times=3)
    await bench.sync()
    assert (bench.ledger.count_states("venue").get(State.SENDING, 0), bench.target.finds) == (0, [])
    bench.target = MemoryTarget(account="another")
    decisions.retry(bench.ledger, ["venue"], [], clock=lambda: bench.now)
    assert (await bench.sync()).created == 2


@pytest.mark.parametrize("error", [AuthFailed("401", status=401), RateLimited("429")], ids=lambda error: error.message)
async def test_a_delete_that_was_plainly_refused_is_sent_again_without_a_question(error: VendorError) -> None:
    bench = await a_bench_in_step()
    bench.source.remove(1)
    bench.target.fail_next(error, call=Call.DELETE)
    await bench.sync()
    assert bench.ledger.count_states("venue").get(State.SENDING, 0) == 0
    assert ((await bench.sync()).deleted, bench.target.finds) == (1, [])


async def test_a_change_refused_because_somebody_deleted_its_entry_meanwhile_is_left_to_the_operator() -> None:
    bench = await a_bench_in_step()
    bench.source.put(moved(an_event(5), HOUR))
    bench.target.change("ms-5", is_deleted=True)
    bench.target.fail_next(BAD_GATEWAY, call=Call.UPSERT)
    bench.target.fail_next(RequestRejected("400", account="reminders", status=400), call=Call.UPSERT)
    bench.source.put(moved(an_event(6), HOUR))
    report = await bench.sync()
    assert (report.quarantined, report.updated) == (1, 1)
    (link,) = bench.ledger.links_in("venue", {State.QUARANTINED})
    assert "deleted it at the target" in link.reason
    await some_passes(bench)
    assert "ms-5" not in bench.target.live


async def test_approved_deletes_whose_answers_were_lost_do_not_use_up_what_a_day_may_delete() -> None:
    bench = await a_bench_in_step(40)
    bench.source.remove(*range(1, 13))
    assert (await bench.sync()).held == 12
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    for _ in range(12):  # one delete a pass, and its answer is lost
        bench.target.fail_next(VendorUnavailable("no answer"), call=Call.DELETE, applied=Applied.ALL)
        bench.now += timedelta(minutes=5)
        await bench.sync()
    await bench.sync()
    assert (len(bench.target.live), bench.ledger.deletes_since("venue", NOW)) == (28, 0)


async def test_an_approval_outlives_a_pass_that_could_not_ask_for_its_events() -> None:
    bench = await a_bench_in_step(40)
    bench.source.remove(*range(1, 13))
    assert (await bench.sync()).held == 12
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    bench.source.find_error = VendorUnavailable("503", account="venue")
    await bench.sync()
    assert sum(len(hold.items) for hold in bench.ledger.holds("venue")) == bench.ledger.count_states("venue")[State.HELD]
    bench.source.find_error = None
    report = await bench.sync()
    assert (report.held, len(bench.target.live), bench.ledger.holds("venue")) == (0, 28, [])


async def test_a_chunk_that_met_another_pipeline_s_claim_is_not_taken_for_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rest would come later, as new bookings, and message guests whom the load was to spare."""
    soon = [an_event(1, source_id=SourceId(str(i)), group=f"b{i}", title=f"Dinner {i}") for i in range(1, 31)]
    bench = a_bench(*soon, first_load=0)
    theirs = Imprint(calendar=MAIN_HALL, start=soon[14].start, end=soon[14].end, hashes={})
    claim = a_link(15, pipeline="other", base_id=ExternalId("ms-15"), target="reminders", state=State.READY, wanted=theirs, accepted=None)
    upsert = bench.target.upsert

    async def racing(puts: Sequence[Put]) -> Sequence[Holding]:
        bench.ledger.store([claim])
        return await upsert(puts)

    monkeypatch.setattr(bench.target, "upsert", racing)
    span = Span(begin=NOW - HOUR, end=NOW + timedelta(days=181))

    async def load() -> bool:
        steps = [step async for step in backfill(bench.pipeline, span, MessageMode.NO_BOOKING, lock=contextlib.nullcontext)]
        return all(is_sound(step.report) for step in steps)

    assert not await load()
    assert bench.ledger.pipeline("venue").first_complete_at is None
    assert await load()
    await bench.sync()
    assert len(bench.target.live) == 29
    assert all("#nobooking" in (holding.content or "") for holding in bench.target.live.values())


def test_only_a_plain_refusal_proves_that_nothing_was_done() -> None:
    closed = [400, 401, 404, 422, 429, 499]
    assert [VendorError("", status=status).is_open for status in closed] == [False] * len(closed)
    assert all(VendorError("", status=status).is_open for status in (None, 200, 302, 408, 500, 502, 503))
