"""What a Tripleseat event means in our words, field by field from top to bottom. Pure: no requests, no clock."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from calrelay.domain.event import Event, Lifecycle, SourceId
from calrelay.domain.mapping_log import MappingLog
from calrelay.domain.people import Participant, PhoneField, Role, contactable, person_name
from calrelay.domain.text import plain, title
from calrelay.vendors.tripleseat.context import Context
from calrelay.vendors.tripleseat.times import location_id, names_zone, when
from calrelay.vendors.tripleseat.wire import Contact, EventRow, Phone, User

MAPPING_VERSION: Final = "1"  # raise it when a release maps the same row differently

# Tripleseat: Status and deletion. CLOSED is finished and billed, and still took place; there is no CANCELLED.
_LIFECYCLES: Final[Mapping[str, Lifecycle]] = {
    "PROSPECT": Lifecycle.LIVE,
    "TENTATIVE": Lifecycle.LIVE,
    "WAITLIST": Lifecycle.LIVE,
    "DEFINITE": Lifecycle.LIVE,
    "CLOSED": Lifecycle.LIVE,
    "LOST": Lifecycle.CANCELLED,
}
_PHONE_TYPES: Final = ("mobile", "main", "work", "home")  # in this order (rule 10); others that are no telephone are never called
_NO_TELEPHONES: Final = frozenset({"fax", "pager", "skype"})
_NAMES_KEPT: Final = 1024  # a venue has few rooms, locations and types of event


def to_canonical(row: EventRow, context: Context, *, row_hash: str = "") -> Event:
    """Return the canonical event of a row. A cancelled one needs no time that can be read: it will only ever be taken out.

    Raises:
        MappingError: no time can be read, the event ends before it starts, or nobody says which zone it is in.
    """
    log = MappingLog()
    status, lifecycle = _status(row, log)
    timed = when(row, context, log, lifecycle)
    return Event(
        source_id=SourceId(row.id),
        status=status,
        lifecycle=lifecycle,
        start=timed.start,
        end=timed.end,
        zone=timed.zone,
        title=_title(row, log),
        location=_location(row),
        content=plain(row.description or ""),
        participants=_participants(row, context, log),
        facets=_facets(row),
        custom=_custom(row, status),
        group=_booking_id(row),
        notes=tuple(log.notes),
        reasoning=log.in_words() if context.explains else (),
        row_hash=row_hash,
    )


def lacks_zone(row: EventRow, context: Context) -> bool:
    """Say whether a row needs its site's zone, because neither the config nor the row itself names one."""
    if _lifecycle(row) is Lifecycle.CANCELLED:
        return False
    return not names_zone(row, context)


def lacks_channels(row: EventRow, context: Context) -> bool:
    """Say whether asking for the event by id may tell how to reach somebody wanted, which the row leaves out.

    Whether list rows hold phones and e-mails is not proven: absent arrays may be there by id, empty ones will not (Tripleseat: Unknowns).
    """
    if _lifecycle(row) is Lifecycle.CANCELLED:
        return False
    wanted = [person for role, person in _people(row) if role in context.people]
    if any(isinstance(person, Contact) and person.lacks_channels for person in wanted):
        return True
    return Role.CONTACT in context.people and row.contact is None and row.contact_id is not None


def is_deleted(row: EventRow) -> bool:
    """Say whether the row is a soft deletion: it may stay in lists and answer by id, with this one field set (Tripleseat: 6)."""
    return row.deleted_at is not None


def _lifecycle(row: EventRow) -> Lifecycle:
    return Lifecycle.CANCELLED if is_deleted(row) else _LIFECYCLES.get((row.status or "").upper(), Lifecycle.UNKNOWN)


def _status(row: EventRow, log: MappingLog) -> tuple[str, Lifecycle]:
    status = (row.status or "").upper()  # upper-case in payloads, lower-case in filters (Tripleseat: quirk 6)
    lifecycle = _lifecycle(row)
    why = "deleted_at is set" if is_deleted(row) else f"status is {status or 'missing'}"
    if lifecycle is Lifecycle.UNKNOWN:
        log.notes.append("the status is missing" if not status else "the status is not one this release knows")
    log.because("lifecycle: {}, because {}", lifecycle, why)
    return status, lifecycle


def _title(row: EventRow, log: MappingLog) -> str:
    # The name may hold HTML and entities; post_as is what the venue shows in public, and is often in capitals.
    named = title(row.name or "")
    log.because("title: from {}", "name" if named else "post_as")
    return named or title(row.post_as or "")


