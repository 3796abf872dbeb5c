"""Tripleseat's OAuth 2.0: asking for consent, trading codes and refresh tokens, and signing each request (Tripleseat: Authentication).

Refresh tokens rotate: each use kills the old one. So a new pair is stored before it is used, and only one refresh happens at a time, in
this process and over all of them (rule 22).
"""

import asyncio
import contextlib
import dataclasses
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final, Self
from urllib.parse import urlencode, urlsplit

from calrelay.errors import AuthFailed, Busy, ResponseInvalid, VendorUnavailable
from calrelay.http.client import Answer, AsyncBaseTransport, Auth, Request, Response, VendorClient
from calrelay.http.failures import Where, failure_of_status, login_page
from calrelay.http.pacing import Pacer
from calrelay.ports import Clock, TokenPair, TokenStore
from calrelay.vendors.tripleseat.settings import AUTHORIZE_URL, TOKEN_URL, TripleseatAccount
from calrelay.vendors.tripleseat.settings import Auth as Grant
from calrelay.vendors.tripleseat.wire import Token, TokenRefusal

VENDOR: Final = "Tripleseat"
TOKEN_ENDPOINT: Final = "oauth2/token"  # noqa: S105  # the label of an address, not a secret

_LIFETIME: Final = timedelta(hours=2)  # of an access token, as documented and seen
_EARLY: Final = timedelta(minutes=1)  # refresh this long before it ends: a request may wait for its turn
_NO_OWNER: Final = "resource owner not found"

utc_now: Final[Clock] = functools.partial(datetime.now, UTC)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OAuthApp:
    """The application as it is registered in Tripleseat's settings; `redirect_uri` must match to the letter."""

    client_id: str
    client_secret: str = dataclasses.field(repr=False)
    redirect_uri: str
    authorize_url: str = AUTHORIZE_URL
    token_url: str = TOKEN_URL
    scope: str = "read"
    grant: Grant = Grant.AUTHORIZATION_CODE

    @classmethod
    def of(cls, settings: TripleseatAccount, *, client_id: str, client_secret: str) -> Self:
        """Take the account's settings, with its two secrets fetched."""
        return cls(
            client_id=client_id,
            client_secret=client_secret,
            redirect_uri=settings.redirect_uri,
            authorize_url=settings.authorize_url,
            token_url=settings.token_url,
            scope=settings.scope,
            grant=settings.auth,
        )

    def form(self, grant: str, **fields: str) -> dict[str, str]:
        """Return the body of a token request."""
        return {"grant_type": grant, **fields, "client_id": self.client_id, "client_secret": self.client_secret}


def authorize_url(app: OAuthApp, state: str) -> str:
    """Return the address at which a person consents in a browser; `state` comes back with the code and must be compared."""
    query = {
        "client_id": app.client_id,
        "redirect_uri": app.redirect_uri,
        "response_type": "code",
        "scope": app.scope,
        "state": state,
    }
    return f"{app.authorize_url}{'&' if urlsplit(app.authorize_url).query else '?'}{urlencode(query)}"


async def exchange_code(
    app: OAuthApp, code: str, *, account: str, now: Clock = utc_now, transport: AsyncBaseTransport | None = None
) -> TokenPair:
    """Trade the code of a consent for a token pair. Not idempotent: a code works once, within minutes.

    Raises:
        AuthFailed: the code, the application's id or its secret was refused; the remedy says which.
        VendorError: no sound answer.
    """
    url = urlsplit(app.token_url)
    base = f"{url.scheme}://{url.netloc}"
    async with VendorClient(account=account, vendor=VENDOR, base_url=base, pacer=Pacer(1), transport=transport, now=now) as client:
        answer = await client.request(
            "POST",
            url.path,
            endpoint=TOKEN_ENDPOINT,
            idempotent=False,
            form=app.form("authorization_code", code=code, redirect_uri=app.redirect_uri),
            accept=(HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED),
        )
    return _pair_of(answer, old=None, now=now())


def consent_missing(account: str, why: str, status: int | None = None) -> AuthFailed:
    """Return the error for lack of consent, with the command that mends it."""
    return AuthFailed(
        f"{VENDOR} (account {account}) has no valid consent: {why}.",
        remedy=f"Run `calrelay login {account}` and consent in the browser.",
        account=account,
        status=status,
    )


