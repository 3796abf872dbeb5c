"""TimeTap's endpoints, typed: one method per call we make, and all of them read. What rows mean is not known here.

Nothing here writes, least of all an appointment: any edit may send "Appointment Changed" to its client (TimeTap: 7; rule 8).
"""

import asyncio
import dataclasses
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from calrelay.errors import NotFound, RequestRejected, ResponseInvalid
from calrelay.http.client import Params, VendorClient
from calrelay.http.failures import invalid
from calrelay.ports import Clock
from calrelay.vendors.timetap.asking import get, get_one
from calrelay.vendors.timetap.auth import utc_now
from calrelay.vendors.timetap.wire import AppointmentPage, AppointmentRow, Count, OneAppointment, Staff, Zones, parse_row

BASE_URL: Final = "https://api.timetap.com/live"
REQUESTS_PER_SECOND: Final = 2.0  # no limit is documented (TimeTap: 7)
PAGE_SIZE: Final = 25  # the documented default; what is allowed at most is unknown

_STAFF_KEPT: Final = timedelta(hours=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Whole days, both included, on the staff member's clock."""

    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The parameters of the report. Malformed ones would be ignored in silence, and everything returned (TimeTap: 4).

    Without `statuses` none are sent; whether that means all of them is unknown.
    """

    starting: Days
    statuses: Sequence[str] = ()

    def params(self) -> Params:
        """Return the query, without the page."""
        days = {"startDate": self.starting.first.isoformat(), "endDate": self.starting.last.isoformat()}
        return days | ({"statusList": ",".join(self.statuses)} if self.statuses else {}) | {"excludeTimeOff": "true"}


class TimeTapClient:
    """Asks one account. Everything it does may be repeated.

    Args:
        http: the account's client; its lifetime is the caller's business.
        page_size: appointments a page.
        now: our clock.

    Every method raises VendorError and its children.
    """

    def __init__(self, http: VendorClient, *, page_size: int = PAGE_SIZE, now: Clock = utc_now) -> None:
        self.http = http
        self._page_size = page_size
        self._now = now
        self._staff_zones: dict[str, tuple[str | None, datetime]] = {}
        self._staff_lock = asyncio.Lock()

    # --- appointments ---

    async def search(self, search: Search, page: int = 1) -> list[AppointmentRow | None]:
        """Return a page of the report, counted from 1; the first empty one is the end. None stands for a row without an id."""
        params = {**search.params(), "pageNumber": page, "pageSize": self._page_size}
        answer = await get(self.http, "/appointmentList/report", "appointmentList/report", params)
        return [parse_row(item) for item in answer.parse(AppointmentPage).root]

    async def count(self, search: Search) -> int | None:
        """Return how many rows the report has over all pages, or None where this account is not told (TimeTap: 11, reportCount)."""
        path = "/appointmentList/reportCount"
        try:
            answer = await get(self.http, path, "appointmentList/reportCount", search.params(), accept=(HTTPStatus.FORBIDDEN,))
        except RequestRejected:
            return None
        try:
            return None if answer.status == HTTPStatus.FORBIDDEN else answer.parse(Count).count
        except ResponseInvalid:  # JSON, but of a shape that nobody has seen
            return None

    async def show(self, calendar_id: str) -> AppointmentRow | None:
        """Return one appointment; None where every attempt was answered with nothing at all.

        TimeTap answers with empty bodies at times (TimeTap: 7), and perhaps so for what was deleted (TimeTap: 11): None proves nothing
        by itself.

        Raises:
            NotFound: 404, or a 400 with "not found". Not a page for people, which speaks of the address.
            ResponseInvalid: also for another appointment than the one asked for.
        """
        path, endpoint = f"/appointments/{quote(calendar_id, safe='')}", "appointments/{id}"
        try:
            answer = await get_one(self.http, path, endpoint, now=self._now)
        except ResponseInvalid:  # after all attempts: look once more what it is that comes
            answer = await get_one(self.http, path, endpoint, now=self._now, retry_invalid=False)
            if not answer.body.strip():
                return None
        row = answer.parse(OneAppointment).root
        if row.id != calendar_id:
            raise invalid(answer.where, answer.status, "another appointment than the one asked for")
        return row

    # --- around them ---

    async def staff(self, staff_id: str) -> Staff:
        """Return one staff member. Raises NotFound as `show` does."""
        return (await get_one(self.http, f"/staff/{quote(staff_id, safe='')}", "staff/{id}", now=self._now)).parse(Staff)

    async def remembered_staff_zone(self, staff_id: str) -> str | None:
        """Return the name of a staff member's zone as it was at most an hour ago, or None; many may ask at once for one request."""
        async with self._staff_lock:
            zone, at = self._staff_zones.get(staff_id, (None, None))
            if at is None or self._now() - at > _STAFF_KEPT:
                try:
                    zone = (await self.staff(staff_id)).time_zone_code
                except NotFound:
                    zone = None
                self._staff_zones[staff_id] = (zone, self._now())
            return zone

    async def timezones(self) -> tuple[str, ...]:
        """Return the names of all zones that a staff member can be given."""
        answer = await get(self.http, "/timezones", "timezones")
        return tuple(zone.time_zone_code for zone in answer.parse(Zones).root if zone.time_zone_code)
