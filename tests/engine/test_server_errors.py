"""An event over which the target always fails stops nobody else (rule 21), and an outage is not taken for one."""

import asyncio
import dataclasses
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import timedelta

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.guard import HoldKind, Limit
from calrelay.domain.link import ExternalId, MessageMode, State
from calrelay.domain.policy import Match, Route
from calrelay.domain.window import Span
from calrelay.engine import decisions
from calrelay.engine.backfill import DAY, backfill
from calrelay.engine.blame import IN_A_ROW
from calrelay.engine.order import Reach
from calrelay.engine.report import Outcome
from calrelay.errors import ExitCode, RateLimited, StateError, VendorUnavailable
from calrelay.ports import Holding, Put
from tests.engine.conftest import FailingOver, SilentAbout, server_error
from tests.fakes.memory_source import NOW, an_event, moved, with_status
from tests.fakes.memory_target import TERRACE, Applied, Call, Poison
from tests.fakes.pipelines import Bench, a_bench


@pytest.mark.parametrize("status", [500, 503])
async def test_events_that_always_draw_a_server_error_keep_no_other_from_being_sent(status: int, failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    failing_over(bench, status, lambda external_id: external_id in ("ms-3", "ms-44"))
    for created in (58, 0):
        report = await bench.sync()
        assert (report.created, report.quarantined, report.exit_code) == (created, 0, ExitCode.VENDOR)
    assert bench.ledger.count_states("venue")[State.SENDING] == 2
    bench.source.put(an_event(61))
    assert (await bench.sync()).created == 1


async def test_an_event_that_always_draws_a_server_error_ends_neither_freshness_nor_rhythm(failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    failing_over(bench, 500, lambda external_id: external_id == "ms-30")
    codes = [(await bench.sync()).exit_code for _ in range(4)]
    assert codes == [ExitCode.VENDOR, ExitCode.VENDOR, ExitCode.ATTENTION, ExitCode.ATTENTION]
    assert bench.ledger.pipeline("venue").first_complete_at is not None
    bench.source.put(an_event(31))
    report = await bench.sync()
    assert (report.outcome, [problem.external_id for problem in report.problems]) == (Outcome.PARTIAL, ["ms-30"])
    assert "5 times" in report.problems[0].message
    assert "calrelay ignore ms-30" in report.problems[0].remedy
    assert bench.ledger.links("venue", [SourceId("30")])[SourceId("30")].state is State.SENDING


async def test_what_failed_often_is_the_vendors_trouble_where_it_cannot_be_asked_either(failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    failing_over(bench, 500, lambda external_id: external_id == "ms-30")
    for _ in range(3):
        await bench.sync()
    upsert = bench.target.upsert

    async def failing_from_then_on(puts: Sequence[Put]) -> Sequence[Holding]:
        bench.target.fail_next(server_error(503), call=Call.FIND)
        return await upsert(puts)

    bench.target.upsert = failing_from_then_on  # type: ignore[method-assign]
    assert (await bench.sync()).exit_code == ExitCode.VENDOR


@pytest.mark.parametrize("gone", [False, True])
async def test_five_that_always_fail_starve_nobody(gone: bool, failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    if gone:
        await bench.sync()
    failing_over(bench, 500, lambda external_id: external_id in {f"ms-{i}" for i in range(1, 8)})
    if gone:
        bench.source.put(*(with_status(an_event(i), "LOST") for i in range(1, 8)), an_event(61))
        bench.limits = dataclasses.replace(bench.limits, deletes=Limit(count=20, share=1))
    for _ in range(3):
        await bench.sync()
    assert len(bench.target.live) == (61 if gone else 53)


async def test_what_was_approved_is_not_asked_about_again_while_the_target_fails_over_it(failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(*(an_event(i) for i in range(31, 71)))
    assert (await bench.sync()).held == 40
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    failing_over(bench, 500, lambda external_id: external_id == "ms-40")
    for _ in range(4):
        report = await bench.sync()
    assert (report.exit_code, report.held, len(bench.target.live)) == (ExitCode.ATTENTION, 0, 69)
    assert list(bench.ledger.holds("venue")) == []


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("number", [1, 4, 200])
async def test_an_outage_quarantines_nothing_and_is_soon_given_up(status: int, number: int, failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, number + 1)))
    failing_over(bench, status, lambda _: True)
    report = await bench.sync()
    assert (report.exit_code, report.quarantined, bench.ledger.count_states("venue").get(State.QUARANTINED, 0)) == (ExitCode.VENDOR, 0, 0)
    assert bench.ledger.pipeline("venue").first_complete_at is None
    assert bench.target.requests < 4 * IN_A_ROW


async def test_what_an_outage_kept_back_goes_by_itself_when_it_is_over() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    await bench.sync()
    bench.source.remove(3)
    bench.source.put(an_event(61))
    bench.target.fail_next(server_error(503), call=Call.DELETE)
    report = await bench.sync()
    assert (report.created, report.deleted, report.exit_code) == (1, 0, ExitCode.VENDOR)
    report = await bench.sync()
    assert (report.deleted, report.quarantined, report.exit_code) == (1, 0, ExitCode.DONE)


async def test_an_outage_that_begins_in_the_middle_quarantines_nothing(failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    failing_over(bench, 503, lambda _: len(bench.target.live) >= 30)
    report = await bench.sync()
    assert (report.created, report.exit_code, report.quarantined) == (30, ExitCode.VENDOR, 0)


async def test_what_the_target_did_in_spite_of_its_error_is_asked_for_and_taken_back_when_it_is_cancelled() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(an_event(31))
    bench.target.fail_next(server_error(500), call=Call.UPSERT, applied=Applied.ALL)
    await bench.sync()
    bench.source.put(with_status(an_event(31), "LOST"))
    bench.now += timedelta(minutes=10)
    await bench.sync()
    assert len(bench.target.live) == 30


async def test_an_entry_whose_delete_always_draws_a_server_error_stops_no_other(failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    await bench.sync()
    failing_over(bench, 500, lambda external_id: external_id == "ms-3")
    bench.source.remove(3, 4)
    bench.source.put(an_event(61))
    report = await bench.sync()
    assert (report.deleted, report.created, report.quarantined) == (1, 1, 0)


async def ten_that_move_until_the_fourth_delete_fails() -> Bench:
    """Return a bench whose bookings all may move to another calendar in the next pass."""
    bench = a_bench(*(an_event(i) for i in range(1, 11)))
    await bench.sync()
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"main hall"})}), calendar=TERRACE),)
    bench.basis = dataclasses.replace(bench.basis, config="2")
    assert (await bench.sync()).held == 10
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.DELETE, after=3)
    return bench


