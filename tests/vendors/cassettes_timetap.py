"""TimeTap's cassettes: one call of each kind, all of them read; the simulator and the real account to record them from."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import httpx

from calrelay.http.client import AsyncBaseTransport, VendorClient
from calrelay.http.pacing import Pacer
from calrelay.http.retry import Retry
from calrelay.simulators.timetap.rows import ClientPair, an_appointment_row
from calrelay.simulators.timetap.simulator import TimeTapSimulator
from calrelay.vendors.timetap.auth import TimeTapAuth, sign
from calrelay.vendors.timetap.client import BASE_URL, Days, Search, TimeTapClient
from calrelay.vendors.timetap.mapping import STATUSES
from tests.vendors.cassettes_tape import NOW, Deck, Origin, Stage, StoppedClock, Subject
from tests.vendors.cassettes_words import SCRUBBED
from tests.vendors.tripleseat_account import no_wait

_PREFIX: Final = "CALRELAY_RECORD_TIMETAP_"
_RATE: Final = 2.0


# --- the calls ---


async def _search(client: TimeTapClient, subject: Subject) -> Any:
    return await client.search(_wanted(subject))


async def _count(client: TimeTapClient, subject: Subject) -> Any:
    return await client.count(_wanted(subject))


def _wanted(subject: Subject) -> Search:
    days = Days(first=date.fromisoformat(subject["first_day"]), last=date.fromisoformat(subject["last_day"]))
    return Search(starting=days, statuses=STATUSES)


async def _show(client: TimeTapClient, subject: Subject) -> Any:
    return await client.show(subject["calendar_id"])


async def _staff(client: TimeTapClient, subject: Subject) -> Any:
    return await client.staff(subject["staff_id"])


async def _remembered_staff_zone(client: TimeTapClient, subject: Subject) -> Any:
    return [await client.remembered_staff_zone(subject["staff_id"]) for _ in range(2)]


async def _timezones(client: TimeTapClient, _: Subject) -> Any:
    return await client.timezones()


# --- the simulator ---


@asynccontextmanager
async def _simulated() -> AsyncIterator[Stage[TimeTapClient]]:
    sim = TimeTapSimulator(clock=StoppedClock(NOW))
    _book(sim)
    keys = sim.settings.api_key, sim.settings.private_key
    yield Stage(
        open=lambda: _open(*keys, now=NOW, rate=100_000, transport=httpx.ASGITransport(app=sim.app)),
        subject=Subject(first_day="2026-12-01", last_day="2026-12-31", calendar_id="70000001", staff_id="61001"),
        origin=Origin.SIMULATORS,
        may_write=False,
        secrets=lambda: (keys[1], sign(*keys)),
        today=NOW.date(),
    )


def _book(sim: TimeTapSimulator) -> None:
    """Add a tour, a lesson past midnight whose client clock is wrong, as API bookers leave it, and a cancelled one."""
    book, east = sim.book, "America/New_York"
    book.add(an_appointment_row(70_000_001, datetime(2026, 12, 9, 15, 30), 45, east))  # noqa: DTZ001 - a wall clock
    late = datetime(2026, 12, 10, 23, 30)  # noqa: DTZ001 - a wall clock
    book.add(an_appointment_row(70_000_002, late, 60, east, client_zone="Europe/London", client_pair=ClientPair.STAFF_CLOCK))
    book.add(an_appointment_row(70_000_003, datetime(2026, 12, 11, 9), 45, east, status="CANCELLED"))  # noqa: DTZ001 - a wall clock


# --- a real account ---


@asynccontextmanager
async def _real(env: Mapping[str, str]) -> AsyncIterator[Stage[TimeTapClient]]:
    keys = env[f"{_PREFIX}API_KEY"], env[f"{_PREFIX}PRIVATE_KEY"]
    yield Stage(
        open=lambda: _open(*keys, rate=_RATE),
        subject=await _scout(*keys),
        origin=Origin.ACCOUNT,
        may_write=False,
        secrets=lambda: (*keys, sign(*keys)),
        today=datetime.now(UTC).date(),
    )


async def _scout(*keys: str) -> Subject:
    """Find out what there is to ask for: two months with appointments, one of them, and its staff member."""
    today = datetime.now(UTC).date()
    subject = Subject(first_day=today.isoformat(), last_day=(today + timedelta(days=60)).isoformat())
    async with _open(*keys, rate=_RATE) as client:
        rows = [row for row in await _search(client, subject) if row and row.staff]
    for row in rows[:1]:
        subject |= {"calendar_id": row.id, "staff_id": row.staff.professional_id}
    return subject


# --- playing ---


@asynccontextmanager
async def _played() -> AsyncIterator[TimeTapClient]:
    async with _open(SCRUBBED, SCRUBBED, rate=100_000) as client:
        yield client


@asynccontextmanager
async def _open(
    api_key: str, private_key: str, *, rate: float, now: datetime | None = None, transport: AsyncBaseTransport | None = None
) -> AsyncIterator[TimeTapClient]:
    def clock() -> datetime:
        return now or datetime.now(UTC)

    auth = TimeTapAuth(account="record", api_key=api_key, private_key=private_key, base_url=BASE_URL, now=clock)
    http = VendorClient(
        account="record",
        vendor="TimeTap",
        base_url=BASE_URL,
        pacer=Pacer(rate),
        auth=auth,
        retry=Retry(wait=no_wait) if rate > _RATE else Retry(),
        transport=transport,
        now=clock,
    )
    async with http:
        yield TimeTapClient(http, now=clock)


DECK: Final = Deck(
    vendor="timetap",
    client=TimeTapClient,
    calls={
        "search": _search,
        "count": _count,
        "show": _show,
        "staff": _staff,
        "remembered_staff_zone": _remembered_staff_zone,
        "timezones": _timezones,
    },
    writes=frozenset(),
    variables=tuple(f"{_PREFIX}{name}" for name in ("API_KEY", "PRIVATE_KEY")),
    simulated=_simulated,
    real=_real,
    played=_played,
)
