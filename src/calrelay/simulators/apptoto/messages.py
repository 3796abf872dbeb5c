"""What Apptoto would send to whom and when: auto messages by rule, in-event commands obeyed. Nothing is ever sent anywhere."""

import dataclasses
import functools
import heapq
import itertools
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pytz

from calrelay.simulators.apptoto.events import Change, Events, StoredEvent
from calrelay.simulators.apptoto.people import Participant
from calrelay.simulators.apptoto.settings import ApptotoSettings
from calrelay.simulators.apptoto.texts import commands_in, zone_named
from calrelay.simulators.faults import SimulatedClock


class Purpose(StrEnum):
    """Why a message goes out."""

    BOOKING = "booking"  # counted from creation in Apptoto
    REMINDER = "reminder"  # before the start
    FOLLOW_UP = "follow-up"  # after the end


class Channel(StrEnum):
    """How a message goes out."""

    SMS = "sms"
    CALL = "call"
    EMAIL = "email"


_MASTER = frozenset({"auto", "apptoto", "enable"})
_ENABLING = {
    Purpose.BOOKING: frozenset({"booking"}),
    Purpose.REMINDER: frozenset({"remind"}),
    Purpose.FOLLOW_UP: frozenset({"followup"}),
    Channel.SMS: frozenset({"sms", "text"}),
    Channel.CALL: frozenset({"call", "voice"}),
    Channel.EMAIL: frozenset({"email"}),
}
_SILENCING: dict[Purpose | Channel, str] = {
    Purpose.BOOKING: "nobooking",
    Purpose.REMINDER: "noremind",
    Purpose.FOLLOW_UP: "nofollowup",
    Channel.SMS: "nosms",
    Channel.CALL: "nocall",
    Channel.EMAIL: "noemail",
}
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One auto message of the account; `distance` is counted as its purpose says."""

    purpose: Purpose
    channel: Channel
    distance: timedelta = timedelta()
    enabled: bool = True

    def due(self, event: StoredEvent) -> datetime:
        """Say when this rule wants to send for an event."""
        if self.purpose is Purpose.BOOKING:
            return event.created_at + self.distance
        if self.purpose is Purpose.REMINDER:
            return (event.start_time - self.distance).astimezone(UTC)
        return (event.end_time + self.distance).astimezone(UTC)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AutoMessage:
    """One message to one participant; `text` is what they would read, the time in the event's zone."""

    event_id: int
    external_id: str | None
    participant_id: int
    name: str
    to: str
    purpose: Purpose
    channel: Channel
    at: datetime
    text: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OneOff:
    """A call of send_message or of event mark, which the daemon must never make."""

    at: datetime
    body: dict[str, object]


_Due = tuple[datetime, int, int, int, Rule]  # when, order, event, participant


