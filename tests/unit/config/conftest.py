"""A small sound config as nested tables, and ways to change one thing about it and see what loading says."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calrelay.config.load import Config, parse_config
from calrelay.config.toml import toml_key, toml_value
from calrelay.errors import ConfigError
from calrelay.vendors.registry import VENDORS

Tables = dict[str, Any]

SOUND: Tables = {
    "accounts": {
        "venue": {"vendor": "tripleseat", "client_id": "uid", "client_secret": {"env": "SECRET"}},
        "studio": {"vendor": "timetap", "api_key": "340000", "private_key": {"file": "timetap.key"}},
        "reminders": {"vendor": "apptoto", "username": "ops@example.com", "api_key": {"credential": "apptoto"}},
    },
    "pipelines": [{"name": "venue", "source": "venue", "target": "reminders", "calendar": "Main Hall"}],
}
GONE = object()
"""Set a path to this to leave its key out."""


def changed(changes: dict[str, Any]) -> Tables:
    """Return the sound tables with changes by path, such as `pipelines.0.window.past`."""
    tables = copy.deepcopy(SOUND)
    for path, value in changes.items():
        *steps, last = path.split("/")
        node: Any = tables
        for step in steps:
            node = node[int(step)] if isinstance(node, list) else node.setdefault(step, {})
        if value is GONE:
            del node[last]
        elif isinstance(node, list):
            node.append(value)
        else:
            node[last] = value
    return tables


def as_toml(tables: Tables) -> str:
    """Write tables with one inline value a line, as TOML."""
    return "".join(f"{toml_key(key)} = {toml_value(value)}\n" for key, value in tables.items())


@pytest.fixture
def load() -> Callable[[dict[str, Any]], Config]:
    """Load the sound config with changes, given by path (`pipelines/0/every`)."""

    def from_changes(changes: dict[str, Any]) -> Config:
        return parse_config(as_toml(changed(changes)), path=Path("/nowhere/config.toml"), vendors=VENDORS)

    return from_changes


@pytest.fixture
def problems(load: Callable[[dict[str, Any]], Config]) -> Callable[[dict[str, Any]], tuple[str, ...]]:
    """Return what loading the sound config with changes complains about."""

    def of_changes(changes: dict[str, Any]) -> tuple[str, ...]:
        with pytest.raises(ConfigError) as caught:
            load(changes)
        return caught.value.problems

    return of_changes


@pytest.fixture
def sound_text() -> str:
    """The sound config as text."""
    return as_toml(SOUND)


@pytest.fixture
def gone() -> object:
    """The mark that leaves a key out."""
    return GONE
