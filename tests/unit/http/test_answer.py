import httpx
import pytest
from pydantic import BaseModel, TypeAdapter, model_validator

from calrelay.errors import ResponseInvalid
from calrelay.http.answer import Answer, parse_json
from calrelay.http.failures import Where


class Contact(BaseModel):
    id: int
    email: str = ""


class Events(BaseModel):
    total_pages: int
    results: list[Contact]


def an_answer(body: bytes = b"{}", status: int = 200, **headers: str) -> Answer:
    where = Where(vendor="Tripleseat", account="venue", method="GET", endpoint="events/search")
    return Answer(where=where, status=status, headers=httpx.Headers({k.replace("_", "-"): v for k, v in headers.items()}), body=body)


def test_a_body_is_read_as_a_model() -> None:
    page = an_answer(b'{"total_pages": 1, "results": [{"id": 5}]}').parse(Events)
    assert page == Events(total_pages=1, results=[Contact(id=5)])


def test_a_body_is_read_by_a_type_adapter() -> None:
    assert an_answer(b'[{"id": 5}]').parse(TypeAdapter(list[Contact])) == [Contact(id=5)]


def test_a_body_is_read_as_plain_values() -> None:
    assert parse_json(an_answer(b'{"a": [1, null, "x"]}')) == {"a": [1, None, "x"]}


def test_a_byte_order_mark_is_no_flaw() -> None:
    assert parse_json(an_answer(b'\xef\xbb\xbf{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb"Ann \ud83d\ude00", "Ann \U0001f600"),
        (rb"Ann \ud83d", "Ann "),
        (rb"\ude00 Ann \ud83d, \ud83d\ude00", " Ann , \U0001f600"),
        (b"Ann\tand\x01Bob", "Ann\tand\x01Bob"),
        (b"Caf\xe9", "Caf\ufffd"),
    ],
)
def test_characters_that_are_none_spoil_nothing_but_themselves(written: bytes, read: str) -> None:
    answer = an_answer(b'{"total_pages": 1, "results": [{"id": 4, "email": "%s"}, {"id": 5}]}' % written)
    assert answer.parse(Events).results == answer.parse_plain(Events).results == [Contact(id=4, email=read), Contact(id=5)]


def test_what_can_be_read_is_read_once() -> None:
    read: list[object] = []

    class Watching(Events):
        @model_validator(mode="before")
        @classmethod
        def _watch(cls, value: object) -> object:
            read.append(value)
            return value

    an_answer(b'{"total_pages": 1, "results": []}').parse(Watching)
    with pytest.raises(ResponseInvalid):
        an_answer(b'{"total_pages": "many", "results": []}').parse(Watching)
    assert len(read) == 2


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "an empty body"),
        (rb'{"results": [{"email": "\ud83d', "JSON that breaks off or is damaged"),
        (rb'{"results": [{"email": "\ud83d"}, {"email"', "JSON that breaks off or is damaged"),
        (b" \n", "an empty body"),
        (b'{"total_pages": 1, "results": [{"id"', "JSON that breaks off or is damaged"),
        (b'[{"id": 5}', "JSON that breaks off or is damaged"),
        (b"Internal error", "something that is not JSON"),
        (b"\xff\xfe", "something that is not JSON"),
        (b"[" * 100_000, "JSON that breaks off or is damaged"),
    ],
)
def test_what_is_not_json_is_told_in_our_words(body: bytes, what: str) -> None:
    message = f"Tripleseat (account venue) answered GET events/search with {what}."
    with pytest.raises(ResponseInvalid) as plain:
        parse_json(an_answer(body))
    with pytest.raises(ResponseInvalid) as modelled:
        an_answer(body).parse(Events)
    assert plain.value.message == modelled.value.message == message


def test_the_first_wrong_field_is_named_by_its_path() -> None:
    body = b'{"total_pages": 1, "results": [{"id": 5}, {"id": "guest@example.com"}, {"id": "x"}]}'
    with pytest.raises(ResponseInvalid, match=r"results\.1\.id \(int_parsing\) and 1 more"):
        an_answer(body).parse(Events)


def test_another_kind_of_body_is_told_as_a_whole() -> None:
    with pytest.raises(ResponseInvalid, match="the whole body"):
        an_answer(b"[]").parse(Events)


def test_no_value_of_the_vendor_is_quoted_or_chained() -> None:
    """The exception of pydantic shows the input, so it must not even be the context that a traceback prints."""
    with pytest.raises(ResponseInvalid) as caught:
        an_answer(b'{"total_pages": "guest@example.com", "results": []}').parse(Events)
    assert "guest" not in f"{caught.value!r} {caught.value.message} {caught.value.remedy}"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_repr_shows_neither_body_nor_headers() -> None:
    shown = repr(an_answer(b"guest@example.com", set_cookie="session=abc"))
    assert "guest" not in shown
    assert "abc" not in shown


@pytest.mark.parametrize(
    ("body", "content_type", "is_html"),
    [
        (b"<!DOCTYPE html><html>", "text/html", True),
        (b"\n <HTML>", "application/json", True),
        (b"Please sign in", "text/html; charset=utf-8", True),
        (b'{"a": 1}', "text/html", False),
        (b"", "text/html", False),
        (b"plain", "text/plain", False),
        (b'{"a": "<html>"}', "application/json", False),
    ],
)
def test_a_page_for_people_is_told_by_its_body_first(body: bytes, content_type: str, is_html: bool) -> None:
    """Rails labels its empty answers text/html, and JSON may be labelled wrongly as well."""
    assert an_answer(body, content_type=content_type).is_html is is_html


def test_the_vendors_clock_is_read_from_its_date() -> None:
    assert str(an_answer(date="Sat, 21 Nov 2026 10:00:00 GMT").date) == "2026-11-21 10:00:00+00:00"
    assert an_answer().date is None
