"""Remembers which body was the last about an event, for a while, so that a vendor's repeats cost nothing. Bounded."""

import hashlib
from collections import OrderedDict
from collections.abc import Collection
from typing import Final

from calrelay.domain.event import SourceId

MOST: Final = 10_000  # events; a hundred bytes or so each
LASTS: Final = 600.0  # seconds; a vendor's repeats come within minutes (Tripleseat: 8, delivery)

_Key = tuple[str, SourceId]


class Repeats:
    """Recognises a body that was the last one about each event it names.

    Not any body seen before: a guest count that goes from 40 to 44 and back gives the first body again, and it is news.
    """

    def __init__(self) -> None:
        self._last: OrderedDict[_Key, tuple[bytes, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def take(self, account: str, source_ids: Collection[SourceId], body: bytes, at: float) -> bool:
        """Remember a body, and say whether it is a repeat; `at` is monotonic."""
        digest, keys = hashlib.sha256(body).digest(), [(account, source_id) for source_id in source_ids]
        is_repeat = bool(keys) and all(self._is_last(key, digest, at) for key in keys)
        for key in keys:
            self._last[key] = (digest, at)
            self._last.move_to_end(key)
        while len(self._last) > MOST:
            self._last.popitem(last=False)
        return is_repeat

    def _is_last(self, key: _Key, digest: bytes, at: float) -> bool:
        known = self._last.get(key)
        return known is not None and known[0] == digest and at - known[1] <= LASTS
