"""How `state copy` is typed; what it does is in `moving`, which is loaded when it runs."""

from typing import Annotated

import typer

from calrelay.cli.options import AsJson
from calrelay.cli.output import Output
from calrelay.cli.session import session_of

state = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Move what calrelay remembers into another database.")


@state.callback()
def _commands() -> None:
    """Move what calrelay remembers into another database."""


@state.command("copy")
def state_copy(
    ctx: typer.Context,
    addresses: Annotated[
        list[str],
        typer.Argument(
            metavar="[FROM] TO",
            help="Two databases: sqlite:///FILE, postgresql://USER@HOST/DATABASE, or env:NAME for a variable that holds one, so that a "
            "password shows in no process list. Without FROM it is the config's.",
        ),
    ],
    as_json: AsJson = False,
) -> int:
    """Copy a whole state into an empty database: links, claims, holds, history, passes, tokens, and the key of its hashes.

    Stop the daemon first. All of it arrives or nothing does, and what arrived is compared row by row. Then write the new address into the
    config, and use the old database no more: two that live on would both message the same guests.
    """
    from calrelay.cli import moving  # noqa: PLC0415 - heavy

    return moving.copy(session_of(ctx), Output(as_json), addresses)
