"""Apptoto's endpoints, typed: one method per call that a sync may make. What an event means is not known here.

Deliberately absent, because they message people or double events: POST /events, send_message, event mark, and everything about contacts.
"""

import base64
import dataclasses
import math
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self, TypeVar

from calrelay.errors import RateLimited, ResponseInvalid, VendorError
from calrelay.http.client import IN_FLIGHT, Answer, AsyncBaseTransport, Auth, Observer, Params, Request, Response, Timeouts, VendorClient
from calrelay.http.failures import Failure, invalid
from calrelay.http.pacing import Pace, Pacer
from calrelay.http.retry import Retry
from calrelay.ports import Clock
from calrelay.vendors.apptoto.wire import CalendarRow, Calendars, EventList, EventRow, OneEvent, Written

Found = TypeVar("Found")

BASE_URL: Final = "https://api.apptoto.com/v1"
REQUESTS_PER_MINUTE: Final = 90.0  # a burst limit of 100 was seen (Apptoto: 7)
TIMEOUTS: Final = Timeouts(connect=10, read=240)  # some 0.75 s an event, and 240 s were needed at times (Apptoto: 7)
PAGE_SIZE: Final = 100  # 30 without asking; the maximum is unknown (Apptoto: 11)

_GONE: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_NOT_OFFERED: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE)


def utc_now() -> datetime:
    """Return the present moment, aware."""
    return datetime.now(UTC)


