"""What is parked stays parked until somebody decides or the source changes its mind; and a decision means what it says."""

import dataclasses
from collections.abc import Awaitable, Callable, Collection
from contextlib import nullcontext
from datetime import time, timedelta

import pytest

from calrelay.domain.event import Event, Row, SourceId
from calrelay.domain.guard import HoldKind, Limit, Limits
from calrelay.domain.link import ExternalId, MessageMode, State
from calrelay.domain.policy import Match, Route
from calrelay.domain.window import Hours, Span
from calrelay.engine import decisions
from calrelay.engine.backfill import backfill
from calrelay.engine.order import Reach
from calrelay.engine.repair import repair
from calrelay.engine.report import Outcome, PassReport
from calrelay.engine.verify import verify
from calrelay.errors import RateLimited, RequestRejected, VendorError, VendorUnavailable
from tests.engine.conftest import FailingOver
from tests.fakes.memory_source import NOW, an_event, moved, with_status
from tests.fakes.memory_target import MAIN_HALL, TERRACE, Applied, Call, Poison
from tests.fakes.pipelines import Bench, a_bench

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
REFUSED = RequestRejected("422", account="reminders", status=422)
WHOLE = Span(begin=NOW - DAY, end=NOW + 179 * DAY)


def events(number: int, first: int = 1) -> list[Event]:
    return [an_event(i) for i in range(first, first + number)]


async def a_loaded_bench(number: int = 100) -> Bench:
    bench = a_bench(*events(number))
    await bench.sync()
    bench.target.upserts.clear()
    return bench


async def look(bench: Bench, ids: Collection[int]) -> PassReport:
    return await bench.sync(reach=Reach.IDS, ids=frozenset(SourceId(str(number)) for number in ids))


async def look_near(bench: Bench) -> PassReport:
    bench.source.can_read_changes = False
    return await bench.quick()


async def look_by_webhook(bench: Bench) -> PassReport:
    return await look(bench, [1, 2, 3])


async def look_at_half(bench: Bench) -> PassReport:
    """A complete read of which all but the first page is spoilt."""
    bench.source.page_size, bench.source.lost_pages = 4, len(bench.source.rows) // 4 - 1
    return await bench.sync()


async def load(bench: Bench) -> PassReport:
    return [step.report async for step in backfill(bench.pipeline, WHOLE, MessageMode.SKIP, lock=nullcontext)][-1]


Smaller = Callable[[Bench], Awaitable[PassReport]]
SMALLER: list[Smaller] = [look_near, look_by_webhook, look_at_half]


def of_kind(bench: Bench, kind: HoldKind) -> int:
    return sum(len(hold.items) for hold in bench.ledger.holds("venue") if hold.kind is kind)


# --- what is parked stays parked ---


@pytest.mark.parametrize("smaller", [*SMALLER, load])
async def test_a_pass_that_shows_few_of_many_that_were_moved_alike_lets_none_of_them_through(smaller: Smaller) -> None:
    bench = await a_loaded_bench(149)
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(1, 60)))
    assert (await bench.sync()).held == 59
    report = await smaller(bench)
    assert (report.updated, report.held, bench.target.upserts) == (0, 59, [])


@pytest.mark.parametrize("smaller", SMALLER)
async def test_a_pass_that_shows_few_of_many_new_events_creates_none_of_them(smaller: Smaller) -> None:
    bench = a_bench(*events(80, first=60))
    await bench.sync()
    bench.target.upserts.clear()
    bench.source.put(*events(40))
    bench.source.rows = dict(sorted(bench.source.rows.items(), key=lambda row: int(row[0])))
    assert (await bench.sync()).held == 40
    report = await smaller(bench)
    assert (report.created, report.held, bench.target.upserts) == (0, 40, [])


@pytest.mark.parametrize("smaller", SMALLER)
async def test_a_pass_that_shows_few_of_many_cancellations_deletes_none_of_them(smaller: Smaller) -> None:
    bench = await a_loaded_bench()
    bench.source.put(*(with_status(an_event(i), "LOST") for i in range(1, 41)))
    assert (await bench.sync()).held == 40
    if smaller is look_near:
        for number in range(6, 41):
            bench.source.hidden.add(SourceId(str(number)))
    report = await smaller(bench)
    assert (report.deleted, report.held) == (0, 40)


