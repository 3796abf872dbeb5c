"""The Apptoto simulator's own calls below /_control: calendars, what guests answer, and the message ledger as JSON."""

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from calrelay.simulators.apptoto.events import Events, StoredEvent
from calrelay.simulators.apptoto.listing import Listing
from calrelay.simulators.apptoto.messages import Messages
from calrelay.simulators.apptoto.people import STATES, Participant
from calrelay.simulators.apptoto.webhooks import Webhooks
from calrelay.simulators.control import guarded, read_object
from calrelay.simulators.faults import SimulatedClock


class ControlCalls:
    """What a test or the page of knobs may do to an Apptoto account beyond the common calls."""

    def __init__(self, *, clock: SimulatedClock, events: Events, messages: Messages, listing: Listing, webhooks: Webhooks) -> None:
        self._clock = clock
        self._events = events
        self._messages = messages
        self._listing = listing
        self._webhooks = webhooks

    def routes(self) -> list[Route]:
        """Give the routes, relative to /_control."""
        return [
            Route("/calendars", guarded(self.calendars), methods=["GET", "POST"]),
            Route("/events", guarded(self.events), methods=["GET"]),
            Route("/messages", guarded(self.messages), methods=["GET"]),
            Route("/participants", guarded(self.change_participants), methods=["POST"]),
        ]

    async def calendars(self, request: Request) -> Response:
        """GET lists the calendars; POST {"name", "time_zone"?} adds one."""
        if request.method == "POST":
            body = await read_object(request)
            self._events.add_calendar(str(body["name"]), body.get("time_zone"))
        return JSONResponse([dataclasses.asdict(c) for c in self._events.calendars.values()])

    async def events(self, _: Request) -> Response:
        """List every event, deleted ones too, and the external_ids that more than one live event holds."""
        rows = [{**self._listing.render(e, conversations=True), "external_id": e.external_id} for e in self._events.all_events()]
        return JSONResponse({"events": rows, "duplicates": sorted(self._events.duplicates())})

    async def messages(self, _: Request) -> Response:
        """Show the ledger: sent, still to be sent, people extracted, and the calls that nobody should make."""
        ledger: dict[str, Sequence[Any]] = {
            "sent": self._messages.sent,
            "would_send": self._messages.would_send(),
            "extracted": self._events.extracted,
            "one_offs": self._messages.one_offs,
            "marks": self._messages.marks,
        }
        return JSONResponse({name: [_plain(row) for row in rows] for name, rows in ledger.items()})

    async def change_participants(self, request: Request) -> Response:
        """Let guests act: {"id" | "external_id", "email"? | "phone"?, "state"?, "messaged"?, "reply"?}; without a person, all of them."""
        body = await read_object(request)
        event = self._events.find(event_id=body.get("id"), external_id=body.get("external_id"))
        if event is None:
            raise ValueError("there is no such event")
        people = [p for p in event.participants if _is_meant(p, body)]
        if not people:
            raise ValueError("the event has no such participant")
        for person in people:
            self.let_act(event, person, state=body.get("state"), reply=body.get("reply"), messaged=body.get("messaged"))
        return JSONResponse(self._listing.render(event, conversations=True))

    def let_act(self, event: StoredEvent, person: Participant, *, state: str | None, reply: str | None, messaged: bool | None) -> None:
        """Change one participant as a guest's answer or an earlier message would."""
        if state is not None:
            if state not in STATES:
                raise ValueError(f"{state!r} is none of {', '.join(STATES)}")
            person.state = state
            self._webhooks.tell("state", event, person)
        if messaged is not None:
            person.messaged = messaged
        if reply is not None:
            row = {"id": len(person.conversation) + 1, "at": self._clock.now().isoformat(timespec="seconds"), "event_type": "replied"}
            person.conversation.append({**row, "content": reply})
            self._webhooks.tell("replied", event, person)


def _is_meant(person: Participant, body: dict[str, Any]) -> bool:
    phone, email = body.get("phone"), body.get("email")
    return (phone is None and email is None) or person.answers_to(phone=phone, email=email)


def _plain(row: Any) -> dict[str, Any]:
    return {f.name: _plain_value(getattr(row, f.name)) for f in dataclasses.fields(row)}


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value
