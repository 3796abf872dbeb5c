"""What every simulator offers, and the JSON calls below /_control that steer any of them; each vendor keeps its own calls."""

import dataclasses
import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from calrelay.simulators import knobs
from calrelay.simulators.faults import Entry, Fault, Faults, Journal, Kind, SimulatedClock

LAST_STATUS = 599
_HEADER = re.compile(r"(?!(?i:content-length|transfer-encoding)$)[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x20-\x7e\t]*")


class Simulator(Protocol):
    """One vendor as an ASGI app that can be steered from Python and from /_control.

    Made with `XSimulator(seed=0, clock=None, settings=None)`; the same seed and the same calls give the same answers.
    """

    @property
    def name(self) -> str:
        """The vendor: "tripleseat", "timetap" or "apptoto"."""

    @property
    def settings(self) -> Any:
        """A mutable, slotted dataclass of knobs and modes, obeyed from the next request on."""

    @property
    def clock(self) -> SimulatedClock:
        """The vendor's time."""

    @property
    def faults(self) -> Faults:
        """What goes wrong next."""

    @property
    def journal(self) -> Journal:
        """What was asked so far."""

    @property
    def app(self) -> ASGIApp:
        """The vendor's routes and `control_app(self)`, wrapped in FaultMiddleware."""

    def control_routes(self) -> Sequence[BaseRoute]:
        """List the vendor's own control calls, with paths relative to /_control."""

    def snapshot(self) -> dict[str, Any]:
        """Sum up what the vendor holds, as JSON."""


class Missing(ValueError):
    """There is nothing of the id in a control call's path."""


def control_app(simulator: Simulator) -> list[BaseRoute]:
    """Give the control calls, below /_control, to put before the vendor's own routes.

    GET state; POST settings (a patch; 400 with the known names); GET, POST, DELETE faults; GET, DELETE journal
    (?method=&path=&since=<number>); POST clock ({"advance_seconds": n}); and `simulator.control_routes()`.
    """
    calls = _Calls(simulator)
    return [
        Mount(
            "/_control",
            routes=[
                Route("/state", guarded(calls.show_state), methods=["GET"]),
                Route("/settings", guarded(calls.change_settings), methods=["POST"]),
                Route("/faults", guarded(calls.steer_faults), methods=["GET", "POST", "DELETE"]),
                Route("/journal", guarded(calls.read_journal), methods=["GET", "DELETE"]),
                Route("/clock", guarded(calls.move_clock), methods=["POST"]),
                *simulator.control_routes(),
            ],
        )
    ]


def guarded(call: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Answer 400 {"error"} instead of 500 where a control call was given something it cannot use, and 404 where nothing is of that id."""

    async def endpoint(request: Request) -> Response:
        try:
            return await call(request)
        except knobs.BadKnob as error:
            return JSONResponse({"error": str(error), "known": list(error.known)}, 400)
        except Missing as error:
            return JSONResponse({"error": str(error)}, 404)
        except KeyError as error:
            return JSONResponse({"error": f"there is no {error.args[0]!r}"}, 400)
        except OverflowError as error:
            return JSONResponse({"error": f"a number is too large: {error}"}, 400)
        except (ValueError, TypeError, AttributeError) as error:
            return JSONResponse({"error": str(error)}, 400)

    return endpoint


class Body(dict[str, Any]):
    """A JSON object that says what it lacks: a key that is read and is not there is a ValueError in words."""

    def __missing__(self, key: str) -> Any:
        raise ValueError(f"the body has no {key!r}")

    def pop(self, key: str, *default: Any) -> Any:
        """Take a value out; without a default it has to be there."""
        return super().pop(key, *default) if default else super().pop(key) if key in self else self[key]


async def read_object(request: Request) -> Body:
    """Read a JSON object from the body; an empty body is an empty object, anything else a ValueError or TypeError."""
    body = await request.body()
    try:
        value = json.loads(body, parse_constant=_no_number) if body else {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise TypeError("the body must be a JSON object")
    return Body(value)


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is no number")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def to_fault(row: Mapping[str, Any]) -> Fault:
    """Make a fault rule of its JSON; what it does not know, or a value that does not fit, is a BadKnob."""
    fault = Fault(kind=Kind(row["kind"]))
    knobs.patch(fault, row)
    if not all(math.isfinite(number) for number in (fault.seconds, fault.chance)):
        raise ValueError("a number is too large")
    if not all(isinstance(value, str) for value in fault.headers.values()):
        raise ValueError("headers are texts")
    if not all(_HEADER.fullmatch(name) and _VALUE.fullmatch(value) for name, value in fault.headers.items()):
        raise ValueError("a header's name is one word, and its value one line (RFC 9110, 5)")
    if not _is_text(fault.body or ""):
        raise ValueError("a text has half a character")
    if not HTTPStatus.OK <= fault.status <= LAST_STATUS:
        raise ValueError(f"{fault.status} is no status of an answer")
    return fault


def from_fault(fault: Fault) -> dict[str, Any]:
    """Write a fault rule as JSON."""
    row = dataclasses.asdict(fault)
    return {**row, "kind": fault.kind.value, "when": fault.when.value}


def from_entry(entry: Entry) -> dict[str, Any]:
    """Write a request of the journal as JSON, its body as text."""
    return {
        "number": entry.number,
        "at": entry.at.isoformat(),
        "monotonic": entry.monotonic,
        "method": entry.method,
        "path": entry.path,
        "query": [list(pair) for pair in entry.query],
        "body": entry.body.decode("utf-8", "replace"),
        "status": entry.status,
    }


def state_of(simulator: Simulator) -> dict[str, Any]:
    """Give the whole state of a simulator that a person would want to see, as JSON."""
    return {
        "name": simulator.name,
        "now": simulator.clock.now().isoformat(),
        "snapshot": simulator.snapshot(),
        "settings": {knob.name: knobs.to_plain(knob.value) for knob in knobs.knobs_of(simulator.settings)},
        "faults": [from_fault(f) for f in simulator.faults.rules],
        "requests": len(simulator.journal.entries),
    }


class _Calls:
    """The endpoints of the common control calls, for one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def show_state(self, _: Request) -> Response:
        return JSONResponse(state_of(self._simulator))

    async def change_settings(self, request: Request) -> Response:
        knobs.patch(self._simulator.settings, await read_object(request))
        return JSONResponse(state_of(self._simulator)["settings"])

    async def steer_faults(self, request: Request) -> Response:
        faults = self._simulator.faults
        if request.method == "DELETE":
            faults.clear()
        if request.method == "POST":
            faults.add(to_fault(await read_object(request)))
        return JSONResponse([from_fault(f) for f in faults.rules])

    async def read_journal(self, request: Request) -> Response:
        journal = self._simulator.journal
        if request.method == "DELETE":
            journal.clear()
        method, path = request.query_params.get("method", "*"), request.query_params.get("path", "")
        since = int(request.query_params.get("since", "0"))
        wanted = (e for e in journal.entries if e.number > since and method in ("*", e.method) and path in e.path)
        return JSONResponse([from_entry(e) for e in wanted])

    async def move_clock(self, request: Request) -> Response:
        seconds = (await read_object(request))["advance_seconds"]
        self._simulator.clock.advance(timedelta(seconds=seconds))
        return JSONResponse({"now": self._simulator.clock.now().isoformat()})
