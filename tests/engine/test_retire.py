"""`retire` and `rename` over in-memory ends: a pipeline ends or changes its name, and no event is lost, doubled or messaged by it."""

import dataclasses
from datetime import timedelta
from typing import cast

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.guard import HoldKind
from calrelay.domain.link import CalendarId, ExternalId, State, TargetId
from calrelay.domain.policy import CalendarRef, Route
from calrelay.engine import decisions
from calrelay.engine.latecomers import SETTLED_AFTER
from calrelay.engine.order import Order
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import Outcome, PassReport
from calrelay.engine.retire import WholeLedger, delete_all, doomed, end, release, rename
from calrelay.engine.sync import run_pass
from calrelay.engine.verify import verify
from calrelay.errors import CLAIMED, ConfigError, ExitCode, RequestRejected, VendorUnavailable
from calrelay.ports import DELETED_AS_APPROVED, Flaw
from tests.engine.conftest import SilentAbout
from tests.fakes.memory_ledger import MemoryLedger
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.memory_target import Applied, Call, MemoryTarget, Poison
from tests.fakes.pipelines import MAIN_HALL, TERRACE, Bench, a_bench

HOUR = timedelta(hours=1)


async def a_loaded_bench(number: int = 30) -> Bench:
    bench = a_bench(*(an_event(i) for i in range(1, number + 1)))
    await bench.sync()
    forget_calls(bench)
    return bench


def forget_calls(bench: Bench) -> None:
    bench.target.upserts.clear()
    bench.target.deletes.clear()


def writes(bench: Bench) -> int:
    return len(bench.target.upserts) + len(bench.target.deletes)


def whole(bench: Bench) -> WholeLedger:
    return cast("WholeLedger", bench.ledger)


def released(bench: Bench) -> int:
    return release(whole(bench), "venue", clock=lambda: bench.now)


def leave_out(bench: Bench, number: int) -> None:
    """Ignore an event that no pass has taken up yet."""
    fresh = dataclasses.replace(bench.ledger.link_by_external_id(ExternalId("ms-1"))[0], source_id=SourceId(str(number)), accepted=None)
    link = dataclasses.replace(fresh, base_id=ExternalId(f"ms-{number}"), wanted=None, target_id=None, source_hash="")
    decisions.take_up(bench.ledger, [link])
    decisions.ignore(bench.ledger, f"ms-{number}", clock=lambda: bench.now)


def another(bench: Bench, name: str = "hall", calendar: CalendarId = MAIN_HALL) -> Pipeline:
    """A pipeline of another name over the same two accounts."""

    def make_policy(found: CalendarId, routes: tuple[Route, ...]):  # type: ignore[no-untyped-def] # a Policy
        return dataclasses.replace(bench._policy(found, routes), pipeline=name)

    return dataclasses.replace(bench.pipeline, name=name, calendar=CalendarRef(id=calendar), make_policy=make_policy)


async def run(pipeline: Pipeline, command: str = "sync") -> PassReport:
    return await run_pass(pipeline, Order(command=command, adopts_only=command == "adopt"))


# --- retire ---


async def test_a_retired_pipeline_leaves_the_target_as_it_is_and_runs_no_more() -> None:
    bench = await a_loaded_bench()
    assert released(bench) == 30
    bench.source.put(moved(an_event(1), HOUR))
    bench.source.remove(2)
    report = await bench.sync()
    assert (report.outcome, report.exit_code, writes(bench), len(bench.target.live)) == (Outcome.REFUSED, ExitCode.GUARD, 0, 30)
    assert "calrelay adopt venue" in report.problems[0].remedy


async def test_its_successor_takes_the_events_over_without_a_single_write() -> None:
    bench = await a_loaded_bench()
    released(bench)
    report = await run(another(bench))
    assert (report.created, report.updated, writes(bench)) == (0, 0, 0)
    assert report.notes["taken over from pipeline venue"] == 30
    assert (bench.ledger.count_live("hall"), bench.ledger.count_live("venue")) == (30, 0)
    assert (await run(another(bench))).sent == 0
    assert (await verify(another(bench))).drifts == []


async def test_a_successor_that_runs_already_takes_them_over_too() -> None:
    """Not only a first load looks for them: a filter may be widened later."""
    bench = await a_loaded_bench(5)
    successor = another(bench)
    await run(successor)
    assert bench.ledger.count_live("hall") == 0
    released(bench)
    bench.source.put(dataclasses.replace(an_event(3), title="Renamed"))
    report = await run(successor)
    assert (report.created, report.updated, len(bench.target.live)) == (0, 1, 5)
    assert [put.external_id for put in bench.target.sent] == ["ms-3"]


