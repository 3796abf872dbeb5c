"""The two vendors as one fast server: ready-made pages of bookings, and a calendar that takes batches and keeps the books on them.

It runs in a virtual environment of its own and knows nothing of calrelay. `POST /bench/reset` begins a trial with its latency and
faults, `GET /bench/books` tells what was seen since.
"""

import argparse
import asyncio
import hashlib
import time
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from books import Books, place_of_poison

PAGE = 50
LISTED = 100


class World:
    """The bookings, and what the calendar holds; it outlives a trial unless told to be emptied."""

    def __init__(self, rows: list[bytes]) -> None:
        self.rows = rows
        self.pages = [_page(rows[at : at + PAGE], -(-len(rows) // PAGE)) for at in range(0, len(rows), PAGE)]
        self.by_id = {str(orjson.loads(row)["id"]): row for row in rows}
        self.held: dict[str, dict[str, Any]] = {}
        self.books = Books({})


def _page(rows: list[bytes], total: int) -> bytes:
    return b'{"total_pages":%d,"results":[%s]}' % (total, b",".join(rows))


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


class Api:
    """The routes."""

    def __init__(self, world: World) -> None:
        self.world = world

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/oauth2/token", self.token)
        app.router.add_get("/v1/events/search.json", self.search)
        app.router.add_get("/v1/events/{id}.json", self.show)
        app.router.add_put("/v1/events", self.put)
        app.router.add_delete("/v1/events", self.delete)
        app.router.add_get("/v1/events", self.listing)
        app.router.add_get("/v1/event", self.event)
        app.router.add_get("/v1/calendars", self.calendars)
        app.router.add_post("/bench/reset", self.reset)
        app.router.add_get("/bench/books", self.tell)
        app.router.add_patch("/bench/bookings", self.change)
        return app

    # --- the source ---

    async def token(self, _: web.Request) -> web.Response:
        """Hand out a token to anybody."""
        return _json(b'{"access_token":"bench","token_type":"Bearer","expires_in":7200,"refresh_token":null}')

    async def search(self, request: web.Request) -> web.Response:
        """Give a page of bookings; every filter is ignored, as everything is wanted."""
        if (failure := await self._begin(is_write=False)) is not None:
            return failure
        offset = request.query.get("offset")  # drt counts rows, the others pages
        number = int(request.query.get("page", "1")) if offset is None else int(offset) // PAGE + 1
        pages = self.world.pages
        return _json(pages[number - 1] if number <= len(pages) else b'{"total_pages":%d,"results":[]}' % len(pages))

    async def show(self, request: web.Request) -> web.Response:
        """Give one booking."""
        if (failure := await self._begin(is_write=False)) is not None:
            return failure
        row = self.world.by_id.get(request.match_info["id"])
        return _json(b"{}", 404) if row is None else _json(b'{"event":' + row + b"}")

    # --- the target ---

    async def put(self, request: web.Request) -> web.Response:
        """Take a batch, or refuse it whole; the answer shows every event as it is held now."""
        body = await request.read()
        books = self.world.books
        events = orjson.loads(body)["events"]
        books.note_sent([event["external_id"] for event in events])
        if (failure := await self._begin(is_write=True)) is not None:
            return failure
        if books.trap is not None and books.sent > books.trap:
            books.is_trapped = True
            await asyncio.sleep(3600)
        await asyncio.sleep(books.per_event * len(events))
        if any(event["external_id"] == books.poison for event in events):
            books.refused += 1
            return _json(b'{"error":"unprocessable"}', 422)
        return _json(orjson.dumps({"events": [self._keep(event) for event in events]}))

    def _keep(self, event: dict[str, Any]) -> dict[str, Any]:
        held = self.world.held
        external_id = event["external_id"]
        row = held.get(external_id)
        if row is None:
            row = held[external_id] = {"id": 9_000_000 + len(held), "calendar_name": "Main Hall", "is_deleted": False}
        row.update(event)
        return row

    async def listing(self, request: web.Request) -> web.Response:
        """List what the calendar holds, oldest first."""
        if (failure := await self._begin(is_write=False)) is not None:
            return failure
        size, page = int(request.query.get("page_size", LISTED)), int(request.query.get("page", "1"))
        rows = list(self.world.held.values())[(page - 1) * size : page * size]
        return _json(orjson.dumps({"events": rows}))

    async def event(self, request: web.Request) -> web.Response:
        """Give one event by either id."""
        if (failure := await self._begin(is_write=False)) is not None:
            return failure
        row = self.world.held.get(request.query.get("external_id", ""))
        return _json(b"{}", 404) if row is None else _json(orjson.dumps(row))

    async def delete(self, request: web.Request) -> web.Response:
        """Take one out."""
        if (failure := await self._begin(is_write=True)) is not None:
            return failure
        held = self.world.held
        found = next((name for name, row in held.items() if str(row["id"]) == request.query.get("id")), None)
        return _json(b"{}", 404) if found is None else _json(orjson.dumps({"events": [held.pop(found) | {"is_deleted": True}]}))

    async def calendars(self, _: web.Request) -> web.Response:
        """Name the one calendar."""
        return _json(b'[{"id":1000030001,"name":"Main Hall"}]')

    async def _begin(self, *, is_write: bool) -> web.Response | None:
        books = self.world.books
        now = time.monotonic()
        books.first = now if books.first is None else books.first
        books.reads += not is_write
        books.writes += is_write
        if books.latency:
            await asyncio.sleep(books.latency)
        books.last = time.monotonic()
        if books.share_503 and books.chance.random() < books.share_503:
            books.failed += 1
            return _json(b'{"error":"unavailable"}', 503)
        return None

    # --- the bench ---

    async def reset(self, request: web.Request) -> web.Response:
        """Begin a trial; `keep` leaves what the calendar holds."""
        order = orjson.loads(await request.read())
        if not order.get("keep"):
            self.world.held.clear()
        self.world.books = Books(order)
        return _json(b"{}")

    async def change(self, request: web.Request) -> web.Response:
        """Rename the first so many bookings."""
        order = orjson.loads(await request.read())
        rows = list(self.world.rows)
        for at in range(order["count"]):
            row = orjson.loads(rows[at])
            rows[at] = orjson.dumps(row | {"name": f"{row['name']} {order['word']}"})
        held = self.world.held
        self.world = World(rows)
        self.world.held = held
        return _json(b"{}")

    async def tell(self, request: web.Request) -> web.Response:
        """Tell the books, and with `digest=1` what is held, as one hash of every event's content."""
        books, held = self.world.books, self.world.held
        told: dict[str, Any] = {
            "reads": books.reads,
            "writes": books.writes,
            "refused": books.refused,
            "failed": books.failed,
            "sent": books.sent,
            "sent_again": books.sent_again,
            "held": len(held),
            "poison": f"ts-{orjson.loads(self.world.rows[place_of_poison(len(self.world.rows))])['id']}",  # one that may be asked for
            "is_trapped": books.is_trapped,
            "first": books.first,
            "last": books.last,
        }
        if request.query.get("digest"):
            told["digest"] = _digest(held)
        return _json(orjson.dumps(told))


def _digest(held: dict[str, dict[str, Any]]) -> str:
    told = ("title", "start_time", "end_time", "time_zone", "location", "content", "participants", "custom_data")
    rows = [[name, *(row.get(key) for key in told)] for name, row in sorted(held.items())]
    return hashlib.sha256(orjson.dumps(rows, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def main() -> None:
    """Serve until ended; prints the port."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=Path)
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    world = World(args.rows.read_bytes().splitlines())
    asyncio.run(_serve(Api(world), args.port))


async def _serve(api: Api, port: int) -> None:
    runner = web.AppRunner(api.app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    uvloop.install()
    main()
