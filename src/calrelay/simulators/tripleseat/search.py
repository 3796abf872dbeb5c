"""How a simulated Tripleseat lists and searches: filters, order, pages (Tripleseat: Listing, paging, filters). Knows no HTTP answers."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any

from starlette.datastructures import QueryParams

from calrelay.simulators.tripleseat.events import Events, Stored
from calrelay.simulators.tripleseat.places import ALDER_HOUSE, to_wall_clock
from calrelay.simulators.tripleseat.rows import Row
from calrelay.simulators.tripleseat.settings import BadDates, TripleseatSettings

_Test = Callable[[Stored], bool]
_FIRST = datetime(1900, 1, 1)  # noqa: DTZ001  # sorts what has no wall clock start


class BadSearch(ValueError):
    """A search that this Tripleseat refuses with 400 instead of ignoring what is wrong with it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of rows; `total_pages` is 0 when there are none."""

    total_pages: int
    rows: tuple[Row, ...]


def list_events(events: Events, params: QueryParams, settings: TripleseatSettings) -> Page:
    """List like /v1/events: it knows page, order and sort_direction and silently ignores everything else."""
    return _page(_ordered([s for s in events if s.is_listed], params), params, settings)


def search_events(events: Events, params: QueryParams, settings: TripleseatSettings) -> Page:
    """Search like /v1/events/search; days are inclusive and days there; statuses may be in any case, none given means all."""
    if settings.two_sites and not (params.get("site_id") and _numbers(params, "location_ids")):
        return Page(total_pages=0, rows=())
    tests = [*_field_tests(params), *_date_tests(events, params, settings)]
    found = [s for s in events if s.is_listed and all(test(s) for test in tests)]
    return _page(_ordered(found, params), params, settings)


def _field_tests(params: QueryParams) -> Iterable[_Test]:
    if text := params.get("query", "").strip().lower():
        yield lambda s: text in _words(s.row)
    for key in ("contact_id", "account_id", "site_id"):
        if wanted := params.get(key):
            yield _equals(key, wanted)
    if statuses := {value.upper() for value in _values(params, "status")}:
        yield lambda s: str(s.row.get("status")).upper() in statuses
    if rooms := _numbers(params, "room_ids"):
        yield lambda s: not rooms.isdisjoint(map(str, s.row.get("room_ids") or ()))
    if locations := _numbers(params, "location_ids"):
        yield lambda s: str(s.row.get("location_id")) in locations
    yield from _custom_field_tests(params)


def _equals(key: str, wanted: str) -> _Test:
    return lambda s: str(s.row.get(key)) == wanted


def _custom_field_tests(params: QueryParams) -> Iterable[_Test]:
    ids = params.getlist("custom_field_values[][custom_field_id]")
    values = params.getlist("custom_field_values[][custom_field_value]")
    for field, value in zip(ids, values, strict=False):
        yield _has_custom_field(field, value)


def _has_custom_field(field: str, value: str) -> _Test:
    return lambda s: any(str(f["custom_field_id"]) == field and f["value"] == value for f in s.row.get("custom_fields") or ())


def _date_tests(events: Events, params: QueryParams, settings: TripleseatSettings) -> Iterable[_Test]:
    def local_day(stored: Stored, instant: datetime) -> date:
        location = events.locations.get(stored.row.get("location_id") or 0, ALDER_HOUSE)
        return to_wall_clock(instant, location.site.zone).date()

    if span := _span(params, "event", settings):
        # An event without any time is found by every search: Tripleseat has none, and tests of odd rows want to read theirs.
        yield lambda s: s.start is None or span[0] <= s.start.date() <= span[1]
    if created := _span(params, "event_created", settings):
        yield lambda s: created[0] <= local_day(s, s.created) <= created[1]
    if updated := _span(params, "event_updated", settings):
        yield lambda s: updated[0] <= local_day(s, s.updated) <= updated[1]


def _span(params: QueryParams, prefix: str, settings: TripleseatSettings) -> tuple[date, date] | None:
    texts = params.get(f"{prefix}_start_date"), params.get(f"{prefix}_end_date")
    if texts == (None, None):
        return None
    days = tuple(_day(text) for text in texts)
    if days[0] is not None and days[1] is not None:
        return days[0], days[1]
    if settings.bad_dates is BadDates.REJECT:
        raise BadSearch(f"{prefix}_start_date and {prefix}_end_date must both be given as mm/dd/yyyy")
    return None


def _day(text: str | None) -> date | None:
    try:
        return datetime.strptime(text or "", "%m/%d/%Y").date()  # noqa: DTZ007  # a day has no zone
    except ValueError:
        return None


def _values(params: QueryParams, key: str) -> Sequence[str]:
    """Read a list written as `key=a,b`, `key=a&key=b` or `key[]=a&key[]=b`."""
    texts = [*params.getlist(key), *params.getlist(f"{key}[]")]
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _numbers(params: QueryParams, key: str) -> frozenset[str]:
    return frozenset(_values(params, key))


def _words(row: Row) -> str:
    contact, account = row.get("contact") or {}, row.get("account") or {}
    parts = [row.get("name"), account.get("name"), f"{contact.get('first_name')} {contact.get('last_name')}"]
    parts += [mail.get("address") for mail in contact.get("email_addresses") or ()]
    parts += [phone.get("number") for phone in contact.get("phone_numbers") or ()]
    return "\n".join(str(part) for part in parts if part).lower()


_ORDERS: dict[str, Callable[[Stored], Any]] = {
    "created_at": lambda s: s.created,
    "updated_at": lambda s: s.updated,
    "name": lambda s: str(s.row.get("name")),
    "event_start": lambda s: s.start or _FIRST,
}


def _ordered(found: list[Stored], params: QueryParams) -> list[Row]:
    """Sort as asked, else oldest first; of two alike the lower id comes first."""
    key = _ORDERS.get(params.get("order", ""), _ORDERS["created_at"])
    found.sort(key=lambda s: s.row["id"])
    found.sort(key=key, reverse=params.get("sort_direction", "").lower() == "desc")
    return [s.row for s in found]


def _page(rows: list[Row], params: QueryParams, settings: TripleseatSettings) -> Page:
    """Cut out the page; per_page and limit are ignored. With `repeat_rows` each page begins with the end of the one before."""
    text = params.get("page", "1")
    number = max(int(text), 1) if text.isdecimal() else 1
    size = settings.page_size
    step = max(size - settings.repeat_rows, 1)
    total = 0 if not rows else 1 + max(-(-(len(rows) - size) // step), 0)
    first = (number - 1) * step
    return Page(total_pages=total, rows=tuple(rows[first : first + size]) if number <= total else ())
