"""The one table from HTTP statuses and httpx's exceptions to our error tree.

A message says what happened, to what, and what to do, in our words: vendors' texts quote guests and httpx's quote URLs, so
neither is ever repeated, and no error made here carries the foreign exception as its cause.
"""

import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Self

import httpx

from calrelay.errors import AuthFailed, NotFound, RateLimited, RequestRejected, ResponseInvalid, VendorError, VendorUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which request is spoken of: `endpoint` is its label, without ids and query."""

    vendor: str
    account: str
    method: str
    endpoint: str

    def __str__(self) -> str:
        return f"{self.method} {self.endpoint}"

    @property
    def who(self) -> str:
        """The vendor and the account, as every message begins."""
        return f"{self.vendor} (account {self.account})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One attempt's failure: what to raise, whether asking again may help, and the wait the vendor asked for."""

    error: VendorError
    passes: bool
    wait: timedelta | None = None

    @classmethod
    def of(cls, error: VendorError) -> Self:
        """Judge an error that was raised elsewhere, by an account's sign-in for one."""
        wait = error.retry_after if isinstance(error, RateLimited) else None
        return cls(error=error, passes=isinstance(error, VendorUnavailable | RateLimited), wait=wait)


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the table: `what` follows the vendor's name, `remedy` tells who can do something what to do."""

    error: type[VendorError]
    what: str
    remedy: str
    passes: bool = False


_BY_ITSELF = "It usually passes by itself; the next pass asks again."
_CREDENTIALS = "Check the account's credentials in the config, then run `calrelay check`."
_BOTH = "Check the account's credentials and base_url in the config, then run `calrelay check`."
_BASE_URL = "Check the account's base_url, then run `calrelay check`."
_ADDRESSES = "Check the account's base_url, and its token_url where it has one, then run `calrelay check`."

_STATUSES = {
    401: _Row(AuthFailed, "refused the credentials", _CREDENTIALS),
    403: _Row(AuthFailed, "refused access", "Check the credentials and what they are allowed to do, then run `calrelay check`."),
    404: _Row(NotFound, "knows no such thing", _ADDRESSES),
    408: _Row(VendorUnavailable, "gave up waiting", _BY_ITSELF, passes=True),
    429: _Row(RateLimited, "got too many requests", "It passes by itself; lower the account's request rate if it comes back.", passes=True),
}
_HUNDREDS = {
    3: _Row(AuthFailed, "redirected, as to a login page, instead of answering", _BOTH),
    4: _Row(
        RequestRejected,
        "rejected the request",
        "It will not be accepted as it is. If it was about an event: `calrelay show ID` has both sides; correct the booking, or, "
        "where its entry is gone at the target, `calrelay verify --repair`.",
    ),
}
_NO_SOUND_STATUS = _Row(VendorUnavailable, "failed", _BY_ITSELF, passes=True)

# The first class that fits counts, so the special ones stand above the general.
_EXCEPTIONS: tuple[tuple[type[BaseException], _Row], ...] = (
    (httpx.ConnectTimeout, _Row(VendorUnavailable, "did not accept a connection in time", _BY_ITSELF, passes=True)),
    (httpx.TimeoutException, _Row(VendorUnavailable, "did not answer in time", _BY_ITSELF, passes=True)),
    (TimeoutError, _Row(VendorUnavailable, "did not finish its answer in time", _BY_ITSELF, passes=True)),
    (httpx.ProxyError, _Row(VendorUnavailable, "is behind a proxy that failed", "Check HTTPS_PROXY and the proxy.", passes=True)),
    (
        httpx.ConnectError,
        _Row(VendorUnavailable, "cannot be reached", "Check this machine's network and the account's base_url.", passes=True),
    ),
    # Ours, not theirs: the usual cause is a line break pasted with a key, which no repetition mends.
    (
        httpx.LocalProtocolError,
        _Row(AuthFailed, "was not asked: the request is not valid HTTP", f"Look for stray characters. {_CREDENTIALS}"),
    ),
    (httpx.UnsupportedProtocol, _Row(VendorUnavailable, "was not asked: its address is not http or https", _BASE_URL)),
    (httpx.InvalidURL, _Row(VendorUnavailable, "was not asked: its address is not a URL", _BASE_URL)),
    (httpx.DecodingError, _Row(ResponseInvalid, "sent an answer that cannot be unpacked", _BY_ITSELF)),
    (BaseException, _Row(VendorUnavailable, "broke the connection", _BY_ITSELF, passes=True)),
)
_CERTIFICATE = _Row(
    VendorUnavailable,
    "showed a certificate that this machine does not trust",
    "Check this machine's clock, its CA certificates and the account's base_url; a proxy that opens TLS needs its CA in SSL_CERT_FILE.",
)
_TLS = _Row(
    VendorUnavailable, "did not agree on encryption", f"Check the account's base_url and any proxy between. {_BY_ITSELF}", passes=True
)
_NAME = _Row(VendorUnavailable, "has a name that cannot be looked up", "Check this machine's DNS and the account's base_url.", passes=True)
_CAUSES: tuple[tuple[type[BaseException], _Row], ...] = (
    (ssl.SSLCertVerificationError, _CERTIFICATE),
    (ssl.SSLError, _TLS),
    (socket.gaierror, _NAME),
)