async def test_a_successor_for_another_calendar_moves_them_and_doubles_nothing() -> None:
    bench = await a_loaded_bench(5)
    released(bench)
    report = await run(another(bench, calendar=TERRACE))
    assert (report.deleted, report.created) == (5, 5)
    assert {holding.calendar for holding in bench.target.live.values()} == {TERRACE}
    assert sorted(bench.target.live) == [f"ms-{number}.2" for number in range(1, 6)]


async def test_a_booking_cancelled_in_between_is_deleted_by_the_successor() -> None:
    bench = await a_loaded_bench()
    released(bench)
    bench.source.put(with_status(an_event(1), "LOST"))
    report = await run(another(bench))
    assert (report.created, report.deleted, len(bench.target.live)) == (0, 1, 29)


async def test_a_booking_gone_in_between_is_taken_over_by_adopting_and_deleted() -> None:
    bench = await a_loaded_bench()
    released(bench)
    bench.source.remove(1)
    await run(another(bench), "adopt")
    assert (writes(bench), bench.ledger.count_live("hall")) == (0, 30)
    assert (await run(another(bench))).deleted == 1


async def test_ignored_events_are_handed_over_as_ignored() -> None:
    bench = await a_loaded_bench()
    decisions.ignore(bench.ledger, "ms-1", clock=lambda: bench.now)
    released(bench)
    bench.source.put(moved(an_event(1), HOUR))
    report = await run(another(bench))
    assert (report.sent, writes(bench)) == (0, 0)
    assert bench.ledger.links("hall", [an_event(1).source_id])[an_event(1).source_id].state is State.IGNORED


@pytest.mark.parametrize("tells_ids", [True, False])
async def test_there_and_back_again_everything_is_looked_after(*, tells_ids: bool) -> None:
    """The successor is retired in its turn, and the first one takes up what it had."""
    bench = await a_loaded_bench(6)
    bench.target.echoes_external_ids = tells_ids
    decisions.ignore(bench.ledger, "ms-6", clock=lambda: bench.now)
    released(bench)
    await run(another(bench))
    release(whole(bench), "hall", clock=lambda: bench.now)
    bench.source.put(moved(an_event(1), HOUR), with_status(an_event(2), "LOST"), moved(an_event(6), HOUR))
    bench.source.remove(3)
    forget_calls(bench)
    assert (await bench.sync(adopts_only=True)).exit_code == 0
    report = await bench.sync()
    assert (report.updated, report.deleted, report.created) == (1, 2, 0)
    assert (bench.ledger.count_live("venue"), bench.ledger.count_live("hall")) == (4, 0)
    assert bench.target.live[ExternalId("ms-1")].start == moved(an_event(1), HOUR).start
    assert bench.target.live[ExternalId("ms-6")].start == an_event(6).start


async def test_a_retired_name_can_be_given_to_its_successor() -> None:
    bench = await a_loaded_bench(4)
    released(bench)
    await run(another(bench))
    assert rename(whole(bench), "hall", "venue", clock=lambda: bench.now) == 4
    report = await bench.sync()
    assert (report.exit_code, report.unchanged, writes(bench)) == (0, 4, 0)


async def test_what_a_successor_keeps_is_told_as_claimed_when_the_first_one_is_adopted() -> None:
    bench = await a_loaded_bench(3)
    released(bench)
    await run(another(bench))
    forget_calls(bench)
    await bench.sync(adopts_only=True)
    report = await bench.sync()
    assert (writes(bench), [problem.kind for problem in report.problems]) == (0, [CLAIMED] * 3)


async def test_what_was_never_to_be_created_is_not_created_by_a_successor() -> None:
    bench = await a_loaded_bench(3)
    bench.source.put(an_event(4), an_event(5))
    leave_out(bench, 4)
    released(bench)
    report = await run(another(bench))
    assert (report.created, sorted(bench.target.live)) == (1, ["ms-1", "ms-2", "ms-3", "ms-5"])
    bench.source.put(moved(an_event(4), HOUR))
    assert (await run(another(bench))).sent == 0
    assert [link.pipeline for link in decisions.find_ignored(bench.ledger, "ms-4")] == ["hall", "venue"]


async def test_what_another_pipeline_was_told_to_leave_alone_is_created_by_approval_only() -> None:
    """That one runs: who moves between them may be meant to come, and may not."""
    bench = await a_loaded_bench(3)
    bench.source.put(an_event(4))
    leave_out(bench, 4)
    report = await run(another(bench))
    assert (report.created, report.held, "ms-4" in bench.target.live) == (0, 1, False)
    assert [hold.kind for hold in bench.ledger.holds("hall")] == [HoldKind.CREATES]


