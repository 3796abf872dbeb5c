"""A commented config, written from the schema so that it cannot drift: the printed example, and what `init` writes from answers."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from calrelay.config.schema import Node, alternatives, json_schema, schema_of
from calrelay.config.toml import toml_key, toml_value
from calrelay.config.vendor import ADVANCED, Role, VendorConfig

Table = Mapping[str, Any]

_COMMENT_COLUMN: Final = 40
_HEADER: Final = """\
# The config of calrelay. Every value is the default, save names and credentials; keys that are commented out show their default, or an
# example where there is none. `calrelay check` checks this file; docs/configuration.md explains every key.
# A secret is "text", { env = "VARIABLE" }, { file = "PATH" } or { credential = "NAME" } (systemd's LoadCredential=).
# A file that holds one as text must be its owner's alone: chmod 600.
"""
_TABLES: Final = ("filter", "event", "guards")  # of a pipeline, below headings of their own
_ROUTES: Final = "routes"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is to stand in a config: accounts by name with their `vendor`, and pipelines; keys left out are shown with their defaults."""

    accounts: Mapping[str, Table]
    pipelines: Sequence[Table]
    sections: Mapping[str, Table] = dataclasses.field(default_factory=dict)


def example(vendors: Mapping[str, VendorConfig], sections: Mapping[str, Table] | None = None) -> str:
    """Return the commented example: an account of each vendor, and a pipeline from the first source to the first target."""
    source = next(vendor for vendor in vendors.values() if vendor.role is Role.SOURCE)
    target = next(vendor for vendor in vendors.values() if vendor.role is Role.TARGET)
    pipeline = {"name": source.example_account, "source": source.example_account, "target": target.example_account, "calendar": "Main Hall"}
    accounts = {vendor.example_account: {"vendor": vendor.name} for vendor in vendors.values()}
    return commented(Draft(accounts=accounts, pipelines=(pipeline,), sections=sections or {}), vendors)


def commented(draft: Draft, vendors: Mapping[str, VendorConfig]) -> str:
    """Write a draft with every other key at its default and each key's meaning beside it. Required keys left out get examples' values."""
    properties = json_schema(vendors)["properties"]
    blocks = [_HEADER, f"{_line('include', properties['include'], {}, is_required=False)}\n"]
    blocks += [*(_block(f"[{name}]", properties[name], draft.sections.get(name, {})) for name in ("state", "log", "web", "notify"))]
    blocks += [
        _block(f"[accounts.{toml_key(name)}]", schema_of(vendors[table["vendor"]].account), table) for name, table in draft.accounts.items()
    ]
    for table in draft.pipelines:
        vendor = vendors[draft.accounts[table["source"]]["vendor"]]
        blocks.extend(_pipeline(json_schema({vendor.name: vendor})["properties"]["pipelines"]["items"], table, vendor))
    return "\n".join(blocks)


def _pipeline(schema: Node, table: Table, vendor: VendorConfig) -> Iterator[str]:
    properties = schema["properties"]
    own = {key: node for key, node in properties.items() if key not in {*_TABLES, _ROUTES}}
    own["people"] = own["people"] | {"default": list(vendor.default_people)}
    if not vendor.extras:
        del own["extras"]
    yield _block("[[pipelines]]", {**schema, "properties": own}, table)
    yield from _routes(properties[_ROUTES], table.get(_ROUTES, ()))
    for name in _TABLES:
        yield _block(f"[pipelines.{name}]", properties[name], table.get(name, {}))


def _routes(node: Node, routes: Sequence[Table]) -> Iterator[str]:
    for route in routes:
        yield _block("[[pipelines.routes]]", node["items"], route)
    if not routes:
        shown = {key: one["examples"][0] for key, one in node["items"]["properties"].items() if key != "calendar_id"}
        heading = f"# [[pipelines.routes]]  # {node['description']}"
        yield "\n".join([heading, *(f"# {key} = {toml_value(value)}" for key, value in shown.items()), ""])


def _block(heading: str, schema: Node, table: Table) -> str:
    meaning = schema.get("description", "").rstrip(".")
    first = f"{heading}  # {meaning}" if meaning else heading
    required = schema.get("required", ())
    lines = [_line(key, node, table, is_required=key in required) for key, node in schema["properties"].items()]
    return "\n".join([first, *lines, ""])


def _line(key: str, node: Node, table: Table, *, is_required: bool) -> str:
    """Write one key: as given, as an example where it must be given, at its default, or commented out where few need it."""
    examples = node.get("examples", [""])
    if key in table:
        shown, mark = table[key], ""
    elif is_required:
        shown, mark = examples[0], ""
    elif node.get("default") in (None, [], {}, "") and "examples" in node:
        shown, mark = examples[0], "# "
    else:
        shown, mark = node["default"], "# " if node.get(ADVANCED) else ""
    code = f"{mark}{toml_key(key)} = {toml_value(_in_order(shown, node))}"
    return f"{code:<{_COMMENT_COLUMN}}  # {node['description']}" if "description" in node else code


def _in_order(value: Any, node: Node) -> Any:
    """Return a table with its keys in the order of the models."""
    if not isinstance(value, dict):
        return value
    order = [key for form in alternatives(node, value) for key in form.get("properties", {})]
    return {key: value[key] for key in sorted(value, key=lambda key: order.index(key) if key in order else len(order))}
