"""The frame of the command line: help, laziness, errors as words and exit codes, completion, interrupts."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from calrelay.cli import app, demo_story
from calrelay.cli.options import pipeline_names
from calrelay.cli.session import Session
from calrelay.errors import Busy, ConfigError, ExitCode, StateError, VendorUnavailable
from tests.unit.cli.schemas import assert_fits

HEAVY = ("sqlmodel", "sqlalchemy", "httpx", "rich", "alembic", "apscheduler", "jinja2", "starlette", "uvicorn", "structlog")
TWO_VENDORS = """
[state]
url = "sqlite:///calrelay.db"

[accounts.venue]
vendor = "tripleseat"
client_id = "relay"
client_secret = "made-up"

[accounts.reminders]
vendor = "apptoto"
username = "ops@example.com"
api_key = "made-up"

[[pipelines]]
name = "venue"
source = "venue"
target = "reminders"
calendar_id = 1000030001
"""
NOT_FOR_STATUS = (
    "calrelay.assembly",
    "calrelay.domain.extras",
    "calrelay.domain.messages",
    "calrelay.domain.reminders",
    "calrelay.domain.jinja",
    "calrelay.domain.switches",
    "calrelay.engine.backfill",
    "calrelay.engine.listening",
    "calrelay.engine.pipeline",
    "calrelay.engine.report",
    "calrelay.engine.sync",
    "calrelay.http.client",
    "calrelay.vendors.apptoto.client",
    "calrelay.vendors.timetap.source",
    "calrelay.vendors.tripleseat.source",
    "dateutil",
    "phonenumbers",
)
COMMANDS_PAGE = Path(__file__).parents[3] / "docs" / "commands.md"


def in_a_fresh_interpreter(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )


def heavy_after(*words: str) -> list[str]:
    loaded = loaded_after(*words)
    return [name for name in HEAVY if name in loaded]


def loaded_after(*words: str) -> list[str]:
    code = f"import json, sys\nfrom calrelay.cli.app import main\nmain({list(words)!r})\nprint(json.dumps([*sys.modules]), file=sys.stderr)"
    done = in_a_fresh_interpreter(code)
    loaded: list[str] = json.loads(done.stderr.splitlines()[-1])
    return loaded


def test_help_loads_nothing_heavy() -> None:
    assert heavy_after("--help") == []


def test_status_loads_neither_vendors_nor_templates_nor_logs_that_nothing_is_written_to(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[state]\nurl = "sqlite:///calrelay.db"\n')
    config.chmod(0o600)
    assert not {"httpx", "alembic", "apscheduler", "jinja2", "structlog", "starlette", "uvicorn"} & set(
        heavy_after("--config", str(config), "status", "--json")
    )


def test_status_loads_nothing_that_runs_a_pass(tmp_path: Path) -> None:
    """Each of these takes milliseconds, and memory; together they were a tenth of the time that a status takes."""
    config = tmp_path / "config.toml"
    config.write_text(TWO_VENDORS)
    config.chmod(0o600)
    loaded = loaded_after("--config", str(config), "status", "--json")
    assert "calrelay.engine.overlapping" in loaded
    assert not set(NOT_FOR_STATUS) & set(loaded)


def test_a_relay_of_two_vendors_loads_nothing_of_the_third_nor_what_reads_odd_dates(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(TWO_VENDORS)
    config.chmod(0o600)
    code = f"""
import asyncio, sys
from pathlib import Path
from calrelay.assembly import assemble
from calrelay.cli import passes
from calrelay.cli.session import Session
async def assembled():
    async with assemble(Session(config_file=Path({str(config)!r})).load(), command="sync") as relay:
        return list(relay.pipelines)
