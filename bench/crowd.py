"""Many pipelines on few simulated accounts: their config, their consents, and what the vendors' journals hold in the end."""

import contextlib
import dataclasses
import math
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from calrelay.ports import TokenPair
from calrelay.simulators.apptoto.simulator import ApptotoSimulator
from calrelay.simulators.faults import Journal
from calrelay.simulators.server import FREE_PORTS, SimulatorServer
from calrelay.simulators.tripleseat.simulator import TripleseatSimulator
from calrelay.simulators.worlds import populate_tripleseat
from calrelay.state.database import open_database
from calrelay.state.tokens import SqlTokenStore
from tests.soaking.crew import URL

EVENTS = 2  # at each account, so that a first load is one request to the target

_HEAD = """\
[state]
url = {{ env = "{url}" }}

[log]
level = "warning"
format = "json"
"""
_ACCOUNT = """
[accounts.target{number}]
vendor = "apptoto"
username = "{username}"
api_key = "{api_key}"
base_url = "{target}/v1"
requests_per_minute = {target_rate}

[accounts.venue{number}]
vendor = "tripleseat"
client_id = "{client_id}"
client_secret = "{client_secret}"
base_url = "{base}/v1"
requests_per_second = {rate}
"""
_PIPELINE = """
[[pipelines]]
name = "p{number}"
source = "venue{account}"
target = "target{account}"
calendar = "Main Hall"
id_prefix = "p{number}-"
every = "{every}s"
full_every = "1h"
guards = {{ first_load = 1000 }}
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is measured: so many pipelines, each due every so often, on so many pairs of accounts, each asked at this rate at most."""

    pipelines: int = 1000
    accounts: int = 10
    rate: float = 10.0  # a second, of a source
    target_rate: float = 5.0  # a second too; its limit is the minute's
    every: float = 15.0
    seconds: float = 60.0  # of each measurement: some periods, so that it does not matter where the bunches fall

    @property
    def demand(self) -> float:
        """Passes that fall due in a second."""
        return self.pipelines / self.every

    @property
    def period(self) -> timedelta:
        """How often each pipeline is due."""
        return timedelta(seconds=max(1, round(self.every)))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Busiest:
    """The most that any account was asked, as a share of its rate, in the whole run so far; its first load is part of it."""

    asked: int
    second: float  # of a source
    put: int
    minute: float  # of a target
    refused: int

    def told(self) -> str:
        """Say so."""
        return (
            f"Over the whole run, first load included: {self.asked:,} requests to the sources, no account beyond {self.second:.0%} of its "
            f"rate within any second; {self.put:,} to the targets, none beyond {self.minute:.0%} within any minute; "
            f"{self.refused} answers of 429."
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vendors:
    """The simulators, each account with one of its own and its own journal."""

    venues: Sequence[TripleseatSimulator]
    targets: Sequence[ApptotoSimulator]
    urls: Sequence[tuple[str, str]]

    def asked(self, since: float, until: float) -> int:
        """Count the requests that the sources received within a while of the monotonic clock."""
        return sum(since < entry.monotonic <= until for venue in self.venues for entry in venue.journal.entries)

    def busiest(self, terms: Terms) -> Busiest:
        """Look through the journals of all accounts."""
        sources, targets = [venue.journal for venue in self.venues], [target.journal for target in self.targets]
        return Busiest(
            asked=sum(len(journal.entries) for journal in sources),
            second=max(most_within(journal, 1.0) for journal in sources) / math.ceil(terms.rate),
            put=sum(len(journal.entries) for journal in targets),
            minute=max(most_within(journal, 60.0) for journal in targets) / a_minute(terms.target_rate),
            refused=sum(entry.status == 429 for journal in (*sources, *targets) for entry in journal.entries),
        )


def most_within(journal: Journal, seconds: float) -> int:
    """Return the most requests that came within any stretch of this length, both ends included."""
    times = sorted(entry.monotonic for entry in journal.entries)
    most = first = 0
    for number, now in enumerate(times):
        while now - times[first] > seconds:
            first += 1
        most = max(most, number - first + 1)
    return most


def a_minute(rate: float) -> int:
    """Return how many requests a minute a rate per second is."""
    return math.ceil(60 * rate)


@contextlib.asynccontextmanager
async def serve_vendors(terms: Terms) -> AsyncIterator[Vendors]:
    """Serve a source and a target of its own for each pair of accounts, with their limits on."""
    now = datetime.now(UTC)
    venues = [TripleseatSimulator(seed=number) for number in range(terms.accounts)]
    targets = [ApptotoSimulator(seed=number) for number in range(terms.accounts)]
    async with contextlib.AsyncExitStack() as stack:
        urls = []
        for venue, target in zip(venues, targets, strict=True):
            target.settings.requests_per_minute = a_minute(terms.target_rate)
            target.add_calendar("Main Hall")
            venue.settings.requests_per_second = math.ceil(terms.rate)
            venue.settings.requests_per_minute = 0
            populate_tripleseat(venue, events=EVENTS, now=now, seed=1)
            served = await stack.enter_async_context(SimulatorServer([venue, target], ports=FREE_PORTS))
            urls.append((served.urls["tripleseat"], served.urls["apptoto"]))
        yield Vendors(venues=venues, targets=targets, urls=urls)


def write_config(config: Path, terms: Terms, vendors: Vendors) -> None:
    """Write the config of all accounts and pipelines."""
    parts = [_HEAD.format(url=URL)]
    for number, (venue, target, (base, target_base)) in enumerate(zip(vendors.venues, vendors.targets, vendors.urls, strict=True)):
        known = {"client_id": venue.settings.client_id, "client_secret": venue.settings.client_secret, "rate": terms.rate, "base": base}
        known |= {"username": target.settings.username, "api_key": target.settings.api_key, "target": target_base}
        parts.append(_ACCOUNT.format(number=number, target_rate=a_minute(terms.target_rate), **known))
    every = round(terms.period.total_seconds())
    parts += [_PIPELINE.format(number=number, account=number % terms.accounts, every=every) for number in range(terms.pipelines)]
    config.touch(mode=0o600)
    config.write_text("".join(parts))


def consent(url: str, folder: Path, vendors: Vendors) -> None:
    """Put tokens of every source into the database, as `calrelay login` does."""
    with open_database(url, folder) as database:
        for number, venue in enumerate(vendors.venues):
            issued = venue.issue_tokens()
            expires = datetime.now(UTC) + timedelta(hours=1)
            pair = TokenPair(access_token=issued.access_token, refresh_token=issued.refresh_token, expires_at=expires)
            SqlTokenStore(database).save(f"venue{number}", pair)
