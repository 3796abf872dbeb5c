"""The account that the target's name stands for in the config is another than the one that the entries are at (rule 19)."""

import dataclasses
from datetime import timedelta
from typing import cast

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.guard import HoldKind
from calrelay.engine import decisions
from calrelay.engine.repair import repair
from calrelay.engine.report import Outcome
from calrelay.engine.retire import WholeLedger, doomed, rename
from calrelay.engine.verify import verify
from calrelay.engine.whereabouts import BEING_ADOPTED, MEMO_TARGET
from calrelay.errors import ConfigError, ExitCode, VendorUnavailable
from calrelay.ports import Flaw
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.memory_target import Call, MemoryTarget
from tests.fakes.pipelines import Bench, a_loaded_bench


async def exchanged() -> Bench:
    """The config has another user name, and that account knows nothing of ours; a booking is cancelled."""
    bench = await a_loaded_bench()
    bench.source.put(with_status(an_event(1), "LOST"), an_event(31))
    return dataclasses.replace(bench, target=MemoryTarget(), target_identity="somebody else")


@pytest.mark.parametrize("is_dry_run", [True, False])
async def test_nothing_is_read_or_sent_while_none_of_our_entries_is_there(*, is_dry_run: bool) -> None:
    bench = await exchanged()
    for _ in range(2):
        report = await bench.sync(is_dry_run=is_dry_run)
        assert (report.outcome, report.exit_code, report.read, report.sent) == (Outcome.FAILED, ExitCode.CONFIG, 0, 0)
    [problem] = report.problems
    assert "none is there (5 asked for)" in problem.message
    assert "calrelay adopt venue" in problem.remedy
    assert not bench.target.live
    with pytest.raises(ConfigError):
        await doomed(bench.pipeline)
    assert len((await verify(bench.pipeline)).drifts) > 0  # which looks for itself


async def test_the_right_account_put_back_goes_on_where_it_was() -> None:
    bench = await exchanged()
    before = await a_loaded_bench()
    await bench.sync()
    bench = dataclasses.replace(bench, target=before.target, target_identity="ops")
    report = await bench.sync()
    assert (report.created, report.deleted) == (1, 1)


@pytest.mark.parametrize("end", ["the target's list", "the source's pages"])
async def test_an_adopt_that_fails_makes_no_account_the_right_one(end: str) -> None:
    bench = await exchanged()
    if end == "the source's pages":
        bench.source.flaw = Flaw(what="a page is missing")
    else:
        bench.target.fail_next(VendorUnavailable("no answer"), call=Call.LISTING, times=9)
    await bench.sync(adopts_only=True)
    bench.source.flaw = None
    bench.target.stop_failing()
    report = await bench.sync()
    assert (report.exit_code in (ExitCode.CONFIG, ExitCode.GUARD), report.sent) == (True, 0)


async def test_an_entry_that_cannot_be_asked_for_and_a_day_that_somebody_emptied_stop_nobody() -> None:
    bench = await a_loaded_bench()
    bench.target_identity = "a new address"
    for number in range(2, 7):
        bench.target.purge(f"ms-{number}")
    bench.target.fail_next(VendorUnavailable("502"), call=Call.FIND, times=1)
    assert (await bench.sync()).outcome is Outcome.OK


async def test_another_name_of_the_same_account_is_recognised_by_one_entry_and_asked_about_once() -> None:
    bench = await a_loaded_bench()
    bench.target_identity = "a new address"
    bench.target.finds.clear()
    for _ in range(2):
        assert (await bench.sync()).outcome is Outcome.OK
        assert bench.target.finds == ["ms-1"]


async def test_an_account_that_cannot_be_asked_is_not_taken_for_another() -> None:
    bench = await a_loaded_bench()
    bench.target_identity = "a new address"
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.FIND, times=9)
    report = await bench.sync()
    assert (report.exit_code, report.read) == (ExitCode.VENDOR, 0)
    bench.target.stop_failing()
    assert (await bench.sync()).outcome is Outcome.OK


async def test_to_adopt_takes_the_account_as_it_is_and_creates_only_what_is_new_at_the_source() -> None:
    bench = await exchanged()
    await bench.sync(adopts_only=True)
    report = await bench.sync()
    assert (report.sent, report.held, list(bench.target.live)) == (1, 29, ["ms-31"])


async def test_who_has_nothing_at_an_account_may_name_another() -> None:
    bench = await a_loaded_bench(0)
    bench.source.put(an_event(1))
    bench = dataclasses.replace(bench, target=MemoryTarget(), target_identity="somebody else")
    assert (await bench.sync()).created == 1