def _location(row: EventRow) -> str:
    # Room names come with trailing blanks, and in any order: sorted, so that the order alone never looks like a change.
    rooms = sorted({title(room.name) for room in row.rooms if room.name and not room.is_unassigned}, key=str.casefold)
    house = title(row.location.name or "") if row.location else ""
    return ", ".join([part for part in (house, *rooms) if part])


def _participants(row: EventRow, context: Context, log: MappingLog) -> tuple[Participant, ...]:
    """Gather the people the pipeline wants; no address and no number is messaged twice, even where two people share one."""
    found: list[Participant] = []
    taken: set[str] = set()
    for role, person in _people(row):
        if role in context.people:
            who = _participant(role, person, context, log)
            fresh = _without(who, taken)
            taken |= _channels(who)
            if fresh.is_reachable or not who.is_reachable:
                found.append(fresh)
    log.because("participants: {}", ", ".join([who.role for who in found]) or "nobody")
    return tuple(found)


def _participant(role: Role, person: Contact | User, context: Context, log: MappingLog) -> Participant:
    reached = contactable(
        name=person_name(person.first_name, person.last_name),
        role=role,
        emails=_emails(person),
        phones=_phones(person.phone_numbers or ()),
        region=context.region,
    )
    log.notes += reached.notes
    return reached.participant


def _channels(who: Participant) -> set[str]:
    return {channel.casefold() for channel in (who.email, who.phone) if channel}


def _without(who: Participant, taken: set[str]) -> Participant:
    if not taken:
        return who
    email = None if who.email and who.email.casefold() in taken else who.email
    return dataclasses.replace(who, email=email, phone=None if who.phone in taken else who.phone)


def _people(row: EventRow) -> Iterator[tuple[Role, Contact | User]]:
    if row.contact is not None:
        yield Role.CONTACT, row.contact
    for contact in row.secondary_contacts:
        yield Role.SECONDARY_CONTACT, contact
    if row.owner is not None:
        yield Role.OWNER, row.owner


def _emails(person: Contact | User) -> list[str | None]:
    if isinstance(person, User):
        return [person.email]  # a user has one flat address, a contact an array without a primary flag
    return [email.address for email in person.email_addresses or ()]


def _phones(phones: Iterable[Phone]) -> list[PhoneField]:
    """Order by type: Mobile, Main, Work, Home, then what has no type that we know; the vendor's order decides among equals."""
    typed = [((phone.phone_number_type or "").casefold(), phone) for phone in phones]
    ranked = sorted((pair for pair in typed if pair[0] not in _NO_TELEPHONES), key=lambda pair: _rank(pair[0]))
    return [PhoneField(number=phone.number, extension=phone.extension) for _, phone in ranked]


def _rank(kind: str) -> int:
    return _PHONE_TYPES.index(kind) if kind in _PHONE_TYPES else len(_PHONE_TYPES)


def _facets(row: EventRow) -> Mapping[str, frozenset[str]]:
    location = row.location
    rooms = [value for room in row.rooms for value in (room.id, room.name)]
    return _facets_of(row.event_type, location_id(row), location.name if location else None, *rooms)


@lru_cache(maxsize=_NAMES_KEPT)
def _facets_of(event_type: str | None, place_id: str | None, place: str | None, *rooms: str | None) -> Mapping[str, frozenset[str]]:
    """Most events share theirs with others; nobody changes them."""
    return {"event_types": _folded(event_type), "locations": _folded(place_id, place), "rooms": _folded(*rooms)}


@lru_cache(maxsize=_NAMES_KEPT)
def _folded(*values: str | None) -> frozenset[str]:
    return frozenset(text.casefold() for value in values if value and (text := title(value)))


def _custom(row: EventRow, status: str) -> dict[str, str]:
    guests = row.guest_count if row.guest_count is not None else row.guaranteed_guest_count  # either may be null, 6 % and 15 % are
    values = {
        "source": "tripleseat",
        "status": status,
        "event_type": title(row.event_type or ""),
        "guest_count": "" if guests is None else str(guests),
        "account": _account(row),
        "booking_id": _booking_id(row),
    }
    return {key: value for key, value in values.items() if value}


def _account(row: EventRow) -> str:
    # One client found the name only at booking.account in search rows (Tripleseat: 3.1, account).
    named = [row.account, row.booking.account if row.booking else None]
    return next((title(account.name) for account in named if account and account.name), "")


def _booking_id(row: EventRow) -> str:
    return row.booking_id or (row.booking.id if row.booking else None) or ""
