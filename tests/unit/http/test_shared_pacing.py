import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from math import ceil
from typing import Any

import pytest

from calrelay.http.shared_pacing import Booking, SharedPacer


class Desk:
    """Where the processes of a test book, by the loop's time."""

    def __init__(self) -> None:
        self.next_free_at = 0.0
        self.slots = 1
        self.calls: list[str] = []

    def book(self, account: str, interval: timedelta, allowance: timedelta) -> Booking:
        now = asyncio.get_running_loop().time()
        begins = max(self.next_free_at, now)
        self.next_free_at = begins + interval.total_seconds() * self.slots + allowance.total_seconds()
        return Booking(wait=timedelta(seconds=begins - now), slots=self.slots)

    def slow_down(self, account: str) -> None:
        self.slots = min(self.slots * 2, 8)

    def speed_up(self, account: str) -> None:
        self.slots -= 1


def a_pacer(desk: Desk, rate: float, delay: Callable[[], float] = lambda: 0.0) -> tuple[SharedPacer, Callable[[], float]]:
    """A pacer in a process that is late by so much each time it looks at its clock."""
    behind = 0.0

    def clock() -> float:
        nonlocal behind
        behind += delay()
        return asyncio.get_running_loop().time() + behind

    return SharedPacer("venue", rate, desk, clock=clock), clock


async def ask(pacer: SharedPacer, count: int, times: list[float]) -> None:
    async def one() -> None:
        await pacer.acquire()
        times.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(one() for _ in range(count)))


def most_in_a_second(times: list[float]) -> int:
    return most_within(1, times)


def most_within(seconds: float, times: list[float]) -> int:
    return max(sum(start <= other <= start + seconds for other in times) for start in times)


@pytest.mark.parametrize("rate", [0.5, 1, 1.5, 3, 10, 25])
def test_no_second_ever_holds_more_requests_than_the_rate_over_all_processes(rate: float, in_no_time: Callable[..., Any]) -> None:
    desk = Desk()
    times: list[float] = []

    async def all_together() -> None:
        await asyncio.gather(*(ask(a_pacer(desk, rate)[0], 15, times) for _ in range(4)))

    in_no_time(all_together())
    assert len(times) == 60
    assert most_in_a_second(times) <= ceil(rate)
    assert times[-1] < 60 * 1.16 / rate


@pytest.mark.parametrize("a_minute", [6, 50, 90, 100])
def test_a_rate_of_so_many_a_minute_loses_little(a_minute: int, in_no_time: Callable[..., Any]) -> None:
    """Delays are as long as ever, and a minute is sixty times a second: of its rate no more is left to them than within a process."""
    desk = Desk()
    times: list[float] = []

    async def all_together() -> None:
        await asyncio.gather(*(ask(a_pacer(desk, a_minute / 60)[0], 100, times) for _ in range(3)))

    in_no_time(all_together())
    assert most_within(60, times) <= a_minute
    assert times[-1] < 300 * 60 / a_minute * 1.021


class SleepyPacer(SharedPacer):
    """In a process that wakes up late by up to half a second."""

    def __init__(self, rate: float, desk: Desk, chance: random.Random) -> None:
        super().__init__("venue", rate, desk, clock=lambda: asyncio.get_running_loop().time())
        self._chance = chance

    async def _wait_for_a_slot(self) -> float:
        late = await super()._wait_for_a_slot()
        extra = self._chance.uniform(0, 0.5)
        await asyncio.sleep(extra)
        return late + extra


@pytest.mark.parametrize("seed", range(5))
def test_processes_that_are_always_late_keep_the_rate_and_get_their_turn(seed: int, in_no_time: Callable[..., Any]) -> None:
    desk, chance = Desk(), random.Random(seed)
    times: list[float] = []

    async def all_together() -> None:
        await asyncio.gather(*(ask(SleepyPacer(10, desk, chance), 10, times) for _ in range(3)))

    in_no_time(all_together())
    assert len(times) == 30
    assert most_in_a_second(times) <= 10


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.5, 5 / 3, 3, 10])
def test_processes_that_write_late_keep_the_rate_where_they_ask_again(rate: float, in_no_time: Callable[..., Any]) -> None:
    """New connections take up to half a second here, and a third of the room that is left up to the vendor."""
    desk, chance = Desk(), random.Random(7)
    interval = max(1.02 / rate, 1.15 / ceil(rate))
    way = min(ceil(rate) * interval - 1, 60 * (rate * interval - 1)) / 3
    times: list[float] = []

    async def ask_slowly(pacer: SharedPacer, count: int) -> None:
        for _ in range(count):
            latest = await pacer.acquire()
            await asyncio.sleep(chance.choice([0, 0, 0.1, 0.5]))
            while asyncio.get_running_loop().time() > latest:
                latest = await pacer.acquire()
            times.append(asyncio.get_running_loop().time() + chance.uniform(0, way))

    async def all_together() -> None:
        await asyncio.gather(*(ask_slowly(a_pacer(desk, rate)[0], 25) for _ in range(3)))

    in_no_time(all_together())
    assert len(times) == 75
    assert most_in_a_second(times) <= ceil(rate)
    assert most_within(60, times) <= max(60 * rate, 1)


def test_a_refusal_slows_all_processes_down_and_ten_successes_in_a_row_bring_a_step_back(in_no_time: Callable[..., Any]) -> None:
    desk = Desk()
    one, other = a_pacer(desk, 10)[0], a_pacer(desk, 10)[0]

    async def work() -> None:
        one.slow_down()
        await other.acquire()
        assert other.rate == 5
        for _ in range(10):
            other.speed_up()
        await other.acquire()
        assert other.rate == 10

    in_no_time(work())


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        SharedPacer("venue", 0, Desk())
