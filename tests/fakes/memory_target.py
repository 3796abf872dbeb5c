"""A target calendar in memory: keeps ports.Target's contract, fails on demand, and remembers what it was asked. No tests here."""

import copy
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from calrelay.domain.entry import Entry
from calrelay.domain.link import CalendarId, ExternalId, Field, TargetId
from calrelay.domain.window import Span
from calrelay.errors import RequestRejected, VendorError
from calrelay.ports import Fact, Flaw, HeldPerson, Holding, Put

MAIN_HALL = CalendarId("1000030001")
TERRACE = CalendarId("1000030002")


class Poison(StrEnum):
    """What an event does to a batch it is in."""

    REFUSE = "refuse"  # the batch is refused, and nothing of it applied
    DROP = "drop"  # the event is left out of the answer, the others are applied


class Call(StrEnum):
    """What a target can be asked."""

    CALENDARS = "calendars"
    UPSERT = "upsert"
    DELETE = "delete"
    FIND = "find"
    LISTING = "listing"
    PROBE = "probe"


_WRITES = frozenset({Call.UPSERT, Call.DELETE})


class Applied(StrEnum):
    """How much of a call took effect before it failed."""

    NOTHING = "nothing"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """One failure to come, at the next call of this kind (None: of any kind) after so many that go well."""

    error: VendorError
    call: Call | None
    applied: Applied
    after: int = 0


