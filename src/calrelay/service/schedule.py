"""The clock of the daemon, the only place that knows APScheduler. It says "due" and runs nothing: whoever is told owns the work."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

JITTER_SHARE = 0.1
JITTER_MOST = timedelta(seconds=30)


class Schedule:
    """Calls back at even intervals in UTC while the context lasts; a tick that comes late comes once.

    Interval triggers, because a wall clock's 01:30 exists twice on fold night and never on gap night.
    """

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
        )

    def __enter__(self) -> Self:
        self._scheduler.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._scheduler.shutdown(wait=False)

    def repeat(self, name: str, call: Callable[[], None], *, every: timedelta, first: timedelta | None = None) -> None:
        """Call back after `first` (else after `every`), exactly, then every `every` with jitter; replaces a job of that name.

        The callback must return at once.
        """

        async def tick() -> None:  # a plain function would be run in a thread
            call()

        seconds = every.total_seconds()
        jitter = min(JITTER_MOST.total_seconds(), seconds * JITTER_SHARE)
        self._scheduler.add_job(
            tick,
            IntervalTrigger(seconds=seconds, timezone=UTC, jitter=jitter),
            id=name,
            next_run_time=datetime.now(UTC) + (every if first is None else first),
            replace_existing=True,
        )

    def drop(self, name: str) -> None:
        """Forget a job; one that is not there is none too."""
        try:
            self._scheduler.remove_job(name)
        except JobLookupError:
            return

    def next_of(self, name: str) -> datetime:
        """Return when a job is due next, in UTC. Raises KeyError when there is none of that name."""
        job = self._scheduler.get_job(name)
        if job is None:
            raise KeyError(name)
        due: datetime = job.next_run_time
        return due.astimezone(UTC)

    @property
    def names(self) -> frozenset[str]:
        """What is scheduled."""
        return frozenset(job.id for job in self._scheduler.get_jobs())
