"""How `service install` and `service uninstall` are typed; what they do is loaded when they run."""

from typing import Annotated

import typer

from calrelay.cli.options import AsJson
from calrelay.cli.output import Output
from calrelay.cli.session import session_of

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The daemon as a service of this machine: put it there, or take it away.",
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done, file by file.")]


@app.command()
def install(
    ctx: typer.Context,
    dry_run: DryRun = False,
    no_start: Annotated[bool, typer.Option("--no-start", help="Install and enable, but do not start now.")] = False,
    replace_edited: Annotated[
        bool, typer.Option("--replace-edited", help="Replace files that somebody edited; they are set aside as NAME.edited.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Make a systemd service of this installation: user, folders, units, the `calrelay` command, completion and man page.

    Needs root; anybody else, and --dry-run, is shown what would be done. Can be run again at any time, and after an upgrade should be: what
    is as it should be is left alone, and a file that somebody edited is kept and named. A config that is there keeps its words; where there
    is none, a skeleton is written and the service is not started.
    """
    from calrelay.cli import installing  # noqa: PLC0415 - heavy, as is the next
    from calrelay.cli.machine import Machine  # noqa: PLC0415

    installing.require_own_config(session_of(ctx).config_file)
    wishes = installing.Wishes(starts=not no_start, replaces_edited=replace_edited)
    return installing.install(Output(as_json), installing.Mode.SHOW if dry_run else installing.Mode.DO, wishes, Machine())


@app.command()
def uninstall(
    ctx: typer.Context,
    dry_run: DryRun = False,
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete config, credentials, database and user, too. There is no way back.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Stop the service and take its units, command, completion and man page away; config, credentials and database stay.

    Needs root; anybody else, and --dry-run, is shown what would be done. The program itself stays: it is no part of the service.
    """
    from calrelay.cli import installing  # noqa: PLC0415 - heavy, as is the next
    from calrelay.cli.machine import Machine  # noqa: PLC0415

    installing.require_own_config(session_of(ctx).config_file)
    mode = installing.Mode.SHOW if dry_run else installing.Mode.DO
    return installing.uninstall(Output(as_json), mode, installing.Wishes(), Machine(), is_purging=purge)
