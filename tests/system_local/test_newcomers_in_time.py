"""A daemon's pipeline in virtual time that has 800 events to catch up with, while somebody books."""

import asyncio
import contextlib
import json
from contextlib import nullcontext
from datetime import timedelta

import pytest

from calrelay.domain.guard import Limit, Limits
from calrelay.engine.order import Reach
from calrelay.service.rhythm import Rhythm
from calrelay.service.runner import Runner
from tests.fakes.guests import FIRST_ID, book
from tests.fakes.simulated_venue import NOW, Rules, Speeds, Venue

BEHIND = 800
NEW = 5_000
HOUR = timedelta(hours=1)
SECONDS_AN_EVENT = 0.75
EVERY = timedelta(minutes=5)


def runner_of(venue: Venue, done: asyncio.Event) -> Runner:
    def hear(*_: object) -> None:
        done.set()

    rhythm = Rhythm(every=EVERY, full_every=HOUR)
    now = asyncio.get_running_loop().time
    return Runner(venue.pipeline, lock=nullcontext, rhythm=rhythm, listener=hear, now=now)


async def a_daemon_that_catches_up(venue: Venue, *, by_webhook: bool) -> None:
    """Run until the complete pass is over; after a hundred seconds of it somebody books for the next day."""
    done = asyncio.Event()
    runner = runner_of(venue, done)
    running = asyncio.create_task(runner.run())
    runner.due(Reach.COMPLETE)
    await asyncio.sleep(100)
    book(venue.tripleseat, NEW, NOW + 30 * HOUR)
    if by_webhook:
        runner.hint([str(FIRST_ID + NEW)])  # type: ignore[list-item] # a source id
    await asyncio.sleep(EVERY.total_seconds() - 100)
    runner.due(Reach.QUICK)
    await done.wait()
    runner.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def sent_by(venue: Venue) -> list[tuple[float, list[str]]]:
    """When each batch went out, and what was in it."""
    puts = [entry for entry in venue.apptoto.journal.entries if entry.method == "PUT"]
    return [(entry.monotonic, [row["external_id"] for row in json.loads(entry.body)["events"]]) for entry in puts]


@pytest.mark.parametrize("by_webhook", [True, False])
def test_a_booking_made_in_the_middle_of_a_catch_up_reaches_the_target_ahead_of_it(*, by_webhook: bool) -> None:
    venue = Venue(speeds=Speeds(batch_size=10), rules=Rules(limits=Limits(first_load=10)))
    try:
        book(venue.tripleseat, BEHIND + 1, NOW + 2 * HOUR)
        venue.sync()
        venue.apptoto.settings.seconds_per_event = SECONDS_AN_EVENT
        for number in range(BEHIND):
            book(venue.tripleseat, number, NOW + timedelta(days=2, hours=number))
        venue.rules = Rules(limits=Limits(creates=Limit(count=BEHIND)))
        began = venue.seconds
        venue.run(a_daemon_that_catches_up(venue, by_webhook=by_webhook))
        batches = sent_by(venue)[1:]
        position = next(i for i, (_, ids) in enumerate(batches) if f"ts-{FIRST_ID + NEW}" in ids)
        waited = batches[position][0] - began - 100
        assert waited < (10 if by_webhook else EVERY.total_seconds() - 100 + 20)
        assert len(batches) - position > 20
        assert len(venue.live) == BEHIND + 2
        assert sum(len(ids) for _, ids in batches) == BEHIND + 1
    finally:
        venue.close()
