"""What a pass says about itself: the counters of the JSON contract, problems in words, and the exit code that follows from them."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from calrelay.domain.guard import Parked, people_of, start_of
from calrelay.domain.plan import Action, Create, Delete, Update
from calrelay.engine.overlapping import Overlapping
from calrelay.engine.shelf import Shelf
from calrelay.errors import CalrelayError, ExitCode, ResponseInvalid
from calrelay.ports import Flaw, PassRecord


class Outcome(StrEnum):
    """How a pass ended."""

    OK = "ok"
    PARTIAL = "partial"  # part of it could not be read, or was not taken, or waits for a decision
    REFUSED = "refused"  # a guard, or a pause, stopped all of it
    FAILED = "failed"  # nothing sound was read, or nothing could be sent


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing somebody may have to look at; our own words only (rule 23)."""

    kind: str
    message: str
    remedy: str = ""
    external_id: str = ""
    exit_code: int = ExitCode.ATTENTION
    is_unresolved: bool = False  # of one event, over which the target fails, or of which nobody can tell; told in each pass

    @classmethod
    def of(cls, error: CalrelayError, external_id: str = "") -> "Problem":
        """Tell an error as a problem."""
        return cls(kind=error.kind, message=error.message, remedy=error.remedy, external_id=external_id, exit_code=error.exit_code)

    def to_json(self) -> dict[str, str]:
        """Return the problem in the form of the JSON contract."""
        return {"external_id": self.external_id, "kind": self.kind, "message": self.message, "remedy": self.remedy}


@dataclasses.dataclass(slots=True, kw_only=True)
class PassReport:
    """The report of one pass, filled while it runs. `created`, `updated` and `deleted` count what the target accepted in this pass."""

    pipeline: str
    command: str
    started_at: datetime
    is_dry_run: bool = False
    is_of_paused: bool = False  # a plan of a pipeline that does not run until somebody resumes it
    is_complete: bool = False
    left_from: datetime | None = None  # the start of the first event that a load left to the next one
    is_cut_short: bool = False  # by an interrupt or an error of ours: what was planned is not what was done
    outcome: Outcome = Outcome.OK
    read: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    quarantined: int = 0
    held: int = 0
    waiting: int = 0
    skipped: Counter[str] = dataclasses.field(default_factory=Counter)
    notes: Counter[str] = dataclasses.field(default_factory=Counter)
    requests: dict[str, int] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    problems: list[Problem] = dataclasses.field(default_factory=list)
    actions: list[Action] = dataclasses.field(default_factory=list)
    parked: Sequence[Parked] = ()
    shelf: Shelf | None = None  # further creates of a first load, which are none of `actions`
    overlap: Overlapping | None = None  # None where the source messages nobody by itself

    @property
    def sent(self) -> int:
        """Count what the target accepted."""
        return self.created + self.updated + self.deleted

    @property
    def people(self) -> int:
        """Count the distinct people whom the target could message: those of creates, updates and moves that are not parked."""
        people = people_of(a for a in self.passed if not (isinstance(a, Delete) and a.successor is None))
        return len({*map(hash, people), *self.shelf.people}) if self.shelf is not None else len(people)

    @property
    def passed(self) -> list[Action]:
        """The actions that no guard has parked."""
        parked = {id(action) for group in self.parked for action in group.actions}
        return [action for action in self.actions if id(action) not in parked]

    @property
    def exit_code(self) -> int:
        """Return the exit code this pass calls for."""
        codes = [p.exit_code for p in self.problems]
        if self.held:
            codes.append(ExitCode.GUARD)
        if self.quarantined:
            codes.append(ExitCode.ATTENTION)
        return ExitCode.worst(*codes)

    def fail(self, error: CalrelayError, outcome: Outcome = Outcome.FAILED) -> None:
        """Note the error that ended the pass; one that sent something was partial."""
        self.problems.append(Problem.of(error))
        self.outcome = Outcome.PARTIAL if self.sent and outcome is Outcome.FAILED else outcome

    def worsen(self, outcome: Outcome) -> None:
        """Set the outcome unless it is worse already."""
        order = (Outcome.OK, Outcome.PARTIAL, Outcome.REFUSED, Outcome.FAILED)
        self.outcome = max(self.outcome, outcome, key=order.index)

    def take_in(self, look: "PassReport") -> None:
        """Take over what a look in between decided; what it read again is not counted twice."""
        self.actions = [*self.actions, *look.actions]
        self.parked = (*self.parked, *look.parked)
        self.problems.extend(look.problems)

    def tally(self) -> Counter[tuple[str, str]]:
        """Count what was read so far by what came of it, for `leave`."""
        counted = Counter({("read", ""): self.read, ("unchanged", ""): self.unchanged})
        counted.update({("skipped", reason): number for reason, number in self.skipped.items()})
        counted.update({("notes", note): number for note, number in self.notes.items()})
        return counted

    def leave(self, tally: Counter[tuple[str, str]], *, since: datetime) -> None:
        """Note that all that starts then or later is left to the next load, which counts this part of the tally and tells of it."""

        def is_ours(action: Action) -> bool:
            start = start_of(action)
            return start is None or start < since

        self.left_from = since
        self.actions = [action for action in self.actions if is_ours(action)]
        groups = [dataclasses.replace(group, actions=tuple(filter(is_ours, group.actions))) for group in self.parked]
        self.parked = [group for group in groups if group.actions]
        self.read -= tally["read", ""]
        self.unchanged -= tally["unchanged", ""]
        self.skipped -= Counter({reason: number for (what, reason), number in tally.items() if what == "skipped"})
        self.notes -= Counter({note: number for (what, note), number in tally.items() if what == "notes"})

    def to_json(self) -> dict[str, Any]:
        """Return the pass in the form of the JSON contract; a dry run carries its actions."""
        document: dict[str, Any] = {
            "pipeline": self.pipeline,
            "outcome": self.outcome.value,
            **self.counts(),
            "requests": dict(self.requests),
            "seconds": round(self.seconds, 3),
            "problems": [p.to_json() for p in self.problems],
        }
        if self.is_dry_run:
            holds = {id(a): p.kind.value for p in self.parked for a in p.actions}
            document["actions"] = [action_to_json(a, holds.get(id(a))) for a in self.actions]
            document["people"] = self.people
            if self.overlap is not None:
                document["overlap"] = self.overlap.to_json()
        return document

    def counts(self) -> dict[str, int]:
        """Return the counters of the contract."""
        return {
            "read": self.read,
            "created": self.created,
            "updated": self.updated,
            "deleted": self.deleted,
            "unchanged": self.unchanged,
            "skipped": self.skipped.total(),
            "quarantined": self.quarantined,
            "held": self.held,
            "waiting": self.waiting,
        }

    def to_record(self) -> PassRecord:
        """Return what the ledger remembers of the pass."""
        return PassRecord(
            pipeline=self.pipeline,
            command=self.command,
            started_at=self.started_at,
            seconds=self.seconds,
            outcome=self.outcome.value,
            is_complete=self.is_complete,
            counts=self.counts(),
            requests=dict(self.requests),
            problems=[p.to_json() for p in self.problems[:50]],
        )


