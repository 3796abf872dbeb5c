"""TimeTap's session tokens: one for an account, asked for with a signature, shared by its requests and renewed on 401 (TimeTap: 1)."""

import asyncio
import functools
import hashlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from calrelay.errors import AuthFailed, RequestRejected, ResponseInvalid, VendorUnavailable
from calrelay.http.client import Answer, Auth, Request, Response
from calrelay.http.failures import Where, failure_of_status
from calrelay.log import register_secret
from calrelay.ports import Clock
from calrelay.vendors.timetap.wire import SessionToken

VENDOR: Final = "TimeTap"
TOKEN_ENDPOINT: Final = "sessionToken"  # noqa: S105  # the label of an address, not a secret

utc_now: Final[Clock] = functools.partial(datetime.now, UTC)


def sign(api_key: str, private_key: str) -> str:
    """Return the signature of an account: lower-case hex MD5 of both keys, nothing between them and no timestamp (TimeTap: 1)."""
    return hashlib.md5(f"{api_key}{private_key}".encode(), usedforsecurity=False).hexdigest()


class TimeTapAuth(Auth):
    """Signs the requests of one account with its session token.

    There is one for an account in a process. A token serves until it is refused: how long it lives is unknown, and asking for one with
    every request led to time-outs (TimeTap: 1, lifetime). However many requests find it refused at once, one new token is asked for.
    Raises errors of our tree, which the client takes as they are.

    Args:
        account: the account's name in the config.
        api_key: a number, but treated as text.
        private_key: never sent.
        base_url: scheme, host and path of the API.
        now: our clock.
    """

    def __init__(self, *, account: str, api_key: str, private_key: str, base_url: str, now: Clock = utc_now) -> None:
        self._account = account
        self._api_key = api_key
        self._signature = sign(api_key, private_key)
        register_secret(self._signature)  # it names no time, so whoever reads it once can have tokens for ever
        self._url = f"{base_url.rstrip('/')}/sessionToken"
        self._now = now
        self._lock = asyncio.Lock()
        self._token: str | None = None

    async def async_auth_flow(self, request: Request) -> AsyncGenerator[Request, Response]:
        """Sign a request; see the class."""
        token = self._token
        for is_last in (False, True):
            async with self._lock:
                if self._token is None or (is_last and self._token == token):
                    self._token = None
                    self._token = self._take((yield self._token_request(request)))
                token = self._token
            response = yield _signed(request, token)
            if response.status_code != HTTPStatus.UNAUTHORIZED:
                return
        raise AuthFailed(
            f"{VENDOR} (account {self._account}) refuses a session token that it has just given out.",
            remedy="If the account's keys are used elsewhere at the same time, stop that, or give each its own; then run `calrelay check`.",
            account=self._account,
            status=HTTPStatus.UNAUTHORIZED,
        )

    def _token_request(self, request: Request) -> Request:
        query = {"apiKey": self._api_key, "timestamp": str(int(self._now().timestamp())), "signature": self._signature}
        headers = {name: request.headers[name] for name in ("User-Agent", "Accept") if name in request.headers}
        # httpx keeps the timeouts of a request in its extensions; one made here would have none.
        return Request("GET", self._url, params=query, headers=headers, extensions=dict(request.extensions))

    def _take(self, response: Response) -> str:
        """Read the answer. Unsound ones pass by themselves, and so are repeated like a 5xx: this call flaps, too (TimeTap: 7)."""
        where = Where(vendor=VENDOR, account=self._account, method="GET", endpoint=TOKEN_ENDPOINT)
        answer = Answer(where=where, status=response.status_code, headers=response.headers, body=response.content)
        failure = failure_of_status(where, answer.status, answer.headers, now=self._now())
        if failure is not None:
            raise self._refusal(answer.status) if isinstance(failure.error, AuthFailed | RequestRejected) else failure.error
        try:
            return answer.parse(SessionToken).session_token
        except ResponseInvalid:
            message = f"{where.who} gave no session token: {where} was answered with something else."
        remedy = "It usually passes by itself; if it does not, check the account's base_url."
        raise VendorUnavailable(message, remedy=remedy, account=self._account, status=answer.status)

    def _refusal(self, status: int) -> AuthFailed:
        """Return the error for keys that are not accepted; a wrong signature was seen to be answered with 403 (TimeTap: 1)."""
        return AuthFailed(
            f"{VENDOR} (account {self._account}) refuses api_key and private_key: GET {TOKEN_ENDPOINT} was answered with {status}.",
            remedy=f"Compare both keys of account {self._account} with Settings > Integrations > API Key in TimeTap, and its base_url; "
            "API keys need a Business or Enterprise plan. Then run `calrelay check`.",
            account=self._account,
            status=status,
        )


def _signed(request: Request, token: str) -> Request:
    """Put the token into the header; in the query, where TimeTap would take it, it would end up in logs (TimeTap: 1, use)."""
    request.headers["Authorization"] = f"Bearer {token}"
    return request
