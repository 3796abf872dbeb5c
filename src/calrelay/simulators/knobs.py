"""A simulator's settings as knobs: what there is to turn, and turning it from JSON or from a form's text. Knows no vendor."""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any


class BadKnob(ValueError):
    """A name that is no setting, or a value that does not fit it; `known` are the names there are."""

    def __init__(self, message: str, known: tuple[str, ...]) -> None:
        super().__init__(message)
        self.known = known


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One setting as a form shows it; `choices` is empty where any text goes."""

    name: str
    value: object
    choices: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The value as a form's field holds it."""
        plain = to_plain(self.value)
        return plain if isinstance(plain, str) else json.dumps(plain)


def knobs_of(settings: Any) -> tuple[Knob, ...]:
    """List the settings of a dataclass in the order in which they are declared."""
    hints = typing.get_type_hints(type(settings))
    return tuple(Knob(name=f.name, value=getattr(settings, f.name), choices=_choices(hints[f.name])) for f in dataclasses.fields(settings))


def patch(settings: Any, changes: Mapping[str, object]) -> None:
    """Set the named fields from JSON values or a form's texts: all of them or, with BadKnob, none."""
    known = tuple(f.name for f in dataclasses.fields(settings))
    hints = typing.get_type_hints(type(settings))
    fitted = {}
    for name, value in changes.items():
        if name not in known:
            raise BadKnob(f"no setting is called {name!r}", known)
        try:
            fitted[name] = _fit(hints[name], value)
        except (TypeError, ValueError) as error:
            raise BadKnob(f"{value!r} does not fit {name}", known) from error
    for name, fit in fitted.items():
        setattr(settings, name, fit)


def to_plain(value: object) -> Any:
    """Turn a setting into what JSON knows."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(v) for v in value]
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def _choices(hint: Any) -> tuple[str, ...]:
    if hint is bool:
        return ("true", "false")
    if isinstance(hint, type) and issubclass(hint, Enum):
        return tuple(str(member.value) for member in hint)
    return ()


def _fit(hint: Any, value: object) -> object:
    """Convert to the field's type; text is read as JSON wherever the field is not a string."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else ()
    if options:
        if value is None or value in ("null", ""):
            if type(None) not in options:
                raise TypeError("not nullable")
            return None
        return _fit(next(o for o in options if o is not type(None)), value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if hint is str:
        return _checked(str, value)
    plain = json.loads(value) if isinstance(value, str) else value
    return _fit_plain(hint, plain)


def _fit_plain(hint: Any, plain: object) -> object:
    if hint is float and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    container = typing.get_origin(hint) or hint
    if not isinstance(container, type) or container is object:
        return plain
    if container in (tuple, list, set, frozenset):
        inner = (*typing.get_args(hint), Any)[0]
        return container(_fit_item(inner, item) for item in _checked(list, plain))
    if container is int and isinstance(plain, bool):
        raise TypeError("not a number")
    return _checked(container, plain)


def _fit_item(hint: Any, item: object) -> object:
    return item if hint in (Any, object) else _fit(hint, item)


def _checked(expected: type, value: object) -> Any:
    if not isinstance(value, expected):
        raise TypeError(f"not a {expected.__name__}")
    return value
