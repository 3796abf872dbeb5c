"""A vendor that goes on with a request after the process that made it died: whatever it comes to in the end is noticed and put right."""

import dataclasses
from datetime import timedelta

import pytest

from calrelay.domain.event import Event
from calrelay.domain.link import ExternalId
from calrelay.engine import decisions
from calrelay.engine.latecomers import FIRST_LOOK, MEMO_LATE, SELDOM, SETTLED_AFTER
from calrelay.engine.repair import repair
from calrelay.engine.report import PassReport
from calrelay.engine.retire import delete_all
from calrelay.engine.verify import verify
from calrelay.errors import UNCLEAR, ExitCode, RequestRejected, VendorError, VendorUnavailable
from calrelay.ports import Holding
from tests.engine.conftest import SilentAbout
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.memory_target import Applied, Call
from tests.fakes.pipelines import Bench, a_bench

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


async def a_loaded_bench() -> Bench:
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    return bench


async def break_off(bench: Bench, call: Call) -> None:
    """Have a pass die with a request of this kind in flight; nothing of it is applied yet."""
    bench.target.fail_next(VendorUnavailable("no answer"), call=call, times=20)
    await bench.sync()
    bench.target.stop_failing()


async def later(bench: Bench, *, is_quick: bool = False) -> PassReport:
    bench.now += FIRST_LOOK + MINUTE
    return await (bench.quick() if is_quick else bench.sync())


async def an_older_entry_beside_ours() -> Bench:
    """A bench whose first booking was changed without an answer, was cancelled, and returned; then that change came late."""
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), HOUR))
    await break_off(bench, Call.UPSERT)
    bench.source.put(with_status(an_event(1), "LOST"))
    await bench.sync()
    bench.source.put(an_event(1))
    await bench.sync()
    bench.target.change("ms-1", is_deleted=False)
    return bench


@pytest.mark.parametrize("is_quick", [True, False])
async def test_a_change_that_comes_late_does_not_bring_a_cancelled_booking_back(*, is_quick: bool) -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), HOUR))
    await break_off(bench, Call.UPSERT)
    bench.source.put(with_status(an_event(1), "LOST"))
    assert (await bench.sync()).deleted == 1
    bench.target.change("ms-1", is_deleted=False)
    assert (await later(bench, is_quick=is_quick)).deleted == 1
    assert bench.target.held("ms-1").is_deleted
    assert (await later(bench)).sent == 0


async def test_a_create_that_comes_late_is_taken_out_when_its_booking_is_gone() -> None:
    bench = await a_loaded_bench()
    bench.source.put(an_event(31))
    await break_off(bench, Call.UPSERT)
    (put,) = bench.target.upserts[-1]
    bench.source.remove(31)
    assert (await bench.sync()).sent == 0
    bench.target.place("ms-31", put.entry)
    assert (await later(bench)).deleted == 1
    assert bench.target.held("ms-31").is_deleted


async def test_a_change_that_comes_late_does_not_stay_over_a_newer_one() -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), HOUR))
    await break_off(bench, Call.UPSERT)
    bench.source.put(moved(an_event(1), 3 * HOUR))
    assert (await bench.sync()).updated == 1
    late = moved(an_event(1), HOUR)
    bench.target.change("ms-1", start=late.start, end=late.end)
    assert (await later(bench)).updated == 1
    assert bench.target.held("ms-1").start == moved(an_event(1), 3 * HOUR).start
    assert (await later(bench)).sent == 0


async def test_a_delete_that_comes_late_does_not_lose_a_booking_that_returned() -> None:
    bench = await a_loaded_bench()
    bench.source.put(with_status(an_event(1), "LOST"))
    await break_off(bench, Call.DELETE)
    bench.source.put(an_event(1))
    await bench.sync()
    bench.target.change("ms-1", is_deleted=True)
    assert (await later(bench)).created == 1
    assert "ms-1.2" in bench.target.live
    assert (await later(bench)).sent == 0


async def test_an_older_generation_that_comes_back_is_taken_out_beside_the_one_we_know() -> None:
    bench = await an_older_entry_beside_ours()
    await later(bench)
    assert bench.target.held("ms-1").is_deleted
    assert "ms-1.2" in bench.target.live


