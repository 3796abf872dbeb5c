"""Passes over in-memory ends: what one pass sends, and what two in a row do."""

import dataclasses
from contextlib import nullcontext
from datetime import time, timedelta

import pytest

from calrelay.domain.guard import HoldKind
from calrelay.domain.link import Basis, ExternalId, MessageMode, State
from calrelay.domain.policy import Match, Route
from calrelay.domain.window import Hours
from calrelay.engine import decisions
from calrelay.engine.backfill import backfill
from calrelay.engine.order import Order, Reach
from calrelay.engine.report import Outcome
from calrelay.engine.sync import run_pass
from calrelay.errors import AuthFailed, ExitCode, RateLimited, RequestRejected, VendorError, VendorUnavailable
from tests.fakes.memory_source import NOW, a_guest, an_event, moved, with_status
from tests.fakes.memory_target import Applied, Call, Poison
from tests.fakes.pipelines import MAIN_HALL, TERRACE, Bench, a_bench

HOUR = timedelta(hours=1)


def events(number: int) -> list[object]:
    return [an_event(i) for i in range(1, number + 1)]


def writes(bench: Bench) -> int:
    return len(bench.target.upserts) + len(bench.target.deletes)


def forget_writes(bench: Bench) -> None:
    bench.target.upserts.clear()
    bench.target.deletes.clear()
    bench.target.finds.clear()
    bench.source.found.clear()


async def a_loaded_bench(number: int = 30) -> Bench:
    bench = a_bench(*events(number))
    report = await bench.sync()
    assert report.exit_code == 0, report.problems
    forget_writes(bench)
    return bench


async def test_a_first_sync_creates_every_wanted_event_once() -> None:
    bench = a_bench(*events(30), with_status(an_event(31), "TENTATIVE"), with_status(an_event(32), "LOST"))
    report = await bench.sync()
    assert (report.read, report.created, report.skipped.total(), report.outcome) == (32, 30, 2, Outcome.OK)
    assert len(bench.target.live) == 30


async def test_a_second_sync_sends_nothing() -> None:
    bench = await a_loaded_bench()
    report = await bench.sync()
    assert (report.unchanged, writes(bench), report.exit_code) == (30, 0, 0)
    assert bench.target.finds == []


async def test_each_kind_of_change_costs_exactly_one_write() -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), HOUR))
    assert ((await bench.sync()).updated, writes(bench)) == (1, 1)
    bench.source.put(dataclasses.replace(an_event(2), title="Renamed"))
    assert ((await bench.sync()).updated, writes(bench)) == (1, 2)
    bench.source.put(with_status(an_event(3), "LOST"))
    assert ((await bench.sync()).deleted, writes(bench)) == (1, 3)
    bench.source.remove(4)
    assert ((await bench.sync()).deleted, writes(bench)) == (1, 4)
    bench.source.put(an_event(3))
    assert ((await bench.sync()).created, writes(bench)) == (1, 5)
    assert not bench.target.held("ms-3.2").is_deleted
    assert (await bench.sync()).sent == 0


async def test_an_update_sends_only_what_changed() -> None:
    bench = await a_loaded_bench()
    bench.source.put(dataclasses.replace(an_event(2), participants=(a_guest(2), a_guest(3))))
    await bench.sync()
    assert [sorted(put.fields) for put in bench.target.sent] == [["participants"]]


async def test_the_first_load_is_refused_above_its_limit_and_nothing_is_sent() -> None:
    bench = a_bench(*events(30), first_load=0)
    report = await bench.sync()
    assert (report.outcome, report.exit_code, writes(bench)) == (Outcome.REFUSED, ExitCode.GUARD, 0)
    assert "backfill venue" in report.problems[0].remedy


async def test_a_dry_run_counts_the_same_and_writes_nowhere() -> None:
    bench = a_bench(*events(30))
    plan = await bench.sync(is_dry_run=True)
    assert (plan.created, writes(bench), bench.ledger.count_live("venue")) == (30, 0, 0)
    assert (await bench.sync()).created == plan.created


async def test_an_incomplete_read_deletes_nothing_and_still_creates() -> None:
    bench = await a_loaded_bench(60)
    bench.source.remove(1)
    bench.source.put(an_event(61))
    bench.source.rows = dict(reversed(bench.source.rows.items()))  # the new one on a sound page
    bench.source.lost_pages = 1
    report = await bench.sync()
    assert (report.created, report.deleted, report.outcome, report.exit_code) == (1, 0, Outcome.PARTIAL, ExitCode.VENDOR)


