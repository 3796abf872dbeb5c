"""The hands of those who work at the venue and the studio: random edits from a seed. What they should lead to is not known here."""

import dataclasses
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

from calrelay.simulators.people import Person, a_person
from calrelay.simulators.timetap.book import RowKind
from calrelay.simulators.timetap.rows import a_client, start_of
from calrelay.simulators.timetap.world import LOCATIONS, SERVICES, STAFF
from calrelay.simulators.tripleseat.events import Stored
from calrelay.simulators.tripleseat.places import ALDER_HOUSE, HARBOUR_HOUSE, to_wall_clock
from calrelay.simulators.tripleseat.rows import an_event_row
from calrelay.simulators.tripleseat.settings import Deletion
from calrelay.simulators.worlds import World

AHEAD = timedelta(days=2)  # nothing that could end, or come into the vendors' reminders, while the soak lasts
HOUSES = (ALDER_HOUSE, HARBOUR_HOUSE)
WANTED = ("DEFINITE", "CLOSED")
MINUTES = (0, 15, 30, 45)
CROWD = 12


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One kind of edit: how often it comes relative to the others, and what does it; it returns False where nothing fits."""

    name: str
    weight: float
    act: Callable[[], bool]


class Hands:
    """Edits rows at both sources. `changed` counts what was done, by kind; `on_edit` hears of each edit."""

    def __init__(self, world: World, seed: int) -> None:
        self._rng = random.Random(f"edits {seed}")
        self._tripleseat = world.tripleseat.events
        self._book = world.timetap.book
        self._people = 20_000
        self._hidden: set[int] = set()
        self.changed: Counter[str] = Counter()
        self.on_edit: Callable[[], object] = lambda: None
        self._edits = (*self._venue_edits(), *self._studio_edits())

    def edit(self) -> str:
        """Do one random thing, and name it."""
        while True:
            (edit,) = self._rng.choices(self._edits, weights=[edit.weight for edit in self._edits])
            if edit.act():
                self.changed[edit.name] += 1
                self.on_edit()
                return edit.name

    def show_all(self) -> None:
        """List again what was left out of lists."""
        for number in self._hidden & self._book.bookings.keys():
            self._book.show(number)
        self._hidden.clear()
        self.on_edit()

    # --- the venue, at Tripleseat ---

    def _venue_edits(self) -> tuple[Edit, ...]:
        events = self._tripleseat
        return (
            Edit(name="event booked", weight=3, act=self._book_event),
            Edit(name="event moved", weight=4, act=lambda: self._to_event(self._move_event)),
            Edit(name="event renamed", weight=4, act=lambda: self._to_event(lambda one: events.rename(_id(one), self._title()))),
            Edit(name="event marked LOST", weight=2, act=lambda: self._to_event(lambda one: events.set_status(_id(one), "LOST"))),
            Edit(
                name="event back to TENTATIVE", weight=1, act=lambda: self._to_event(lambda one: events.set_status(_id(one), "TENTATIVE"))
            ),
            Edit(name="event DEFINITE again", weight=3, act=lambda: self._to_event(self._bring_back, self._is_off)),
            Edit(name="event deleted", weight=1, act=lambda: self._to_event(self._delete_event)),
            Edit(name="event in another room", weight=3, act=lambda: self._to_event(self._change_room)),
            Edit(name="event with another contact", weight=1, act=lambda: self._to_event(self._change_contact)),
            Edit(name="event moved into the past", weight=0.2, act=lambda: self._to_event(self._move_into_past)),
            Edit(name="a crowd of events moved by an hour", weight=0.4, act=self._move_crowd),
        )

    def _to_event(self, act: Callable[[Stored], object], fits: Callable[[Stored], bool] | None = None) -> bool:
        soon = datetime.now(UTC) + AHEAD
        fits = fits or _is_on
        found = [one for one in self._tripleseat if one.start and one.start > soon.replace(tzinfo=None) and fits(one)]
        if not found:
            return False
        act(self._rng.choice(found))
        return True

    def _book_event(self) -> bool:
        number, house, person = self._tripleseat.next_id(), self._rng.choice(HOUSES), self._person()
        start = self._wall_clock(datetime.now(UTC), house.site.zone, days=(3, 140))
        rooms = [self._rng.choice(house.rooms)]
        now = datetime.now(UTC)
        row = an_event_row(
            number,
            start,
            start + timedelta(hours=3),
            location=house,
            rooms=rooms,
            name=self._title(),
            contact=person,
            created=now,
            updated=now,
        )
        self._tripleseat.add(row, created=now, updated=now)
        return True

    def _move_event(self, one: Stored) -> None:
        self._tripleseat.move(_id(one), self._wall_clock(datetime.now(UTC), "America/New_York", days=(3, 140)))

    def _move_into_past(self, one: Stored) -> None:
        self._tripleseat.move(_id(one), self._wall_clock(datetime.now(UTC), "America/New_York", days=(-9, -4)))

    def _bring_back(self, one: Stored) -> None:
        if one.deletion is not None:
            self._tripleseat.restore(_id(one))
        self._tripleseat.set_status(_id(one), "DEFINITE")

    def _is_off(self, one: Stored) -> bool:
        return bool(one.row.get("contact")) and (one.deletion is not None or one.row["status"] in ("LOST", "TENTATIVE"))

    def _delete_event(self, one: Stored) -> None:
        self._tripleseat.delete(_id(one), self._rng.choice(list(Deletion)))

    def _change_room(self, one: Stored) -> None:
        house = self._rng.choice(HOUSES)
        self._tripleseat.relocate(_id(one), house.id, [self._rng.choice(house.rooms).id])

    def _change_contact(self, one: Stored) -> None:
        self._tripleseat.set_contact(_id(one), self._person())

    def _move_crowd(self) -> bool:
        crowd = [one for one in self._tripleseat if _is_on(one) and one.start and one.start > _soon() and one.start.hour < 21]
        for one in crowd[:CROWD]:
            self._tripleseat.shift(_id(one), timedelta(hours=1))
        return len(crowd) >= CROWD

    # --- the studio, at TimeTap ---

    def _studio_edits(self) -> tuple[Edit, ...]:
        book = self._book
        return (
            Edit(name="appointment booked", weight=3, act=self._book_appointment),
            Edit(name="appointment moved", weight=3, act=lambda: self._to_appointment(self._move_appointment)),
            Edit(name="appointment for another service", weight=2, act=lambda: self._to_appointment(self._change_service)),
            Edit(name="appointment for another client", weight=1, act=lambda: self._to_appointment(self._change_client)),
            Edit(name="appointment cancelled", weight=2, act=lambda: self._to_appointment(book.cancel)),
            Edit(
                name="appointment PENDING again", weight=0.5, act=lambda: self._to_appointment(lambda number: book.mark(number, "PENDING"))
            ),
            Edit(name="appointment reopened", weight=3, act=lambda: self._to_appointment(book.reopen, {"CANCELLED", "PENDING"})),
            Edit(name="appointment deleted", weight=0.7, act=lambda: self._to_appointment(book.delete)),
            Edit(name="appointment gone without a word", weight=0.3, act=lambda: self._to_appointment(book.vanish)),
            Edit(name="appointment left out of lists", weight=0.7, act=lambda: self._to_appointment(self._hide)),
            Edit(name="appointment listed again", weight=1, act=self._show),
        )

    def _to_appointment(self, act: Callable[[int], object], statuses: frozenset[str] | set[str] = frozenset({"OPEN"})) -> bool:
        soon = datetime.now(UTC) + AHEAD
        found = [
            number
            for number, one in self._book.bookings.items()
            if one.kind is RowKind.APPOINTMENT
            and one.listed
            and one.row["client"]
            and one.row["status"] in statuses
            and start_of(one.row) > soon
        ]
        if not found:
            return False
        act(self._rng.choice(found))
        return True

    def _book_appointment(self) -> bool:
        who = self._rng.randrange(len(STAFF))
        service, zone = self._rng.choice(SERVICES), str(STAFF[who]["timeZoneCode"]["timeZoneCode"])
        start = self._wall_clock(datetime.now(UTC), zone, days=(3, 55))
        client = a_client(self._person())
        self._book.book(start, int(service["visitMinutes"]), zone, staff=STAFF[who], location=LOCATIONS[who], reason=service, client=client)
        return True

    def _move_appointment(self, number: int) -> None:
        zone = str(self._book.row(number)["staffTimeZone"])
        self._book.move(number, self._wall_clock(datetime.now(UTC), zone, days=(3, 55)))

    def _change_service(self, number: int) -> None:
        others = [service for service in SERVICES if service["reasonId"] != self._book.row(number)["reason"]["reasonId"]]
        self._book.patch(number, {"reason": self._rng.choice(others)})

    def _change_client(self, number: int) -> None:
        self._book.patch(number, {"client": a_client(self._person())})

    def _hide(self, number: int) -> None:
        self._book.hide(number)
        self._hidden.add(number)

    def _show(self) -> bool:
        hidden = sorted(number for number in self._hidden if number in self._book.bookings)
        if not hidden:
            return False
        number = self._rng.choice(hidden)
        self._book.show(number)
        self._hidden.discard(number)
        return True

    # --- what is made up ---

    def _person(self) -> Person:
        self._people += 1
        return a_person(self._rng, self._people)

    def _title(self) -> str:
        return f"{self._rng.choice(('Supper', 'Reception', 'Workshop', 'Reunion', 'Gala'))} {self._rng.randrange(10_000)}"

    def _wall_clock(self, now: datetime, zone: str, *, days: tuple[int, int]) -> datetime:
        """Choose an hour of the day at which no clock is ever changed."""
        day = to_wall_clock(now, zone).date() + timedelta(days=self._rng.randint(*days))
        return datetime.combine(day, time(self._rng.randint(9, 20), self._rng.choice(MINUTES)))


def _id(one: Stored) -> int:
    return int(one.row["id"])


def _is_on(one: Stored) -> bool:
    return one.deletion is None and one.row["status"] in WANTED and bool(one.row.get("contact"))


def _soon() -> datetime:
    return (datetime.now(UTC) + AHEAD).replace(tzinfo=None)
