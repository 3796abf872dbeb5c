"""What calrelay takes at the vendors' own limits: a load, a booking amid a catch-up, and a pass without changes.

Simulators, clients, engine and ledger are the real ones, in one process and in virtual time: waits are what is counted, processor is not.
"""

import asyncio
import contextlib
import dataclasses
import json
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from datetime import timedelta
from typing import TypeVar

from calrelay.domain.event import SourceId
from calrelay.domain.guard import Limit, Limits
from calrelay.domain.link import MessageMode
from calrelay.domain.window import Span
from calrelay.engine.backfill import backfill
from calrelay.engine.order import Reach
from calrelay.service.rhythm import Rhythm
from calrelay.service.runner import Runner
from tests.fakes.guests import FIRST_ID, book
from tests.fakes.simulated_venue import NOW, WINDOW, Rules, Speeds, Venue

AT_THE_LIMIT = Speeds(source_per_second=10, target_per_minute=100, batch_size=15)
AS_OBSERVED = 0.75  # seconds for an event (Apptoto: 7)
EVEN, RANDOM = 840, 800  # seven full batches a week; and so many, wherever chance puts them
SPREAD = timedelta(days=56)
SEED = 1

HOUR = timedelta(hours=1)
EVERY = timedelta(minutes=5)
BOOKED_AFTER = 100.0  # seconds of the catch-up
NEW = 5_000  # the number of the booking

