"""Creates of a first load on their way to the target, folded away page by page: a hundred thousand fit where ten thousand would."""

import heapq
import itertools
import pickle
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime

from calrelay.domain.guard import people_of
from calrelay.domain.plan import Create


class Shelf:
    """Keeps creates that no guard asks about. Each comes off once, soonest start first.

    A group is unfolded when the start of its first event is due, so what was read in the order of time needs no more room on its way out.
    """

    def __init__(self) -> None:
        self._groups: list[tuple[datetime, int, bytes]] = []  # earliest start, creates put before, folded
        self._people: set[int] = set()  # hashes of their addresses, in a third of the room
        self._put = 0
        self._taken = 0

    def __len__(self) -> int:
        return self._put - self._taken

    @property
    def people(self) -> frozenset[int]:
        """The hashes of the distinct addresses of all that was ever put here; see `people_of`."""
        return frozenset(self._people)

    def put(self, creates: Sequence[Create]) -> None:
        """Fold some creates away, together: events of one page share half of what they are made of."""
        if creates:
            self._groups.append((min(map(_start, creates)), self._put, zlib.compress(pickle.dumps(list(creates)), 1)))
            self._people.update(map(hash, people_of(creates)))
            self._put += len(creates)

    def take_all(self) -> Iterator[Create]:
        """Take the creates off, soonest start first, and among equals in the order in which they were put here."""
        self._groups.sort(reverse=True)
        due: list[tuple[datetime, int, Create]] = []
        while self._groups or due:
            while self._groups and (not due or self._groups[-1][0] <= due[0][0]):
                _, number, folded = self._groups.pop()
                for count, create in zip(itertools.count(number), _unfolded(folded), strict=False):
                    heapq.heappush(due, (_start(create), count, create))
            self._taken += 1
            yield heapq.heappop(due)[2]


def _unfolded(folded: bytes) -> list[Create]:
    creates: list[Create] = pickle.loads(zlib.decompress(folded))  # noqa: S301 - our own, made a moment ago; it never left this process
    return creates


def _start(create: Create) -> datetime:
    return create.link.wanted.start if create.link.wanted else create.event.start
