"""Opening the state database, and what is said when it cannot be."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from calrelay.errors import ExitCode, StateError
from calrelay.state.database import Access, Database, open_database
from calrelay.state.ledger import SqlLedger
from tests.fakes.links import NOON, a_link

URL = "sqlite:///calrelay.db"
SOON = timedelta(milliseconds=50)


def _write_half(connection: Connection) -> None:
    connection.exec_driver_sql("INSERT INTO meta VALUES ('half', 'done')")
    raise RuntimeError


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def files_in(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def pragma(database: Database, name: str) -> object:
    with database.reading() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_relative_path_starts_at_the_configs_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with open_database("sqlite:///sub/state.db", tmp_path) as database:
        assert database.path == tmp_path / "sub" / "state.db"


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    with open_database(f"sqlite:///{tmp_path}/state.db", Path("/")) as database:
        assert database.path == tmp_path / "state.db"


@pytest.mark.usefixtures("open_umask")
def test_the_database_and_its_journals_are_for_their_owner_alone(tmp_path: Path) -> None:
    with open_database(URL, tmp_path) as database:
        SqlLedger(database).store([a_link()])
        modes = {path.name: mode_of(path) for path in tmp_path.iterdir()}
    assert modes == {"calrelay.db": 0o600, "calrelay.db-wal": 0o600, "calrelay.db-shm": 0o600}


def test_a_database_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    open_database(URL, tmp_path).close()
    (tmp_path / "calrelay.db").chmod(0o644)
    open_database(URL, tmp_path).close()
    assert mode_of(tmp_path / "calrelay.db") == 0o600


def test_commits_survive_a_power_cut(database: Database) -> None:
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == 2  # FULL
    assert pragma(database, "foreign_keys") == 1


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.writing() as connection:
        _write_half(connection)
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM meta WHERE key = 'half'").scalar() == 0


def test_what_is_stored_is_there_after_opening_again(tmp_path: Path) -> None:
    with open_database(URL, tmp_path) as database:
        SqlLedger(database).store([a_link()])
        key = SqlLedger(database).hash_key()
    with open_database(URL, tmp_path) as database:
        assert list(SqlLedger(database).all_links("venue")) == [a_link()]
        assert SqlLedger(database).hash_key() == key


def test_two_installations_have_different_keys(tmp_path: Path) -> None:
    with open_database("sqlite:///a.db", tmp_path) as one, open_database("sqlite:///b.db", tmp_path) as other:
        assert SqlLedger(one).hash_key() != SqlLedger(other).hash_key()


# --- reading only ---


def test_reading_where_there_is_no_database_creates_none(tmp_path: Path) -> None:
    with open_database(URL, tmp_path, access=Access.READ) as database:
        assert SqlLedger(database).count_live("venue") == 0
        assert database.is_private
    assert list(tmp_path.iterdir()) == []


def test_reading_where_there_is_no_folder_works_too(tmp_path: Path) -> None:
    with open_database("sqlite:///nowhere/calrelay.db", tmp_path, access=Access.READ) as database:
        assert SqlLedger(database).holds() == []


def test_reading_leaves_every_byte_as_it_was(tmp_path: Path) -> None:
    with open_database(URL, tmp_path) as database:
        SqlLedger(database).store([a_link()])
    before = files_in(tmp_path)
    with open_database(URL, tmp_path, access=Access.READ) as database:
        assert list(SqlLedger(database).all_links("venue")) == [a_link()]
    assert files_in(tmp_path) == before


def test_a_reader_sees_a_running_daemons_commits_and_needs_no_lock(tmp_path: Path) -> None:
    with open_database(URL, tmp_path) as daemon, open_database(URL, tmp_path, access=Access.READ) as reader:
        SqlLedger(daemon).store([a_link()])
        with daemon.writing():
            assert SqlLedger(reader).count_live("venue") == 1


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    open_database(URL, tmp_path).close()
    with open_database(URL, tmp_path, access=Access.READ) as database, pytest.raises(StateError, match="reading only"):
        SqlLedger(database).store([a_link()])


def test_a_reader_cannot_write_past_the_ledger_either(tmp_path: Path) -> None:
    open_database(URL, tmp_path).close()
    with open_database(URL, tmp_path, access=Access.READ) as database:
        with pytest.raises(StateError, match="cannot be written"), database.reading() as connection:
            connection.exec_driver_sql("DELETE FROM meta")
        assert len(SqlLedger(database).hash_key()) == 32


# --- what goes wrong ---


def refusal(url: str, folder: Path, *, access: Access = Access.WRITE) -> StateError:
    with pytest.raises(StateError) as caught:
        open_database(url, folder, access=access, patience=SOON)
    assert caught.value.exit_code == ExitCode.STATE
    assert caught.value.remedy
    return caught.value


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    error = refusal("sqlite:///nowhere/calrelay.db", tmp_path)
    assert f"{tmp_path}/nowhere" in error.message
    assert error.remedy == f"mkdir -p {tmp_path}/nowhere"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "cannot be written" in refusal(URL, tmp_path).message


def test_a_folder_in_the_databases_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "calrelay.db").mkdir()
    assert "is not a file" in refusal(URL, tmp_path).message


@pytest.mark.parametrize("access", Access)
def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path, access: Access) -> None:
    text = b"this is no database. " * 500
    (tmp_path / "calrelay.db").write_bytes(text)
    assert "is not a database of calrelay's" in refusal(URL, tmp_path, access=access).message
    assert (tmp_path / "calrelay.db").read_bytes() == text


@pytest.mark.parametrize("access", Access)
def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path, access: Access) -> None:
    with sqlite3.connect(tmp_path / "calrelay.db") as other:
        other.execute("CREATE TABLE theirs (id INTEGER)")
    other.close()
    assert "belongs to another program" in refusal(URL, tmp_path, access=access).message
    with sqlite3.connect(tmp_path / "calrelay.db") as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    other.close()


def test_damage_is_found_when_a_database_is_opened(tmp_path: Path) -> None:
    with open_database(URL, tmp_path) as database:
        SqlLedger(database).store(a_link(number) for number in range(500))
    path = tmp_path / "calrelay.db"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = os.urandom(20_000)
    path.write_bytes(content)
    error = refusal(URL, tmp_path)
    assert "is damaged" in error.message
    assert "calrelay adopt" in error.remedy


def test_a_database_cut_short_is_found_when_it_is_opened(tmp_path: Path) -> None:
    with open_database(URL, tmp_path) as database:
        SqlLedger(database).store(a_link(number) for number in range(500))
    path = tmp_path / "calrelay.db"
    os.truncate(path, path.stat().st_size // 2)
    assert "is damaged" in refusal(URL, tmp_path).message


def test_a_full_disk_is_said_and_what_was_recorded_is_kept(database: Database) -> None:
    ledger = SqlLedger(database)
    ledger.store([a_link()])
    with database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StateError, match="does not fit on its disk"):
        ledger.store(a_link(number) for number in range(5000))
    assert list(ledger.all_links("venue")) == [a_link()]


def test_a_database_locked_for_too_long_is_said(tmp_path: Path) -> None:
    open_database(URL, tmp_path).close()
    with open_database(URL, tmp_path) as holder, open_database(URL, tmp_path, patience=SOON) as other:
        with holder.writing(), pytest.raises(StateError, match="locked by another process"):
            SqlLedger(other).store([a_link()])
        SqlLedger(other).store([a_link()])


def test_values_nobody_wrote_are_not_trusted(database: Database) -> None:
    ledger = SqlLedger(database)
    ledger.store([a_link()])
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE link SET state = 'dreaming'")
    with pytest.raises(StateError, match="cannot read"):
        ledger.links("venue", [a_link().source_id])


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://localhost/calrelay", "cannot keep its state in mysql"),
        ("calrelay.db", "is not a database's address"),
        ("sqlite://", "would forget everything"),
        ("sqlite:///:memory:", "would forget everything"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(tmp_path: Path, url: str, says: str) -> None:
    assert says in refusal(url, tmp_path).message


def test_a_missing_postgresql_driver_is_told_with_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    error = refusal("postgresql://calrelay:hunter2@db.example.com/calrelay", tmp_path)
    assert "requirements/cluster.txt" in error.remedy
    assert "hunter2" not in error.message


def test_an_unusable_address_is_not_repeated(tmp_path: Path) -> None:
    """It may hold a password."""
    error = refusal("postgresql//calrelay:hunter2@db.example.com", tmp_path)
    assert "hunter2" not in error.message + error.remedy


# --- several processes, and sudden ends ---

MID_TRANSACTION = """
import os, signal, sys
from pathlib import Path
from calrelay.state.database import open_database
from calrelay.state.ledger import SqlLedger
from tests.fakes.links import a_link

