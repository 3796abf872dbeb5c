"""Apptoto's answers as they come over the wire: only the fields we use, and tolerant of what its documents leave open. No meaning here.

Its samples show no external_id, time_zone or conversations, and no type is promised for any field (Apptoto: 3.1). What cannot be read
as what it should be becomes None; only an event without an id is refused.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, RootModel, model_validator

from calrelay.http.tolerant import ANY_TEXT, ID, TRUE_OR_FALSE, Usually, UsuallyShaped, to_flag, to_id, to_text


def _to_objects(value: object) -> list[object]:
    """Read a list of objects; null is an empty one, and what is no object is passed over."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, Mapping)]


def _to_hash(value: object) -> dict[str, str]:
    """Read custom data; its values are text when they come from us, and whatever somebody typed or integrated otherwise."""
    return {str(key): _to_value(inner) for key, inner in value.items()} if isinstance(value, Mapping) else {}


def _to_value(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


Text = Annotated[str | None, Usually(ANY_TEXT, to_text)]
Id = Annotated[str | None, Usually(ID, to_id)]
Flag = Annotated[bool, Usually(TRUE_OR_FALSE, to_flag)]


class Wire(BaseModel):
    """What all of them share: unknown keys are Apptoto's business."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def says(self, field: str) -> bool:
        """Say whether the answer had this field at all, be it as null."""
        return field in self.model_fields_set


class Person(Wire):
    """A participant. `normalized_phone` is the number Apptoto would dial; `state` is written by its messages, never by us."""

    id: Id = None
    name: Text = None
    email: Text = None
    phone: Text = None
    normalized_phone: Text = None
    state: Text = None

    @property
    def is_undiallable(self) -> bool:
        """Whether there is a number that Apptoto could not normalise, as far as it tells."""
        return bool(self.phone) and self.says("normalized_phone") and not self.normalized_phone


class EventRow(Wire):
    """An event of /events or /event (Apptoto: 3.1)."""

    id: Annotated[str, BeforeValidator(to_id)]
    external_id: Id = None
    calendar_id: Id = None
    calendar_name: Text = None
    start_time: Text = None
    end_time: Text = None
    title: Text = None
    location: Text = None
    content: Text = None
    is_deleted: Flag = False
    participants: Annotated[list[Person], UsuallyShaped(_to_objects)] = []
    custom_data: Annotated[dict[str, str], UsuallyShaped(_to_hash)] = {}


class EventList(RootModel[list[EventRow]]):
    """The answer of GET /events. An event without an id, or no list at all, makes the page unsound: an empty one is the end of the list."""

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        return _events_of(value)


class Written(RootModel[list[EventRow]]):
    """The answer of PUT and DELETE /events. What has no id answers for no event and is passed over; who sent it asks for the missing."""

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        events = _events_of(value)
        return [e for e in events if isinstance(e, Mapping) and to_id(e.get("id"))] if isinstance(events, list) else events


class OneEvent(RootModel[EventRow | None]):
    """The answer of /event: bare (Apptoto: 2), but a wrapped one is understood, too; null or an empty list say that there is none."""

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        match value:
            case {"event": inner}:
                return inner
            case {"events": []} | {"events": None}:
                return None
            case {"events": [only]}:
                return only
            case _:
                return value


class CalendarRow(Wire):
    """A calendar; the endpoint is only guessed (Apptoto: 3.4)."""

    id: Annotated[str, BeforeValidator(to_id)]
    name: Text = None


class Calendars(RootModel[list[CalendarRow]]):
    """The answer of /calendars: a list, bare or wrapped, of calendars, bare or wrapped."""

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, value: Any) -> Any:
        items = value.get("calendars", value) if isinstance(value, Mapping) else value
        return [item.get("calendar", item) if isinstance(item, Mapping) else item for item in items] if isinstance(items, list) else items


def _events_of(value: object) -> object:
    """Take the list out of its envelope; null is an empty list, a single object a list of one."""
    events = value.get("events", value) if isinstance(value, Mapping) else value
    match events:
        case None:
            return [] if isinstance(value, Mapping) else None
        case Mapping() if events is not value:
            return [events]
        case _:
            return events
