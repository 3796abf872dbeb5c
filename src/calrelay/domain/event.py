"""The canonical event: what a source says, in our words, with instants in UTC. Vendors' shapes stay in the vendors' folders."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NewType

from calrelay.domain.people import Participant
from calrelay.errors import MappingError

if TYPE_CHECKING:  # of sources that message people by themselves, see `messages`
    from calrelay.domain.reminders import OwnMessages

SourceId = NewType("SourceId", str)


class Lifecycle(StrEnum):
    """What a vendor's status says about the booking itself, whatever the filter says about wanting it."""

    LIVE = "live"
    CANCELLED = "cancelled"  # LOST, CANCELLED, deleted: it will not take place
    KEPT = "kept"  # NO_SHOW: it is history, leave the target as it is
    UNKNOWN = "unknown"  # a word this release does not know


class Extra(StrEnum):
    """A field of `custom` that is there where a pipeline asks for it; the values are its name in the config too. See `extras`."""

    INVITATION_STATUS = "invitation_status"
    NEXT_MESSAGE = "next_message"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One booking as its source holds it now.

    `start` and `end` are aware and in UTC; `zone` is the canonical IANA id of the place. `facets` are what filters and routes match: facet
    name to case-folded names and ids. `group` ties the events of one booking together. `exempt` says why a row is nobody's booking
    (time off, a hold), or is empty. `own` is what the source's own messages depend on, where it sends some. `notes` and `reasoning` explain
    the mapping to people; like `own` they do not count as content. Reasoning is there where one event was asked for, not on pages.
    `row_hash` is the hash of the row it came from, where that row alone tells everything, and empty elsewhere.
    """

    source_id: SourceId
    status: str
    lifecycle: Lifecycle
    start: datetime
    end: datetime
    zone: str
    title: str
    location: str = ""
    content: str = ""
    participants: tuple[Participant, ...] = ()
    facets: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    custom: Mapping[str, str] = dataclasses.field(default_factory=dict)
    group: str = ""
    exempt: str = ""
    own: "OwnMessages | None" = None
    notes: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    row_hash: str = dataclasses.field(default="", compare=False)

    @property
    def known_by(self) -> str:
        """The hash by which its row may be passed over when it comes again; none where there is something to be told every time."""
        return "" if self.notes else self.row_hash


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unmappable:
    """A row that cannot become an event; it is quarantined under its id, and the rest of its page goes on."""

    source_id: SourceId
    error: MappingError


Row = Event | Unmappable
