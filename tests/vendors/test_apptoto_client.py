"""What goes over the wire to Apptoto: addresses, queries, credentials, repetitions; and what is never asked."""

import ast
import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import calrelay.vendors.apptoto
from calrelay.errors import AuthFailed, NotFound, RateLimited, RequestRejected, ResponseInvalid, VendorError, VendorUnavailable
from calrelay.http.client import Timeouts
from calrelay.vendors.apptoto.client import TIMEOUTS, ApptotoClient, BasicAuth, EventQuery
from tests.vendors.apptoto_world import Waits, a_client

BODY = {"prevent_calendar_creation": True, "events": [{"external_id": "ts-1", "calendar_id": 1, "title": "Dinner"}]}


class Apptoto:
    """Answers with one response after the other, the last one for ever, and remembers the requests."""

    def __init__(self, *responses: httpx.Response | type[Exception]) -> None:
        self.requests: list[httpx.Request] = []
        self._responses = responses

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = self._responses[min(len(self.requests), len(self._responses)) - 1]
        if isinstance(response, httpx.Response):
            return httpx.Response(response.status_code, headers=response.headers, content=response.content)
        raise response("made up")


def ok(value: object = None) -> httpx.Response:
    return httpx.Response(200, json={"events": []} if value is None else value)


class TestAsking:
    async def test_every_request_is_signed_with_user_name_and_key(self) -> None:
        apptoto = Apptoto(ok())
        async with a_client(apptoto) as client:
            await client.list_events(EventQuery())
            await client.put_events(BODY)
        expected = "Basic " + base64.b64encode(b"ops@example.com:apptoto-key").decode()
        assert [r.headers["authorization"] for r in apptoto.requests] == [expected] * 2
        assert apptoto.requests[1].headers["content-type"] == "application/json"

    def test_neither_client_nor_credentials_show_the_key(self) -> None:
        assert "apptoto-key" not in repr(a_client(Apptoto(ok()))) + repr(BasicAuth("ops@example.com", "apptoto-key"))

    async def test_a_put_carries_its_body_as_it_is(self) -> None:
        apptoto = Apptoto(ok({"events": [{"id": 7, "external_id": "ts-1"}]}))
        async with a_client(apptoto) as client:
            [row] = await client.put_events(BODY)
        [request] = apptoto.requests
        assert (request.method, request.url.path, request.url.query) == ("PUT", "/v1/events", b"")
        assert json.loads(request.content) == BODY
        assert (row.id, row.external_id) == ("7", "ts-1")

    async def test_a_list_names_every_parameter_as_the_documents_do(self) -> None:
        apptoto = Apptoto(ok())
        query = EventQuery(
            begin=datetime(2026, 11, 20, tzinfo=UTC),
            end=datetime(2026, 12, 20, tzinfo=UTC) - timedelta(microseconds=1),
            page_size=200,
            include_deleted=True,
            include_conversations=True,
            phone_number="+12125550147",
            email_address="jane@example.com",
        )
        async with a_client(apptoto) as client:
            await client.list_events(query, 3)
        [request] = apptoto.requests
        assert dict(request.url.params) == {
            "begin": "2026-11-20T00:00:00+00:00",
            "end": "2026-12-20T00:00:00+00:00",
            "page": "3",
            "page_size": "200",
            "include_deleted": "true",
            "include_conversations": "true",
            "phone_number": "+12125550147",
            "email_address": "jane@example.com",
        }
        assert b"+" not in request.url.query

    async def test_a_plain_list_asks_for_a_page_of_a_hundred(self) -> None:
        apptoto = Apptoto(ok())
        async with a_client(apptoto) as client:
            await client.list_events(EventQuery())
        assert dict(apptoto.requests[0].url.params) == {"page": "1", "page_size": "100"}

    @pytest.mark.parametrize(("asked", "query"), [({"external_id": "ts-1&x=2"}, b"external_id=ts-1%26x%3D2"), ({"event_id": "7"}, b"id=7")])
    async def test_one_event_is_asked_for_by_either_id(self, asked: dict[str, str], query: bytes) -> None:
        apptoto = Apptoto(ok({"id": 7}))
        async with a_client(apptoto) as client:
            row = await client.event(**asked)
        [request] = apptoto.requests
        assert (request.method, request.url.path, request.url.query) == ("GET", "/v1/event", query)
        assert row is not None
        assert row.id == "7"

    @pytest.mark.parametrize("asked", [{}, {"external_id": "ts-1", "event_id": "7"}])
    async def test_one_event_has_one_name(self, asked: dict[str, str]) -> None:
        async with a_client(Apptoto(ok())) as client:
            with pytest.raises(ValueError, match="id"):
                await client.event(**asked)

    async def test_a_delete_names_one_event_by_apptotos_id(self) -> None:
        apptoto = Apptoto(ok({"events": [{"id": 900112233, "is_deleted": True}]}))
        async with a_client(apptoto) as client:
            await client.delete_event("900112233")
        [request] = apptoto.requests
        assert (request.method, request.url.path, request.url.query) == ("DELETE", "/v1/events", b"id=900112233")

    async def test_requests_of_both_kinds_are_counted_together(self) -> None:
        async with a_client(Apptoto(ok())) as client:
            await client.list_events(EventQuery())
            await client.put_events(BODY)
            assert client.requests == 2

    async def test_the_clock_of_the_last_answer_counts(self) -> None:
        now = datetime(2026, 11, 21, 10, tzinfo=UTC)
        dated = httpx.Response(200, json={"events": []}, headers={"Date": "Sat, 21 Nov 2026 10:00:30 GMT"})
        async with a_client(Apptoto(dated), now=lambda: now) as client:
            assert client.clock_skew is None
            await client.put_events(BODY)
            assert client.clock_skew == timedelta(seconds=30)

    def test_a_batch_may_take_four_minutes(self) -> None:
        assert Timeouts(connect=10, read=240) == TIMEOUTS


