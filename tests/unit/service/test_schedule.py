"""When the clock calls."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from calrelay.service.schedule import Schedule

FIVE = timedelta(minutes=5)


@pytest.fixture
async def schedule() -> "Iterator[Schedule]":  # type: ignore[misc] # an async fixture
    with Schedule() as running:
        yield running


async def test_the_first_call_comes_at_once_when_asked_for(schedule: Schedule) -> None:
    called = asyncio.Event()
    schedule.repeat("venue", called.set, every=FIVE, first=timedelta())
    await asyncio.wait_for(called.wait(), 5)


async def test_the_second_call_comes_after_the_interval_and_a_little_jitter(schedule: Schedule) -> None:
    called = asyncio.Event()
    schedule.repeat("venue", called.set, every=FIVE, first=timedelta())
    before = datetime.now(UTC)
    await asyncio.wait_for(called.wait(), 5)
    assert FIVE - timedelta(seconds=1) <= schedule.next_of("venue") - before <= FIVE + timedelta(seconds=35)


async def test_without_a_first_time_the_interval_comes_first(schedule: Schedule) -> None:
    schedule.repeat("venue", lambda: None, every=FIVE)
    assert timedelta(minutes=4) < schedule.next_of("venue") - datetime.now(UTC) <= FIVE


async def test_ticks_go_on(schedule: Schedule) -> None:
    ticks: asyncio.Queue[int] = asyncio.Queue()
    schedule.repeat("venue", lambda: ticks.put_nowait(1), every=timedelta(milliseconds=20), first=timedelta())
    assert [await asyncio.wait_for(ticks.get(), 5) for _ in range(3)] == [1, 1, 1]


async def test_a_name_stands_for_one_job(schedule: Schedule) -> None:
    schedule.repeat("venue", lambda: None, every=FIVE)
    schedule.repeat("venue", lambda: None, every=FIVE * 2)
    assert schedule.names == {"venue"}
    assert schedule.next_of("venue") - datetime.now(UTC) > FIVE
    schedule.drop("venue")
    schedule.drop("venue")
    assert schedule.names == frozenset()
