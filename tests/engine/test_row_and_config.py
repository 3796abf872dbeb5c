"""What a booking's row and the config changed together: the row's part goes first, where the entry is; the config's waits (rule 13)."""

import dataclasses
from datetime import datetime, timedelta
from typing import cast

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.guard import HoldKind
from calrelay.domain.link import ExternalId, MessageMode, State
from calrelay.domain.policy import Match, Route
from calrelay.engine import decisions
from calrelay.engine.retire import WholeLedger, release
from calrelay.errors import ConfigError, ExitCode, RateLimited, VendorUnavailable
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.memory_target import MAIN_HALL, TERRACE, Call
from tests.fakes.pipelines import Bench, a_loaded_bench

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LIMITED = RateLimited("429", account="reminders", status=429)
BROKEN = VendorUnavailable("503", account="reminders", status=503)
IN_THE_CELLAR = frozenset({"cellar"})  # where none of the bookings is


def held(bench: Bench) -> dict[HoldKind, int]:
    return {hold.kind: len(hold.items) for hold in bench.ledger.holds()}


def start(bench: Bench, number: int) -> datetime | None:
    return bench.target.live[ExternalId(f"ms-{number}")].start


async def some_passes(bench: Bench, number: int = 3, apart: timedelta = timedelta()) -> None:
    for _ in range(number):
        bench.now += apart
        await bench.sync()


async def test_all_that_a_row_changed_and_that_did_not_arrive_goes_first_where_no_text_changed() -> None:
    bench = await a_loaded_bench()
    bench.source.put(dataclasses.replace(an_event(1), location="Other House"))
    bench.target.fail_next(LIMITED, call=Call.UPSERT, times=30)
    await bench.sync()
    bench.target.stop_failing()
    bench.rooms = IN_THE_CELLAR
    bench.edit("cellar texts")
    await some_passes(bench)
    assert (bench.target.held("ms-1").location, held(bench)) == ("Other House", {HoldKind.FILTER: 30})


@pytest.mark.parametrize("trouble", [LIMITED, BROKEN])
async def test_what_settles_after_it_failed_keeps_its_turn(trouble: RateLimited | VendorUnavailable) -> None:
    bench = await a_loaded_bench()
    bench.settle = timedelta(minutes=10)
    bench.source.put(moved(an_event(1), HOUR))
    await bench.sync()
    bench.target.fail_next(trouble, call=Call.UPSERT)
    await some_passes(bench, 1, apart=timedelta(minutes=11))
    bench.target.stop_failing()
    bench.rooms = IN_THE_CELLAR
    bench.edit("cellar texts")
    await some_passes(bench, 4, apart=timedelta(minutes=11))
    assert (start(bench, 1), held(bench)) == (moved(an_event(1), HOUR).start, {HoldKind.FILTER: 30})


async def test_what_the_guard_holds_of_the_rows_is_sent_when_it_is_approved_and_then_the_config_has_its_say() -> None:
    bench = await a_loaded_bench()
    bench.source.put(*(moved(an_event(i), i * HOUR) for i in range(1, 22)))
    bench.rooms = IN_THE_CELLAR
    bench.edit("cellar texts")
    await some_passes(bench, 2)
    assert held(bench) == {HoldKind.UPDATES: 21, HoldKind.FILTER: 9}
    for hold in [hold for hold in bench.ledger.holds() if hold.kind is HoldKind.UPDATES]:
        decisions.approve(bench.ledger, hold.id, clock=lambda: bench.now)
    await some_passes(bench, 2)
    assert [start(bench, i) for i in range(1, 22)] == [moved(an_event(i), i * HOUR).start for i in range(1, 22)]
    assert held(bench) == {HoldKind.FILTER: 30}


