"""Runs passes for `sync`, `plan` and `adopt`: one pipeline after another, so that each report counts its own requests."""

import asyncio
import dataclasses
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from typing import Protocol

from calrelay.assembly import RULES_KEPT, assemble, utc_now
from calrelay.cli.failures import lines_of, trouble_of
from calrelay.cli.output import Block, Output, Progress
from calrelay.cli.pass_texts import describe_passes
from calrelay.cli.plan_texts import describe_plans
from calrelay.cli.session import Interrupted, Session
from calrelay.config.load import Config
from calrelay.config.tenants import SCOPE
from calrelay.domain.link import CalendarId
from calrelay.engine.order import Order
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import Outcome, PassReport, Problem, requests_since
from calrelay.engine.sync import count_standing, run_pass
from calrelay.errors import CalrelayError, ConfigError, ExitCode, StateError
from calrelay.ports import Clock
from calrelay.state.database import Access

INTERRUPTED = Problem(
    kind="Interrupted",
    message="interrupted while it was being sent",
    remedy="nothing is lost: what was just being sent is looked up by the next pass, which sends the rest",
)


class Running(Protocol):
    """What passes need of an assembled relay."""

    @property
    def pipelines(self) -> Mapping[str, Pipeline]:
        """The pipelines to run, by name."""

    @property
    def clock(self) -> Clock:
        """Now."""

    def lock(self, pipeline: str) -> AbstractContextManager[object]:
        """The right to work on a pipeline; entering it raises Busy."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Done:
    """What passes brought, as far as they came; filled while they run, so that an interrupted command can still tell."""

    reports: list[PassReport] = dataclasses.field(default_factory=list)
    calendars: dict[CalendarId, str] = dataclasses.field(default_factory=dict)


class Watch:
    """Keeps an eye on passes while they run, for when an error ends one without a report: what it sent must be told all the same.

    `report` is that of the pass at work, or of the last one.
    """

    def __init__(self, pipeline: Pipeline, order: Order) -> None:
        self._pipeline = pipeline
        self._began = time.monotonic()
        self._asked = pipeline.request_counts()
        started_at = pipeline.clock()
        self.report = PassReport(pipeline=pipeline.name, command=order.command, started_at=started_at, is_dry_run=order.is_dry_run)
        self.lost: list[PassReport] = []  # of passes that lost their lease, and were begun again

    def note(self, report: PassReport) -> None:
        """Take the report of the pass that is at work; it goes on being filled."""
        self.report = report

    def unfinished(self, finished: Sequence[PassReport]) -> list[PassReport]:
        """Return the reports of passes that were cut short: those that are none of the finished ones."""
        is_known = any(self.report is report for report in (*finished, *self.lost))
        return [*self.lost] if is_known else [*self.lost, self.report]

    def lose(self, finished: Sequence[PassReport]) -> None:
        """Keep the report of the pass at work, which another one takes the place of: what it sent counts, what stopped it does not."""
        self.lost = self.unfinished(finished)
        for report in self.lost:
            report.outcome = Outcome.OK
            report.problems = [problem for problem in report.problems if problem.exit_code == ExitCode.ATTENTION]

    def cut_short(self, report: PassReport, problems: Sequence[Problem]) -> PassReport:
        """Tell in a report what ended it, with the requests and the time that everything took since the watch began."""
        known = {problem.message for problem in report.problems}
        report.problems += [problem for problem in problems if problem.message not in known]
        report.outcome = Outcome.PARTIAL if report.sent else Outcome.FAILED
        report.is_cut_short = True
        report.seconds = time.monotonic() - self._began
        report.requests = requests_since(self._asked, self._pipeline.request_counts())
        if not report.is_dry_run and not any(problem.exit_code == ExitCode.STATE for problem in problems):
            with suppress(CalrelayError):
                count_standing(self._pipeline, report)
        return report


def sync(session: Session, output: Output, names: Sequence[str]) -> int:
    """Run a pass of each pipeline and tell what came of it."""
    return _run(session, output, names, Order(command="sync"))


def adopt(session: Session, output: Output, name: str) -> int:
    """Rebuild the links of a pipeline from its target."""
    return _run(session, output, [name], Order(command="adopt", adopts_only=True))


def plan(session: Session, output: Output, names: Sequence[str]) -> int:
    """Tell what a sync would do."""
    return _run(session, output, names, Order(command="plan", is_dry_run=True))


def document_of(reports: Sequence[PassReport]) -> dict[str, object]:
    """Return the passes as the JSON contract has them."""
    return {"passes": [report.to_json() for report in reports]}


def exit_code_of(reports: Sequence[PassReport]) -> int:
    """Return the code that speaks for all passes."""
    return ExitCode.worst(*(report.exit_code for report in reports))


async def run_passes(relay: Running, order: Order, reports: list[PassReport], bar: Progress | None = None) -> None:
    """Run a pass of each pipeline, and append its report when it is done. Only a ledger that cannot be trusted stops the next ones."""
    for name, pipeline in relay.pipelines.items():
        if bar is not None:  # said before anything is asked: a vendor that is down takes its time to be given up
            bar.glance(f"{name}: reading account {pipeline.source.account}; it may take up to a minute to answer")
        await _run_one(relay, name, order, reports)
        if any(problem.exit_code == ExitCode.STATE for problem in reports[-1].problems):
            return


def chosen_of(config: Config, names: Sequence[str]) -> list[str]:
    """Return the pipelines that are meant: those named, else all enabled ones; none where every tenant is refused. Raises ConfigError."""
    chosen = config.select(names) if names else config.enabled
    if not chosen and not config.refusals:
        or_a_file = ", or a file that `include` matches" if config.include else ""
        raise ConfigError(
            f"{config.path} has no pipeline that is enabled",
            remedy=f"add a [[pipelines]] table{or_a_file}; `calrelay config example` shows one",
        )
    return [one.name for one in chosen]


def refused_of(config: Config, names: Sequence[str]) -> dict[str, ConfigError]:
    """Return the tenants (`acme/`) that a command for all of them cannot serve; one that is named has been refused by its name."""
    return {} if names else {f"{name}{SCOPE}": error for name, error in config.refusals.items()}


def problems_of(error: Exception) -> list[Problem]:
    """Tell an error as problems of a pass; each that a config has by itself, with its own fix."""
    trouble = trouble_of(error)
    told = [(what or fix, fix if what else "") for what, _, fix in (one.rpartition(" — ") for one in trouble.problems)]
    return [
        Problem(kind=trouble.kind, message=message, remedy=remedy, exit_code=trouble.exit_code)
        for message, remedy in told or [(trouble.message, trouble.remedy)]
    ]


async def _run_one(relay: Running, name: str, order: Order, reports: list[PassReport]) -> None:
    pipeline = relay.pipelines[name]
    before, began = pipeline.source.requests, time.monotonic()
    watch = Watch(pipeline, order)
    try:
        if order.is_dry_run:
            await _learn(pipeline)  # a plan warns of what the source sends by itself, and has nobody to ask but the source
        with nullcontext() if order.is_dry_run else relay.lock(name):
            report = await run_pass(pipeline, order, progress=watch.note)
        if report.is_complete and not order.is_dry_run:
            await _learn(pipeline)  # for `status`, and when there is nothing that could wait for it
        reports.append(_counting(report, pipeline, before, began))
    except asyncio.CancelledError:
        if watch.report.sent:
            reports.append(watch.cut_short(watch.report, [INTERRUPTED]))
        raise
    except Exception as error:  # noqa: BLE001 - whatever stops one pipeline, the others are run and all are reported
        reports.append(watch.cut_short(watch.report, problems_of(error)))


async def _learn(pipeline: Pipeline) -> None:
    """Have read what the source sends by itself, once a day; what cannot be read is not in anybody's way."""
    if pipeline.listener is not None:
        await pipeline.listener.renew_rules(RULES_KEPT)


