"""The link: our memory of one event of a pipeline. Its states, and what it still owes the target."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NewType

from calrelay.domain.event import SourceId

ExternalId = NewType("ExternalId", str)
TargetId = NewType("TargetId", str)
CalendarId = NewType("CalendarId", str)


class State(StrEnum):
    """Where an event stands on its way to the target."""

    SETTLED = "settled"  # wanted = accepted
    READY = "ready"  # to be sent
    SENDING = "sending"  # in a request whose answer we have not seen
    WAITING = "waiting"  # settling, or outside creating hours
    HELD = "held"  # parked by a guard until somebody decides
    QUARANTINED = "quarantined"  # cannot be mapped, or the target refuses it
    IGNORED = "ignored"  # by the operator
    RELEASED = "released"  # let go: not touched again, whatever becomes of it, unless somebody takes it up


REJECTED = "rejected: the target keeps what it has"  # the reason of a link of which a hold was rejected, for good …
DELETED_THERE = "somebody deleted it at the target while a change to it was being sent"  # the reason of one in quarantine
LOST = "not at the target any more"  # the reason of one that waits to be created again, if somebody wants that
REJECTED_FOR_NOW = f"{REJECTED} until its row changes"  # … or for the time being


class Wait(StrEnum):
    """Why an action that the guards let through is not sent yet: the reason of a link in WAITING."""

    SETTLING = "settling: sent when two reads agree"
    CREATE_HOURS = "outside the hours in which events are created"


class MessageMode(StrEnum):
    """How a new event is marked so that Apptoto messages its people, or does not; it stays with the link."""

    SEND = "send"
    AUTO = "auto"
    NO_BOOKING = "no-booking"
    SKIP = "skip"


TRIAL = "try-"  # what external ids of trial copies begin with, and no pipeline's own
TAGS: Mapping[MessageMode, str] = {
    MessageMode.SEND: "",
    MessageMode.AUTO: "#auto",
    MessageMode.NO_BOOKING: "#nobooking",
    MessageMode.SKIP: "#skip",
}  # Apptoto: in-event commands; our texts are defused, so a tag in a content of ours is one of these


def mode_of_content(content: str) -> MessageMode | None:
    """Return the mode that wrote this content, by its last line; None when it says nothing (or `send`)."""
    last = content.rpartition("\n")[2].strip()
    return next((mode for mode, tag in TAGS.items() if tag and tag == last), None)


_BY_LOUDNESS = (MessageMode.SKIP, MessageMode.NO_BOOKING, MessageMode.SEND, MessageMode.AUTO)


def quieter(one: MessageMode, other: MessageMode) -> MessageMode:
    """Return the one of two modes that messages fewer people."""
    return min(one, other, key=_BY_LOUDNESS.index)


def once_more(mode: MessageMode) -> MessageMode:
    """Return the mode for another entry of a booking of which its guest has heard: no booking message, where reminders do not hang on it.

    Apptoto, in-event commands: `#auto` may be what has reminders sent at all.
    """
    return MessageMode.NO_BOOKING if mode is MessageMode.SEND else mode


class Field(StrEnum):
    """What a target entry is made of; an update sends those that changed."""

    TITLE = "title"
    START = "start"
    END = "end"
    TIME_ZONE = "time_zone"
    LOCATION = "location"
    CONTENT = "content"
    PARTICIPANTS = "participants"
    CUSTOM_DATA = "custom_data"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Imprint:
    """What the ledger keeps of an entry: where and when it is, and a keyed hash of each field. `start` and `end` are UTC.

    A field whose hash is missing or empty is one we know nothing about: it differs from whatever is wanted.
    """

    calendar: CalendarId
    start: datetime
    end: datetime
    hashes: Mapping[Field, str]

    def differs_from(self, other: "Imprint") -> frozenset[Field]:
        """Return the fields that are not known to be the same in both."""
        return frozenset(f for f in Field if not self.hashes.get(f) or self.hashes.get(f) != other.hashes.get(f))

    @property
    def digest(self) -> str:
        """One string that is the same only for the same calendar and fields."""
        return "|".join((self.calendar, *(self.hashes.get(f, "") for f in Field)))


AT_FAULT_AFTER = 3  # passes in which the target failed over an event by itself: then it is the event, where the vendor works otherwise
HANDS_OFF = frozenset({State.IGNORED, State.RELEASED})  # the operator said to leave these alone
OWING = frozenset({State.READY, State.SENDING})
_UNASKED = "?"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a mapping rests on besides the source row: zone data, mapping version, and the pipeline's config.

    `config` is a hash of what chooses events and their calendars (filter, routes), a blank, and a hash of what is said of them (templates).
    After the first comes a mark where an entry was brought in step without asking whether it is still wanted there.
    """

    zone_data: str
    mapping: str
    config: str

    @property
    def choice(self) -> str:
        """The part of the config that says which events are wanted, and in which calendar."""
        return self.config.partition(" ")[0].removesuffix(_UNASKED)

    @property
    def texts(self) -> str:
        """The part of the config that says what is said of them; all of it where it is not in two parts, so that any change counts."""
        return self.config.partition(" ")[2] or self.config

    def with_choice_of(self, other: "Basis") -> "Basis":
        """Return it with what the other chose by, marked, so that it is the basis of no plan: what it says is not asked yet."""
        return dataclasses.replace(self, config=f"{other.choice}{_UNASKED} {self.texts}")


