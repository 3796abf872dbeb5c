"""Passes that something breaks into: a machine that sleeps, a clock that is set, and a person at the target in the wrong moment."""

import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.link import CalendarId, State
from calrelay.domain.policy import Match, Route
from calrelay.engine import decisions
from calrelay.engine.report import Outcome
from calrelay.errors import AuthFailed, ExitCode, VendorUnavailable
from calrelay.ports import Flaw, Page, Scope
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.memory_target import Applied, Call
from tests.fakes.pipelines import TERRACE, Bench, a_bench

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


async def a_loaded_bench(number: int = 30) -> Bench:
    bench = a_bench(*(an_event(i) for i in range(1, number + 1)))
    await bench.sync()
    bench.target.upserts.clear()
    return bench


# --- sleep, and clocks that are set ---


@pytest.mark.parametrize("by", [DAY, 6 * MINUTE, -6 * MINUTE, -2 * HOUR])
async def test_what_was_read_before_the_machine_slept_or_its_clock_was_set_is_not_acted_upon(
    by: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(20), HOUR), an_event(31))
    bench.source.remove(21)
    read = bench.source.read

    async def read_and_sleep(scope: Scope) -> AsyncIterator[Page | Flaw]:
        async for page in read(scope):
            yield page
        bench.now += by

    monkeypatch.setattr(bench.source, "read", read_and_sleep)
    report = await bench.sync()
    assert (report.outcome, report.sent, report.exit_code) == (Outcome.FAILED, 0, ExitCode.VENDOR)
    assert (bench.target.upserts, bench.target.deletes) == ([], [])
    assert "slept, or its clock was set" in report.problems[0].message
    monkeypatch.undo()
    assert (await bench.sync()).sent == 3


async def test_a_machine_that_sleeps_between_two_requests_sends_nothing_more_of_the_old_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    upsert = bench.target.upsert

    async def upsert_and_sleep(puts: object) -> object:
        answer = await upsert(puts)  # type: ignore[arg-type] # passed on
        bench.now += DAY
        return answer

    monkeypatch.setattr(bench.target, "upsert", upsert_and_sleep)
    report = await bench.sync()
    assert (report.created, report.outcome, report.exit_code) == (bench.target.batch_size, Outcome.PARTIAL, ExitCode.VENDOR)
    monkeypatch.undo()
    await bench.sync()
    assert all(held.end is not None and held.end > bench.now - DAY for held in bench.target.live.values())
    assert (await bench.sync()).sent == 0


async def test_a_small_step_of_the_clock_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_loaded_bench()
    bench.source.put(an_event(31))
    read = bench.source.read

    async def read_slowly(scope: Scope) -> AsyncIterator[Page | Flaw]:
        async for page in read(scope):
            yield page
            bench.now += MINUTE

    monkeypatch.setattr(bench.source, "read", read_slowly)
    assert (await bench.sync()).created == 1


async def test_a_pass_that_takes_an_hour_is_no_machine_that_slept(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_loaded_bench()
    bench.source.put(an_event(31))
    began, read = bench.now, bench.source.read
    make = type(bench).pipeline.fget  # type: ignore[attr-defined] # a property

    async def read_for_an_hour(scope: Scope) -> AsyncIterator[Page | Flaw]:
        async for page in read(scope):
            yield page
        bench.now += HOUR

    monkeypatch.setattr(bench.source, "read", read_for_an_hour)

    def stopwatch() -> float:
        return (bench.now - began).total_seconds()  # runs as the clock does

    monkeypatch.setattr(type(bench), "pipeline", property(lambda self: dataclasses.replace(make(self), stopwatch=stopwatch)))
    assert (await bench.sync()).created == 1


# --- a person at the target, while a change is in flight ---


async def with_an_update_in_flight(bench: Bench) -> None:
    bench.source.put(moved(an_event(1), HOUR))
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=20)
    await bench.sync()
    bench.target.stop_failing()
    bench.target.upserts.clear()


@pytest.mark.parametrize("is_shown", [True, False])
async def test_an_entry_a_person_deleted_while_a_change_was_in_flight_is_not_created_again_unasked(*, is_shown: bool) -> None:
    bench = await a_loaded_bench()
    await with_an_update_in_flight(bench)
    if is_shown:
        bench.target.change("ms-1", is_deleted=True)
    else:
        bench.target.lose("ms-1")
    for _ in range(2):
        report = await bench.sync()
        assert (report.created, report.quarantined, report.exit_code) == (0, 1, ExitCode.ATTENTION)
    (link,) = bench.ledger.links_in("venue", {State.QUARANTINED})
    assert "somebody deleted it" in link.reason
    assert bench.target.upserts == []


