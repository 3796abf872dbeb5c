"""Apptoto's cassettes: one call of each kind, the simulator and the real account to record them from. Writing to the latter is opt-in."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from calrelay.http.client import AsyncBaseTransport
from calrelay.http.retry import Retry
from calrelay.simulators.apptoto.settings import ApptotoSettings
from calrelay.simulators.apptoto.simulator import ApptotoSimulator
from calrelay.vendors.apptoto.client import BASE_URL, ApptotoClient, EventQuery
from tests.vendors.cassettes_tape import NOW, Deck, Origin, Stage, StoppedClock, Subject
from tests.vendors.cassettes_words import SCRUBBED
from tests.vendors.tripleseat_account import no_wait

_PREFIX: Final = "CALRELAY_RECORD_APPTOTO_"
_PER_MINUTE: Final = 60.0
WRITE_VARIABLES: Final = (f"{_PREFIX}WRITES", f"{_PREFIX}WRITE_CALENDAR_ID")
_DAY: Final = timedelta(days=1)


# --- the calls ---


async def _put_events(client: ApptotoClient, subject: Subject) -> Any:
    """Create one event; on a real account it has nobody to message, and a tag that forbids it."""
    rows = await client.put_events({"prevent_calendar_creation": True, "events": [_row(subject)]})
    subject["made_id"] = rows[0].id
    return rows


def _row(subject: Subject) -> dict[str, object]:
    guests = [{"name": "Name 1", "email": subject["guest"], "phone": "+12125550101"}] if "guest" in subject else []
    return {
        "external_id": "external-1",
        "calendar_id": int(subject["write_calendar_id"]),
        "title": "Text 1",
        "start_time": f"{subject['write_day']}T18:30:00-05:00",
        "end_time": f"{subject['write_day']}T22:00:00-05:00",
        "content": "#skip",
        "participants": guests,
    }


async def _list_events(client: ApptotoClient, subject: Subject) -> Any:
    begin, end = (datetime.fromisoformat(subject[key]).replace(tzinfo=UTC) for key in ("first_day", "last_day"))
    return await client.list_events(EventQuery(begin=begin, end=end))


async def _event(client: ApptotoClient, subject: Subject) -> Any:
    if "external_id" in subject:
        return await client.event(external_id=subject["external_id"])
    return await client.event(event_id=subject["event_id"])


async def _calendars(client: ApptotoClient, _: Subject) -> Any:
    return await client.calendars()


async def _delete_event(client: ApptotoClient, subject: Subject) -> Any:
    return await client.delete_event(subject["made_id"])


# --- the simulator ---


@asynccontextmanager
async def _simulated() -> AsyncIterator[Stage[ApptotoClient]]:
    sim = ApptotoSimulator(clock=StoppedClock(NOW), settings=ApptotoSettings(requests_per_minute=None, rules=()))
    calendar = sim.add_calendar("Main Hall")
    _book(sim, calendar)
    subject = Subject(first_day="2026-12-01", last_day="2026-12-31", external_id="ts-61000001", guest="guest1@example.com")
    subject |= {"write_calendar_id": str(calendar), "write_day": "2027-02-01"}
    key = sim.settings.username, sim.settings.api_key
    yield Stage(
        open=lambda: _open(*key, per_minute=6_000_000, now=NOW, transport=httpx.ASGITransport(app=sim.app)),
        subject=subject,
        origin=Origin.SIMULATORS,
        may_write=True,
        secrets=lambda: key,
        today=NOW.date(),
    )


def _book(sim: ApptotoSimulator, calendar: int) -> None:
    """Add one event of ours, and one that somebody typed into Apptoto, whose number cannot be dialled."""
    ours = {
        "external_id": "ts-61000001",
        "calendar_id": calendar,
        "title": "Alder Team Dinner",
        "start_time": "2026-12-09T18:00:00-05:00",
        "end_time": "2026-12-09T21:30:00-05:00",
        "location": "Alder House, Main Hall",
        "content": "42 guests",
        "custom_data": {"source": "tripleseat", "guest_count": "42"},
        "participants": [{"name": "Cy Dunn", "email": "cy.dunn@example.com", "phone": "+12125550147"}],
    }
    theirs = ours | {
        "external_id": None,
        "title": "Tasting",
        "start_time": "2026-12-10T10:30:00-05:00",
        "end_time": "2026-12-10T11:15:00-05:00",
        "custom_data": {"Likes fish": "yes"},
        "participants": [{"name": "Uma Bell", "phone": "555-0148"}],
    }
    for row in (ours, theirs):
        sim.events.put(row)


# --- a real account ---


@asynccontextmanager
async def _real(env: Mapping[str, str]) -> AsyncIterator[Stage[ApptotoClient]]:
    key = env[f"{_PREFIX}USERNAME"], env[f"{_PREFIX}API_KEY"]
    subject = await _scout(*key)
    if may_write(env):
        subject |= {"write_calendar_id": env[WRITE_VARIABLES[1]], "write_day": (datetime.now(UTC).date() + 300 * _DAY).isoformat()}
    yield Stage(
        open=lambda: _open(*key, per_minute=_PER_MINUTE),
        subject=subject,
        origin=Origin.ACCOUNT,
        may_write=may_write(env),
        secrets=lambda: key,
        today=datetime.now(UTC).date(),
    )


def may_write(env: Mapping[str, str]) -> bool:
    """Say whether the account may be written to: only when told so, and into a calendar that is named for it."""
    said, calendar = (env.get(name, "") for name in WRITE_VARIABLES)
    return said == "yes" and calendar.isdecimal()


async def _scout(*key: str) -> Subject:
    """Find out what there is to ask for: a month with events, and one of them."""
    today = datetime.now(UTC).date()
    subject = Subject(first_day=today.isoformat(), last_day=(today + 30 * _DAY).isoformat())
    async with _open(*key, per_minute=_PER_MINUTE) as client:
        rows = await _list_events(client, subject)
    for row in sorted(rows, key=lambda row: row.external_id is None)[:1]:
        subject |= {"external_id": row.external_id} if row.external_id else {"event_id": row.id}
    return subject


# --- playing ---


@asynccontextmanager
async def _played() -> AsyncIterator[ApptotoClient]:
    async with _open(SCRUBBED, SCRUBBED, per_minute=6_000_000) as client:
        yield client


@asynccontextmanager
async def _open(
    username: str, api_key: str, *, per_minute: float, now: datetime | None = None, transport: AsyncBaseTransport | None = None
) -> AsyncIterator[ApptotoClient]:
    client = ApptotoClient(
        account="record",
        username=username,
        api_key=api_key,
        base_url=BASE_URL,
        requests_per_minute=per_minute,
        retry=Retry(wait=no_wait) if per_minute > _PER_MINUTE else Retry(),
        transport=transport,
        now=lambda: now or datetime.now(UTC),
    )
    async with client:
        yield client


DECK: Final = Deck(
    vendor="apptoto",
    client=ApptotoClient,
    calls={
        "list_events": _list_events,
        "event": _event,
        "calendars": _calendars,
        "put_events": _put_events,
        "delete_event": _delete_event,
    },
    writes=frozenset({"put_events", "delete_event"}),
    variables=tuple(f"{_PREFIX}{name}" for name in ("USERNAME", "API_KEY")),
    simulated=_simulated,
    real=_real,
    played=_played,
)
