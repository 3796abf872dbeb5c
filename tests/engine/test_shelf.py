"""In a large first load what is planned is folded away until it is sent; nobody but the memory notices."""

import dataclasses

import pytest

from calrelay.domain.guard import Limits
from calrelay.domain.link import MessageMode
from calrelay.domain.plan import Create
from calrelay.engine import survey
from calrelay.engine.report import Outcome
from calrelay.engine.shelf import Shelf
from calrelay.errors import VendorUnavailable
from tests.fakes.memory_source import an_event
from tests.fakes.memory_target import Call
from tests.fakes.pipelines import a_bench

EVENTS = [an_event(number * 37 % 100) for number in range(1, 41)]  # not in the order of time


@pytest.fixture(autouse=True)
def few_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "KEPT_AT_HAND", 3)


async def planned() -> list[Create]:
    """Creates as a pass plans them."""
    report = await a_bench(*EVENTS).sync(is_dry_run=True)
    return [action for action in report.actions if isinstance(action, Create)]


async def test_everything_comes_off_once_and_as_it_was_soonest_start_first() -> None:
    creates, shelf = await planned(), Shelf()
    for at in range(0, len(creates), 7):
        shelf.put(creates[at : at + 7])
    assert len(shelf) == len(creates)
    assert list(shelf.take_all()) == sorted(creates, key=lambda create: create.event.start)
    assert (len(shelf), list(shelf.take_all())) == (0, [])
    assert len(shelf.people) == len(creates)


async def test_what_two_events_are_not_compared_by_comes_off_as_well() -> None:
    (create, *_), shelf = await planned(), Shelf()
    event = dataclasses.replace(create.event, reasoning=("zone: told by the site",), row_hash="0a1b")
    shelf.put([dataclasses.replace(create, event=event)])
    (taken,) = shelf.take_all()
    assert (taken.event.reasoning, taken.event.row_hash) == (event.reasoning, event.row_hash)


async def test_a_load_from_the_shelf_sends_each_event_once_soonest_start_first() -> None:
    bench = a_bench(*EVENTS)
    bench.source.page_size = 7
    report = await bench.sync()
    assert report.shelf is not None
    assert (report.created, report.people, len(report.actions)) == (40, 40, 0)
    starts = [put.entry.start for put in bench.target.sent]
    assert (len(starts), starts) == (40, sorted(starts))
    again = await bench.sync()
    assert (again.unchanged, again.created, again.shelf) == (40, 0, None)


async def test_a_load_that_is_too_large_is_refused_with_all_its_people_counted() -> None:
    bench = a_bench(*EVENTS, first_load=20)
    bench.source.page_size = 7
    report = await bench.sync()
    assert report.outcome is Outcome.REFUSED
    assert "create 40 events and could message 40 people" in report.problems[0].message
    assert bench.target.sent == []


async def test_a_load_that_broke_off_goes_on_with_what_was_left() -> None:
    bench = a_bench(*EVENTS)
    bench.source.page_size = 7
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=20)
    assert (await bench.sync()).created == 0
    bench.target.stop_failing()
    await bench.sync()
    assert len(bench.target.live) == 40


@pytest.mark.parametrize("order", [{"is_dry_run": True}, {"is_load": True, "mode": MessageMode.SKIP}])
async def test_what_is_shown_or_guarded_is_never_folded_away(order: dict[str, object]) -> None:
    bench = a_bench(*EVENTS)
    assert (await bench.sync(**order)).shelf is None
    await bench.sync()
    bench.limits = Limits()
    bench.source.put(*(an_event(number) for number in range(100, 140)))
    assert (await bench.sync()).held == 40
