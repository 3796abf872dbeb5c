"""A create that the target takes for an entry which it shows as deleted: one from before our memory (rule 19)."""

import dataclasses
from collections.abc import Sequence
from datetime import timedelta

import pytest

from calrelay.domain.link import ExternalId, MessageMode, State
from calrelay.domain.policy import Match, Route
from calrelay.engine import decisions
from calrelay.ports import Holding, Put
from tests.fakes.memory_source import a_guest, an_event, moved
from tests.fakes.pipelines import MAIN_HALL, TERRACE, Bench, a_bench

ONE = ExternalId("ms-1")
HOUR = timedelta(hours=1)


async def a_bench_that_forgot() -> Bench:
    """Event 1 was sent, deleted at the target, and forgotten with all else; the target lists no deleted entries, and revives none."""
    bench = a_bench(an_event(1), an_event(2))
    await bench.sync()
    bench.target.shows_deleted = bench.target.revives = False
    bench.target.change("ms-1", is_deleted=True)
    bench.source.remove(1)
    fresh = dataclasses.replace(a_bench(), source=bench.source, target=bench.target)
    await fresh.sync()
    return fresh


async def test_it_is_created_under_the_next_external_id_in_the_same_pass() -> None:
    bench = await a_bench_that_forgot()
    bench.source.put(an_event(1))
    report = await bench.sync()
    assert set(bench.target.live) == {ExternalId("ms-1.2"), ExternalId("ms-2")}
    assert (report.created, report.problems) == (1, [])
    assert (await bench.sync()).sent == 0


async def test_a_flag_in_the_answer_alone_doubles_nothing() -> None:
    bench = a_bench(an_event(1))
    bench.target.answers_as_deleted = True
    report = await bench.sync()
    assert (set(bench.target.live), report.created) == ({ONE}, 1)
    assert (await bench.sync()).sent == 0


async def test_a_target_that_shows_everything_as_deleted_is_sent_an_event_twice_and_no_more_often() -> None:
    bench = await a_bench_that_forgot()
    bench.target.place("ms-1.2", bench.target.sent[0].entry)
    bench.target.change("ms-1.2", is_deleted=True)
    bench.source.put(an_event(1))
    report = await bench.sync()
    [link] = bench.ledger.links_in("venue", {State.QUARANTINED})
    assert "shows it as deleted" in link.reason
    assert [problem.external_id for problem in report.problems] == [ExternalId("ms-1.3")]
    sent = len(bench.target.sent)
    await bench.sync()
    assert len(bench.target.sent) == sent


async def test_what_is_ignored_meanwhile_is_not_created_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_bench_that_forgot()
    bench.source.put(an_event(1))
    upsert = bench.target.upsert

    async def ignoring(puts: Sequence[Put]) -> Sequence[Holding]:
        decisions.ignore(bench.ledger, ONE, clock=lambda: bench.now)
        return await upsert(puts)

    monkeypatch.setattr(bench.target, "upsert", ignoring)
    await bench.sync()
    assert set(bench.target.live) == {ExternalId("ms-2")}
    assert [link.source_id for link in bench.ledger.links_in("venue", {State.IGNORED})] == ["1"]


async def a_bench_whose_target_revives() -> Bench:
    """Event 1 was deleted in the main hall and forgotten; it is on the terrace now, and the target puts it back to where it was."""
    bench = await a_bench_that_forgot()
    bench.target.revives = True
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"terrace"})}), calendar=TERRACE),)
    bench.source.put(an_event(1, facets={"rooms": frozenset({"terrace"})}))
    return bench


async def test_what_is_revived_in_another_calendar_is_told_and_moved_to_where_it_belongs() -> None:
    bench = await a_bench_whose_target_revives()
    report = await bench.sync()
    assert (report.created, [problem.external_id for problem in report.problems]) == (1, [ONE])
    assert bench.target.live[ONE].calendar == MAIN_HALL
    report = await bench.sync()
    assert (report.created, report.deleted, report.problems) == (1, 1, [])
    assert {external_id: held.calendar for external_id, held in bench.target.live.items()} == {"ms-1.2": TERRACE, "ms-2": MAIN_HALL}
    assert (await bench.sync()).sent == 0


async def test_another_calendar_in_the_answer_alone_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = a_bench(an_event(1))
    upsert = bench.target.upsert

    async def answer(puts: Sequence[Put]) -> Sequence[Holding]:
        return [dataclasses.replace(holding, calendar=TERRACE) for holding in await upsert(puts)]

    monkeypatch.setattr(bench.target, "upsert", answer)
    assert (await bench.sync()).problems == []
    assert (await bench.sync()).sent == 0


async def test_a_target_that_puts_everything_elsewhere_is_not_sent_an_event_for_ever() -> None:
    bench = a_bench(an_event(1))
    bench.target.puts_all_in = TERRACE
    reports = [await bench.sync() for _ in range(6)]
    assert [(report.deleted, report.created) for report in reports] == [(0, 1), (1, 1), (1, 1), (1, 1), (0, 0), (0, 0)]
    assert "left where it is" in reports[3].problems[0].remedy
    assert len(bench.target.live) == 1
    assert ["#nobooking" in put.entry.content for put in bench.target.sent] == [False, True, True, True]  # its guest has heard of it


async def test_an_entry_that_an_update_made_anew_gets_all_of_its_booking() -> None:
    """Somebody emptied the target: what was sent is a bare entry there, with no mark and nobody on it."""
    bench = dataclasses.replace(a_bench(an_event(1, participants=(a_guest(),)), an_event(2)), mode=MessageMode.SKIP)
    await bench.sync()
    bench.target.purge("ms-1")
    bench.source.put(dataclasses.replace(moved(an_event(1, participants=(a_guest(),)), HOUR), title="Renamed"))
    assert "another id of its own" in (await bench.sync()).problems[0].message
    assert not bench.target.held("ms-1").participants
    report = await bench.sync()
    assert (report.updated, report.problems) == (1, [])
    assert "#skip" in (bench.target.held("ms-1").content or "")
    assert bench.target.held("ms-1").participants
    assert (await bench.sync()).sent == 0