class TripleseatAuth(Auth):
    """Signs the requests of one account, and renews its tokens when they end or are refused.

    There is one for an account in a process; all processes share the store. A 401, a redirect or a login page makes it renew once and ask
    once more, unless the tokens were new anyway. Raises errors of our tree, which the client takes as they are.

    Args:
        account: the account's name in the config.
        app: the registered application.
        store: where the pair lives. client_credentials does without: it can have a new token at any time.
        now: our clock.
    """

    def __init__(self, *, account: str, app: OAuthApp, store: TokenStore, now: Clock = utc_now) -> None:
        self._account = account
        self._app = app
        self._store = store
        self._now = now
        self._lock = asyncio.Lock()
        self._pair: TokenPair | None = None
        self._issued: str | None = None  # the access token this process got last
        self._proven: str | None = None  # the access token that worked last
        self._is_demanded = False

    async def async_auth_flow(self, request: Request) -> AsyncGenerator[Request, Response]:
        """Sign a request; see the class."""
        pair = self._current()
        if pair is None or self._is_due(pair):
            async with self._renewal(pair) as turn:
                if turn.pair is None:
                    turn.pair = self._take((yield self._token_request(turn, request)), turn)
            pair = turn.pair
        response = yield _signed(request, pair)
        if _is_refusal(response) and not self._is_new(pair):
            async with self._renewal(pair) as turn:
                if turn.pair is None:
                    turn.pair = self._take((yield self._token_request(turn, request)), turn)
            pair = turn.pair
            response = yield _signed(request, pair)
        if _is_refusal(response):
            raise self._refusal(response)
        self._note_answer(pair, response)

    def age(self) -> timedelta | None:
        """Return how long ago the pair in use was issued, as far as its end tells; None before the first login."""
        pair = self._current()
        return None if pair is None else self._now() - (pair.expires_at - _LIFETIME)

    def demand_renewal(self) -> None:
        """Make the next request renew the tokens, however young they are."""
        self._is_demanded = True

    # --- which pair ---

    @property
    def _uses_store(self) -> bool:
        return self._app.grant is Grant.AUTHORIZATION_CODE

    def _current(self) -> TokenPair | None:
        if self._pair is None and self._uses_store:
            self._pair = self._store.load(self._account)
            if self._pair is None:
                raise consent_missing(self._account, "nobody has logged in yet")
        return self._pair

    def _is_due(self, pair: TokenPair) -> bool:
        return self._is_demanded or pair.expires_at - self._now() < _EARLY

    def _is_new(self, pair: TokenPair) -> bool:
        """Say whether the pair was got here and never worked: then a refusal is not about its age, and another would fare no better."""
        return pair.access_token == self._issued != self._proven

    # --- renewing ---

    @contextlib.asynccontextmanager
    async def _renewal(self, used: TokenPair | None) -> AsyncIterator["_Turn"]:
        """Wait for the turn to renew; the turn has a pair already where somebody else was faster."""
        async with self._lock:
            if self._is_better(self._pair, used):
                yield _Turn(pair=self._pair)
            elif not self._uses_store:
                yield _Turn()
            else:
                with self._right():
                    stored = self._store.load(self._account)  # another process may have renewed it while we waited
                    if self._is_better(stored, used):
                        self._pair = stored
                        yield _Turn(pair=stored)
                    else:
                        yield _Turn(refresh_token=self._refresh_token_of(stored))

    def _is_better(self, pair: TokenPair | None, used: TokenPair | None) -> bool:
        if pair is None or (used is not None and pair.access_token == used.access_token):
            return False
        return not self._is_due(pair)

    @contextlib.contextmanager
    def _right(self) -> Iterator[None]:
        """Hold the right to refresh. The store's own wait is short, and stops this process meanwhile: once in two hours, if at all."""
        try:
            with self._store.refreshing(self._account):
                yield
        except Busy:
            message = f"{VENDOR} (account {self._account}) was not asked: another process is renewing its tokens."
            raise VendorUnavailable(message, remedy="It passes by itself; the next pass asks again.", account=self._account) from None

    def _refresh_token_of(self, stored: TokenPair | None) -> str:
        if stored is None or not stored.refresh_token:
            raise consent_missing(self._account, "there is no refresh token to renew it with")
        return stored.refresh_token

    def _token_request(self, turn: "_Turn", request: Request) -> Request:
        if turn.refresh_token is None:
            form = self._app.form("client_credentials", scope=self._app.scope)
        else:
            form = self._app.form("refresh_token", refresh_token=turn.refresh_token)
        headers = {name: request.headers[name] for name in ("User-Agent", "Accept") if name in request.headers}
        # httpx keeps the timeouts of a request in its extensions; one made here would have none.
        return Request("POST", self._app.token_url, data=form, headers=headers, extensions=dict(request.extensions))

    def _take(self, response: Response, turn: "_Turn") -> TokenPair:
        """Read the answer and store the pair before anybody uses it."""
        try:
            pair = _pair_of(self._answer(response), old=turn.refresh_token, now=self._now())
        except AuthFailed:
            self._pair = None  # so that a login in another process is seen at the next request
            raise
        if self._uses_store:
            self._store.save(self._account, pair)
        self._pair, self._issued, self._is_demanded = pair, pair.access_token, False
        return pair

    def _note_answer(self, pair: TokenPair, response: Response) -> None:
        """Let go of the pair before this one, once this one has worked."""
        if response.status_code < 400 and pair.access_token != self._proven:
            self._proven = pair.access_token
            if self._uses_store:
                self._store.confirm(self._account)

    # --- refusals ---

    def _answer(self, response: Response) -> Answer:
        where = Where(vendor=VENDOR, account=self._account, method="POST", endpoint=TOKEN_ENDPOINT)
        return Answer(where=where, status=response.status_code, headers=response.headers, body=response.content)

    def _refusal(self, response: Response) -> AuthFailed:
        """Say why a request is refused though its tokens are sound."""
        if _NO_OWNER in response.text[:500].casefold() and not self._uses_store:
            return AuthFailed(
                f"{VENDOR} (account {self._account}) gives this application tokens that nobody stands behind, and refuses them.",
                remedy=f'Set auth = "authorization_code" for this account, then run `calrelay login {self._account}`.',
                account=self._account,
                status=response.status_code,
            )
        what = "the token was refused" if response.status_code == HTTPStatus.UNAUTHORIZED else "a login page came instead of an answer"
        if not self._uses_store:  # there is no consent that could be given
            return AuthFailed(
                f"{VENDOR} (account {self._account}) does not take the tokens that it gives this application: {what}, though it is new.",
                remedy=f'Check the application in {VENDOR}, and client_id and client_secret; or set auth = "authorization_code" for this '
                f"account, then run `calrelay login {self._account}`.",
                account=self._account,
                status=response.status_code,
            )
        return consent_missing(self._account, f"{what}, though it is new", response.status_code)


