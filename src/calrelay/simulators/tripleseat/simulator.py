"""Tripleseat's REST API v1 and its OAuth pages as an ASGI app, with everything the vendor page says a simulator must do."""

import asyncio
import html
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from calrelay.simulators.control import control_app
from calrelay.simulators.faults import LOGIN_PAGE, FaultMiddleware, Faults, Journal, SimulatedClock
from calrelay.simulators.limits import RateWindow
from calrelay.simulators.tripleseat.control import TripleseatControl
from calrelay.simulators.tripleseat.events import Events, Stored
from calrelay.simulators.tripleseat.oauth import Authority, OAuthError, TokenPair, Verdict
from calrelay.simulators.tripleseat.places import location_row, site_row
from calrelay.simulators.tripleseat.search import BadSearch, Page, list_events, search_events
from calrelay.simulators.tripleseat.settings import AuthFailure, Deletion, Errors, TripleseatSettings
from calrelay.simulators.tripleseat.webhooks import Webhooks
from calrelay.simulators.tripleseat.writes import Rejected, create_event, update_event

_ANY = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_Answer = Callable[[Request], Awaitable[Response]]


class _NotFound(LookupError):
    """Nothing has the id that was asked for."""


class TripleseatSimulator:
    """A Tripleseat customer with sites, locations, events, OAuth and webhooks; empty until somebody adds events."""

    name = "tripleseat"

    def __init__(self, *, seed: int = 0, clock: SimulatedClock | None = None, settings: TripleseatSettings | None = None) -> None:
        self.settings = settings or TripleseatSettings()
        self.clock = clock or SimulatedClock()
        self.faults = Faults(seed)
        self.journal = Journal()
        self.events = Events(self.clock)
        self.authority = Authority(self.settings, self.clock, seed)
        self.webhooks = Webhooks(self.settings, self.clock)
        self.events.on_edit = self.webhooks.note
        self._windows = (RateWindow(0, timedelta(seconds=1)), RateWindow(0, timedelta(minutes=1)))
        self._after_page: list[tuple[int, Callable[[], object]]] = []
        routes = [*control_app(self), *self._oauth_routes(), *self._api_routes()]
        self.app: ASGIApp = FaultMiddleware(Starlette(routes=routes), faults=self.faults, journal=self.journal, clock=self.clock)

    def control_routes(self) -> Sequence[BaseRoute]:
        """List the control calls that only Tripleseat has."""
        return TripleseatControl(self).routes()

    def snapshot(self) -> dict[str, Any]:
        """Count events by status, what is deleted, tokens and webhooks."""
        statuses: dict[str, int] = {}
        for stored in self.events:
            status = str(stored.row.get("status"))
            statuses[status] = statuses.get(status, 0) + 1
        return {
            "events": len(self.events),
            "statuses": statuses,
            "deleted": sum(1 for s in self.events if s.deletion is not None),
            "locations": {location.id: location.name for location in self.events.locations.values()},
            **self.authority.counts(),
            "webhooks_waiting": len(self.webhooks.outbox),
            "webhooks_sent": len(self.webhooks.deliveries),
        }

    def issue_tokens(self) -> TokenPair:
        """Return a valid pair, as if somebody had consented in a browser."""
        return self.authority.issue()

    def grant(self, *, refresh_token: str) -> None:
        """Make this refresh token valid, as if it came from an earlier consent."""
        self.authority.grant(refresh_token)

    def expire_tokens(self) -> None:
        """Let every access token expire now."""
        self.authority.expire()

    def after_page(self, number: int, change: Callable[[], object]) -> None:
        """Make a change once, right after this page of a list or search was read: so rows move while somebody reads."""
        self._after_page.append((number, change))

    def _oauth_routes(self) -> list[BaseRoute]:
        return [
            Route("/oauth2/authorize", self._authorize, methods=["GET", "POST"]),
            Route("/oauth2/token", self._token, methods=["POST"]),
        ]

    def _api_routes(self) -> list[BaseRoute]:
        return [
            *_both("/v1/events", self._guarded(self._list), ["GET"]),
            *_both("/v1/events", self._guarded(self._create), ["POST"]),
            *_both("/v1/events/search", self._guarded(self._search), ["GET"]),
            Route("/v1/events/{id}", self._guarded(self._show), methods=["GET"]),
            Route("/v1/events/{id}", self._guarded(self._update), methods=["PUT"]),
            Route("/v1/events/{id}", self._guarded(self._delete), methods=["DELETE"]),
            *_both("/v1/sites", self._guarded(self._sites), ["GET"]),
            *_both("/v1/locations", self._guarded(self._locations), ["GET"]),
            Route("/v1/locations/{id}", self._guarded(self._location), methods=["GET"]),
            Route("/{path:path}", self._unknown, methods=_ANY),
        ]

    def _guarded(self, answer: _Answer) -> _Answer:
        """Put rate limit, format and authentication before an answer, in this order."""

        async def endpoint(request: Request) -> Response:
            refusal = self._refuse_rate() or self._refuse_format(request) or self._refuse_stranger(request)
            if refusal is not None:
                return refusal
            response = await self._answered(answer, request)
            await self.webhooks.flush_now()
            return response

        return endpoint

    async def _answered(self, answer: _Answer, request: Request) -> Response:
        try:
            return await answer(request)
        except _NotFound:
            return self._json({"error": "Record not found"}, 404)
        except BadSearch as error:
            return self._json({"success": False, "error": str(error)}, 400)
        except Rejected as error:
            return self._json(self._errors(error), self.settings.validation_status)

    def _refuse_rate(self) -> Response | None:
        now = asyncio.get_running_loop().time()
        limits = (self.settings.requests_per_second, self.settings.requests_per_minute)
        for window, limit in zip(self._windows, limits, strict=True):
            window.limit = limit
            wait = window.hit(now)
            if wait is not None:
                # The body was never seen; this is what Rails applications usually send, and it is not JSON.
                headers = {"retry-after": str(int(wait) + 1)} if self.settings.retry_after else {}
                return PlainTextResponse("Retry later\n", 429, headers)
        return None

    def _refuse_format(self, request: Request) -> Response | None:
        last = request.url.path.rpartition("/")[2]
        if last.endswith(".json") or ("." not in last and "application/json" in request.headers.get("accept", "")):
            return None
        return PlainTextResponse("Not Acceptable", 406)

    def _refuse_stranger(self, request: Request) -> Response | None:
        if key := request.query_params.get("public_key"):
            path = request.url.path.removesuffix(".json")
            opens = key == self.settings.public_key and path in ("/v1/sites", "/v1/locations")
            return None if opens else self._json({"error": "You don't have permission"}, 403)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        verdict = self.authority.judge(token) if scheme.lower() == "bearer" else Verdict.INVALID
        if verdict is Verdict.VALID:
            return None
        return self._stranger(AuthFailure.NO_OWNER if verdict is Verdict.NO_OWNER else self.settings.auth_failure)

    def _stranger(self, failure: AuthFailure) -> Response:
        match failure:
            case AuthFailure.LOGIN_PAGE:
                return HTMLResponse(LOGIN_PAGE)
            case AuthFailure.REDIRECT:
                return RedirectResponse("/login", 302)
            case AuthFailure.NO_OWNER:
                return self._json({"error": "Token resource owner not found"}, 401)
            case AuthFailure.UNAUTHORIZED:
                return self._json({"error": "The access token is invalid"}, 401)

    async def _list(self, request: Request) -> Response:
        return self._page(list_events(self.events, request.query_params, self.settings), request)

    async def _search(self, request: Request) -> Response:
        return self._page(search_events(self.events, request.query_params, self.settings), request)

    def _page(self, page: Page, request: Request) -> Response:
        rows = [_with_financials(row) for row in page.rows] if _wants_financials(request) else list(page.rows)
        results = [{"event": row} for row in rows] if self.settings.wrap_rows else rows
        answer = self._json({"total_pages": page.total_pages, "results": results})
        number = request.query_params.get("page", "1")
        due = [change for after, change in self._after_page if str(after) == number]
        self._after_page = [pair for pair in self._after_page if str(pair[0]) != number]
        for change in due:
            change()
        return answer

    async def _show(self, request: Request) -> Response:
        stored = self._stored(request)
        return self._json({"event": _with_financials(stored.row) if _wants_financials(request) else stored.row})

    async def _create(self, request: Request) -> Response:
        row = create_event(self.events, await _read_event(request), now=self.clock.now(), overlaps=self.settings.overlaps)
        return self._json({"event": row})

    async def _update(self, request: Request) -> Response:
        stored = self._stored(request)
        fields = await _read_event(request)
        row = update_event(self.events, stored.row["id"], fields, now=self.clock.now(), overlaps=self.settings.overlaps)
        return self._json({"event": row})

    async def _delete(self, request: Request) -> Response:
        stored = self._stored(request)
        self.events.delete(stored.row["id"], self.settings.deletion)
        return self._json({"event": stored.row})

    def _stored(self, request: Request) -> Stored:
        event_id = _id(request)
        if event_id not in self.events or self.events.get(event_id).deletion is Deletion.GONE:
            raise _NotFound(event_id)
        return self.events.get(event_id)

    async def _sites(self, _: Request) -> Response:
        sites = {location.site.id: location.site for location in self.events.locations.values()}
        return self._json([{"site": site_row(site)} for site in sites.values()])

    async def _locations(self, _: Request) -> Response:
        return self._json([{"location": location_row(location)} for location in self.events.locations.values()])

    async def _location(self, request: Request) -> Response:
        location = self.events.locations.get(_id(request))
        if location is None:
            raise _NotFound
        return self._json({"location": location_row(location)})

    async def _unknown(self, _: Request) -> Response:
        # Seen by one client: a route that does not exist is a 500, not a 404.
        return self._json({"status": 500, "error": "Internal Server Error"}, 500)

    def _json(self, value: object, status: int = 200) -> Response:
        return rails_json(value, status)

    def _errors(self, error: Rejected) -> dict[str, object]:
        texts = [f"{field.replace('_', ' ').capitalize()} {text}" for field, all_of in error.errors.items() for text in all_of]
        match self.settings.errors:
            case Errors.MAP:
                return {"errors": error.errors}
            case Errors.LIST:
                return {"errors": texts}
            case Errors.STRING:
                return {"success": False, "error": ", ".join(texts)}

    async def _authorize(self, request: Request) -> Response:
        params = {**request.query_params, **await _read_form(request)}
        redirect_uri = params.get("redirect_uri", "")
        if not self.authority.is_client(params.get("client_id", ""), redirect_uri) or params.get("response_type") != "code":
            return HTMLResponse("<h1>An error has occurred</h1><p>Unknown client, redirect URI or response type.</p>", 400)
        consents = request.method == "POST" or self.settings.auto_consent or params.get("auto") == "1"
        if not consents:
            return HTMLResponse(_consent_page(params))
        if params.get("decision") == "deny":
            return _back_to(redirect_uri, {"error": "access_denied"}, params)
        return _back_to(redirect_uri, {"code": self.authority.consent(redirect_uri)}, params)

    async def _token(self, request: Request) -> Response:
        try:
            return self._json(self.authority.exchange(await _read_form(request)).to_json())
        except OAuthError as error:
            return self._json({"error": error.code, "error_description": str(error)}, error.status)


