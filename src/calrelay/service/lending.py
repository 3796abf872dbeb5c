"""Work beside the passes that asks a vendor: it is waited for before its relay is closed, as a pass is, and cut off like one."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from calrelay.assembly import Relay
from calrelay.errors import Busy

Answer = TypeVar("Answer")
Work = Callable[[Relay], Coroutine[Any, Any, Answer]]


class Lending:
    """Lends a relay to one piece of work after another. While it is closed newcomers wait: the relay is about to be another one."""

    def __init__(self, relay: Callable[[], Relay]) -> None:
        self._relay = relay
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def tasks(self) -> frozenset[asyncio.Task[Any]]:
        """The work under way; cancelling one cuts it off."""
        return frozenset(self._tasks)

    def close(self) -> None:
        """Let nobody begin."""
        self._is_open.clear()

    def open(self) -> None:
        """Let newcomers begin again, with the relay there is now."""
        self._is_open.set()

    async def run(self, work: Work[Answer]) -> Answer:
        """Do a piece of work. Raises what it raises, and Busy where it was cut off."""
        await self._is_open.wait()
        task = asyncio.create_task(work(self._relay()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await task
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            raise Busy("the config was reloaded meanwhile, and this took too long to be waited for", remedy="try again") from None


def _is_cancelled() -> bool:
    """Whether it is the asking task itself that is to end."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0