async def test_a_missing_event_that_is_still_there_is_not_deleted() -> None:
    bench = await a_loaded_bench()
    bench.source.hidden.add(an_event(1).source_id)
    report = await bench.sync()
    assert (report.deleted, bench.source.found) == (0, ["1"])


async def test_a_missing_event_that_cannot_be_asked_for_is_not_deleted() -> None:
    bench = await a_loaded_bench()
    bench.source.remove(1)
    bench.source.find_error = VendorUnavailable("no answer")
    report = await bench.sync()
    assert (report.deleted, report.exit_code) == (0, ExitCode.VENDOR)


async def test_an_event_moved_out_of_the_window_is_updated_there() -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), timedelta(days=300)))
    report = await bench.sync()
    assert (report.updated, report.deleted) == (1, 0)


async def test_an_event_moved_into_the_past_is_deleted() -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), timedelta(days=-40)))
    assert (await bench.sync()).deleted == 1


async def test_an_event_leaves_the_filter_and_returns_in_the_next_generation() -> None:
    bench = await a_loaded_bench()
    bench.source.put(with_status(an_event(1), "TENTATIVE"))
    assert (await bench.sync()).deleted == 1
    bench.source.put(an_event(1))
    assert (await bench.sync()).created == 1
    assert list(bench.target.live).count(ExternalId("ms-1.2")) == 1


async def test_a_room_on_another_calendar_moves_by_delete_and_create() -> None:
    bench = a_bench(*events(30))
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"terrace"})}), calendar=TERRACE),)
    await bench.sync()
    bench.source.put(dataclasses.replace(an_event(1), facets={"rooms": frozenset({"terrace"})}))
    report = await bench.sync()
    assert (report.deleted, report.created) == (1, 1)
    assert bench.target.held("ms-1.2").calendar == TERRACE
    assert (await bench.sync()).sent == 0


async def test_a_source_that_empties_is_held_without_a_request_per_event_and_dissolves() -> None:
    bench = await a_loaded_bench()
    rows, bench.source.rows = bench.source.rows, {}
    report = await bench.sync()
    assert (report.deleted, report.held, report.exit_code, bench.source.found) == (0, 30, ExitCode.GUARD, [])
    assert [hold.kind for hold in bench.ledger.holds()] == [HoldKind.EMPTY_READ]
    bench.source.rows = rows
    report = await bench.sync()
    assert (report.held, report.exit_code, bench.ledger.holds()) == (0, 0, [])


async def test_many_moved_by_the_same_hour_are_held_while_a_rename_goes_through() -> None:
    bench = await a_loaded_bench(120)
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(1, 31)), dataclasses.replace(an_event(50), title="Renamed"))
    report = await bench.sync()
    assert (report.updated, report.held, report.exit_code) == (1, 30, ExitCode.GUARD)


async def test_six_of_120_moved_by_a_quarter_of_an_hour_go_through() -> None:
    bench = await a_loaded_bench(120)
    bench.source.put(*(moved(an_event(i), timedelta(minutes=15)) for i in range(1, 7)))
    assert ((await bench.sync()).updated, (await bench.sync()).held) == (6, 0)


async def test_approved_deletes_go_and_one_more_cancellation_does_not_spoil_the_approval() -> None:
    bench = await a_loaded_bench(120)
    bench.source.remove(*range(1, 41))
    assert (await bench.sync()).held == 40
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    bench.source.put(with_status(an_event(50), "LOST"))
    report = await bench.sync()
    assert (report.deleted, report.held) == (41, 0)


async def test_an_approval_expires_after_a_day() -> None:
    bench = await a_loaded_bench(120)
    bench.source.remove(*range(10, 50))
    await bench.sync()
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    bench.now += timedelta(hours=25)
    report = await bench.sync()
    assert report.deleted == 0
    assert report.held >= 38


async def test_a_rejected_move_is_left_alone_until_its_row_changes_again() -> None:
    bench = await a_loaded_bench(120)
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(1, 31)))
    await bench.sync()
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    report = await bench.sync()
    assert (report.updated, report.held, bench.ledger.holds()) == (0, 0, [])
    bench.source.put(moved(an_event(1), 2 * HOUR))
    assert (await bench.sync()).updated == 1


