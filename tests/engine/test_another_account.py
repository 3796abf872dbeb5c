"""The account that the target's name stands for in the config is another than the one that the entries are at (rule 19)."""

import dataclasses
from typing import Any, cast

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.guard import HoldKind, Limits
from calrelay.domain.link import CalendarId, State
from calrelay.domain.policy import CalendarRef
from calrelay.engine import decisions
from calrelay.engine.order import Reach
from calrelay.engine.repair import repair
from calrelay.engine.report import Outcome
from calrelay.engine.retire import WholeLedger, doomed, release, rename
from calrelay.engine.trial import delete_trial, send_trial
from calrelay.engine.verify import verify
from calrelay.engine.whereabouts import ASKED, MEMO_ACCOUNT
from calrelay.errors import ConfigError, ExitCode, VendorUnavailable
from tests.fakes.memory_source import MemorySource, a_guest, an_event, with_status
from tests.fakes.memory_target import Call, MemoryTarget
from tests.fakes.pipelines import MAIN_HALL, Bench, a_bench, a_loaded_bench


async def exchanged() -> Bench:
    """The config has another user name, and that account knows nothing of ours; a booking is cancelled."""
    bench = await a_loaded_bench()
    bench.source.put(with_status(an_event(1), "LOST"), an_event(31))
    return dataclasses.replace(bench, target=MemoryTarget(), target_identity="somebody else")


@pytest.mark.parametrize("order", [{}, {"is_dry_run": True}, {"reach": Reach.QUICK}, {"adopts_only": True}], ids=str)
async def test_nothing_is_read_or_sent_while_none_of_our_entries_is_there(order: dict[str, Any]) -> None:
    bench = await exchanged()
    before = list(bench.ledger.live_links("venue", ending_after=bench.now))
    for _ in range(2):
        report = await bench.sync(**order)
        assert (report.outcome, report.exit_code, report.read, report.sent) == (Outcome.FAILED, ExitCode.CONFIG, 0, 0)
    [problem] = report.problems
    assert "of 30 coming events known by that name it shows none (5 asked for)" in problem.message
    assert "a name of its own" in problem.remedy
    assert len(bench.target.finds) == 2 * ASKED
    assert not bench.target.live
    assert list(bench.ledger.live_links("venue", ending_after=bench.now)) == before


async def test_nothing_is_compared_repaired_or_deleted_there() -> None:
    bench = await exchanged()
    with pytest.raises(ConfigError):
        await doomed(bench.pipeline)
    found = await verify(bench.pipeline)
    assert (found.exit_code, found.drifts) == (ExitCode.CONFIG, [])
    await repair(bench.pipeline, found)
    with pytest.raises(ConfigError):
        await send_trial(bench.pipeline, SourceId("1"), a_guest(99))
    with pytest.raises(ConfigError):
        await delete_trial(bench.pipeline, SourceId("1"))
    assert not bench.target.live


async def test_no_pipeline_of_the_account_goes_on_while_entries_of_any_are_at_another() -> None:
    """Else what the one without entries remembers of the other account, its calendars above all, would be taken for true of this one."""
    bench = await exchanged()
    two = dataclasses.replace(bench, name="two", source=MemorySource([an_event(50)]))
    assert (await two.sync()).exit_code == ExitCode.CONFIG
    assert not bench.target.live


@pytest.mark.parametrize("is_retired_before", [True, False])
async def test_what_a_retired_pipeline_left_at_the_account_of_before_is_no_entry_at_another(*, is_retired_before: bool) -> None:
    bench = await a_loaded_bench(3)
    heir = dataclasses.replace(bench, name="heir")
    if is_retired_before:
        release(cast("WholeLedger", bench.ledger), "venue", clock=lambda: bench.now)
    exchanged_for = lost_at(heir, MemoryTarget(), "somebody else")
    assert (await exchanged_for.sync()).exit_code == ExitCode.CONFIG
    if not is_retired_before:
        release(cast("WholeLedger", bench.ledger), "venue", clock=lambda: bench.now)
    assert (await exchanged_for.sync()).exit_code == ExitCode.CONFIG
    retired = lost_at(bench, exchanged_for.target, "somebody else")
    assert (await retired.sync(adopts_only=True)).exit_code == ExitCode.CONFIG
    assert {link.state for link in bench.ledger.live_links("venue", ending_after=bench.now)} == {State.RELEASED}
    report = await heir.sync()  # the account put back
    assert (report.created, report.exit_code, len(bench.target.live)) == (0, 0, 3)


