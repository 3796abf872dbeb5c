"""What waits, is held or refused before it was ever created: it is decided once, and never messages more people than was said last."""

from contextlib import nullcontext
from datetime import time, timedelta

import pytest

from calrelay.domain.event import Event
from calrelay.domain.guard import HoldKind
from calrelay.domain.link import Basis, ExternalId, MessageMode, State
from calrelay.domain.window import Hours, Span
from calrelay.engine import decisions
from calrelay.engine.backfill import backfill
from calrelay.engine.report import PassReport
from calrelay.errors import AuthFailed
from tests.fakes.memory_source import NOW, an_event, moved
from tests.fakes.memory_target import Call, Poison
from tests.fakes.pipelines import Bench, a_bench

DAY = timedelta(days=1)
WHOLE = Span(begin=NOW - DAY, end=NOW + 179 * DAY)
SOON = timedelta(minutes=10)


def events(number: int, first: int = 1) -> list[Event]:
    return [an_event(i) for i in range(first, first + number)]


async def load(bench: Bench, mode: MessageMode) -> list[PassReport]:
    return [step.report async for step in backfill(bench.pipeline, WHOLE, mode, lock=nullcontext)]


def content_of(bench: Bench, external_id: str) -> str:
    return bench.target.held(external_id).content or ""


# --- decided once ---


async def test_what_a_first_load_lets_wait_is_created_later_without_another_decision() -> None:
    bench = a_bench(*events(40))
    bench.settle = SOON
    report = await bench.sync()
    assert (report.created, report.waiting, report.held, report.exit_code) == (0, 40, 0, 0)
    bench.now += 2 * SOON
    report = await bench.sync()
    assert (report.created, report.waiting, report.held) == (40, 0, 0)


async def test_what_a_backfill_lets_wait_is_created_later_as_it_was_marked() -> None:
    bench = a_bench(*events(40), first_load=0)
    bench.settle = SOON
    await load(bench, MessageMode.SKIP)
    assert bench.ledger.count_states("venue")[State.WAITING] == 40
    bench.now += 2 * SOON
    report = await bench.sync()
    assert (report.created, report.held, report.exit_code) == (40, 0, 0)
    assert {content_of(bench, external_id).rpartition("\n")[2] for external_id in bench.target.live} == {"#skip"}


async def test_bookings_of_a_night_are_created_in_the_morning_without_a_hold() -> None:
    bench = a_bench(*events(30))
    await bench.sync()
    bench.create_hours = Hours(begin=time(3), end=time(3, 1))  # not now
    for number in range(31, 61):
        bench.source.put(an_event(number))
        assert (await bench.sync()).held == 0
    bench.create_hours = None
    report = await bench.sync()
    assert (report.created, report.held) == (30, 0)


async def test_too_many_new_events_at_once_are_held_however_long_they_would_wait() -> None:
    bench = a_bench(*events(30))
    await bench.sync()
    bench.settle = SOON
    bench.source.put(*events(40, first=31))
    report = await bench.sync()
    assert (report.held, report.waiting) == (40, 0)
    bench.now += 2 * SOON
    assert (await bench.sync()).created == 0


async def test_refused_events_that_are_retried_are_not_held_for_their_number() -> None:
    bench = a_bench(*events(60))
    bench.target.poison = {ExternalId(f"ms-{number}"): Poison.REFUSE for number in range(1, 41)}
    assert (await bench.sync()).quarantined == 40
    bench.target.poison = {}
    decisions.retry(bench.ledger, ["venue"], [], clock=lambda: bench.now)
    report = await bench.sync()
    assert (report.created, report.held) == (40, 0)


async def test_what_was_refused_at_the_door_is_counted_anew_once_its_row_has_changed() -> None:
    bench = a_bench(*events(60))
    await bench.sync()
    bench.source.put(*(moved(an_event(i), timedelta(minutes=i)) for i in range(1, 11)))
    bench.target.fail_next(AuthFailed("401", account="reminders"), call=Call.UPSERT)
    await bench.sync()
    bench.source.put(*(moved(an_event(i), timedelta(hours=1)) for i in range(1, 11)))
    report = await bench.sync()
    assert (report.updated, [hold.kind for hold in bench.ledger.holds()]) == (0, [HoldKind.SAME_SHIFT])


async def test_retagging_a_whole_pipeline_is_held_by_nothing() -> None:
    bench = a_bench(*events(60))
    await bench.sync()
    links = list(bench.ledger.live_links("venue", ending_after=bench.now))
    decisions.retag(bench.ledger, links, MessageMode.SKIP, clock=lambda: bench.now)
    report = await bench.sync()
    assert (report.updated, report.held) == (60, 0)
    assert {min(put.fields) for put in bench.target.sent[-60:]} == {"content"}


# --- never louder than was said last ---


@pytest.mark.parametrize("spoil", ["refused by the target", "not to be mapped", "ignored"])
async def test_a_load_marks_what_it_cannot_create_for_when_it_is_taken_up_again(spoil: str) -> None:
    """Refused, or unreadable, under `send`; then the season is loaded with `skip`."""
    bench = a_bench(*events(3))
    row = bench.source.rows[an_event(1).source_id]
    if spoil == "not to be mapped":
        bench.source.spoil(1)
    else:
        bench.target.poison = {ExternalId("ms-1"): Poison.REFUSE}
    assert (await bench.sync()).quarantined == 1
    if spoil == "ignored":
        decisions.ignore(bench.ledger, "ms-1", clock=lambda: bench.now)
    await load(bench, MessageMode.SKIP)
    bench.target.poison, bench.source.rows[an_event(1).source_id] = {}, row
    decisions.unignore(bench.ledger, "ms-1", clock=lambda: bench.now) if spoil == "ignored" else decisions.retry(
        bench.ledger, ["venue"], [], clock=lambda: bench.now
    )
    assert (await bench.sync()).created == 1
    assert content_of(bench, "ms-1").endswith("#skip")


async def test_a_held_create_follows_a_config_that_was_made_quieter() -> None:
    bench = a_bench(*events(30))
    await bench.sync()
    bench.source.put(*events(40, first=31))
    assert (await bench.sync()).held == 40
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    bench.mode, bench.basis = MessageMode.NO_BOOKING, Basis(zone_data="2026f", mapping="1", config="2")
    report = await bench.sync()
    assert (report.created, report.held) == (0, 40), "approved was another text"
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    assert (await bench.sync()).created == 40
    assert content_of(bench, "ms-31").endswith("#nobooking")


async def test_a_held_create_does_not_follow_a_config_that_was_made_louder() -> None:
    bench = a_bench(*events(30))
    bench.mode = MessageMode.SKIP
    await bench.sync()
    bench.source.put(*events(40, first=31))
    await bench.sync()
    bench.mode = MessageMode.SEND
    await bench.sync()
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    assert (await bench.sync()).created == 40
    assert content_of(bench, "ms-31").endswith("#skip")


# --- said ---


async def test_a_plan_counts_what_would_wait_as_the_sync_after_it_does() -> None:
    bench = a_bench(*events(12))
    bench.settle = SOON
    plan = await bench.sync(is_dry_run=True)
    report = await bench.sync()
    assert (plan.counts(), plan.waiting, plan.created) == (report.counts(), 12, 0)


async def test_a_load_says_how_many_wait() -> None:
    bench = a_bench(*events(12), first_load=0)
    bench.settle = SOON
    assert (await load(bench, MessageMode.SKIP))[-1].counts()["waiting"] == 12
