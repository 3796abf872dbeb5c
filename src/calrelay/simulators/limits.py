"""Counts requests in a sliding window, for the vendors' 429s. What a 429 looks like is each vendor's own business."""

from collections import deque
from datetime import timedelta


class RateWindow:
    """At most `limit` requests in any window of length `per`; `limit` may be changed at any time, 0 means no limit."""

    def __init__(self, limit: int, per: timedelta) -> None:
        self.limit = limit
        self._per = per.total_seconds()
        self._hits: deque[float] = deque()

    def hit(self, monotonic: float) -> float | None:
        """Count a request made now (seconds of a monotonic clock).

        Returns None when it is let through, else the seconds until one would be; a refused request does not count.
        """
        while self._hits and self._hits[0] <= monotonic - self._per:
            self._hits.popleft()
        if self.limit <= 0 or len(self._hits) < self.limit:
            self._hits.append(monotonic)
            return None
        return self._hits[-self.limit] + self._per - monotonic

    def clear(self) -> None:
        """Forget the requests counted so far."""
        self._hits.clear()
