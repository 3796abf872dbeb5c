"""What the engine asks of a source, a target, a ledger, a token store and a clock. Interfaces only; their docstrings are contracts."""

import dataclasses
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from calrelay.domain.entry import Entry
from calrelay.domain.event import Event, Row, SourceId, Unmappable
from calrelay.domain.guard import HoldKind
from calrelay.domain.link import CalendarId, ExternalId, Field, Link, State, TargetId
from calrelay.domain.window import Span
from calrelay.errors import VendorError

if TYPE_CHECKING:  # of sources that message people by themselves: loaded by whoever has one
    from calrelay.domain.messages import Invitation, Rules
    from calrelay.domain.switches import Occurrence, Switch, SwitchKind

# --- what a source says ---


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows that were read soundly; de-duplicated by id over the whole read. `unchanged` are those that `Scope.recall` knew."""

    rows: Sequence[Row]
    unchanged: Collection[SourceId] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """Why a read is not complete. The sound pages still count; nothing may be concluded to be gone (rule 1)."""

    what: str
    error: VendorError | None = None


Recall = Callable[[Mapping[SourceId, bytes]], Mapping[SourceId, str]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What to read: events that start in `span`; with `changed_since` only those changed after it, where the source can tell.

    `recall` takes a page's rows as they came, whole and in the same bytes each time, and returns a hash of each one that has to be mapped,
    to go with its event. Those it leaves out are known, and are not mapped again. A source need not ask, and asks only about rows from
    which alone the event follows, together with its `mapping_version` and the account's config.
    """

    span: Span
    changed_since: datetime | None = None
    recall: Recall | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of `check`: what an account shows of itself. `warning` says what to do about it.

    `facets` are the names and ids of its places by facet, as filters may name them; empty where the account does not tell all there are.
    """

    name: str
    value: str
    warning: str = ""
    facets: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)


class Source(Protocol):
    """A vendor calendar that is read. Raises nothing but `VendorError` and its children."""

    account: str
    vendor: str
    id_prefix: str  # of external ids: "ts-", "tt-"
    can_read_changes: bool  # whether `Scope.changed_since` means anything here

    @property
    def mapping_version(self) -> str:
        """What changes when a release, or extra fields that are switched on, map the same row differently."""

    @property
    def requests(self) -> int:
        """HTTP requests sent so far, retries included."""

    def read(self, scope: Scope) -> AsyncIterator[Page | Flaw]:
        """Yield pages as they arrive, and a `Flaw` for whatever could not be read soundly. Never raises: complete means no flaw.

        Rows may start outside the span (vendors pad); rows are never filtered by status. Order is the vendor's.
        """

    async def find(self, source_id: SourceId, *, is_missing: bool = False) -> Event | Unmappable | None:
        """Ask for one event by id. None is proof that it is gone (404, deleted, the vendor's "not found").

        `is_missing` says that a complete read of its days has just failed to show it, so that weaker evidence is enough.
        Raises VendorError when nothing is proven: 401, 403, 5xx, timeouts, an answer that is not JSON.
        """

    async def site_zone(self) -> str | None:
        """Return the IANA zone of the account's site, for whole-day dates; None where there is none or several."""

    async def probe(self) -> Sequence[Fact]:
        """Read what `check` shows: sites, locations, staff, zones. Read-only. Raises VendorError when the account does not work."""

    @property
    def clock_skew_seconds(self) -> float | None:
        """The vendor's Date header minus our clock at the last answer, or None."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Invitations:
    """What was read of invitations that concern events: those of these campaigns, whole. Nothing is said of other campaigns."""

    campaigns: frozenset[str]
    found: "tuple[Invitation, ...]"


class Messenger(Protocol):
    """A source account that messages people by itself. Never edits a booking, never sends a message. Raises nothing but `VendorError`."""

    account: str
    vendor: str

    async def rules(self) -> "Rules":
        """Return everything that is set up to message people, built-in reminders excepted, which come with each event."""

    async def invitations(self) -> Invitations:
        """Return how far invitations came that concern events; a bounded number of requests, whatever the number of events."""

    async def occurrences(self, source_id: SourceId) -> "Sequence[Occurrence]":
        """Return what went off for one event and what is scheduled to, in one request."""

    async def switch(self, kind: "SwitchKind", identity: str) -> "Switch":
        """Return something that sends messages, as it is now. Raises NotFound where there is none, or it is off already."""

    async def silence(self, switch: "Switch") -> str:
        """Switch something off, read it back, and say how it took. Idempotent. Raises RequestRejected when it does not take."""

    async def restore(self, switch: "Switch") -> str:
        """Switch something on again as it was, read it back, and say how it took. Idempotent. Raises as `silence` does."""


class Hook(Protocol):
    """How one account's webhooks are told from anybody's POST, and which events they name. Pure; shows no secret in its repr.

    What a webhook says of an event is never believed: it names events that are then read by their ids.
    """

    vendor: str
    drops_repeats: bool  # whether a body that comes again says nothing new: a vendor that tries again sends the same bytes

    def may_speak(self, key: str, headers: Mapping[str, str]) -> bool:
        """Say whether a body is worth reading; `key` is what the path has behind the account, headers are in lower case."""

    def is_genuine(self, headers: Mapping[str, str], body: bytes, at: datetime) -> bool:
        """Say whether whoever sent this knows the secret, by the raw body and our clock. In constant time where a secret is compared."""

    def names(self, body: bytes) -> frozenset[SourceId] | None:
        """Return the events that a body names; none where it is about something else, None where it cannot be read."""


# --- what a target takes ---


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """One event of an upsert: `fields` are sent, with external_id and calendar. A create sends all fields."""

    external_id: ExternalId
    calendar: CalendarId
    entry: Entry
    fields: frozenset[Field]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HeldPerson:
    """A participant as the target holds it; `phone` normalised by the target."""

    name: str
    email: str
    phone: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One event as the target holds it. A value the target does not tell is None; instants are in UTC.

    `offset` is the UTC offset at which it tells the start.
    """

    target_id: TargetId
    external_id: ExternalId | None
    calendar: CalendarId | None
    is_deleted: bool
    start: datetime | None
    end: datetime | None
    title: str | None
    location: str | None
    content: str | None
    participants: tuple[HeldPerson, ...] | None
    custom_data: Mapping[str, str] | None
    offset: timedelta | None = None


class Target(Protocol):
    """A vendor calendar that is written. Raises nothing but `VendorError` and its children."""

    account: str
    vendor: str
    batch_size: int
    max_in_flight: int

    @property
    def requests(self) -> int:
        """HTTP requests sent so far, retries included."""

    async def calendars(self) -> Mapping[str, CalendarId]:
        """Return the calendars by name. Never creates one. Empty where the vendor cannot tell."""

    async def calendar_is_sound(self, calendar: CalendarId) -> bool:
        """Say whether the calendar answers well; False when it is gone or refuses (rule 20)."""

    async def upsert(self, puts: Sequence[Put]) -> Sequence[Holding]:
        """Create or update, matched by external_id; at most `batch_size` at a time. Idempotent.

        The answer may be shorter than what was sent, and in another order. Raises RequestRejected when the vendor refuses the batch, other
        VendorErrors when it is unknown whether it was applied.
        """

    async def delete(self, target_id: TargetId) -> None:
        """Delete one event. Idempotent: one that is not there any more is a success."""

    async def find(self, external_id: ExternalId) -> Holding | None:
        """Return one event by external id, deleted ones with `is_deleted`; None when the target has none."""

    def listing(self, span: Span, *, include_deleted: bool = False) -> AsyncIterator[Sequence[Holding] | Flaw]:
        """Yield the live events that start in the span, of all calendars, page by page, and a Flaw where the list is not complete.

        With `include_deleted` deleted ones come too, flagged, as far as the vendor still shows them: their absence proves nothing.
        """

    async def probe(self) -> Sequence[Fact]:
        """Read what `check` shows: calendars. Read-only. Raises VendorError when the account does not work."""

    @property
    def clock_skew_seconds(self) -> float | None:
        """The vendor's Date header minus our clock at the last answer, or None."""


# --- what is remembered ---


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who uses an external id at a target, and which generation comes next. `is_free` once the last delete was accepted."""

    pipeline: str
    generation: int
    is_free: bool

    def bars(self, pipeline: str) -> bool:
        """Say whether it keeps a pipeline from using the external id: another has it, and has not given it up."""
        return self.pipeline != pipeline and not self.is_free


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRecord:
    """What is remembered of a pipeline besides its links. Times are aware and in UTC."""

    name: str
    is_paused: bool = False
    first_complete_at: datetime | None = None
    last_complete_at: datetime | None = None
    last_read_at: datetime | None = None  # start of the last sound read of any scope; where incremental reads go on


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line of an event's history: our words only, no names (rule 23)."""

    at: datetime
    pipeline: str
    external_id: ExternalId
    what: str  # created, updated, deleted, held, quarantined, adopted, …
    detail: str = ""


DELETED = "deleted"  # a Happening's `what` that counts into the deletes of the last 24 hours
DELETED_AS_APPROVED = "deleted as approved"  # somebody decided it: not counted again


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HoldItem:
    """One parked action: which link, what would be done, and the digest that a decision covers.

    `start` is as wanted, else as the target holds it, `zone` its place's where the source showed the event, `shift` by how much it moves.
    `source_hash` is that of the row it was planned for: empty where the source has none. `people` is how many it touches. Both are None in
    holds of older versions.
    """

    source_id: SourceId
    external_id: ExternalId
    action: str
    digest: str
    start: datetime | None = None
    zone: str | None = None
    shift: timedelta | None = None
    shown_at: datetime | None = None  # when an operator last had it listed as it is
    approved_at: datetime | None = None
    source_hash: str | None = None
    people: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Actions that wait for a decision, and the words for them.

    `live` is the pipeline's live links before the plan, where the words tell a share of them, `shown_at` when an operator had it listed.
    """

    id: str
    pipeline: str
    kind: HoldKind
    created_at: datetime
    words: str
    people: int
    earliest: datetime | None
    items: tuple[HoldItem, ...]
    live: int | None = None
    shown_at: datetime | None = None

    @property
    def zone(self) -> str | None:
        """The zone of its earliest event, where it is known."""
        return next((item.zone for item in self.items if item.start == self.earliest), None)


LOAD: Final = "backfill"  # the command of a pass that is a chunk of a load


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PassRecord:
    """One pass as `status` shows it: the counters of the JSON contract and what went wrong."""

    pipeline: str
    command: str
    started_at: datetime
    seconds: float
    outcome: str
    is_complete: bool
    counts: Mapping[str, int]
    requests: Mapping[str, int]
    problems: Sequence[Mapping[str, str]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EntryAt:
    """An entry of some pipeline at a target account. What is in flight has no id of the target's; what is let go nobody looks after."""

    pipeline: str
    external_id: ExternalId
    target_id: TargetId | None
    is_let_go: bool


NO_ROWS: Mapping[SourceId, str] = MappingProxyType({})


class Ledger(Protocol):
    """The table of links and what belongs to it: ids, times, hashes and reasons, no people.

    Every method is one transaction, and raises StateError when the database cannot do it. Not safe for use by several threads.
    """

    def hash_key(self) -> bytes:
        """Return this installation's secret key for hashes, made at first use."""

    def pipeline(self, name: str) -> PipelineRecord:
        """Return what is remembered of a pipeline; a new one's record when there is none."""

    def note_pipeline(
        self,
        name: str,
        *,
        is_paused: bool | None = None,
        first_complete_at: datetime | None = None,
        last_complete_at: datetime | None = None,
        last_read_at: datetime | None = None,
    ) -> None:
        """Remember what is given of a pipeline, and leave the rest as it is now: another process may have changed it since it was read.

        `first_complete_at` stays what it was once it is known.
        """

    def links(self, pipeline: str, source_ids: Collection[SourceId]) -> dict[SourceId, Link]:
        """Return the links of these events that exist. Any number of ids."""

    def links_in(self, pipeline: str, states: Collection[State], *, reason: str | None = None) -> list[Link]:
        """Return the links in these states, and of this reason where one is given, soonest wanted or accepted start first."""

    def live_links(self, pipeline: str, *, ending_after: datetime) -> Iterator[Link]:
        """Yield the links whose accepted entry ends after this instant, soonest start first, a batch in memory at a time."""

    def live_starts(self, pipeline: str, *, ending_after: datetime) -> Iterator[tuple[SourceId, datetime, State]]:
        """Yield id, accepted start and state of the same links, soonest start first. Nothing may be written before it is at its end."""

    def link_by_external_id(self, external_id: ExternalId) -> list[Link]:
        """Return the links with this external id of any generation, one per pipeline that has or had it."""

    def count_live(self, pipeline: str) -> int:
        """Count the links with an accepted entry, or in SENDING."""

    def live_targets(self, pipeline: str, *, ending_after: datetime) -> set[str]:
        """Return the target accounts at which this pipeline has entries that end after this instant, or may; released ones left out."""

    def entries_at(self, target: str, *, ending_after: datetime) -> list[EntryAt]:
        """Return what any pipeline has at an account, or may have, beyond this instant; soonest first, what is in flight last."""

    def count_states(self, pipeline: str, states: Collection[State] = tuple(State)) -> dict[State, int]:
        """Count the links by state, those in some states only where the others are many and do not matter."""

    def store(self, links: Iterable[Link], happenings: Iterable[Happening] = ()) -> None:
        """Insert or replace links, with their claims and a history line for each happening, in one transaction.

        A claim follows its link: generation as the link's, free when nothing is accepted and nothing is under way.
        """

    def conclude(self, pipeline: str, links: Iterable[Link], happenings: Iterable[Happening] = ()) -> None:
        """Store what has become of links that were in a request, as `store` does; what was ignored meanwhile stays ignored."""

    def settle(
        self, pipeline: str, taken: Mapping[SourceId, TargetId], happenings: Iterable[Happening], rows: Mapping[SourceId, str] = NO_ROWS
    ) -> None:
        """Note that the target accepted all that was wanted of these links, under the target's own ids, in one transaction.

        The links are stored as SENDING, or were ignored by the operator meanwhile and stay so; no more is written of them than what the
        answer changes. `rows` are the hashes of the rows they were made of, for `known_rows`.
        """

    def known_rows(self, pipeline: str, source_ids: Collection[SourceId]) -> dict[SourceId, str]:
        """Return the noted hashes of these events' rows. To store a link forgets its row's, so a known one says that nothing is owed."""

    def note_rows(self, pipeline: str, rows: Mapping[SourceId, tuple[str, str]]) -> None:
        """Note for settled links the hashes of their rows, as the second of each pair; the first is the link's source hash.

        A link that is not settled, or rests on another source hash by now, is passed over. A power cut may undo it.
        """

    def claims(self, target: str, base_ids: Collection[ExternalId]) -> dict[ExternalId, Claim]:
        """Return who claims these external ids at this target account."""

    def history(self, pipeline: str, base_id: ExternalId) -> list[Happening]:
        """Return what happened to an event, oldest first, over all generations."""

    def count_happened(self, pipeline: str, what: Collection[str], since: datetime) -> dict[str, int]:
        """Count the happenings of these kinds after this instant, by kind."""

    def deletes_since(self, pipeline: str, since: datetime) -> int:
        """Count the deletes the target accepted after this instant that nobody had approved: the happenings that say DELETED."""

    def record_pass(self, record: PassRecord) -> None:
        """Remember a pass, and forget those beyond the last few hundred of its pipeline."""

    def passes(self, pipeline: str, limit: int = 20) -> list[PassRecord]:
        """Return the last passes, newest first."""

    def asked_since(self, since: datetime) -> dict[str, int]:
        """Return how many requests the passes of all pipelines made that ended after this instant, by account."""

    def holds(self, pipeline: str | None = None) -> list[Hold]:
        """Return the open holds with their items, oldest first."""

    def save_holds(self, pipeline: str, holds: Sequence[Hold], links: Iterable[Link] = (), happenings: Iterable[Happening] = ()) -> None:
        """Replace the open holds of a pipeline by these: holds not named are closed, items not named dissolve.

        The links that tell of them, and what happened, are stored in the same transaction, as `store` does. What the operator saw and
        decided since the holds were read is kept: an item given undecided keeps the decision on the same digest.
        """

    def note_shown(self, shown: Sequence[Hold], at: datetime) -> None:
        """Remember that an operator had these items listed; those that stand otherwise by now were not shown as they are."""

    def approve(self, shown: Sequence[Hold], at: datetime) -> list[Hold]:
        """Approve these items, where they are still held exactly as given (rule 15); returns the holds that are open, as they are now.

        What has come into a hold since it was read stays undecided.
        """

    def memo(self, key: str) -> tuple[str, datetime] | None:
        """Return a remembered small fact (a calendar's id, a site's zone) and when it was noted."""

    def memos(self, prefix: str) -> dict[str, tuple[str, datetime]]:
        """Return the remembered facts whose keys begin like this, by key."""

    def save_memo(self, key: str, value: str | None, at: datetime) -> None:
        """Remember a small fact, or forget it with None."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TokenPair:
    """An OAuth token pair; `expires_at` aware, in UTC. Its repr shows no token."""

    access_token: str = dataclasses.field(repr=False)
    refresh_token: str | None = dataclasses.field(repr=False)
    expires_at: datetime


class TokenStore(Protocol):
    """OAuth tokens, shared by all processes on one state."""

    def load(self, account: str) -> TokenPair | None:
        """Return the pair in use, or None before the first login."""

    def save(self, account: str, pair: TokenPair) -> None:
        """Store a new pair durably; it is stored before it is used, and the pair before it is kept until the new one has worked."""

    def confirm(self, account: str) -> None:
        """Note that the newest pair has worked; the one before it is dropped."""

    def refreshing(self, account: str) -> AbstractContextManager[None]:
        """Hold the right to refresh this account's tokens, one holder over all processes. Blocks for a short while; raises Busy."""


Clock = Callable[[], datetime]  # now, aware, in UTC
