"""What a runner does with the events that webhooks name: soon, cheaply, and never in the way of scheduled passes."""

import asyncio
import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

from structlog.testing import capture_logs

from calrelay.domain.event import SourceId
from calrelay.domain.guard import HoldKind, Limit, Limits
from calrelay.engine import decisions
from calrelay.engine.order import Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import Outcome, PassReport
from calrelay.errors import Busy, ResponseInvalid, VendorUnavailable
from calrelay.service.hints import AT_ONCE, MOST, Fate
from calrelay.service.rhythm import Health, Rhythm
from calrelay.service.runner import Runner
from tests.fakes.memory_source import an_event, moved
from tests.fakes.pipelines import Bench, a_bench
from tests.unit.service.gates import Gate, GatedSource

HOUR = timedelta(hours=1)


class Hand:
    """A runner that has loaded its pipeline, its passes as they end, and a clock that a test moves."""

    def __init__(self, bench: Bench, lock: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        self.bench = bench
        self.passes: asyncio.Queue[tuple[Reach, PassReport]] = asyncio.Queue()
        self.seconds = 0.0
        self.told: list[tuple[Fate, float]] = []
        rhythm = Rhythm(every=timedelta(minutes=5), full_every=HOUR)
        self.runner = Runner(bench.pipeline, lock=lock, rhythm=rhythm, listener=self._hear, now=lambda: self.seconds)
        self.task = asyncio.create_task(self.runner.run())

    def _hear(self, _pipeline: Pipeline, reach: Reach, report: PassReport, _health: Health) -> None:
        self.passes.put_nowait((reach, report))

    async def tick(self, reach: Reach = Reach.QUICK, *, after: float = 300) -> tuple[Reach, PassReport]:
        """Say that a scheduled pass is due, and return it when it has ended."""
        self.seconds += after
        self.runner.due(reach)
        return await self.next()

    def hint(self, *numbers: int) -> None:
        """Say that webhooks named these events, a second after whatever was before."""
        self.seconds += 1
        self.runner.hint([SourceId(str(number)) for number in numbers], told=lambda fate, lag: self.told.append((fate, lag)))

    async def next(self) -> tuple[Reach, PassReport]:
        """Wait for the next pass to end."""
        return await asyncio.wait_for(self.passes.get(), 5)

    async def rest(self) -> None:
        """Let everything run that can run now, and see that no pass has ended."""
        for _ in range(200):
            await asyncio.sleep(0)
        assert self.passes.empty()

    async def stop(self) -> None:
        """Stop, and wait for the end."""
        self.runner.stop()
        await asyncio.wait_for(self.task, 5)


async def a_loaded_hand(number: int = 20, **limits: object) -> Hand:
    bench = a_bench(*(an_event(i) for i in range(1, number + 1)))
    bench.limits = Limits(first_load=10_000, **limits)  # type: ignore[arg-type] # the fields of Limits
    hand = Hand(bench)
    assert (await hand.tick())[1].outcome is Outcome.OK
    return hand


def a_gated(hand: Hand) -> Gate:
    """Put a gate before the reads of a loaded pipeline."""
    source = GatedSource(list(hand.bench.source.rows.values()))  # type: ignore[arg-type] # events only
    source.gate = Gate()
    hand.bench.source = source
    hand.runner.pipeline = hand.bench.pipeline
    return source.gate


async def test_a_named_event_is_read_by_its_id_and_its_lag_is_told() -> None:
    hand = await a_loaded_hand()
    hand.bench.source.put(moved(an_event(1), HOUR))
    hand.hint(1)
    reach, report = await hand.next()
    assert (reach, report.command, report.read, report.updated) == (Reach.IDS, "webhook", 1, 1)
    assert hand.told == [(Fate.READ, 0.0)]
    await hand.stop()


async def test_a_burst_about_one_event_costs_one_request() -> None:
    hand = await a_loaded_hand()
    requests = hand.bench.source.requests
    for _ in range(9):
        hand.hint(1)
    await hand.next()
    await hand.rest()
    assert hand.bench.source.requests == requests + 1
    await hand.stop()


async def test_scheduled_passes_keep_their_rhythm_and_freshness_theirs() -> None:
    """A look at named events counts as no pass: the quick one due right after it is not left out, and the complete one not put off."""
    hand = await a_loaded_hand()
    before = hand.bench.ledger.pipeline("venue")
    hand.seconds += 299
    hand.hint(1)
    assert (await hand.next())[0] is Reach.IDS
    assert hand.bench.ledger.pipeline("venue") == before
    assert (await hand.tick(after=0))[0] is Reach.QUICK
    assert (await hand.tick(Reach.COMPLETE))[0] is Reach.COMPLETE
    await hand.stop()


async def test_a_quick_pass_that_falls_due_during_a_look_at_named_events_is_not_lost() -> None:
    hand = await a_loaded_hand()
    reached, going_on = asyncio.Event(), asyncio.Event()
    find = hand.bench.source.find

    async def slow(source_id: SourceId, *, is_missing: bool = False) -> object:
        reached.set()
        await going_on.wait()
        return await find(source_id, is_missing=is_missing)

    hand.bench.source.find = slow  # type: ignore[method-assign, assignment] # a vendor that takes its time
    hand.hint(1)
    await asyncio.wait_for(reached.wait(), 5)
    hand.seconds += 300
    hand.runner.due(Reach.QUICK)
    going_on.set()
    assert [(await hand.next())[0] for _ in range(2)] == [Reach.IDS, Reach.QUICK]
    await hand.stop()


async def test_a_scheduled_pass_goes_first_and_a_complete_one_makes_older_hints_needless() -> None:
    hand = await a_loaded_hand()
    hand.hint(1, 2)
    assert (await hand.tick(Reach.COMPLETE))[0] is Reach.COMPLETE
    await hand.rest()
    assert hand.told == [(Fate.READ, 300.0)] * 2
    await hand.stop()


async def test_a_hint_during_a_complete_pass_is_looked_at_after_it() -> None:
    hand = await a_loaded_hand()
    gate = a_gated(hand)
    gate.close()
    hand.runner.due(Reach.COMPLETE)
    await asyncio.wait_for(gate.reached.wait(), 5)
    hand.hint(1)
    gate.open()
    assert [(await hand.next())[0] for _ in range(2)] == [Reach.COMPLETE, Reach.IDS]
    await hand.stop()


async def test_many_named_events_are_read_together_where_that_is_cheaper() -> None:
    hand = await a_loaded_hand(60)
    requests = hand.bench.source.requests
    hand.hint(*range(1, 31))
    reach, _ = await hand.next()
    await hand.rest()
    assert (reach, hand.bench.source.found, len(hand.told)) == (Reach.COMPLETE, [], 30)
    assert hand.bench.source.requests < requests + 30
    await hand.stop()


async def test_where_each_has_to_be_asked_for_a_few_at_a_time_are() -> None:
    hand = await a_loaded_hand(60)
    hand.bench.source.page_size = 1  # a page an event, as if the account were huge
    await hand.tick(Reach.COMPLETE)
    hand.hint(*range(1, 3 * AT_ONCE))
    assert [(await hand.next())[1].read for _ in range(3)] == [AT_ONCE, AT_ONCE, AT_ONCE - 1]
    assert len(hand.told) == 3 * AT_ONCE - 1
    await hand.stop()


async def test_a_flood_makes_one_read_of_what_changed_and_loses_nothing() -> None:
    hand = await a_loaded_hand()
    hand.bench.source.put(moved(an_event(1), HOUR))
    hand.hint(*range(1_000, 1_000 + MOST), 1)
    reach, report = await hand.next()
    await hand.rest()
    assert (reach, report.updated, len(hand.runner.hints)) == (Reach.QUICK, 1, 0)
    await hand.stop()


async def test_before_the_first_load_is_over_hints_start_nothing() -> None:
    bench = a_bench(an_event(1), first_load=0)
    hand = Hand(bench)
    assert (await hand.tick())[1].outcome is Outcome.REFUSED
    requests = bench.source.requests
    hand.hint(1)
    await hand.rest()
    assert (bench.source.requests, hand.told, bench.target.upserts) == (requests, [(Fate.DROPPED, 0.0)], [])
    await hand.stop()


async def test_a_paused_pipeline_is_left_alone() -> None:
    hand = await a_loaded_hand()
    decisions.set_paused(hand.bench.ledger, "venue", is_paused=True)
    hand.hint(1)
    await hand.rest()
    assert hand.told == [(Fate.DROPPED, 0.0)]
    await hand.stop()


async def test_while_the_vendor_is_down_hints_wait_for_a_pass_that_goes_well_and_this_is_told_once() -> None:
    hand = await a_loaded_hand()
    hand.bench.source.put(moved(an_event(1), HOUR))
    hand.bench.source.find_error = VendorUnavailable("no answer", account="venue")
    with capture_logs() as lines:
        hand.hint(1)
        assert (await hand.next())[1].outcome is Outcome.FAILED
        for _ in range(5):
            hand.hint(1, 2)
        await hand.rest()
    assert [line["event"] for line in lines] == ["webhooks wait for the next pass"]
    assert hand.runner.rhythm.health is Health.WELL  # the next scheduled pass is tried as if nothing had been
    hand.bench.source.find_error = None
    assert [(await hand.tick())[0], (await hand.next())[0]] == [Reach.QUICK, Reach.IDS]
    assert [fate for fate, _ in hand.told] == [Fate.READ] * 2
    await hand.stop()


async def test_one_event_that_cannot_be_told_does_not_stop_the_others() -> None:
    hand = await a_loaded_hand()
    hand.bench.source.find_error = ResponseInvalid("an empty answer", account="venue")
    hand.hint(1)
    await hand.next()
    hand.bench.source.find_error = None
    hand.hint(2)
    assert (await hand.next())[1].outcome is Outcome.OK
    await hand.stop()


async def test_while_somebody_else_works_on_the_pipeline_hints_wait() -> None:
    bench = a_bench(an_event(1))
    is_busy = False

    def lock() -> AbstractContextManager[object]:
        if is_busy:
            raise Busy("pipeline venue is being worked on by calrelay backfill")
        return nullcontext()

    hand = Hand(bench, lock)
    await hand.tick()
    is_busy = True
    hand.hint(1)
    await hand.rest()
    is_busy = False
    hand.hint(1)
    await hand.rest()
    assert [(await hand.tick())[0], (await hand.next())[0]] == [Reach.QUICK, Reach.IDS]
    await hand.stop()


async def test_what_came_in_drops_is_guarded_together_until_the_next_scheduled_pass() -> None:
    hand = await a_loaded_hand(20, same_shift=Limit(count=5, share=0.1))
    for number in range(1, 8):
        hand.bench.source.put(moved(an_event(number), HOUR))
        hand.hint(number)
        await hand.next()
    (hold,) = hand.bench.ledger.holds("venue")
    assert (hold.kind, len(hold.items)) == (HoldKind.SAME_SHIFT, 3)
    await hand.stop()


async def test_hints_and_what_counts_with_them_outlive_a_reload() -> None:
    hand = await a_loaded_hand(20, updates=Limit(count=1, share=0.0))
    hand.bench.source.put(moved(an_event(1), HOUR), moved(an_event(2), HOUR))
    hand.hint(2)
    assert (await hand.next())[1].updated == 1
    await hand.stop()
    hand.hint(1)
    runner = Runner(
        hand.bench.pipeline,
        lock=nullcontext,
        rhythm=hand.runner.rhythm,
        listener=hand._hear,
        now=lambda: hand.seconds,
        hints=hand.runner.hints,
    )
    task = asyncio.create_task(runner.run())
    reach, report = await hand.next()
    assert (reach, report.updated, report.held) == (Reach.IDS, 0, 1)
    runner.stop()
    await asyncio.wait_for(task, 5)


async def test_a_change_of_a_named_event_is_sent_once_though_it_is_named_by_three_webhooks() -> None:
    hand = await a_loaded_hand()
    hand.bench.source.put(dataclasses.replace(an_event(1), title="Dinner, renamed"))
    sent = len(hand.bench.target.sent)
    for _ in range(3):
        hand.hint(1)
        await hand.next()
    assert len(hand.bench.target.sent) == sent + 1
    await hand.stop()
