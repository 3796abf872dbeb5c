"""What a pass did to the target, seen from outside, and how much of it the guards allow: told from the rules, without the engine."""

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from tests.fakes.guests import base_of
from tests.fakes.naive_venue import exceeds
from tests.fakes.simulated_venue import SMALL_LIMITS, Venue


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A live entry as the target shows it."""

    base: str
    calendar: str
    title: str
    start: datetime
    end: datetime
    content: str
    people: tuple[str, ...]


def entries_of(venue: Venue) -> dict[int, Shown]:
    """Return what the target shows, by its own ids; a copy, because the simulator changes its entries in place."""
    names = {calendar.id: calendar.name for calendar in venue.apptoto.events.calendars.values()}
    return {
        event.id: Shown(
            base=base_of(event.external_id),
            calendar=names[event.calendar_id],
            title=event.title,
            start=event.start_time,
            end=event.end_time,
            content=event.content,
            people=tuple(person.email or "" for person in event.participants),
        )
        for event in venue.live
    }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """The difference that a pass made. `live` is how many events its guards counted by, or more."""

    before: Mapping[int, Shown]
    after: Mapping[int, Shown]
    live: int

    @property
    def created(self) -> frozenset[str]:
        """The events of which the target held nothing before."""
        return frozenset(shown.base for shown in self.after.values()) - frozenset(shown.base for shown in self.before.values())

    @property
    def gone(self) -> list[Shown]:
        """The entries that are not there any more, as they were."""
        return [shown for number, shown in self.before.items() if number not in self.after]

    @property
    def changed(self) -> list[tuple[Shown, Shown]]:
        """The entries that are another way now."""
        return [(old, new) for number, old in self.before.items() if (new := self.after.get(number)) is not None and new != old]

    @property
    def harmed(self) -> frozenset[str]:
        """The events whose entries were changed or taken out."""
        return frozenset({old.base for old, _ in self.changed} | {old.base for old in self.gone})

    def changed_but(self, decided: Collection[str]) -> frozenset[str]:
        """The events that were changed, but for those that were decided."""
        return frozenset(old.base for old, _ in self.changed) - frozenset(decided)

    def shifts_but(self, decided: Collection[str]) -> dict[timedelta, frozenset[str]]:
        """The events that were moved, by how much they were; each is a booking of its own."""
        found: dict[timedelta, set[str]] = defaultdict(set)
        for old, new in self.changed:
            if new.start != old.start and old.base not in decided:
                found[new.start - old.start].add(old.base)
        return {shift: frozenset(bases) for shift, bases in found.items()}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What nobody decided, counted as the guards count it: since the last scheduled pass, because webhooks come in drops."""

    created: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    shifts: Mapping[timedelta, frozenset[str]] = dataclasses.field(default_factory=dict)

    def with_deed(self, deed: Deed, decided: Collection[str], *, counts_creates: bool) -> "Tally":
        """Return it with what a pass has done."""
        fresh = deed.shifts_but(decided)
        return Tally(
            created=self.created | (deed.created - frozenset(decided) if counts_creates else frozenset()),
            changed=self.changed | deed.changed_but(decided),
            shifts={shift: self.shifts.get(shift, frozenset()) | fresh.get(shift, frozenset()) for shift in (*self.shifts, *fresh)},
        )

    def too_much(self, live: int) -> list[str]:
        """Say what a guard should have parked."""
        limits = SMALL_LIMITS
        counted = [("created", self.created, limits.creates), ("changed", self.changed, limits.updates)]
        found = [
            f"{word}: {sorted(bases)}" for word, bases, limit in counted if exceeds(len(bases), live, count=limit.count, share=limit.share)
        ]
        shift = limits.same_shift  # this one holds at its count already
        return found + [
            f"moved by {by}: {sorted(bases)}"
            for by, bases in self.shifts.items()
            if len(bases) >= shift.count and len(bases) >= shift.share * live
        ]
