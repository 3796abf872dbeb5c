"""Stands before every page: reads what a form brought, has the access rules decide, and gives every answer its security headers."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calrelay.service.web.access import Access, Session, Verdict

LARGEST_FORM: Final = 16_384  # bytes
FIELDS_MOST: Final = 20
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer browsers would send `Origin: null` with our own forms
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}

Deny = Callable[[Request, Verdict], Response]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who asks, and what their form brought; pages find it with `visit_of`."""

    session: Session | None
    form: Mapping[str, str]


def visit_of(request: Request) -> Visit:
    """Return the visit of a request that came through the gate."""
    visit: Visit = request.scope["calrelay.visit"]
    return visit


class Gate:
    """An ASGI middleware. `access` is asked anew for each request, because a reload of the config may change the rules."""

    def __init__(self, app: ASGIApp, *, access: Callable[[], Access], deny: Deny, policy: str) -> None:
        self._app = app
        self._access = access
        self._deny = deny
        self._headers = {**_HEADERS, "content-security-policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
            await send(message)

        answer = await self._decide(request)
        await (answer or self._app)(scope, receive, send_safely)

    async def _decide(self, request: Request) -> Response | None:
        """Return the refusal, or None when the request may go on."""
        form: dict[str, str] = {}
        if request.method == "POST":
            try:
                read = await read_form(request)
            except ClientDisconnect:
                return Response(status_code=400)
            if read is None:
                return PlainTextResponse("That form is too large.\n", 413, headers={"connection": "close"})
            form = read
        verdict, session = self._access().judge(request, form)
        if verdict is not Verdict.ADMITTED:
            return self._deny(request, verdict)
        request.scope["calrelay.visit"] = Visit(session=session, form=form)
        return None


async def read_form(request: Request) -> dict[str, str] | None:
    """Read an urlencoded form; None when it is too large."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            return None
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FIELDS_MOST))
    except ValueError:  # more fields than any form of ours has
        return {}
