"""Tripleseat's cassettes: one call of each kind, the simulator and the real account to record them from. No test and no scrubbing here."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from calrelay.http.client import AsyncBaseTransport, VendorClient
from calrelay.http.pacing import Pacer
from calrelay.http.retry import Retry
from calrelay.ports import TokenPair
from calrelay.simulators.people import Person
from calrelay.simulators.tripleseat.places import ALDER_HOUSE, HARBOUR_HOUSE
from calrelay.simulators.tripleseat.rows import an_event_row
from calrelay.simulators.tripleseat.settings import TripleseatSettings
from calrelay.simulators.tripleseat.simulator import TripleseatSimulator
from calrelay.vendors.tripleseat.auth import OAuthApp, TripleseatAuth, authorize_url, exchange_code
from calrelay.vendors.tripleseat.client import Days, Direction, Order, Search, TripleseatClient
from calrelay.vendors.tripleseat.settings import BASE_URL, REDIRECT_URI
from tests.vendors.cassettes_tape import NOW, Deck, Origin, Stage, StoppedClock, Subject
from tests.vendors.cassettes_words import SCRUBBED
from tests.vendors.tripleseat_account import MemoryTokens, a_pair, an_app, no_wait

_PREFIX: Final = "CALRELAY_RECORD_TRIPLESEAT_"
_RATE: Final = 2.0
_HOUR: Final = timedelta(hours=1)
WRITE_VARIABLES: Final = tuple(
    f"{_PREFIX}{name}" for name in ("WRITES", "WRITE_LOCATION_ID", "WRITE_ROOM_ID", "WRITE_ACCOUNT_ID", "WRITE_CONTACT_ID")
)


# --- the calls ---


async def _search(client: TripleseatClient, subject: Subject) -> Any:
    days = Days(first=date.fromisoformat(subject["first_day"]), last=date.fromisoformat(subject["last_day"]))
    return await client.search(Search(starting=days, order=Order.START, direction=Direction.ASCENDING, **_reach(subject)))


def _reach(subject: Subject) -> dict[str, Any]:
    """Return where to search; accounts with several sites find nothing otherwise (Tripleseat: 4, site_id)."""
    if "site_id" not in subject:
        return {}
    return {"site_id": subject["site_id"], "location_ids": (subject["location_id"],)}


async def _list_events(client: TripleseatClient, _: Subject) -> Any:
    return await client.list_events(order=Order.UPDATED)


async def _show(client: TripleseatClient, subject: Subject) -> Any:
    return await client.show(subject["event_id"])


async def _sites(client: TripleseatClient, _: Subject) -> Any:
    return await client.sites()


async def _remembered_sites(client: TripleseatClient, _: Subject) -> Any:
    return await client.remembered_sites(), await client.remembered_sites()


async def _locations(client: TripleseatClient, _: Subject) -> Any:
    return await client.locations()


async def _location(client: TripleseatClient, subject: Subject) -> Any:
    return await client.location(subject["location_id"])


async def _refresh(client: TripleseatClient, _: Subject) -> Any:
    return await client.refresh_if_older_than(timedelta())


async def _create(client: TripleseatClient, subject: Subject) -> Any:
    day = date.fromisoformat(subject["write_day"])
    row = await client.create(
        {
            "name": "Text 1",
            "event_start": f"{day:%m/%d/%Y} 06:00 PM",
            "event_end": f"{day:%m/%d/%Y} 09:30 PM",
            "account_id": int(subject["account_id"]),
            "contact_id": int(subject["contact_id"]),
            "location_id": int(subject["write_location_id"]),
            "room_ids": [int(subject["room_id"])],
            "status": "PROSPECT",
        }
    )
    subject["made_id"] = row.id
    return row


async def _update(client: TripleseatClient, subject: Subject) -> Any:
    return await client.update(subject["made_id"], {"status": "LOST"})


async def _delete(client: TripleseatClient, subject: Subject) -> Any:
    return await client.delete(subject["made_id"])


# --- the simulator ---


@asynccontextmanager
async def _simulated() -> AsyncIterator[Stage[TripleseatClient]]:
    sim = TripleseatSimulator(clock=StoppedClock(NOW), settings=TripleseatSettings(requests_per_second=0, requests_per_minute=0))
    _book(sim)
    tokens = RecordedTokens(a_pair(sim, lives=_HOUR))
    yield Stage(
        open=lambda: _open(an_app(sim), tokens, clock=sim.clock, transport=httpx.ASGITransport(app=sim.app), rate=100_000),
        subject=Subject(
            {
                "first_day": "2026-12-01",
                "last_day": "2026-12-31",
                "event_id": "61000001",
                "location_id": str(ALDER_HOUSE.id),
                "write_location_id": str(ALDER_HOUSE.id),
                "room_id": str(ALDER_HOUSE.rooms[0].id),
                "account_id": "5500001",
                "contact_id": "7700001",
                "write_day": "2027-02-01",
            }
        ),
        origin=Origin.SIMULATORS,
        may_write=True,
        secrets=lambda: (sim.settings.client_id, sim.settings.client_secret, *tokens.secrets()),
        today=NOW.date(),
    )


def _book(sim: TripleseatSimulator) -> None:
    """Add a dinner, a wedding past midnight in another zone, and a lost event."""
    cy, uma = (
        Person(number=n, first_name=first, last_name="Dunn", email=f"{first}@example.com".lower(), phone=f"212-555-01{n:02}")
        for n, first in ((1, "Cy"), (2, "Uma"))
    )
    events = sim.events
    events.add(an_event_row(61_000_001, datetime(2026, 12, 9, 18), datetime(2026, 12, 9, 21, 30), contact=cy))  # noqa: DTZ001 - a wall clock
    events.add(
        an_event_row(
            61_000_002,
            datetime(2026, 12, 15, 18),  # noqa: DTZ001 - a wall clock
            datetime(2026, 12, 16, 1),  # noqa: DTZ001 - a wall clock
            location=HARBOUR_HOUSE,
            contact=uma,
            event_type="Wedding",
            guest_count=None,
        )
    )
    events.add(
        an_event_row(61_000_003, datetime(2026, 12, 20, 12), datetime(2026, 12, 20, 14), contact=cy, status="LOST")  # noqa: DTZ001 - a wall clock
    )


# --- a real account ---


@asynccontextmanager
async def _real(env: Mapping[str, str]) -> AsyncIterator[Stage[TripleseatClient]]:
    app = OAuthApp(
        client_id=env[f"{_PREFIX}CLIENT_ID"],
        client_secret=env[f"{_PREFIX}CLIENT_SECRET"],
        redirect_uri=env.get(f"{_PREFIX}REDIRECT_URI", REDIRECT_URI),
        scope=env.get(f"{_PREFIX}SCOPE", "read"),
    )
    tokens = FileTokens(Path(env[f"{_PREFIX}TOKENS"]))
    if tokens.pair is None:
        await _consent(app, tokens)
    subject = await _scout(app, tokens, env)
    if may_write(env):
        location, room, account, contact = (env[name] for name in WRITE_VARIABLES[1:])
        subject |= {"write_location_id": location, "room_id": room, "account_id": account, "contact_id": contact}
        subject["write_day"] = (datetime.now(UTC).date() + timedelta(days=300)).isoformat()
    yield Stage(
        open=lambda: _open(app, tokens, rate=_RATE),
        subject=subject,
        origin=Origin.ACCOUNT,
        may_write=may_write(env),
        secrets=lambda: (app.client_id, app.client_secret, *tokens.secrets()),
        today=datetime.now(UTC).date(),
    )


def may_write(env: Mapping[str, str]) -> bool:
    """Say whether the account may be written to: only when told so, and for a room and a contact that are named for it."""
    said, *ids = (env.get(name, "") for name in WRITE_VARIABLES)
    return said == "yes" and all(one.isdecimal() for one in ids)


async def _consent(app: OAuthApp, tokens: "FileTokens") -> None:
    """Ask for consent once, as `calrelay login` does; the tokens stay in the file that the environment names."""
    await asyncio.to_thread(print, "Consent in a browser, and paste the code from the address it leads to:", authorize_url(app, "record"))
    code = await asyncio.to_thread(input, "code: ")
    tokens.save("record", await exchange_code(app, code.strip(), account="record"))


async def _scout(app: OAuthApp, tokens: "FileTokens", env: Mapping[str, str]) -> Subject:
    """Find out what there is to ask for: a month with events, one of them, and a location."""
    today = datetime.now(UTC).date()
    subject = Subject(first_day=today.isoformat(), last_day=(today + timedelta(days=60)).isoformat())
    async with _open(app, tokens, rate=_RATE) as client:
        await client.refresh_if_older_than(_HOUR)  # so that no token ends in the middle of a recording
        locations = await client.locations()
        subject["location_id"] = env.get(f"{_PREFIX}LOCATION_ID", locations[0].id)
        if f"{_PREFIX}SITE_ID" in env:
            subject["site_id"] = env[f"{_PREFIX}SITE_ID"]
        found = await _search(client, subject)
    if ids := [row.id for row in found.rows if row.id]:
        subject["event_id"] = ids[0]
    return subject


class RecordedTokens(MemoryTokens):
    """Tokens that are in use while cassettes are recorded."""

    def secrets(self) -> list[str]:
        return [text for pair in (self.pair, self.previous) if pair for text in (pair.access_token, pair.refresh_token) if text]


class FileTokens(RecordedTokens):
    """Tokens in a file of the contributor's; the refresh token rotates, so it is written back before it is used (rule 22)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        stored = json.loads(path.read_text()) if path.exists() else None
        super().__init__(
            None
            if stored is None
            else TokenPair(
                access_token=stored["access_token"],
                refresh_token=stored["refresh_token"],
                expires_at=datetime.fromisoformat(stored["expires_at"]),
            )
        )

    def save(self, account: str, pair: TokenPair) -> None:
        self._path.touch(mode=0o600)
        self._path.write_text(json.dumps(dataclasses.asdict(pair), default=datetime.isoformat))
        super().save(account, pair)


