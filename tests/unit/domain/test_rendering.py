"""Texts of an entry: the defaults are rendered without Jinja2, and say what Jinja2 would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calrelay.domain.rendering import CONTENT, LOCATION, TITLE, Texts
from calrelay.errors import MappingError
from tests.fakes.memory_source import an_event

TEXTS = st.text(max_size=30)
COMMENT = "{# so that it is no default any more #}"


@pytest.mark.parametrize("custom", [{}, {"guest_count": ""}, {"guest_count": "42"}, {"source": "tripleseat"}])
@given(title=TEXTS, location=TEXTS)
def test_the_default_templates_say_what_jinja_says(custom: dict[str, str], title: str, location: str) -> None:
    event = an_event(title=title, location=location, custom=custom)
    in_jinja = Texts(title=TITLE + COMMENT, location=LOCATION + COMMENT, content=CONTENT + COMMENT)
    assert Texts().render(event) == in_jinja.render(event)


@pytest.mark.parametrize(
    "template",
    [
        "{{ event.nothing }}",
        "{{ 1 / 0 }}",
        '{{ "{}{}".format(event.title) }}',
        '{{ "{x}".format() }}',
        '{{ "%d" % event.title }}',
        "{{ none|wordwrap(20) }}",
    ],
)
def test_a_template_that_fails_over_an_event_costs_that_event_only(template: str) -> None:
    with pytest.raises(MappingError, match="a template of"):
        Texts(title=template).render(an_event(5))
