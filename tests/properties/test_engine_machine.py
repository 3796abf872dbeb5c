"""Random lives of a venue, from its books to the guests' telephones: edits, faults, deaths and decisions in any order (rules 1 to 23).

The engine, the vendor clients and the database are real, the vendors simulated, and time stands still but for what a life lets pass.
`CALRELAY_SOAK_EXAMPLES=2000` runs that many random lives; without it the same few are lived each time.
"""

import dataclasses
import os
from collections import Counter
from datetime import datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from calrelay.domain.event import SourceId
from calrelay.domain.guard import Earlier, HoldKind
from calrelay.domain.link import ExternalId, Link, MessageMode, State
from calrelay.domain.rendering import TITLE
from calrelay.domain.window import Span
from calrelay.engine import decisions
from calrelay.engine.backfill import Step
from calrelay.engine.order import Order, Reach
from calrelay.engine.report import Outcome, PassReport
from calrelay.errors import ExitCode
from calrelay.ports import Hold
from calrelay.simulators.apptoto.events import StoredEvent
from calrelay.simulators.apptoto.messages import Purpose
from calrelay.simulators.apptoto.settings import AfterDelete, BadEvents
from calrelay.simulators.faults import Fault, Kind, When
from calrelay.simulators.tripleseat.events import Stamp
from calrelay.simulators.tripleseat.places import ALDER_HOUSE, to_wall_clock
from calrelay.simulators.tripleseat.settings import Deletion
from tests.fakes.comings import Comings
from tests.fakes.guests import FIRST_ID, base_of, book
from tests.fakes.naive_venue import DAY, HERE, NEW_YORK, UNKNOWN_STATUS, Booking, Fit, complaints, exceeds, tag_of
from tests.fakes.simulated_venue import NOW, SMALL_LIMITS, Rules, Venue

SOAK = int(os.environ.get("CALRELAY_SOAK_EXAMPLES", "0"))
HOUR = timedelta(hours=1)
ROOMS = {"Main Hall": 90001, "Terrace": 90002, "Cellar": 90003}
MOVES = (HOUR, -HOUR, timedelta(minutes=15), 3 * DAY, -12 * DAY, 12 * DAY, 100 * DAY, -100 * DAY)
Shown = tuple[int, str, datetime, str]  # id, title, start and content of an entry
KEPT_BACK = frozenset({State.HELD, State.QUARANTINED, State.IGNORED, State.RELEASED, State.WAITING})
BOOKINGS = 14
MEANWHILE = ("booked", "moved", "cancelled", "elsewhere", "deleted", "back")

which = st.integers(0, 10_000)
some = st.lists(which, min_size=1, max_size=5)
rooms = st.sampled_from(sorted(ROOMS))
statuses = st.sampled_from(["DEFINITE", "DEFINITE", "LOST", "LOST", "TENTATIVE", "CLOSED", UNKNOWN_STATUS])
when = st.sampled_from(When)


