"""An account's pace: evenly spaced requests below its rate, slower after a 429, and back again. It knows nothing of HTTP."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Protocol

from aiolimiter import AsyncLimiter

# A little below the rate: as many requests as fit into a window spread over 2 % more than it, so that none is too full as long as they
# arrive less than that off their time: 20 ms for a limit per second, 1.2 s for one per minute. A full first load takes 2 % longer for it.
_MARGIN = 1.02
_SLOWEST = 8  # eighths of the rate; below that a pass would take longer than the vendor's own recovery
_RECOVERY = 10  # requests in a row without a 429, before each step back up
_ONE_BURST = 1.0  # seconds in which several 429s, from requests that were in flight together, count as one


class Pace(Protocol):
    """What a client asks of an account's pace: `Pacer` within one process, `shared_pacing.SharedPacer` over many."""

    async def acquire(self) -> float:
        """Wait until the next request may go out; return until when it has to be on the wire, in seconds of `time.monotonic`."""

    def slow_down(self) -> None:
        """Note a 429."""

    def speed_up(self) -> None:
        """Note a success."""


class Pacer:
    """Grants requests one by one, first come, first served.

    A request costs one slot of the limiter, after each 429 twice as many: that is the whole slowing down, and two requests are
    never nearer to each other than one slot. Everybody who asks the same account shares one pacer, in one event loop.

    Args:
        rate: requests per second, any positive number; 1.5 is 90 a minute.
        clock: monotonic seconds, only used to tell one burst of 429s from the next. The spacing itself follows the event loop's time.
    """

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        if not rate > 0:
            raise ValueError(f"a rate must be above 0, not {rate}")
        self.configured = rate
        self._clock = clock
        self._limiter = AsyncLimiter(1, _MARGIN / rate)
        self._turn = asyncio.Lock()
        self._slots = 1
        self._in_a_row = 0
        self._slowed_at: float | None = None

    @property
    def rate(self) -> float:
        """The present rate in requests per second; below the configured one while a 429 is remembered."""
        return self.configured / self._slots

    async def acquire(self) -> float:
        """Wait until the next request may go out; it may take its time: those of one process are late together."""
        async with self._turn:
            paid = 0
            while paid < self._slots:  # looked at anew each time: a 429 may come in while this request waits
                await self._limiter.acquire()
                paid += 1
        return math.inf

    def slow_down(self) -> None:
        """Halve the rate, down to an eighth; call it for each 429."""
        now = self._clock()
        self._in_a_row = 0
        if self._slowed_at is not None and now - self._slowed_at < _ONE_BURST:
            return
        self._slowed_at = now
        self._slots = min(self._slots * 2, _SLOWEST)

    def speed_up(self) -> None:
        """Count a success; ten in a row raise the rate a step, up to the configured one."""
        self._in_a_row += 1
        if self._in_a_row >= _RECOVERY and self._slots > 1:
            self._slots -= 1
            self._in_a_row = 0
