"""The story of one event in words, as `show` and its page tell it. Names people: for stdout and pages behind the token only (rule 23)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from calrelay.domain.entry import Entry
from calrelay.domain.event import Event
from calrelay.domain.link import CalendarId, ExternalId, Link, Owed, State, external_id_of
from calrelay.domain.people import Participant
from calrelay.domain.plan import Create, Decision, Delete, Skipped, Unchanged, Update
from calrelay.domain.words import in_place, on_this_machine
from calrelay.engine.heirs import is_retired
from calrelay.engine.locate import locate, of_another, owner_elsewhere
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.show import Story, tell
from calrelay.errors import ConfigError
from calrelay.ports import Holding, Ledger

Rows = list[tuple[str, str]]
_PUT_ASIDE = (State.WAITING, State.HELD, State.QUARANTINED)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A story, whether a pass has taken the event up yet, and why no pass runs, if none does."""

    link: Link
    is_known: bool
    story: Story
    stopped: str = ""
    elsewhere: ConfigError | None = None  # of an event that a pipeline has which is not in the config, or refused
    is_loaded: bool = True  # its pipeline has had its first load
    calendars: Mapping[CalendarId, str] = dataclasses.field(default_factory=dict)  # the names of those that the config names

    @property
    def is_nowhere(self) -> bool:
        """Whether neither end has it, and nothing is remembered of it."""
        story = self.story
        return not self.is_known and story.is_gone and story.holding is None and not (story.errors or story.history)

    @property
    def has_next_id_only(self) -> bool:
        """Whether its id is one for later: the entry before was deleted, and no other was ever created."""
        return self.link.generation > 1 and not self.link.is_live and self.link.owed is Owed.NOTHING

    @property
    def name(self) -> ExternalId:
        """The external id that the target has, or had last."""
        return external_id_of(self.link.base_id, self.link.generation - 1) if self.has_next_id_only else self.link.external_id


async def tell_all(pipelines: Sequence[Pipeline], ledger: Ledger, external_id: str) -> list[Told]:
    """Ask both ends about an event, for each pipeline that has it.

    Raises ConfigError when it is no id of theirs, or nothing is known of it anywhere, and VendorError.
    """
    owner = owner_elsewhere(pipelines, ledger, external_id)
    elsewhere = of_another(external_id, owner) if owner is not None else None
    is_given_up = owner is not None and is_retired(ledger, owner)
    told = [
        Told(
            link=one.link,
            is_known=one.is_known,
            story=await tell(one.pipeline, one.link),
            stopped=_why_stopped(one.pipeline),
            calendars=await one.pipeline.calendar_names(),
            is_loaded=one.pipeline.ledger.pipeline(one.pipeline.name).first_complete_at is not None,
            elsewhere=None if is_given_up else elsewhere,
        )
        for one in await locate(pipelines, ledger, external_id)
    ]
    if all(one.is_nowhere for one in told):
        raise elsewhere or ConfigError(
            f"there is no event {external_id}: neither its source nor the target has one, and none is remembered",
            remedy="is it mistyped? `calrelay plan` lists the ids of what would be done",
        )
    return told


def _why_stopped(pipeline: Pipeline) -> str:
    if is_retired(pipeline.ledger, pipeline.name):
        return f"its pipeline is retired, and no pass runs; `calrelay adopt {pipeline.name}` takes it up again"
    if pipeline.ledger.pipeline(pipeline.name).is_paused:
        return f"its pipeline is paused, and no pass runs before `calrelay resume {pipeline.name}`"
    return ""


def sections(told: Told) -> list[tuple[str, Rows]]:
    """Tell the story under headings, in the order in which one asks; headings without rows have nothing to say."""
    story, zone = told.story, told.story.event.zone if told.story.event else None
    return [
        ("Source now", _source(story)),
        ("Decision", _decision(told)),
        ("Wanted at the target", _entry(story.entry, told.calendars) if story.entry else []),
        ("Target holds now", _target(told, zone)),
        ("Remembered", _link(told, zone)),
        ("History", [(on_this_machine(one.at), f"{one.what}: {one.detail}" if one.detail else one.what) for one in story.history]),
    ]


def next_step(told: Told) -> str:
    """Say when the event is tried again, or who has to do what."""
    link, identity = told.link, told.link.external_id
    if told.stopped and link.state not in (State.HELD, State.IGNORED):
        return f"nothing: {told.stopped}"
    if not told.is_known:
        return _before_a_pass(told)
    match link.state:
        case State.SETTLED:
            return "nothing is owed; the next pass looks at it again"
        case State.READY | State.SENDING:
            return "the next pass sends it"
        case State.WAITING:
            return f"it waits: {link.reason}"
        case State.HELD:
            return f"it waits for you: `calrelay approve {link.hold}` or `calrelay reject {link.hold}`"
        case State.QUARANTINED if link.attempts:
            return f"tried again when its row, the config or calrelay changes, or after `calrelay quarantine retry {identity}`"
        case State.QUARANTINED:
            return "read again by every pass; it goes on once it can be mapped"
        case State.IGNORED if link.until_changed and link.owed is Owed.DELETE:
            return f"kept for as long as the same would delete it, or until `calrelay ignore {identity} --undo`"
        case State.IGNORED if link.until_changed:
            return f"left alone until its row changes at the source, or after `calrelay ignore {identity} --undo`"
        case State.IGNORED:
            return f"left alone until you type `calrelay ignore {identity} --undo`"
        case State.RELEASED:
            return f"never touched again by itself ({link.reason or link.state.value})"


