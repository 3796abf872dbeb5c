"""What the simulated TimeTap will send by itself, and the trigger rows that tell of it: the answer other code is compared with."""

import dataclasses
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.timetap.book import AppointmentBook, Booking, RowKind
from calrelay.simulators.timetap.events import EventStore, in_scope, type_of
from calrelay.simulators.timetap.invitations import InvitationStore, InvitedType
from calrelay.simulators.timetap.rows import BUSINESS_ID, Json, end_of, millis, start_of
from calrelay.simulators.timetap.settings import Anchor, TimeTapSettings
from calrelay.simulators.timetap.templates import CLIENT_REMINDER, STAFF_REMINDER, Recipient, TemplateStore, recipient_of

FIRST_TRIGGER = 52_001
SILENT = ("CANCELLED", "NO_SHOW")
RUN_MINUTE = timedelta(minutes=10)  # triggers look like running ten past each hour


class Channel(StrEnum):
    """How a message travels."""

    EMAIL = "email"
    SMS = "sms"


class Origin(StrEnum):
    """Which of TimeTap's message systems sends."""

    BUILT_IN = "built-in"
    TIME = "time"
    STATUS = "status"  # create, edit and status triggers
    INVITATION = "invitation"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to one person; `at` is None while it depends on what somebody does, `calendar_id` where no appointment is meant."""

    calendar_id: int | None
    at: datetime | None
    origin: Origin
    channel: Channel
    recipient: Recipient
    definition_id: int | None = None
    action_id: int | None = None
    template_id: int | None = None


BUILT_IN = (
    ("clientReminderHours", Channel.EMAIL, Recipient.CLIENT, CLIENT_REMINDER),
    ("staffReminderHours", Channel.EMAIL, Recipient.STAFF, STAFF_REMINDER),
    ("remindClientSmsHrs", Channel.SMS, Recipient.CLIENT, None),
    ("remindStaffSmsHrs", Channel.SMS, Recipient.STAFF, None),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MessageStores:
    """The three documented stores that messages are made of."""

    templates: TemplateStore
    events: EventStore
    invitations: InvitationStore


class MessageSchedule:
    """Computes messages from book, definitions, templates and invitations as they are now; keeps nothing but trigger ids."""

    def __init__(self, *, book: AppointmentBook, stores: MessageStores, clock: SimulatedClock, settings: TimeTapSettings) -> None:
        self._book = book
        self._templates = stores.templates
        self._events = stores.events
        self._invitations = stores.invitations
        self._clock = clock
        self._settings = settings
        self._numbers = itertools.count(FIRST_TRIGGER)
        self._ids: dict[tuple[int, object], int] = {}

    def due(self, begin: datetime, end: datetime) -> list[Message]:
        """Return the messages that go out from `begin` until before `end`, in order; both aware."""
        everything = itertools.chain(self._built_in(), self._timed(), self._fired(), self._from_invitations())
        found = [m for m in everything if m.at is not None and begin <= m.at < end]
        return sorted(found, key=lambda m: (m.at, m.calendar_id or 0, m.origin, m.channel, m.recipient, m.action_id or 0))

    def possible(self, begin: datetime, end: datetime) -> list[Message]:
        """Return what creating, editing or a change of status would send for appointments that start in this span."""
        found: list[Message] = []
        for row in self._rows():
            if begin <= start_of(row) < end:
                for definition in self._events.firing(1, 2, 4, 5):
                    found += self._by_definition(definition, row, None, Origin.STATUS)
        return found

    def triggers_of(self, calendar_id: int) -> list[Json]:
        """Return the eventTrigger rows of an appointment, past and scheduled ones."""
        booking = self._book.bookings.get(calendar_id)
        if booking is None:
            return []
        created = datetime.fromtimestamp(booking.row["createdDate"] / 1000, UTC)
        found = list(self._schedule(booking.row)) if _speaks(booking) else []
        found += [(self._events.definitions[f.definition_id], f.at) for f in self._events.fired if f.calendar_id == calendar_id]
        target = {"objectId": calendar_id, "objectType": "CALENDAR", "objectUUId": None}
        return [self._trigger(definition, at, created, target) for definition, at in found]

    def triggers_of_invitation(self, uuid: str) -> list[Json]:
        """Return the eventTrigger rows of an invitation."""
        invitation = self._invitations.invitations.get(uuid)
        if invitation is None:
            return []
        created = datetime.fromtimestamp(invitation["createdDate"] / 1000, UTC)
        target = {"objectId": None, "objectType": "INVITATION", "objectUUId": uuid}
        return [self._trigger(d, at, created, target) for d, at in self._invitation_schedule(invitation)]

    def _rows(self) -> Iterator[Json]:
        return (booking.row for booking in self._book.bookings.values() if _speaks(booking))

    def _built_in(self) -> Iterator[Message]:
        for row in self._rows():
            for key, channel, recipient, category in BUILT_IN:
                at = start_of(row) - timedelta(hours=row[key] or 0)
                wanted = row[key] and category not in self._templates.excluded and _reachable(row, recipient, channel)
                over = row["status"] == "COMPLETED" and at > self._clock.now()
                if wanted and not over and millis(at) >= row["createdDate"]:
                    yield Message(calendar_id=row["calendarId"], at=at, origin=Origin.BUILT_IN, channel=channel, recipient=recipient)

    def _timed(self) -> Iterator[Message]:
        for row in self._rows():
            for definition, at in self._schedule(row):
                yield from self._by_definition(definition, row, at, Origin.TIME)

    def _fired(self) -> Iterator[Message]:
        for fired in self._events.fired:
            booking = self._book.bookings.get(fired.calendar_id)
            if booking is not None:
                definition = self._events.definitions[fired.definition_id]
                yield from self._by_definition(definition, booking.row, fired.at, Origin.STATUS)

    def _from_invitations(self) -> Iterator[Message]:
        for invitation in self._invitations.invitations.values():
            calendar_id = self._calendar_of(invitation)
            for definition, at in self._invitation_schedule(invitation):
                yield from self._by_actions(definition, calendar_id, at, Origin.INVITATION, None)

    def _schedule(self, row: Json) -> Iterator[tuple[Json, datetime]]:
        """Go through the time triggers of an appointment: negative hours before its start, positive ones after it."""
        for definition in self._events.firing(3, 6):
            delay = timedelta(hours=definition["triggerHours"], minutes=definition["triggerMinutes"])
            after_end = delay > timedelta() and self._settings.after_counts_from is Anchor.END
            at = (end_of(row) if after_end else start_of(row)) + delay
            if in_scope(definition, row) and millis(at) >= row["createdDate"]:
                yield definition, at

    def _invitation_schedule(self, invitation: Json) -> Iterator[tuple[Json, datetime]]:
        """Go through a campaign's definitions: reminders count from the invitation's creation while it is unanswered."""
        campaign = invitation["invitationCampaignId"]
        answered = invitation["completed"] or invitation["declined"] or invitation["unsubscribed"]
        moments = {7: invitation["createdDate"], 8: None if answered else invitation["createdDate"], 9: invitation["completedDate"]}
        for definition in self._events.firing(7, 8, 9):
            moment = moments[type_of(definition)]
            if definition["objectId"] == campaign and moment is not None:
                delay = timedelta(hours=definition["triggerHours"], minutes=definition["triggerMinutes"])
                yield definition, datetime.fromtimestamp(moment / 1000, UTC) + delay

    def _by_definition(self, definition: Json, row: Json, at: datetime | None, origin: Origin) -> Iterator[Message]:
        if in_scope(definition, row):
            for message in self._by_actions(definition, row["calendarId"], at, origin, row):
                if _reachable(row, message.recipient, message.channel):
                    yield message

    def _by_actions(
        self, definition: Json, calendar_id: int | None, at: datetime | None, origin: Origin, row: Json | None
    ) -> Iterator[Message]:
        reason = ((row or {}).get("reason") or {}).get("reasonId")
        for action in self._events.actions_of(definition["eventDefnId"]):
            template = self._templates.for_action(action["emailTemplateId"], reason)
            if template is not None:
                yield Message(
                    calendar_id=calendar_id,
                    at=at,
                    origin=origin,
                    channel=Channel.EMAIL,
                    recipient=recipient_of(template),
                    definition_id=definition["eventDefnId"],
                    action_id=action["eventActionId"],
                    template_id=template["emailTemplateId"],
                )

    def _calendar_of(self, invitation: Json) -> int | None:
        if invitation["objectType"] == InvitedType.APPOINTMENT:
            return int(invitation["objectId"])
        calendar_id: int | None = self._invitations.campaigns[invitation["invitationCampaignId"]]["calendarId"]
        return calendar_id

    def _trigger(self, definition: Json, at: datetime, created: datetime, target: Json) -> Json:
        key = (definition["eventDefnId"], target["objectId"] or target["objectUUId"])
        number = self._ids.setdefault(key, 0) or next(self._numbers)
        self._ids[key] = number
        ran = _next_run(at)
        done = ran <= self._clock.now()
        return target | {
            "businessId": BUSINESS_ID,
            "completedTime": millis(ran) if done else None,
            "createdDate": millis(created),
            "createdUser": "event_trigger",
            "eventDefnId": definition["eventDefnId"],
            "eventTriggerId": number,
            "modifiedDate": None,
            "modifiedUser": None,
            "scheduledTime": millis(at),
            "status": "COMPLETED" if done else self._settings.pending_trigger_status,
        }


def _speaks(booking: Booking) -> bool:
    return booking.kind is RowKind.APPOINTMENT and booking.row["client"] is not None and booking.row["status"] not in SILENT


def _reachable(row: Json, recipient: Recipient, channel: Channel) -> bool:
    if recipient is not Recipient.CLIENT:
        return True
    return bool(row["client"] and row["client"]["cellPhone" if channel is Channel.SMS else "emailAddress"])


def _next_run(at: datetime) -> datetime:
    hour = at.replace(minute=0, second=0, microsecond=0) + RUN_MINUTE
    return hour if hour >= at else hour + timedelta(hours=1)
