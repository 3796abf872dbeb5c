"""Extra custom data that a pipeline may ask for, made of what a source does by itself. Pure; off unless the config names it."""

import dataclasses
from collections.abc import Collection, Iterable
from datetime import datetime

from calrelay.domain.event import Event, Extra
from calrelay.domain.messages import Invitation, InvitationStatus, Rules, messages_of
from calrelay.domain.zones import resolve_zone, with_offset


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a source besides its events; None: nothing was ever read."""

    rules: Rules | None = None
    invitations: tuple[Invitation, ...] | None = None

    def can_tell(self, extra: Extra) -> bool:
        """Say whether an extra field can be filled, be it with nothing."""
        return (self.rules if extra is Extra.NEXT_MESSAGE else self.invitations) is not None


def with_extras(event: Event, wanted: Collection[Extra], known: Known, now: datetime) -> Event:
    """Return an event with its extra fields; one that has nothing to say is left out. They are content: a new value is a change."""
    values = {extra.value: _value(extra, event, known, now) for extra in wanted}
    return dataclasses.replace(event, custom={**event.custom, **{name: value for name, value in values.items() if value}})


def next_message(event: Event, rules: Rules, now: datetime) -> str:
    """Return when and how the source messages the event's guest next, "2026-12-01T10:00-05:00 email", or nothing.

    On the clock of the event's place. What waits for somebody to do something has no instant, and does not count.
    """
    coming = [
        (message.at, message.channel) for message in messages_of(event, rules) if message.at and message.is_to_come_for_its_guest(now)
    ]
    if not coming:
        return ""
    at, channel = min(coming)
    return f"{with_offset(at, resolve_zone(event.zone)).isoformat(timespec='minutes')} {channel}"


def invitation_status(event: Event, invitations: Iterable[Invitation]) -> str:
    """Return how far the newest invitation of the event's own guest came; nothing for one that did not go out."""
    guest = event.own.guest.id if event.own else None
    theirs = [one for one in invitations if one.event == event.source_id and one.guest_id in (None, guest)]
    newest = max(theirs, key=lambda one: one.created_at, default=None)
    return "" if newest is None or newest.status is InvitationStatus.PENDING else newest.status.value


def _value(extra: Extra, event: Event, known: Known, now: datetime) -> str:
    match extra:
        case Extra.NEXT_MESSAGE:
            return next_message(event, known.rules, now) if known.rules else ""
        case Extra.INVITATION_STATUS:
            return invitation_status(event, known.invitations or ())