async def test_a_rejected_filter_change_releases_its_events_for_good() -> None:
    bench = await a_loaded_bench()
    bench.rooms, bench.basis = frozenset({"terrace"}), Basis(zone_data="2026f", mapping="1", config="2")
    report = await bench.sync()
    assert ([hold.kind for hold in bench.ledger.holds()], report.held) == ([HoldKind.FILTER], 30)
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    bench.source.put(moved(an_event(1), HOUR))
    bench.source.remove(2)
    report = await bench.sync()
    assert (report.sent, report.held, len(bench.target.live)) == (0, 0, 30)


async def test_an_ignored_event_is_left_alone_even_when_its_source_loses_it() -> None:
    bench = await a_loaded_bench()
    decisions.ignore(bench.ledger, "ms-1", clock=lambda: bench.now)
    bench.source.remove(1)
    report = await bench.sync()
    assert (report.deleted, len(bench.target.live)) == (0, 30)


async def test_a_new_template_is_one_named_hold_and_goes_when_approved() -> None:
    bench = await a_loaded_bench()
    bench.title = "Event: {{ event.title }}"
    bench.basis = Basis(zone_data="2026f", mapping="1", config="2")
    bench.source.put(moved(an_event(1), HOUR))
    report = await bench.sync()
    assert ([hold.kind for hold in bench.ledger.holds()], report.updated, report.held) == ([HoldKind.MAPPING], 1, 29)
    decisions.approve(bench.ledger, bench.ledger.holds()[0].id, clock=lambda: bench.now)
    report = await bench.sync()
    assert (report.updated, report.held) == (29, 0)
    assert (await bench.sync()).sent == 0


@pytest.mark.parametrize("poison", Poison)
async def test_poisoned_events_are_quarantined_the_others_arrive_and_they_heal(poison: Poison) -> None:
    bench = a_bench(*events(30))
    bench.target.poison = {ExternalId("ms-7"): poison, ExternalId("ms-8"): poison}
    report = await bench.sync()
    assert (report.created, report.quarantined, report.exit_code) == (28, 2, ExitCode.ATTENTION)
    bench.target.poison = {}
    assert (await bench.sync()).created == 0
    decisions.retry(bench.ledger, ["venue"], [], clock=lambda: bench.now)
    report = await bench.sync()
    assert (report.created, report.quarantined, report.exit_code) == (2, 0, 0)


async def test_a_calendar_that_is_gone_quarantines_nothing() -> None:
    bench = a_bench(*events(30))
    bench.target.broken_calendars = {MAIN_HALL}
    report = await bench.sync()
    assert (report.created, report.quarantined, report.exit_code) == (0, 0, ExitCode.VENDOR)
    bench.target.broken_calendars = set()
    assert (await bench.sync()).created == 30


async def test_an_unmappable_row_is_quarantined_and_heals() -> None:
    bench = await a_loaded_bench()
    good = bench.source.rows[an_event(1).source_id]
    bench.source.spoil(1)
    report = await bench.sync()
    assert (report.quarantined, report.deleted, report.exit_code) == (1, 0, ExitCode.ATTENTION)
    bench.source.rows[an_event(1).source_id] = good
    assert ((await bench.sync()).quarantined, len(bench.target.live)) == (0, 30)


async def test_quarantine_begins_when_the_row_was_spoiled_and_is_told_once_in_the_history() -> None:
    bench = await a_loaded_bench()
    (link,) = bench.ledger.link_by_external_id(ExternalId("ms-1"))
    bench.ledger.store([dataclasses.replace(link, since=bench.now - timedelta(days=30))], [])
    bench.source.spoil(1)
    for _ in range(2):
        await bench.sync()
    (link,) = bench.ledger.link_by_external_id(ExternalId("ms-1"))
    assert link.since is not None
    assert bench.now - link.since < timedelta(days=1)
    assert [h.what for h in bench.ledger.history("venue", ExternalId("ms-1"))] == ["created", "quarantined"]


