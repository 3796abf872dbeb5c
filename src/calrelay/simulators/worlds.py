"""Worlds to run in: a week of dinners, weddings and tours like a real one, the same for the same seed and the same now."""

import dataclasses
import random
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from calrelay.simulators.apptoto.simulator import ApptotoSimulator
from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.people import a_person
from calrelay.simulators.timetap.simulator import TimeTapSimulator
from calrelay.simulators.timetap.world import populate_timetap
from calrelay.simulators.tripleseat.places import ALDER_HOUSE, HARBOUR_HOUSE, Location, Room, to_wall_clock
from calrelay.simulators.tripleseat.rows import an_event_row
from calrelay.simulators.tripleseat.simulator import TripleseatSimulator

CALENDARS = ("Main Hall", "Terrace", "Studio")
SPAN = timedelta(days=150)
LATE = timedelta(minutes=30)  # an event starts at most this much later than its kind usually does
FIRST_ID = 61_000_001


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The three vendors on one clock, and the Apptoto calendars' ids by name."""

    tripleseat: TripleseatSimulator
    timetap: TimeTapSimulator
    apptoto: ApptotoSimulator
    clock: SimulatedClock
    calendars: dict[str, int]


def a_world(seed: int, now: datetime, *, tripleseat_events: int = 130, timetap_appointments: int = 70) -> World:
    """Make the three simulators with a clock that says `now`, bookings in two of them and empty calendars in the third."""
    clock = SimulatedClock(now)
    tripleseat = TripleseatSimulator(seed=seed, clock=clock)
    timetap = TimeTapSimulator(seed=seed, clock=clock)
    apptoto = ApptotoSimulator(seed=seed, clock=clock)
    populate_tripleseat(tripleseat, events=tripleseat_events, now=now, seed=seed)
    populate_timetap(timetap, appointments=timetap_appointments, now=now, seed=seed)
    calendars = {name: apptoto.add_calendar(name) for name in CALENDARS}
    return World(tripleseat=tripleseat, timetap=timetap, apptoto=apptoto, clock=clock, calendars=calendars)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Occasion:
    """A kind of event: when it usually starts, how long it takes, what it is called."""

    event_type: str
    starts: time
    lasts: timedelta
    titles: Sequence[str]
    guests: tuple[int, int]


_OCCASIONS = (
    _Occasion(
        event_type="Corporate",
        starts=time(18, 0),
        lasts=timedelta(hours=3, minutes=30),
        titles=("Team Dinner", "Board Dinner", "Holiday Party", "Awards Night", "Client Supper"),
        guests=(12, 90),
    ),
    _Occasion(
        event_type="Wedding",
        starts=time(16, 30),
        # Weddings go on after midnight: the end is on the next day.
        lasts=timedelta(hours=8),
        titles=("Wedding Reception", "Wedding", "Vow Renewal"),
        guests=(60, 140),
    ),
    _Occasion(
        event_type="Social",
        starts=time(19, 0),
        lasts=timedelta(hours=4),
        titles=("Birthday Dinner", "Anniversary", "Rehearsal Dinner", "Reunion"),
        guests=(10, 70),
    ),
    _Occasion(event_type="Tour", starts=time(10, 30), lasts=timedelta(minutes=45), titles=("Site Tour", "Menu Tasting"), guests=(2, 8)),
    _Occasion(
        event_type="Meeting",
        starts=time(12, 0),
        lasts=timedelta(hours=2),
        titles=("Lunch Meeting", "Offsite", "Workshop"),
        guests=(6, 40),
    ),
)
# Of each 65 events these are not DEFINITE; ON_HOLD_NEW is a status that nobody has heard of.
_OTHER_STATUSES = {
    7: "TENTATIVE",
    12: "PROSPECT",
    18: "LOST",
    23: "TENTATIVE",
    29: "WAITLIST",
    34: "TENTATIVE",
    40: "ON_HOLD_NEW",
    45: "PROSPECT",
    51: "LOST",
    57: "TENTATIVE",
}


