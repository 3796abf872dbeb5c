import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from calrelay.cluster.places import NoPlace, Places


async def test_one_account_gets_a_quarter_of_the_places_and_all_together_no_more_than_there_are() -> None:
    places = Places(4, patience=timedelta(0))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(places.taken(("venue", "target")))
        for busy in (("venue", "other"), ("other", "target")):
            with pytest.raises(NoPlace):
                await places.taken(busy).__aenter__()
        for number in range(3):
            await stack.enter_async_context(places.taken((f"venue {number}", f"target {number}")))
        with pytest.raises(NoPlace):
            await places.taken(("the", "last")).__aenter__()


async def test_what_was_waited_for_in_vain_is_free_for_others() -> None:
    places = Places(2, patience=timedelta(0))
    async with places.taken(("venue", "target")):
        with pytest.raises(NoPlace):
            await places.taken(("studio", "target")).__aenter__()
        async with places.taken(("studio", "other")):
            pass


async def test_a_place_that_comes_free_in_time_is_taken() -> None:
    places = Places(1)
    async with places.taken(("venue", "target")):
        waiting = asyncio.ensure_future(places.taken(("venue", "target")).__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting


async def test_a_pipeline_between_one_account_and_itself_needs_it_once() -> None:
    async with Places(2).taken(("venue", "venue")):
        pass
