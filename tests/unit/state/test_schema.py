"""The tables a program makes, the tables its migrations make, and how it tells old from new."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event, select, text

import calrelay.state.schema as schema_module
from calrelay.domain.link import State
from calrelay.errors import Busy, StateError
from calrelay.ports import TokenPair
from calrelay.state.database import Access, Database, open_database
from calrelay.state.ledger import SqlLedger
from calrelay.state.locks import DaemonLock
from calrelay.state.opening import open_state
from calrelay.state.schema import REVISIONS, STAMP
from calrelay.state.tables import HEAD, Table
from calrelay.state.upgrade import config_for, upgrade
from tests.fakes.links import NOON, a_link

URL = "sqlite:///calrelay.db"


def definitions(connection: Connection) -> dict[str, str]:
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    return {name: " ".join(sql.replace('"', "").split()) for name, sql in rows}


def stamp(path: Path, revision: str) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(STAMP.update().values(version_num=revision))
    engine.dispose()


@pytest.fixture
def migrated() -> Iterator[Connection]:
    """An empty database that all migrations went over."""
    with create_engine("sqlite://").connect() as connection:
        upgrade(connection)
        yield connection


def test_the_constants_name_the_revisions_that_exist(migrated: Connection) -> None:
    scripts = ScriptDirectory.from_config(config_for(migrated))
    assert scripts.get_current_head() == HEAD
    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == REVISIONS


def test_migrations_lead_to_the_tables_of_the_program(migrated: Connection) -> None:
    context = MigrationContext.configure(migrated, opts={"version_table": STAMP.name, "compare_server_default": True})
    assert compare_metadata(context, Table.metadata) == []


def test_a_new_database_is_what_migrations_would_have_made(migrated: Connection, database: Database) -> None:
    """So that a first start need not load alembic."""
    with database.reading() as connection:
        assert definitions(connection) == definitions(migrated)


def test_opening_loads_alembic_only_for_a_database_that_is_behind(tmp_path: Path) -> None:
    script = """
import json, sys
from pathlib import Path
from calrelay.state.database import open_database
open_database("sqlite:///calrelay.db", Path(sys.argv[1])).close()
open_database("sqlite:///calrelay.db", Path(sys.argv[1])).close()
print(json.dumps("alembic" in sys.modules))
"""
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
    )
    assert json.loads(run.stdout) is False


def test_a_newer_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    open_database(URL, tmp_path).close()
    stamp(tmp_path / "calrelay.db", "9999")
    for access in Access:
        with pytest.raises(StateError, match=r"newer calrelay \(its schema is 9999") as caught:
            open_database(URL, tmp_path, access=access)
        assert "restore the backup" in caught.value.remedy


@pytest.fixture
def one_revision_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that a revision 0000 came before, so that a database may be behind."""
    monkeypatch.setattr(schema_module, "REVISIONS", ("0000", *REVISIONS))


@pytest.mark.usefixtures("one_revision_more")
def test_an_older_database_is_not_migrated_by_reading(tmp_path: Path) -> None:
    open_database(URL, tmp_path).close()
    stamp(tmp_path / "calrelay.db", "0000")
    with pytest.raises(StateError, match="older calrelay, and this command only reads") as caught:
        open_database(URL, tmp_path, access=Access.READ)
    assert "backup" in caught.value.remedy


@pytest.mark.usefixtures("one_revision_more")
def test_an_older_database_is_brought_up_to_date_and_keeps_its_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_database(URL, tmp_path) as database:
        SqlLedger(database).store([a_link()])
    stamp(tmp_path / "calrelay.db", "0000")
    monkeypatch.setattr("calrelay.state.upgrade.upgrade", lambda connection: connection.execute(STAMP.update().values(version_num=HEAD)))
    with open_database(URL, tmp_path) as database:
        assert list(SqlLedger(database).all_links("venue")) == [a_link()]
        with database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


