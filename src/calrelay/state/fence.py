"""The fence around a pipeline's rows on PostgreSQL: every write shows the epoch of the lease it was made under (rule 22)."""

import threading
from collections.abc import Iterable

from sqlalchemy import Connection, select

from calrelay.errors import LeaseLost
from calrelay.state.holder import holder_from
from calrelay.state.rows import table_of
from calrelay.state.tables import PipelineRow

_PIPELINE = table_of(PipelineRow)


class Fence:
    """The leases held through one open database: pipeline and epoch. May be used by several threads."""

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}
        self._mutex = threading.Lock()

    def raise_for(self, pipeline: str, epoch: int) -> None:
        """Let writes to this pipeline pass under this epoch only."""
        with self._mutex:
            self._epochs[pipeline] = epoch

    def lower_for(self, pipeline: str) -> None:
        """Let writes to this pipeline pass as anybody's do."""
        with self._mutex:
            self._epochs.pop(pipeline, None)

    def epochs(self) -> dict[str, int]:
        """Return the leases held now."""
        with self._mutex:
            return dict(self._epochs)

    def enter(self, connection: Connection, pipelines: Iterable[str]) -> None:
        """Queue up behind others who write to these pipelines, until this transaction ends. Raises LeaseLost.

        The rows are locked in one order, so that nobody waits for each other, and stay locked: nobody takes a lease over between this look
        at its epoch and the commit.
        """
        names = sorted(set(pipelines))
        if not names:
            return
        query = select(_PIPELINE.c.name, _PIPELINE.c.epoch, _PIPELINE.c.owner).where(_PIPELINE.c.name.in_(names))
        found = {row.name: row for row in connection.execute(query.order_by(_PIPELINE.c.name).with_for_update())}
        for name, epoch in self.epochs().items():
            if name in names and (name not in found or found[name].epoch != epoch):
                raise _lost(name, found[name].owner if name in found else None)


def _lost(pipeline: str, owner: str | None) -> LeaseLost:
    holder = holder_from(owner)
    who = str(holder) if holder else "another process, which has finished since"
    return LeaseLost(
        f"pipeline {pipeline} was taken over by {who}, while this process stood still; nothing was written after that",
        remedy="it passes by itself; a suspended machine or an unreachable database does this",
    )
