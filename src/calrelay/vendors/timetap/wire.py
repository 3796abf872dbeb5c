"""TimeTap's answers as they come over the wire: only the fields we use, in any spelling, tolerant of every odd value. No meaning here.

REST and webhooks spell keys differently, and any property may be null or absent (TimeTap: 3.1; rule 4). What cannot be read as what it
should be becomes None, so that one odd value never costs the row; only an appointment without an id is refused.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel, ValidationError, model_validator

from calrelay.http.tolerant import to_id, to_text


def _to_text(value: object) -> str | None:
    """Read text; a number counts by its digits, anything else not at all."""
    text = to_text(value)
    return text.strip() or None if text is not None else None


def _to_clock(value: object) -> int | None:
    """Read a clock written as an integer: 0 is midnight, 30 is 00:30, 800 is 08:00 (TimeTap: 3.1, startTime)."""
    text = to_id(value)
    return int(text) if text is not None and text.isdecimal() and text.isascii() and len(text) <= 4 else None


def _to_count(value: object) -> int | None:
    """Read hours or milliseconds, which are whole and not negative; also out of text."""
    text = to_id(value)
    return int(text) if text is not None and text.isdecimal() and text.isascii() and len(text) <= 15 else None


def _to_object(value: object) -> object:
    """Read a nested object; anything else is none."""
    return value if isinstance(value, Mapping) else None


def _to_zone_code(value: object) -> str | None:
    """Read a zone's name, also out of the object whose inner key repeats its own name (TimeTap: 3.1, staff)."""
    return _to_text(fold_keys(value).get("timezonecode")) if isinstance(value, Mapping) else _to_text(value)


_OTHER_NAMES: Final[Mapping[str, str]] = {"professional": "staff"}  # one receiver of webhooks, and an older sample


def fold_keys(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with its keys in lower case and by one name each; where two spellings meet, the one with a value counts."""
    folded: dict[str, Any] = {}
    for key, inner in value.items():
        name = key.casefold()
        name = _OTHER_NAMES.get(name, name)
        if folded.get(name) is None:
            folded[name] = inner
    return folded


Text = Annotated[str | None, BeforeValidator(_to_text)]
Id = Annotated[str | None, BeforeValidator(to_id)]
Clock = Annotated[int | None, BeforeValidator(_to_clock)]
Whole = Annotated[int | None, BeforeValidator(_to_count)]
ZoneCode = Annotated[str | None, BeforeValidator(_to_zone_code)]


class Wire(BaseModel):
    """What all of them share: unknown keys are TimeTap's business, and so is how the others are spelt."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=lambda name: name.replace("_", ""))

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, value: Any) -> Any:
        return fold_keys(value) if isinstance(value, Mapping) else value


class Client(Wire):
    """The one guest of an appointment; `fullName` may be empty where its parts are not, and the other way round."""

    client_id: Id = None
    first_name: Text = None
    last_name: Text = None
    full_name: Text = None
    email_address: Text = None
    cell_phone: Text = None
    home_phone: Text = None


class Staff(Wire):
    """A staff member, which TimeTap also calls professional."""

    professional_id: Id = None
    user_name: Text = None
    full_name: Text = None
    email: Text = None
    time_zone_code: ZoneCode = None


class Location(Wire):
    """A location; it has no zone of its own."""

    location_id: Id = None
    location_name: Text = None


class Reason(Wire):
    """A service or class, which TimeTap calls reason."""

    reason_id: Id = None
    reason_desc: Text = None
    internal_name: Text = None
    internal_display_name: Text = None
    reason_type: Text = None


class AppointmentRow(Wire):
    """An appointment of the report, of /appointments/{id}, or of a webhook; each attendee of a class is one (TimeTap: 3.1 and 6)."""

    id: Annotated[str, BeforeValidator(to_id)] = Field(validation_alias="calendarid")
    status: Text = None
    recurring_appointment_id: Id = None
    created_date: Whole = None  # milliseconds; webhooks have text, which is not needed there

    client_reminder_hours: Whole = None
    staff_reminder_hours: Whole = None
    remind_client_sms_hrs: Whole = None
    remind_staff_sms_hrs: Whole = None

    start_date_time_utc: Text = None
    end_date_time_utc: Text = None
    start_date: Text = None
    start_time: Clock = None
    end_date: Text = None
    end_time: Clock = None
    staff_time_zone: Text = None
    client_start_date: Text = None
    client_start_time: Clock = None
    client_end_date: Text = None
    client_end_time: Clock = None
    client_time_zone: Text = None

    client: Annotated[Client | None, BeforeValidator(_to_object)] = None
    staff: Annotated[Staff | None, BeforeValidator(_to_object)] = None
    location: Annotated[Location | None, BeforeValidator(_to_object)] = None
    reason: Annotated[Reason | None, BeforeValidator(_to_object)] = None


def id_of(item: object) -> str | None:
    """Return the id of a raw appointment in either spelling, or None where it has none; all that is read of a webhook (rule 10)."""
    return to_id(fold_keys(item).get("calendarid")) if isinstance(item, Mapping) else None


def parse_row(item: object) -> AppointmentRow | None:
    """Read one row of a page; None where it has no id, the only thing without which a row is worth nothing."""
    try:
        return AppointmentRow.model_validate(item)
    except ValidationError:
        return None


class AppointmentPage(RootModel[list[Any]]):
    """One page of the report, a bare array. Rows are parsed one by one, so that a bad one costs only itself."""


class OneAppointment(RootModel[AppointmentRow]):
    """The answer of /appointments/{id}, bare or as the only item of an array, as TimeTap has it elsewhere (TimeTap: 7, inconsistencies)."""

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        return value[0] if isinstance(value, list) and len(value) == 1 else value


class Count(Wire):
    """The answer of the report's count."""

    count: int = Field(ge=0)


class Zone(Wire):
    """One of the zones that a staff member can be given."""

    time_zone_code: ZoneCode = None


class Zones(RootModel[list[Zone]]):
    """The answer of /timezones, legacy aliases first."""


class SessionToken(Wire):
    """The answer of /sessionToken; the token is opaque."""

    session_token: str = Field(min_length=1, repr=False)
