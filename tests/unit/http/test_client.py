import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import stamina.instrumentation

from calrelay.errors import AuthFailed, NotFound, RateLimited, RequestRejected, ResponseInvalid, VendorError, VendorUnavailable
from calrelay.http.client import Auth, Finished, Request, Response, Timeouts, VendorClient, tls_context
from calrelay.http.pacing import Pacer
from calrelay.http.retry import Retry
from calrelay.http.tally import counting_its_own

Build = Callable[..., VendorClient]
HTML = {"content-type": "text/html; charset=utf-8"}


class Vendor:
    """Answers with one response after the other, the last one for ever, and remembers the requests."""

    def __init__(self, *responses: httpx.Response) -> None:
        self.requests: list[httpx.Request] = []
        self._responses = list(responses)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = self._responses[min(len(self.requests), len(self._responses)) - 1]
        return httpx.Response(response.status_code, headers=response.headers, content=response.content)


async def ask(client: VendorClient, **options: Any) -> Any:
    defaults: dict[str, Any] = {"endpoint": "events/search", "idempotent": True}
    async with client:
        return await client.request("GET", "/events/search.json", **defaults | options)


async def test_a_request_carries_what_was_asked(client_of: Build) -> None:
    vendor = Vendor(httpx.Response(200, json={"ok": 1}))
    async with client_of(vendor) as client:
        await client.request("GET", "/events.json", params={"page": 2, "ids": [1, 2]}, endpoint="events", idempotent=True)
        await client.request("PUT", "/events", json={"name": "Füße"}, endpoint="events", idempotent=True)
        await client.request("POST", "/token", form={"code": "a b"}, endpoint="token", idempotent=False)
    got, put, posted = vendor.requests
    assert str(got.url) == "https://api.example.com/v1/events.json?page=2&ids=1&ids=2"
    assert got.headers["accept"] == "application/json"
    assert got.headers["user-agent"].startswith("calrelay/")
    assert json.loads(put.content) == {"name": "Füße"}
    assert posted.content == b"code=a+b"


async def test_an_answer_comes_back_whole(client_of: Build) -> None:
    date = "Sat, 21 Nov 2026 10:00:00 GMT"
    answer = await ask(client_of(Vendor(httpx.Response(201, json=[1], headers={"Date": date, "X-Total": "7"}))))
    assert (answer.status, answer.body, answer.headers["x-total"], answer.json()) == (201, b"[1]", "7", [1])
    assert answer.date == datetime(2026, 11, 21, 10, tzinfo=UTC)


async def test_the_distance_of_the_clocks_is_learned(client_of: Build) -> None:
    client = client_of(
        Vendor(httpx.Response(200, json={}, headers={"Date": "Sat, 21 Nov 2026 10:00:00 GMT"})),
        now=lambda: datetime(2026, 11, 21, 10, 3, tzinfo=UTC),
    )
    assert client.last_date_skew is None
    await ask(client)
    assert client.last_date_skew == timedelta(minutes=-3)


async def test_an_address_of_its_own_is_refused(client_of: Build) -> None:
    """It would carry the account's credentials to another host."""
    vendor = Vendor(httpx.Response(200, json={}))
    async with client_of(vendor) as client:
        with pytest.raises(ValueError, match="slash"):
            await client.request("GET", "https://elsewhere.example.org/x", endpoint="x", idempotent=True)
        await client.request("GET", "//elsewhere.example.org/x", endpoint="x", idempotent=True)
    assert [request.url.host for request in vendor.requests] == ["api.example.com"]


