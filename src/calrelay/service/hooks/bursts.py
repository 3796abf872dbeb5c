"""Gathers what a burst of webhooks names, and hands it on once it is quiet for a moment, or has gone on for too long."""

import asyncio
import dataclasses
from collections.abc import Callable, Collection
from typing import Final

from calrelay.domain.event import SourceId

QUIET: Final = 0.25  # seconds without a webhook that end a burst
LONGEST: Final = 1.0  # seconds after which a burst is handed on though it goes on
MOST: Final = 1_000  # events of a burst; with one more it is handed on at once


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """When an event was first and last named in a burst, by the loop's clock."""

    first: float
    last: float


@dataclasses.dataclass(slots=True, kw_only=True)
class _Burst:
    began: float
    timer: asyncio.TimerHandle | None = None
    named: dict[SourceId, Named] = dataclasses.field(default_factory=dict)


HandOn = Callable[[str, dict[SourceId, Named]], None]


class Bursts:
    """The bursts of all accounts. Lives in one event loop."""

    def __init__(self, hand_on: HandOn) -> None:
        self._hand_on = hand_on
        self._open: dict[str, _Burst] = {}

    def add(self, account: str, source_ids: Collection[SourceId]) -> bool:
        """Note what a webhook named; True when none of it is news to this burst."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        burst = self._open.setdefault(account, _Burst(began=now))
        is_known = all(source_id in burst.named for source_id in source_ids)
        for source_id in source_ids:
            known = burst.named.get(source_id)
            burst.named[source_id] = Named(first=known.first if known else now, last=now)
        if burst.timer is not None:
            burst.timer.cancel()
        if len(burst.named) > MOST:
            self._end(account)
        else:
            burst.timer = loop.call_at(min(now + QUIET, burst.began + LONGEST), self._end, account)
        return is_known

    def close(self) -> None:
        """Hand on what is open, at the end."""
        for account in list(self._open):
            self._end(account)

    def _end(self, account: str) -> None:
        burst = self._open.pop(account)
        if burst.timer is not None:
            burst.timer.cancel()
        self._hand_on(account, burst.named)
