from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from calrelay.config.secrets import Identifier, Kind, Secret, SecretRef
from calrelay.errors import ConfigError

SECRET: TypeAdapter[SecretRef] = TypeAdapter(Secret)
IDENTIFIER: TypeAdapter[SecretRef] = TypeAdapter(Identifier)
WHERE = "accounts.venue.client_secret"


def ref(kind: Kind, value: str) -> SecretRef:
    return SecretRef(kind=kind, value=value, where=WHERE)


def test_a_text_is_the_secret_itself(tmp_path: Path) -> None:
    secret = SECRET.validate_python("hunter2")
    assert secret.is_literal
    assert secret.resolve(tmp_path) == "hunter2"


def test_a_secret_shows_itself_nowhere() -> None:
    secret = SECRET.validate_python("hunter2")
    assert "hunter2" not in repr(secret) + str(secret) + str(SECRET.dump_python(secret)) + f"{[secret]}"


def test_a_place_is_shown_because_it_helps() -> None:
    assert "MY_VARIABLE" in repr(SECRET.validate_python({"env": "MY_VARIABLE"}))


def test_a_variable_is_read_when_asked_for_and_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = SECRET.validate_python({"env": "CALRELAY_TEST_SECRET"})
    monkeypatch.setenv("CALRELAY_TEST_SECRET", "from the environment")
    assert secret.resolve(tmp_path) == "from the environment"


def test_a_missing_variable_is_named_with_its_path_in_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALRELAY_TEST_SECRET", raising=False)
    with pytest.raises(ConfigError) as caught:
        ref(Kind.ENV, "CALRELAY_TEST_SECRET").resolve(tmp_path)
    assert caught.value.problems == (
        f"{WHERE}: the environment variable CALRELAY_TEST_SECRET is not set — set CALRELAY_TEST_SECRET, or name another place in {WHERE}",
    )


def test_a_relative_file_starts_at_the_configs_folder(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    assert ref(Kind.FILE, "key").resolve(tmp_path) == "from a file"


def test_an_absolute_file_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\r\n")
    assert ref(Kind.FILE, str(tmp_path / "key")).resolve(Path("/elsewhere")) == "from a file"


def test_only_the_line_end_is_stripped(tmp_path: Path) -> None:
    """A blank may be part of a password; the newline is the editor's."""
    (tmp_path / "key").write_text(" a b \n\n")
    assert ref(Kind.FILE, "key").resolve(tmp_path) == " a b "


@pytest.mark.parametrize("content", [b"", b"\n", b"  \n", b"\xff\xfe\x00", b"x" * 70_000])
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match=r"accounts\.venue\.client_secret: the file key"):
        ref(Kind.FILE, "key").resolve(tmp_path)


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        ref(Kind.FILE, name).resolve(tmp_path)


def test_an_empty_variable_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALRELAY_TEST_SECRET", "")
    with pytest.raises(ConfigError, match="is empty"):
        ref(Kind.ENV, "CALRELAY_TEST_SECRET").resolve(tmp_path)


def test_a_credential_is_read_from_systemds_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apptoto").write_text("from systemd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert ref(Kind.CREDENTIAL, "apptoto").resolve(Path("/elsewhere")) == "from systemd"


def test_a_credential_outside_systemd_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError) as caught:
        ref(Kind.CREDENTIAL, "apptoto").resolve(tmp_path)
    assert "LoadCredential=apptoto:PATH" in caught.value.remedy


@pytest.mark.parametrize(
    "value",
    ["", "  ", 5, None, [], {}, {"env": ""}, {"env": 5}, {"env": "A", "file": "b"}, {"vault": "x"}, {"credential": "../etc/passwd"}],
)
def test_what_names_no_secret_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        SECRET.validate_python(value)


def test_an_identifier_is_no_secret_and_may_be_a_number() -> None:
    """TimeTap's API key is a number that people write without quotes."""
    found = IDENTIFIER.validate_python(340000)
    assert not found.is_literal
    assert found.value == "340000"
