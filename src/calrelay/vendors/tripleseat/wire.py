"""Tripleseat's answers as they come over the wire: only the fields we use, and tolerant of every shape seen in the field. No meaning here.

Strings come as numbers, objects or nulls, lists as single objects, keys are left out (Tripleseat: Objects; quirks 5 and 11). What cannot be
read as what it should be becomes None, so that one odd value never costs the row; only an event without an id is refused.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel, ValidationError, model_validator

from calrelay.http.tolerant import FILLED_TEXT, ID, TRUE_OR_FALSE, WHOLE_NUMBER, Usually, UsuallyShaped, to_flag, to_id, to_text


def _to_text(value: object) -> str | None:
    """Read text; a number counts by its digits, an object by its name (Tripleseat: quirk 11), anything else not at all."""
    match value:
        case {"name": str() as name}:
            return name.strip() or None
        case _:
            text = to_text(value)
            return text.strip() or None if text is not None else None


def _to_id(value: object) -> str | None:
    """Read an id, which flips between number and string (Tripleseat: 3.1, ids); an object counts by its own id."""
    match value:
        case {"id": inner}:
            return _to_id(inner)
        case _:
            return to_id(value)


def _to_count(value: object) -> int | None:
    """Read a whole number of guests, also where it is written as text or with a decimal."""
    text = _to_text(value)
    try:
        return None if text is None else int(float(text))
    except (ValueError, OverflowError):
        return None


def _to_object(value: object) -> object:
    """Read a nested object; a bare string stands for its name, a bare number for its id, and a list for its first item."""
    match value:
        case Mapping():
            return value
        case bool():
            return None
        case str():
            return {"name": value} if value.strip() else None
        case int():
            return {"id": value}
        case [first, *_]:
            return _to_object(first)
        case _:
            return None


def _to_list(value: object) -> list[object]:
    """Read a list; a single object stands for a list of one (Tripleseat: quirk 5), null and anything odd for an empty one."""
    items = value if isinstance(value, list) else [value]
    return [found for item in items if (found := _to_object(item)) is not None]


def _to_list_or_none(value: object) -> list[object] | None:
    """Read a list, but keep null apart from empty: what is not there may be there when the event is asked for by id."""
    return None if value is None else _to_list(value)


Text = Annotated[str | None, Usually(FILLED_TEXT, _to_text)]
Id = Annotated[str | None, Usually(ID, _to_id)]
Count = Annotated[int | None, Usually(WHOLE_NUMBER, _to_count)]
Flag = Annotated[bool, Usually(TRUE_OR_FALSE, to_flag)]


class Wire(BaseModel):
    """What all of them share: unknown keys are Tripleseat's business."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Named(Wire):
    """An account, or whatever else is only known by id and name."""

    id: Id = None
    name: Text = None


class Email(Wire):
    """One of a contact's addresses; there is no primary flag."""

    address: Text = None

    @model_validator(mode="before")
    @classmethod
    def _accept_bare(cls, value: Any) -> Any:
        return {"address": value["name"]} if isinstance(value, Mapping) and set(value) == {"name"} else value


class Phone(Wire):
    """One of a contact's numbers: free text, with its type beside it and the extension apart."""

    number: Text = None
    phone_number_type: Text = None
    extension: Text = None

    @model_validator(mode="before")
    @classmethod
    def _accept_bare(cls, value: Any) -> Any:
        return {"number": value["name"]} if isinstance(value, Mapping) and set(value) == {"name"} else value


class Contact(Wire):
    """A contact in an event. An array that is absent is None, an empty one is empty: only the former is worth another request."""

    id: Id = None
    first_name: Text = None
    last_name: Text = None
    email_addresses: Annotated[list[Email] | None, UsuallyShaped(_to_list_or_none)] = None
    phone_numbers: Annotated[list[Phone] | None, UsuallyShaped(_to_list_or_none)] = None

    @property
    def lacks_channels(self) -> bool:
        """Whether neither array was there at all, which list rows may leave out (Tripleseat: Unknowns)."""
        return self.email_addresses is None and self.phone_numbers is None


class User(Wire):
    """A Tripleseat user as `owner`: one flat address, unlike contacts."""

    id: Id = None
    first_name: Text = None
    last_name: Text = None
    email: Text = None
    phone_numbers: Annotated[list[Phone] | None, UsuallyShaped(_to_list_or_none)] = None


class Room(Wire):
    """A room, also called area; the name may have trailing blanks, `is_unassigned` marks a placeholder."""

    id: Id = None
    name: Text = None
    is_unassigned: Flag = False


class Place(Wire):
    """The location inside an event; it has no zone of its own."""

    id: Id = None
    name: Text = None
    site_id: Id = None