database = open_database("sqlite:///calrelay.db", Path(sys.argv[1]))
SqlLedger(database).store([a_link(1)])
with database.writing() as connection:
    connection.exec_driver_sql("UPDATE link SET state = 'sending'")
    os.kill(os.getpid(), signal.SIGKILL)
"""
OPEN_AND_STORE = """
import sys
from pathlib import Path
from calrelay.state.database import open_database
from calrelay.state.ledger import SqlLedger
from tests.fakes.links import a_link

with open_database("sqlite:///calrelay.db", Path(sys.argv[1])) as database:
    SqlLedger(database).store([a_link(int(sys.argv[2]))])
"""


def start(script: str, *arguments: object) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], env=environment, stderr=subprocess.PIPE)


def test_a_process_killed_in_mid_transaction_leaves_a_usable_database(tmp_path: Path) -> None:
    assert start(MID_TRANSACTION, tmp_path).wait() == -9
    with open_database(URL, tmp_path, patience=SOON) as database:
        database.check_integrity()
        ledger = SqlLedger(database)
        assert list(ledger.all_links("venue")) == [a_link(1)]
        ledger.store([a_link(2)])


def test_processes_that_open_a_new_database_together_all_get_it(tmp_path: Path) -> None:
    processes = [start(OPEN_AND_STORE, tmp_path, number) for number in range(4)]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
    with open_database(URL, tmp_path) as database:
        assert len(list(SqlLedger(database).all_links("venue"))) == 4
        with database.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM calrelay_schema").scalar() == 1


def test_a_memo_noted_by_one_process_is_seen_by_another(tmp_path: Path) -> None:
    with open_database(URL, tmp_path) as one, open_database(URL, tmp_path) as other:
        SqlLedger(one).save_memo("zone:venue", "America/Vancouver", NOON)
        assert SqlLedger(other).memo("zone:venue") == ("America/Vancouver", NOON)
