"""`simulate`: what it prints is a config that works."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from calrelay.cli import simulating
from calrelay.cli.app import main
from calrelay.cli.output import plain_table
from calrelay.config.load import parse_config
from calrelay.simulators.server import DEFAULT_PORTS
from calrelay.simulators.worlds import a_world
from calrelay.vendors.registry import VENDORS
from tests.unit.cli.schemas import assert_fits

USUAL = {name: f"http://127.0.0.1:{port}" for name, port in DEFAULT_PORTS.items()}


def introduction(urls: dict[str, str]) -> str:
    blocks = simulating._introduction(urls, simulating._draft(urls), events=12, appointments=6)
    return "\n".join(block if isinstance(block, str) else "\n".join(plain_table(block)) for block in blocks)


def test_the_snippet_is_a_config(tmp_path: Path) -> None:
    snippet = "\n".join(simulating._snippet(simulating._draft(USUAL)))
    config = parse_config(snippet, path=tmp_path / "config.toml", vendors=VENDORS)
    assert list(config.accounts) == ["venue", "studio", "reminders"]
    assert tomllib.loads(snippet)["accounts"]["venue"]["base_url"] == "http://127.0.0.1:8701/v1"


def test_its_calendars_are_there_in_the_simulated_account() -> None:
    calendars = a_world(1, datetime.now(UTC), tripleseat_events=0, timetap_appointments=0).calendars
    assert {pipeline["calendar"] for pipeline in simulating.simulated_draft(8700).pipelines} <= calendars.keys()


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        (USUAL, "`calrelay init --simulate` writes this"),
        ({name: f"http://127.0.0.1:{9100 + at}" for at, name in enumerate(DEFAULT_PORTS)}, "`calrelay init --simulate --port 9100` writes"),
        ({name: f"http://127.0.0.1:{40_000 + 7 * at}" for at, name in enumerate(DEFAULT_PORTS)}, "A config for them:"),
    ],
)
def test_it_names_the_command_that_writes_the_config(urls: dict[str, str], said: str) -> None:
    assert said in introduction(urls)


def test_the_document_keeps_to_its_schema() -> None:
    draft: Any = simulating._draft(USUAL)
    assert_fits({"urls": USUAL, "accounts": dict(draft.accounts), "pipelines": list(draft.pipelines)}, "simulate")


def test_ports_beyond_the_last_one_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--port", "65533"]) == 2
    assert "4 ports are needed" in capsys.readouterr().err
