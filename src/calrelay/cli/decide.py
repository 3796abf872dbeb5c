"""How the operator's decisions are typed: `holds`, `approve`, `reject`, `quarantine`, `pause`, `resume`, `ignore`, `retag`.

What they do is in `decisions` and `holds`, which are loaded when one of them runs. Only `holds HOLD` asks a vendor and
needs secrets.
"""

from typing import Annotated

import typer

from calrelay.cli.options import AsJson, EventId, PipelineName, pipeline_names
from calrelay.cli.output import Output
from calrelay.cli.session import session_of
from calrelay.domain.link import MessageMode

HoldName = Annotated[str, typer.Argument(metavar="HOLD", help="A hold's id, as `calrelay holds` shows it.")]
HoldOrPipeline = Annotated[
    str,
    typer.Argument(metavar="PIPELINE|HOLD", help="A hold's id, or a pipeline for all of its holds.", autocompletion=pipeline_names),
]
EventIds = Annotated[list[str] | None, typer.Argument(metavar="EXTERNAL_ID", help="Ids of events, such as ts-55120.")]
EventOrPipeline = Annotated[
    str, typer.Argument(metavar="PIPELINE|ID", help="An event's external id, or a pipeline.", autocompletion=pipeline_names)
]

quarantine = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Events that cannot be mapped, or that the target refuses.")


def holds(
    ctx: typer.Context,
    hold: Annotated[str | None, typer.Argument(metavar="HOLD", help="A hold's id: asks the source for its events' titles.")] = None,
    as_json: AsJson = False,
) -> int:
    """List what is parked until you decide.

    For each hold: what would happen, to how many people, the earliest start, and the events, each at the clock of its place. The target
    keeps what it has until then. With a HOLD all of its events, and what the source calls the soonest of them now.
    """
    from calrelay.cli import holds as listing  # noqa: PLC0415 - heavy

    return listing.holds(session_of(ctx), Output(as_json), hold)


def approve(ctx: typer.Context, name: HoldOrPipeline, as_json: AsJson = False) -> int:
    """Let a hold through, event by event as it was listed; the next pass applies it.

    What came or changed after that stays held, and so does what has changed by the next pass. An approval expires after 24 hours.
    """
    from calrelay.cli import decisions  # noqa: PLC0415 - heavy

    return decisions.approve(session_of(ctx), Output(as_json), name)


def reject(ctx: typer.Context, hold: HoldName, as_json: AsJson = False) -> int:
    """Turn a hold down, as it was listed: the target keeps what it has.

    Events that a changed filter or route affects are let go for good, all others until their row changes again at the source.
    """
    from calrelay.cli import decisions  # noqa: PLC0415 - heavy

    return decisions.reject(session_of(ctx), Output(as_json), hold)


@quarantine.command("list")
def quarantine_list(ctx: typer.Context, as_json: AsJson = False) -> int:
    """List them, each with its reason and remedy."""
    from calrelay.cli import decisions  # noqa: PLC0415 - heavy

    return decisions.quarantine_list(session_of(ctx), Output(as_json))


@quarantine.command("retry")
def quarantine_retry(
    ctx: typer.Context,
    external_ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Events; none means all in quarantine.")] = None,
    as_json: AsJson = False,
) -> int:
    """Let events be tried again by the next pass."""
    from calrelay.cli import decisions  # noqa: PLC0415 - heavy

    return decisions.quarantine_retry(session_of(ctx), Output(as_json), external_ids or [])


@quarantine.command("drop")
def quarantine_drop(ctx: typer.Context, external_id: EventId, as_json: AsJson = False) -> int:
    """Leave an event alone until its row changes at the source."""
    from calrelay.cli import decisions  # noqa: PLC0415 - heavy

    return decisions.quarantine_drop(session_of(ctx), Output(as_json), external_id)


def pause(ctx: typer.Context, pipeline: PipelineName, as_json: AsJson = False) -> int:
    """Stop a pipeline: until it is resumed, no pass of it reads or sends anything."""
    from calrelay.cli import decisions  # noqa: PLC0415 - heavy

    return decisions.set_paused(session_of(ctx), Output(as_json), pipeline, is_paused=True)


def resume(ctx: typer.Context, pipeline: PipelineName, as_json: AsJson = False) -> int:
    """Let a paused pipeline run again."""
    from calrelay.cli import decisions  # noqa: PLC0415 - heavy

    return decisions.set_paused(session_of(ctx), Output(as_json), pipeline, is_paused=False)


def ignore(
    ctx: typer.Context,
    external_ids: EventIds = None,
    undo: Annotated[bool, typer.Option("--undo", help="Look after the events again, as they are at their source now.")] = False,
    lists: Annotated[bool, typer.Option("--list", help="List the coming events that are left alone, and why; changes nothing.")] = False,
    as_json: AsJson = False,
) -> int:
    """Leave events alone for good: whatever their source says, the target keeps what it has.

    Works before a first load, too: an event that no pass has taken up yet is asked for at its source. --undo ends that. It also takes back
    `quarantine drop` and `reject`, also where that let events go for good.
    """
    from calrelay.cli import decisions  # noqa: PLC0415 - heavy

    if lists == bool(external_ids) or (lists and undo):
        raise typer.BadParameter("name events, or ask for the --list", param_hint="EXTERNAL_ID")
    turn = decisions.look_after_again if undo else decisions.ignore
    session, output = session_of(ctx), Output(as_json)
    return turn(session, output, external_ids) if external_ids else decisions.list_left_alone(session, output)


def retag(
    ctx: typer.Context,
    name: EventOrPipeline,
    messages: Annotated[MessageMode, typer.Option(help="send, or one whose hashtag is added: auto, no-booking, skip.")],
    as_json: AsJson = False,
) -> int:
    """Change how an event, or all coming events of a pipeline, are marked for messages; the next pass sends the changed content.

    An event that is not at the target yet is never created louder than the pipeline's `messages` says.
    """
    from calrelay.cli import decisions  # noqa: PLC0415 - heavy

    return decisions.retag(session_of(ctx), Output(as_json), name, messages)
