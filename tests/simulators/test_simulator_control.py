"""The control calls, knobs and rate windows that all simulators share."""

import dataclasses
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import httpx
import pytest

from calrelay.simulators import knobs
from calrelay.simulators.control import Simulator
from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.limits import RateWindow
from calrelay.simulators.tripleseat.simulator import TripleseatSimulator

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)


@pytest.fixture
def sim() -> TripleseatSimulator:
    return TripleseatSimulator(clock=SimulatedClock(NOW))


def client_of(sim: Simulator) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=sim.app), base_url="https://vendor.example.com")


async def test_state_shows_settings_faults_and_counts(sim: TripleseatSimulator) -> None:
    async with client_of(sim) as client:
        state = (await client.get("/_control/state")).json()
    assert (state["name"], state["snapshot"]["events"], state["settings"]["page_size"], state["faults"]) == ("tripleseat", 0, 50, [])


async def test_a_patch_changes_the_named_settings_only(sim: TripleseatSimulator) -> None:
    async with client_of(sim) as client:
        answer = await client.post("/_control/settings", json={"page_size": 7, "deletion": "marked"})
    assert (answer.json()["page_size"], sim.settings.page_size, sim.settings.deletion) == (7, 7, "marked")
    assert sim.settings.requests_per_second == 10


@pytest.mark.parametrize("change", [{"nonsense": 1}, {"page_size": "many"}, {"page_size": True}, {"deletion": "x"}, {"scope": 3}], ids=str)
async def test_a_patch_that_does_not_fit_is_400_with_the_known_names(sim: TripleseatSimulator, change: dict[str, Any]) -> None:
    async with client_of(sim) as client:
        answer = await client.post("/_control/settings", json={"page_size": 9, **change})
    assert answer.status_code == 400
    assert "page_size" in answer.json()["known"]
    assert sim.settings.page_size == 50


async def test_faults_can_be_added_listed_and_cleared(sim: TripleseatSimulator) -> None:
    async with client_of(sim) as client:
        added = await client.post(
            "/_control/faults", json={"kind": "status", "status": 502, "path": "/v1", "headers": {"retry-after": "3"}}
        )
        broken = await client.get("/v1/sites.json")
        listed = (await client.get("/_control/faults")).json()
        cleared = (await client.delete("/_control/faults")).json()
        wrong = [await client.post("/_control/faults", json=body) for body in ({"kind": "odd"}, {"kind": "html", "odd": 1}, {})]
    assert (added.json()[0]["status"], broken.status_code, broken.headers["retry-after"]) == (502, 502, "3")
    assert (listed[0]["times"], cleared) == (0, [])
    assert [answer.status_code for answer in wrong] == [400, 400, 400]


async def test_the_journal_can_be_filtered_and_forgotten(sim: TripleseatSimulator) -> None:
    async with client_of(sim) as client:
        await client.get("/v1/sites.json?a=1&a=2")
        await client.post("/oauth2/token", data={"grant_type": "x"})
        everything = (await client.get("/_control/journal")).json()
        posts = (await client.get("/_control/journal", params={"method": "POST", "path": "oauth"})).json()
        later = (await client.get("/_control/journal", params={"since": everything[0]["number"]})).json()
        assert (await client.delete("/_control/journal")).json() == []
    assert everything[0]["query"] == [["a", "1"], ["a", "2"]]
    assert posts == later == everything[1:]
    assert posts[0]["body"] == "grant_type=x"


async def test_the_clock_moves_and_answers_carry_it(sim: TripleseatSimulator) -> None:
    async with client_of(sim) as client:
        moved = (await client.post("/_control/clock", json={"advance_seconds": 3600})).json()["now"]
        date = (await client.get("/v1/sites.json")).headers["date"]
        wrong = await client.post("/_control/clock", json={})
    assert datetime.fromisoformat(moved) - NOW >= timedelta(hours=1)
    assert date.startswith("Sat, 21 Nov 2026 16:00:")
    assert wrong.status_code == 400


class Mode(StrEnum):
    ONE = "one"
    TWO = "two"


@dataclasses.dataclass(slots=True, kw_only=True)
class Settings:
    mode: Mode = Mode.ONE
    flag: bool = False
    ratio: float = 0.5
    limit: int | None = 3
    names: tuple[str, ...] = ("a",)
    modes: frozenset[Mode] = frozenset()


def test_knobs_take_what_a_form_sends() -> None:
    settings = Settings()
    knobs.patch(settings, {"mode": "two", "flag": "true", "ratio": "2", "limit": "", "names": '["b", "c"]', "modes": '["one"]'})
    assert settings == Settings(mode=Mode.TWO, flag=True, ratio=2.0, limit=None, names=("b", "c"), modes=frozenset({Mode.ONE}))


def test_what_a_knob_shows_can_be_sent_back() -> None:
    settings = Settings(limit=None, modes=frozenset({Mode.TWO}))
    knobs.patch(settings, {knob.name: knob.text for knob in knobs.knobs_of(settings)})
    assert settings == Settings(limit=None, modes=frozenset({Mode.TWO}))


def test_knobs_with_few_values_offer_them() -> None:
    assert {knob.name: knob.choices for knob in knobs.knobs_of(Settings())}["mode"] == ("one", "two")
    assert {knob.name: knob.choices for knob in knobs.knobs_of(Settings())}["flag"] == ("true", "false")


def test_a_rate_window_lets_no_more_through_in_any_span_of_its_length() -> None:
    window = RateWindow(2, timedelta(seconds=1))
    assert [window.hit(t) for t in (0.0, 0.75, 0.875)] == [None, None, 0.125]
    assert [window.hit(t) for t in (1.0, 1.5, 1.75)] == [None, 0.25, None]


def test_a_rate_window_without_a_limit_lets_everything_through() -> None:
    window = RateWindow(0, timedelta(seconds=1))
    assert [window.hit(0.0) for _ in range(100)] == [None] * 100


def test_a_rate_window_forgets_on_demand_and_obeys_a_new_limit() -> None:
    window = RateWindow(5, timedelta(seconds=1))
    assert [window.hit(0.0) for _ in range(5)] == [None] * 5
    window.limit = 2
    assert window.hit(0.5) == 0.5
    window.clear()
    assert window.hit(0.5) is None
