"""`adopt` at an account where something waits, was decided, or was not sent yet: it learns what is there, and decides nothing."""

import dataclasses
from datetime import timedelta

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.link import Link, MessageMode
from calrelay.domain.policy import Match, Route
from calrelay.engine import decisions
from calrelay.errors import RateLimited
from tests.fakes.backups import a_backup
from tests.fakes.memory_source import a_guest, an_event, moved, with_status
from tests.fakes.memory_target import Call
from tests.fakes.pipelines import TERRACE, Bench, a_bench, a_loaded_bench

HOUR = timedelta(hours=1)


def link_of(bench: Bench, number: int) -> Link:
    return bench.ledger.links("venue", [SourceId(str(number))])[SourceId(str(number))]


def edit(bench: Bench, what: str) -> None:
    """Edit the config, so that all events of the bench wait for a decision."""
    choice, texts = "choice", "texts"
    if "template" in what:
        bench.title, texts = "New {{ event.title }}", "texts2"
    if "routes" in what:
        bench.routes, choice = (Route(match=Match(facets={}), calendar=TERRACE),), "choice2"
    if "filter" in what:
        bench.statuses, choice = frozenset({"CLOSED"}), "choice2"
    bench.edit(f"{choice} {texts}")


@pytest.mark.parametrize("edited", ["template", "routes", "filter", "filter and template", "routes and template"])
async def test_what_an_edit_left_waiting_waits_as_before(edited: str) -> None:
    bench = await a_loaded_bench(20)
    edit(bench, edited)
    await bench.sync()
    [before] = bench.ledger.holds()
    bench.target.upserts.clear()
    await bench.sync(adopts_only=True)
    for _ in range(2):
        report = await bench.sync()
        assert (report.sent, report.held, bench.target.upserts) == (0, 20, [])
    [after] = bench.ledger.holds()
    assert (after.kind, after.items) == (before.kind, before.items)


async def test_a_filter_that_is_put_back_has_nothing_to_send() -> None:
    bench = await a_loaded_bench(40)
    edit(bench, "filter")
    await bench.sync()
    await bench.sync(adopts_only=True)
    bench.statuses = frozenset({"DEFINITE", "CLOSED"})
    bench.edit("choice texts")
    report = await bench.sync()
    assert (report.sent, report.held, report.unchanged) == (0, 0, 40)


async def test_what_moved_since_it_was_shown_is_not_rejected_with_what_was_shown() -> None:
    bench = await a_loaded_bench(20)
    edit(bench, "template")
    await bench.sync()
    later = moved(an_event(1), 5 * HOUR)
    bench.source.put(later)
    await bench.sync(adopts_only=True)
    bench.reject()
    await bench.sync()
    assert bench.target.held("ms-1").start == later.start


async def test_a_rejection_of_what_is_missing_just_now_outlives_it() -> None:
    bench = await a_loaded_bench(20)
    edit(bench, "template")
    await bench.sync()
    bench.reject()
    await bench.sync()
    bench.source.hidden |= {SourceId(str(number)) for number in range(1, 10)}
    assert (await bench.sync()).held == 9
    await bench.sync(adopts_only=True)
    bench.source.hidden.clear()
    bench.target.upserts.clear()
    report = await bench.sync()
    assert (report.held, bench.target.upserts) == (0, [])


async def test_a_tag_that_was_changed_and_not_sent_yet_is_sent() -> None:
    bench = await a_loaded_bench(5)
    decisions.retag(bench.ledger, [link_of(bench, 1)], MessageMode.SKIP, clock=lambda: bench.now)
    await bench.sync(adopts_only=True)
    await bench.sync()
    assert "#skip" in str(bench.target.held("ms-1").content)


