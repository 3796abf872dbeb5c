"""The Apptoto simulator's calendars and events: matching, patching, deleting. No HTTP and no messages here."""

import dataclasses
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any

from calrelay.simulators.apptoto.people import Participant, Roster, merge
from calrelay.simulators.apptoto.settings import AfterDelete, ApptotoSettings, CalendarChange, Extraction
from calrelay.simulators.apptoto.texts import fields_in, read_time
from calrelay.simulators.faults import SimulatedClock


class Change(StrEnum):
    """What happened to an event, as the vendor's triggers call it."""

    CREATED = "created"
    MODIFIED = "modified"
    DELETED = "deleted"


class Refused(Exception):
    """The whole request is refused with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with {status}")
        self.status = status


@dataclasses.dataclass(slots=True, kw_only=True)
class Calendar:
    """A calendar with its own zone; a provisioned one takes the account's."""

    id: int
    name: str
    time_zone: str
    provisioned: bool = False


@dataclasses.dataclass(slots=True, kw_only=True)
class StoredEvent:
    """An event as Apptoto keeps it; `participants_sent` tells whether a write ever named participants, even none."""

    id: int
    calendar_id: int
    created_at: datetime
    start_time: datetime
    end_time: datetime
    external_id: str | None = None
    title: str = ""
    time_zone: str | None = None
    location: str = ""
    content: str = ""
    all_day: bool = False
    show_as: int | None = None
    custom_data: dict[str, Any] = dataclasses.field(default_factory=dict)
    participants: list[Participant] = dataclasses.field(default_factory=list)
    participants_sent: bool = False
    is_deleted: bool = False

    @property
    def text_fields(self) -> dict[str, str]:
        """The custom fields that Apptoto reads out of the body's `name: value` lines."""
        return fields_in(self.content)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """A note that Apptoto took somebody out of an event's texts."""

    event_id: int
    external_id: str | None
    phone: str | None
    email: str | None


Listener = Callable[[Change, StoredEvent], None]


