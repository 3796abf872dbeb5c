"""The JSON Schema of config.toml, for editors; example, reference and the words of errors are made from it too."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from calrelay.config.durations import format_duration
from calrelay.config.model import Document, RouteSection, TenantDocument
from calrelay.config.secrets import SecretRef, as_written
from calrelay.config.section import Address, address_as_written
from calrelay.config.vendor import Role, VendorConfig

Node = dict[str, Any]

# The oldest draft in which all we use means the same; Taplo reads draft 4, which is why there is no `const` and no `$ref` in it.
DRAFT: Final = "http://json-schema.org/draft-07/schema#"


class _Generator(GenerateJsonSchema):
    """Writes defaults as a config writes them; pydantic would write a duration in its own way."""

    def encode_default(self, dft: Any) -> Any:
        match dft:
            case timedelta():
                return format_duration(dft)
            case SecretRef():
                return as_written(dft)
            case Address():
                return address_as_written(dft)
            case _:
                return super().encode_default(dft)


def json_schema(vendors: Mapping[str, VendorConfig]) -> Node:
    """Return the schema of a whole config with these vendors; self-contained, without references."""
    document = schema_of(Document)
    document["properties"]["accounts"]["additionalProperties"] = {"anyOf": [schema_of(vendor.account) for vendor in vendors.values()]}
    sources = [vendor for vendor in vendors.values() if vendor.role is Role.SOURCE]
    pipeline = document["properties"]["pipelines"]["items"]["properties"]
    pipeline["filter"] = _any_of([schema_of(vendor.filter) for vendor in sources if vendor.filter]) | pipeline["filter"]
    pipeline["people"]["items"]["enum"] = list(dict.fromkeys(word for vendor in sources for word in vendor.people))
    pipeline["extras"]["items"]["enum"] = list(dict.fromkeys(word for vendor in sources for word in vendor.extras))
    route = schema_of(RouteSection)
    route["properties"]["match"] = _any_of([schema_of(vendor.match) for vendor in sources if vendor.match]) | route["properties"]["match"]
    pipeline["routes"]["items"] = route
    _allow_short_guards(pipeline["guards"]["properties"])
    return {"$schema": DRAFT, "title": "calrelay's config.toml", **document}


def tenant_schema(vendors: Mapping[str, VendorConfig]) -> Node:
    """Return the schema of a tenant's file: of the whole config's tables those that it may hold."""
    whole = json_schema(vendors)
    tables = {name: node for name, node in whole["properties"].items() if name in TenantDocument.model_fields}
    return {**whole, "title": "a tenant of calrelay", "description": inspect.getdoc(TenantDocument) or "", "properties": tables}


def schema_of(model: type[BaseModel]) -> Node:
    """Return a model's schema with its references filled in, and without what TOML does not have (null)."""
    raw = model.model_json_schema(schema_generator=_Generator)
    schema: Node = _inlined(raw, raw.get("$defs", {}))
    return schema


def nodes_at(schema: Node, path: Sequence[str | int], raw: object) -> Iterator[Node]:
    """Yield what may stand at a path. `raw` is the config, by which the keys of the account's own vendor are chosen."""
    if not path:
        yield schema
        return
    key, rest = path[0], path[1:]
    for node in alternatives(schema, raw):
        if isinstance(key, int):
            below = node.get("items")
            inner = raw[key] if isinstance(raw, list) and key < len(raw) else None
        else:
            below = node.get("properties", {}).get(key) or node.get("additionalProperties")
            inner = raw.get(key) if isinstance(raw, dict) else None
        if isinstance(below, dict):
            yield from nodes_at(below, rest, inner)


def alternatives(node: Node, raw: object) -> Iterator[Node]:
    """Yield the forms a value may have, those of another vendor than `raw` names left out."""
    if "anyOf" not in node:
        yield node
        return
    for branch in node["anyOf"]:
        names = branch.get("properties", {}).get("vendor", {}).get("enum")
        if names is None or not isinstance(raw, dict) or raw.get("vendor") in names:
            yield from alternatives(branch, raw)


def _any_of(branches: list[Node]) -> Node:
    return branches[0] if len(branches) == 1 else {"anyOf": branches}


def _allow_short_guards(guards: Node) -> None:
    for name, guard in guards.items():
        if guard.get("type") != "object":
            continue
        table = {key: guard.pop(key) for key in ("type", "properties", "additionalProperties") if key in guard}
        guard.pop("required", None)  # keys left out keep the guard's defaults
        guards[name] = guard | {"anyOf": [{"type": "integer", "minimum": 0}, table]}


def _inlined(node: Any, definitions: Node) -> Any:
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        node = target | {key: value for key, value in node.items() if key != "$ref"}
    return _without_null({key: _inlined_key(key, value, definitions) for key, value in node.items() if key not in {"$defs", "title"}})


def _inlined_key(key: str, value: Any, definitions: Node) -> Any:
    if key == "properties":  # its keys are the config's, among them a `title`
        return {name: _inlined(node, definitions) for name, node in value.items()}
    return value if key in {"default", "examples"} else _inlined(value, definitions)


def _without_null(node: Node) -> Node:
    """Put what editors' older drafts and TOML do not know into words they do: `const`, an exclusive minimum, and null."""
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "exclusiveMinimum" in node:  # a number here, but true or false in draft 4; loading a config still refuses the bound itself
        node["minimum"] = node.pop("exclusiveMinimum")
    if "default" in node and (default := _some(node.pop("default"))) is not None:
        node["default"] = default
    branches = [branch for branch in node.pop("anyOf", ()) if branch != {"type": "null"}]
    if len(branches) == 1:
        only: Node = branches[0]
        return only | node
    return node | {"anyOf": branches} if branches else node


def _some(value: Any) -> Any:
    return {key: _some(inner) for key, inner in value.items() if inner is not None} if isinstance(value, dict) else value
