"""Random lives of a venue, from its books to the guests' telephones: edits, faults, deaths and decisions in any order (rules 1 to 23).

The engine, the vendor clients and the database are real, the vendors simulated, and time stands still but for what a life lets pass.
`CALRELAY_SOAK_EXAMPLES=2000` runs that many random lives; without it the same few are lived each time.
"""

import contextlib
import dataclasses
import os
from collections import Counter
from datetime import timedelta
from email.utils import format_datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from calrelay.domain.event import SourceId
from calrelay.domain.guard import Earlier, HoldKind
from calrelay.domain.link import ExternalId, MessageMode, State
from calrelay.domain.rendering import TITLE
from calrelay.domain.window import Span
from calrelay.engine import decisions
from calrelay.engine.order import Order, Reach
from calrelay.errors import GuardRefused
from calrelay.simulators.apptoto.messages import Purpose
from calrelay.simulators.apptoto.settings import AfterDelete, BadEvents, Overload
from calrelay.simulators.faults import Fault, Kind, When
from calrelay.simulators.tripleseat.events import Stamp
from calrelay.simulators.tripleseat.places import ALDER_HOUSE, to_wall_clock
from calrelay.simulators.tripleseat.settings import Deletion
from tests.fakes.comings import Comings
from tests.fakes.deeds import Deed, Tally, entries_of
from tests.fakes.guests import FIRST_ID, base_of, book
from tests.fakes.naive_venue import DAY, HERE, NEW_YORK, UNKNOWN_STATUS, Booking
from tests.fakes.simulated_venue import NOW, Speeds, Venue
from tests.fakes.venue_model import VenueModel

SOAK = int(os.environ.get("CALRELAY_SOAK_EXAMPLES", "0"))
HOUR = timedelta(hours=1)
ROOMS = {"Main Hall": 90001, "Terrace": 90002, "Cellar": 90003}
MOVES = (HOUR, -HOUR, timedelta(minutes=15), 3 * DAY, -12 * DAY, 12 * DAY, 100 * DAY, -100 * DAY)
AT_REST = frozenset({State.SETTLED, State.IGNORED, State.RELEASED})
BOOKINGS = 14
OURS = ("filter", "route", "template", "zone")
LATE = (
    ("PUT", "moved"),
    ("PUT", "cancelled"),
    ("PUT", "deleted"),
    ("DELETE", "back"),
)  # a request, and what happens to its booking meanwhile
MEANWHILE = ("booked", "moved", "cancelled", "elsewhere", "deleted", "back")
SOON = "a date, five seconds from then"

which = st.integers(0, 10_000)
some = st.lists(which, min_size=1, max_size=5)
rooms = st.sampled_from(sorted(ROOMS))
statuses = st.sampled_from(["DEFINITE", "DEFINITE", "LOST", "LOST", "TENTATIVE", "CLOSED", UNKNOWN_STATUS])
when = st.sampled_from(When)
FAULTS = st.sampled_from(
    [
        {"kind": Kind.STATUS, "status": 429, "headers": {"Retry-After": "3"}},
        {"kind": Kind.STATUS, "status": 429, "headers": {"Retry-After": SOON}},
        {"kind": Kind.STATUS, "status": 429, "body": "<h1>Retry later</h1>"},
        {"kind": Kind.STATUS, "status": 503},
        {"kind": Kind.STATUS, "status": 502, "body": "<h1>Bad Gateway</h1>"},
        {"kind": Kind.STATUS, "status": 401},
        {"kind": Kind.STATUS, "status": 403},
        {"kind": Kind.HTML},
        {"kind": Kind.EMPTY},
        {"kind": Kind.CUT},
        {"kind": Kind.RESET},
        {"kind": Kind.HANG, "seconds": 400.0},
    ]
)


