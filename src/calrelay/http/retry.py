"""The one place where requests are repeated: which failures, how often, and after which wait. It knows nothing of HTTP."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import stamina
import stamina.instrumentation

from calrelay.http.failures import Failure
from calrelay.log import get_logger

Found = TypeVar("Found")

# stamina's own hook logs the arguments of what it repeats, so URLs; the line below in `rest` takes its place.
stamina.instrumentation.set_on_retry_hooks(())

_log = get_logger(__name__)


class Waits:
    """The waits before further attempts of everything that asks together: `end` cuts them short, and no attempt follows it."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()

    @property
    def are_over(self) -> bool:
        """Whether nothing is asked again any more."""
        return self._ended.is_set()

    async def rest(self, waiting: Awaitable[None]) -> None:
        """Wait for this, or until the end."""
        tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(self._ended.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def end(self) -> None:
        """Have whoever waits give up with the failure it has: the process is to stop, and no answer is in hand."""
        self._ended.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often and how long one request is asked again; seconds throughout.

    `budget` is counted from the first attempt, waits included, and bounds when a new attempt may begin. It does not cut an attempt
    short: Apptoto may take minutes over a batch, and breaking off would leave unknown what it applied.
    With `waits` a wait may end early. `wait`, `clock` and `jitter` (0 to 1) are there to be replaced in tests.
    """

    attempts: int = 5
    budget: float = 60.0
    longest: float = 15.0
    waits: Waits | None = field(default=None, repr=False)
    wait: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    jitter: Callable[[], float] = field(default=random.random, repr=False)

    async def __call__(self, once: Callable[[], Awaitable[Found | Failure]], *, idempotent: bool) -> Found:
        """Ask, and ask again while that may help and the bounds allow; raise the last failure's error otherwise.

        What is not idempotent is asked once. The error says so where an earlier try of the request was left open.
        """
        course = _Course(retry=self, began=self.clock())
        limit = self.attempts if idempotent else 1
        try:
            async for attempt in stamina.retry_context(on=course.decide, attempts=limit, timeout=None):
                with attempt:
                    await course.rest()
                    return _found(await once())
        except _Failed as failed:
            failure = failed.failure
        failure.error.is_open |= course.was_open
        raise failure.error  # outside the except block, so that nothing foreign becomes its context


class _Failed(Exception):
    """Carries a failure through stamina, which repeats on exceptions."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error.message)
        self.failure = failure


@dataclass(slots=True, kw_only=True)
class _Course:
    """One request's way through its attempts."""

    retry: Retry
    began: float
    failures: int = 0
    pause: float = 0.0
    reason: Failure | None = None
    was_open: bool = False

    def decide(self, exception: Exception) -> bool | float:
        """Tell stamina whether to go on; always without a wait of its own, which could not be replaced in tests."""
        if not isinstance(exception, _Failed) or not exception.failure.passes or self._are_waits_over:
            return False
        self.failures += 1
        self.reason = exception.failure
        self.was_open |= exception.failure.error.is_open
        self.pause = self._pause_after(exception.failure)
        within = self.retry.clock() - self.began + self.pause <= self.retry.budget
        return 0.0 if within else False

    def _pause_after(self, failure: Failure) -> float:
        """Return what the vendor asked for, else 1, 2, 4 … seconds and up to a quarter more, never above the longest."""
        if failure.wait is not None:
            return failure.wait.total_seconds()
        doubled: float = 2.0 ** (self.failures - 1)
        return min(self.retry.longest, doubled * (1 + self.retry.jitter() / 4))

    async def rest(self) -> None:
        """Wait before any attempt but the first."""
        if self.reason is None:
            return
        error = self.reason.error
        _log.debug("asking again", account=error.account, after=error.kind, status=error.status, wait=round(self.pause, 1))
        waiting = self.retry.wait(self.pause)
        await (self.retry.waits.rest(waiting) if self.retry.waits else waiting)
        if self._are_waits_over:
            raise _Failed(self.reason)

    @property
    def _are_waits_over(self) -> bool:
        return self.retry.waits is not None and self.retry.waits.are_over


def _found(outcome: Found | Failure) -> Found:
    if isinstance(outcome, Failure):
        raise _Failed(outcome)
    return outcome