async def test_an_account_is_known_by_the_entries_that_are_looked_after_whatever_became_of_others() -> None:
    bench = await a_loaded_bench(60)
    two = dataclasses.replace(bench, name="two", source=MemorySource([an_event(number) for number in range(71, 81)]))
    await two.sync()
    release(cast("WholeLedger", bench.ledger), "venue", clock=lambda: bench.now)
    for number in range(1, 61):
        bench.target.purge(f"ms-{number}")
    two.target_identity = "a new address"
    assert (await two.sync()).outcome is Outcome.OK


async def test_an_account_that_is_not_remembered_is_looked_at_where_entries_are_known() -> None:
    bench = await exchanged()
    bench.ledger.save_memo(MEMO_ACCOUNT.format(target="reminders"), None, bench.now)
    assert (await bench.sync()).exit_code == ExitCode.CONFIG


async def test_by_names_of_their_own_another_account_and_its_pipeline_have_a_first_load_of_their_own() -> None:
    """What the refusal advises."""
    bench = await a_loaded_bench(3)
    release(cast("WholeLedger", bench.ledger), "venue", clock=lambda: bench.now)
    new = dataclasses.replace(bench, name="new", target=MemoryTarget(account="new reminders"), target_identity="somebody else")
    new.limits = Limits(first_load=0)
    assert (await new.sync()).outcome is Outcome.REFUSED
    new.limits = Limits(first_load=10)
    assert (await new.sync()).created == 3


async def test_numbers_of_calendars_are_those_of_one_account() -> None:
    bench = a_bench()
    pipeline = dataclasses.replace(bench.pipeline, calendar=CalendarRef(name="Main Hall"))
    other = MemoryTarget()
    other.calendars_by_name = {"Main Hall": CalendarId("77")}
    elsewhere = dataclasses.replace(pipeline, target=other, target_identity="somebody else")
    found = [(await one.policy(remember=True)).calendar for one in (pipeline, elsewhere, pipeline)]
    assert found == [MAIN_HALL, "77", MAIN_HALL]


async def test_the_right_account_put_back_goes_on_where_it_was() -> None:
    bench = await exchanged()
    before = await a_loaded_bench()
    await bench.sync()
    bench = dataclasses.replace(bench, target=before.target, target_identity="ops")
    report = await bench.sync()
    assert (report.created, report.deleted) == (1, 1)


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


async def test_what_was_being_sent_to_the_account_of_before_is_not_sent_to_another() -> None:
    bench = await a_loaded_bench(0)
    bench.source.put(an_event(1))
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=9)
    await bench.sync()
    bench = lost_at(bench, MemoryTarget(), "somebody else")
    assert (await bench.sync()).exit_code == ExitCode.CONFIG
    assert not bench.target.live


async def test_what_the_account_has_lost_is_asked_about_however_little_it_is() -> None:
    bench = await a_loaded_bench(20)
    for number in range(1, 21):
        bench.target.purge(f"ms-{number}")
    await bench.sync(adopts_only=True)
    report = await bench.sync()
    assert (report.created, {hold.kind: len(hold.items) for hold in bench.ledger.holds("venue")}) == (0, {HoldKind.CREATES: 20})
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    assert (await bench.sync()).created == 20
    marks = {str(entry.content).rpartition("\n")[2] for entry in bench.target.live.values()}
    assert marks == {"#nobooking"}  # their guests have heard of it


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


async def test_what_could_not_be_read_and_what_is_over_are_of_no_account() -> None:
    bench = await a_loaded_bench(0)
    bench.source.put(an_event(1))
    bench.source.spoil(1)
    await bench.sync()
    assert (await lost_at(bench, MemoryTarget(), "somebody else").sync()).exit_code == ExitCode.ATTENTION
