"""Ends of a pipeline that wait at a gate, so that a test can look at what happens meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from calrelay.ports import Flaw, Holding, Page, Put, Scope
from tests.fakes.memory_source import MemorySource
from tests.fakes.memory_target import MemoryTarget


class Gate:
    """Open at first; closed, it holds whoever comes, and says so."""

    def __init__(self) -> None:
        self._is_open = asyncio.Event()
        self._is_open.set()
        self.reached = asyncio.Event()

    def close(self) -> None:
        """Hold whoever comes from now on."""
        self._is_open.clear()
        self.reached.clear()

    def open(self) -> None:
        """Let everybody through."""
        self._is_open.set()

    async def pass_through(self) -> None:
        """Go through, when it is open."""
        self.reached.set()
        await self._is_open.wait()


class GatedSource(MemorySource):
    """A source whose reads go through a gate."""

    gate: Gate

    async def read(self, scope: Scope) -> AsyncIterator[Page | Flaw]:
        """Yield what the source has, once through the gate."""
        await self.gate.pass_through()
        async for page in super().read(scope):
            yield page


class GatedTarget(MemoryTarget):
    """A target whose answers to upserts wait at a gate: the event is there, the answer is not."""

    gate: Gate

    async def upsert(self, puts: Sequence[Put]) -> Sequence[Holding]:
        """Write, then answer once through the gate."""
        answer = await super().upsert(puts)
        await self.gate.pass_through()
        return answer