Found = TypeVar("Found")
A_PAGE = 50  # Tripleseat: 4
BULK = Speeds(source_per_second=1_000, target_per_minute=600_000, batch_size=100)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a load took, in seconds, beside the least it could: what the target's rate allows, or its slowness."""

    events: int
    starts: str
    seconds_per_event: float
    took: float
    floor: float
    puts: int
    refused: int

    @property
    def ratio(self) -> float:
        """How many times the floor it took."""
        return self.took / self.floor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A booking amid a catch-up: how long it waited since it was made, and which batch took it, counted from when calrelay was told."""

    behind: int
    told_by: str
    told_after: float  # seconds since it was made
    waited: float
    place: int
    batches: int  # those that were still to be sent when calrelay was told


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """What a pass without changes asked, and the least that its source allows."""

    tracked: int
    reach: str
    source: int
    least: int
    target: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AtTheLimits:
    """All of it."""

    loads: Sequence[Load]
    newcomers: Sequence[Newcomer]
    unchanged: Sequence[Unchanged]


def measure(*, behind: int = 800, tracked: int = 5_000) -> AtTheLimits:
    """Measure everything; most of the time goes into putting `tracked` events into two simulators."""
    return AtTheLimits(
        loads=[told(load) for load in _loads()],
        newcomers=[told(_newcomer(behind, by_webhook=by_webhook)) for by_webhook in (True, False)],
        unchanged=[told(one) for one in _unchanged(tracked)],
    )


def told(found: Found) -> Found:
    """Say how it goes."""
    print(found, flush=True)
    return found


# --- a load ---


def _loads() -> Iterator[Load]:
    chance = random.Random(SEED)
    even, anywhere = [(number + 0.5) / EVEN for number in range(EVEN)], [chance.random() for _ in range(RANDOM)]
    for starts, shares in (("evenly spread", even), ("random", anywhere)):
        for seconds_per_event in (0.0, AS_OBSERVED):
            yield _load(starts, shares, seconds_per_event)


def _load(starts: str, shares: Sequence[float], seconds_per_event: float) -> Load:
    with closing(Venue(speeds=AT_THE_LIMIT)) as venue:
        venue.apptoto.settings.seconds_per_event = seconds_per_event
        for number, share in enumerate(shares):
            book(venue.tripleseat, number, NOW + SPREAD * share)
        began = venue.seconds
        venue.run(_load_all(venue))
        if len(venue.live) != len(shares):
            raise RuntimeError(f"{len(venue.live)} of {len(shares)} events were loaded")
        by_rate = math.ceil(len(shares) / AT_THE_LIMIT.batch_size) * 60 / AT_THE_LIMIT.target_per_minute
        return Load(
            events=len(shares),
            starts=starts,
            seconds_per_event=seconds_per_event,
            took=venue.seconds - began,
            floor=max(by_rate, seconds_per_event * len(shares) / AT_THE_LIMIT.max_in_flight),
            puts=venue.asked("PUT"),
            refused=sum(entry.status == 429 for sim in (venue.tripleseat, venue.apptoto) for entry in sim.journal.entries),
        )


async def _load_all(venue: Venue) -> None:
    async for _ in backfill(venue.pipeline, Span(begin=NOW, end=NOW + SPREAD), MessageMode.SKIP, lock=nullcontext):
        pass


# --- a booking amid a catch-up ---


def _newcomer(behind: int, *, by_webhook: bool) -> Newcomer:
    with closing(Venue(speeds=Speeds(batch_size=10), rules=Rules(limits=Limits(first_load=10)))) as venue:
        book(venue.tripleseat, behind + 1, NOW + 2 * HOUR)
        venue.sync()
        venue.apptoto.journal.clear()
        venue.apptoto.settings.seconds_per_event = AS_OBSERVED
        for number in range(behind):
            book(venue.tripleseat, number, NOW + timedelta(days=2, hours=number))
        venue.rules = Rules(limits=Limits(creates=Limit(count=behind)))
        booked_at = venue.seconds + BOOKED_AFTER
        told_after = 0.0 if by_webhook else EVERY.total_seconds() - BOOKED_AFTER
        venue.run(_catch_up(venue, by_webhook=by_webhook))
        later = [(at, ids) for at, ids in _sent(venue) if at >= booked_at + told_after]
        place = next(number for number, (_, ids) in enumerate(later, 1) if f"ts-{FIRST_ID + NEW}" in ids)
        return Newcomer(
            behind=behind,
            told_by="a webhook" if by_webhook else "the next quick pass",
            told_after=told_after,
            waited=later[place - 1][0] - booked_at,
            place=place,
            batches=len(later),
        )


async def _catch_up(venue: Venue, *, by_webhook: bool) -> None:
    """Run a daemon's pipeline until its complete pass is over; meanwhile somebody books for the next day."""
    done = asyncio.Event()
    rhythm = Rhythm(every=EVERY, full_every=HOUR)
    now = asyncio.get_running_loop().time
    runner = Runner(venue.pipeline, lock=nullcontext, rhythm=rhythm, listener=lambda *_: done.set(), now=now)
    running = asyncio.create_task(runner.run())
    runner.due(Reach.COMPLETE)
    await asyncio.sleep(BOOKED_AFTER)
    book(venue.tripleseat, NEW, NOW + 30 * HOUR)
    if by_webhook:
        runner.hint([SourceId(str(FIRST_ID + NEW))])
    await asyncio.sleep(EVERY.total_seconds() - BOOKED_AFTER)
    runner.due(Reach.QUICK)
    await done.wait()
    runner.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def _sent(venue: Venue) -> list[tuple[float, list[str]]]:
    """Return when each batch reached the target, and what was in it, in this order."""
    puts = sorted((entry for entry in venue.apptoto.journal.entries if entry.method == "PUT"), key=lambda entry: entry.monotonic)
    return [(entry.monotonic, [row["external_id"] for row in json.loads(entry.body)["events"]]) for entry in puts]


# --- a pass without changes ---


def _unchanged(tracked: int) -> Iterator[Unchanged]:
    rules = Rules(limits=Limits(first_load=tracked), terrace_apart=False)
    with closing(Venue(speeds=BULK, rules=rules)) as venue:
        venue.apptoto.settings.requests_per_minute = None
        venue.tripleseat.settings.requests_per_second = venue.tripleseat.settings.requests_per_minute = 0
        long_ago = NOW - timedelta(days=30)
        for number in range(tracked):
            start = NOW + HOUR + WINDOW.future * 0.98 * number / tracked
            book(venue.tripleseat, number, start, created=long_ago, updated=long_ago)
        venue.sync()
        for reach, least in ((Reach.COMPLETE, math.ceil(tracked / A_PAGE)), (Reach.QUICK, 1)):
            venue.tripleseat.journal.clear()
            venue.apptoto.journal.clear()
            report = venue.sync(reach)
            if report is None or report.sent or len(venue.live) != tracked:
                raise RuntimeError(f"not a pass without changes over {tracked} events: {report}")
            asked = len(venue.tripleseat.journal.entries)
            yield Unchanged(tracked=tracked, reach=reach.value, source=asked, least=least, target=venue.asked("*"))
