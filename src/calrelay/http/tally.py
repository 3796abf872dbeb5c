"""Counts requests, and lets a pass count its own apart from those that others make of the same account at the same time."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

_OWN: ContextVar["Counter[Tally] | None"] = ContextVar("requests of our own", default=None)


class Tally:
    """The requests of one client."""

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self._total = 0

    def add(self) -> None:
        """Count a request."""
        self._total += 1
        if (own := _OWN.get()) is not None:
            own[self] += 1

    @property
    def number(self) -> int:
        """How many there were; within `counting_its_own` those that it, and the tasks it began, have made."""
        own = _OWN.get()
        return self._total if own is None else own[self]


@asynccontextmanager
async def counting_its_own() -> AsyncIterator[None]:
    """Let every tally tell, for as long as this lasts, what was asked in here only. Within another one it changes nothing."""
    if _OWN.get() is not None:
        yield
        return
    token = _OWN.set(Counter())
    try:
        yield
    finally:
        _OWN.reset(token)