class TestAnswers:
    @pytest.mark.parametrize("status", [404, 410])
    async def test_gone_is_none_and_deleted(self, status: int) -> None:
        async with a_client(Apptoto(httpx.Response(status, json={}))) as client:
            assert await client.event(external_id="ts-1") is None
            await client.delete_event("7")

    async def test_another_event_than_was_asked_for_is_no_answer(self) -> None:
        """A vendor that ignores a parameter may show any event."""
        async with a_client(Apptoto(ok({"id": 7, "external_id": "ts-2"}))) as client:
            with pytest.raises(ResponseInvalid):
                await client.event(external_id="ts-1")
            with pytest.raises(ResponseInvalid):
                await client.event(event_id="8")

    @pytest.mark.parametrize("status", [404, 405, 410])
    async def test_calendars_may_not_be_offered(self, status: int) -> None:
        async with a_client(Apptoto(httpx.Response(status, text="<html></html>"))) as client:
            assert await client.calendars() is None

    async def test_calendars_of_another_shape_are_an_error_and_no_empty_list(self) -> None:
        async with a_client(Apptoto(ok({"data": []}))) as client:
            with pytest.raises(ResponseInvalid):
                await client.calendars()

    @pytest.mark.parametrize("status", [400, 409, 413, 422])
    async def test_a_refused_put_is_told_as_such_and_not_repeated(self, status: int) -> None:
        apptoto = Apptoto(httpx.Response(status, json={"error": "Jane Roe"}))
        async with a_client(apptoto) as client:
            with pytest.raises(RequestRejected) as refused:
                await client.put_events(BODY)
        assert len(apptoto.requests) == 1
        assert refused.value.status == status
        assert "Jane" not in str(refused.value)

    async def test_a_put_to_an_address_that_is_not_there_is_not_found(self) -> None:
        async with a_client(Apptoto(httpx.Response(404))) as client:
            with pytest.raises(NotFound):
                await client.put_events(BODY)

    @pytest.mark.parametrize("status", [401, 403])
    async def test_refused_credentials_stop_at_once(self, status: int) -> None:
        apptoto = Apptoto(httpx.Response(status, json={}))
        async with a_client(apptoto) as client:
            with pytest.raises(AuthFailed):
                await client.put_events(BODY)
        assert len(apptoto.requests) == 1