@dataclasses.dataclass(slots=True, kw_only=True)
class _Turn:
    """A turn to renew: the pair somebody else got meanwhile, or else what to ask with."""

    pair: TokenPair | None = None
    refresh_token: str | None = dataclasses.field(default=None, repr=False)


def _signed(request: Request, pair: TokenPair) -> Request:
    request.headers["Authorization"] = f"Bearer {pair.access_token}"
    return request


def _is_refusal(response: Response) -> bool:
    """Say whether an answer means that the token is not accepted: 401, a redirect, or a login page with 200 (Tripleseat: 7)."""
    if response.status_code == HTTPStatus.UNAUTHORIZED or response.is_redirect:
        return True
    where = Where(vendor=VENDOR, account="", method="", endpoint="")
    answer = Answer(where=where, status=response.status_code, headers=response.headers, body=response.content)
    return response.is_success and answer.is_html


def _pair_of(answer: Answer, *, old: str | None, now: datetime) -> TokenPair:
    """Read a token answer; the old refresh token lives on only where there is no new one."""
    where = answer.where
    if answer.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED):
        raise _token_refusal(answer)
    if failure := failure_of_status(where, answer.status, answer.headers, now=now):
        raise failure.error
    if answer.is_html:
        raise login_page(where, answer.status)
    token = answer.parse(Token)
    return TokenPair(
        access_token=token.access_token,
        refresh_token=token.refresh_token or old,
        expires_at=now + timedelta(seconds=token.expires_in),
    )


def _token_refusal(answer: Answer) -> AuthFailed:
    """Judge a refused token request by its code (RFC 6749, 5.2); the description beside it is not repeated."""
    account = answer.where.account
    try:
        code = answer.parse(TokenRefusal).error or ""
    except ResponseInvalid:
        code = ""
    if code == "invalid_grant":
        why = "the code or refresh token is used up, expired or revoked, or redirect_uri is not exactly the registered one"
        return consent_missing(account, why, answer.status)
    what, remedy = _TOKEN_REFUSALS.get(code, ("refused the token request", "Check client_id, client_secret and `auth` of the account."))
    return AuthFailed(f"{VENDOR} (account {account}) {what}.", remedy=remedy.format(account=account), account=account, status=answer.status)


_OTHER_GRANT: Final = 'Set auth = "authorization_code" for the account, then run `calrelay login {account}`.'
_TOKEN_REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
    "invalid_client": (
        "does not know this client_id with this client_secret",
        "Compare both with Settings > Tripleseat API & Webhooks > OAuth 2.0 Client Applications, then run `calrelay check`.",
    ),
    "unsupported_grant_type": ("does not offer this way to get a token", _OTHER_GRANT),
    "unauthorized_client": ("does not allow this application this way to get a token", _OTHER_GRANT),
    "invalid_scope": ("does not know the scope", "Set the account's `scope` to one that the application was registered with."),
}