@pytest.mark.parametrize("number", [1, 10])
async def test_a_rejected_deletion_stays_rejected_whatever_else_the_filter_lets_in(number: int) -> None:
    bench = await a_loaded_bench(100)
    bench.source.put(*(with_status(an_event(i), "TENTATIVE") for i in range(1, 31)))
    assert (await bench.sync()).held == 30
    bench.reject(HoldKind.DELETES)
    bench.source.put(*(with_status(moved(an_event(i), HOUR), "TENTATIVE") for i in range(1, number + 1)))
    await some_passes(bench, 2)
    bench.statuses = bench.statuses | {"PROSPECT"}
    bench.edit("other texts")
    reports = [await bench.sync() for _ in range(3)]
    assert [(report.sent, report.held) for report in reports] == [(0, 0)] * 3
    assert (await bench.sync(is_dry_run=True)).actions == []


async def test_texts_that_were_taken_back_are_told_as_a_change_of_ours() -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), HOUR))
    bench.rooms, bench.title = IN_THE_CELLAR, "Wrong: {{ event.title }}"
    bench.edit("cellar others")
    await bench.sync()
    bench.rooms, bench.title = frozenset(), "{{ event.title }}"
    bench.edit("choice texts")
    await bench.sync()
    assert held(bench) == {HoldKind.MAPPING: 1}


async def test_a_rejected_shift_is_not_carried_out_by_a_move_to_another_calendar() -> None:
    bench = await a_loaded_bench()
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(1, 11)))
    bench.routes = (Route(match=Match(), calendar=TERRACE),)
    bench.edit("terrace texts")
    await bench.sync()
    bench.reject(HoldKind.SAME_SHIFT)
    await bench.sync()
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    await some_passes(bench, 2)
    assert [start(bench, i) for i in range(1, 11)] == [an_event(i).start for i in range(1, 11)]
    assert {bench.ledger.links("venue", [SourceId(str(i))])[SourceId(str(i))].state for i in range(1, 11)} == {State.IGNORED}


async def test_a_booking_moved_into_the_past_is_its_sources_doing_whatever_the_filter_makes_of_it() -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), -5 * DAY))
    bench.rooms = IN_THE_CELLAR
    bench.edit("cellar texts")
    await bench.sync()
    assert ExternalId("ms-1") not in bench.target.live


@pytest.mark.parametrize("is_put_back", [False, True])
async def test_what_was_let_go_for_good_can_be_taken_up_again(is_put_back: bool) -> None:
    bench = await a_loaded_bench()
    bench.rooms = IN_THE_CELLAR
    bench.edit("cellar texts")
    await bench.sync()
    bench.reject(HoldKind.FILTER)
    bench.source.put(moved(an_event(1), HOUR))
    if is_put_back:
        bench.rooms = frozenset()
        bench.edit("choice texts")
    await bench.sync()
    assert start(bench, 1) == an_event(1).start
    decisions.unignore(bench.ledger, "ms-1", clock=lambda: bench.now)
    await bench.sync()
    assert held(bench) == ({} if is_put_back else {HoldKind.FILTER: 1})
    assert start(bench, 1) == (moved(an_event(1), HOUR) if is_put_back else an_event(1)).start


async def test_a_pipeline_that_was_retired_is_taken_up_by_no_undo_and_all_that_stays_is_counted() -> None:
    bench = await a_loaded_bench()
    bench.rooms = IN_THE_CELLAR
    bench.edit("cellar texts")
    await bench.sync()
    bench.source.put(an_event(31, facets={"rooms": IN_THE_CELLAR}))
    bench.reject(HoldKind.FILTER)
    await bench.sync()
    assert release(cast("WholeLedger", bench.ledger), "venue", clock=lambda: bench.now) == 31
    with pytest.raises(ConfigError, match="is not ignored"):
        decisions.unignore(bench.ledger, "ms-31", clock=lambda: bench.now)


