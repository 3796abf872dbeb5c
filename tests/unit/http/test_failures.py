import socket
import ssl
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from calrelay.errors import (
    AuthFailed,
    NotFound,
    RateLimited,
    RequestRejected,
    ResponseInvalid,
    VendorError,
    VendorUnavailable,
)
from calrelay.http.failures import Failure, Where, failure_of_exception, failure_of_status, http_date, retry_after

WHERE = Where(vendor="Tripleseat", account="venue", method="GET", endpoint="events/search")
NOW = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
SECRET = "https://api.example.com/v1?apiKey=340000"


def of_status(status: int, headers: dict[str, str] | None = None) -> Failure:
    failure = failure_of_status(WHERE, status, headers or {}, now=NOW)
    assert failure is not None
    return failure


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_success_is_no_failure(status: int) -> None:
    assert failure_of_status(WHERE, status, {}, now=NOW) is None


@pytest.mark.parametrize(
    ("status", "error", "passes"),
    [
        (301, AuthFailed, False),
        (302, AuthFailed, False),
        (400, RequestRejected, False),
        (401, AuthFailed, False),
        (403, AuthFailed, False),
        (404, NotFound, False),
        (405, RequestRejected, False),
        (408, VendorUnavailable, True),
        (409, RequestRejected, False),
        (410, RequestRejected, False),
        (422, RequestRejected, False),
        (429, RateLimited, True),
        (500, VendorUnavailable, True),
        (502, VendorUnavailable, True),
        (503, VendorUnavailable, True),
        (504, VendorUnavailable, True),
        (599, VendorUnavailable, True),
    ],
)
def test_each_status_has_its_place_in_the_tree(status: int, error: type[VendorError], passes: bool) -> None:
    failure = of_status(status)
    assert type(failure.error) is error
    assert (failure.passes, failure.error.status, failure.error.account) == (passes, status, "venue")


def test_a_message_says_what_happened_to_what() -> None:
    assert of_status(422).error.message == ("Tripleseat (account venue) rejected the request: GET events/search was answered with 422.")


@pytest.mark.parametrize("status", [302, 400, 401, 403, 408, 422, 429, 500, 503])
def test_a_failure_says_what_to_do(status: int) -> None:
    assert of_status(status).error.remedy


@pytest.mark.parametrize(
    ("exception", "error", "passes", "what"),
    [
        (httpx.ConnectTimeout(SECRET), VendorUnavailable, True, "did not accept a connection in time"),
        (httpx.ReadTimeout(SECRET), VendorUnavailable, True, "did not answer in time"),
        (httpx.WriteTimeout(SECRET), VendorUnavailable, True, "did not answer in time"),
        (httpx.PoolTimeout(SECRET), VendorUnavailable, True, "did not answer in time"),
        (TimeoutError(SECRET), VendorUnavailable, True, "did not finish its answer in time"),
        (httpx.ConnectError(SECRET), VendorUnavailable, True, "cannot be reached"),
        (httpx.ReadError(SECRET), VendorUnavailable, True, "broke the connection"),
        (httpx.WriteError(SECRET), VendorUnavailable, True, "broke the connection"),
        (httpx.RemoteProtocolError(SECRET), VendorUnavailable, True, "broke the connection"),
        (httpx.ProxyError(SECRET), VendorUnavailable, True, "is behind a proxy that failed"),
        (httpx.LocalProtocolError(SECRET), AuthFailed, False, "is not valid HTTP"),
        (httpx.UnsupportedProtocol(SECRET), VendorUnavailable, False, "is not http or https"),
        (httpx.InvalidURL(SECRET), VendorUnavailable, False, "is not a URL"),
        (httpx.DecodingError(SECRET), ResponseInvalid, False, "cannot be unpacked"),
    ],
)
def test_each_exception_has_its_place_in_the_tree(exception: Exception, error: type[VendorError], passes: bool, what: str) -> None:
    failure = failure_of_exception(WHERE, exception)
    assert type(failure.error) is error
    assert (failure.passes, failure.error.status) == (passes, None)
    assert what in failure.error.message
    assert "Tripleseat (account venue)" in failure.error.message
    assert "GET events/search" in failure.error.message


