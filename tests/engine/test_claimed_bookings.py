"""Bookings that another pipeline has when the config lets them in: they are kept in mind, and wait for a decision once they are free."""

import dataclasses
from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.guard import HoldKind, Limits
from calrelay.domain.link import ExternalId, MessageMode, State
from calrelay.engine import decisions
from calrelay.engine.backfill import backfill
from calrelay.engine.locate import locate
from calrelay.engine.report import Outcome
from calrelay.engine.retire import WholeLedger, release
from calrelay.errors import VendorUnavailable
from calrelay.ports import Flaw
from calrelay.service.standing import Standing
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.memory_target import Poison
from tests.fakes.pipelines import WINDOW, Bench, a_bench

if TYPE_CHECKING:
    from calrelay.config.model import Pipeline

NONE = frozenset({"none"})


def edit(bench: Bench, scope: str, rooms: frozenset[str]) -> None:
    bench.scope, bench.rooms = scope, rooms
    bench.edit(f"{scope.replace(' ', '-')} texts")


def held(bench: Bench) -> dict[HoldKind, int]:
    return {hold.kind: len(hold.items) for hold in bench.ledger.holds(bench.name)}


async def narrow(bench: Bench) -> None:
    """Leave nothing to a pipeline."""
    edit(bench, "none", NONE)
    await bench.sync()
    decisions.approve(bench.ledger, bench.name, clock=lambda: bench.now)
    await bench.sync()
    assert not bench.target.live


async def two_pipelines() -> tuple[Bench, Bench]:
    """One pipeline has ten bookings, and the filter of the other lets none in."""
    bench = a_bench(*(an_event(i) for i in range(1, 11)))
    await bench.sync()
    other = dataclasses.replace(bench, name="other", rooms=NONE, scope="none")
    await other.sync()
    return bench, other


async def look(other: Bench, how: str) -> None:
    if how == "a sync":
        await other.sync()
        return
    async for _ in backfill(other.pipeline, WINDOW.at(other.now), MessageMode.NO_BOOKING, lock=nullcontext):
        pass


@pytest.mark.parametrize("how", ["a sync", "a load"])
async def test_what_another_pipeline_had_at_the_edit_waits_when_that_lets_it_go(how: str) -> None:
    bench, other = await two_pipelines()
    edit(other, "all of them", frozenset())
    await look(other, how)
    await narrow(bench)
    await other.sync()
    assert (len(other.target.live), held(other)) == (0, {HoldKind.CREATES: 10})
    decisions.approve(bench.ledger, "other", clock=lambda: bench.now)
    await other.sync()
    assert (len(other.target.live), held(other)) == (10, {})


@pytest.mark.parametrize("how", ["a sync", "a load"])
@pytest.mark.parametrize("is_unreadable", [True, False])
async def test_what_another_pipeline_had_at_a_first_load_waits_when_that_lets_it_go(how: str, *, is_unreadable: bool) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 11)))
    await bench.sync()
    other = dataclasses.replace(bench, name="other", limits=Limits(first_load=0))
    if is_unreadable:
        bench.source.spoil(1)
    await look(other, how)
    bench.source.put(an_event(1))
    await narrow(bench)
    await other.sync()
    assert (len(other.target.live), held(other)) == (0, {HoldKind.CREATES: 10})


async def test_a_retired_pipeline_hands_over_what_waited_for_it() -> None:
    bench, other = await two_pipelines()
    bench.source.spoil(1)
    edit(other, "all of them", frozenset())
    await other.sync()
    bench.source.put(an_event(1))
    release(cast("WholeLedger", bench.ledger), "venue", clock=lambda: bench.now)
    report = await other.sync()
    assert (report.problems, report.sent, held(other)) == ([], 0, {})
    assert {link.pipeline for link in bench.ledger.live_links("other", ending_after=bench.now)} == {"other"}
    bench.source.put(moved(an_event(1), timedelta(hours=1)))
    assert (await other.sync()).updated == 1


async def test_who_shares_a_booking_with_another_pipeline_has_the_new_ones_as_soon_as_all_were_looked_at() -> None:
    first, other = await two_pipelines()
    first.source.put(*(an_event(i, facets={"rooms": frozenset({"attic"})}) for i in range(11, 40)))
    other.rooms = frozenset({"attic"})
    edit(other, "attic", other.rooms)
    await other.sync()
    decisions.approve(other.ledger, "other", clock=lambda: other.now)
    edit(other, "both", frozenset({"attic", "main hall"}))
    await other.sync()
    for day in range(3):
        other.now += timedelta(days=1)
        other.source.put(an_event(40 + day))
        await other.sync()
        assert (f"ms-{40 + day}" in other.target.live, held(other)) == (True, {})


async def test_a_booking_that_goes_to_another_pipeline_at_its_source_is_new_there() -> None:
    bench, other = await two_pipelines()
    edit(bench, "main", frozenset({"main hall"}))
    await bench.sync()
    edit(other, "attic", frozenset({"attic"}))
    await other.sync()
    bench.source.put(an_event(1, facets={"rooms": frozenset({"attic"})}))
    await other.sync()
    await bench.sync()
    await other.sync()
    (link,) = bench.ledger.links("other", [SourceId("1")]).values()
    assert (link.state, held(other)) == (State.SETTLED, {})
    assert link.accepted is not None


async def test_what_waits_for_another_pipeline_and_is_lost_meanwhile_still_waits() -> None:
    bench, other = await two_pipelines()
    edit(other, "all of them", frozenset())
    await other.sync()
    bench.source.put(with_status(an_event(1), "LOST"))
    await other.sync()
    bench.source.put(an_event(1))
    await narrow(bench)
    await other.sync()
    assert (len(other.target.live), held(other)) == (0, {HoldKind.CREATES: 10})


