"""Who may see and change what, asked the way somebody asks who should not."""

from typing import Any

import pytest
from starlette.requests import Request

from calrelay.service.web.access import (
    ADDRESSES_REMEMBERED,
    FAILURES_ALLOWED,
    FORM_TOKEN,
    SESSION_SECONDS,
    Access,
    Need,
    Session,
    Verdict,
    is_from_this_page,
    is_local,
    need_of,
)

TOKEN = "a-token-of-some-length"
HERE = {"host": "127.0.0.1:8642"}


class Hand:
    """The rules, and clocks that a test moves."""

    def __init__(self, *, is_loopback_only: bool = True, token: str = TOKEN) -> None:
        self.now = 1_000_000.0
        self.access = Access(token, cookie="c", is_loopback_only=is_loopback_only, now=lambda: self.now, monotonic=lambda: self.now)

    def session(self) -> tuple[str, Session]:
        """Log in, and return the cookie and the session."""
        cookie = self.access.log_in(a_request("POST", "/login"), TOKEN)
        assert cookie is not None
        _, session = self.access.judge(a_request(cookie=f"c={cookie}"), {})
        assert session is not None
        return cookie, session

    def verdict(self, request: Request, **form: str) -> Verdict:
        """Judge a request."""
        return self.access.judge(request, form)[0]


def a_request(method: str = "GET", path: str = "/", *, client: str = "127.0.0.1", headers: Any = (), **named: str) -> Request:
    """A request as uvicorn hands it on; `host` is this page's where none is given, "" leaves it out."""
    found = {"host": HERE["host"]} | {name.replace("_", "-"): value for name, value in named.items()}
    rows = [(name, value) for name, value in found.items() if value] + [*headers]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "scheme": "http",
        "server": ("127.0.0.1", 8642),
        "client": (client, 50_000),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in rows],
    }
    return Request(scope)


@pytest.mark.parametrize(
    ("method", "path", "need"),
    [
        ("GET", "/healthz", Need.READING),
        ("GET", "/readyz", Need.READING),
        ("GET", "/login", Need.NOTHING),
        ("POST", "/login", Need.NOTHING),
        ("GET", "/", Need.READING),
        ("HEAD", "/metrics", Need.READING),
        ("GET", "/nobody/knows/this", Need.READING),
        ("GET", "/events", Need.NAMES),
        ("GET", "/events/ts-55120", Need.NAMES),
        ("POST", "/holds/approve", Need.CHANGE),
        ("DELETE", "/events/ts-55120", Need.CHANGE),
        ("OPTIONS", "/", Need.CHANGE),
    ],
)
def test_what_a_request_needs(method: str, path: str, need: Need) -> None:
    assert need_of(method, path) is need


@pytest.mark.parametrize("host", ["127.0.0.1:8642", "localhost", "LOCALHOST:9000", "[::1]:8642", "127.0.0.2"])
@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
def test_a_request_from_this_machine_under_its_own_name_is_local(host: str, client: str) -> None:
    assert is_local(a_request(host=host, client=client))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example.com",
        "127.0.0.1.example.com",
        "localhost.example.com",
        "127.0.0.1@example.com",
        "localhost/../x",
        "10.0.0.1",
        "[::1",
        "a b",
    ],
)
def test_a_name_that_is_not_this_machines_is_not_local(host: str) -> None:
    """Another site's name may be made to point to 127.0.0.1 (DNS rebinding)."""
    assert not is_local(a_request(host=host))


def test_two_host_headers_are_not_local() -> None:
    assert not is_local(a_request(headers=[("host", "localhost")]))


@pytest.mark.parametrize("client", ["10.0.0.7", "192.168.1.20", "::ffff:10.0.0.7", "2001:db8::1", ""])
def test_another_machine_is_not_local(client: str) -> None:
    assert not is_local(a_request(client=client))


@pytest.mark.parametrize(
    "header",
    [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "via",
        "x-real-ip",
        "x-original-forwarded-for",
        "cf-connecting-ip",
    ],
)
def test_a_forwarded_request_is_not_local(header: str) -> None:
    assert not is_local(a_request(headers=[(header, "127.0.0.1")]))


