"""How commands run passes: one failure stops nobody else, and a load waits for its turn."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from calrelay.cli import loading
from calrelay.cli.loading import run_steps, span_of
from calrelay.cli.passes import Done, Watch, document_of, exit_code_of, run_passes
from calrelay.domain.event import SourceId
from calrelay.domain.link import MessageMode
from calrelay.engine.backfill import Step
from calrelay.engine.order import Order
from calrelay.engine.pipeline import Pipeline, calendar_memo
from calrelay.engine.report import Outcome, PassReport
from calrelay.errors import Busy, ExitCode, LeaseLost, StateError, VendorUnavailable
from calrelay.ports import Clock, Flaw, Holding, Put
from tests.fakes.memory_ledger import MemoryLedger
from tests.fakes.memory_source import NOW, an_event
from tests.fakes.pipelines import Bench, a_bench
from tests.unit.cli.schemas import assert_fits


@dataclasses.dataclass(slots=True, kw_only=True)
class Benches:
    """Several pipelines, as an assembled relay has them. `busy` counts how often a lock is refused first."""

    benches: Mapping[str, Bench]
    busy: int = 0
    locked: list[str] = dataclasses.field(default_factory=list)

    @property
    def pipelines(self) -> Mapping[str, Pipeline]:
        return {name: dataclasses.replace(bench, name=name).pipeline for name, bench in self.benches.items()}

    @property
    def clock(self) -> Clock:
        return lambda: NOW

    @contextlib.contextmanager
    def lock(self, pipeline: str) -> Iterator[None]:
        if self.busy:
            self.busy -= 1
            raise Busy(f"pipeline {pipeline} is being worked on by process 7")
        self.locked.append(pipeline)
        yield


class Silent:
    """A progress that nobody watches."""

    def advance(self, done: int, total: int, what: str, *, by: int = 1) -> None:
        """Say nothing."""

    def glance(self, what: str) -> None:
        """Say nothing."""


async def run(relay: Benches, order: Order | None = None) -> Done:
    done = Done()
    await run_passes(relay, order or Order(command="sync"), done.reports)
    return done


async def test_each_pipeline_is_run_under_its_lock_and_reported() -> None:
    relay = Benches(benches={"venue": a_bench(an_event(1))})
    done = await run(relay)
    assert relay.locked == ["venue"]
    assert (done.reports[0].created, exit_code_of(done.reports)) == (1, 0)
    assert_fits(document_of(done.reports), "passes")


async def test_a_plan_takes_no_lock_and_fits_the_same_schema() -> None:
    relay = Benches(benches={"venue": a_bench(an_event(1))})
    done = await run(relay, Order(command="plan", is_dry_run=True))
    assert relay.locked == []
    document = document_of(done.reports)
    assert_fits(document, "passes")
    assert document["passes"][0]["people"] == 1  # type: ignore[index] # a document


async def test_a_vendor_that_is_down_does_not_stop_the_other_pipeline() -> None:
    first, second = a_bench(an_event(1)), a_bench(an_event(2))
    first.source.rows.clear()
    first.source.flaw = Flaw(what="no answer", error=VendorUnavailable("away"))
    done = await run(Benches(benches={"venue": first, "studio": second}))
    assert [report.outcome for report in done.reports] == [Outcome.FAILED, Outcome.OK]
    assert exit_code_of(done.reports) == ExitCode.VENDOR


async def test_a_busy_pipeline_is_a_failed_pass_with_its_own_exit_code() -> None:
    done = await run(Benches(benches={"venue": a_bench(), "studio": a_bench(an_event(2))}, busy=1))
    assert [report.outcome for report in done.reports] == [Outcome.FAILED, Outcome.OK]
    assert exit_code_of(done.reports) == ExitCode.BUSY
    assert_fits(document_of(done.reports), "passes")


async def test_a_bug_in_one_pipeline_leaves_the_others_their_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = a_bench(an_event(1))
    monkeypatch.setattr(broken.source, "read", None)
    done = await run(Benches(benches={"venue": broken, "studio": a_bench(an_event(2))}))
    assert done.reports[0].problems[0].kind == "Bug"
    assert done.reports[1].outcome is Outcome.OK
    assert exit_code_of(done.reports) == ExitCode.BUG


async def test_a_ledger_that_cannot_be_trusted_stops_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = a_bench(an_event(1))

    def damaged(_: str) -> None:
        raise StateError("damaged")

    monkeypatch.setattr(broken.ledger, "pipeline", damaged)
    done = await run(Benches(benches={"venue": broken, "studio": a_bench(an_event(2))}))
    assert [report.pipeline for report in done.reports] == ["venue"]
    assert exit_code_of(done.reports) == ExitCode.STATE


class Failing(MemoryLedger):
    """A ledger that is gone after it has settled so many batches."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def settle(self, *args: Any, **kwargs: Any) -> None:
        if not self.left:
            raise StateError("the state database cannot be reached")
        self.left -= 1
        super().settle(*args, **kwargs)


