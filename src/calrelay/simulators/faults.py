"""What a simulator does wrong on demand, and what it was asked: fault rules, journal, and the middleware that applies both."""

import asyncio
import dataclasses
import itertools
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from urllib.parse import parse_qsl

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Please sign in to continue</form></body></html>"


class Kind(StrEnum):
    """How an answer goes wrong."""

    STATUS = "status"  # `status` with `body` (JSON text unless it begins with "<") and `headers`
    HTML = "html"  # 200 text/html, a login page where JSON was promised
    EMPTY = "empty"  # 200 with an empty body
    CUT = "cut"  # the real answer, cut off half-way
    RESET = "reset"  # the connection ends without an answer
    HANG = "hang"  # no answer for `seconds`, then the real one
    SLOW = "slow"  # the real answer after `seconds`


class When(StrEnum):
    """Whether the request takes effect before the fault is seen."""

    BEFORE = "before"
    AFTER = "after"


@dataclasses.dataclass(slots=True, kw_only=True)
class Fault:
    """One rule: requests that match go wrong in this way, `times` times (None: for ever), after letting `skip` matches through.

    `method` is exact or "*"; `path` is a substring of the path; `chance` is the probability that a match is hit.
    """

    kind: Kind
    method: str = "*"
    path: str = ""
    when: When = When.BEFORE
    times: int | None = 1
    skip: int = 0
    chance: float = 1.0
    status: int = 503
    body: str = ""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    def matches(self, method: str, path: str) -> bool:
        """Claim this request for the rule, whether or not it is hit in the end."""
        return self.method in ("*", method) and self.path in path and self.times != 0


class Faults:
    """The fault rules in force; the first matching rule hits."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)
        self.rules: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Put a rule behind those already there and return it."""
        self.rules.append(fault)
        return fault

    def clear(self) -> None:
        """Let everything work again."""
        self.rules.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the rule that hits this request and count it as used, or None."""
        for fault in self.rules:
            if not fault.matches(method, path):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if self._rng.random() >= fault.chance:
                continue
            if fault.times is not None:
                fault.times -= 1
            return fault
        return None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request as the vendor saw it; `query` keeps repeated keys apart, `status` 0 means that no answer was given."""

    number: int
    at: datetime
    monotonic: float
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: bytes
    status: int


class Journal:
    """Every request a simulator received, in order of arrival of its answer; `limit` bounds the memory of a long run."""

    def __init__(self, limit: int = 50_000) -> None:
        self.entries: list[Entry] = []
        self._numbers = itertools.count(1)
        self._limit = limit

    def add(self, *, at: datetime, monotonic: float, scope: Scope, body: bytes, status: int) -> None:
        """Note one request."""
        query = tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        self.entries.append(
            Entry(
                number=next(self._numbers),
                at=at,
                monotonic=monotonic,
                method=scope["method"],
                path=scope["path"],
                query=query,
                body=body,
                status=status,
            )
        )
        del self.entries[: -self._limit]

    def count(self, method: str = "*", path: str = "") -> int:
        """Count the requests whose method is (or any) and whose path contains these."""
        return sum(1 for e in self.entries if method in ("*", e.method) and path in e.path)

    def clear(self) -> None:
        """Forget what was seen so far."""
        self.entries.clear()


class SimulatedClock:
    """The vendor's wall clock: real time plus an offset that tests and the control page move."""

    def __init__(self, start: datetime | None = None) -> None:
        self._offset = (start - datetime.now(UTC)) if start else timedelta()

    def now(self) -> datetime:
        """Return the vendor's time, aware, in UTC."""
        return datetime.now(UTC) + self._offset

    def advance(self, by: timedelta) -> None:
        """Move the vendor's time."""
        self._offset += by


class SimulatedReset(httpx.ReadError):
    """Ends the connection: over a socket any exception does, in-process it is the error a client would have made of that."""


