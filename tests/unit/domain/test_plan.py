"""The decision table, one fact a test."""

import dataclasses
from datetime import timedelta

import pytest

from calrelay.domain.entry import Hasher
from calrelay.domain.event import Event
from calrelay.domain.link import Basis, CalendarId, Field, Link, MessageMode, State
from calrelay.domain.plan import Cause, Create, Decision, Delete, Skipped, Unchanged, Update, plan, plan_gone
from calrelay.domain.policy import Filter, Match, Policy, Route
from calrelay.domain.rendering import Texts
from calrelay.domain.window import Window
from tests.fakes.memory_source import NOW, an_event, moved, with_status

HASHER = Hasher(b"test key")
HOUR = timedelta(hours=1)
NEW_CONFIG = Basis(zone_data="2026f", mapping="1", config="2")


def a_policy(**changes: object) -> Policy:
    policy = Policy(
        pipeline="venue",
        target="reminders",
        id_prefix="ts-",
        filter=Filter(statuses=frozenset({"DEFINITE", "CLOSED"})),
        calendar=CalendarId("1"),
        routes=(),
        texts=Texts(),
        mode=MessageMode.SEND,
        basis=Basis(zone_data="2026f", mapping="1", config="1"),
        window=Window(past=timedelta(days=1), future=timedelta(days=180)),
    )
    return dataclasses.replace(policy, **changes)  # type: ignore[arg-type] # a builder takes whatever field the test names


def decide(event: Event, link: Link | None, policy: Policy | None = None, now: timedelta = timedelta()) -> Decision:
    return plan(event, link, policy=policy or a_policy(), hasher=HASHER, now=NOW + now)


def a_settled_link(event: Event, policy: Policy | None = None) -> Link:
    created = decide(event, None, policy)
    assert isinstance(created, Create)
    return dataclasses.replace(created.link, accepted=created.link.wanted, state=State.SETTLED)


def test_a_new_wanted_event_is_created_under_its_external_id() -> None:
    decision = decide(an_event(55120), None)
    assert isinstance(decision, Create)
    assert decision.link.external_id == "ts-55120"
    assert decision.entry.start.utcoffset() == timedelta(hours=-5)


def test_an_unchanged_event_needs_nothing() -> None:
    event = an_event()
    assert isinstance(decide(event, a_settled_link(event)), Unchanged)


def test_notes_on_the_mapping_are_not_a_change() -> None:
    event = an_event()
    decision = decide(dataclasses.replace(event, notes=("a phone was dropped",)), a_settled_link(event))
    assert isinstance(decision, Unchanged)


def test_a_move_in_time_updates_start_and_end_only() -> None:
    event = an_event()
    decision = decide(moved(event, HOUR), a_settled_link(event))
    assert isinstance(decision, Update)
    assert decision.fields == {Field.START, Field.END}
    assert decision.cause is Cause.SOURCE


def test_another_room_on_another_calendar_is_a_delete_with_a_successor() -> None:
    terrace = a_policy(routes=(Route(match=Match(facets={"rooms": frozenset({"terrace"})}), calendar=CalendarId("2")),))
    event = an_event()
    decision = decide(dataclasses.replace(event, facets={"rooms": frozenset({"terrace"})}), a_settled_link(event, terrace), terrace)
    assert isinstance(decision, Delete)
    assert decision.successor is not None
    assert decision.successor.calendar == "2"
    assert decision.cause is Cause.SOURCE


@pytest.mark.parametrize("status", ["LOST"])
def test_a_cancelled_event_is_deleted(status: str) -> None:
    event = an_event()
    decision = decide(with_status(event, status), a_settled_link(event))
    assert isinstance(decision, Delete)
    assert decision.successor is None


def test_a_status_outside_the_list_is_skipped_when_unlinked_and_deleted_when_linked() -> None:
    event = an_event()
    tentative = with_status(event, "TENTATIVE")
    assert isinstance(decide(tentative, None), Skipped)
    decision = decide(tentative, a_settled_link(event))
    assert isinstance(decision, Delete)
    assert decision.cause is Cause.SOURCE


def test_no_show_leaves_the_target_as_it_is() -> None:
    event = an_event()
    assert isinstance(decide(moved(with_status(event, "NO_SHOW"), HOUR), a_settled_link(event)), Unchanged)