async def test_a_webhook_does_not_delete_what_waits_in_a_hold_of_absences() -> None:
    bench = await a_loaded_bench()
    bench.source.remove(*range(1, 41))
    assert (await bench.sync()).held == 40
    assert ((await look_by_webhook(bench)).deleted, of_kind(bench, HoldKind.ABSENCES)) == (0, 40)


async def test_a_cancellation_of_what_is_held_for_another_reason_goes_at_once_by_webhook_too() -> None:
    bench = await a_loaded_bench(149)
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(1, 60)))
    await bench.sync()
    bench.source.put(with_status(an_event(1), "LOST"))
    report = await look(bench, [1])
    assert (report.deleted, report.held) == (1, 58)


async def test_what_is_back_where_it_was_dissolves_by_webhook_too() -> None:
    bench = await a_loaded_bench(149)
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(1, 60)))
    await bench.sync()
    bench.source.put(an_event(1))
    assert (await look(bench, [1])).held == 58


async def test_a_load_over_what_is_held_creates_what_the_operator_has_it_create() -> None:
    bench = a_bench(*events(80, first=60))
    await bench.sync()
    bench.source.put(*events(40))
    assert (await bench.sync()).held == 40
    await load(bench)
    assert len(bench.target.live) == 120


async def test_a_load_counts_its_chunks_together() -> None:
    """A zone gone wrong is noticed though each week shows few of its bookings."""
    bench = await a_loaded_bench(60)
    bench.limits = dataclasses.replace(Limits(first_load=10_000), same_shift=dataclasses.replace(Limits().same_shift, count=9))
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(1, 61)))
    await load(bench)
    assert sum(put.fields >= {"start"} for put in bench.target.sent) < 9


# --- what a decision means ---


async def test_a_booking_that_returns_after_its_absence_was_rejected_is_looked_after_again() -> None:
    """The source shows nothing; 'do not delete them' is said, and it shows everything again, some of it moved meanwhile."""
    bench = await a_loaded_bench(30)
    rows, bench.source.rows = bench.source.rows, {}
    assert (await bench.sync()).held == 30
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    assert ((await bench.sync()).held, len(bench.target.live)) == (0, 30)
    bench.source.rows = rows
    bench.source.put(moved(an_event(1), 3 * HOUR))
    report = await bench.sync()
    assert (report.updated, bench.target.held("ms-1").start) == (1, moved(an_event(1), 3 * HOUR).start)
    bench.source.remove(2)
    assert (await bench.sync()).deleted == 1


async def test_a_row_that_changes_between_a_reject_and_the_next_pass_has_changed() -> None:
    bench = await a_loaded_bench(120)
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(1, 31)))
    await bench.sync()
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    bench.source.put(moved(an_event(1), 5 * HOUR))
    report = await bench.sync()
    assert (report.updated, report.held, bench.ledger.count_states("venue")[State.IGNORED]) == (1, 0, 29)


async def test_a_booking_that_goes_after_its_move_was_rejected_is_deleted() -> None:
    bench = await a_loaded_bench(120)
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(1, 31)))
    await bench.sync()
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    assert (await bench.sync()).deleted == 0
    bench.source.remove(1)
    assert (await bench.sync()).deleted == 1
    bench.source.remove(2)
    assert (await look(bench, [2])).deleted == 1


async def test_a_rejected_deletion_ends_where_nothing_wants_to_delete_any_more() -> None:
    """One of the bookings had moved as well; all that anybody needed to know of it was that it was to be deleted."""
    bench = await a_loaded_bench()
    bench.source.put(*(with_status(an_event(number), "TENTATIVE") for number in range(1, 31)))
    bench.source.put(with_status(moved(an_event(3), HOUR), "TENTATIVE"))
    assert (await bench.sync()).held == 30
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    for _ in range(2):
        assert (await bench.sync()).sent == 0
    bench.statuses = bench.statuses | {"TENTATIVE"}
    bench.basis = dataclasses.replace(bench.basis, config="2")
    report = await bench.sync()
    assert (report.updated, report.unchanged) == (1, 99)
    assert bench.target.held("ms-3").start == moved(an_event(3), HOUR).start


async def test_a_cancellation_after_a_rejected_deletion_is_carried_out() -> None:
    bench = await a_loaded_bench()
    bench.source.put(*(with_status(an_event(number), "TENTATIVE") for number in range(1, 31)))
    assert (await bench.sync()).held == 30
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    await bench.sync()
    bench.source.put(with_status(an_event(3), "LOST"))
    assert ((await bench.sync()).deleted, "ms-3" in bench.target.live) == (1, False)


