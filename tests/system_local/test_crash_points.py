"""A pass that dies before or after any commit or request: whatever the point, the next pass ends where an undisturbed one would have."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from calrelay.domain.guard import Limit, Limits
from calrelay.domain.link import State
from calrelay.simulators.apptoto.settings import AfterDelete
from calrelay.simulators.tripleseat.places import ALDER_HOUSE
from tests.fakes.guests import FIRST_ID, base_of, book
from tests.fakes.simulated_venue import NOW, Rules, Venue

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
RULES = Rules(limits=Limits(first_load=10_000, deletes=Limit(count=10)))  # none of these deletions is one too many
PARTS = 4  # of the points, so that several processes share them
Change = Callable[[Venue], None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """How the target behaves, and what happens at the source before the pass that dies."""

    events: int = 14
    change: Change
    settings: dict[str, object] = dataclasses.field(default_factory=dict)


def change_everything(venue: Venue) -> None:
    """Creates, updates of each kind, a move between calendars, deletes of each kind, and five bookings moved alike, which are held."""
    events = venue.tripleseat.events
    for number in range(30, 34):
        book(venue.tripleseat, number, NOW + (number - 25) * DAY)
    events.rename(FIRST_ID, "Renamed")
    events.shift(FIRST_ID + 1, 3 * HOUR)
    events.set_guests(FIRST_ID + 2, 7)
    events.relocate(FIRST_ID + 3, ALDER_HOUSE.id, [90002])
    events.relocate(FIRST_ID + 6, ALDER_HOUSE.id, [90003])
    events.set_status(FIRST_ID + 4, "LOST")
    events.delete(FIRST_ID + 5)
    for number in range(8, 13):
        events.shift(FIRST_ID + number, HOUR)


def book_eight(venue: Venue) -> None:
    for number in range(8):
        book(venue.tripleseat, number, NOW + (number + 1) * DAY)


def nothing(_: Venue) -> None:
    pass


SCENES = {
    "a first load": Scene(events=0, change=book_eight),
    "every kind of change": Scene(change=change_everything),
    "a target that tells little": Scene(
        change=change_everything,
        settings={
            "show_deleted": False,
            "delete_again_status": 404,
            "echo_external_id": False,
            "after_delete": AfterDelete.UPDATE_DELETED,
        },
    ),
}


@contextmanager
def staged(scene: Scene) -> Iterator[Venue]:
    """A venue in step with its source, just before the pass that dies."""
    venue = Venue(rules=RULES)
    try:
        for name, value in scene.settings.items():
            setattr(venue.apptoto.settings, name, value)
        if scene.events:
            for number in range(scene.events):
                book(venue.tripleseat, number, NOW + (number + 1) * DAY)
            report = venue.sync()
            assert report is not None
            assert report.created == scene.events
        venue.clock.advance(HOUR)
        scene.change(venue)
        venue.apptoto.journal.clear()
        yield venue
    finally:
        venue.close()


def picture(venue: Venue) -> dict[str, tuple[object, ...]]:
    """What a guest would notice of the target; exactly one live event by each external id."""
    found: dict[str, tuple[object, ...]] = {
        event.external_id or "": (
            event.title,
            event.start_time,
            event.end_time,
            event.calendar_id,
            event.content,
            tuple((p.email, p.normalized_phone) for p in event.participants),
        )
        for event in venue.live
    }
    assert len(found) == len(venue.live)
    assert max(Counter(map(base_of, found)).values(), default=1) == 1
    return found


def points_of(scene: Scene) -> list[str]:
    with staged(scene) as venue:
        venue.sync()
        return venue.fate.points


def undisturbed(scene: Scene, after: Change = nothing) -> dict[str, tuple[object, ...]]:
    with staged(scene) as venue:
        venue.sync()
        after(venue)
        venue.sync()
        return picture(venue)


def recorded(venue: Venue) -> set[str]:
    """The external ids of which the ledger says that nothing is owed."""
    return {link.external_id for link in venue.ledger.links_in("venue", {State.SETTLED})}


def sent(venue: Venue) -> list[str]:
    """The external ids of every event in every write that the target received."""
    writes = [entry for entry in venue.apptoto.journal.entries if entry.method == "PUT"]
    return [row["external_id"] for entry in writes for row in json.loads(entry.body)["events"]]


def check_messages(venue: Venue) -> None:
    """Nobody hears twice of one booking, and nothing but bookings' own messages went out."""
    told = Counter((message.external_id, message.to, message.purpose, message.channel) for message in venue.apptoto.messages.sent)
    assert max(told.values(), default=1) == 1
    assert not venue.apptoto.messages.one_offs
    assert not venue.apptoto.messages.marks
    assert not venue.apptoto.events.extracted


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", SCENES)
def test_wherever_a_pass_dies_the_next_one_ends_where_an_undisturbed_one_would(name: str, part: int) -> None:
    """The same events under the same ids, with the same people; only what was in flight is sent again, and then all is quiet."""
    scene = SCENES[name]
    wanted, points = undisturbed(scene), points_of(scene)
    assert len(points) > 20
    for deadline in range(part, len(points), PARTS):
        with staged(scene) as venue:
            assert venue.sync(dies_at=deadline) is None
            done = recorded(venue) & set(sent(venue))
            venue.apptoto.journal.clear()
            report = venue.sync()
            assert report is not None
            again = set(sent(venue))
            quiet = venue.sync()
            assert picture(venue) == wanted, points[deadline]
            assert not done & again, points[deadline]
            assert quiet is not None
            assert (quiet.sent, quiet.outcome) == (0, report.outcome), points[deadline]
            check_messages(venue)


