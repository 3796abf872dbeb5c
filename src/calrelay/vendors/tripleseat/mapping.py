"""What a Tripleseat event means in our words, field by field from top to bottom. Pure: no requests, no clock."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from calrelay.domain.event import Event, Lifecycle, SourceId
from calrelay.domain.people import Participant, PhoneField, Role, contactable, person_name
from calrelay.domain.text import plain, title
from calrelay.domain.zones import Resolution, Zone, parse_wall_clock, resolve_zone, to_instant, with_offset
from calrelay.errors import MappingError
from calrelay.vendors.tripleseat.wire import Contact, EventRow, Phone, User

MAPPING_VERSION: Final = "1"  # raise it when a release maps the same row differently
DISAGREEMENT: Final = "times disagree"  # every note about it begins so

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
_LONGEST: Final = timedelta(hours=24)  # Tripleseat: Time and zones; longer business is one booking with several events
_TOLERANCE: Final = timedelta(minutes=1)  # the wall clock has no seconds
_USUAL_YEARS: Final = range(2000, 2101)
_NAMES_KEPT: Final = 1024  # a venue has few rooms, locations and types of event
_READINGS_KEPT: Final = 8192  # events start and end at few times of day, and every pass reads the same ones again


_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)  # when something takes place whose time neither can be read nor matters


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a row does not say itself.

    `zones` are the config's overrides by "site:<id>" and "location:<id>", `site_zones` what each site says of itself by its id. `people`
    are the roles the pipeline wants to reach, `region` how phone numbers without a country code are read. `explains` asks for reasoning.
    """

    people: frozenset[Role] = frozenset({Role.CONTACT})
    region: str = "US"
    zones: Mapping[str, str] = dataclasses.field(default_factory=dict)
    site_zones: Mapping[str, str] = dataclasses.field(default_factory=dict)
    explains: bool = True


@dataclasses.dataclass(slots=True)
class _Log:
    """What is told about a mapping: notes are few and alike, because reports count them by their words; reasons are for `show`.

    Reasons are put into words for an event that somebody asked for; pages are read without.
    """

    notes: list[str] = dataclasses.field(default_factory=list)
    reasons: list[tuple[str, tuple[object, ...]]] = dataclasses.field(default_factory=list)

    def because(self, text: str, *parts: object) -> None:
        """Note a reason; the parts are filled in where the text has braces."""
        self.reasons.append((text, parts))

    def in_words(self) -> tuple[str, ...]:
        """Return the reasons as people read them."""
        return tuple(text.format(*parts) for text, parts in self.reasons)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The zone an event is in, who says so, and whether the config overrules the vendor's instants with it (rule 5)."""

    zone: Zone
    told_by: str
    overrules: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One field's opinion of an instant."""

    field: str
    instant: datetime
    wall: datetime | None = None
    flag: Resolution = Resolution.EXACT


