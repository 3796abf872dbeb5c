"""The operator's templates, rendered by Jinja2 in its sandbox. It is loaded only where somebody wrote one: the defaults do without."""

import functools
from collections.abc import Callable
from typing import Final

from jinja2 import StrictUndefined, Template, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from calrelay.domain.event import Event
from calrelay.domain.zones import resolve_zone, with_offset
from calrelay.errors import MappingError

_ENVIRONMENT: Final = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


def compiled(template: str) -> Callable[[Event], str]:
    """Return what renders a template over an event, and raises MappingError when it asks for what the event does not have.

    Raises:
        TemplateSyntaxError: the template cannot be parsed; `check_template` says so in the config's words.
    """
    return functools.partial(_rendered, _ENVIRONMENT.from_string(template))


def check_template(template: str) -> str | None:
    """Return what is wrong with a template's syntax, with its line, or None."""
    try:
        _ENVIRONMENT.from_string(template)
    except TemplateSyntaxError as error:
        return f"line {error.lineno}: {error.message}"
    return None


def _rendered(template: Template, event: Event) -> str:
    try:
        return template.render(event=view_of(event))
    except Exception as error:  # noqa: BLE001 - an operator's template may do anything, and is the fault of one event only
        raise MappingError(
            f"a template of [pipelines.event] failed: {type(error).__name__}",
            remedy="`calrelay check` names the template; the fields it may use are in docs/templates.md",
        ) from None


class _Custom(dict[str, str]):
    """Vendor fields that not every event has: a missing one is empty, not an error."""

    def __missing__(self, key: str) -> str:
        return ""


def view_of(event: Event) -> dict[str, object]:
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
