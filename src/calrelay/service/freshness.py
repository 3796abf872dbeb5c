"""How old the last complete read of a pipeline is, and when that is too old. Pure: `/readyz`, metrics and notices all judge by this."""

import dataclasses
from datetime import datetime, timedelta

from calrelay.ports import PipelineRecord

INTERVALS = 3  # complete reads that may be missed before a pipeline counts as stale


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """The age of what a pipeline knows; before its first complete read it is counted from the start of the daemon."""

    pipeline: str
    last_complete_at: datetime | None
    age: timedelta
    allowed: timedelta

    @property
    def is_stale(self) -> bool:
        """Whether complete reads are missing, for whatever reason: an outage, a pause, a first load that nobody has decided upon."""
        return self.age > self.allowed


def freshness(record: PipelineRecord, full_every: timedelta, *, started_at: datetime, now: datetime) -> Freshness:
    """Judge a pipeline; all instants aware. A daemon that starts after a day's rest is stale until its first complete read."""
    age = max(now - (record.last_complete_at or started_at), timedelta(0))
    return Freshness(pipeline=record.name, last_complete_at=record.last_complete_at, age=age, allowed=INTERVALS * full_every)
