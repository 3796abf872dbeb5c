"""What a venue's books say, and what must come of them at the target: written from the rules alone, without a look at the engine."""

import dataclasses
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pytz

from calrelay.domain.link import TAGS, MessageMode
from calrelay.domain.rendering import TITLE
from calrelay.simulators.apptoto.events import StoredEvent
from calrelay.simulators.people import Person
from tests.fakes.guests import FIRST_ID, LENGTH, a_guest_of
from tests.fakes.simulated_venue import WINDOW, Rules

NEW_YORK = "America/New_York"
HERE = "location:2601"
UNKNOWN_STATUS = "ON_HOLD_NEW"


class Fit(StrEnum):
    """What is to become of a booking (rules 13 and 17)."""

    WANTED = "wanted"
    UNWANTED = "unwanted"
    UNKNOWN = "unknown"  # kept up to date, never created, never deleted
    OVER = "over"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """One booking as the source holds it; `wall` is its start on the wall of the house."""

    number: int
    wall: datetime
    name: str
    room: str = "Main Hall"
    status: str = "DEFINITE"
    guest: int = 0
    is_deleted: bool = False

    @property
    def base(self) -> str:
        return f"ts-{FIRST_ID + self.number}"

    @property
    def person(self) -> Person:
        return a_guest_of(self.guest)

    @property
    def addresses(self) -> frozenset[str]:
        return frozenset({self.person.email, "+1" + self.person.phone.replace("-", "")})

    def start(self, rules: Rules) -> datetime:
        zone = pytz.timezone(rules.zones.get(HERE, NEW_YORK))
        moment: datetime = zone.localize(self.wall)
        return moment.astimezone(UTC)

    def fit(self, rules: Rules, now: datetime) -> Fit:
        if self.is_deleted or self.status == "LOST":
            return Fit.UNWANTED
        if self.start(rules) + LENGTH <= now:
            return Fit.OVER
        if self.status == UNKNOWN_STATUS:
            return Fit.UNKNOWN
        is_in = not rules.rooms or self.room.casefold() in rules.rooms
        return Fit.WANTED if self.status in rules.statuses and is_in else Fit.UNWANTED


def calendar_name(booking: Booking, rules: Rules) -> str:
    """Where it belongs."""
    return "Terrace" if rules.terrace_apart and booking.room == "Terrace" else "Main Hall"


def complaints(booking: Booking, there: list[StoredEvent], rules: Rules, now: datetime, calendars: dict[int, str]) -> list[str]:
    """What is wrong with what the target holds of a booking, once nothing keeps it back."""
    if len(there) > 1:
        return [f"{len(there)} live events"]
    held = there[0] if there else None
    is_history = held is not None and held.end_time <= now
    match booking.fit(rules, now):
        case Fit.UNWANTED:
            return [] if held is None or is_history else ["should be gone"]
        case Fit.OVER:
            is_kept = booking.status == UNKNOWN_STATUS  # never deleted (rule 13)
            return [] if held is None or is_history or is_kept else ["moved into the past, and is still there"]
        case Fit.UNKNOWN:
            return [] if held is None else _differences(booking, held, rules)
        case Fit.WANTED if held is None:
            return ["is missing"] if booking.start(rules) in WINDOW.at(now) else []
        case Fit.WANTED:
            assert held is not None
            where = [] if calendars[held.calendar_id] == calendar_name(booking, rules) else ["is in another calendar"]
            return where + _differences(booking, held, rules)


def _differences(booking: Booking, held: StoredEvent, rules: Rules) -> list[str]:
    start = booking.start(rules)
    wanted = {
        "title": rules.title.replace(TITLE, booking.name),
        "start": start,
        "end": start + LENGTH,
        "first guest": booking.person.email,
    }
    emails = [person.email for person in held.participants]
    found = {
        "title": held.title,
        "start": held.start_time,
        "end": held.end_time,
        # Those who were messaged before stay on an event (Apptoto: section 7), so there may be more.
        "first guest": booking.person.email if booking.person.email in emails else emails,
    }
    return [f"{name} is {found[name]}, not {value}" for name, value in wanted.items() if found[name] != value]


def tag_of(event: StoredEvent) -> MessageMode:
    """How an event at the target is marked."""
    last = event.content.rpartition("\n")[2]
    return next((mode for mode, tag in TAGS.items() if tag and tag == last), MessageMode.SEND)


def exceeds(number: int, live: int, *, count: int, share: float, most: int | None = None) -> bool:
    """Whether these are more than a guard lets through (design: guards)."""
    return (most is not None and number > most) or (number > count and number > share * live)


DAY = timedelta(days=1)
