"""What is remembered of a pipeline as a whole: its record, its other name, its end. Inside the caller's transaction."""

import dataclasses
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, literal, select, update

from calrelay.errors import StateError
from calrelay.ports import PipelineRecord
from calrelay.state import holds
from calrelay.state.database import Database
from calrelay.state.rows import pipeline_of, table_of
from calrelay.state.tables import ClaimRow, HistoryRow, HoldRow, LinkRow, PassRow, PipelineRow

_PIPELINE = table_of(PipelineRow)
_BY_NAME = select(_PIPELINE).where(_PIPELINE.c.name == bindparam("of"))
_BY_NAMES = select(_PIPELINE).where(_PIPELINE.c.name.in_(bindparam("names", expanding=True)))
_CLAIM = table_of(ClaimRow)
_BELONGING = tuple(table_of(row) for row in (LinkRow, HistoryRow, PassRow))
_NAMING = (*_BELONGING, _CLAIM, table_of(HoldRow))


def record_of(connection: Connection, name: str) -> PipelineRecord:
    """Return the record of a pipeline; a new one's when there is none."""
    row = connection.execute(_BY_NAME, {"of": name}).one_or_none()
    return PipelineRecord(name=name) if row is None else pipeline_of(row)


def records_of(connection: Connection, names: Sequence[str]) -> dict[str, PipelineRecord]:
    """Return the records of these pipelines, of those that have one."""
    return {row.name: pipeline_of(row) for row in connection.execute(_BY_NAMES, {"names": names})}


def names_under(connection: Connection, prefix: str) -> list[str]:
    """Return the names that begin so, in order."""
    name = _PIPELINE.c.name
    return list(connection.scalars(select(name).where(name.startswith(prefix, autoescape=True)).order_by(name)))


def note(connection: Connection, database: Database, name: str, given: Mapping[str, object]) -> None:
    """Remember these columns of a pipeline and leave the others as they are; `first_complete_at` stays what it was once it is known."""
    values = {column: value for column, value in given.items() if column != "first_complete_at"}
    connection.execute(database.upsert(_PIPELINE, only=values or ("name",)), {"is_paused": False, **values, "name": name})
    if first := given.get("first_complete_at"):  # the row is ours by now, until the transaction ends
        is_first = (_PIPELINE.c.name == name, _PIPELINE.c.first_complete_at.is_(None))
        connection.execute(update(_PIPELINE).where(*is_first).values(first_complete_at=first))


def forget(connection: Connection, name: str) -> None:
    """Forget a pipeline; its claims stay, free, because what the target once held under an external id it may still remember."""
    connection.execute(update(_CLAIM).where(_CLAIM.c.pipeline == name).values(is_free=True))
    holds.close(connection, name)
    for table in _BELONGING:
        connection.execute(delete(table).where(table.c.pipeline == name))
    _forget_record(connection, name)


def rename(connection: Connection, database: Database, old: str, new: str) -> None:
    """Give everything of a pipeline its new name. Raises StateError when that one is in use."""
    in_use = [table.c.pipeline == new for table in _NAMING if table is not _CLAIM] + [(_CLAIM.c.pipeline == new) & ~_CLAIM.c.is_free]
    if any(connection.scalar(select(literal(1)).where(is_new).limit(1)) for is_new in in_use):
        raise StateError(
            f"there is a pipeline {new} already, with events of its own",
            remedy=f"choose another name; or, if {new} is to have what {old} has, `calrelay retire {old}`, and {new} takes its events over",
        )
    record = dataclasses.asdict(record_of(connection, old))
    note(connection, database, new, {column: value for column, value in record.items() if column != "name" and value is not None})
    _forget_record(connection, old)
    for table in _NAMING:
        connection.execute(update(table).where(table.c.pipeline == old).values(pipeline=new))


def _forget_record(connection: Connection, name: str) -> None:
    """Make a record a new one's. The row stays, because the lease's epoch must never be counted anew."""
    fresh = dict.fromkeys(("first_complete_at", "last_complete_at", "last_read_at"))
    connection.execute(update(_PIPELINE).where(_PIPELINE.c.name == name).values(is_paused=False, **fresh))
