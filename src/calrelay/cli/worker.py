"""`calrelay worker`: its options and how it starts. What it does then is the cluster's business."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from calrelay.cli.session import Session, session_of

if TYPE_CHECKING:
    from calrelay.config.load import Config

PLACES = 16  # as cluster/worker, which is heavy to load


def worker(
    ctx: typer.Context,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=200, metavar="N", help="Passes at a time.")] = PLACES,
) -> int:
    """Run until stopped, and share the pipelines with all other workers on the same PostgreSQL.

    Any number of them may run, on any number of machines, with the same config; `calrelay run` is refused beside them, and they beside
    it (exit code 6). SIGTERM waits for the answers in hand, at most 25 s, and leaves the rest to the others. SIGHUP reads the config
    again. A database that is away is waited for, up to 15 minutes (then exit code 5).
    """
    session = session_of(ctx)
    asyncio.run(_serve(session, session.load(), at_once))
    return 0


async def _serve(session: Session, config: "Config", at_once: int) -> None:
    try:
        from calrelay.cluster.worker import Worker  # noqa: PLC0415 - heavy, and an extra
        from calrelay.service.signals import obeying_signals  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise _not_installed(error) from None
    worker = Worker(config, reload=session.load, places=at_once)
    with obeying_signals(worker):
        await worker.run()


def _not_installed(error: ModuleNotFoundError) -> Exception:
    from calrelay.errors import ConfigError  # noqa: PLC0415 - as heavy as what failed

    return ConfigError(
        f"workers need a part that is not installed ({error.name})",
        remedy="pip install --require-hashes --requirement requirements/cluster.txt",
    )