class Messages:
    """The ledger of auto messages. Whatever fell due by the clock counts as sent as soon as anybody looks."""

    def __init__(self, *, settings: ApptotoSettings, clock: SimulatedClock, events: Events) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._order = itertools.count()
        self._due: list[_Due] = []
        self._done: set[tuple[int, int, Rule, datetime]] = set()
        self._sent: list[AutoMessage] = []
        self._ran_to = clock.now()
        self._scheduled_rules = settings.rules
        self.one_offs: list[OneOff] = []
        self.marks: list[OneOff] = []
        events.listeners.append(self._note)

    @property
    def sent(self) -> list[AutoMessage]:
        """Every message sent up to now, in order of sending."""
        self.run()
        return list(self._sent)

    def would_send(self) -> list[AutoMessage]:
        """Every message that will go out if nothing changes, soonest first."""
        self.run()
        ahead = [
            self._written(event, person, rule, rule.due(event))
            for event in self._events.live_events()
            for rule in self._rules()
            if rule.due(event) > self._ran_to
            for person in event.participants
            if self._may_send(event, person, rule)
        ]
        return sorted(ahead, key=lambda m: m.at)

    def sent_for(self, external_id: str) -> list[AutoMessage]:
        """List what was sent about the events with this external_id."""
        return [m for m in self.sent if m.external_id == external_id]

    def advance(self, by: timedelta) -> list[AutoMessage]:
        """Move the vendor's clock and return what was sent meanwhile."""
        before = len(self.sent)
        self._clock.advance(by)
        return self.sent[before:]

    def run(self) -> None:
        """Send what is due by the clock; called before every request, so that a write finds the past settled."""
        if self._scheduled_rules != self._settings.rules:
            self._scheduled_rules = self._settings.rules
            self._reschedule()
        now = self._clock.now()
        while self._due and self._due[0][0] <= now:
            due, _, event_id, participant_id, rule = heapq.heappop(self._due)
            self._send(event_id, participant_id, rule, due)
        self._ran_to = max(now, self._ran_to)

    def _note(self, change: Change, event: StoredEvent) -> None:
        if change is Change.DELETED:
            return
        for rule in self._rules():
            due = rule.due(event)
            for person in event.participants:
                if self._is_to_come(change, event, person, rule):
                    heapq.heappush(self._due, (due, next(self._order), event.id, person.id, rule))
        self.run()

    def _is_to_come(self, change: Change, event: StoredEvent, person: Participant, rule: Rule) -> bool:
        """Tell whether this write makes a message wait; what is past already is never sent late (Apptoto: section 7, timing)."""
        if rule.purpose is not Purpose.BOOKING or rule.distance:
            return rule.due(event) >= self._ran_to
        joined = person.added_at > event.created_at
        if change is Change.CREATED or (joined and self._settings.book_added):
            return True
        return self._settings.release_bookings and not joined

    def _reschedule(self) -> None:
        self._due.clear()
        for event in self._events.live_events():
            for rule in self._rules():
                for person in event.participants:
                    if rule.due(event) > self._ran_to:
                        heapq.heappush(self._due, (rule.due(event), next(self._order), event.id, person.id, rule))

    def _send(self, event_id: int, participant_id: int, rule: Rule, due: datetime) -> None:
        event = self._events.by_id(event_id)
        person = next((p for p in event.participants if p.id == participant_id), None) if event else None
        if event is None or person is None or rule.due(event) != due or not self._may_send(event, person, rule):
            return
        message = self._written(event, person, rule, max(due, self._ran_to) if rule.purpose is Purpose.BOOKING else due)
        self._done.add((event.id, person.id, rule, due))
        self._sent.append(message)
        person.messaged = True
        if rule.purpose is Purpose.REMINDER and person.state in ("initial", "accepted"):
            person.state = "reminded"
        person.conversation.append(_as_sent(len(self._sent), message))

    def _may_send(self, event: StoredEvent, person: Participant, rule: Rule) -> bool:
        if event.is_deleted or rule not in self._rules() or (event.id, person.id, rule, rule.due(event)) in self._done:
            return False
        address = _address(person, rule.channel)
        reachable = address is not None and address not in self._settings.stop_list
        return reachable and is_allowed(rule, commands_in(event.title, event.location, event.content), self._settings)

    def _rules(self) -> tuple[Rule, ...]:
        return tuple(read_rule(line) for line in self._settings.rules)

    def _written(self, event: StoredEvent, person: Participant, rule: Rule, at: datetime) -> AutoMessage:
        return AutoMessage(
            event_id=event.id,
            external_id=event.external_id,
            participant_id=person.id,
            name=person.name,
            to=_address(person, rule.channel) or "",
            purpose=rule.purpose,
            channel=rule.channel,
            at=at,
            text=f"{event.title}, {self._as_read(event)}",
        )

    def _as_read(self, event: StoredEvent) -> str:
        calendar_zone = pytz.timezone(self._events.calendars[event.calendar_id].time_zone)
        zone = (zone_named(event.time_zone) if self._settings.use_event_zone else None) or calendar_zone
        return event.start_time.astimezone(zone).strftime("%Y-%m-%d %H:%M")


@functools.cache
def read_rule(line: str) -> Rule:
    """Read a rule as the settings write it: "reminder sms 24h", "reminder call 24h off"."""
    purpose, channel, *rest = line.split()
    distance = timedelta()
    for word in rest:
        if found := re.fullmatch(r"(\d+)([mhd])", word):
            distance = timedelta(**{_UNITS[found[2]]: int(found[1])})
        elif word != "off":
            raise ValueError(f"{word!r} in the rule {line!r} is neither a distance nor 'off'")
    return Rule(purpose=Purpose(purpose), channel=Channel(channel), distance=distance, enabled="off" not in rest)


def is_allowed(rule: Rule, commands: frozenset[str], settings: ApptotoSettings) -> bool:
    """Decide by the switches and the event's commands (Apptoto: section 7, in-event commands)."""
    if "skip" in commands or not (settings.master_switch or commands & _MASTER):
        return False
    silencing = {_SILENCING[rule.purpose], _SILENCING[rule.channel]}
    if settings.ignore_nobooking:
        silencing.discard("nobooking")
    if silencing & commands:
        return False
    return rule.enabled or bool(commands & (_ENABLING[rule.purpose] | _ENABLING[rule.channel]))


def _address(person: Participant, channel: Channel) -> str | None:
    return person.email if channel is Channel.EMAIL else person.normalized_phone


def _as_sent(number: int, message: AutoMessage) -> dict[str, object]:
    return {
        "id": number,
        "at": message.at.isoformat(timespec="seconds"),
        "event_type": "sent",
        "content": message.text,
        "delivery_state": "delivered",
        "delivery_error": None,
        "delivery_failed": False,
        "send_failed": False,
    }
