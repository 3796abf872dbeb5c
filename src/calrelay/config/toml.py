"""Values as TOML writes them; Python reads TOML but does not write it."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def toml_value(value: object) -> str:
    """Write a text, number, truth value, list or table (inline). Raises TypeError for anything else."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"{value:g}" if isinstance(value, float) else str(value)
        case str():
            return f'"{value.translate(_ESCAPES)}"'
        case Mapping():
            inner = ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case Sequence():
            return f"[{', '.join(toml_value(item) for item in value)}]"
        case _:
            raise TypeError(f"TOML has no {type(value).__name__}")


def toml_key(key: str) -> str:
    """Write a key, quoted where it needs to be."""
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)
