"""Where the page's token is, and how it is made."""

import errno
import os
import stat
from pathlib import Path

import pytest

from calrelay.config.load import Config, load_config
from calrelay.errors import ConfigError, ExitCode, StateError
from calrelay.log import scrub
from calrelay.service.web.page_token import find_token, make_token, token_file, token_place
from calrelay.vendors.registry import VENDORS


def a_config(folder: Path, text: str = "") -> Config:
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return load_config(path, VENDORS)


def test_it_is_made_once_beside_the_database_for_its_owner_alone(tmp_path: Path) -> None:
    config = a_config(tmp_path)
    assert find_token(config) is None
    made = make_token(config)
    path = tmp_path / "calrelay.db.web-token"
    assert token_file(config) == path
    assert token_place(config) == str(path)
    assert path.read_text().strip() == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(made) >= 40
    assert make_token(config) == find_token(config) == made
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["calrelay.db.web-token", "config.toml"]


def test_two_installations_have_two_tokens(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert make_token(a_config(tmp_path / "a")) != make_token(a_config(tmp_path / "b"))


def test_beside_the_config_where_the_database_is_a_server(tmp_path: Path) -> None:
    config = a_config(tmp_path, '[state]\nurl = "postgresql://calrelay@db.example.com/calrelay"\n')
    assert token_file(config) == tmp_path / "config.toml.web-token"


def test_the_configs_own_token_is_used_and_no_file_is_made(tmp_path: Path) -> None:
    config = a_config(tmp_path, '[web]\ntoken = "chosen-by-the-operator"\n')
    assert make_token(config) == "chosen-by-the-operator"
    assert token_place(config) == "[web] token of the config"
    assert not token_file(config).exists()


def test_no_log_line_shows_it(tmp_path: Path) -> None:
    made = make_token(a_config(tmp_path))
    assert made not in scrub(f"somebody sent {made} today")


def test_a_short_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fewer than 16 characters") as caught:
        make_token(a_config(tmp_path, '[web]\ntoken = "secret"\n'))
    assert "secret" not in caught.value.message
    assert "openssl" in caught.value.remedy


def test_a_file_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    config = a_config(tmp_path)
    make_token(config)
    token_file(config).chmod(0o644)
    find_token(config)
    assert stat.S_IMODE(token_file(config).stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    config = a_config(tmp_path)
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be kept in"):
        make_token(config)


def test_a_place_that_cannot_hold_it_says_what_to_do(tmp_path: Path) -> None:
    config = a_config(tmp_path)
    token_file(config).mkdir()
    with pytest.raises(ConfigError) as caught:
        make_token(config)
    assert "under [web]" in caught.value.remedy


def test_a_full_disk_is_trouble_of_the_state_and_leaves_no_half_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    config = a_config(tmp_path)
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StateError, match="No space left on device") as caught:
        make_token(config)
    assert (caught.value.exit_code, [path.name for path in tmp_path.iterdir()]) == (ExitCode.STATE, ["config.toml"])
