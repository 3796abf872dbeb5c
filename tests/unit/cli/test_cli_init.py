"""`init` without a terminal: what it writes passes `check --offline`, is its owner's alone, and never takes a file's place."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from calrelay.cli import drafting, setup
from calrelay.cli.app import main
from calrelay.errors import ConfigError, ExitCode
from calrelay.simulators.server import DEFAULT_PORTS, PAGE


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CALRELAY_CONFIG", raising=False)


def written(path: str = "config.toml") -> dict[str, Any]:
    return tomllib.loads(Path(path).read_text())


def test_with_yes_it_asks_nothing_and_passes_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--yes"]) == 0
    assert "calrelay check" in capsys.readouterr().out
    assert written()["accounts"]["venue"]["client_secret"] == {"env": "TRIPLESEAT_CLIENT_SECRET"}
    assert main(["check", "--offline"]) == 0


def next_steps(capsys: pytest.CaptureFixture[str]) -> list[str]:
    told = capsys.readouterr().out.partition("Next\n")[2]
    return [line.strip().partition("  ")[0] for line in told.splitlines()]


def test_the_next_steps_name_the_login_of_an_account_that_needs_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--yes", "--vendor", "tripleseat", "consent.toml"]) == 0
    steps = next_steps(capsys)
    assert steps.index("calrelay --config consent.toml login venue") < steps.index("calrelay --config consent.toml check")
    assert main(["init", "--yes", "--vendor", "tripleseat", "--set", "venue.auth=client_credentials", "none.toml"]) == 0
    assert not any("login" in step for step in next_steps(capsys))


def test_the_next_steps_say_where_each_secret_goes(capsys: pytest.CaptureFixture[str]) -> None:
    secrets = ("--set", "reminders.api_key=credential:apptoto", "--set", "studio.private_key=file:timetap.key")
    assert main(["init", "--yes", "--vendor", "timetap", *secrets]) == 0
    assert next_steps(capsys)[1:3] == [
        "install -m 600 /dev/stdin timetap.key",
        "sudo install -m 600 /dev/stdin /etc/calrelay/credentials/apptoto",
    ]


def test_the_comments_hold_whatever_is_chosen() -> None:
    assert main(["init", "--yes", "--set", "venue.auth=client_credentials", "--set", "reminders.api_key=apptoto-key"]) == 0
    lines = Path("config.toml").read_text().splitlines()
    comments = [line.partition("#")[2] for line in lines if line.startswith(("auth = ", 'api_key = "apptoto'))]
    assert len(comments) == 2
    assert not any("Or " in comment or "systemd" in comment for comment in comments)


def test_for_simulators_it_needs_no_answer_and_finds_them() -> None:
    assert main(["init", "--simulate"]) == 0
    assert written()["accounts"]["reminders"]["base_url"] == f"http://127.0.0.1:{DEFAULT_PORTS['apptoto']}/v1"
    assert main(["check", "--offline"]) == 0


def test_for_simulators_elsewhere_it_takes_their_first_port() -> None:
    assert main(["init", "--simulate", "--port", "9100"]) == 0
    assert written()["accounts"]["venue"]["base_url"] == "http://127.0.0.1:9101/v1"


def test_the_port_it_assumes_is_the_simulators_own() -> None:
    assert DEFAULT_PORTS[PAGE] == setup.FIRST_PORT


def test_the_file_is_its_owners_alone_and_nothing_else_is_left(tmp_path: Path) -> None:
    assert main(["init", "--yes", "mine.toml"]) == 0
    assert Path("mine.toml").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def test_what_is_answered_beside_simulators_is_refused_instead_of_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--simulate", "--messages", "skip", "--region", "GB"]) == 2
    assert "takes no other answers" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["init"], ["init", "--yes"], ["init", "--simulate"], ["--config", "config.toml", "init", "--yes"]])
def test_a_file_that_is_there_is_never_overwritten(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.toml").write_text("# mine")
    assert main(words) == ExitCode.CONFIG
    assert "is there already" in capsys.readouterr().err
    assert Path("config.toml").read_text() == "# mine"


def test_a_file_that_somebody_makes_meanwhile_is_not_overwritten_either() -> None:
    Path("config.toml").write_text("# mine")
    with pytest.raises(ConfigError, match="is there already"):
        drafting.write_new(Path("config.toml"), "# ours")
    assert Path("config.toml").read_text() == "# mine"


@pytest.mark.parametrize("path", ["nowhere/config.toml", "."])
def test_a_place_that_cannot_be_written_is_told_without_a_traceback(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--yes", path]) == ExitCode.CONFIG
    assert "Traceback" not in capsys.readouterr().err


def test_the_config_named_before_the_command_is_the_one_written() -> None:
    assert main(["--config", "there.toml", "init", "--yes"]) == 0
    assert Path("there.toml").exists()


def test_without_a_terminal_every_missing_answer_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--vendor", "tripleseat", "--set", "venue.client_id=uid"]) == ExitCode.CONFIG
    said = capsys.readouterr().err
    for option in (
        "--set venue.client_secret=",
        "--set reminders.username=",
        "--set reminders.api_key=",
        "--calendar venue=",
        "--messages",
        "--region",
    ):
        assert option in said
    assert "--set venue.client_id=" not in said
    assert not Path("config.toml").exists()


def test_every_answer_has_an_option() -> None:
    settings = {
        "studio.api_key": "340000",
        "studio.private_key": "file:/etc/calrelay/timetap.key",
        "studio.page_size": "50",
        "studio.zones": '{ "staff:61001" = "America/Chicago" }',
        "reminders.username": "ops@example.com",
        "reminders.api_key": "credential:apptoto",
    }
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    rest = ["--vendor", "timetap", "--calendar", "studio=Main Hall", "--messages", "no-booking", "--region", "ca"]
    assert main(["init", *options, *rest]) == 0
    document = written()
    assert list(document["accounts"]) == ["studio", "reminders"]
    studio = document["accounts"]["studio"]
    assert (studio["private_key"], studio["page_size"]) == ({"file": "/etc/calrelay/timetap.key"}, 50)
    assert studio["zones"] == {"staff:61001": "America/Chicago"}
    assert document["accounts"]["reminders"]["api_key"] == {"credential": "apptoto"}
    pipeline = document["pipelines"][0]
    assert (pipeline["calendar"], pipeline["messages"], pipeline["region"]) == ("Main Hall", "no-booking", "CA")


def test_one_calendar_serves_all_sources_save_those_with_their_own() -> None:
    assert main(["init", "--yes", "--calendar", "Everything", "--calendar", "studio=Lessons"]) == 0
    assert {one["name"]: one["calendar"] for one in written()["pipelines"]} == {"venue": "Everything", "studio": "Lessons"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--vendor", "tripelseat"], "did you mean “tripleseat”?"),
        (["--vendor", "apptoto"], "no source to read from"),
        (["--set", "venu.client_id=x"], "did you mean “venue”?"),
        (["--set", "venue.clientid=x"], "did you mean “client_id”?"),
        (["--set", "client_id"], "ACCOUNT.KEY=VALUE"),
        (["--set", "studio.page_size=many"], "studio.page_size"),
        (["--set", "venue.base_url=ftp://example.com"], "https://"),
        (["--region", "Utopia"], "region"),
        (["--simulate", "--port", "65535"], "--port 65535"),
    ],
)
def test_a_wrong_answer_is_told_in_words_and_nothing_is_written(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--yes", *words]) == ExitCode.CONFIG
    assert said in capsys.readouterr().err
    assert not Path("config.toml").exists()


def test_the_example_and_the_schema_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "example"]) == 0
    example = capsys.readouterr().out
    assert tomllib.loads(example)["accounts"]["venue"]["vendor"] == "tripleseat"
    assert main(["config", "schema"]) == 0
    assert '"$schema"' in capsys.readouterr().out