print(asyncio.run(assembled()), *sorted(sys.modules))
"""
    said = in_a_fresh_interpreter(code).stdout
    assert said.startswith("['venue'] ")
    assert {name for name in said.split() if name.startswith("calrelay.vendors.timetap")} == {
        "calrelay.vendors.timetap",
        "calrelay.vendors.timetap.settings",
    }
    unneeded = {"dateutil.parser", "jinja2", "structlog", "calrelay.engine.listening", "calrelay.engine.enriched"}
    assert not unneeded & set(said.split())


@pytest.mark.parametrize("name", [row.name for row in app.rows()])
def test_the_help_of_a_command_loads_nothing_heavy(name: str) -> None:
    assert heavy_after(name, "--help") == []


def test_help_lists_every_command_by_group_and_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--help"]) == 0
    text = capsys.readouterr().out
    for row in app.COMMANDS:
        assert re.search(rf"^  {re.escape(row.name)} ", text, re.MULTILINE), row.name
    for taught in ("Exit codes:", "Examples:", "$CALRELAY_CONFIG", "./config.toml", "/etc/calrelay/config.toml", *app.GROUPS):
        assert taught in text


def test_every_command_has_an_example_that_begins_with_it() -> None:
    for row in app.rows():
        assert row.examples, row.name
        assert all(example.startswith(f"calrelay {row.name}") for example in row.examples)


@pytest.mark.parametrize("name", [row.name for row in app.rows()])
def test_a_command_shows_its_examples_in_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(row for row in app.rows() if row.name == name)
    assert app.main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert all(example in text for example in row.examples)


def test_version_says_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--version"]) == 0
    assert re.fullmatch(r"calrelay \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_an_unknown_command_suggests_the_one_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["stauts"]) == ExitCode.CONFIG
    assert "Did you mean 'status'?" in capsys.readouterr().err


def test_a_misplaced_config_option_says_where_it_belongs(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["sync", "--config", "x.toml"]) == ExitCode.CONFIG
    assert "calrelay --config FILE COMMAND" in capsys.readouterr().err


def test_with_json_a_usage_error_is_one_document_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["backfill", "venue", "--json"]) == ExitCode.CONFIG
    out, err = capsys.readouterr()
    assert_fits(json.loads(out), "error")
    assert err == ""


def test_a_demo_of_few_events_has_as_many_as_its_story_needs_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []

    def play(_output: object, *, events: int, serves: bool) -> int:
        shown.append(events)
        return int(serves)

    monkeypatch.setattr(demo_story, "demo", play)
    assert [app.main(["demo", "--events", number]) for number in ("1", "40", "41")] == [0, 0, 0]
    assert shown == [40, 40, 41]
    assert capsys.readouterr().err == "The story needs 40 events or more, so there are 40 of them.\n"
    assert app.main(["demo", "--events", "0"]) == ExitCode.CONFIG


def test_a_missing_config_says_where_it_was_looked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALRELAY_CONFIG", str(tmp_path / "none.toml"))
    assert app.main(["status"]) == ExitCode.CONFIG
    assert "none.toml" in capsys.readouterr().err


def test_every_problem_of_a_config_is_told_with_its_path(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[[pipelines]]\nname = "venue"\nsorce = "x"\n[web]\nlisten = 5\n')
    assert app.main(["--config", str(config), "status", "--json"]) == ExitCode.CONFIG
    document = json.loads(capsys.readouterr().out)
    assert_fits(document, "error")
    assert len(document["error"]["problems"]) >= 3
    assert app.main(["--config", str(config), "status"]) == ExitCode.CONFIG
    assert all(problem in capsys.readouterr().err for problem in ("pipelines[0].sorce",))


def a_row_that(raises: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise raises()

    monkeypatch.setattr(sys.modules[__name__], "broken", broken, raising=False)
    row = app.Row(app.LOOK, "broken", f"{__name__}:broken", "Break.")
    monkeypatch.setattr(app, "COMMANDS", (row,))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StateError("damaged"), 5),
        (ConfigError("wrong"), 2),
        (VendorUnavailable("away"), 3),
        (Busy("at work"), 6),
        (KeyError("Ada Fox"), 70),
        (ExceptionGroup("several", [VendorUnavailable("away"), StateError("damaged")]), 5),
        (ExceptionGroup("several", [StateError("damaged"), ValueError("odd")]), 70),
    ],
)
def test_an_error_becomes_its_exit_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a_row_that(lambda: error, monkeypatch)
    assert app.main(["broken"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_is_told_without_its_own_words_which_may_quote_a_guest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a_row_that(lambda: KeyError("Ada Fox"), monkeypatch)
    assert app.main(["broken"]) == ExitCode.BUG
    said = capsys.readouterr().err
    assert "KeyError" in said
    assert "Ada Fox" not in said
    assert app.main(["--debug", "broken"]) == ExitCode.BUG
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_ends_a_command_cleanly(name: str, code: int) -> None:
    """What the command holds is given back, a message says that nothing is lost, and the code is the shell's convention."""
    program = f"""
import asyncio, os, signal, sys
from calrelay.cli.session import run_interruptibly
from calrelay.cli import app, output

async def work():
    try:
        asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.{name})
        await asyncio.Event().wait()
    finally:
        print("given back")

def command() -> int:
    return run_interruptibly(work())

sys.modules["broken"] = sys.modules["__main__"]
app.COMMANDS = (app.Row(app.LOOK, "broken", "broken:command", "Wait."),)
sys.exit(app.main(["broken"]))
"""
    done = in_a_fresh_interpreter(program)
    assert (done.returncode, done.stdout) == (code, "given back\n")
    assert "nothing is lost" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_commands(shell: str) -> None:
    words = {"bash": {"COMP_WORDS": "calrelay st", "COMP_CWORD": "1"}}.get(shell, {"_TYPER_COMPLETE_ARGS": "calrelay st"})
    extra = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"} if shell == "fish" else {}
    done = in_a_fresh_interpreter("from calrelay.__main__ import main; main()", _CALRELAY_COMPLETE=f"complete_{shell}", **words, **extra)
    assert "status" in done.stdout
    assert "sync" not in done.stdout