def _counting(report: PassReport, pipeline: Pipeline, before: int, began: float) -> PassReport:
    """Count what was asked beside the pass among its requests, and the time that took."""
    report.requests[pipeline.source.account] = pipeline.source.requests - before
    report.seconds = time.monotonic() - began
    return report


def _without_pass(name: str, order: Order, error: Exception, now: datetime) -> PassReport:
    report = PassReport(pipeline=name, command=order.command, started_at=now, is_dry_run=order.is_dry_run, outcome=Outcome.FAILED)
    report.problems += problems_of(error)
    return report


def _run(session: Session, output: Output, names: Sequence[str], order: Order) -> int:
    config = session.load()
    done = Done()
    try:
        session.run(_assembled(config, output, names, order, done))
    except (Interrupted, StateError) as error:
        if not done.reports:
            raise
        output.answer(document_of(done.reports), _describe(order, done))
        output.message(*lines_of(trouble_of(error)))
        return error.exit_code
    output.answer(document_of(done.reports), _describe(order, done))
    return exit_code_of(done.reports)


async def _assembled(config: Config, output: Output, names: Sequence[str], order: Order, done: Done) -> None:
    access = Access.READ if order.is_dry_run else Access.WRITE
    left_out: dict[str, ConfigError] = {}
    if chosen := chosen_of(config, names):
        async with assemble(config, command=order.command, pipelines=chosen, access=access) as relay:
            left_out |= relay.unready
            with output.progress(order.command) as bar:
                await run_passes(relay, order, done.reports, bar)
            if order.is_dry_run:
                for pipeline in relay.pipelines.values():
                    done.calendars |= await pipeline.calendar_names()
    left_out |= refused_of(config, names)
    done.reports += [_without_pass(name, order, error, utc_now()) for name, error in left_out.items()]


def _describe(order: Order, done: Done) -> list[Block]:
    return describe_plans(done.reports, done.calendars) if order.is_dry_run else describe_passes(done.reports)
