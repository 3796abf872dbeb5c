"""Messages that a source sends about its events by itself: who gets which, when and why. Pure; vendors' shapes stay in their folders."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from calrelay.domain.event import Event, Lifecycle, SourceId
from calrelay.domain.reminders import Channel, OwnMessages, Recipient

_SILENT = frozenset({Lifecycle.CANCELLED, Lifecycle.KEPT})  # what does not take place, or did not, reminds nobody
_ANY = frozenset({"", "*"})


class Why(StrEnum):
    """Which of the source's message systems sends."""

    BUILT_IN = "built-in reminder"
    TRIGGER = "trigger"
    INVITATION = "invitation"


class Subject(StrEnum):
    """What a message comes from, in the words of the JSON contract."""

    APPOINTMENT = "appointment"
    ACTION = "eventAction"
    CAMPAIGN = "invitationCampaign"


class InvitationStatus(StrEnum):
    """How far an invitation came with the person who was invited; `pending` is one that did not go out yet."""

    PENDING = "pending"
    SENT = "sent"
    OPENED = "opened"
    CLICKED = "clicked"
    COMPLETED = "completed"
    DECLINED = "declined"


class Moment(StrEnum):
    """What sets a trigger off."""

    TIME = "time"
    CREATED = "created"
    CHANGED = "changed"
    INVITED = "invited"
    INVITATION_OPEN = "invitation open"
    INVITATION_COMPLETED = "invitation completed"
    OTHER = "other"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A text, and whom it is addressed to; `recipient` None: its address says neither. Level as the vendor counts, 0 to 4."""

    id: str
    category: str | None = None
    level: int | None = None
    language: str | None = None
    services: frozenset[str] | None = None
    recipient: Recipient | None = None

    def fits(self, services: frozenset[str], language: str | None) -> bool:
        """Say whether an event of these services, for somebody of this language, gets this text."""
        return (not self.services or bool(self.services & services)) and (not self.language or self.language == language)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A mail that a trigger sends; `category` where the action itself names one."""

    id: str
    template_id: str | None
    category: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which events a trigger is for; None or nothing admits all (TimeTap: 3.2, a guess)."""

    services: frozenset[str] | None = None
    staff: frozenset[str] | None = None
    locations: frozenset[str] | None = None
    is_for_classes: bool = False

    def __contains__(self, event: Event) -> bool:
        if self.is_for_classes and "class" not in event.facets.get("reason_types", frozenset()):
            return False
        wanted = (("services", self.services), ("staff", self.staff), ("locations", self.locations))
        return all(not ids or ids & event.facets.get(facet, frozenset()) for facet, ids in wanted)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A rule that sends mails: `delay` before (negative) the start or after the end, or after what set it off."""

    id: str
    moment: Moment
    delay: timedelta
    description: str = ""
    scope: Scope = Scope()
    old_status: str = ""
    new_status: str = ""
    campaign: str | None = None
    actions: tuple[Action, ...] = ()

    def at(self, event: Event) -> datetime:
        """Return when a time trigger goes off for an event; what follows an event counts from its end (a guess, TimeTap: 9)."""
        return (event.end if self.delay > timedelta() else event.start) + self.delay


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An invitation that concerns an event; others ask people to book, and are none of our business (TimeTap: 3.4)."""

    campaign: str
    event: SourceId
    guest_id: str | None  # None: whoever the event's guest is
    created_at: datetime
    completed_at: datetime | None = None
    is_answered: bool = False
    status: InvitationStatus = InvitationStatus.PENDING


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Everything an account has set up to message people with. `is_told` False: the account is not told of its triggers.

    `lost` names templates that actions send and nobody can read any more.
    """

    triggers: tuple[Trigger, ...] = ()
    templates: Mapping[str, Template] = dataclasses.field(default_factory=dict)
    excluded: frozenset[str] = frozenset()
    invitations: tuple[Invitation, ...] = ()
    is_told: bool = True
    lost: frozenset[str] = frozenset()

    def template_of(self, action: Action, event: Event | None, language: str | None = None) -> Template | None:
        """Return the text an action sends for an event; None where it sends none, or nobody can tell.

        That is its own template, or, once that is gone, the most special one left in its category; nothing from a disabled category.
        """
        services = event.facets.get("services", frozenset()) if event else frozenset()
        own = self.templates.get(action.template_id or "")
        if own is None and action.category is not None:
            own = choose((t for t in self.templates.values() if t.category == action.category), services, language)
        return None if own is None or own.category in self.excluded else own


