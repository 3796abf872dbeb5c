"""How Tripleseat's tokens are got, kept and renewed: a rotated refresh token that is lost costs the operator a new consent."""

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from calrelay.errors import AuthFailed, RateLimited, VendorError, VendorUnavailable
from calrelay.ports import TokenPair
from calrelay.simulators.faults import Fault, Kind
from calrelay.simulators.tripleseat.settings import AuthFailure, ClientCredentials, RefreshTokens
from calrelay.vendors.tripleseat.auth import OAuthApp, authorize_url, exchange_code
from calrelay.vendors.tripleseat.settings import Auth
from tests.vendors.tripleseat_account import CALLBACK, NOW, TripleseatAccount, a_pair, an_app, open_account

LOGIN = "calrelay login venue"
TWO_HOURS = timedelta(hours=2)


def token_requests(account: TripleseatAccount) -> list[dict[str, str]]:
    return [dict(parse_qsl(entry.body.decode())) for entry in account.sim.journal.entries if entry.path == "/oauth2/token"]


async def exchange(account: TripleseatAccount, code: str, **app: Any) -> TokenPair:
    transport = httpx.ASGITransport(app=account.sim.app)
    return await exchange_code(an_app(account.sim, **app), code, account="venue", now=account.sim.clock.now, transport=transport)


# --- consent ---


def test_the_consent_address_carries_everything_tripleseat_asks_for() -> None:
    url = urlsplit(authorize_url(OAuthApp(client_id="id&1", client_secret="s", redirect_uri=CALLBACK, scope="read write"), "st"))
    assert f"{url.scheme}://{url.netloc}{url.path}" == "https://login.tripleseat.com/oauth2/authorize"
    assert dict(parse_qsl(url.query)) == {
        "client_id": "id&1",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "read write",
        "state": "st",
    }


def test_neither_app_nor_pair_shows_a_secret() -> None:
    app = OAuthApp(client_id="id", client_secret="s3cret", redirect_uri=CALLBACK)
    assert "s3cret" not in repr(app)


async def test_a_code_becomes_a_pair_that_works() -> None:
    async with open_account(logged_in=False) as account:
        pair = await exchange(account, account.sim.authority.consent(CALLBACK))
        assert timedelta(minutes=119) < pair.expires_at - NOW < timedelta(minutes=121)
        account.tokens.save("venue", pair)
        assert await account.client.sites()


async def test_a_used_code_is_refused_with_the_command_that_mends_it() -> None:
    async with open_account(logged_in=False) as account:
        code = account.sim.authority.consent(CALLBACK)
        await exchange(account, code)
        with pytest.raises(AuthFailed) as caught:
            await exchange(account, code)
        assert LOGIN in caught.value.remedy


async def test_a_code_is_never_traded_twice() -> None:
    """A repeated trade kills the consent it made."""
    async with open_account(logged_in=False) as account:
        account.faults.add(Fault(kind=Kind.STATUS, status=503, path="/oauth2/token", times=None))
        with pytest.raises(VendorUnavailable):
            await exchange(account, "code")
        assert len(token_requests(account)) == 1


async def test_a_wrong_secret_is_said_to_be_one() -> None:
    async with open_account() as account:
        with pytest.raises(AuthFailed) as caught:
            await exchange(account, "code", client_secret="wrong")
        assert "client_secret" in caught.value.message
        assert "wrong" not in str(caught.value)


async def test_no_login_yet_names_the_command() -> None:
    async with open_account(logged_in=False) as account:
        with pytest.raises(AuthFailed) as caught:
            await account.client.sites()
        assert LOGIN in caught.value.remedy
        assert account.sim.journal.entries == []


async def test_a_login_elsewhere_is_seen_at_the_next_request() -> None:
    async with open_account(logged_in=False) as account:
        with pytest.raises(AuthFailed):
            await account.client.sites()
        account.tokens.pair = a_pair(account.sim)
        assert await account.client.sites()


# --- renewing ---


async def test_a_token_that_ends_soon_is_renewed_before_it_is_used() -> None:
    async with open_account() as account:
        account.sim.clock.advance(TWO_HOURS - timedelta(seconds=30))
        await account.client.sites()
        assert [form["grant_type"] for form in token_requests(account)] == ["refresh_token"]
        assert account.sim.journal.count(path="/sites") == 1


async def test_a_401_renews_once_and_asks_once_more() -> None:
    async with open_account() as account:
        account.sim.expire_tokens()
        assert await account.client.sites()
        assert [entry.status for entry in account.sim.journal.entries] == [401, 200, 200]