async def test_a_pass_that_loses_its_ledger_tells_what_it_had_sent_until_then() -> None:
    bench = dataclasses.replace(a_bench(*(an_event(number) for number in range(1, 41))), ledger=Failing(after=2))
    done = await run(Benches(benches={"venue": bench}))
    (report,) = done.reports
    assert (report.read, report.created, report.outcome, report.exit_code) == (40, len(bench.target.live), Outcome.PARTIAL, ExitCode.STATE)
    assert report.created == 30
    assert report.requests["reminders"] == bench.target.requests
    assert [problem.message for problem in report.problems] == ["the state database cannot be reached"]
    assert_fits(document_of(done.reports), "passes")


async def test_a_load_that_loses_its_ledger_knows_what_its_open_chunk_had_sent() -> None:
    bench = dataclasses.replace(
        a_bench(*(an_event(1, source_id=SourceId(str(i))) for i in range(1, 41)), first_load=0), ledger=Failing(after=1)
    )
    relay = Benches(benches={"venue": bench})
    watch = Watch(relay.pipelines["venue"], Order(command="backfill"))
    with pytest.raises(StateError):
        await steps_of(relay, patience=timedelta(), watch=watch)
    (unfinished,) = watch.unfinished(())
    assert unfinished.created == len(bench.target.live) == 20
    assert watch.cut_short(unfinished, []).outcome is Outcome.PARTIAL


async def test_a_sync_that_is_interrupted_tells_what_the_pass_at_work_had_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, reports, third = a_bench(*(an_event(i) for i in range(1, 41))), list[PassReport](), asyncio.Event()
    upsert = bench.target.upsert

    async def slow(puts: Sequence[Put]) -> Sequence[Holding]:
        if len(bench.target.upserts) == 2:
            third.set()
            await asyncio.Event().wait()
        return await upsert(puts)

    monkeypatch.setattr(bench.target, "upsert", slow)
    task = asyncio.create_task(run_passes(Benches(benches={"venue": bench}), Order(command="sync"), reports))
    await third.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert [(report.created, report.outcome) for report in reports] == [(20, Outcome.PARTIAL)]


class LosesItsLease(MemoryLedger):
    """Loses the lease with the second batch; every write fails until it is taken anew."""

    def __init__(self) -> None:
        super().__init__()
        self.batches, self.is_lost = 0, False

    def _check(self) -> None:
        if self.is_lost:
            raise LeaseLost("another process took over")

    def settle(self, *args: Any, **options: Any) -> None:
        self.batches += 1
        self.is_lost = self.is_lost or self.batches == 2
        self._check()
        super().settle(*args, **options)

    def store(self, *args: Any, **options: Any) -> None:
        self._check()
        super().store(*args, **options)

    def record_pass(self, *args: Any, **options: Any) -> None:
        self._check()
        super().record_pass(*args, **options)


