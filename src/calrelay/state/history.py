"""The lines of an event's history: written with what they tell of, counted, read back and trimmed. Inside the caller's transaction."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, func, select

from calrelay.domain.link import ExternalId, external_id_parts
from calrelay.ports import DELETED, Happening
from calrelay.state.bulk import execute_many
from calrelay.state.rows import happening_of, table_of, values_of_happening
from calrelay.state.tables import HistoryRow

_AT_ONCE = 500  # events in one statement
KEPT = 200  # lines per event; a fault that repeats every five minutes fills them in a day
KEPT_FOR = timedelta(days=400)  # what happened last year at this time can still be looked up

_HISTORY = table_of(HistoryRow)
_INSERT = _HISTORY.insert()
_BY_EVENT = (_HISTORY.c.pipeline, _HISTORY.c.base_id)
_NUMBERED = (
    select(_HISTORY.c.id, func.row_number().over(partition_by=_BY_EVENT, order_by=_HISTORY.c.id.desc()).label("number"))
    .where(_HISTORY.c.pipeline == bindparam("of_pipeline"), _HISTORY.c.base_id.in_(bindparam("of_base_ids", expanding=True)))
    .subquery()
)
_TRIM = delete(_HISTORY).where(_HISTORY.c.id.in_(select(_NUMBERED.c.id).where(_NUMBERED.c.number > KEPT)))


def append(connection: Connection, happenings: Iterable[Happening]) -> None:
    """Write lines in the order given, and forget what is too old of each event they tell of."""
    values = [values_of_happening(happening, external_id_parts(happening.external_id)[0]) for happening in happenings]
    if not values:
        return
    execute_many(connection, _INSERT, values)
    by_pipeline: dict[str, set[str]] = defaultdict(set)
    for line in values:
        by_pipeline[line["pipeline"]].add(line["base_id"])
    for pipeline, base_ids in sorted(by_pipeline.items()):
        for at in range(0, len(ordered := sorted(base_ids)), _AT_ONCE):
            connection.execute(_TRIM, {"of_pipeline": pipeline, "of_base_ids": ordered[at : at + _AT_ONCE]})


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


def forget_before(connection: Connection, instant: datetime) -> bool:
    """Forget some of the lines from before this instant; False when there are no more. Lines are numbered in the order of time."""
    oldest = connection.execute(select(_HISTORY.c.id, _HISTORY.c.at).order_by(_HISTORY.c.id).limit(_AT_ONCE)).all()
    old = [row.id for row in oldest if row.at < instant]
    if old:
        connection.execute(delete(_HISTORY).where(_HISTORY.c.id.in_(old)))
    return len(old) == _AT_ONCE
