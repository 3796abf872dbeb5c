"""A plan in words: what would be created, updated, deleted and held, event by event; what is skipped; who could be messaged. Pure.

Titles and names are shown here (rule 23 allows it on stdout), so nothing of this may be logged.
"""

from collections.abc import Mapping, Sequence

from calrelay.cli.output import Block, Table
from calrelay.cli.overlap_texts import overlap_words
from calrelay.cli.pass_texts import next_commands, problems, skips
from calrelay.domain.guard import Parked, people_of, shift_of, start_of
from calrelay.domain.link import CalendarId, Field
from calrelay.domain.people import Participant
from calrelay.domain.plan import Action, Create, Delete, Update
from calrelay.domain.words import counted, in_place, shift_in_words
from calrelay.engine.holds import words_of_parked
from calrelay.engine.report import Outcome, PassReport

Calendars = Mapping[CalendarId, str]
NAMES_SHOWN = 3
GONE = "(not at the source any more)"
_TIMES = frozenset({Field.START, Field.END, Field.TIME_ZONE})
_HEADINGS = {Create: "Create", Update: "Update", Delete: "Delete"}


def describe_plans(reports: Sequence[PassReport], calendars: Calendars) -> list[Block]:
    """Tell what passes would do, and that nothing was done. `calendars` names those whose names are known."""
    blocks: list[Block] = []
    for report in reports:
        blocks += [*_describe_plan(report, calendars), ""]
    blocks.append("This was a plan: nothing was written anywhere.")
    blocks += skips(reports) + problems(reports)
    return blocks + next_commands(reports)


def _describe_plan(report: PassReport, calendars: Calendars) -> list[Block]:
    parked = {id(action) for group in report.parked for action in group.actions}
    open_actions = sorted((a for a in report.actions if id(a) not in parked), key=_by_start)
    blocks: list[Block] = [f"{report.pipeline}: {_summary(report)}"]
    if report.is_of_paused:
        blocks.append(f"  It is paused: no pass runs before `calrelay resume {report.pipeline}`.")
    for kind, heading in _HEADINGS.items():
        chosen = [action for action in open_actions if type(action) is kind]
        if chosen:
            blocks += ["", f"  {heading} ({len(chosen)})", _table(chosen, kind, calendars)]
    for group in report.parked:
        blocks += [
            "",
            f"  Held ({len(group.actions)}): {words_of_parked(group)}",
            f"    would wait for `calrelay approve {report.pipeline}`",
            _held(group, calendars),
        ]
    return [*blocks, *_people(report), *_overlap(report)]


def _summary(report: PassReport) -> str:
    if report.outcome is Outcome.FAILED:
        return "could not be read; nothing is known of what a sync would do"
    would = {"create": report.created, "update": report.updated, "delete": report.deleted, "hold": report.held, "let wait": report.waiting}
    words = ", ".join(f"{word} {number}" for word, number in would.items() if number)
    rest = f"{report.unchanged} unchanged, {report.skipped.total()} skipped"
    rest += f", {report.quarantined} in quarantine" if report.quarantined else ""
    return f"read {report.read}; would {words or 'send nothing'}; {rest}"


def _people(report: PassReport) -> list[Block]:
    now = report.people
    held = len(people_of(a for group in report.parked for a in group.actions if not isinstance(a, Delete)))
    if not now and not held:
        return []
    words = f"  {counted(now, 'person', 'people')} could be messaged"
    return ["", words + (f", and {held} by what is held, if you approve it." if held else ".")]


def _overlap(report: PassReport) -> list[Block]:
    if not report.overlap:
        return []
    what, remedy = overlap_words(report.overlap, report.pipeline)
    return [f"  {what}.", f"    → {remedy}"]


def _table(actions: Sequence[Action], kind: type[Action], calendars: Calendars) -> Table:
    detail = {Create: "calendar", Update: "changes", Delete: "reason"}[kind]
    return Table(columns=("when", "id", "event", detail, "people"), rows=[_row(action, calendars) for action in actions], indent=4)


def _held(group: Parked, calendars: Calendars) -> Table:
    rows = [(_word(action), *_row(action, calendars)) for action in sorted(group.actions, key=_by_start)]
    return Table(columns=("what", "when", "id", "event", "detail", "people"), rows=rows, indent=4)


def _row(action: Action, calendars: Calendars) -> tuple[str, str, str, str, str]:
    return (
        _when(action),
        action.link.external_id,
        _title(action),
        _detail(action, calendars),
        names_of(action.event.participants if action.event else ()),
    )


def _when(action: Action) -> str:
    start = start_of(action)
    return in_place(start, action.event.zone if action.event else None) if start else "?"


def _title(action: Action) -> str:
    if isinstance(action, Create | Update):
        return action.entry.title
    return action.event.title if action.event else GONE


def _detail(action: Action, calendars: Calendars) -> str:
    match action:
        case Create(entry=entry):
            return calendars.get(entry.calendar, entry.calendar)
        case Update(fields=fields):
            shift = shift_of(action)
            moved = [f"moved {shift_in_words(shift)}"] if shift else []
            names = sorted(fields - _TIMES if shift else fields)
            return ", ".join([*moved, *(name.replace("_", " ") for name in names)])
        case Delete(successor=None, reason=reason):
            return reason
        case Delete(successor=successor):
            return f"moves to calendar {calendars.get(successor.calendar, successor.calendar)}" if successor else ""


def names_of(participants: Sequence[Participant]) -> str:
    """Name the first people who can be reached, and count the others."""
    people = [person for person in participants if person.is_reachable]
    shown = ", ".join(person.name or "(no name)" for person in people[:NAMES_SHOWN])
    return shown + (f" and {len(people) - NAMES_SHOWN} more" if len(people) > NAMES_SHOWN else "")


def _word(action: Action) -> str:
    return "move" if isinstance(action, Delete) and action.successor else type(action).__name__.lower()


def _by_start(action: Action) -> str:
    start = start_of(action)
    return start.isoformat() if start else ""
