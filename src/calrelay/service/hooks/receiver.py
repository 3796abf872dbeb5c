"""Answers the vendors' POSTs: who may speak, how much, and what is passed on. Asks no vendor, reads no ledger; so it answers at once."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from calrelay.log import get_logger
from calrelay.ports import Clock, Hook
from calrelay.service.hooks.bursts import Bursts
from calrelay.service.hooks.outcome import Counts, Outcome
from calrelay.service.hooks.repeats import Repeats

MOST_BYTES: Final = 1 << 20
DRAINED: Final = 8 * MOST_BYTES  # a longer body ends the connection instead of being swallowed, so that its sender sees the answer
PATIENCE: Final = 10.0  # seconds for a body
STRANGERS_EVERY: Final = 3600.0  # seconds between two lines about webhooks that are not genuine
AT_ONCE: Final = 32  # bodies that are read at the same time: what they may hold in memory, all together

_log = get_logger(__name__)
Hooks = Callable[[], Mapping[str, Hook]]


class _Refused(Exception):
    """A webhook of which no more is read."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.value)
        self.outcome = outcome


class Receiver:
    """The endpoint below /hooks. `hooks` gives the accounts that receive, as the config in use has them."""

    def __init__(self, hooks: Hooks, bursts: Bursts, counts: Counts, *, clock: Clock) -> None:
        self._hooks = hooks
        self._bursts = bursts
        self._counts = counts
        self._clock = clock
        self._repeats = Repeats()
        self._reading = 0
        self._sound: dict[str, bool] = {}  # by account: whether the last one was that was told of
        self._told_at: dict[str, float] = {}

    def app(self) -> Starlette:
        """Return the ASGI app; other methods than POST are answered with 405, other paths with 404."""
        app = Starlette(routes=[Route("/hooks/{vendor}/{rest:path}", self.receive, methods=["POST"])])
        app.router.redirect_slashes = False  # it would answer with an address made of the Host header
        return app

    async def receive(self, request: Request) -> Response:
        """Take one webhook."""
        account, key = self._parts(request.path_params["rest"])
        hook = self._hooks().get(account)
        if hook is None or hook.vendor != request.path_params["vendor"]:
            return self._answer("", Outcome.UNKNOWN_ACCOUNT, request)
        try:
            outcome = await self._take(account, hook, request, key)
        except _Refused as refusal:
            outcome = refusal.outcome
        self._tell(account, outcome)
        return self._answer(account, outcome, request)

    def _parts(self, rest: str) -> tuple[str, str]:
        """Return the account and the key of an address; an account of a tenant has a stroke in its name."""
        parts = rest.split("/", 2)
        of_tenant = "/".join(parts[:2])
        known = 2 if of_tenant in self._hooks() else 1
        return "/".join(parts[:known]), rest.removeprefix("/".join(parts[:known])).removeprefix("/")

    async def _take(self, account: str, hook: Hook, request: Request, key: str) -> Outcome:
        if not hook.may_speak(key, request.headers):
            return Outcome.BAD_SIGNATURE
        body = await self._body(request)
        if not hook.is_genuine(request.headers, body, self._clock()):
            return Outcome.BAD_SIGNATURE
        named = hook.names(body)
        if not named:
            return Outcome.UNREADABLE if named is None else Outcome.IRRELEVANT
        if hook.drops_repeats and self._repeats.take(account, named, body, time.monotonic()):
            return Outcome.REPEATED
        return Outcome.COALESCED if self._bursts.add(account, named) else Outcome.ACCEPTED

    # --- bodies ---

    async def _body(self, request: Request) -> bytes:
        """Read the raw body, as much of it as may be read, as long as it may take, and with so many others."""
        if _declared(request) > MOST_BYTES:
            raise _Refused(Outcome.TOO_LARGE)
        if self._reading >= AT_ONCE:
            raise _Refused(Outcome.TOO_MANY)
        self._reading += 1
        try:
            async with asyncio.timeout(PATIENCE):
                return await _read(request)
        except TimeoutError:
            raise _Refused(Outcome.TOO_SLOW) from None
        except ClientDisconnect:
            raise _Refused(Outcome.CUT_OFF) from None
        finally:
            self._reading -= 1

    # --- what is told ---

    def _answer(self, account: str, outcome: Outcome, request: Request) -> Response:
        self._counts.note_webhook(account, outcome.value)
        ends = outcome.status >= 400 and not 0 <= _declared(request) <= DRAINED
        return Response(status_code=outcome.status, headers={"connection": "close"} if ends else None)

    def _tell(self, account: str, outcome: Outcome) -> None:
        """Log the first sound webhook of an account and the first that is not, and changes between both; strangers no more than hourly."""
        is_sound, now = outcome is not Outcome.BAD_SIGNATURE, time.monotonic()
        if outcome.status not in (200, 401) or self._sound.get(account) is is_sound:
            return
        if is_sound:
            _log.info("webhooks arrive", account=account)
        elif now - self._told_at.get(account, -STRANGERS_EVERY) >= STRANGERS_EVERY:
            self._told_at[account] = now
            remedy = "compare the account's `webhook_secret` with the signing key at Tripleseat, or with the address at TimeTap"
            _log.warning("webhook refused: not signed with our secret", account=account, remedy=remedy)
        else:
            return
        self._sound[account] = is_sound


async def _read(request: Request) -> bytes:
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > MOST_BYTES:
            raise _Refused(Outcome.TOO_LARGE)
        parts.append(part)
    return b"".join(parts)


def _declared(request: Request) -> int:
    """Return the length that the sender announces, -1 where it announces none."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else -1
