"""The root of the command line: global options, the table of commands, and the one place where errors become exit codes.

A command is loaded when it is called; its module stays light, so that `--help` and completion answer at once.
"""

import dataclasses
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from calrelay.cli.failures import report, trouble_of, trouble_of_usage
from calrelay.cli.output import Output, prepare_streams
from calrelay.cli.session import LogLevel, Session, arguments, is_json_wanted

PROGRAM = "calrelay"

START = "Get started"
SYNC = "Sync"
LOOK = "Look"
DECIDE = "Decide"
GROUPS = (START, SYNC, LOOK, DECIDE)


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A command: where it is listed, its name, `module:function` (or `module:app` of a group), its line in the list, and examples."""

    group: str
    name: str
    target: str
    help: str
    examples: tuple[str, ...] = ()

    def load(self) -> Any:
        """Import the command and return it as the parser wants it."""
        module, _, attribute = self.target.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if isinstance(found, typer.Typer):
            command: Any = get_group(found)
        else:
            app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
            app.command(self.name, context_settings=_CONTEXT)(found)
            command = get_command(app)
        command.name, command.short_help = self.name, self.help
        command.epilog = self._epilog()
        return command

    def _epilog(self) -> str | None:
        return "\b\nExamples:\n" + "\n".join(f"  {example}" for example in self.examples) if self.examples else None


COMMANDS: tuple[Row, ...] = (
    Row(
        START,
        "demo",
        "calrelay.cli.demo:demo",
        "Watch it work on simulated vendors; needs no account and no config.",
        ("calrelay demo", "calrelay demo --serve"),
    ),
    Row(
        START,
        "init",
        "calrelay.cli.setup:init",
        "Ask a few questions and write a commented config.",
        (
            "calrelay init",
            "calrelay init --simulate",
            "calrelay init --yes --vendor tripleseat --calendar 'Main Hall' /etc/calrelay/config.toml",
        ),
    ),
    Row(
        START,
        "check",
        "calrelay.cli.setup:check",
        "Validate everything `run` would refuse; ask each account, reading only.",
        ("calrelay check", "calrelay check --offline", "calrelay check --notify", "calrelay check --json"),
    ),
    Row(
        START,
        "login",
        "calrelay.cli.setup:login",
        "Consent to reading a Tripleseat account.",
        ("calrelay login venue", "calrelay login venue --no-browser", "calrelay login venue --code CODE"),
    ),
    Row(
        START,
        "config",
        "calrelay.cli.setup:config",
        "The config's schema for editors, and a commented example.",
        ("calrelay config example", "calrelay config schema > calrelay.schema.json"),
    ),
    Row(
        START,
        "service",
        "calrelay.cli.service:app",
        "The daemon as a systemd service: install it, or take it away.",
        ("calrelay service install --dry-run", "calrelay service install", "calrelay service uninstall"),
    ),
    Row(
        START,
        "simulate",
        "calrelay.cli.setup:simulate",
        "The three vendors as simulators, with a page of knobs.",
        ("calrelay simulate", "calrelay simulate --port 9100 --events 400"),
    ),
    Row(
        SYNC,
        "plan",
        "calrelay.cli.sync:plan",
        "Show what a sync would do; writes nothing anywhere.",
        ("calrelay plan", "calrelay plan venue --json"),
    ),
    Row(
        SYNC,
        "sync",
        "calrelay.cli.sync:sync",
        "One pass of each pipeline now, with a complete read.",
        ("calrelay sync", "calrelay sync venue"),
    ),
    Row(
        SYNC,
        "backfill",
        "calrelay.cli.sync:backfill",
        "First and historic loads, in chunks; resumes where it stopped.",
        ("calrelay backfill venue --from 2026-12-01 --to 2027-05-31 --messages no-booking",),
    ),
    Row(SYNC, "adopt", "calrelay.cli.sync:adopt", "Rebuild our memory from what the target holds.", ("calrelay adopt venue",)),
    Row(SYNC, "run", "calrelay.cli.run:run", "The daemon: keeps every pipeline in step until it is stopped.", ("calrelay run",)),
    Row(
        SYNC,
        "worker",
        "calrelay.cli.worker:worker",
        "One of several that share the pipelines, on any number of machines.",
        ("calrelay worker", "calrelay worker --at-once 20"),
    ),
    Row(
        LOOK,
        "status",
        "calrelay.cli.inspect:status",
        "Pipelines, freshness, last passes, what waits.",
        ("calrelay status", "calrelay status acme"),
    ),
    Row(
        LOOK,
        "web",
        "calrelay.cli.web:web",
        "Where the daemon's page is, and the token it asks for.",
        ("calrelay web", "calrelay web --token"),
    ),
    Row(LOOK, "show", "calrelay.cli.inspect:show", "Everything known of one event.", ("calrelay show ts-55120",)),
    Row(
        LOOK,
        "verify",
        "calrelay.cli.verify:verify",
        "Compare what the target holds with what it accepted; repair on request.",
        ("calrelay verify", "calrelay verify venue --repair"),
    ),
    Row(
        LOOK,
        "messages",
        "calrelay.cli.messages:app",
        "What TimeTap itself sends to people Apptoto also messages; switch it off.",
        (
            "calrelay messages",
            "calrelay messages studio --json",
            "calrelay messages --event tt-70000001",
            "calrelay messages silence action:41901 --apply",
            "calrelay messages restore",
        ),
    ),
    Row(LOOK, "holds", "calrelay.cli.decide:holds", "What is parked until you decide.", ("calrelay holds",)),
    Row(
        LOOK,
        "quarantine",
        "calrelay.cli.decide:quarantine",
        "Events that cannot be mapped or were refused: list, retry, drop.",
        ("calrelay quarantine list", "calrelay quarantine retry", "calrelay quarantine drop ts-55120"),
    ),
    Row(
        DECIDE,
        "approve",
        "calrelay.cli.decide:approve",
        "Let a hold through, or all of a pipeline's; the next pass applies it.",
        ("calrelay approve venue",),
    ),
    Row(
        DECIDE,
        "reject",
        "calrelay.cli.decide:reject",
        "Turn a hold down: the target keeps what it has.",
        ("calrelay reject venue-deletes-1121025137",),
    ),
    Row(DECIDE, "pause", "calrelay.cli.decide:pause", "Stop a pipeline until it is resumed.", ("calrelay pause venue",)),
    Row(DECIDE, "resume", "calrelay.cli.decide:resume", "Let a paused pipeline run again.", ("calrelay resume venue",)),
    Row(
        DECIDE,
        "ignore",
        "calrelay.cli.decide:ignore",
        "Leave events alone for good, or look after them again.",
        ("calrelay ignore ts-55120", "calrelay ignore ts-55120 ts-55121 --undo", "calrelay ignore --list"),
    ),
    Row(
        DECIDE,
        "retag",
        "calrelay.cli.decide:retag",
        "Change how events are marked for messages.",
        ("calrelay retag venue --messages skip", "calrelay retag ts-55120 --messages send"),
    ),
    Row(
        DECIDE,
        "retire",
        "calrelay.cli.retire:retire",
        "End a pipeline without losing or doubling its events.",
        ("calrelay retire venue", "calrelay retire venue --delete"),
    ),
    Row(
        DECIDE,
        "rename",
        "calrelay.cli.retire:rename",
        "Give a pipeline another name, with all that is remembered of it.",
        ("calrelay rename venue main-hall",),
    ),
    Row(
        DECIDE,
        "state",
        "calrelay.cli.state:state",
        "Move what calrelay remembers into another database, SQLite or PostgreSQL.",
        ("calrelay state copy postgresql://calrelay@db.example.com/calrelay", "calrelay state copy env:STATE_OLD env:STATE_NEW"),
    ),
    Row(
        DECIDE,
        "try",
        "calrelay.cli.trial:try_event",
        "Send a trial copy of one event to yourself, and delete it again.",
        (
            "calrelay try ts-55120 --to '+1 212 555 0147'",
            "calrelay try ts-55120 --to ops@example.com --messages auto",
            "calrelay try ts-55120 --delete",
        ),
    ),
)

_CONTEXT = {"help_option_names": ["-h", "--help"]}
_EPILOG = """\
Config:
  --config FILE, else $CALRELAY_CONFIG, else ./config.toml,
  else /etc/calrelay/config.toml

