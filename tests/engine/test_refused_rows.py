"""What the target refused, or lost, waits in quarantine for another row; what was dropped from there is left alone until there is one."""

import dataclasses
from datetime import timedelta
from typing import cast

import pytest

from calrelay.domain.event import Event, SourceId
from calrelay.domain.link import ExternalId, MessageMode, State
from calrelay.domain.policy import Match, Route
from calrelay.engine.decisions import drop, retag, retry
from calrelay.engine.retire import WholeLedger, release
from calrelay.errors import RequestRejected, VendorUnavailable
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.memory_target import TERRACE, Call, Poison
from tests.fakes.pipelines import Bench, a_loaded_bench

HOUR = timedelta(hours=1)
NO_ANSWER = VendorUnavailable("no answer")
REFUSED = RequestRejected("400", account="reminders", status=400)


async def some_passes(bench: Bench, number: int = 3) -> None:
    for _ in range(number):
        bench.now += timedelta(minutes=5)
        await bench.sync()


def with_custom(row: Event, **values: str) -> Event:
    return dataclasses.replace(row, custom={**row.custom, **values})


async def is_refused(bench: Bench, row: Event) -> None:
    """Have the target refuse what a row of the first booking wants of it, and take everything again afterwards."""
    bench.source.put(row)
    bench.target.poison = {ExternalId(external_id): Poison.REFUSE for external_id in ("ms-1", "ms-1.2")}
    if row.status == "LOST":
        bench.target.fail_next(REFUSED, call=Call.DELETE, times=9)
    assert (await bench.sync()).quarantined == 1
    bench.target.poison = {}
    bench.target.stop_failing()


async def a_person_deletes_it(bench: Bench) -> None:
    """Have the first booking's entry be deleted by hand while a request for it has no answer."""
    bench.source.put(moved(an_event(1), HOUR))
    bench.target.fail_next(NO_ANSWER, call=Call.UPSERT, times=30)
    await bench.sync()
    bench.target.stop_failing()
    bench.target.change("ms-1", is_deleted=True)


@pytest.mark.parametrize("after", ["a cancellation", "a move to another calendar"])
async def test_a_refused_successor_is_tried_again_when_its_row_is_corrected(after: str) -> None:
    bench = await a_loaded_bench()
    if after == "a cancellation":
        row = an_event(1)
        bench.source.put(with_status(row, "LOST"))
    else:
        row = an_event(1, facets={"rooms": frozenset({"terrace"})})
        bench.routes = (Route(match=Match(facets=row.facets), calendar=TERRACE),)
        bench.edit("terrace texts")
    await some_passes(bench, 1)
    await is_refused(bench, with_custom(row, contract="wrong"))
    assert "ms-1" not in bench.target.live
    bench.source.put(with_custom(row, contract="corrected"))
    await some_passes(bench)
    assert "ms-1.2" in bench.target.live


async def test_what_a_person_deleted_leaves_quarantine_by_a_cancellation_and_may_be_booked_again() -> None:
    bench = await a_loaded_bench()
    await a_person_deletes_it(bench)
    assert (await bench.sync()).quarantined == 1
    bench.source.put(with_status(moved(an_event(1), HOUR), "LOST"))
    assert (await bench.sync()).quarantined == 0
    assert len(bench.target.live) == 29
    bench.source.put(moved(an_event(1), HOUR))
    assert (await bench.sync()).created == 1


@pytest.mark.parametrize(
    "instead",
    [with_status(an_event(1), status) for status in ("TENTATIVE", "NO_SHOW", "SOMETHING")]
    + [an_event(1, participants=()), moved(an_event(1), timedelta(days=-3))],
    ids=["uncertain", "no show", "an unknown status", "nobody to reach", "over"],
)
async def test_what_a_person_deleted_is_not_created_again_whatever_its_row_comes_to(instead: Event) -> None:
    bench = await a_loaded_bench()
    await a_person_deletes_it(bench)
    assert (await bench.sync()).quarantined == 1
    bench.source.put(instead)
    await some_passes(bench)
    bench.source.put(moved(an_event(1), HOUR))
    assert ((await bench.sync()).created, len(bench.target.live)) == (0, 29)


async def test_what_a_person_deleted_is_not_created_again_by_retiring_and_adopting_its_pipeline() -> None:
    bench = await a_loaded_bench()
    await a_person_deletes_it(bench)
    assert (await bench.sync()).quarantined == 1
    release(cast("WholeLedger", bench.ledger), "venue", clock=lambda: bench.now)
    await bench.sync(adopts_only=True)
    assert ((await bench.sync()).created, len(bench.target.live)) == (0, 29)


async def test_what_is_wanted_back_does_not_tell_its_guest_of_the_booking_again() -> None:
    bench = await a_loaded_bench()
    await a_person_deletes_it(bench)
    await bench.sync()
    retry(bench.ledger, ["venue"], [], clock=lambda: bench.now)
    assert (await bench.sync()).created == 1
    held = bench.target.held("ms-1.2")
    assert held is not None
    assert str(held.content).endswith("#nobooking")


