"""The lines of an event's history: written with what they tell of, counted, read back and trimmed. Inside the caller's transaction."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, func, select

from calrelay.domain.link import ExternalId, external_id_parts
from calrelay.ports import DELETED, Happening
from calrelay.state.rows import happening_of, table_of, values_of_happening
from calrelay.state.tables import HistoryRow

KEPT = 200  # lines per event; a fault that repeats every five minutes fills them in a day

_HISTORY = table_of(HistoryRow)
_OF_EVENT = (_HISTORY.c.pipeline == bindparam("of_pipeline"), _HISTORY.c.base_id == bindparam("of_base_id"))
_OLDEST_TOO_MANY = select(_HISTORY.c.id).where(*_OF_EVENT).order_by(_HISTORY.c.id.desc()).limit(1).offset(KEPT).scalar_subquery()
_TRIM = delete(_HISTORY).where(*_OF_EVENT, _HISTORY.c.id <= _OLDEST_TOO_MANY)


def append(connection: Connection, happenings: Iterable[Happening]) -> None:
    """Write lines in the order given, and forget what is too old of each event they tell of."""
    values = [values_of_happening(happening, external_id_parts(happening.external_id)[0]) for happening in happenings]
    if not values:
        return
    connection.execute(_HISTORY.insert(), values)
    events = {(line["pipeline"], line["base_id"]) for line in values}
    connection.execute(_TRIM, [{"of_pipeline": pipeline, "of_base_id": base_id} for pipeline, base_id in sorted(events)])


def of_event(connection: Connection, pipeline: str, base_id: ExternalId) -> list[Happening]:
    """Return an event's lines, oldest first, over all generations."""
    query = select(_HISTORY).where(_HISTORY.c.pipeline == pipeline, _HISTORY.c.base_id == base_id).order_by(_HISTORY.c.id)
    return [happening_of(row) for row in connection.execute(query)]


def recent(connection: Connection, pipeline: str, what: Collection[str], since: datetime, limit: int) -> list[Happening]:
    """Return the last lines of these kinds after this instant, newest first."""
    of_ours = (_HISTORY.c.pipeline == pipeline, _HISTORY.c.what.in_(what), _HISTORY.c.at > since)
    query = select(_HISTORY).where(*of_ours).order_by(_HISTORY.c.at.desc(), _HISTORY.c.id.desc()).limit(limit)
    return [happening_of(row) for row in connection.execute(query)]


def count_kinds(connection: Connection, pipeline: str, what: Collection[str], since: datetime) -> dict[str, int]:
    """Count the lines of these kinds after this instant."""
    of_ours = (_HISTORY.c.pipeline == pipeline, _HISTORY.c.what.in_(what), _HISTORY.c.at > since)
    query = select(_HISTORY.c.what, func.count().label("number")).where(*of_ours).group_by(_HISTORY.c.what)
    return {row.what: row.number for row in connection.execute(query)}


def count_deletes(connection: Connection, pipeline: str, since: datetime) -> int:
    """Count the deletes after this instant that nobody had approved."""
    of_ours = (_HISTORY.c.pipeline == pipeline, _HISTORY.c.what == DELETED, _HISTORY.c.at > since)
    return connection.scalar(select(func.count()).select_from(_HISTORY).where(*of_ours)) or 0
