"""PostgreSQL as a state database: opening it, sharing it, and what is said when it cannot be used."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from sqlalchemy import Connection, create_engine, make_url

from calrelay.errors import ExitCode, StateError
from calrelay.state import server, server_failures
from calrelay.state.database import Access, Database, open_database
from calrelay.state.ledger import SqlLedger
from calrelay.state.locks import PipelineLock
from calrelay.state.server import words_for
from calrelay.state.upgrade import upgrade
from tests.fakes.links import NOON, a_happening, a_link, a_pass
from tests.postgres.databases import Databases, own_server

OPEN_AND_STORE = """
import sys
from pathlib import Path
from calrelay.state.database import open_database
from calrelay.state.ledger import SqlLedger
from tests.fakes.links import a_link

with open_database(sys.argv[1], Path("/")) as database:
    SqlLedger(database).store([a_link(int(sys.argv[2]))])
"""
HERE = Path("/")


@pytest.fixture
def url(postgres: Databases) -> str:
    """An empty database."""
    return postgres.make()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with open_database(url, HERE) as database:
        yield database


@pytest.fixture(scope="module")
def own() -> Iterator[Databases]:
    """A server to be stopped and started."""
    with own_server() as databases:
        yield databases


def refusal(url: str) -> StateError:
    with pytest.raises(StateError) as caught:
        open_database(url, HERE)
    assert caught.value.exit_code == ExitCode.STATE
    assert caught.value.remedy
    return caught.value


def test_what_is_stored_is_there_after_opening_again(url: str) -> None:
    with open_database(url, HERE) as database:
        SqlLedger(database).store([a_link()])
        key = SqlLedger(database).hash_key()
    with open_database(url, HERE) as database:
        assert list(SqlLedger(database).all_links("venue")) == [a_link()]
        assert SqlLedger(database).hash_key() == key


def test_processes_that_open_a_new_database_together_all_get_it(url: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", OPEN_AND_STORE, url, str(number)], env=environment, stderr=subprocess.PIPE)
        for number in range(4)
    ]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
    with open_database(url, HERE) as database:
        assert len(list(SqlLedger(database).all_links("venue"))) == 4
        with database.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM calrelay_schema").scalar() == 1


def test_reading_where_there_are_no_tables_makes_none(url: str) -> None:
    with open_database(url, HERE, access=Access.READ) as database:
        assert SqlLedger(database).count_live("venue") == 0
        assert database.is_private


def test_a_reader_cannot_write_past_the_ledger_either(database: Database, url: str) -> None:
    SqlLedger(database).store([a_link()])
    with open_database(url, HERE, access=Access.READ) as reader:
        assert list(SqlLedger(reader).all_links("venue")) == [a_link()]
        with pytest.raises(StateError, match="only lets itself be read"), reader.reading() as connection:
            connection.exec_driver_sql("DELETE FROM link")
    assert list(SqlLedger(database).all_links("venue")) == [a_link()]


def test_a_reader_sees_one_moments_state(database: Database, url: str) -> None:
    with open_database(url, HERE) as other, database.reading() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM link").scalar()
        SqlLedger(other).store([a_link()])
        assert connection.exec_driver_sql("SELECT count(*) FROM link").scalar() == before


def test_any_number_of_ids_may_be_asked_for_and_stored(database: Database) -> None:
    links = [a_link(number) for number in range(5000)]
    ledger = SqlLedger(database)
    ledger.store(links)
    assert len(ledger.links("venue", [link.source_id for link in links])) == 5000


def test_a_pipeline_locked_for_too_long_is_said(database: Database, url: str) -> None:
    SqlLedger(database).store([a_link()])
    with PipelineLock(database, "venue", command="sync"):
        pass
    with (
        open_database(url, HERE, patience=timedelta(milliseconds=50)) as other,
        database.writing("venue"),
        pytest.raises(StateError, match="is locked by another process"),
    ):
        SqlLedger(other).store([a_link()])


def test_tables_of_another_program_are_refused(database: Database, url: str) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE calrelay_schema")
    assert "belongs to another program" in refusal(url).message


def test_tables_of_others_beside_ours_are_left_alone(url: str) -> None:
    with open_database(url, HERE) as database, database.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE guests (id INTEGER)")
    with open_database(url, HERE) as database:
        SqlLedger(database).save_memo("zone:venue", "America/Vancouver", NOON)


def test_migrations_make_what_a_new_database_has(postgres: Databases, url: str, database: Database) -> None:
    def definitions(connection: Connection) -> list[object]:
        columns = (
            "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
            "WHERE table_schema = 'public' ORDER BY 1, 2"
        )
        indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
        constraints = (
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid <> 0 ORDER BY 1, 2"
        )
        sequences = "SELECT sequencename, data_type::text, max_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
        return [tuple(row) for query in (columns, indexes, constraints, sequences) for row in connection.exec_driver_sql(query)]

    with database.reading() as connection:
        made = definitions(connection)
    engine = create_engine(make_url(postgres.make()).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        upgrade(connection)
        migrated = definitions(connection)
    engine.dispose()
    assert migrated == made


def test_passes_and_history_are_numbered_beyond_what_an_integer_holds(database: Database) -> None:
    """A hundred thousand pipelines make so many passes in two months."""
    with database.writing() as connection:
        for table in ("pass", "history"):
            connection.exec_driver_sql(f"SELECT setval('{table}_id_seq', 2147483647)")
    SqlLedger(database).record_pass(a_pass())
    SqlLedger(database).store([], [a_happening(1, "created")])
    assert [one.pipeline for one in SqlLedger(database).passes(a_pass().pipeline)] == [a_pass().pipeline]


# --- what goes wrong ---


def test_a_server_that_is_gone_is_said_and_the_work_goes_on_when_it_is_back(own: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "RESTED", 0.0)
    with open_database(own.make(), HERE) as database:
        ledger = SqlLedger(database)
        ledger.store([a_link(1)])
        own.server.stop()
        with pytest.raises(StateError, match="cannot be reached") as caught:
            ledger.store([a_link(2)])
        assert "is it running" in caught.value.remedy
        own.server.start()
        ledger.store([a_link(3)])
        assert [link.source_id for link in ledger.all_links("venue")] == [a_link(1).source_id, a_link(3).source_id]


def test_a_connection_at_work_is_not_asked_whether_its_server_is_there_and_a_rested_one_is(
    own: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_database(own.make(), HERE) as database:
        pings = Mock(wraps=database._engine.dialect.do_ping)
        monkeypatch.setattr(database._engine.dialect, "do_ping", pings)
        monkeypatch.setattr(server, "RESTED", 3600.0)
        for _ in range(3):
            assert database.schema_name()
        assert pings.call_count == 0
        monkeypatch.setattr(server, "RESTED", 0.0)
        assert database.schema_name()
        assert pings.call_count == 1


def test_a_restart_between_two_transactions_is_not_noticed(own: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "RESTED", 0.0)
    with open_database(own.make(), HERE) as database, PipelineLock(database, "venue", command="sync"):
        SqlLedger(database).store([a_link(1)])
        own.server.stop()
        own.server.start()
        SqlLedger(database).store([a_link(2)])
        assert SqlLedger(database).count_live("venue") == 2


def test_a_restart_in_mid_transaction_leaves_nothing_of_it(own: Databases) -> None:
    def write_half(database: Database) -> None:
        with database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO meta VALUES ('half', 'done')")
            own.server.stop()
            own.server.start()
            connection.exec_driver_sql("INSERT INTO meta VALUES ('other half', 'done')")

    with open_database(own.make(), HERE) as database:
        with pytest.raises(StateError, match=r"was shut down, or is starting|broke off the connection"):
            write_half(database)
        with database.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM meta WHERE key LIKE '%%half'").scalar() == 0


def test_a_database_that_does_not_exist_is_named(postgres: Databases) -> None:
    error = refusal(postgres.url("nowhere"))
    assert "/nowhere" in error.message
    assert "does not exist on its server (OperationalError)" in error.message
    assert "createdb" in error.remedy


def test_an_unknown_user_is_said_without_the_password(postgres: Databases) -> None:
    error = refusal(postgres.url("postgres").replace("calrelay@", "stranger:hunter2@"))
    assert "refuses this user or password" in error.message
    assert "hunter2" not in error.message + error.remedy


def test_a_users_missing_schema_is_said_with_the_statement_that_makes_it(postgres: Databases) -> None:
    error = refusal(f"{postgres.make()}&options=-c%20search_path%3Dcalrelay")
    assert "has no schema for this user's tables (InvalidSchemaName 3F000)" in error.message
    assert "CREATE SCHEMA calrelay AUTHORIZATION calrelay" in error.remedy


def test_a_users_limit_of_connections_is_not_taken_for_a_wrong_password(own: Databases) -> None:
    url = own.make()
    with open_database(url, HERE) as database, database.writing() as connection:
        connection.exec_driver_sql("CREATE ROLE few LOGIN CONNECTION LIMIT 0")
    error = refusal(url.replace("calrelay@", "few@"))
    assert "has no connection left for us" in error.message
    assert "CONNECTION LIMIT" in error.remedy


def test_a_server_that_is_not_there_is_said() -> None:
    assert "cannot be reached" in refusal("postgresql://calrelay@127.0.0.1:1/calrelay").message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ops:hunter2@db.example.com:5433/calrelay", "postgresql://ops@db.example.com:5433/calrelay"),
        ("postgresql://db.example.com/calrelay?password=hunter2&sslmode=require", "postgresql://db.example.com/calrelay"),
        ("postgresql:///calrelay?host=/run/postgresql", "postgresql:///calrelay?host=/run/postgresql"),
        ("postgresql://ops:hunt@er/2@db.example.com/calrelay", "postgresql://…"),
        ("postgresql://ops:hunt@er2@db.example.com/calrelay", "postgresql://…"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert words_for(make_url(url)) == shown


@pytest.mark.parametrize(
    ("code", "said", "what"),
    [
        ("28P01", None, "refuses this user or password"),
        ("57P01", None, "was shut down, or is starting"),
        ("40P01", None, "had to break off a transaction that got in another's way"),
        ("53300", None, "has no connection left for us"),
        ("53200", None, "has run out of memory or other means"),
        ("25P03", None, "ended a transaction that stood still for too long"),
        ("99999", None, "does not answer as it should"),
        (None, None, "does not answer as it should"),
        (None, "FATAL: the database system is starting up", "was shut down, or is starting"),
        (None, 'FATAL: too many connections for role "calrelay"', "has no connection left for us"),
        (None, 'FATAL: too many connections for database "calrelay"', "has no connection left for us"),
        (None, "FATAL: sorry, too many clients already", "has no connection left for us"),
        ("3F000", None, "has no schema for this user's tables"),
        (None, "Connection refused", "cannot be reached, or broke off the connection"),
    ],
)
def test_each_failure_has_its_words(code: str | None, said: str | None, what: str) -> None:
    assert server_failures.words_for(code, said).what == what
