"""Runs `backfill`: whole days of the source's site become a span, its chunks go one by one, and stderr tells how far it is."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta

from calrelay.assembly import assemble
from calrelay.cli.failures import lines_of, trouble_of
from calrelay.cli.output import Block, Output, Progress
from calrelay.cli.pass_texts import describe_passes
from calrelay.cli.passes import INTERRUPTED, Running, Watch, document_of, exit_code_of
from calrelay.cli.session import Interrupted, Session
from calrelay.config.load import Config
from calrelay.domain.link import TAGS, MessageMode
from calrelay.domain.window import Span
from calrelay.domain.zones import resolve_zone, to_instant
from calrelay.engine.backfill import Step, is_sound, merge_reports
from calrelay.engine.backfill import backfill as chunks_of
from calrelay.engine.order import Order
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import Outcome, PassReport, Problem
from calrelay.errors import Busy, CalrelayError, ConfigError
from calrelay.ports import LOAD

DAY = timedelta(days=1)
FARTHEST = timedelta(days=3653)
PATIENCE = timedelta(minutes=10)  # a live pass between two chunks is over by then
_POLL_SECONDS = 0.5
_STOPPED = ("", "The load stopped. Run the same command again: it goes on where it stopped.")


def backfill(session: Session, output: Output, name: str, first: date, last: date, mode: MessageMode) -> int:
    """Load the days from `first` to `last`, both included, of a pipeline or of all of a tenant, one by one, and tell what came of it."""
    if last < first:
        raise ConfigError(f"--to {last} is before --from {first}", remedy="give the earlier day as --from")
    for option, day in (("--from", first), ("--to", last)):
        if abs(day - session.now().date()) > FARTHEST:
            raise ConfigError(f"{option} {day} is more than ten years away", remedy="look at the year; events lie nearer than that")
    config = session.load()
    done, hints, load = list[PassReport](), list[Block](), _Load()
    try:
        for one in [pipeline.name for pipeline in config.select([name])]:
            load = _Load()
            report, more = session.run(_load(config, output, one, (first, last), mode, load))
            done.append(report)
            hints += more
    except (Interrupted, CalrelayError) as stop:
        done += [load.cut_short(load.watch, INTERRUPTED)] if load.watch is not None and isinstance(stop, Interrupted) else []
        if not done:
            raise
        output.answer(document_of(done), describe_passes(done))
        output.message(*lines_of(trouble_of(stop)))
        return stop.exit_code
    output.answer(document_of(done), [*describe_passes(done), *_tag_in_words(mode, done), *hints])
    return exit_code_of(done)


def span_of(zone: str | None, first: date, last: date) -> Span:
    """Return whole days on the clock of a site, or in UTC where there is not one of all."""

    def midnight(day: date) -> datetime:
        wall = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock, made an instant on the next line
        return to_instant(wall, resolve_zone(zone)).instant if zone else wall.replace(tzinfo=UTC)

    return Span(begin=midnight(first), end=midnight(last + DAY) - timedelta(microseconds=1))


async def run_steps(
    relay: Running, name: str, span: Span, mode: MessageMode, *, bar: Progress, watch: Watch, patience: timedelta = PATIENCE
) -> AsyncIterator[Step]:
    """Yield the chunks as they are done; waits for a live pass that is at work when the next chunk is due. Raises Busy in the end."""

    def glance(report: PassReport) -> None:
        watch.note(report)
        bar.glance(f"read {report.read}, sent {report.sent}")

    deadline = time.monotonic() + patience.total_seconds()
    finished = list[PassReport]()
    while True:
        steps = chunks_of(relay.pipelines[name], span, mode, lock=lambda: relay.lock(name), progress=glance)
        try:
            async with aclosing(steps):  # type: ignore[type-var] # an async generator, whatever its annotation says
                async for step in steps:
                    finished.append(step.report)
                    yield step
                    deadline = time.monotonic() + patience.total_seconds()
        except Busy as busy:
            watch.lose(finished)
            if time.monotonic() >= deadline:
                raise
            bar.glance(busy.message)
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return


@dataclasses.dataclass(slots=True, kw_only=True)
class _Load:
    """How far a load has come: the chunks that are done, and who watches the one at work."""

    steps: list[Step] = dataclasses.field(default_factory=list)
    watch: Watch | None = None

    def cut_short(self, watch: Watch, *problems: Problem) -> PassReport:
        """Return one report of everything until now, with what ended it."""
        done = [step.report for step in self.steps]
        reports = [*done, *watch.unfinished(done)]
        return watch.cut_short(merge_reports(watch.report.pipeline, reports[0].started_at, reports), problems)


async def _load(
    config: Config, output: Output, name: str, days: tuple[date, date], mode: MessageMode, load: _Load
) -> tuple[PassReport, list[Block]]:
    async with assemble(config, command="backfill", pipelines=[name]) as relay:
        pipeline, started = relay.pipelines[name], relay.clock()
        watch = load.watch = Watch(pipeline, Order(command=LOAD))
        try:
            with relay.load_lock(name):
                zone = await pipeline.source.site_zone()
                span = span_of(zone, *days)
                with output.progress(f"days of backfill {name}") as bar:
                    await _take_steps(run_steps(relay, name, span, mode, bar=bar, watch=watch), bar, load.steps)
        except CalrelayError as error:
            cut = load.cut_short(watch, Problem.of(error))
            done = [step.report for step in load.steps]
            return cut, _stopped([cut] if cut.sent else done)  # nothing is read to tell more: the database may be gone
        report = merge_reports(name, started, [*watch.lost, *(step.report for step in load.steps)])
        return report, [*_clock_of_days(zone), *_hints(pipeline, report, load.steps)]


async def _take_steps(coming: AsyncIterator[Step], bar: Progress, steps: list[Step]) -> None:
    async for step in coming:
        steps.append(step)
        bar.advance(step.done, step.of, _line_of(step), by=step.days)


def _line_of(step: Step) -> str:
    report = step.report
    words = f"up to {step.span.end:%Y-%m-%d}: {report.created} created, {report.updated} updated, {report.unchanged} unchanged"
    words += f", {report.waiting} waiting" if report.waiting else ""
    return words if is_sound(report) else f"{words}, {report.outcome.value}"


def _tag_in_words(mode: MessageMode, done: Sequence[PassReport]) -> list[Block]:
    """Say how new events are marked, where there are any."""
    if not any(report.created or report.waiting for report in done):
        return []
    tag = TAGS[mode]
    return ["", f"New events carry {tag}." if tag else "New events carry no tag: the target messages their people as its settings say."]


def _stopped(reports: Iterable[PassReport]) -> list[Block]:
    """Say how a load goes on; one that was refused before it began has nothing to say besides its problem."""
    has_begun = any(report.outcome is not Outcome.REFUSED or report.sent for report in reports)
    return [*_STOPPED] if has_begun else []


def _clock_of_days(zone: str | None) -> list[Block]:
    """Say by which clock the days were counted, where that is not the one of every booking."""
    return [] if zone else ["", "The days were those of UTC, because the source's places do not share a zone."]


def _hints(pipeline: Pipeline, report: PassReport, steps: Sequence[Step]) -> list[Block]:
    """Say what is left to do: a load that stopped, or one that leaves part of the window unloaded."""
    if report.outcome in (Outcome.FAILED, Outcome.REFUSED) or (steps and not is_sound(steps[-1].report)):
        return _stopped(step.report for step in steps)
    if pipeline.ledger.pipeline(pipeline.name).first_complete_at is None:
        window = pipeline.window.at(pipeline.clock())
        return [
            "",
            f"Part of the window ({window.begin:%Y-%m-%d} to {window.end:%Y-%m-%d}) is not loaded yet.",
            f"`calrelay plan {pipeline.name}` shows what is left.",
        ]
    return []