class FaultMiddleware:
    """Note each request in the journal and let the fault rules act before or after the vendor's own code ran.

    Answers carry the vendor's clock as their Date.
    """

    def __init__(self, app: ASGIApp, *, faults: Faults, journal: Journal, clock: SimulatedClock) -> None:
        self._app = app
        self._faults = faults
        self._journal = journal
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the control calls below /_control are neither noted nor hurt."""
        if scope["type"] != "http" or scope["path"].startswith("/_control"):
            await self._app(scope, receive, send)
            return
        at, monotonic = self._clock.now(), asyncio.get_running_loop().time()
        body = await _read_body(receive)
        if body is None:
            return
        fault = self._faults.take(scope["method"], scope["path"])
        answer = _Answer()
        try:
            await self._serve(fault, scope, body, answer)
            await answer.play(send, at)
        finally:
            self._journal.add(at=at, monotonic=monotonic, scope=scope, body=body, status=answer.status)

    async def _serve(self, fault: Fault | None, scope: Scope, body: bytes, answer: "_Answer") -> None:
        spoils = fault is not None and fault.kind not in (Kind.SLOW, Kind.HANG)
        if fault is not None and fault.when is When.BEFORE and fault.kind in (Kind.SLOW, Kind.HANG):
            await asyncio.sleep(fault.seconds)
        if not spoils or (fault is not None and (fault.when is When.AFTER or fault.kind is Kind.CUT)):
            await self._app(scope, _replay(body), answer.take)
        if fault is not None and fault.when is When.AFTER and fault.kind in (Kind.SLOW, Kind.HANG):
            await asyncio.sleep(fault.seconds)
        if fault is not None and spoils:
            answer.spoil(fault)


class _Answer:
    """An answer held back until it is known whether it goes out as it is."""

    def __init__(self) -> None:
        self.status = 0
        self._messages: list[Message] = []

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        self._messages.append(message)

    def spoil(self, fault: Fault) -> None:
        """Replace the answer by what the fault says."""
        if fault.kind is Kind.RESET:
            self.status = 0
            # A promised body that never comes: the server closes the connection in the middle of the answer.
            self._messages = [_start(200, "application/json", 64), {"type": "calrelay.reset"}]
        elif fault.kind is Kind.CUT:
            whole = b"".join(m.get("body", b"") for m in self._messages)
            self._replace(self.status or 200, "application/json", whole[: len(whole) // 2])
        elif fault.kind is Kind.HTML:
            self._replace(200, "text/html; charset=utf-8", LOGIN_PAGE.encode())
        elif fault.kind is Kind.EMPTY:
            self._replace(200, "application/json", b"")
        else:
            kind = "text/html" if fault.body.startswith("<") else "application/json; charset=utf-8"
            self._replace(fault.status, kind, fault.body.encode(), fault.headers)

    def _replace(self, status: int, content_type: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self._messages = [_start(status, content_type, len(body), headers or {}), {"type": "http.response.body", "body": body}]

    async def play(self, send: Send, at: datetime) -> None:
        """Send the answer, dated with the vendor's time unless it brings a Date of its own."""
        for message in self._messages:
            if message["type"] == "http.response.start" and all(name.lower() != b"date" for name, _ in message["headers"]):
                message["headers"] = [*message["headers"], (b"date", format_datetime(at, usegmt=True).encode())]
            if message["type"] == "calrelay.reset":
                await send({"type": "http.response.body", "body": b"{", "more_body": True})
                raise SimulatedReset("simulated connection reset")
            await send(message)


def _start(status: int, content_type: str, length: int, headers: Mapping[str, str] | None = None) -> Message:
    pairs = {"content-type": content_type, "content-length": str(length), **{k.lower(): v for k, v in (headers or {}).items()}}
    return {"type": "http.response.start", "status": status, "headers": [(k.encode(), v.encode()) for k, v in pairs.items()]}


async def _read_body(receive: Receive) -> bytes | None:
    """Read a request to its end; None where the client goes away before: no server acts on half a request."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replay(body: bytes) -> Receive:
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return pending.pop() if pending else {"type": "http.disconnect"}

    return receive