async def test_a_cancelled_booking_that_was_kept_is_kept_whatever_else_its_row_comes_to() -> None:
    """Its entry would be deleted for the very reason that was rejected, also where a person's config or a release came between."""
    bench = await a_loaded_bench()
    bench.source.put(*(with_status(an_event(number), "LOST") for number in range(1, 31)))
    assert (await bench.sync()).held == 30
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    await bench.sync()
    bench.source.put(dataclasses.replace(with_status(an_event(3), "LOST"), title="Another title"))
    bench.source.put(with_status(moved(an_event(4), HOUR), "LOST"))
    for config in ("2", "2", "3"):
        bench.edit(config)
        assert ((await bench.sync()).sent, len(bench.target.live)) == (0, 100)
    bench.source.put(an_event(3))  # and once it takes place after all, it is looked after again
    await bench.sync()
    bench.source.put(with_status(an_event(3), "LOST"))
    assert ((await bench.sync()).deleted, "ms-3" in bench.target.live) == (1, False)


async def test_a_rejected_deletion_stays_rejected_while_the_booking_stays_away() -> None:
    bench = await a_loaded_bench(30)
    bench.source.remove(*range(1, 16))
    assert (await bench.sync()).held == 15
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    for _ in range(2):
        assert (((await bench.sync()).deleted), len(bench.target.live)) == (0, 30)
    assert (await look(bench, [1])).deleted == 0


async def test_a_dropped_row_that_could_not_be_read_is_taken_up_once_it_can() -> None:
    bench = await a_loaded_bench(30)
    bench.source.put(an_event(31))
    bench.source.spoil(31)
    await bench.sync()
    decisions.drop(bench.ledger, ["venue"], "ms-31", clock=lambda: bench.now)
    assert (await bench.sync()).quarantined == 0
    bench.source.put(an_event(31))
    assert (await bench.sync()).created == 1


async def test_a_dropped_event_is_left_alone_while_its_row_stays_and_taken_up_when_it_changes() -> None:
    bench = await a_loaded_bench(30)
    bench.source.put(an_event(31))
    bench.target.poison = {ExternalId("ms-31"): Poison.REFUSE}
    assert (await bench.sync()).quarantined == 1
    decisions.drop(bench.ledger, ["venue"], "ms-31", clock=lambda: bench.now)
    bench.target.poison = {}
    for _ in range(2):
        assert (await bench.sync()).created == 0
    bench.source.put(moved(an_event(31), HOUR))
    assert (await bench.sync()).created == 1


async def test_ignoring_what_is_held_takes_it_out_of_its_hold() -> None:
    bench = await a_loaded_bench(30)
    bench.source.remove(*range(1, 16))
    assert (await bench.sync()).held == 15
    for number in range(1, 16):
        decisions.ignore(bench.ledger, f"ms-{number}", clock=lambda: bench.now)
    report = await bench.sync()
    assert (report.held, report.exit_code, bench.ledger.holds("venue")) == (0, 0, [])


async def test_a_reject_leaves_what_was_ignored_for_good_as_it_is() -> None:
    bench = await a_loaded_bench(120)
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(1, 31)))
    await bench.sync()
    decisions.ignore(bench.ledger, "ms-1", clock=lambda: bench.now)
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    await bench.sync()
    bench.source.put(moved(an_event(1), 5 * HOUR))
    assert (await bench.sync()).updated == 0


# --- nothing sticks, nothing slips by ---


async def test_a_held_create_whose_day_went_by_while_the_machine_slept_dissolves() -> None:
    bench = a_bench(*events(100, first=40))
    await bench.sync()
    bench.source.put(*events(30))
    assert (await bench.sync()).held == 30
    bench.now += 40 * DAY
    report = await bench.sync()
    assert (report.held, bench.ledger.holds("venue")) == (0, [])


async def test_a_refused_create_whose_day_went_by_while_the_machine_slept_leaves_quarantine() -> None:
    bench = a_bench(*events(30))
    bench.target.poison = {ExternalId("ms-1"): Poison.REFUSE}
    assert (await bench.sync()).quarantined == 1
    bench.now += 10 * DAY
    assert (await bench.sync()).quarantined == 0