def test_an_unknown_status_updates_but_never_creates_or_deletes() -> None:
    event = an_event()
    strange = with_status(event, "ON_HOLD_NEW")
    assert isinstance(decide(strange, None), Skipped)
    assert isinstance(decide(moved(strange, HOUR), a_settled_link(event)), Update)
    assert isinstance(decide(moved(strange, timedelta(days=-30)), a_settled_link(event)), Unchanged)


def test_an_event_that_has_ended_is_never_created() -> None:
    decision = decide(moved(an_event(), timedelta(days=-30)), None)
    assert isinstance(decision, Skipped)
    assert decision.reason == "has ended"


def test_an_event_moved_into_the_past_is_deleted() -> None:
    event = an_event()
    decision = decide(moved(event, timedelta(days=-30)), a_settled_link(event))
    assert isinstance(decision, Delete)


def test_over_means_over() -> None:
    event = an_event()
    link = a_settled_link(event)
    later = timedelta(days=30)
    assert isinstance(decide(dataclasses.replace(event, title="Another title"), link, now=later), Unchanged)
    assert isinstance(decide(with_status(event, "LOST"), link, now=later), Unchanged)


def test_an_event_moved_from_the_past_into_the_future_is_taken_up_again() -> None:
    event = an_event()
    decision = decide(moved(event, timedelta(days=60)), a_settled_link(event), now=timedelta(days=30))
    assert isinstance(decision, Update)


def test_nobody_reachable_is_skipped_and_deleted_when_it_was_linked() -> None:
    event = an_event()
    silent = dataclasses.replace(event, participants=())
    assert isinstance(decide(silent, None), Skipped)
    assert isinstance(decide(silent, a_settled_link(event)), Delete)
    assert isinstance(decide(silent, None, a_policy(send_without_contact=True)), Create)


def test_the_mode_of_a_link_outlives_the_mode_of_its_pipeline() -> None:
    event = an_event()
    quiet = a_policy(mode=MessageMode.NO_BOOKING)
    link = a_settled_link(event, quiet)
    assert isinstance(decide(event, link, a_policy(mode=MessageMode.SEND)), Unchanged)
    decision = decide(dataclasses.replace(event, custom={"guest_count": "41"}), link)
    assert isinstance(decision, Update)
    assert decision.entry.content == "41 guests\n#nobooking"


def test_a_new_template_is_nobodys_change_at_the_source() -> None:
    event = an_event()
    changed = a_policy(texts=Texts(title="Event: {{ event.title }}"), basis=Basis(zone_data="2026f", mapping="1", config="2"))
    decision = decide(event, a_settled_link(event), changed)
    assert isinstance(decision, Update)
    assert decision.cause is Cause.MAPPING
    assert decision.fields == {Field.TITLE}


def test_a_narrowed_filter_is_told_apart_from_a_change_at_the_source() -> None:
    event = an_event()
    narrow = a_policy(
        filter=Filter(statuses=frozenset({"DEFINITE"}), include=Match(facets={"rooms": frozenset({"terrace"})})),
        basis=Basis(zone_data="2026f", mapping="1", config="2"),
    )
    decision = decide(event, a_settled_link(event), narrow)
    assert isinstance(decision, Delete)
    assert decision.cause is Cause.FILTER


def test_a_changed_config_that_changes_nothing_here_is_no_change() -> None:
    event = an_event()
    decision = decide(event, a_settled_link(event), a_policy(basis=Basis(zone_data="2026f", mapping="1", config="2")))
    assert isinstance(decision, Unchanged)
    assert decision.link.basis.config == "2"


def test_new_zone_rules_that_move_an_event_are_named() -> None:
    event = an_event()
    link = a_settled_link(event, a_policy(basis=Basis(zone_data="2025b", mapping="1", config="1")))
    decision = decide(moved(event, HOUR), link)
    assert isinstance(decision, Update)
    assert decision.cause is Cause.ZONE_DATA


def test_new_zone_rules_that_move_an_event_into_the_past_are_named() -> None:
    event = an_event()
    link = a_settled_link(event, a_policy(basis=Basis(zone_data="2025b", mapping="1", config="1")))
    decision = decide(moved(event, -HOUR), link, now=event.end - HOUR - NOW)
    assert isinstance(decision, Delete)
    assert decision.cause is Cause.ZONE_DATA


