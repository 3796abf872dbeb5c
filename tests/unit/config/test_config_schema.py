import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft7Validator

from calrelay.config.load import Config
from calrelay.config.schema import Node, json_schema
from calrelay.vendors.registry import VENDORS

Problems = Callable[[dict[str, Any]], tuple[str, ...]]


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    schema = json_schema(VENDORS)
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def nodes(schema: Node) -> list[Node]:
    below = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), schema.get("items"), schema.get("additionalProperties")]
    return [schema, *(node for inner in below if isinstance(inner, dict) for node in nodes(inner))]


def test_a_sound_config_fits_the_schema(validator: Draft7Validator, sound_text: str) -> None:
    assert list(validator.iter_errors(tomllib.loads(sound_text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "bogus = 1",
        'log = { level = "loud" }',
        'accounts = { a = { vendor = "apptoto" } }',
        'accounts = { a = { vendor = "apptoto", username = "a", api_key = { vault = "x" } } }',
        'pipelines = [{ name = "a", source = "b", target = "c", every = "soon" }]',
        'pipelines = [{ name = "a", source = "b", target = "c", guards = { deletes = "few" } }]',
        'pipelines = [{ name = "a", source = "b", target = "c", filter = { room = ["x"] } }]',
        'pipelines = [{ name = "a", source = "b", target = "c", people = ["nobody"] }]',
    ],
)
def test_an_editor_sees_what_loading_would_refuse(validator: Draft7Validator, text: str) -> None:
    assert list(validator.iter_errors(tomllib.loads(text)))


@pytest.mark.parametrize(
    "pipeline",
    [
        "guards = { deletes = 5 }",
        "guards = { deletes = { max = 9 } }",
        'filter = { staff = ["Ada"] }',
        'filter = { rooms = ["Terrace", 90002] }',
    ],
)
def test_an_editor_accepts_the_short_forms(validator: Draft7Validator, pipeline: str) -> None:
    text = f'pipelines = [{{ name = "a", source = "b", target = "c", {pipeline} }}]'
    assert list(validator.iter_errors(tomllib.loads(text))) == []


def test_the_schema_keeps_to_what_old_editors_understand() -> None:
    """Taplo reads draft 4, which has no `const` and an `exclusiveMinimum` of another kind, and TOML has no null."""
    for node in nodes(json_schema(VENDORS)):
        assert not node.keys() & {"$ref", "$defs", "const", "exclusiveMinimum", "prefixItems"}
        assert node.get("type") != "null"
        assert node.get("default", "") is not None


def test_every_key_has_a_meaning() -> None:
    for table in nodes(json_schema(VENDORS)):
        for key, node in table.get("properties", {}).items():
            if key not in {"env", "file", "credential"}:
                assert node.get("description", "").endswith("."), key


def test_a_key_without_a_default_has_an_example() -> None:
    for table in nodes(json_schema(VENDORS)):
        for key, node in table.get("properties", {}).items():
            if key not in {"vendor", "env", "file", "credential", "max", "count", "share", "filter"}:
                assert "default" in node or "examples" in node, key


def test_the_schemas_defaults_are_the_models(load: Callable[[dict[str, Any]], Config]) -> None:
    shown = json_schema(VENDORS)["properties"]["pipelines"]["items"]["properties"]
    meant = load({}).pipelines[0].model_dump(mode="json", exclude_none=True)
    for key in ("every", "near", "full_every", "messages", "settle", "region", "people", "without_contact", "enabled", "window", "guards"):
        assert shown[key]["default"] == meant[key], key
