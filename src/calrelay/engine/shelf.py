"""Creates of a first load on their way to the target, folded away page by page: a hundred thousand fit where ten thousand would."""

import dataclasses
import heapq
import io
import itertools
import operator
import pickle
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from calrelay.domain.entry import Entry
from calrelay.domain.event import Event
from calrelay.domain.guard import people_of
from calrelay.domain.link import Basis, Imprint, Link
from calrelay.domain.people import Participant
from calrelay.domain.plan import Create

_MADE_OF: Final[tuple[type, ...]] = (
    Create,
    Entry,
    Event,
    Participant,
    Link,
    Imprint,
    Basis,
)  # the values that make up a create; others fold as they will


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
            self._groups.append((min(map(_start, creates)), self._put, _folded(creates)))
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


def _folded(creates: Sequence[Create]) -> bytes:
    written = io.BytesIO()
    pickler = pickle.Pickler(written, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = _TAKEN_APART
    pickler.dump(list(creates))
    return zlib.compress(written.getbuffer(), 1)


def _unfolded(folded: bytes) -> list[Create]:
    creates: list[Create] = pickle.loads(zlib.decompress(folded))  # noqa: S301 - our own, made a moment ago; it never left this process
    return creates


def _taking_apart(kind: type) -> Callable[[Any], Any]:
    """Return how a value is pickled: its class and fields. What frozen dataclasses with slots do by themselves takes twice as long."""
    values_of = operator.attrgetter(*(field.name for field in dataclasses.fields(kind)))
    return lambda value: (_put_together, (kind, values_of(value)))


def _put_together(kind: type, values: tuple[object, ...]) -> object:
    made: object = object.__new__(kind)
    for put, value in zip(_SLOTS[kind], values, strict=True):
        put(made, value)
    return made


_TAKEN_APART: Final[Mapping[type, Callable[[Any], Any]]] = {kind: _taking_apart(kind) for kind in _MADE_OF}
_SLOTS: Final[Mapping[type, Sequence[Callable[[object, object], None]]]] = {
    kind: [vars(kind)[field.name].__set__ for field in dataclasses.fields(kind)] for kind in _MADE_OF
}


def _start(create: Create) -> datetime:
    return create.link.wanted.start if create.link.wanted else create.event.start
