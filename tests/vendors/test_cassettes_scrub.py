"""The scrubber, on made-up payloads of every kind that a real account may send."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vendors.cassettes_scrub import Scrubber
from tests.vendors.cassettes_tape import leaks

GUEST: dict[str, Any] = {
    "first_name": "Jane",
    "last_name": "Roe",
    "email_addresses": [{"id": 31, "address": "jane.roe@example.org"}],
    "phone_numbers": [{"id": 32, "number": "(415) 555-0147", "phone_number_type": "Mobile", "extension": "12"}],
}


def scrubbed(value: object, key: str = "") -> Any:
    return Scrubber().value(key, value)


def body(value: object, kind: str = "application/json") -> str:
    return Scrubber().body(json.dumps(value), kind)


def test_people_become_placeholders_in_lists_within_lists() -> None:
    found = scrubbed({"rooms": [{"descendants": [[{"name": "Jane's corner"}]]}], "contact": GUEST})
    assert found == {
        "rooms": [{"descendants": [[{"name": "Name 1"}]]}],
        "contact": {
            "first_name": "Name 2",
            "last_name": "Name 3",
            "email_addresses": [{"id": 31, "address": "guest1@example.com"}],
            "phone_numbers": [{"id": 32, "number": "212-555-0101", "phone_number_type": "Mobile", "extension": "Text 1"}],
        },
    }


@pytest.mark.parametrize("key", ["description", "note", "notes", "content", "body", "title", "message", "cancelReason", "brandNewField"])
def test_free_text_goes_whatever_its_key(key: str) -> None:
    assert scrubbed({key: "Call Jane at 415 555 0147, gate code 7716"}) == {key: "Text 1"}


def test_markup_is_remembered_and_its_text_is_not() -> None:
    assert scrubbed({"name": "<b>Roe</b> wedding"}, "name") == {"name": "Name 1"}
    assert scrubbed({"description": "<p>Roe</p>"}) == {"description": "<p>Text 1</p>"}


def test_blanks_around_a_name_stay_because_clients_must_cope_with_them() -> None:
    assert scrubbed({"name": "Cellar "}) == {"name": "Name 1 "}


def test_keys_and_values_of_custom_data_are_believed_only_where_they_are_ours() -> None:
    found = scrubbed({"custom_data": {"guest_count": "40", "source": "tripleseat", "Jane Roe likes": "fish", "zip": "1970"}})
    assert found == {"custom_data": {"guest_count": "40", "source": "tripleseat", "key_1": "Text 1", "key_2": "Text 2"}}


def test_custom_fields_lose_their_values_even_small_numbers() -> None:
    field = {"custom_field_name": "Door code", "custom_field_slug": "door_code", "value": "7716"}
    assert scrubbed({"custom_fields": [field]})["custom_fields"][0]["value"] == "Text 2"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dateOfBirth", "1990-01-31"),
        ("zip", "1970"),
        ("zip", "10001"),
        ("address1", "12"),
        ("city", "Salem"),
        ("extension", "12"),
        ("cellPhone", "4155550147"),
        ("dateOfBirth", 633744000000),
        ("zip_code", 1970),
    ],
)
def test_what_tells_who_somebody_is_goes_even_in_a_harmless_shape(key: str, value: object) -> None:
    assert str(value) not in json.dumps(scrubbed({key: value}))


@pytest.mark.parametrize(
    "value", ["LOST", "NO_SHOW", "not_coming_needs_reschedule", "2/14/2026 6:00 PM", "2026-03-09T18:00:00-04:00", "1530"]
)
def test_statuses_dates_and_clocks_stay(value: str) -> None:
    assert scrubbed({"status": value}) == {"status": value}


def test_a_status_that_somebody_made_up_does_not_stay() -> None:
    assert scrubbed({"subStatus": "Jane called"}) == {"subStatus": "Text 1"}


@pytest.mark.parametrize("name", ["Eastern Time (US & Canada)", "America/Vancouver", "US/Eastern"])
def test_zones_stay_under_keys_that_speak_of_zones(name: str) -> None:
    assert scrubbed({"timezone": name, "staffTimeZone": name}) == {"timezone": name, "staffTimeZone": name}
    assert scrubbed({"last_name": "London"}) == {"last_name": "Name 1"}


def test_ids_become_others_as_long_and_the_same_ones_everywhere() -> None:
    scrubber = Scrubber()
    row = scrubber.value("", {"id": 61234567, "calendar_id": 1000030001, "document_ids": "61234567,880001", "capacity": 60})
    assert row == {"id": 10000001, "calendar_id": 1000000002, "document_ids": "10000001,100003", "capacity": 60}
    assert scrubber.uri("https://api.tripleseat.com/v1/events/61234567.json").endswith("/events/10000001.json")
    assert scrubber.value("external_id", "ts-61234567.2") == "ts-10000001.2"
    assert scrubber.value("external_id", "roe-wedding") == "external-1"


def test_money_goes_and_moments_stay() -> None:
    assert scrubbed({"grand_total": "2984.17", "price": 12.5}) == {"grand_total": "0.0", "price": 0.0}
    assert scrubbed({"createdDate": 1771000000000, "created_at": 1795219200}) == {"createdDate": 1771000000000, "created_at": 1795219200}


def test_no_address_keeps_its_secrets() -> None:
    uri = (
        "https://user:word@api.timetap.com/live/staff/61001?sessionToken=st%3Aapi%3Aapi%3Aabc&apiKey=340000"
        "&signature=0123456789abcdef0123456789abcdef&public_key=k-1&clientId=9100001&email_address=jane.roe%40example.org"
    )
    assert Scrubber().uri(uri) == (
        "https://api.timetap.com/live/staff/10001?sessionToken=scrubbed&apiKey=scrubbed"
        "&signature=scrubbed&public_key=scrubbed&clientId=scrubbed&email_address=guest1%40example.com"
    )


def test_a_search_for_somebody_is_not_told() -> None:
    uri = Scrubber().uri("https://api.tripleseat.com/v1/events/search.json?query=Jane+Roe&status=definite%2Clost&page=2")
    assert uri == "https://api.tripleseat.com/v1/events/search.json?query=Text+1&status=definite%2Clost&page=2"


def test_tokens_go_from_answers_and_forms() -> None:
    answer = body({"access_token": "p3kQ", "refresh_token": "r7Zt", "token_type": "Bearer", "expires_in": 7200})
    assert json.loads(answer) == {"access_token": "scrubbed", "refresh_token": "scrubbed", "token_type": "Bearer", "expires_in": 7200}
    form = Scrubber().body("grant_type=refresh_token&refresh_token=r7Zt&client_secret=s", "application/x-www-form-urlencoded")
    assert form == "grant_type=refresh_token&refresh_token=scrubbed&client_secret=scrubbed"
    assert scrubbed({"apiKey": 340000}) == {"apiKey": "scrubbed"}


def test_headers_are_kept_by_name_and_all_others_dropped() -> None:
    request = {"method": "GET", "uri": "https://api.apptoto.com/v1/calendars", "body": None, "headers": {"Authorization": ["Basic b3Bz"]}}
    headers = {"Set-Cookie": ["session=1"], "X-Request-Id": ["ab12"], "Content-Type": ["application/json"], "Retry-After": ["3"]}
    found = Scrubber().exchange(request, {"status": {"code": 429, "message": "Jane"}, "headers": headers, "body": {"string": b"{}"}})
    assert found["request"]["headers"] == {}
    assert found["response"]["headers"] == {"content-type": ["application/json"], "retry-after": ["3"]}
    assert found["response"]["status"] == {"code": 429, "message": ""}


def test_vendors_error_texts_stay_only_where_they_are_known_and_quote_nobody() -> None:
    assert json.loads(body("Appointment for Id 70000001 not found!")) == "Appointment for Id 10000001 not found!"
    assert json.loads(body({"error": "Token resource owner not found"})) == {"error": "Token resource owner not found"}
    assert json.loads(body({"errors": {"contact": ["must be selected", "Jane Roe is a duplicate"]}})) == {
        "errors": {"contact": ["must be selected", "Text 1"]}
    }


def test_json_inside_a_text_is_scrubbed_as_json() -> None:
    assert scrubbed({"parameters": '{"staffId":"61001","name":"Jane"}'}) == {"parameters": '{"staffId": "10001", "name": "Name 1"}'}
    assert scrubbed({"parameters": "[Jane"}) == {"parameters": "Text 1"}


@pytest.mark.parametrize("page", ["<!DOCTYPE html><p>Hello Jane</p>", "Retry later, Jane", '{"cut": "Jane'])
def test_what_is_no_json_leaves_nothing_of_itself(page: str) -> None:
    assert "Jane" not in Scrubber().body(page, "text/html")


def test_keys_that_are_no_field_names_are_numbered() -> None:
    assert scrubbed({"Jane Roe": 1, "jane@example.org": 2, "Jane": 3}) == {"key_1": 1, "key_2": 2, "key_3": 3}


def test_lists_keep_three_rows() -> None:
    assert json.loads(body({"total_pages": 9, "results": [1, 2, 3, 4]})) == {"total_pages": 9, "results": [1, 2, 3]}
    assert json.loads(body([1, 2, 3, 4])) == [1, 2, 3]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.emails(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(value=JSON)
def test_scrubbing_twice_is_scrubbing_once(value: object) -> None:
    once = Scrubber().value("", value)
    assert Scrubber().value("", once) == once


@given(word=st.from_regex(r"[A-Z][a-z]{5,12} [A-Z][a-z]{5,12}", fullmatch=True), key=st.from_regex(r"[a-z_]{1,12}", fullmatch=True))
def test_no_two_words_survive_under_any_key(word: str, key: str) -> None:
    assert word not in json.dumps(Scrubber().value("", {key: [word, {"inner": word}]}))


@pytest.mark.parametrize(
    "text",
    [
        "mail jane@" + "venue.example",
        "call 415-555-0147",
        "call +14155550147",
        "call (415) 555-0147",
        "call 555-0147",
        "Authorization: Bearer abcdefgh1234",
        "Authorization: Basic b3BzOmtleQ==",
        "?apiKey=340000",
        '"refresh_token": "r7Zt"',
        "st:api:api:0f",
        "0123456789abcdef0123456789abcdef",
        "p3kQxExampleExampleExampleExampleExample0a1",
    ],
)
def test_the_last_check_finds_what_must_not_be_published(text: str) -> None:
    assert leaks(f"fine\n{text}\nfine")


def test_the_last_check_knows_the_secrets_in_use_and_quotes_nothing() -> None:
    [found] = leaks("the key is 340000", ["340000"])
    assert "340000" not in found


def test_the_last_check_lets_placeholders_and_times_pass() -> None:
    assert leaks("guest1@example.com 212-555-0101 +12125550199 2026-12-09T18:00:00-05:00 1795638600000 apiKey=scrubbed") == []
