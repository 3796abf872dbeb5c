"""Judges a soak from the simulators alone: what was ever wanted, what the target held and did at each moment, whom it messaged."""

import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from calrelay.simulators.apptoto.events import Change, StoredEvent
from calrelay.simulators.apptoto.messages import AutoMessage, Purpose
from calrelay.simulators.faults import Entry
from calrelay.simulators.worlds import World
from tests.system_local.naive import Wanted, wanted_of

Times = list[tuple[datetime, str | None]]


@dataclasses.dataclass(slots=True, kw_only=True)
class Wish:
    """What the sources wanted of one event over time: on which calendar from when on (None: on none), and whom it was ever about."""

    times: Times = dataclasses.field(default_factory=list)
    addresses: set[str] = dataclasses.field(default_factory=set)

    def since(self, instant: datetime) -> list[str | None]:
        """Return the calendars it was wanted on at this instant and at any time after."""
        before = [calendar for at, calendar in self.times if at <= instant]
        return [*(before[-1:] or [None]), *(calendar for at, calendar in self.times if at > instant)]

    @property
    def arrivals(self) -> int:
        """How often it came to a calendar: created, returned, or moved to another one."""
        calendars = [None, *(calendar for _, calendar in self.times)]
        return sum(after is not None and after != before for before, after in pairwise(calendars))


class Witness:
    """Watches both ends. `note` is called after each edit; the target is heard by itself."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._events = world.apptoto.events
        self._wishes: defaultdict[str, Wish] = defaultdict(Wish)
        self._live: defaultdict[str, set[int]] = defaultdict(set)
        self._last_sent: dict[str, str] = {}
        self.crimes: list[str] = []
        self.writes = 0
        self.sent_again = 0
        self._events.listeners.append(self._hear)
        self.note()

    # --- as it goes ---

    def note(self) -> dict[str, Wanted]:
        """Remember what the sources want now, and return it."""
        now = self._world.clock.now()
        wanted = wanted_of(self._world, now)
        for base, one in wanted.items():
            wish = self._wishes[base]
            wish.addresses |= {address for _, email, phone in one.people for address in (email, phone) if address}
            if not wish.times or wish.times[-1][1] != one.calendar:
                wish.times.append((now, one.calendar))
        for base in self._wishes.keys() - wanted.keys():
            if self._wishes[base].times[-1][1] is not None:
                self._wishes[base].times.append((now, None))
        return wanted

    def read(self, requests: Sequence[Entry]) -> None:
        """Count the target's writes, and the rows that were sent a second time exactly as they were."""
        for entry in requests:
            self.writes += entry.method in ("PUT", "POST", "DELETE")
            for row in _rows(entry):
                text = json.dumps(row, sort_keys=True)
                self.sent_again += self._last_sent.get(row["external_id"]) == text
                self._last_sent[row["external_id"]] = text

    def _hear(self, change: Change, event: StoredEvent) -> None:
        base = base_of(event)
        if change is Change.DELETED:
            self._live[base].discard(event.id)
            self._judge_deletion(base, event)
            return
        if event.is_deleted:
            return
        is_new = event.id not in self._live[base]
        self._live[base].add(event.id)
        if len(self._live[base]) > 1:
            self.crimes.append(f"{event.external_id} was doubled: {len(self._live[base])} live entries at once")
        if is_new and base not in self._wishes:
            self.crimes.append(f"{event.external_id} was created, which no source ever wanted")

    def _judge_deletion(self, base: str, event: StoredEvent) -> None:
        self.note()
        held_on = self._calendar_of(event)
        if all(calendar == held_on for calendar in self._wishes[base].since(event.created_at)):
            self.crimes.append(f"{event.external_id} was deleted, though its source never let go of it")

    # --- at the end ---

    def differences(self) -> list[str]:
        """Compare what the target holds with what the sources want; empty when nothing is lost, doubled or wrong."""
        now = datetime.now(UTC)
        wanted = self.note()
        held: defaultdict[str, list[StoredEvent]] = defaultdict(list)
        for event in self._events.live_events():
            held[base_of(event)].append(event)
        found = [f"{base} is lost: {one.title}, {one.start}" for base, one in wanted.items() if base not in held]
        for base, entries in held.items():
            if len(entries) > 1:
                found.append(f"{base} is there {len(entries)} times")
            if base in wanted:
                found += [f"{base} has the wrong {what}" for what in self._wrong_in(entries[0], wanted[base])]
            elif base not in self._wishes or entries[0].end_time > now:
                found.append(f"{base} is at the target and should not be")
        return found

    def message_crimes(self) -> list[str]:
        """Go through Apptoto's ledger of messages: nobody for an event that was not wanted, nobody more often than there was a reason."""
        messages = self._world.apptoto.messages
        found = [f"a one-off message was sent: {one.body}" for one in (*messages.one_offs, *messages.marks)]
        found += [crime for message in messages.sent if (crime := self._crime_of(message))]
        bookings = Counter(
            (_base(message.external_id), message.channel, message.to) for message in messages.sent if message.purpose is Purpose.BOOKING
        )
        for (base, channel, to), number in bookings.items():
            if number > self._wishes[base].arrivals:
                found.append(
                    f"{to} got {number} booking messages ({channel}) for {base}, which arrived {self._wishes[base].arrivals} times"
                )
        return found

    @property
    def messages(self) -> int:
        """How many messages Apptoto sent."""
        return len(self._world.apptoto.messages.sent)

    @property
    def held(self) -> int:
        """How many live entries the target has."""
        return len(self._events.live_events())

    def _crime_of(self, message: AutoMessage) -> str | None:
        base = _base(message.external_id)
        if base not in self._wishes:
            return f"{message.to} was messaged for {message.external_id}, which was never wanted"
        if message.to not in self._wishes[base].addresses:
            return f"{message.to} was messaged for {message.external_id}, and has nothing to do with it"
        return None

    def _wrong_in(self, event: StoredEvent, wanted: Wanted) -> Iterator[str]:
        if event.title != wanted.title:
            yield f"title: {event.title!r} instead of {wanted.title!r}"
        if event.start_time != datetime.fromisoformat(wanted.start):
            yield f"start: {event.start_time} instead of {wanted.start}"
        if event.end_time != datetime.fromisoformat(wanted.end):
            yield f"end: {event.end_time} instead of {wanted.end}"
        if (calendar := self._calendar_of(event)) != wanted.calendar:
            yield f"calendar: {calendar} instead of {wanted.calendar}"
        there = {(person.email, person.normalized_phone) for person in event.participants}
        for name, email, phone in wanted.people:  # those messaged before stay at Apptoto, so there may be more
            if (email, phone) not in there:
                yield f"people: {name} is missing"

    def _calendar_of(self, event: StoredEvent) -> str:
        return self._events.calendars[event.calendar_id].name


def base_of(event: StoredEvent) -> str:
    """The external id without its generation; an entry without one keeps apart by its own id."""
    return _base(event.external_id) or f"nameless {event.id}"


def _base(external_id: str | None) -> str:
    return (external_id or "").partition(".")[0]


def _rows(entry: Entry) -> list[dict[str, str]]:
    if entry.method not in ("PUT", "POST") or not entry.path.endswith("/v1/events"):
        return []
    rows: list[dict[str, str]] = json.loads(entry.body)["events"]
    return rows