@pytest.mark.parametrize("exception", [httpx.ConnectError(SECRET), httpx.LocalProtocolError(SECRET), httpx.InvalidURL(SECRET)])
def test_the_text_of_an_exception_is_never_repeated(exception: Exception) -> None:
    """URLs are quoted by httpx, and by h11 the header that it refuses, which is the one with the key."""
    error = failure_of_exception(WHERE, exception).error
    assert "340000" not in f"{error} {error!r} {error.message} {error.remedy}"
    assert error.__cause__ is None
    assert error.__context__ is None


def caused_by(cause: Exception) -> httpx.ConnectError:
    outer = httpx.ConnectError("x")
    outer.__cause__ = OSError("middle")
    outer.__cause__.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    ("cause", "passes", "what", "remedy"),
    [
        (ssl.SSLCertVerificationError(1, "expired"), False, "certificate", "clock"),
        (ssl.SSLError(1, "wrong version"), True, "encryption", "base_url"),
        (socket.gaierror(-2, "unknown"), True, "name", "DNS"),
    ],
)
def test_a_connection_error_is_told_by_its_cause(cause: Exception, passes: bool, what: str, remedy: str) -> None:
    failure = failure_of_exception(WHERE, caused_by(cause))
    assert isinstance(failure.error, VendorUnavailable)
    assert failure.passes is passes
    assert what in failure.error.message
    assert remedy in failure.error.remedy


def test_a_circle_of_causes_ends() -> None:
    error = httpx.ConnectError("x")
    error.__context__ = OSError("y")
    error.__context__.__context__ = error
    assert "cannot be reached" in failure_of_exception(WHERE, error).error.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "30"}, 30),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:45 GMT"}, 45),
        ({"retry-after": "Sat, 21 Nov 2026 09:00:00 GMT"}, 0),
        ({"retry-after": "Saturday, 21-Nov-26 10:00:45 GMT"}, 45),
        ({"retry-after": "Sat Nov 21 10:00:45 2026"}, 45),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:45 GMT", "date": "Sat, 21 Nov 2026 11:00:00 GMT"}, 45),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_retry_after_is_read_in_both_forms(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds or a date; a date counts from the vendor's own clock when the answer shows it."""
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert retry_after(headers, now=NOW) == expected


def test_a_429_carries_what_the_vendor_asked_for() -> None:
    failure = of_status(429, {"retry-after": "30"})
    assert isinstance(failure.error, RateLimited)
    assert failure.wait == failure.error.retry_after == timedelta(seconds=30)
    assert "a wait of 30 s" in failure.error.message


def test_a_503_may_ask_for_a_wait_too() -> None:
    assert of_status(503, {"retry-after": "30"}).wait == timedelta(seconds=30)


@pytest.mark.parametrize("text", ["", "yesterday", "Sat, 99 Nov 2026 10:00:00 GMT", "Sat, 21 Nov 99999 10:00:00 GMT"])
def test_what_is_no_date_is_none(text: str) -> None:
    assert http_date(text) is None


def test_an_http_date_is_aware_and_in_utc() -> None:
    assert http_date("Sat, 21 Nov 2026 02:00:00 -0800") == NOW
    assert http_date("Sat, 21 Nov 2026 10:00:00 -0000") == NOW


def test_an_error_of_a_sign_in_is_judged_by_its_kind() -> None:
    assert Failure.of(VendorUnavailable("x")).passes
    assert not Failure.of(AuthFailed("x")).passes
    assert Failure.of(RateLimited("x", retry_after=timedelta(seconds=3))).wait == timedelta(seconds=3)
