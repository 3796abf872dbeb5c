"""Runs one statement for many rows through the driver itself; SQLAlchemy only compiles it and converts the values."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler

Values = Mapping[str, Any]
_Convert = Callable[[Any], Any]


def execute_many(connection: Connection, statement: Executable, rows: Sequence[Values]) -> None:
    """Execute a statement once for each row, which all have the same keys, those that the statement binds. There is no result.

    SQLAlchemy's own way to execute many costs as much for each row as SQLite needs to write it.
    """
    if rows:
        prepared = _prepared(statement, connection.dialect, tuple(rows[0]))
        connection.exec_driver_sql(prepared.sql, prepared.parameters(rows))


class _Prepared:
    """A compiled statement, and how a row's values become the driver's."""

    def __init__(self, compiled: SQLCompiler, dialect: Dialect) -> None:
        self.sql = str(compiled)
        self._order = compiled.positiontup  # None where the driver goes by name
        self._constants = compiled.params  # the statement's own values, by the names of their parameters; a row's go before them
        self._convert = {name: _conversion(bind.type, dialect) for bind, name in compiled.bind_names.items()}

    def parameters(self, rows: Sequence[Values]) -> Any:
        """Return what the driver is given. Values are converted a column at a time, for all rows, and one that comes again only once."""
        names = self._order or list(self._convert)
        tuples = zip(*(self._column(name, rows) for name in names), strict=True)
        return list(tuples) if self._order else [dict(zip(names, values, strict=True)) for values in tuples]

    def _column(self, name: str, rows: Sequence[Values]) -> list[Any]:
        if name not in rows[0]:
            return [self._constants[name]] * len(rows)
        values = [row[name] for row in rows]
        convert = self._convert[name]
        if convert is None:
            return values
        distinct = {id(value): value for value in values}  # None, and the moment at which all of them happened
        converted = {key: convert(value) for key, value in distinct.items()}
        return [converted[id(value)] for value in values]


def _conversion(kind: Any, dialect: Dialect) -> _Convert | None:
    found: _Convert | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return found


@functools.lru_cache(maxsize=64)
def _prepared(statement: Executable, dialect: Dialect, keys: tuple[str, ...]) -> _Prepared:
    compiled = statement.compile(dialect=dialect, column_keys=list(keys))  # type: ignore[attr-defined]
    return _Prepared(compiled, dialect)