def test_new_zone_rules_are_named_also_where_a_template_or_a_booking_changes_with_them() -> None:
    event = an_event()
    link = a_settled_link(event, a_policy(basis=Basis(zone_data="2025b", mapping="1", config="1")))
    changed = a_policy(texts=Texts(title="Event: {{ event.title }}"), basis=Basis(zone_data="2026f", mapping="1", config="2"))
    for decision in (decide(moved(event, HOUR), link, changed), decide(dataclasses.replace(moved(event, HOUR), title="Lunch"), link)):
        assert isinstance(decision, Update)
        assert decision.cause is Cause.ZONE_DATA


def test_new_zone_rules_do_not_let_a_new_route_pass_for_a_change_at_the_source() -> None:
    event = an_event()
    link = a_settled_link(event, a_policy(basis=Basis(zone_data="2025b", mapping="1", config="1")))
    decision = decide(dataclasses.replace(event, zone="America/Toronto"), link, a_policy(calendar=CalendarId("2"), basis=NEW_CONFIG))
    assert isinstance(decision, Delete)
    assert decision.cause is not Cause.SOURCE


def test_a_row_that_is_not_known_any_more_does_not_let_a_new_route_pass_for_a_change_at_the_source() -> None:
    """As after a deletion that was rejected, once the booking is back as it was."""
    event = an_event()
    link = dataclasses.replace(a_settled_link(event), source_hash="")
    decision = decide(event, link, a_policy(calendar=CalendarId("2"), basis=NEW_CONFIG))
    assert isinstance(decision, Delete)
    assert decision.cause is Cause.ROUTE


def test_an_event_that_returns_after_a_delete_is_created_again() -> None:
    event = an_event()
    gone = dataclasses.replace(a_settled_link(event), accepted=None, wanted=None, generation=2, source_hash="")
    decision = decide(event, gone)
    assert isinstance(decision, Create)
    assert decision.link.external_id == "ts-1.2"


def test_an_ignored_event_stays_as_it_is_and_a_dropped_one_returns_when_its_row_changes() -> None:
    event = an_event()
    ignored = dataclasses.replace(a_settled_link(event), state=State.IGNORED)
    assert isinstance(decide(moved(event, HOUR), ignored), Skipped)
    dropped = dataclasses.replace(ignored, until_changed=True)
    assert isinstance(decide(event, dropped), Skipped)
    assert isinstance(decide(moved(event, HOUR), dropped), Update)


def test_what_the_target_refused_is_tried_again_when_the_row_changes() -> None:
    event = an_event()
    refused = dataclasses.replace(a_settled_link(event), accepted=None, state=State.QUARANTINED, attempts=1)
    assert isinstance(decide(event, refused), Unchanged)
    assert isinstance(decide(moved(event, HOUR), refused), Create)


@pytest.mark.parametrize("changed", [{"zone_data": "2026g"}, {"mapping": "2"}, {"config": "2"}])
def test_what_the_target_refused_is_tried_again_when_a_release_or_the_config_changes(changed: dict[str, str]) -> None:
    event = an_event()
    refused = dataclasses.replace(a_settled_link(event), accepted=None, state=State.QUARANTINED, attempts=1)
    assert isinstance(decide(event, refused, a_policy(basis=dataclasses.replace(a_policy().basis, **changed))), Create)


def test_an_absent_event_is_deleted_unless_it_is_over() -> None:
    link = a_settled_link(an_event())
    assert isinstance(plan_gone(link, now=NOW), Delete)
    assert isinstance(plan_gone(link, now=NOW + timedelta(days=30)), Unchanged)


def test_a_create_whose_answer_was_never_seen_counts_as_existing() -> None:
    event = an_event()
    sending = dataclasses.replace(a_settled_link(event), accepted=None, state=State.SENDING)
    assert isinstance(decide(with_status(event, "LOST"), sending), Delete)


def test_what_was_never_sent_and_comes_back_as_it_was_is_created() -> None:
    """Refused, then gone from the source, then there again: nothing of it is at the target."""
    event = an_event()
    refused = dataclasses.replace(a_settled_link(event), state=State.QUARANTINED, accepted=None, target_id=None, attempts=1)
    gone = plan_gone(refused, now=NOW)
    assert isinstance(gone, Unchanged)
    assert isinstance(decide(event, gone.link), Create)