@pytest.mark.parametrize("failure", [AuthFailure.LOGIN_PAGE, AuthFailure.REDIRECT])
async def test_a_login_page_instead_of_an_answer_renews_too(failure: AuthFailure) -> None:
    async with open_account(auth_failure=failure) as account:
        account.sim.expire_tokens()
        assert await account.client.sites()
        assert len(token_requests(account)) == 1


async def test_the_new_pair_is_stored_before_it_is_used_and_confirmed_after() -> None:
    """A crash between would otherwise lose a refresh token of which no other copy exists."""
    async with open_account() as account:
        old = account.tokens.pair
        account.sim.expire_tokens()
        account.faults.add(Fault(kind=Kind.STATUS, status=404, path="/sites", skip=1))
        with pytest.raises(VendorError):
            await account.client.sites()
        assert account.tokens.log == ["refreshing", "save", "refreshed"]
        assert account.tokens.previous == old
        await account.client.sites()
        assert account.tokens.log[-1] == "confirm"
        assert account.tokens.previous is None


async def test_a_pair_is_confirmed_once_and_not_at_every_request() -> None:
    async with open_account() as account:
        for _ in range(3):
            await account.client.sites()
        assert account.tokens.log == ["confirm"]


async def test_five_requests_at_once_renew_once() -> None:
    async with open_account() as account:
        account.sim.expire_tokens()
        await asyncio.gather(*(account.client.sites() for _ in range(5)))
        assert len(token_requests(account)) == 1


async def test_a_pair_another_process_got_meanwhile_is_used_instead_of_a_refresh() -> None:
    async with open_account() as account:
        account.sim.expire_tokens()
        account.tokens.at_refresh = a_pair(account.sim)
        assert await account.client.sites()
        assert token_requests(account) == []


async def test_another_process_at_it_for_too_long_is_an_outage_and_no_refusal() -> None:
    async with open_account() as account:
        account.sim.expire_tokens()
        account.tokens.busy = True
        with pytest.raises(VendorUnavailable, match="another process"):
            await account.client.sites()


async def test_the_old_refresh_token_lives_on_where_the_answer_has_none() -> None:
    async with open_account(refresh_tokens=RefreshTokens.KEEP) as account:
        assert account.tokens.pair is not None
        old = account.tokens.pair.refresh_token
        account.sim.expire_tokens()
        await account.client.sites()
        assert account.tokens.pair.refresh_token == old


async def test_a_withdrawn_consent_names_the_command_and_keeps_the_pair() -> None:
    async with open_account() as account:
        pair = account.tokens.pair
        account.sim.authority.revoke()
        with pytest.raises(AuthFailed) as caught:
            await account.client.sites()
        assert LOGIN in caught.value.remedy
        assert account.tokens.pair == pair


async def test_a_pair_without_refresh_token_names_the_command() -> None:
    async with open_account() as account:
        assert account.tokens.pair is not None
        account.tokens.pair = TokenPair(access_token="gone", refresh_token=None, expires_at=NOW)
        with pytest.raises(AuthFailed) as caught:
            await account.client.sites()
        assert LOGIN in caught.value.remedy


async def test_a_new_token_that_is_refused_is_not_renewed_again_and_again() -> None:
    """A maintenance page looks like a login page; it must not burn a refresh token with every request."""
    async with open_account() as account:
        account.faults.add(Fault(kind=Kind.HTML, path="/sites", times=None))
        for _ in range(3):
            with pytest.raises(AuthFailed) as caught:
                await account.client.sites()
            assert LOGIN in caught.value.remedy
        assert len(token_requests(account)) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(kind=Kind.STATUS, status=503, times=5), VendorUnavailable),
        (Fault(kind=Kind.STATUS, status=429, times=5), RateLimited),
        (Fault(kind=Kind.RESET, times=5), VendorUnavailable),
        (Fault(kind=Kind.HTML), AuthFailed),
        (Fault(kind=Kind.CUT), VendorError),
        (Fault(kind=Kind.STATUS, status=200, body='{"token_type": "Bearer"}'), VendorError),
    ],
)
async def test_a_failed_renewal_loses_nothing(fault: Fault, error: type[VendorError]) -> None:
    """Whatever the token endpoint answers, the pair in store stays, and the next request tries again."""
    async with open_account() as account:
        pair = account.tokens.pair
        account.sim.expire_tokens()
        if fault.kind is Kind.CUT:  # the refresh took effect; only the answer was damaged
            account.sim.settings.refresh_tokens = RefreshTokens.KEEP
        fault.path = "/oauth2/token"
        account.faults.add(fault)
        with pytest.raises(error):
            await account.client.sites()
        assert account.tokens.pair == pair
        assert await account.client.sites()


