"""The control calls that only the Tripleseat simulator has: editing events, tokens, changes in mid-read, webhooks."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from calrelay.simulators.control import Missing, guarded, read_object
from calrelay.simulators.people import Person
from calrelay.simulators.tripleseat.events import Events, Stamp, Trigger
from calrelay.simulators.tripleseat.oauth import Authority, TokenPair
from calrelay.simulators.tripleseat.rows import About, Row, an_event_row
from calrelay.simulators.tripleseat.settings import Deletion, TripleseatSettings
from calrelay.simulators.tripleseat.variants import Variant, vary
from calrelay.simulators.tripleseat.webhooks import Delivery, Order, Signature, Webhooks

_Args = Mapping[str, Any]


class Controlled(Protocol):
    """What of the simulator the control calls reach for."""

    settings: TripleseatSettings
    events: Events
    authority: Authority
    webhooks: Webhooks

    def issue_tokens(self) -> TokenPair:
        """Return a valid pair."""

    def after_page(self, number: int, change: Callable[[], object]) -> None:
        """Make a change after a page was read."""


class TripleseatControl:
    """The endpoints, for one simulator. Edits are POST /events/{id}/{edit} with the edit's arguments as a JSON object."""

    def __init__(self, simulator: Controlled) -> None:
        self._simulator = simulator
        self._edits: dict[str, Callable[[int, _Args], Row | None]] = {
            "patch": self._patch,
            "move": self._move,
            "rename": lambda n, a: self._events.rename(n, a["name"]),
            "status": lambda n, a: self._events.set_status(n, a["status"]),
            "guests": lambda n, a: self._events.set_guests(n, a["count"]),
            "relocate": lambda n, a: self._events.relocate(n, a["location_id"], a["room_ids"]),
            "contact": lambda n, a: self._events.set_contact(n, Person(number=n % 1000, **a)),
            "delete": lambda n, a: self._events.delete(n, Deletion(a.get("mode", self._simulator.settings.deletion))),
            "restore": lambda n, _: self._events.restore(n),
            "vary": self._vary,
        }

    @property
    def _events(self) -> Events:
        return self._simulator.events

    def routes(self) -> Sequence[BaseRoute]:
        """List the calls, with paths relative to /_control."""
        return [
            Route("/events", guarded(self._list), methods=["GET"]),
            Route("/events", guarded(self._add), methods=["POST"]),
            Route("/events/{id:int}", guarded(self._show), methods=["GET"]),
            Route("/events/{id:int}/{edit}", guarded(self._edit), methods=["POST"]),
            Route("/after_page/{page:int}/{id:int}/{edit}", guarded(self._edit_later), methods=["POST"]),
            Route("/tokens", guarded(self._issue), methods=["POST"]),
            Route("/tokens/{verb}", guarded(self._steer_tokens), methods=["POST"]),
            Route("/webhooks", guarded(self._deliveries), methods=["GET"]),
            Route("/webhooks/flush", guarded(self._flush), methods=["POST"]),
            Route("/webhooks/send", guarded(self._send), methods=["POST"]),
            Route("/webhooks/burst", guarded(self._burst), methods=["POST"]),
        ]

    async def _list(self, _: Request) -> Response:
        keys = ("id", "name", "status", "event_start", "event_start_utc", "location_id", "room_ids", "updated_at")
        return JSONResponse([{**{k: s.row.get(k) for k in keys}, "deletion": s.deletion} for s in self._events])

    async def _show(self, request: Request) -> Response:
        return JSONResponse(self._events.get(self._meant(request)).row)

    async def _add(self, request: Request) -> Response:
        """Add a full row, or make one from `start`, `end` (wall clock, ISO) and what else an event can be told about itself."""
        given = await read_object(request)
        row = given["row"] if "row" in given else self._built(given)
        self._events.add(row)
        await self._simulator.webhooks.flush_now()
        return JSONResponse(row)

    def _built(self, given: dict[str, Any]) -> Row:
        about: About = {}
        start, end = datetime.fromisoformat(given.pop("start")), datetime.fromisoformat(given.pop("end"))
        location_id, room_ids = given.pop("location_id", None), given.pop("room_ids", ())
        if location_id is not None:
            location = self._events.locations[location_id]
            about["location"] = location
            about["rooms"] = [room for room in location.rooms if room.id in room_ids]
        if "contact" in given:
            contact = given.pop("contact")
            about["contact"] = Person(number=self._events.next_id() % 1000, **contact) if contact else None
        return an_event_row(given.pop("id", self._events.next_id()), start, end, **about, **given)

    async def _edit(self, request: Request) -> Response:
        event_id, edit = self._meant(request), self._edit_of(request)
        edit(event_id, await read_object(request))
        await self._simulator.webhooks.flush_now()
        return JSONResponse(self._events.get(event_id).row)

    async def _edit_later(self, request: Request) -> Response:
        event_id, edit = self._meant(request), self._edit_of(request)
        given = await read_object(request)
        self._simulator.after_page(request.path_params["page"], lambda: edit(event_id, given))
        return JSONResponse({"waiting": True})

    def _meant(self, request: Request) -> int:
        event_id: int = request.path_params["id"]
        if event_id not in self._events:
            raise Missing(f"there is no event {event_id}")
        return event_id

    def _edit_of(self, request: Request) -> Callable[[int, _Args], Row | None]:
        edit = self._edits.get(request.path_params["edit"])
        if edit is None:
            raise ValueError(f"an event cannot be told to {request.path_params['edit']!r}, but to {', '.join(self._edits)}")
        return edit

    def _patch(self, event_id: int, given: _Args) -> Row:
        if not given.keys() & {"set", "drop"}:
            raise ValueError('a patch is {"set": {"FIELD": VALUE}} or {"drop": ["FIELD"]}, or both')
        return self._events.patch(event_id, given.get("set", {}), drop=given.get("drop", ()), stamp=Stamp(given.get("stamp", "move")))

    def _move(self, event_id: int, given: _Args) -> Row:
        if "minutes" in given:
            return self._events.shift(event_id, timedelta(minutes=given["minutes"]))
        end = given.get("end")
        return self._events.move(event_id, datetime.fromisoformat(given["start"]), datetime.fromisoformat(end) if end else None)

    def _vary(self, event_id: int, given: _Args) -> Row:
        row, variant = dict(self._events.get(event_id).row), given["variant"]
        if variant not in list(Variant):
            raise ValueError(f"{variant!r} is no variant; there are {', '.join(Variant)}")
        vary(row, Variant(variant))
        return self._events.replace(row)

    async def _issue(self, _: Request) -> Response:
        return JSONResponse(self._simulator.issue_tokens().to_json())

    async def _steer_tokens(self, request: Request) -> Response:
        given, authority = await read_object(request), self._simulator.authority
        match request.path_params["verb"]:
            case "expire":
                authority.expire()
            case "revoke":
                authority.revoke()
            case "grant":
                authority.grant(given["refresh_token"])
            case verb:
                raise ValueError(f"tokens cannot be told to {verb!r}, but to expire, revoke, grant")
        return JSONResponse(authority.counts())

    async def _deliveries(self, _: Request) -> Response:
        return JSONResponse([_from_delivery(d) for d in self._simulator.webhooks.deliveries])

    async def _flush(self, request: Request) -> Response:
        given = await read_object(request)
        order, signature = Order(given.get("order", Order.AS_HAPPENED)), Signature(given.get("signature", Signature.SOUND))
        deliveries = await self._simulator.webhooks.flush(order, signature, copies=int(given.get("copies", 1)))
        return JSONResponse([_from_delivery(d) for d in deliveries])

    async def _send(self, request: Request) -> Response:
        given = await read_object(request)
        row = {"id": given["id"]} if given.get("id_only") else self._events.get(given["id"]).row
        signature = Signature(given.get("signature", Signature.SOUND))
        delivery = await self._simulator.webhooks.send(Trigger(given.get("trigger", Trigger.UPDATE_EVENT)), row, signature)
        return JSONResponse(_from_delivery(delivery))

    async def _burst(self, request: Request) -> Response:
        given = await read_object(request)
        order = Order(given.get("order", Order.AS_HAPPENED))
        return JSONResponse([_from_delivery(d) for d in await self._simulator.webhooks.burst(self._events.get(given["id"]).row, order)])


def _from_delivery(delivery: Delivery) -> dict[str, Any]:
    return {"trigger": delivery.trigger, "event_id": delivery.event_id, "statuses": list(delivery.statuses)}