def test_completion_offers_the_pipelines_of_the_config(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[[pipelines]]\nname = "venue"\n[[pipelines]]\nname = "studio"\n')
    done = in_a_fresh_interpreter(
        "from calrelay.__main__ import main; main()",
        _CALRELAY_COMPLETE="complete_bash",
        COMP_WORDS="calrelay sync v",
        COMP_CWORD="2",
        CALRELAY_CONFIG=str(config),
    )
    assert done.stdout.split() == ["venue"]


@pytest.mark.parametrize(("typed", "offered"), [("a", ["acme/"]), ("acme/", ["acme/venue"]), ("s", ["studio"])])
def test_completion_offers_tenants_and_then_their_pipelines(tmp_path: Path, typed: str, offered: list[str]) -> None:
    (tmp_path / "tenants").mkdir()
    (tmp_path / "config.toml").write_text('include = ["tenants/*.toml"]\n[[pipelines]]\nname = "studio"\n')
    (tmp_path / "tenants" / "acme.toml").write_text('[[pipelines]]\nname = "venue"\n')
    (tmp_path / "tenants" / "broken.toml").write_text("[")
    ctx = typer.Context(get_command(app.app), obj=Session(config_file=tmp_path / "config.toml"))
    assert pipeline_names(ctx, typed) == offered


def test_completion_can_be_shown() -> None:
    done = in_a_fresh_interpreter("import sys; sys.argv = ['calrelay', '--show-completion']; from calrelay.__main__ import main; main()")
    assert "--install-completion" in in_a_fresh_interpreter("from calrelay.cli.app import main; main(['--help'])").stdout
    assert done.returncode in (0, 1)  # 1 where the test's own shell is none that can complete


# --- the page of commands ---


def _parts(command: Any, path: str) -> list[tuple[str, Any]]:
    """Return the command and all below it, with how each is typed."""
    below = [part for name, sub in getattr(command, "commands", {}).items() for part in _parts(sub, f"{path} {name}")]
    return [(path, command), *below]


def _section(page: str, heading: str) -> str:
    found = re.search(rf"^#+ `{re.escape(heading)}`.*?(?=^#+ |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"docs/commands.md has no section `{heading}`"
    return found[0]


@pytest.mark.parametrize("name", [row.name for row in app.rows()])
def test_every_command_and_option_stands_on_the_page_of_commands(name: str) -> None:
    page = COMMANDS_PAGE.read_text().replace("\\|", "|")
    row = next(row for row in app.rows() if row.name == name)
    for path, command in _parts(row.load(), f"calrelay {name}"):
        section = _section(page, path)
        for parameter in command.params:
            words = parameter.opts if parameter.param_type_name == "option" else [parameter.metavar or parameter.name]
            for word in words:
                assert word in section, f"{word} of `{path}`"


def test_every_global_option_stands_on_the_page_of_commands() -> None:
    section = _section(COMMANDS_PAGE.read_text(), "calrelay")
    command: Any = get_command(app.app)
    for parameter in command.params:
        assert all(word in section for word in parameter.opts), parameter.opts


def test_every_example_on_the_page_names_a_command() -> None:
    named = re.findall(r"^calrelay (?:--\S+ \S+ )?([a-z]+)", COMMANDS_PAGE.read_text(), re.MULTILINE)
    assert named
    assert set(named) <= {row.name for row in app.rows()}
