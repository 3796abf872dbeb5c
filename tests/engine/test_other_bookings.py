"""What the config lets in, and nobody at the source has caused, waits for a decision however little it is (rule 13)."""

from contextlib import nullcontext
from typing import cast

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.guard import HoldKind, Limits
from calrelay.domain.link import MessageMode
from calrelay.engine import decisions
from calrelay.engine.backfill import backfill
from calrelay.engine.order import Reach
from calrelay.engine.record import MEMO_SCOPE
from calrelay.engine.retire import WholeLedger, rename
from calrelay.ports import Flaw
from tests.fakes.memory_source import an_event, with_status
from tests.fakes.pipelines import WINDOW, Bench, a_bench, a_loaded_bench

FEW = range(31, 34)


async def a_wider_bench(*, is_typo: bool = False) -> Bench:
    """Three bookings of thirty-three are in no listed status, and then it is listed; with a typo all were outside the filter before."""
    bench = a_bench(*(an_event(i) for i in range(1, 31)), *(with_status(an_event(i), "TENTATIVE") for i in FEW))
    bench.limits = Limits(first_load=0 if is_typo else 10_000)
    bench.rooms = frozenset({"terrase"} if is_typo else ())
    await bench.sync()
    assert len(bench.target.live) == (0 if is_typo else 30)
    bench.statuses |= {"TENTATIVE"}
    bench.rooms = frozenset()
    bench.scope = "wider"
    bench.edit("wider texts")
    return bench


def held(bench: Bench) -> dict[HoldKind, int]:
    return {hold.kind: len(hold.items) for hold in bench.ledger.holds()}


@pytest.mark.parametrize("is_typo", [True, False])
async def test_what_a_wider_filter_lets_in_is_held_until_it_is_approved(*, is_typo: bool) -> None:
    bench = await a_wider_bench(is_typo=is_typo)
    for _ in range(3):
        report = await bench.sync()
        assert (report.sent, held(bench)) == (0, {HoldKind.CREATES: 33 if is_typo else 3})
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    await bench.sync()
    assert (len(bench.target.live), held(bench)) == (33, {})


async def test_what_is_new_after_a_complete_pass_is_new() -> None:
    bench = await a_wider_bench()
    await bench.sync()
    bench.source.put(with_status(an_event(34), "TENTATIVE"), an_event(35))
    await bench.sync()
    assert {"ms-34", "ms-35"} <= set(bench.target.live)
    assert held(bench) == {HoldKind.CREATES: 3}


@pytest.mark.parametrize("how", ["named", "quick", "unsound", "dry"])
async def test_nothing_but_a_complete_pass_has_looked_at_all_bookings(how: str) -> None:
    bench = await a_wider_bench()
    match how:
        case "named":
            await bench.sync(reach=Reach.IDS, ids=frozenset({SourceId("31")}))
        case "quick":
            await bench.quick()
        case "unsound":
            bench.source.flaw = Flaw(what="a page is missing")
            await bench.sync()
            bench.source.flaw = None
        case _:
            await bench.sync(is_dry_run=True)
    bench.source.put(an_event(34))
    await bench.sync()
    assert ("ms-34" in bench.target.live, held(bench)) == (False, {HoldKind.CREATES: 4})


@pytest.mark.parametrize("is_typo", [True, False])
async def test_a_load_says_how_the_guests_of_what_is_let_in_are_treated(*, is_typo: bool) -> None:
    bench = await a_wider_bench(is_typo=is_typo)
    async for _ in backfill(bench.pipeline, WINDOW.at(bench.now), MessageMode.NO_BOOKING, lock=nullcontext):
        pass
    assert "#nobooking" in (bench.target.held("ms-31").content or "")
    bench.source.put(an_event(34))
    await bench.sync()
    assert ("ms-34" in bench.target.live, held(bench)) == (True, {})


async def test_a_filter_that_is_put_back_dissolves_the_hold() -> None:
    bench = await a_wider_bench()
    await bench.sync()
    bench.statuses -= {"TENTATIVE"}
    bench.scope = "all"
    bench.edit("choice texts")
    report = await bench.sync()
    assert (report.sent, held(bench)) == (0, {})


async def test_an_older_version_noted_nothing_so_that_nothing_is_held() -> None:
    bench = await a_loaded_bench()
    bench.ledger.save_memo(MEMO_SCOPE.format(pipeline="venue"), None, bench.now)
    bench.source.put(an_event(31))
    await bench.sync()
    assert "ms-31" in bench.target.live


async def test_a_renamed_pipeline_remembers_which_bookings_it_has_looked_at() -> None:
    bench = await a_wider_bench()
    rename(cast("WholeLedger", bench.ledger), "venue", "hall", clock=lambda: bench.now)
    bench.name = "hall"
    assert ((await bench.sync()).sent, held(bench)) == (0, {HoldKind.CREATES: 3})