async def test_a_hiccup_of_the_token_endpoint_is_repeated() -> None:
    async with open_account() as account:
        account.sim.expire_tokens()
        account.faults.add(Fault(kind=Kind.STATUS, status=503, path="/oauth2/token", times=2))
        assert await account.client.sites()


async def test_token_requests_are_paced_and_counted_like_all_others() -> None:
    async with open_account() as account:
        account.sim.expire_tokens()
        await account.client.sites()
        assert account.http.requests == 3


async def test_the_token_request_keeps_the_timeouts_of_the_request_it_is_for() -> None:
    """A request made by hand would wait for ever."""
    async with open_account() as account:
        request = httpx.Request("GET", "https://api.tripleseat.com/v1/sites.json", extensions={"timeout": {"read": 60.0}})
        account.sim.clock.advance(TWO_HOURS)
        flow = account.auth.async_auth_flow(request)
        asked = await anext(flow)
        await flow.aclose()
        assert asked.url.path == "/oauth2/token"
        assert asked.extensions["timeout"] == {"read": 60.0}


async def test_a_cancelled_renewal_gives_the_turn_back() -> None:
    async with open_account() as account:
        account.sim.clock.advance(TWO_HOURS)
        flow = account.auth.async_auth_flow(httpx.Request("GET", "https://api.tripleseat.com/v1/sites.json"))
        await anext(flow)
        await flow.aclose()
        assert await account.client.sites()


async def test_a_daily_renewal_keeps_the_consent_alive() -> None:
    async with open_account() as account:
        assert not await account.client.refresh_if_older_than(timedelta(days=1))
        account.sim.clock.advance(timedelta(days=1, minutes=1))
        assert await account.client.refresh_if_older_than(timedelta(days=1))
        assert len(token_requests(account)) == 1
        assert not await account.client.refresh_if_older_than(timedelta(days=1))


async def test_a_young_pair_can_be_renewed_on_demand() -> None:
    async with open_account() as account:
        account.sim.clock.advance(timedelta(minutes=10))
        assert await account.client.refresh_if_older_than(timedelta(minutes=5))
        assert len(token_requests(account)) == 1
        await account.client.sites()
        assert len(token_requests(account)) == 1


# --- client_credentials ---

OPT_IN: dict[str, Any] = {"grant": Auth.CLIENT_CREDENTIALS}


async def test_client_credentials_need_no_login_and_store_nothing() -> None:
    async with open_account(logged_in=False, app=OPT_IN, client_credentials=ClientCredentials.ON) as account:
        await asyncio.gather(*(account.client.sites() for _ in range(3)))
        [form] = token_requests(account)
        assert form["grant_type"] == "client_credentials"
        assert account.tokens.log == []


async def test_client_credentials_are_renewed_after_a_401() -> None:
    async with open_account(logged_in=False, app=OPT_IN, client_credentials=ClientCredentials.ON) as account:
        await account.client.sites()
        account.sim.expire_tokens()
        assert await account.client.sites()
        assert len(token_requests(account)) == 2


@pytest.mark.parametrize("offer", [ClientCredentials.NO_OWNER, ClientCredentials.OFF])
async def test_an_application_that_may_not_use_them_is_told_the_other_way(offer: ClientCredentials) -> None:
    """Seen in the field: a token is issued, then every call is 401 "Token resource owner not found"."""
    async with open_account(logged_in=False, app=OPT_IN, client_credentials=offer) as account:
        with pytest.raises(AuthFailed) as caught:
            await account.client.sites()
        assert "authorization_code" in caught.value.remedy
        assert LOGIN in caught.value.remedy


async def test_a_login_page_for_an_application_without_a_login_is_no_matter_of_consent() -> None:
    async with open_account(logged_in=False, app=OPT_IN, client_credentials=ClientCredentials.ON) as account:
        account.faults.add(Fault(kind=Kind.HTML, path="/sites", times=None))
        with pytest.raises(AuthFailed) as caught:
            await account.client.sites()
        assert "consent" not in caught.value.message
        assert caught.value.remedy.startswith("Check the application in Tripleseat, and client_id and client_secret")


async def test_the_bearer_token_goes_to_requests_and_never_into_addresses() -> None:
    async with open_account() as account:
        assert account.tokens.pair is not None
        await account.client.sites()
        assert not any(account.tokens.pair.access_token in str(entry.query) for entry in account.sim.journal.entries)
