"""How TimeTap's session tokens are got, shared and renewed, and what never shows."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from calrelay import log
from calrelay.errors import AuthFailed, RateLimited, VendorError, VendorUnavailable
from calrelay.http.client import Answer, VendorClient
from calrelay.http.pacing import Pacer
from calrelay.http.retry import Retry
from calrelay.simulators.faults import Fault, Kind
from calrelay.vendors.timetap.auth import sign
from tests.vendors.timetap_account import BASE_URL, NOW, TimeTapAccount, open_account

PATH = "/sessionToken"


@pytest.fixture
async def account() -> AsyncIterator[TimeTapAccount]:
    async with open_account() as account:
        yield account


@pytest.fixture
def lines() -> io.StringIO:
    """Everything that is logged, at the lowest level."""
    stream = io.StringIO()
    log.configure(format="json", level="debug", stream=stream)
    return stream


class Together(httpx.AsyncBaseTransport):
    """Lets the first requests through only when all of them have come, so that they are answered before any of them goes on."""

    def __init__(self, inner: httpx.AsyncBaseTransport, count: int) -> None:
        self._inner = inner
        self._barrier = asyncio.Barrier(count)
        self._left = count

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if self._left > 0 and not request.url.path.endswith(PATH):
            self._left -= 1
            await self._barrier.wait()
        return response


async def ask(account: TimeTapAccount) -> Answer:
    return await account.http.request("GET", "/timezones", endpoint="timezones", idempotent=True)


def tokens(account: TimeTapAccount) -> int:
    return account.sim.journal.count("GET", PATH)


def test_the_signature_is_the_md5_of_both_keys() -> None:
    assert sign("55500", "0123456789abcdef0123456789abcdef") == "9f3b1eda36811a37e2274b8c5863dc62"


async def test_the_first_request_signs_in_with_key_time_and_signature(account: TimeTapAccount) -> None:
    assert (await ask(account)).status == 200
    [query] = account.asked(PATH)
    assert query == {"apiKey": "55500", "timestamp": query["timestamp"], "signature": sign("55500", account.sim.settings.private_key)}
    assert abs(int(query["timestamp"]) - NOW.timestamp()) < 60
    assert account.sim.journal.entries[0].path == "/live/sessionToken"


async def test_one_token_serves_many_requests(account: TimeTapAccount) -> None:
    for _ in range(5):
        await ask(account)
    assert tokens(account) == 1


async def test_the_token_stands_in_the_header_and_never_in_a_query(account: TimeTapAccount) -> None:
    await ask(account)
    assert [entry.query for entry in account.sim.journal.entries if not entry.path.endswith(PATH)] == [()]


async def test_five_requests_at_once_ask_for_one_token(account: TimeTapAccount) -> None:
    answers = await asyncio.gather(*(ask(account) for _ in range(5)))
    assert [answer.status for answer in answers] == [200] * 5
    assert tokens(account) == 1


async def test_five_requests_whose_token_is_stale_ask_for_one_new_token(account: TimeTapAccount) -> None:
    await ask(account)
    account.sim.tokens.expire()
    options: dict[str, Any] = {"base_url": BASE_URL, "pacer": Pacer(100_000), "auth": account.auth}
    together = Together(httpx.ASGITransport(app=account.sim.app), 5)
    async with VendorClient(account="studio", vendor="TimeTap", transport=together, **options) as account.http:
        answers = await asyncio.gather(*(ask(account) for _ in range(5)))
    assert [answer.status for answer in answers] == [200] * 5
    assert tokens(account) == 2


async def test_a_token_that_died_of_age_is_renewed(account: TimeTapAccount) -> None:
    await ask(account)
    account.sim.clock.advance(timedelta(hours=2))
    assert (await ask(account)).status == 200
    assert tokens(account) == 2


async def test_a_token_that_somebody_else_s_killed_is_renewed() -> None:
    async with open_account(parallel_tokens=False) as account:
        await ask(account)
        account.sim.tokens.mint()
        assert (await ask(account)).status == 200


@pytest.mark.parametrize("keys", [{"private_key": "wrong"}, {"api_key": "1"}])
async def test_wrong_keys_are_told_at_once_with_the_account_s_name(keys: dict[str, str]) -> None:
    async with open_account(keys=keys) as account:
        with pytest.raises(AuthFailed) as caught:
            await ask(account)
        assert tokens(account) == 1
    assert (caught.value.account, caught.value.status) == ("studio", 403)
    assert "account studio" in caught.value.message
    assert "api_key and private_key" in caught.value.message
    assert "API Key" in caught.value.remedy


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_any_other_refusal_to_sign_in_is_one_of_the_keys_or_the_address(account: TimeTapAccount, status: int) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=status, path=PATH, times=None))
    with pytest.raises(AuthFailed, match=str(status)) as caught:
        await ask(account)
    assert "base_url" in caught.value.remedy
    assert tokens(account) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_sign_in_that_flaps_is_repeated(account: TimeTapAccount, status: int) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=status, path=PATH, times=3))
    assert (await ask(account)).status == 200
    assert tokens(account) == 4


@pytest.mark.parametrize("kind", [Kind.EMPTY, Kind.HTML, Kind.CUT, Kind.RESET])
async def test_a_sign_in_without_a_sound_answer_is_repeated(account: TimeTapAccount, kind: Kind) -> None:
    account.sim.faults.add(Fault(kind=kind, path=PATH, times=2))
    assert (await ask(account)).status == 200
    assert tokens(account) == 3


@pytest.mark.parametrize(("status", "error"), [(504, VendorUnavailable), (429, RateLimited)])
async def test_a_sign_in_that_keeps_failing_is_no_fault_of_the_keys(account: TimeTapAccount, status: int, error: type[VendorError]) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=status, path=PATH, times=None))
    with pytest.raises(error):
        await ask(account)
    assert tokens(account) == 5


async def test_a_sign_in_that_is_told_to_wait_waits_as_long(account: TimeTapAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=429, headers={"Retry-After": "7"}, path=PATH, times=1))
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(account.http, "_retry", Retry(wait=note))
    assert (await ask(account)).status == 200
    assert waits
    assert waits[0] >= 7


async def test_a_sign_in_works_again_after_an_outage(account: TimeTapAccount) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=504, path=PATH, times=5))
    with pytest.raises(VendorUnavailable):
        await ask(account)
    assert (await ask(account)).status == 200


async def test_new_tokens_that_are_refused_end_in_an_error_and_not_in_a_loop(account: TimeTapAccount) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=401, path="/timezones", times=None))
    with pytest.raises(AuthFailed, match="has just given out"):
        await ask(account)
    assert tokens(account) == 2


async def test_a_forbidden_call_is_not_a_stale_token(account: TimeTapAccount) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=403, path="/timezones"))
    with pytest.raises(AuthFailed):
        await ask(account)
    assert tokens(account) == 1


async def test_the_sign_in_is_paced_and_counted_like_any_request(account: TimeTapAccount) -> None:
    await ask(account)
    assert account.http.requests == 2


async def test_neither_errors_nor_logs_show_keys_signature_or_token(lines: io.StringIO) -> None:
    shown = ""
    for fault in (Fault(kind=Kind.STATUS, status=403, path=PATH), Fault(kind=Kind.STATUS, status=504, path=PATH, times=None)):
        async with open_account() as account:
            account.sim.faults.add(fault)
            with pytest.raises(VendorError) as caught:
                await ask(account)
            shown += repr([caught.value, caught.value.remedy, caught.value.__cause__, caught.value.__context__, account.auth, account.http])
            secret = sign("55500", account.sim.settings.private_key)
            logging.getLogger("some.library").warning("asked %s/sessionToken?apiKey=55500&signature=%s", BASE_URL, secret)
            logging.getLogger("some.library").warning("signed %s", secret)
    text = shown + lines.getvalue()
    assert "asking again" in text
    for part in (secret, account.sim.settings.private_key, "signature=", "apiKey=", "timestamp="):
        assert part not in text
