"""What the simulated Tripleseat lets others change: events over the API with its validation, and everything over /_control."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.tripleseat.rows import an_event_row
from calrelay.simulators.tripleseat.settings import Errors, TripleseatSettings
from calrelay.simulators.tripleseat.simulator import TripleseatSimulator

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
DAY = datetime(2026, 12, 1, 18, 0)  # noqa: DTZ001  # a wall clock time has no zone
NEW = {
    "name": "Alder Team Dinner",
    "event_start": "12/05/2026 06:00 PM",
    "event_end": "12/05/2026 09:30 PM",
    "account_id": 5500001,
    "contact_id": 7700001,
    "location_id": 2601,
    "room_ids": [90001],
    "status": "TENTATIVE",
}


def a_simulator(**settings: Any) -> TripleseatSimulator:
    sim = TripleseatSimulator(clock=SimulatedClock(NOW), settings=TripleseatSettings(requests_per_second=0, **settings))
    sim.events.add(an_event_row(1, DAY, DAY + timedelta(hours=3)))
    return sim


def client_of(sim: TripleseatSimulator) -> httpx.AsyncClient:
    token = sim.issue_tokens().access_token
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=sim.app), base_url="https://api.example.com", headers={"authorization": f"Bearer {token}"}
    )


async def write(sim: TripleseatSimulator, method: str, path: str, **fields: Any) -> httpx.Response:
    async with client_of(sim) as client:
        return await client.request(method, path, json={"event": fields})


async def control(sim: TripleseatSimulator, method: str, path: str, body: object = None) -> Any:
    async with client_of(sim) as client:
        answer = await client.request(method, f"/_control/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_event_can_be_created_and_gets_a_booking() -> None:
    sim = a_simulator()
    answer = await write(sim, "POST", "/v1/events.json", **NEW)
    event = answer.json()["event"]
    assert (answer.status_code, event["id"], event["event_start_utc"]) == (200, 2, "2026-12-05T23:00:00Z")
    assert (event["booking"]["event_ids"], event["contact"]["id"], event["status"]) == ([2], 7700001, "TENTATIVE")
    assert list(event) == list(sim.events.get(1).row)


async def test_an_event_may_come_in_the_query_as_documented() -> None:
    sim = a_simulator()
    async with client_of(sim) as client:
        answer = await client.put("/v1/events/1.json", params={"event": '{"name": "Renamed"}'})
    assert answer.json()["event"]["name"] == "Renamed"


async def test_creating_twice_makes_two() -> None:
    sim = a_simulator(overlaps=True)
    for _ in range(2):
        await write(sim, "POST", "/v1/events.json", **NEW)
    assert len(sim.events) == 3


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        ({"name": ""}, {"name": ["can't be blank"]}),
        ({"contact_id": None, "room_ids": []}, {"contact": ["must be selected"], "rooms": ["must be selected"]}),
        ({"event_start": "2026-12-05 18:00"}, {"event_start": ["is invalid"]}),
        ({"status": "CANCELLED"}, {"status": ["is not included in the list"]}),
        ({"location_id": 9}, {"location": ["is invalid"]}),
        ({"room_ids": [9]}, {"rooms": ["must be selected"]}),
        ({"event_end": "12/05/2026 05:00 PM"}, {"event_end": ["must be after the start"]}),
        ({"event_end": "12/06/2026 06:01 PM"}, {"event_end": ["must be within 24 hours of the start"]}),
        ({"event_start": "11/21/2026 09:00 AM", "event_end": "11/21/2026 01:00 PM"}, {"event_start": ["can't be in the past"]}),
        (
            {"event_start": "12/01/2026 08:00 PM", "event_end": "12/01/2026 11:00 PM"},
            {"base": ["overlaps with another event in the same area"]},
        ),
    ],
    ids=str,
)
async def test_what_breaks_a_rule_is_not_created(change: dict[str, Any], errors: dict[str, list[str]]) -> None:
    sim = a_simulator()
    answer = await write(sim, "POST", "/v1/events.json", **{**NEW, **change})
    assert (answer.status_code, answer.json(), len(sim.events)) == (422, {"errors": errors}, 1)


async def test_prospects_may_share_a_room() -> None:
    sim = a_simulator()
    sim.events.set_status(1, "PROSPECT")
    same_time = {"event_start": "12/01/2026 08:00 PM", "event_end": "12/01/2026 11:00 PM"}
    assert (await write(sim, "POST", "/v1/events.json", **{**NEW, **same_time, "status": "DEFINITE"})).status_code == 422
    assert (await write(sim, "POST", "/v1/events.json", **{**NEW, **same_time, "status": "PROSPECT"})).status_code == 200


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (Errors.LIST, {"errors": ["Name can't be blank"]}),
        (Errors.STRING, {"success": False, "error": "Name can't be blank"}),
    ],
)
async def test_errors_can_be_written_as_text_and_with_400(form: Errors, body: dict[str, Any]) -> None:
    sim = a_simulator(errors=form, validation_status=400)
    answer = await write(sim, "POST", "/v1/events.json", **{**NEW, "name": ""})
    assert (answer.status_code, answer.json()) == (400, body)


async def test_a_body_without_an_event_is_refused() -> None:
    async with client_of(a_simulator()) as client:
        answers = [await client.post("/v1/events.json", content=body) for body in ("", "[]", "{}", "{")]
    assert {answer.status_code for answer in answers} == {422}


async def test_an_update_changes_only_what_is_given() -> None:
    sim = a_simulator()
    before = dict(sim.events.get(1).row)
    event = (await write(sim, "PUT", "/v1/events/1.json", status="closed")).json()["event"]
    changed = {key for key in before if before[key] != event[key]}
    assert event["status"] == "CLOSED"
    assert changed == {"status", "booking", "status_changes", "updated_at"}


async def test_an_update_can_move_to_another_time_and_room() -> None:
    sim = a_simulator()
    fields = {"event_start": "12/2/2026 7:00 PM", "event_end": "12/2/2026 9:00 PM", "room_ids": [90002], "guest_count": 9}
    event = (await write(sim, "PUT", "/v1/events/1.json", **fields)).json()["event"]
    assert (event["event_start_utc"], event["rooms"][0]["name"], event["guest_count"]) == ("2026-12-03T00:00:00Z", "Terrace", 9)


async def test_an_update_that_breaks_a_rule_changes_nothing() -> None:
    sim = a_simulator()
    before = dict(sim.events.get(1).row)
    assert (await write(sim, "PUT", "/v1/events/1.json", name="New", status="CANCELLED")).status_code == 422
    assert sim.events.get(1).row == before
    assert (await write(sim, "PUT", "/v1/events/9.json", name="New")).status_code == 404


async def test_a_delete_follows_the_settings() -> None:
    sim = a_simulator()
    async with client_of(sim) as client:
        assert (await client.delete("/v1/events/1.json")).json()["event"]["deleted_at"] is not None
        assert (await client.get("/v1/events/1.json")).status_code == 404
        assert (await client.delete("/v1/events/1.json")).status_code == 404


@pytest.mark.parametrize(
    ("edit", "given", "key", "value"),
    [
        ("move", {"minutes": 60}, "event_start", "12/1/2026 7:00 PM"),
        ("move", {"start": "2026-12-03T10:00", "end": "2026-12-03T11:00"}, "event_end", "12/3/2026 11:00 AM"),
        ("rename", {"name": "Other"}, "name", "Other"),
        ("status", {"status": "LOST"}, "status", "LOST"),
        ("guests", {"count": None}, "guest_count", None),
        ("relocate", {"location_id": 2602, "room_ids": [90012]}, "room_ids", [90012]),
        ("patch", {"set": {"event_start_utc": "nonsense"}, "drop": ["lead"]}, "event_start_utc", "nonsense"),
        ("delete", {"mode": "marked"}, "deleted_at", "11/21/2026 10:00 AM"),
        ("restore", {}, "deleted_at", None),
        ("vary", {"variant": "no_contact"}, "contact", None),
    ],
)
async def test_every_edit_can_be_made_by_a_control_call(edit: str, given: dict[str, Any], key: str, value: object) -> None:
    sim = a_simulator()
    assert (await control(sim, "POST", f"events/1/{edit}", given))[key] == value
    assert sim.events.get(1).row[key] == value


async def test_a_contact_can_be_changed_by_a_control_call() -> None:
    sim = a_simulator()
    person = {"first_name": "Ana", "last_name": "Ito", "email": "ana@example.com", "phone": "212-555-0107"}
    assert (await control(sim, "POST", "events/1/contact", person))["contact"]["first_name"] == "Ana"


async def test_events_can_be_added_by_a_control_call() -> None:
    sim = a_simulator()
    start = {
        "start": "2026-12-24T18:00",
        "end": "2026-12-24T22:00",
        "location_id": 2602,
        "room_ids": [90012],
        "name": "Eve",
        "contact": None,
    }
    made = await control(sim, "POST", "events", start)
    assert (made["event_start_utc"], made["rooms"][0]["name"], made["contact"]) == ("2026-12-25T01:00:00Z", "Terrace", None)
    await control(sim, "POST", "events", {"row": {**made, "id": 99}})
    assert [row["id"] for row in await control(sim, "GET", "events")] == [1, 2, 99]
    assert (await control(sim, "GET", "events/99"))["name"] == "Eve"


async def test_tokens_can_be_steered_by_control_calls() -> None:
    sim = a_simulator()
    pair = await control(sim, "POST", "tokens")
    assert sim.authority.judge(pair["access_token"]) == "valid"
    await control(sim, "POST", "tokens/expire")
    assert sim.authority.judge(pair["access_token"]) == "invalid"
    assert (await control(sim, "POST", "tokens/grant", {"refresh_token": "r"}))["refresh_tokens"] >= 2
    assert (await control(sim, "POST", "tokens/revoke"))["refresh_tokens"] == 0


async def test_a_change_in_mid_read_can_be_ordered_by_a_control_call() -> None:
    sim = a_simulator()
    await control(sim, "POST", "after_page/1/1/rename", {"name": "Later"})
    async with client_of(sim) as client:
        names = [(await client.get("/v1/events/search.json")).json()["results"][0]["name"] for _ in range(2)]
    assert names == ["Alder Team Dinner", "Later"]


@pytest.mark.parametrize(("path", "body"), [("events/1/nonsense", {}), ("tokens/nonsense", {}), ("events/1/rename", [])])
async def test_a_control_call_that_makes_no_sense_is_400(path: str, body: object) -> None:
    async with client_of(a_simulator()) as client:
        answer = await client.post(f"/_control/{path}", json=body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
