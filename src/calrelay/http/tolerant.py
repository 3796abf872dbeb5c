"""Annotations for wire models: what nearly every answer holds is read by pydantic alone, anything odd by a function, here or the vendor's.

A function that looks at every value first costs more than all the rest of reading a page: each call leaves pydantic's compiled code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

# What is read without asking anybody.
FILLED_TEXT: Final[tuple[CoreSchema, ...]] = (core_schema.str_schema(strict=True, strip_whitespace=True, min_length=1),)
ANY_TEXT: Final[tuple[CoreSchema, ...]] = (core_schema.str_schema(strict=True),)
ID: Final[tuple[CoreSchema, ...]] = (
    core_schema.no_info_after_validator_function(str, core_schema.int_schema(strict=True)),
    *FILLED_TEXT,
)
WHOLE_NUMBER: Final[tuple[CoreSchema, ...]] = (core_schema.int_schema(strict=True),)
TRUE_OR_FALSE: Final[tuple[CoreSchema, ...]] = (core_schema.bool_schema(strict=True),)


@dataclass(frozen=True, slots=True)
class Usually:
    """Reads a value as one of `plain`, and what is none of them with `otherwise`, which takes anything and never raises.

    Null is None wherever the annotated type allows it.
    """

    plain: tuple[CoreSchema, ...]
    otherwise: Callable[[object], object]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Try one after the other."""
        value = _first_of(*self.plain, core_schema.no_info_plain_validator_function(self.otherwise))
        return core_schema.nullable_schema(value) if handler(source)["type"] == "nullable" else value


@dataclass(frozen=True, slots=True)
class UsuallyShaped:
    """Reads a value in the annotated shape, and one of another shape after `reshape` has made it what it stands for."""

    reshape: Callable[[object], object]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Try the shape, then reshape."""
        return _first_of(handler(source), core_schema.no_info_before_validator_function(self.reshape, handler(source)))


def to_text(value: object) -> str | None:
    """Read text as it stands; a number counts by its digits, anything else not at all."""
    match value:
        case str():
            return value
        case bool():
            return None
        case int() | float():
            return str(value)
        case _:
            return None


def to_id(value: object) -> str | None:
    """Read an id as text, whether it is written as text or as a number; blank is none."""
    match value:
        case bool():
            return None
        case float() if value.is_integer():
            return str(int(value))
        case int():
            return str(value)
        case str():
            return value.strip() or None
        case _:
            return None


def to_flag(value: object) -> bool:
    """Read what may be written as a word or a digit; anything that is not plainly yes is no."""
    return value is True or value in ("true", "1", 1)


def _first_of(*choices: CoreSchema) -> CoreSchema:
    return core_schema.union_schema(list(choices), mode="left_to_right")
