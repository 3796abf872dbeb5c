"""Whom the simulated Tripleseat lets in: consent, tokens, their refreshes, and everything that can be wrong with them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.tripleseat.settings import AuthFailure, ClientCredentials, RefreshTokens, TripleseatSettings
from calrelay.simulators.tripleseat.simulator import TripleseatSimulator

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
CLIENT = {"client_id": "simulated-client", "client_secret": "simulated-secret"}
CALLBACK = "http://127.0.0.1:8650/callback"
ASK = {"client_id": "simulated-client", "redirect_uri": CALLBACK, "response_type": "code", "scope": "read", "state": "s1"}


def a_simulator(**settings: Any) -> TripleseatSimulator:
    return TripleseatSimulator(clock=SimulatedClock(NOW), settings=TripleseatSettings(requests_per_second=0, **settings))


def stranger_to(sim: TripleseatSimulator) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=sim.app), base_url="https://api.example.com")


async def ask_token(sim: TripleseatSimulator, **form: str) -> httpx.Response:
    async with stranger_to(sim) as client:
        return await client.post("/oauth2/token", data={**CLIENT, **form})


async def call(sim: TripleseatSimulator, token: str) -> httpx.Response:
    async with stranger_to(sim) as client:
        return await client.get("/v1/sites.json", headers={"authorization": f"Bearer {token}"})


def query_of(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 302
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


async def test_a_person_consents_and_the_code_becomes_a_token() -> None:
    sim = a_simulator()
    async with stranger_to(sim) as client:
        page = await client.get("/oauth2/authorize", params=ASK)
        back = query_of(await client.post("/oauth2/authorize", data=ASK))
    assert "<form" in page.text
    assert back["state"] == "s1"
    answer = await ask_token(sim, grant_type="authorization_code", code=back["code"], redirect_uri=CALLBACK)
    assert list(answer.json()) == ["access_token", "token_type", "expires_in", "refresh_token", "scope", "created_at"]
    assert (answer.json()["expires_in"], answer.json()["created_at"]) == (7200, int(NOW.timestamp()))
    assert (await call(sim, answer.json()["access_token"])).status_code == 200


@pytest.mark.parametrize(("settings", "extra"), [({"auto_consent": True}, {}), ({}, {"auto": "1"})])
async def test_consent_can_be_given_without_a_click(settings: dict[str, Any], extra: dict[str, str]) -> None:
    async with stranger_to(a_simulator(**settings)) as client:
        assert "code" in query_of(await client.get("/oauth2/authorize", params={**ASK, **extra}))


async def test_consent_can_be_denied() -> None:
    async with stranger_to(a_simulator()) as client:
        back = query_of(await client.post("/oauth2/authorize", data={**ASK, "decision": "deny"}))
    assert back == {"error": "access_denied", "state": "s1"}


@pytest.mark.parametrize("wrong", [{"client_id": "x"}, {"redirect_uri": CALLBACK + "/"}, {"response_type": "token"}], ids=str)
async def test_consent_is_not_asked_for_strangers(wrong: dict[str, str]) -> None:
    async with stranger_to(a_simulator()) as client:
        assert (await client.get("/oauth2/authorize", params={**ASK, **wrong})).status_code == 400


async def test_a_code_works_once_soon_and_for_its_redirect_uri() -> None:
    sim = a_simulator(redirect_uri="")
    grant = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
    used, late, elsewhere = (sim.authority.consent(CALLBACK) for _ in range(3))
    assert (await ask_token(sim, **grant, code=used)).status_code == 200
    assert (await ask_token(sim, **grant, code=used)).json()["error"] == "invalid_grant"
    assert (await ask_token(sim, **{**grant, "redirect_uri": "http://127.0.0.1:1/"}, code=elsewhere)).json()["error"] == "invalid_grant"
    sim.clock.advance(timedelta(minutes=11))
    assert (await ask_token(sim, **grant, code=late)).json()["error"] == "invalid_grant"


async def test_refresh_tokens_rotate_and_the_old_one_is_dead() -> None:
    sim = a_simulator()
    sim.grant(refresh_token="first")
    fresh = await ask_token(sim, grant_type="refresh_token", refresh_token="first")
    again = await ask_token(sim, grant_type="refresh_token", refresh_token="first")
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert (await ask_token(sim, grant_type="refresh_token", refresh_token=fresh.json()["refresh_token"])).status_code == 200


async def test_a_refresh_can_leave_the_old_token_alive() -> None:
    sim = a_simulator(refresh_tokens=RefreshTokens.KEEP)
    sim.grant(refresh_token="first")
    answers = [await ask_token(sim, grant_type="refresh_token", refresh_token="first") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert "refresh_token" not in answers[0].json()


async def test_a_token_request_may_be_json() -> None:
    sim = a_simulator()
    pair = sim.issue_tokens()
    async with stranger_to(sim) as client:
        body = {**CLIENT, "grant_type": "refresh_token", "refresh_token": pair.refresh_token}
        assert (await client.post("/oauth2/token", json=body)).status_code == 200


async def test_a_wrong_secret_is_401_and_an_unknown_grant_400() -> None:
    sim = a_simulator()
    assert (await ask_token(sim, client_secret="x", grant_type="refresh_token")).status_code == 401
    assert (await ask_token(sim, grant_type="password")).json()["error"] == "unsupported_grant_type"


@pytest.mark.parametrize(
    ("mode", "token_status", "call_status"),
    [(ClientCredentials.OFF, 400, None), (ClientCredentials.ON, 200, 200), (ClientCredentials.NO_OWNER, 200, 401)],
)
async def test_client_credentials_are_what_the_settings_say(mode: ClientCredentials, token_status: int, call_status: int | None) -> None:
    sim = a_simulator(client_credentials=mode)
    answer = await ask_token(sim, grant_type="client_credentials")
    assert answer.status_code == token_status
    if call_status is not None:
        used = await call(sim, answer.json()["access_token"])
        assert used.status_code == call_status
        assert "refresh_token" not in answer.json()
    if call_status == 401:
        assert used.json() == {"error": "Token resource owner not found"}


async def test_access_tokens_expire_by_themselves_and_on_demand() -> None:
    sim = a_simulator()
    old, newer = sim.issue_tokens(), None
    sim.clock.advance(timedelta(seconds=7201))
    assert (await call(sim, old.access_token)).status_code == 401
    newer = sim.issue_tokens()
    assert (await call(sim, newer.access_token)).status_code == 200
    sim.expire_tokens()
    assert (await call(sim, newer.access_token)).status_code == 401
    assert newer.refresh_token is not None
    assert (await ask_token(sim, grant_type="refresh_token", refresh_token=newer.refresh_token)).status_code == 200


async def test_a_withdrawn_consent_ends_refreshing_too() -> None:
    sim = a_simulator()
    pair = sim.issue_tokens()
    sim.authority.revoke()
    assert (await ask_token(sim, grant_type="refresh_token", refresh_token=str(pair.refresh_token))).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("failure", "status", "text"),
    [
        (AuthFailure.UNAUTHORIZED, 401, "error"),
        (AuthFailure.LOGIN_PAGE, 200, "Please sign in"),
        (AuthFailure.REDIRECT, 302, ""),
        (AuthFailure.NO_OWNER, 401, "Token resource owner not found"),
    ],
)
async def test_a_bad_token_is_refused_in_each_way_that_was_seen(failure: AuthFailure, status: int, text: str) -> None:
    answer = await call(a_simulator(auth_failure=failure), "nonsense")
    assert answer.status_code == status
    assert text in answer.text


async def test_the_public_key_opens_sites_and_locations_only() -> None:
    paths = ("/v1/sites.json", "/v1/locations.json", "/v1/events/search.json", "/v1/locations/2601.json")
    async with stranger_to(a_simulator()) as client:
        answers = [await client.get(path, params={"public_key": "simulated-public-key"}) for path in paths]
        wrong = await client.get("/v1/sites.json", params={"public_key": "x"})
    assert [answer.status_code for answer in answers] == [200, 200, 403, 403]
    assert answers[2].json() == {"error": "You don't have permission"}
    assert wrong.status_code == 403