async def test_a_client_is_used_inside_its_block_only(client_of: Build) -> None:
    client = client_of(Vendor(httpx.Response(200, json={})))
    await ask(client)
    with pytest.raises(RuntimeError, match="async with"):
        await client.request("GET", "/x", endpoint="x", idempotent=True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(client_of: Build, status: int) -> None:
    vendor = Vendor(httpx.Response(status, headers={"Location": "https://login.example.com/login"} | HTML), httpx.Response(200, json={}))
    with pytest.raises(AuthFailed):
        await ask(client_of(vendor))
    assert len(vendor.requests) == 1


async def test_a_login_page_is_a_failed_sign_in(client_of: Build) -> None:
    """Tripleseat answers 200 with its login page when credentials are missing or bad."""
    vendor = Vendor(httpx.Response(200, content=b"<!DOCTYPE html><title>Sign in</title>", headers=HTML))
    with pytest.raises(AuthFailed, match="answered with a login page instead of JSON"):
        await ask(client_of(vendor))
    assert len(vendor.requests) == 1


async def test_a_page_where_json_is_demanded_is_asked_for_again(client_of: Build) -> None:
    """TimeTap answers with bodies that are no JSON at times, and with JSON the next moment."""
    vendor = Vendor(httpx.Response(200, content=b"<html>Busy", headers=HTML), httpx.Response(200, json={}))
    assert (await ask(client_of(vendor), retry_invalid=True)).status == 200
    assert len(vendor.requests) == 2


async def test_html_with_502_is_an_outage(client_of: Build) -> None:
    with pytest.raises(VendorUnavailable):
        await ask(client_of(Vendor(httpx.Response(502, content=b"<html>Bad gateway", headers=HTML))))


async def test_an_outage_is_asked_five_times(client_of: Build, waits: Any) -> None:
    vendor = Vendor(httpx.Response(503))
    with pytest.raises(VendorUnavailable):
        await ask(client_of(vendor))
    assert len(vendor.requests) == 5
    assert waits.waited == [1, 2, 4, 8]


async def test_an_outage_that_ends_is_not_noticed(client_of: Build) -> None:
    assert (await ask(client_of(Vendor(httpx.Response(503), httpx.Response(200, json={}))))).status == 200


async def test_what_is_not_idempotent_is_sent_once(client_of: Build) -> None:
    vendor = Vendor(httpx.Response(503), httpx.Response(200, json={}))
    with pytest.raises(VendorUnavailable):
        await ask(client_of(vendor), idempotent=False)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize(
    ("header", "waited"),
    [("7", 7), ("Sat, 21 Nov 2026 10:00:09 GMT", 9), (None, 1)],
)
async def test_a_429_is_waited_out(client_of: Build, waits: Any, header: str | None, waited: float) -> None:
    headers = {} if header is None else {"Retry-After": header, "Date": "Sat, 21 Nov 2026 10:00:00 GMT"}
    assert (await ask(client_of(Vendor(httpx.Response(429, headers=headers), httpx.Response(200, json={}))))).status == 200
    assert waits.waited == [waited]


async def test_a_429_slows_the_account_down(client_of: Build) -> None:
    pacer = Pacer(1000)
    await ask(client_of(Vendor(httpx.Response(429), httpx.Response(200, json={})), pacer=pacer))
    assert pacer.rate == 500


async def test_a_long_retry_after_comes_back_at_once(client_of: Build, waits: Any) -> None:
    with pytest.raises(RateLimited) as caught:
        await ask(client_of(Vendor(httpx.Response(429, headers={"Retry-After": "600"}))))
    assert (caught.value.retry_after, waits.waited) == (timedelta(minutes=10), [])


@pytest.mark.parametrize("body", [b"", b'{"results": [', b"oops"])
async def test_an_unsound_body_is_asked_again_where_the_caller_says_so(client_of: Build, body: bytes) -> None:
    """TimeTap at times sends empty bodies."""
    vendor = Vendor(httpx.Response(200, content=body), httpx.Response(200, json={}))
    assert (await ask(client_of(vendor), retry_invalid=True)).json() == {}
    assert len(vendor.requests) == 2


async def test_a_body_that_stays_unsound_is_told(client_of: Build) -> None:
    vendor = Vendor(httpx.Response(200, content=b""))
    with pytest.raises(ResponseInvalid, match="an empty body"):
        await ask(client_of(vendor), retry_invalid=True)
    assert len(vendor.requests) == 5


async def test_an_empty_body_is_nobodys_concern_until_it_is_read(client_of: Build) -> None:
    """A delete is answered with nothing, which Rails labels text/html."""
    vendor = Vendor(httpx.Response(200, content=b"", headers=HTML))
    answer = await ask(client_of(vendor))
    with pytest.raises(ResponseInvalid):
        answer.json()


async def test_an_accepted_status_comes_back_as_an_answer(client_of: Build) -> None:
    """TimeTap says "not found" with 400 and words, which only its own folder understands."""
    answer = await ask(client_of(Vendor(httpx.Response(400, content=b"not found"))), accept={400})
    assert (answer.status, answer.body) == (400, b"not found")


@pytest.mark.parametrize(("status", "error"), [(400, RequestRejected), (404, NotFound), (401, AuthFailed), (403, AuthFailed)])
async def test_a_refusal_is_asked_once(client_of: Build, status: int, error: type[VendorError]) -> None:
    vendor = Vendor(httpx.Response(status, json={"error": "guest@example.com"}))
    with pytest.raises(error) as caught:
        await ask(client_of(vendor))
    assert (len(vendor.requests), caught.value.status) == (1, status)


@pytest.mark.parametrize("fault", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
async def test_a_broken_connection_is_asked_again(client_of: Build, fault: type[httpx.TransportError]) -> None:
    asked = 0

    def app(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise fault("https://api.example.com/?apiKey=1")
        return httpx.Response(200, json={})

    assert (await ask(client_of(app))).status == 200


class Dripping(httpx.AsyncByteStream):
    """A body that sends a byte every now and then, each within the read timeout, and never ends."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(50)
            yield b" "


def test_a_dripping_answer_has_a_deadline(client_of: Build, in_no_time: Callable[..., Any]) -> None:
    async def told() -> None:
        client = client_of(lambda _: httpx.Response(200, stream=Dripping()), timeouts=Timeouts(read=60))
        with pytest.raises(VendorUnavailable, match="did not finish its answer in time"):
            await ask(client, idempotent=False)
        assert asyncio.get_running_loop().time() < 61

    in_no_time(told())


async def test_timeouts_are_given_to_every_request(client_of: Build) -> None:
    vendor = Vendor(httpx.Response(200, json={}))
    await ask(client_of(vendor, timeouts=Timeouts(read=240)))
    assert vendor.requests[0].extensions["timeout"] == {"connect": 10, "read": 240, "write": 240, "pool": 240}


class Busy:
    """Answers slowly, and knows how many requests were in flight at most."""

    def __init__(self) -> None:
        self.flying = self.most = 0

    async def __call__(self, _: httpx.Request) -> httpx.Response:
        self.flying += 1
        self.most = max(self.most, self.flying)
        await asyncio.sleep(1)
        self.flying -= 1
        return httpx.Response(200, json={})


@pytest.mark.parametrize(("options", "most"), [({}, 5), ({"in_flight": 8}, 8), ({"in_flight": 1}, 1)])
def test_so_many_requests_are_in_flight_at_most(
    client_of: Build, in_no_time: Callable[..., Any], options: dict[str, int], most: int
) -> None:
    """Five where nothing is said; what is beyond five goes through httpx clients of its own, because one of them collapses."""
    busy = Busy()

    async def ask_often() -> int:
        async with client_of(busy, **options) as client:
            await asyncio.gather(*(client.request("GET", "/x", endpoint="x", idempotent=True) for _ in range(20)))
            return client.requests

    assert (in_no_time(ask_often()), busy.most) == (20, most)


class SignIn(Auth):
    """Fetches a token with each request, the way a vendor's sign-in does."""

    requires_response_body = True

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        token = yield Request("GET", "https://api.example.com/token?apiKey=340000&signature=abcdef")
        if token.status_code >= 500:
            raise VendorUnavailable("no token", account="venue", status=token.status_code)
        request.headers["Authorization"] = f"Bearer {token.text}"
        yield request


def test_the_requests_of_the_sign_in_are_paced_and_counted_as_well(client_of: Build, in_no_time: Callable[..., Any]) -> None:
    times: list[float] = []

    def app(_: httpx.Request) -> httpx.Response:
        times.append(asyncio.get_running_loop().time())
        return httpx.Response(200, text="token")

    async def ask_often() -> int:
        async with client_of(app, auth=SignIn(), pacer=Pacer(3)) as client:
            await asyncio.gather(*(client.request("GET", "/x", endpoint="x", idempotent=True) for _ in range(6)))
            return client.requests

    assert in_no_time(ask_often()) == len(times) == 12
    assert all(sum(start <= other <= start + 1 for other in times) <= 3 for start in times)


async def test_two_who_ask_one_account_at_the_same_time_each_count_their_own(client_of: Build) -> None:
    both_ask = asyncio.Barrier(2)

    async def asking(client: VendorClient, times: int) -> int:
        async with counting_its_own():
            before = client.requests
            await both_ask.wait()
            await asyncio.gather(*(client.request("GET", "/x", endpoint="x", idempotent=True) for _ in range(times)))
            await both_ask.wait()
            return client.requests - before

    async with client_of(Vendor(httpx.Response(200, json={}))) as client:
        assert list(await asyncio.gather(asking(client, 3), asking(client, 2))) == [3, 2]
        assert client.requests == 5


async def test_a_sign_in_that_fails_for_now_is_asked_again(client_of: Build) -> None:
    """TimeTap's token endpoint answers 504 like all others."""
    vendor = Vendor(httpx.Response(504), httpx.Response(200, text="token"))
    assert (await ask(client_of(vendor, auth=SignIn()))).status == 200


async def test_who_counts_is_told_of_each_finished_request(client_of: Build, finished: list[Finished]) -> None:
    await ask(client_of(Vendor(httpx.Response(503), httpx.Response(200, json={}))), params={"query": "guest@example.com"})
    with pytest.raises(NotFound):
        await ask(client_of(Vendor(httpx.Response(404))))
    with pytest.raises(VendorUnavailable):
        await ask(client_of(_unreachable), idempotent=False)
    assert [(told.account, told.method, told.endpoint, told.status, told.attempts) for told in finished] == [
        ("venue", "GET", "events/search", 200, 2),
        ("venue", "GET", "events/search", 404, 1),
        ("venue", "GET", "events/search", None, 1),
    ]
    assert all(told.seconds >= 0 for told in finished)


def _unreachable(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 429, 500])
async def test_no_secret_and_no_guest_is_in_an_error(client_of: Build, waits: Any, status: int) -> None:
    """Vendors quote guests and whole URLs in their answers; neither an error nor what it chains to may."""
    body = b"guest@example.com hunter2-hunter2 https://api.example.com/?signature=abcdef"
    vendor = Vendor(httpx.Response(status, content=body, headers={"Location": "/login?signature=abcdef"}))
    client = client_of(vendor, auth=httpx.BasicAuth("ops", "hunter2-hunter2"))
    with pytest.raises(VendorError) as caught:
        await ask(client, params={"signature": "abcdef"}, retry_invalid=True)
    error = caught.value
    shown = f"{error} {error!r} {error.remedy} {client!r} {error.__cause__!r} {error.__context__!r}"
    for secret in ("guest", "hunter2", "abcdef", "signature", "api.example.com"):
        assert secret not in shown


async def test_no_secret_and_no_guest_is_in_the_log(client_of: Build, caplog: pytest.LogCaptureFixture) -> None:
    """Not even in what we write about retries, with everything of ours shown."""
    caplog.set_level("DEBUG", logger="calrelay")
    with pytest.raises(VendorUnavailable):
        await ask(client_of(Vendor(httpx.Response(503, content=b"guest@example.com"))), params={"signature": "abcdef"})
    ours = [record for record in caplog.records if record.name.startswith("calrelay")]
    assert len(ours) == 4
    text = " ".join(record.getMessage() for record in ours)
    assert "asking again" in text
    for secret in ("guest", "abcdef", "api.example.com"):
        assert secret not in text


async def test_a_cancelled_request_is_not_asked_again(client_of: Build) -> None:
    asked, arrived = 0, asyncio.Event()

    async def hang(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(ask(client_of(hang)))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asked == 1


async def test_a_real_socket_that_nobody_listens_on_is_unavailable(client_of: Build, unused_tcp_port: int, waits: Any) -> None:
    client = client_of(Vendor(), base_url=f"http://127.0.0.1:{unused_tcp_port}", transport=None, retry=waits.retry(attempts=2))
    with pytest.raises(VendorUnavailable, match="cannot be reached"):
        await ask(client)
    assert client.requests == 2


class Turns:
    """A pace whose turns last until these times."""

    def __init__(self, *latest: float) -> None:
        self.left = list(latest)

    async def acquire(self) -> float:
        return self.left.pop(0)

    def slow_down(self) -> None: ...

    def speed_up(self) -> None: ...


async def test_a_request_whose_turn_has_passed_before_it_is_written_waits_for_another(client_of: Build, unused_tcp_port: int) -> None:
    pace = Turns(time.monotonic() - 1, 0.0, time.monotonic() + 100, math.inf)
    left_when_written: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        left_when_written.append(len(pace.left))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", unused_tcp_port)
    client = client_of(None, base_url=f"http://127.0.0.1:{unused_tcp_port}", transport=None, pacer=pace)
    async with server, client:
        await client.request("GET", "/one", endpoint="one", idempotent=True)
        assert client.requests == 1  # one on the wire, however many turns it took
    assert left_when_written == [1]


@pytest.mark.parametrize(("may_connect_for", "turns"), [(-1.0, [2, 3]), (60.0, [1, 2])])
async def test_a_request_that_had_to_connect_first_waits_for_another_turn_so_that_the_next_is_not_too_near(
    client_of: Build, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch, may_connect_for: float, turns: list[int]
) -> None:
    monkeypatch.setattr("calrelay.http.client._MAY_CONNECT_FOR", may_connect_for)
    pace = Turns(math.inf, math.inf, math.inf, math.inf)
    taken: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                taken.append(4 - len(pace.left))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", unused_tcp_port)
    client = client_of(None, base_url=f"http://127.0.0.1:{unused_tcp_port}", transport=None, pacer=pace)
    async with server, client:
        for _ in range(2):
            await client.request("GET", "/one", endpoint="one", idempotent=True)
    assert taken == turns


async def test_an_answer_that_is_cut_off_on_the_wire_is_unavailable(client_of: Build, unused_tcp_port: int) -> None:
    async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"results": [')
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(cut_off, "127.0.0.1", unused_tcp_port):
        client = client_of(Vendor(), base_url=f"http://127.0.0.1:{unused_tcp_port}", transport=None)
        with pytest.raises(VendorUnavailable, match="broke the connection"):
            await ask(client, idempotent=False)


async def test_a_plain_socket_behind_https_is_told_as_such(client_of: Build, unused_tcp_port: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", unused_tcp_port):
        client = client_of(Vendor(), base_url=f"https://127.0.0.1:{unused_tcp_port}", transport=None)
        with pytest.raises(VendorUnavailable, match="did not agree on encryption"):
            await ask(client, idempotent=False)


async def test_a_proxy_from_the_environment_is_not_asked_for_loopback(
    client_of: Build, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A simulator on this machine must answer, whatever proxy the vendors are reached through."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example.com:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", unused_tcp_port):
        client = client_of(Vendor(), base_url=f"http://127.0.0.1:{unused_tcp_port}", transport=None)
        assert (await ask(client)).json() == {}


def test_the_process_has_one_tls_context() -> None:
    assert tls_context() is tls_context()


def test_the_defaults_are_the_rule() -> None:
    """Rule 24: five attempts and 60 s a request, a 429 waits at most 15 s; 10 s to connect, 60 s to read."""
    assert (Retry().attempts, Retry().budget, Retry().longest) == (5, 60, 15)
    assert Timeouts() == Timeouts(connect=10, read=60)


def test_staminas_own_report_of_retries_is_silenced() -> None:
    """It would log the arguments of what it repeats."""
    assert stamina.instrumentation.get_on_retry_hooks() == ()