@pytest.mark.parametrize("is_planned", [True, False])
async def test_a_guest_who_was_taken_off_is_no_guest_whom_the_target_kept(*, is_planned: bool) -> None:
    """The target keeps people whom it has messaged; one whose removal it has not been told of is none of them."""
    bench = a_bench(*(an_event(number, participants=(a_guest(number), a_guest(number + 50))) for number in range(1, 6)))
    await bench.sync()
    bench.source.put(an_event(1, participants=(a_guest(1),)))
    if is_planned:
        bench.target.fail_next(RateLimited("429"), call=Call.UPSERT, times=9)
        await bench.sync()
        bench.target.stop_failing()
    await bench.sync(adopts_only=True)
    await bench.sync()
    assert [person.name for person in bench.target.held("ms-1").participants or ()] == [a_guest(1).name]
    assert (await bench.sync()).sent == 0


@pytest.mark.parametrize("echoes", [True, False])
async def test_an_older_backup_uses_no_generation_again_that_is_gone(*, echoes: bool) -> None:
    bench = await a_loaded_bench(5)
    restored = dataclasses.replace(bench, ledger=a_backup(bench.ledger))
    for status in ("DEFINITE", "LOST", "DEFINITE"):
        bench.source.put(with_status(an_event(6), status))
        await bench.sync()
    restored.target.echoes_external_ids = echoes
    await restored.sync(adopts_only=True)
    await restored.sync()
    assert sorted(restored.target.live) == [*(f"ms-{number}" for number in range(1, 6)), "ms-6.2"]


async def test_a_cancellation_since_an_older_backup_is_carried_out_where_the_list_names_nothing() -> None:
    bench = await a_loaded_bench(5)
    restored = dataclasses.replace(bench, ledger=a_backup(bench.ledger))
    bench.source.put(an_event(6))
    await bench.sync()
    restored.source.put(with_status(an_event(6), "LOST"))
    restored.target.echoes_external_ids = False
    await restored.sync(adopts_only=True)
    await restored.sync()
    assert "ms-6" not in restored.target.live


async def approve_all(bench: Bench) -> None:
    """Sync, and approve what that holds."""
    await bench.sync()
    if bench.ledger.holds("venue"):
        decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)


@pytest.mark.parametrize("status", ["DEFINITE", "LOST"])
@pytest.mark.parametrize("waits", ["in a hold", "to settle", "not"])
async def test_a_backup_from_before_a_booking_was_created_knows_its_entry_where_the_list_names_nothing(waits: str, status: str) -> None:
    bench = await a_loaded_bench(40)
    bench.scope = "wider" if waits == "in a hold" else bench.scope
    bench.settle = timedelta(minutes=10) if waits == "to settle" else timedelta()
    bench.source.put(an_event(41))
    await bench.sync()
    if waits == "not":
        bench.source.put(with_status(an_event(41), "LOST"))
        await bench.sync()
    kept = a_backup(bench.ledger)
    bench.settle = timedelta()
    for now in ("DEFINITE", "LOST", "DEFINITE"):
        bench.source.put(with_status(an_event(41), now))
        for _ in range(2):
            await approve_all(bench)
    there = set(bench.target.live)
    assert len(there) == 41
    bench.ledger, bench.target.echoes_external_ids = kept, False
    bench.source.put(with_status(an_event(41), status))
    await bench.sync(adopts_only=True)
    for _ in range(4):
        await approve_all(bench)
    assert set(bench.target.live) == {one for one in there if status == "DEFINITE" or not one.startswith("ms-41")}


@pytest.mark.parametrize("by", ["a person in Apptoto", "its room"])
async def test_what_waits_with_many_others_waits_though_it_changes_its_calendar(by: str) -> None:
    bench = a_bench(*(an_event(number) for number in range(1, 41)))
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"terrace"})}), calendar=TERRACE),)
    bench.edit("choice texts")
    await bench.sync()
    bench.source.put(*(moved(an_event(number), HOUR) for number in range(1, 12)))
    assert (await bench.sync()).held == 11
    if by == "its room":
        bench.source.put(dataclasses.replace(moved(an_event(1), HOUR), facets={"rooms": frozenset({"terrace"})}))
    else:
        bench.target.change("ms-1", calendar=TERRACE)
        await bench.sync(adopts_only=True)
    report = await bench.sync()
    assert (report.sent, report.held) == (0, 11)
    assert bench.target.held("ms-1").start == an_event(1).start
