"""The guards: checks over a whole plan. What they find dangerous they park in holds; the rest goes on. Pure."""

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from calrelay.domain.entry import Entry
from calrelay.domain.event import SourceId
from calrelay.domain.plan import PAST, Action, Cause, Create, Delete, Update


class HoldKind(StrEnum):
    """Why actions are parked."""

    CREATES = "creates"
    UPDATES = "updates"
    DELETES = "deletes"
    ABSENCES = "absences"  # missing from a complete read, more than the delete guard allows; not asked for yet
    EMPTY_READ = "empty read"
    SAME_SHIFT = "same shift"
    MAPPING = "mapping change"
    FILTER = "filter change"
    ROUTE = "route change"
    ZONE_DATA = "zone data"


FOR_GOOD = frozenset({HoldKind.FILTER, HoldKind.ROUTE})  # what is rejected of these is let go for good (rule 13)
_CONFIG_HOLDS: Mapping[Cause, HoldKind] = {
    Cause.MAPPING: HoldKind.MAPPING,
    Cause.FILTER: HoldKind.FILTER,
    Cause.ROUTE: HoldKind.ROUTE,
    Cause.ZONE_DATA: HoldKind.ZONE_DATA,
}


_OF_DELETES = frozenset({HoldKind.DELETES, HoldKind.ABSENCES, HoldKind.EMPTY_READ})

