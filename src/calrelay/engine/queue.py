"""In which order, and in which batches, creates and updates are sent. Nothing is sent here."""

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from calrelay.domain.link import Field
from calrelay.domain.plan import Action, Create, Delete, Update

Upsert = Create | Update
T = TypeVar("T")
_FAR_FUTURE = datetime.max.replace(tzinfo=UTC)


class Batches(Iterator[Sequence[Upsert]]):
    """The queue, a batch at a time; of what is folded no more is at hand than the next batch. False when nothing is left."""

    def __init__(self, queue: Iterable[Upsert], size: int) -> None:
        self._queue = iter(queue)
        self._size = size
        self._next = self._take()

    def __bool__(self) -> bool:
        return bool(self._next)

    def __next__(self) -> Sequence[Upsert]:
        if not self._next:
            raise StopIteration
        batch, self._next = self._next, self._take()
        return batch

    def rest(self) -> list[Upsert]:
        """Return all that was not taken."""
        return [*self._next, *self._queue]

    def _take(self) -> list[Upsert]:
        return list(itertools.islice(self._queue, self._size))


def in_order(actions: Iterable[Action], folded: Iterable[Create] = ()) -> Iterator[Upsert]:
    """Yield the creates and updates among these, and what was folded away, which comes soonest start first, as they are to be sent."""
    return heapq.merge(sorted_upserts(actions), folded, key=_urgency)


def sorted_upserts(actions: Iterable[Action]) -> list[Upsert]:
    """Return the creates and updates, in the order in which they are sent."""
    return sorted((action for action in actions if not isinstance(action, Delete)), key=_urgency)


def in_groups(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Cut a sequence into groups of this size; the last may be smaller."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def _urgency(action: Upsert) -> tuple[int, datetime]:
    """Moves in time before everything else, then whatever starts soonest."""
    moves = isinstance(action, Update) and Field.START in action.fields
    return (0 if moves else 1, action.link.wanted.start if action.link.wanted else _FAR_FUTURE)
