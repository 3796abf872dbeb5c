"""What `demo --serve` adds: the daemon on the simulators, whose sources go on changing slowly, until somebody ends it."""

import asyncio

from calrelay import log
from calrelay.cli.demo_changes import Sources
from calrelay.cli.demo_stage import TOKEN, Stage
from calrelay.cli.output import Output
from calrelay.service.daemon import Daemon
from calrelay.service.services import SERVICES
from calrelay.service.signals import obeying_signals

PACE = 15.0


async def serve(output: Output, stage: Stage) -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    sources = Sources(stage)

    async def go_on(_daemon: Daemon) -> None:
        while True:
            await asyncio.sleep(PACE)
            output.message(f"# at the source: {sources.live_on()}")

    config = stage.session.load()
    log.configure(format="console", level="info")
    daemon = Daemon(config, reload=stage.session.load, services=(*SERVICES, go_on))
    page = config.web.listen.url if config.web.listen else "no page"
    output.message(
        "",
        "$ calrelay run",
        f"The daemon runs on the simulators now; every {PACE:.0f} s something changes. Ctrl-C ends it.",
        f"  {page}  the page: what waits for you, each pipeline, what changed; log in with the token {TOKEN}",
        "    then approve a hold, pause a pipeline, or look up an event of those listed; /readyz and /metrics are for machines",
        f"  {stage.page}  the simulators: their knobs, and what Apptoto holds",
        f"  calrelay --config {stage.config} status  in another terminal; so do holds, plan, show and approve",
    )
    with obeying_signals(daemon):
        await daemon.run()
