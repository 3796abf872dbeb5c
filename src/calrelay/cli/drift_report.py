"""Runs `verify` and its repairs, one pipeline after another, and tells what is different at the target. Ids and fields, no names."""

from collections.abc import Sequence

from calrelay.assembly import assemble, utc_now
from calrelay.cli.failures import lines_of, trouble_of
from calrelay.cli.output import Block, Output, Progress, Table, elapsed
from calrelay.cli.pass_texts import describe_passes
from calrelay.cli.passes import Running, chosen_of, problems_of, refused_of
from calrelay.cli.session import Interrupted, Session
from calrelay.config.load import Config
from calrelay.domain.window import Span
from calrelay.domain.words import counted, in_place
from calrelay.engine.drift import Drift, DriftKind
from calrelay.engine.repair import repair
from calrelay.engine.verify import Verification
from calrelay.engine.verify import verify as compare
from calrelay.errors import ConfigError, ExitCode, StateError
from calrelay.state.database import Access

SHOWN = 40  # differences of one pipeline; JSON has all of them

_MEANING = {
    DriftKind.CHANGED: "somebody edited it at the target; a repair sends these fields again, and no others",
    DriftKind.LOST: "it is not there any more; a repair creates it again, if its source still has it",
    DriftKind.DOUBLED: "a second entry of one event; a repair deletes the one that calrelay does not know",
    DriftKind.UNKNOWN: "an entry under an id of ours that nothing is known about; a repair adopts it, or deletes it if its booking is gone",
}


def verify(session: Session, output: Output, names: Sequence[str], *, is_repair: bool) -> int:
    """Compare the pipelines with their targets, and repair them where that was asked for."""
    config = session.load()
    done: list[Verification] = []
    try:
        session.run(_assembled(config, output, names, done, is_repair=is_repair))
    except (Interrupted, StateError) as error:
        if not done:
            raise
        output.answer(document_of(done), describe(done, is_repair=is_repair))
        output.message(*lines_of(trouble_of(error)))
        return error.exit_code
    output.answer(document_of(done), describe(done, is_repair=is_repair))
    return ExitCode.worst(*(found.exit_code for found in done))


def document_of(done: Sequence[Verification]) -> dict[str, object]:
    """Return the answer as `verify.json` has it."""
    return {"pipelines": [found.to_json() for found in done]}


def describe(done: Sequence[Verification], *, is_repair: bool) -> list[Block]:
    """Tell it in words."""
    blocks: list[Block] = [Table(rows=[_summary(found) for found in done])]
    rows = [row for found in done for row in _drift_rows(found)]
    if rows:
        blocks += ["", "Different at the target", Table(rows=rows, indent=2), "", *_meanings(done)]
    passes = [found.passed for found in done if found.passed is not None]
    if passes:
        blocks += ["", "Repair", *describe_passes(passes)]
    blocks += _problems(done)
    return blocks if is_repair else blocks + _next(done)


async def verify_all(relay: Running, output: Output, done: list[Verification], *, is_repair: bool) -> None:
    """Compare each pipeline and append what was found; one that fails does not stop the next."""
    with output.progress("verify") as bar:
        for name in relay.pipelines:
            found = await _verify_one(relay, name, bar, is_repair=is_repair)
            done.append(found)


async def _assembled(config: Config, output: Output, names: Sequence[str], done: list[Verification], *, is_repair: bool) -> None:
    access = Access.WRITE if is_repair else Access.READ
    left_out: dict[str, ConfigError] = {}
    if chosen := chosen_of(config, names):
        async with assemble(config, command="verify", pipelines=chosen, access=access) as relay:
            left_out |= relay.unready
            await verify_all(relay, output, done, is_repair=is_repair)
    left_out |= refused_of(config, names)
    now = utc_now()
    done += [Verification(pipeline=name, span=Span(begin=now, end=now), problems=problems_of(error)) for name, error in left_out.items()]


async def _verify_one(relay: Running, name: str, bar: Progress, *, is_repair: bool) -> Verification:
    pipeline = relay.pipelines[name]

    def glance(read: int) -> None:
        bar.glance(f"{name}: {counted(read, 'entry', 'entries')} read back")

    try:
        if not is_repair:
            return await compare(pipeline, glance=glance)
        with relay.lock(name):  # from before the target is read, so that no pass comes between what is seen and what is done
            found = await compare(pipeline, glance=glance)
            await repair(pipeline, found)
            return found
    except StateError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever stops one pipeline, the others are read and all are reported
        return _failed(relay, name, error)


def _failed(relay: Running, name: str, error: Exception) -> Verification:
    return Verification(pipeline=name, span=relay.pipelines[name].window.at(relay.clock()), problems=problems_of(error))


