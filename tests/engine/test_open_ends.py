"""Requests of which nobody knows whether they were carried out, and refusals that came to a repetition of such a one (rule 19)."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.guard import Limit, Limits
from calrelay.domain.link import ExternalId, Imprint, MessageMode, State, TargetId
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
    bench.target.stop_failing()
    bench.source.put(*(with_status(an_event(number), "LOST") for number in range(31, 35)))
    await some_passes(bench)
    assert len(bench.target.live) == 30


@every_answer
async def test_what_was_plainly_refused_is_not_asked_for_and_forbids_no_other_target(error: VendorError) -> None:
    bench = a_bench(an_event(1))
    bench.target.fail_next(error, call=Call.UPSERT)
    await bench.sync()
    assert (bench.ledger.count_states("venue").get(State.SENDING, 0), bench.target.finds) == (0, [])
    bench.target = MemoryTarget(account="another")
    decisions.retry(bench.ledger, ["venue"], [], clock=lambda: bench.now)
    assert (await bench.sync()).created == 1


@pytest.mark.parametrize("error", [AuthFailed("401", status=401), RateLimited("429")], ids=lambda error: error.message)
async def test_a_delete_that_was_plainly_refused_is_sent_again_without_a_question(error: VendorError) -> None:
    bench = await a_bench_in_step()
    bench.source.remove(1)
    bench.target.fail_next(error, call=Call.DELETE)
    await bench.sync()
    assert bench.ledger.count_states("venue").get(State.SENDING, 0) == 0
    assert ((await bench.sync()).deleted, bench.target.finds) == (1, [])


# --- what a refusal, or silence, says of each event of a batch ---


Answer = Callable[[Sequence[Put]], Awaitable[Sequence[Holding]]]


class Answers:
    """Puts in the place of a target's first answers to PUTs what a test makes of them; the further ones are the target's own."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch, *answers: Answer) -> None:
        self._upsert, self._answers = bench.target.upsert, list(answers)
        monkeypatch.setattr(bench.target, "upsert", self._answer)

    async def _answer(self, puts: Sequence[Put]) -> Sequence[Holding]:
        return await (self._answers.pop(0) if self._answers else self._upsert)(puts)


def failing(error: VendorError, *, after: Callable[[Sequence[Put]], object] = lambda _: None) -> Answer:
    async def fail(puts: Sequence[Put]) -> Sequence[Holding]:
        result = after(puts)
        if isinstance(result, Awaitable):
            await result
        raise error

    return fail


async def cancelled_again(bench: Bench, *numbers: int) -> set[str]:
    """Cancel new bookings, and return what the target holds some passes later beside what it held before."""
    bench.source.put(*(with_status(an_event(number), "LOST") for number in numbers))
    await some_passes(bench)
    before = {f"ms-{number}" for number in range(1, 31)}
    return {external_id for external_id in bench.target.live if external_id not in before}


