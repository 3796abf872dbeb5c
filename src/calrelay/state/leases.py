"""The lease on a pipeline, on PostgreSQL: short, kept alive from a thread, with an epoch that fences its writes off (rule 22).

Times are the database's clock alone, so that the clocks of the machines may disagree.
"""

import contextlib
import time
from datetime import timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import Interval, func, literal, or_, select, update

from calrelay.errors import StateError
from calrelay.state.database import Database
from calrelay.state.file_locks import GLANCE, POLL_SECONDS
from calrelay.state.holder import Holder, busy, holder_from, this_process
from calrelay.state.rows import table_of
from calrelay.state.tables import PipelineRow

_PIPELINE = table_of(PipelineRow)
_NOW = func.clock_timestamp()  # not now(), which is when the transaction began


def holders(database: Database) -> dict[str, Holder]:
    """Return who holds the lease on each pipeline that is at work now."""
    with database.reading() as connection:
        rows = connection.execute(select(_PIPELINE.c.name, _PIPELINE.c.owner).where(_PIPELINE.c.lease_until > _NOW)).all()
    return {row.name: holder for row in rows if (holder := holder_from(row.owner))}


class PipelineLease:
    """The right to work on one pipeline. A context manager; entering it raises Busy while another holds it, in this process or elsewhere.

    While it is held, writes to the pipeline through `database` raise LeaseLost as soon as another process has taken it over; that one
    process may still finish the request in flight, which the `sending` state makes harmless. May be entered again after it was left.
    """

    def __init__(self, database: Database, pipeline: str, *, command: str, patience: timedelta = GLANCE) -> None:
        self._database = database
        self._pipeline = pipeline
        self._command = command
        self._patience = patience
        self._epoch: int | None = None

    def __enter__(self) -> Self:
        deadline = time.monotonic() + self._patience.total_seconds()
        while (epoch := self._take()) is None:
            if time.monotonic() >= deadline:
                raise busy(f"pipeline {self._pipeline}", self.holder(), remedy=self._remedy(), again_after=self._database.lease)
            time.sleep(POLL_SECONDS)
        self._epoch = epoch
        self._database.fence.raise_for(self._pipeline, epoch)
        self._database.keep_leases_alive()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        epoch, self._epoch = self._epoch, None
        if epoch is None:
            return
        self._database.fence.lower_for(self._pipeline)
        with contextlib.suppress(StateError), self._database.writing() as connection:  # else it runs out by itself
            ours = (_PIPELINE.c.name == self._pipeline, _PIPELINE.c.epoch == epoch)
            connection.execute(update(_PIPELINE).where(*ours).values(owner=None, lease_until=None))

    @property
    def epoch(self) -> int | None:
        """The epoch under which it is held, None while it is not."""
        return self._epoch

    def holder(self) -> Holder | None:
        """Return who holds the lease now, or None."""
        held = (_PIPELINE.c.name == self._pipeline, _PIPELINE.c.lease_until > _NOW)
        with self._database.reading() as connection:
            return holder_from(connection.scalar(select(_PIPELINE.c.owner).where(*held)))

    def _take(self) -> int | None:
        """Take the lease if it is free, and return its new epoch."""
        if self._pipeline in self._database.fence.epochs():  # held here: even one that ran out is given back before it is taken again
            return None
        from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415 - see `database._insert_on_server`

        ours = this_process(self._command, names_host=True).to_json()
        is_free = or_(_PIPELINE.c.lease_until.is_(None), _PIPELINE.c.lease_until < _NOW)
        # Skipping a locked row: whoever writes under it holds the lease, or is taking it.
        free = select(_PIPELINE.c.name).where(_PIPELINE.c.name == self._pipeline, is_free).with_for_update(skip_locked=True)
        until = _NOW + literal(self._database.lease, Interval)
        take = update(_PIPELINE).where(_PIPELINE.c.name.in_(free)).values(owner=ours, lease_until=until, epoch=_PIPELINE.c.epoch + 1)
        take = take.returning(_PIPELINE.c.epoch)
        with self._database.writing() as connection:
            epoch: int | None = connection.scalar(take)
            if epoch is None:  # held by another, or never heard of
                connection.execute(insert(_PIPELINE).on_conflict_do_nothing(), {"name": self._pipeline, "is_paused": False})
                epoch = connection.scalar(take)
        return epoch

    def _remedy(self) -> str:
        seconds = self._database.lease.total_seconds()
        return f"wait for it to finish, or end it first; what a killed process held is free after {seconds:.0f} seconds"
