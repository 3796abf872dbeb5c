"""`calrelay run`, the daemon: its options and how it starts. What it does then is the service's business."""

import asyncio
from typing import TYPE_CHECKING

import typer

from calrelay.cli.session import Session, session_of

if TYPE_CHECKING:
    from calrelay.config.load import Config


def run(ctx: typer.Context) -> int:
    """Run until stopped: every pipeline is kept in step, from a first complete pass on.

    SIGTERM and Ctrl-C wait for the answer in hand, at most 25 s, and end with 0; a second one does not wait. SIGHUP reads the config
    again, and keeps the old one when the new one is broken. A second daemon on the same state is refused (exit code 6).
    """
    session = session_of(ctx)
    asyncio.run(_serve(session, session.load()))
    return 0


async def _serve(session: Session, config: "Config") -> None:
    from calrelay.service.daemon import Daemon, obeying_signals  # noqa: PLC0415 - heavy, as is the next
    from calrelay.service.services import SERVICES  # noqa: PLC0415

    daemon = Daemon(config, reload=session.load, services=SERVICES)
    with obeying_signals(daemon):
        await daemon.run()
