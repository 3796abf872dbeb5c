"""`adopt` after an older backup was restored: links that are stale in every way are brought up to what both ends hold."""

import dataclasses
from datetime import timedelta

import pytest

from calrelay.domain.link import ExternalId, State
from calrelay.domain.policy import Match, Route
from calrelay.engine import decisions
from calrelay.engine.order import Order
from calrelay.engine.sync import run_pass
from calrelay.engine.verify import verify
from calrelay.errors import CLAIMED, ExitCode
from tests.fakes.backups import a_backup
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.pipelines import MAIN_HALL, TERRACE, Bench, a_bench

HOUR = timedelta(hours=1)


async def a_backed_up_bench(number: int = 30) -> tuple[Bench, Bench]:
    """A loaded bench, and the same one as it will be once today's backup is restored."""
    bench = a_bench(*(an_event(i) for i in range(1, number + 1)))
    await bench.sync()
    return bench, dataclasses.replace(bench, ledger=a_backup(bench.ledger))


def forget_calls(bench: Bench) -> None:
    bench.target.upserts.clear()
    bench.target.deletes.clear()
    bench.target.finds.clear()


async def adopted(bench: Bench) -> None:
    """Adopt, and check that it wrote nothing, that the next sync has nothing to do, and that the target is as the ledger says."""
    forget_calls(bench)
    report = await bench.sync(adopts_only=True)
    assert report.exit_code == 0, report.problems
    report = await bench.sync()
    assert (report.sent, report.held, report.exit_code, bench.target.upserts, bench.target.deletes) == (0, 0, 0, [], [])
    found = await verify(bench.pipeline)
    assert (found.drifts, found.exit_code) == ([], 0)


async def test_a_backup_of_this_moment_changes_nothing() -> None:
    _, restored = await a_backed_up_bench()
    await adopted(restored)


async def test_events_created_since_the_backup_are_linked() -> None:
    bench, restored = await a_backed_up_bench()
    bench.source.put(an_event(40), an_event(41))
    await bench.sync()
    await adopted(restored)
    restored.source.remove(40)
    assert (await restored.sync()).deleted == 1


async def test_events_deleted_at_both_ends_since_the_backup_are_let_go() -> None:
    bench, restored = await a_backed_up_bench()
    bench.source.remove(*range(1, 5))
    bench.source.put(with_status(an_event(9), "LOST"))
    assert (await bench.sync()).deleted == 5
    await adopted(restored)
    assert restored.ledger.count_live("venue") == 25


async def test_many_deleted_since_the_backup_make_no_hold() -> None:
    bench, restored = await a_backed_up_bench(60)
    bench.source.remove(*range(1, 41))
    await bench.sync()
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    assert (await bench.sync()).deleted == 40
    await adopted(restored)


async def test_events_moved_since_the_backup_are_known_where_they_are() -> None:
    bench, restored = await a_backed_up_bench()
    bench.source.put(moved(an_event(1), HOUR), moved(an_event(2), timedelta(days=20)), moved(an_event(3), timedelta(days=300)))
    assert (await bench.sync()).updated == 3
    await adopted(restored)
    assert restored.ledger.count_live("venue") == 30


async def test_events_that_came_back_since_the_backup_keep_their_generation() -> None:
    bench, restored = await a_backed_up_bench()
    bench.source.put(with_status(an_event(1), "LOST"))
    await bench.sync()
    bench.source.put(an_event(1))
    await bench.sync()
    assert list(bench.target.live).count(ExternalId("ms-1.2")) == 1
    await adopted(restored)
    restored.source.put(with_status(an_event(1), "LOST"))
    assert (await restored.sync()).deleted == 1
    restored.source.put(an_event(1))
    await restored.sync()
    assert not restored.target.held("ms-1.3").is_deleted


async def test_a_generation_used_and_deleted_since_the_backup_is_not_used_again() -> None:
    bench, restored = await a_backed_up_bench()
    for status in ("LOST", "DEFINITE", "LOST"):
        bench.source.put(with_status(an_event(1), status))
        await bench.sync()
    assert bench.target.held("ms-1.2").is_deleted
    bench.source.put(an_event(1))
    forget_calls(restored)
    await restored.sync(adopts_only=True)
    assert restored.target.upserts == []
    assert (await restored.sync()).held == 1  # to the memory of then it is an entry that is gone
    decisions.approve(restored.ledger, restored.name, clock=lambda: restored.now)
    assert (await restored.sync()).created == 1
    assert not restored.target.held("ms-1.3").is_deleted


async def test_a_lost_database_does_not_use_a_deleted_generation_again_either() -> None:
    bench, _ = await a_backed_up_bench()
    bench.source.put(with_status(an_event(1), "LOST"))
    await bench.sync()
    bench.source.put(an_event(1))
    fresh = dataclasses.replace(a_bench(), source=bench.source, target=bench.target)
    assert (await fresh.sync()).created == 1
    assert (fresh.target.held("ms-1").is_deleted, fresh.target.held("ms-1.2").is_deleted) == (True, False)