def populate_tripleseat(
    sim: TripleseatSimulator,
    *,
    events: int,
    now: datetime,
    seed: int,
    locations: Sequence[Location] = (ALDER_HOUSE, HARBOUR_HOUSE),
) -> None:
    """Fill in this many events: three in the last 24 hours, three today, the others evenly over the 150 days from tomorrow on.

    The first three are CLOSED. Ids ascend in the order of creation, which is not the order of the dates.
    """
    rng = random.Random(seed)
    taken: set[tuple[int, date, time]] = set()
    places = list(range(events))
    rng.shuffle(places)
    for number, place in enumerate(places):
        location = locations[place % len(locations)]
        when = _Day(wall=to_wall_clock(now, location.site.zone), offset=_offset(place, events))
        occasion, room, day = _slot(rng, taken, location, when)
        status = "CLOSED" if when.offset < 0 else _OTHER_STATUSES.get(number % 65, "DEFINITE")
        created = now - timedelta(days=120) + number * timedelta(days=110) / events
        booking = _Booking(occasion=occasion, location=location, room=room, day=day, status=status, created=created)
        _add(sim, rng, number, booking)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """A day relative to the time on the wall; -1 means within the last 24 hours, be that yesterday or this morning."""

    wall: datetime
    offset: int

    def of(self, occasion: _Occasion) -> date:
        """Say on which date an occasion takes place."""
        started = datetime.combine(self.wall.date(), occasion.starts) + LATE <= self.wall
        return self.wall.date() + timedelta(days=0 if self.offset == -1 and started else self.offset)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Booking:
    """What is settled about an event before somebody books it."""

    occasion: _Occasion
    location: Location
    room: Room
    day: date
    status: str
    created: datetime


def _offset(place: int, events: int) -> int:
    """Say how many days from today the event at this place of the calendar is."""
    near = min(3, events // 12)
    if place < 2 * near:
        return -1 if place < near else 0
    return 1 + (place - 2 * near) * (SPAN.days - 1) // max(events - 2 * near, 1)


def _slot(rng: random.Random, taken: set[tuple[int, date, time]], location: Location, when: _Day) -> tuple[_Occasion, Room, date]:
    """Find a room that is free then; when the house is full, it is booked twice, as happens."""
    slots = [(occasion, room, when.of(occasion)) for occasion in _OCCASIONS for room in location.rooms]
    rng.shuffle(slots)
    for occasion, room, day in slots:
        part = time(18) if occasion.starts >= time(15) else occasion.starts
        if (room.id, day, part) not in taken:
            taken.add((room.id, day, part))
            return occasion, room, day
    return slots[0]


def _add(sim: TripleseatSimulator, rng: random.Random, number: int, booking: _Booking) -> None:
    person, occasion = a_person(rng, number + 1), booking.occasion
    company = f"{person.last_name} & Co" if occasion.event_type in ("Corporate", "Meeting") else f"{person.last_name} family"
    host = company if "&" in company else person.last_name
    start = datetime.combine(booking.day, occasion.starts) + timedelta(minutes=rng.choice((0, 0, 0, 15, 30)))
    updated = booking.created + timedelta(hours=rng.randint(1, 200))
    row = an_event_row(
        FIRST_ID + number,
        start,
        start + occasion.lasts,
        location=booking.location,
        rooms=[booking.room],
        name=f"{host} {rng.choice(occasion.titles)}",
        status=booking.status,
        contact=person,
        account=company,
        event_type=occasion.event_type,
        guest_count=rng.choice((None, *(rng.randint(*occasion.guests) for _ in range(12)))),
        description=rng.choice(("", "Window tables if possible.", "Two vegetarians, one nut allergy.")),
        created=booking.created,
        updated=updated,
    )
    sim.events.add(row, created=booking.created, updated=updated)
