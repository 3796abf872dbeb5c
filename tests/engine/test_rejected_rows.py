"""What was rejected is left alone for exactly the row of which it was, whatever else becomes of the booking meanwhile."""

import dataclasses
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import cast

import pytest

from calrelay.domain.event import Event, SourceId
from calrelay.domain.guard import HoldKind
from calrelay.domain.link import HANDS_OFF, ExternalId, State
from calrelay.domain.messages import InvitationStatus
from calrelay.domain.policy import Match, Route
from calrelay.engine import decisions
from calrelay.engine.decisions import drop
from calrelay.engine.listening import KEPT
from calrelay.engine.retire import WholeLedger, release
from calrelay.errors import VendorUnavailable
from calrelay.service.left_alone import Cause as LeftAloneBy
from calrelay.service.left_alone import counted_by_cause
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.memory_target import TERRACE, Applied, Call, Poison
from tests.fakes.pipelines import Bench, a_loaded_bench
from tests.fakes.studio import Studio, an_invitation

HOUR = timedelta(hours=1)
TEN = range(1, 11)
NO_ANSWER = VendorUnavailable("no answer")


def starts(bench: Bench, numbers: Iterable[int] = TEN) -> list[datetime | None]:
    return [bench.target.live[ExternalId(f"ms-{i}")].start for i in numbers]


def of_an_older_version(bench: Bench) -> None:
    """Leave the holds as a version did that did not note rows."""
    for hold in bench.ledger.holds():
        items = tuple(dataclasses.replace(item, source_hash=None) for item in hold.items)
        bench.ledger.save_holds("venue", [dataclasses.replace(hold, items=items)])


async def a_rejected_shift() -> Bench:
    bench = await a_loaded_bench()
    bench.source.put(*(moved(an_event(i), HOUR) for i in TEN))
    assert (await bench.sync()).held == len(TEN)
    bench.reject()
    return bench


async def some_passes(bench: Bench, number: int = 3) -> None:
    for _ in range(number):
        bench.now += timedelta(minutes=5)
        await bench.sync()


OF_THE_CONFIG = ["template", "filter", "route", "nothing"]


def reconfigure(bench: Bench, what: str) -> None:
    match what:
        case "template":
            bench.title = "Visit: {{ event.title }}"
            bench.edit("choice others")
        case "filter":
            bench.statuses = bench.statuses | {"PROSPECT"}
            bench.edit("wider texts")
        case "route":
            bench.routes = (Route(match=Match(), calendar=TERRACE),)
            bench.edit("terrace texts")


@pytest.mark.parametrize("what", OF_THE_CONFIG)
async def test_a_rejected_shift_whose_absence_is_rejected_too_is_left_alone_when_the_bookings_show_again(what: str) -> None:
    bench = await a_rejected_shift()
    bench.source.remove(*TEN)
    assert (await bench.sync()).held == len(TEN)
    bench.reject()
    await some_passes(bench)
    assert len(bench.target.live) == 30
    reconfigure(bench, what)
    bench.source.put(*(moved(an_event(i), HOUR) for i in TEN))
    await some_passes(bench)
    assert starts(bench) == [an_event(i).start for i in TEN]
    bench.source.put(moved(an_event(1), 2 * HOUR))
    await some_passes(bench)
    assert starts(bench, [1]) == [moved(an_event(1), 2 * HOUR).start]


async def test_a_booking_that_goes_again_after_its_absence_was_rejected_is_deleted() -> None:
    bench = await a_rejected_shift()
    bench.source.remove(*TEN)
    await bench.sync()
    bench.reject()
    bench.source.put(*(moved(an_event(i), HOUR) for i in TEN))
    await some_passes(bench)
    bench.source.remove(1)
    await some_passes(bench)
    assert "ms-1" not in bench.target.live
    assert len(bench.target.live) == 29


@pytest.mark.parametrize("what", OF_THE_CONFIG)
@pytest.mark.parametrize("applied", [None, *Applied])
async def test_a_rejected_shift_is_carried_out_in_no_other_words(what: str, applied: Applied | None) -> None:
    """Also where it was approved first, and nobody knows what became of the request."""
    bench = await a_loaded_bench()
    bench.source.put(*(moved(an_event(i), HOUR) for i in TEN))
    await bench.sync()
    if applied is not None:
        decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
        bench.target.fail_next(NO_ANSWER, call=Call.UPSERT, times=30, applied=applied)
        await bench.sync()
        bench.target.stop_failing()
    before = starts(bench)
    bench.reject()
    reconfigure(bench, what)
    bench.target.upserts.clear()
    await some_passes(bench)
    assert (starts(bench), [put.external_id for put in bench.target.sent if put.external_id in {f"ms-{i}" for i in TEN}]) == (before, [])