@pytest.mark.parametrize("is_retired", [True, False])
async def test_what_was_ignored_after_another_pipeline_had_it_is_not_created_either(*, is_retired: bool) -> None:
    """The external id is still claimed by the first one, which was deleted with all that it had."""
    bench = await a_loaded_bench(4)
    await delete_all(bench.pipeline)
    end(whole(bench), "venue", clock=lambda: bench.now)
    fresh = another(bench)
    policy = await fresh.policy(remember=False)
    decisions.take_up(bench.ledger, [policy.fresh_link(SourceId("4"))])
    decisions.ignore(bench.ledger, "ms-4", clock=lambda: bench.now)
    if is_retired:
        release(whole(bench), "hall", clock=lambda: bench.now)
    report = await run(another(bench, "third"))
    assert (report.created, report.held) == (3, 0 if is_retired else 1)


async def test_a_cancelled_booking_of_another_pipeline_is_not_asked_for_in_every_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_loaded_bench(3)
    bench.source.put(*(with_status(an_event(number), "LOST") for number in range(1, 4)))
    await bench.sync()
    await run(another(bench))
    asked: list[ExternalId] = []
    monkeypatch.setattr(bench.ledger, "link_by_external_id", asked.append)
    await run(another(bench))
    assert asked == []


async def test_adopting_a_retired_pipeline_takes_its_events_up_again() -> None:
    bench = await a_loaded_bench()
    bench.source.put(*(an_event(i) for i in range(40, 80)))
    assert (await bench.sync()).held == 40
    released(bench)
    assert bench.ledger.holds() == []
    forget_calls(bench)
    assert (await bench.sync(adopts_only=True)).exit_code == 0
    report = await bench.sync()
    assert (report.unchanged, report.held, writes(bench)) == (30, 40, 0)


async def test_what_was_in_flight_when_it_was_retired_is_not_created_twice() -> None:
    bench = a_bench(an_event(1))
    bench.target.fail_next(VendorUnavailable("timeout"), call=Call.UPSERT, times=9, applied=Applied.ALL)
    await bench.sync()
    bench.target.stop_failing()
    released(bench)
    await run(another(bench))
    assert list(bench.target.live) == [ExternalId("ms-1")]


async def test_deleting_a_pipeline_shows_first_what_it_would_take_with_it() -> None:
    bench = await a_loaded_bench()
    decisions.ignore(bench.ledger, "ms-1", clock=lambda: bench.now)
    found = await doomed(bench.pipeline)
    assert (len(found.links), found.left_alone, found.people, writes(bench)) == (29, 1, 29, 0)


async def test_people_are_not_known_where_the_target_cannot_be_read() -> None:
    bench = await a_loaded_bench(3)
    bench.target.fail_next(VendorUnavailable("504"), call=Call.LISTING)
    assert (await doomed(bench.pipeline)).people is None


async def test_a_pipeline_that_was_deleted_leaves_nothing_and_its_ids_are_not_used_again() -> None:
    bench = await a_loaded_bench(40)
    report = await delete_all(bench.pipeline)
    assert (report.deleted, report.exit_code, bench.target.live, bench.ledger.holds()) == (40, 0, {}, [])
    assert [line.what for line in bench.ledger.history("venue", ExternalId("ms-1"))][-1] == DELETED_AS_APPROVED
    assert end(whole(bench), "venue", clock=lambda: bench.now) == 0
    assert bench.ledger.count_states("venue") == {}
    report = await run(another(bench))
    assert (report.created, min(bench.target.live)) == (40, "ms-1.2")


async def test_events_that_have_ended_are_not_deleted() -> None:
    bench = await a_loaded_bench(3)
    bench.now = an_event(1).end + timedelta(minutes=1)
    assert (await delete_all(bench.pipeline)).deleted == 2


async def test_what_could_not_be_deleted_stays_claimed() -> None:
    bench = await a_loaded_bench(3)
    bench.target.fail_next(RequestRejected("409"), call=Call.DELETE)
    report = await delete_all(bench.pipeline)
    assert (report.deleted, report.outcome) == (2, Outcome.PARTIAL)
    assert end(whole(bench), "venue", clock=lambda: bench.now) == 1
    report = await run(another(bench))
    assert [put.external_id for put in bench.target.sent if put.external_id == "ms-1"] == []
    assert len(bench.target.live) == 3