def test_on_loopback_reading_needs_nothing() -> None:
    assert Hand().verdict(a_request()) is Verdict.ADMITTED
    assert Hand().verdict(a_request(path="/metrics")) is Verdict.ADMITTED


@pytest.mark.parametrize("request_of", [{"host": "evil.example.com"}, {"client": "10.0.0.7"}, {"via": "1.1 proxy"}])
def test_what_only_looks_like_loopback_needs_the_token_to_read(request_of: dict[str, str]) -> None:
    client, headers = request_of.pop("client", "127.0.0.1"), request_of
    assert Hand().verdict(a_request(client=client, **headers)) is Verdict.LOGIN


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz", "/holds/x", "/events/ts-1", "/nothing"])
def test_elsewhere_than_on_loopback_everything_needs_the_token(path: str) -> None:
    hand = Hand(is_loopback_only=False)
    assert hand.verdict(a_request(path=path)) is Verdict.LOGIN
    assert hand.verdict(a_request(path=path, authorization=f"Bearer {TOKEN}")) is Verdict.ADMITTED


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_checks_are_open_on_loopback_and_to_nobody_whose_request_was_forwarded(path: str) -> None:
    assert Hand().verdict(a_request(path=path)) is Verdict.ADMITTED
    assert Hand().verdict(a_request(path=path, via="1.1 proxy")) is Verdict.LOGIN


def test_a_host_header_cannot_pretend_to_be_an_open_path() -> None:
    """`request.url.path` would be /login here."""
    request = a_request(path="/events/ts-1", host="127.0.0.1/login?")
    assert Hand().verdict(request) is Verdict.LOGIN


def test_names_need_the_token_on_loopback_too() -> None:
    hand = Hand()
    assert hand.verdict(a_request(path="/events/ts-1")) is Verdict.LOGIN
    cookie, _ = hand.session()
    assert hand.verdict(a_request(path="/events/ts-1", cookie=f"c={cookie}")) is Verdict.ADMITTED


@pytest.mark.parametrize(
    "authorization", ["Bearer wrong", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"]
)
def test_a_wrong_token_opens_nothing(authorization: str) -> None:
    assert Hand().verdict(a_request(path="/events/ts-1", authorization=authorization)) is Verdict.LOGIN


def test_a_change_needs_the_token_and_the_sessions_form() -> None:
    hand = Hand()
    cookie, session = hand.session()
    change = a_request("POST", "/holds/approve", cookie=f"c={cookie}", origin="http://127.0.0.1:8642", sec_fetch_site="same-origin")
    assert hand.verdict(change, **{FORM_TOKEN: session.form_token}) is Verdict.ADMITTED
    assert hand.verdict(change) is Verdict.FOREIGN
    assert hand.verdict(change, **{FORM_TOKEN: "guessed"}) is Verdict.FOREIGN
    assert hand.verdict(a_request("POST", "/holds/approve"), **{FORM_TOKEN: session.form_token}) is Verdict.LOGIN


def test_the_form_of_one_session_does_not_serve_another() -> None:
    hand = Hand()
    _, other = hand.session()
    cookie, _ = hand.session()
    assert hand.verdict(a_request("POST", "/holds/approve", cookie=f"c={cookie}"), **{FORM_TOKEN: other.form_token}) is Verdict.FOREIGN


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example.com"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1:8642.evil.example.com"},
        {"origin": "null"},
        {"origin": "file://"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": "cross-site", "origin": "http://127.0.0.1:8642"},
    ],
)
def test_another_sites_form_changes_nothing_even_with_everything_right(headers: dict[str, str]) -> None:
    hand = Hand()
    cookie, session = hand.session()
    request = a_request("POST", "/holds/approve", cookie=f"c={cookie}", **headers)
    assert not is_from_this_page(request)
    assert hand.verdict(request, **{FORM_TOKEN: session.form_token}) is Verdict.FOREIGN


