"""`calrelay state copy`, as typed."""

import json
from pathlib import Path

import pytest

from calrelay.cli.app import main
from calrelay.errors import ExitCode
from calrelay.state.database import open_database
from calrelay.state.ledger import SqlLedger
from calrelay.state.locks import DaemonLock, PipelineLock
from tests.fakes.links import a_link
from tests.postgres.databases import Databases
from tests.unit.cli.schemas import assert_fits


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder commands are typed in, with a state in it."""
    monkeypatch.chdir(tmp_path)
    with open_database("sqlite:///old.db", tmp_path) as database:
        SqlLedger(database).store([a_link(number) for number in range(3)])
    return tmp_path


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Type a command that is refused; return its exit code and what it says."""
    code = main(["state", "copy", *words, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert_fits(document, "error")
    return code, document["error"]["message"]


def test_a_copy_to_a_server_is_told_without_its_password(
    folder: Path, postgres: Databases, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.make()
    monkeypatch.setenv("STATE_NEW", url.replace("calrelay@", "calrelay:hunter2@"))
    assert main(["state", "copy", "sqlite:///old.db", "env:STATE_NEW", "--json"]) == ExitCode.DONE
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert_fits(document, "state-copy")
    assert document["tables"]["link"]["rows"] == 3
    assert "hunter2" not in out + err
    with open_database(url, folder) as database:
        assert SqlLedger(database).count_live("venue") == 3


def test_without_from_it_is_the_configs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.toml").write_text('[state]\nurl = "sqlite:///old.db"\n')
    (folder / "config.toml").chmod(0o600)
    assert main(["state", "copy", "sqlite:///new.db"]) == ExitCode.DONE
    out, err = capsys.readouterr()
    assert "old.db to " in out
    assert "Start the daemon again" in out
    assert "link: 3 rows" in err


@pytest.mark.parametrize("where", ["old.db", "new.db"])
def test_it_is_refused_while_a_daemon_is_at_work(folder: Path, capsys: pytest.CaptureFixture[str], where: str) -> None:
    with open_database(f"sqlite:///{where}", folder) as database, DaemonLock(database):
        code, message = refusal(capsys, "sqlite:///old.db", "sqlite:///new.db")
    assert code == ExitCode.BUSY
    assert "(calrelay run)" in message


def test_it_is_refused_during_a_pass(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_database("sqlite:///old.db", folder) as database, PipelineLock(database, "venue", command="sync"):
        code, message = refusal(capsys, "sqlite:///old.db", "sqlite:///new.db")
    assert code == ExitCode.BUSY
    assert "(calrelay sync)" in message


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["sqlite:///gone.db", "sqlite:///new.db"], ExitCode.STATE, "there is no state database"),
        (["sqlite:///old.db", "sqlite:///old.db"], ExitCode.CONFIG, "FROM and TO are the same database"),
        (["sqlite:///old.db", "env:NOT_SET"], ExitCode.CONFIG, "NOT_SET is not set"),
        (["sqlite:///old.db", "mysql://ops:hunter2@localhost/x"], ExitCode.CONFIG, "no database this release can use"),
        (["a", "b", "c"], ExitCode.CONFIG, "takes two databases"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_copied_is_refused(capsys: pytest.CaptureFixture[str], words: list[str], code: int, says: str) -> None:
    said = refusal(capsys, *words)
    assert said[0] == code
    assert says in said[1]
    assert "hunter2" not in said[1]


@pytest.mark.usefixtures("folder")
def test_an_address_that_leads_nowhere_is_called_by_where_it_was_found(
    postgres: Databases, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_NEW", postgres.url("nowhere"))
    assert main(["state", "copy", "sqlite:///old.db", "env:STATE_NEW"]) == ExitCode.STATE
    said = capsys.readouterr().err
    assert "correct the name at the end of the variable STATE_NEW" in said
    assert "[state]" not in said
