"""What the config lets in, and nobody at the source has caused, waits for a decision however little it is (rule 13)."""

import dataclasses
from contextlib import nullcontext
from datetime import timedelta
from typing import cast

import pytest

from calrelay.domain.event import Event, SourceId
from calrelay.domain.guard import HoldKind, Limits
from calrelay.domain.link import ExternalId, MessageMode
from calrelay.domain.policy import Match, Route
from calrelay.domain.window import Span
from calrelay.engine import decisions
from calrelay.engine.backfill import backfill
from calrelay.engine.order import Reach
from calrelay.engine.report import Outcome
from calrelay.engine.retire import WholeLedger, release, rename
from calrelay.engine.scope import MEMO_SCOPE
from calrelay.errors import VendorUnavailable
from calrelay.ports import Flaw
from tests.engine.conftest import FailingOver
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.memory_target import TERRACE, Call, Poison
from tests.fakes.pipelines import WINDOW, Bench, a_bench, a_loaded_bench

HOUR, MINUTES = timedelta(hours=1), timedelta(minutes=5)
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


def edit(bench: Bench, scope: str, statuses: frozenset[str]) -> None:
    bench.scope, bench.statuses = scope, statuses
    bench.edit(f"{scope.replace(' ', '-')} texts")


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
    await load(bench, WINDOW.at(bench.now))
    assert "#nobooking" in (bench.target.held("ms-31").content or "")
    bench.source.put(an_event(34))
    await bench.sync()
    assert ("ms-34" in bench.target.live, held(bench)) == (True, {})


# --- until somebody has decided ---


async def is_let_in_undecided() -> Bench:
    bench = await a_wider_bench()
    await bench.sync()
    return bench


async def stays_undecided(bench: Bench) -> None:
    for _ in range(2):
        bench.now += MINUTES
        await bench.sync()
        assert (len(bench.target.live), held(bench)) == (30, {HoldKind.CREATES: 3})


@pytest.mark.parametrize("between", ["named", "quick", "unsound"])
async def test_an_edit_that_is_put_back_for_a_while_decides_nothing(between: str) -> None:
    bench = await is_let_in_undecided()
    bench.source.changed |= {SourceId(str(i)) for i in FEW}
    bench.statuses -= {"TENTATIVE"}
    bench.scope = "all"
    bench.edit("choice texts")
    match between:
        case "named":
            await bench.sync(reach=Reach.IDS, ids=frozenset({SourceId("31")}))
        case "quick":
            await bench.quick()
        case _:
            bench.source.flaw = Flaw(what="a page is missing")
            await bench.sync()
            bench.source.flaw = None
    bench.statuses |= {"TENTATIVE"}
    bench.scope = "wider"
    bench.edit("wider texts")
    await stays_undecided(bench)


async def test_a_read_that_misses_them_once_decides_nothing() -> None:
    bench = await is_let_in_undecided()
    bench.source.hidden |= {SourceId(str(i)) for i in FEW}
    await bench.sync()
    bench.source.hidden.clear()
    await stays_undecided(bench)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_a_template_that_fails_for_a_while_decides_nothing(when: str) -> None:
    bench = await a_wider_bench()
    if when == "meanwhile":
        await bench.sync()
    title, bench.title = bench.title, "{{ event.custom.nope.more }}"
    bench.edit("wider broken")
    await bench.sync()
    bench.title = title
    bench.edit("wider texts")
    await stays_undecided(bench)


async def test_a_row_that_cannot_be_read_for_a_while_decides_nothing() -> None:
    bench = await a_wider_bench()
    bench.source.spoil(31)
    await bench.sync()
    bench.source.put(with_status(an_event(31), "TENTATIVE"))
    await stays_undecided(bench)


