"""A row that comes again as it was when nothing was owed for it is not mapped again (rule 14); any doubt, and it is."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.link import Basis, CalendarId, MessageMode, State
from calrelay.domain.window import Span
from calrelay.engine.report import PassReport
from tests.fakes.memory_source import NOW, an_event
from tests.fakes.pipelines import Bench, a_bench

ONE = SourceId("1")
YEAR = Span(begin=NOW, end=NOW + timedelta(days=365))


async def mapped_in(bench: Bench, **order: object) -> tuple[int, PassReport]:
    """Run a pass; return how many rows it had mapped, and its report."""
    before = bench.source.mapped
    report = await bench.sync(**order)
    return bench.source.mapped - before, report


async def a_synced_bench(count: int = 10) -> Bench:
    bench = a_bench(*(an_event(i) for i in range(1, count + 1)))
    await bench.sync()
    return bench


async def test_what_was_sent_is_known_in_the_next_pass_and_counted_as_unchanged() -> None:
    bench = await a_synced_bench()
    mapped, report = await mapped_in(bench)
    assert (mapped, report.read, report.unchanged, report.is_complete) == (0, 10, 10, True)


async def test_a_changed_row_is_mapped_alone_and_sent() -> None:
    bench = await a_synced_bench()
    bench.source.put(an_event(3, title="Supper"))
    mapped, report = await mapped_in(bench)
    assert (mapped, report.updated, report.unchanged) == (1, 1, 9)
    assert (await mapped_in(bench))[0] == 0


async def test_other_rules_map_every_row_again() -> None:
    for basis in (Basis(zone_data="2027a", mapping="1", config="1"), Basis(zone_data="2026f", mapping="2", config="1")):
        bench = await a_synced_bench()
        bench.basis = basis
        assert (await mapped_in(bench))[0] == 10
        bench.basis = dataclasses.replace(basis, config="2")
        assert (await mapped_in(bench))[0] == 10
        mapped, report = await mapped_in(bench)
        mapped, report = await mapped_in(bench)
        assert (mapped, report.unchanged) == (0, 10)


async def test_a_template_that_changed_is_seen_in_rows_that_did_not() -> None:
    bench = await a_synced_bench(1)
    bench.title, bench.basis = "Table for {{ event.title }}", dataclasses.replace(bench.basis, config="2")
    _, report = await mapped_in(bench)
    assert report.held == 1


async def test_a_row_with_something_to_tell_is_told_every_time() -> None:
    bench = a_bench(an_event(1, notes=("times disagree",)), an_event(2))
    for _ in range(3):
        mapped, report = await mapped_in(bench)
        assert report.notes["times disagree"] == 1
    assert mapped == 1


@pytest.mark.parametrize(
    "touch",
    [
        lambda link: dataclasses.replace(link, state=State.READY, mode=MessageMode.AUTO),
        lambda link: dataclasses.replace(link, state=State.IGNORED),
        lambda link: dataclasses.replace(link, accepted=None),
        lambda link: link,
    ],
)
async def test_whoever_stores_a_link_has_its_row_looked_at_again(touch: Callable[..., object]) -> None:
    bench = await a_synced_bench()
    bench.ledger.store([touch(bench.ledger.links("venue", [ONE])[ONE])])  # type: ignore[list-item] # what the parameters make
    assert (await mapped_in(bench))[0] == 1


async def test_a_row_that_goes_back_to_what_it_was_is_sent_back() -> None:
    bench = await a_synced_bench()
    for title in ("Supper", "Dinner 1", "Supper", "Dinner 1"):
        bench.source.put(an_event(1, title=title))
        _, report = await mapped_in(bench)
        assert (report.updated, [entry.title for entry in bench.target.live.values() if entry.title == title]) == (1, [title])


async def test_a_row_that_is_skipped_is_looked_at_every_time() -> None:
    """It may come to be wanted by the clock alone, and nothing is remembered of it."""
    bench = a_bench(an_event(1, status="TENTATIVE"), an_event(2))
    await bench.sync()
    mapped, report = await mapped_in(bench)
    assert (mapped, report.skipped.total(), report.unchanged) == (1, 1, 1)


async def test_known_rows_count_where_absences_are_judged() -> None:
    bench = await a_synced_bench()
    bench.source.remove(1)
    _, report = await mapped_in(bench)
    assert (report.deleted, report.unchanged) == (1, 9)


async def test_a_dry_run_knows_rows_and_notes_none() -> None:
    bench = await a_synced_bench()
    bench.ledger.store(bench.ledger.links("venue", [ONE]).values())
    for _ in range(2):
        mapped, report = await mapped_in(bench, is_dry_run=True)
        assert (mapped, report.unchanged) == (1, 10)


async def test_loads_and_adoptions_look_at_every_row() -> None:
    bench = await a_synced_bench()
    await mapped_in(bench, is_load=True, mode=MessageMode.SKIP, span=YEAR)
    assert bench.source.scopes[-1].recall is None
    await mapped_in(bench, adopts_only=True)
    assert bench.source.scopes[-1].recall is None


async def test_a_calendar_that_came_back_under_another_number_is_seen_in_rows_that_did_not_change() -> None:
    """The config names it as before; only the look at the target tells."""
    bench = await a_synced_bench()
    bench.calendar = CalendarId("1000030009")
    assert (await mapped_in(bench))[0] == 10
