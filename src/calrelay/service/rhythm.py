"""Which pass of a pipeline is worth running now: complete, quick or none, and how long a vendor that is down is left in peace. Pure."""

import dataclasses
from datetime import timedelta
from enum import StrEnum

from calrelay.engine.order import Reach
from calrelay.engine.report import Outcome, PassReport
from calrelay.errors import ExitCode

LONG_AGO = float("-inf")
MOST_DOUBLINGS = 20
EARLY = 0.5  # a retry may come half an interval early, because ticks come by the interval and not by the second


class Health(StrEnum):
    """How things stand with a pipeline after a pass."""

    WELL = "well"
    DOWN = "down"  # a vendor, or the way to it: it is tried again, ever less often
    REFUSED = "refused"  # paused, or a first load that waits: somebody has to decide


def health_of(report: PassReport) -> Health:
    """Judge a pass; events held or in quarantine do not make a pipeline ill."""
    if report.outcome is Outcome.REFUSED:
        return Health.REFUSED
    if report.outcome is Outcome.FAILED or report.exit_code in (ExitCode.VENDOR, ExitCode.CONFIG):
        return Health.DOWN
    return Health.WELL


@dataclasses.dataclass(slots=True, kw_only=True)
class Rhythm:
    """The rhythm of one pipeline; instants are monotonic seconds.

    A complete pass comes first and every `full_every`, quick ones every `every`. What failed is tried again after `every`, then twice as
    long, up to `full_every`; while sound pages still come, quick passes go on meanwhile.
    """

    every: timedelta
    full_every: timedelta
    health: Health = Health.WELL
    _owes_complete: bool = True
    _failures: int = 0
    _complete_from: float = LONG_AGO
    _quick_from: float = LONG_AGO

    def choose(self, due: Reach, now: float) -> Reach | None:
        """Return the pass to run now that one is due, or None to let this tick go by."""
        if due is Reach.COMPLETE or (self._owes_complete and now >= self._complete_from):
            return Reach.COMPLETE
        return Reach.QUICK if now >= self._quick_from else None

    def note(self, reach: Reach, report: PassReport, now: float) -> None:
        """Learn from a pass that ended now."""
        self.health = health_of(report)
        match self.health:
            case Health.WELL:
                self._note_success(reach, report, now)
            case Health.DOWN:
                self._note_failure(reach, report, now)
            case Health.REFUSED:
                self._owes_complete = True
                self._complete_from = self._quick_from = now + self._pause(self.full_every)

    def owe(self) -> None:
        """Have the next tick run a complete pass, whatever was before."""
        self._owes_complete, self._complete_from, self._quick_from = True, LONG_AGO, LONG_AGO

    def _note_success(self, reach: Reach, report: PassReport, now: float) -> None:
        if reach is Reach.COMPLETE:
            self._owes_complete = False
        if self._owes_complete:
            self.health = Health.DOWN  # quick reads work, the complete one has not yet again
        else:
            self._failures = 0
        self._quick_from = now - report.seconds + EARLY * self.every.total_seconds()  # both due at once: one of them will do

    def _note_failure(self, reach: Reach, report: PassReport, now: float) -> None:
        self._failures += 1
        until = now + self._pause(min(self.every * 2 ** min(self._failures - 1, MOST_DOUBLINGS), self.full_every))
        if reach is Reach.COMPLETE:
            self._owes_complete, self._complete_from = True, until
        if report.outcome is Outcome.FAILED:
            self._complete_from = self._quick_from = until

    def _pause(self, span: timedelta) -> float:
        return (span - EARLY * self.every).total_seconds()
