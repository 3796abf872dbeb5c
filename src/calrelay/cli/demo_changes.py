"""What happens at the sources in the demo: ordinary changes, an outage, two accidents, and the quiet life while it is served."""

import dataclasses
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from calrelay.cli.demo_stage import SEED, Stage
from calrelay.simulators.apptoto.events import StoredEvent
from calrelay.simulators.faults import Fault, Kind
from calrelay.simulators.people import Person, a_person
from calrelay.simulators.tripleseat.events import Stored
from calrelay.simulators.tripleseat.places import ALDER_HOUSE, to_wall_clock
from calrelay.simulators.tripleseat.rows import an_event_row

SOON = timedelta(days=3)
SHIFT = timedelta(hours=1)
TERRACE = "Terrace"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing somebody did at a source, and what calrelay should make of it."""

    external_id: str
    title: str
    what: str


class Sources:
    """The hands of the people who work at the venue and the studio."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._tripleseat = stage.world.tripleseat
        self._timetap = stage.world.timetap
        self._rng = random.Random(SEED)
        self._lost: Change | None = None

    def change(self) -> list[Change]:
        """Do what happens on an ordinary day."""
        hall = self._dinners()
        moved, renamed, lost, deleted, outdoors = (next(hall) for _ in range(5))
        lessons = self._lessons()
        events, book = self._tripleseat.events, self._timetap.book
        changes = [
            self._change(moved, "moved, 90 minutes later"),
            self._change(renamed, f'renamed to "{_name(renamed)}, now with band"'),
            self._change(lost, "marked LOST: the guest called it off"),
            self._change(deleted, "deleted"),
            self._change(outdoors, "moved out to the Terrace"),
            self._booked(),
            self._canceled(next(lessons)),
        ]
        events.shift(_id(moved), timedelta(minutes=90))
        events.rename(_id(renamed), f"{_name(renamed)}, now with band")
        events.set_status(_id(lost), "LOST")
        events.delete(_id(deleted))
        events.relocate(_id(outdoors), ALDER_HOUSE.id, [ALDER_HOUSE.room(TERRACE).id])
        book.cancel(int(changes[-1].external_id.removeprefix("tt-")))
        self._lost = changes[2]
        return changes

    def bring_back(self) -> Change:
        """Let the guest who called off change their mind."""
        if self._lost is None:
            raise RuntimeError("nobody has called off yet")
        self._tripleseat.events.set_status(int(self._lost.external_id.removeprefix("ts-")), "DEFINITE")
        return dataclasses.replace(self._lost, what="DEFINITE again: the guest is back")

    def fail(self) -> None:
        """Let Tripleseat show a login page from its second page on, and TimeTap be down."""
        self._tripleseat.faults.add(Fault(kind=Kind.HTML, path="/v1/events/search", skip=1, times=None))
        self._timetap.faults.add(Fault(kind=Kind.STATUS, path="/appointmentList", status=503, headers={"Retry-After": "0"}, times=None))

    def recover(self) -> None:
        """Let both work again."""
        self._tripleseat.faults.clear()
        self._timetap.faults.clear()

    def shift_all(self) -> int:
        """Move every coming event of one house by an hour, as a wrong clock setting does; return how many."""
        coming = [stored for stored in self._coming() if stored.row["location_id"] == ALDER_HOUSE.id]
        for stored in coming:
            self._tripleseat.events.shift(_id(stored), SHIFT)
        return len(coming)

    def hide_all(self) -> int:
        """Let TimeTap answer soundly, with an empty calendar; return how many rows it no longer lists."""
        listed = [int(booking.row["calendarId"]) for booking in self._timetap.book.listed()]
        for number in listed:
            self._timetap.book.hide(number)
        return len(listed)

    def live_on(self) -> str:
        """Do one ordinary thing and tell it."""
        coming = list(self._coming())
        stored = self._rng.choice(coming)
        if self._rng.random() < 0.3:
            booked = self._booked()
            return f"{booked.external_id} {booked.what}: {booked.title}"
        self._tripleseat.events.shift(_id(stored), timedelta(minutes=15))
        return f"ts-{_id(stored)} moved, 15 minutes later: {_name(stored)}"

    # --- who and what ---

    def _coming(self) -> Iterator[Stored]:
        """Go through the events that Apptoto holds and that are some days ahead, soonest first."""
        now = datetime.now(UTC)
        for entry in sorted(self._stage.held_by_target(), key=lambda one: (one.start_time, one.id)):
            number = (entry.external_id or "").partition(".")[0].removeprefix("ts-")
            if number.isdecimal() and entry.start_time > now + SOON:
                yield self._tripleseat.events.get(int(number))

    def _dinners(self) -> Iterator[Stored]:
        """Go through those in Alder House that are not on the Terrace."""
        terrace = ALDER_HOUSE.room(TERRACE).id
        return (one for one in self._coming() if one.row["location_id"] == ALDER_HOUSE.id and terrace not in one.row["room_ids"])

    def _lessons(self) -> Iterator[StoredEvent]:
        entries = sorted(self._stage.held_by_target(), key=lambda one: (one.start_time, one.id))
        now = datetime.now(UTC)
        return (one for one in entries if (one.external_id or "").startswith("tt-") and one.start_time > now + SOON)

    def _canceled(self, entry: StoredEvent) -> Change:
        return Change(external_id=str(entry.external_id), title=entry.title, what="cancelled in TimeTap")

    def _booked(self) -> Change:
        events = self._tripleseat.events
        number, person = events.next_id(), a_person(self._rng, events.next_id() % 700 + 200)
        wall = to_wall_clock(datetime.now(UTC), ALDER_HOUSE.site.zone) + timedelta(days=20)
        start = wall.replace(hour=19, minute=0, second=0, microsecond=0)
        events.add(
            an_event_row(
                number,
                start,
                start + timedelta(hours=3),
                location=ALDER_HOUSE,
                rooms=[ALDER_HOUSE.room("Main Hall")],
                name=f"{person.last_name} Birthday Dinner",
                contact=person,
                account=_family(person),
                event_type="Social",
                guest_count=24,
            )
        )
        return Change(external_id=f"ts-{number}", title=f"{person.last_name} Birthday Dinner", what="booked, new")

    def _change(self, stored: Stored, what: str) -> Change:
        return Change(external_id=f"ts-{_id(stored)}", title=_name(stored), what=what)


def _family(person: Person) -> str:
    return f"{person.last_name} family"


def _id(stored: Stored) -> int:
    return int(stored.row["id"])


def _name(stored: Stored) -> str:
    return str(stored.row["name"])
