"""What the daemon's log says of passes: one line each with counts, one when something begins, one when it ends. No names, no titles."""

from calrelay.engine.holds import how_to_decide
from calrelay.engine.order import Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport, Problem
from calrelay.errors import CLAIMED, ExitCode
from calrelay.log import get_logger
from calrelay.service.rhythm import Health

REMEMBERED = 1000
_log = get_logger(__name__)


class PassLog:
    """A listener of runners; keeps what was said, so that an outage is told once when it begins and once when it ends."""

    def __init__(self) -> None:
        self._health: dict[str, Health] = {}
        self._down_for: dict[str, str] = {}  # the kind of trouble that was told last
        self._held: dict[str, dict[str, int]] = {}  # by pipeline and hold
        self._said: dict[tuple[str, str, str], None] = {}

    def note(self, pipeline: Pipeline, reach: Reach, report: PassReport, health: Health) -> None:
        """Write what a pass has to say."""
        worst = _worst(report)
        _log.info(
            "pass",
            pipeline=pipeline.name,
            reach=reach.value,
            because=report.command,
            outcome=report.outcome.value,
            **report.counts(),
            requests=report.requests,
            seconds=round(report.seconds, 3),
            **({"why": worst.message} if worst and worst.exit_code != ExitCode.ATTENTION else {}),
        )
        self._tell_health(pipeline.name, report, health)
        self._tell_holds(pipeline, report)
        for problem in report.problems:
            if problem.exit_code == ExitCode.ATTENTION:
                self._tell_once(pipeline.name, problem)

    def forget(self, pipeline: str) -> None:
        """Forget what was said of a pipeline; its config has changed."""
        self._health.pop(pipeline, None)
        self._held.pop(pipeline, None)

    def recall(self, pipeline: str, health: Health) -> None:
        """Take over what is known of a pipeline since before, where another process may have run its last pass."""
        self._health[pipeline] = health

    def _tell_health(self, pipeline: str, report: PassReport, health: Health) -> None:
        before, self._health[pipeline] = self._health.get(pipeline, Health.WELL), health
        worst = _worst(report)
        kind = worst.kind if worst else ""
        told, self._down_for[pipeline] = self._down_for.get(pipeline, ""), kind
        if health is before and not (health is Health.DOWN and told and kind != told):
            return
        why = {"why": worst.message, "remedy": worst.remedy} if worst else {}
        match health:
            case Health.WELL:
                _log.info("back", pipeline=pipeline, was=before.value)
            case Health.DOWN:
                _log.error("down", pipeline=pipeline, **why)
            case Health.REFUSED:
                _log.warning("waiting for a decision", pipeline=pipeline, **why)

    def _tell_holds(self, pipeline: Pipeline, report: PassReport) -> None:
        holds = pipeline.ledger.holds(pipeline.name) if report.held else []
        before = self._held.get(pipeline.name, {})
        self._held[pipeline.name] = {hold.id: len(hold.items) for hold in holds}
        for hold in holds:
            if (number := len(hold.items)) > before.get(hold.id, 0):
                _log.warning("held", pipeline=pipeline.name, hold=hold.id, held=number, why=hold.words, remedy=how_to_decide(hold.id))

    def _tell_once(self, pipeline: str, problem: Problem) -> None:
        key = (pipeline, "" if problem.kind == CLAIMED else problem.external_id, problem.message)  # two filters may share thousands
        if key in self._said:
            return
        self._said[key] = None
        if len(self._said) > REMEMBERED:
            del self._said[next(iter(self._said))]
        _log.warning("problem", pipeline=pipeline, external_id=problem.external_id, why=problem.message, remedy=problem.remedy)


def _worst(report: PassReport) -> Problem | None:
    """Return the problem that speaks for the pass."""
    code = report.exit_code
    return next((problem for problem in report.problems if problem.exit_code == code), next(iter(report.problems), None))
