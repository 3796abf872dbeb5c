"""One account's HTTP client: what is asked, how fast, within which deadlines, and whether the answer is sound.

What an answer means is the vendor's business; which failures are repeated stands in `retry`, what they are called in `failures`.
"""

import asyncio
import functools
import math
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from httpx import URL, AsyncBaseTransport, AsyncClient, Auth, HTTPError, InvalidURL, Limits, Request, Response, Timeout, create_ssl_context
from pydantic_core import to_json

from calrelay import __version__
from calrelay.errors import VendorError
from calrelay.http.answer import Answer, parse_json
from calrelay.http.failures import Failure, Where, failure_of_exception, failure_of_status, http_date, login_page
from calrelay.http.pacing import Pace
from calrelay.http.retry import Retry
from calrelay.http.tally import Tally

__all__ = [
    "IN_FLIGHT",
    "Answer",
    "AsyncBaseTransport",
    "Auth",
    "Finished",
    "Observer",
    "Params",
    "Request",
    "Response",
    "Timeouts",
    "VendorClient",
    "parse_json",
]

Params = Mapping[str, str | int | Sequence[str | int]]

# One httpx client is fastest with two to five requests in flight and collapses under a hundred: who wants more gets more clients.
IN_FLIGHT = 5
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_MAY_CONNECT_FOR = 0.01  # seconds: half of what a pace leaves between the rate and itself in a second
_CONNECTING = "connection.connect_tcp.started"  # httpcore's words for two moments; see "Extensions" in httpx's documentation
_WRITING = "http11.send_request_headers.started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds: to connect, for the first byte of an answer, and once more for the rest of it."""

    connect: float = 10.0
    read: float = 60.0  # Apptoto needs 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A request that came to its end, for counters; it names nobody. `seconds` holds all attempts and waits."""

    account: str
    vendor: str
    method: str
    endpoint: str
    status: int | None  # None: never answered
    seconds: float
    attempts: int


Observer = Callable[[Finished], None]


def utc_now() -> datetime:
    """Return the present moment, aware."""
    return datetime.now(UTC)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the process's one TLS context; loading the certificates anew costs each client 67 ms."""
    return create_ssl_context()


@dataclass(slots=True, kw_only=True)
class _Asked:
    """One request on its way, with what its attempts leave behind."""

    where: Where
    path: str
    params: Params | None
    json: object
    form: Mapping[str, str] | None
    accept: Collection[int]
    json_only: bool
    attempts: int = 0