async def test_a_load_over_what_another_pipeline_has_says_how_its_guests_are_treated() -> None:
    bench, other = await two_pipelines()
    edit(other, "all of them", frozenset())
    await look(other, "a sync")
    await look(other, "a load")
    await narrow(bench)
    await other.sync()
    decisions.approve(bench.ledger, "other", clock=lambda: bench.now)
    await other.sync()
    assert [(entry.content or "").splitlines()[-1] for entry in other.target.live.values()] == ["#nobooking"] * 10


async def an_unsound_first_look() -> tuple[Bench, Bench]:
    bench = a_bench(*(an_event(i) for i in range(1, 11)))
    await bench.sync()
    other = dataclasses.replace(bench, name="other", limits=Limits(first_load=25))
    bench.source.flaw = Flaw(what="a page is missing", error=VendorUnavailable("503"))
    await other.sync()
    bench.source.flaw = None
    return bench, other


async def test_what_becomes_free_within_a_first_load_waits_too() -> None:
    bench, other = await an_unsound_first_look()
    await narrow(bench)
    assert ((await other.sync()).created, held(other)) == (0, {HoldKind.CREATES: 10})


async def test_an_entry_of_a_retired_pipeline_whose_booking_is_gone_is_taken_out_by_its_heir() -> None:
    bench, other = await an_unsound_first_look()
    release(cast("WholeLedger", bench.ledger), "venue", clock=lambda: bench.now)
    bench.source.remove(1)
    for _ in range(3):
        await other.sync()
    assert len(bench.target.live) == 9


async def test_to_adopt_makes_nothing_of_what_another_pipeline_has() -> None:
    bench, other = await two_pipelines()
    edit(other, "all of them", frozenset())
    await other.sync()
    await other.sync(adopts_only=True)
    assert (await other.sync()).waiting == 0
    bench.source.found.clear()
    bench.source.changed.clear()
    await other.quick()
    assert bench.source.found == []


async def test_whose_entry_it_is_comes_before_who_waits_for_it() -> None:
    bench, other = await two_pipelines()
    edit(other, "all of them", frozenset())
    await other.sync()
    found = await locate([other.pipeline, bench.pipeline], bench.pipeline.ledger, "ms-1")
    assert [one.link.pipeline for one in found] == ["venue", "other"]


async def test_a_pass_that_finds_bookings_of_another_pipeline_is_partial_and_a_quick_one_after_it_ends_that_for_nobody() -> None:
    bench, other = await two_pipelines()
    edit(other, "all of them", frozenset())
    assert (await other.sync()).outcome is Outcome.PARTIAL
    bench.source.changed.clear()
    await other.quick()
    passes = bench.ledger.passes("other", 2)
    assert [one.outcome for one in passes] == ["ok", "partial"]
    table = cast("Pipeline", SimpleNamespace(enabled=True, full_every=timedelta(hours=1)))
    now = Standing(table=table, record=bench.ledger.pipeline("other"), live=0, counts={}, holds=(), passes=passes, now=other.now)
    assert (now.word, now.problems[0]["message"].endswith("for account reminders, and others")) == ("partial", True)


async def refused_and_taken() -> tuple[Bench, Bench]:
    """One pipeline's new bookings are refused, and another pipeline has one of them created."""
    bench = a_bench(*(an_event(i) for i in range(1, 11)))
    await bench.sync()
    bench.source.put(an_event(11), an_event(12))
    bench.target.poison = {ExternalId("ms-11"): Poison.REFUSE, ExternalId("ms-12"): Poison.REFUSE}
    assert (await bench.sync()).quarantined == 2
    bench.target.poison = {ExternalId("ms-12"): Poison.REFUSE}
    other = dataclasses.replace(bench, name="other", scope="other")
    await other.sync()
    assert "ms-11" in bench.target.live
    bench.target.poison = {}
    return bench, other


async def test_a_refused_booking_that_another_pipeline_has_keeps_no_other_from_being_retried() -> None:
    bench, _ = await refused_and_taken()
    assert len(decisions.retry(bench.ledger, ["venue"], [], clock=lambda: bench.now)) == 2
    report = await bench.sync()
    assert (report.created, report.quarantined, report.outcome) == (1, 0, Outcome.PARTIAL)
    assert [problem.external_id for problem in report.problems] == ["ms-11"]


async def test_to_adopt_is_not_stopped_by_a_refused_booking_that_another_pipeline_has() -> None:
    bench, _ = await refused_and_taken()
    report = await bench.sync(adopts_only=True)
    assert (report.outcome, report.waiting, report.quarantined) == (Outcome.PARTIAL, 0, 2)  # as they were


async def test_to_adopt_leaves_what_another_pipeline_has_as_it_waits() -> None:
    _, other = await two_pipelines()
    edit(other, "all of them", frozenset())
    await other.sync()
    assert (await other.sync(adopts_only=True)).waiting == 0


async def test_what_can_be_read_again_and_another_pipeline_has_taken_first_leaves_quarantine() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 11)))
    await bench.sync()
    bench.source.put(an_event(31))
    bench.source.spoil(31)
    assert (await bench.sync()).quarantined == 1
    bench.source.put(an_event(31))
    assert (await dataclasses.replace(bench, name="other", scope="other").sync()).created == 1
    assert (await bench.sync()).quarantined == 0


async def test_what_can_be_read_again_leaves_quarantine_though_another_pipeline_has_it() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 11)))
    await bench.sync()
    other = dataclasses.replace(bench, name="other", limits=Limits(first_load=0))
    bench.source.spoil(1)
    await other.sync()
    bench.source.put(an_event(1))
    await bench.sync()
    assert (await other.sync()).quarantined == 0