FAULTS = st.sampled_from(
    [
        {"kind": Kind.STATUS, "status": 429, "headers": {"Retry-After": "3"}},
        {"kind": Kind.STATUS, "status": 429, "headers": {"Retry-After": format_datetime(NOW + timedelta(seconds=5), usegmt=True)}},
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


class VenueLife(RuleBasedStateMachine):
    """One life. `books` is the model; everything else is the world."""

    quirks: dict[str, object] = {}  # noqa: RUF012 # of the target; set by each test

    def __init__(self) -> None:
        super().__init__()
        self.venue = Venue()
        for name, value in self.quirks.items():
            setattr(self.venue.apptoto.settings, name, value)
        self.books: dict[int, Booking] = {}
        self.wanted_once: set[tuple[str, str]] = set()  # base and address: who may ever be messaged about what
        self.tags: dict[int, set[MessageMode]] = {}  # those it may have, by the target's id
        self.modes: dict[str, set[MessageMode]] = {}  # in force while a booking was known, by base
        self.deletes: list[tuple[datetime, int]] = []  # which nobody had approved
        self.blind_until = NOW  # a death, or a lost database, may hide a delete from the guard's memory
        self.rejected: dict[str, tuple[Booking, Rules]] = {}  # or dropped from quarantine
        self.released: set[str] = set()
        self.ignored: dict[str, list[Shown]] = {}  # for good, and what the target had of it
        self.retagged: dict[int, MessageMode] = {}  # by the target's id
        self.earlier = Earlier()  # what webhooks let through since the last scheduled pass
        self.versions = 1  # that of the rules it begins with

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
        self.books[number] = Booking(number=number, wall=wall, name=f"Dinner {number}", room=room, status=status, guest=number)
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
        self.books[known.number] = dataclasses.replace(known, wall=known.wall + by)
        self.venue.tripleseat.events.shift(FIRST_ID + known.number, by)

    @rule(first=which, count=st.integers(3, 6), by=st.sampled_from([HOUR, timedelta(minutes=15)]))
    def many_moves(self, first: int, count: int, by: timedelta) -> None:
        for number in range(first, first + count):
            self.a_move(number, by)

    @rule(number=which)
    def a_new_name(self, number: int) -> None:
        known = self.one(number)
        self.versions += 1
        self.books[known.number] = dataclasses.replace(known, name=f"Dinner {known.number} as of {self.versions}")
        self.venue.tripleseat.events.rename(FIRST_ID + known.number, self.books[known.number].name)

    @rule(number=which)
    def another_guest(self, number: int) -> None:
        known = self.one(number)
        changed = dataclasses.replace(known, guest=(known.guest + 20) % 100)
        self.books[known.number] = changed
        self.venue.tripleseat.events.set_contact(FIRST_ID + known.number, changed.person, stamp=Stamp.MOVE)

    @rule(number=which, room=rooms)
    def another_room(self, number: int, room: str) -> None:
        known = self.one(number)
        self.books[known.number] = dataclasses.replace(known, room=room)
        self.venue.tripleseat.events.relocate(FIRST_ID + known.number, ALDER_HOUSE.id, [ROOMS[room]])

    @rule(number=which, status=statuses)
    def another_status(self, number: int, status: str) -> None:
        known = self.one(number)
        self.books[known.number] = dataclasses.replace(known, status=status)
        self.venue.tripleseat.events.set_status(FIRST_ID + known.number, status)

    @rule(first=which, count=st.integers(2, 9))
    def many_cancellations(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            self.another_status(number, "LOST")

    @rule(number=which, deletion=st.sampled_from(Deletion))
    def a_deletion(self, number: int, deletion: Deletion) -> None:
        known = self.one(number)
        self.books[known.number] = dataclasses.replace(known, is_deleted=True)
        self.venue.tripleseat.events.delete(FIRST_ID + known.number, deletion)

    @rule(deletion=st.sampled_from(Deletion))
    def all_is_deleted(self, deletion: Deletion) -> None:
        for number in self.books:
            self.a_deletion(number, deletion)

    @rule(first=which, count=st.integers(1, 9))
    def some_return(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            known = self.one(number)
            self.books[known.number] = dataclasses.replace(known, is_deleted=False, status="DEFINITE")
            self.venue.tripleseat.events.restore(FIRST_ID + known.number)
            self.venue.tripleseat.events.set_status(FIRST_ID + known.number, "DEFINITE")

    @rule(hours=st.sampled_from([0.1, 1, 5, 25, 24 * 4]))
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
        self.configure(mode=mode)

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
    def all_holds_are_approved(self) -> None:
        if self.holds():
            decisions.approve(self.venue.ledger, "venue", clock=self.venue.clock.now)

    @rule(number=which)
    def a_hold_is_approved(self, number: int) -> None:
        if held := self.holds():
            decisions.approve(self.venue.ledger, held[number % len(held)].id, clock=self.venue.clock.now)

    @rule(number=which)
    def a_hold_is_rejected(self, number: int) -> None:
        if not (held := self.holds()):
            return
        hold = held[number % len(held)]
        decisions.reject(self.venue.ledger, hold.id, clock=self.venue.clock.now)
        for item in hold.items:
            known = self.books[int(item.source_id) - FIRST_ID]
            if hold.kind in (HoldKind.FILTER, HoldKind.ROUTE):
                self.released.add(known.base)
            else:
                self.rejected[known.base] = (known, self.venue.rules)

    @rule()
    def quarantine_is_retried(self) -> None:
        decisions.retry(self.venue.ledger, ["venue"], [], clock=self.venue.clock.now)

    @rule(number=which)
    def a_refused_event_is_dropped(self, number: int) -> None:
        if refused := [link for link in self.links().values() if link.state is State.QUARANTINED]:
            dropped = refused[number % len(refused)]
            decisions.drop(self.venue.ledger, ["venue"], dropped.external_id, clock=self.venue.clock.now)
            self.rejected[dropped.base_id] = (self.books[int(dropped.source_id) - FIRST_ID], self.venue.rules)

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

    @rule(numbers=st.one_of(some, st.none()), mode=st.sampled_from(MessageMode))
    def events_are_retagged(self, numbers: list[int] | None, mode: MessageMode) -> None:
        """Some, or all that are at the target."""
        chosen = None if numbers is None else {self.one(number).base for number in numbers}
        links = [link for base, link in self.links().items() if (link.is_live if chosen is None else base in chosen)]
        for link in decisions.retag(self.venue.ledger, links, mode, clock=self.venue.clock.now):
            self.modes.setdefault(link.base_id, set()).add(mode)
            for number, *_ in self.shown(link.base_id):
                self.tags.setdefault(number, set()).add(mode)
                self.retagged[number] = mode

    # --- what goes wrong ---

    @rule(fault=FAULTS, after=when, times=st.integers(1, 7), skip=st.integers(0, 3), method=st.sampled_from(["*", "PUT", "DELETE", "GET"]))
    def the_target_falters(self, fault: dict[str, object], after: When, times: int, skip: int, method: str) -> None:
        self.venue.apptoto.faults.add(Fault(**fault, when=after, times=times, skip=skip, method=method))  # type: ignore[arg-type]

    @rule(fault=FAULTS, times=st.integers(1, 7), skip=st.integers(0, 3))
    def the_source_falters(self, fault: dict[str, object], times: int, skip: int) -> None:
        self.venue.tripleseat.faults.add(Fault(**fault, times=times, skip=skip))  # type: ignore[arg-type]

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

    @rule()
    def nothing_is_poison(self) -> None:
        self.venue.apptoto.settings.poison = ()

    @rule()
    def all_is_well_again(self) -> None:
        self.venue.apptoto.faults.clear()
        self.venue.tripleseat.faults.clear()
        self.venue.tripleseat._after_page.clear()

    @rule()
    def a_restart(self) -> None:
        self.venue.restart()

    @rule(adopts=st.booleans())
    def a_lost_database(self, *, adopts: bool) -> None:
        """With `adopt` or without: a first load looks at the target anyway."""
        if not self.venue.apptoto.settings.echo_external_id:
            if self.is_beyond_finding():
                return
            self.all_is_well_again()
            adopts = True
        self.venue.lose_database()
        self.blind_until = self.now + DAY
        self.rejected.clear()
        self.released.clear()
        self.ignored.clear()
        self.retagged.clear()
        self.earlier = Earlier()
        if adopts:
            before = self.venue.asked("PUT"), self.venue.asked("DELETE")
            self.pass_over(adopts_only=True)
            assert (self.venue.asked("PUT"), self.venue.asked("DELETE")) == before

    # --- passes ---

    @rule()
    def a_pass(self) -> None:
        self.pass_over()

    @rule()
    def a_quick_pass(self) -> None:
        self.pass_over(reach=Reach.QUICK)

    @rule(point=st.integers(0, 60))
    def a_pass_that_dies(self, point: int) -> None:
        self.pass_over(dies_at=point)

    @rule(point=st.integers(6, 30))
    def a_quick_pass_that_dies(self, point: int) -> None:
        self.pass_over(reach=Reach.QUICK, dies_at=point)

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
        """Two quiet passes, and the target is the source, or something says why not; decided for, it is the source all the same."""
        self.all_is_well_again()
        self.nothing_is_poison()
        self.quiet_pass()
        self.quiet_pass()
        self.compare()
        assert self.quiet_pass().sent == 0
        for _ in range(4):
            if not self.holds():
                break
            self.all_holds_are_approved()
            self.quarantine_is_retried()
            self.quiet_pass()
        self.compare()
        assert not self.holds()

    # --- what holds at any time ---

    @invariant()
    def nobody_is_doubled(self) -> None:
        doubled = {base: count for base, count in Counter(base_of(event.external_id) for event in self.venue.live).items() if count > 1}
        assert not doubled

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

    # --- the model's hand ---

    @property
    def now(self) -> datetime:
        return self.venue.clock.now()

    def one(self, number: int) -> Booking:
        return self.books[number % len(self.books)]

    def is_beyond_finding(self) -> bool:
        """Whether the target holds what nobody could ask for: gone at the source, or of a generation that was forgotten."""
        deleted = {known.base for known in self.books.values() if known.is_deleted}
        return any("." in (event.external_id or "") or event.external_id in deleted for event in self.venue.live)

    def holds(self) -> list[Hold]:
        return self.venue.ledger.holds("venue")

    def links(self) -> dict[str, Link]:
        return {link.base_id: link for link in self.venue.ledger.all_links("venue")}

    def configure(self, **changes: object) -> None:
        self.venue.rules = dataclasses.replace(self.venue.rules, **changes)  # type: ignore[arg-type] # the fields of Rules
        self.versions += 1
        self.rebase(config=str(self.versions))

    def rebase(self, **changes: str) -> None:
        rules = self.venue.rules
        self.venue.rules = dataclasses.replace(rules, basis=dataclasses.replace(rules.basis, **changes))

    def note_wishes(self) -> None:
        rules = self.venue.rules
        for known in self.books.values():
            self.modes.setdefault(known.base, set()).add(rules.mode)
            if known.fit(rules, self.now) in (Fit.WANTED, Fit.UNKNOWN):
                self.wanted_once |= {(known.base, address) for address in known.addresses}

    def pass_over(
        self,
        order: Order | None = None,
        *,
        reach: Reach = Reach.COMPLETE,
        adopts_only: bool = False,
        dies_at: int | None = None,
        arrivals: Comings | None = None,
    ) -> PassReport | None:
        """Run a pass and look at what it did."""
        order = order or Order(command="adopt" if adopts_only else "sync", reach=reach, adopts_only=adopts_only)
        self.note_wishes()
        before, live = {event.id: event for event in self.venue.live}, self.venue.ledger.count_live("venue")
        approved = {item.source_id for hold in self.holds() for item in hold.items if item.approved_at is not None}
        report = self.venue.obey(order, dies_at=dies_at, arrivals=arrivals)
        self.note_wishes()  # bookings may have changed between two pages
        if report is None:
            self.blind_until = self.now + DAY
        elif order.reach is Reach.IDS:
            self.earlier = self.earlier.with_passed(report.passed)
        elif report.outcome in (Outcome.OK, Outcome.PARTIAL):
            self.earlier = Earlier()
        after = {event.id for event in self.venue.live}
        gone = [event for number, event in before.items() if number not in after]
        most = max(live, self.venue.ledger.count_live("venue") + len(gone)) if arrivals else live  # a look counts what was sent before it
        self.check_deletes([event for event in gone if base_of(event.external_id).removeprefix("ts-") not in approved], most)
        self.check_tags()
        return report

    def load(self, span: Span, mode: MessageMode, dies_at: int | None) -> list[Step] | None:
        """Run a backfill and look at what it did: it deletes nothing, and marks what it creates as it was told."""
        self.note_wishes()
        for known in self.books.values():
            self.modes[known.base].add(mode)
        before = {event.id for event in self.venue.live}
        steps = self.venue.load(span, mode, dies_at=dies_at)
        self.note_wishes()
        if steps is None:
            self.blind_until = self.now + DAY
        after = {event.id: event for event in self.venue.live}
        assert before <= after.keys()
        assert all(tag_of(event) is mode for number, event in after.items() if number not in before)
        self.check_tags()
        return steps

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

    def is_loaded(self) -> bool:
        return self.venue.ledger.pipeline("venue").first_complete_at is not None

    def shown(self, base: str) -> list[Shown]:
        """What the target shows of a booking."""
        return [(e.id, e.title, e.start_time, e.content) for e in self.venue.live if base_of(e.external_id) == base]

    def check_deletes(self, gone: list[StoredEvent], live: int) -> None:
        recent = sum(number for at, number in self.deletes if at > self.now - DAY) if self.now >= self.blind_until else 0
        if gone:
            limit = SMALL_LIMITS.deletes
            assert not exceeds(len(gone) + recent, live, count=limit.count, share=limit.share, most=limit.max or 0)
            self.deletes.append((self.now, len(gone)))

    def check_tags(self) -> None:
        """How a new event is marked stays with it (rule 16), unless somebody asks for another mark."""
        for event in self.venue.live:
            tag = tag_of(event)
            assert tag in self.tags.setdefault(event.id, {tag})
            assert tag in self.modes[base_of(event.external_id)]

    def quiet_pass(self) -> PassReport:
        report = self.pass_over()
        assert report is not None
        assert report.is_complete, report.problems
        assert report.outcome in (Outcome.OK, Outcome.PARTIAL), report.problems
        assert not [problem for problem in report.problems if problem.exit_code == ExitCode.VENDOR]
        return report

    def compare(self) -> None:
        """Every booking is where it should be, or its link says what keeps it."""
        links, held = self.links(), {item.external_id for hold in self.holds() for item in hold.items}
        calendars = {calendar.id: calendar.name for calendar in self.venue.apptoto.events.calendars.values()}
        for known in self.books.values():
            link = links.get(known.base)
            there = [event for event in self.venue.live if base_of(event.external_id) == known.base]
            if link is not None and link.state in KEPT_BACK:
                assert link.reason
                assert link.state is not State.HELD or link.external_id in held
                self.check_rejection(known, link)
                self.check_ignored(known, link)
                continue
            assert known.base not in self.ignored
            assert link is None or link.state is State.SETTLED
            wrong = complaints(known, there, self.venue.rules, self.now, calendars)
            assert not wrong, (known, link, wrong)
            self.check_retagged(known, there)

    def check_rejection(self, known: Booking, link: Link) -> None:
        """What was rejected is left alone until its row changes, and no longer."""
        if link.state is State.IGNORED and link.until_changed and known.base in self.rejected:
            then, rules = self.rejected[known.base]
            both_gone = {then.fit(rules, self.now), known.fit(self.venue.rules, self.now)}.isdisjoint({Fit.WANTED, Fit.UNKNOWN})
            same = both_gone or (then == known and then.start(rules) == known.start(self.venue.rules))
            assert same, f"{known} is ignored, and was {then} when it was rejected"

    def check_ignored(self, known: Booking, link: Link) -> None:
        """What is left alone somebody said to leave alone, and what is ignored for good stays as it was."""
        if link.state is State.RELEASED:
            assert known.base in self.released
        if link.state is State.IGNORED:
            assert known.base in (self.rejected if link.until_changed else self.ignored)
        if known.base in self.ignored:
            assert link.state is State.IGNORED
            assert self.shown(known.base) == self.ignored[known.base]

    def check_retagged(self, known: Booking, there: list[StoredEvent]) -> None:
        """The mark that somebody asked for has come to the target."""
        if known.fit(self.venue.rules, self.now) in (Fit.WANTED, Fit.UNKNOWN):
            assert all(tag_of(event) is self.retagged.get(event.id, tag_of(event)) for event in there)


QUIRKS: dict[str, dict[str, object]] = {
    "a plain target": {},
    "a target that tells little": {"show_deleted": False, "delete_again_status": 404, "echo_external_id": False},
    "a target that revives nothing": {"after_delete": AfterDelete.UPDATE_DELETED, "bad_events": BadEvents.DROP},
}


@pytest.mark.parametrize("name", QUIRKS)
def test_a_venue_s_life_keeps_the_rules_whatever_happens(name: str) -> None:
    machine = type("VenueLife", (VenueLife,), {"quirks": QUIRKS[name]})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=SOAK or 24,
            stateful_step_count=60 if SOAK else 25,
            derandomize=not SOAK,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