async def test_bookings_whose_old_entries_are_deleted_are_created_anew_though_the_next_delete_fails() -> None:
    bench = await ten_that_move_until_the_fourth_delete_fails()
    report = await bench.sync()
    assert (report.deleted, report.created, report.exit_code) == (3, 3, ExitCode.VENDOR)


async def test_five_that_always_fail_among_others_end_neither_a_first_load_nor_a_backfill(failing_over: FailingOver) -> None:
    bad = {f"ms-{i}" for i in (2, 12, 22, 32, 42)}
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    failing_over(bench, 500, bad.__contains__)
    codes = [(await bench.sync()).exit_code for _ in range(4)]
    assert codes[-1] == ExitCode.ATTENTION
    assert bench.ledger.pipeline("venue").first_complete_at is not None
    loaded = a_bench(*(an_event(i, start=NOW + i * DAY / 10, end=NOW + i * DAY / 10 + DAY) for i in range(1, 401)), first_load=0)
    failing_over(loaded, 500, bad.__contains__)
    span = Span(begin=NOW, end=NOW + 42 * DAY)
    for _ in range(4):
        assert [step async for step in backfill(loaded.pipeline, span, MessageMode.SKIP, lock=nullcontext)]
    assert len(loaded.target.live) == 395


async def test_what_met_one_server_error_is_not_starved_by_what_always_meets_one(failing_over: FailingOver) -> None:
    bad, unlucky = {f"ms-{i}" for i in range(1, 8)}, set[str]()
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    failing_over(bench, 500, lambda external_id: external_id in bad | unlucky)
    for _ in range(4):
        await bench.sync()
    bench.source.put(an_event(70))
    unlucky.add("ms-70")
    await bench.sync()
    unlucky.clear()
    before = bench.target.requests
    await bench.sync()
    assert "ms-70" in bench.target.live
    assert bench.target.requests - before <= 2 * len({*bad, "ms-70"})  # a question and a try for each


async def test_a_booking_whose_old_entry_went_with_a_server_error_is_created_all_the_same(failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"terrace"})}), calendar=TERRACE),)
    failing_over(bench, 500, lambda external_id: external_id in {f"ms-{i}" for i in range(1, 8)})
    for _ in range(4):
        await bench.sync()
    bench.source.put(an_event(50, facets={"rooms": frozenset({"terrace"})}))
    bench.target.fail_next(server_error(500), call=Call.DELETE, applied=Applied.ALL)
    for _ in range(2):
        await bench.sync()
    assert bench.target.live[ExternalId("ms-50.2")].calendar == TERRACE