def cancel_everything_new(venue: Venue) -> None:
    """One of the new events and one of the changed ones turn out not to take place."""
    events = venue.tripleseat.events
    for number in (0, 1, 30):
        if FIRST_ID + number in events:
            events.set_status(FIRST_ID + number, "LOST")


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", ["a first load", "every kind of change"])
def test_a_cancellation_right_after_a_crash_is_honoured_wherever_that_was(name: str, part: int) -> None:
    scene = SCENES[name]
    wanted, points = set(map(base_of, undisturbed(scene, cancel_everything_new))), points_of(scene)
    for deadline in range(part, len(points), PARTS):
        with staged(scene) as venue:
            venue.sync(dies_at=deadline)
            cancel_everything_new(venue)
            venue.sync()
            assert set(map(base_of, picture(venue))) == wanted, points[deadline]
            quiet = venue.sync()
            assert quiet is not None
            assert quiet.sent == 0, points[deadline]
            check_messages(venue)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_pass_that_dies_while_it_recovers_from_a_death_loses_nothing_either(part: int) -> None:
    scene = SCENES["every kind of change"]
    wanted, points = undisturbed(scene), points_of(scene)
    for deadline in range(part, len(points), PARTS + 3):
        with staged(scene) as venue:
            venue.sync(dies_at=deadline)
            for again in (3 + deadline % 7, 9 + deadline % 11, 14 + deadline % 5):
                venue.sync(dies_at=again)
            venue.sync()
            assert picture(venue) == wanted, points[deadline]
            check_messages(venue)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_database_lost_in_the_middle_of_a_pass_is_rebuilt_without_a_double(part: int) -> None:
    """What the target came to hold is adopted; what is missing is created, and nobody is told twice."""
    scene = SCENES["every kind of change"]
    points = points_of(scene)
    wanted = set(map(base_of, undisturbed(scene)))
    for deadline in range(part, len(points), PARTS + 3):
        with staged(scene) as venue:
            venue.sync(dies_at=deadline)
            venue.lose_database()
            venue.sync(adopts_only=True)
            venue.sync()
            assert set(map(base_of, picture(venue))) == wanted, points[deadline]
            quiet = venue.sync()
            assert quiet is not None
            assert quiet.sent == 0, points[deadline]
            check_messages(venue)
