"""The Apptoto simulator's vendor routes below /v1: the gate (rate, credentials), events, calendars and the calls nobody should make."""

import asyncio
import base64
import json
import math
import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from calrelay.simulators.apptoto.events import Events, Refused, StoredEvent
from calrelay.simulators.apptoto.listing import Listing
from calrelay.simulators.apptoto.messages import Messages, OneOff
from calrelay.simulators.apptoto.settings import ApptotoSettings, BadEvents, CalendarList, Overload, Race
from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.limits import RateWindow

# Event mark's own words (Apptoto: section 3.1) and the state each leaves behind.
MARKS = {
    "accepted": "accepted",
    "declined": "declined",
    "confirmed": "confirmed",
    "cancelled": "not_coming",
    "not_coming": "not_coming",
    "needs_reschedule": "not_coming_needs_reschedule",
}


class Gate:
    """Lets a request to the vendor's routes through, or answers 429, 401 or 403 itself."""

    def __init__(self, app: ASGIApp, *, settings: ApptotoSettings, messages: Messages) -> None:
        self._app = app
        self._settings = settings
        self._messages = messages
        self._window = RateWindow(0, timedelta(minutes=1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, with every message sent that fell due before it."""
        refusal = self._refusal(scope)
        self._messages.run()
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        self._window.limit = self._settings.requests_per_minute or 0
        wait = self._window.hit(asyncio.get_running_loop().time())
        if wait is not None:
            headers = {"Retry-After": str(math.ceil(wait))} if self._settings.retry_after else None
            return JSONResponse({}, 429, headers)
        if not self._is_known(dict(scope["headers"]).get(b"authorization", b"")):
            return JSONResponse({"error": "unauthorized"}, 401)
        return JSONResponse({"error": "forbidden"}, 403) if self._settings.forbidden else None

    def _is_known(self, header: bytes) -> bool:
        expected = base64.b64encode(f"{self._settings.username}:{self._settings.api_key}".encode())
        scheme, _, value = header.partition(b" ")
        return scheme.lower() == b"basic" and value.strip() == expected


class EventCalls:
    """The endpoints for events and calendars."""

    def __init__(
        self, *, settings: ApptotoSettings, clock: SimulatedClock, events: Events, messages: Messages, listing: Listing, seed: int
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._events = events
        self._messages = messages
        self._listing = listing
        self._rng = random.Random(seed)
        self._in_flight = 0
        self.peak_in_flight = 0

    def routes(self) -> list[Route]:
        """Give the routes, relative to /v1."""
        return [
            Route("/events", self.list_events, methods=["GET"]),
            Route("/events", self.put_events, methods=["PUT"]),
            Route("/events", self.post_events, methods=["POST"]),
            Route("/events", self.delete_event, methods=["DELETE"]),
            Route("/event", self.get_event, methods=["GET"]),
            Route("/event/mark", self.mark_event, methods=["POST", "PUT"]),
            Route("/send_message", self.send_message, methods=["POST"]),
            Route("/calendars", self.list_calendars, methods=["GET"]),
        ]

    async def list_events(self, request: Request) -> Response:
        """GET /events."""
        return JSONResponse({"events": self._listing.page(request.query_params)})

    async def get_event(self, request: Request) -> Response:
        """GET /event: one bare object; a deleted one is flagged, or hidden."""
        event = self._asked_for(request.query_params)
        if event is None or (event.is_deleted and not self._settings.show_deleted):
            return JSONResponse({}, 404)
        talk = request.query_params.get("include_conversations", "").lower() == "true"
        return JSONResponse(self._listing.render(event, conversations=talk))

    async def put_events(self, request: Request) -> Response:
        """PUT /events: create or update a batch."""
        return await self._write(request, always_new=False)

    async def post_events(self, request: Request) -> Response:
        """POST /events: create a batch; an external_id in use is no obstacle (Apptoto: section 9)."""
        return await self._write(request, always_new=True)

    async def delete_event(self, request: Request) -> Response:
        """DELETE /events: one event, hidden and kept."""
        event = self._asked_for(request.query_params)
        if event is None:
            return JSONResponse({}, 404)
        again = event.is_deleted
        if again and self._settings.delete_again_status != 200:
            return JSONResponse({}, self._settings.delete_again_status)
        self._events.delete(event)
        return JSONResponse({"events": [self._listing.render(event)]})

    async def list_calendars(self, _: Request) -> Response:
        """GET /calendars, in the shape that is switched on."""
        mode = self._settings.calendar_list
        if mode is CalendarList.MISSING:
            return JSONResponse({}, 404)
        rows = [{"id": c.id, "name": c.name} for c in self._events.calendars.values()]
        return JSONResponse(rows if mode is CalendarList.BARE else {"calendars": rows})

    async def mark_event(self, request: Request) -> Response:
        """Mark all participants of one event; noted, because the daemon must never do it."""
        body = await read_body(request) or {}
        self._messages.marks.append(OneOff(at=self._clock.now(), body=body))
        event = self._events.find(event_id=body.get("id"), external_id=body.get("external_id"))
        state = str(body.get("state", ""))
        if event is None:
            return JSONResponse({}, 404)
        for person in event.participants:
            person.state = MARKS.get(state, person.state)
        return JSONResponse({"events": [self._listing.render(event)]})

    async def send_message(self, request: Request) -> Response:
        """Take a one-off message; noted, because the daemon must never send one."""
        self._messages.one_offs.append(OneOff(at=self._clock.now(), body=await read_body(request) or {}))
        return JSONResponse({})

    def _asked_for(self, query: Mapping[str, str]) -> StoredEvent | None:
        event_id = query.get("id", "")
        return self._events.find(event_id=int(event_id) if event_id.isdecimal() else None, external_id=query.get("external_id"))

    async def _write(self, request: Request, *, always_new: bool) -> Response:
        body = await read_body(request)
        rows = body.get("events") if body else None
        if body is None or not isinstance(rows, list):
            return JSONResponse({}, 400)
        self._in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self._in_flight)
        try:
            return await self._answer(rows, prevent_creation=body.get("prevent_calendar_creation") is True, always_new=always_new)
        except Refused as refused:
            return JSONResponse({}, refused.status)
        finally:
            self._in_flight -= 1

    async def _answer(self, rows: list[Any], *, prevent_creation: bool, always_new: bool) -> Response:
        s = self._settings
        is_overloaded = (s.overload_above is not None and len(rows) > s.overload_above) or self._fails_over(rows)
        if is_overloaded and s.overload is Overload.BEFORE:
            return _bad_gateway()
        usable = self._usable(rows, prevent_creation=prevent_creation, always_new=always_new)
        if is_overloaded and s.overload is Overload.HALF_WAY:
            usable = usable[: len(rows) // 2]
        written = await self._apply(usable, always_new=always_new)
        if is_overloaded:
            return _bad_gateway()
        if len(usable) < len(rows) and s.bad_events is BadEvents.REFUSE_PARTLY:
            return JSONResponse({}, 400)
        if s.shuffle:
            self._rng.shuffle(written)
        return JSONResponse({"events": [self._listing.render(e) for e in written]})

    def _fails_over(self, rows: list[Any]) -> bool:
        return any(isinstance(row, dict) and row.get("external_id") in self._settings.failing for row in rows)

    def _usable(self, rows: list[Any], *, prevent_creation: bool, always_new: bool) -> list[dict[str, Any]]:
        """Leave out what cannot be used, or raise Refused for the whole batch, as the modes say."""
        for row in rows:
            if isinstance(row, dict):
                self._events.check_calendar(row, prevent_creation=prevent_creation)
        bad = [self._events.is_bad(row, always_new=always_new) for row in rows]
        mode = self._settings.bad_events
        if any(bad) and mode is BadEvents.REFUSE_ALL:
            raise Refused(400)
        if any(bad) and mode is BadEvents.PARTIAL:
            return rows[: bad.index(True)]
        return [row for row, is_bad in zip(rows, bad, strict=True) if not is_bad]

    async def _apply(self, rows: list[dict[str, Any]], *, always_new: bool) -> list[StoredEvent]:
        seen_as_new = [always_new or self._events.matching(row) is None for row in rows]
        if self._settings.race is Race.SEVERAL:
            # Between looking and making there is time for another request to look as well.
            await asyncio.sleep(self._settings.race_seconds)
        else:
            seen_as_new = [always_new] * len(rows)
        written: dict[int, StoredEvent] = {}
        for row, is_new in zip(rows, seen_as_new, strict=True):
            if self._settings.seconds_per_event:
                await asyncio.sleep(self._settings.seconds_per_event)
            event = self._events.create(row) if is_new else self._events.put(row)
            written[event.id] = event
        return list(written.values())


async def read_body(request: Request) -> dict[str, Any] | None:
    """Read a JSON object, or None where the body is none."""
    try:
        value = json.loads(await request.body())
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _bad_gateway() -> Response:
    return HTMLResponse("<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>", 502)
