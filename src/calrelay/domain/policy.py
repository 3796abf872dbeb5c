"""What a pipeline wants: which events, on which calendar, with which texts and messages. Pure; built once from the config."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from calrelay.domain.entry import Entry
from calrelay.domain.event import Event, Lifecycle, SourceId
from calrelay.domain.link import TAGS, Basis, CalendarId, ExternalId, Link, MessageMode, State
from calrelay.domain.window import Hours, Window
from calrelay.domain.zones import resolve_zone, with_offset

if TYPE_CHECKING:  # Jinja2 is loaded by whoever makes texts
    from calrelay.domain.rendering import Texts

LOAD_KEY, LOAD_VALUE = "calrelay_load", "backfill"  # custom data of events that a backfill created, for a condition of the operator's


class Standing(StrEnum):
    """What a pipeline makes of an event (rule 13)."""

    WANTED = "wanted"
    CANCELLED = "cancelled"
    OUTSIDE = "outside"  # another known status, or not matched by the filter
    KEPT = "kept"
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Facets an event must show: one of the values of each named facet. Values are case-folded names or ids. Matches all when empty."""

    facets: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)

    def __call__(self, event: Event) -> bool:
        """Say whether the event shows them."""
        return all(wanted & event.facets.get(name, frozenset()) for name, wanted in self.facets.items())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events a pipeline relays: an allow-list of statuses, facets that must match, and facets that must not."""

    statuses: frozenset[str]
    include: Match = Match()
    exclude: Match | None = None

    def judge(self, event: Event) -> tuple[Standing, str]:
        """Return the standing of an event and, where it is not wanted, why."""
        if event.lifecycle is Lifecycle.CANCELLED:
            return Standing.CANCELLED, f"status {event.status}"
        if event.exempt:
            return Standing.OUTSIDE, event.exempt
        if event.status not in self.statuses:
            return self._by_lifecycle(event)
        if not self.include(event) or (self.exclude is not None and self.exclude.facets and self.exclude(event)):
            return Standing.OUTSIDE, "not in the filter"
        return Standing.WANTED, ""

    def _by_lifecycle(self, event: Event) -> tuple[Standing, str]:
        match event.lifecycle:
            case Lifecycle.KEPT:
                return Standing.KEPT, f"status {event.status}"
            case Lifecycle.UNKNOWN:
                return Standing.UNKNOWN, f"unknown status {event.status}"
            case _:
                return Standing.OUTSIDE, f"status {event.status}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CalendarRef:
    """A calendar of the target as the config names it: exactly one of both is given."""

    name: str | None = None
    id: CalendarId | None = None

    def __str__(self) -> str:
        return self.name or f"calendar {self.id}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NamedRoute:
    """A route whose calendar has not been looked up yet."""

    match: Match
    calendar: CalendarRef


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Events that match go to this calendar."""

    match: Match
    calendar: CalendarId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything a plan needs to know of its pipeline.

    `is_rescoped` says that the config chooses bookings otherwise than before, and not all of them have been looked at since: what is new to
    us may have been there.
    """

    pipeline: str
    target: str
    id_prefix: str
    filter: Filter
    calendar: CalendarId
    routes: tuple[Route, ...]
    texts: "Texts"
    mode: MessageMode
    basis: Basis
    window: Window
    is_rescoped: bool = False
    send_without_contact: bool = False
    settle: timedelta = timedelta()
    create_hours: Hours | None = None

    @property
    def calendars(self) -> frozenset[CalendarId]:
        """All calendars that events may go to."""
        return frozenset({self.calendar, *(route.calendar for route in self.routes)})

    def base_id(self, source_id: SourceId) -> ExternalId:
        """Return the external id of an event's first generation."""
        return ExternalId(f"{self.id_prefix}{source_id}")

    def fresh_link(self, source_id: SourceId) -> Link:
        """Return the link of an event of which nothing is known and nothing wanted yet."""
        base = self.base_id(source_id)
        return Link(pipeline=self.pipeline, target=self.target, source_id=source_id, base_id=base, mode=self.mode, state=State.SETTLED)

    def judge(self, event: Event) -> tuple[Standing, str]:
        """Return the filter's verdict; an event with nobody to reach is outside unless the config sends those too (rule 10)."""
        standing, reason = self.filter.judge(event)
        if standing is Standing.WANTED and not self.send_without_contact and not any(p.is_reachable for p in event.participants):
            return Standing.OUTSIDE, "nobody reachable"
        return standing, reason

    def calendar_of(self, event: Event) -> CalendarId:
        """Return the calendar of the first route that matches, else the pipeline's."""
        return next((route.calendar for route in self.routes if route.match(event)), self.calendar)

    def entry_of(self, event: Event, mode: MessageMode, *, backfilled: bool) -> Entry:
        """Render what the target is to hold. Raises MappingError when a template fails."""
        zone = resolve_zone(event.zone)
        texts = self.texts.render(event)
        content = "\n".join(part for part in (texts.content, TAGS[mode]) if part)
        return Entry(
            calendar=self.calendar_of(event),
            title=texts.title,
            start=with_offset(event.start, zone),
            end=with_offset(event.end, zone),
            zone=event.zone,
            location=texts.location,
            content=content,
            participants=event.participants,
            custom_data={**texts.custom_data, LOAD_KEY: LOAD_VALUE} if backfilled else texts.custom_data,
        )

    def may_create_at(self, now: datetime, zone: str) -> bool:
        """Say whether new events may be created now, by the clock of the event's place."""
        return self.create_hours is None or with_offset(now, resolve_zone(zone)).time() in self.create_hours
