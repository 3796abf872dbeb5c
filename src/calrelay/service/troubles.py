"""What is wrong with a pipeline now: judged from its freshness, its last pass and the ledger. Pure; who is told stands beside."""

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from calrelay.domain.words import counted, span_in_words
from calrelay.engine.holds import how_to_decide
from calrelay.engine.report import PassReport, Problem
from calrelay.errors import AuthFailed, ExitCode
from calrelay.ports import Hold, PipelineRecord
from calrelay.service.freshness import Freshness
from calrelay.service.rhythm import Health

DOWN_LONG: Final = timedelta(minutes=15)  # shorter outages mend themselves before anybody has read of them


class Kind(StrEnum):
    """What somebody wants to be told of."""

    HELD = "held"
    QUARANTINED = "quarantined"
    STUCK = "stuck"  # single events cannot be put right at the target, pass after pass
    CREDENTIALS = "credentials refused"
    DOWN = "down"
    STALE = "stale"
    REFUSED = "waits for a decision"  # a first load, mostly
    CONFIG = "config refused"  # a tenant's file, or a secret of it
    DESERTED = "deserted"  # it has events to come, and the config names it no more


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that is wrong; `which` is the hold's id, else empty. Holds no name of a person (rule 23)."""

    pipeline: str
    kind: Kind
    summary: str
    remedy: str
    count: int = 0
    which: str = ""

    @property
    def key(self) -> str:
        """What it is known by while it lasts."""
        return f"{self.pipeline}:{self.kind}:{self.which}"


@dataclasses.dataclass(slots=True, kw_only=True)
class LastPass:
    """What is known of a pipeline's passes since the daemon started."""

    report: PassReport
    health: Health
    down_since: datetime | None
    has_tried: bool  # a complete pass has ended, however
    is_sound: bool  # the last complete pass got through, and no outage came since: what fails now fails by itself
    unresolved: frozenset[str] | None  # events that could not be cleared up in the last complete pass that got through
    stuck: frozenset[str] | None  # of those, the ones of the one before as well; None where that is not known


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One pipeline at one moment: everything a judgement rests on. `last` is None before the first pass since the start."""

    record: PipelineRecord
    freshness: Freshness
    holds: Sequence[Hold]
    quarantined: int
    failing: int  # events over which the target fails, in pass after pass, but for those in `last.stuck`
    last: LastPass | None
    started_at: datetime
    now: datetime


def troubles_of(sight: Sight) -> Iterator[Trouble]:
    """Yield everything that is wrong."""
    yield from _held(sight)
    yield from _quarantined(sight)
    yield from _stale(sight)
    if sight.last is not None:
        yield from _unwell(sight, sight.last)


def is_known(kind: Kind, sight: Sight) -> bool:
    """Tell whether the absence of a trouble means that it is over; else nothing is known yet, and it may still last.

    After a start nothing is known of the vendors before the first pass; nor is it while a pipeline is paused, or while a vendor that had
    refused us does not answer at all.
    """
    match kind:
        case Kind.HELD | Kind.QUARANTINED | Kind.CONFIG | Kind.DESERTED:
            return True
        case Kind.STUCK:
            return sight.last is not None and sight.last.is_sound and sight.last.stuck is not None and not sight.record.is_paused
        case Kind.STALE:
            return not sight.freshness.is_stale or _had_its_chance(sight)
        case Kind.REFUSED:
            return sight.last is not None and not sight.record.is_paused
        case Kind.DOWN | Kind.CREDENTIALS:
            return sight.last is not None and sight.last.health is not Health.DOWN and not sight.record.is_paused


def _held(sight: Sight) -> Iterator[Trouble]:
    for hold in sight.holds:
        if any(item.approved_at is None for item in hold.items):
            yield Trouble(
                pipeline=sight.record.name,
                kind=Kind.HELD,
                summary=hold.words,
                remedy=how_to_decide(hold.id),
                count=len(hold.items),
                which=hold.id,
            )


def _quarantined(sight: Sight) -> Iterator[Trouble]:
    if sight.quarantined:
        what = f"{counted(sight.quarantined, 'event')} in quarantine"
        yield _trouble(sight, Kind.QUARANTINED, what, "calrelay quarantine list says why, and how to mend each", count=sight.quarantined)


def _stale(sight: Sight) -> Iterator[Trouble]:
    found = sight.freshness
    if found.is_stale and _had_its_chance(sight):
        since = f"no complete read for {span_in_words(found.age)}" if found.last_complete_at else "no complete read since the start"
        pause = ": it is paused" if sight.record.is_paused else ""
        remedy = f"calrelay resume {sight.record.name}" if sight.record.is_paused else "calrelay status, and the log"
        yield _trouble(sight, Kind.STALE, f"{since}{pause}", remedy)


def _unwell(sight: Sight, last: LastPass) -> Iterator[Trouble]:
    if last.is_sound and last.stuck is not None and (stuck := sight.failing + len(last.stuck)):
        what = f"{counted(stuck, 'event')} could not be put right at the target, pass after pass, though it answers otherwise"
        yield _trouble(sight, Kind.STUCK, what, "calrelay status says which, and what to do", count=stuck)
    if last.health is Health.REFUSED and not sight.record.is_paused:
        yield _told_by(sight, Kind.REFUSED, _speaker(last.report))
    if last.health is not Health.DOWN:
        return
    if refusal := next((one for one in last.report.problems if one.kind == AuthFailed.__name__), None):
        yield _told_by(sight, Kind.CREDENTIALS, refusal)
    elif last.down_since is not None and sight.now - last.down_since >= DOWN_LONG:
        yield _told_by(sight, Kind.DOWN, _speaker(last.report))


def _had_its_chance(sight: Sight) -> bool:
    """Whether a daemon that found old knowledge when it started has had the time to read anew."""
    has_tried = sight.last is not None and sight.last.has_tried
    return has_tried or sight.now - sight.started_at > sight.freshness.allowed


def _speaker(report: PassReport) -> Problem | None:
    """Return the problem that speaks for a pass: one of the pass as a whole, the worst first."""
    whole = [problem for problem in report.problems if not problem.external_id]
    return min(whole, key=lambda problem: ExitCode.PRECEDENCE.index(problem.exit_code), default=None)


def _told_by(sight: Sight, kind: Kind, problem: Problem | None) -> Trouble:
    message, remedy = (problem.message, problem.remedy) if problem else (kind.value, "calrelay status")
    return _trouble(sight, kind, message, remedy)


def _trouble(sight: Sight, kind: Kind, summary: str, remedy: str, *, count: int = 0) -> Trouble:
    return Trouble(pipeline=sight.record.name, kind=kind, summary=summary, remedy=remedy, count=count)
