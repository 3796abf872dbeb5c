"""`verify` and its repairs over in-memory ends: what a person did in Apptoto is told apart, and mended without a double."""

import dataclasses
from datetime import timedelta

import pytest

from calrelay.domain.entry import Entry
from calrelay.domain.guard import HoldKind, Limit, Limits
from calrelay.domain.link import CalendarId, ExternalId, MessageMode, State, TargetId
from calrelay.domain.policy import Match, Route
from calrelay.engine import decisions
from calrelay.engine.drift import DriftKind
from calrelay.engine.repair import repair
from calrelay.engine.report import Outcome
from calrelay.engine.verify import Verification, verify
from calrelay.errors import ExitCode, VendorUnavailable
from calrelay.ports import HeldPerson
from tests.fakes.memory_source import an_event, moved, with_status
from tests.fakes.memory_target import Call, MemoryTarget
from tests.fakes.pipelines import MAIN_HALL, TERRACE, Bench, a_bench

HOUR = timedelta(hours=1)
KINDS = list(DriftKind)


async def a_loaded_bench(number: int = 30) -> Bench:
    bench = a_bench(*(an_event(i) for i in range(1, number + 1)))
    assert (await bench.sync()).created == number
    forget_calls(bench)
    return bench


def forget_calls(bench: Bench) -> None:
    bench.target.upserts.clear()
    bench.target.deletes.clear()
    bench.target.finds.clear()
    bench.source.found.clear()


def writes(bench: Bench) -> int:
    return len(bench.target.upserts) + len(bench.target.deletes)


async def repaired(bench: Bench) -> Verification:
    found = await verify(bench.pipeline)
    await repair(bench.pipeline, found)
    return found


def told(found: Verification) -> dict[str, str]:
    return {drift.external_id: drift.kind.value for drift in found.drifts}


async def test_what_is_as_it_was_accepted_is_no_drift_and_costs_one_list() -> None:
    bench = await a_loaded_bench()
    before = bench.target.requests
    found = await verify(bench.pipeline)
    assert (found.compared, found.drifts, found.exit_code, found.is_whole) == (30, [], 0, True)
    assert (bench.target.requests - before, writes(bench), bench.source.found) == (1, 0, [])


@pytest.mark.parametrize(
    ("field", "value"),
    [("title", "Cancelled?"), ("location", "Elsewhere"), ("content", "call first"), ("custom_data", {"guest_count": "4"})],
)
async def test_a_field_a_person_changed_is_named_and_only_it_is_sent_again(field: str, value: object) -> None:
    bench = await a_loaded_bench()
    before = bench.target.held("ms-3")
    bench.target.change("ms-3", **{field: value})
    found = await verify(bench.pipeline)
    assert [(drift.external_id, drift.kind, drift.what) for drift in found.drifts] == [("ms-3", DriftKind.CHANGED, [field])]
    assert (found.exit_code, writes(bench)) == (ExitCode.ATTENTION, 0)
    await repair(bench.pipeline, found)
    assert [(put.external_id, set(put.fields)) for put in bench.target.sent] == [("ms-3", {field})]
    assert (bench.target.held("ms-3"), found.exit_code, found.left) == (before, 0, [])
    assert (await verify(bench.pipeline)).drifts == []
    assert (await bench.sync()).sent == 0


async def test_an_event_moved_by_a_person_goes_back_to_its_instant() -> None:
    bench = await a_loaded_bench()
    held = bench.target.held("ms-3")
    assert held.start is not None
    assert held.end is not None
    bench.target.change("ms-3", start=held.start + HOUR, end=held.end + HOUR)
    found = await repaired(bench)
    assert [drift.what for drift in found.drifts] == [["end", "start"]]
    assert bench.target.held("ms-3").start == held.start


