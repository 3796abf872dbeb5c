"""How many passes a worker runs at a time, and how many of them on one account, so that a slow vendor leaves places to the others."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

SEATS = 4  # jobs for each place: those whose account is busy wait there without holding a place
PATIENCE = timedelta(seconds=10)  # below `turns.CLAIM`, so that nobody else is asked to do the same meanwhile


class NoPlace(Exception):
    """The accounts of a pipeline are as busy as they may be."""


class Places:
    """The places of one worker."""

    def __init__(self, count: int, *, patience: timedelta = PATIENCE) -> None:
        self.count = count
        self.seats = SEATS * count
        self._patience = patience
        self._all = asyncio.Semaphore(count)
        self._of_account: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(max(1, count // 4)))

    @asynccontextmanager
    async def taken(self, accounts: Collection[str]) -> AsyncIterator[None]:
        """Hold a place, and a share of these accounts. Raises NoPlace when none comes free for long."""
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._patience.total_seconds()):
                    for account in sorted(set(accounts)):  # in one order, so that nobody waits for each other
                        await stack.enter_async_context(self._of_account[account])
                    await stack.enter_async_context(self._all)
            except TimeoutError:
                raise NoPlace from None
            yield