@pytest.mark.parametrize("missing", ["all", "most"])
async def test_a_read_that_the_guards_distrust_has_not_looked_at_all_bookings(missing: str) -> None:
    bench = await a_wider_bench()
    bench.source.hidden |= set(bench.source.rows) if missing == "all" else {SourceId(str(i)) for i in range(10, 34)}
    await bench.sync()
    assert held(bench).keys() == {HoldKind.EMPTY_READ if missing == "all" else HoldKind.ABSENCES}
    bench.source.hidden.clear()
    await stays_undecided(bench)


@pytest.mark.parametrize("instead", [with_status(an_event(31), "LOST"), dataclasses.replace(an_event(31), participants=())])
async def test_a_booking_that_shows_once_as_lost_or_with_nobody_to_reach_is_not_decided_by_that(instead: Event) -> None:
    bench = await is_let_in_undecided()
    bench.source.put(instead)
    await bench.sync()
    bench.source.put(with_status(an_event(31), "TENTATIVE"))
    await stays_undecided(bench)


async def test_what_was_dropped_unreadable_before_the_edit_waits_when_it_can_be_read() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)), with_status(an_event(31), "TENTATIVE"))
    bench.source.spoil(31)
    await bench.sync()
    decisions.drop(bench.ledger, ["venue"], "ms-31", clock=lambda: bench.now)
    edit(bench, "wider", bench.statuses | {"TENTATIVE"})
    await bench.sync()
    bench.source.put(with_status(an_event(31), "TENTATIVE"))
    await bench.sync()
    assert ("ms-31" in bench.target.live, held(bench)) == (False, {HoldKind.CREATES: 1})


async def test_an_approval_ends_it_so_that_a_rebooking_is_a_booking_like_any_other() -> None:
    bench = await is_let_in_undecided()
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    await bench.sync()
    bench.source.put(with_status(an_event(31), "LOST"))
    await bench.sync()
    bench.source.put(an_event(31))
    await bench.sync()
    assert ("ms-31.2" in bench.target.live, held(bench)) == (True, {})


async def test_what_was_approved_and_settles_first_is_not_asked_for_again() -> None:
    bench = await is_let_in_undecided()
    bench.settle = HOUR
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    await bench.sync()
    assert len(bench.target.live) == 30
    bench.now += 2 * HOUR
    await bench.sync()
    assert (held(bench), len(bench.target.live)) == ({}, 33)


async def test_an_edit_within_a_first_load_marks_nothing() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 1_601)))
    bench.target.fail_next(VendorUnavailable("503", account="reminders", status=503), call=Call.UPSERT, times=99)
    await bench.sync()
    bench.target.stop_failing()
    edit(bench, "wider", bench.statuses)
    for _ in range(2):
        await bench.sync()
    assert [link for link in bench.ledger.live_links("venue", ending_after=bench.now) if link.let_in] == []
    bench.source.put(with_status(an_event(1), "LOST"))
    await bench.sync()
    bench.source.put(an_event(1))
    await bench.sync()
    assert (len(bench.target.live), held(bench)) == (1_600, {})


async def test_to_retire_and_take_up_a_pipeline_decides_nothing() -> None:
    bench = await is_let_in_undecided()
    release(cast("WholeLedger", bench.ledger), "venue", clock=lambda: bench.now)
    await bench.sync(adopts_only=True)
    await stays_undecided(bench)


async def test_what_was_rejected_waits_again_when_its_row_changes_or_that_is_taken_back() -> None:
    bench = await is_let_in_undecided()
    bench.reject()
    await bench.sync()
    assert held(bench) == {}
    decisions.unignore(bench.ledger, "ms-31", clock=lambda: bench.now)
    bench.source.put(an_event(32))
    await bench.sync()
    assert (len(bench.target.live), held(bench)) == (30, {HoldKind.CREATES: 2})


