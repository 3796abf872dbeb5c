"""Reports as a pass would have made them."""

from datetime import UTC, datetime

from calrelay.engine.report import Outcome, PassReport, Problem
from calrelay.errors import AuthFailed, CalrelayError, GuardRefused, VendorUnavailable

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def a_report(outcome: Outcome = Outcome.OK, *errors: CalrelayError, seconds: float = 0.0, **counts: int) -> PassReport:
    """Return the report of a complete pass of pipeline venue."""
    report = PassReport(pipeline="venue", command="run", started_at=NOW, outcome=outcome, seconds=seconds)
    for name, count in counts.items():
        setattr(report, name, count)
    report.is_complete = outcome is Outcome.OK
    report.problems += [Problem.of(error) for error in errors]
    return report


def an_outage() -> PassReport:
    """Return a pass in which nothing sound was read."""
    return a_report(Outcome.FAILED, VendorUnavailable("Tripleseat did not answer in time", remedy="it passes"))


def a_gap() -> PassReport:
    """Return a pass of which one page was a login page."""
    return a_report(Outcome.PARTIAL, AuthFailed("page 2 was a login page", remedy="calrelay login venue"), read=50)


def a_refusal() -> PassReport:
    """Return a pass that a guard stopped."""
    return a_report(Outcome.REFUSED, GuardRefused("the first load would create 90 events", remedy="calrelay backfill venue"))
