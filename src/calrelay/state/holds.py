"""Open holds and what the operator says to them. Inside the caller's transaction."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, select, update

from calrelay.domain.event import SourceId
from calrelay.ports import Hold, HoldItem
from calrelay.state.rows import hold_of, table_of, values_of_hold, values_of_item
from calrelay.state.tables import HoldItemRow, HoldRow

_HOLD = table_of(HoldRow)
_ITEM = table_of(HoldItemRow)
_Key = tuple[SourceId, str]


def open_holds(connection: Connection, *which: ColumnElement[bool]) -> list[Hold]:
    """Return the open holds, oldest first, each with its items in the order they were saved."""
    rows = connection.execute(select(_HOLD).where(*which).order_by(_HOLD.c.created_at, _HOLD.c.id)).all()
    items: dict[str, list[Row[Any]]] = defaultdict(list)
    for item in connection.execute(select(_ITEM).join(_HOLD).where(*which).order_by(_ITEM.c.hold_id, _ITEM.c.position)):
        items[item.hold_id].append(item)
    return [hold_of(row, items[row.id]) for row in rows]


def of_pipeline(connection: Connection, pipeline: str) -> list[Hold]:
    """Return the open holds of a pipeline."""
    return open_holds(connection, _HOLD.c.pipeline == pipeline)


def of_pipelines(connection: Connection, pipelines: Sequence[str]) -> list[Hold]:
    """Return the open holds of these pipelines."""
    return open_holds(connection, _HOLD.c.pipeline.in_(pipelines))


def with_id(connection: Connection, hold_id: str) -> Hold | None:
    """Return one open hold."""
    return next(iter(open_holds(connection, _HOLD.c.id == hold_id)), None)


def replace(connection: Connection, pipeline: str, holds: Sequence[Hold]) -> None:
    """Make these the open holds of a pipeline, keeping what was seen and decided of the same digests in the meantime."""
    before = of_pipeline(connection, pipeline)
    after = with_decisions(holds, before)
    if after == before:
        return
    close(connection, pipeline)
    if not after:
        return
    connection.execute(_HOLD.insert(), [values_of_hold(hold) for hold in after])
    items = [values_of_item(hold.id, position, item) for hold in after for position, item in enumerate(hold.items)]
    if items:
        connection.execute(_ITEM.insert(), items)


def with_decisions(holds: Sequence[Hold], before: Sequence[Hold]) -> list[Hold]:
    """Return the holds with what `before` knows of the same items: that they were shown, and approved. Pure."""
    known = {_key(item): item for hold in before for item in hold.items if item.shown_at or item.approved_at}
    shown = {hold.id: hold.shown_at for hold in before}
    return [
        dataclasses.replace(
            hold,
            shown_at=shown.get(hold.id) or hold.shown_at,
            items=tuple(_decided(item, known.get(_key(item))) for item in hold.items),
        )
        for hold in holds
    ]


def close(connection: Connection, pipeline: str) -> None:
    """Forget all holds of a pipeline; their items go with them."""
    connection.execute(delete(_HOLD).where(_HOLD.c.pipeline == pipeline))


def note_shown(connection: Connection, hold: Hold, at: datetime) -> None:
    """Note that a hold was listed, and which items of it."""
    connection.execute(update(_HOLD).where(_HOLD.c.id == hold.id).values(shown_at=at))
    _mark(connection, "shown_at", hold, at)


def approve(connection: Connection, hold: Hold, at: datetime) -> None:
    """Mark as approved those items of a hold that are still exactly as given here."""
    _mark(connection, "approved_at", hold, at)


def _mark(connection: Connection, column: str, hold: Hold, at: datetime) -> None:
    same = (_ITEM.c.hold_id == bindparam("of"), _ITEM.c.source_id == bindparam("id"), _ITEM.c.digest == bindparam("as_given"))
    items = [{"of": hold.id, "id": item.source_id, "as_given": item.digest} for item in hold.items]
    if items:
        connection.execute(update(_ITEM).where(*same).values({column: at}), items)


def _key(item: HoldItem) -> _Key:
    return item.source_id, item.digest


def _decided(item: HoldItem, known: HoldItem | None) -> HoldItem:
    if known is None:
        return item
    return dataclasses.replace(item, shown_at=item.shown_at or known.shown_at, approved_at=item.approved_at or known.approved_at)