async def test_an_event_moved_out_of_the_window_by_a_person_is_asked_for_and_is_not_lost() -> None:
    bench = await a_loaded_bench()
    held = bench.target.held("ms-3")
    assert held.start is not None
    bench.target.change("ms-3", start=held.start + timedelta(days=400), end=held.start + timedelta(days=401))
    found = await repaired(bench)
    assert told(found) == {"ms-3": "changed"}
    assert bench.target.held("ms-3").start == held.start


async def test_the_same_instant_at_another_offset_is_counted_and_is_no_drift() -> None:
    """On which clock the vendor renders times is unknown (Apptoto: 5)."""
    bench = await a_loaded_bench(3)
    sent = bench.target.held("ms-1").start
    assert sent is not None
    bench.target.change("ms-1", offset=timedelta(hours=9))
    bench.target.change("ms-2", offset=sent.utcoffset())
    found = await verify(bench.pipeline)
    assert (found.drifts, found.at_another_offset, found.exit_code) == ([], 1, 0)


async def test_more_people_than_we_sent_are_no_drift_and_fewer_are() -> None:
    """A participant who was messaged already stays, though dropped (Apptoto: 7)."""
    bench = await a_loaded_bench()
    people = bench.target.held("ms-1").participants or ()
    bench.target.change("ms-1", participants=(*people, HeldPerson(name="Earlier Guest", email="", phone="+12125550199")))
    bench.target.change("ms-2", participants=())
    found = await verify(bench.pipeline)
    assert {drift.external_id: drift.what for drift in found.drifts} == {"ms-2": ["participants"]}


async def test_a_field_the_target_does_not_tell_is_no_drift() -> None:
    bench = await a_loaded_bench(2)
    bench.target.change("ms-1", location=None, content=None, participants=None, custom_data=None, calendar=None)
    assert (await verify(bench.pipeline)).drifts == []


async def test_rewritten_line_ends_are_no_drift() -> None:
    bench = a_bench(an_event(1, content="one\ntwo"))
    bench.mode = MessageMode.SKIP
    await bench.sync()
    content = bench.target.held("ms-1").content or ""
    bench.target.change("ms-1", content=content.replace("\n", "\r\n") + "\r\n")
    assert "\n" in content
    assert (await verify(bench.pipeline)).drifts == []


@pytest.mark.parametrize("is_shown", [True, False])
async def test_a_lost_event_is_created_again_in_the_next_generation(is_shown: bool) -> None:
    bench = await a_loaded_bench()
    await bench.target.delete(bench.target.held("ms-3").target_id)
    if not is_shown:
        bench.target.lose("ms-3")
    forget_calls(bench)
    found = await verify(bench.pipeline)
    assert (told(found), writes(bench)) == ({"ms-3": "lost"}, 0)
    await repair(bench.pipeline, found)
    assert [put.external_id for put in bench.target.sent] == ["ms-3.2"]
    assert found.passed is not None
    assert (found.passed.created, found.passed.people, found.exit_code) == (1, 1, 0)
    assert len(bench.target.live) == 30
    assert (await verify(bench.pipeline)).drifts == []
    assert (await bench.sync()).sent == 0


async def test_a_lost_event_keeps_its_message_mode() -> None:
    bench = await a_loaded_bench()
    decisions.retag(bench.ledger, decisions.find_links(bench.ledger, "ms-3"), MessageMode.SKIP, clock=lambda: bench.now)
    await bench.sync()
    await bench.target.delete(bench.target.held("ms-3").target_id)
    await repaired(bench)
    assert (bench.target.held("ms-3.2").content or "").endswith("#skip")


async def test_a_lost_event_that_its_source_no_longer_wants_is_forgotten() -> None:
    bench = await a_loaded_bench()
    await bench.target.delete(bench.target.held("ms-3").target_id)
    bench.source.put(with_status(an_event(3), "LOST"))
    forget_calls(bench)
    found = await repaired(bench)
    assert (writes(bench), found.exit_code, len(bench.target.live)) == (0, 0, 29)
    assert (await bench.sync()).sent == 0


