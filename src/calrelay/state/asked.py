"""How often accounts were asked by the passes of late. Passes are written by the ledger."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from calrelay.state.rows import table_of
from calrelay.state.tables import PassRow

_BATCH = 100

_PASS = table_of(PassRow)
_NEWEST_FIRST = select(_PASS.c.id, _PASS.c.started_at, _PASS.c.seconds, _PASS.c.requests).order_by(_PASS.c.id.desc()).limit(_BATCH)


def asked_since(connection: Connection, since: datetime) -> dict[str, int]:
    """Return how many requests the passes of all pipelines made that ended after this instant, by account."""
    asked: Counter[str] = Counter()
    for row in _newest_first(connection):
        if row.started_at + timedelta(seconds=row.seconds) < since:
            break  # a pass is written when it ends: those before it ended before it
        asked.update(row.requests)
    return dict(asked)


def _newest_first(connection: Connection) -> Iterator[Any]:
    """Yield passes by their number, which needs no index of its own, as far back as is wanted."""
    rows = connection.execute(_NEWEST_FIRST).all()
    while rows:
        yield from rows
        rows = connection.execute(_NEWEST_FIRST.where(_PASS.c.id < rows[-1].id)).all()