# --- playing ---


@asynccontextmanager
async def _played() -> AsyncIterator[TripleseatClient]:
    app = OAuthApp(client_id=SCRUBBED, client_secret=SCRUBBED, redirect_uri=REDIRECT_URI)
    tokens = MemoryTokens(TokenPair(access_token="played", refresh_token=SCRUBBED, expires_at=datetime.now(UTC) + _HOUR))
    async with _open(app, tokens, rate=100_000) as client:
        yield client


@asynccontextmanager
async def _open(
    app: OAuthApp, tokens: MemoryTokens, *, rate: float, clock: StoppedClock | Any = None, transport: AsyncBaseTransport | None = None
) -> AsyncIterator[TripleseatClient]:
    now = clock.now if clock else lambda: datetime.now(UTC)
    auth = TripleseatAuth(account="record", app=app, store=tokens, now=now)
    retry = Retry(wait=no_wait) if rate > _RATE else Retry()
    http = VendorClient(
        account="record",
        vendor="Tripleseat",
        base_url=BASE_URL,
        pacer=Pacer(rate),
        auth=auth,
        retry=retry,
        transport=transport,
        now=now,
    )
    async with http:
        yield TripleseatClient(http, auth=auth, now=now)


DECK: Final = Deck(
    vendor="tripleseat",
    client=TripleseatClient,
    calls={
        "search": _search,
        "list_events": _list_events,
        "show": _show,
        "sites": _sites,
        "remembered_sites": _remembered_sites,
        "locations": _locations,
        "location": _location,
        "refresh_if_older_than": _refresh,
        "create": _create,
        "update": _update,
        "delete": _delete,
    },
    writes=frozenset({"create", "update", "delete"}),
    variables=tuple(f"{_PREFIX}{name}" for name in ("CLIENT_ID", "CLIENT_SECRET", "TOKENS")),
    simulated=_simulated,
    real=_real,
    played=_played,
)
