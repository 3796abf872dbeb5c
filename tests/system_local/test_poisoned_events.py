"""Two bad events among three hundred, in each way in which a vendor may treat them: the others arrive in the same pass (rule 20)."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from calrelay.domain.guard import Limit, Limits
from calrelay.domain.link import State
from calrelay.engine import decisions
from calrelay.errors import ExitCode
from calrelay.simulators.apptoto.settings import BadEvents
from tests.fakes.guests import FIRST_ID, book
from tests.fakes.simulated_venue import NOW, Rules, Speeds, Venue

EVENTS = 300
BAD = (f"ts-{FIRST_ID + 47}", f"ts-{FIRST_ID + 213}")
PUTS_OF_SOUND_BATCHES = EVENTS // 10
HALVING = 2 * 2 * 4 + 4  # for each bad event two requests at each of four levels of a batch of ten, and a few more


@pytest.fixture
def venue() -> Iterator[Venue]:
    """Three hundred bookings over the next weeks."""
    venue = Venue(speeds=Speeds(batch_size=10), rules=Rules(limits=Limits(first_load=EVENTS, updates=Limit(count=EVENTS))))
    for number in range(EVENTS):
        book(venue.tripleseat, number, NOW + timedelta(days=1, hours=4 * number))
    yield venue
    venue.close()


@pytest.mark.parametrize("how", BadEvents)
def test_298_of_300_arrive_in_the_same_pass_and_two_heal_after_a_retry(venue: Venue, how: BadEvents) -> None:
    settings = venue.apptoto.settings
    settings.bad_events, settings.poison = how, BAD
    report = venue.sync()
    assert report is not None
    assert (report.created, report.quarantined, report.exit_code) == (EVENTS - 2, 2, ExitCode.ATTENTION)
    quarantined = venue.ledger.links_in("venue", {State.QUARANTINED})
    assert sorted(link.external_id for link in quarantined) == sorted(BAD)
    assert all(link.reason and link.remedy for link in quarantined)
    assert venue.asked("PUT") <= PUTS_OF_SOUND_BATCHES + HALVING
    settings.poison = ()
    decisions.retry(venue.ledger, ["venue"], [], clock=venue.clock.now)
    report = venue.sync()
    assert report is not None
    assert (report.created, report.quarantined, report.exit_code) == (2, 0, 0)
    assert sorted(event.external_id or "" for event in venue.live) == sorted(f"ts-{FIRST_ID + number}" for number in range(EVENTS))


def test_a_calendar_removed_at_the_target_quarantines_none_of_three_hundred(venue: Venue) -> None:
    assert venue.sync() is not None
    for number in range(EVENTS):
        venue.tripleseat.events.rename(FIRST_ID + number, f"Renamed {number}")
    kept = dict(venue.apptoto.events.calendars)
    venue.apptoto.events.calendars.clear()
    report = venue.sync()
    assert report is not None
    assert (report.updated, report.quarantined, report.held, report.exit_code) == (0, 0, 0, ExitCode.VENDOR)
    venue.apptoto.events.calendars.update(kept)
    report = venue.sync()
    assert report is not None
    assert (report.updated, report.quarantined, report.exit_code) == (EVENTS, 0, 0)