class Booking(Wire):
    """The booking inside an event; search rows may carry the account's name only here (Tripleseat: 3.1, account)."""

    id: Id = None
    account: Annotated[Named | None, UsuallyShaped(_to_object)] = None


class EventRow(Wire):
    """An event of /events/search or /events/{id} (Tripleseat: 3.1)."""

    id: Annotated[str, BeforeValidator(_to_id)]
    name: Text = None
    post_as: Text = None
    description: Text = None
    status: Text = None
    event_type: Text = None
    deleted_at: Text = None

    event_start: Text = None
    event_end: Text = None
    start_time: Text = None
    end_time: Text = None
    event_start_utc: Text = None
    event_end_utc: Text = None
    event_start_iso8601: Text = None
    event_end_iso8601: Text = None
    event_timezone: Text = None

    guest_count: Count = None
    guaranteed_guest_count: Count = None

    booking_id: Id = None
    contact_id: Id = None
    site_id: Id = None
    location_id: Id = None
    location: Annotated[Place | None, UsuallyShaped(_to_object)] = None
    rooms: Annotated[list[Room], UsuallyShaped(_to_list)] = Field(default_factory=list)
    booking: Annotated[Booking | None, UsuallyShaped(_to_object)] = None
    account: Annotated[Named | None, UsuallyShaped(_to_object)] = None
    contact: Annotated[Contact | None, UsuallyShaped(_to_object)] = None
    secondary_contacts: Annotated[list[Contact], UsuallyShaped(_to_list)] = Field(default_factory=list)
    owner: Annotated[User | None, UsuallyShaped(_to_object)] = None


def bytes_of(row: EventRow) -> bytes:
    """Return all that was read of a row, in the same bytes whenever it is the same."""
    return EventRow.__pydantic_serializer__.to_json(row)


def unwrap(item: object, key: str) -> object:
    """Take an object out of its envelope, if it has one: clients disagree about rows (Tripleseat: Endpoints, dissent)."""
    return item[key] if isinstance(item, Mapping) and isinstance(item.get(key), Mapping) else item


def id_of(item: object) -> str | None:
    """Return the id of a raw row, or None where it has none; for naming a row that cannot be read."""
    row = unwrap(item, "event")
    return _to_id(row.get("id")) if isinstance(row, Mapping) else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A row that is no event as we know it; `id` is None where it has none, `field` says what is wrong first."""

    id: str | None
    field: str


def parse_row(item: object) -> EventRow | Unreadable:
    """Read one row of a page, in its envelope or without; never raises, so that a bad row costs only itself."""
    try:
        return EventRow.model_validate(unwrap(item, "event"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return Unreadable(id=id_of(item), field=".".join(str(part) for part in first["loc"]) or "the whole row")


class EventPage(Wire):
    """One page of /events or /events/search. Rows are parsed one by one, so that a bad one costs only itself."""

    total_pages: int = Field(ge=0)
    results: list[Any]


class SoundPage(Wire):
    """The same page where every row of it is sound and bare, which is faster to read at once."""

    total_pages: int = Field(ge=0)
    results: list[EventRow]


class OneEvent(RootModel[EventRow]):
    """The answer of /events/{id}, create and update, in its envelope or without."""

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        return unwrap(value, "event")


class Site(Wire):
    """A site; its `timezone` is a Rails display name (Tripleseat: 5)."""

    id: Annotated[str, BeforeValidator(_to_id)]
    name: Text = None
    timezone: Text = None


class Location(Wire):
    """A location with its rooms."""

    id: Annotated[str, BeforeValidator(_to_id)]
    name: Text = None
    site_id: Id = None
    rooms: Annotated[list[Room], UsuallyShaped(_to_list)] = Field(default_factory=list)


class OneLocation(RootModel[Location]):
    """The answer of /locations/{id}."""

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        return unwrap(value, "location")


class Sites(RootModel[list[Site]]):
    """The answer of /sites: a bare array of wrapped rows, or `{"results": [...]}` as one client has it."""

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        return _unwrap_all(value, "site")


class Locations(RootModel[list[Location]]):
    """The answer of /locations, shaped like /sites."""

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        return _unwrap_all(value, "location")


def _unwrap_all(value: object, key: str) -> object:
    items = value.get("results", value) if isinstance(value, Mapping) else value
    return [unwrap(item, key) for item in items] if isinstance(items, list) else items


class Token(Wire):
    """An answer of /oauth2/token; a refresh may leave the refresh token out, then the old one lives on."""

    access_token: str = Field(min_length=1, repr=False)
    refresh_token: str | None = Field(default=None, repr=False)
    expires_in: float = Field(default=7200, gt=0)


class TokenRefusal(Wire):
    """A refused token request, or a 401: `error` is the code of RFC 6749, 5.2, or a sentence."""

    error: Text = None
