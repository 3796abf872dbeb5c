"""docs/simulators.md against the control calls: it names them all, and every body it shows is one that they take."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from starlette.routing import Mount, Route

from calrelay.simulators.control import Simulator, control_app
from calrelay.simulators.worlds import CALENDARS, World, a_world

PAGE = (Path(__file__).parents[2] / "docs" / "simulators.md").read_text()
SECTIONS = dict(zip(("common", "tripleseat", "timetap", "apptoto"), PAGE.split("\n## ")[1:], strict=True))
VENDORS = ("tripleseat", "timetap", "apptoto")
BOOKINGS = {"tripleseat": "events/61000020", "timetap": "appointments/70000010"}
PLACEHOLDERS = {"{id:int}": "ID", "{page:int}": "PAGE", "{edit}": "EDIT", "{verb}": "VERB", "tokens/{verb}": "tokens/expire"}
NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    return a_world(1, NOW)


def simulator_of(world: World, section: str) -> Simulator:
    known: dict[str, Simulator] = {"timetap": world.timetap, "apptoto": world.apptoto}
    return known.get(section, world.tripleseat)


def shown() -> Iterator[tuple[str, str, str]]:
    """Yield section, path and body of every body that can be posted as the page shows it, and of every verb that needs none."""
    for section, text in SECTIONS.items():
        for names, bodies in re.findall(r"^\| (`[^|]+) \|([^|]*)\|", text, re.MULTILINE):
            told = [body for body in re.findall(r"`(\{[^`]*\})`", bodies) if "…" not in body]
            paths = [path for path in re.findall(r"([a-z_]+(?:/[A-Za-z_]+)*)`", names) if "ID" not in path]
            if not re.search("GET|POST|DELETE", names) and section in BOOKINGS:
                yield from ((section, f"{BOOKINGS[section]}/{verb}", body) for verb in paths for body in told or ["{}"])
            elif "POST" in names:
                yield from ((section, path, body) for path in paths for body in told)


async def post(simulator: Simulator, path: str, body: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=simulator.app), base_url="https://vendor.example.com") as client:
        return await client.post(f"/_control/{path}", content=body)


@pytest.mark.parametrize("section", [*VENDORS, "common"])
def test_every_call_is_named(world: World, section: str) -> None:
    simulator = simulator_of(world, section)
    [mount] = control_app(simulator)
    assert isinstance(mount, Mount)
    own = {route.path for route in simulator.control_routes() if isinstance(route, Route)}
    paths = own if section != "common" else {route.path for route in mount.routes if isinstance(route, Route)} - own
    for placeholder in reversed(PLACEHOLDERS):
        paths = {path.replace(placeholder, PLACEHOLDERS[placeholder]) for path in paths}
    assert [path for path in sorted(paths) if not re.search(rf"[ `]{path.lstrip('/')}`", SECTIONS[section])] == []


@pytest.mark.parametrize("section", BOOKINGS)
async def test_every_verb_is_named_in_an_error_and_on_the_page(world: World, section: str) -> None:
    answer = await post(simulator_of(world, section), f"{BOOKINGS[section]}/paint", "")
    _, _, told = answer.json()["error"].partition(", but to ")
    assert (answer.status_code, len(told.split(", ")) > 9) == (400, True)
    assert [verb for verb in told.split(", ") if f"`{verb}`" not in SECTIONS[section]] == []


@pytest.mark.parametrize(("section", "path", "body"), list(shown()))
async def test_every_body_shown_is_taken(world: World, section: str, path: str, body: str) -> None:
    simulator = simulator_of(world, section)
    if path == "participants":
        await put_an_event(world, json.loads(body)["external_id"])
    answer = await post(simulator, path, body)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("section", "path", "body", "status", "told"),
    [
        ("tripleseat", "events/1/move", '{"minutes": 60}', 404, "there is no event 1"),
        ("timetap", "appointments/1/cancel", "", 404, "there is no appointment 1"),
        ("tripleseat", "events/61000020/move", "", 400, "the body has no 'start'"),
        ("tripleseat", "events/61000020/patch", '{"name": "Dinner"}', 400, 'a patch is {"set": {"FIELD": VALUE}}'),
        ("tripleseat", "events/61000020/relocate", '{"location_id": 5, "room_ids": []}', 400, "there is no 5"),
        ("tripleseat", "events/61000020/status", "LOST", 400, "the body is no JSON"),
        ("tripleseat", "tokens/borrow", "", 400, "but to expire, revoke, grant"),
        ("tripleseat", "events/61000020/vary", '{"variant": "odd"}', 400, "no_utc"),
        ("tripleseat", "events/61000020/move", '{"minutes": 99999999999999}', 400, "a number is too large"),
        ("timetap", "appointments", '{"start": "2027-03-06T18:00", "staff_zone": "Mars/City"}', 400, "Mars/City"),
        ("common", "clock", "[]", 400, "the body must be a JSON object"),
        ("common", "clock", "", 400, "the body has no 'advance_seconds'"),
        ("common", "clock", '{"advance_seconds": 1e30}', 400, "a number is too large"),
        ("common", "faults", '{"status": 502}', 400, "the body has no 'kind'"),
        ("common", "faults", '{"kind": "status", "tims": 3}', 400, "no setting is called 'tims'"),
        ("common", "faults", '{"kind": "status", "times": "x"}', 400, "'x' does not fit times"),
        ("common", "faults", '{"kind": "status", "headers": 5}', 400, "5 does not fit headers"),
        ("common", "faults", '{"kind": "status", "headers": {"retry-after": 3}}', 400, "headers are texts"),
        ("common", "faults", '{"kind": "status", "status": 99}', 400, "99 is no status of an answer"),
        ("common", "faults", '{"kind": "slow", "seconds": NaN}', 400, "NaN is no number"),
    ],
)
async def test_what_cannot_be_used_is_said(world: World, section: str, path: str, body: str, status: int, told: str) -> None:
    answer = await post(simulator_of(world, section), path, body)
    assert (answer.status_code, told in answer.json()["error"]) == (status, True), answer.text


async def put_an_event(world: World, external_id: str) -> None:
    row = {
        "external_id": external_id,
        "calendar_id": world.calendars[CALENDARS[0]],
        "title": "Tasting",
        "start_time": "2027-03-06T18:00:00-05:00",
        "end_time": "2027-03-06T19:00:00-05:00",
        "participants": [{"name": "Ana Bell", "email": "ana@example.com"}],
    }
    settings = world.apptoto.settings
    transport, auth = httpx.ASGITransport(app=world.apptoto.app), (settings.username, settings.api_key)
    async with httpx.AsyncClient(transport=transport, base_url="https://vendor.example.com", auth=auth) as client:
        (await client.put("/v1/events", json={"events": [row]})).raise_for_status()
