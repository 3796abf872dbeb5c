"""An account's pace where several processes ask it: each request is booked where all of them look. How bookings are kept is the state's."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

# A request goes out some time after its slot began: the loop was busy, a connection had to be made, the line was slow. So many seconds are
# left for that between processes, which do not know of each other's delays: a third until it wakes up, one until it is on the wire, and one
# for the way. As many requests as a second may hold spread over so much more than it; those that a minute may hold, over 2 % more at least,
# as within one process: 90 or 100 a minute lose no more than that; 60 or 120, whole numbers a second, as much as those.
_DELAYS = 0.15
_MARGIN = 1.02
_MINUTE = 60.0
_RECOVERY = 10  # requests in a row without a 429, before each step back up
_MOST_ALLOWED = 5.0  # seconds
_PUNCTUAL = 0.01  # seconds; a smaller allowance is none
_FORGETTING = 0.8  # by each punctual request: a slot let go costs more than some that are longer than need be


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """A slot that is ours: how long until it begins, and how many slots a request costs at present."""

    wait: timedelta
    slots: int


class Bookings(Protocol):
    """Where all processes book their requests. Every method is one short, blocking call, and raises StateError."""

    def book(self, account: str, interval: timedelta, allowance: timedelta) -> Booking:
        """Take the next free slot: `interval` long, as often as a request costs slots, and `allowance` longer."""

    def slow_down(self, account: str) -> None:
        """Double what a request costs, up to eight slots; several calls within a second count as one."""

    def speed_up(self, account: str) -> None:
        """Let a request cost one slot less, down to one."""


class SharedPacer:
    """Grants an account's requests, never above its rate over all processes that book in the same place. See `pacing.Pacer`.

    Whoever wakes up too late for its slot, because its loop was busy or the process was suspended, lets it go and books a longer one, in
    which it may be as late as it just was: so no two requests come nearer to each other than a slot, and a slow process still gets its
    turn. Whoever is not on the wire in time, which the client sees, asks again. Each process has at most one booking per account at a
    time, so that they take turns.
    """

    def __init__(self, account: str, rate: float, bookings: Bookings, *, clock: Callable[[], float] = time.monotonic) -> None:
        if not rate > 0:
            raise ValueError(f"a rate must be above 0, not {rate}")
        self.configured = rate
        self._account = account
        self._bookings = bookings
        self._clock = clock
        self._interval = max(_MARGIN / rate, (1 + _DELAYS) / math.ceil(rate))
        self._tolerance = min(math.ceil(rate) * self._interval - 1, _MINUTE * (rate * self._interval - 1)) / 3
        self._turn = asyncio.Lock()
        self._allowance = 0.0
        self._slots = 1
        self._in_a_row = 0

    @property
    def rate(self) -> float:
        """The present rate in requests per second, as of our last request; below the configured one while a 429 is remembered."""
        return self.configured / self._slots

    async def acquire(self) -> float:
        """Wait until the next request may go out; return until when it has to be on the wire, by the clock. Raises StateError."""
        async with self._turn:
            while (late := await self._wait_for_a_slot()) > self._tolerance + self._allowance:
                self._allowance = min(1.5 * late, _MOST_ALLOWED)
            latest = self._clock() - late + 2 * self._tolerance + self._allowance
            self._allowance = self._allowance * _FORGETTING if self._allowance > _PUNCTUAL else 0.0
            return latest

    def slow_down(self) -> None:
        """Halve the rate of all processes, down to an eighth; call it for each 429."""
        self._in_a_row = 0
        self._bookings.slow_down(self._account)

    def speed_up(self) -> None:
        """Count a success; ten in a row raise the rate a step, up to the configured one."""
        self._in_a_row += 1
        if self._in_a_row >= _RECOVERY and self._slots > 1:
            self._in_a_row = 0
            self._bookings.speed_up(self._account)

    async def _wait_for_a_slot(self) -> float:
        """Return by how many seconds we came too late for it."""
        asked = self._clock()
        booking = self._bookings.book(self._account, timedelta(seconds=self._interval), timedelta(seconds=self._allowance))
        self._slots = booking.slots
        seconds = max(booking.wait.total_seconds(), 0.0)
        if seconds:
            await asyncio.sleep(seconds)
        return self._clock() - asked - seconds
