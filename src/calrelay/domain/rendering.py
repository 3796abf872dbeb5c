"""Texts of an entry: the operator's templates over an event, with everything a guest or caterer typed made harmless (rule 11)."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final

from calrelay.domain.event import Event
from calrelay.domain.text import plain, safe_content, safe_line

TITLE: Final = "{{ event.title }}"
LOCATION: Final = "{{ event.location }}"
CONTENT: Final = "{% if event.custom.guest_count %}{{ event.custom.guest_count }} guests{% endif %}"
UNTITLED: Final = "Booking"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The texts of one entry, safe to send."""

    title: str
    location: str
    content: str
    custom_data: Mapping[str, str]


class Texts:
    """The compiled templates of a pipeline; `region` tells how phone numbers in its texts are written, so that they are found.

    Raises:
        TemplateSyntaxError: a template cannot be parsed; `check_template` says so in the config's words.
    """

    def __init__(
        self,
        *,
        title: str = TITLE,
        location: str = LOCATION,
        content: str = CONTENT,
        custom_data: Mapping[str, str] | None = None,
        region: str = "US",
    ) -> None:
        self._region = region
        self._title = _compiled(title)
        self._location = _compiled(location)
        self._content = _compiled(content)
        self._custom = {key: _compiled(template) for key, template in (custom_data or {}).items()}

    def render(self, event: Event) -> Rendered:
        """Render an event's texts. Raises MappingError when a template asks for what the event does not have."""
        return Rendered(
            title=safe_line(self._title(event), self._region) or UNTITLED,
            location=safe_line(self._location(event), self._region),
            content=safe_content(self._content(event), self._region),
            custom_data={**event.custom, **{key: plain(render(event)) for key, render in self._custom.items()}}
            if self._custom
            else event.custom,
        )


def _guests(event: Event) -> str:
    return f"{count} guests" if (count := event.custom.get("guest_count")) else ""


# The defaults say what these functions say; Jinja2 takes twenty times as long, for every event that is created or changed.
_WITHOUT_JINJA: Mapping[str, Callable[[Event], str]] = {
    TITLE: lambda event: event.title,
    LOCATION: lambda event: event.location,
    CONTENT: _guests,
}


def _compiled(template: str) -> Callable[[Event], str]:
    if known := _WITHOUT_JINJA.get(template):
        return known
    from calrelay.domain.jinja import compiled  # noqa: PLC0415 - Jinja2 is loaded for those who wrote a template

    return compiled(template)