@pytest.mark.usefixtures("one_revision_more")
def test_nothing_is_migrated_under_a_running_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon of the older release could not start again."""
    monkeypatch.setattr("calrelay.state.upgrade.upgrade", lambda connection: connection.execute(STAMP.update().values(version_num=HEAD)))
    with open_database(URL, tmp_path) as database:
        with DaemonLock(database):
            stamp(tmp_path / "calrelay.db", "0000")
            with (
                pytest.raises(Busy, match=r"in use by an older release of calrelay: process \d+ \(calrelay run\)") as caught,
                open_state(URL, tmp_path),
            ):
                pass
            assert "restart the daemon" in caught.value.remedy
            with database.reading() as connection:
                assert connection.scalar(select(STAMP.c.version_num)) == "0000"
        with open_state(URL, tmp_path), database.reading() as connection:
            assert connection.scalar(select(STAMP.c.version_num)) == HEAD


def test_a_state_opened_for_reading_is_read_through_once_and_keeps_tokens_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_database(URL, tmp_path):
        checked: list[Access] = []
        monkeypatch.setattr(Database, "check_integrity", lambda database: checked.append(database.access))
    with open_state(URL, tmp_path, Access.READ) as state:
        state.tokens.save("venue", TokenPair(access_token="a", refresh_token=None, expires_at=NOON))
        assert state.tokens.load("venue") is not None
    assert checked == [Access.READ]


@pytest.mark.usefixtures("one_revision_more")
def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_database(URL, tmp_path) as database, database.reading() as connection:
        before = definitions(connection)
    stamp(tmp_path / "calrelay.db", "0000")

    def fail(connection: Connection) -> None:
        connection.exec_driver_sql("DROP TABLE link")
        raise RuntimeError

    monkeypatch.setattr("calrelay.state.upgrade.upgrade", fail)
    with pytest.raises(RuntimeError):
        open_database(URL, tmp_path)
    engine = create_engine(f"sqlite:///{tmp_path}/calrelay.db")
    with engine.connect() as connection:
        assert definitions(connection) == before
    engine.dispose()


def test_migrations_stay_inside_the_transaction_they_are_given(database: Database) -> None:
    """Alembic commits nothing by itself, so that a crash in mid-migration leaves the old tables."""
    with database.reading() as connection:
        before = definitions(connection)
    with pytest.raises(RuntimeError), database.writing() as connection:
        _migrate_half(connection)
    with database.reading() as connection:
        assert definitions(connection) == before


def _migrate_half(connection: Connection) -> None:
    Table.metadata.drop_all(connection)
    STAMP.drop(connection)
    upgrade(connection)
    connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
    raise RuntimeError


def test_migrations_are_shipped_with_the_package() -> None:
    folder = Path(schema_module.__file__).parent / "migrations"
    assert (folder / "env.py").is_file()
    assert list((folder / "versions").glob("v*.py"))


def test_links_are_found_by_an_index_whatever_is_asked(database: Database) -> None:
    """A million links are cheap only as long as no question reads them all."""
    questions = {
        "links in states": "SELECT * FROM link WHERE pipeline = 'p' AND state IN ('ready', 'held') ORDER BY starts_at",
        "live links": "SELECT source_id FROM link WHERE pipeline = 'p' AND accepted_end > '2026' ORDER BY accepted_start",
        "count of live links": "SELECT count(*) FROM link WHERE pipeline = 'p' AND accepted_end IS NOT NULL",
        "count by state": "SELECT state, count(*) FROM link WHERE pipeline = 'p' GROUP BY state",
        "by external id": "SELECT * FROM link WHERE base_id IN ('ts-1')",
        "deletes": "SELECT count(*) FROM history WHERE pipeline = 'p' AND what = 'deleted' AND at > '2026'",
    }
    with database.reading() as connection:
        plans = {name: str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}").all()) for name, sql in questions.items()}
    assert not [name for name, steps in plans.items() if "SCAN" in steps or "INDEX ix_" not in steps]


def test_what_every_pass_asks_is_answered_by_an_index_where_all_links_are_alike(database: Database) -> None:
    """SQLite's statistics then say that a state is shared by all, and a question without an order would read every link."""
    ledger = SqlLedger(database)
    ledger.store(a_link(number) for number in range(2000))
    with database.writing() as connection:
        connection.exec_driver_sql("ANALYZE")
    asked: list[tuple[str, Any]] = []
    event.listen(database._engine, "before_cursor_execute", lambda *args: asked.append((args[2], args[3])))
    ledger.live_targets("venue", ending_after=NOON)
    list(ledger.links_in("venue", {State.SENDING}))
    questions = [(sql, values) for sql, values in asked if sql.startswith("SELECT")]
    assert len(questions) >= 3, questions
    with database.reading() as connection:
        plans = [str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()) for sql, values in questions]
    assert not [plan for plan in plans if "SCAN" in plan]