def _before_a_pass(told: Told) -> str:
    if told.elsewhere is not None:
        return f"nothing: {told.elsewhere.message}; {told.elsewhere.remedy}"
    if told.story.is_gone:
        return "nothing: the source has no such event"
    pipeline = told.story.pipeline
    load = "" if told.is_loaded else f", and its pipeline's first load waits: `calrelay plan {pipeline}` says how to load it"
    return f"no pass has taken it up yet{load}"


def decision_in_words(decision: Decision | None) -> str:
    """Say what the next pass would do with the event."""
    match decision:
        case None:
            return "cannot be said"
        case Create():
            return "create it"
        case Update(fields=fields, cause=cause):
            return f"update {', '.join(sorted(fields))} (because of: {cause.value})"
        case Delete(successor=None, reason=reason):
            return f"delete it: {reason}"
        case Delete(reason=reason):
            return f"move it to another calendar: {reason}"
        case Unchanged(reason=reason):
            return f"leave it as it is{f': {reason}' if reason else ''}"
        case Skipped(reason=reason):
            return f"skip it: {reason}"


def _source(story: Story) -> Rows:
    if story.source_error is not None:
        return [("error", story.source_error.message), ("what to do", story.source_error.remedy)]
    if story.is_gone:
        return [("", "not there any more: asked for by its id")]
    rows = _event(story.event) if story.event else []
    if story.unmappable is not None:
        rows += [("cannot be mapped", story.unmappable.message), ("what to do", story.unmappable.remedy)]
    return rows


def _event(event: Event) -> Rows:
    return [
        ("status", f"{event.status} ({event.lifecycle.value})"),
        ("title", event.title),
        ("start", _instant(event.start, event.zone)),
        ("end", _instant(event.end, event.zone)),
        ("zone", event.zone),
        *_listed("because", list(event.reasoning)),
        ("location", event.location),
        *_listed("people", [_person(person) for person in event.participants]),
        *_listed("matches", [f"{name}: {', '.join(sorted(values))}" for name, values in sorted(event.facets.items()) if values]),
        *_listed("noted", list(event.notes)),
    ]


def _decision(told: Told) -> Rows:
    story = told.story
    standing = f"{story.standing.value}{f': {story.standing_reason}' if story.standing_reason else ''}" if story.standing else ""
    rows = [("filter", standing)] if standing else []
    who = "the next pass would" if told.is_loaded else "the first load would"
    if told.link.state is State.HELD and isinstance(story.decision, Create | Update | Delete):
        who = "once approved, it would"
    return [*rows, (who, decision_in_words(story.decision))]


def _entry(entry: Entry, calendars: Mapping[CalendarId, str]) -> Rows:
    return [
        ("calendar", _calendar(entry.calendar, calendars)),
        ("title", entry.title),
        ("start", entry.start.isoformat()),
        ("end", entry.end.isoformat()),
        ("location", entry.location),
        *_listed("content", entry.content.splitlines()),
        *_listed("people", [_person(person) for person in entry.participants]),
        *_listed("custom data", [f"{key}: {value}" for key, value in entry.custom_data.items()]),
    ]


def _target(told: Told, zone: str | None) -> Rows:
    story = told.story
    if story.target_error is not None:
        return [("error", story.target_error.message), ("what to do", story.target_error.remedy)]
    return _holding(story.holding, zone, told.calendars) if story.holding else [("", "nothing under this id")]


def _holding(holding: Holding, zone: str | None, calendars: Mapping[CalendarId, str]) -> Rows:
    people = [" ".join(filter(None, (p.name, p.email, p.phone))) for p in holding.participants or ()]
    return [
        ("id there", holding.target_id + (" (deleted)" if holding.is_deleted else "")),
        ("calendar", _calendar(holding.calendar, calendars) if holding.calendar else "not told"),
        ("title", holding.title or ""),
        ("start", _instant(holding.start, zone) if holding.start else "not told"),
        ("end", _instant(holding.end, zone) if holding.end else "not told"),
        ("location", holding.location or ""),
        *_listed("content", (holding.content or "").splitlines()),
        *_listed("people", people),
    ]


def _link(told: Told, zone: str | None) -> Rows:
    link = told.link
    if not told.is_known:
        return [("", "nothing: no pass has taken it up yet")]
    rows = [
        ("state", f"{link.state.value}{f': {link.reason}' if link.reason else ''}"),
        ("what to do", link.remedy),
        ("ids", f"{link.source_id} at the source, {link.target_id or 'none'} at the target, {_generation(told)}"),
        ("messages", f"{link.mode.value}{', loaded by backfill' if link.backfilled else ''}"),
        ("accepted", "nothing any more" if told.has_next_id_only else _imprint(told, zone)),
        ("since", on_this_machine(link.since) if link.since and link.state in _PUT_ASIDE else ""),
    ]
    return [row for row in rows if row[1]]


def _generation(told: Told) -> str:
    if told.has_next_id_only:
        return f"generation {told.link.generation - 1} deleted; created again it would be {told.link.external_id}"
    return f"generation {told.link.generation}"


def _imprint(told: Told, zone: str | None) -> str:
    held = told.link.accepted
    return f"{in_place(held.start, zone)} in calendar {_calendar(held.calendar, told.calendars)}" if held else "nothing yet"


def _calendar(calendar: CalendarId, names: Mapping[CalendarId, str]) -> str:
    return f"{names[calendar]} ({calendar})" if calendar in names else calendar


def _instant(instant: Any, zone: str | None) -> str:
    return f"{in_place(instant, zone)}  ({instant.isoformat()})"


def _person(person: Participant) -> str:
    reach = ", ".join(filter(None, (person.phone, person.email))) or "not reachable"
    return f"{person.name or '(no name)'} ({person.role.name.lower().replace('_', ' ')}): {reach}"


def _listed(label: str, lines: Sequence[str]) -> Rows:
    return [(label if at == 0 else "", line) for at, line in enumerate(lines)]