class MemoryTarget:
    """An account with two calendars, "Main Hall" and "Terrace".

    Knobs, all of them public: `poison` by external id, `fail_next`, `broken_calendars` (refuse every write, and are not sound),
    `echoes_external_ids` (off: no holding names its external id), `tells_calendars`, `shows_deleted`, `page_size` and
    `flaws` of a listing, `others` (entries that no external id leads to: second ones of the same, or somebody else's).
    What happened: `upserts` holds each batch as it was asked, failed ones too, `deletes` each target id, `finds` each external id.
    An answer comes in the reverse order of what was sent; a deleted event that is sent again is revived, unless
    `revives` is off; its calendar never changes. With `answers_as_deleted` the answers to what was sent say so of everything. With
    `puts_all_in` new events come into this calendar, whatever was asked.
    """

    vendor = "memory"

    def __init__(self, *, account: str = "reminders", batch_size: int = 10, max_in_flight: int = 1) -> None:
        self.account = account
        self.batch_size = batch_size
        self.max_in_flight = max_in_flight
        self.requests = 0
        self.clock_skew_seconds: float | None = 0.0

        self.calendars_by_name: dict[str, CalendarId] = {"Main Hall": MAIN_HALL, "Terrace": TERRACE}
        self.broken_calendars: set[CalendarId] = set()
        self.poison: dict[ExternalId, Poison] = {}
        self.echoes_external_ids = True
        self.tells_calendars = True
        self.shows_deleted = True
        self.revives = True
        self.answers_as_deleted = False
        self.puts_all_in: CalendarId | None = None
        self.page_size = 100
        self.flaws: list[Flaw] = []
        self.others: list[Holding] = []

        self.upserts: list[tuple[Put, ...]] = []
        self.deletes: list[TargetId] = []
        self.finds: list[ExternalId] = []

        self._events: dict[ExternalId, Holding] = {}
        self._ids = itertools.count(900_000_001)
        self._failing: list[Failing] = []

    # --- knobs and views ---

    def fail_next(
        self, error: VendorError, *, call: Call | None = None, times: int = 1, applied: Applied = Applied.NOTHING, after: int = 0
    ) -> None:
        """Let the next call (or the next `times` calls) of this kind raise, before or after it took effect; first `after` go well."""
        first = Failing(error=error, call=call, applied=applied, after=after)
        self._failing += [first, *[replace(first, after=0)] * (times - 1)]

    def stop_failing(self) -> None:
        """Let all further calls go well."""
        self._failing.clear()

    @property
    def live(self) -> dict[ExternalId, Holding]:
        """The events that are not deleted."""
        return {external_id: event for external_id, event in self._events.items() if not event.is_deleted}

    @property
    def sent(self) -> list[Put]:
        """Every event of every batch that was asked, in order, those of failed batches too."""
        return [put for batch in self.upserts for put in batch]

    def held(self, external_id: str) -> Holding:
        """Return an event as it is held, deleted or not; KeyError when there never was one."""
        return self._events[ExternalId(external_id)]

    def place(self, external_id: str, entry: Entry) -> Holding:
        """Put an event there as somebody else would have: not noted, and with no poison or failure."""
        return self._write(Put(external_id=ExternalId(external_id), calendar=entry.calendar, entry=entry, fields=frozenset(Field)))

    def purge(self, external_id: str) -> None:
        """Let there be no trace of an event, as after the target was emptied."""
        del self._events[ExternalId(external_id)]

    def change(self, external_id: str, **fields: object) -> None:
        """Change an event behind our back, as a person at the vendor's screen would; `fields` are those of Holding."""
        self._events[ExternalId(external_id)] = replace(self.held(external_id), **fields)  # type: ignore[arg-type] # the test's own risk

    def double(self, of: str, **fields: object) -> Holding:
        """Put a second event beside one of ours, the same but for its id and `fields`; no external id leads to it."""
        fields = {"target_id": TargetId(str(next(self._ids))), "is_deleted": False} | fields
        second = replace(self.held(of), **fields)  # type: ignore[arg-type] # the test's own risk
        self.others.append(second)
        return second

    def lose(self, external_id: str) -> None:
        """Remove an event without a trace."""
        del self._events[ExternalId(external_id)]

    # --- ports.Target ---

    async def calendars(self) -> Mapping[str, CalendarId]:
        """Return the calendars by name, or none when it does not tell."""
        self._ask(Call.CALENDARS)
        return dict(self.calendars_by_name) if self.tells_calendars else {}

    async def calendar_is_sound(self, calendar: CalendarId) -> bool:
        """Say whether the calendar is one of the account's and not broken."""
        self._ask(Call.CALENDARS)
        return self._takes(calendar)

    async def upsert(self, puts: Sequence[Put]) -> Sequence[Holding]:
        """Create or update, all of it or, where an event poisons the batch, nothing."""
        if len(puts) > self.batch_size:
            raise ValueError(f"{len(puts)} events are more than a batch of {self.batch_size}")
        self.upserts.append(tuple(puts))
        late = self._ask(Call.UPSERT)
        if any(self._refuses(put) for put in puts):
            raise RequestRejected("memory refused the batch", account=self.account, status=400)
        written = [self._write(put) for put in puts if self.poison.get(put.external_id) is not Poison.DROP]
        if late is not None:
            raise late
        answers = [self._shown(holding) for holding in reversed(written)]
        return [replace(answer, is_deleted=True) for answer in answers] if self.answers_as_deleted else answers

    async def delete(self, target_id: TargetId) -> None:
        """Flag an event as deleted; one that is not there is a success."""
        self.deletes.append(target_id)
        late = self._ask(Call.DELETE)
        for external_id, event in self._events.items():
            if event.target_id == target_id:
                self._events[external_id] = replace(event, is_deleted=True)
        self.others = [replace(event, is_deleted=event.is_deleted or event.target_id == target_id) for event in self.others]
        if late is not None:
            raise late

    async def find(self, external_id: ExternalId) -> Holding | None:
        """Return an event, deleted ones flagged; it is named, because it was asked for by name."""
        self.finds.append(external_id)
        self._ask(Call.FIND)
        return self._events.get(external_id)

    async def listing(self, span: Span, *, include_deleted: bool = False) -> AsyncIterator[Sequence[Holding] | Flaw]:
        """Yield the events that start in the span, soonest first, then whatever flaws were asked for."""
        shown = self._events if include_deleted and self.shows_deleted else self.live
        others = [event for event in self.others if include_deleted or not event.is_deleted]
        starting = [(event.start, event) for event in (*shown.values(), *others) if event.start is not None and event.start in span]
        order = [event for _, event in sorted(starting, key=lambda pair: pair[0])]
        for first in range(0, max(1, len(order)), self.page_size):
            try:
                self._ask(Call.LISTING)
            except VendorError as error:
                yield Flaw(what="a page could not be read", error=error)
                continue
            yield [self._shown(event) for event in order[first : first + self.page_size]]
        for flaw in self.flaws:
            yield flaw

    async def probe(self) -> Sequence[Fact]:
        """Tell the calendars."""
        self._ask(Call.PROBE)
        return [Fact(name="calendars", value=", ".join(self.calendars_by_name))]

    # --- inside ---

    def _ask(self, call: Call) -> VendorError | None:
        """Count a request and raise what is due before it; return what is due after it."""
        self.requests += 1
        due = next((failing for failing in self._failing if failing.call in (None, call)), None)
        if due is None:
            return None
        at = self._failing.index(due)
        if due.after:
            self._failing[at] = replace(due, after=due.after - 1)
            return None
        del self._failing[at]
        if due.applied is Applied.NOTHING or call not in _WRITES:
            raise due.error
        error = copy.copy(due.error)
        error.is_open = True  # as where an earlier try of the same request was left without an answer
        return error

    def _takes(self, calendar: CalendarId) -> bool:
        return calendar in self.calendars_by_name.values() and calendar not in self.broken_calendars

    def _refuses(self, put: Put) -> bool:
        is_known = put.external_id in self._events
        needed = frozenset({Field.TITLE, Field.START, Field.END})
        return self.poison.get(put.external_id) is Poison.REFUSE or not self._takes(put.calendar) or not (is_known or needed <= put.fields)

    def _write(self, put: Put) -> Holding:
        known = self._events.get(put.external_id) or self._new(put)
        self._events[put.external_id] = replace(known, is_deleted=known.is_deleted and not self.revives, **_written(put))  # type: ignore[arg-type] # values by field
        return self._events[put.external_id]

    def _new(self, put: Put) -> Holding:
        return Holding(
            target_id=TargetId(str(next(self._ids))),
            external_id=put.external_id,
            calendar=self.puts_all_in or put.calendar,
            is_deleted=False,
            start=None,
            end=None,
            title="",
            location="",
            content="",
            participants=(),
            custom_data={},
        )

    def _shown(self, holding: Holding) -> Holding:
        return holding if self.echoes_external_ids else replace(holding, external_id=None)


def _written(put: Put) -> dict[str, object]:
    entry = put.entry
    values: dict[Field, object] = {
        Field.TITLE: entry.title,
        Field.START: entry.start,
        Field.END: entry.end,
        Field.LOCATION: entry.location,
        Field.CONTENT: entry.content,
        Field.PARTICIPANTS: tuple(HeldPerson(name=p.name, email=p.email or "", phone=p.phone or "") for p in entry.participants),
        Field.CUSTOM_DATA: dict(entry.custom_data),
    }
    return {field.value: value for field, value in values.items() if field in put.fields}
