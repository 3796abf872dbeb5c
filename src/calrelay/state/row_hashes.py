"""What the rows of settled links hashed to: looked up for a page, noted after it. Inside the caller's transaction."""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, bindparam, select, update

from calrelay.domain.event import SourceId
from calrelay.domain.link import State
from calrelay.state.bulk import execute_many
from calrelay.state.rows import table_of
from calrelay.state.tables import LinkRow

_LINK = table_of(LinkRow)
_BY_ID = select(_LINK.c.source_id, _LINK.c.row_hash).where(
    _LINK.c.pipeline == bindparam("of"), _LINK.c.source_id.in_(bindparam("ids", expanding=True)), _LINK.c.row_hash.is_not(None)
)
_NOTE = (
    update(_LINK)
    .where(
        _LINK.c.pipeline == bindparam("of"),
        _LINK.c.source_id == bindparam("id"),
        _LINK.c.source_hash == bindparam("as_mapped"),
        _LINK.c.state == State.SETTLED.value,
    )
    .values(row_hash=bindparam("row"))
)


def known(connection: Connection, pipeline: str, source_ids: list[SourceId]) -> Iterator[tuple[SourceId, str]]:
    """Yield the events whose row's hash is known, with the hash. No more ids than fit into one statement."""
    yield from connection.execute(_BY_ID, {"of": pipeline, "ids": source_ids})


def note(connection: Connection, pipeline: str, rows: Mapping[SourceId, tuple[str, str]]) -> None:
    """Note the hash that stands second where the link is settled, and still rests on the source hash that stands first."""
    values = [{"of": pipeline, "id": source_id, "as_mapped": as_mapped, "row": row} for source_id, (as_mapped, row) in rows.items()]
    execute_many(connection, _NOTE, values)