async def test_it_is_created_again_in_the_next_generation_when_the_operator_says_so() -> None:
    bench = await a_loaded_bench()
    await with_an_update_in_flight(bench)
    bench.target.change("ms-1", is_deleted=True)
    await bench.sync()
    decisions.retry(bench.ledger, ["venue"], [], clock=lambda: bench.now)
    report = await bench.sync()
    assert (report.created, report.quarantined, bench.target.held("ms-1.2").start) == (1, 0, moved(an_event(1), HOUR).start)
    assert (await bench.sync()).sent == 0


async def test_a_move_to_another_calendar_whose_delete_was_applied_goes_on_with_its_create() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"terrace"})}), calendar=CalendarId(TERRACE)),)
    await bench.sync()
    bench.source.put(dataclasses.replace(an_event(1), facets={"rooms": frozenset({"terrace"})}))
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.DELETE, applied=Applied.ALL)
    await bench.sync()
    report = await bench.sync()
    assert (report.created, report.quarantined, bench.target.held("ms-1.2").calendar) == (1, 0, TERRACE)


async def test_what_was_answered_with_a_page_may_have_been_applied_and_is_asked_for() -> None:
    """A login page with status 200, or a proxy's page after the work was done."""
    bench = a_bench(an_event(1))
    bench.target.fail_next(AuthFailed("a page", account="reminders", status=200), call=Call.UPSERT, times=5, applied=Applied.ALL)
    assert (await bench.sync()).exit_code == ExitCode.VENDOR
    bench.target.stop_failing()
    bench.source.put(with_status(an_event(1), "LOST"))
    report = await bench.sync()
    assert (report.deleted, bench.target.live) == (1, {})


# --- an event that is ignored while a request for it is open ---


async def ignored_in_flight(bench: Bench, number: int, *, applied: Applied) -> None:
    """Break off whatever is to be sent, and have the operator ignore the event, and look after it again."""
    bench.target.fail_next(VendorUnavailable("no answer"), applied=applied, call=Call.UPSERT, times=20)
    bench.target.fail_next(VendorUnavailable("no answer"), applied=applied, call=Call.DELETE, times=20)
    await bench.sync()
    bench.target.stop_failing()
    assert bench.ledger.links("venue", [SourceId(str(number))])[SourceId(str(number))].state is State.SENDING
    for _ in range(2):
        decisions.ignore(bench.ledger, f"ms-{number}", clock=lambda: bench.now)
    assert (await bench.sync()).sent == 0
    decisions.unignore(bench.ledger, f"ms-{number}", clock=lambda: bench.now)


@pytest.mark.parametrize("applied", Applied)
async def test_a_create_that_was_in_flight_when_its_event_was_ignored_is_deleted_once_the_booking_is_cancelled(applied: Applied) -> None:
    bench = await a_loaded_bench()
    bench.source.put(an_event(31))
    await ignored_in_flight(bench, 31, applied=applied)
    bench.source.put(with_status(an_event(31), "LOST"))
    assert (await bench.sync()).deleted == (applied is Applied.ALL)
    assert "ms-31" not in bench.target.live


@pytest.mark.parametrize("applied", Applied)
async def test_a_change_that_was_in_flight_when_its_event_was_ignored_is_taken_back_with_the_booking_s(applied: Applied) -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(5), HOUR))
    await ignored_in_flight(bench, 5, applied=applied)
    bench.source.put(an_event(5))
    await bench.sync()
    assert bench.target.held("ms-5").start == an_event(5).start


@pytest.mark.parametrize("applied", Applied)
async def test_a_delete_that_was_in_flight_when_its_event_was_ignored_loses_no_booking_that_returns(applied: Applied) -> None:
    bench = await a_loaded_bench()
    bench.source.put(with_status(an_event(5), "LOST"))
    await ignored_in_flight(bench, 5, applied=applied)
    bench.source.put(an_event(5))
    await bench.sync()
    assert [external_id for external_id in bench.target.live if external_id.split(".")[0] == "ms-5"]