@pytest.mark.parametrize("trouble", ["a 503", "a refusal"])
async def test_what_was_let_through_before_the_edit_is_not_asked_for_again(trouble: str) -> None:
    bench = await a_loaded_bench()
    bench.source.put(an_event(31))
    if trouble == "a 503":
        bench.target.fail_next(VendorUnavailable("503", account="reminders", status=503), call=Call.UPSERT, times=9)
    bench.target.poison = {} if trouble == "a 503" else {ExternalId("ms-31"): Poison.REFUSE}
    await bench.sync()
    bench.target.stop_failing()
    bench.target.poison = {}
    bench.scope = "wider"
    bench.edit("wider texts")
    await bench.sync()
    assert ("ms-31" in bench.target.live, held(bench)) == (True, {})


async def test_an_event_over_which_the_target_fails_keeps_nobody_else_waiting(failing_over: FailingOver) -> None:
    bench = await a_wider_bench()
    bench.source.put(moved(an_event(1), HOUR))
    failing_over(bench, 500, lambda external_id: external_id == "ms-1")
    await bench.sync()
    bench.now += HOUR
    bench.source.put(an_event(40))
    await bench.sync()
    assert ("ms-40" in bench.target.live, held(bench)) == (True, {HoldKind.CREATES: 3})


async def test_what_settles_is_not_asked_for_again() -> None:
    bench = await a_loaded_bench()
    bench.settle = HOUR
    bench.source.put(an_event(31))
    await bench.sync()
    edit(bench, "wider", bench.statuses)
    for _ in range(2):
        bench.now += HOUR
        await bench.sync()
    assert ("ms-31" in bench.target.live, held(bench)) == (True, {})


async def test_a_move_that_is_half_done_goes_on_though_its_row_is_unreadable_at_the_edit() -> None:
    bench = await a_loaded_bench()
    row = an_event(1, facets={"rooms": frozenset({"terrace"})})
    bench.routes = (Route(match=Match(facets=row.facets), calendar=TERRACE),)
    bench.edit("terrace texts")
    await bench.sync()
    bench.source.put(row)
    bench.target.fail_next(VendorUnavailable("503", account="reminders", status=503), call=Call.UPSERT, times=9)
    await bench.sync()
    bench.target.stop_failing()
    bench.source.spoil(1)
    edit(bench, "wider", bench.statuses)
    await bench.sync()
    bench.source.put(row)
    await bench.sync()
    assert ("ms-1.2" in bench.target.live, held(bench)) == (True, {})


async def test_a_booking_that_is_confirmed_after_the_edit_was_put_back_is_new() -> None:
    bench = await is_let_in_undecided()
    edit(bench, "all", bench.statuses - {"TENTATIVE"})
    for _ in range(2):
        bench.now += HOUR
        await bench.sync()
    bench.source.put(an_event(31))
    await bench.sync()
    assert ("ms-31" in bench.target.live, held(bench)) == (True, {})


async def test_what_is_adopted_after_the_edit_is_marked_no_more() -> None:
    bench = await a_loaded_bench()
    edit(bench, "wider", bench.statuses)
    await bench.sync(adopts_only=True)
    await bench.sync()
    assert [link.let_in for link in bench.ledger.live_links("venue", ending_after=bench.now)] == [False] * 30


# --- loads ---


async def load(bench: Bench, span: Span) -> None:
    async for _ in backfill(bench.pipeline, span, MessageMode.NO_BOOKING, lock=nullcontext):
        pass


async def test_parts_that_were_loaded_before_the_edit_are_not_loaded_by_it() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)), *(with_status(an_event(i), "TENTATIVE") for i in FEW))
    bench.limits = Limits(first_load=0)
    first, second = WINDOW.at(bench.now).split_at(an_event(34).start)
    await load(bench, first)
    bench.statuses |= {"TENTATIVE"}
    bench.scope = "wider"
    bench.edit("wider texts")
    await load(bench, second)
    report = await bench.sync()
    assert (report.outcome, len(bench.target.live)) == (Outcome.REFUSED, 30)  # still its first load


async def stop_half_way(bench: Bench, span: Span) -> None:
    async for step in backfill(bench.pipeline, span, MessageMode.NO_BOOKING, lock=nullcontext):
        if step.done > 60:
            break


