"""What is wrong with a config, in our words: each problem with its path and its fix. Values are quoted only where they are no secret."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from calrelay.config.schema import Node, alternatives, json_schema, nodes_at
from calrelay.config.vendor import Role, VendorConfig, suggestion

Step = str | int
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_IN_PIPELINE = re.compile(r"^pipelines\[(?P<index>\d+)\][^:]*(?=: )")
Context = Mapping[str, Any]

_WORDS: Final[Mapping[str, Callable[[Context], str]]] = {
    "string_type": lambda _: "must be a text — put it in quotes",
    "int_type": lambda _: "must be a whole number — write it without quotes and point",
    "int_from_float": lambda _: "must be a whole number — write it without quotes and point",
    "float_type": lambda _: "must be a number — write it without quotes",
    "finite_number": lambda _: "must be a finite number — write one such as 3.0",
    "bool_type": lambda _: "must be true or false — write it without quotes",
    "tuple_type": lambda _: 'must be a list — write it in brackets, such as ["…"]',
    "list_type": lambda _: 'must be a list — write it in brackets, such as ["…"]',
    "dict_type": lambda _: "must be a table — write its keys in braces, or below a [heading]",
    "mapping_type": lambda _: "must be a table — write its keys in braces, or below a [heading]",
    "model_type": lambda _: "must be a table — write its keys in braces, or below a [heading]",
    "enum": lambda ctx: f"is none of its values — write {ctx.get('expected', 'another')}",
    "literal_error": lambda ctx: f"is none of its values — write {ctx.get('expected', 'another')}",
    "greater_than": lambda ctx: f"is too small — write more than {ctx.get('gt')}",
    "greater_than_equal": lambda ctx: f"is too small — write {ctx.get('ge')} or more",
    "less_than_equal": lambda ctx: f"is too large — write {ctx.get('le')} or less",
    "string_pattern_mismatch": lambda _: "holds what it may not — use up to 32 letters, digits, - and _",
    "value_error": lambda ctx: str(ctx.get("error", "is wrong")),
}
_OTHERWISE: Final = "cannot be used — docs/configuration.md says what it may be"


def problems_of(error: ValidationError, raw: Mapping[str, Any], vendors: Mapping[str, VendorConfig]) -> list[str]:
    """Return every problem as `pipelines[0].guards.creates.count: what is wrong — how to mend it`, in the order of the models."""
    schemas: dict[str | None, Node] = {}
    found = []
    for one in _real(error.errors(include_url=False, include_input=False)):
        source = _source_vendor(one["loc"], raw, vendors)
        if source not in schemas:
            schemas[source] = json_schema(
                {name: vendor for name, vendor in vendors.items() if source in (None, name) or _is_target(vendor)}
            )
        found.append(f"{path_of(one['loc'])}: {_words(one, schemas[source], raw)}")
    return found


def with_names(problems: Iterable[str], pipelines: Sequence[Any]) -> list[str]:
    """Say of each problem of a pipeline whose it is: `pipelines[1].every (studio): …`. `pipelines` are their names, in order."""
    return [_IN_PIPELINE.sub(lambda found: _with_name(found, pipelines), one, count=1) for one in problems]


def names_in(raw: Mapping[str, Any]) -> list[Any]:
    """Return the names of the pipelines in a document as it was read, whatever stands there."""
    tables = raw.get("pipelines")
    return [table.get("name") if isinstance(table, dict) else None for table in tables] if isinstance(tables, list) else []


def _with_name(found: re.Match[str], pipelines: Sequence[Any]) -> str:
    index = int(found["index"])
    name = pipelines[index] if index < len(pipelines) else None
    return f"{found[0]} ({name})" if isinstance(name, str) and name else found[0]


def _is_target(vendor: VendorConfig) -> bool:
    return vendor.role is Role.TARGET


def _source_vendor(path: Sequence[Step], raw: Mapping[str, Any], vendors: Mapping[str, VendorConfig]) -> str | None:
    """Name the vendor whose facets count below this path; None where it is not that of a pipeline with a sound source."""
    match path:
        case ("pipelines", int(index), _, *_):
            try:
                vendor = raw["accounts"][raw["pipelines"][index]["source"]]["vendor"]
            except (LookupError, TypeError):
                return None
            return vendor if vendor in vendors else None
        case _:
            return None


def path_of(steps: Sequence[Step]) -> str:
    """Write a path as people read it: `pipelines[0].window.past`."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step != "[key]":  # pydantic's mark that the key itself is wrong
            key = step if _BARE_KEY.fullmatch(step) else f'"{step}"'
            text += f".{key}" if text else key
    return text


def _real(details: Sequence[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Leave out what only follows from another problem: defaults that could not be worked out."""
    return (one for one in details if one["type"] != "default_factory_not_called")


def _words(one: ErrorDetails, schema: Node, raw: object) -> str:
    match one["type"]:
        case "missing":
            meaning = next((node.get("description", "") for node in nodes_at(schema, one["loc"], raw)), "")
            return f"is missing — add it. {meaning}".strip()
        case "extra_forbidden":
            known = dict.fromkeys(_keys_at(schema, one["loc"][:-1], raw))
            return f"is no key of this table{suggestion(str(one['loc'][-1]), list(known))}"
        case kind:
            say = _WORDS.get(kind)
            return _OTHERWISE if say is None else say(one.get("ctx", {}))


def _keys_at(schema: Node, path: Sequence[Step], raw: object) -> Iterator[str]:
    value = _value_at(path, raw)
    for node in nodes_at(schema, path, raw):
        for form in alternatives(node, value):
            yield from form.get("properties", {})


def _value_at(path: Sequence[Step], raw: Any) -> object:
    for step in path:
        try:
            raw = raw[step]
        except (LookupError, TypeError):
            return None
    return raw
