"""Ids that webhooks named and that no pass has looked at since: how many are kept, and which pass looks at them most cheaply. Pure."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import Final

from calrelay.domain.event import SourceId
from calrelay.domain.guard import Earlier
from calrelay.engine.order import Reach

MOST: Final = 1_000  # ids that are kept for a pipeline; more are seen by a read of everything that changed
FEW: Final = 5  # so few are always asked for by id
AT_ONCE: Final = 5  # ids that one pass asks for, so that a scheduled one that falls due meanwhile waits for a few requests at most


class Fate(StrEnum):
    """What became of a hint."""

    READ = "read"  # a pass has looked at its event since
    DROPPED = "dropped"  # left to the scheduled passes


Told = Callable[[Fate, float], None]
"""Is told what became of a hint, and how many seconds after it came."""


def to_nobody(_fate: Fate, _seconds: float) -> None:
    """Tell nobody."""


@dataclasses.dataclass(slots=True, kw_only=True)
class _Waiting:
    """When an id was first and last named since a pass looked at it; instants are monotonic seconds."""

    first: float
    last: float
    told: Told


class Hints:
    """The hints of one pipeline. Coalesces by id, keeps the order of arrival, and never grows beyond `MOST`."""

    def __init__(self) -> None:
        self._waiting: dict[SourceId, _Waiting] = {}
        self._is_overflowing = False
        self.is_patient = False  # a vendor is down: hints wait for a scheduled pass that goes well
        self.earlier = Earlier()  # what passes over hints let through since the last scheduled one

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def are_ready(self) -> bool:
        """Whether there is something to look at, and a vendor to ask."""
        return bool(self._waiting) and not self.is_patient

    def add(self, source_ids: Collection[SourceId], at: float, told: Told = to_nobody) -> None:
        """Note ids that a webhook named."""
        for source_id in source_ids:
            known = self._waiting.get(source_id)
            if known is not None:
                known.last = at
            elif len(self._waiting) < MOST:
                self._waiting[source_id] = _Waiting(first=at, last=at, told=told)
            else:
                self._is_overflowing = True
                told(Fate.DROPPED, 0.0)

    def choose(self, costs: Mapping[Reach, int], *, reads_changes: bool) -> Reach:
        """Return the reach that looks at all hints with the fewest requests; `costs` is what the last pass of each reach cost the source.

        A quick pass counts where the source tells what changed; elsewhere it shows the next days only.
        """
        others = [reach for reach in (Reach.QUICK, Reach.COMPLETE) if reach is Reach.COMPLETE or reads_changes]
        if self._is_overflowing:
            return others[0]
        if len(self) <= FEW:
            return Reach.IDS
        cheapest = min((reach for reach in others if reach in costs), key=lambda reach: costs[reach], default=Reach.IDS)
        return cheapest if costs.get(cheapest, len(self)) < len(self) else Reach.IDS

    def next_ids(self) -> frozenset[SourceId]:
        """Return the ids that have waited longest, as many as one pass asks for."""
        return frozenset(list(self._waiting)[:AT_ONCE])

    def came_since(self, at: float) -> list[SourceId]:
        """Return the ids that were named after this instant, where there is a vendor to ask; those that have waited longest first."""
        return [] if self.is_patient else [source_id for source_id, hint in self._waiting.items() if hint.last > at]

    def answer(self, began: float, now: float, source_ids: Collection[SourceId] | None = None) -> None:
        """Let go of these hints, or of all, that came before a pass began which has looked at them, and has ended now."""
        for source_id in list(self._waiting if source_ids is None else source_ids):
            hint = self._waiting.get(source_id)
            if hint is not None and hint.first <= began:
                hint.told(Fate.READ, now - hint.first)
                self._forget(source_id, hint, began)
        if source_ids is None:
            self._is_overflowing = False

    def drop(self) -> None:
        """Leave all of them to the scheduled passes."""
        waiting, self._waiting = self._waiting, {}
        self._is_overflowing = False
        for hint in waiting.values():
            hint.told(Fate.DROPPED, 0.0)

    def _forget(self, source_id: SourceId, hint: _Waiting, began: float) -> None:
        """Let go of a hint; one that was named again since the pass began waits on, behind the others."""
        del self._waiting[source_id]
        if hint.last > began:
            self._waiting[source_id] = dataclasses.replace(hint, first=hint.last)
