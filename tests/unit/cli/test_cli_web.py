"""`calrelay web`: where the page is, and its token."""

from pathlib import Path

import pytest

from calrelay.cli.app import main
from calrelay.config.load import load_config
from calrelay.service.web.page_token import make_token
from calrelay.vendors.registry import VENDORS
from tests.unit.cli.house import Said
from tests.unit.cli.schemas import assert_fits


class Desk:
    """A config, and what is typed."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = folder / "config.toml"
        self.write("")
        self._capsys = capsys

    def write(self, text: str) -> None:
        """Write the config."""
        self.path.write_text(text)
        self.path.chmod(0o600)

    def type(self, *words: str) -> Said:
        """Type `calrelay web`."""
        code = main(["--config", str(self.path), "web", *words])
        out, err = self._capsys.readouterr()
        return Said(code=code, out=out, err=err)


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def a_made_token(desk: Desk) -> str:

    return make_token(load_config(desk.path, VENDORS))


def test_it_tells_where_the_page_and_its_token_are_without_showing_it(desk: Desk) -> None:
    made = a_made_token(desk)
    said = desk.type()
    assert said.code == 0
    assert "http://127.0.0.1:8642/" in said.out
    assert "calrelay.db.web-token" in said.out
    assert made not in said.out + said.err


@pytest.mark.parametrize("listen", ["0.0.0.0:8642", "[::]:8642"])
def test_a_page_on_all_addresses_is_told_by_the_name_of_this_machine(desk: Desk, listen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "venue-machine")
    desk.write(f'[web]\nlisten = "{listen}"\n')
    assert "http://venue-machine:8642/" in desk.type().out
    assert desk.type("--json").document["url"] == "http://venue-machine:8642/"


def test_it_shows_the_token_when_asked(desk: Desk) -> None:
    made = a_made_token(desk)
    assert desk.type("--token").out == f"{made}\n"  # and nothing else: for $(calrelay web --token)
    document = desk.type("--token", "--json").document
    assert_fits(document, "web")
    assert document["token"] == made


def test_before_the_first_start_there_is_none_to_show(desk: Desk) -> None:
    document = desk.type("--json").document
    assert_fits(document, "web")
    assert (document["is_token_made"], "token" in document) == (False, False)
    said = desk.type("--token")
    assert (said.code, "calrelay run" in said.err) == (2, True)


def test_a_page_that_is_switched_off_has_no_address(desk: Desk) -> None:
    desk.write('[web]\nlisten = ""\n')
    assert "switched off" in desk.type().out
    assert desk.type("--json").document["url"] is None


def test_the_configs_token_is_named_by_its_place(desk: Desk) -> None:
    desk.write('[web]\ntoken = "chosen-by-the-operator"\n')
    assert "[web] token of the config" in desk.type().out
    assert "chosen-by-the-operator" not in desk.type().out
    assert "chosen-by-the-operator" in desk.type("--token").out
