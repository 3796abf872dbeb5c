"""A TimeTap business that looks real: three staff in three zones, lessons, tours, classes, series and everything odd. No behaviour."""

import random
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any, Unpack

from calrelay.simulators.people import a_person
from calrelay.simulators.timetap.book import RowKind
from calrelay.simulators.timetap.message_world import populate_messages
from calrelay.simulators.timetap.rows import (
    ClientPair,
    Json,
    Reminders,
    RowExtras,
    a_client,
    a_location,
    a_reason,
    a_staff,
    an_appointment_row,
    to_instant,
    to_wall,
)
from calrelay.simulators.timetap.simulator import TimeTapSimulator

FIRST_PERSON = 5000  # lower numbers belong to the other vendors' people
STAFF = (
    a_staff(61001, "America/New_York", full_name="M. Hall"),
    a_staff(61002, "America/Denver", full_name="J. Reyes"),
    a_staff(61003, "America/Vancouver", full_name="P. Novak"),
)
LOCATIONS = (a_location(41001, "Main hall"), a_location(41002, "Foothill studio"), a_location(41003, "Harbour studio"))
LESSON = a_reason(88002, "Piano lesson", 60)
TOUR = a_reason(88001, "Venue tour", 45)
CONSULTATION = a_reason(88003, "Wedding consultation", 30)
YOGA = a_reason(88004, "Morning yoga", 60, kind="CLASS")
SERVICES = (LESSON, LESSON, TOUR, CONSULTATION)
HORIZON = timedelta(days=60)
NEAR = 9.0  # mean distance of a booking in days: most are near


