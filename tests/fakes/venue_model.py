"""What an onlooker knows of a venue's life, and what must hold of whatever a pass does: rules, guards, decisions and the books.

Written from the rules; of the engine it asks only what an operator is told: links with their states, holds, and what came of a pass.
"""

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from calrelay.domain.event import SourceId
from calrelay.domain.guard import Earlier
from calrelay.domain.link import Link, MessageMode, State, Wait, quieter
from calrelay.domain.window import Span
from calrelay.engine.backfill import Step
from calrelay.engine.order import Order, Reach
from calrelay.engine.report import Outcome, PassReport
from calrelay.errors import ExitCode
from calrelay.ports import Hold
from calrelay.simulators.apptoto.events import StoredEvent
from tests.fakes.comings import Comings
from tests.fakes.deeds import Deed, Shown, Tally, entries_of
from tests.fakes.guests import base_of
from tests.fakes.naive_venue import DAY, UNKNOWN_STATUS, Booking, Fit, calendar_name, complaints, exceeds, tag_of
from tests.fakes.simulated_venue import NOW, SMALL_LIMITS, WINDOW, Rules, Venue

Done = TypeVar("Done", PassReport | None, list[Step] | None)
KEPT_BACK = frozenset({State.HELD, State.QUARANTINED, State.IGNORED, State.RELEASED, State.WAITING})