async def test_a_text_that_was_rejected_keeps_no_later_text_back_though_an_answer_was_lost() -> None:
    bench = await a_loaded_bench()
    bench.title = "Visit: {{ event.title }}"
    bench.edit("choice others")
    assert (await bench.sync()).held == 30
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    bench.target.fail_next(NO_ANSWER, call=Call.UPSERT, times=30)
    await bench.sync()
    bench.target.stop_failing()
    bench.reject()
    await some_passes(bench, 1)
    bench.source.put(dataclasses.replace(an_event(1), location="Other House"), moved(an_event(2), HOUR))
    await some_passes(bench)
    assert bench.target.held("ms-1").location == "Other House"
    assert starts(bench, [2]) == [moved(an_event(2), HOUR).start]


@pytest.mark.parametrize("source_hash", [None, "as it was"])
async def test_a_hold_of_an_older_version_is_rejected_as_well(source_hash: str | None) -> None:
    bench = await a_loaded_bench()
    bench.source.put(*(moved(an_event(i), HOUR) for i in TEN))
    await bench.sync()
    if source_hash is None:
        of_an_older_version(bench)
    bench.reject()
    await some_passes(bench)
    assert starts(bench) == [an_event(i).start for i in TEN]
    bench.source.put(moved(an_event(1), 2 * HOUR))
    await some_passes(bench)
    assert starts(bench, [1]) == [moved(an_event(1), 2 * HOUR).start]


async def test_a_pass_that_plans_a_held_booking_anew_knows_of_which_row() -> None:
    """A change that is none for the target: what is held stays as it was shown, and the reject is of the row as it is now."""
    bench = await a_loaded_bench()
    bench.source.put(*(moved(an_event(i), HOUR) for i in TEN))
    await bench.sync()
    bench.source.put(*(dataclasses.replace(moved(an_event(i), HOUR), facets={"rooms": frozenset({"cellar"})}) for i in TEN))
    await bench.sync()
    assert {hold.kind: len(hold.items) for hold in bench.ledger.holds()} == {HoldKind.SAME_SHIFT: len(TEN)}
    bench.reject()
    await some_passes(bench)
    assert starts(bench) == [an_event(i).start for i in TEN]


async def test_what_was_refused_and_dropped_is_left_alone_until_its_row_changes_whatever_the_config_does() -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), HOUR))
    bench.target.poison = {ExternalId("ms-1"): Poison.REFUSE}
    assert (await bench.sync()).quarantined == 1
    bench.target.poison = {}
    drop(bench.ledger, ["venue"], "ms-1", clock=lambda: bench.now)
    reconfigure(bench, "filter")
    await some_passes(bench)
    assert starts(bench, [1]) == [an_event(1).start]
    assert bench.ledger.count_states("venue")[State.IGNORED] == 1
    bench.source.put(moved(an_event(1), 2 * HOUR))
    await some_passes(bench)
    assert starts(bench, [1]) == [moved(an_event(1), 2 * HOUR).start]


# --- an approval that is taken back ---


def edited(number: int, what: str) -> Event:
    """The same booking with an edit that its entry does not show."""
    cellar = {"rooms": frozenset({"cellar"})}
    return moved(an_event(number, facets=cellar), HOUR) if what == "shift" else with_status(an_event(number, facets=cellar), "LOST")


def asked_for(what: str) -> list[Event]:
    return [moved(an_event(i), HOUR) if what == "shift" else with_status(an_event(i), "LOST") for i in TEN]


@pytest.mark.parametrize("what", ["shift", "delete"])
@pytest.mark.parametrize("trouble", [NO_ANSWER, VendorUnavailable("503", account="reminders", status=503)])
async def test_what_was_approved_is_rejected_of_the_row_it_was_planned_for_last(what: str, trouble: VendorUnavailable) -> None:
    bench = await a_loaded_bench()
    bench.source.put(*asked_for(what))
    await bench.sync()
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    bench.source.put(edited(1, what))
    bench.target.fail_next(trouble, call=Call.UPSERT if what == "shift" else Call.DELETE, times=99)
    await bench.sync()
    bench.target.stop_failing()
    bench.reject()
    await some_passes(bench)
    assert starts(bench) == [an_event(i).start for i in TEN]