def test_a_script_needs_the_form_token_too() -> None:
    hand = Hand()
    _, session = hand.access.judge(a_request(authorization=f"Bearer {TOKEN}"), {})
    assert session is not None
    change = a_request("POST", "/holds/approve", authorization=f"Bearer {TOKEN}")
    assert hand.verdict(change) is Verdict.FOREIGN
    assert hand.verdict(change, **{FORM_TOKEN: session.form_token}) is Verdict.ADMITTED


def test_another_site_cannot_log_anybody_in() -> None:
    assert Hand().verdict(a_request("POST", "/login", origin="https://evil.example.com")) is Verdict.FOREIGN


def test_a_session_ends_after_its_time() -> None:
    hand = Hand()
    cookie, _ = hand.session()
    hand.now += SESSION_SECONDS + 1
    assert hand.verdict(a_request(path="/events/ts-1", cookie=f"c={cookie}")) is Verdict.LOGIN


def test_a_session_cannot_be_made_longer_or_made_up() -> None:
    hand = Hand()
    cookie, _ = hand.session()
    expires, nonce, signature = cookie.split(".")
    for forged in (
        f"{int(expires) + 9999}.{nonce}.{signature}",
        f"{expires}.{nonce}.",
        f"..{signature}",
        "",
        ".",
        "x.y.z",
        f"{expires}.{signature}",
    ):
        assert hand.verdict(a_request(path="/events/ts-1", cookie=f"c={forged}")) is Verdict.LOGIN


def test_another_token_ends_every_session() -> None:
    cookie, _ = Hand().session()
    assert Hand(token="another-token-of-length").verdict(a_request(path="/events/ts-1", cookie=f"c={cookie}")) is Verdict.LOGIN


def test_a_cookie_shows_no_token_and_a_session_shows_neither() -> None:
    cookie, session = Hand().session()
    assert TOKEN not in cookie
    assert session.form_token not in repr(session)
    assert cookie not in repr(session)


def test_guessing_is_stopped_for_a_minute_even_for_the_right_token() -> None:
    hand = Hand()
    wrong = a_request(path="/events/ts-1", authorization="Bearer wrong")
    right = a_request(path="/events/ts-1", authorization=f"Bearer {TOKEN}")
    verdicts = [hand.verdict(wrong) for _ in range(FAILURES_ALLOWED)]
    assert verdicts[:-1] == [Verdict.LOGIN] * (FAILURES_ALLOWED - 1)
    assert hand.verdict(right) is Verdict.LIMITED
    assert hand.access.log_in(a_request("POST", "/login"), TOKEN) is None
    hand.now += 61
    assert hand.verdict(right) is Verdict.ADMITTED


def test_guessing_from_one_address_locks_out_no_other_and_no_session() -> None:
    hand = Hand()
    cookie, _ = hand.session()
    for _ in range(FAILURES_ALLOWED):
        hand.verdict(a_request(path="/events/ts-1", client="10.0.0.7", authorization="Bearer wrong"))
    assert hand.verdict(a_request(path="/events/ts-1", client="10.0.0.7")) is Verdict.LIMITED
    assert hand.verdict(a_request(path="/events/ts-1", authorization=f"Bearer {TOKEN}")) is Verdict.ADMITTED
    assert hand.verdict(a_request(path="/events/ts-1", client="10.0.0.7", cookie=f"c={cookie}")) is Verdict.ADMITTED


def test_guessing_from_many_addresses_fills_no_memory() -> None:
    hand = Hand()
    for number in range(ADDRESSES_REMEMBERED + 50):
        hand.verdict(a_request(path="/events/ts-1", client=f"10.0.{number // 250}.{number % 250}", authorization="Bearer wrong"))
    assert len(hand.access._failures._by_address) == ADDRESSES_REMEMBERED


def test_strange_letters_are_only_wrong() -> None:
    hand = Hand()
    assert hand.verdict(a_request(path="/events/ts-1", authorization="Bearer \xff\xfe")) is Verdict.LOGIN
    assert hand.verdict(a_request(path="/events/ts-1", cookie="c=\xe4.\xff.\xfe")) is Verdict.LOGIN
    assert hand.access.log_in(a_request("POST", "/login"), "\ud7ff\U0001f511") is None
