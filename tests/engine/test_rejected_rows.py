"""What was rejected is left alone for exactly the row of which it was, whatever else becomes of the booking meanwhile."""

import dataclasses
from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest

from calrelay.domain.guard import HoldKind
from calrelay.domain.link import ExternalId, State
from calrelay.domain.policy import Match, Route
from calrelay.engine import decisions
from calrelay.engine.decisions import drop
from calrelay.errors import VendorUnavailable
from tests.fakes.memory_source import an_event, moved
from tests.fakes.memory_target import TERRACE, Applied, Call, Poison
from tests.fakes.pipelines import Bench, a_bench

HOUR = timedelta(hours=1)
TEN = range(1, 11)
NO_ANSWER = VendorUnavailable("no answer")


async def a_loaded_bench(number: int = 30) -> Bench:
    bench = a_bench(*(an_event(i) for i in range(1, number + 1)))
    edit(bench, "choice texts")
    await bench.sync()
    return bench


def edit(bench: Bench, config: str) -> None:
    bench.basis = dataclasses.replace(bench.basis, config=config)


def reject(bench: Bench) -> None:
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)


def starts(bench: Bench, numbers: Iterable[int] = TEN) -> list[datetime | None]:
    return [bench.target.live[ExternalId(f"ms-{i}")].start for i in numbers]


async def a_rejected_shift() -> Bench:
    bench = await a_loaded_bench()
    bench.source.put(*(moved(an_event(i), HOUR) for i in TEN))
    assert (await bench.sync()).held == len(TEN)
    reject(bench)
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
            edit(bench, "choice others")
        case "filter":
            bench.statuses = bench.statuses | {"PROSPECT"}
            edit(bench, "wider texts")
        case "route":
            bench.routes = (Route(match=Match(), calendar=TERRACE),)
            edit(bench, "terrace texts")


@pytest.mark.parametrize("what", OF_THE_CONFIG)
async def test_a_rejected_shift_whose_absence_is_rejected_too_is_left_alone_when_the_bookings_show_again(what: str) -> None:
    bench = await a_rejected_shift()
    bench.source.remove(*TEN)
    assert (await bench.sync()).held == len(TEN)
    reject(bench)
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
    reject(bench)
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
    reject(bench)
    reconfigure(bench, what)
    bench.target.upserts.clear()
    await some_passes(bench)
    assert (starts(bench), [put.external_id for put in bench.target.sent if put.external_id in {f"ms-{i}" for i in TEN}]) == (before, [])


async def test_a_text_that_was_rejected_keeps_no_later_text_back_though_an_answer_was_lost() -> None:
    bench = await a_loaded_bench()
    bench.title = "Visit: {{ event.title }}"
    edit(bench, "choice others")
    assert (await bench.sync()).held == 30
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    bench.target.fail_next(NO_ANSWER, call=Call.UPSERT, times=30)
    await bench.sync()
    bench.target.stop_failing()
    reject(bench)
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
        (hold,) = bench.ledger.holds()
        items = tuple(dataclasses.replace(item, source_hash=None) for item in hold.items)
        bench.ledger.save_holds("venue", [dataclasses.replace(hold, items=items)])
    reject(bench)
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
    reject(bench)
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
