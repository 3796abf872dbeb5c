"""The events a simulated Tripleseat holds, and every edit that can befall one. Knows no HTTP."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.people import Person
from calrelay.simulators.tripleseat.places import ALDER_HOUSE, LOCATIONS, Location, to_wall_clock, us_time
from calrelay.simulators.tripleseat.rows import USER, Row, contact_row, relocated, retimed
from calrelay.simulators.tripleseat.settings import Deletion


class Trigger(StrEnum):
    """The webhook triggers of events (Tripleseat: Webhooks), and the one of bookings that comes along."""

    CREATE_EVENT = "CREATE_EVENT"
    UPDATE_EVENT = "UPDATE_EVENT"
    DELETE_EVENT = "DELETE_EVENT"
    REASSIGN_EVENT_LOCATION = "REASSIGN_EVENT_LOCATION"
    REASSIGN_EVENT_AREAS = "REASSIGN_EVENT_AREAS"
    STATUS_CHANGE_EVENT = "STATUS_CHANGE_EVENT"
    CHANGE_EVENT_GUEST_COUNTS = "CHANGE_EVENT_GUEST_COUNTS"
    CHANGE_EVENT_DATETIME = "CHANGE_EVENT_DATETIME"
    REASSIGN_EVENT_CONTACT = "REASSIGN_EVENT_CONTACT"
    UPDATE_BOOKING = "UPDATE_BOOKING"


class Stamp(StrEnum):
    """Whether an edit moves `updated_at`; for edits of contacts and rooms nobody knows."""

    MOVE = "move"
    KEEP = "keep"


@dataclasses.dataclass(slots=True, kw_only=True)
class Stored:
    """An event as it is served, and what Tripleseat knows beyond that: to the second when it was made and changed."""

    row: Row
    created: datetime
    updated: datetime
    start: datetime | None
    deletion: Deletion | None = None

    @property
    def is_listed(self) -> bool:
        """Whether search and list show it."""
        return self.deletion in (None, Deletion.LISTED)


class Events:
    """All events, by id. Each edit moves `updated_at` unless told not to, and is told to `on_edit`.

    An unknown id or location is a KeyError, everywhere. Iteration is over a copy, so edits may happen meanwhile. `locations`, by id,
    may be added to and taken from; sites are those of the locations.
    """

    def __init__(self, clock: SimulatedClock, locations: Iterable[Location] = LOCATIONS) -> None:
        self._clock = clock
        self._stored: dict[int, Stored] = {}
        self.locations = {location.id: location for location in locations}
        self.on_edit: Callable[[Trigger, Row], None] = lambda _trigger, _row: None

    def __len__(self) -> int:
        return len(self._stored)

    def __iter__(self) -> Iterator[Stored]:
        return iter(list(self._stored.values()))

    def __contains__(self, event_id: int) -> bool:
        return event_id in self._stored

    def get(self, event_id: int) -> Stored:
        """Return the event, deleted or not."""
        return self._stored[event_id]

    def next_id(self) -> int:
        """Return an id that is free and higher than all others."""
        return max(self._stored, default=61_000_000) + 1

    def add(self, row: Row, *, created: datetime | None = None, updated: datetime | None = None) -> Row:
        """Take in a new event as it is; an id that exists already is a ValueError."""
        if row["id"] in self._stored:
            raise ValueError(f"event {row['id']} exists already")
        made = created or self._clock.now()
        self._stored[row["id"]] = Stored(row=row, created=made, updated=updated or made, start=start_of(row))
        self.on_edit(Trigger.CREATE_EVENT, row)
        return row

    def replace(self, row: Row, stamp: Stamp = Stamp.MOVE) -> Row:
        """Serve this row instead of the one with its id."""
        stored = self.get(row["id"])
        stored.row = dict(row)
        return self._edited(stored, Trigger.UPDATE_EVENT, stamp)

    def patch(self, event_id: int, changes: Mapping[str, object], *, drop: Sequence[str] = (), stamp: Stamp = Stamp.MOVE) -> Row:
        """Set top-level keys and leave out others, whatever they are: this is how odd rows are made."""
        stored = self.get(event_id)
        stored.row = {key: value for key, value in {**stored.row, **changes}.items() if key not in drop}
        return self._edited(stored, Trigger.UPDATE_EVENT, stamp)

    def move(self, event_id: int, start: datetime, end: datetime | None = None) -> Row:
        """Move to another wall clock time there; without an end it stays as long as it was."""
        stored = self.get(event_id)
        last = end or start + _length(stored.row)
        stored.row.update(retimed(stored.row, start, last, self._zone(stored.row)))
        return self._edited(stored, Trigger.CHANGE_EVENT_DATETIME)

    def shift(self, event_id: int, by: timedelta) -> Row:
        """Move by a span of wall clock time; an event without a start is a ValueError."""
        start = self.get(event_id).start
        if start is None:
            raise ValueError(f"event {event_id} has no start to move from")
        return self.move(event_id, start + by)

    def rename(self, event_id: int, name: str) -> Row:
        """Give it another name."""
        stored = self.get(event_id)
        stored.row["name"] = name
        return self._edited(stored, Trigger.UPDATE_EVENT)

    def set_status(self, event_id: int, status: str) -> Row:
        """Change the status, in the booking too; any text goes, so that unknown ones can be tried."""
        stored = self.get(event_id)
        change = {
            "status": status,
            "previous_status": stored.row.get("status"),
            "created_at": us_time(to_wall_clock(self._clock.now(), self._zone(stored.row))),
            "created_by": USER["id"],
        }
        stored.row["status"] = status
        stored.row["status_changes"] = [*(stored.row.get("status_changes") or []), change]
        if stored.row.get("booking"):
            stored.row["booking"] = {**stored.row["booking"], "status": status}
        return self._edited(stored, Trigger.STATUS_CHANGE_EVENT)

    def set_guests(self, event_id: int, count: int | None) -> Row:
        """Change the guest count."""
        stored = self.get(event_id)
        stored.row["guest_count"] = count
        return self._edited(stored, Trigger.CHANGE_EVENT_GUEST_COUNTS)

    def relocate(self, event_id: int, location_id: int, room_ids: Sequence[int]) -> Row:
        """Move to another location or other rooms, at the same time on the wall there."""
        stored = self.get(event_id)
        location = self.locations[location_id]
        rooms = [room for room in location.rooms if room.id in room_ids]
        start = stored.start
        same_house = stored.row.get("location_id") == location_id
        stored.row.update(relocated(location, rooms))
        if start is not None:
            stored.row.update(retimed(stored.row, start, start + _length(stored.row), location.site.zone))
        return self._edited(stored, Trigger.REASSIGN_EVENT_AREAS if same_house else Trigger.REASSIGN_EVENT_LOCATION)

    def set_contact(self, event_id: int, person: Person, stamp: Stamp = Stamp.KEEP) -> Row:
        """Change who the contact is or how to reach them; by default this does not move `updated_at` (Tripleseat: Unknowns)."""
        stored = self.get(event_id)
        row = contact_row(person)
        stored.row.update(contact=row, contact_id=row["id"])
        return self._edited(stored, Trigger.REASSIGN_EVENT_CONTACT, stamp)

    def delete(self, event_id: int, deletion: Deletion = Deletion.GONE) -> None:
        """Delete, leaving behind what the mode says; deleting twice changes only the mode."""
        stored = self.get(event_id)
        stored.deletion = deletion
        stored.row["deleted_at"] = us_time(to_wall_clock(self._clock.now(), self._zone(stored.row)))
        self._edited(stored, Trigger.DELETE_EVENT)

    def restore(self, event_id: int) -> Row:
        """Undo a deletion."""
        stored = self.get(event_id)
        stored.deletion = None
        stored.row["deleted_at"] = None
        return self._edited(stored, Trigger.UPDATE_EVENT)

    def _edited(self, stored: Stored, trigger: Trigger, stamp: Stamp = Stamp.MOVE) -> Row:
        if stamp is Stamp.MOVE:
            stored.updated = self._clock.now()
            if "updated_at" in stored.row:
                stored.row["updated_at"] = us_time(to_wall_clock(stored.updated, self._zone(stored.row)))
        stored.start = start_of(stored.row)
        self.on_edit(trigger, stored.row)
        return stored.row

    def _zone(self, row: Row) -> str:
        return self.locations.get(row.get("location_id") or 0, ALDER_HOUSE).site.zone


def start_of(row: Row) -> datetime | None:
    """Read the wall clock start from whichever field the row has; UTC stands in for it where there is no other."""
    return _moment(row, "event_start")


def end_of(row: Row) -> datetime | None:
    """Read the wall clock end likewise."""
    return _moment(row, "event_end")


def _moment(row: Row, key: str) -> datetime | None:
    if text := row.get(f"{key}_iso8601"):
        return datetime.fromisoformat(text[:19])
    if text := row.get(key):
        return parse_us_time(text)
    if text := row.get(f"{key}_utc"):
        return datetime.fromisoformat(text[:19])
    return None


def parse_us_time(text: str) -> datetime | None:
    """Read mm/dd/yyyy hh:mm am|pm, padded or not; anything else is None."""
    try:
        return datetime.strptime(text.strip(), "%m/%d/%Y %I:%M %p")  # noqa: DTZ007  # a wall clock time has no zone
    except ValueError:
        return None


def _length(row: Row) -> timedelta:
    start, end = start_of(row), end_of(row)
    return end - start if start and end else timedelta(hours=3)
