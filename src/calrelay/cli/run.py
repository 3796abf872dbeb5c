"""`calrelay run`, the daemon: its options and how it starts. What it does then is the service's business."""

import asyncio
import contextlib
import resource
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


def hold_many_connections() -> None:
    """Use as many open files as the system allows: 200 tenants hold 700 connections and locks, and the soft limit is mostly 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(session: Session, config: "Config") -> None:
    from calrelay.service.daemon import Daemon  # noqa: PLC0415 - heavy, as are the next
    from calrelay.service.services import SERVICES  # noqa: PLC0415
    from calrelay.service.signals import obeying_signals  # noqa: PLC0415

    hold_many_connections()
    daemon = Daemon(config, reload=session.load, services=SERVICES)
    with obeying_signals(daemon):
        await daemon.run()