async def test_what_an_interrupted_load_left_is_rejected_of_the_row_it_was_planned_for_last() -> None:
    bench = await a_loaded_bench()
    bench.source.put(*(an_event(i) for i in range(31, 91)))
    await bench.sync()
    bench.source.put(an_event(31, title="Other"))
    bench.target.fail_next(VendorUnavailable("503", account="reminders", status=503), call=Call.UPSERT, times=99)
    await bench.sync(is_load=True, span=bench.pipeline.window.at(bench.now))
    bench.target.stop_failing()
    bench.reject()
    before = len(bench.target.live)
    await some_passes(bench)
    assert len(bench.target.live) == before


async def test_an_edit_that_comes_to_the_same_before_the_reject_makes_no_difference() -> None:
    bench = await a_loaded_bench()
    bench.source.put(*asked_for("shift"))
    await bench.sync()
    bench.source.put(edited(1, "shift"))
    bench.reject()
    await some_passes(bench)
    assert starts(bench) == [an_event(i).start for i in TEN]


# --- another row ---


@pytest.mark.parametrize("row", [an_event(31), with_status(an_event(31, location="Other House"), "TENTATIVE")], ids=["certain", "edited"])
async def test_a_booking_that_was_not_to_be_created_is_when_its_row_changes(row: Event) -> None:
    bench = await a_loaded_bench()
    bench.statuses |= {"TENTATIVE"}
    bench.edit("wider texts")
    await bench.sync()
    bench.source.put(*(with_status(an_event(i), "TENTATIVE") for i in range(31, 91)))
    assert (await bench.sync()).held == 60
    bench.reject()
    await some_passes(bench)
    assert len(bench.target.live) == 30
    bench.source.put(row)
    await some_passes(bench)
    assert set(bench.target.live) == {*(f"ms-{i}" for i in range(1, 31)), "ms-31"}


async def test_a_release_that_reads_rows_otherwise_creates_nothing_that_was_rejected() -> None:
    bench = await a_loaded_bench()
    bench.source.put(*(an_event(i) for i in range(31, 91)))
    await bench.sync()
    bench.reject()
    await some_passes(bench)
    bench.basis = dataclasses.replace(bench.basis, mapping="2")
    bench.source.put(*(an_event(i, facets={"rooms": frozenset({"main hall"}), "sites": frozenset({"1"})}) for i in range(31, 34)))
    await some_passes(bench)
    assert len(bench.target.live) == 30
    bench.source.put(moved(an_event(31), HOUR))
    await some_passes(bench)
    assert "ms-31" in bench.target.live


async def test_more_custom_data_ends_the_rejection_of_a_shift() -> None:
    bench = await a_rejected_shift()
    row = moved(an_event(1, custom={"guest_count": "41"}), HOUR)
    bench.source.put(row)
    await some_passes(bench)
    assert starts(bench) == [row.start, *(an_event(i).start for i in range(2, 11))]


# --- as an older version left it ---


@pytest.mark.parametrize("back", [TEN, [1]], ids=["all", "one"])
async def test_a_rejected_shift_whose_absence_an_older_version_held_stays_rejected(back: Iterable[int]) -> None:
    bench = await a_rejected_shift()
    await some_passes(bench, 1)
    bench.source.remove(*TEN)
    assert (await bench.sync()).held == len(TEN)
    of_an_older_version(bench)
    bench.reject()
    await some_passes(bench, 1)
    bench.source.put(*(moved(an_event(i), HOUR) for i in back))
    await some_passes(bench)
    assert starts(bench) == [an_event(i).start for i in TEN]


async def few_deletes_are_held(bench: Bench) -> None:
    """Four more bookings are cancelled than the guard of a day lets through; a day later it would let them through."""
    bench.source.put(*(with_status(an_event(i), "LOST") for i in range(1, 5)))
    assert (await bench.sync()).deleted == 4
    bench.now += HOUR
    bench.source.put(*(with_status(an_event(i), "LOST") for i in range(5, 9)))
    assert (await bench.sync()).held == 4
    bench.now += timedelta(hours=24)


@pytest.mark.parametrize("when", ["held", "rejected"])
async def test_a_deletion_that_an_older_version_held_or_rejected_is_not_carried_out(when: str) -> None:
    bench = await a_loaded_bench()
    await few_deletes_are_held(bench)
    if when == "held":
        of_an_older_version(bench)
    bench.reject()
    if when == "rejected":
        left = bench.ledger.links_in("venue", {State.IGNORED})
        bench.ledger.store([dataclasses.replace(link, source_hash="") for link in left])
    await some_passes(bench)
    assert len(bench.target.live) == 26