async def test_quarantine_of_what_the_target_refuses_begins_with_the_refusal() -> None:
    bench = await a_loaded_bench()
    (link,) = bench.ledger.link_by_external_id(ExternalId("ms-1"))
    bench.ledger.store([dataclasses.replace(link, since=bench.now - timedelta(days=30))], [])
    bench.target.poison = {ExternalId("ms-1"): Poison.REFUSE}
    bench.source.put(moved(an_event(1), HOUR))
    await bench.sync()
    (link,) = bench.ledger.link_by_external_id(ExternalId("ms-1"))
    assert link.since is not None
    assert bench.now - link.since < timedelta(days=1)


async def test_a_lost_answer_is_asked_for_and_nothing_is_doubled() -> None:
    bench = a_bench(*events(8))
    bench.target.fail_next(VendorUnavailable("timeout"), call=Call.UPSERT, times=20, applied=Applied.ALL)
    assert (await bench.sync()).exit_code == ExitCode.VENDOR
    bench.target.stop_failing()
    report = await bench.sync()
    assert (len(bench.target.live), report.exit_code) == (8, 0)
    assert (await bench.sync()).sent == 0


async def test_a_cancellation_right_after_a_lost_answer_is_deleted_at_the_target_too() -> None:
    bench = a_bench(*events(1))
    bench.target.fail_next(VendorUnavailable("timeout"), call=Call.UPSERT, applied=Applied.ALL)
    await bench.sync()
    assert len(bench.target.live) == 1
    bench.target.stop_failing()
    bench.source.put(with_status(an_event(1), "LOST"))
    report = await bench.sync()
    assert (report.deleted, len(bench.target.live)) == (1, 0)


@pytest.mark.parametrize("applied", Applied)
@pytest.mark.parametrize("error", [AuthFailed("401", status=401), RateLimited("429", status=429)])
async def test_what_was_refused_at_the_door_is_asked_for_all_the_same(error: VendorError, applied: Applied) -> None:
    """The answer may be one to a repetition of what had been carried out; here the bookings are cancelled before anybody looks again."""
    bench = a_bench(*events(8))
    bench.target.fail_next(error, call=Call.UPSERT, applied=applied)
    report = await bench.sync()
    assert (report.outcome, report.exit_code, report.created) == (Outcome.FAILED, ExitCode.VENDOR, 0)
    bench.source.put(*(with_status(an_event(number), "LOST") for number in range(1, 4)))
    await bench.sync()
    assert len(bench.target.live) == 5
    assert bench.ledger.count_states("venue").get(State.SENDING, 0) == 0


async def test_a_lost_database_is_rebuilt_from_the_target_without_a_single_write() -> None:
    bench = await a_loaded_bench()
    fresh = dataclasses.replace(a_bench(), source=bench.source, target=bench.target)
    report = await fresh.sync()
    assert (report.created, report.updated, writes(fresh), report.notes["adopted from the target"]) == (0, 0, 0, 30)
    fresh.source.remove(1)
    assert (await fresh.sync()).deleted == 1


@pytest.mark.parametrize("how", ["adopt", "sync", "backfill"])
async def test_a_booking_moved_out_of_the_window_is_known_again_after_a_lost_database(how: str) -> None:
    bench = await a_loaded_bench()
    far = moved(an_event(1), timedelta(days=300))
    bench.source.put(far)
    await bench.sync()
    assert bench.target.held("ms-1").start == far.start
    fresh = dataclasses.replace(a_bench(), source=bench.source, target=bench.target)
    if how == "backfill":
        window = fresh.pipeline.window.at(fresh.now)
        assert [step async for step in backfill(fresh.pipeline, window, MessageMode.SKIP, lock=nullcontext)]
        assert fresh.ledger.pipeline("venue").first_complete_at is not None
        await fresh.sync()
    else:
        await fresh.sync(adopts_only=how == "adopt")
    fresh.source.put(with_status(far, "LOST"))
    await fresh.sync()
    assert "ms-1" not in fresh.target.live


async def test_after_a_lost_database_nothing_is_deleted_that_another_pipeline_of_the_source_may_have_sent() -> None:
    other = dataclasses.replace(a_bench(*events(5)), name="other")
    await other.sync()
    other.source.put(moved(an_event(5), timedelta(days=400)))
    await other.sync()
    fresh = dataclasses.replace(a_bench(), source=other.source, target=other.target, rooms=frozenset({"nowhere"}))
    for _ in range(2):
        await run_pass(dataclasses.replace(fresh.pipeline, owns_prefix=False), Order(command="sync"))
        assert "ms-5" in other.target.live


