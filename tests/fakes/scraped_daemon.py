"""The whole daemon over the simulators, in this process, and what Prometheus would read from it. No tests here."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from calrelay.config.load import Config, load_config
from calrelay.engine.order import Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport
from calrelay.service.daemon import Daemon
from calrelay.service.rhythm import Health
from calrelay.vendors.registry import VENDORS
from tests.unit.cli.house import House


@contextlib.asynccontextmanager
async def running(house: House) -> AsyncIterator[tuple[Daemon, asyncio.Queue[PassReport]]]:
    """Run the daemon of a house, without its services, until the block ends; its passes arrive in the queue."""
    text = house.config.read_text().replace('window = { future = "60d" }', 'window = { future = "60d" }\nguards = { first_load = 1000 }')
    house.config.write_text(text)
    passes: asyncio.Queue[PassReport] = asyncio.Queue()

    def load() -> Config:
        return load_config(house.config, VENDORS)

    def hear(_pipeline: Pipeline, _reach: Reach, report: PassReport, _health: Health) -> None:
        passes.put_nowait(report)

    daemon = Daemon(load(), reload=load, services=())
    daemon.listeners.append(hear)
    task = asyncio.create_task(daemon.run())
    try:
        yield daemon, passes
    finally:
        daemon.stop()
        await asyncio.wait_for(task, 30)


async def a_scrape(house: House) -> str:
    """Return what a scrape shows once both pipelines have been loaded."""
    async with running(house) as (daemon, passes):
        for _ in range(2):
            await asyncio.wait_for(passes.get(), 30)
        daemon.metrics.note_webhook("venue", "accepted")
        daemon.metrics.note_webhook_lag("venue", 1.5)
        return daemon.metrics.render()[0].decode()