def to_canonical(row: EventRow, context: Context, *, row_hash: str = "") -> Event:
    """Return the canonical event of a row. A cancelled one needs no time that can be read: it will only ever be taken out.

    Raises:
        MappingError: no time can be read, the event ends before it starts, or nobody says which zone it is in.
    """
    log = _Log()
    status, lifecycle = _status(row, log)
    place, start, end = _when(row, context, log, lifecycle)
    return Event(
        source_id=SourceId(row.id),
        status=status,
        lifecycle=lifecycle,
        start=start,
        end=end,
        zone=place.zone,
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


def _when(row: EventRow, context: Context, log: _Log, lifecycle: Lifecycle) -> tuple[_Place, datetime, datetime]:
    """Find place, start and end; a LOST or deleted row whose times are gone keeps its cancellation, at a time that is over."""
    try:
        place = _place(row, context, log)
        start = _instant(row, "start", place, log)
        return place, start, _end(start, _instant(row, "end", place, log), lifecycle, log)
    except MappingError:
        if lifecycle is not Lifecycle.CANCELLED:
            raise
    log.because("times: none can be read, and none is needed for a cancellation")
    return _Place(zone=resolve_zone("UTC"), told_by="nobody"), _NEVER, _NEVER


def lacks_zone(row: EventRow, context: Context) -> bool:
    """Say whether a row needs its site's zone, because neither the config nor the row itself names one."""
    if _lifecycle(row) is Lifecycle.CANCELLED:
        return False
    return _overriding_place(row, context) is None and not _is_zone(row.event_timezone)


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


def _status(row: EventRow, log: _Log) -> tuple[str, Lifecycle]:
    status = (row.status or "").upper()  # upper-case in payloads, lower-case in filters (Tripleseat: quirk 6)
    lifecycle = _lifecycle(row)
    why = "deleted_at is set" if is_deleted(row) else f"status is {status or 'missing'}"
    if lifecycle is Lifecycle.UNKNOWN:
        log.notes.append("the status is missing" if not status else "the status is not one this release knows")
    log.because("lifecycle: {}, because {}", lifecycle, why)
    return status, lifecycle


def _place(row: EventRow, context: Context, log: _Log) -> _Place:
    """Find the zone: the config's for the location, then for the site, then the row's own, then the site's."""
    place = _overriding_place(row, context) or _told_place(row, context, log)
    if place is None:
        site = _site_id(row)
        named = f"site:{site}" if site else f"location:{_location_id(row)}"
        raise MappingError(
            "Nobody says which time zone the event is in: neither the event nor its site names one this release knows.",
            remedy=f'Set the site\'s time zone in Tripleseat, or name it in the config: zones = {{ "{named}" = "America/New_York" }}.',
        )
    log.because("zone: {}, from {}", place.zone, place.told_by)
    return place


def _overriding_place(row: EventRow, context: Context) -> _Place | None:
    for key in (f"location:{_location_id(row)}", f"site:{_site_id(row)}") if context.zones else ():
        if key in context.zones:
            return _Place(zone=resolve_zone(context.zones[key]), told_by=f"the config's zones for {key}", overrules=True)
    return None


def _told_place(row: EventRow, context: Context, log: _Log) -> _Place | None:
    site = _site_id(row)
    # The format of event_timezone was never seen; Rails names and IANA ids are read alike (Tripleseat: Unknowns).
    told = [("event_timezone", row.event_timezone), (f"site {site}", context.site_zones.get(site or ""))]
    if site is None and len(context.site_zones) == 1:
        told.append(("the only site", next(iter(context.site_zones.values()))))
    for told_by, name in told:
        if not name:
            continue
        try:
            return _named_place(told_by, name)
        except MappingError:
            log.notes.append(f"{told_by} names no time zone this release knows")
    return None


@lru_cache(maxsize=_NAMES_KEPT)
def _named_place(told_by: str, name: str) -> _Place:
    return _Place(zone=resolve_zone(name), told_by=f"{told_by} (“{name}”)")


def _is_zone(name: str | None) -> bool:
    try:
        return bool(name) and bool(resolve_zone(name or ""))
    except MappingError:
        return False


def _instant(row: EventRow, edge: str, place: _Place, log: _Log) -> datetime:
    """Read the start or the end: UTC field, offset field, wall clock (rule 5), or the wall clock first where the config overrules."""
    agreed = None if place.overrules else _agreed(row, edge, place.zone)
    if agreed is not None:
        log.because("{}: {}, from {}", edge, agreed.isoformat(), f"event_{edge}_utc")
        return agreed
    readings = list(_readings(row, edge, place, log))
    if not readings:
        raise MappingError(
            f"Tripleseat tells no {edge} of the event that can be read.",
            remedy="Correct the date and time in Tripleseat; the event is read again in the next pass.",
        )
    chosen = readings[0]
    log.because("{}: {}, from {}", edge, chosen.instant.isoformat(), chosen.field)
    _doubt(edge, chosen, readings[1:], place, log)
    return chosen.instant


def _agreed(row: EventRow, edge: str, zone: Zone) -> datetime | None:
    """Return the instant that all three fields name, each in its usual form; None where they have to be read one by one.

    That is nearly every row, and to look whether the wall clock is what clocks show then costs a tenth of reading it.
    """
    utc, iso, wall = (row.event_start_utc, row.event_start_iso8601, row.event_start) if edge == "start" else _end_texts(row)
    if not (utc and iso and wall and utc[7:8] == iso[7:8] == "-" and ":" in utc and ":" in iso):
        return None
    try:
        instant, again = datetime.fromisoformat(utc), datetime.fromisoformat(iso)
    except ValueError:
        return None
    if instant.tzinfo is None or again.tzinfo is None or instant != again or instant.year not in _USUAL_YEARS:
        return None
    shown = with_offset(instant, zone)
    half = "PM" if shown.hour >= 12 else "AM"
    usual = f"{shown.month}/{shown.day}/{shown.year} {shown.hour % 12 or 12}:{shown.minute:02} {half}"
    return instant.astimezone(UTC) if wall == usual else None


def _end_texts(row: EventRow) -> tuple[str | None, str | None, str | None]:
    return row.event_end_utc, row.event_end_iso8601, row.event_end


def _readings(row: EventRow, edge: str, place: _Place, log: _Log) -> Iterator[_Reading]:
    """Yield what each field says, the one that decides first."""
    utc, iso = f"event_{edge}_utc", f"event_{edge}_iso8601"
    wall = f"event_{edge}" if getattr(row, f"event_{edge}") else f"{edge}_time"  # the deprecated twin may be alone
    names = [utc, iso, wall]
    if place.overrules:
        # The vendor computed its instants with the zone that is wrong: its wall clock is what the venue typed.
        names = [wall, iso, utc]
    for name in names:
        text: str | None = getattr(row, name)
        if text is None:
            continue
        reading = _reading(name, text, place.zone, is_utc=name == utc, overrules=place.overrules)
        if reading is None:
            log.notes.append(f"{name} cannot be read")
            continue
        yield reading


def _moment(text: str) -> datetime | None:
    """Read a date with a time of day; a date alone would put the event at midnight, where nobody booked it."""
    try:
        return parse_wall_clock(text) if ":" in text else None
    except MappingError:
        return None


@lru_cache(maxsize=_READINGS_KEPT)
def _reading(name: str, text: str, zone: Zone, *, is_utc: bool, overrules: bool) -> _Reading | None:
    moment = _moment(text)
    if moment is None:
        return None
    if is_utc:
        return _Reading(field=name, instant=(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC))
    if moment.tzinfo is not None and not overrules:
        return _Reading(field=name, instant=moment.astimezone(UTC))
    wall = moment.replace(tzinfo=None)
    found = to_instant(wall, zone)
    return _Reading(field=f"{name} in {zone}", instant=found.instant, wall=wall, flag=found.flag)


def _doubt(edge: str, chosen: _Reading, others: list[_Reading], place: _Place, log: _Log) -> None:
    """Note what is odd about a reading: a clock change, and fields that say something else."""
    if chosen.flag is Resolution.GAP:
        log.notes.append(f"the {edge} is a time the clocks skipped; it was read with the offset before the change")
    if chosen.flag is Resolution.FOLD:
        log.notes.append(f"the {edge} is a time the clocks showed twice; the first one was taken")
    for other in others:
        if not _agree(chosen, other, place.zone):
            log.notes.append(f"{DISAGREEMENT}: {chosen.field} was taken, {other.field} says otherwise")
            log.because("{}: {} by {}, which disagrees", edge, other.instant.isoformat(), other.field)


def _agree(chosen: _Reading, other: _Reading, zone: Zone) -> bool:
    """Compare two readings. A wall clock agrees with any instant at which clocks show it, so with both occurrences in a fold."""
    if chosen.instant == other.instant or abs(chosen.instant - other.instant) < _TOLERANCE:
        return True
    shown = with_offset(chosen.instant, zone).replace(tzinfo=None)
    return other.wall is not None and abs(shown - other.wall) < _TOLERANCE


def _end(start: datetime, end: datetime, lifecycle: Lifecycle, log: _Log) -> datetime:
    """Refuse an end before the start, which no calendar takes, unless nothing but the cancellation matters."""
    if end < start:
        if lifecycle is not Lifecycle.CANCELLED:
            raise MappingError(
                f"The event ends {start - end} before it starts.",
                remedy="Correct its start or end in Tripleseat; an event past midnight ends on the next day.",
            )
        end = start
    if end == start:
        log.notes.append("the event ends when it starts")
    if end - start > _LONGEST:
        log.notes.append("the event lasts more than the 24 hours Tripleseat allows")
    return end


def _title(row: EventRow, log: _Log) -> str:
    # The name may hold HTML and entities; post_as is what the venue shows in public, and is often in capitals.
    named = title(row.name or "")
    log.because("title: from {}", "name" if named else "post_as")
    return named or title(row.post_as or "")


def _location(row: EventRow) -> str:
    # Room names come with trailing blanks, and in any order: sorted, so that the order alone never looks like a change.
    rooms = sorted({title(room.name) for room in row.rooms if room.name and not room.is_unassigned}, key=str.casefold)
    house = title(row.location.name or "") if row.location else ""
    return ", ".join([part for part in (house, *rooms) if part])


def _participants(row: EventRow, context: Context, log: _Log) -> tuple[Participant, ...]:
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


def _participant(role: Role, person: Contact | User, context: Context, log: _Log) -> Participant:
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


def _facets(row: EventRow) -> dict[str, frozenset[str]]:
    location = row.location
    return {
        "event_types": _folded(row.event_type),
        "locations": _folded(_location_id(row), location.name if location else None),
        "rooms": _folded(*(value for room in row.rooms for value in (room.id, room.name))),
    }


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


def _site_id(row: EventRow) -> str | None:
    return row.site_id or (row.location.site_id if row.location else None)


def _location_id(row: EventRow) -> str | None:
    return row.location_id or (row.location.id if row.location else None)
