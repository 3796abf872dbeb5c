"""Reading lists page by page, in page order, without ever concluding in silence that a list has ended. It knows nothing of HTTP."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from calrelay.errors import Actor, VendorError

Row = TypeVar("Row")
Fetched = TypeVar("Fetched")

IN_FLIGHT = 5
_PATIENCE = 5  # failed pages in a row; each has had its retries, so the vendor is down and the rest would only take hours
_PATIENCE_UNNUMBERED = 2  # where no number of pages bounds the trying


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row]):
    """A page as fetched from a list that tells how many pages it has."""

    rows: Sequence[Row]
    total_pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRead(Generic[Row]):
    """A soundly read page: the rows not seen on earlier pages, and how many had been seen."""

    number: int
    rows: tuple[Row, ...]
    repeated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFlaw:
    """Why the list is not completely read; `error` where a request failed. One flaw is enough to conclude nothing is gone."""

    number: int
    what: str
    error: VendorError | None = None


class OnRepeat(StrEnum):
    """What a full page without a single new row means in a list that tells no total."""

    FLAW = "flaw"  # the vendor ignores the page number, as far as we can tell
    END = "end"  # the vendor repeats its last page beyond the end; only for callers that compare the count with another source


@dataclass(slots=True)
class _Seen(Generic[Row]):
    """The ids read so far; all that is kept of a page."""

    key: Callable[[Row], Hashable]
    ids: set[Hashable] = field(default_factory=set)

    def read(self, number: int, rows: Sequence[Row]) -> PageRead[Row]:
        fresh = tuple(row for row in rows if self._is_new(row))
        return PageRead(number=number, rows=fresh, repeated=len(rows) - len(fresh))

    def _is_new(self, row: Row) -> bool:
        before = len(self.ids)
        self.ids.add(self.key(row))
        return len(self.ids) > before


async def read_pages(
    fetch: Callable[[int], Awaitable[Page[Row]]],
    *,
    key: Callable[[Row], Hashable],
    cap: int,
    in_flight: int = IN_FLIGHT,
) -> AsyncGenerator[PageRead[Row] | PageFlaw, None]:
    """Read a list whose pages tell their number: page 1 first, then up to `in_flight` at once.

    Yields in page order, at least one outcome per page; the list is complete if none of them is a PageFlaw. A page that fails does
    not stop the others, unless five fail in a row or the operator has to act first. More pages promised on the way are read as
    well; fewer are a flaw, because rows that moved up may have been missed. A page that repeats only known rows is a flaw and ends
    the reading. Leave early only through `contextlib.aclosing`.

    Args:
        fetch: fetches a page, counted from 1. Its VendorErrors become flaws, anything else ends the reading.
        key: a row's id.
        cap: the most pages to ask for; promised pages beyond it are a flaw.
        in_flight: how many pages are asked for at once.
    """
    book = _Numbered(seen=_Seen(key))
    flying: deque[asyncio.Task[Page[Row] | PageFlaw]] = deque()
    number = asked = 0
    try:
        while not book.is_over:
            while asked < min(book.promised, cap) and len(flying) < in_flight:
                asked += 1
                flying.append(asyncio.create_task(_fetched(fetch, asked)))
            if not flying:
                break
            number += 1
            page = await flying[0]
            flying.popleft()
            for outcome in book.judge(number, page):
                yield outcome
    finally:
        await _stop(flying)
    if book.promised > cap and not book.is_over:
        yield PageFlaw(number=cap + 1, what=f"{book.promised} pages are promised, more than the {cap} that are read at most")


async def read_until_empty(
    fetch: Callable[[int], Awaitable[Sequence[Row]]],
    *,
    key: Callable[[Row], Hashable],
    cap: int,
    on_repeat: OnRepeat = OnRepeat.FLAW,
) -> AsyncGenerator[PageRead[Row] | PageFlaw, None]:
    """Read a list that tells no total, one page after the other, until an empty one; that one is yielded too, without rows.

    The list is complete if no outcome is a PageFlaw. A short page is not the end. After a failed page the next one is tried, unless
    two fail in a row or the operator has to act first.

    Args:
        fetch: fetches a page, counted from 1. Its VendorErrors become flaws, anything else ends the reading.
        key: a row's id.
        cap: the most pages to ask for; reaching it before the end is a flaw.
        on_repeat: what a page without a new row means.
    """
    seen = _Seen(key)
    failures = _Failures(patience=_PATIENCE_UNNUMBERED)
    for number in range(1, cap + 1):
        rows = await _fetched(fetch, number)
        if isinstance(rows, PageFlaw):
            yield rows
            if failures.count(rows):
                return
            continue
        failures.in_a_row = 0
        outcome, is_last = _judge_unnumbered(seen.read(number, rows), on_repeat)
        yield outcome
        if is_last:
            return
    yield PageFlaw(number=cap + 1, what=f"no end in sight after {cap} pages, the most that are read")


def _judge_unnumbered(page: PageRead[Row], on_repeat: OnRepeat) -> tuple[PageRead[Row] | PageFlaw, bool]:
    """Return the outcome of a page, and whether it is the last."""
    if page.rows:
        return page, False
    if page.repeated and on_repeat is OnRepeat.FLAW:
        return _repeats(page.number), True
    return page, True


@dataclass(slots=True, kw_only=True)
class _Failures:
    """How long to go on after failed pages."""

    patience: int
    in_a_row: int = 0

    def count(self, flaw: PageFlaw) -> bool:
        """Count one failed page, and tell whether to give up."""
        self.in_a_row += 1
        needs_operator = flaw.error is not None and flaw.error.actor is Actor.OPERATOR
        return needs_operator or self.in_a_row >= self.patience


@dataclass(slots=True, kw_only=True)
class _Numbered(Generic[Row]):
    """What is known of a list that tells its number of pages."""

    seen: _Seen[Row]
    promised: int = 1  # the most any page has told
    latest: int = 0  # what the page before has told
    failures: _Failures = field(default_factory=lambda: _Failures(patience=_PATIENCE))
    is_over: bool = False  # nothing more is worth asking; a flaw has said why

    def judge(self, number: int, page: Page[Row] | PageFlaw) -> Iterator[PageRead[Row] | PageFlaw]:
        """Yield what a page gives: its rows or a flaw, and a flaw more where it promises less than the page before it."""
        if isinstance(page, PageFlaw):
            self.is_over = self.failures.count(page)
            yield page
            return
        self.failures.in_a_row = 0
        told = self.latest
        self.latest, self.promised = page.total_pages, max(self.promised, page.total_pages)
        yield self._outcome(self.seen.read(number, page.rows), page)
        if number == 1 and page.rows and page.total_pages < 1:
            yield PageFlaw(number=number, what="page 1 has rows, though no page is promised")
        if page.total_pages < told:
            yield PageFlaw(number=number, what=f"the list shrank from {told} to {page.total_pages} pages while it was read")

    def _outcome(self, read: PageRead[Row], page: Page[Row]) -> PageRead[Row] | PageFlaw:
        # An empty list comes as no pages or as one; any other promised page has rows.
        if not page.rows and (read.number > 1 or page.total_pages > 1):
            return PageFlaw(number=read.number, what=f"page {read.number} is empty, though {self.promised} pages are promised")
        if not read.rows and read.repeated:
            self.is_over = True
            return _repeats(read.number)
        return read


def _repeats(number: int) -> PageFlaw:
    return PageFlaw(number=number, what=f"page {number} only repeats rows of the pages before it")


async def _fetched(fetch: Callable[[int], Awaitable[Fetched]], number: int) -> Fetched | PageFlaw:
    try:
        return await fetch(number)
    except VendorError as error:
        return PageFlaw(number=number, what=f"page {number} could not be read", error=error)


async def _stop(tasks: deque[asyncio.Task[Fetched]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