async def test_a_move_to_another_calendar_since_the_backup_is_known() -> None:
    bench, restored = await a_backed_up_bench()
    route = (Route(match=Match(facets={"rooms": frozenset({"terrace"})}), calendar=TERRACE),)
    bench.routes = restored.routes = route
    bench.source.put(dataclasses.replace(an_event(1), facets={"rooms": frozenset({"terrace"})}))
    await bench.sync()
    assert bench.target.held("ms-1.2").calendar == TERRACE
    await adopted(restored)
    restored.source.put(an_event(1))
    await restored.sync()
    assert restored.target.held("ms-1.3").calendar == MAIN_HALL


async def test_a_booking_cancelled_while_nobody_looked_is_deleted_after_adopting() -> None:
    """The target still holds it, so its guest would be reminded of what does not take place."""
    _, restored = await a_backed_up_bench()
    restored.source.put(with_status(an_event(1), "LOST"))
    restored.source.remove(2)
    await restored.sync(adopts_only=True)
    assert restored.ledger.count_live("venue") == 30
    assert (await restored.sync()).deleted == 2


async def test_a_booking_cancelled_before_the_database_was_lost_is_deleted_by_a_first_sync() -> None:
    bench, _ = await a_backed_up_bench()
    bench.source.put(with_status(an_event(1), "LOST"))
    fresh = dataclasses.replace(a_bench(), source=bench.source, target=bench.target)
    report = await fresh.sync()
    assert (report.created, report.deleted, len(fresh.target.live)) == (0, 1, 29)


async def test_a_row_that_cannot_be_mapped_keeps_what_the_target_holds_of_it() -> None:
    bench, restored = await a_backed_up_bench()
    bench.source.put(with_status(an_event(1), "LOST"))
    await bench.sync()
    bench.source.put(an_event(1))
    await bench.sync()
    restored.source.spoil(1)
    report = await restored.sync(adopts_only=True)
    assert report.exit_code == ExitCode.ATTENTION
    restored.source.put(an_event(1))
    await restored.sync()
    live = [external_id for external_id in restored.target.live if external_id.startswith("ms-1.") or external_id == "ms-1"]
    assert live == ["ms-1.2"]


async def test_what_the_operator_ignored_stays_ignored() -> None:
    bench, _ = await a_backed_up_bench()
    decisions.ignore(bench.ledger, "ms-1", clock=lambda: bench.now)
    bench.source.remove(1)
    await bench.sync(adopts_only=True)
    link = bench.ledger.links("venue", [an_event(1).source_id])[an_event(1).source_id]
    assert link.state is State.IGNORED
    assert (await bench.sync()).deleted == 0


async def test_an_entry_that_lies_beyond_the_window_is_not_taken_for_lost() -> None:
    bench, _ = await a_backed_up_bench()
    bench.source.put(moved(an_event(1), timedelta(days=300)))
    await bench.sync()
    restored = dataclasses.replace(bench, ledger=a_backup(bench.ledger))
    restored.source.put(an_event(1))  # back in the window before anybody looked
    await restored.sync(adopts_only=True)
    report = await restored.sync()
    assert (report.created, report.updated) == (0, 1)
    assert list(restored.target.live).count(ExternalId("ms-1")) == 1


async def test_a_target_that_names_no_external_ids_is_asked_for_each() -> None:
    bench, restored = await a_backed_up_bench(5)
    bench.source.remove(1)
    await bench.sync()
    restored.target.echoes_external_ids = False
    await restored.sync(adopts_only=True)
    report = await restored.sync()
    assert (report.sent, restored.ledger.count_live("venue")) == (0, 4)


async def test_another_pipeline_s_entries_are_not_adopted() -> None:
    bench, _ = await a_backed_up_bench(3)
    other = dataclasses.replace(
        bench.pipeline, name="other", make_policy=lambda c, r: dataclasses.replace(bench._policy(c, r), pipeline="other")
    )
    bench.source.remove(1)
    report = await run_pass(other, Order(command="adopt", adopts_only=True))
    assert all(problem.kind == CLAIMED for problem in report.problems)
    assert bench.ledger.count_live("other") == 0


async def test_many_that_are_gone_from_the_target_are_held_before_they_are_created_again() -> None:
    _, restored = await a_backed_up_bench(120)
    for number in range(1, 41):
        await restored.target.delete(restored.target.held(f"ms-{number}").target_id)
    forget_calls(restored)
    await restored.sync(adopts_only=True)
    report = await restored.sync()
    assert (report.created, report.held, report.exit_code, restored.target.upserts) == (0, 40, ExitCode.GUARD, [])


@pytest.mark.parametrize("row", ["as it was", "gone", "unreadable"])
async def test_what_was_rejected_and_then_created_after_all_is_looked_after_with_a_backup_from_between(row: str) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 21)))
    await bench.sync()
    bench.scope = "wider"
    bench.source.put(an_event(30))
    assert (await bench.sync()).held == 1
    bench.reject()
    await bench.sync()
    restored = dataclasses.replace(bench, ledger=a_backup(bench.ledger))
    decisions.unignore(bench.ledger, "ms-30", clock=lambda: bench.now)
    await bench.sync()
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    await bench.sync()
    assert "ms-30" in bench.target.live
    if row == "gone":
        restored.source.remove(30)
    elif row == "unreadable":
        restored.source.spoil(30)
    await restored.sync(adopts_only=True)
    restored.source.put(with_status(an_event(30), "LOST"))
    report = await restored.sync()
    assert (report.deleted, report.created, sorted(bench.target.live)) == (1, 0, sorted(f"ms-{i}" for i in range(1, 21)))
