"""How `retire` and `rename` are typed; what they do is in `succession`, which is loaded when one of them runs."""

from typing import Annotated

import typer

from calrelay.cli.options import AsJson, PipelineName, pipeline_names
from calrelay.cli.output import Output
from calrelay.cli.session import session_of


def retire(
    ctx: typer.Context,
    pipeline: PipelineName,
    delete: Annotated[bool, typer.Option("--delete", help="Delete its coming events at the target, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --delete: ask nothing, as without a terminal.")] = False,
    as_json: AsJson = False,
) -> int:
    """End a pipeline without losing or doubling its events.

    Its events stay at the target as they are, and nobody touches them any more; a pipeline that relays the same events later takes them
    over instead of creating them again. With --delete its coming events are deleted at the target, after a question that says how many
    people are on them. `calrelay adopt PIPELINE` takes a retired pipeline up again.
    """
    from calrelay.cli import succession  # noqa: PLC0415 - heavy

    return succession.retire(session_of(ctx), Output(as_json), pipeline, is_delete=delete, is_confirmed=yes)


def rename(
    ctx: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The pipeline's name until now.", autocompletion=pipeline_names)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its name from now on.")],
    as_json: AsJson = False,
) -> int:
    """Give a pipeline another name, with all that is remembered of it; a sync under the new name then sends nothing.

    Stop the daemon first, rename, write the new name into the config, and start the daemon again. It asks no vendor.
    """
    from calrelay.cli import succession  # noqa: PLC0415 - heavy

    return succession.rename(session_of(ctx), Output(as_json), old, new)
