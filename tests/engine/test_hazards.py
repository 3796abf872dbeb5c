"""Narrow ways in which a booking could be lost, doubled or misplaced, found by reading the rules against the code."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import timedelta

import pytest

from calrelay.domain.event import Event
from calrelay.domain.link import Basis, ExternalId, MessageMode
from calrelay.domain.policy import Match, Route
from calrelay.domain.window import Span
from calrelay.engine import decisions
from calrelay.engine.backfill import backfill
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import Outcome, PassReport
from calrelay.errors import ExitCode, VendorUnavailable
from calrelay.ports import Flaw, Page, Scope
from tests.fakes import pipelines
from tests.fakes.memory_source import NOW, a_guest, an_event, moved, with_status
from tests.fakes.memory_target import Call, MemoryTarget, Poison
from tests.fakes.pipelines import TERRACE, Bench, a_bench

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WHOLE = Span(begin=NOW - DAY, end=NOW + 179 * DAY)
TO_THE_TERRACE = (Route(match=Match(facets={"rooms": frozenset({"main hall"})}), calendar=TERRACE),)
NEW_CONFIG, NEW_MAPPING = Basis(zone_data="2026f", mapping="1", config="2"), Basis(zone_data="2026f", mapping="2", config="1")


def events(number: int) -> list[Event]:
    return [an_event(i) for i in range(1, number + 1)]


def in_room(event: Event, *rooms: str) -> Event:
    return dataclasses.replace(event, facets={"rooms": frozenset(rooms)})


class SharingBench(Bench):
    """A bench whose pipeline shares a target, a ledger and a prefix with another one."""

    @property
    def pipeline(self) -> Pipeline:
        return dataclasses.replace(super().pipeline, owns_prefix=False)


def two_pipelines(*shown: Event) -> tuple[SharingBench, SharingBench]:
    one = a_bench(*shown)
    hall = SharingBench(source=one.source, target=one.target, ledger=one.ledger, rooms=frozenset({"main hall"}))
    terrace = SharingBench(source=one.source, target=one.target, ledger=one.ledger, rooms=frozenset({"terrace"}), name="other")
    return hall, terrace


async def load(bench: Bench, mode: MessageMode) -> list[PassReport]:
    return [step.report async for step in backfill(bench.pipeline, WHOLE, mode, lock=nullcontext)]


async def test_an_external_id_is_never_used_twice_however_often_an_event_changes_pipelines() -> None:
    """What a PUT on a deleted external id does at Apptoto is unknown."""
    hall, terrace = two_pipelines(in_room(an_event(1), "main hall"))
    await hall.sync()
    for room in ("terrace", "main hall", "terrace", "main hall"):
        hall.source.put(in_room(an_event(1), room))
        for bench in (hall, terrace, hall, terrace):
            await bench.sync()
    sent = [put.external_id for put in hall.target.sent]
    assert len(sent) == len(set(sent)) == 5
    assert len(hall.target.live) == 1


async def test_an_event_claimed_twice_is_refused_alone() -> None:
    hall, terrace = two_pipelines(in_room(an_event(1), "main hall"))
    await hall.sync()
    hall.source.put(in_room(an_event(1), "terrace"))
    await hall.sync()
    await terrace.sync()
    hall.source.put(in_room(an_event(1), "terrace", "main hall"), an_event(5))
    report = await hall.sync()
    assert (report.created, report.exit_code) == (1, ExitCode.ATTENTION)
    assert "both claim" in report.problems[0].message


async def test_a_changed_target_account_is_refused_before_anything_is_sent() -> None:
    bench = a_bench(*events(3))
    await bench.sync()
    other = MemoryTarget(account="elsewhere")
    bench.target = other
    bench.source.put(with_status(an_event(2), "LOST"))
    report = await bench.sync()
    assert (report.outcome, report.exit_code, other.deletes, other.upserts) == (Outcome.FAILED, ExitCode.CONFIG, [], [])
    assert "elsewhere" in report.problems[0].message


async def test_a_pause_that_comes_during_a_pass_stands_and_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = a_bench(*events(5))
    read = bench.source.read

    async def read_and_pause(scope: Scope) -> AsyncIterator[Page | Flaw]:
        async for page in read(scope):
            decisions.set_paused(bench.ledger, "venue", is_paused=True)
            yield page

    monkeypatch.setattr(bench.source, "read", read_and_pause)
    report = await bench.sync()
    assert (report.outcome, report.created) == (Outcome.REFUSED, 0)
    assert bench.ledger.pipeline("venue").is_paused


async def test_a_load_marks_events_as_typed_now_whatever_a_failed_attempt_was_told() -> None:
    bench = a_bench(*events(3), first_load=0)
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=10)
    await load(bench, MessageMode.SEND)
    bench.target.stop_failing()
    assert not bench.target.live
    await load(bench, MessageMode.NO_BOOKING)
    assert "#nobooking" in (bench.target.held("ms-1").content or "")


@pytest.mark.parametrize("number", [3, 60])
async def test_adopting_a_loaded_season_changes_nothing_at_the_target(number: int) -> None:
    bench = a_bench(*events(number), first_load=0)
    await load(bench, MessageMode.NO_BOOKING)
    before = len(bench.target.sent)
    bench.ledger = pipelines.new_ledger()
    await bench.sync(adopts_only=True)
    report = await bench.sync()
    assert (report.updated, report.held, report.exit_code, len(bench.target.sent)) == (0, 0, 0, before)


async def test_a_first_load_counts_moves_between_calendars_as_the_new_events_they_are() -> None:
    bench = a_bench(*events(3), first_load=0)
    await load(bench, MessageMode.NO_BOOKING)
    bench.ledger, bench.routes, bench.basis = pipelines.new_ledger(), TO_THE_TERRACE, NEW_CONFIG
    report = await bench.sync()
    assert (report.outcome, report.deleted, report.exit_code) == (Outcome.REFUSED, 0, ExitCode.GUARD)


async def test_an_approved_move_that_an_outage_interrupts_is_finished_without_another_decision() -> None:
    bench = a_bench(*events(60))
    await bench.sync()
    bench.routes, bench.basis = TO_THE_TERRACE, NEW_CONFIG
    assert (await bench.sync()).held == 60
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=50)
    report = await bench.sync()
    assert report.deleted == bench.target.batch_size, "no guest is without an entry for longer than a request"
    bench.target.stop_failing()
    report = await bench.sync()
    assert (report.created, report.held, len(bench.target.live)) == (60, 0, 60)


async def test_a_dry_run_remembers_nothing_however_much_lies_beyond_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = a_bench(*events(2))
    await bench.sync()
    far = [
        dataclasses.replace(an_event(100 + i), start=NOW + timedelta(days=300 + i), end=NOW + timedelta(days=300 + i, hours=2))
        for i in range(29)
    ]
    bench.source.put(*far)
    span = Span(begin=NOW + 290 * DAY, end=NOW + 340 * DAY)
    assert [step async for step in backfill(bench.pipeline, span, MessageMode.NO_BOOKING, lock=nullcontext)]
    noted: list[object] = []
    monkeypatch.setattr(bench.ledger, "save_memo", lambda *memo: noted.append(memo))
    await bench.sync(is_dry_run=True)
    assert noted == []


async def test_a_change_of_how_rows_are_read_does_not_pass_as_a_change_at_the_source() -> None:
    bench = a_bench(*events(30))
    await bench.sync()
    bench.source.put(*(dataclasses.replace(an_event(i), participants=()) for i in range(1, 5)))
    bench.source.put(*(dataclasses.replace(an_event(i), participants=(a_guest(i), a_guest(77))) for i in range(5, 11)))
    bench.basis = NEW_MAPPING
    report = await bench.sync()
    assert (report.deleted, report.updated, report.held) == (0, 0, 10)


async def test_a_cancellation_right_after_a_release_is_still_the_sources() -> None:
    bench = a_bench(*events(30))
    await bench.sync()
    bench.source.put(with_status(an_event(1), "LOST"))
    bench.basis = NEW_MAPPING
    report = await bench.sync()
    assert (report.deleted, report.held) == (1, 0)


async def test_an_update_left_out_of_an_answer_that_names_no_external_ids_is_noticed() -> None:
    bench = a_bench(*events(3))
    await bench.sync()
    bench.target.echoes_external_ids = False
    bench.source.put(dataclasses.replace(an_event(1), participants=(a_guest(99),)), dataclasses.replace(an_event(2), title="Renamed"))
    bench.target.poison[ExternalId("ms-1")] = Poison.DROP
    report = await bench.sync()
    assert (report.updated, report.quarantined) == (1, 1)


async def test_what_is_held_of_events_that_are_over_dissolves() -> None:
    bench = a_bench(*events(60))
    await bench.sync()
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(1, 60)))
    assert (await bench.sync()).held == 59
    bench.now = NOW + 170 * DAY
    report = await bench.sync()
    assert (report.held, bench.ledger.holds()) == (0, [])