@pytest.mark.parametrize("edits", [1, 2])
async def test_a_load_that_was_stopped_begins_anew_after_an_edit(edits: int) -> None:
    bench = await a_wider_bench()
    wider, span = bench.statuses, WINDOW.at(bench.now)
    if edits == 1:
        edit(bench, "narrower", frozenset({"DEFINITE"}))
        await stop_half_way(bench, span)
    else:
        await stop_half_way(bench, span)
        edit(bench, "all", wider - {"TENTATIVE"})
        bench.source.put(with_status(an_event(34), "TENTATIVE"))
        await bench.sync()
    edit(bench, "wider", wider)
    await load(bench, span)
    assert "#nobooking" in (bench.target.held("ms-31" if edits == 1 else "ms-34").content or "")


# --- what is not concerned ---


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


# --- the bookings of somebody else ---


async def test_another_account_under_the_same_name_changes_nothing_unasked() -> None:
    bench = await a_loaded_bench()
    far = moved(an_event(1), timedelta(days=400))
    bench.source.put(far)
    await bench.sync(reach=Reach.IDS, ids=frozenset({far.source_id}))
    bench.source.put(moved(an_event(2), HOUR))
    bench.target.fail_next(VendorUnavailable("503", account="reminders", status=503), call=Call.UPSERT, times=9)
    await bench.sync()
    bench.target.stop_failing()
    ours = dict(bench.source.rows)
    bench.source.rows.clear()
    bench.source.put(*(an_event(i) for i in range(101, 111)))
    bench.now += MINUTES
    for _ in range(2):
        report = await bench.sync()
        assert (report.sent, held(bench)) == (0, {HoldKind.EMPTY_READ: 29, HoldKind.CREATES: 10})
    bench.source.rows.clear()
    bench.source.rows.update(ours)
    await bench.sync()
    assert (held(bench), len(bench.target.live)) == ({}, 30)
    bench.source.put(an_event(31))
    await bench.sync()
    assert "ms-31" in bench.target.live


@pytest.mark.parametrize("how", ["named", "quick"])
async def test_no_pass_lets_in_what_is_new_while_an_empty_read_waits_for_a_decision(how: str) -> None:
    bench = await a_loaded_bench()
    bench.source.rows.clear()
    await bench.sync()
    bench.source.changed.clear()
    bench.source.put(an_event(101))
    report = await (bench.quick() if how == "quick" else bench.sync(reach=Reach.IDS, ids=frozenset({SourceId("101")})))
    assert (report.created, held(bench)) == (0, {HoldKind.EMPTY_READ: 30, HoldKind.CREATES: 1})


async def test_an_empty_read_within_a_first_load_lets_nothing_in() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)), first_load=25)
    part, _ = WINDOW.at(bench.now).split_at(an_event(15).start)
    await load(bench, part)
    number = len(bench.target.live)
    bench.source.rows.clear()
    bench.source.put(*(an_event(i) for i in range(101, 111)))
    await bench.sync()
    assert (number > 2, len(bench.target.live), held(bench)) == (True, number, {HoldKind.EMPTY_READ: number, HoldKind.CREATES: 10})


async def test_what_waited_under_another_prefix_is_created_under_the_one_of_now() -> None:
    bench = await a_loaded_bench(3)
    bench.source.put(with_status(an_event(1), "LOST"))
    await bench.sync()
    bench.source.id_prefix = "xx-"
    edit(bench, "prefix", bench.statuses)
    bench.source.put(an_event(1))
    await bench.sync()
    assert held(bench) == {HoldKind.CREATES: 1}
    bench.source.id_prefix = "ms-"
    edit(bench, "all", bench.statuses)
    await bench.sync()
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    await bench.sync()
    assert [external_id for external_id in bench.target.live if external_id.startswith("ms-1")] == ["ms-1.2"]
