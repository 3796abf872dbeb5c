"""What a trial asks of the server, and what was seen of it. The server loads it in its own environment: only the standard library."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

BATCH = 50  # events in a request of every contender
FILE = 500  # events in a file of dlt's, and so in one of its jobs


def place_of_poison(count: int) -> int:
    """Return which of so many rows is the one that may be refused: some two fifths in, amid a batch and amid a file.

    Not first in either: what is lost with it would be more, or less, than with most other places.
    """
    middle = FILE // 2 - BATCH // 2  # amid the batch before the middle of the file
    return min(count * 2 // 5 // FILE * FILE + middle, count - 1)


class Books:
    """What a trial asks for, and what was seen of it."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.latency = float(order.get("latency", 0.0))
        self.per_event = float(order.get("per_event", 0.0))
        self.share_503 = float(order.get("share_503", 0.0))
        self.poison = order.get("poison")
        self.trap = order.get("trap")  # after so many events were taken, no write is answered any more
        self.chance = random.Random(int(order.get("seed", 1)))
        self.reads = self.writes = self.refused = self.failed = 0
        self.sent = 0  # events in requests
        self.first: float | None = None
        self.last = 0.0
        self.is_trapped = False
        self._times: Counter[str] = Counter()

    def note_sent(self, external_ids: Sequence[str]) -> None:
        """Note the events of a request, whatever becomes of it."""
        self.sent += len(external_ids)
        self._times.update(external_ids)

    @property
    def sent_again(self) -> int:
        """Events in requests beyond one each: what was never sent makes up for nothing."""
        return self.sent - len(self._times)