def action_to_json(action: Action, hold: str | None = None) -> dict[str, Any]:
    """Return an action in the form of `plan --json`; it holds a title, so it is for stdout only."""
    document: dict[str, Any] = {
        "action": type(action).__name__.lower(),
        "external_id": action.link.external_id,
        "cause": action.cause.value,
    }
    match action:
        case Create(entry=entry):
            document |= {"title": entry.title, "start": entry.start.isoformat(), "calendar": entry.calendar}
        case Update(entry=entry, fields=fields):
            document |= {"title": entry.title, "start": entry.start.isoformat(), "fields": sorted(fields)}
        case Delete(reason=reason, successor=successor):
            document |= {"reason": reason} | ({"moves_to": successor.calendar} if successor else {})
    if action.event is not None:
        document["people"] = sum(1 for p in action.event.participants if p.is_reachable)
    if hold:
        document["hold"] = hold
    return document


def requests_since(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return how many requests each account made between two counts."""
    return {account: after[account] - before.get(account, 0) for account in after}


def problems_of_flaws(flaws: Sequence[Flaw]) -> list[Problem]:
    """Tell why a read is not complete: what comes of the same trouble, and asks for the same remedy, is one problem."""
    alike: dict[object, list[Flaw]] = {}
    for flaw in flaws:
        error = flaw.error
        alike.setdefault((error.kind, error.account, error.remedy) if error else flaw.what, []).append(flaw)
    return [_problem_of(group) for group in alike.values()]


def _problem_of(group: Sequence[Flaw]) -> Problem:
    error = group[0].error
    parts = list(dict.fromkeys(flaw.what for flaw in group))
    return Problem(
        kind=error.kind if error else ResponseInvalid.__name__,
        message=_message_of(parts, error),
        remedy=(error.remedy if error else "") or "nothing was deleted; the next pass reads again",
        exit_code=ExitCode.VENDOR,
    )


def _message_of(parts: Sequence[str], error: CalrelayError | None) -> str:
    """Say what could not be read, and why; where one trouble spoiled several parts, that it did, instead of each of them."""
    what = parts[0] if len(parts) == 1 else "the read is not complete"
    return f"{what}: {error.message}" if error else what