def rails_json(value: object, status: int = 200) -> Response:
    r"""Answer JSON the way Rails writes it: ampersands and angle brackets as \u0026, \u003c and \u003e."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign, escape in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
        text = text.replace(sign, escape)
    return Response(text, status, media_type="application/json; charset=utf-8")


def _both(path: str, endpoint: _Answer, methods: list[str]) -> list[Route]:
    """Route a path with each suffix and without; what the suffix is worth is decided by the format check."""
    return [Route(path + suffix, endpoint, methods=methods) for suffix in ("", ".json", ".xml")]


def _id(request: Request) -> int:
    text = str(request.path_params["id"]).removesuffix(".json")
    if not text.isdecimal():
        raise _NotFound(text)
    return int(text)


def _wants_financials(request: Request) -> bool:
    return request.query_params.get("show_financial") == "true"


def _with_financials(row: dict[str, Any]) -> dict[str, Any]:
    extra = {"line_items": [], "billing_totals": [], "category_totals": [{"name": "Food", "value": "1800.0"}], "payment_set": {}}
    return {**row, "documents": [{**document, **extra} for document in row.get("documents") or ()]}


async def _read_event(request: Request) -> dict[str, Any]:
    """Read {"event": {...}} from the body, as clients send it, or `?event={...}`, as the documentation writes it."""
    text = request.query_params.get("event")
    try:
        event = json.loads(text) if text else json.loads(await request.body()).get("event")
    except (ValueError, AttributeError):
        event = None
    if not isinstance(event, dict):
        raise Rejected({"event": ["is missing"]})
    return event


async def _read_form(request: Request) -> dict[str, str]:
    """Read a token request as form or JSON; both work at Tripleseat."""
    body = await request.body()
    if "json" in request.headers.get("content-type", ""):
        value = json.loads(body or b"{}")
        return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def _back_to(redirect_uri: str, answer: dict[str, str], params: dict[str, str]) -> Response:
    query = {**answer, **({"state": params["state"]} if "state" in params else {})}
    return RedirectResponse(f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(query)}", 302)


def _consent_page(params: dict[str, str]) -> str:
    hidden = "".join(f'<input type="hidden" name="{html.escape(k)}" value="{html.escape(v)}">' for k, v in params.items())
    return (
        "<!DOCTYPE html><html lang='en'><head><title>Authorize</title></head><body><h1>Simulated Tripleseat</h1>"
        "<p>An application asks to read your events.</p>"
        f"<form method='post' action='/oauth2/authorize'>{hidden}"
        "<button name='decision' value='allow'>Authorize</button> <button name='decision' value='deny'>Deny</button></form></body></html>"
    )
