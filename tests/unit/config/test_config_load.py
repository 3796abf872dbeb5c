import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calrelay.config.load import Config, find_config, load_config, parse_config
from calrelay.errors import ConfigError, ExitCode
from calrelay.vendors.registry import VENDORS

Load = Callable[[dict[str, Any]], Config]

LITERAL = 'accounts = { r = { vendor = "apptoto", username = "ops@example.com", api_key = "a-secret" } }\n'


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "config.toml"
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


def test_the_file_asked_for_wins(tmp_path: Path) -> None:
    asked, other = tmp_path / "a.toml", tmp_path / "b.toml"
    asked.touch()
    other.touch()
    assert find_config(asked, {"CALRELAY_CONFIG": str(other)}) == asked


def test_the_variable_comes_before_the_usual_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "named.toml"
    named.touch()
    write(tmp_path, "")
    monkeypatch.chdir(tmp_path)
    assert find_config(None, {"CALRELAY_CONFIG": str(named)}) == named


def test_an_empty_variable_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "")
    monkeypatch.chdir(tmp_path)
    assert find_config(None, {"CALRELAY_CONFIG": ""}) == Path("config.toml")


@pytest.mark.parametrize("env", [{}, {"CALRELAY_CONFIG": "missing.toml"}])
def test_a_named_file_that_is_missing_is_never_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str]
) -> None:
    write(tmp_path, "")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        find_config(None if env else Path("missing.toml"), env)


def test_no_config_at_all_says_where_it_looked_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("calrelay.config.load.PLACES", (Path("config.toml"), tmp_path / "etc" / "config.toml"))
    with pytest.raises(ConfigError) as caught:
        find_config(None, {})
    for place in ("$CALRELAY_CONFIG", "./config.toml", str(tmp_path / "etc" / "config.toml")):
        assert place in caught.value.message
    assert "calrelay init" in caught.value.remedy


def test_a_config_others_can_read_is_refused_when_it_holds_a_secret(tmp_path: Path) -> None:
    path = write(tmp_path, LITERAL, 0o644)
    with pytest.raises(ConfigError) as caught:
        load_config(path, VENDORS)
    assert caught.value.exit_code == ExitCode.CONFIG
    assert caught.value.remedy == f"chmod 600 {path}"
    assert "a-secret" not in f"{caught.value!r}{caught.value.problems}"


@pytest.mark.parametrize("mode", [0o640, 0o602, 0o660])
def test_a_group_or_a_writer_counts_as_others(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="others than its owner"):
        load_config(write(tmp_path, LITERAL, mode), VENDORS)


def test_a_secret_in_a_file_of_ones_own_is_fine(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, LITERAL), VENDORS).accounts["r"].vendor == "apptoto"


def test_a_config_without_secrets_may_be_read_by_all(tmp_path: Path, sound_text: str) -> None:
    path = write(tmp_path, sound_text, 0o644)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert load_config(path, VENDORS).path == path


@pytest.mark.parametrize(
    "url", ["postgresql://calrelay:pass@db.example.com/calrelay", "postgresql://db.example.com/calrelay?password=pass"]
)
def test_a_password_in_the_databases_url_is_a_secret_too(tmp_path: Path, sound_text: str, url: str) -> None:
    text = f'{sound_text}[state]\nurl = "{url}"\n'
    with pytest.raises(ConfigError, match="holds a secret"):
        load_config(write(tmp_path, text, 0o644), VENDORS)


def test_the_pages_token_is_a_secret_too(tmp_path: Path, sound_text: str) -> None:
    path = write(tmp_path, sound_text + '[web]\ntoken = "correct horse battery"\n', 0o644)
    with pytest.raises(ConfigError, match="holds a secret"):
        load_config(path, VENDORS)


def test_loading_resolves_no_secret(tmp_path: Path, sound_text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` and `holds` must work where the secrets are not."""
    for name in ("SECRET", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    config = load_config(write(tmp_path, sound_text), VENDORS)
    with pytest.raises(ConfigError, match=r"accounts\.reminders\.api_key"):
        config.resolve(config.accounts["reminders"].api_key)  # type: ignore[attr-defined] # of the vendor's own model


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[state]\nurl = \n", "line 2, column 7"),
        ("[accounts.a]\nvendor = 'apptoto'\n[accounts.a]\n", "line 3"),
        ("[log]\nlevel = 'info'\nlevel = 'debug'\n", "line 3"),
        ("[state", "at its end"),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(tmp_path: Path, text: str, where: str) -> None:
    """An account or a key given twice is among it: TOML forbids it."""
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text), VENDORS)
    assert where in caught.value.problems[0]
    assert "calrelay config example" in caught.value.problems[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_config_one_may_not_read_is_not_called_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Permission denied"):
        load_config(write(tmp_path, "", 0o000), VENDORS)


def test_a_folder_or_a_binary_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, VENDORS)
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe[\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(tmp_path / "config.toml", VENDORS)


def test_a_byte_order_mark_is_forgiven(tmp_path: Path, sound_text: str) -> None:
    (tmp_path / "config.toml").write_text(sound_text, "utf-8-sig")
    assert load_config(tmp_path / "config.toml", VENDORS).pipelines[0].name == "venue"


def test_a_relative_database_starts_at_the_configs_folder(tmp_path: Path, sound_text: str) -> None:
    assert load_config(write(tmp_path, sound_text), VENDORS).state_url() == f"sqlite:///{tmp_path}/calrelay.db"


@pytest.mark.parametrize("url", ["sqlite:////var/lib/calrelay/state.db", "postgresql://db.example.com/calrelay"])
def test_other_databases_stay_as_they_are(load: Load, url: str) -> None:
    assert load({"state/url": url}).state_url() == url


def test_the_databases_url_may_stand_elsewhere(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load({"state/url": {"env": "CALRELAY_TEST_DATABASE"}})
    monkeypatch.setenv("CALRELAY_TEST_DATABASE", "postgresql://calrelay:pass@db.example.com/calrelay")
    assert config.state_url().startswith("postgresql://")
    monkeypatch.setenv("CALRELAY_TEST_DATABASE", "mysql://calrelay:pass@db.example.com/calrelay")
    with pytest.raises(ConfigError, match=r"state\.url") as caught:
        config.state_url()
    assert "pass" not in caught.value.message


def test_pipelines_and_accounts_are_found_by_name(load: Load) -> None:
    config = load({})
    assert config.pipeline("venue").source == "venue"
    assert config.account("studio").vendor == "timetap"


def test_an_unknown_pipeline_is_answered_with_those_there_are(load: Load) -> None:
    with pytest.raises(ConfigError, match="no pipeline “main”") as caught:
        load({}).pipeline("main")
    assert "venue" in caught.value.remedy


def test_a_config_without_pipelines_loads_with_a_warning(load: Load, gone: object) -> None:
    """`login` and `check` are needed before the first pipeline is written."""
    assert load({"pipelines": gone}).warnings == ("pipelines: there is none, so nothing is relayed — add [[pipelines]]",)


def test_an_empty_config_loads() -> None:
    assert parse_config("", path=Path("/nowhere/config.toml"), vendors=VENDORS).accounts == {}
