"""How late passes come, from when each began. What ran them, and where that is read from, is not known here."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """Passes of a while, and their lags in seconds; overdue are the pipelines whose next pass should have begun and had not."""

    passes: int
    lags: Sequence[float]
    overdue_at_first: int
    overdue_at_last: int


def lateness(begun: Mapping[str, Sequence[datetime]], every: timedelta, since: datetime, until: datetime) -> Lateness:
    """Look at the passes that began after `since`, up to `until`.

    A pass is due `every` after the one before it began, however long ago that was. A pipeline that is overdue in the end counts with what
    it has waited so far where that is beyond the median of those that came: one that never comes is seen, and one that has begun to wait,
    whose lag is not known yet, makes no lag look small.

    Args:
        begun: of each pipeline, when its passes began, in this order; those before `since` too.
        every: how often each is due.
        since: the begin of the while.
        until: its end; passes after it may be there, and are left out.
    """
    lags = [
        (later - earlier - every).total_seconds()
        for times in begun.values()
        for earlier, later in pairwise(times)
        if since < later <= until
    ]
    waiting = _overdue(begun, every, until)
    usual = statistics.median(lags) if lags else 0.0
    return Lateness(
        passes=sum(since < at <= until for times in begun.values() for at in times),
        lags=[max(0.0, lag) for lag in (*lags, *(wait for wait in waiting if wait > usual))] or [0.0],
        overdue_at_first=len(_overdue(begun, every, since)),
        overdue_at_last=len(waiting),
    )


def _overdue(begun: Mapping[str, Sequence[datetime]], every: timedelta, at: datetime) -> list[float]:
    last = (max((time for time in times if time <= at), default=None) for times in begun.values())
    return [(at - time - every).total_seconds() for time in last if time is not None and at > time + every]