async def test_a_zone_gone_wrong_deletes_nothing_of_what_it_moves_into_the_past() -> None:
    """Tonight's bookings, read eight hours early, look as if they were over."""
    bench = a_bench(*(moved(an_event(i), -i * DAY + 4 * HOUR - DAY) for i in range(1, 4)), *events(57, first=4))
    await bench.sync()
    bench.source.put(*(moved(row, -8 * HOUR) for row in bench.source.rows.values() if isinstance(row, Event)))
    report = await bench.sync()
    assert (report.deleted, report.updated, of_kind(bench, HoldKind.SAME_SHIFT)) == (0, 0, 60)


async def test_lost_events_are_counted_by_the_guard_though_a_change_to_them_was_settling() -> None:
    bench = await a_loaded_bench(60)
    bench.settle = timedelta(minutes=10)
    bench.source.put(*(dataclasses.replace(an_event(i), title=f"Renamed {i}") for i in range(1, 30)))
    assert (await bench.sync()).waiting == 29
    for number in range(1, 30):
        bench.target.change(f"ms-{number}", is_deleted=True)
    found = await verify(bench.pipeline)
    await repair(bench.pipeline, found)
    bench.now += HOUR
    report = await bench.sync()
    assert (report.created, of_kind(bench, HoldKind.CREATES)) == (0, 29)


async def test_another_target_is_refused_while_a_create_at_the_old_one_is_unanswered() -> None:
    bench = a_bench(*events(3))
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=20, applied=Applied.ALL)
    await bench.sync()
    assert bench.ledger.count_states("venue")[State.SENDING] == 3
    bench.target = type(bench.target)(account="elsewhere")
    report = await bench.sync()
    assert (report.created, bench.target.upserts) == (0, [])
    assert "reminders" in report.problems[0].message


async def test_what_a_person_deleted_before_its_create_was_answered_is_not_created_again_unasked() -> None:
    bench = a_bench(an_event(1))
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=20, applied=Applied.ALL)
    await bench.sync()
    bench.target.stop_failing()
    bench.target.upserts.clear()
    bench.target.change("ms-1", is_deleted=True)
    report = await bench.sync()
    assert (report.created, report.quarantined, bench.target.upserts) == (0, 1, [])
    decisions.retry(bench.ledger, ["venue"], [], clock=lambda: bench.now)
    assert (await bench.sync()).created == 1
    assert "ms-1.2" in bench.target.live


# --- what the guards count, and what is asked ---


async def test_deletes_that_were_approved_do_not_count_against_those_of_the_same_day() -> None:
    bench = await a_loaded_bench(100)
    bench.source.remove(*range(1, 41))
    await bench.sync()
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    assert (await bench.sync()).deleted == 40
    bench.source.remove(*range(41, 46))
    assert ((await bench.sync()).deleted, bench.ledger.holds("venue")) == (5, [])


async def test_absences_that_are_too_many_with_the_deletes_of_the_day_are_not_asked_for_one_by_one() -> None:
    bench = await a_loaded_bench(20)
    bench.source.remove(*range(1, 6))
    assert (await bench.sync()).deleted == 5
    bench.source.remove(6, 7)
    bench.source.found.clear()
    assert ((await bench.sync()).deleted, of_kind(bench, HoldKind.ABSENCES), bench.source.found) == (0, 2, [])


