"""Texts that are plainly harmless are let through without a look at each danger; looking would change nothing in them."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calrelay.domain import text as texts
from calrelay.domain.text import break_fields, plain, redact_contacts, safe_content, safe_line, title

HARMLESS = texts._HARMLESS
NEVER = re.compile(r"(?!)")

almost_harmless = st.text(alphabet="aZ09 ,.!?'()/-&#:[@<", max_size=40)


@pytest.mark.parametrize("step", [plain, title, safe_line, safe_content, break_fields, redact_contacts])
@given(text=st.from_regex(HARMLESS, fullmatch=True) | almost_harmless)
def test_nothing_is_let_through_that_a_closer_look_would_change(step: Callable[[str], str], text: str) -> None:
    quick = step(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "_HARMLESS", NEVER)
        assert quick == step(text)


@pytest.mark.parametrize("text", ["Bell & Co Board Dinner", "Alder House, Terrace", "42 guests", "Dinner (2 rooms), 7-9"])
def test_an_ordinary_title_is_plainly_harmless(text: str) -> None:
    assert HARMLESS.fullmatch(text)


@pytest.mark.parametrize("text", ["call 555 0147 7", "a  b", "#skip", "Tom &amp; Jerry", "key: value", " a", "a@b.example.com"])
def test_what_may_be_dangerous_is_looked_at(text: str) -> None:
    assert not HARMLESS.fullmatch(text)