class BasicAuth(Auth):
    """Signs requests with the user name and the API key (Apptoto: 1); its repr shows neither."""

    def __init__(self, username: str, api_key: str) -> None:
        self._header = "Basic " + base64.b64encode(f"{username}:{api_key}".encode()).decode()

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Sign a request."""
        request.headers["Authorization"] = self._header
        yield request


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WriteRetry(Retry):
    """Repeats a write once where it stayed open whether it was applied, and as usual after a 429, which was not.

    The engine then sends smaller batches (rule 20), so asking five times at full size would only load a server that is overloaded. The
    repetition after a timeout comes however long that took; `patience` bounds, in seconds, when the wait after a 429 may still end.
    """

    budget: float = math.inf
    patience: float = 60.0

    @classmethod
    def like(cls, retry: Retry) -> Self:
        """Return the same bounds and test doubles, for writes; theirs do not end early, or a stop would cut batches."""
        shared = ("attempts", "longest", "wait", "clock", "jitter")
        return cls(patience=retry.budget, **{name: getattr(retry, name) for name in shared})

    async def __call__(self, once: Callable[[], Awaitable[Found | Failure]], *, idempotent: bool) -> Found:
        """Ask, and ask again within these bounds."""
        began = self.clock()
        open_ends = 0

        async def judged() -> Found | Failure:
            nonlocal open_ends
            outcome = await once()
            if not isinstance(outcome, Failure):
                return outcome
            if isinstance(outcome.error, RateLimited):
                is_spent = self.clock() - began + _seconds(outcome.wait) > self.patience
            else:
                open_ends += 1
                is_spent = open_ends > 1
            return dataclasses.replace(outcome, passes=False) if is_spent else outcome

        return await Retry.__call__(self, judged, idempotent=idempotent)  # a slotted dataclass knows no bare super()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """The parameters of GET /events; None is not sent. Unknown and misspelt ones are ignored in silence (Apptoto: 4).

    `begin` and `end` bound the start of events, both included; aware. With `phone_number` (E.164) or `email_address` an event comes once
    for each participant that matches, showing that one only.
    """

    begin: datetime | None = None
    end: datetime | None = None
    page_size: int = PAGE_SIZE
    include_deleted: bool = False
    include_conversations: bool = False
    phone_number: str | None = None
    email_address: str | None = None

    def params(self, page: int) -> Params:
        """Return the query for one page, counted from 1."""
        values = {
            "begin": _second(self.begin),
            "end": _second(self.end and _rounded_up(self.end)),
            "page": str(page),
            "page_size": str(self.page_size),
            "include_deleted": "true" if self.include_deleted else None,
            "include_conversations": "true" if self.include_conversations else None,
            "phone_number": self.phone_number,
            "email_address": self.email_address,
        }
        return {key: value for key, value in values.items() if value is not None}


class ApptotoClient:
    """Asks one account; an `async with` block is its lifetime. Every method raises VendorError and its children.

    Reads and writes go through a client each, on one pace: they are repeated differently.

    Args:
        account: the account's name in the config.
        username: the account's user name, an e-mail address.
        api_key: the key, in clear.
        base_url: where the API is, with its version.
        requests_per_minute: evenly spaced.
        pacer: the account's pace, where other processes ask as well; `requests_per_minute` is its rate then.
        timeouts: see there.
        retry: the bounds of repetition; for writes see `WriteRetry`.
        transport: instead of the network, for tests.
        observer: told of each finished request.
        now: our clock.
        max_in_flight: writes that may be under way at once.
    """

    def __init__(  # noqa: PLR0913 - the composition root is its only caller, and names every part
        self,
        *,
        account: str,
        username: str,
        api_key: str,
        base_url: str = BASE_URL,
        requests_per_minute: float = REQUESTS_PER_MINUTE,
        pacer: Pace | None = None,
        timeouts: Timeouts = TIMEOUTS,
        retry: Retry | None = None,
        transport: AsyncBaseTransport | None = None,
        observer: Observer | None = None,
        now: Clock = utc_now,
        max_in_flight: int = IN_FLIGHT,
    ) -> None:
        pace, auth, retry = pacer or Pacer(requests_per_minute / 60), BasicAuth(username, api_key), retry or Retry()

        def client(retry: Retry, in_flight: int = IN_FLIGHT) -> VendorClient:
            return VendorClient(
                account=account,
                vendor="Apptoto",
                base_url=base_url,
                pacer=pace,
                auth=auth,
                timeouts=timeouts,
                retry=retry,
                transport=transport,
                observer=observer,
                now=now,
                in_flight=in_flight,
            )

        self.account = account
        self._reads = client(retry)
        self._writes = client(WriteRetry.like(retry), max(IN_FLIGHT, max_in_flight))
        self._latest = self._reads
        self._lifetimes = AsyncExitStack()

    def __repr__(self) -> str:
        return f"ApptotoClient(account={self.account!r})"

    async def __aenter__(self) -> Self:
        await self._lifetimes.enter_async_context(self._reads)
        await self._lifetimes.enter_async_context(self._writes)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._lifetimes.aclose()

    @property
    def requests(self) -> int:
        """HTTP requests of the account so far, retries included."""
        return self._reads.requests + self._writes.requests

    @property
    def clock_skew(self) -> timedelta | None:
        """Apptoto's Date header minus our clock at the last answer, or None."""
        return self._latest.last_date_skew

    # --- events ---

    async def put_events(self, body: Mapping[str, object]) -> Sequence[EventRow]:
        """Create or update a batch, matched by external_id; the answer may be shorter, and in any order. Idempotent with external ids.

        Raises:
            RequestRejected: the batch was refused; nothing promises that nothing of it was applied (Apptoto: 7, errors inside a batch).
            VendorUnavailable, ResponseInvalid: it is open whether it was applied; the same PUT has been repeated once.
        """
        self._latest = self._writes
        answer = await self._writes.request("PUT", "/events", endpoint="events", idempotent=True, json=body, retry_invalid=True)
        return answer.parse_plain(Written).root

    async def list_events(self, query: EventQuery, page: int = 1) -> Sequence[EventRow]:
        """Return a page, oldest start first. There is no total: the list ends with an empty page, not with a short one (Apptoto: 4)."""
        answer = await self._get("/events", "events", query.params(page), retry_invalid=True)
        return answer.parse_plain(EventList).root

    async def event(self, *, external_id: str | None = None, event_id: str | None = None) -> EventRow | None:
        """Return one event by our id or by Apptoto's, a deleted one flagged; None when there is none.

        Raises:
            ResponseInvalid: also when another event is shown than was asked for.
        """
        asked = {"external_id": external_id, "id": event_id}
        params = {name: value for name, value in asked.items() if value is not None}
        if len(params) != 1:
            raise ValueError("an event is asked for by its external id or by its id")
        answer = await self._get("/event", "event", params, accept=_GONE)
        if answer.status in _GONE:
            _check_who_speaks(answer)
            return None
        row = answer.parse(OneEvent).root
        if row is not None and not _is_asked_for(row, external_id=external_id, event_id=event_id):
            raise invalid(answer.where, answer.status, "another event than was asked for")
        return row

    async def delete_event(self, event_id: str) -> None:
        """Delete one event by Apptoto's id, which stops its messages; one that is gone already is a success (Apptoto: 6).

        Apptoto answers with the event, flagged as deleted (3.3). After any other success it is asked whether the event is gone.

        Raises:
            ResponseInvalid: also when the event is still there after an answer that says nothing of it.
        """
        self._latest = self._writes
        answer = await self._writes.request("DELETE", "/events", endpoint="events", idempotent=True, params={"id": event_id}, accept=_GONE)
        try:
            await self._check_deletion(answer, event_id)
        except VendorError as error:
            error.is_open = True  # whatever the question was answered with, the delete was sent before
            raise

    async def _check_deletion(self, answer: Answer, event_id: str) -> None:
        if answer.status in _GONE:
            _check_who_speaks(answer)
        elif not _tells_of_deletion(answer, event_id):
            row = await self.event(event_id=event_id)
            if row is not None and not row.is_deleted:
                raise invalid(answer.where, answer.status, "something else than the deleted event, which is still there")

    # --- calendars ---

    async def calendars(self) -> Sequence[CalendarRow] | None:
        """Return the account's calendars, or None where Apptoto does not offer such a list: nobody has seen it (Apptoto: 3.4)."""
        answer = await self._get("/calendars", "calendars", {}, accept=_NOT_OFFERED)
        if answer.status in _NOT_OFFERED:
            return None
        return answer.parse(Calendars).root

    async def _get(self, path: str, endpoint: str, params: Params, *, accept: Sequence[int] = (), retry_invalid: bool = False) -> Answer:
        self._latest = self._reads
        return await self._reads.request(
            "GET", path, endpoint=endpoint, idempotent=True, params=params, accept=accept, retry_invalid=retry_invalid
        )


def _tells_of_deletion(answer: Answer, event_id: str) -> bool:
    try:
        rows = answer.parse(Written).root
    except ResponseInvalid:
        return False
    return any(row.is_deleted and _is_asked_for(row, external_id=None, event_id=event_id) for row in rows)


def _check_who_speaks(answer: Answer) -> None:
    """Take a 404 for what it says, unless it is a page for people: that one speaks of the address, not of the event."""
    if answer.is_html:
        raise invalid(answer.where, answer.status, "a page for people instead of JSON")


def _is_asked_for(row: EventRow, *, external_id: str | None, event_id: str | None) -> bool:
    """Compare what can be compared: Apptoto may not echo the external id (Apptoto: 11)."""
    if event_id is not None:
        return row.id == event_id
    return row.external_id in (None, external_id)


def _seconds(wait: timedelta | None) -> float:
    return 0.0 if wait is None else wait.total_seconds()


def _second(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _rounded_up(moment: datetime) -> datetime:
    return moment if moment.microsecond == 0 else moment.replace(microsecond=0) + timedelta(seconds=1)
