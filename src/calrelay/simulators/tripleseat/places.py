"""The simulated Tripleseat customer's sites, locations and rooms, and how /v1/sites and /v1/locations show them."""

import dataclasses
from datetime import datetime, timedelta
from typing import Any

import pytz

CUSTOMER = 901


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A tenant's site; `timezone` is what Tripleseat says, usually a Rails name, `zone` the IANA zone by which it computes."""

    id: int
    name: str
    subdomain: str
    timezone: str
    zone: str
    currency: str = "USD"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room, which Tripleseat's API also calls an area."""

    id: int
    name: str
    capacity: int = 60


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A house with rooms; it has no zone of its own."""

    id: int
    name: str
    site: Site
    rooms: tuple[Room, ...]
    city: str = "Salem"
    state: str = "MA"
    country: str = "US"

    def room(self, name: str) -> Room:
        """Find a room by its name, blanks around it aside; a KeyError names what is missing."""
        for room in self.rooms:
            if room.name.strip() == name:
                return room
        raise KeyError(name)


ALDER = Site(id=1501, name="Alder Group", subdomain="alder", timezone="Eastern Time (US & Canada)", zone="America/New_York")
HARBOUR = Site(
    # Sites in Vancouver cannot use the Rails name for Pacific time any more: it means Los Angeles, an hour apart since November 2026.
    id=1502,
    name="Harbour Rooms",
    subdomain="harbour",
    timezone="America/Vancouver",
    zone="America/Vancouver",
    currency="CAD",
)
MEWS = Site(id=1503, name="Mews House", subdomain="mews", timezone="London", zone="Europe/London", currency="GBP")

ALDER_HOUSE = Location(
    id=2601,
    name="Alder House",
    site=ALDER,
    rooms=(
        Room(id=90001, name="Main Hall", capacity=140),
        Room(id=90002, name="Terrace", capacity=60),
        Room(id=90003, name="Cellar ", capacity=30),
    ),
)
HARBOUR_HOUSE = Location(
    id=2602,
    name="Harbour House",
    site=HARBOUR,
    rooms=(Room(id=90011, name="Main Hall", capacity=200), Room(id=90012, name="Terrace", capacity=80)),
    city="Vancouver",
    state="BC",
    country="CA",
)
MEWS_HOUSE = Location(
    id=2603,
    name="The Mews",
    site=MEWS,
    rooms=(Room(id=90021, name="Long Room", capacity=90), Room(id=90022, name="Courtyard", capacity=50)),
    city="London",
    state="",
    country="GB",
)
LOCATIONS = (ALDER_HOUSE, HARBOUR_HOUSE, MEWS_HOUSE)


def site_row(site: Site) -> dict[str, Any]:
    """Show a site as /v1/sites does (Tripleseat: Sites API)."""
    return {
        "id": site.id,
        "customer_id": CUSTOMER,
        "name": site.name,
        "subdomain": site.subdomain,
        "timezone": site.timezone,
        "currency_code": site.currency,
        "contact_types": [],
        "event_types": [{"id": 3, "name": "Corporate"}, {"id": 4, "name": "Wedding"}, {"id": 5, "name": "Tour"}],
        "lead_sources": [],
        "task_types": [],
        "referral_sources": [],
        "billings": [{"billing_locations": []}],
        "line_item_categories": [],
    }


def location_row(location: Location) -> dict[str, Any]:
    """Show a location as /v1/locations does (Tripleseat: Locations API)."""
    address = {"id": location.id, "address1": "1 Elm St", "address2": "", "city": location.city, "state": location.state}
    return {
        "id": location.id,
        "name": location.name,
        "customer_id": CUSTOMER,
        "site_name": location.site.name,
        "site_id": location.site.id,
        "room_ids": [room.id for room in location.rooms],
        "created_at": "1/2/2020 8:00 AM",
        "updated_at": "1/5/2026 9:00 AM",
        "description": "",
        "currency_code": location.site.currency,
        "custom_fields": [],
        "rooms": [
            {"id": r.id, "name": r.name, "capacity": r.capacity, "description": "", "is_unassigned": False, "descendants": [[]]}
            for r in location.rooms
        ],
        "phone_numbers": [],
        "photos": [],
        "addresses": [{**address, "country": location.country, "zip_code": "01970", "address_type": "Work"}],
    }


def localize(naive: datetime, zone: str) -> datetime:
    """Give a wall clock time its offset: before the change in a gap, the first occurrence in a fold (RFC 5545, 3.3.5)."""
    tz = pytz.timezone(zone)
    try:
        return tz.localize(naive, is_dst=None)
    except pytz.NonExistentTimeError:
        return tz.localize(naive, is_dst=False)
    except pytz.AmbiguousTimeError:
        return min(tz.localize(naive, is_dst=True), tz.localize(naive, is_dst=False))


def to_wall_clock(instant: datetime, zone: str) -> datetime:
    """Give an instant as the naive time on the wall there."""
    return instant.astimezone(pytz.timezone(zone)).replace(tzinfo=None)


def us_date(day: datetime) -> str:
    """Write a date as Tripleseat does in practice: month first, not padded."""
    return f"{day.month}/{day.day}/{day.year}"


def us_clock(moment: datetime) -> str:
    """Write a time of day as Tripleseat does, such as 6:00 PM."""
    return f"{moment.hour % 12 or 12}:{moment.minute:02d} {'AM' if moment.hour < 12 else 'PM'}"


def us_time(moment: datetime) -> str:
    """Write date and time of day; there are no seconds."""
    return f"{us_date(moment)} {us_clock(moment)}"


def shifted(moment: datetime, minutes: int) -> datetime:
    """Move a wall clock time."""
    return moment + timedelta(minutes=minutes)
