"""A state moves between databases whole, or not at all."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import select

from calrelay.domain.event import SourceId
from calrelay.errors import StateError
from calrelay.ports import DELETED
from calrelay.state.copying import TABLES, copy_state, pipelines_in
from calrelay.state.database import Database, open_database
from calrelay.state.ledger import SqlLedger
from calrelay.state.locks import PipelineLock
from calrelay.state.rows import table_of
from calrelay.state.tables import PaceRow, TurnRow
from calrelay.state.tokens import SqlTokenStore
from tests.fakes.links import HOUR, NOON, a_happening, a_hold, a_link, a_pass
from tests.postgres.databases import Databases
from tests.unit.state.test_tokens import a_pair

Open = Callable[[str], Database]


@pytest.fixture
def opened(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens new databases of a kind."""
    with ExitStack() as stack:

        def open_new(kind: str) -> Database:
            if kind == "postgresql":
                postgres: Databases = request.getfixturevalue("postgres")
                return stack.enter_context(open_database(postgres.make(), tmp_path))
            number = len(list(tmp_path.glob("*.db")))
            return stack.enter_context(open_database(f"sqlite:///state-{number}.db", tmp_path))

        yield open_new


def fill(database: Database) -> None:
    """Remember something in every table, more links than fit into one batch among it."""
    ledger = SqlLedger(database)
    ledger.store([a_link(number, pipeline="venue") for number in range(2500)], [a_happening(n, DELETED) for n in range(3)])
    ledger.store([a_link(1, pipeline="terrace", target="elsewhere")])
    ledger.note_pipeline("venue", is_paused=True, last_read_at=NOON)
    ledger.note_rows("venue", {SourceId("7"): ("c0ffee", "decaf")})
    ledger.save_holds("venue", [a_hold()])
    ledger.note_shown(ledger.holds("venue"), NOON)
    ledger.record_pass(a_pass())
    ledger.save_memo("calendar:reminders:5c1f", "1000030001", NOON)
    SqlTokenStore(database).save("venue", a_pair("1"))
    SqlTokenStore(database).save("venue", a_pair("2"))
    with database.writing() as connection:
        turn = {"pipeline": "venue", "next_at": NOON, "complete_at": NOON, "failures": 1, "refused": "", "config": "0"}
        connection.execute(table_of(TurnRow).insert(), turn)
        connection.execute(table_of(PaceRow).insert(), {"account": "venue", "next_free_at": NOON, "slots": 2})


def everything(database: Database) -> dict[str, list[object]]:
    with database.reading() as connection:
        return {table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr) for table in TABLES}


def empty_columns(database: Database) -> set[str]:
    """Return the columns in which no row has anything."""
    with database.reading() as connection:
        rows = {table: connection.execute(select(table)).mappings().all() for table in TABLES}
    return {column.name for table, found in rows.items() for column in table.columns if all(row[column.name] is None for row in found)}


@pytest.mark.parametrize("kinds", [("sqlite", "postgresql"), ("postgresql", "sqlite"), ("postgresql", "postgresql"), ("sqlite", "sqlite")])
def test_everything_arrives_as_it_was_and_life_goes_on(opened: Open, kinds: tuple[str, str]) -> None:
    source, target = map(opened, kinds)
    fill(source)
    copied = copy_state(source, target)
    assert not [table for table, rows in everything(source).items() if not rows], "an empty table would prove nothing"
    assert everything(target) == everything(source)
    assert {"row_hash", "shown_at"}.isdisjoint(empty_columns(target))
    assert {one.table: one.rows for one in copied}["link"] == 2501
    assert SqlLedger(target).hash_key() == SqlLedger(source).hash_key()
    for database in (source, target):  # numbers go on behind what was copied
        SqlLedger(database).store([], [a_happening(1, "created", at=NOON + HOUR)])
        SqlLedger(database).record_pass(a_pass(counts={"created": 7}))
    assert everything(target) == everything(source)


def test_a_copy_is_not_leased_to_anybody(opened: Open) -> None:
    source, target = opened("postgresql"), opened("postgresql")
    with PipelineLock(source, "venue", command="state copy"):
        copy_state(source, target)
    with PipelineLock(target, "venue", command="run"):
        SqlLedger(target).store([a_link()])
    with target.reading() as connection:
        assert connection.exec_driver_sql("SELECT epoch FROM pipeline WHERE name = 'venue'").scalar() == 2


def test_a_database_with_memories_is_refused_and_left_alone(opened: Open) -> None:
    source, target = opened("sqlite"), opened("sqlite")
    fill(source)
    SqlLedger(target).save_memo("zone:venue", "America/Vancouver", NOON)
    before = everything(target)
    with pytest.raises(StateError, match="is not empty: there is something in its table memo"):
        copy_state(source, target)
    assert everything(target) == before


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_arrives_otherwise_is_not_kept(opened: Open, kind: str) -> None:
    source, target = opened("sqlite"), opened(kind)
    fill(source)
    before = everything(target)
    with target.writing() as connection:
        connection.exec_driver_sql(_MEDDLE[kind])
    with pytest.raises(StateError, match="the table claim did not arrive"):
        copy_state(source, target)
    assert everything(target) == before


_MEDDLE = {
    "sqlite": "CREATE TRIGGER meddle AFTER INSERT ON claim WHEN NEW.generation = 1 BEGIN UPDATE claim SET generation = 9; END",
    "postgresql": (
        "CREATE FUNCTION meddle() RETURNS trigger AS $$ BEGIN NEW.generation := 9; RETURN NEW; END $$ LANGUAGE plpgsql; "
        "CREATE TRIGGER meddle BEFORE INSERT ON claim FOR EACH ROW EXECUTE FUNCTION meddle()"
    ),
}


def test_pipelines_are_known_by_their_record_or_their_links(opened: Open) -> None:
    database = opened("sqlite")
    SqlLedger(database).store([a_link(1, pipeline="venue")])
    SqlLedger(database).note_pipeline("studio")
    assert pipelines_in(database) == ["studio", "venue"]