Count = Callable[[], int]  # of a million links nobody wants to count more often than need be


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A count and a share of the live links; a guard holds when both are exceeded, or `max` alone is."""

    count: int
    share: float = 0.0
    max: int | None = None

    def is_exceeded(self, number: int, live: Count) -> bool:
        """Say whether this many is more than allowed; exceeded means more than. `live` is asked only where the count is exceeded."""
        if self.max is not None and number > self.max:
            return True
        return number > self.count and _share(number, live()) > self.share


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The guards of a pipeline; the values are the config's defaults."""

    first_load: int = 0
    creates: Limit = Limit(count=25, share=0.2)
    updates: Limit = Limit(count=20, share=0.5)
    deletes: Limit = Limit(count=5, share=0.2, max=25)
    same_shift: Limit = Limit(count=5, share=0.1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What an operator approved: for each link, the digest of the action as it was shown."""

    digests: Mapping[SourceId, str] = dataclasses.field(default_factory=dict)

    def covers(self, action: Action) -> bool:
        """Say whether the action still is exactly what was approved."""
        approved = self.digests.get(action.link.source_id)
        return approved is not None and approved == digest_of(action)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What smaller passes let through since the last scheduled one.

    Webhooks show a change in drops. What a scheduled pass would have seen at once, and parked, must not get by the guards because it came
    one by one; so they count it together. Of an event that was updated twice, one update counts.
    """

    creates: frozenset[SourceId] = frozenset()
    updates: frozenset[SourceId] = frozenset()
    shifts: Mapping[timedelta, frozenset[str]] = dataclasses.field(default_factory=dict)  # the bookings moved by this much

    def with_held(self, shifts: Mapping[timedelta, frozenset[str]]) -> "Earlier":
        """Return it with bookings that wait in a hold, undecided, because many moved by the same amount."""
        return dataclasses.replace(
            self, shifts={shift: self.shifts.get(shift, frozenset()) | shifts.get(shift, frozenset()) for shift in {*self.shifts, *shifts}}
        )

    def with_passed(self, actions: Iterable[Action]) -> "Earlier":
        """Return it with what one more pass let through."""
        passed = list(actions)
        shifts = {shift: bookings | self.shifts.get(shift, frozenset()) for shift, bookings in _shifted_bookings(passed).items()}
        return Earlier(
            creates=self.creates | {a.link.source_id for a in passed if isinstance(a, Create) and not a.is_decided},
            updates=self.updates | {a.link.source_id for a in passed if isinstance(a, Update) and not a.is_decided},
            shifts={**self.shifts, **shifts},
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """Actions of one kind that wait for a decision; `live` is the live links before the plan, for a kind that tells its share of them."""

    kind: HoldKind
    actions: tuple[Action, ...]
    live: int | None = None

    @property
    def people(self) -> int:
        """Count the distinct people these actions touch."""
        return touched_by(self.actions)

    @property
    def earliest(self) -> datetime | None:
        """Return the earliest start among them, as wanted or as the target holds it."""
        return min((start for action in self.actions if (start := start_of(action))), default=None)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What may go on, and what is parked."""

    passed: tuple[Action, ...]
    parked: tuple[Parked, ...]


def guard(
    actions: Sequence[Action],
    *,
    limits: Limits,
    live: Count,
    recent_deletes: Count = int,  # none
    approval: Approval | None = None,
    guard_creates: bool = True,
    earlier: Earlier = Earlier(),
    standing: Mapping[SourceId, HoldKind] = MappingProxyType({}),
) -> Verdict:
    """Park what is dangerous (rules 9, 13, 14, 16, 18).

    `live` counts the live links before the plan, `recent_deletes` is the deletes of the last 24 hours that nobody approved, `earlier`
    what counts with the plan though it has gone through. `guard_creates` is off during a first load and in a backfill.
    `standing` is what is parked already: it counts with the rest, and what is left of it stays parked until somebody has decided, however
    harmless a few of many look.
    """
    approved = [action for action in actions if approval and approval.covers(action)]
    covered = {id(action) for action in approved}
    open_actions = [action for action in actions if id(action) not in covered]
    parked: dict[HoldKind, list[Action]] = defaultdict(list)
    rest: list[Action] = []
    for action in open_actions:
        kind = HoldKind.CREATES if isinstance(action, Create) and action.link.let_in else _CONFIG_HOLDS.get(action.cause)
        (rest if kind is None else parked[kind]).append(action)
    over = _over_limit(rest, limits=limits, live=live, recent_deletes=recent_deletes, guard_creates=guard_creates, earlier=earlier)
    for kind, group in over.items():
        parked[kind].extend(group)
    too_many = {id(action) for group in over.values() for action in group}
    for action in rest:
        if id(action) not in too_many and (kind := _parked_already(action, standing, guard_creates=guard_creates)):
            parked[kind].append(action)
    stopped = {id(action) for group in parked.values() for action in group}
    return Verdict(
        passed=tuple(as_decided(action) for action in actions if id(action) not in stopped),
        parked=tuple(
            Parked(kind=kind, actions=tuple(group), live=live() if kind is HoldKind.SAME_SHIFT else None)
            for kind, group in parked.items()
            if group
        ),
    )


def as_decided(action: Action) -> Action:
    """Return an action as it goes on: that the config let an event in is settled with that."""
    if isinstance(action, Create) and action.link.let_in:
        return dataclasses.replace(action, link=dataclasses.replace(action.link, let_in=False))
    return action


def joined(groups: Iterable[Parked]) -> tuple[Parked, ...]:
    """Return one group of each kind."""
    by_kind: dict[HoldKind, Parked] = {}
    for group in groups:
        known = by_kind.get(group.kind)
        by_kind[group.kind] = dataclasses.replace(known, actions=(*known.actions, *group.actions)) if known else group
    return tuple(by_kind.values())


def _parked_already(action: Action, standing: Mapping[SourceId, HoldKind], *, guard_creates: bool) -> HoldKind | None:
    """Return the hold an action stands in, where it still is what that one is about: a cancellation of what was moved is not."""
    kind = standing.get(action.link.source_id)
    match action:
        case Create(is_decided=False) if kind is HoldKind.CREATES and guard_creates:
            return kind
        case Update(is_decided=False) if kind in (HoldKind.UPDATES, HoldKind.SAME_SHIFT):
            return kind
        case Delete() if kind in _OF_DELETES or (kind is HoldKind.SAME_SHIFT and shift_of(action) is not None):
            return kind
        case Delete(successor=Entry()) if kind is HoldKind.UPDATES:  # a change of place beside what waits
            return kind
        case _:
            return None


def _share(number: int, live: int) -> float:
    return number / live if live else math.inf


def _over_limit(
    actions: Sequence[Action], *, limits: Limits, live: Count, recent_deletes: Count, guard_creates: bool, earlier: Earlier
) -> dict[HoldKind, list[Action]]:
    creates: list[Action] = [a for a in actions if isinstance(a, Create) and not a.is_decided]
    changes = [a for a in actions if (isinstance(a, Update) and not a.is_decided) or isinstance(a, Delete)]
    shifted = _same_shift(changes, limits.same_shift, live, earlier)
    moved = {id(a) for a in shifted}
    deletes: list[Action] = [a for a in changes if isinstance(a, Delete) and id(a) not in moved]
    updates: list[Action] = [a for a in changes if isinstance(a, Update) and id(a) not in moved]
    found: dict[HoldKind, list[Action]] = {}
    if shifted:
        found[HoldKind.SAME_SHIFT] = list(shifted)
    if creates and guard_creates and limits.creates.is_exceeded(len(earlier.creates | _ids(creates)), live):
        found[HoldKind.CREATES] = creates
    if updates and limits.updates.is_exceeded(len(earlier.updates | _ids(updates)), live):
        found[HoldKind.UPDATES] = updates
    if deletes and limits.deletes.is_exceeded(len(deletes) + recent_deletes(), live):
        found[HoldKind.DELETES] = deletes
    return found


def _same_shift(changes: Sequence[Action], limit: Limit, live: Count, earlier: Earlier) -> list[Action]:
    """Return the changes that move many bookings by the same amount: the mark of a zone gone wrong. A booking's events count once."""
    too_many = set()
    for shift, bookings in _shifted_bookings(changes).items():
        number = len(bookings | earlier.shifts.get(shift, frozenset()))
        if number >= limit.count and number >= limit.share * live():
            too_many.add(shift)
    return [change for change in changes if shift_of(change) in too_many]


def _shifted_bookings(actions: Iterable[Action]) -> dict[timedelta, frozenset[str]]:
    """Return the bookings that actions move, by how much they do."""
    found: dict[timedelta, set[str]] = defaultdict(set)
    for action in actions:
        if action.event is not None and (shift := shift_of(action)) is not None:
            found[shift].add(action.event.group or action.event.source_id)
    return {shift: frozenset(bookings) for shift, bookings in found.items()}


def _ids(actions: Iterable[Action]) -> frozenset[SourceId]:
    return frozenset(action.link.source_id for action in actions)


def shift_of(action: Action) -> timedelta | None:
    """Return by how much its source moves an event's start, into the past too, or None where it does not."""
    accepted = action.link.accepted
    match action:
        case Update(link=link) | Delete(link=link, successor=Entry()) if accepted and link.wanted:
            shift = link.wanted.start - accepted.start
        case Delete(reason=reason, event=event) if accepted and event and reason == PAST:
            shift = event.start - accepted.start
        case _:
            return None
    return shift or None


def digest_of(action: Action) -> str:
    """Return a string that is the same only for exactly the same action on the same link."""
    match action:
        case Create(link=link):
            return f"create|{link.wanted.digest if link.wanted else ''}"
        case Update(link=link):
            return f"update|{link.wanted.digest if link.wanted else ''}"
        case Delete(link=link):
            return f"delete|{link.generation}|{link.wanted.digest if link.wanted else ''}"


def start_of(action: Action) -> datetime | None:
    """Return the start of an action's event: as wanted, else as the target holds it."""
    held = action.link.wanted or action.link.accepted
    return held.start if held else None


def people_of(actions: Iterable[Action]) -> frozenset[str]:
    """Return the distinct addresses that actions could message. A delete messages nobody by itself; its guests are counted as touched."""
    return frozenset(
        p.phone or p.email or p.name for action in actions if action.event is not None for p in action.event.participants if p.is_reachable
    )


def touched_by(actions: Sequence[Action]) -> int:
    """Count the distinct people that actions touch; an event that its source does not show counts as one."""
    return len(people_of(actions)) + sum(1 for action in actions if action.event is None)


def count_by_kind(actions: Iterable[Action]) -> Counter[str]:
    """Count creates, updates and deletes."""
    return Counter(type(action).__name__.lower() for action in actions)
