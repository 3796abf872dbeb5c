"""How the Apptoto simulator shows events: the wire shape of one, and the list with its filters and pages."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytz

from calrelay.simulators.apptoto.events import Events, StoredEvent
from calrelay.simulators.apptoto.people import Participant
from calrelay.simulators.apptoto.settings import ApptotoSettings
from calrelay.simulators.apptoto.texts import read_time

DEFAULT_PAGE = 30


class Listing:
    """Renders events as Apptoto returns them (Apptoto: sections 3.1 and 4)."""

    def __init__(self, *, settings: ApptotoSettings, events: Events) -> None:
        self._settings = settings
        self._events = events

    def render(self, event: StoredEvent, *, people: list[Participant] | None = None, conversations: bool = False) -> dict[str, Any]:
        """Give an event as JSON, with all its participants or only these."""
        calendar = self._events.calendars.get(event.calendar_id)  # none once it was removed
        row: dict[str, Any] = {
            "id": event.id,
            "calendar_id": event.calendar_id,
            "calendar_name": calendar.name if calendar else None,
            "start_time": self._time(event.start_time),
            "end_time": self._time(event.end_time),
            "title": event.title,
            "location": event.location,
            "content": event.content,
            "is_deleted": event.is_deleted,
            "participants": [_person(event, p, conversations=conversations) for p in (event.participants if people is None else people)],
            "custom_data": dict(event.custom_data),
        }
        if self._settings.echo_external_id:
            row["external_id"] = event.external_id
        if self._settings.echo_time_zone:
            row["time_zone"] = event.time_zone
        return row

    def page(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Give one page of the list, oldest first; parameters that are unknown or make no sense are ignored."""
        size = min(_number(query.get("page_size"), DEFAULT_PAGE), self._settings.page_cap)
        first = (_number(query.get("page"), 1) - 1) * size
        conversations = _is_true(query.get("include_conversations"))
        copies = [copy for event in self._found(query) for copy in _copies(event, query)]
        return [self.render(event, people=people, conversations=conversations) for event, people in copies[first : first + size]]

    def _found(self, query: Mapping[str, str]) -> list[StoredEvent]:
        zone = self._settings.account_zone
        begin, end = read_time(query.get("begin"), zone), read_time(query.get("end"), zone)
        events = self._events.all_events() if _is_true(query.get("include_deleted")) else self._events.live_events()
        found = [
            e
            for e in events
            if (begin is None or e.start_time >= begin) and (end is None or e.start_time <= end) and _is_asked_for(e, query)
        ]
        return sorted(found, key=lambda e: (e.start_time, e.id))

    def _time(self, at: datetime) -> str:
        zone = self._settings.rendered_zone
        return (at.astimezone(pytz.timezone(zone)) if zone else at).isoformat(timespec="seconds")


def _is_asked_for(event: StoredEvent, query: Mapping[str, str]) -> bool:
    """Obey the list's legacy way to fetch a single event."""
    by_id = "id" not in query or query["id"] == str(event.id)
    return by_id and ("external_id" not in query or query["external_id"] == event.external_id)


def _copies(event: StoredEvent, query: Mapping[str, str]) -> Iterator[tuple[StoredEvent, list[Participant] | None]]:
    """Give an event once, or with a person filter once for each participant that matches (Apptoto: section 4)."""
    # An unencoded "+" arrives as a blank.
    phone, email = query.get("phone_number"), query.get("email_address")
    if phone is None and email is None:
        yield event, None
        return
    if phone is not None and phone.startswith(" "):
        phone = "+" + phone.strip()
    for person in event.participants:
        if person.answers_to(phone=phone, email=email):
            yield event, [person]


def _person(event: StoredEvent, person: Participant, *, conversations: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": person.id,
        "event_id": event.id,
        "name": person.name,
        "phone": person.phone,
        "normalized_phone": person.normalized_phone,
        "email": person.email,
        "state": person.state,
    }
    if conversations and person.conversation:
        row["conversations"] = [{"messages": list(person.conversation)}]
    return row


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdecimal() and int(text) > 0 else default


def _is_true(text: str | None) -> bool:
    return text is not None and text.lower() in ("true", "1")
