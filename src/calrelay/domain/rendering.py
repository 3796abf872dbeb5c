"""Texts of an entry: the operator's sandboxed templates over an event, with everything a guest or caterer typed made harmless (rule 11)."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from calrelay.domain.event import Event
from calrelay.domain.text import plain, safe_content, safe_line
from calrelay.domain.zones import resolve_zone, with_offset
from calrelay.errors import MappingError

TITLE = "{{ event.title }}"
LOCATION = "{{ event.location }}"
CONTENT = "{% if event.custom.guest_count %}{{ event.custom.guest_count }} guests{% endif %}"
UNTITLED = "Booking"

_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


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
        try:
            return Rendered(
                title=safe_line(self._title(event), self._region) or UNTITLED,
                location=safe_line(self._location(event), self._region),
                content=safe_content(self._content(event), self._region),
                custom_data={**event.custom, **{key: plain(render(event)) for key, render in self._custom.items()}}
                if self._custom
                else event.custom,
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise MappingError(
                f"a template of [pipelines.event] failed: {type(error).__name__}",
                remedy="`calrelay check` names the template; the fields it may use are in docs/templates.md",
            ) from None


def _guests(event: Event) -> str:
    return f"{count} guests" if (count := event.custom.get("guest_count")) else ""


# The defaults say what these functions say; Jinja2 takes twenty times as long, for every event that is created or changed.
_WITHOUT_JINJA: Mapping[str, Callable[[Event], str]] = {
    TITLE: lambda event: event.title,
    LOCATION: lambda event: event.location,
    CONTENT: _guests,
}


def _compiled(template: str) -> Callable[[Event], str]:
    known = _WITHOUT_JINJA.get(template)
    return known or functools.partial(_rendered, _ENVIRONMENT.from_string(template))


def _rendered(template: Template, event: Event) -> str:
    return template.render(event=_view(event))


def check_template(template: str) -> str | None:
    """Return what is wrong with a template's syntax, with its line, or None."""
    try:
        _ENVIRONMENT.from_string(template)
    except TemplateSyntaxError as error:
        return f"line {error.lineno}: {error.message}"
    return None


class _Custom(dict[str, str]):
    """Vendor fields that not every event has: a missing one is empty, not an error."""

    def __missing__(self, key: str) -> str:
        return ""


def _view(event: Event) -> dict[str, object]:
    """Return what a template sees: `start` and `end` on the clock of the event's place."""
    zone = resolve_zone(event.zone)
    return {
        "source_id": event.source_id,
        "title": event.title,
        "location": event.location,
        "content": event.content,
        "status": event.status,
        "start": with_offset(event.start, zone),
        "end": with_offset(event.end, zone),
        "zone": event.zone,
        "people": [{"name": p.name, "role": p.role.value} for p in event.participants],
        "custom": _Custom(event.custom),
    }
