import asyncio
from bisect import bisect_left
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calrelay.http.pacing import Pacer
from tests.fakes.virtual_time import VirtualTimeLoop


async def grants(pacer: Pacer, count: int) -> list[float]:
    """Ask for `count` grants at once, and return when each came."""
    loop = asyncio.get_running_loop()

    async def one() -> float:
        await pacer.acquire()
        return loop.time()

    return list(await asyncio.gather(*(one() for _ in range(count))))


@cache
def granted(rate: float, count: int) -> list[float]:
    """When a pacer lets so many requests go that are all asked for at once."""
    loop = VirtualTimeLoop()
    times: list[float] = loop.run(grants(Pacer(rate), count))
    loop.end()
    return times


def arrivals(times: list[float], lags: list[float]) -> list[float]:
    """When requests reach the vendor that went out then and took so long."""
    return sorted(time + lag for time, lag in zip(times, lags, strict=True))


def most_within(seconds: float, times: list[float]) -> int:
    return max(bisect_left(times, start + seconds) - number for number, start in enumerate(times))


def most_in_a_second(times: list[float]) -> int:
    return max(sum(start <= other <= start + 1 for other in times) for start in times)


@pytest.mark.parametrize("rate", [0.5, 1, 1.5, 3, 10, 25])
def test_no_second_ever_holds_more_requests_than_the_rate(rate: float, in_no_time: Callable[..., Any]) -> None:
    """Both ends of the second included, with everybody asking at once."""
    times = in_no_time(grants(Pacer(rate), 60))
    assert most_in_a_second(times) <= ceil(rate)


@given(rate=st.sampled_from([1.0, 3.0, 10.0, 25.0]), lags=st.lists(st.floats(0, 0.0199), min_size=60, max_size=60))
def test_no_second_holds_more_than_the_rate_where_requests_arrive_up_to_20_ms_off_their_time(rate: float, lags: list[float]) -> None:
    times = granted(rate, 60)
    assert most_within(1.0, arrivals(times, lags)) <= rate


@given(lags=st.lists(st.floats(0, 1.19), min_size=250, max_size=250))
@settings(max_examples=25)
def test_no_minute_holds_more_than_the_rate_where_requests_arrive_up_to_a_second_off_their_time(lags: list[float]) -> None:
    times = granted(100 / 60, 250)
    assert most_within(60.0, arrivals(times, lags)) <= 100


def test_requests_are_evenly_spaced_and_the_rate_is_nearly_used(in_no_time: Callable[..., Any]) -> None:
    times = in_no_time(grants(Pacer(3), 31))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) - min(gaps) < 0.001
    assert 10 <= times[-1] < 10.25


def test_who_asks_first_goes_first(in_no_time: Callable[..., Any]) -> None:
    times = in_no_time(grants(Pacer(3), 10))
    assert times == sorted(times)


def test_idleness_earns_no_burst(in_no_time: Callable[..., Any]) -> None:
    async def idle_then_ask() -> list[float]:
        pacer = Pacer(3)
        await pacer.acquire()
        await asyncio.sleep(60)
        return await grants(pacer, 10)

    assert most_in_a_second(in_no_time(idle_then_ask())) <= 3


def test_a_429_halves_the_rate(in_no_time: Callable[..., Any]) -> None:
    async def slowed() -> list[float]:
        pacer = Pacer(4)
        pacer.slow_down()
        return await grants(pacer, 9)

    times = in_no_time(slowed())
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([0.51] * 8, abs=0.001)


def test_a_429_slows_those_down_who_are_already_waiting(in_no_time: Callable[..., Any]) -> None:
    async def slowed_on_the_way() -> list[float]:
        pacer = Pacer(4)
        waiting = asyncio.create_task(grants(pacer, 3))
        await asyncio.sleep(0.1)
        pacer.slow_down()
        return await waiting

    first, second, third = in_no_time(slowed_on_the_way())
    assert (second - first, third - second) == pytest.approx((0.51, 0.51), abs=0.001)


def test_429s_of_one_burst_count_as_one() -> None:
    """Five requests in flight are refused together; the rate must not fall to a thirty-second for it."""
    now = 100.0
    pacer = Pacer(8, clock=lambda: now)
    for _ in range(5):
        pacer.slow_down()
    assert pacer.rate == 4


def test_the_rate_never_falls_below_an_eighth() -> None:
    now = iter(range(0, 1000, 10))
    pacer = Pacer(8, clock=lambda: next(now))
    rates = []
    for _ in range(5):
        pacer.slow_down()
        rates.append(pacer.rate)
    assert rates == [4, 2, 1, 1, 1]


def test_success_brings_the_rate_back_step_by_step_and_no_further() -> None:
    now = iter(range(0, 1000, 10))
    pacer = Pacer(12, clock=lambda: next(now))
    pacer.slow_down()
    pacer.slow_down()
    rates = []
    for _ in range(5):
        for _ in range(10):
            pacer.speed_up()
        rates.append(pacer.rate)
    assert rates == [4, 6, 12, 12, 12]


def test_a_429_between_starts_the_count_of_successes_anew() -> None:
    now = iter(range(0, 1000, 10))
    pacer = Pacer(8, clock=lambda: next(now))
    pacer.slow_down()
    for _ in range(9):
        pacer.speed_up()
    pacer.slow_down()
    pacer.speed_up()
    assert pacer.rate == 2


def test_a_cancelled_request_does_not_hold_up_the_others(in_no_time: Callable[..., Any]) -> None:
    async def cancel_one() -> list[float]:
        pacer = Pacer(2)
        await pacer.acquire()
        waiting = asyncio.create_task(pacer.acquire())
        await asyncio.sleep(0.01)
        waiting.cancel()
        return await grants(pacer, 2)

    first, second = in_no_time(cancel_one())
    assert (first, second) == pytest.approx((0.51, 1.02), abs=0.001)


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_is_not_above_nought_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Pacer(rate)