class Events:
    """Every event of the account, deleted ones too; the part that tests look at is public."""

    def __init__(self, *, settings: ApptotoSettings, clock: SimulatedClock, roster: Roster) -> None:
        self._settings = settings
        self._clock = clock
        self._roster = roster
        self._by_id: dict[int, StoredEvent] = {}
        self._by_external_id: defaultdict[str, list[StoredEvent]] = defaultdict(list)
        self._event_ids = itertools.count(900_112_233)
        self._calendar_ids = itertools.count(1_000_030_001)
        self.calendars: dict[int, Calendar] = {}
        self.extracted: list[Extracted] = []
        self.listeners: list[Listener] = []

    def all_events(self) -> list[StoredEvent]:
        """List every event, deleted ones too, oldest id first."""
        return list(self._by_id.values())

    def live_events(self) -> list[StoredEvent]:
        """List the events that are not deleted, oldest id first."""
        return [e for e in self._by_id.values() if not e.is_deleted]

    def by_id(self, event_id: int) -> StoredEvent | None:
        """Find an event, deleted or not."""
        return self._by_id.get(event_id)

    def by_external_id(self, external_id: str) -> StoredEvent | None:
        """Find the live event with this external_id (the first of several), or None."""
        return next((e for e in self.all_by_external_id(external_id) if not e.is_deleted), None)

    def all_by_external_id(self, external_id: str) -> list[StoredEvent]:
        """List every event that ever had this external_id and still has it, deleted ones too."""
        return list(self._by_external_id.get(external_id, ()))

    def duplicates(self) -> dict[str, list[StoredEvent]]:
        """Map each external_id that more than one live event holds to those events."""
        counts = Counter(e.external_id for e in self.live_events() if e.external_id)
        return {x: [e for e in self._by_external_id[x] if not e.is_deleted] for x, n in counts.items() if n > 1}

    def add_calendar(self, name: str, time_zone: str | None = None, *, provisioned: bool = False) -> Calendar:
        """Give the calendar of that name, making it if there is none."""
        known = self.calendar_named(name)
        if known is not None:
            return known
        zone = time_zone or self._settings.account_zone
        calendar = Calendar(id=next(self._calendar_ids), name=name, time_zone=zone, provisioned=provisioned)
        self.calendars[calendar.id] = calendar
        return calendar

    def calendar_named(self, name: str) -> Calendar | None:
        """Find a calendar by its exact name."""
        return next((c for c in self.calendars.values() if c.name == name), None)

    def find(self, *, event_id: object = None, external_id: object = None) -> StoredEvent | None:
        """Find by id, else by external_id: a live event before a deleted one, of several deleted ones the latest."""
        if isinstance(event_id, int):
            return self._by_id.get(event_id)
        if not isinstance(external_id, str):
            return None
        return self.by_external_id(external_id) or next(reversed(self.all_by_external_id(external_id)), None)

    def matching(self, row: dict[str, Any]) -> StoredEvent | None:
        """Find the event that a row of a PUT would update; None means that it would make a new one."""
        found = self.find(event_id=row.get("id")) or self.find(external_id=row.get("external_id"))
        if found is not None and found.is_deleted and self._settings.after_delete is AfterDelete.NEW:
            return None
        return found

    def check_calendar(self, row: dict[str, Any], *, prevent_creation: bool) -> None:
        """Raise Refused when the row names a calendar that there is not and that may not be provisioned."""
        calendar_id, name = row.get("calendar_id"), row.get("calendar")
        if calendar_id is not None:
            if not isinstance(calendar_id, int) or calendar_id not in self.calendars:
                raise Refused(self._settings.unknown_calendar_status)
        elif isinstance(name, str) and prevent_creation and self.calendar_named(name) is None:
            raise Refused(self._settings.calendar_refusal)

    def is_bad(self, row: object, *, always_new: bool = False) -> bool:
        """Tell whether Apptoto could not use this row: poisoned, or new and without title, times or calendar."""
        if not isinstance(row, dict) or self._is_poisoned(row):
            return True
        known = None if always_new else self.matching(row)
        if known is not None:
            moved = self._calendar_of(row) not in (None, known.calendar_id)
            return moved and self._settings.calendar_change is CalendarChange.REFUSE
        title, zone = row.get("title"), self._settings.account_zone
        times = (read_time(row.get("start_time"), zone), read_time(row.get("end_time"), zone))
        has_calendar = row.get("calendar_id") is not None or isinstance(row.get("calendar"), str)
        return not (isinstance(title, str) and title and all(times) and has_calendar)

    def put(self, row: dict[str, Any]) -> StoredEvent:
        """Create or update the event of one row, as seen now."""
        known = self.matching(row)
        if known is None:
            return self.create(row)
        # Whatever becomes of the event: a calendar that is named and not there has been provisioned (Apptoto: section 3.2).
        other = self._calendar_for(row).id if self._calendar_of(row) is not None else known.calendar_id
        if other != known.calendar_id and self._settings.calendar_change is CalendarChange.DUPLICATE:
            return self.create({**_fields_of(known), **row})
        return self.update(known, row)

    def create(self, row: dict[str, Any]) -> StoredEvent:
        """Make a new event of a row that is not bad, whatever external_id it carries."""
        calendar = self._calendar_for(row)
        start, end = read_time(row["start_time"], calendar.time_zone), read_time(row["end_time"], calendar.time_zone)
        if start is None or end is None:
            raise Refused(400)
        now = self._clock.now()
        event = StoredEvent(id=next(self._event_ids), calendar_id=calendar.id, created_at=now, start_time=start, end_time=end)
        self._by_id[event.id] = event
        self._patch(event, row, now)
        self._tell(Change.CREATED, event)
        return event

    def update(self, event: StoredEvent, row: dict[str, Any]) -> StoredEvent:
        """Patch an event; its calendar never changes (Apptoto: section 6)."""
        if event.is_deleted and self._settings.after_delete is AfterDelete.REVIVE:
            event.is_deleted = False
        self._patch(event, row, self._clock.now())
        self._tell(Change.MODIFIED, event)
        return event

    def delete(self, event: StoredEvent) -> None:
        """Hide an event; deleting again changes nothing."""
        if not event.is_deleted:
            event.is_deleted = True
            self._tell(Change.DELETED, event)

    def _is_poisoned(self, row: dict[str, Any]) -> bool:
        title = str(row.get("title") or "")
        return any(p == row.get("external_id") or p in title for p in self._settings.poison)

    def _calendar_of(self, row: dict[str, Any]) -> int | None:
        if row.get("calendar_id") is not None:
            return int(row["calendar_id"])
        name = row.get("calendar")
        # A name that is still to be provisioned is another calendar than any there is.
        return (known.id if (known := self.calendar_named(name)) else 0) if isinstance(name, str) else None

    def _calendar_for(self, row: dict[str, Any]) -> Calendar:
        if row.get("calendar_id") is not None:
            return self.calendars[row["calendar_id"]]
        return self.add_calendar(row["calendar"], provisioned=True)

    def _patch(self, event: StoredEvent, row: dict[str, Any], at: datetime) -> None:
        zone = self.calendars[event.calendar_id].time_zone
        for name in ("title", "time_zone", "location", "content"):
            if isinstance(row.get(name), str):
                setattr(event, name, row[name])
        for name in ("start_time", "end_time"):
            # An unusable value is answered 200 and ignored (Apptoto: section 7).
            setattr(event, name, read_time(row.get(name), zone) or getattr(event, name))
        if isinstance(row.get("all_day"), bool):
            event.all_day = row["all_day"]
        if "show_as" in row and (row["show_as"] is None or isinstance(row["show_as"], int)):
            event.show_as = row["show_as"]
        if isinstance(row.get("custom_data"), dict):
            event.custom_data = dict(row["custom_data"])
        self._name(event, row.get("external_id"))
        self._fill(event, row, at)

    def _name(self, event: StoredEvent, external_id: object) -> None:
        if not isinstance(external_id, str) or external_id == event.external_id:
            return
        if event.external_id is not None:
            self._by_external_id[event.external_id].remove(event)
        event.external_id = external_id
        self._by_external_id[external_id].append(event)

    def _fill(self, event: StoredEvent, row: dict[str, Any], at: datetime) -> None:
        """Decide who is on the event now: those sent, those found in the texts, those already messaged."""
        sent = row.get("participants")
        texts_changed = any(name in row for name in ("title", "location", "content"))
        if not isinstance(sent, list) and not texts_changed:
            return
        if isinstance(sent, list):
            event.participants_sent = True
            wanted = self._roster.from_rows(sent, at)
        else:
            wanted = [p for p in event.participants if not p.extracted]
        if self._extracts(event, wanted):
            found = self._roster.from_texts(event.title, event.location, event.content, at)
            wanted += [p for p in found if not any(p.is_same_person(w) for w in wanted)]
        before = {p.id for p in event.participants}
        event.participants = merge(event.participants, wanted, keep_messaged=self._settings.keep_messaged)
        self._note_extracted(event, before)

    def _extracts(self, event: StoredEvent, wanted: list[Participant]) -> bool:
        mode = self._settings.extraction
        beside_empty = mode is Extraction.EMPTY and not wanted
        return mode is Extraction.ALWAYS or not event.participants_sent or beside_empty

    def _note_extracted(self, event: StoredEvent, before: set[int]) -> None:
        self.extracted += [
            Extracted(event_id=event.id, external_id=event.external_id, phone=p.normalized_phone, email=p.email)
            for p in event.participants
            if p.extracted and p.id not in before
        ]

    def _tell(self, change: Change, event: StoredEvent) -> None:
        for listener in self.listeners:
            listener(change, event)


def _fields_of(event: StoredEvent) -> dict[str, Any]:
    """Give an event's fields as a row, for the copy that a calendar change may make."""
    return {
        "title": event.title,
        "start_time": event.start_time.isoformat(),
        "end_time": event.end_time.isoformat(),
        "location": event.location,
        "content": event.content,
        "custom_data": event.custom_data,
        "participants": [{"name": p.name, "email": p.email, "phone": p.phone} for p in event.participants],
    }
