"""Session tokens of the simulated TimeTap, and the gate that asks for one before every other call."""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.limits import RateWindow
from calrelay.simulators.timetap.settings import TimeTapSettings


def sign(api_key: str, private_key: str) -> str:
    """Return the signature TimeTap expects: lower-case hex md5 of both keys without anything between (TimeTap page, section 1)."""
    return hashlib.md5((api_key + private_key).encode(), usedforsecurity=False).hexdigest()


class Tokens:
    """The tokens in force; each call mints a new one."""

    def __init__(self, settings: TimeTapSettings, clock: SimulatedClock, rng: random.Random) -> None:
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._minted: dict[str, datetime] = {}
        self._calls: Counter[str] = Counter()
        self.count = 0

    def mint(self) -> str:
        """Return a new token; older ones die when tokens cannot live side by side."""
        if not self._settings.parallel_tokens:
            self._minted.clear()
        token = f"st:api:api:{self._rng.getrandbits(128):032x}"
        self._minted[token] = self._clock.now()
        self.count += 1
        return token

    def accepts(self, token: str) -> bool:
        """Tell whether a call with this token is let through: it is one of ours, young enough, and has calls left."""
        minted = self._minted.get(token)
        if minted is None:
            return False
        self._calls[token] += 1
        minutes, calls = self._settings.token_minutes, self._settings.token_calls
        is_young = minutes is None or self._clock.now() - minted < timedelta(minutes=minutes)
        return is_young and (calls is None or self._calls[token] <= calls)

    def expire(self) -> None:
        """Let every token go stale at once."""
        self._minted.clear()

    async def serve(self, request: Request) -> Response:
        """Answer GET /sessionToken: 403 unless key, signature and a numeric timestamp (seconds, milliseconds or a float) are there."""
        query = request.query_params
        good = (
            query.get("apiKey") == self._settings.api_key
            and query.get("signature") == sign(self._settings.api_key, self._settings.private_key)
            and _is_number(query.get("timestamp", ""))
        )
        return JSONResponse({"sessionToken": self.mint()}) if good else JSONResponse("Invalid signature", 403)


class TokenGate:
    """Let a call through when it carries a live token (401 otherwise) and the rate allows it (429 otherwise)."""

    def __init__(self, app: ASGIApp, *, tokens: Tokens, settings: TimeTapSettings) -> None:
        self._app = app
        self._tokens = tokens
        self._settings = settings
        self._window = RateWindow(0, timedelta(minutes=1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request; /sessionToken itself needs no token but counts like any call."""
        refusal = None if scope["type"] != "http" else self._refusal(Request(scope))
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        self._window.limit = self._settings.requests_per_minute
        wait = self._window.hit(asyncio.get_running_loop().time())
        if wait is not None:
            return JSONResponse("Too many requests", 429)
        if request.url.path.endswith("/sessionToken") or self._tokens.accepts(_token_of(request)):
            return None
        return JSONResponse("Session token is not valid", 401)


def _token_of(request: Request) -> str:
    """Find the token in the header or, on GET only, in the query."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    query: Mapping[str, str] = request.query_params if request.method == "GET" else {}
    return query.get("sessionToken", "")


def _is_number(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False