async def test_a_vendor_that_goes_away_in_the_middle_stops_it_and_it_can_be_run_again() -> None:
    bench = await a_loaded_bench(3)
    bench.target.fail_next(VendorUnavailable("502"), call=Call.DELETE)
    report = await delete_all(bench.pipeline)
    assert (report.deleted, report.exit_code) == (0, ExitCode.VENDOR)
    assert (await delete_all(bench.pipeline)).deleted == 3
    assert bench.target.live == {}


async def test_nothing_is_deleted_while_a_request_that_a_kill_cut_off_may_bring_it_back() -> None:
    bench = await a_loaded_bench(3)
    bench.source.put(an_event(4))
    bench.target.fail_next(VendorUnavailable("timeout"), call=Call.UPSERT, times=9)
    await bench.sync()
    bench.target.stop_failing()
    (put,) = bench.target.upserts[-1]
    report = await delete_all(bench.pipeline)
    assert (report.deleted, report.outcome, report.exit_code) == (0, Outcome.REFUSED, ExitCode.GUARD)
    bench.target.place("ms-4", put.entry)
    bench.now += SETTLED_AFTER
    report = await delete_all(bench.pipeline)
    assert (report.deleted, report.exit_code, bench.target.live) == (4, 0, {})


async def test_nothing_is_deleted_at_another_account_than_the_events_are_at() -> None:
    bench = await a_loaded_bench(3)
    elsewhere = dataclasses.replace(bench.pipeline, target=MemoryTarget(account="another"))
    with pytest.raises(ConfigError, match="reminders"):
        await doomed(elsewhere)
    report = await delete_all(elsewhere)
    assert (report.deleted, report.exit_code) == (0, ExitCode.CONFIG)


# --- rename ---


async def test_a_sync_under_the_new_name_sends_nothing() -> None:
    bench = await a_loaded_bench()
    bench.source.put(*(an_event(i) for i in range(40, 80)))
    await bench.sync()
    forget_calls(bench)
    assert rename(whole(bench), "venue", "hall", clock=lambda: bench.now) == 30
    report = await run(another(bench))
    assert (report.unchanged, report.held, writes(bench)) == (30, 40, 0)
    assert bench.ledger.count_states("venue") == {}


async def test_renaming_after_the_config_was_edited_first_is_as_good() -> None:
    bench = await a_loaded_bench(5)
    assert (await run(another(bench))).created == 0
    rename(whole(bench), "venue", "hall", clock=lambda: bench.now)
    assert (await run(another(bench))).sent == 0


async def test_what_the_new_name_could_not_read_meanwhile_keeps_nobody_from_it() -> None:
    bench = await a_loaded_bench(5)
    await run(another(bench))
    bench.source.put(an_event(6))
    bench.source.spoil(6)
    await run(another(bench))
    rename(whole(bench), "venue", "hall", clock=lambda: bench.now)
    assert (await run(another(bench))).sent == 0


async def test_a_name_with_events_of_its_own_is_not_taken_and_takes_them_over_as_its_remedy_says() -> None:
    bench = await a_loaded_bench(5)
    await run(another(bench))
    bench.source.put(an_event(90))
    await run(another(bench))
    with pytest.raises(ConfigError) as refused:
        rename(whole(bench), "venue", "hall", clock=lambda: bench.now)
    assert bench.ledger.count_live("venue") == 5
    assert "`calrelay retire venue`" in (refused.value.remedy or "") or isinstance(bench.ledger, MemoryLedger)
    release(whole(bench), "venue", clock=lambda: bench.now)
    report = await run(another(bench))
    assert (report.unchanged, report.sent, bench.ledger.count_live("hall")) == (6, 0, 6)


async def test_an_adopt_that_fails_leaves_a_retired_pipeline_retired() -> None:
    bench = await a_loaded_bench(5)
    release(whole(bench), "venue", clock=lambda: bench.now)
    bench.source.put(with_status(an_event(1), "LOST"))
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.LISTING, times=9)
    await bench.sync(adopts_only=True)
    bench.target.stop_failing()
    assert ((await bench.sync()).outcome, len(bench.target.live)) == (Outcome.REFUSED, 5)
    bench.source.flaw = Flaw(what="every page is missing")
    rows, bench.source.rows = bench.source.rows, {}
    assert (await bench.sync(adopts_only=True)).outcome is Outcome.FAILED
    bench.source.flaw, bench.source.rows = None, rows
    assert (await bench.sync()).outcome is Outcome.REFUSED
    await bench.sync(adopts_only=True)
    assert (await bench.sync()).deleted == 1


async def test_an_unknown_name_is_not_renamed() -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        rename(whole(a_bench()), "nowhere", "hall", clock=lambda: a_bench().now)