@pytest.mark.parametrize("row", [moved(an_event(1), HOUR), with_status(an_event(1), "LOST")], ids=["update", "delete"])
async def test_what_an_older_version_dropped_is_left_alone(row: Event) -> None:
    bench = await a_loaded_bench()
    await is_refused(bench, row)
    (dropped,) = drop(bench.ledger, ["venue"], "ms-1", clock=lambda: bench.now)
    bench.ledger.store([dataclasses.replace(dropped, source_hash="")])  # its row was not noted until the next pass
    await some_passes(bench)
    assert bench.target.held("ms-1").start == an_event(1).start


@pytest.mark.parametrize("row", [moved(an_event(1), HOUR), with_status(an_event(1), "LOST")], ids=["update", "delete"])
async def test_what_was_dropped_is_left_alone_though_an_extra_field_changes_before_the_next_pass(row: Event) -> None:
    bench = await a_loaded_bench()
    bench.source.put(with_custom(an_event(1), next_message="on Monday"))
    await bench.sync()
    await is_refused(bench, with_custom(row, next_message="on Monday"))
    drop(bench.ledger, ["venue"], "ms-1", clock=lambda: bench.now)
    bench.source.put(with_custom(row, next_message="on Tuesday"))
    await some_passes(bench)
    assert bench.target.held("ms-1").start == an_event(1).start
    assert bench.ledger.links("venue", [SourceId("1")])[SourceId("1")].state is State.IGNORED


def edited(bench: Bench, what: str) -> None:
    """Change what rows are planned by, or the row of the first booking."""
    match what:
        case "template":
            bench.title = "Visit: {{ event.title }}"
            bench.edit("choice others")
        case "filter":
            bench.scope = "wider"
            bench.edit("wider texts")
        case "route":
            bench.routes = (Route(match=Match(facets={"rooms": frozenset({"attic"})}), calendar=TERRACE),)
            bench.edit("terrace texts")
        case "release":
            bench.basis = dataclasses.replace(bench.basis, mapping="2")
        case "zones":
            bench.basis = dataclasses.replace(bench.basis, zone_data="2027a")
        case "room":
            bench.source.put(moved(an_event(1, facets={"rooms": frozenset({"cellar"})}), HOUR))
        case "hour":
            bench.source.put(moved(an_event(1), 3 * HOUR))
        case _:
            bench.source.spoil(1)


@pytest.mark.parametrize("what", ["template", "filter", "route", "release", "zones", "room", "hour", "unreadable"])
async def test_what_a_person_deleted_is_created_again_only_when_asked_for(what: str) -> None:
    bench = await a_loaded_bench()
    await a_person_deletes_it(bench)
    assert (await bench.sync()).quarantined == 1
    edited(bench, what)
    await some_passes(bench)
    bench.source.put(moved(an_event(1), HOUR if what != "hour" else 3 * HOUR))
    report = await bench.sync()
    assert (report.quarantined, len(bench.target.live)) == (1, 29)
    retry(bench.ledger, ["venue"], ["ms-1"], clock=lambda: bench.now)
    await bench.sync()
    assert "ms-1.2" in bench.target.live


async def test_what_a_person_deleted_while_it_was_marked_anew_is_not_created_again_unasked() -> None:
    bench = await a_loaded_bench()
    await a_person_deletes_it(bench)
    retag(bench.ledger, bench.ledger.links("venue", [SourceId("1")]).values(), MessageMode.SKIP, clock=lambda: bench.now)
    for _ in range(3):
        assert (await bench.sync()).quarantined == 1
    bench.source.put(moved(an_event(1), 2 * HOUR))
    await some_passes(bench)
    assert len(bench.target.live) == 29


@pytest.mark.parametrize("how", ["an empty read", "adopt"])
async def test_what_a_person_deleted_is_not_forgotten_by_a_look_at_either_end(how: str) -> None:
    bench = await a_loaded_bench()
    await a_person_deletes_it(bench)
    assert (await bench.sync()).quarantined == 1
    if how == "adopt":
        await bench.sync(adopts_only=True)
    else:
        rows, bench.source.rows = bench.source.rows, {}
        await bench.sync()
        bench.source.rows = rows
    for _ in range(3):
        report = await bench.sync()
        assert (report.created, report.quarantined) == (0, 1)


@pytest.mark.parametrize("passes", [0, 2])
async def test_what_a_person_deleted_while_it_was_marked_anew_can_be_dropped(passes: int) -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), HOUR))
    bench.target.fail_next(NO_ANSWER, call=Call.UPSERT, times=30)
    await bench.sync()
    bench.target.stop_failing()
    retag(bench.ledger, bench.ledger.links("venue", [SourceId("1")]).values(), MessageMode.SKIP, clock=lambda: bench.now)
    bench.target.change("ms-1", is_deleted=True)
    await some_passes(bench, 1 + passes)
    drop(bench.ledger, ["venue"], "ms-1", clock=lambda: bench.now)
    for _ in range(2):
        assert (await bench.sync()).created == 0
