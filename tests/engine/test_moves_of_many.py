"""Many bookings move in time and into another calendar at once: they wait together, and nothing is lost or doubled on the way."""

import dataclasses
from datetime import timedelta

import pytest

from calrelay.domain.event import Event, SourceId
from calrelay.domain.guard import Earlier, HoldKind
from calrelay.domain.policy import Match, Route
from calrelay.engine import decisions
from calrelay.engine.order import Reach
from calrelay.errors import RateLimited, RequestRejected, VendorUnavailable
from tests.engine.test_adopting_what_waits import edit
from tests.fakes.backups import a_backup
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.memory_target import Applied, Call
from tests.fakes.pipelines import MAIN_HALL, TERRACE, Bench, a_bench

HOUR = timedelta(hours=1)
ELSEWHERE = {"rooms": frozenset({"terrace"})}


async def loaded(n: int = 40) -> Bench:
    bench = a_bench(*(an_event(i) for i in range(1, n + 1)))
    bench.routes = (Route(match=Match(facets=ELSEWHERE), calendar=TERRACE),)
    bench.edit("choice texts")
    await bench.sync()
    return bench


def both(n: int, by: timedelta = HOUR) -> Event:
    """A booking that is somewhere else at another time."""
    return dataclasses.replace(moved(an_event(n), by), facets=ELSEWHERE)


def check_whole(bench: Bench, n: int = 40) -> None:
    """Each booking is at the target, once."""
    assert sorted({e.split(".")[0] for e in bench.target.live}) == sorted(f"ms-{i}" for i in range(1, n + 1))
    assert len(bench.target.live) == n


def approve(bench: Bench) -> None:
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)


@pytest.mark.parametrize("between", ["nothing", "adopt", "dark adopt", "adopt before approval", "backup"])
async def test_approved_they_are_there_once_and_nobody_hears_of_them_again(between: str) -> None:
    bench = await loaded()
    bench.source.put(*(both(n) for n in range(1, 12)))
    assert (await bench.sync()).held == 11
    kept = a_backup(bench.ledger)
    if between == "adopt before approval":
        await bench.sync(adopts_only=True)
    approve(bench)
    if "adopt" in between and "before" not in between:
        bench.target.echoes_external_ids = "dark" not in between
        await bench.sync(adopts_only=True)
        bench.target.echoes_external_ids = True
    report = await bench.sync()
    assert report.held == 0
    check_whole(bench)
    for n in range(1, 12):
        held = bench.target.held(f"ms-{n}.2")
        assert (held.calendar, held.start) == (TERRACE, both(n).start)
        assert "#nobooking" in (held.content or "")
    assert (await bench.sync()).sent == 0
    if between == "backup":
        bench.ledger = kept
        bench.target.upserts.clear()
        await bench.sync(adopts_only=True)
        report = await bench.sync()
        assert (report.sent, report.held, bench.target.upserts) == (0, 0, [])
        check_whole(bench)


@pytest.mark.parametrize("adopts", [False, True])
async def test_rejected_they_stay_until_their_rows_change(*, adopts: bool) -> None:
    bench = await loaded()
    bench.source.put(*(both(n) for n in range(1, 12)))
    await bench.sync()
    bench.reject()
    if adopts:
        await bench.sync(adopts_only=True)
    for _ in range(2):
        report = await bench.sync()
        assert (report.sent, report.held) == (0, 0)
    check_whole(bench)
    assert bench.target.held("ms-1").start == an_event(1).start
    bench.source.put(both(1, 2 * HOUR))
    await bench.sync()
    check_whole(bench)
    assert bench.target.held("ms-1.2").start == both(1, 2 * HOUR).start


@pytest.mark.parametrize("fails", ["delete busy", "create busy", "create refused", "create unanswered", "delete unanswered"])
@pytest.mark.parametrize("adopts", [False, True])
async def test_a_target_that_has_a_bad_time_loses_none(fails: str, *, adopts: bool) -> None:
    bench = await loaded()
    bench.source.put(*(both(n) for n in range(1, 12)))
    await bench.sync()
    approve(bench)
    call = Call.DELETE if "delete" in fails else Call.UPSERT
    if "unanswered" in fails:
        bench.target.fail_next(VendorUnavailable("timeout", account="reminders"), call=call, applied=Applied.ALL, times=2)
    elif "refused" in fails:
        bench.target.fail_next(RequestRejected("no", status=400), call=call, times=1)
    else:
        bench.target.fail_next(RateLimited("429"), call=call, times=3)
    await bench.sync()
    bench.target.stop_failing()
    if adopts:
        await bench.sync(adopts_only=True)
    for _ in range(3):
        bench.now += timedelta(minutes=10)
        await bench.sync()
        if bench.ledger.holds("venue"):
            approve(bench)
    check_whole(bench)
    for n in range(1, 12):
        assert [h.start for e, h in bench.target.live.items() if e.split(".")[0] == f"ms-{n}"] == [both(n).start]


async def test_moves_that_come_one_by_one_are_counted_together() -> None:
    bench = await loaded()
    earlier = Earlier()
    for n in range(1, 12):
        bench.source.put(both(n))
        report = await bench.sync(reach=Reach.IDS, ids=frozenset({SourceId(str(n))}), earlier=earlier)
        earlier = earlier.with_passed(report.passed)
    assert [(h.kind, len(h.items)) for h in bench.ledger.holds()] == [(HoldKind.SAME_SHIFT, 7)]
    await bench.sync()
    check_whole(bench)


@pytest.mark.parametrize("kind", ["room back", "cancelled", "time back", "gone"])
async def test_what_changes_its_mind_while_it_waits_is_followed(kind: str) -> None:
    bench = await loaded()
    bench.source.put(*(both(n) for n in range(1, 12)))
    await bench.sync()
    if kind == "room back":
        bench.source.put(moved(an_event(1), HOUR))
    elif kind == "cancelled":
        bench.source.put(with_status(both(1), "LOST"))
    elif kind == "time back":
        bench.source.put(dataclasses.replace(an_event(1), facets=ELSEWHERE))
    else:
        bench.source.remove(1)
    report = await bench.sync()
    if kind == "room back":
        assert (report.sent, report.held) == (0, 11)
    elif kind == "time back":
        assert (report.held, bench.target.held("ms-1.2").start) == (10, an_event(1).start)
    else:
        assert (report.deleted, report.held) == (1, 10)
    assert len(bench.target.live) == (40 if kind.endswith("back") else 39)


@pytest.mark.parametrize("with_room", [False, True])
async def test_whose_new_words_are_rejected_moves_with_its_booking(*, with_room: bool) -> None:
    """Rule 14: a mapping change is one named hold, apart from source changes."""
    bench = await loaded(20)
    edit(bench, "template")
    assert (await bench.sync()).held == 20
    change = both(1) if with_room else moved(an_event(1), HOUR)
    bench.source.put(change)
    await bench.sync()
    bench.reject()  # the new words are not wanted
    for _ in range(3):
        await bench.sync()
    [entry] = [h for e, h in bench.target.live.items() if e.split(".")[0] == "ms-1"]
    assert (entry.start, entry.calendar) == (change.start, TERRACE if with_room else MAIN_HALL)
