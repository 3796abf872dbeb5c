"""Who may see and do what on the page: one decision for each request, before any page is asked. It knows no page's content.

On loopback reading needs nothing; names and changes always need the token. Listening anywhere else, everything needs it, the health checks
too, but the login itself. Changes need a form that this page handed out to this session besides.
"""

import dataclasses
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from starlette.requests import Request

from calrelay.config.section import is_loopback

SESSION_SECONDS: Final = 12 * 3600
FAILURES_ALLOWED: Final = 10  # of one address in FAILURES_WITHIN seconds
FAILURES_WITHIN: Final = 60.0
ADDRESSES_REMEMBERED: Final = 1000
FORM_TOKEN: Final = "form_token"  # noqa: S105 - the name of a form's field

OPEN: Final = frozenset({"/login"})
NAMES: Final = ("/events",)
# Whoever forwards is not the one who asks, whatever address the connection comes from.
_FORWARDED: Final = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip"})
_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")

Monotonic = Callable[[], float]


class Need(StrEnum):
    """What a request needs before it is answered."""

    NOTHING = "nothing"
    READING = "reading"
    NAMES = "names"
    CHANGE = "change"


class Verdict(StrEnum):
    """What becomes of a request."""

    ADMITTED = "admitted"
    LOGIN = "login"  # the token is missing or wrong
    FOREIGN = "foreign"  # the token is right, but another site's page may have sent the form
    LIMITED = "limited"  # too many wrong tokens from this address


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who has shown the token; the form token belongs to this session and to nobody else."""

    identity: str = dataclasses.field(repr=False)
    form_token: str = dataclasses.field(repr=False)


def need_of(method: str, path: str) -> Need:
    """Say what a request needs. Paths nobody knows are read like any other, so that nothing is open by accident."""
    if path in OPEN:
        return Need.NOTHING
    if method not in ("GET", "HEAD"):
        return Need.CHANGE
    return Need.NAMES if path.startswith(NAMES) else Need.READING


def path_of(request: Request) -> str:
    """Return the path the router goes by. `request.url` is put together with the Host header, which may hold anything, a path included."""
    path: str = request.scope["path"]
    return path


def is_local(request: Request) -> bool:
    """Whether it comes from this machine, straight, under a name of this machine.

    A name that is none of ours may be another site's, made to point here (DNS rebinding): its pages would read what we answer.
    """
    hosts = request.headers.getlist("host")
    found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if found is None or not is_loopback(found["name"].strip("[]")) or any(_is_forwarding(name) for name in request.headers):
        return False
    return request.client is not None and is_loopback(request.client.host)


def _is_forwarding(header: str) -> bool:
    return header in _FORWARDED or header.startswith(("x-forwarded", "x-original-"))


def is_from_this_page(request: Request) -> bool:
    """Whether no browser says that another site's page sent it: W3C Fetch Metadata, and the Origin header (RFC 6454)."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    scheme, _, place = origin.partition("://")
    return scheme in ("http", "https") and place.lower() == request.headers.get("host", "").lower()


class Access:
    """The rules for one listening address and one token. Sessions are signed with the token: a new token ends them all."""

    def __init__(
        self,
        token: str,
        *,
        cookie: str,
        is_loopback_only: bool,
        now: Callable[[], float] = time.time,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self.cookie = cookie
        self._token = token.encode()
        self._is_loopback_only = is_loopback_only
        self._now = now
        self._failures = _Failures(monotonic)

    def judge(self, request: Request, form: Mapping[str, str]) -> tuple[Verdict, Session | None]:
        """Decide over a request; `form` is what a change brings with it."""
        need = need_of(request.method, path_of(request))
        if need is Need.NOTHING:
            is_foreign = request.method == "POST" and not is_from_this_page(request)
            return (Verdict.FOREIGN if is_foreign else Verdict.ADMITTED), None
        session = self._session(request)
        if need is Need.READING and self._is_loopback_only and is_local(request):
            return Verdict.ADMITTED, session
        if session is None:
            return (Verdict.LIMITED if self.is_limited(request) else Verdict.LOGIN), None
        if need is Need.CHANGE and not (is_from_this_page(request) and _equal(form.get(FORM_TOKEN, ""), session.form_token)):
            return Verdict.FOREIGN, session
        return Verdict.ADMITTED, session

    def log_in(self, request: Request, token: str) -> str | None:
        """Return the cookie of a new session, or None when the token is wrong."""
        if self.is_limited(request) or not self._is_token(request, token):
            return None
        body = f"{int(self._now()) + SESSION_SECONDS}.{secrets.token_urlsafe(16)}"
        return f"{body}.{self._sign('session', body)}"

    def is_limited(self, request: Request) -> bool:
        """Whether this address has sent too many wrong tokens just now."""
        return self._failures.are_too_many(_address(request))

    def _session(self, request: Request) -> Session | None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._named("bearer") if not self.is_limited(request) and self._is_token(request, given.strip()) else None
        cookie = request.cookies.get(self.cookie, "")
        body, _, signature = cookie.rpartition(".")
        if not _equal(signature, self._sign("session", body)) or int(body.partition(".")[0]) < self._now():
            return None
        return self._named(cookie)

    def _named(self, identity: str) -> Session:
        return Session(identity=identity, form_token=self._sign("form", identity))

    def _is_token(self, request: Request, given: str) -> bool:
        if hmac.compare_digest(given.encode(), self._token):
            return True
        self._failures.note(_address(request))
        return False

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._token, f"calrelay {purpose} {text}".encode(), hashlib.sha256).hexdigest()


class _Failures:
    """Wrong tokens by address, of the last minute; a bounded number of addresses is remembered."""

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._by_address: dict[str, list[float]] = {}

    def note(self, address: str) -> None:
        recent = [*self._recent(address), self._monotonic()]
        self._by_address.pop(address, None)
        self._by_address[address] = recent
        if len(self._by_address) > ADDRESSES_REMEMBERED:
            del self._by_address[next(iter(self._by_address))]

    def are_too_many(self, address: str) -> bool:
        return len(self._recent(address)) >= FAILURES_ALLOWED

    def _recent(self, address: str) -> list[float]:
        since = self._monotonic() - FAILURES_WITHIN
        return [at for at in self._by_address.get(address, ()) if at > since]


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