@pytest.mark.parametrize("number", [1, 31])
async def test_a_row_that_changed_after_an_older_hold_of_it_was_rejected_is_taken_up(number: int) -> None:
    bench = await a_loaded_bench()
    bench.source.put(*(asked_for("shift") if number == 1 else [an_event(i) for i in range(31, 91)]))
    assert (await bench.sync()).held
    of_an_older_version(bench)
    bench.reject()
    bench.source.put(moved(an_event(number), 3 * HOUR))
    await some_passes(bench)
    assert starts(bench, [number]) == [moved(an_event(number), 3 * HOUR).start]


async def test_a_change_that_had_no_answer_and_was_dropped_as_unreadable_is_no_rejected_one() -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), HOUR))
    bench.target.fail_next(NO_ANSWER, call=Call.UPSERT, times=30)
    await bench.sync()
    bench.target.stop_failing()
    bench.source.spoil(1)
    await some_passes(bench, 1)
    (link,) = bench.ledger.links_in("venue", {State.QUARANTINED})
    drop(bench.ledger, ["venue"], "ms-1", clock=lambda: bench.now)
    (dropped,) = bench.ledger.links_in("venue", {State.IGNORED})
    bench.ledger.store([dataclasses.replace(dropped, wanted=link.wanted)])  # as an older version left it
    bench.source.put(moved(an_event(1), HOUR))
    await some_passes(bench)
    assert starts(bench, [1]) == [moved(an_event(1), HOUR).start]


# --- missing, unreadable, and whoever comes after ---


async def test_a_rejected_shift_that_is_missing_and_then_unreadable_is_left_alone_when_it_can_be_read_again() -> None:
    bench = await a_rejected_shift()
    bench.source.remove(*TEN)
    await bench.sync()
    bench.source.put(*asked_for("shift"))
    bench.source.spoil(1)
    await some_passes(bench, 1)
    bench.source.put(*asked_for("shift"))
    await some_passes(bench)
    assert starts(bench) == [an_event(i).start for i in TEN]


async def test_a_rejected_absence_ends_with_a_row_that_cannot_be_read() -> None:
    bench = await a_loaded_bench()
    bench.source.remove(*TEN)
    await bench.sync()
    bench.reject()
    await some_passes(bench, 1)
    bench.source.put(an_event(1))
    bench.source.spoil(1)
    await some_passes(bench, 1)
    bench.source.remove(1)
    await some_passes(bench)
    assert "ms-1" not in bench.target.live
    assert len(bench.target.live) == 29


async def test_adopting_while_the_absence_of_a_rejected_shift_is_held_forgets_nothing() -> None:
    bench = await a_rejected_shift()
    bench.source.remove(*TEN)
    await some_passes(bench, 1)
    bench.source.put(moved(an_event(1), HOUR))
    await bench.sync(adopts_only=True)
    await some_passes(bench)
    assert starts(bench) == [an_event(i).start for i in TEN]


@pytest.mark.parametrize("what", ["shift", "delete", "absence"])
async def test_whoever_takes_over_from_a_retired_pipeline_keeps_to_what_was_rejected(what: str) -> None:
    bench = await a_loaded_bench()
    if what == "absence":
        bench.source.remove(*TEN)
    else:
        bench.source.put(*asked_for(what))
    assert (await bench.sync()).held == len(TEN)
    bench.reject()
    await some_passes(bench)
    release(cast("WholeLedger", bench.ledger), "venue", clock=lambda: bench.now)
    bench.name = "heir"
    for _ in range(3):
        assert (await bench.sync()).held == 0
    assert starts(bench) == [an_event(i).start for i in TEN]
    assert counted_by_cause(bench.ledger.links_in("heir", HANDS_OFF)) == {LeftAloneBy.REJECTED: len(TEN)}


async def test_whoever_takes_over_keeps_to_a_rejected_shift_also_where_its_absence_is_held() -> None:
    bench = await a_rejected_shift()
    bench.source.remove(*TEN)
    assert (await bench.sync()).held == len(TEN)
    release(cast("WholeLedger", bench.ledger), "venue", clock=lambda: bench.now)
    bench.name = "heir"
    bench.source.put(*asked_for("shift"))
    await some_passes(bench)
    assert starts(bench) == [an_event(i).start for i in TEN]


# --- what changes by itself ---


