"""How `try` is typed; what it does is in `trial_copy`, which is loaded when it runs."""

from typing import Annotated

import typer

from calrelay.cli.options import AsJson, EventId
from calrelay.cli.output import Output
from calrelay.cli.session import session_of
from calrelay.domain.link import MessageMode


def try_event(
    ctx: typer.Context,
    external_id: EventId,
    to: Annotated[
        str | None, typer.Option("--to", metavar="PHONE|EMAIL", help="Your own number or address: nobody else is on the copy.")
    ] = None,
    messages: Annotated[
        MessageMode | None, typer.Option(help="How the copy is marked; the pipeline's own `messages` where not given.")
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the copy again.")] = False,
    as_json: AsJson = False,
) -> int:
    """Send one event as a trial copy with only your own contact, to see the messages before any guest does.

    The copy stands under `try-` and the event's id, in the event's calendar and at its time. Sending it again updates the same copy.
    """
    from calrelay.cli import trial_copy  # noqa: PLC0415 - heavy

    return trial_copy.try_event(session_of(ctx), Output(as_json), external_id, to, messages, is_delete=delete)
