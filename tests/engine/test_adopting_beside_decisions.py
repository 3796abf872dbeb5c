"""`adopt` beside holds, moves and edits that are half decided: what is undecided stays so, and what was decided is carried out."""

import dataclasses
from datetime import timedelta

import pytest

from calrelay.domain.link import ExternalId
from calrelay.domain.policy import Match, Route
from calrelay.engine import decisions
from calrelay.errors import RateLimited
from calrelay.ports import Holding
from tests.engine.test_adopting_what_waits import edit, link_of
from tests.fakes.backups import a_backup
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.memory_target import Call
from tests.fakes.pipelines import TERRACE, Bench, a_bench, a_loaded_bench

HOUR = timedelta(hours=1)


def forget_requests(bench: Bench) -> None:
    bench.target.upserts.clear()
    bench.target.deletes.clear()


@pytest.mark.parametrize("edited", ["template", "routes", "filter", "routes and template"])
async def test_what_a_person_changed_in_a_hold_waits_through_a_second_adopt(edited: str) -> None:
    bench = await a_loaded_bench(20)
    edit(bench, edited)
    assert (await bench.sync()).held == 20
    bench.target.change("ms-1", title="Typed by hand")
    forget_requests(bench)
    for _ in range(2):
        await bench.sync(adopts_only=True)
        report = await bench.sync()
        assert (report.sent, report.held, bench.target.upserts, bench.target.deletes) == (0, 20, [], [])


@pytest.mark.parametrize("echoes", [True, False])
async def test_a_hold_of_many_moves_survives_adopt(*, echoes: bool) -> None:
    bench = await a_loaded_bench(40)
    bench.source.put(*(moved(an_event(n), HOUR) for n in range(1, 12)))
    assert (await bench.sync()).held == 11
    bench.target.change("ms-1", title="Typed by hand")
    bench.target.echoes_external_ids = echoes
    for _ in range(2):
        await bench.sync(adopts_only=True)
        report = await bench.sync()
        assert (report.sent, report.held) == (0, 11)


async def test_a_second_generation_that_was_cancelled_is_found_where_deleted_ones_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_loaded_bench(10)
    bench.source.put(an_event(11))
    await bench.sync()
    bench.source.put(with_status(an_event(11), "LOST"))
    await bench.sync()
    assert link_of(bench, 11).generation == 2
    kept = a_backup(bench.ledger)
    bench.source.put(an_event(11))
    await bench.sync()
    assert "ms-11.2" in bench.target.live
    bench.ledger, bench.target.echoes_external_ids, bench.target.shows_deleted = kept, False, False
    find = bench.target.find

    async def finding(external_id: ExternalId) -> Holding | None:
        found = await find(external_id)
        return None if found is None or found.is_deleted else found

    monkeypatch.setattr(bench.target, "find", finding)
    bench.source.put(with_status(an_event(11), "LOST"))
    await bench.sync(adopts_only=True)
    await bench.sync()
    assert "ms-11.2" not in bench.target.live


@pytest.mark.parametrize("row", ["spoilt", "readable"])
async def test_what_a_person_changed_in_a_hold_is_known_though_its_row_cannot_be_read(row: str) -> None:
    bench = await a_loaded_bench(20)
    edit(bench, "template")
    await bench.sync()
    bench.target.change("ms-1", title="Typed by hand", calendar=TERRACE)
    if row == "spoilt":
        bench.source.spoil(1)
    await bench.sync(adopts_only=True)
    link = link_of(bench, 1)
    assert link.accepted is not None
    assert link.accepted.calendar == TERRACE
    bench.source.put(an_event(1))
    forget_requests(bench)
    report = await bench.sync()
    assert bench.target.deletes == []
    assert (report.held, report.sent) == (20, 0)


async def test_an_undecided_template_goes_out_with_no_move_that_a_person_made_of_an_unreadable_row() -> None:
    bench = await a_loaded_bench(20)
    edit(bench, "template")
    await bench.sync()
    bench.target.change("ms-1", calendar=TERRACE)
    bench.source.spoil(1)
    await bench.sync(adopts_only=True)
    await bench.sync()
    bench.source.put(an_event(1))
    forget_requests(bench)
    report = await bench.sync()
    assert (report.sent, report.held, bench.target.deletes) == (0, 20, [])


@pytest.mark.parametrize("echoes", [True, False])
async def test_a_move_that_is_half_done_is_ended_after_an_adopt(*, echoes: bool) -> None:
    """Its entry is out of the old calendar: it was decided with that (rule 18), and must not wait for anybody again."""
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    bench.target.batch_size = 40
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"terrace"})}), calendar=TERRACE),)
    bench.edit("choice texts")
    await bench.sync()
    bench.source.put(*(dataclasses.replace(moved(an_event(n), HOUR), facets={"rooms": frozenset({"terrace"})}) for n in range(1, 31)))
    assert (await bench.sync()).held == 30
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    bench.target.fail_next(RateLimited("429"), call=Call.UPSERT, times=9)
    await bench.sync()
    bench.target.stop_failing()
    assert len(bench.target.live) == 30
    bench.target.echoes_external_ids = echoes
    await bench.sync(adopts_only=True)
    bench.target.echoes_external_ids = True
    report = await bench.sync()
    assert (report.held, len(bench.target.live)) == (0, 60)


@pytest.mark.parametrize("echoes", [True, False])
async def test_what_the_guards_let_through_is_not_held_after_an_adopt(*, echoes: bool) -> None:
    bench = await a_loaded_bench(20)
    bench.settle = timedelta(minutes=10)
    bench.source.put(an_event(41))
    assert (await bench.sync()).waiting == 1
    bench.target.echoes_external_ids = echoes
    await bench.sync(adopts_only=True)
    assert link_of(bench, 41).reason != "not at the target any more"  # it never was there


@pytest.mark.parametrize("edited", ["template", "routes", "filter"])
async def test_an_edit_that_no_pass_has_seen_yet_is_held_also_of_what_a_person_changed(edited: str) -> None:
    """Of what the row says of it, a hand-typed title too, it is brought in step where it is, as beside any edit of a filter or a route."""
    bench = await a_loaded_bench(20)
    bench.target.change("ms-1", title="Typed by hand")
    edit(bench, edited)
    forget_requests(bench)
    await bench.sync(adopts_only=True)
    report = await bench.sync()
    in_place = 0 if edited == "template" else 1
    assert (report.sent, report.held, bench.target.deletes) == (in_place, 20 - in_place, [])
    report = await bench.sync()
    assert (report.sent, report.held, bench.target.deletes) == (0, 20, [])


@pytest.mark.parametrize("echoes", [True, False])
@pytest.mark.parametrize("how", ["reject", "ignore"])
async def test_a_create_that_was_decided_against_stays_so(how: str, *, echoes: bool) -> None:
    bench = await a_loaded_bench(20)
    bench.scope = "wider"
    bench.source.put(*(an_event(n) for n in range(41, 44)))
    await bench.sync()
    if how == "reject":
        bench.reject()
    else:
        for n in range(41, 44):
            decisions.ignore(bench.ledger, f"ms-{n}", clock=lambda: bench.now)
    bench.target.echoes_external_ids = echoes
    await bench.sync(adopts_only=True)
    for _ in range(2):
        report = await bench.sync()
        assert (report.sent, report.held, len(bench.target.live)) == (0, 0, 20)