def failure_of_status(where: Where, status: int, headers: Mapping[str, str], *, now: datetime) -> Failure | None:
    """Return what a status means, or None for a success (2xx).

    `now` is our clock, used to read a Retry-After given as a date when the answer carries no Date of its own.
    """
    if 200 <= status < 300:
        return None
    row = _STATUSES.get(status) or _HUNDREDS.get(status // 100, _NO_SOUND_STATUS)
    wait = retry_after(headers, now=now)
    message = f"{where.who} {row.what}: {where} was answered with {status}{_asked(wait) if row.passes else ''}."
    if row.error is RateLimited:
        error: VendorError = RateLimited(message, remedy=row.remedy, account=where.account, status=status, retry_after=wait)
    else:
        error = row.error(message, remedy=row.remedy, account=where.account, status=status)
    return Failure(error=error, passes=row.passes, wait=wait)


def failure_of_exception(where: Where, exception: BaseException) -> Failure:
    """Return what an exception of httpx, or a deadline of ours, means; its text is not repeated, only its class."""
    row = _row_of(exception)
    message = f"{where.who} {row.what}: {where} got no sound answer ({type(exception).__name__})."
    return Failure(error=row.error(message, remedy=row.remedy, account=where.account), passes=row.passes)


def login_page(where: Where, status: int) -> AuthFailed:
    """Return the error for HTML where JSON was promised (Tripleseat: status 200, when credentials are missing or bad)."""
    message = f"{where.who} answered with a login page instead of JSON: {where} got HTML with status {status}."
    return AuthFailed(message, remedy=_BOTH, account=where.account, status=status)


def invalid(where: Where, status: int, what: str) -> ResponseInvalid:
    """Return the error for an answer that is not what was promised; `what` is in our words and quotes nothing of it."""
    message = f"{where.who} answered {where} with {what}."
    return ResponseInvalid(message, remedy=_BY_ITSELF, account=where.account, status=status)


def retry_after(headers: Mapping[str, str], *, now: datetime) -> timedelta | None:
    """Return the wait a Retry-After header asks for, in either form (RFC 9110, 10.2.3), or None without a readable one.

    A date is held against the answer's own Date, because the two clocks may differ.
    """
    text = headers.get("retry-after", "").strip()
    if text.isdecimal() and len(text) <= 9:
        return timedelta(seconds=int(text))
    until = http_date(text)
    if until is None:
        return None
    return max(until - (http_date(headers.get("date", "")) or now), timedelta())


def http_date(text: str) -> datetime | None:
    """Return an HTTP-date (RFC 9110, 5.6.7) as an aware UTC datetime, or None if it is not one."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _asked(wait: timedelta | None) -> str:
    return "" if wait is None else f", asking for a wait of {wait.total_seconds():.0f} s"


def _row_of(exception: BaseException) -> _Row:
    for cause in _chain(exception):
        for kind, row in _CAUSES:
            if isinstance(cause, kind):
                return row
    return next(row for kind, row in _EXCEPTIONS if isinstance(exception, kind))


def _chain(exception: BaseException | None) -> Iterator[BaseException]:
    """Walk from httpx's exception down to the socket's, which alone knows about certificates and names."""
    seen: set[int] = set()
    while exception is not None and id(exception) not in seen:
        seen.add(id(exception))
        yield exception
        exception = exception.__cause__ or exception.__context__