class VendorClient:
    """Asks one account of one vendor; an `async with` block is its lifetime.

    Every request on the wire, those of the account's sign-in too, waits for the pacer and is counted in `requests`. Redirects are not
    followed.

    Args:
        account: the account's name in the config.
        vendor: the vendor's name as people write it, such as "Tripleseat".
        base_url: scheme, host and path before every `path`.
        pacer: the account's pace.
        auth: signs requests; it may raise errors of our tree, which are taken as they are.
        timeouts: see there.
        retry: the bounds of repetition.
        transport: instead of the network, for tests.
        observer: told of each finished request, whether it succeeded or not.
        now: our clock, aware.
        in_flight: how many requests may be under way at once; further ones wait.
    """

    def __init__(  # noqa: PLR0913 - the composition root is its only caller, and names every part
        self,
        *,
        account: str,
        vendor: str,
        base_url: str,
        pacer: Pace,
        auth: Auth | None = None,
        timeouts: Timeouts | None = None,
        retry: Retry | None = None,
        transport: AsyncBaseTransport | None = None,
        observer: Observer | None = None,
        now: Callable[[], datetime] = utc_now,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self.account = account
        self.vendor = vendor
        self.base_url = base_url
        self._tally = Tally()
        self.last_date_skew: timedelta | None = None
        self._pacer = pacer
        self._auth = auth
        self._timeouts = timeouts or Timeouts()
        self._retry = retry or Retry()
        self._transport = transport
        self._observer = observer
        self._now = now
        self._lanes = asyncio.Semaphore(in_flight)
        self._in_flight = in_flight
        self._lifetimes = AsyncExitStack()
        self._seats: list[AsyncClient] = []  # each client as often as it may have another request in flight

    def __repr__(self) -> str:
        return f"VendorClient(vendor={self.vendor!r}, account={self.account!r})"

    async def __aenter__(self) -> Self:
        clients = [await self._lifetimes.enter_async_context(self._open()) for _ in range(math.ceil(self._in_flight / IN_FLIGHT))]
        self._seats = clients * IN_FLIGHT
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._seats = []
        await self._lifetimes.aclose()

    async def request(  # noqa: PLR0913 - a request has this many parts, and each is named where it is made
        self,
        method: str,
        path: str,
        *,
        endpoint: str,
        idempotent: bool,
        params: Params | None = None,
        json: object = None,
        form: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
        retry_invalid: bool = False,
    ) -> Answer:
        """Ask, with the retries that are allowed, and return a whole answer with a 2xx status or one of `accept`.

        Args:
            method: GET, POST, PUT or DELETE.
            path: below the base URL, beginning with a slash.
            endpoint: the label for messages and counters, without ids and query, such as "events/search".
            idempotent: whether asking twice is as good as once; nothing else is ever repeated.
            params: the query; it appears in no message and no log.
            json: the body, sent as JSON.
            form: the body, sent as a form.
            accept: further statuses that the caller understands; their answers are returned without any check.
            retry_invalid: demand JSON already here, and repeat the request where it is not (TimeTap at times sends empty bodies, or pages).

        Raises:
            VendorError: the last attempt's failure, one of the tree in `calrelay.errors`.
        """
        if not path.startswith("/"):  # an address of its own would carry the account's credentials to another host
            raise ValueError(f"a path begins with a slash: {endpoint}")
        where = Where(vendor=self.vendor, account=self.account, method=method, endpoint=endpoint)
        asked = _Asked(where=where, path=path, params=params, json=json, form=form, accept=accept, json_only=retry_invalid)
        began = time.monotonic()
        try:
            answer = await self._retry(functools.partial(self._once, asked), idempotent=idempotent)
        except VendorError as error:
            self._tell(asked, error.status, began)
            raise
        self._tell(asked, answer.status, began)
        return answer

    async def _once(self, asked: _Asked) -> Answer | Failure:
        asked.attempts += 1
        try:
            response = await self._send(asked)
        except VendorError as error:
            return Failure.of(error)
        except (HTTPError, InvalidURL, TimeoutError) as error:
            return failure_of_exception(asked.where, error)
        answer = Answer(where=asked.where, status=response.status_code, headers=response.headers, body=response.content)
        del response.stream  # it refers back to its response, and so would keep each body until the next garbage collection
        return self._failure_of(asked, answer) or answer

    async def _send(self, asked: _Asked) -> Response:
        async with self._lanes:
            if not self._seats:
                raise RuntimeError(f"{self!r} is used outside its `async with` block")
            http = self._seats.pop()
            try:
                request = http.build_request(asked.where.method, asked.path, params=asked.params, data=asked.form, **_body_of(asked))
                return await http.send(request)
            finally:
                self._seats.append(http)

    def _failure_of(self, asked: _Asked, answer: Answer) -> Failure | None:
        """Return what is wrong with an answer, or None."""
        if answer.status in asked.accept:
            return None
        failure = failure_of_status(asked.where, answer.status, answer.headers, now=self._now())
        if failure is not None:
            return failure
        if answer.is_html:
            return Failure(error=login_page(asked.where, answer.status), passes=asked.json_only)
        if asked.json_only:
            return _failure_of_json(answer)
        return None

    def _tell(self, asked: _Asked, status: int | None, began: float) -> None:
        if self._observer is None:
            return
        where, seconds = asked.where, time.monotonic() - began
        self._observer(
            Finished(
                account=where.account,
                vendor=where.vendor,
                method=where.method,
                endpoint=where.endpoint,
                status=status,
                seconds=seconds,
                attempts=asked.attempts,
            )
        )

    def _open(self) -> AsyncClient:
        return AsyncClient(
            base_url=self.base_url,
            auth=self._auth,
            transport=self._transport,
            verify=tls_context() if self._transport is None else True,
            # A proxy from the environment is used for the vendors, but cannot reach a simulator on this machine.
            trust_env=URL(self.base_url).host not in _LOOPBACK,
            timeout=Timeout(self._timeouts.read, connect=self._timeouts.connect),
            limits=Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT),
            follow_redirects=False,
            headers={"User-Agent": f"calrelay/{__version__}", "Accept": "application/json"},
            event_hooks={"request": [self._before], "response": [self._after]},
        )

    @property
    def requests(self) -> int:
        """How many there were; within `counting_its_own` those made in there."""
        return self._tally.number

    async def _before(self, request: Request) -> None:
        """Let a request onto the wire; httpx calls this for those of the sign-in as well."""
        latest = await self._pacer.acquire()
        self._tally.add()
        request.extensions["trace"] = self._at_the_wire(latest)

    def _at_the_wire(self, latest: float) -> Callable[[str, object], Awaitable[None]]:
        """Return what httpcore calls at each step: a request whose time passed while a connection was made waits for another turn.

        Where the pace sets it no time, those that find a connection are late together; one that had to make it would be nearer to the next.
        """
        granted = time.monotonic()

        async def look(step: str, _: object) -> None:
            nonlocal latest
            if step == _CONNECTING:
                latest = min(latest, granted + _MAY_CONNECT_FOR)
            while step == _WRITING and time.monotonic() > latest:
                latest = await self._pacer.acquire()

        return look

    async def _after(self, response: Response) -> None:
        """Read the answer to its end, and learn from it how fast we may be and how far apart the clocks are.

        httpx's read timeout begins anew with each piece that arrives, so a dripping answer needs a deadline of its own.
        """
        self._learn_pace(response.status_code)
        date = http_date(response.headers.get("date", ""))
        if date is not None:
            self.last_date_skew = date - self._now()
        async with asyncio.timeout(self._timeouts.read):
            await response.aread()

    def _learn_pace(self, status: int) -> None:
        if status == 429:
            self._pacer.slow_down()
        elif status < 400:
            self._pacer.speed_up()


def _body_of(asked: _Asked) -> dict[str, Any]:
    """Return a JSON body as httpx takes it: pydantic writes it in a third of the time that httpx needs."""
    if asked.json is None:
        return {}
    return {"content": to_json(asked.json), "headers": {"Content-Type": "application/json"}}


def _failure_of_json(answer: Answer) -> Failure | None:
    try:
        answer.json()
    except VendorError as error:
        return Failure(error=error, passes=True)
    return None
