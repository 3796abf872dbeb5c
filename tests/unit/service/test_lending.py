"""Work beside the passes is waited for, and told where it is cut off."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from calrelay.assembly import Relay
from calrelay.errors import Busy, ConfigError
from calrelay.service.lending import Lending


def a_relay() -> Relay:
    return cast("Relay", SimpleNamespace())


async def test_work_is_done_with_the_relay_of_its_moment() -> None:
    first, second = a_relay(), a_relay()
    relays = [first]
    lending = Lending(lambda: relays[-1])

    async def which(relay: Relay) -> Relay:
        return relay

    assert await lending.run(which) is first
    lending.close()
    waiting = asyncio.create_task(lending.run(which))
    await asyncio.sleep(0)
    assert not lending.tasks
    relays.append(second)
    lending.open()
    assert await waiting is second
    assert not lending.tasks


async def test_what_it_raises_is_the_asker_s() -> None:
    async def refuse(_relay: Relay) -> None:
        raise ConfigError("no such event")

    with pytest.raises(ConfigError):
        await Lending(a_relay).run(refuse)


async def for_ever(_relay: Relay) -> None:
    await asyncio.Event().wait()


async def test_work_that_is_cut_off_tells_its_asker_who_goes_on() -> None:
    lending = Lending(a_relay)
    asking = asyncio.create_task(lending.run(for_ever))
    await asyncio.sleep(0)
    [task] = lending.tasks
    task.cancel()
    with pytest.raises(Busy, match="reloaded"):
        await asking


async def test_an_asker_who_ends_takes_the_work_along() -> None:
    lending = Lending(a_relay)
    asking = asyncio.create_task(lending.run(for_ever))
    await asyncio.sleep(0)
    [task] = lending.tasks
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert task.cancelled()
