"""Spans of time: the window in which a pipeline discovers events, and the hours in which it may create them."""

import dataclasses
from datetime import datetime, time, timedelta

INSTANT = timedelta(microseconds=1)  # what lies between the end of a span and the beginning of the next


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of start times, both ends included; aware, in UTC."""

    begin: datetime
    end: datetime

    def __contains__(self, instant: datetime) -> bool:
        return self.begin <= instant <= self.end

    def padded(self, by: timedelta) -> "Span":
        """Return the span, longer by this much on both sides."""
        return Span(begin=self.begin - by, end=self.end + by)

    def split(self, length: timedelta) -> tuple["Span", "Span | None"]:
        """Cut off a first piece of at most this length; the rest does not overlap it, and is None where nothing is left."""
        middle = self.begin + length
        return self.split_at(middle) if middle < self.end else (self, None)

    def split_at(self, middle: datetime) -> tuple["Span", "Span"]:
        """Return what lies before an instant within the span, and the rest, which begins with it."""
        return Span(begin=self.begin, end=middle - INSTANT), Span(begin=middle, end=self.end)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How far back and ahead of now a pipeline looks for events."""

    past: timedelta
    future: timedelta

    def at(self, now: datetime) -> Span:
        """Return the window's span at this moment."""
        return Span(begin=now - self.past, end=now + self.future)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """A daily stretch of wall-clock time; one that ends before it begins runs over midnight."""

    begin: time
    end: time

    def __contains__(self, wall: time) -> bool:
        if self.begin <= self.end:
            return self.begin <= wall < self.end
        return wall >= self.begin or wall < self.end
