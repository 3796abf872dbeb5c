"""The guards, one fact a test: what is parked, and what goes on."""

import dataclasses
from datetime import timedelta

import pytest

from calrelay.domain.entry import Hasher
from calrelay.domain.event import Event
from calrelay.domain.guard import Approval, HoldKind, Limit, Limits, Verdict, digest_of, guard
from calrelay.domain.link import CalendarId, State
from calrelay.domain.plan import Action, Cause, Create, Delete, Update, plan, plan_gone
from tests.fakes.memory_source import NOW, an_event, moved
from tests.unit.domain.test_plan import a_policy, a_settled_link

HASHER = Hasher(b"test key")
HOUR = timedelta(hours=1)


def an_update(event: Event, to: Event) -> Update:
    decision = plan(to, a_settled_link(event), policy=a_policy(), hasher=HASHER, now=NOW)
    assert isinstance(decision, Update)
    return decision


def a_create(number: int) -> Create:
    decision = plan(an_event(number), None, policy=a_policy(), hasher=HASHER, now=NOW)
    assert isinstance(decision, Create)
    return decision


def a_delete(number: int) -> Delete:
    decision = plan_gone(a_settled_link(an_event(number)), now=NOW)
    assert isinstance(decision, Delete)
    return decision


def renamed(number: int) -> Update:
    event = an_event(number)
    return an_update(event, dataclasses.replace(event, title=f"Renamed {number}"))


def shifted(number: int, group: str = "") -> Update:
    event = dataclasses.replace(an_event(number), group=group or f"booking-{number}")
    return an_update(event, moved(event, HOUR))


def verdict(actions: list[Action], live: int, limits: Limits | None = None, **changes: object) -> Verdict:
    return guard(actions, limits=limits or Limits(), live=lambda: live, **changes)  # type: ignore[arg-type] # the test names what it changes


def kinds(found: Verdict) -> list[HoldKind]:
    return [parked.kind for parked in found.parked]


def test_nothing_dangerous_passes_whole() -> None:
    actions: list[Action] = [a_create(1), renamed(2), a_delete(3)]
    assert verdict(actions, live=100).passed == tuple(actions)


def test_creates_are_held_when_count_and_share_are_both_exceeded() -> None:
    creates: list[Action] = [a_create(i) for i in range(1, 27)]
    assert kinds(verdict(creates, live=100)) == [HoldKind.CREATES]
    assert kinds(verdict(creates[:25], live=100)) == []
    assert kinds(verdict(creates, live=1000)) == []


def test_a_load_is_not_held_for_its_creates() -> None:
    creates: list[Action] = [a_create(i) for i in range(1, 60)]
    assert kinds(verdict(creates, live=0, guard_creates=False)) == []


@pytest.mark.parametrize(
    ("deletes", "live", "recent", "held"),
    [(5, 10, 0, False), (6, 120, 0, False), (6, 20, 0, True), (26, 1000, 0, True), (1, 1000, 25, True)],
)
def test_deletes_are_held_by_count_and_share_or_by_max_with_the_last_day(deletes: int, live: int, recent: int, held: bool) -> None:
    actions: list[Action] = [a_delete(i) for i in range(1, deletes + 1)]
    assert bool(kinds(verdict(actions, live=live, recent_deletes=lambda: recent))) is held


def test_many_bookings_moved_by_the_same_amount_are_held_and_others_pass() -> None:
    rename = renamed(100)
    found = verdict([rename, *(shifted(i) for i in range(1, 31))], live=120)
    assert kinds(found) == [HoldKind.SAME_SHIFT]
    assert found.passed == (rename,)


def test_same_shift_holds_at_its_count_and_share_not_only_above_them() -> None:
    five: list[Action] = [shifted(i) for i in range(1, 6)]
    assert kinds(verdict(five, live=50)) == [HoldKind.SAME_SHIFT]
    assert kinds(verdict(five, live=51)) == []
    assert kinds(verdict(five[:4], live=10)) == []


def test_the_events_of_one_booking_count_once() -> None:
    found = verdict([shifted(i, group="wedding") for i in range(1, 8)], live=30)
    assert kinds(found) == []


@pytest.mark.parametrize(
    ("cause", "kind"), [(Cause.MAPPING, HoldKind.MAPPING), (Cause.ZONE_DATA, HoldKind.ZONE_DATA), (Cause.ROUTE, HoldKind.ROUTE)]
)
def test_what_nobody_at_the_source_caused_is_held_however_little(cause: Cause, kind: HoldKind) -> None:
    assert kinds(verdict([dataclasses.replace(renamed(1), cause=cause)], live=1000)) == [kind]


def test_an_approval_covers_exactly_what_was_shown() -> None:
    shown = a_delete(1)
    approval = Approval(digests={shown.link.source_id: digest_of(shown)})
    limits = Limits(deletes=Limit(count=0))
    assert verdict([shown], live=10, limits=limits, approval=approval).passed == (shown,)
    changed = renamed(1)
    held = verdict([changed], live=10, limits=Limits(updates=Limit(count=0)), approval=approval)
    assert kinds(held) == [HoldKind.UPDATES]


def test_approved_actions_do_not_count_against_the_others() -> None:
    approved = [a_delete(i) for i in range(1, 41)]
    approval = Approval(digests={a.link.source_id: digest_of(a) for a in approved})
    found = verdict([*approved, a_delete(50)], live=120, approval=approval)
    assert found.parked == ()


def test_a_hold_says_how_many_people_and_how_soon() -> None:
    found = verdict([a_create(i) for i in range(1, 40)], live=10)
    assert found.parked[0].people == 39
    assert found.parked[0].earliest == an_event(1).start


def test_a_move_to_another_calendar_counts_as_a_delete() -> None:
    link = dataclasses.replace(a_settled_link(an_event(1)), state=State.SETTLED)
    assert link.accepted is not None
    elsewhere = dataclasses.replace(link, accepted=dataclasses.replace(link.accepted, calendar=CalendarId("2")))
    decision = plan(dataclasses.replace(an_event(1), title="Renamed"), elsewhere, policy=a_policy(), hasher=HASHER, now=NOW)
    assert isinstance(decision, Delete)
    assert kinds(verdict([decision], live=1, limits=Limits(deletes=Limit(count=0)))) == [HoldKind.DELETES]