@pytest.mark.parametrize("what", ["leaves the filter", "belongs elsewhere"])
async def test_a_filter_that_was_a_mistake_and_put_back_forgets_nothing_that_a_row_said_meanwhile(what: str) -> None:
    bench = await a_loaded_bench()
    bench.routes = (Route(match=Match(facets={"rooms": IN_THE_CELLAR}), calendar=TERRACE),)
    await some_passes(bench, 1)
    bench.statuses = frozenset({"CLOSED"})
    bench.edit("mistake texts")
    row = moved(an_event(1), HOUR)
    bench.source.put(
        with_status(row, "TENTATIVE") if what == "leaves the filter" else dataclasses.replace(row, facets={"rooms": IN_THE_CELLAR})
    )
    await bench.sync()
    assert (start(bench, 1), held(bench)) == (row.start, {HoldKind.FILTER: 29})  # the row's part; the config's is planned next
    bench.statuses = frozenset({"DEFINITE", "CLOSED"})
    bench.edit("choice texts")
    await some_passes(bench)
    left = [holding.calendar for key, holding in bench.target.live.items() if key in ("ms-1", "ms-1.2")]
    assert (left, held(bench)) == ([] if what == "leaves the filter" else [TERRACE], {})


@pytest.mark.parametrize("what", ["time", "location"])
@pytest.mark.parametrize("number", [1, 4])
async def test_a_calendar_that_is_gone_and_replaced_in_the_config_holds_nobody_up(number: int, what: str) -> None:
    bench = await a_loaded_bench()
    bench.target.broken_calendars.add(MAIN_HALL)
    rows = [an_event(i) for i in range(1, number + 1)]
    bench.source.put(*(moved(row, HOUR) if what == "time" else dataclasses.replace(row, location="Other House") for row in rows))
    assert (await bench.sync()).exit_code == ExitCode.VENDOR
    bench.calendar = TERRACE
    bench.edit("terrace texts")
    bench.source.put(an_event(40))
    for _ in range(4):
        bench.now += HOUR
        report = await bench.sync()
        if bench.ledger.holds():
            decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    assert (report.exit_code, len([one for one in bench.target.live.values() if one.calendar == TERRACE])) == (ExitCode.DONE, 31)
    assert bench.ledger.pipeline("venue").last_complete_at == bench.now


async def test_a_text_that_did_not_arrive_waits_for_no_template_where_only_a_filter_was_edited() -> None:
    bench = await a_loaded_bench()
    bench.source.put(dataclasses.replace(an_event(1), location="Other House"))
    bench.target.fail_next(LIMITED, call=Call.UPSERT, times=30)
    await bench.sync()
    bench.target.stop_failing()
    decisions.retag(bench.ledger, bench.ledger.links("venue", [SourceId("2")]).values(), MessageMode.SKIP, clock=lambda: bench.now)
    bench.statuses |= {"PROSPECT"}
    bench.edit("wider texts")
    await bench.sync()
    assert (bench.target.held("ms-1").location, held(bench)) == ("Other House", {})
    assert "#skip" in (bench.target.held("ms-2").content or "")


@pytest.mark.parametrize("change", ["an older hash", "another extra"])
async def test_texts_that_wait_with_a_filter_are_not_sent_as_a_change_of_the_row(change: str) -> None:
    bench = await a_loaded_bench()
    rows = [an_event(i, custom={"guest_count": "40", "next_message": "on Monday"}) for i in range(1, 6)]
    bench.source.put(*rows)
    await bench.sync()
    bench.rooms, bench.title = IN_THE_CELLAR, "Wrong: {{ event.title }}"
    bench.edit("cellar others")
    await bench.sync()
    assert held(bench) == {HoldKind.FILTER: 30}
    if change == "an older hash":  # of all that the row says, extra fields included, in one
        links = bench.ledger.links_in("venue", {State.HELD})
        bench.ledger.store([dataclasses.replace(link, source_hash=link.source_hash.rpartition(":")[2]) for link in links])
    else:
        bench.source.put(*(dataclasses.replace(row, custom={**row.custom, "next_message": "on Tuesday"}) for row in rows))
    bench.target.upserts.clear()
    await some_passes(bench)
    assert (bench.target.upserts, held(bench)) == ([], {HoldKind.FILTER: 30})
