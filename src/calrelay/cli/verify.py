"""How `verify` is typed; what it does is in `drift_report`, which is loaded when it runs."""

from typing import Annotated

import typer

from calrelay.cli.options import AsJson, PipelineNames
from calrelay.cli.output import Output
from calrelay.cli.session import session_of


def verify(
    ctx: typer.Context,
    pipelines: PipelineNames = None,
    repair: Annotated[bool, typer.Option("--repair", help="Have the target hold again what it accepted, under the guards.")] = False,
    as_json: AsJson = False,
) -> int:
    """Read the target back over the window, and compare it with what it last accepted from us.

    Tells apart what somebody changed at the target, what was lost, what is doubled, and entries under our ids that we know nothing about.
    Alone it only reads, and works while the daemon does. A repair that creates a lost event again can message its guests, as the event's
    message mode says.
    """
    from calrelay.cli import drift_report  # noqa: PLC0415 - heavy

    return drift_report.verify(session_of(ctx), Output(as_json), pipelines or [], is_repair=repair)