class Owed(StrEnum):
    """What the target still has to be told about a link."""

    NOTHING = "nothing"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    MOVE = "move"  # to another calendar: a delete, then a create of the next generation


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Our memory of one event of a pipeline.

    `base_id` is the external id of the first generation; `external_id` the one in use. `wanted` is what we want the target to hold (None:
    nothing), `accepted` what it last accepted (None: it holds nothing of ours). `source_hash` is the source event's, `since` the moment
    it began to wait, was parked or came into quarantine, `hold` the hold it is parked in. `until_changed` ends an ignore when the source
    row is another than that of `source_hash`, the extra fields aside; where a link is held because its row is missing, or a filter or
    route has changed, both tell what was rejected of it before. `until_shown` says that its absence was rejected: it is left alone until
    its source shows it again. `let_in` says that the config has brought it in, and nobody decided yet whether it is to be created.
    """

    pipeline: str
    target: str
    source_id: SourceId
    base_id: ExternalId
    generation: int = 1
    target_id: TargetId | None = None
    state: State = State.READY
    reason: str = ""
    remedy: str = ""
    mode: MessageMode = MessageMode.SEND
    backfilled: bool = False
    source_hash: str = ""
    basis: Basis = Basis(zone_data="", mapping="", config="")
    wanted: Imprint | None = None
    accepted: Imprint | None = None
    hold: str | None = None
    until_changed: bool = False
    until_shown: bool = False
    let_in: bool = False
    attempts: int = 0
    since: datetime | None = None

    @property
    def external_id(self) -> ExternalId:
        """`ts-55120`, and `ts-55120.2` from the second generation on."""
        return external_id_of(self.base_id, self.generation)

    @property
    def is_live(self) -> bool:
        """Whether the target holds it, or may hold it: a create whose answer was never seen counts as existing."""
        return self.accepted is not None or self.state is State.SENDING

    @property
    def was_let_through(self) -> bool:
        """Whether the guards have let it through already, and it did not arrive: it waits, or was refused at the target."""
        was_refused = self.state is State.QUARANTINED and self.attempts > 0
        waits = self.state is State.WAITING and self.reason in tuple(Wait)
        return self.state in OWING or waits or was_refused

    @property
    def was_deleted_there(self) -> bool:
        """Whether it is in quarantine because a person deleted its entry at the target."""
        return self.state is State.QUARANTINED and self.reason == DELETED_THERE

    def as_let_in(self, *, is_rescoped: bool) -> "Link":
        """Return it with the mark that the config let it in where that may be, unless it is there, or the guards have let it through."""
        is_known = self.is_live or self.was_let_through
        return dataclasses.replace(self, let_in=True) if is_rescoped and not (is_known or self.let_in) else self

    @property
    def is_hands_off(self) -> bool:
        """Whether the operator said to leave it alone, for good or until its row changes."""
        return self.state in HANDS_OFF

    def is_of_row(self, source_hash: str) -> bool:
        """Whether the row it knows is the one with this hash, the extra fields aside; see `Hasher.of_event`."""
        return self.source_hash.partition(":")[0] in source_hash.split(":")

    @property
    def keeps_failing(self) -> bool:
        """Whether the target has failed over it in pass after pass, and still does as far as anybody knows."""
        return self.state in OWING and self.attempts >= AT_FAULT_AFTER

    @property
    def outlives_its_row(self) -> bool:
        """Whether it is left alone though its source does not show it any more.

        What is ignored until its row changes is not: to be gone is a change, unless a deletion is what was rejected.
        """
        ends_with_its_row = self.until_changed and not self.until_shown and self.wanted is not None
        return self.is_hands_off and not (self.state is State.IGNORED and ends_with_its_row)

    @property
    def is_only_missing(self) -> bool:
        """Whether its absence is all that was rejected of it."""
        return self.until_shown and not self.source_hash

    def shown_again(self) -> "Link":
        """Return it as it was before its row was missing, or the config had it elsewhere: perhaps that is over."""
        link = dataclasses.replace(self, until_shown=False) if self.until_shown else self
        if link.until_changed and link.state is State.HELD:
            return dataclasses.replace(link, state=State.IGNORED, reason=REJECTED_FOR_NOW, remedy="", hold=None)
        return link

    @property
    def owed(self) -> Owed:
        """Say what the target still has to be told."""
        if self.wanted is None:
            return Owed.DELETE if self.accepted is not None else Owed.NOTHING
        if self.accepted is None:
            return Owed.CREATE
        if self.accepted.calendar != self.wanted.calendar:
            return Owed.MOVE
        return Owed.UPDATE if self.wanted.differs_from(self.accepted) else Owed.NOTHING


def has_extras(source_hash: str) -> bool:
    """Whether the row with this hash has extra fields; see `Hasher.of_event`."""
    return ":" in source_hash


def external_id_of(base: ExternalId, generation: int) -> ExternalId:
    """Return the external id of one generation."""
    return base if generation == 1 else ExternalId(f"{base}.{generation}")


def external_id_parts(external_id: str) -> tuple[ExternalId, int]:
    """Split `ts-55120.2` into its base and generation; without a suffix the generation is 1."""
    base, dot, suffix = external_id.rpartition(".")
    if dot and suffix.isdecimal() and int(suffix) > 1:
        return ExternalId(base), int(suffix)
    return ExternalId(external_id), 1