@pytest.mark.parametrize("what", ["shift", "delete"])
@pytest.mark.parametrize("extra", ["time goes by", "an invitation is opened"])
async def test_extra_fields_that_change_by_themselves_end_no_rejection(what: str, extra: str) -> None:
    studio = Studio(events=40)
    await studio.switch_on()
    bench, numbers = studio.bench, range(5, 15)
    rows = [cast("Event", bench.source.rows[SourceId(str(i))]) for i in numbers]
    bench.source.put(*(moved(row, HOUR) if what == "shift" else with_status(row, "LOST") for row in rows))
    bench.now += timedelta(minutes=5)
    assert (await studio.sync()).held == len(numbers)
    bench.reject()
    bench.now += timedelta(minutes=5)
    await studio.sync()
    before = starts(bench, numbers)
    if extra == "time goes by":
        for _ in range(8 * 8):
            bench.now += timedelta(hours=3)
            await studio.sync()
    else:
        studio.messenger.invited = (an_invitation(5, InvitationStatus.CLICKED),)
        bench.now += KEPT + HOUR
        await studio.sync()
    assert starts(bench, numbers) == before


async def test_an_edit_that_comes_to_the_same_makes_no_difference_after_an_extra_field_has_changed() -> None:
    bench = await a_loaded_bench()
    bench.source.put(*asked_for("shift"))
    await bench.sync()
    bench.reject()
    row = edited(1, "shift")
    bench.source.put(dataclasses.replace(row, custom={**row.custom, "next_message": "2026-12-01T10:00-05:00 email"}))
    await some_passes(bench)
    assert starts(bench) == [an_event(i).start for i in TEN]


@pytest.mark.parametrize("message", ["", "on Monday"])
async def test_a_template_waits_for_a_decision_also_where_a_deletion_was_rejected_before(message: str) -> None:
    extra = {"next_message": message} if message else {}
    bench = await a_loaded_bench()
    rows = [an_event(i, custom={"guest_count": "40", **extra}) for i in range(1, 21)]
    bench.source.put(*rows)
    await bench.sync()
    bench.source.put(*(with_status(row, "TENTATIVE") for row in rows[:10]))
    assert (await bench.sync()).held == len(TEN)
    bench.reject()
    await some_passes(bench)
    bench.statuses |= {"TENTATIVE"}
    bench.title = "Visit: {{ event.title }}"
    bench.edit("wider others")
    bench.target.upserts.clear()
    await some_passes(bench, 1)
    assert (bench.target.upserts, [hold.kind for hold in bench.ledger.holds()]) == ([], [HoldKind.MAPPING])


@pytest.mark.parametrize("is_dropped", [True, False])
async def test_what_a_person_deleted_is_not_created_again_because_an_extra_field_changed(*, is_dropped: bool) -> None:
    studio = Studio(events=40)
    await studio.switch_on()
    bench = studio.bench
    bench.source.put(moved(cast("Event", bench.source.rows[SourceId("9")]), HOUR))
    bench.target.fail_next(NO_ANSWER, call=Call.UPSERT, times=30)
    bench.now += timedelta(minutes=5)
    await studio.sync()
    bench.target.stop_failing()
    bench.target.change("ms-9", is_deleted=True)
    bench.now += timedelta(minutes=5)
    assert (await studio.sync()).quarantined == 1
    if is_dropped:
        drop(bench.ledger, ["venue"], "ms-9", clock=lambda: bench.now)
    for _ in range(8 * 8):
        bench.now += timedelta(hours=3)
        await studio.sync()
    assert not [key for key in bench.target.live if key.startswith("ms-9")]


async def test_a_rejected_move_stays_rejected_though_its_row_and_an_extra_field_change_and_the_entry_shows_neither() -> None:
    bench = await a_loaded_bench()
    terrace = frozenset({"terrace"})
    bench.routes = (Route(match=Match(facets={"rooms": terrace}), calendar=TERRACE),)
    bench.edit("terrace texts")
    await bench.sync()

    def row(number: int, message: str, **facets: frozenset[str]) -> Event:
        return dataclasses.replace(an_event(number, facets={"rooms": terrace, **facets}), custom={"next_message": message})

    bench.source.put(*(row(i, "on Monday") for i in TEN))
    await bench.sync()
    bench.reject()
    await some_passes(bench)
    bench.source.put(row(1, "on Tuesday", services=frozenset({"bar"})))
    await some_passes(bench)
    assert ("ms-1" in bench.target.live, "ms-1.2" in bench.target.live) == (True, False)