async def test_a_generation_that_was_used_and_deleted_is_not_used_again() -> None:
    bench = await a_loaded_bench()
    entry = bench.target.held("ms-3")
    await bench.target.delete(entry.target_id)
    second = bench.target.double("ms-3", external_id=ExternalId("ms-3.2"))
    await bench.target.delete(second.target_id)
    await repaired(bench)
    assert not bench.target.held("ms-3.3").is_deleted


async def test_many_lost_events_are_held_before_anybody_is_messaged() -> None:
    bench = await a_loaded_bench(120)
    for number in range(1, 41):
        await bench.target.delete(bench.target.held(f"ms-{number}").target_id)
    forget_calls(bench)
    found = await repaired(bench)
    assert (found.count(DriftKind.LOST), writes(bench), found.exit_code) == (40, 0, ExitCode.GUARD)
    assert [hold.kind for hold in bench.ledger.holds()] == [HoldKind.CREATES]
    decisions.approve(bench.ledger, "venue", clock=lambda: bench.now)
    assert (await bench.sync()).created == 40
    assert (await verify(bench.pipeline)).drifts == []


async def test_a_target_that_shows_none_of_our_events_is_not_filled_again() -> None:
    bench = await a_loaded_bench(5)
    for number in range(1, 6):
        await bench.target.delete(bench.target.held(f"ms-{number}").target_id)
    forget_calls(bench)
    found = await repaired(bench)
    assert (writes(bench), found.problems[0].kind, found.exit_code) == (0, "GuardRefused", ExitCode.GUARD)
    assert bench.ledger.count_live("venue") == 5


async def test_of_a_doubled_event_the_entry_we_do_not_know_is_deleted() -> None:
    bench = await a_loaded_bench()
    second = bench.target.double("ms-3")
    found = await verify(bench.pipeline)
    assert (told(found), writes(bench)) == ({"ms-3": "doubled"}, 0)
    await repair(bench.pipeline, found)
    assert (bench.target.deletes, bench.target.upserts, found.exit_code) == ([second.target_id], [], 0)
    assert (await verify(bench.pipeline)).drifts == []
    assert (await bench.sync()).sent == 0


async def test_a_second_generation_beside_ours_is_a_double_and_its_number_is_used_up() -> None:
    bench = await a_loaded_bench()
    second = bench.target.double("ms-3", external_id=ExternalId("ms-3.2"))
    found = await repaired(bench)
    assert (told(found), bench.target.deletes) == ({"ms-3.2": "doubled"}, [second.target_id])
    bench.source.put(with_status(an_event(3), "LOST"))
    await bench.sync()
    bench.source.put(an_event(3))
    await bench.sync()
    assert not bench.target.held("ms-3.3").is_deleted


async def test_more_doubles_than_the_delete_guard_allows_are_left() -> None:
    bench = await a_loaded_bench()
    bench.limits = Limits(deletes=Limit(count=2, share=0.0))
    for number in range(1, 4):
        bench.target.double(f"ms-{number}")
    found = await repaired(bench)
    assert (bench.target.deletes, found.exit_code, len(found.left)) == ([], ExitCode.GUARD, 3)


async def test_doubles_that_were_deleted_count_among_the_deletes_of_the_day() -> None:
    bench = await a_loaded_bench()
    bench.target.double("ms-3")
    await repaired(bench)
    assert bench.ledger.deletes_since("venue", bench.now - timedelta(days=1)) == 1


async def test_an_entry_under_our_id_that_we_do_not_know_is_adopted() -> None:
    bench = await a_loaded_bench()
    bench.source.put(an_event(40))
    bench.target.place("ms-40", _entry_of(bench, 40))
    found = await repaired(bench)
    assert told(found) == {"ms-40": "unknown"}
    assert len(bench.target.live) == 31
    assert bench.ledger.links("venue", [an_event(40).source_id])[an_event(40).source_id].state is State.SETTLED
    assert (await bench.sync()).sent == 0


