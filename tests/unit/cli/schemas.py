"""The schemas of the JSON documents, and a check that a document keeps to one."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

FOLDER = Path(__file__).parents[3] / "docs" / "json"


def schema(name: str) -> dict[str, Any]:
    """Return a schema by name."""
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return loaded


def assert_fits(document: Any, name: str) -> None:
    """Fail with every place where the document leaves its schema."""
    found = Draft202012Validator(schema(name), format_checker=FormatChecker()).iter_errors(document)
    assert [f"{error.json_path}: {error.message}" for error in found] == []