class VenueModel:
    """`books` is the model; everything else is the world."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.books: dict[int, Booking] = {}
        self.wanted_once: set[tuple[str, str]] = set()  # base and address: who may ever be messaged about what
        self.tags: dict[int, set[MessageMode]] = {}  # those it may have, by the target's id
        self.modes: dict[str, set[MessageMode]] = {}  # in force while a booking was known, by base
        self.deletes: list[tuple[datetime, int]] = []  # which nobody had approved
        self.blind_until = NOW  # a death, or a lost database, may hide a delete from the guard's memory
        self.since: dict[Booking, datetime] = {}  # when the books said so for the first time
        self.lately: dict[str, set[Booking]] = {}  # what they said since a pass began, by base
        self.settled: dict[str, Booking] = {}  # as the target was last brought in step with it
        self.tally = Tally()
        self.listed: dict[str, set[tuple[SourceId, str]]] = {}  # items and digests, by hold
        self.died_at = NOW
        self.late: set[str] = set()  # what the target changed by itself: a request carried out after the process that sent it had died
        self.rules_lately: list[Rules] = []  # those of the last pass, by which its holds were made
        self.rejected: dict[str, tuple[set[Booking], list[Rules]]] = {}  # or dropped from quarantine, as what the last pass may have read
        self.kept: set[str] = set()  # whose deletion was rejected, whatever the books say at that moment
        self.released: dict[str, list[Shown]] = {}  # and what the target had of it
        self.ignored: dict[str, list[Shown]] = {}  # for good
        self.retagged: dict[int, MessageMode] = {}  # by the target's id
        self.earlier = Earlier()  # what webhooks let through since the last scheduled pass
        self.versions = 1  # that of the rules it begins with

    @property
    def now(self) -> datetime:
        return self.venue.clock.now()

    def one(self, number: int) -> Booking:
        return self.books[number % len(self.books)]

    def write(self, booking: Booking) -> None:
        """Enter a booking as it is from now on."""
        if self.books.get(booking.number) != booking:
            self.settled.pop(booking.base, None)
        self.books[booking.number] = booking
        self.since.setdefault(booking, self.now)
        self.lately.setdefault(booking.base, set()).add(booking)

    def is_beyond_finding(self) -> bool:
        """Whether the target holds what nobody could ask for: not in the source's list any more, or of a generation that was forgotten."""
        window = WINDOW.at(self.now)
        unlisted = {known.base for known in self.books.values() if known.is_deleted or known.start(self.venue.rules) not in window}
        return any("." in (event.external_id or "") or event.external_id in unlisted for event in self.venue.live)

    def holds(self) -> list[Hold]:
        return self.venue.ledger.holds("venue")

    def links(self) -> dict[str, Link]:
        return {link.base_id: link for link in self.venue.ledger.all_links("venue")}

    def configure(self, **changes: object) -> None:
        self.venue.rules = dataclasses.replace(self.venue.rules, **changes)  # type: ignore[arg-type] # the fields of Rules
        self.versions += 1
        choice, texts = self.venue.rules.basis.config.split(" ")
        self.rebase(config=f"{choice} {self.versions}" if "title" in changes else f"{self.versions} {texts}")

    def rebase(self, **changes: str) -> None:
        rules = self.venue.rules
        self.venue.rules = dataclasses.replace(rules, basis=dataclasses.replace(rules.basis, **changes))

    def forget_late(self) -> None:
        """What came late has been put right, where it is not to be left as it is."""
        for left in (self.ignored, self.released):
            left.update({base: self.shown(base) for base in self.late & left.keys()})
        self.late.clear()

    def forget_marks_of_deleted(self) -> None:
        """With the database it is lost that an id was used: what is created under it again is new, though the target revives the old."""
        live = {event.id for event in self.venue.live}
        self.tags = {number: tags for number, tags in self.tags.items() if number in live}

    def died(self) -> None:
        self.died_at, self.blind_until = self.now, self.now + DAY

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
        dies_at: int | str | None = None,
        arrivals: Comings | None = None,
    ) -> PassReport | None:
        """Run a pass and look at what it did."""
        order = order or Order(command="adopt" if adopts_only else "sync", reach=reach, adopts_only=adopts_only)
        report = self.look_on(lambda: self.venue.obey(order, dies_at=dies_at, arrivals=arrivals), order, lets_in=arrivals is not None)
        if report is None:
            self.died()
        elif order.reach is Reach.IDS:
            self.earlier = self.earlier.with_passed(report.passed)
        elif report.outcome in (Outcome.OK, Outcome.PARTIAL):
            self.earlier, self.tally = Earlier(), Tally()
        if report is not None and report.is_complete and report.exit_code != ExitCode.VENDOR:  # else something is still to be sent
            self.note_settled()
        return report

    def look_on(self, act: Callable[[], Done], order: Order, *, lets_in: bool = False) -> Done:
        """Let a pass, or a load, do its work, and look at what it did."""
        self.note_wishes()
        self.lately = {known.base: {known} for known in self.books.values()}
        self.rules_lately = [self.venue.rules]
        before, live, is_loaded = entries_of(self.venue), self.venue.ledger.count_live("venue"), self.is_loaded()
        approved = self.approved() | self.late
        owing: set[str] = {link.base_id for link in self.links().values() if link.state in (State.READY, State.SENDING)}
        waiting: set[str] = {link.base_id for link in self.links().values() if link.state is State.WAITING and link.reason in tuple(Wait)}
        found = act()
        self.note_wishes()  # bookings may have changed between two pages
        after = entries_of(self.venue)
        deed = Deed(before=before, after=after, live=0)
        most = max(live, self.venue.ledger.count_live("venue") + len(deed.gone) - len(deed.created))
        self.check_deletes([shown for shown in deed.gone if shown.base not in approved], most)
        self.check_reasons(deed, approved | owing)
        self.check_patience(deed, owing)
        self.check_tags()
        if not lets_in:  # a look in between lets as much through as a pass of its own
            tally = self.tally if order.reach is Reach.IDS else Tally()
            tally = tally.with_deed(deed, approved | owing | waiting, counts_creates=is_loaded and not order.is_load)
            too_much = tally.too_much(most + (len(deed.created) if order.is_load else 0))  # chunk by chunk there are more of them
            assert not too_much, too_much
            self.tally = tally if found is not None and order.reach is Reach.IDS else self.tally
        return found

    def load(self, span: Span, mode: MessageMode, dies_at: int | None) -> list[Step] | None:
        """Run a backfill and look at what it did: it deletes nothing, and marks what it creates as it was told."""
        self.note_wishes()
        for known in self.books.values():
            self.modes[known.base].add(mode)
        before = {event.id for event in self.venue.live}
        steps = self.look_on(lambda: self.venue.load(span, mode, dies_at=dies_at), Order(command="backfill", is_load=True))
        if steps is None:
            self.died()
        after = {event.id: event for event in self.venue.live}
        assert before <= after.keys()
        assert all(tag_of(event) is mode for number, event in after.items() if number not in before)
        return steps

    def is_loaded(self) -> bool:
        return self.venue.ledger.pipeline("venue").first_complete_at is not None

    def entries_at(self, base: str) -> dict[int, Shown]:
        """What the target shows of a booking, by its own ids."""
        return {number: shown for number, shown in entries_of(self.venue).items() if shown.base == base}

    def shown(self, base: str) -> list[Shown]:
        return list(self.entries_at(base).values())

    def approved(self) -> set[str]:
        """The events of which something is approved, for no longer than a day."""
        items = [item for hold in self.holds() for item in hold.items]
        return {f"ts-{item.source_id}" for item in items if item.approved_at is not None and self.now - item.approved_at <= DAY}

    def note_settled(self) -> None:
        """Note what the target was brought in step with, where the books stood still meanwhile."""
        links = self.links()
        for base, said in self.lately.items():
            if base not in links or links[base].state is not State.SETTLED:
                continue
            if len(said) == 1 and not self.complaints_of(*said):
                (self.settled[base],) = said
            else:
                self.settled.pop(base, None)

    def complaints_of(self, known: Booking) -> list[str]:
        calendars = {calendar.id: calendar.name for calendar in self.venue.apptoto.events.calendars.values()}
        return complaints(known, self.there(known), self.venue.rules, self.now, calendars)

    def there(self, known: Booking) -> list[StoredEvent]:
        return [event for event in self.venue.live if base_of(event.external_id) == known.base]

    def check_deletes(self, gone: list[Shown], live: int) -> None:
        recent = sum(number for at, number in self.deletes if at > self.now - DAY) if self.now >= self.blind_until else 0
        if gone:
            limit = SMALL_LIMITS.deletes
            assert not exceeds(len(gone) + recent, live, count=limit.count, share=limit.share, most=limit.max)
            self.deletes.append((self.now, len(gone)))

    def check_reasons(self, deed: Deed, decided: set[str]) -> None:
        """Nothing is touched that nobody at the source has touched, unless somebody decided it; nothing is taken out that belongs there."""
        unchanged = {base for base in deed.harmed - decided if self.lately.get(base) == {self.settled.get(base)}}
        assert not unchanged, (unchanged, deed)
        groundless = [
            shown for shown in deed.gone if shown.base not in decided and not any(self.ends(b, shown) for b in self.lately[shown.base])
        ]
        assert not groundless, groundless

    def ends(self, booking: Booking, shown: Shown) -> bool:
        """Whether a booking that stands like this in the books is a reason to take out an entry."""
        rules = self.venue.rules
        match booking.fit(rules, self.now):
            case Fit.UNWANTED:
                return True
            case Fit.OVER:
                return booking.status != UNKNOWN_STATUS
            case Fit.WANTED:
                return calendar_name(booking, rules) != shown.calendar
            case Fit.UNKNOWN:
                return False

    def check_patience(self, deed: Deed, owing: set[str]) -> None:
        """What is to settle has been in the books for that long."""
        touched = (deed.harmed | deed.created) - owing - self.late
        early = [base for base in touched if self.now - min(self.since[b] for b in self.lately[base]) < self.venue.rules.settle]
        assert not early

    def check_tags(self) -> None:
        """How a new event is marked stays with it (rule 16), unless somebody asks for another mark."""
        for event in self.venue.live:
            tag = tag_of(event)
            assert tag in with_quieter(self.tags.setdefault(event.id, {tag}))
            assert tag in with_quieter(self.modes[base_of(event.external_id)])

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
        for known in self.books.values():
            link = links.get(known.base)
            if link is not None and link.state in KEPT_BACK:
                assert link.reason
                assert link.state is not State.HELD or link.external_id in held
                self.check_rejection(known, link)
                self.check_ignored(known, link)
                continue
            assert known.base not in self.ignored
            assert link is None or link.state is State.SETTLED
            wrong = self.complaints_of(known)
            assert not wrong, (known, link, wrong)
            self.check_retagged(known, self.there(known))

    def note_rejection(self, known: Booking) -> None:
        self.rejected[known.base] = ({known} | self.lately.get(known.base, set()), [self.venue.rules, *self.rules_lately])

    def check_rejection(self, known: Booking, link: Link) -> None:
        """What was rejected is left alone until its row changes, and no longer."""
        is_moot = known.fit(self.venue.rules, self.now) in (Fit.UNWANTED, Fit.OVER) and not self.there(known)
        if link.state is State.IGNORED and link.until_changed and known.base in self.rejected and not is_moot:
            versions, then = self.rejected[known.base]
            is_gone = known.fit(self.venue.rules, self.now) not in (Fit.WANTED, Fit.UNKNOWN)
            both_gone = is_gone and any(one.fit(rules, self.now) not in (Fit.WANTED, Fit.UNKNOWN) for one in versions for rules in then)
            is_unlisted = known.start(self.venue.rules) not in WINDOW.at(self.now)  # nobody asks for it again: its absence was rejected
            keeps_off = (is_gone or is_unlisted) and known.base in self.kept
            same = both_gone or keeps_off or (known in versions and known.start(self.venue.rules) in {known.start(rules) for rules in then})
            assert same, f"{known} is ignored, and was one of {versions} when it was rejected"

    def check_ignored(self, known: Booking, link: Link) -> None:
        """What is left alone somebody said to leave alone, and what is ignored for good stays as it was."""
        if link.state is State.RELEASED:
            assert known.base in self.released
            assert known.base in self.late or self.shown(known.base) == self.released[known.base]
        if link.state is State.IGNORED:
            assert known.base in (self.rejected if link.until_changed else self.ignored)
        if known.base in self.ignored:
            assert link.state is State.IGNORED
            assert known.base in self.late or self.shown(known.base) == self.ignored[known.base]

    def check_retagged(self, known: Booking, there: list[StoredEvent]) -> None:
        """The mark that somebody asked for has come to the target."""
        if known.fit(self.venue.rules, self.now) in (Fit.WANTED, Fit.UNKNOWN):
            assert all(tag_of(event) is self.retagged.get(event.id, tag_of(event)) for event in there)


def with_quieter(modes: set[MessageMode]) -> set[MessageMode]:
    """Return the modes in force, and those in which it is sent again where the target put it into another calendar than it was sent to."""
    return modes | {quieter(mode, MessageMode.NO_BOOKING) for mode in modes}
