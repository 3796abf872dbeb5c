"""A decision covers what the operator was shown: what comes into a hold after it was listed stays undecided."""

from datetime import timedelta

import pytest

from calrelay.domain.guard import HoldKind
from calrelay.domain.link import ExternalId
from calrelay.engine import decisions
from calrelay.errors import ExitCode, GuardRefused
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.pipelines import Bench, a_bench

HOUR = timedelta(hours=1)


async def a_bench_with_a_hold() -> Bench:
    """Of 120 events the source cancels 40."""
    bench = a_bench(*(an_event(number) for number in range(1, 121)))
    await bench.sync()
    bench.source.put(*(with_status(an_event(number), "LOST") for number in range(1, 41)))
    assert (await bench.sync()).held == 40
    return bench


def list_holds(bench: Bench) -> None:
    bench.ledger.note_shown(bench.ledger.holds("venue"), bench.now)


def approve(bench: Bench) -> None:
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)


async def test_what_slips_into_a_hold_after_it_was_listed_is_not_approved_with_it() -> None:
    bench = await a_bench_with_a_hold()
    list_holds(bench)
    bench.source.put(*(with_status(an_event(number), "LOST") for number in range(41, 81)))
    await bench.sync()
    approve(bench)
    report = await bench.sync()
    assert (report.deleted, report.held) == (40, 40)
    left = {item.external_id for hold in bench.ledger.holds("venue") for item in hold.items}
    assert left == {ExternalId(f"ms-{number}") for number in range(41, 81)}


async def test_one_more_cancellation_leaves_a_listed_hold_approvable() -> None:
    bench = await a_bench_with_a_hold()
    list_holds(bench)
    bench.source.put(with_status(an_event(50), "LOST"))
    assert (await bench.sync()).held == 41
    approve(bench)
    report = await bench.sync()
    assert (report.deleted, report.held) == (40, 1)  # alone it would be no mass deletion; but nobody has decided over it
    assert (await bench.sync()).held == 1
    list_holds(bench)
    approve(bench)
    assert ((await bench.sync()).deleted, bench.ledger.holds()) == (1, [])


async def test_one_more_cancellation_stays_held_when_the_others_were_rejected() -> None:
    bench = await a_bench_with_a_hold()
    list_holds(bench)
    bench.source.put(with_status(an_event(50), "LOST"))
    await bench.sync()
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    for _ in range(2):
        assert ((await bench.sync()).sent, len(bench.ledger.holds()[0].items)) == (0, 1)


async def test_one_more_new_booking_waits_with_those_that_are_held() -> None:
    bench = await a_bench_with_a_hold()
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    bench.source.put(*(an_event(number) for number in range(121, 161)))
    assert (await bench.sync()).held == 40
    list_holds(bench)
    bench.source.put(an_event(161))
    assert (await bench.sync()).held == 41
    approve(bench)
    report = await bench.sync()
    assert (report.created, report.held) == (40, 1)


async def test_what_is_left_of_a_hold_stays_held_when_most_of_it_has_dissolved() -> None:
    bench = await a_bench_with_a_hold()
    lost = [item.source_id for item in bench.ledger.holds()[0].items]
    bench.source.put(*(an_event(int(number)) for number in lost[2:]))
    report = await bench.sync()
    assert (report.deleted, report.held) == (0, 2)


async def test_what_changed_after_it_was_listed_has_to_be_listed_again() -> None:
    bench = a_bench(*(an_event(number) for number in range(1, 121)))
    await bench.sync()
    bench.source.put(*(moved(an_event(number), HOUR) for number in range(1, 31)))
    await bench.sync()
    list_holds(bench)
    bench.source.put(*(moved(an_event(number), 2 * HOUR) for number in range(1, 31)))
    await bench.sync()
    with pytest.raises(GuardRefused) as refused:
        approve(bench)
    assert (refused.value.exit_code, "calrelay holds" in refused.value.remedy) == (ExitCode.GUARD, True)
    list_holds(bench)
    approve(bench)
    assert (await bench.sync()).updated == 30


async def test_a_hold_that_shrinks_touches_fewer_people() -> None:
    bench = await a_bench_with_a_hold()
    list_holds(bench)
    assert bench.ledger.holds()[0].people == 40
    bench.source.put(with_status(an_event(50), "LOST"))
    await bench.sync()
    approve(bench)
    await bench.sync()
    assert [(len(hold.items), hold.people) for hold in bench.ledger.holds()] == [(1, 1)]


async def test_who_is_on_many_bookings_of_a_hold_counts_once_as_long_as_they_are_all_there() -> None:
    regular = an_event(1).participants
    bench = a_bench(*(an_event(number, participants=regular) for number in range(1, 31)))
    await bench.sync()
    bench.source.put(*(with_status(an_event(number, participants=regular), "LOST") for number in range(1, 11)))
    await bench.sync()
    list_holds(bench)
    assert [hold.people for hold in bench.ledger.holds()] == [1]
    decisions.ignore(bench.ledger, "ms-1", clock=lambda: bench.now)
    assert [(len(hold.items), hold.people) for hold in bench.ledger.holds()] == [(9, 1)]


async def test_a_rejection_leaves_undecided_what_came_after_the_hold_was_listed() -> None:
    bench = await a_bench_with_a_hold()
    list_holds(bench)
    bench.source.put(*(with_status(an_event(number), "LOST") for number in range(41, 81)))
    await bench.sync()
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    [hold] = bench.ledger.holds("venue")
    assert {item.external_id for item in hold.items} == {ExternalId(f"ms-{number}") for number in range(41, 81)}


async def test_many_moved_alike_say_how_many_of_how_many_and_by_how_much() -> None:
    bench = a_bench(*(an_event(number) for number in range(1, 121)))
    await bench.sync()
    bench.source.put(*(moved(an_event(number), HOUR) for number in range(1, 31)))
    await bench.sync()
    [hold] = bench.ledger.holds("venue")
    assert hold.kind is HoldKind.SAME_SHIFT
    assert hold.words == "30 to update: 30 of 120 events moved by +1:00, which is what a wrong time zone looks like"
    assert {(item.start, item.zone) for item in hold.items} == {
        (an_event(number).start + HOUR, an_event(number).zone) for number in range(1, 31)
    }
