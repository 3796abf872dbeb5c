"""The load of `limits.py` once more as somebody types it: `calrelay backfill` with its state on a PostgreSQL, in real time.

There an account's pace is kept for all processes, so that its requests are spaced by another rule than in a process alone.
"""

import asyncio
import math
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.limits import AT_THE_LIMIT, EVEN, SPREAD, Load

from calrelay.ports import TokenPair
from calrelay.simulators.apptoto.simulator import ApptotoSimulator
from calrelay.simulators.server import FREE_PORTS, SimulatorServer
from calrelay.simulators.tripleseat.simulator import TripleseatSimulator
from calrelay.state.database import open_database
from calrelay.state.tokens import SqlTokenStore
from tests.fakes.guests import book
from tests.postgres.databases import own_server

CONFIG = """
[state]
url = "{state}"

[accounts.venue]
vendor = "tripleseat"
client_id = "{source.client_id}"
client_secret = "{source.client_secret}"
base_url = "{urls[tripleseat]}/v1"
requests_per_second = {speeds.source_per_second:.0f}

[accounts.reminders]
vendor = "apptoto"
username = "{target.username}"
api_key = "{target.api_key}"
base_url = "{urls[apptoto]}/v1"
requests_per_minute = {speeds.target_per_minute:.0f}
batch_size = {speeds.batch_size}
max_in_flight = {speeds.max_in_flight}

[[pipelines]]
name = "venue"
source = "venue"
target = "reminders"
calendar = "Main Hall"
"""
CALRELAY = str(Path(sys.executable).with_name("calrelay"))


def load_on_postgresql(work: Path) -> Load:
    """Load evenly spread events through a rate that binds, and tell what that took from the first request to the last batch's answer."""
    with own_server() as server:
        return asyncio.run(_load(work, server.make(is_empty=True)))


async def _load(work: Path, state: str) -> Load:
    tripleseat, apptoto = TripleseatSimulator(), ApptotoSimulator()  # their limits are those of AT_THE_LIMIT
    apptoto.add_calendar("Main Hall")
    begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
    for number in range(EVEN):
        book(tripleseat, number, begin + SPREAD * ((number + 0.5) / EVEN))
    async with SimulatorServer([tripleseat, apptoto], ports=FREE_PORTS) as vendors:
        config = work / "by-command.toml"
        settings = {"source": tripleseat.settings, "target": apptoto.settings, "urls": vendors.urls}
        config.write_text(CONFIG.format(state=state, speeds=AT_THE_LIMIT, **settings))
        config.chmod(0o600)
        issued = tripleseat.issue_tokens()
        with open_database(state, work) as database:
            expires = datetime.now(UTC) + timedelta(hours=1)
            pair = TokenPair(access_token=issued.access_token, refresh_token=issued.refresh_token, expires_at=expires)
            SqlTokenStore(database).save("venue", pair)
        days = ["--from", f"{begin:%Y-%m-%d}", "--to", f"{begin + SPREAD + timedelta(days=1):%Y-%m-%d}"]
        command = [CALRELAY, "--config", str(config), "backfill", "venue", *days, "--messages", "skip", "--json"]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.DEVNULL)
        code = await process.wait()
    live = len(apptoto.events.live_events())
    if code != 0 or live != EVEN:
        raise RuntimeError(f"{live} of {EVEN} events were loaded, and backfill ended with {code}")
    asked = [*tripleseat.journal.entries, *apptoto.journal.entries]
    puts = [entry.monotonic for entry in apptoto.journal.entries if entry.method == "PUT"]
    return Load(
        events=EVEN,
        starts="evenly spread, on PostgreSQL",
        seconds_per_event=0.0,
        took=max(puts) - min(entry.monotonic for entry in asked),
        floor=math.ceil(EVEN / AT_THE_LIMIT.batch_size) * 60 / AT_THE_LIMIT.target_per_minute,
        puts=len(puts),
        refused=sum(entry.status == 429 for entry in asked),
    )
