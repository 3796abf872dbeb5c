"""`calrelay demo` as a newcomer runs it: in a process of its own, without account or config."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.schemas import assert_fits

EVENTS = "60"


def demo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "calrelay", "demo", "--events", EVENTS, *words]
    env = {"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), "PYTHONUTF8": "1", "PYTHONPATH": ":".join(sys.path)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]:
    """The demo twice: as text, and as JSON; each in an empty folder that has to be empty afterwards."""
    folders = [tmp_path_factory.mktemp("demo") for _ in range(2)]
    with ThreadPoolExecutor() as both:
        text, document = both.map(lambda words: demo(*words), [(folders[0],), (folders[1], "--json")])
    assert [list(folder.iterdir()) for folder in folders] == [[], []]
    return text, document


@pytest.fixture(scope="module")
def text(runs: tuple[subprocess.CompletedProcess[str], ...]) -> str:
    assert (runs[0].returncode, runs[0].stderr) == (0, "")
    return runs[0].stdout


@pytest.fixture(scope="module")
def document(runs: tuple[subprocess.CompletedProcess[str], ...]) -> Mapping[str, Any]:
    assert runs[1].returncode == 0
    found: Mapping[str, Any] = json.loads(runs[1].stdout)
    return found


def exit_of(document: Mapping[str, Any], occasion: str) -> int:
    """Return the exit code of the sync of an occasion."""
    return int(next(c["exit_code"] for c in document["commands"] if c["occasion"] == occasion and c["typed"].startswith("calrelay sync")))


def people_of(document: Mapping[str, Any], occasion: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(row for row in document["people"] if row["occasion"] == occasion)
    return found


def test_the_document_keeps_to_its_schema(document: Mapping[str, Any]) -> None:
    assert_fits(document, "demo")


def test_what_calrelay_reports_is_what_apptoto_counts(document: Mapping[str, Any]) -> None:
    changed, apptoto = document["changed"], document["apptoto"]
    assert (changed["created"], changed["deleted"]) == (apptoto["created"], apptoto["deleted"])
    assert apptoto["held"] == apptoto["created"] - apptoto["deleted"]
    assert apptoto["doubled"] == 0
    assert changed["updated"] == 2


def test_nobody_is_messaged_but_the_guest_of_the_new_event(document: Mapping[str, Any]) -> None:
    assert document["apptoto"]["people_messaged"] == people_of(document, "ordinary day")["people_messaged"] == 1
    loads = [row for row in document["people"] if row["occasion"].startswith("load of")]
    assert all(row["could_be_messaged"] > 0 and row["messages_sent"] == 0 for row in loads)


def test_each_chapter_ends_as_it_says(document: Mapping[str, Any]) -> None:
    ends = {
        occasion: exit_of(document, occasion)
        for occasion in ("first sync", "nothing new", "ordinary day", "outage", "recovered", "accidents")
    }
    assert ends == {"first sync": 4, "nothing new": 0, "ordinary day": 0, "outage": 3, "recovered": 0, "accidents": 4}


def test_the_accidents_wait_for_a_decision(document: Mapping[str, Any]) -> None:
    assert [(hold["pipeline"], hold["kind"]) for hold in document["waiting"]] == [("venue", "same shift"), ("studio", "empty read")]
    assert document["next"][0] == "calrelay holds"
    assert {f"calrelay approve {hold['id']}" for hold in document["waiting"]} <= set(document["next"])


def test_the_summary_in_words_has_the_numbers_of_the_document(text: str, document: Mapping[str, Any]) -> None:
    ending = text[text.index("In short") :]
    changed, apptoto = document["changed"], document["apptoto"]
    assert re.search(rf"in all +{changed['created']} +{changed['updated']} +{changed['deleted']}\n", ending)
    assert f"{apptoto['created']} created, {apptoto['deleted']} deleted, {apptoto['held']} held; none twice" in ending
    assert f"{apptoto['messages_sent']} messages to {apptoto['people_messaged']} person" in ending
    for hold in document["waiting"]:
        assert hold["words"] in ending
    for command in ("calrelay holds", "calrelay approve venue-same-shift-", "calrelay reject studio-empty-read-"):
        assert command in ending


def test_the_summary_answers_the_four_questions(text: str) -> None:
    ending = text[text.index("In short") :]
    asked = [line for line in ending.splitlines() if line.endswith("?")]
    assert asked == [
        "What did calrelay change at Apptoto?",
        "Whom could that have messaged?",
        "What is it waiting for?",
        "What would I type next?",
    ]


def test_every_command_of_the_document_is_shown_as_it_is_typed(text: str, document: Mapping[str, Any]) -> None:
    for command in document["commands"]:
        assert f"$ {command['typed']}" in text


def test_the_story_goes_to_stderr_when_stdout_is_a_document(runs: tuple[subprocess.CompletedProcess[str], ...]) -> None:
    assert "$ calrelay plan" in runs[1].stderr


def test_a_pipe_gets_plain_text(text: str) -> None:
    assert "\x1b" not in text
