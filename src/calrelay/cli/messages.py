"""How `messages`, `messages silence` and `messages restore` are typed; what they do is loaded when one of them runs."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from calrelay.cli.options import AsJson, PipelineNames
from calrelay.cli.output import Output
from calrelay.cli.session import session_of

_DEFAULT = "list"


class _ListsByDefault(TyperGroup):
    """A group whose first command is meant where none is named: `messages studio` is `messages list studio`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command in front of what is none."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ListsByDefault,
    rich_markup_mode=None,
    help="What TimeTap itself sends to people whom Apptoto messages, too. Without a command: `list`.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Apply = Annotated[bool, typer.Option("--apply", help="Do it; without, only what would be done is shown.")]
Account = Annotated[str | None, typer.Option("--account", metavar="ACCOUNT", help="Only this source account.")]


@app.command("list")
def list_messages(
    ctx: typer.Context,
    pipelines: PipelineNames = None,
    event: Annotated[
        str | None, typer.Option("--event", metavar="EXTERNAL_ID", help="One event as a timeline, with what was sent already.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Tell what TimeTap will send by itself for every event to come, and which guests would hear of an event twice.

    Reads only. Built-in reminders, triggers and invitations are computed from what is set up; with --event an appointment's triggers are
    read one by one, too. Works before the first sync.
    """
    from calrelay.cli import messages_told  # noqa: PLC0415 - heavy

    return messages_told.tell(session_of(ctx), Output(as_json), pipelines or [], event)


@app.command("silence")
def silence(
    ctx: typer.Context,
    what: Annotated[list[str], typer.Argument(metavar="WHAT", help="action:ID, or definition:ID, as `calrelay messages` shows them.")],
    apply: Apply = False,
    staff: Annotated[bool, typer.Option("--staff", help="Also what messages staff, or an address of its own.")] = False,
    definition_loses_actions: Annotated[
        bool, typer.Option("--definition-loses-actions", help="Needed for definition:ID, whose actions may not come back with it.")
    ] = False,
    account: Account = None,
    as_json: AsJson = False,
) -> int:
    """Switch off triggers of TimeTap that message guests, action by action. A dry run, unless --apply says to do it.

    Each is remembered as it was, so that `restore` can bring it back, and read back afterwards. No appointment is ever touched.
    """
    from calrelay.cli import messages_switched  # noqa: PLC0415 - heavy

    wanted = messages_switched.wanted_of(what, may_lose_actions=definition_loses_actions)
    return messages_switched.silence(session_of(ctx), Output(as_json), wanted, account, with_staff=staff, is_applied=apply)


@app.command("restore")
def restore(ctx: typer.Context, apply: Apply = False, account: Account = None, as_json: AsJson = False) -> int:
    """Switch on again everything that `silence` switched off. A dry run, unless --apply says to do it."""
    from calrelay.cli import messages_switched  # noqa: PLC0415 - heavy

    return messages_switched.restore(session_of(ctx), Output(as_json), account, is_applied=apply)