async def test_a_load_that_lost_its_lease_and_went_on_counts_what_it_had_sent_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_POLL_SECONDS", 0)
    ledger = LosesItsLease()
    same_day = (an_event(1, source_id=SourceId(str(i))) for i in range(1, 41))
    relay = Benches(benches={"venue": dataclasses.replace(a_bench(*same_day, first_load=0), ledger=ledger)})
    lock = relay.lock

    @contextlib.contextmanager
    def anew(pipeline: str) -> Iterator[None]:
        ledger.is_lost = False
        with lock(pipeline):
            yield

    monkeypatch.setattr(Benches, "lock", lambda _, pipeline: anew(pipeline))
    watch = Watch(relay.pipelines["venue"], Order(command="backfill"))
    steps = await steps_of(relay, patience=timedelta(minutes=1), watch=watch)
    (lost,) = watch.lost
    assert (lost.created, lost.outcome, lost.problems) == (20, Outcome.OK, [])  # ten of them were not recorded, and went again as updates
    assert [sum(counts) for counts in zip(*((s.report.created, s.report.updated, s.report.unchanged) for s in steps), strict=True)] == [
        20,
        10,
        10,
    ]


async def test_what_was_cut_short_says_what_stands_in_quarantine() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 4)))
    bench.source.spoil(2)
    await bench.sync()
    watch = Watch(bench.pipeline, Order(command="sync"))
    assert watch.cut_short(watch.report, []).quarantined == 1
    assert Watch(bench.pipeline, Order(command="plan", is_dry_run=True)).cut_short(watch.report, []).quarantined == 1


async def test_calendars_are_named_where_the_config_names_them() -> None:
    bench = a_bench()
    name, identity = next(iter(bench.target.calendars_by_name.items()))
    pipeline = dataclasses.replace(bench.pipeline, calendar=dataclasses.replace(bench.pipeline.calendar, name=name, id=None))
    assert await pipeline.calendar_names() == {identity: name}
    bench.target.fail_next(VendorUnavailable("away"))
    bench.ledger.save_memo(calendar_memo(bench.pipeline.hasher, bench.target.account, bench.target_identity, name), None, NOW)
    assert await pipeline.calendar_names() == {}


# --- backfill ---


async def test_days_are_whole_and_both_included_on_the_clock_of_the_site() -> None:
    span = span_of(await a_bench().pipeline.source.site_zone(), date(2026, 10, 31), date(2026, 11, 1))
    assert span.begin == datetime(2026, 10, 31, 4, 0, tzinfo=UTC)
    assert span.end == datetime(2026, 11, 2, 5, 0, tzinfo=UTC) - timedelta(microseconds=1)  # the clocks went back in between


def test_days_are_utc_where_the_site_has_no_zone_and_the_load_says_so() -> None:
    span = span_of(None, date(2026, 12, 1), date(2026, 12, 1))
    assert "UTC" in str(loading._clock_of_days(None))
    assert loading._clock_of_days("America/New_York") == []
    assert (span.begin, span.end) == (
        datetime(2026, 12, 1, tzinfo=UTC),
        datetime(2026, 12, 1, 23, 59, 59, 999999, tzinfo=UTC),
    )


async def steps_of(relay: Benches, *, patience: timedelta, watch: Watch | None = None) -> list[Step]:
    pipeline = relay.pipelines["venue"]
    span = span_of(await pipeline.source.site_zone(), date(2026, 11, 21), date(2026, 12, 10))
    watch = watch or Watch(pipeline, Order(command="backfill"))
    return [step async for step in run_steps(relay, "venue", span, MessageMode.NO_BOOKING, bar=Silent(), watch=watch, patience=patience)]


async def test_a_load_waits_for_a_live_pass_and_loads_every_chunk_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_POLL_SECONDS", 0)
    relay = Benches(benches={"venue": a_bench(an_event(3), an_event(12), first_load=0)}, busy=2)
    steps = await steps_of(relay, patience=timedelta(minutes=1))
    assert [(step.days, step.done, step.of) for step in steps] == [(7, 7, 20), (13, 20, 20)]
    assert sum(step.report.created for step in steps) == 2


async def test_a_load_that_waits_does_not_list_the_target_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_POLL_SECONDS", 0)
    asked = []
    for busy in (0, 100):
        bench = a_bench(an_event(3), an_event(12), first_load=0)
        await steps_of(Benches(benches={"venue": bench}, busy=busy), patience=timedelta(minutes=1))
        asked.append(bench.target.requests)
    assert asked[0] == asked[1]


async def test_a_load_gives_up_waiting_in_the_end() -> None:
    relay = Benches(benches={"venue": a_bench(an_event(3))}, busy=1)
    with pytest.raises(Busy):
        await steps_of(relay, patience=timedelta())