def _summary(found: Verification) -> tuple[str, str, str]:
    outcome = str(found.to_json()["outcome"])
    asked = f"({counted(sum(found.requests.values()), 'request')}, {elapsed(found.seconds)})"
    if not found.is_whole:
        return found.pipeline, outcome, f"nothing is concluded {asked}"
    kinds = [f"{number} {kind.value}" for kind in DriftKind if (number := found.count(kind))]
    words = f"{counted(found.compared, 'event')} compared: {', '.join(kinds) or 'all as they were accepted'}"
    asides = [
        f"{found.not_ours} in our calendars not ours" if found.not_ours else "",
        f"{found.left_alone} left alone" if found.left_alone else "",
        f"{found.in_motion} in motion" if found.in_motion else "",
        f"{found.at_another_offset} told in the target's own UTC offset, the same instants" if found.at_another_offset else "",
        f"{len(found.repaired)} repaired" if found.repaired else "",
    ]
    return found.pipeline, outcome, "; ".join([words, *(aside for aside in asides if aside)]) + f" {asked}"


def _drift_rows(found: Verification) -> list[tuple[str, ...]]:
    rows = [_row(found.pipeline, drift, is_repaired=drift in found.repaired) for drift in found.drifts[:SHOWN]]
    if (more := len(found.drifts) - SHOWN) > 0:
        rows.append((found.pipeline, "", f"and {more} more; --json lists all of them"))
    return rows


def _row(pipeline: str, drift: Drift, *, is_repaired: bool) -> tuple[str, ...]:
    start = in_place(drift.start, None) if drift.start else "?"  # of the place nobody is asked here: UTC, and it says so
    details = [", ".join(drift.what).replace("_", " ")]
    if drift.kind is DriftKind.DOUBLED and drift.holding is not None:
        details.append(f"entry {drift.holding.target_id}")
    if is_repaired:
        details.append("repaired")
    return pipeline, drift.kind.value, drift.external_id, start, "; ".join(detail for detail in details if detail)


def _meanings(done: Sequence[Verification]) -> list[Block]:
    kinds = {drift.kind for found in done for drift in found.drifts}
    return [Table(rows=[(kind.value, _MEANING[kind]) for kind in DriftKind if kind in kinds], indent=2)]


def _problems(done: Sequence[Verification]) -> list[Block]:
    rows: list[tuple[str, str, str]] = []
    for found in done:
        for problem in found.problems:
            rows.append((found.pipeline, problem.external_id or "-", problem.message))
            rows += [("", "", f"→ {problem.remedy}")] if problem.remedy else []
    return ["", "Problems", Table(rows=rows, indent=2)] if rows else []


def _next(done: Sequence[Verification]) -> list[Block]:
    empty = [line for found in done if found.is_all_lost for line in _all_lost(found)]
    new = [line for found in done if _is_all_unknown(found) for line in _all_unknown(found)]
    mendable = [found for found in done if found.left and not found.is_all_lost and not _is_all_unknown(found)]
    return [*empty, *new, *_commands(mendable)]


def _is_all_unknown(found: Verification) -> bool:
    return not found.compared and found.count(DriftKind.UNKNOWN) == len(found.drifts) > 0


def _all_unknown(found: Verification) -> list[Block]:
    """Say what to do where nothing is remembered: the database was lost, or is another one."""
    words = f"{found.pipeline}: nothing is remembered of it, and the target holds {counted(len(found.drifts), 'event')} of its ids."
    return ["", words, Table(rows=[(f"calrelay adopt {found.pipeline}", "takes them up again, and sends nothing")], indent=2)]


def _all_lost(found: Verification) -> list[Block]:
    """Ask what a repair would ask, and refuse over (rule 2)."""
    name = found.pipeline
    question = f"{name}: none of its {counted(found.compared, 'event')} is there any more, and --repair refuses. Is it the right account?"
    commands = [
        ("calrelay check", "shows which account it is, and its calendars"),
        (f"calrelay adopt {name}, then calrelay plan {name}", "if somebody deleted them there; a sync creates them again then"),
    ]
    return ["", question, Table(rows=commands, indent=2)]


def _commands(mendable: Sequence[Verification]) -> list[Block]:
    if not mendable:
        return []
    names = [found.pipeline for found in mendable]
    lost = sum(found.count(DriftKind.LOST) for found in mendable)
    warning = [f"Creating {counted(lost, 'lost event')} again can message the guests, as each event's message mode says."] if lost else []
    commands = Table(
        rows=[
            (f"calrelay verify {' '.join(names)} --repair", "has the target hold again what it accepted"),
            ("calrelay ignore EXTERNAL_ID", "leaves an event as it is at the target"),
        ],
        indent=2,
    )
    return ["", "Next", commands, *warning]
