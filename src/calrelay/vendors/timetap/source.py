"""A TimeTap account as a source: what to ask for, when a read is whole, and how rows become events. No field's meaning lives here."""

import dataclasses
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta
from typing import Final

from calrelay.domain.event import Event, SourceId, Unmappable
from calrelay.domain.people import Role
from calrelay.domain.zones import resolve_zone
from calrelay.errors import Actor, MappingError, NotFound, ResponseInvalid, VendorError
from calrelay.http.paging import OnRepeat, PageFlaw, PageRead, read_until_empty
from calrelay.log import get_logger
from calrelay.ports import Clock, Fact, Flaw, Page, Scope
from calrelay.vendors.timetap.auth import VENDOR, utc_now
from calrelay.vendors.timetap.client import Days, Search, TimeTapClient
from calrelay.vendors.timetap.context import Context
from calrelay.vendors.timetap.mapping import MAPPING_VERSION, STATUSES, lacks_zone, to_canonical
from calrelay.vendors.timetap.times import start_day, zone_of
from calrelay.vendors.timetap.wire import AppointmentRow

PAGE_CAP: Final = 8_000  # two hundred thousand appointments at 25 a page; a list that goes on beyond is not believed

_DAY: Final = timedelta(days=1)
_BEHIND: Final = timedelta(hours=12)  # clocks are at most this far behind UTC …
_AHEAD: Final = timedelta(hours=14)  # … and at most this far ahead
_AROUND: Final = timedelta(days=14)  # how far ahead `check` looks for staff, locations and services …
_AROUND_PAGES: Final = 4  # … in this many pages at most

_log = get_logger(__name__)


@dataclasses.dataclass(slots=True, kw_only=True)
class _Walk:
    """One reading of the report: which appointments it showed on which day, and what was odd about it."""

    asked: Days
    days: dict[str, date] = dataclasses.field(default_factory=dict)
    outside: int = 0
    strays: int = 0
    is_flawed: bool = False
    ended_in_repeat: bool = False

    def note(self, page: PageRead[AppointmentRow]) -> None:
        """Remember what a page showed."""
        self.ended_in_repeat = bool(page.repeated) and not page.rows
        padded = Days(first=self.asked.first - _DAY, last=self.asked.last + _DAY)
        for row in page.rows:
            self.days[row.id] = start_day(row) or self.asked.first
            self.outside += self.days[row.id] not in padded