@pytest.mark.parametrize("trouble", [StateError("disk I/O error"), asyncio.CancelledError()])
async def test_a_move_that_breaks_off_hides_no_worse_trouble(trouble: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await ten_that_move_until_the_fourth_delete_fails()

    async def upsert(_: Sequence[Put]) -> Sequence[Holding]:
        raise trouble

    monkeypatch.setattr(bench.target, "upsert", upsert)
    with pytest.raises(type(trouble)):
        await bench.sync()


async def test_an_event_left_open_takes_another_mark(failing_over: FailingOver) -> None:
    bench, bad = a_bench(*(an_event(i) for i in range(1, 31))), {"ms-3"}
    failing_over(bench, 500, bad.__contains__)
    await bench.sync()
    assert decisions.retag(bench.ledger, decisions.find_links(bench.ledger, "ms-3"), MessageMode.SKIP, clock=lambda: bench.now)
    bad.clear()
    await bench.sync()
    assert "#skip" in (bench.target.held("ms-3").content or "")


async def test_what_was_approved_and_is_open_can_be_rejected_after_all(failing_over: FailingOver) -> None:
    bench, bad = a_bench(*(an_event(i) for i in range(1, 31))), {"ms-40"}
    await bench.sync()
    bench.source.put(*(an_event(i) for i in range(31, 71)))
    await bench.sync()
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    failing_over(bench, 500, bad.__contains__)
    await bench.sync()
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    bad.clear()
    await some_passes(bench)
    assert ExternalId("ms-40") not in bench.target.live
    decisions.unignore(bench.ledger, "ms-40", clock=lambda: bench.now)
    await some_passes(bench)
    assert ExternalId("ms-40") in bench.target.live


@pytest.mark.parametrize("number", [2, 30])
async def test_an_event_that_can_neither_be_sent_nor_asked_for_stops_no_other(
    number: int, failing_over: FailingOver, silent_about: SilentAbout
) -> None:
    bench, bad = a_bench(*(an_event(i) for i in range(1, number + 1))), {"ms-2"}
    failing_over(bench, 500, bad.__contains__)
    silent_about(bench, bad.__contains__)
    await bench.sync()
    bench.source.put(an_event(40), with_status(an_event(2), "LOST"))
    report = await bench.sync()
    assert (report.created, report.exit_code, report.problems[0].external_id) == (1, ExitCode.ATTENTION, "ms-2")
    bench.source.remove(2)
    await bench.quick()
    assert bench.ledger.links("venue", [SourceId("2")])[SourceId("2")].state is State.SENDING
    bad.clear()
    report = await bench.sync()
    assert (report.exit_code, "ms-2" in bench.target.live) == (ExitCode.DONE, False)


async def test_a_target_that_answers_no_question_at_all_is_down(failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    failing_over(bench, 500, lambda external_id: external_id == "ms-2")
    await bench.sync()
    for call in (Call.FIND, Call.CALENDARS):
        bench.target.fail_next(server_error(500), call=call, times=9)
    report = await bench.sync()
    assert (report.read, report.exit_code) == (0, ExitCode.VENDOR)


async def some_passes(bench: Bench) -> None:
    for _ in range(3):
        await bench.sync()


async def test_an_outage_of_writes_alone_is_the_vendors_however_long_it_lasts(failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    failing_over(bench, 503, lambda _: True)
    bench.source.put(*(an_event(i) for i in (40, 41, 42)))
    for _ in range(6):
        bench.now += timedelta(minutes=5)
        report = await bench.sync()
        assert report.exit_code == ExitCode.VENDOR
    assert bench.ledger.pipeline("venue").last_complete_at == NOW
    assert "taken nothing else since" in report.problems[0].message
    assert "calrelay ignore ms-4" in report.problems[0].remedy


async def test_an_outage_of_writes_that_begins_in_the_middle_of_a_pass_is_the_vendors(failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(*(an_event(i) for i in range(40, 52)))
    failing_over(bench, 503, lambda _: len(bench.target.live) >= 40)
    for _ in range(5):
        bench.now += timedelta(minutes=5)
        assert (await bench.sync()).exit_code == ExitCode.VENDOR
    assert (len(bench.target.live), bench.ledger.pipeline("venue").last_complete_at) == (40, NOW)


async def test_no_load_is_over_that_nothing_was_taken_of(failing_over: FailingOver) -> None:
    bench, loaded = (a_bench(*(an_event(i) for i in range(1, 5)), first_load=limit) for limit in (10, 0))
    for one in (bench, loaded):
        failing_over(one, 503, lambda _: True)
    for _ in range(5):
        bench.now += timedelta(minutes=5)
        loaded.now = bench.now
        assert (await bench.sync()).exit_code == ExitCode.VENDOR
        steps = [step async for step in backfill(loaded.pipeline, Span(begin=NOW, end=NOW + 185 * DAY), MessageMode.SKIP, lock=nullcontext)]
        assert steps[-1].report.exit_code == ExitCode.VENDOR
    assert [one.ledger.pipeline("venue").first_complete_at for one in (bench, loaded)] == [None, None]


async def test_a_booking_that_always_fails_where_there_is_nothing_else_to_send_is_told_by_itself(failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(an_event(40))
    failing_over(bench, 500, lambda external_id: external_id == "ms-40")
    bench.now += timedelta(minutes=5)
    reports = [await bench.sync() for _ in range(4)]
    assert [report.exit_code for report in reports] == [ExitCode.VENDOR, ExitCode.VENDOR, ExitCode.ATTENTION, ExitCode.ATTENTION]
    assert "answers when it is asked, had nothing else to take, and failed over this event 3 times" in reports[2].problems[0].message
    assert bench.ledger.pipeline("venue").last_complete_at == reports[3].started_at


async def test_a_load_goes_on_behind_a_chunk_of_which_one_booking_always_fails(failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i, start=NOW + i * DAY, end=NOW + i * DAY + DAY / 24) for i in (1, 2, 3, 60, 150)), first_load=0)
    failing_over(bench, 500, lambda external_id: external_id == "ms-60")
    for _ in range(3):
        steps = [step async for step in backfill(bench.pipeline, Span(begin=NOW, end=NOW + 185 * DAY), MessageMode.SKIP, lock=nullcontext)]
        bench.now += timedelta(minutes=5)
    assert {step.report.exit_code for step in steps} == {ExitCode.DONE, ExitCode.ATTENTION}
    assert bench.target.live.keys() == {"ms-1", "ms-2", "ms-3", "ms-150"}


@pytest.mark.parametrize("is_limited", [False, True])
async def test_what_was_refused_before_is_not_to_blame_for_an_outage(is_limited: bool, failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.target.poison[ExternalId("ms-40")] = Poison.REFUSE
    for day in range(1, 4):
        bench.source.put(moved(an_event(40), day * DAY))
        assert (await bench.sync()).quarantined == 1
    if is_limited:
        bench.target.fail_next(RateLimited("429", account="reminders", status=429), call=Call.UPSERT, times=5)
        bench.source.put(moved(an_event(40), 4 * DAY))
        await bench.sync()
        bench.target.stop_failing()
    failing_over(bench, 500, lambda external_id: external_id == "ms-40")
    bench.source.put(moved(an_event(40), 5 * DAY))
    assert [(await bench.sync()).exit_code for _ in range(3)] == [ExitCode.VENDOR, ExitCode.VENDOR, ExitCode.ATTENTION]


async def test_deletes_that_were_approved_and_always_fail_stay_approved(failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    await bench.sync()
    bench.source.put(*(with_status(an_event(i), "LOST") for i in range(1, 26)))
    assert (await bench.sync()).held == 25
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    failing_over(bench, 500, lambda external_id: int(external_id[3:]) <= 25)
    for _ in range(25):
        await bench.sync()
        bench.now += timedelta(minutes=5)
    assert all(item.approved_at for hold in bench.ledger.holds("venue") for item in hold.items)


async def test_a_webhook_about_an_event_that_the_target_cannot_tell_of_leaves_it_as_it_is(
    failing_over: FailingOver, silent_about: SilentAbout
) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(an_event(40))
    failing_over(bench, 500, lambda external_id: external_id == "ms-40")
    silent_about(bench, lambda external_id: external_id == "ms-40")
    for _ in range(4):
        await bench.sync()
    bench.source.remove(40)
    report = await bench.sync(reach=Reach.IDS, ids=frozenset({SourceId("40")}))
    assert (report.outcome, [problem.external_id for problem in report.problems]) == (Outcome.PARTIAL, ["ms-40"])
    bench.source.put(an_event(50))
    assert (await bench.sync()).created == 1


async def test_a_booking_that_is_gone_is_deleted_though_the_target_cannot_tell_of_the_other(
    failing_over: FailingOver, silent_about: SilentAbout
) -> None:
    bench = a_bench(an_event(1), an_event(2))
    await bench.sync()
    bench.source.put(moved(an_event(1), DAY))
    failing_over(bench, 500, lambda external_id: external_id == "ms-1")
    silent_about(bench, lambda external_id: external_id == "ms-1")
    await bench.sync()
    bench.source.remove(2)
    report = await bench.sync()
    assert (report.deleted, report.held) == (1, 0)


@pytest.mark.parametrize("number", [2, 6])
async def test_an_empty_read_is_held_though_the_target_cannot_tell_of_one_event(
    failing_over: FailingOver, silent_about: SilentAbout, number: int
) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, number + 1)))
    await bench.sync()
    bench.source.put(moved(an_event(1), DAY))
    failing_over(bench, 500, lambda external_id: external_id == "ms-1")
    silent_about(bench, lambda external_id: external_id == "ms-1")
    await bench.sync()
    bench.source.rows = {}
    report = await bench.sync()
    assert (report.deleted, [hold.kind for hold in bench.ledger.holds()]) == (0, [HoldKind.EMPTY_READ])
