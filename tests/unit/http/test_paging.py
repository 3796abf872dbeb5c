import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from calrelay.errors import AuthFailed, VendorError, VendorUnavailable
from calrelay.http.paging import OnRepeat, Page, PageFlaw, PageRead, read_pages, read_until_empty

Outcome = PageRead[int] | PageFlaw


class Pages:
    """A list in pages: rows or an error for each number, totals that may differ from page to page, and a memory of who asked."""

    def __init__(self, *pages: Sequence[int] | Exception, totals: Sequence[int] | None = None) -> None:
        self.pages = pages
        self.totals = totals or [len(pages)] * len(pages)
        self.asked: list[int] = []
        self.flying = self.most = 0

    async def rows(self, number: int) -> Sequence[int]:
        self.asked.append(number)
        page = self.pages[number - 1] if number <= len(self.pages) else ()
        if isinstance(page, Exception):
            raise page
        return page

    async def numbered(self, number: int) -> Page[int]:
        self.flying += 1
        self.most = max(self.most, self.flying)
        await asyncio.sleep(0 if number % 2 else 0.001)  # even pages come later than odd ones
        self.flying -= 1
        rows = await self.rows(number)
        return Page(rows=rows, total_pages=self.totals[min(number, len(self.totals)) - 1])


def same(row: int) -> int:
    return row


async def every(outcomes: AsyncIterator[Outcome]) -> list[Outcome]:
    return [outcome async for outcome in outcomes]


async def numbered(pages: Pages, cap: int = 100) -> list[Outcome]:
    return await every(read_pages(pages.numbered, key=same, cap=cap))


async def unnumbered(pages: Pages, cap: int = 100, on_repeat: OnRepeat = OnRepeat.FLAW) -> list[Outcome]:
    return await every(read_until_empty(pages.rows, key=same, cap=cap, on_repeat=on_repeat))


def read(number: int, *rows: int, repeated: int = 0) -> PageRead[int]:
    return PageRead(number=number, rows=rows, repeated=repeated)


def flaws(outcomes: list[Outcome]) -> list[tuple[int, str]]:
    return [(outcome.number, outcome.what) for outcome in outcomes if isinstance(outcome, PageFlaw)]


def down() -> VendorError:
    return VendorUnavailable("down")


class TestNumbered:
    async def test_all_pages_come_in_order(self) -> None:
        outcomes = await numbered(Pages([1, 2], [3, 4], [5]))
        assert outcomes == [read(1, 1, 2), read(2, 3, 4), read(3, 5)]

    async def test_page_one_is_asked_alone_and_then_five_at_once(self) -> None:
        pages = Pages(*[[n] for n in range(20)])
        stream = read_pages(pages.numbered, key=same, cap=100)
        async with aclosing(stream):
            await anext(stream)
            assert pages.asked == [1]
            await every(stream)
        assert pages.most == 5
        assert sorted(pages.asked) == list(range(1, 21))

    @pytest.mark.parametrize("total", [0, 1])
    async def test_an_empty_list_is_complete(self, total: int) -> None:
        """Tripleseat's total_pages can be 0."""
        assert await numbered(Pages([], totals=[total])) == [read(1)]

    async def test_rows_that_moved_are_counted_once(self) -> None:
        assert await numbered(Pages([1, 2], [2, 3, 3])) == [read(1, 1, 2), read(2, 3, repeated=2)]

    async def test_a_failed_page_does_not_stop_the_others(self) -> None:
        error = down()
        outcomes = await numbered(Pages([1], error, [3]))
        assert outcomes == [read(1, 1), PageFlaw(number=2, what="page 2 could not be read", error=error), read(3, 3)]

    async def test_without_page_one_nothing_is_known(self) -> None:
        pages = Pages(down(), [2])
        assert flaws(await numbered(pages)) == [(1, "page 1 could not be read")]
        assert pages.asked == [1]

    async def test_five_failed_pages_in_a_row_end_the_reading(self) -> None:
        """Each has had its retries: a list of hundreds of pages would take hours to fail."""
        pages = Pages([1], *[down() for _ in range(50)])
        assert [number for number, _ in flaws(await numbered(pages))] == [2, 3, 4, 5, 6]
        assert len(pages.asked) < 15

    async def test_a_sound_page_between_failed_ones_keeps_it_going(self) -> None:
        mixed = [[n] if n % 3 == 0 else down() for n in range(30)]
        outcomes = await numbered(Pages(*mixed))
        assert len(outcomes) == 30

    async def test_refused_credentials_end_the_reading_at_once(self) -> None:
        pages = Pages([1], AuthFailed("no"), *[[n] for n in range(3, 50)])
        assert len(flaws(await numbered(pages))) == 1
        assert len(pages.asked) < 10

    async def test_a_promised_page_that_is_empty_is_a_flaw(self) -> None:
        outcomes = await numbered(Pages([1], [], [3]))
        assert flaws(outcomes) == [(2, "page 2 is empty, though 3 pages are promised")]
        assert outcomes[-1] == read(3, 3)

    async def test_an_empty_page_one_of_several_is_a_flaw(self) -> None:
        assert flaws(await numbered(Pages([], [2]))) == [(1, "page 1 is empty, though 2 pages are promised")]

    async def test_rows_without_a_promised_page_are_a_flaw(self) -> None:
        outcomes = await numbered(Pages([1], totals=[0]))
        assert outcomes[0] == read(1, 1)
        assert flaws(outcomes) == [(1, "page 1 has rows, though no page is promised")]

    async def test_a_list_that_grows_is_read_to_its_new_end(self) -> None:
        assert await numbered(Pages([1], [2], [3], totals=[2, 3, 3])) == [read(1, 1), read(2, 2), read(3, 3)]

    async def test_a_list_that_shrinks_is_a_flaw(self) -> None:
        """Rows of a later page may have moved to an earlier one that had been read."""
        outcomes = await numbered(Pages([1], [2], [], totals=[3, 2, 2]))
        assert outcomes[:2] == [read(1, 1), read(2, 2)]
        assert flaws(outcomes) == [
            (2, "the list shrank from 3 to 2 pages while it was read"),
            (3, "page 3 is empty, though 3 pages are promised"),
        ]

    async def test_a_vendor_that_ignores_the_page_number_is_noticed(self) -> None:
        pages = Pages(*[[1, 2]] * 100)
        assert flaws(await numbered(pages)) == [(2, "page 2 only repeats rows of the pages before it")]
        assert len(pages.asked) < 10

    async def test_the_cap_is_a_flaw_and_not_an_end(self) -> None:
        pages = Pages(*[[n] for n in range(10)])
        outcomes = await numbered(pages, cap=4)
        assert flaws(outcomes) == [(5, "10 pages are promised, more than the 4 that are read at most")]
        assert max(pages.asked) == 4
        assert len(outcomes) == 5

    async def test_a_list_of_exactly_the_cap_is_complete(self) -> None:
        assert flaws(await numbered(Pages(*[[n] for n in range(4)]), cap=4)) == []

    async def test_a_bug_is_no_flaw(self) -> None:
        with pytest.raises(KeyError):
            await numbered(Pages([1], KeyError("bug"), [3]))

    async def test_leaving_early_stops_what_is_in_flight(self) -> None:
        cancelled: list[int] = []

        async def fetch(number: int) -> Page[int]:
            if number > 2:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    cancelled.append(number)
                    raise
            return Page(rows=[number], total_pages=10)

        async with aclosing(read_pages(fetch, key=same, cap=100)) as stream:
            async for outcome in stream:
                if outcome.number == 2:
                    await asyncio.sleep(0)
                    break
        assert cancelled == [3, 4, 5, 6]


