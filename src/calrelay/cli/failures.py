"""What a command says when it could not do its work: an error in words, as JSON, and as an exit code."""

import dataclasses
import traceback
from collections.abc import Iterator
from typing import Any

import typer

from calrelay.cli.output import Output
from calrelay.cli.session import Interrupted
from calrelay.errors import CalrelayError, ConfigError, ExitCode

USAGE = "UsageError"
_REPORT = "run it again with --debug before the command, and report what it prints"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An error as it is told."""

    kind: str
    message: str
    remedy: str
    exit_code: int
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the error document of the JSON contract; `problems` lists a config's one by one."""
        error: dict[str, Any] = {"kind": self.kind, "message": self.message, "remedy": self.remedy}
        return {"error": error | ({"problems": list(self.problems)} if self.problems else {})}


def trouble_of(error: BaseException) -> Trouble:
    """Tell any exception. One that nobody foresaw is a bug, and its own words, which may quote a guest, are left out."""
    worst = _worst(error)
    match worst:
        case CalrelayError():
            problems = worst.problems if isinstance(worst, ConfigError) else ()
            return Trouble(kind=worst.kind, message=worst.message, remedy=worst.remedy, exit_code=worst.exit_code, problems=problems)
        case Interrupted():
            return Trouble(kind="Interrupted", message=worst.message, remedy=worst.remedy, exit_code=worst.exit_code)
        case _:
            where = _place(worst)
            return Trouble(
                kind="Bug", message=f"this is a bug in calrelay: {type(worst).__name__}{where}", remedy=_REPORT, exit_code=ExitCode.BUG
            )


def trouble_of_usage(error: typer.BadParameter | Any, prog_name: str) -> Trouble:
    """Tell what was wrong with how the command was typed."""
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".")
    remedy = f"see `{context.command_path if context else prog_name} --help`"
    if "--config" in message:
        remedy = f"--config stands before the command: `{prog_name} --config FILE COMMAND`"
    return Trouble(kind=USAGE, message=message, remedy=remedy, exit_code=ExitCode.CONFIG)


def report(trouble: Trouble, output: Output, *, error: BaseException | None = None, is_debugging: bool = False) -> int:
    """Tell the trouble on stderr, or with JSON as the one document on stdout, and return its exit code."""
    if is_debugging and error is not None:
        output.message("".join(traceback.format_exception(error)).rstrip())
    if output.as_json:
        output.answer(trouble.to_json(), ())
    else:
        output.message(*lines_of(trouble))
    return trouble.exit_code


def lines_of(trouble: Trouble) -> list[str]:
    """Return the trouble as lines: what happened, each problem of a config, what to do."""
    lines = [f"calrelay: {trouble.message}"]
    told = f"{trouble.message} — {trouble.remedy}"
    lines += [f"  {problem}" for problem in trouble.problems if problem not in told]
    return lines + ([f"  → {trouble.remedy}"] if trouble.remedy else [])


def _worst(error: BaseException) -> BaseException:
    """Return the exception that speaks for a group of them."""
    return min(_leaves(error), key=lambda one: ExitCode.PRECEDENCE.index(one.exit_code) if isinstance(one, CalrelayError) else 0)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "calrelay" in frame.filename]
    return f" in {ours[-1].name}, line {ours[-1].lineno}" if ours else ""
