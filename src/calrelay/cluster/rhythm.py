"""Which pass of a pipeline is due, and when the next one is: `service/rhythm`'s rules on a turn that any worker may take up. Pure."""

import dataclasses
from datetime import datetime, timedelta
from typing import Protocol

from calrelay.engine.order import Reach
from calrelay.engine.report import Outcome, PassReport
from calrelay.ports import PipelineRecord
from calrelay.service.rhythm import MOST_DOUBLINGS, Health, health_of
from calrelay.state.turns import Turn


class Paced(Protocol):
    """What is asked of a pipeline here."""

    @property
    def every(self) -> timedelta:
        """How often a quick pass is due."""

    @property
    def full_every(self) -> timedelta:
        """How often a complete one is."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A pass that ended: what it read, what it says, what is remembered of its pipeline since, and when it was, by the database's clock."""

    reach: Reach
    report: PassReport
    record: PipelineRecord
    began: datetime
    now: datetime


def health_before(turn: Turn) -> Health:
    """Return how things stood after the last pass, whoever ran it."""
    if turn.refused:
        return Health.REFUSED
    return Health.DOWN if turn.failures else Health.WELL


def reach_due(turn: Turn, record: PipelineRecord, now: datetime) -> Reach | None:
    """Return the pass to run now, None where it is not time, or where a refused pipeline is as it was."""
    if turn.refused:
        return Reach.COMPLETE if now >= turn.complete_at or turn.refused != _mark(record) else None
    if now < turn.next_at:
        return None
    return Reach.COMPLETE if now >= turn.complete_at else Reach.QUICK


def look_again(turn: Turn, pipeline: Paced, now: datetime) -> Turn:
    """Return the turn of a pipeline for which nothing was to be done: it is looked at again after `every`."""
    return dataclasses.replace(turn, next_at=max(turn.next_at, min(now + pipeline.every, max(turn.complete_at, now))))


def after(turn: Turn, pipeline: Paced, ended: Ended) -> Turn:
    """Return the next turn.

    A complete pass comes every `full_every`, quick ones every `every`. What failed is tried again after `every`, then twice as long, up to
    `full_every`; while sound pages still come, quick passes go on meanwhile. One that was refused is looked at every `every`, and read
    again when something about it has changed.
    """
    turn = dataclasses.replace(turn, refused="")
    match health_of(ended.report):
        case Health.WELL:
            return _after_success(turn, pipeline, ended)
        case Health.DOWN:
            return _after_failure(turn, pipeline, ended)
        case Health.REFUSED:
            complete_at = ended.now + pipeline.full_every
            return dataclasses.replace(turn, refused=_mark(ended.record), complete_at=complete_at, next_at=ended.now + pipeline.every)


def after_bug(turn: Turn, pipeline: Paced, now: datetime) -> Turn:
    """Return the turn of a pipeline whose pass broke on an error of ours: it must not keep the others from theirs."""
    until = now + _back_off(pipeline, turn.failures)
    return dataclasses.replace(turn, failures=turn.failures + 1, next_at=until, complete_at=max(turn.complete_at, until))


def _after_success(turn: Turn, pipeline: Paced, ended: Ended) -> Turn:
    complete_at = ended.began + pipeline.full_every if ended.reach is Reach.COMPLETE else turn.complete_at
    is_owing = turn.failures and ended.reach is not Reach.COMPLETE  # quick reads work, the complete one has not yet again
    next_at = max(ended.now, min(ended.began + pipeline.every, complete_at))
    return dataclasses.replace(turn, complete_at=complete_at, next_at=next_at, failures=turn.failures if is_owing else 0)


def _after_failure(turn: Turn, pipeline: Paced, ended: Ended) -> Turn:
    until = ended.now + _back_off(pipeline, turn.failures)
    complete_at = until if ended.reach is Reach.COMPLETE else turn.complete_at
    next_at = min(ended.now + pipeline.every, complete_at)
    if ended.report.outcome is Outcome.FAILED:
        complete_at, next_at = max(complete_at, until), until
    return dataclasses.replace(turn, failures=turn.failures + 1, complete_at=complete_at, next_at=next_at)


def _back_off(pipeline: Paced, failures: int) -> timedelta:
    return min(pipeline.every * float(2 ** min(failures, MOST_DOUBLINGS)), pipeline.full_every)


def _mark(record: PipelineRecord) -> str:
    """Return what a decision would change of a record: a pause, a first load."""
    return f"{'paused' if record.is_paused else 'running'} {record.first_complete_at}"