class TestUnnumbered:
    async def test_a_list_ends_with_an_empty_page(self) -> None:
        assert await unnumbered(Pages([1, 2], [3, 4])) == [read(1, 1, 2), read(2, 3, 4), read(3)]

    async def test_a_short_page_is_not_the_end(self) -> None:
        assert await unnumbered(Pages([1, 2], [3], [4, 5])) == [read(1, 1, 2), read(2, 3), read(3, 4, 5), read(4)]

    async def test_an_empty_list_is_complete(self) -> None:
        assert await unnumbered(Pages([])) == [read(1)]

    async def test_rows_that_moved_are_counted_once(self) -> None:
        assert await unnumbered(Pages([1, 2], [2, 3])) == [read(1, 1, 2), read(2, 3, repeated=1), read(3)]

    async def test_a_failed_page_does_not_stop_the_others(self) -> None:
        outcomes = await unnumbered(Pages([1], down(), [3]))
        assert flaws(outcomes) == [(2, "page 2 could not be read")]
        assert outcomes[2:] == [read(3, 3), read(4)]

    @pytest.mark.parametrize("errors", [[down(), down()], [AuthFailed("no")]])
    async def test_two_failed_pages_or_refused_credentials_end_the_reading(self, errors: list[VendorError]) -> None:
        pages = Pages([1], *errors, [4])
        assert len(flaws(await unnumbered(pages))) == len(errors)
        assert pages.asked == list(range(1, len(errors) + 2))

    async def test_a_page_without_a_new_row_is_a_flaw(self) -> None:
        """As far as we can tell, the vendor ignores the page number, and page 1 is not the whole list."""
        pages = Pages(*[[1, 2]] * 100)
        assert flaws(await unnumbered(pages)) == [(2, "page 2 only repeats rows of the pages before it")]
        assert pages.asked == [1, 2]

    async def test_a_page_without_a_new_row_is_the_end_for_those_who_count_elsewhere(self) -> None:
        pages = Pages([1, 2], [3], [3], [3])
        assert await unnumbered(pages, on_repeat=OnRepeat.END) == [read(1, 1, 2), read(2, 3), read(3, repeated=1)]

    async def test_the_cap_is_a_flaw_and_not_an_end(self) -> None:
        outcomes = await unnumbered(Pages(*[[n] for n in range(10)]), cap=4)
        assert flaws(outcomes) == [(5, "no end in sight after 4 pages, the most that are read")]
        assert len(outcomes) == 5


def test_memory_grows_with_ids_only(in_no_time: Callable[..., Any]) -> None:
    """A page is let go when the next one is asked for."""

    class Row:
        def __init__(self, number: int) -> None:
            self.number = number

    kept: weakref.WeakSet[Row] = weakref.WeakSet()

    async def fetch(number: int) -> Page[Row]:
        rows = [Row(number * 10 + n) for n in range(10)]
        for row in rows:
            kept.add(row)
        return Page(rows=rows, total_pages=50)

    async def most_kept() -> int:
        most = 0
        async for _ in read_pages(fetch, key=lambda row: row.number, cap=100):
            gc.collect()
            most = max(most, len(kept))
        return most

    assert in_no_time(most_kept()) <= 80