async def test_adopt_sends_nothing_and_knows_deletions_again() -> None:
    bench = await a_loaded_bench()
    bench.source.remove(1)
    fresh = dataclasses.replace(a_bench(), source=bench.source, target=bench.target)
    await fresh.sync(adopts_only=True)
    assert (writes(fresh), fresh.ledger.count_live("venue")) == (0, 30)
    report = await fresh.sync()
    assert (report.created, report.deleted) == (0, 1)


async def test_a_target_that_tells_no_external_ids_is_asked_before_anything_is_created() -> None:
    bench = await a_loaded_bench()
    bench.target.echoes_external_ids = False
    fresh = dataclasses.replace(a_bench(), source=bench.source, target=bench.target)
    report = await fresh.sync()
    assert (report.created, len(bench.target.live)) == (0, 30)


async def test_a_target_whose_list_has_a_gap_stops_the_first_load() -> None:
    bench = await a_loaded_bench()
    fresh = dataclasses.replace(a_bench(), source=bench.source, target=bench.target)
    fresh.target.fail_next(VendorUnavailable("504"), times=1)
    report = await fresh.sync()
    assert (report.outcome, writes(fresh), report.exit_code) == (Outcome.FAILED, 0, ExitCode.VENDOR)


async def test_settle_waits_until_two_reads_agree() -> None:
    bench = await a_loaded_bench()
    bench.settle = timedelta(minutes=10)
    bench.source.put(moved(an_event(1), HOUR))
    assert ((await bench.sync()).updated, (await bench.sync()).waiting) == (0, 1)
    bench.now += timedelta(minutes=11)
    assert (await bench.sync()).updated == 1


async def test_outside_creating_hours_a_new_event_waits_and_a_cancellation_does_not() -> None:
    bench = await a_loaded_bench()
    bench.create_hours = Hours(begin=time(20), end=time(21))
    bench.source.put(an_event(31), with_status(an_event(2), "LOST"))
    report = await bench.sync()
    assert (report.created, report.deleted, report.waiting) == (0, 1, 1)


async def test_a_quick_pass_reads_changes_only_and_concludes_nothing_from_absence() -> None:
    bench = await a_loaded_bench()
    bench.source.remove(9)
    bench.source.put(moved(an_event(1), HOUR))
    report = await bench.quick()
    assert (report.read, report.updated, report.deleted, report.is_complete) == (1, 1, 0, False)
    assert bench.source.scopes[-1].changed_since == NOW


async def test_one_event_by_id_walks_the_same_road() -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), HOUR), an_event(90))
    bench.source.remove(3)
    report = await bench.sync(reach=Reach.IDS, ids=frozenset({an_event(1).source_id, an_event(90).source_id, an_event(3).source_id}))
    assert (report.updated, report.created, report.deleted) == (1, 1, 1)


async def test_retag_sends_the_changed_content_and_nothing_else() -> None:
    bench = await a_loaded_bench()
    links = decisions.find_links(bench.ledger, "ms-1")
    decisions.retag(bench.ledger, links, MessageMode.SKIP, clock=lambda: bench.now)
    report = await bench.sync()
    assert report.updated == 1
    assert bench.target.held("ms-1").content == "40 guests\n#skip"
    assert (await bench.sync()).sent == 0


async def test_a_paused_pipeline_is_left_alone() -> None:
    bench = await a_loaded_bench()
    decisions.set_paused(bench.ledger, "venue", is_paused=True)
    bench.source.put(moved(an_event(1), HOUR))
    report = await bench.sync()
    assert (report.outcome, writes(bench)) == (Outcome.REFUSED, 0)


async def test_what_a_pause_refused_does_not_speak_for_the_pipeline_afterwards() -> None:
    bench = await a_loaded_bench()
    before = bench.ledger.passes("venue")
    decisions.set_paused(bench.ledger, "venue", is_paused=True)
    assert (await bench.sync()).outcome is Outcome.REFUSED
    assert bench.ledger.passes("venue") == before


async def test_a_clock_that_is_wrong_stops_the_pass() -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), HOUR))
    bench.source.clock_skew_seconds = 600
    report = await bench.sync()
    assert (report.outcome, writes(bench)) == (Outcome.REFUSED, 0)