async def test_an_unknown_entry_whose_booking_is_gone_is_deleted() -> None:
    bench = await a_loaded_bench()
    placed = bench.target.place("ms-40", _entry_of(bench, 40))
    await repaired(bench)
    assert bench.target.deletes == [placed.target_id]


async def test_an_entry_that_came_in_place_of_ours_is_taken_up_and_not_doubled() -> None:
    bench = await a_loaded_bench()
    second = bench.target.double("ms-3")
    await bench.target.delete(bench.target.held("ms-3").target_id)
    bench.target.change("ms-3", target_id=second.target_id, is_deleted=False)
    bench.target.others.clear()
    found = await repaired(bench)
    assert (told(found), len(bench.target.live)) == ({"ms-3": "unknown"}, 30)
    assert (await verify(bench.pipeline)).drifts == []


async def test_what_stands_in_our_calendars_without_our_id_is_counted_only() -> None:
    bench = await a_loaded_bench(3)
    bench.target.double("ms-1", external_id=None, title="A lunch of their own")
    bench.target.double("ms-1", external_id=ExternalId("other-9"))
    bench.target.double("ms-1", external_id=None, calendar=CalendarId("4711"))
    found = await repaired(bench)
    assert (found.not_ours, found.drifts, writes(bench)) == (2, [], 0)


async def test_an_event_in_another_calendar_is_moved_back_by_delete_and_create() -> None:
    bench = await a_loaded_bench()
    bench.routes = (Route(match=Match(facets={"rooms": frozenset({"nowhere"})}), calendar=TERRACE),)
    bench.target.change("ms-3", calendar=TERRACE)
    found = await repaired(bench)
    assert [drift.what for drift in found.drifts] == [["calendar"]]
    assert (bench.target.held("ms-3").is_deleted, bench.target.held("ms-3.2").calendar) == (True, found.drifts[0].link.accepted.calendar)  # type: ignore[union-attr] # a known link


async def test_a_list_with_a_gap_concludes_nothing() -> None:
    bench = await a_loaded_bench()
    bench.target.change("ms-3", title="Changed")
    bench.target.fail_next(VendorUnavailable("504"), call=Call.LISTING)
    found = await repaired(bench)
    assert (found.drifts, found.is_whole, found.exit_code, writes(bench)) == ([], False, ExitCode.VENDOR, 0)
    assert found.to_json()["outcome"] == "failed"


async def test_an_entry_that_cannot_be_asked_for_concludes_nothing() -> None:
    bench = await a_loaded_bench()
    bench.target.lose("ms-3")
    bench.target.fail_next(VendorUnavailable("504"), call=Call.FIND)
    found = await repaired(bench)
    assert (found.drifts, found.exit_code, writes(bench)) == ([], ExitCode.VENDOR, 0)


async def test_events_that_are_over_ignored_or_let_go_are_left_alone() -> None:
    bench = await a_loaded_bench()
    bench.now = an_event(1).end + timedelta(minutes=1)
    await bench.target.delete(bench.target.held("ms-1").target_id)
    decisions.ignore(bench.ledger, "ms-4", clock=lambda: bench.now)
    bench.target.change("ms-4", title="As the operator likes it")
    forget_calls(bench)
    found = await repaired(bench)
    assert (found.drifts, found.left_alone, writes(bench)) == ([], 1, 0)


async def test_what_a_pass_changes_while_the_target_is_read_is_in_motion() -> None:
    bench = await a_loaded_bench()
    bench.target.page_size = 10
    link = bench.ledger.links("venue", [an_event(3).source_id])[an_event(3).source_id]
    bench.target.change("ms-3", title="Renamed by a pass")

    def pass_meanwhile(_: int) -> None:
        bench.ledger.store([dataclasses.replace(link, reason="sent just now", attempts=1)])

    found = await verify(bench.pipeline, glance=pass_meanwhile)
    assert (found.drifts, found.in_motion) == ([], 1)


