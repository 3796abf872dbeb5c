"""The account that the target's name stands for in the config is another than the one that the entries are at (rule 19)."""

import dataclasses
from typing import cast

import pytest

from calrelay.engine.report import Outcome
from calrelay.engine.retire import WholeLedger, doomed, rename
from calrelay.engine.verify import verify
from calrelay.errors import ConfigError, ExitCode, VendorUnavailable
from calrelay.ports import Flaw
from tests.fakes.memory_source import an_event, with_status
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


async def test_to_adopt_takes_the_account_as_it_is_and_creates_nothing_unasked() -> None:
    bench = await exchanged()
    await bench.sync(adopts_only=True)
    report = await bench.sync()
    assert (report.sent, report.held) == (0, 30)


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