async def test_a_renamed_pipeline_knows_whose_account_it_was() -> None:
    bench = await exchanged()
    rename(cast("WholeLedger", bench.ledger), "venue", "hall", clock=lambda: bench.now)
    bench.name = "hall"
    assert (await bench.sync()).exit_code == ExitCode.CONFIG


def lost_at(bench: Bench, target: MemoryTarget, identity: str) -> Bench:
    return dataclasses.replace(bench, target=target, target_identity=identity)


async def test_what_an_adopted_account_does_not_hold_is_asked_about_however_little_it_is() -> None:
    bench = lost_at(await a_loaded_bench(20), MemoryTarget(), "somebody else")
    await bench.sync()
    await bench.sync(adopts_only=True)
    report = await bench.sync()
    assert (report.created, {hold.kind: len(hold.items) for hold in bench.ledger.holds("venue")}) == (0, {HoldKind.CREATES: 20})
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    assert (await bench.sync()).created == 20
    assert {str(entry.content).rpartition("\n")[2] for entry in bench.target.live.values()} == {
        "#nobooking"
    }  # their guests have heard of it


@pytest.mark.parametrize("is_synced", [True, False])
async def test_the_right_account_put_back_after_another_was_adopted_is_adopted_first(*, is_synced: bool) -> None:
    bench = await a_loaded_bench(20)
    right = bench.target
    bench = lost_at(bench, MemoryTarget(), "somebody else")
    await bench.sync(adopts_only=True)
    if is_synced:
        await bench.sync()
    bench = lost_at(bench, right, "ops")
    report = await bench.sync()
    assert (report.exit_code, report.created) == (ExitCode.CONFIG, 0)
    assert "nothing of pipeline venue is known to be there" in report.problems[0].message
    await bench.sync(adopts_only=True)
    report = await bench.sync()
    assert (report.unchanged, report.held, sorted(right.live)) == (20, 0, sorted(f"ms-{i}" for i in range(1, 21)))


async def test_a_repair_creates_nothing_at_an_account_that_holds_nothing_of_ours() -> None:
    bench = lost_at(await a_loaded_bench(1), MemoryTarget(), "somebody else")
    found = await verify(bench.pipeline)
    await repair(bench.pipeline, found)
    assert (found.exit_code, len(bench.target.live)) == (ExitCode.CONFIG, 0)


async def test_what_was_being_sent_to_the_account_of_before_is_not_sent_to_another() -> None:
    bench = await a_loaded_bench(0)
    bench.source.put(an_event(1))
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=9)
    await bench.sync()
    bench = lost_at(bench, MemoryTarget(), "somebody else")
    assert (await bench.sync()).exit_code == ExitCode.CONFIG
    assert not bench.target.live


async def test_an_adopt_that_fails_asks_no_other_account_what_became_of_a_request() -> None:
    bench = await a_loaded_bench()
    later = moved(an_event(1), timedelta(hours=1))
    bench.source.put(later)
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=30)
    await bench.sync()
    bench.target.stop_failing()
    right = bench.target
    bench = lost_at(bench, MemoryTarget(), "somebody else")
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.LISTING, times=9)
    assert (await bench.sync(adopts_only=True)).outcome is Outcome.FAILED
    bench = lost_at(bench, right, "ops")
    assert (await bench.sync()).quarantined == 0
    held = right.held("ms-1")
    assert held is not None
    assert held.start == later.start


async def test_an_account_is_adopted_after_a_look_at_all_there_is_or_nothing_is_forgotten() -> None:
    bench = await a_loaded_bench(20)
    right = bench.target
    bench = lost_at(bench, MemoryTarget(), "somebody else")
    bench.source.flaw = Flaw(what="a page is missing")
    assert (await bench.sync(adopts_only=True)).outcome is Outcome.REFUSED
    bench.source.flaw = None
    assert (await bench.sync()).exit_code == ExitCode.CONFIG
    assert not bench.target.live
    bench = lost_at(bench, right, "ops")
    bench.source.put(with_status(an_event(1), "LOST"), moved(an_event(2), timedelta(hours=1)))
    report = await bench.sync()
    assert (report.deleted, report.updated, report.created, report.held) == (1, 1, 0, 0)


async def test_neither_account_is_the_right_one_for_as_long_as_an_adoption_is_not_done() -> None:
    bench = await a_loaded_bench(20)
    right = bench.target
    bench = lost_at(bench, MemoryTarget(), "somebody else")
    await bench.sync(adopts_only=True)
    bench.ledger.save_memo(MEMO_TARGET.format(pipeline="venue"), BEING_ADOPTED, bench.now)  # where it died on its way
    for target, identity in ((bench.target, "somebody else"), (right, "ops")):
        bench = lost_at(bench, target, identity)
        assert (await bench.sync()).exit_code == ExitCode.CONFIG
    await bench.sync(adopts_only=True)
    report = await bench.sync()
    assert (report.unchanged, report.held, len(right.live)) == (20, 0, 20)