async def test_what_did_not_come_late_is_looked_at_for_five_minutes_and_costs_no_write() -> None:
    bench = await a_loaded_bench()
    bench.source.put(dataclasses.replace(an_event(1), title="Renamed"))
    await break_off(bench, Call.UPSERT)
    await bench.sync()
    bench.target.upserts.clear()
    for _ in range(3):
        bench.target.finds.clear()
        bench.now += SETTLED_AFTER / 2
        await bench.sync()
    assert bench.target.upserts == []
    bench.now += SETTLED_AFTER
    bench.target.finds.clear()
    await bench.sync()
    assert bench.target.finds == []


async def test_a_late_question_over_which_the_target_fails_stops_nobody_and_is_asked_ever_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = await a_loaded_bench()
    bench.source.put(an_event(40))
    await break_off(bench, Call.UPSERT)
    bench.source.put(with_status(an_event(40), "LOST"))
    await bench.sync()
    find, asked = bench.target.find, []

    async def finding(external_id: ExternalId) -> Holding | None:
        asked.append(external_id)
        if external_id == "ms-40":
            raise VendorUnavailable("500", account="reminders", status=500)
        return await find(external_id)

    monkeypatch.setattr(bench.target, "find", finding)
    bench.source.put(with_status(an_event(7), "LOST"))
    report = await later(bench)
    assert (report.deleted, report.problems) == (1, [])
    asked.clear()
    for _ in range(24 * 12):
        bench.now += SETTLED_AFTER
        await bench.sync()
    assert 24 <= len(asked) < 30
    monkeypatch.undo()
    bench.target.place("ms-40", bench.target.sent[-1].entry)  # it came, and nobody could tell
    bench.now += SELDOM
    assert (await bench.sync()).deleted == 1
    assert "ms-40" not in bench.target.live


async def test_a_late_question_that_an_outage_answers_ends_the_pass_and_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await a_loaded_bench()
    bench.source.put(an_event(40))
    await break_off(bench, Call.UPSERT)
    bench.source.put(with_status(an_event(40), "LOST"))
    await bench.sync()
    bench.target.fail_next(VendorUnavailable("503", account="reminders", status=503), times=20)
    assert (await later(bench)).exit_code == ExitCode.VENDOR
    bench.target.stop_failing()
    bench.target.place("ms-40", bench.target.sent[-1].entry)
    assert (await later(bench)).deleted == 1


@pytest.mark.parametrize(
    "error", [VendorUnavailable("500", account="reminders", status=500), RequestRejected("422", account="reminders", status=422)]
)
async def test_an_entry_that_came_late_and_cannot_be_taken_out_stops_nobody_else(error: VendorError) -> None:
    """Its request had no answer; a person deleted what it was sent to; it was created anew, and then the request was carried out."""
    bench = a_bench(*(an_event(i) for i in range(1, 31)))
    await bench.sync()
    bench.source.put(moved(an_event(1), timedelta(hours=1)))
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=30)
    await bench.sync()
    bench.target.stop_failing()
    bench.target.change("ms-1", is_deleted=True)
    await later(bench)
    decisions.retry(bench.ledger, ["venue"], [], clock=lambda: bench.now)
    await later(bench)
    assert "ms-1.2" in bench.target.live
    bench.target.change("ms-1", is_deleted=False)
    bench.target.fail_next(error, call=Call.DELETE, times=999)
    bench.source.put(an_event(50))
    report = await later(bench)
    assert (report.created, report.exit_code) == (1, ExitCode.ATTENTION)
    assert [(problem.external_id, "Apptoto" in problem.remedy) for problem in report.problems] == [("ms-1", True)]
    bench.now += 3 * SETTLED_AFTER
    assert (await bench.sync()).exit_code == ExitCode.ATTENTION  # two entries for one booking: not forgotten
    bench.target.stop_failing()
    assert (await bench.sync()).exit_code == ExitCode.DONE
    assert sorted(key for key in bench.target.live if key.startswith("ms-1.") or key == "ms-1") == ["ms-1.2"]
    bench.target.finds.clear()
    await later(bench)
    assert bench.target.finds == []


