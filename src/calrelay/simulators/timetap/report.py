"""What a list call of TimeTap returns: its filters, order, pages and counts, with the ways they go wrong. No HTTP."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from calrelay.simulators.timetap.book import KNOWN_STATUSES, AppointmentBook, Booking, RowKind
from calrelay.simulators.timetap.rows import Json, is_date
from calrelay.simulators.timetap.settings import BeyondEnd, StaffFilter, TimeTapSettings, WithoutStatuses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The parameters of a report that TimeTap understood; None and empty mean no restriction (TimeTap page, section 4)."""

    start: str | None = None
    end: str | None = None
    statuses: frozenset[str] | None = None
    locations: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    staff: frozenset[str] = frozenset()
    client: str | None = None
    only_time_off: bool = False
    with_time_off: bool = False

    def admits(self, booking: Booking) -> bool:
        """Tell whether the report shows this row; dates are compared on the staff member's clock, both ends included."""
        row = booking.row
        if booking.kind is RowKind.TIME_OFF and not self.with_time_off:
            return False
        if self.only_time_off and booking.kind is not RowKind.TIME_OFF:
            return False
        if self.statuses is not None and row["status"] not in self.statuses:
            return False
        return self._in_dates(row) and self._in_lists(row)

    def _in_dates(self, row: Json) -> bool:
        day = row["startDate"]
        return (self.start is None or day >= self.start) and (self.end is None or day <= self.end)

    def _in_lists(self, row: Json) -> bool:
        wanted = (
            (self.locations, "location", "locationId"),
            (self.reasons, "reason", "reasonId"),
            (self.staff, "staff", "professionalId"),
            (frozenset({self.client} if self.client else ()), "client", "clientId"),
        )
        return all(not ids or str((row.get(part) or {}).get(key)) in ids for ids, part, key in wanted)


def read_filter(query: Mapping[str, str], settings: TimeTapSettings) -> Filter:
    """Understand a report's parameters; unknown and malformed ones are silently ignored, as TimeTap does."""
    # Time off appears only when both switches ask for it.
    only_time_off = query.get("excludeTimeOff") == "false" and query.get("onlyTimeOff") in ("1", "true")
    staff = settings.staff_filter
    return Filter(
        start=_date(query.get("startDate")),
        end=_date(query.get("endDate")),
        statuses=_statuses(query.get("statusList"), settings),
        locations=_ids(query.get("locationIdList")),
        reasons=_ids(query.get("reasonIdList")),
        staff=_ids(query.get(staff.value)) if staff is not StaffFilter.NEITHER else frozenset(),
        client=next(iter(_ids(query.get("clientId"))), None),
        only_time_off=only_time_off,
        with_time_off=only_time_off or settings.time_off_always,
    )


def _date(text: str | None) -> str | None:
    return text if text and is_date(text) else None


def _ids(text: str | None) -> frozenset[str]:
    return frozenset(part for part in (text or "").split(",") if part.isdigit())


def _statuses(text: str | None, settings: TimeTapSettings) -> frozenset[str] | None:
    words = frozenset(word for word in (text or "").split(",") if word)
    if words & set(KNOWN_STATUSES):
        return words
    without = {WithoutStatuses.ALL: None, WithoutStatuses.OPEN: frozenset({"OPEN"}), WithoutStatuses.NOTHING: frozenset[str]()}
    return without[settings.without_statuses]


class Report:
    """Lists over one book; a list is computed once per version of the book, however many pages are read from it."""

    def __init__(self, book: AppointmentBook, settings: TimeTapSettings) -> None:
        self._book = book
        self._settings = settings
        self._found: dict[Filter, list[Json]] = {}
        self._version = -1

    def rows(self, query: Mapping[str, str]) -> list[Json]:
        """Return all stored rows that a report shows, soonest first."""
        if self._version != self._book.version:
            self._found.clear()
            self._version = self._book.version
        wanted = read_filter(query, self._settings)
        if wanted not in self._found:
            found = sorted((b for b in self._book.listed() if wanted.admits(b)), key=lambda b: b.order)
            self._found[wanted] = [b.row for b in found]
        return self._found[wanted]

    def count(self, query: Mapping[str, str]) -> int:
        """Return the total TimeTap claims, which `count_offset` makes a lie."""
        return max(0, len(self.rows(query)) + self._settings.count_offset)

    def page(self, query: Mapping[str, str]) -> list[Json]:
        """Return one page, 1-based; malformed numbers mean the defaults, sizes above the cap are cut to it without a word."""
        rows, size = self.rows(query), self.page_size(query)
        number = _positive(query.get("pageNumber"), 1)
        if self._settings.beyond_end is BeyondEnd.LAST:
            number = min(number, max(1, -(-len(rows) // size)))
        begin = (number - 1) * size
        if number > 1:
            begin = max(0, begin + self._settings.page_shift)
        return rows[begin : begin + size]

    def page_size(self, query: Mapping[str, str]) -> int:
        """Return how many rows a page of this query holds."""
        size = _positive(query.get("pageSize"), self._settings.page_size)
        return min(size, self._settings.page_cap or size)


def _positive(text: Any, default: int) -> int:
    return int(text) if text and str(text).isdigit() and int(text) > 0 else default
