"""One pipeline's passes: never two at a time, ended after the answer in hand."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from calrelay.domain.guard import Limits
from calrelay.domain.link import ExternalId, State
from calrelay.engine import decisions
from calrelay.engine.order import Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import Outcome, PassReport
from calrelay.errors import Busy, StateError, VendorUnavailable
from calrelay.ports import Flaw
from calrelay.service.rhythm import Health, Rhythm
from calrelay.service.runner import STUCK_AFTER, Runner
from tests.fakes.memory_source import an_event
from tests.fakes.memory_target import Call
from tests.fakes.pipelines import Bench, a_bench
from tests.unit.service.gates import Gate, GatedSource, GatedTarget

Passes = asyncio.Queue[tuple[Reach, PassReport]]
Lock = Callable[[], AbstractContextManager[object]]


class Hand:
    """A runner, its passes as they end, and a clock that a test moves."""

    def __init__(self, bench: Bench, lock: Lock = nullcontext) -> None:
        self.passes: Passes = asyncio.Queue()
        self.seconds = 0.0
        rhythm = Rhythm(every=timedelta(minutes=5), full_every=timedelta(hours=1))
        self.runner = Runner(bench.pipeline, lock=lock, rhythm=rhythm, listener=self._hear, now=lambda: self.seconds)
        self.task = asyncio.create_task(self.runner.run())

    def _hear(self, _pipeline: Pipeline, reach: Reach, report: PassReport, _health: Health) -> None:
        self.passes.put_nowait((reach, report))

    async def tick(self, reach: Reach = Reach.QUICK, *, after: float = 300) -> tuple[Reach, PassReport]:
        """Say that a pass is due, and return it when it has ended."""
        self.seconds += after
        self.runner.due(reach)
        return await asyncio.wait_for(self.passes.get(), 5)

    async def stop(self) -> None:
        """Stop, and wait for the end."""
        self.runner.stop()
        await asyncio.wait_for(self.task, 5)


async def settle() -> None:
    """Let everything run that can run now."""
    for _ in range(50):
        await asyncio.sleep(0)


def a_gated_bench(number: int) -> tuple[Bench, Gate, Gate]:
    bench = a_bench()
    source, target = GatedSource([an_event(i) for i in range(1, number + 1)]), GatedTarget(batch_size=1)
    source.gate, target.gate = Gate(), Gate()
    bench.source, bench.target = source, target
    return bench, source.gate, target.gate


async def test_the_first_pass_is_complete_then_quick_ones_come() -> None:
    hand = Hand(a_bench(an_event(1)))
    assert [(await hand.tick())[0] for _ in range(2)] == [Reach.COMPLETE, Reach.QUICK]
    assert (await hand.tick(Reach.COMPLETE))[0] is Reach.COMPLETE
    await hand.stop()


async def test_ticks_during_a_pass_start_no_second_one_but_a_complete_one_follows() -> None:
    bench, reading, _ = a_gated_bench(1)
    hand = Hand(bench)
    reading.close()
    hand.runner.due(Reach.COMPLETE)
    await reading.reached.wait()
    for reach in (Reach.QUICK, Reach.COMPLETE, Reach.QUICK):
        hand.runner.due(reach)
    reading.open()
    assert [(await asyncio.wait_for(hand.passes.get(), 5))[0] for _ in range(2)] == [Reach.COMPLETE, Reach.COMPLETE]
    await settle()
    assert hand.passes.empty()
    await hand.stop()


async def test_stopping_waits_for_the_answer_in_hand_and_leaves_the_rest() -> None:
    """The event in hand is recorded as settled; those not yet sent are sent by the next pass, and none twice."""
    bench, _, answering = a_gated_bench(3)
    hand = Hand(bench)
    answering.close()
    hand.runner.due(Reach.COMPLETE)
    await answering.reached.wait()
    hand.runner.stop()
    await settle()
    assert not hand.task.done()
    answering.open()
    await asyncio.wait_for(hand.task, 5)
    assert hand.runner.is_interrupted
    assert (len(bench.target.upserts), len(bench.ledger.links_in("venue", {State.SETTLED}))) == (1, 1)
    report = await bench.sync()
    assert (report.created, len(bench.target.live)) == (2, 3)


async def test_a_stop_that_ends_the_wait_for_a_vendor_is_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that failed once waits to be repeated; the stop ends the wait, and all that is left is the failure."""
    bench = a_bench(an_event(1))
    hand = Hand(bench)
    await hand.tick()
    asked, ends = asyncio.Event(), asyncio.Event()

    async def find(_: ExternalId) -> None:
        asked.set()
        await ends.wait()
        raise VendorUnavailable("503", account="reminders", status=503)

    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=3)
    bench.source.put(an_event(2))
    await hand.tick()
    monkeypatch.setattr(bench.target, "find", find)
    recorded = len(bench.ledger.passes("venue"))
    hand.seconds += 7200  # longer than any back-off
    hand.runner.due(Reach.COMPLETE)
    await asyncio.wait_for(asked.wait(), 5)
    hand.runner.stop()
    ends.set()
    await asyncio.wait_for(hand.task, 5)
    assert (hand.passes.empty(), hand.runner.is_interrupted, len(bench.ledger.passes("venue"))) == (True, True, recorded)


async def test_stopping_while_nothing_runs_ends_at_once() -> None:
    hand = Hand(a_bench())
    await hand.stop()
    assert not hand.runner.is_interrupted


