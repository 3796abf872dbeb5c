"""First and historic loads: creates and updates only, chunk by chunk; live passes go between, and a stopped load resumes."""

import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from calrelay.domain.guard import Earlier
from calrelay.domain.link import MessageMode
from calrelay.domain.window import INSTANT, Span
from calrelay.engine.holdings import Holdings, look_at_target
from calrelay.engine.order import Order
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import Outcome, PassReport
from calrelay.engine.scope import MEMO_DONE, MEMO_LOADED, is_of, is_rescoped, remember_scope, scoped, unscoped
from calrelay.engine.sync import Progress, run_pass
from calrelay.errors import ExitCode
from calrelay.ports import LOAD

DAY = timedelta(days=1)
SHORTEST, LONGEST = timedelta(days=7), timedelta(days=14)  # of a chunk
LASTS = timedelta(days=7)  # that a part counts as loaded: meanwhile there are new bookings in it
FILLED = 200  # events sent, at which a chunk is long enough: a live pass waits for it, some minutes at 0.75 s an event (Apptoto: 7)
_STOPPING = frozenset({ExitCode.VENDOR, ExitCode.CONFIG, ExitCode.BUSY})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One chunk done, its report, and how many days of the whole load are done with it."""

    span: Span
    report: PassReport
    days: int
    done: int
    of: int


async def backfill(
    pipeline: Pipeline,
    span: Span,
    mode: MessageMode,
    *,
    lock: Callable[[], AbstractContextManager[object]],
    progress: Progress | None = None,
) -> AsyncIterator[Step]:
    """Load a span in chunks and yield each when it is done; stops after a chunk that did not go through.

    The lock is taken for a chunk at a time, so that live passes go between; where little is to be sent the chunks grow, from a week to
    two. A chunk that was done is remembered, and the same span begun again resumes behind it. The guards count the chunks together: what
    a season shows at once, they see week by week.
    """
    key = MEMO_DONE.format(pipeline=pipeline.name, begin=span.begin.isoformat(), end=span.end.isoformat())
    rest = _rest_of(span, pipeline.ledger.memo(key), pipeline.scope)
    is_first = pipeline.ledger.pipeline(pipeline.name).first_complete_at is None
    holdings: Holdings | None = None
    earlier, length = Earlier(), SHORTEST
    while rest is not None:
        chunk, rest = rest.split(length)
        with lock():
            if is_first and holdings is None:
                await pipeline.check_target(remember=True)
                holdings = await look_at_target(pipeline, span)
            order = Order(command=LOAD, span=chunk, is_load=True, fills_batches=rest is not None, mode=mode, earlier=earlier)
            report = await run_pass(pipeline, order, progress=progress, holdings=holdings)
            if report.left_from is not None:
                chunk, rest = Span(begin=chunk.begin, end=span.end).split_at(report.left_from)
            if is_sound(report):
                pipeline.ledger.save_memo(key, scoped(chunk.end.isoformat(), pipeline.scope), pipeline.clock())
        earlier = earlier.with_passed(report.passed)
        yield _step(span, chunk, report)
        if not is_sound(report):
            return
        length = _next_length(length, report)
    pipeline.ledger.save_memo(key, None, pipeline.clock())
    if is_first or is_rescoped(pipeline):
        _end_first_load(pipeline, span)


def _rest_of(span: Span, done: tuple[str, datetime] | None, scope: str) -> Span | None:
    """Return what is left of a span behind the chunks that were done; all of it where the config chose bookings otherwise then."""
    if done is None or not is_of(done[0], scope):
        return span
    begin = datetime.fromisoformat(unscoped(done[0])) + INSTANT
    return Span(begin=begin, end=span.end) if begin < span.end else None


def _next_length(length: timedelta, report: PassReport) -> timedelta:
    """Return how long the next chunk is to be, in whole days: as many as are likely to fill it, and at most twice as many as the last."""
    likely = length * (FILLED / max(report.sent, 1))
    return max(SHORTEST, min(likely // DAY * DAY, 2 * length, LONGEST))


def _step(span: Span, chunk: Span, report: PassReport) -> Step:
    return Step(
        span=chunk,
        report=report,
        days=_days(chunk.begin, chunk.end),
        done=_days(span.begin, chunk.end),
        of=_days(span.begin, span.end),
    )


def _days(begin: datetime, end: datetime) -> int:
    return max(1, round((end - begin) / DAY))


def is_sound(report: PassReport) -> bool:
    """Say whether a chunk was read and sent; events in quarantine or held do not stop a load."""
    if report.outcome in (Outcome.FAILED, Outcome.REFUSED):
        return False
    return not any(problem.exit_code in _STOPPING for problem in report.problems)


def _end_first_load(pipeline: Pipeline, span: Span) -> None:
    """Loads that cover the window, in one or in several parts, were a first complete pass, or the first by a new choice of bookings.

    What is new after them is new.
    """
    key, now = MEMO_LOADED.format(pipeline=pipeline.name), pipeline.clock()
    memo = pipeline.ledger.memo(key)
    known = unscoped(memo[0]) if memo and is_of(memo[0], pipeline.scope) else ""
    parts = {part: at for part, at in _to_parts(known).items() if now - at <= LASTS} | {span: now}
    reached = now
    for part in sorted(parts, key=lambda part: part.begin):
        if part.begin <= reached + INSTANT:
            reached = max(reached, part.end)
    is_loaded = reached >= pipeline.window.at(now).end - DAY
    pipeline.ledger.save_memo(key, None if is_loaded else scoped(_to_text(parts), pipeline.scope), now)
    if is_loaded:
        pipeline.ledger.note_pipeline(pipeline.name, first_complete_at=now)
        remember_scope(pipeline, now=now)


def _to_text(parts: Mapping[Span, datetime]) -> str:
    """Return parts, and when each was loaded, as a memo keeps them."""
    return " ".join("/".join(one.isoformat() for one in (part.begin, part.end, at)) for part, at in parts.items())


def _to_parts(text: str) -> dict[Span, datetime]:
    kept = ([datetime.fromisoformat(one) for one in part.split("/")] for part in text.split())
    return {Span(begin=begin, end=end): at for begin, end, at in kept}


def merge_reports(pipeline: str, started_at: datetime, reports: Sequence[PassReport]) -> PassReport:
    """Return one report over all chunks, in the form of the JSON contract."""
    total = PassReport(pipeline=pipeline, command=LOAD, started_at=started_at)
    for report in reports:
        total.read += report.read
        total.created += report.created
        total.updated += report.updated
        total.unchanged += report.unchanged
        total.skipped += report.skipped
        total.notes += report.notes
        total.seconds += report.seconds
        total.problems.extend(problem for problem in report.problems if problem not in total.problems)  # what two chunks show is told once
        total.actions.extend(report.actions)
        total.parked = (*total.parked, *report.parked)
        total.quarantined, total.held, total.waiting = report.quarantined, report.held, report.waiting
        total.worsen(report.outcome)
        for account, number in report.requests.items():
            total.requests[account] = total.requests.get(account, 0) + number
    return total