def choose(templates: Iterable[Template], services: frozenset[str], language: str | None) -> Template | None:
    """Return the text of a category that an event gets: for its service and language, one of both, the account's, the vendor's own.

    That a service goes before a language is a guess: the vendor does not state the order (TimeTap: 3.3, level).
    """
    fitting = [template for template in templates if template.fits(services, language)]
    return max(fitting, key=lambda template: template.level or 0, default=None)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that will be, or was, sent to one person about one event; `at` None: when somebody does what it waits for.

    `is_for_its_guest` tells the event's own guest from others who are invited because of it.
    """

    event: SourceId
    recipient: Recipient
    channel: Channel
    at: datetime | None
    why: Why
    subject: Subject
    subject_id: str
    trigger: Trigger | None = None
    action: str | None = None
    template: Template | None = None
    is_for_its_guest: bool = True

    def is_to_come_for_its_guest(self, now: datetime) -> bool:
        """Say whether the event's own guest is still to get it: with a target that messages them, too, it comes on top."""
        return self.recipient is Recipient.GUEST and self.is_for_its_guest and self.at is not None and self.at >= now

    @property
    def can_silence(self) -> bool:
        """Whether what it comes from can be switched off without touching the booking."""
        return self.subject is Subject.ACTION

    @property
    def how(self) -> str:
        """Say how it is switched off."""
        match self.subject:
            case Subject.ACTION:
                staff = " --staff" if self.recipient is Recipient.STAFF else ""
                return f"calrelay messages silence action:{self.action}{staff}"
            case Subject.CAMPAIGN:
                return "where the campaign was sent from; the campaign itself cannot be switched off by API"
            case Subject.APPOINTMENT:
                return "Messaging Settings, for bookings to come; those that exist keep theirs, and changing one mails its guest"


def messages_of(event: Event, rules: Rules) -> Iterator[Message]:
    """Go through the messages that stand in the calendar for an event: built-in reminders, time triggers, invitations. In no order."""
    if event.own is None or event.exempt:
        return
    if event.lifecycle not in _SILENT:
        yield from _built_in(event, event.own)
        for trigger in rules.triggers:
            if trigger.moment is Moment.TIME and event in trigger.scope and _is_young(event.own, trigger.at(event)):
                yield from sent_by(trigger, event, rules, trigger.at(event))
    yield from _invited(event, event.own, rules)


def possible_of(event: Event, rules: Rules) -> Iterator[Message]:
    """Go through the messages that changing an event, or its status, would send. Their instant is not known before."""
    if event.own is None or event.exempt or event.lifecycle in _SILENT:
        return
    for trigger in rules.triggers:
        if trigger.moment is Moment.CHANGED and event in trigger.scope and trigger.old_status in _ANY | {event.status}:
            yield from sent_by(trigger, event, rules, None)


def sent_by(trigger: Trigger, event: Event, rules: Rules, at: datetime | None) -> Iterator[Message]:
    """Go through the messages of a trigger that goes off for an event, to those who have an address."""
    for action in trigger.actions:
        template = rules.template_of(action, event)
        if template is None or template.recipient is None:
            continue
        message = Message(
            event=event.source_id,
            recipient=template.recipient,
            channel=Channel.EMAIL,  # all that the vendor documents; that triggers can text is said, too, but not how
            at=at,
            why=Why.TRIGGER,
            subject=Subject.ACTION,
            subject_id=action.id,
            trigger=trigger,
            action=action.id,
            template=template,
        )
        if _is_reachable(message.recipient, message.channel, event.own):
            yield message


def _built_in(event: Event, own: OwnMessages) -> Iterator[Message]:
    for reminder in own.reminders:
        at = event.start - reminder.before
        if _is_young(own, at) and _is_reachable(reminder.recipient, reminder.channel, own):
            yield Message(
                event=event.source_id,
                recipient=reminder.recipient,
                channel=reminder.channel,
                at=at,
                why=Why.BUILT_IN,
                subject=Subject.APPOINTMENT,
                subject_id=event.source_id,
            )


def _invited(event: Event, own: OwnMessages, rules: Rules) -> Iterator[Message]:
    """Go through what campaigns send that concern the event: reminders count from the invitation while it is unanswered."""
    for invitation in rules.invitations:
        if invitation.event != event.source_id:
            continue
        moments = {
            Moment.INVITED: invitation.created_at,
            Moment.INVITATION_OPEN: None if invitation.is_answered else invitation.created_at,
            Moment.INVITATION_COMPLETED: invitation.completed_at,
        }
        for trigger in rules.triggers:
            moment = moments.get(trigger.moment)
            if trigger.campaign == invitation.campaign and moment is not None:
                for message in _of_invitation(trigger, event, rules, moment + trigger.delay):
                    yield dataclasses.replace(message, is_for_its_guest=invitation.guest_id in (None, own.guest.id))


def _of_invitation(trigger: Trigger, event: Event, rules: Rules, at: datetime) -> Iterator[Message]:
    for action in trigger.actions:
        template = rules.template_of(action, None)
        if template is not None and template.recipient is not None:
            yield Message(
                event=event.source_id,
                recipient=template.recipient,
                channel=Channel.EMAIL,
                at=at,
                why=Why.INVITATION,
                subject=Subject.CAMPAIGN,
                subject_id=trigger.campaign or "",
                trigger=trigger,
                action=action.id,
                template=template,
            )


def _is_young(own: OwnMessages, at: datetime) -> bool:
    """Say whether an instant lies after the booking was made: nobody is reminded of what was not booked yet."""
    return own.booked_at is None or at >= own.booked_at


def _is_reachable(recipient: Recipient, channel: Channel, own: OwnMessages | None) -> bool:
    return recipient is Recipient.STAFF or (own is not None and own.guest.has(channel))


def mailing_triggers(rules: Rules) -> int:
    """Count the triggers that mail guests at a time before or after an event."""
    return sum(
        trigger.moment is Moment.TIME and any(_mails_guests(action, rules) for action in trigger.actions) for trigger in rules.triggers
    )


def _mails_guests(action: Action, rules: Rules) -> bool:
    template = rules.template_of(action, None)
    return template is not None and template.recipient is Recipient.GUEST
