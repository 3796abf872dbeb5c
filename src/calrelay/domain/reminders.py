"""What a source says of its own messages about one event. Values only; when they go out is computed in `messages`."""

import dataclasses
from datetime import datetime, timedelta
from enum import StrEnum


class Recipient(StrEnum):
    """Whom a message goes to."""

    GUEST = "guest"
    STAFF = "staff"


class Channel(StrEnum):
    """How a message travels."""

    EMAIL = "email"
    SMS = "sms"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """A reminder that the source keeps with the event itself, this long before its start."""

    recipient: Recipient
    channel: Channel
    before: timedelta


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """The one guest the source itself would message, as it has them: addresses that only we find odd count, too."""

    id: str | None = None
    email: str = dataclasses.field(default="", repr=False)
    phone: str = dataclasses.field(default="", repr=False)

    @property
    def address(self) -> str:
        """What tells one guest from another: the e-mail address, else the number; empty where there is neither."""
        return self.email.casefold() or self.phone

    def has(self, channel: Channel) -> bool:
        """Say whether there is an address for a channel."""
        return bool(self.email if channel is Channel.EMAIL else self.phone)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OwnMessages:
    """What the source's own messages about an event depend on; it says nothing about the booking, and does not count as content."""

    guest: Guest
    booked_at: datetime | None = None
    reminders: tuple[Reminder, ...] = ()
