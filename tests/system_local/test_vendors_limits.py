"""A load at the vendors' own limits, in virtual time: how near it comes to the least it can take, and that nobody is asked too fast."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta

from calrelay.domain.link import MessageMode
from calrelay.domain.window import Span
from calrelay.engine.backfill import backfill
from tests.fakes.guests import book
from tests.fakes.simulated_venue import NOW, Speeds, Venue

EVENTS = 840  # seven full batches a week, so that the floor is what these requests must take
DAYS = 56
BATCH = 15
PER_MINUTE = 100
SECONDS_AN_EVENT = 0.75  # as observed (Apptoto: 7)
SPAN = Span(begin=NOW, end=NOW + timedelta(days=DAYS))
AT_THE_LIMIT = Speeds(source_per_second=10, target_per_minute=PER_MINUTE, batch_size=BATCH)


@contextmanager
def a_venue(speeds: Speeds, *, seconds_per_event: float = 0.0) -> Iterator[Venue]:
    venue = Venue(speeds=speeds)
    venue.apptoto.settings.seconds_per_event = seconds_per_event
    for number in range(EVENTS):
        book(venue.tripleseat, number, NOW + timedelta(days=DAYS) * (number + 0.5) / EVENTS)
    try:
        yield venue
    finally:
        venue.close()


def load(venue: Venue) -> float:
    """Load everything; returns how long it took."""

    async def all_of_it() -> list[int]:
        steps = backfill(venue.pipeline, SPAN, MessageMode.SKIP, lock=nullcontext)
        return [step.report.created async for step in steps]

    began = venue.seconds
    created = venue.run(all_of_it())
    assert sum(created) == len(venue.live) == EVENTS
    return venue.seconds - began


def refusals(venue: Venue) -> int:
    return sum(entry.status == 429 for sim in (venue.tripleseat, venue.apptoto) for entry in sim.journal.entries)


def test_a_load_at_the_vendors_rates_takes_little_more_than_its_requests_must() -> None:
    with a_venue(AT_THE_LIMIT) as venue:
        took = load(venue)
        floor = math.ceil(EVENTS / BATCH) * 60 / PER_MINUTE
        assert took <= 1.05 * floor
        assert refusals(venue) == 0


def test_a_load_into_a_slow_target_takes_little_more_than_its_answers_do() -> None:
    with a_venue(AT_THE_LIMIT, seconds_per_event=SECONDS_AN_EVENT) as venue:
        took = load(venue)
        floor = max(math.ceil(EVENTS / BATCH) * 60 / PER_MINUTE, SECONDS_AN_EVENT * EVENTS)
        assert took <= 1.05 * floor
        assert refusals(venue) == 0
