"""Builds and edits event rows as Tripleseat serves them, in its order of keys. Pure: no state, no HTTP."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict, Unpack

from calrelay.simulators.people import Person
from calrelay.simulators.tripleseat.places import (
    ALDER_HOUSE,
    CUSTOMER,
    Location,
    Room,
    localize,
    shifted,
    to_wall_clock,
    us_clock,
    us_date,
    us_time,
)

Row = dict[str, Any]

USER: Row = {
    "id": 31001,
    "first_name": "Ada",
    "last_name": "Bell",
    "title": "Manager",
    "email": "ada@example.com",
    "created_at": "1/2/2020 8:00 AM",
    "updated_at": "2/1/2026 8:00 AM",
    "login_count": 900,
    "login_at": "2/27/2026 8:55 AM",
    "customer_id": CUSTOMER,
    "phone_numbers": [],
}
GUEST = Person(number=1, first_name="Cy", last_name="Dun", email="cy.dun@example.com", phone="212-555-0147")


class About(TypedDict, total=False):
    """What an event row can be told about itself; everything else is derived."""

    location: Location
    rooms: Sequence[Room]
    name: str
    status: str
    contact: Person | None
    account: str
    event_type: str
    description: str
    guest_count: int | None
    setup: int
    teardown: int
    event_timezone: str
    booking_id: int
    created: datetime
    updated: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """An event with every choice made; `start` and `end` are wall clock times there."""

    id: int
    start: datetime
    end: datetime
    location: Location = ALDER_HOUSE
    rooms: Sequence[Room] = ()
    name: str = "Alder Team Dinner"
    status: str = "DEFINITE"
    contact: Person | None = GUEST
    account: str = "Alder LLC"
    event_type: str = "Corporate"
    description: str = ""
    guest_count: int | None = 42
    setup: int = 60
    teardown: int = 30
    event_timezone: str = ""
    booking_id: int = 0
    created: datetime = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)
    updated: datetime = datetime(2026, 2, 27, 12, 0, tzinfo=UTC)


def an_event_row(event_id: int, start_local: datetime, end_local: datetime, **about: Unpack[About]) -> Row:
    """Build the full event of the Events API from naive wall clock times and whatever else matters.

    A room is the location's first one unless given; `created` and `updated` are instants.
    """
    draft = _Draft(id=event_id, start=start_local, end=end_local, **about)
    draft = dataclasses.replace(
        draft,
        rooms=tuple(draft.rooms) or draft.location.rooms[:1],
        event_timezone=draft.event_timezone or draft.location.site.timezone,
        booking_id=draft.booking_id or 4_400_000 + draft.id % 1_000_000,
    )
    return {
        **_opening(draft),
        **_guests_and_money(draft),
        **_references(draft),
        **_venue(draft.location, draft.rooms),
        "booking": _booking(draft),
        **_papers(draft),
        **_people(draft),
        **_closing(draft),
    }


def retimed(row: Row, start: datetime, end: datetime, zone: str) -> Row:
    """Give the keys that say when, for new wall clock times in this zone."""
    setup, teardown = row.get("setup_time") or 0, row.get("teardown_time") or 0
    times = _times(start, end, zone)
    padded = _padded(shifted(start, -setup), shifted(end, teardown), zone)
    return {**times, **padded, "start_time": times["event_start"], "end_time": times["event_end"]}


def relocated(location: Location, rooms: Sequence[Room]) -> Row:
    """Give the keys that say where."""
    return {
        "event_timezone": location.site.timezone,
        "site_id": location.site.id,
        "location_id": location.id,
        "room_ids": [room.id for room in rooms],
        **_venue(location, rooms),
    }


def contact_row(person: Person) -> Row:
    """Show a contact as it is embedded in an event."""
    return {
        "id": 7_700_000 + person.number,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "account_id": 5_500_000 + person.number,
        "email_addresses": [{"id": 10 * person.number + 1, "address": person.email}],
        "phone_numbers": [{"id": 10 * person.number + 2, "number": person.phone, "phone_number_type": "Mobile", "extension": ""}],
    }


def _opening(d: _Draft) -> Row:
    times = _times(d.start, d.end, d.location.site.zone)
    return {
        "id": d.id,
        "name": d.name,
        "event_date": times.pop("event_date"),
        "event_date_iso8601": times.pop("event_date_iso8601"),
        "status": d.status,
        **times,
        "setup_time": d.setup,
        "teardown_time": d.teardown,
        **_padded(shifted(d.start, -d.setup), shifted(d.end, d.teardown), d.location.site.zone),
        "event_timezone": d.event_timezone,
        "event_style": "Seated",
    }


def _times(start: datetime, end: datetime, zone: str) -> Row:
    first, last = localize(start, zone), localize(end, zone)
    return {
        "event_date": us_date(start),
        "event_date_iso8601": start.date().isoformat(),
        "event_start": us_time(start),
        "event_end": us_time(end),
        "event_start_utc": _utc(first),
        "event_end_utc": _utc(last),
        "event_start_iso8601": first.isoformat(timespec="seconds"),
        "event_end_iso8601": last.isoformat(timespec="seconds"),
        "event_start_time": us_clock(start),
        "event_end_time": us_clock(end),
        "start_date": us_date(start),
        "end_date": us_date(end),
    }


def _padded(start: datetime, end: datetime, zone: str) -> Row:
    return {
        "event_start_time_with_setup_time": us_time(start),
        "event_end_time_with_teardown_time": us_time(end),
        "event_start_with_setup_iso8601": localize(start, zone).isoformat(timespec="seconds"),
        "event_end_with_teardown_iso8601": localize(end, zone).isoformat(timespec="seconds"),
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _guests_and_money(d: _Draft) -> Row:
    return {
        "guaranteed_guest_count": None,
        "guest_count": d.guest_count,
        "food_and_beverage_min": "2500.0",
        "price_per_person": None,
        "deposit_amount": "500.0",
        "rental_fee": "250.0",
        "actual_amount": "2310.5",
        "grand_total": "2984.17",
        "amount_due": "2484.17",
    }


def _references(d: _Draft) -> Row:
    zone, number = d.location.site.zone, d.contact.number if d.contact else None
    return {
        "description": d.description,
        "contact_id": None if number is None else 7_700_000 + number,
        "account_id": None if number is None else 5_500_000 + number,
        "owned_by": USER["id"],
        "created_at": us_time(to_wall_clock(d.created, zone)),
        "updated_at": us_time(to_wall_clock(d.updated, zone)),
        "deleted_at": None,
        "booking_id": d.booking_id,
        "updated_by": USER["id"],
        "created_by": USER["id"],
        "customer_id": CUSTOMER,
        "site_id": d.location.site.id,
        "location_id": d.location.id,
        "room_ids": [room.id for room in d.rooms],
        "managing_user_ids": [],
        "unassigned": False,
        "event_type_id": None,
        "post_as": d.name.upper(),
        "delivery_instructions": None,
        "selected_gratuity": None,
        "offsite_address": {
            **dict.fromkeys(("id", "country")),
            **dict.fromkeys(("address1", "address2", "city", "state", "zip_code", "address_type"), ""),
        },
        "document_ids": str(d.id % 10_000_000),
        "start_time": us_time(d.start),
        "end_time": us_time(d.end),
        "event_type": d.event_type,
        "lost_reason": {"id": None, "name": None},
        "lost_reason_details": None,
    }


def _venue(location: Location, rooms: Sequence[Room]) -> Row:
    common = {"description": "", "site_id": location.site.id, "location_id": location.id, "is_unassigned": False}
    return {
        "rooms": [{"id": r.id, "name": r.name, "capacity": r.capacity, **common} for r in rooms],
        "location": {
            "id": location.id,
            "name": location.name,
            "customer_id": CUSTOMER,
            "site_id": location.site.id,
            "addresses": [],
            "phone_numbers": [],
        },
    }


def _booking(d: _Draft) -> Row:
    contact = None if d.contact is None else {"id": 7_700_000 + d.contact.number}
    account = None if d.contact is None else {"id": 5_500_000 + d.contact.number, "name": d.account}
    return {
        "id": d.booking_id,
        "name": d.name,
        "status": d.status,
        "event_ids": [d.id],
        "start_date": us_date(d.start),
        "end_date": us_date(d.end),
        "definite_date": us_date(to_wall_clock(d.created, d.location.site.zone)) if d.status == "DEFINITE" else None,
        "tentative_date": None,
        "lost_date": None,
        "deleted_at": None,
        "account": account,
        "contact": contact,
    }


def _papers(d: _Draft) -> Row:
    view = {"name": "Guest View", "url": f"https://portal.example.com/doc/token/{d.id}"}
    number = d.id % 10_000_000
    return {
        "documents": [{"id": number, "title": "BEO", "template_document_id": 12, "deleted_at": None, "views": [view]}],
        "custom_fields": [
            {
                "id": 3_300_000 + d.id % 100_000,
                "custom_field_name": "Parking",
                "custom_field_id": 41,
                "custom_field_required": False,
                "custom_field_slug": "parking",
                "value": "Valet",
            }
        ],
        "category_totals": [{"name": "Food", "total": "1800.0"}],
        "billing_totals": [{"name": "Sales Tax", "total": "184.17"}],
    }


def _people(d: _Draft) -> Row:
    return {
        "owner": dict(USER),
        "creator": dict(USER),
        "updator": dict(USER),
        "managers": [],
        "lead": None if d.contact is None else _lead(d, d.contact),
        "selected_lead_sources": [{"lead_source_id": 7, "lead_source_other": None, "lead_source_name": "Website"}],
        "contact": None if d.contact is None else contact_row(d.contact),
        "secondary_contacts": [],
        "account": None if d.contact is None else {"id": 5_500_000 + d.contact.number, "name": d.account},
    }


def _lead(d: _Draft, person: Person) -> Row:
    created = to_wall_clock(d.created, d.location.site.zone)
    return {
        "id": 6_600_000 + person.number,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "phone_number": person.phone,
        "email_address": person.email,
        "created_at": us_time(created - timedelta(days=2)),
        "converted_at": us_time(created),
        "deleted_at": None,
    }


def _closing(d: _Draft) -> Row:
    created = us_time(to_wall_clock(d.created, d.location.site.zone))
    change = {"status": d.status, "previous_status": "TENTATIVE", "created_at": created, "created_by": USER["id"]}
    return {
        "status_changes": [change],
        "attachments": [{"content_type": "application/pdf", "filename": "map.pdf", "url": "https://files.example.com/map.pdf"}],
    }
