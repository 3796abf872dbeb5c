"""An event over which the target always fails stops nobody else (rule 21), and an outage is not taken for one."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from calrelay.domain.link import State, TargetId
from calrelay.engine.blame import IN_A_ROW
from calrelay.errors import ExitCode, VendorUnavailable
from calrelay.ports import Holding, Put
from tests.fakes.memory_source import an_event, with_status
from tests.fakes.memory_target import Applied, Call
from tests.fakes.pipelines import Bench, a_bench

Fails = Callable[[str], bool]


def server_error(status: int) -> VendorUnavailable:
    return VendorUnavailable(f"{status}", account="reminders", status=status)


@pytest.fixture
def failing_over(monkeypatch: pytest.MonkeyPatch) -> Callable[[Bench, int, Fails], None]:
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
async def test_an_event_that_always_draws_a_server_error_is_quarantined_and_all_others_go(
    status: int, failing_over: Callable[[Bench, int, Fails], None]
) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    failing_over(bench, status, lambda external_id: external_id in ("ms-3", "ms-44"))
    report = await bench.sync()
    assert (report.created, report.quarantined, report.exit_code) == (58, 2, ExitCode.ATTENTION)
    reasons = {link.reason for link in bench.ledger.links_in("venue", {State.QUARANTINED})}
    assert reasons == {f"{status} Others went through after it, so it is about this event."}
    assert (await bench.sync()).sent == 0


async def test_an_event_that_draws_a_500_and_is_alone_is_quarantined_where_reading_goes_well(
    failing_over: Callable[[Bench, int, Fails], None],
) -> None:
    bench = a_bench(an_event(1))
    failing_over(bench, 500, lambda _: True)
    assert (await bench.sync()).quarantined == 1


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_an_outage_quarantines_nothing(status: int, failing_over: Callable[[Bench, int, Fails], None]) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 4)))
    failing_over(bench, status, lambda _: True)
    report = await bench.sync()
    assert (report.exit_code, report.quarantined) == (ExitCode.VENDOR, 0)


@pytest.mark.parametrize("status", [500, 503])
async def test_a_target_that_fails_over_everything_is_left_alone_soon(
    status: int, failing_over: Callable[[Bench, int, Fails], None]
) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 201)))
    failing_over(bench, status, lambda _: True)
    report = await bench.sync()
    assert (report.exit_code, report.quarantined) == (ExitCode.VENDOR, 0)
    assert bench.target.requests < 4 * IN_A_ROW


async def test_an_outage_that_begins_in_the_middle_quarantines_nothing(failing_over: Callable[[Bench, int, Fails], None]) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    failing_over(bench, 503, lambda _: len(bench.target.live) >= 30)
    report = await bench.sync()
    assert (report.created, report.exit_code, report.quarantined) == (30, ExitCode.VENDOR, 0)


async def test_what_the_target_did_in_spite_of_its_error_is_known_to_the_quarantine() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(an_event(31))
    bench.target.fail_next(server_error(500), call=Call.UPSERT, times=1, applied=Applied.ALL)
    assert (await bench.sync()).quarantined == 1
    bench.source.put(with_status(an_event(31), "LOST"))
    bench.now += timedelta(minutes=10)
    await bench.sync()
    assert len(bench.target.live) == 30


async def test_an_entry_whose_delete_always_draws_a_server_error_stops_no_other(
    failing_over: Callable[[Bench, int, Fails], None],
) -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 61)))
    await bench.sync()
    failing_over(bench, 500, lambda external_id: external_id == "ms-3")
    bench.source.remove(3, 4)
    bench.source.put(an_event(61))
    report = await bench.sync()
    assert (report.deleted, report.created, report.quarantined) == (1, 1, 1)


async def test_a_delete_that_was_done_in_spite_of_its_error_is_told_as_done() -> None:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.remove(3)
    bench.target.fail_next(server_error(500), call=Call.DELETE, applied=Applied.ALL)
    report = await bench.sync()
    assert (report.deleted, report.quarantined, len(bench.target.live)) == (1, 0, 29)