Exit codes:
  0   done                            4   a guard refused, or holds wait
  1   done, but look at quarantine    5   the state database is unusable
      or drift                        6   another process is at work on it
  2   config or command line wrong    70  a bug
  3   a vendor is unavailable, a      130 interrupted (Ctrl-C)
      read incomplete, or consent     143 ended (SIGTERM)
      refused
  Of several the first in 70, 5, 2, 3, 4, 6, 1 counts.

Examples:
  calrelay plan                       what a sync would do
  calrelay sync venue                 one pass of one pipeline
  calrelay show ts-55120              why an event is as it is
  calrelay COMMAND --help             all about one command"""


class _LazyGroup(TyperGroup):
    """Lists commands from the table, and imports only the one that is called. `Any` stands for the parser's own, private types."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the parser's signature
        return [row.name for row in rows()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        row = next((row for row in rows() if row.name == cmd_name), None)
        if row is not None:
            return row.load()
        if not ctx.resilient_parsing and not cmd_name.startswith("-"):
            import difflib  # noqa: PLC0415 - only who mistypes needs it

            close = difflib.get_close_matches(cmd_name, self.list_commands(ctx), n=1)
            ctx.fail(f"There is no command {cmd_name!r}." + (f" Did you mean {close[0]!r}?" if close else ""))
        return None

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the parser's signature
        for group in GROUPS:
            listed = [(row.name, row.help) for row in rows() if row.group == group]
            if listed:
                with formatter.section(group):
                    formatter.write_dl(listed)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the parser's signature
        formatter.write_paragraph()
        for line in _EPILOG.splitlines():
            formatter.write(f"{line}\n")


def rows() -> tuple[Row, ...]:
    """Return the commands as they are listed: by group."""
    return tuple(row for group in GROUPS for row in COMMANDS if row.group == group)


app = typer.Typer(
    cls=_LazyGroup, name=PROGRAM, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True, context_settings=_CONTEXT
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from calrelay import __version__  # noqa: PLC0415 - one line, for this option only

        Output().say(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="The config file.")] = None,
    log_level: Annotated[LogLevel | None, typer.Option("--log-level", help="Log from this level on, whatever `[log] level` says.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Short for --log-level debug.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,  # noqa: ARG001 - done by its callback
) -> None:
    """Keep Apptoto in step with Tripleseat events and TimeTap appointments, and never message a guest by accident."""
    level = log_level or (LogLevel.DEBUG if verbose else None)
    ctx.obj = Session(config_file=config, log_level=level, is_debugging=debug)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; never raises, and prints no traceback unless `--debug` asks for it."""
    given = arguments() if argv is None else list(argv)
    output = Output(as_json=is_json_wanted(given))
    prepare_streams()
    try:
        code = get_command(app).main(args=given, prog_name=PROGRAM, standalone_mode=False)
    except (typer.Exit, typer.Abort) as stop:
        return getattr(stop, "exit_code", 1)
    except Exception as error:  # noqa: BLE001 - the last line of defence: whatever it is becomes words and an exit code
        if hasattr(error, "format_message"):
            return _report_usage(error, output)
        return report(trouble_of(error), output, error=error, is_debugging="--debug" in given)
    return code if isinstance(code, int) else 0


def _report_usage(error: Any, output: Output) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # `calrelay` alone asks for help
        output.message(error.format_message())
        return 2
    return report(trouble_of_usage(error, PROGRAM), output)