async def test_a_request_that_comes_late_is_noticed_under_the_new_name_too() -> None:
    bench = await a_loaded_bench(30)
    bench.source.put(moved(an_event(1), HOUR))
    bench.target.fail_next(VendorUnavailable("timeout"), call=Call.UPSERT, times=9)
    await bench.sync()
    bench.target.stop_failing()
    bench.source.put(with_status(an_event(1), "LOST"))
    assert (await bench.sync()).deleted == 1
    rename(whole(bench), "venue", "hall", clock=lambda: bench.now)
    bench.target.change("ms-1", is_deleted=False)
    bench.now += SETTLED_AFTER
    assert (await run(another(bench))).deleted == 1
    assert "ms-1" not in bench.target.live


async def test_a_load_that_was_stopped_resumes_under_the_new_name() -> None:
    bench = await a_loaded_bench(2)
    bench.ledger.save_memo("backfill:venue:a:b", "done", bench.now)
    bench.ledger.save_memo("far:venue-two", "7", bench.now)
    rename(whole(bench), "venue", "hall", clock=lambda: bench.now)
    assert (bench.ledger.memo("backfill:venue:a:b"), bench.ledger.memo("backfill:hall:a:b")) == (None, ("done", bench.now))
    assert bench.ledger.memo("far:venue-two") == ("7", bench.now)


async def test_a_paused_pipeline_can_be_ended_and_a_pause_meanwhile_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_loaded_bench()
    decisions.set_paused(bench.ledger, "venue", is_paused=True)
    delete = bench.target.delete

    async def pausing(target_id: TargetId) -> None:
        await delete(target_id)
        if len(bench.target.deletes) == 10:
            decisions.set_paused(bench.ledger, "venue", is_paused=True)

    monkeypatch.setattr(bench.target, "delete", pausing)
    report = await delete_all(bench.pipeline)
    assert (report.deleted, report.outcome, len(bench.target.live)) == (10, Outcome.REFUSED, 20)
    report = await delete_all(bench.pipeline)
    assert (report.deleted, report.outcome, len(bench.target.live)) == (20, Outcome.OK, 0)


async def test_what_a_retired_pipeline_left_can_be_deleted_afterwards() -> None:
    bench = await a_loaded_bench()
    release(whole(bench), "venue", clock=lambda: bench.now)
    report = await delete_all(bench.pipeline)
    assert (report.deleted, report.problems) == (30, [])
    assert not bench.target.live


async def test_a_refusal_over_an_event_that_the_target_cannot_tell_of_names_the_event(silent_about: SilentAbout) -> None:
    bench = await a_loaded_bench()
    bench.source.put(an_event(40))
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=20)
    await bench.sync()
    bench.target.stop_failing()
    silent_about(bench, lambda external_id: external_id == "ms-40")
    bench.now += HOUR
    report = await delete_all(bench.pipeline)
    assert (report.deleted, report.outcome) == (0, Outcome.REFUSED)
    assert [problem.external_id for problem in report.problems] == ["ms-40", ""]
    assert "calrelay ignore ms-40" in report.problems[0].remedy
    assert "calrelay ignore ms-40" in report.problems[1].remedy
    decisions.ignore(bench.ledger, "ms-40", clock=lambda: bench.now)
    bench.now += SETTLED_AFTER
    assert (await delete_all(bench.pipeline)).deleted == 30


async def test_what_was_rejected_once_and_changed_since_is_deleted_with_all_others() -> None:
    bench = await a_loaded_bench(120)
    bench.source.put(*(moved(an_event(i), timedelta(hours=1)) for i in range(1, 31)))
    assert (await bench.sync()).held == 30
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    await bench.sync()
    bench.source.put(*(moved(an_event(i), (i + 1) * timedelta(hours=1)) for i in range(1, 4)))
    assert (await bench.sync()).updated == 3
    release(whole(bench), "venue", clock=lambda: bench.now)
    found = await doomed(bench.pipeline)
    assert (await delete_all(bench.pipeline)).deleted == len(found.links) == 93


async def test_what_was_refused_before_is_not_told_as_having_failed_as_often() -> None:
    bench = await a_loaded_bench(3)
    bench.target.poison[ExternalId("ms-1")] = Poison.REFUSE
    for number in (1, 2, 3):
        bench.source.put(moved(an_event(1), number * HOUR))
        await bench.sync()
        bench.ledger.store(
            dataclasses.replace(link, attempts=3) for link in bench.ledger.links_in("venue", {State.QUARANTINED})
        )  # refused again and again
    bench.target.fail_next(VendorUnavailable("503", account="reminders", status=503), call=Call.DELETE, times=1)
    report = await delete_all(bench.pipeline)
    assert report.exit_code == ExitCode.VENDOR