async def test_a_source_is_told_that_a_complete_read_has_missed_what_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source may take less for a proof of absence, where its list has failed to show the event already."""
    bench = await a_loaded_bench(30)
    find, asked = bench.source.find, []

    async def find_and_note(source_id: SourceId, *, is_missing: bool = False) -> Row | None:
        asked.append((source_id, is_missing))
        return await find(source_id)

    monkeypatch.setattr(bench.source, "find", find_and_note)
    bench.source.remove(1)
    await bench.sync()
    bench.source.remove(2)
    await look(bench, [2])
    assert asked == [("1", True), ("2", False)]


async def test_what_moved_beyond_the_window_under_a_change_of_ours_needs_two_decisions_and_no_third() -> None:
    """It is missing from the read, which is held; found by its id, and moved in time where it is; what the route makes of it is held."""
    bench = dataclasses.replace(a_bench(an_event(1)), limits=Limits(first_load=10_000, deletes=Limit(count=0)))
    await bench.sync()
    bench.source.put(moved(an_event(1), 300 * DAY))
    bench.routes = (Route(match=Match(), calendar=TERRACE),)
    bench.basis = dataclasses.replace(bench.basis, config="2")
    kinds = []
    for _ in range(4):
        await bench.sync()
        for hold in bench.ledger.holds():
            if not any(item.approved_at for item in hold.items):
                kinds.append(hold.kind)
                decisions.approve(bench.ledger, hold.id, clock=lambda: bench.now)
    assert kinds == [HoldKind.ABSENCES, HoldKind.ROUTE]
    assert [(one.calendar, one.start) for one in bench.target.live.values()] == [(TERRACE, moved(an_event(1), 300 * DAY).start)]
    assert list(bench.ledger.holds()) == []


async def test_what_was_rejected_as_new_stays_rejected_whatever_our_config_makes_of_it() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(*(an_event(i) for i in range(31, 71)))
    assert (await bench.sync()).held == 40
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    bench.title, bench.basis = "Visit: {{ event.title }}", dataclasses.replace(bench.basis, config="2")
    await bench.sync()
    assert not [external_id for external_id in bench.target.live if int(external_id.removeprefix("ms-")) > 30]
    bench.source.put(an_event(31, title="Another"))
    await bench.sync()
    assert "ms-31" in bench.target.live


@pytest.mark.parametrize("what", ["filter", "route"])
async def test_what_the_config_makes_of_bookings_that_their_source_changed_as_well_waits_for_a_decision(what: str) -> None:
    """And what the source made of them does not: an entry that waits has the time that its booking has."""
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(*(moved(an_event(i), i * HOUR) for i in range(1, 11)), with_status(an_event(30), "LOST"))
    if what == "filter":
        bench.rooms = frozenset({"cellar"})
    else:
        bench.routes = (Route(match=Match(), calendar=TERRACE),)
    bench.basis = dataclasses.replace(bench.basis, config="2")
    report = await bench.sync()
    assert (report.created, report.updated, report.deleted, report.held) == (0, 10, 1, 19)
    report = await bench.sync()
    assert (report.created, report.updated, report.deleted, report.held) == (0, 0, 0, 29)
    assert [hold.kind for hold in bench.ledger.holds()] == [HoldKind.FILTER if what == "filter" else HoldKind.ROUTE]
    assert [bench.target.live[ExternalId(f"ms-{i}")].start for i in range(1, 11)] == [
        moved(an_event(i), i * HOUR).start for i in range(1, 11)
    ]


@pytest.mark.parametrize("what", ["statuses", "template", "route of others"])
@pytest.mark.parametrize("applied", Applied)
@pytest.mark.parametrize("trouble", [RateLimited("429", account="reminders", status=429), VendorUnavailable("no answer"), REFUSED])
async def test_what_did_not_arrive_is_the_sources_whatever_the_config_did_meanwhile(
    trouble: VendorError, applied: Applied, what: str
) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(*(moved(an_event(i), i * HOUR) for i in range(1, 11)))
    bench.target.fail_next(trouble, call=Call.UPSERT, times=30, applied=applied)
    await bench.sync()
    bench.target.stop_failing()
    match what:
        case "statuses":
            bench.statuses = bench.statuses | {"TENTATIVE"}
        case "template":
            bench.title = "Visit: {{ event.title }}"
        case _:
            bench.routes = (Route(match=Match(facets={"rooms": frozenset({"cellar"})}), calendar=TERRACE),)
    bench.basis = dataclasses.replace(bench.basis, config="2")
    await bench.sync()
    assert of_kind(bench, HoldKind.MAPPING) == (20 if what == "template" else 0)
    assert [bench.target.live[ExternalId(f"ms-{i}")].start for i in range(1, 11)] == [
        moved(an_event(i), i * HOUR).start for i in range(1, 11)
    ]


async def test_a_move_of_what_somebody_rejected_waits_for_no_template() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.title, bench.basis = "Visit: {{ event.title }}", dataclasses.replace(bench.basis, config="2")
    assert (await bench.sync()).held == 30
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    await bench.sync()
    bench.title, bench.basis = "Booking: {{ event.title }}", dataclasses.replace(bench.basis, config="3")
    bench.source.put(moved(an_event(1), HOUR))
    await bench.sync()
    assert bench.target.held("ms-1").start == moved(an_event(1), HOUR).start


async def test_a_move_that_was_not_heard_while_its_booking_was_ignored_waits_for_no_template() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    decisions.ignore(bench.ledger, "ms-1", clock=lambda: bench.now)
    bench.source.put(moved(an_event(1), HOUR))
    await bench.sync()
    bench.title, bench.basis = "Visit: {{ event.title }}", dataclasses.replace(bench.basis, config="2")
    decisions.unignore(bench.ledger, "ms-1", clock=lambda: bench.now)
    await bench.sync()
    assert bench.target.held("ms-1").start == moved(an_event(1), HOUR).start


@pytest.mark.parametrize("what", ["filter", "route"])
@pytest.mark.parametrize("trouble", [RateLimited("429", account="reminders", status=429), VendorUnavailable("no answer"), REFUSED])
async def test_what_the_source_changed_and_did_not_arrive_is_sent_before_the_config_has_its_say(trouble: VendorError, what: str) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(*(moved(an_event(i), i * HOUR) for i in range(1, 11)))
    bench.target.fail_next(trouble, call=Call.UPSERT, times=30)
    await bench.sync()
    bench.target.stop_failing()
    assert bench.target.live[ExternalId("ms-1")].start == an_event(1).start
    if trouble is REFUSED:
        decisions.retry(bench.ledger, ["venue"], [], clock=lambda: bench.now)
    if what == "filter":
        bench.rooms = frozenset({"cellar"})
    else:
        bench.routes = (Route(match=Match(), calendar=TERRACE),)
    bench.basis = dataclasses.replace(bench.basis, config="2")
    for _ in range(3):
        report = await bench.sync()
    assert report.held == 30
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    await bench.sync()
    assert [bench.target.live[ExternalId(f"ms-{i}")].start for i in range(1, 11)] == [
        moved(an_event(i), i * HOUR).start for i in range(1, 11)
    ]


async def test_what_the_config_leaves_out_and_cannot_be_brought_in_step_before_waits_for_a_decision_all_the_same() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(moved(an_event(1), HOUR))
    bench.target.poison[ExternalId("ms-1")] = Poison.REFUSE
    bench.rooms, bench.basis = frozenset({"cellar"}), dataclasses.replace(bench.basis, config="2")
    held = [(await bench.sync()).held for _ in range(4)]
    assert held == [29, 30, 30, 30]
    assert len([put for put in bench.target.sent if put.external_id == "ms-1"]) == 2


async def test_a_booking_that_leaves_the_filter_while_a_template_changes_was_taken_out_by_its_source() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    bench.rooms, bench.basis = frozenset({"main hall"}), dataclasses.replace(bench.basis, config="rooms texts")
    await bench.sync()
    bench.source.put(an_event(1, facets={"rooms": frozenset({"cellar"})}))
    bench.title, bench.basis = "Visit: {{ event.title }}", dataclasses.replace(bench.basis, config="rooms other")
    report = await bench.sync()
    assert (report.deleted, [hold.kind for hold in bench.ledger.holds()]) == (1, [HoldKind.MAPPING])


async def test_a_filter_that_is_narrowed_and_widened_again_lets_nothing_out_of_a_hold() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(1, 18)))
    for rooms, config in ((frozenset[str](), "1"), (frozenset({"cellar"}), "2"), (frozenset[str](), "3")):
        bench.rooms, bench.basis = rooms, dataclasses.replace(bench.basis, config=config)
        report = await bench.sync()
        assert (report.created, report.updated, report.deleted) == (0, 0, 0)
    assert report.held == 17


async def test_the_same_shift_told_by_webhooks_joins_those_that_wait() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    await bench.sync()
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(1, 11)))
    assert (await bench.sync()).held == 10
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(11, 14)), moved(an_event(20), 2 * HOUR))
    report = await bench.sync(reach=Reach.IDS, ids=frozenset(SourceId(str(i)) for i in (11, 12, 13, 20)))
    assert (report.updated, report.held) == (1, 13)


@pytest.mark.parametrize("edit", ["before", "after", "for a while", "retag"])
async def test_a_rejected_shift_is_not_carried_out_in_other_words_before_its_row_was_noted(edit: str) -> None:
    bench = await a_loaded_bench(30)
    bench.source.put(*(moved(event, HOUR) for event in events(10)))
    await bench.sync()
    bench.source.put(*events(7, first=4))  # seven change their mind: the three that are left would pass every guard
    if edit != "before":
        await bench.sync()
        decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    known = bench.title, bench.basis
    if edit == "retag":
        links = bench.ledger.links("venue", [event.source_id for event in events(3)]).values()
        decisions.retag(bench.ledger, links, MessageMode.SKIP, clock=lambda: bench.now)
    else:
        bench.title, bench.basis = "Visit: {{ event.title }}", dataclasses.replace(bench.basis, config="2")
    if edit == "before":
        decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    for number in range(4):
        if edit == "for a while" and number == 1:
            decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
            bench.title, bench.basis = known
        await bench.sync()
        assert [bench.target.held(f"ms-{i}").start for i in (1, 2, 3)] == [event.start for event in events(3)]
    bench.source.put(moved(an_event(1), 3 * HOUR))
    await bench.sync()
    assert bench.target.held("ms-1").start == moved(an_event(1), 3 * HOUR).start


async def test_a_rejected_shift_stays_rejected_after_a_read_that_showed_too_little() -> None:
    bench = await a_loaded_bench(60)
    bench.source.put(*(moved(event, HOUR) for event in events(10)))
    await bench.sync()
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    await bench.sync()
    bench.source.hidden = {event.source_id for event in (*events(4), *events(30, first=20))}
    assert (await bench.sync()).held == 34
    bench.source.hidden.clear()
    report = await bench.sync()
    assert (report.updated, report.held) == (0, 0)
    assert [bench.target.held(f"ms-{i}").start for i in range(1, 5)] == [event.start for event in events(4)]


@pytest.mark.parametrize("decide", [decisions.approve, decisions.reject])
async def test_a_rejected_shift_that_is_gone_for_good_is_decided_like_any_other(decide: Callable[..., object]) -> None:
    bench = await a_loaded_bench(60)
    bench.source.put(*(moved(event, HOUR) for event in events(10)))
    await bench.sync()
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    await bench.sync()
    for event in (*events(4), *events(30, first=20)):
        del bench.source.rows[event.source_id]
    assert (await bench.sync()).held == 34
    decide(bench.ledger, "venue", clock=lambda: bench.now)
    first, second = await bench.sync(), await bench.sync()
    is_approved = decide is decisions.approve
    assert (first.deleted, second.deleted, second.held) == (34 if is_approved else 0, 0, 0)
    assert len(bench.target.live) == (26 if is_approved else 60)


@pytest.mark.parametrize("number", [1, 2])
async def test_events_over_which_the_target_fails_are_named_though_changes_settle(number: int, failing_over: FailingOver) -> None:
    bench = await a_loaded_bench(30)
    bench.settle = timedelta(minutes=10)
    bad = {f"ms-{i}" for i in range(1, number + 1)}
    failing_over(bench, 503, bad.__contains__)
    bench.source.put(*(moved(event, event.start.hour * HOUR) for event in events(number)))
    for turn in range(10):
        bench.now += timedelta(minutes=11)
        if turn == 3:  # something else is taken
            bench.source.put(dataclasses.replace(an_event(5), title="Another title"))
        report = await bench.sync()
        if turn > 4:
            assert (report.outcome, {problem.external_id for problem in report.problems}) == (Outcome.PARTIAL, bad)


async def test_a_hold_of_which_all_is_on_its_way_is_rejected_in_nothing() -> None:
    bench = await a_loaded_bench(2)
    bench.routes = (Route(match=Match(), calendar=TERRACE),)
    bench.basis = dataclasses.replace(bench.basis, config="terrace texts")
    await bench.sync()
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=30)
    await bench.sync()
    assert bench.ledger.holds()
    assert decisions.reject(bench.ledger, "venue", clock=lambda: bench.now) == []


async def test_what_was_rejected_once_and_sent_since_is_looked_after_when_it_shows_again() -> None:
    bench = await a_loaded_bench(60)
    bench.source.put(*(moved(event, HOUR) for event in events(10)))
    await bench.sync()
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    await bench.sync()
    bench.source.put(moved(an_event(1), 3 * HOUR))
    assert (await bench.sync()).updated == 1
    bench.source.hidden = {event.source_id for event in (an_event(1), *events(30, first=20))}
    assert (await bench.sync()).held == 31
    bench.source.hidden.clear()
    bench.source.put(moved(an_event(1), 4 * HOUR))
    assert (await bench.sync()).updated == 1
    assert bench.target.held("ms-1").start == moved(an_event(1), 4 * HOUR).start


@pytest.mark.parametrize("what", ["filter", "route"])
async def test_a_rejected_shift_stays_rejected_when_a_filter_or_route_was_edited_for_a_while(what: str) -> None:
    bench = await a_loaded_bench(30)
    bench.source.put(*(moved(event, HOUR) for event in events(10)))
    await bench.sync()
    bench.source.put(*events(7, first=4))
    await bench.sync()
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    known = bench.statuses, bench.routes, bench.basis
    if what == "filter":
        bench.statuses = frozenset({"CLOSED"})
    else:
        bench.routes = (Route(match=Match(), calendar=TERRACE),)
    bench.basis = dataclasses.replace(bench.basis, config="mistake texts")
    for _ in range(2):
        await bench.sync()
    bench.statuses, bench.routes, bench.basis = known
    for _ in range(2):
        report = await bench.sync()
        assert [bench.target.held(f"ms-{i}").start for i in (1, 2, 3)] == [event.start for event in events(3)]
    assert (report.held, bench.ledger.count_states("venue")[State.IGNORED]) == (0, 3)


@pytest.mark.parametrize("settle", [timedelta(), timedelta(minutes=10)])
async def test_a_create_that_failed_once_waits_for_its_hours_like_any_other(settle: timedelta) -> None:
    bench = await a_loaded_bench(30)
    bench.settle, bench.create_hours = settle, Hours(begin=time(10), end=time(11))
    bench.now = bench.now.replace(hour=15, minute=5)  # 10:05 in New York
    bench.source.put(an_event(40))
    bench.target.fail_next(VendorUnavailable("503", account="reminders", status=503), call=Call.UPSERT, times=30)
    for _ in range(3):
        await bench.sync()
        bench.now += timedelta(minutes=11)
    bench.target.stop_failing()
    bench.now = bench.now.replace(hour=21)
    report = await bench.sync()
    assert (report.created, report.waiting) == (0, 1)
    bench.now = bench.now.replace(hour=15, minute=20) + DAY
    assert (await bench.sync()).created == 1


async def test_what_was_dropped_is_taken_up_when_its_row_is_corrected() -> None:
    bench = await a_loaded_bench(3)
    bench.target.poison[ExternalId("ms-1")] = Poison.REFUSE
    bench.source.put(moved(an_event(1, title="Too long"), HOUR))
    await bench.sync()
    decisions.drop(bench.ledger, ["venue"], "ms-1", clock=lambda: bench.now)
    bench.target.poison.clear()
    bench.source.put(moved(an_event(1, title="Right"), HOUR))
    assert (await bench.sync()).updated == 1
    assert bench.target.held("ms-1").title == "Right"


async def test_a_rejected_move_to_another_calendar_goes_out_in_no_other_words() -> None:
    bench = await a_loaded_bench(30)
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"terrace"})}), calendar=TERRACE),)
    await bench.sync()
    bench.source.put(*(dataclasses.replace(event, facets={"rooms": frozenset({"terrace"})}) for event in events(10)))
    assert (await bench.sync()).held == 10
    bench.source.put(*events(7, first=4))
    await bench.sync()
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    bench.title, bench.basis = "Visit: {{ event.title }}", dataclasses.replace(bench.basis, config="2")
    for _ in range(2):
        assert (await bench.sync()).sent == 0
    assert {one.calendar for one in bench.target.live.values()} == {MAIN_HALL}


async def test_bookings_that_move_by_the_same_amount_and_into_another_calendar_are_counted() -> None:
    bench = a_bench(*(an_event(number) for number in range(1, 101)))
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"terrace"})}), calendar=TERRACE),)
    bench.edit("choice texts")
    await bench.sync()
    elsewhere = {"rooms": frozenset({"terrace"})}
    bench.source.put(*(dataclasses.replace(moved(an_event(number), HOUR), facets=elsewhere) for number in range(1, 11)))
    report = await bench.sync()
    assert (report.sent, {hold.kind for hold in bench.ledger.holds()}) == (0, {HoldKind.SAME_SHIFT})


async def test_a_deletion_that_was_refused_and_dropped_is_dropped_until_its_row_changes() -> None:
    bench = await a_loaded_bench(10)
    lost = with_status(an_event(3), "LOST")
    bench.source.put(lost)
    bench.target.fail_next(RequestRejected("no", status=400), call=Call.DELETE, times=1)
    assert (await bench.sync()).quarantined == 1
    decisions.drop(bench.ledger, ["venue"], "ms-3", clock=lambda: bench.now)
    for _ in range(2):
        assert (await bench.sync()).deleted == 0
    [link] = bench.ledger.links_in("venue", {State.IGNORED})
    assert not link.reason.startswith("rejected")
    bench.source.put(dataclasses.replace(lost, title="Another title"))
    assert (await bench.sync()).deleted == 1