async def one_that_is_not_taken_out() -> Bench:
    """The same, and the target fails over taking it out."""
    bench = await an_older_entry_beside_ours()
    bench.target.fail_next(VendorUnavailable("503", account="reminders", status=503), call=Call.DELETE, times=99)
    bench.now += SETTLED_AFTER
    assert (await bench.sync()).exit_code == ExitCode.ATTENTION
    return bench


def of_the_first(bench: Bench) -> list[str]:
    return sorted(key for key in bench.target.live if key.startswith("ms-1.") or key == "ms-1")


@pytest.mark.parametrize("passes", [0, 3])
async def test_an_entry_beside_the_one_we_know_is_taken_out_however_late_the_target_does_it(passes: int) -> None:
    bench = await one_that_is_not_taken_out()
    for _ in range(passes):
        bench.now += SETTLED_AFTER
        assert (await bench.sync()).exit_code == ExitCode.ATTENTION
    bench.target.stop_failing()
    bench.now += SETTLED_AFTER
    assert (await bench.sync()).exit_code == ExitCode.DONE
    assert of_the_first(bench) == ["ms-1.2"]


@pytest.mark.parametrize("meanwhile", ["on its way", "ignored"])
async def test_it_is_taken_out_also_where_nobody_could_look_for_a_while(meanwhile: str, silent_about: SilentAbout) -> None:
    bench = await one_that_is_not_taken_out()
    mute = {"ms-1.2"}
    if meanwhile == "ignored":
        decisions.ignore(bench.ledger, "ms-1", clock=lambda: bench.now)
    else:
        bench.source.put(moved(an_event(1), 2 * HOUR))
        bench.target.fail_next(VendorUnavailable("no answer"), call=Call.UPSERT, times=20)
        silent_about(bench, mute.__contains__)
    for _ in range(3):
        bench.now += SETTLED_AFTER
        await bench.sync()
    if meanwhile == "ignored":
        decisions.unignore(bench.ledger, "ms-1", clock=lambda: bench.now)
    bench.target.stop_failing()
    mute.clear()
    for _ in range(3):
        bench.now += HOUR
        report = await bench.sync()
    assert (report.exit_code, of_the_first(bench)) == (ExitCode.DONE, ["ms-1.2"])


@pytest.mark.parametrize("call", [Call.UPSERT, Call.DELETE])
async def test_what_a_person_did_hours_later_is_not_taken_for_what_came_late(call: Call, silent_about: SilentAbout) -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), HOUR) if call is Call.UPSERT else with_status(an_event(1), "LOST"))
    await break_off(bench, call)
    bench.source.put(moved(an_event(1), HOUR) if call is Call.UPSERT else an_event(1))
    await bench.sync()
    mute = {"ms-1"}
    silent_about(bench, mute.__contains__)
    for _ in range(36):
        bench.now += SETTLED_AFTER
        await bench.sync()
    mute.clear()
    bench.target.change("ms-1", **({"title": "Changed by hand"} if call is Call.UPSERT else {"is_deleted": True}))
    sent = len(bench.target.sent)
    for _ in range(14):
        bench.now += SETTLED_AFTER
        report = await bench.sync()
    assert (bench.target.sent[sent:], report.exit_code) == ([], ExitCode.ATTENTION)
    assert [(problem.kind, problem.external_id) for problem in report.problems] == [(UNCLEAR, "ms-1")]


@pytest.mark.parametrize("call", [Call.UPSERT, Call.DELETE])
@pytest.mark.parametrize("gap", [timedelta(minutes=4), SETTLED_AFTER, SETTLED_AFTER + timedelta(seconds=1), 3 * SETTLED_AFTER, HOUR])
async def test_what_came_late_is_put_right_however_far_apart_the_passes_are(call: Call, gap: timedelta) -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), HOUR) if call is Call.UPSERT else with_status(an_event(1), "LOST"))
    await break_off(bench, call)
    bench.source.put(an_event(1))
    await bench.sync()
    bench.target.change("ms-1", **({"start": moved(an_event(1), HOUR).start} if call is Call.UPSERT else {"is_deleted": True}))
    for _ in range(2):
        bench.now += gap
        await bench.sync()
    (held,) = (bench.target.held(external_id) for external_id in of_the_first(bench))
    assert held.start == an_event(1).start


