"""Rows of the simulated Tripleseat with a guest of their own each, so that every message can be laid at one event's door."""

from datetime import datetime, timedelta
from typing import Any

from calrelay.simulators.people import Person
from calrelay.simulators.tripleseat.places import ALDER_HOUSE, to_wall_clock
from calrelay.simulators.tripleseat.rows import an_event_row
from calrelay.simulators.tripleseat.simulator import TripleseatSimulator

FIRST_ID = 61_000_001
LENGTH = timedelta(hours=2)


def a_guest_of(number: int) -> Person:
    """Nobody else has this number or address."""
    email = f"guest{number}@example.com"
    return Person(number=number, first_name=f"Guest{number}", last_name="Bell", email=email, phone=f"212-555-01{number % 100:02d}")


def book(sim: TripleseatSimulator, number: int, start: datetime, **about: Any) -> int:
    """Add event `number`, which starts at this instant; returns its id."""
    wall = to_wall_clock(start, ALDER_HOUSE.site.zone)
    about = {"name": f"Dinner {number}", "contact": a_guest_of(number), "booking_id": number + 1} | about
    about = {"created": sim.clock.now(), "updated": sim.clock.now()} | about
    row = an_event_row(FIRST_ID + number, wall, wall + LENGTH, **about)
    sim.events.add(row, created=about["created"], updated=about["updated"])
    return FIRST_ID + number


def base_of(external_id: str | None) -> str:
    """The external id without its generation."""
    return (external_id or "").split(".")[0]
