"""docs/configuration.md, written from the schema: every key with its default and meaning."""

from collections.abc import Mapping
from typing import Any, Final

from calrelay.config.schema import Node, alternatives, json_schema, schema_of
from calrelay.config.toml import toml_value
from calrelay.config.vendor import VendorConfig

_INTRODUCTION: Final = """\
# Configuration

The config is a TOML file: the one named by `--config`, else by `$CALRELAY_CONFIG`, else `./config.toml`, else
`/etc/calrelay/config.toml`. `calrelay init` writes one, `calrelay config example` prints a commented one, `calrelay config schema` prints
a JSON Schema for editors, and `calrelay check --offline` checks yours. Everything that is wrong is told at once, each with its path and
its fix; keys that do not exist are wrong too.

**Durations** are texts of a number and a unit, which may be repeated: `"90s"`, `"5m"`, `"1h30m"`, `"14d"`, `"2w"`.

**Secrets** are a text, or name the place where they are found: `{ env = "VARIABLE" }`, `{ file = "PATH" }` (a relative path starts at the
config's folder) or `{ credential = "NAME" }` (systemd's `LoadCredential=`). They are fetched when they are needed, not when the config is
loaded. A config that holds a secret as a text must be its owner's alone (`chmod 600`), or it is refused. User names, client ids and
TimeTap's API key may stand in any of these forms too, but are no secrets by themselves.

**Names** of accounts and pipelines are letters, digits, `-`, `_` and `.`, at most 64. Those of a tenant's file are known as
TENANT/NAME outside of it: docs/operations/tenants.md.

**Times, filters and guards** follow the rules in docs/rules.md, to which the numbers below refer.
"""
_SHORT_TABLE: Final = 3  # keys; longer tables have a section of their own
_GUARDS: Final = """
A guard is a table of `count`, `share` (of the pipeline's live links before the plan, 0 to 1) and, save for `same_shift`, `max`. Keys left
out of the table keep the guard's default. A number alone is the count, whatever the share: `deletes = 10` holds when a pass would delete
more than ten.
"""
_ENDING: Final = """\
---

For those who change calrelay: this page is generated from the models in `src/calrelay/config/` and each vendor's `settings.py`; edit the
descriptions there.
"""
_MATCHES: Final = """
Facets compare names or ids without regard to letter case. Of each facet that is named, an event must show one of the values; of several
facets, all.
"""


def reference(vendors: Mapping[str, VendorConfig]) -> str:
    """Return the document."""
    properties = json_schema(vendors)["properties"]
    pipeline = properties["pipelines"]["items"]["properties"]
    sources = [(vendor.label, schema_of(vendor.filter)) for vendor in vendors.values() if vendor.filter is not None]
    return "\n".join(
        [
            _INTRODUCTION,
            _section("Before all tables", {"properties": {"include": properties["include"]}}),
            *(_section(f"`[{name}]`", properties[name]) for name in ("state", "log", "web", "notify")),
            *(_section(f"`[accounts.NAME]` of {vendor.label}", schema_of(vendor.account)) for vendor in vendors.values()),
            _section("`[[pipelines]]`", {**properties["pipelines"]["items"], "description": properties["pipelines"]["description"]}),
            _section("`window`", pipeline["window"]),
            _people(vendors),
            *(_section(f"`[pipelines.filter]` of {label}", schema) + _MATCHES for label, schema in sources),
            _section("`[[pipelines.routes]]`", pipeline["routes"]["items"]),
            _section("`[pipelines.event]`", pipeline["event"]),
            _section("`[pipelines.guards]`", pipeline["guards"]) + _GUARDS,
            _ENDING,
        ]
    )


def _section(title: str, schema: Node) -> str:
    required = schema.get("required", ())
    rows = [_row(key, node, is_required=key in required) for key, node in schema["properties"].items()]
    return "\n".join([f"## {title}\n", f"{schema.get('description', '')}\n", "| key | default | meaning |", "|---|---|---|", *rows, ""])


def _row(key: str, node: Node, *, is_required: bool) -> str:
    default = "required" if is_required else _default(node)
    meaning = node.get("description", "")
    if "examples" in node:
        meaning += f" Example: `{toml_value(node['examples'][0])}`"
    return f"| `{key}` | {_cell(default)} | {_cell(meaning)} |"


def _default(node: Node) -> str:
    value = node.get("default")
    if any(len(form.get("properties", ())) > _SHORT_TABLE for form in alternatives(node, value)):
        return "see below"
    return "none" if value is None else f"`{toml_value(_ordered(value, node))}`"


def _ordered(value: Any, node: Node) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: value[key] for form in alternatives(node, value) for key in form.get("properties", {}) if key in value}


def _people(vendors: Mapping[str, VendorConfig]) -> str:
    named = [vendor for vendor in vendors.values() if vendor.people]
    rows = [f"| {vendor.label} | {', '.join(vendor.people)} | {', '.join(vendor.default_people)} |" for vendor in named]
    return "\n".join(["## `people`\n", "| source | may be named | default |", "|---|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
