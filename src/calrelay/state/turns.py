"""When each pipeline is due where workers share them: on PostgreSQL only, by its clock. What follows from a pass is `cluster/rhythm`'s."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Interval, and_, case, func, literal, or_, select, update

from calrelay.state.database import Database
from calrelay.state.rows import table_of
from calrelay.state.tables import PipelineRow, TurnRow

CLAIM = timedelta(seconds=15)  # after which a job that nobody has begun is put into the queue again: who fetched it may be dead

_TURN = table_of(TurnRow)
_PIPELINE = table_of(PipelineRow)
_NOW = func.clock_timestamp()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """When a pipeline is due, and due for a complete pass; `refused` is the state of things in which it was refused, else empty."""

    pipeline: str
    next_at: datetime
    complete_at: datetime
    failures: int = 0
    refused: str = ""


class SqlTurns:
    """The turns of all pipelines. Each method is one transaction, and raises StateError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def settle(self, configs: Mapping[str, str]) -> None:
        """See to it that these pipelines have a turn; new ones, and those whose config changed, are due for a complete pass at once."""
        rows = [{"pipeline": name, "config": config, "failures": 0, "refused": ""} for name, config in sorted(configs.items())]
        if not rows:
            return
        from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415 - see `database._insert_on_server`

        first = insert(_TURN).values(next_at=_NOW, complete_at=_NOW)
        changed = {name: first.excluded[name] for name in ("next_at", "complete_at", "failures", "refused", "config")}
        with self._database.writing() as connection:
            connection.execute(
                first.on_conflict_do_update(index_elements=["pipeline"], set_=changed, where=_TURN.c.config != first.excluded.config), rows
            )

    def hasten(self, mended: Collection[str]) -> None:
        """Let be due at once what failed last time, and these pipelines, which could not run: somebody has mended something."""
        failed = _TURN.c.failures > 0
        complete_at = case((failed, func.least(_TURN.c.complete_at, _NOW)), else_=_TURN.c.complete_at)
        # Workers are reloaded together: what another one has in hand it hastens itself.
        free = select(_TURN.c.pipeline).where(or_(failed, _TURN.c.pipeline.in_(sorted(mended)))).with_for_update(skip_locked=True)
        with self._database.writing() as connection:
            if names := list(connection.scalars(free)):
                due = {"next_at": func.least(_TURN.c.next_at, _NOW), "complete_at": complete_at}
                connection.execute(update(_TURN).where(_TURN.c.pipeline.in_(names)).values(due))

    def claim(self, limit: int) -> list[str]:
        """Return pipelines that are due, longest first, for their jobs to be queued; nobody else gets them for a while.

        One whose process has let its lease run out is free again at once.
        """
        is_working = _PIPELINE.c.lease_until > _NOW
        was_lost = and_(_PIPELINE.c.lease_until < _NOW, _TURN.c.claimed_at < _PIPELINE.c.lease_until)
        is_unclaimed = or_(_TURN.c.claimed_at.is_(None), _TURN.c.claimed_at < _NOW - literal(CLAIM, Interval), was_lost)
        due = (
            select(_TURN.c.pipeline)
            .outerjoin(_PIPELINE, _PIPELINE.c.name == _TURN.c.pipeline)
            .where(_TURN.c.next_at <= _NOW, is_unclaimed, is_working.is_not(True))
            .order_by(_TURN.c.next_at)
            .limit(limit)
            .with_for_update(of=_TURN, skip_locked=True)
        )
        with self._database.writing() as connection:
            names = list(connection.scalars(due))
            if names:
                connection.execute(update(_TURN).where(_TURN.c.pipeline.in_(names)).values(claimed_at=_NOW))
        return names

    def find(self, pipeline: str) -> tuple[Turn | None, datetime]:
        """Return a pipeline's turn, None where it has none, and the database's time."""
        with self._database.reading() as connection:
            now = connection.scalar(select(_NOW))
            row = connection.execute(select(_TURN).where(_TURN.c.pipeline == pipeline)).one_or_none()
        assert now is not None  # noqa: S101 - for the type checker: a clock always answers
        if row is None:
            return None, now
        fields = dataclasses.fields(Turn)
        return Turn(**{field.name: getattr(row, field.name) for field in fields}), now

    def save(self, turn: Turn) -> None:
        """Store a turn and free it for the next claim. Raises LeaseLost where the lease on the pipeline is not ours any more."""
        values = {**dataclasses.asdict(turn), "claimed_at": None}
        with self._database.writing(turn.pipeline) as connection:
            connection.execute(update(_TURN).where(_TURN.c.pipeline == turn.pipeline).values(values))

    def put_off(self, pipeline: str, by: timedelta) -> None:
        """Let a pipeline that is due wait so long before it is claimed again; nothing else of its turn changes."""
        until = func.greatest(_TURN.c.next_at, _NOW + literal(by, Interval))
        with self._database.writing() as connection:
            connection.execute(update(_TURN).where(_TURN.c.pipeline == pipeline).values(next_at=until, claimed_at=None))

    def release(self, pipelines: Collection[str]) -> None:
        """Free claims whose jobs came to nothing."""
        with self._database.writing() as connection:
            connection.execute(update(_TURN).where(_TURN.c.pipeline.in_(sorted(pipelines))).values(claimed_at=None))

    def lags(self) -> Sequence[timedelta]:
        """Return how long each pipeline that is due, and not at work, has been waiting; longest first."""
        waiting = select((_NOW - _TURN.c.next_at).label("lag")).where(_TURN.c.next_at <= _NOW, _TURN.c.claimed_at.is_(None))
        with self._database.reading() as connection:
            return list(connection.scalars(waiting.order_by(_TURN.c.next_at)))