@pytest.mark.parametrize("meanwhile", ["paused", "ignored"])
async def test_what_a_person_did_while_nobody_looked_for_hours_is_left_alone(meanwhile: str) -> None:
    bench = await a_loaded_bench()
    bench.source.put(with_status(an_event(1), "LOST"))
    await break_off(bench, Call.DELETE)
    bench.source.put(an_event(1))
    await bench.sync()
    if meanwhile == "ignored":
        decisions.ignore(bench.ledger, "ms-1", clock=lambda: bench.now)
        await bench.sync()
    bench.now += 20 * HOUR
    bench.target.change("ms-1", is_deleted=True)
    if meanwhile == "ignored":
        decisions.unignore(bench.ledger, "ms-1", clock=lambda: bench.now)
    for _ in range(3):
        bench.now += SELDOM
        await bench.sync()
    assert of_the_first(bench) == []


async def comes_late(bench: Bench, row: Event, *, back_to: Event | None = None) -> None:
    """Have a change be carried out only when its booking is back as it was before."""
    call = Call.UPSERT if row.status == "DEFINITE" else Call.DELETE
    bench.source.put(row)
    await break_off(bench, call)
    bench.source.put(back_to or an_event(1))
    await bench.sync()
    bench.target.change("ms-1", **({"start": row.start, "end": row.end} if call is Call.UPSERT else {"is_deleted": True}))


async def nobody_could_look(bench: Bench, call: Call) -> None:
    """The same, and the pipeline is paused for hours."""
    await comes_late(bench, moved(an_event(1), HOUR) if call is Call.UPSERT else with_status(an_event(1), "LOST"))
    bench.now += 3 * HOUR


@pytest.mark.parametrize("call", [Call.UPSERT, Call.DELETE])
async def test_what_came_late_while_nobody_looked_is_told_in_each_pass_until_it_is_put_right(call: Call) -> None:
    bench = await a_loaded_bench()
    await nobody_could_look(bench, call)
    for _ in range(3):
        bench.now += MINUTE
        report = await bench.sync()
        (problem,) = report.problems
        assert (report.exit_code, report.sent, problem.external_id) == (ExitCode.ATTENTION, 0, "ms-1")
        assert "calrelay verify venue" in problem.remedy
    await repair(bench.pipeline, await verify(bench.pipeline))
    (held,) = (bench.target.held(external_id) for external_id in of_the_first(bench))
    assert held.start == an_event(1).start
    assert [(await later(bench)).exit_code for _ in range(2)] == [ExitCode.DONE] * 2
    bench.target.finds.clear()
    await later(bench)
    assert bench.target.finds == []


@pytest.mark.parametrize("until", ["ignored", "over"])
async def test_what_came_late_while_nobody_looked_is_told_until_it_is_ignored_or_over(until: str) -> None:
    bench = await a_loaded_bench()
    await nobody_could_look(bench, Call.UPSERT)
    assert (await bench.sync()).exit_code == ExitCode.ATTENTION
    if until == "ignored":
        decisions.ignore(bench.ledger, "ms-1", clock=lambda: bench.now)
        assert (await bench.sync()).exit_code == ExitCode.DONE
    bench.now = moved(an_event(1), HOUR).end + MINUTE
    assert (await bench.sync()).exit_code == ExitCode.DONE
    assert bench.ledger.memo(MEMO_LATE.format(pipeline="venue")) is None


async def test_what_came_late_of_a_booking_that_was_rejected_is_known_and_not_told() -> None:
    bench = await a_loaded_bench()
    bench.source.put(*(moved(an_event(i), HOUR) for i in range(1, 11)))
    await bench.sync()
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    await break_off(bench, Call.UPSERT)
    decisions.reject(bench.ledger, "venue", clock=lambda: bench.now)
    bench.now += FIRST_LOOK
    await bench.sync()
    bench.target.change("ms-1", start=moved(an_event(1), HOUR).start)
    bench.now += 3 * HOUR
    assert [(await bench.sync()).problems for _ in range(2)] == [[], []]
    bench.source.put(moved(an_event(1), 2 * HOUR))
    await later(bench)
    assert bench.target.held("ms-1").start == moved(an_event(1), 2 * HOUR).start