async def test_a_pipeline_somebody_else_works_on_is_skipped_and_told_once() -> None:
    bench, holders = a_bench(an_event(1)), ["calrelay sync", "calrelay sync"]

    def lock() -> AbstractContextManager[object]:
        if holders:
            raise Busy(f"pipeline venue is being worked on by {holders.pop()}")
        return nullcontext()

    hand = Hand(bench, lock)
    with capture_logs() as lines:
        for _ in range(2):
            hand.runner.due(Reach.COMPLETE)
            await settle()
    assert [line["event"] for line in lines] == ["skipped"]
    assert (await hand.tick())[0] is Reach.COMPLETE  # the complete pass is still owed
    await hand.stop()


async def test_a_lease_that_may_be_a_dead_process_s_is_tried_again_when_it_has_run_out() -> None:
    bench, leases = a_bench(an_event(1)), [timedelta(0)] * 3

    def lock() -> AbstractContextManager[object]:
        if leases:
            raise Busy("pipeline venue is being worked on by process 7 on other.example.com", again_after=leases.pop())
        return nullcontext()

    hand = Hand(bench, lock)
    assert (await hand.tick())[1].outcome is Outcome.OK
    assert leases == []
    await hand.stop()


async def test_a_first_load_waits_without_asking_again_and_goes_on_once_it_was_loaded() -> None:
    bench = a_bench(an_event(1))
    bench.limits = Limits(first_load=0)
    hand = Hand(bench)
    _, refused = await hand.tick()
    assert refused.outcome is Outcome.REFUSED
    requests = bench.source.requests
    hand.runner.due(Reach.QUICK)
    await settle()
    assert (bench.source.requests, hand.passes.empty()) == (requests, True)
    bench.limits = Limits(first_load=10)
    assert (await bench.sync()).outcome is Outcome.OK  # as a backfill by hand does it
    assert (await hand.tick())[1].outcome is Outcome.OK
    await hand.stop()


async def test_a_paused_pipeline_goes_on_with_the_first_tick_after_it_was_resumed() -> None:
    bench = a_bench(an_event(1))
    decisions.set_paused(bench.ledger, "venue", is_paused=True)
    hand = Hand(bench)
    assert (await hand.tick())[1].outcome is Outcome.REFUSED
    decisions.set_paused(bench.ledger, "venue", is_paused=False)
    reach, report = await hand.tick()
    assert (reach, report.outcome) == (Reach.COMPLETE, Outcome.OK)
    await hand.stop()


async def test_an_incomplete_read_is_repeated_as_a_complete_one() -> None:
    bench = a_bench(an_event(1))
    bench.source.flaw = Flaw(what="page 2", error=VendorUnavailable("no answer", account="venue"))
    hand = Hand(bench)
    await hand.tick()
    bench.source.flaw = None
    reach, report = await hand.tick()
    assert (reach, report.outcome) == (Reach.COMPLETE, Outcome.OK)
    await hand.stop()


async def test_a_ledger_that_cannot_be_trusted_ends_the_runner() -> None:
    def lock() -> AbstractContextManager[object]:
        raise StateError("the disk is full")

    hand = Hand(a_bench(), lock)
    hand.runner.due(Reach.COMPLETE)
    with pytest.raises(StateError):
        await asyncio.wait_for(hand.task, 5)


async def test_a_pass_is_stuck_when_it_neither_asks_nor_gets_on() -> None:
    bench, reading, _ = a_gated_bench(1)
    hand = Hand(bench)
    reading.close()
    hand.runner.due(Reach.COMPLETE)
    await reading.reached.wait()
    assert not hand.runner.is_stuck()  # systemd is told every few seconds, so this has been looked at before
    hand.seconds += STUCK_AFTER.total_seconds() - 1
    assert not hand.runner.is_stuck()
    hand.seconds += 2
    assert hand.runner.is_stuck()
    bench.source.requests += 1  # a vendor that answers slowly is not ours to be blamed for
    assert not hand.runner.is_stuck()
    reading.open()
    await asyncio.wait_for(hand.passes.get(), 5)
    hand.seconds += 2 * STUCK_AFTER.total_seconds()
    assert not hand.runner.is_stuck()
    await hand.stop()


async def test_no_pass_begins_while_somebody_keeps_it_at_rest() -> None:
    hand = Hand(a_bench(an_event(1)))
    async with hand.runner.at_rest():
        hand.runner.due(Reach.COMPLETE)
        await settle()
        assert not hand.runner.is_working
        assert hand.passes.empty()
    assert (await asyncio.wait_for(hand.passes.get(), 5))[0] is Reach.COMPLETE
    await hand.stop()


async def test_rest_comes_after_the_pass_under_way() -> None:
    bench, source, _ = a_gated_bench(1)
    hand = Hand(bench)
    source.close()
    hand.runner.due(Reach.COMPLETE)
    await asyncio.wait_for(source.reached.wait(), 5)
    assert hand.runner.is_working
    rest = asyncio.create_task(hand.runner.at_rest().__aenter__())
    await settle()
    assert not rest.done()
    source.open()
    await asyncio.wait_for(rest, 5)
    assert not hand.passes.empty()
    await hand.runner.at_rest().__aexit__(None, None, None)
    await hand.stop()


async def test_a_pass_that_waited_for_its_turn_when_stopped_is_still_owed() -> None:
    hand = Hand(a_bench(an_event(1)))
    async with hand.runner.at_rest():
        hand.runner.due(Reach.COMPLETE)
        await settle()
        hand.runner.stop()
    await asyncio.wait_for(hand.task, 5)
    assert hand.runner.is_interrupted
    assert hand.passes.empty()
