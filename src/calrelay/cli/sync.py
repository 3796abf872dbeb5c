"""How `plan`, `sync`, `backfill` and `adopt` are typed; what they do is in `passes` and `loading`, which are loaded when they run."""

from datetime import date
from typing import Annotated

import typer

from calrelay.cli.options import AsJson, PipelineName, PipelineNames, pipeline_names
from calrelay.cli.output import Output
from calrelay.cli.session import session_of
from calrelay.domain.link import MessageMode
from calrelay.errors import ConfigError

PipelineOrTenant = Annotated[
    str,
    typer.Argument(metavar="PIPELINE", help="A pipeline's name, or a tenant (acme/) for all of its own.", autocompletion=pipeline_names),
]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is no day; write it like 2026-12-01") from None


def plan(ctx: typer.Context, pipelines: PipelineNames = None, as_json: AsJson = False) -> int:
    """Show what a sync would do, and write nothing anywhere.

    Lists what would be created, updated (which fields), deleted and held, what is skipped and why, and how many people could be messaged.
    Takes no lock, so it also works while the daemon does. Titles and names appear on stdout only.
    """
    from calrelay.cli import passes  # noqa: PLC0415 - heavy

    return passes.plan(session_of(ctx), Output(as_json), pipelines or [])


def sync(ctx: typer.Context, pipelines: PipelineNames = None, as_json: AsJson = False) -> int:
    """Run one pass of each pipeline now, always with a complete read.

    The pipelines go one after another, and one that fails does not stop the others. A pipeline that was never loaded is refused while it
    would create more events than its `first_load` guard allows: see `plan` and `backfill`.
    """
    from calrelay.cli import passes  # noqa: PLC0415 - heavy

    return passes.sync(session_of(ctx), Output(as_json), pipelines or [])


def adopt(ctx: typer.Context, pipeline: PipelineName, as_json: AsJson = False) -> int:
    """Rebuild a pipeline's memory from what the target already holds, by external id.

    For a lost database or a restored backup. Sends nothing; the next sync sends what turns out to differ. A first load does it by itself.
    """
    from calrelay.cli import passes  # noqa: PLC0415 - heavy

    return passes.adopt(session_of(ctx), Output(as_json), pipeline)


def backfill(
    ctx: typer.Context,
    pipeline: PipelineOrTenant,
    first: Annotated[
        date | None,
        typer.Option("--from", parser=_day, metavar="DATE", help="The first day, in the source's site zone (UTC where it has none)."),
    ] = None,
    last: Annotated[date | None, typer.Option("--to", parser=_day, metavar="DATE", help="The last day, included.")] = None,
    messages: Annotated[
        MessageMode | None,
        typer.Option(
            help="How the new events are marked: `send` leaves it to Apptoto's settings, the others add #auto, #nobooking or #skip."
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Load the events of a span of days: creates and updates only, never deletes.

    Goes in chunks, lets live passes go between them, and resumes where it stopped when it is run again with the same days. Events that
    have ended are skipped. All three options are needed: --messages has no default, since it decides whether guests hear of it.
    """
    from calrelay.cli import loading  # noqa: PLC0415 - heavy

    if first is None or last is None or messages is None:
        given = {"--from": first, "--to": last, "--messages": messages}
        missing = ", ".join(option for option, value in given.items() if value is None)
        raise ConfigError(f"backfill needs {missing} as well", remedy=f"`calrelay plan {pipeline}` prints the whole command")
    return loading.backfill(session_of(ctx), Output(as_json), pipeline, first, last, messages)
