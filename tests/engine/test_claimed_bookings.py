"""Bookings that another pipeline has when the config lets them in: they are kept in mind, and wait for a decision once they are free."""

import dataclasses
from contextlib import nullcontext
from datetime import timedelta
from typing import cast

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.guard import HoldKind, Limits
from calrelay.domain.link import MessageMode, State
from calrelay.engine import decisions
from calrelay.engine.backfill import backfill
from calrelay.engine.retire import WholeLedger, release
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.pipelines import WINDOW, Bench, a_bench

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