class TestRepeating:
    @pytest.mark.parametrize(
        "failure",
        [
            httpx.Response(502, text="<html>Bad Gateway</html>"),
            httpx.Response(503),
            httpx.ReadTimeout,
            httpx.ReadError,
            httpx.Response(200, text='{"events": ['),
            httpx.Response(200),
        ],
    )
    async def test_a_put_that_stayed_open_is_repeated_once_and_the_same(self, failure: Any) -> None:
        apptoto = Apptoto(failure)
        async with a_client(apptoto) as client:
            with pytest.raises((VendorUnavailable, ResponseInvalid)):
                await client.put_events(BODY)
        first, second = apptoto.requests
        assert (first.content, first.url) == (second.content, second.url)

    async def test_a_put_that_works_the_second_time_is_fine(self) -> None:
        apptoto = Apptoto(httpx.ReadTimeout, ok({"events": [{"id": 7}]}))
        async with a_client(apptoto) as client:
            assert [row.id for row in await client.put_events(BODY)] == ["7"]

    async def test_a_put_is_repeated_after_a_timeout_of_four_minutes(self) -> None:
        """The minute that requests have in all would be over long before."""
        waits = Waits()

        def slow(request: httpx.Request) -> httpx.Response:
            waits.now += 240
            raise httpx.ReadTimeout("made up", request=request)

        apptoto = _Counted(slow)
        async with a_client(apptoto, retry=waits.retry()) as client:
            with pytest.raises(VendorUnavailable):
                await client.put_events(BODY)
        assert apptoto.count == 2

    async def test_a_429_is_waited_for_more_often_because_nothing_was_applied(self) -> None:
        waits, apptoto = Waits(), Apptoto(httpx.Response(429))
        async with a_client(apptoto, retry=waits.retry()) as client:
            with pytest.raises(RateLimited):
                await client.put_events(BODY)
        assert len(apptoto.requests) == 5
        assert waits.waited == [1, 2, 4, 8]

    async def test_a_429_that_asks_for_more_than_a_minute_is_not_waited_for(self) -> None:
        waits, apptoto = Waits(), Apptoto(httpx.Response(429, headers={"Retry-After": "61"}))
        async with a_client(apptoto, retry=waits.retry()) as client:
            with pytest.raises(RateLimited):
                await client.put_events(BODY)
        assert (len(apptoto.requests), waits.waited) == (1, [])

    async def test_reads_are_repeated_up_to_five_times(self) -> None:
        apptoto = Apptoto(httpx.Response(500))
        async with a_client(apptoto) as client:
            with pytest.raises(VendorUnavailable):
                await client.list_events(EventQuery())
        assert len(apptoto.requests) == 5

    async def test_one_pace_holds_for_reads_and_writes(self) -> None:
        """Six requests at a hundred a second have five spaces between them, whichever way they go."""
        loop = asyncio.get_running_loop()
        async with a_client(Apptoto(ok()), requests_per_minute=6_000) as client:
            began = loop.time()
            for _ in range(3):
                await client.put_events(BODY)
                await client.list_events(EventQuery())
        assert loop.time() - began > 0.045


class _Counted:
    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.count = 0
        self._answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        return self._answer(request)


class TestWhatIsAbsent:
    def test_the_client_knows_five_calls_and_no_other(self) -> None:
        """POST /events doubles events; send_message and mark message people; contacts are not ours."""
        requests = {call for path in _sources() for call in _calls_in(path)}
        assert requests == {("PUT", "/events"), ("DELETE", "/events"), ("GET", "path")}
        assert _paths_of_reads() == {"/events", "/event", "/calendars"}

    @pytest.mark.parametrize("word", ["send_message", "/event/mark", "contact_id", "/contacts", "POST"])
    def test_no_literal_in_the_adapter_names_what_must_not_be_called(self, word: str) -> None:
        assert not [text for path in _sources() for text in _literals_in(path) if word in text]

    def test_the_client_offers_nothing_more(self) -> None:
        public = {name for name in vars(ApptotoClient) if not name.startswith("_")}
        assert public == {"put_events", "list_events", "event", "delete_event", "calendars", "requests", "clock_skew"}


def _sources() -> list[Path]:
    return sorted(Path(next(iter(calrelay.vendors.apptoto.__path__))).glob("*.py"))


def _calls_in(path: Path) -> list[tuple[str, str]]:
    """Return method and path of every call of `request`, the path's name where it is a variable."""
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    asked = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "request"]
    return [(ast.literal_eval(call.args[0]), _named(call.args[1])) for call in asked]


def _paths_of_reads() -> set[str]:
    calls = [node for path in _sources() for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    return {_named(call.args[0]) for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "_get"}


def _named(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else str(ast.literal_eval(node))


def _literals_in(path: Path) -> list[str]:
    """Return the strings of a module that are not documentation."""
    tree = ast.parse(path.read_text("utf-8"))
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documented]
    return [node.value for node in constants if isinstance(node.value, str)]


@pytest.mark.parametrize("then", [401, 429])
async def test_a_delete_that_was_answered_may_have_been_done_whatever_the_question_after_it_is_answered(then: int) -> None:
    def apptoto(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={}) if request.method == "DELETE" else httpx.Response(then, json={})

    async with a_client(apptoto) as client:
        with pytest.raises(VendorError) as caught:
            await client.delete_event("7")
    assert (caught.value.status, caught.value.is_open) == (then, True)


async def test_a_delete_may_have_been_done_where_a_page_for_people_follows_a_try_without_an_answer() -> None:
    answers = iter([httpx.Response(502), httpx.Response(404, html="<html>gone</html>")])
    async with a_client(lambda _: next(answers)) as client:
        with pytest.raises(VendorError) as caught:
            await client.delete_event("7")
    assert caught.value.is_open