@pytest.mark.parametrize("error", ANSWERS[2:], ids=lambda error: error.message)
async def test_a_batch_that_was_refused_may_have_been_applied_in_part(error: VendorError, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_bench_in_step()
    bench.source.put(*(an_event(number) for number in range(31, 35)))
    upsert = bench.target.upsert
    Answers(bench, monkeypatch, failing(ANSWERS[1], after=lambda puts: upsert(puts[:2])), failing(error), failing(error))
    await bench.sync()
    assert await cancelled_again(bench, 31, 32, 33, 34) == set()


@pytest.mark.parametrize("error", [ANSWERS[1], ANSWERS[3]], ids=lambda error: error.message)
async def test_an_event_left_out_of_an_answer_may_have_been_applied(error: VendorError, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_bench_in_step()
    bench.source.put(*(an_event(number) for number in range(31, 35)))
    upsert = bench.target.upsert

    async def leave_one_out(puts: Sequence[Put]) -> Sequence[Holding]:
        return [holding for holding in await upsert(puts) if holding.external_id != "ms-32"]

    Answers(bench, monkeypatch, leave_one_out, failing(error), failing(error))
    await bench.sync()
    assert await cancelled_again(bench, 31, 32, 33, 34) == set()


async def test_an_event_that_is_left_out_of_every_answer_is_quarantined_as_the_target_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_bench_in_step()
    bench.source.put(an_event(31))
    upsert = bench.target.upsert

    async def say_nothing(puts: Sequence[Put]) -> Sequence[Holding]:
        await upsert(puts)
        return []

    Answers(bench, monkeypatch, say_nothing)
    bench.target.echoes_external_ids = True
    await bench.sync()
    assert await cancelled_again(bench, 31) == set()


async def test_a_delete_that_was_applied_before_its_repetition_was_refused_is_done_and_its_booking_may_return() -> None:
    bench = await a_bench_in_step()
    bench.source.put(with_status(an_event(5), "LOST"))
    bench.target.fail_next(ANSWERS[1], call=Call.DELETE, applied=Applied.ALL)
    report = await bench.sync()
    assert (report.deleted, report.quarantined) == (1, 0)
    bench.source.put(an_event(5))
    await some_passes(bench)
    assert "ms-5.2" in bench.target.live


# --- what the operator decides while a request is open ---


async def test_an_event_ignored_while_its_request_waits_is_not_called_back(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_bench_in_step()
    bench.source.put(an_event(31))
    ignored = failing(ANSWERS[3], after=lambda _: decisions.ignore(bench.ledger, "ms-31", clock=lambda: bench.now))
    Answers(bench, monkeypatch, ignored)
    await some_passes(bench)
    assert "ms-31" not in bench.target.live


async def test_an_event_ignored_while_it_waits_in_the_queue_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_bench_in_step()
    bench.source.put(*(moved(an_event(number), HOUR * number) for number in range(1, 21)))
    upsert = bench.target.upsert

    async def take(puts: Sequence[Put]) -> Sequence[Holding]:
        decisions.ignore(bench.ledger, "ms-20", clock=lambda: bench.now)
        return await upsert(puts)

    Answers(bench, monkeypatch, take)
    bench.limits = Limits(first_load=10_000, updates=Limit(count=100))
    await bench.sync()
    assert bench.target.held("ms-19").start == moved(an_event(19), HOUR * 19).start
    assert bench.target.held("ms-20").start == an_event(20).start


async def test_what_is_rejected_while_it_waits_in_the_queue_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_bench_in_step()
    bench.source.put(*(an_event(number) for number in range(31, 71)))
    assert (await bench.sync()).held == 40
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    upsert = bench.target.upsert

    async def take(puts: Sequence[Put]) -> Sequence[Holding]:
        decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
        return await upsert(puts)

    Answers(bench, monkeypatch, take)
    report = await bench.sync()
    assert (report.created, len(bench.target.live)) == (10, 40)  # those in hand
    await some_passes(bench)
    assert len(bench.target.live) == 40


async def test_a_cancelled_booking_ignored_while_its_delete_waits_keeps_its_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_bench_in_step()
    bench.source.put(*(with_status(an_event(number), "LOST") for number in (5, 6)))
    delete, deleted = bench.target.delete, list[str]()

    async def deleting(target_id: TargetId) -> None:
        first = next(external_id for external_id, held in bench.target.live.items() if held.target_id == target_id)
        if not deleted:
            decisions.ignore(bench.ledger, "ms-6" if first == "ms-5" else "ms-5", clock=lambda: bench.now)
        deleted.append(first)
        await delete(target_id)

    monkeypatch.setattr(bench.target, "delete", deleting)
    await some_passes(bench)
    assert (len(deleted), len(bench.target.live)) == (1, 29)


async def test_an_event_ignored_while_it_is_deleted_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_bench_in_step()
    bench.source.put(with_status(an_event(5), "LOST"))
    delete = bench.target.delete

    async def deleting(target_id: TargetId) -> None:
        decisions.ignore(bench.ledger, "ms-5", clock=lambda: bench.now)
        await delete(target_id)

    monkeypatch.setattr(bench.target, "delete", deleting)
    await bench.sync()
    bench.source.put(an_event(5))
    await some_passes(bench)
    assert len(bench.target.live) == 29
    link = bench.ledger.links("venue", [SourceId("5")])[SourceId("5")]
    assert (link.state, link.accepted) == (State.IGNORED, None)


async def test_an_event_ignored_while_its_change_is_taken_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_bench_in_step()
    bench.source.put(moved(an_event(5), HOUR))
    upsert = bench.target.upsert

    async def take(puts: Sequence[Put]) -> Sequence[Holding]:
        decisions.ignore(bench.ledger, "ms-5", clock=lambda: bench.now)
        return await upsert(puts)

    Answers(bench, monkeypatch, take)
    await bench.sync()
    link = bench.ledger.links("venue", [SourceId("5")])[SourceId("5")]
    assert (link.state, link.accepted and link.accepted.start) == (State.IGNORED, moved(an_event(5), HOUR).start)


async def test_what_an_expired_approval_covered_waits_for_another_also_where_it_would_not_be_held_any_more() -> None:
    bench = await a_bench_in_step(40)
    bench.source.put(*(with_status(an_event(number), "LOST") for number in range(1, 13)))
    assert (await bench.sync()).held == 12
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    bench.now += timedelta(hours=25)
    bench.limits = Limits(first_load=10_000, deletes=Limit(count=100))
    assert ((await bench.sync()).deleted, len(bench.ledger.holds("venue")[0].items)) == (0, 12)
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    assert ((await bench.sync()).deleted, bench.ledger.holds("venue")) == (12, [])


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