async def test_what_was_rejected_at_another_account_is_looked_after_where_it_is_after_all() -> None:
    bench = await a_loaded_bench(20)
    right = bench.target
    bench = lost_at(bench, MemoryTarget(), "somebody else")
    await bench.sync(adopts_only=True)
    assert (await bench.sync()).held == 20
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    bench = lost_at(bench, right, "ops")
    assert (await bench.sync()).exit_code == ExitCode.CONFIG
    await bench.sync(adopts_only=True)
    bench.source.put(with_status(an_event(3), "LOST"))
    report = await bench.sync()
    assert (report.deleted, report.created, len(right.live)) == (1, 0, 19)


async def test_what_is_gone_at_both_ends_and_shows_again_is_asked_about() -> None:
    bench = await a_loaded_bench(40)
    gone = range(3, 23)
    for number in gone:
        bench.target.purge(f"ms-{number}")
    bench.source.hidden |= {SourceId(str(number)) for number in gone}
    await bench.sync(adopts_only=True)
    bench.source.hidden.clear()
    report = await bench.sync()
    assert (report.created, report.held) == (0, 20)


@pytest.mark.parametrize("number", [6, 20])
async def test_what_an_adoption_does_not_see_at_the_source_is_asked_about_when_it_shows(number: int) -> None:
    bench = lost_at(await a_loaded_bench(20), MemoryTarget(), "somebody else")
    bench.source.hidden |= {SourceId(str(i)) for i in range(1, number + 1)}
    assert (await bench.sync(adopts_only=True)).outcome is not Outcome.REFUSED
    await bench.sync()
    bench.source.hidden.clear()
    report = await bench.sync()
    assert (report.created, report.held) == (0, 20)


async def test_an_adoption_ends_though_bookings_are_really_gone() -> None:
    bench = lost_at(await a_loaded_bench(20), MemoryTarget(), "somebody else")
    bench.source.remove(*range(1, 7))
    await bench.sync(adopts_only=True)
    report = await bench.sync()
    assert (report.created, {hold.kind: len(hold.items) for hold in bench.ledger.holds("venue")}) == (0, {HoldKind.CREATES: 14})


@pytest.mark.parametrize("left_alone", ["ignored", "its deletion was rejected", "it has begun"])
async def test_what_is_left_alone_is_no_proof_after_another_account_was_adopted(left_alone: str) -> None:
    bench = await a_loaded_bench(20)
    right = bench.target
    if left_alone == "ignored":
        decisions.ignore(bench.ledger, "ms-5", clock=lambda: bench.now)
    elif left_alone == "its deletion was rejected":
        for number in range(3, 13):
            bench.source.put(with_status(an_event(number), "LOST"))
        await bench.sync()
        decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    else:
        bench.now = an_event(1).start + timedelta(minutes=5)
    bench = lost_at(bench, MemoryTarget(), "somebody else")
    for _ in range(2):
        await bench.sync(adopts_only=True)
    bench = lost_at(bench, right, "ops")
    bench.source.put(with_status(an_event(2), "LOST"))
    assert (await bench.sync()).exit_code == ExitCode.CONFIG
    await bench.sync(adopts_only=True)
    report = await bench.sync()
    assert (report.created, report.held, "ms-2" in right.live) == (0, 0, False)


@pytest.mark.parametrize("row", ["gone", "unreadable"])
async def test_what_was_rejected_elsewhere_is_taken_up_also_without_its_row(row: str) -> None:
    bench = await a_loaded_bench(20)
    right = bench.target
    bench = lost_at(bench, MemoryTarget(), "somebody else")
    await bench.sync(adopts_only=True)
    await bench.sync()
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    bench = lost_at(bench, right, "ops")
    if row == "gone":
        bench.source.remove(3)
    else:
        bench.source.spoil(3)
    await bench.sync(adopts_only=True)
    if row == "unreadable":
        bench.source.put(with_status(an_event(3), "LOST"))
    await bench.sync()
    assert sorted(right.live) == sorted(f"ms-{i}" for i in range(1, 21) if i != 3)


async def test_what_could_not_be_read_and_what_is_over_are_of_no_account() -> None:
    bench = await a_loaded_bench(0)
    bench.source.put(an_event(1))
    bench.source.spoil(1)
    await bench.sync()
    assert (await lost_at(bench, MemoryTarget(), "somebody else").sync()).exit_code == ExitCode.ATTENTION
