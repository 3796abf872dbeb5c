"""Copies a whole state into another database: everything or nothing, compared row by row before it counts. Who may, is the caller's."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, func, select, text

from calrelay.errors import StateError
from calrelay.state.database import Database
from calrelay.state.rows import table_of
from calrelay.state.tables import LinkRow, MetaRow, PipelineRow
from calrelay.state.tables import Table as Base

BATCH = 1000  # rows in memory at a time

_PIPELINE = table_of(PipelineRow)
_META = table_of(MetaRow)
_LEASE = {"owner": None, "lease_until": None}  # belongs to a process, not to the state
_WHOLE = 1 << 256

TABLES: Sequence[Table] = Base.metadata.sorted_tables  # a hold before its items

Progress = Callable[[str, int, int], None]  # table, rows copied of it, rows it has; the last call for a table says that it is whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A table that was copied: the number of its rows, and what both databases say they are, in whatever order."""

    table: str
    rows: int
    checksum: str


def copy_state(source: Database, target: Database, *, progress: Progress = lambda *_: None) -> list[Copied]:
    """Copy all tables in one transaction, and compare what arrived. Raises StateError, and leaves the target as it was.

    The target must be without memories; it becomes the same installation as the source, which from then on must not be used any more. The
    caller holds the locks of all pipelines.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(source.reading())
        writer = stack.enter_context(target.writing())
        for connection in (reader, writer):
            _take_time(connection)
        _check_empty(writer, target.where)
        writer.execute(_META.delete())  # its own installation id and hash key
        return [_copy(reader, writer, table, target.where, progress) for table in TABLES]


def pipelines_in(database: Database) -> list[str]:
    """Return the names of all pipelines of which anything is remembered."""
    links = table_of(LinkRow).c.pipeline
    with database.reading() as connection:
        return sorted({*connection.scalars(select(_PIPELINE.c.name)), *connection.scalars(select(links).distinct())})


def _take_time(connection: Connection) -> None:
    """Let one side wait for the other for as long as it takes."""
    if connection.dialect.name == "postgresql":
        for name in ("idle_in_transaction_session_timeout", "statement_timeout"):
            connection.execute(select(func.set_config(name, "0", True)))


def _check_empty(connection: Connection, where: str) -> None:
    for table in TABLES:
        if table is not _META and connection.execute(select(table).limit(1)).first() is not None:
            raise StateError(
                f"the state database {where} is not empty: there is something in its table {table.name}",
                remedy="name a file that does not exist yet, or a new database (createdb)",
            )


def _copy(reader: Connection, writer: Connection, table: Table, where: str, progress: Progress) -> Copied:
    total = reader.scalar(select(func.count()).select_from(table)) or 0
    done, sent = 0, 0
    for rows in _batches(reader, table):
        writer.execute(table.insert(), rows)
        done, sent = done + len(rows), _add(sent, rows)
        progress(table.name, min(done, total - 1), total)
    _set_sequence(writer, table)
    _help_the_planner(writer, table)
    arrived, found = 0, 0
    for rows in _batches(writer, table):
        arrived, found = arrived + len(rows), _add(found, rows)
    if (arrived, found) != (done, sent):
        raise StateError(
            f"the table {table.name} did not arrive in {where} as it was: {done} rows were sent and {arrived} are there",
            remedy="nothing was kept of the copy; try again, and report it if it stays",
        )
    progress(table.name, total, total)
    return Copied(table=table.name, rows=done, checksum=f"{sent:064x}")


def _batches(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    query = select(table).order_by(*table.primary_key).execution_options(yield_per=BATCH)
    for rows in connection.execute(query).partitions():
        values = [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's documented name for it
        yield [row | _LEASE for row in values] if table is _PIPELINE else values


def _add(checksum: int, rows: list[dict[str, Any]]) -> int:
    """Add rows to a checksum that is the same in any order: servers sort text by rules of their own."""
    return (checksum + sum(int.from_bytes(hashlib.sha256(_canonical(row)).digest()) for row in rows)) % _WHOLE


def _canonical(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, sort_keys=True, default=_plain).encode()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    raise TypeError(type(value).__name__)


def _set_sequence(connection: Connection, table: Table) -> None:
    """Let new rows be numbered after those that were copied; SQLite does so by itself."""
    if connection.dialect.name != "postgresql" or table.autoincrement_column is None:
        return
    column = table.autoincrement_column
    highest = connection.scalar(select(func.max(column)))
    if highest is not None:
        quoted = connection.dialect.identifier_preparer.format_table(table)
        connection.execute(select(func.setval(func.pg_get_serial_sequence(quoted, column.name), highest)))


def _help_the_planner(connection: Connection, table: Table) -> None:
    """Count a filled table at once: until autovacuum comes by, a server would plan as if it were empty."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"ANALYZE {connection.dialect.identifier_preparer.format_table(table)}"))