def populate_timetap(sim: TimeTapSimulator, *, appointments: int, now: datetime, seed: int) -> None:
    """Fill the book with this many rows around `now` (aware), and add messages; the same arguments give the same rows.

    Up to a third are the odd ones (statuses, rows without client, midnight, wrong client clocks), then classes and series, then
    single bookings. From 48 rows on every kind is there.
    """
    world = _World(sim, now=now, rng=random.Random(seed))
    odd = world.odd_rows()
    for _, add in zip(range(appointments // 3), odd, strict=False):
        sim.book.add(*add)
    world.add_classes(appointments // 10)
    world.add_series(appointments // 10)
    while len(sim.book.bookings) < appointments:
        world.add_single()
    populate_messages(sim)
    sim.webhooks.pending.clear()


class _World:
    """The dice and the clock of one business while it is filled."""

    def __init__(self, sim: TimeTapSimulator, *, now: datetime, rng: random.Random) -> None:
        self._sim = sim
        self._now = now
        self._rng = rng
        self._persons = FIRST_PERSON

    def add_single(self) -> None:
        """Add one booking; of a hundred, five are cancelled, three wait to be confirmed and three took place lately."""
        staff, dice = self._rng.randrange(len(STAFF)), self._rng.random()
        status = next((status for below, status in ((0.05, "CANCELLED"), (0.08, "PENDING"), (0.11, "COMPLETED")) if dice < below), "OPEN")
        reason = self._rng.choice(SERVICES)
        start = self._start(staff, min(self._rng.expovariate(1 / NEAR), HORIZON.days - 1))
        if status == "COMPLETED":
            start = self._lately(staff)
        note = self._rng.choice(("", "", "gate B"))
        self._sim.book.add(self._row(staff, start, reason["visitMinutes"], reason=reason, note=note, status=status))

    def add_classes(self, rows: int) -> None:
        """Add class sessions of three to six attendees, each attendee a row of its own."""
        session = 0
        while rows > 0:
            attendees = min(rows, self._rng.randint(3, 6))
            start = self._at(0, 2 + 7 * (session % 8), time(7 + session // 8 % 12, 0))
            self._sim.directory.class_schedules[93_001 + session] = self._class_schedule(93_001 + session, start)
            for _ in range(attendees):
                self._sim.book.add(self._row(0, start, 60, reason=YOGA))
            rows, session = rows - attendees, session + 1

    def add_series(self, rows: int) -> None:
        """Add weekly lessons, four to a series, always of one client."""
        for number in range(rows // 4):
            staff, client = number % len(STAFF), self._client()
            for week in range(4):
                start = self._at(staff, 1 + 7 * week, time(9 + number % 8, 30))
                self._sim.book.add(self._row(staff, start, 60, reason=LESSON, series=64_001 + number, client=client))

    def odd_rows(self) -> Iterator[tuple[Json, RowKind]]:
        """Go through the rows that a client must not stumble over, the likeliest ones first."""
        for status in ("COMPLETED", "NO_SHOW"):
            yield self._row(0, self._lately(0), 60, reason=LESSON, status=status), RowKind.APPOINTMENT
        for days, clock, minutes, extras in self._odd_appointments():
            yield self._row(0, self._at(0, days, clock), minutes, **extras), RowKind.APPOINTMENT
        for kind, days, note in ((RowKind.TIME_OFF, 2, "Time off"), (RowKind.HOLD, 3, "Hold"), (RowKind.BUSY, 1, "Busy")):
            extras = RowExtras(client=None, reason=None, location=None, note=note, fields=None)
            yield self._row(1, self._at(1, days, time(12)), 60, **extras), kind

    def _odd_appointments(self) -> tuple[tuple[int, time, int, RowExtras], ...]:
        noon, far = time(12), "Europe/London"
        nameless = self._client() | {"firstName": "Ana", "lastName": None, "fullName": None, "emailAddress": None}
        silent = self._client() | {"cellPhone": None}
        return (
            (1, noon, 45, {"status": "CANCELLED"}),
            (3, time(10), 45, {"status": "PENDING"}),
            (4, time(10), 45, {"status": "RESCHEDULED"}),
            (2, time(23, 30), 90, {"reason": LESSON}),
            (2, time(0, 0), 60, {"reason": LESSON}),
            (3, time(0, 30), 30, {"reason": CONSULTATION}),
            (1, time(8), 45, {"sub_status": "CHECKEDIN"}),
            (5, time(20), 60, {"client_zone": far, "reason": LESSON}),
            (6, time(14), 45, {"client_zone": far, "client_pair": ClientPair.STAFF_CLOCK, "created_user": "api"}),
            (7, time(9), 30, {"client": nameless, "reason": CONSULTATION}),
            (8, time(9), 30, {"client": silent, "reason": CONSULTATION}),
        )

    def _row(self, who: int, start: datetime, minutes: int, **extras: Unpack[RowExtras]) -> Json:
        zone = STAFF[who]["timeZoneCode"]["timeZoneCode"]
        booked = min(self._now, to_instant(start, zone)) - timedelta(hours=self._rng.randint(1, 400))
        filled = RowExtras(
            staff=STAFF[who],
            location=LOCATIONS[who],
            reason=TOUR,
            reminders=Reminders(client_sms=self._rng.choice((0, 0, 1))),
            created=booked,
        )
        filled |= extras
        if "client" not in filled:
            filled["client"] = self._client()
        return an_appointment_row(self._sim.book.next_id(), start, minutes, zone, **filled)

    def _client(self) -> Json:
        self._persons += 1
        return a_client(a_person(self._rng, self._persons))

    def _start(self, staff: int, days: float) -> datetime:
        clock = time(self._rng.randint(8, 19), self._rng.choice((0, 0, 15, 30, 30, 45)))
        return self._at(staff, 1 + int(days), clock)

    def _lately(self, staff: int) -> datetime:
        """Return an hour that is over and within the last 24 on the staff member's clock: late yesterday, or this morning."""
        wall = to_wall(self._now, STAFF[staff]["timeZoneCode"]["timeZoneCode"])
        return self._at(staff, -1, time(17)) if wall.time() < time(17) else self._at(staff, 0, time(9))

    def _at(self, staff: int, days: int, clock: time) -> datetime:
        """Return a naive wall clock of a staff member, this many days from today there."""
        zone = STAFF[staff]["timeZoneCode"]["timeZoneCode"]
        return datetime.combine(to_wall(self._now, zone).date() + timedelta(days=days), clock)

    def _class_schedule(self, number: int, start: datetime) -> dict[str, Any]:
        return {
            "classScheduleId": number,
            "status": "OPEN",
            "startDate": start.date().isoformat(),
            "startTime": start.hour * 100 + start.minute,
            "staff": STAFF[0],
            "location": LOCATIONS[0],
            "reason": YOGA,
        }