async def test_what_is_being_sent_is_in_motion() -> None:
    bench = await a_loaded_bench()
    link = bench.ledger.links("venue", [an_event(3).source_id])[an_event(3).source_id]
    bench.ledger.store([dataclasses.replace(link, state=State.SENDING)])
    bench.target.change("ms-3", title="Half-way")
    found = await verify(bench.pipeline)
    assert (found.drifts, found.in_motion) == ([], 1)


async def test_a_paused_pipeline_is_verified_and_not_repaired() -> None:
    bench = await a_loaded_bench()
    decisions.set_paused(bench.ledger, "venue", is_paused=True)
    await bench.target.delete(bench.target.held("ms-3").target_id)
    forget_calls(bench)
    found = await repaired(bench)
    assert (told(found), found.exit_code, writes(bench), bench.ledger.count_live("venue")) == ({"ms-3": "lost"}, ExitCode.GUARD, 0, 30)


async def test_another_account_than_the_events_are_at_is_not_compared() -> None:
    bench = await a_loaded_bench(3)
    found = await verify(dataclasses.replace(bench.pipeline, target=MemoryTarget(account="another")))
    assert (found.drifts, found.is_whole, found.exit_code) == ([], False, ExitCode.CONFIG)


async def test_a_repair_sends_nothing_that_nobody_asked_for() -> None:
    """Other changes of the source are left to the next pass."""
    bench = await a_loaded_bench()
    bench.source.put(moved(an_event(5), HOUR))
    bench.target.change("ms-3", title="Changed")
    await repaired(bench)
    assert [put.external_id for put in bench.target.sent] == ["ms-3"]


async def test_a_repair_the_vendor_does_not_take_is_told_and_goes_with_the_next_pass() -> None:
    bench = await a_loaded_bench()
    bench.target.change("ms-3", title="Changed")
    found = await verify(bench.pipeline)
    bench.target.fail_next(VendorUnavailable("502"), call=Call.UPSERT, times=9)
    await repair(bench.pipeline, found)
    assert found.passed is not None
    assert (found.passed.outcome, found.exit_code, len(found.left)) == (Outcome.FAILED, ExitCode.VENDOR, 1)
    bench.target.stop_failing()
    await bench.sync()
    assert (await verify(bench.pipeline)).drifts == []


async def test_ids_of_the_target_match_where_external_ids_are_not_told() -> None:
    bench = await a_loaded_bench()
    bench.target.echoes_external_ids = False
    bench.target.change("ms-3", title="Changed")
    await bench.target.delete(bench.target.held("ms-4").target_id)
    found = await verify(bench.pipeline)
    assert (told(found), found.not_ours) == ({"ms-3": "changed", "ms-4": "lost"}, 0)


async def test_the_report_names_no_titles_and_no_people() -> None:
    bench = await a_loaded_bench(3)
    bench.target.change("ms-1", title="Secret engagement of Jane Roe")
    bench.target.double("ms-2", target_id=TargetId("77"))
    text = str((await verify(bench.pipeline)).to_json())
    assert "Jane" not in text
    assert "Dinner" not in text
    assert "77" in text


def _entry_of(bench: Bench, number: int) -> Entry:
    policy = bench._policy(MAIN_HALL, ())
    return policy.entry_of(an_event(number), MessageMode.SEND, backfilled=False)


@pytest.mark.parametrize("what", ["extended", "moved on", "copied", "no end told"])
async def test_what_a_person_makes_of_the_entry_of_a_booking_that_is_over_is_theirs(what: str) -> None:
    bench = await a_loaded_bench()
    row, week = an_event(1), timedelta(days=7)
    match what:
        case "extended":
            bench.target.change("ms-1", end=row.end + timedelta(hours=2))
        case "moved on":
            bench.target.change("ms-1", start=row.start + week, end=row.end + week)
        case "copied":
            bench.target.double("ms-1", start=row.start + week, end=row.end + week)
        case _:
            bench.target.change("ms-1", end=None, title="Changed by hand")
    bench.now = row.end + timedelta(minutes=10)
    found = await repaired(bench)
    assert (found.drifts, writes(bench)) == ([], 0)
