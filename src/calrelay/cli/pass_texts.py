"""A pass in words, as `sync`, `adopt` and `backfill` end: what was done, who could have been messaged, what is wrong, what waits. Pure."""

from collections import Counter
from collections.abc import Sequence

from calrelay.cli.output import Block, Table, elapsed
from calrelay.domain.words import counted
from calrelay.engine.report import PassReport

SHOWN = 20  # problems of one pipeline; JSON has all of them
NAMED = 3  # events that share a problem


def describe_passes(reports: Sequence[PassReport]) -> list[Block]:
    """Tell what passes did."""
    blocks: list[Block] = [Table(rows=[_summary(report) for report in reports])]
    blocks += skips(reports)
    blocks += problems(reports)
    blocks += waiting(reports)
    return blocks + next_commands(reports)


def skips(reports: Sequence[PassReport]) -> list[Block]:
    """Say why events were skipped, and what mapping had to note."""
    rows = [
        (report.pipeline, str(number), reason)
        for report in reports
        for reason, number in (*_by_number(report.skipped), *_by_number(report.notes))
    ]
    return ["", "Skipped and noted", Table(rows=rows, indent=2)] if rows else []


def problems(reports: Sequence[PassReport]) -> list[Block]:
    """List what went wrong: what, with which event, what to do."""
    rows = [row for report in reports for row in _problem_rows(report)]
    return ["", "Problems", Table(rows=rows, indent=2)] if rows else []


def waiting(reports: Sequence[PassReport]) -> list[Block]:
    """Say what stands where it cannot go on by itself, or not yet."""
    rows = [(report.pipeline, _standing(report)) for report in reports if report.held or report.quarantined or report.waiting]
    return ["", "Waiting", Table(rows=rows, indent=2)] if rows else []


def next_commands(reports: Sequence[PassReport]) -> list[Block]:
    """Name the commands to type next. Remedies with a command of their own stand with their problem."""
    commands = []
    if any(report.held and not report.is_dry_run for report in reports):
        commands.append(f"  calrelay holds{' ' * 12}what is parked, and how to decide")
    if any(report.quarantined for report in reports):
        commands.append("  calrelay quarantine list  which events, why, and how to mend them")
    return ["", "Next", *commands] if commands else []


def _summary(report: PassReport) -> tuple[str, str, str]:
    done = [f"{number} {word}" for word, number in _done(report).items() if number]
    if report.passed and not report.is_dry_run:
        nothing = "it is not known what was carried out"
    else:
        nothing = "nothing was sent" if report.actions else "nothing was read or sent"
    words = f"read {report.read}: {', '.join(done) or 'nothing to send'}" if report.read else ", ".join(done) or nothing
    if report.is_cut_short:
        words += "; cut short"
    elif people := report.people if report.created + report.updated else 0:
        words += f"; {counted(people, 'person', 'people')} could have been messaged"
    return (
        report.pipeline,
        report.outcome.value,
        f"{words} ({counted(sum(report.requests.values()), 'request')}, {elapsed(report.seconds)})",
    )


def _done(report: PassReport) -> dict[str, int]:
    return {
        "created": report.created,
        "updated": report.updated,
        "deleted": report.deleted,
        "unchanged": report.unchanged,
        "skipped": report.skipped.total(),
    }


def _problem_rows(report: PassReport) -> list[tuple[str, str, str]]:
    alike: dict[tuple[str, str], list[str]] = {}
    for problem in report.problems:
        alike.setdefault((problem.message, problem.remedy), []).append(problem.external_id)
    rows = [row for (message, remedy), ids in [*alike.items()][:SHOWN] for row in _rows_of(report.pipeline, _named(ids), message, remedy)]
    if more := sum(len(ids) for ids in [*alike.values()][SHOWN:]):
        rows.append((report.pipeline, "", f"and {more} more; --json lists all of them"))
    return rows


def _named(external_ids: Sequence[str]) -> str:
    """Name the events with the same problem: a few of them, and how many there are besides."""
    named = [one for one in external_ids if one]
    more = [f"and {len(named) - NAMED} more"] if len(named) > NAMED else []
    return " ".join([*(", ".join(named[:NAMED]) or "-",), *more])


def _rows_of(pipeline: str, who: str, message: str, remedy: str) -> list[tuple[str, str, str]]:
    rows = [(pipeline, who, message)]
    return [*rows, ("", "", f"→ {remedy}")] if remedy else rows


def _standing(report: PassReport) -> str:
    parts = [
        f"{counted(report.held, 'action')} held until you decide" if report.held else "",
        f"{counted(report.quarantined, 'event')} in quarantine" if report.quarantined else "",
        f"{counted(report.waiting, 'event')} settling, for creating hours or to be created anew; a later pass sends them, or asks you first"
        if report.waiting
        else "",
    ]
    return ", ".join(part for part in parts if part)


def _by_number(counter: Counter[str]) -> list[tuple[str, int]]:
    return counter.most_common()