async def test_what_came_late_beyond_the_window_is_put_right_as_well() -> None:
    bench = await a_loaded_bench()
    far = moved(an_event(1), timedelta(days=300))
    bench.source.put(far)
    await later(bench)
    await comes_late(bench, moved(far, HOUR), back_to=far)
    bench.now += 3 * HOUR
    assert [problem.external_id for problem in (await bench.sync()).problems] == ["ms-1"]
    await repair(bench.pipeline, await verify(bench.pipeline))
    assert (bench.target.held("ms-1").start, (await later(bench)).problems) == (far.start, [])


async def late_on(bench: Bench, days: int) -> None:
    """Have the first booking's entry be put on a later day, late, and let its own day go by."""
    await comes_late(bench, moved(an_event(1), timedelta(days=days)))
    bench.now = an_event(1).end + MINUTE


@pytest.mark.parametrize("days", [3, 300])
async def test_what_came_late_on_a_later_day_is_told_though_the_booking_is_over_and_repaired(days: int) -> None:
    bench = await a_loaded_bench()
    await late_on(bench, days)
    assert [problem.external_id for problem in (await bench.sync()).problems] == ["ms-1"]
    await repair(bench.pipeline, await verify(bench.pipeline))
    assert "ms-1" not in bench.target.live
    assert (await later(bench)).problems == []


async def test_who_ends_a_pipeline_is_told_of_an_entry_that_came_late_and_stays() -> None:
    bench = await a_loaded_bench()
    await late_on(bench, 3)
    report = await delete_all(bench.pipeline)
    assert [problem.external_id for problem in report.problems] == ["ms-1"]
    assert set(bench.target.live) == {"ms-1"}


async def test_a_late_request_of_which_the_target_cannot_tell_keeps_nobody_from_being_verified(silent_about: SilentAbout) -> None:
    bench = await a_loaded_bench()
    far = moved(an_event(1), timedelta(days=300))
    bench.source.put(far)
    await later(bench)
    bench.source.put(moved(far, HOUR))
    await break_off(bench, Call.UPSERT)
    await bench.sync()
    silent_about(bench, {"ms-1"}.__contains__)
    for _ in range(5):
        bench.now += SETTLED_AFTER
        await bench.sync()
    bench.target.change("ms-2", title="Changed by hand")
    found = await verify(bench.pipeline)
    assert (found.is_whole, [drift.external_id for drift in found.drifts], found.in_motion) == (True, ["ms-2"], 1)
    assert [problem.external_id for problem in found.problems] == ["ms-1"]


async def test_a_late_delete_does_not_hide_that_everything_is_lost() -> None:
    bench = await a_loaded_bench()
    bench.source.put(with_status(an_event(1), "LOST"))
    bench.target.fail_next(VendorUnavailable("no answer"), call=Call.DELETE, times=20, applied=Applied.ALL)
    await bench.sync()
    bench.target.stop_failing()
    await later(bench)
    for external_id in list(bench.target.live):
        bench.target.lose(external_id)
    found = await verify(bench.pipeline)
    sent = len(bench.target.sent)
    await repair(bench.pipeline, found)
    assert (found.is_all_lost, found.compared, len(bench.target.sent)) == (True, 29, sent)


async def test_a_pipeline_ends_in_one_go_though_nobody_knows_what_came_late() -> None:
    bench = await a_loaded_bench()
    await nobody_could_look(bench, Call.UPSERT)
    report = await delete_all(bench.pipeline)
    assert (report.problems, bench.target.live) == ([], {})


async def test_a_booking_stands_twice_no_longer_because_its_new_entry_had_no_answer() -> None:
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(1), HOUR))
    await break_off(bench, Call.UPSERT)
    bench.source.put(with_status(an_event(1), "LOST"))
    await bench.sync()
    bench.source.put(an_event(1))
    await break_off(bench, Call.UPSERT)
    bench.now += FIRST_LOOK
    await bench.sync()
    bench.target.change("ms-1", is_deleted=False)
    bench.now += MINUTE
    await bench.sync()
    assert len(of_the_first(bench)) == 1
