"""Whatever people type, nothing that reaches the target commands or addresses anybody, and doing it twice changes nothing."""

import re
from collections.abc import Callable

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from calrelay.domain.people import PhoneField, Role, contactable, normalise_email, normalise_phone, person_name
from calrelay.domain.text import break_fields, defuse, plain, redact_contacts, safe_content, safe_line, title

COMMAND = re.compile(r"[#＃﹟]\w|\[\w+\]|［\w+］")
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
FIELD = re.compile(r"^\s*\w[^:]*:\s", re.MULTILINE)

pieces = st.sampled_from(
    [
        *(
            "#",
            "＃",
            "[",
            "]",
            "skip",
            "SKIP",
            "call",
            "\u200b",
            "\u200d",
            "\ufe0f",
            "&#35;",
            "&lsqb;",
            "&amp;",
            "&lt;",
            "&gt;",
            "&",
            "amp;",
            "lt;",
        ),
        *("<b>", "</p>", "<", ">", "<!--", "-->", "<![", "<script>", "</script>", "<br/>", "<a href='x>y'>", "/", "!", "?", "=", '"'),
        *("212", "555", "0147", "+1", "(", ")", "-", ".", "x", "ext", "3/9/2026", "2026-03-09", "18:30", "20 7946 0958", "٢١٢", "２"),
        *("jane", "@", "＠", "example", ".com", "mailto:", "key", ":", ": ", "：", "https://", "a", "é", "e\u0301", "\u226e", "<\u0338"),
        *(" ", "\n", "\r", "\t", "\xa0", "\u2028", "\ud800", "\x00", "…", "–", "_"),
    ]
)
texts = st.text(max_size=60) | st.lists(pieces, max_size=25).map("".join)
EVERY_STEP = [plain, title, defuse, redact_contacts, break_fields, safe_line, safe_content, person_name]


@pytest.mark.parametrize("step", EVERY_STEP, ids=lambda step: step.__name__)
def test_doing_it_twice_changes_nothing(step: Callable[[str], str]) -> None:
    @given(texts)
    @example("&amp;lt;b&amp;gt;")
    def settles(text: str) -> None:
        assert step(step(text)) == step(text)

    settles()


@given(texts)
def test_no_command_is_left(text: str) -> None:
    for harmless in (defuse(text), safe_line(text), safe_content(text), person_name(text, text)):
        assert COMMAND.search(harmless) is None


@given(texts)
def test_no_contact_is_left(text: str) -> None:
    for harmless in (redact_contacts(text), safe_line(text), safe_content(text), person_name(text)):
        assert EMAIL.search(harmless) is None
        assert list(phonenumbers.PhoneNumberMatcher(harmless, "US")) == []
        assert re.search(r"\d{7}", harmless) is None


@given(texts)
def test_no_custom_field_is_left_in_content(text: str) -> None:
    assert FIELD.search(break_fields(text)) is None
    assert FIELD.search(safe_content(text)) is None


@given(texts)
def test_results_can_be_sent_as_utf8_without_control_characters(text: str) -> None:
    for result in (plain(text), title(text), safe_line(text), safe_content(text)):
        assert all(line.isprintable() or not line.isascii() for line in result.encode().decode().split("\n"))
    assert "\n" not in title(text) + safe_line(text)


@given(st.text(alphabet="abcdefghij ABC,éü'!?", max_size=60))
def test_harmless_text_only_loses_white_space(text: str) -> None:
    assert safe_line(text) == safe_content(text) == " ".join(text.split())


numbers = st.from_regex(r"\A\+?[\d(][\d ().\-/]{5,18}( ?x ?\d{1,4})?\Z") | texts


@given(numbers, st.sampled_from(["US", "GB", "DE", "CA", "AU"]))
def test_a_phone_is_valid_e164_and_stays_itself(raw: str, region: str) -> None:
    phone = normalise_phone(raw, region)
    if phone is not None:
        assert phonenumbers.is_valid_number(phonenumbers.parse(phone))
        assert re.fullmatch(r"\+[1-9]\d{6,14}", phone, re.ASCII)
        assert normalise_phone(phone, "US") == phone


@given(st.emails() | texts)
def test_an_address_is_safe_in_a_header_and_stays_itself(raw: str) -> None:
    email = normalise_email(raw)
    if email is not None:
        assert email.isascii()
        assert not re.search(r"[\s,;:<>\"()\\]", email)
        assert normalise_email(email) == email


@given(st.lists(st.emails() | texts | st.none(), max_size=3), st.lists(numbers, max_size=3))
def test_notes_quote_neither_number_nor_address(emails: list[str | None], phones: list[str]) -> None:
    found = contactable(name="", role=Role.CONTACT, emails=emails, phones=[PhoneField(number=raw) for raw in phones], region="US")
    assert not any(char.isdecimal() or char == "@" for note in found.notes for char in note)