async def test_a_refused_delete_is_kept_in_quarantine() -> None:
    bench = await a_loaded_bench()
    bench.source.put(with_status(an_event(1), "LOST"))
    bench.target.fail_next(RequestRejected("409"), call=Call.DELETE)
    report = await bench.sync()
    assert (report.deleted, report.quarantined) == (0, 1)


async def test_two_pipelines_cannot_hold_the_same_event_at_once() -> None:
    bench = await a_loaded_bench(3)
    other = dataclasses.replace(
        bench.pipeline, name="other", make_policy=lambda c, r: dataclasses.replace(bench._policy(c, r), pipeline="other")
    )
    report = await run_pass(other, Order(command="sync"))
    assert (report.created, len(report.problems)) == (0, 3)
    assert "venue" in report.problems[0].message
    assert "other" in report.problems[0].message


async def test_a_held_create_dissolves_when_its_event_is_gone() -> None:
    bench = await a_loaded_bench()
    bench.source.put(*(an_event(i) for i in range(40, 80)))
    assert (await bench.sync()).held == 40
    bench.source.remove(*range(40, 80))
    report = await bench.sync()
    assert (report.held, report.created, bench.ledger.holds()) == (0, 0, [])


async def test_what_is_held_is_told_once_in_its_history() -> None:
    bench = await a_loaded_bench()
    bench.source.put(*(an_event(i) for i in range(40, 80)))
    await bench.sync()
    await bench.sync()
    assert [h.what for h in bench.ledger.history("venue", ExternalId("ms-40"))] == ["held"]


async def test_a_quarantined_event_leaves_when_it_has_ended() -> None:
    bench = a_bench(*events(3))
    bench.target.poison = {ExternalId("ms-1"): Poison.REFUSE}
    assert (await bench.sync()).quarantined == 1
    bench.now = an_event(1).end + timedelta(minutes=1)
    assert (await bench.sync()).quarantined == 0


async def test_a_load_leaves_held_deletes_where_they_are() -> None:
    bench = await a_loaded_bench(120)
    bench.source.put(*(with_status(an_event(i), "LOST") for i in range(1, 41)))
    assert (await bench.sync()).held == 40
    report = await bench.sync(is_load=True)
    assert (report.deleted, report.held, len(bench.ledger.holds()[0].items)) == (0, 40, 40)


async def test_a_move_to_another_calendar_counts_among_those_who_could_be_messaged() -> None:
    """The new generation is a new event to the target, so it can message its guest."""
    bench = a_bench(*events(30))
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"terrace"})}), calendar=TERRACE),)
    await bench.sync()
    bench.source.put(dataclasses.replace(an_event(1), facets={"rooms": frozenset({"terrace"})}))
    plan = await bench.sync(is_dry_run=True)
    report = await bench.sync()
    assert (plan.created, plan.deleted, plan.people) == (report.created, report.deleted, report.people) == (1, 1, 1)


@pytest.mark.parametrize(("mode", "tag"), [(MessageMode.SEND, "#nobooking"), (MessageMode.AUTO, "#auto"), (MessageMode.SKIP, "#skip")])
async def test_a_guest_is_not_told_of_a_booking_again_because_it_moves_to_another_calendar(mode: MessageMode, tag: str) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 11)))
    bench.mode = mode
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"terrace"})}), calendar=TERRACE),)
    await bench.sync()
    row = dataclasses.replace(an_event(1), facets={"rooms": frozenset({"terrace"})})
    bench.source.put(row)
    await bench.sync()
    bench.source.put(moved(row, HOUR))
    await bench.sync()
    there = bench.target.held("ms-1.2")
    assert (there.calendar, there.start, (there.content or "").splitlines()[-1]) == (TERRACE, moved(row, HOUR).start, tag)
    assert (await bench.sync()).sent == 0


async def test_a_move_that_is_called_off_before_it_went_out_leaves_the_entry_as_it_is() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 11)))
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"terrace"})}), calendar=TERRACE),)
    await bench.sync()
    bench.settle = 2 * HOUR
    bench.source.put(dataclasses.replace(an_event(1), facets={"rooms": frozenset({"terrace"})}))
    await bench.sync()
    bench.source.put(an_event(1))
    for _ in range(2):
        bench.now += 2 * HOUR
        assert (await bench.sync()).sent == 0
    assert "#" not in (bench.target.held("ms-1").content or "")