class TimeTapSource:
    """Reads one account for one pipeline; implements `ports.Source`.

    Args:
        account: the account's name in the config.
        client: the account's endpoints; several pipelines may share it.
        people: the roles a pipeline wants to reach.
        region: how phone numbers without a country code are read.
        zones: the config's zones by "staff:<id>" and "location:<id>".
        now: our clock.
    """

    vendor = "timetap"
    id_prefix = "tt-"
    mapping_version = f"timetap-{MAPPING_VERSION}"
    can_read_changes = False  # there is no filter by change (TimeTap: 4, modifiedSince)

    def __init__(
        self,
        *,
        account: str,
        client: TimeTapClient,
        people: Collection[Role] = (Role.CLIENT,),
        region: str = "US",
        zones: Mapping[str, str] | None = None,
        now: Clock = utc_now,
    ) -> None:
        self.account = account
        self._client = client
        self._context = Context(people=frozenset(people), region=region, zones=dict(zones or {}))
        self._now = now
        self._has_told_of_filter = False

    @property
    def requests(self) -> int:
        """HTTP requests of the account so far, retries and token requests included."""
        return self._client.http.requests

    @property
    def clock_skew_seconds(self) -> float | None:
        """TimeTap's Date header minus our clock at the last answer, or None."""
        skew = self._client.http.last_date_skew
        return None if skew is None else skew.total_seconds()

    # --- reading ---

    async def read(self, scope: Scope) -> AsyncIterator[Page | Flaw]:
        """Yield pages of rows, and a flaw for whatever was not read soundly; see `ports.Source`.

        The list tells no total, so it is compared with TimeTap's count from before, and, where somebody booked meanwhile, from after the
        reading (TimeTap: 4). An account that is told no count does without.
        """
        search = Search(starting=_days(scope.span.begin, scope.span.end), statuses=STATUSES)
        walk = _Walk(asked=search.starting)
        promised: int | None = None
        try:
            promised = await self._client.count(search)
        except VendorError as error:
            walk.is_flawed = True
            yield Flaw(what="the appointments could not be counted", error=error)
            if error.actor is Actor.OPERATOR:
                return
        async for outcome in self._walk(search, walk):
            yield outcome
        doubt = None if walk.is_flawed else await self._doubt(search, walk, promised)
        if doubt is not None:
            yield doubt

    async def find(self, source_id: SourceId, *, is_missing: bool = False) -> Event | Unmappable | None:
        """Ask for one appointment by id; None is proof that it is gone. Raises VendorError when nothing is proven.

        TimeTap's "not found" is proof. Nothing but empty answers are it only where a complete read has just failed to show the appointment:
        an empty body may be one of TimeTap's bad moments (TimeTap: 11, GET of a deleted id).
        """
        try:
            row = await self._client.show(source_id)
        except NotFound:
            return None
        if row is None:
            if is_missing:
                return None
            raise ResponseInvalid(
                f"{VENDOR} (account {self.account}) answers with nothing when asked for an appointment, which proves nothing.",
                remedy="The next complete read shows whether it is still there.",
                account=self.account,
            )
        return _mapped(row, await self._with_staff_zones([row]))

    async def _walk(self, search: Search, walk: _Walk) -> AsyncIterator[Page | Flaw]:
        """Read all pages and yield their rows."""

        async def fetch(number: int) -> list[AppointmentRow]:
            rows = await self._client.search(search, number)
            named = [row for row in rows if row is not None]
            walk.strays += len(rows) - len(named)
            return named

        # A page of nothing but known rows may be the last one, shown for ever, or any page, its number ignored: the count tells.
        pages = read_until_empty(fetch, key=lambda row: row.id, cap=PAGE_CAP, on_repeat=OnRepeat.END)
        async with aclosing(pages) as outcomes:
            async for outcome in outcomes:
                if isinstance(outcome, PageFlaw):
                    walk.is_flawed = True
                    yield Flaw(what=outcome.what, error=outcome.error)
                    continue
                walk.note(outcome)
                for part in await self._mapped_page(outcome.rows):
                    walk.is_flawed |= isinstance(part, Flaw)
                    yield part
        if walk.strays:
            walk.is_flawed = True
            yield Flaw(what=f"{walk.strays} rows have no id")

    async def _doubt(self, search: Search, walk: _Walk, promised: int | None) -> Flaw | None:
        """Say why a reading without a failure is not whole all the same, or None."""
        seen = len(walk.days)
        if walk.outside:
            self._tell_of_filter(walk)
        if seen and walk.outside == seen:
            return Flaw(what="no appointment starts on the days that were asked for: TimeTap did not understand the question")
        if promised is None:
            what = "the list did not end with an empty page, and TimeTap tells no count to compare it with"
            return Flaw(what=what) if walk.ended_in_repeat else None
        if seen == promised:
            return None
        try:
            counted = await self._client.count(search)
        except VendorError as error:
            return Flaw(what="the appointments could not be counted", error=error)
        counted = promised if counted is None else counted
        return None if seen == counted else Flaw(what=f"{seen} appointments were listed, but {counted} are counted")

    def _tell_of_filter(self, walk: _Walk) -> None:
        """Say once that the days are ignored; nothing is lost by that, but every read shows all there ever was."""
        if not self._has_told_of_filter:
            _log.warning("TimeTap lists appointments of other days than asked for", account=self.account, rows=walk.outside)
        self._has_told_of_filter = True

    async def _mapped_page(self, rows: Sequence[AppointmentRow]) -> list[Page | Flaw]:
        """Map a page; a row whose staff member was asked for its zone in vain is left out and makes the read incomplete."""
        flaws: list[Flaw] = []
        context = self._context
        try:
            context = await self._with_staff_zones(rows)
        except VendorError as error:
            known = [row for row in rows if not lacks_zone(row, context)]
            flaws.append(Flaw(what=f"the zones of {len(rows) - len(known)} appointments could not be read from their staff", error=error))
            rows = known
        silent = dataclasses.replace(context, explains=False)  # nobody asked for one of them
        mapped = [_mapped(row, silent) for row in rows]
        return [*([Page(rows=mapped)] if mapped else []), *flaws]

    async def _with_staff_zones(self, rows: Iterable[AppointmentRow]) -> Context:
        """Return the context with the zones of those staff members whose rows name none."""
        lacking = {row.staff.professional_id for row in rows if lacks_zone(row, self._context) and row.staff}
        if not lacking:
            return self._context
        zones = {staff: await self._client.remembered_staff_zone(staff) for staff in lacking if staff}
        return dataclasses.replace(self._context, staff_zones={staff: zone for staff, zone in zones.items() if zone})

    # --- the account ---

    async def site_zone(self) -> str | None:
        """Return the IANA zone that all staff share who have appointments these days; None where they differ or there are none."""
        zones = {zone for _, of_staff in (await self._staff_around(await self._rows_around())).values() for zone in of_staff}
        return zones.pop() if len(zones) == 1 else None

    async def probe(self) -> Sequence[Fact]:
        """Read what `check` shows: appointments of the next days with their staff, locations and services, zones, and the count."""
        rows = await self._rows_around()
        facts = [Fact(name="appointments", value=f"readable, {len(rows)} seen around the next {_AROUND.days} days")]
        facts += [_staff_fact(staff, name, zones) for staff, (name, zones) in sorted((await self._staff_around(rows)).items())]
        places = {row.location.location_id: row.location.location_name for row in rows if row.location}
        facts += [Fact(name=f"location {place}", value=name or "unnamed") for place, name in places.items() if place]
        services = {row.reason.reason_id: row.reason.reason_desc for row in rows if row.reason}
        facts += [Fact(name=f"service {service}", value=name or "unnamed") for service, name in services.items() if service]
        return [*facts, *await self._zone_facts(), await self._count_fact()]

    async def _rows_around(self) -> list[AppointmentRow]:
        """Read some appointments of the next days; of a busy account not all of them."""
        now = self._now()
        search = Search(starting=_days(now, now + _AROUND), statuses=STATUSES)
        rows: dict[str, AppointmentRow] = {}
        for number in range(1, _AROUND_PAGES + 1):
            page = {row.id: row for row in await self._client.search(search, number) if row is not None}
            if page.keys() <= rows.keys():
                break
            rows |= page
        return list(rows.values())

    async def _staff_around(self, rows: Sequence[AppointmentRow]) -> dict[str, tuple[str, set[str]]]:
        """Return the names and zones of the staff of these rows, by id."""
        context = await self._with_staff_zones(rows)
        found: dict[str, tuple[str, set[str]]] = {}
        for row in rows:
            if row.staff is None or row.staff.professional_id is None:
                continue
            _, zones = found.setdefault(row.staff.professional_id, (row.staff.full_name or "unnamed", set()))
            zone = zone_of(row, context)
            zones |= {zone} if zone else set()
        return found

    async def _zone_facts(self) -> list[Fact]:
        """Compare the zones that staff can be given with those we know; an account that is not told them does without."""
        try:
            names = await self._client.timezones()
        except VendorError:
            return []
        unknown = sorted(name for name in names if not _is_zone(name))
        warning = f"staff in these zones need the account's `zones`: {', '.join(unknown[:5])}" if unknown else ""
        return [Fact(name="time zones", value=f"{len(names)} on offer, {len(unknown)} unknown to this release", warning=warning)]

    async def _count_fact(self) -> Fact:
        now = self._now()
        counted = await self._client.count(Search(starting=_days(now, now + _AROUND), statuses=STATUSES))
        if counted is None:
            return Fact(name="count", value="not told", warning="whether a list is whole can only be seen from its empty last page")
        return Fact(name="count", value=f"{counted} around the next {_AROUND.days} days")


def _days(begin: datetime, end: datetime) -> Days:
    """Return the days of a span and one more on both sides, on any clock of the world: whose the filter goes by is unknown."""
    return Days(first=(begin.astimezone(UTC) - _DAY - _BEHIND).date(), last=(end.astimezone(UTC) + _DAY + _AHEAD).date())


def _mapped(row: AppointmentRow, context: Context) -> Event | Unmappable:
    try:
        return to_canonical(row, context)
    except MappingError as error:
        return Unmappable(source_id=SourceId(row.id), error=error)


def _is_zone(name: str) -> bool:
    try:
        resolve_zone(name)
    except MappingError:
        return False
    return True


def _staff_fact(staff: str, name: str, zones: Collection[str]) -> Fact:
    warning = ""
    if not zones:
        warning = f'no time zone this release knows: set it in TimeTap, or in the account\'s zones, "staff:{staff}" = "America/New_York"'
    return Fact(name=f"staff {staff}", value=f"{name}, {', '.join(sorted(zones)) or 'no zone'}", warning=warning)
