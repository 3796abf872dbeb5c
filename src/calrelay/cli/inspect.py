"""How `status` and `show` are typed; what they tell is in `standing` and `story`, which are loaded when they run."""

import typer

from calrelay.cli.options import AsJson, EventId, PipelinesOrTenants
from calrelay.cli.output import Output
from calrelay.cli.session import session_of


def status(ctx: typer.Context, names: PipelinesOrTenants = None, as_json: AsJson = False) -> int:
    """Tell how things stand: pipelines, freshness, last passes, holds, quarantine, requests.

    Of tenants, those that need somebody come first, and each of the others is one line; name one to see all of it.

    Reads the state only: asks no vendor, needs no secret, and works while the daemon does. Always exits 0 when it could report.
    """
    from calrelay.cli import standing  # noqa: PLC0415 - heavy

    return standing.status(session_of(ctx), Output(as_json), names or ())


def show(ctx: typer.Context, external_id: EventId, as_json: AsJson = False) -> int:
    """Tell everything known of one event.

    The source's row as it is now, how its time zone was found, what the target should hold and holds, the state and reason, the history,
    and when it is tried again. Asks both vendors, writes nothing. Also tells of events that no pass has taken up yet. Where a vendor does
    not answer, it tells what is left, says so, and exits with 3.
    """
    from calrelay.cli import story  # noqa: PLC0415 - heavy

    return story.show(session_of(ctx), Output(as_json), external_id)