class VenueLife(VenueModel, RuleBasedStateMachine):
    """One life: what may happen, and what holds after each of it."""

    quirks: dict[str, object] = {}  # noqa: RUF012 # of the target; set by each test
    max_in_flight = 1

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        VenueModel.__init__(self, Venue(speeds=Speeds(max_in_flight=self.max_in_flight)))
        for name, value in self.quirks.items():
            setattr(self.venue.apptoto.settings, name, value)

    def teardown(self) -> None:
        try:
            self.settle_down()
        finally:
            self.venue.close()

    # --- what happens at the venue ---

    @initialize(days=st.lists(st.integers(-1, 50), min_size=6, max_size=10))
    def open_the_books(self, days: list[int]) -> None:
        for day in days:
            self.a_booking(day, "Main Hall", "DEFINITE")

    @precondition(lambda self: len(self.books) < BOOKINGS)
    @rule(day=st.integers(-3, 70), room=rooms, status=statuses)
    def a_booking(self, day: int, room: str, status: str) -> None:
        number = len(self.books)
        start = NOW + day * DAY + timedelta(minutes=7 * number)
        wall = to_wall_clock(start, NEW_YORK)
        self.write(Booking(number=number, wall=wall, name=f"Dinner {number}", room=room, status=status, guest=number))
        places = [place for place in ALDER_HOUSE.rooms if place.id == ROOMS[room]]
        book(self.venue.tripleseat, number, start, status=status, rooms=places)

    @precondition(lambda self: len(self.books) < BOOKINGS - 5)
    @rule(day=st.integers(2, 40))
    def many_bookings(self, day: int) -> None:
        for number in range(5):
            self.a_booking(day + number, "Main Hall", "DEFINITE")

    @rule(number=which, by=st.sampled_from(MOVES))
    def a_move(self, number: int, by: timedelta) -> None:
        known = self.one(number)
        self.write(dataclasses.replace(known, wall=known.wall + by))
        self.venue.tripleseat.events.shift(FIRST_ID + known.number, by)

    @rule(first=which, count=st.integers(3, 6), by=st.sampled_from([HOUR, timedelta(minutes=15)]))
    def many_moves(self, first: int, count: int, by: timedelta) -> None:
        for number in range(first, first + count):
            self.a_move(number, by)

    @rule(number=which)
    def a_new_name(self, number: int) -> None:
        known = self.one(number)
        self.versions += 1
        self.write(dataclasses.replace(known, name=f"Dinner {known.number} as of {self.versions}"))
        self.venue.tripleseat.events.rename(FIRST_ID + known.number, self.books[known.number].name)

    @rule(number=which)
    def another_guest(self, number: int) -> None:
        known = self.one(number)
        changed = dataclasses.replace(known, guest=(known.guest + 20) % 100)
        self.write(changed)
        self.venue.tripleseat.events.set_contact(FIRST_ID + known.number, changed.person, stamp=Stamp.MOVE)

    @rule(number=which, room=rooms)
    def another_room(self, number: int, room: str) -> None:
        known = self.one(number)
        self.write(dataclasses.replace(known, room=room))
        self.venue.tripleseat.events.relocate(FIRST_ID + known.number, ALDER_HOUSE.id, [ROOMS[room]])

    @rule(number=which, status=statuses)
    def another_status(self, number: int, status: str) -> None:
        known = self.one(number)
        self.write(dataclasses.replace(known, status=status))
        self.venue.tripleseat.events.set_status(FIRST_ID + known.number, status)

    @rule(first=which, count=st.integers(2, 9))
    def many_cancellations(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            self.another_status(number, "LOST")

    @rule(number=which, deletion=st.sampled_from(Deletion))
    def a_deletion(self, number: int, deletion: Deletion) -> None:
        known = self.one(number)
        self.write(dataclasses.replace(known, is_deleted=True))
        self.venue.tripleseat.events.delete(FIRST_ID + known.number, deletion)

    @rule(deletion=st.sampled_from(Deletion))
    def all_is_deleted(self, deletion: Deletion) -> None:
        for number in self.books:
            self.a_deletion(number, deletion)

    @rule(first=which, count=st.integers(1, 9))
    def some_return(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            known = self.one(number)
            self.write(dataclasses.replace(known, is_deleted=False, status="DEFINITE"))
            self.venue.tripleseat.events.restore(FIRST_ID + known.number)
            self.venue.tripleseat.events.set_status(FIRST_ID + known.number, "DEFINITE")

    @rule(hours=st.sampled_from([0.05, 0.1, 1, 5, 25, 24 * 4]))
    def time_passes(self, hours: float) -> None:
        self.venue.clock.advance(timedelta(hours=hours))

    # --- what the operator and a new release change ---

    @rule(only=st.sampled_from([frozenset(), frozenset({"main hall", "cellar"}), frozenset({"terrace"})]))
    def another_filter(self, only: frozenset[str]) -> None:
        self.configure(rooms=only)

    @rule(more=st.booleans())
    def other_statuses(self, *, more: bool) -> None:
        self.configure(statuses=frozenset({"DEFINITE", "CLOSED"} | ({"TENTATIVE"} if more else set())))

    @rule(apart=st.booleans())
    def another_route(self, *, apart: bool) -> None:
        self.configure(terrace_apart=apart)

    @rule(title=st.sampled_from([TITLE, f"Event: {TITLE}"]))
    def another_template(self, title: str) -> None:
        self.configure(title=title)

    @rule(mode=st.sampled_from(MessageMode))
    def another_message_mode(self, mode: MessageMode) -> None:
        self.venue.rules = dataclasses.replace(self.venue.rules, mode=mode)

    @rule(settle=st.sampled_from([timedelta(), HOUR]))
    def another_settle(self, settle: timedelta) -> None:
        self.venue.rules = dataclasses.replace(self.venue.rules, settle=settle)

    @rule()
    def a_new_release(self) -> None:
        self.versions += 1
        self.rebase(mapping=str(self.versions))

    @rule(zone=st.sampled_from([NEW_YORK, "America/Chicago"]))
    def new_zone_data(self, zone: str) -> None:
        """The rules of a zone change: played by naming another one, and by another version of the data."""
        self.versions += 1
        self.venue.rules = dataclasses.replace(self.venue.rules, zones={HERE: zone})
        self.rebase(zone_data=f"2026-{self.versions}")

    @rule()
    def holds_are_listed(self) -> None:
        self.venue.ledger.note_shown(self.holds(), self.now)
        for hold in self.holds():
            self.listed.setdefault(hold.id, set()).update((item.source_id, item.digest) for item in hold.items)

    @rule()
    def all_holds_are_approved(self) -> None:
        if self.holds():
            self.approve("venue")

    @rule(number=which)
    def a_hold_is_approved(self, number: int) -> None:
        if held := self.holds():
            self.approve(held[number % len(held)].id)

    def approve(self, name: str) -> None:
        """Approve what was listed, or what is there where nothing of it was."""
        before = {(hold.id, item.source_id): item.approved_at for hold in self.holds() for item in hold.items}
        with contextlib.suppress(GuardRefused):  # all of it came after it was listed
            decisions.approve(self.venue.ledger, name, clock=self.venue.clock.now)
        for hold in self.holds():
            approved = {(i.source_id, i.digest) for i in hold.items if i.approved_at is not None and not before[hold.id, i.source_id]}
            assert hold.shown_at is None or approved <= self.listed[hold.id]

    @rule(number=which)
    def a_hold_is_rejected(self, number: int) -> None:
        if not (held := self.holds()):
            return
        try:
            (hold,) = decisions.reject(self.venue.ledger, held[number % len(held)].id, clock=self.venue.clock.now)
        except GuardRefused:  # all of it came after it was listed
            return
        for item in hold.items:
            known = self.books[int(item.source_id) - FIRST_ID]
            if hold.kind in (HoldKind.FILTER, HoldKind.ROUTE):
                self.released[known.base] = self.shown(known.base)
            else:
                self.note_rejection(known)
                (self.kept.add if item.action == "delete" else self.kept.discard)(known.base)

    @rule()
    def quarantine_is_retried(self) -> None:
        decisions.retry(self.venue.ledger, ["venue"], [], clock=self.venue.clock.now)

    @rule(number=which)
    def a_refused_event_is_dropped(self, number: int) -> None:
        if refused := [link for link in self.links().values() if link.state is State.QUARANTINED]:
            dropped = refused[number % len(refused)]
            decisions.drop(self.venue.ledger, ["venue"], dropped.external_id, clock=self.venue.clock.now)
            self.kept.discard(dropped.base_id)
            self.note_rejection(self.books[int(dropped.source_id) - FIRST_ID])

    @rule(number=which)
    def an_event_is_ignored(self, number: int) -> None:
        base = self.one(number).base
        if base in self.links():
            decisions.ignore(self.venue.ledger, ExternalId(base), clock=self.venue.clock.now)
            self.ignored[base] = self.shown(base)

    @rule(number=which)
    def an_event_is_no_longer_ignored(self, number: int) -> None:
        if left_alone := [link.base_id for link in self.links().values() if link.state is State.IGNORED]:
            base = left_alone[number % len(left_alone)]
            decisions.unignore(self.venue.ledger, base, clock=self.venue.clock.now)
            self.ignored.pop(base, None)
            self.rejected.pop(base, None)
            self.settled.pop(base, None)

    @rule(numbers=st.one_of(some, st.none()), mode=st.sampled_from(MessageMode))
    def events_are_retagged(self, numbers: list[int] | None, mode: MessageMode) -> None:
        """Some, or all that are at the target."""
        self.check_tags()  # notes those of entries that arrived after their process had died
        chosen = None if numbers is None else {self.one(number).base for number in numbers}
        links = [link for base, link in self.links().items() if (link.is_live if chosen is None else base in chosen)]
        for link in decisions.retag(self.venue.ledger, links, mode, clock=self.venue.clock.now):
            self.modes.setdefault(link.base_id, set()).add(mode)
            self.settled.pop(link.base_id, None)
            known = {int(link.target_id)} if link.target_id else set()  # which may be marked as deleted, and be revived
            for number in known | self.entries_at(link.base_id).keys():
                self.tags.setdefault(number, set()).add(mode)
                self.retagged[number] = mode

    # --- what goes wrong ---

    @rule(fault=FAULTS, after=when, times=st.integers(1, 7), skip=st.integers(0, 3), method=st.sampled_from(["*", "PUT", "DELETE", "GET"]))
    def the_target_falters(self, fault: dict[str, object], after: When, times: int, skip: int, method: str) -> None:
        self.venue.apptoto.faults.add(Fault(**self.dated(fault), when=after, times=times, skip=skip, method=method))  # type: ignore[arg-type]

    @rule(fault=FAULTS, times=st.integers(1, 7), skip=st.integers(0, 3))
    def the_source_falters(self, fault: dict[str, object], times: int, skip: int) -> None:
        self.venue.tripleseat.faults.add(Fault(**self.dated(fault), times=times, skip=skip))  # type: ignore[arg-type]

    @rule(size=st.sampled_from([2, 3, 5, 50]), repeated=st.integers(0, 1))
    def pages_of_another_size(self, size: int, repeated: int) -> None:
        self.venue.tripleseat.settings.page_size = size
        self.venue.tripleseat.settings.repeat_rows = repeated

    @rule(number=which, page=st.integers(1, 3), by=st.sampled_from(MOVES))
    def rows_will_shift_between_pages(self, number: int, page: int, by: timedelta) -> None:
        self.venue.tripleseat.after_page(page, lambda: self.a_move(number, by))

    @rule(number=which, page=st.integers(1, 3))
    def a_row_will_vanish_between_pages(self, number: int, page: int) -> None:
        self.venue.tripleseat.after_page(page, lambda: self.a_deletion(number, Deletion.GONE))

    @rule(number=which, mode=st.sampled_from(BadEvents))
    def a_booking_is_poison(self, number: int, mode: BadEvents) -> None:
        """The target refuses it, in one of four ways."""
        sick = self.one(number)
        self.venue.apptoto.settings.bad_events = mode
        self.venue.apptoto.settings.poison = tuple(f"{sick.base}{suffix}" for suffix in ("", ".2", ".3", ".4", ".5"))

    @rule(number=which, applied=st.sampled_from(Overload))
    def the_target_fails_over_a_booking(self, number: int, applied: Overload) -> None:
        """A batch with it always draws a 502, whatever the target did with it."""
        self.venue.apptoto.settings.overload = applied
        self.venue.apptoto.settings.failing = tuple(f"{self.one(number).base}{suffix}" for suffix in ("", ".2", ".3", ".4", ".5"))

    @rule()
    def nothing_is_poison(self) -> None:
        self.venue.apptoto.settings.poison = self.venue.apptoto.settings.failing = ()

    @rule()
    def all_is_well_again(self) -> None:
        self.venue.apptoto.faults.clear()
        self.venue.tripleseat.faults.clear()
        self.venue.tripleseat._after_page.clear()

    @precondition(lambda self: self.venue.fate.on_their_way)
    @rule()
    def what_was_on_its_way_at_a_death_arrives(self) -> None:
        """Apptoto works on a request for up to 240 seconds; whoever sent it may have died long before."""
        if self.now - self.died_at <= timedelta(seconds=240):
            before = entries_of(self.venue)
            self.venue.carry_out_late()
            deed = Deed(before=before, after=entries_of(self.venue), live=0)
            self.late |= deed.harmed | deed.created
        self.venue.fate.on_their_way.clear()

    @rule()
    def a_restart(self) -> None:
        self.venue.restart()

    @rule(adopts=st.booleans(), dies_at=st.one_of(st.none(), st.integers(0, 20)))
    def a_lost_database(self, dies_at: int | None, *, adopts: bool) -> None:
        """With `adopt`, which may die, or without: a first load looks at the target anyway."""
        if not self.venue.apptoto.settings.echo_external_id:
            if self.is_beyond_finding():
                return
            self.all_is_well_again()
            adopts = True
        self.venue.fate.on_their_way.clear()
        self.venue.lose_database()
        self.blind_until = self.now + DAY
        self.rejected.clear()
        self.released.clear()
        self.ignored.clear()
        self.retagged.clear()
        self.settled.clear()
        self.forget_marks_of_deleted()
        self.earlier, self.tally = Earlier(), Tally()
        if adopts:
            before = self.venue.asked("PUT"), self.venue.asked("DELETE")
            if self.pass_over(adopts_only=True, dies_at=dies_at) is None:
                self.pass_over(adopts_only=True)
            assert (self.venue.asked("PUT"), self.venue.asked("DELETE")) == before

    # --- passes ---

    @rule()
    def a_pass(self) -> None:
        self.pass_over()

    @rule()
    def a_quick_pass(self) -> None:
        self.pass_over(reach=Reach.QUICK)

    @rule(what=st.sampled_from(OURS), number=which)
    def a_change_of_ours_between_two_passes(self, what: str, number: int) -> None:
        """Nobody at the source has done anything, so nothing goes before somebody has decided."""
        self.another_room(number, "Terrace")
        self.pass_over()
        rules = self.venue.rules
        match what:
            case "filter":
                self.another_filter(frozenset() if rules.rooms else frozenset({"main hall", "cellar"}))
            case "route":
                self.another_route(apart=not rules.terrace_apart)
            case "template":
                self.another_template(f"Event: {TITLE}" if rules.title == TITLE else TITLE)
            case "zone":
                self.new_zone_data("America/Chicago" if rules.zones.get(HERE, NEW_YORK) == NEW_YORK else NEW_YORK)
        self.pass_over()

    @rule(point=st.integers(0, 60))
    def a_pass_that_dies(self, point: int) -> None:
        self.pass_over(dies_at=point)

    @rule(point=st.integers(6, 30))
    def a_quick_pass_that_dies(self, point: int) -> None:
        self.pass_over(reach=Reach.QUICK, dies_at=point)

    @rule(number=which, late=st.sampled_from(LATE), minutes=st.integers(0, 4))
    def a_change_arrives_late(self, number: int, late: tuple[str, str], minutes: int) -> None:
        """A pass dies with a request in flight; the booking changes once more, a pass sees to that, and then the request is carried out."""
        method, what = late
        if method == "PUT":
            self.a_move(number, 3 * DAY)
        else:
            self.another_status(number, "LOST")
        self.pass_over(dies_at=f"before target {method}")
        self.change(what, [number])
        self.pass_over()
        self.time_passes(minutes / 60)
        if self.venue.fate.on_their_way:
            self.what_was_on_its_way_at_a_death_arrives()

    @precondition(lambda self: self.is_loaded())
    @rule(numbers=some, dies_at=st.one_of(st.none(), st.integers(2, 25)))
    def a_webhook(self, numbers: list[int], dies_at: int | None) -> None:
        """It names events by id; some may never have been booked."""
        self.pass_over(self.a_look_at(numbers), dies_at=dies_at)

    @precondition(lambda self: self.is_loaded())
    @rule(first=which, count=st.integers(4, 7), after=st.integers(1, 2), edits=some, what=st.sampled_from(MEANWHILE), by_id=st.booleans())
    def a_pass_into_which_newcomers_come(self, first: int, count: int, after: int, edits: list[int], what: str, *, by_id: bool) -> None:
        """A pass with several batches to send; between two of them bookings change, and are looked at."""
        for number in range(first, first + count):
            self.a_new_name(number)
        look = self.a_look_at(edits) if by_id else Order(command="run", reach=Reach.QUICK, earlier=self.earlier)
        self.pass_over(arrivals=Comings(self.venue, look, lambda: self.change(what, edits), after=after))

    @rule(
        begins=st.sampled_from([-1, 0, 5]),
        weeks=st.integers(1, 10),
        mode=st.sampled_from(MessageMode),
        dies_at=st.one_of(st.none(), st.integers(0, 90)),
        resumes=st.booleans(),
    )
    def a_load(self, begins: int, weeks: int, mode: MessageMode, dies_at: int | None, *, resumes: bool) -> None:
        """A backfill, which may die, and may be typed again."""
        begin = self.now + begins * DAY
        span = Span(begin=begin, end=begin + weeks * 7 * DAY)
        if self.load(span, mode, dies_at) is None and resumes:
            self.load(span, mode, None)

    @rule()
    def a_dry_run(self) -> None:
        before = self.venue.asked("PUT"), self.venue.asked("DELETE"), list(self.venue.ledger.all_links("venue"))
        self.venue.sync(is_dry_run=True)
        assert (self.venue.asked("PUT"), self.venue.asked("DELETE"), list(self.venue.ledger.all_links("venue"))) == before

    @rule()
    def settle_down(self) -> None:
        """Three quiet passes, and the target is the source, or something says why not; decided for, it is the source all the same."""
        self.all_is_well_again()
        self.nothing_is_poison()
        self.venue.fate.on_their_way.clear()
        if self.late:
            self.quiet_pass()
            self.time_passes(0.1)  # it is looked for during five minutes
        for _ in range(3):  # what row and config both changed takes one more: first what the row did
            self.quiet_pass()
        self.compare()
        self.forget_late()
        assert self.quiet_pass().sent == 0
        self.another_settle(timedelta())
        for _ in range(7):
            self.holds_are_listed()
            self.all_holds_are_approved()
            self.quarantine_is_retried()
            if self.quiet_pass().sent == 0 and not self.holds():
                break
        self.compare()
        assert {link.state for link in self.links().values()} <= AT_REST
        assert not self.holds()

    # --- what holds at any time ---

    @invariant()
    def nobody_is_doubled(self) -> None:
        counted = Counter(base_of(event.external_id) for event in self.venue.live)
        assert not [base for base, count in counted.items() if count > 1 and base not in self.late]

    @invariant()
    def nobody_is_messaged_who_should_not_be(self) -> None:
        messages = self.venue.apptoto.messages
        told = Counter((m.external_id, m.to, m.purpose, m.channel, None if m.purpose is Purpose.BOOKING else m.at) for m in messages.sent)
        strangers = [m for m in messages.sent if (base_of(m.external_id), m.to) not in self.wanted_once]
        assert not strangers
        assert max(told.values(), default=1) == 1
        assert not messages.one_offs
        assert not messages.marks
        assert not self.venue.apptoto.events.extracted

    def dated(self, fault: dict[str, object]) -> dict[str, object]:
        """Turn a `Retry-After` that is a date into one that lies ahead."""
        if fault.get("headers") != {"Retry-After": SOON}:
            return fault
        return {**fault, "headers": {"Retry-After": format_datetime(self.now + timedelta(seconds=5), usegmt=True)}}

    def a_look_at(self, numbers: list[int]) -> Order:
        """What the daemon asks for when webhooks name these."""
        ids = frozenset(SourceId(str(FIRST_ID + number % (BOOKINGS + 2))) for number in numbers)
        return Order(command="webhook", reach=Reach.IDS, ids=ids, earlier=self.earlier)

    def change(self, what: str, numbers: list[int]) -> None:
        """Let something happen to these at the source."""
        for number in numbers:
            match what:
                case "booked" if len(self.books) < BOOKINGS:
                    self.a_booking(number % 60, "Main Hall", "DEFINITE")
                case "moved":
                    self.a_move(number, MOVES[number % len(MOVES)])
                case "cancelled":
                    self.another_status(number, "LOST")
                case "elsewhere":
                    self.another_room(number, sorted(ROOMS)[number % len(ROOMS)])
                case "deleted":
                    self.a_deletion(number, Deletion.GONE)
                case "back":
                    self.some_return(number, 1)


QUIRKS: dict[str, dict[str, object]] = {
    "a plain target": {},
    "a target that tells little": {"show_deleted": False, "delete_again_status": 404, "echo_external_id": False},
    "a target that revives nothing": {"after_delete": AfterDelete.UPDATE_DELETED, "bad_events": BadEvents.DROP},
}


@pytest.mark.parametrize("name", QUIRKS)
def test_a_venue_s_life_keeps_the_rules_whatever_happens(name: str) -> None:
    machine = type("VenueLife", (VenueLife,), {"quirks": QUIRKS[name], "max_in_flight": 1 + list(QUIRKS).index(name)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=SOAK or 10,
            stateful_step_count=60 if SOAK else 25,
            derandomize=not SOAK,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("late", LATE)
def test_a_request_carried_out_after_its_process_died_is_put_right(late: tuple[str, str]) -> None:
    life = VenueLife()
    life.open_the_books([1, 5, 9, 13, 20, 30])
    life.pass_over()
    life.a_change_arrives_late(1, late, minutes=1)
    assert life.late
    life.teardown()
