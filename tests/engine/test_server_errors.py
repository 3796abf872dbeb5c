"""An event over which the target always fails stops nobody else (rule 21), and an outage is not taken for one."""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from calrelay.domain.link import State, TargetId
from calrelay.domain.policy import Match, Route
from calrelay.engine import decisions
from calrelay.engine.blame import IN_A_ROW
from calrelay.errors import ExitCode, VendorUnavailable
from calrelay.ports import Holding, Put
from tests.fakes.memory_source import an_event, with_status
from tests.fakes.memory_target import TERRACE, Applied, Call
from tests.fakes.pipelines import Bench, a_bench

Fails = Callable[[str], bool]
FailingOver = Callable[[Bench, int, Fails], None]


def server_error(status: int) -> VendorUnavailable:
    return VendorUnavailable(f"{status}", account="reminders", status=status)


@pytest.fixture
def failing_over(monkeypatch: pytest.MonkeyPatch) -> FailingOver:
    """Let PUTs with these external ids, and DELETEs of them, be answered with a server error."""

    def fail(bench: Bench, status: int, over: Fails) -> None:
        upsert, delete = bench.target.upsert, bench.target.delete

        async def upserting(puts: Sequence[Put]) -> Sequence[Holding]:
            if any(over(put.external_id) for put in puts):
                bench.target.requests += 1
                raise server_error(status)
            return await upsert(puts)

        async def deleting(target_id: TargetId) -> None:
            if any(over(external_id) for external_id, held in bench.target.live.items() if held.target_id == target_id):
                raise server_error(status)
            await delete(target_id)

        monkeypatch.setattr(bench.target, "upsert", upserting)
        monkeypatch.setattr(bench.target, "delete", deleting)

    return fail


@pytest.mark.parametrize("status", [500, 503])
async def test_events_that_always_draw_a_server_error_keep_no_other_from_being_sent(status: int, failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    failing_over(bench, status, lambda external_id: external_id in ("ms-3", "ms-44"))
    for created in (58, 0):
        report = await bench.sync()
        assert (report.created, report.quarantined, report.exit_code) == (created, 0, ExitCode.VENDOR)
    assert bench.ledger.count_states("venue")[State.SENDING] == 2
    bench.source.put(an_event(61))
    assert (await bench.sync()).created == 1


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("number", [1, 4, 200])
async def test_an_outage_quarantines_nothing_and_is_soon_given_up(status: int, number: int, failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, number + 1)))
    failing_over(bench, status, lambda _: True)
    report = await bench.sync()
    assert (report.exit_code, report.quarantined, bench.ledger.count_states("venue").get(State.QUARANTINED, 0)) == (ExitCode.VENDOR, 0, 0)
    assert bench.ledger.pipeline("venue").first_complete_at is None
    assert bench.target.requests < 4 * IN_A_ROW


async def test_what_an_outage_kept_back_goes_by_itself_when_it_is_over() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    await bench.sync()
    bench.source.remove(3)
    bench.source.put(an_event(61))
    bench.target.fail_next(server_error(503), call=Call.DELETE)
    report = await bench.sync()
    assert (report.created, report.deleted, report.exit_code) == (1, 0, ExitCode.VENDOR)
    report = await bench.sync()
    assert (report.deleted, report.quarantined, report.exit_code) == (1, 0, ExitCode.DONE)


async def test_an_outage_that_begins_in_the_middle_quarantines_nothing(failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    failing_over(bench, 503, lambda _: len(bench.target.live) >= 30)
    report = await bench.sync()
    assert (report.created, report.exit_code, report.quarantined) == (30, ExitCode.VENDOR, 0)


async def test_what_the_target_did_in_spite_of_its_error_is_asked_for_and_taken_back_when_it_is_cancelled() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(an_event(31))
    bench.target.fail_next(server_error(500), call=Call.UPSERT, applied=Applied.ALL)
    await bench.sync()
    bench.source.put(with_status(an_event(31), "LOST"))
    bench.now += timedelta(minutes=10)
    await bench.sync()
    assert len(bench.target.live) == 30


async def test_an_entry_whose_delete_always_draws_a_server_error_stops_no_other(failing_over: FailingOver) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    await bench.sync()
    failing_over(bench, 500, lambda external_id: external_id == "ms-3")
    bench.source.remove(3, 4)
    bench.source.put(an_event(61))
    report = await bench.sync()
    assert (report.deleted, report.created, report.quarantined) == (1, 1, 0)


async def test_bookings_whose_old_entries_are_deleted_are_created_anew_though_the_next_delete_fails() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 11)))
    await bench.sync()
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"main hall"})}), calendar=TERRACE),)
    bench.basis = dataclasses.replace(bench.basis, config="2")
    assert (await bench.sync()).held == 10
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.DELETE, after=3)
    report = await bench.sync()
    assert (report.deleted, report.created, report.exit_code) == (3, 3, ExitCode.VENDOR)
