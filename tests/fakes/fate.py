"""Where a simulated process dies: counts the points at which it touches the world, and ends it at a chosen one. No tests here."""

import asyncio
from typing import Any

import httpx

from calrelay.ports import Ledger

WRITES = ("store", "conclude", "settle", "save_holds", "note_pipeline", "save_memo", "record_pass")


class Killed(BaseException):
    """The process has died; nothing of ours may catch this."""


class Fate:
    """`points` are the names of those passed since `arm`; `deadline`, an index or how a name begins, is the last reached, and not passed.

    A dead process does nothing more: whatever it still tries dies again. `on_their_way` are the writes it died with before an answer.
    """

    def __init__(self) -> None:
        self.points: list[str] = []
        self.deadline: int | str | None = None
        self.is_dead = False
        self.on_their_way: list[httpx.Request] = []

    def arm(self, deadline: int | str | None) -> None:
        """Live again, to the point with this index, or the first whose name begins like this (None: for ever)."""
        self.points, self.deadline, self.is_dead = [], deadline, False

    def reach(self, point: str) -> None:
        """Pass a point, or die there."""
        is_last = point.startswith(self.deadline) if isinstance(self.deadline, str) else len(self.points) == self.deadline
        if self.is_dead or is_last:
            self.is_dead = True
            raise Killed(point)
        self.points.append(point)


class MortalLedger:
    """A ledger whose process may die before and after each commit; see `ports.Ledger` for the rest."""

    def __init__(self, ledger: Ledger, fate: Fate) -> None:
        self._ledger = ledger
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)
        return self._mortal(name, method) if name in WRITES else method

    def _mortal(self, name: str, method: Any) -> Any:
        def written(*args: object, **kwargs: object) -> object:
            self._fate.reach(f"before {name}")
            result: object = method(*args, **kwargs)
            self._fate.reach(f"after {name}")
            return result

        return written


class MortalWire(httpx.AsyncBaseTransport):
    """The way to a simulator in this process, on which ours may die before and after each request; it keeps read timeouts."""

    def __init__(self, app: Any, name: str, fate: Fate) -> None:
        self._inner = httpx.ASGITransport(app)
        self._name = name
        self._fate = fate

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        point = f"{self._name} {request.method} {request.url.path}"
        self._send_off(request, point)
        try:
            async with asyncio.timeout(request.extensions["timeout"]["read"]):
                response = await self._inner.handle_async_request(request)
        except TimeoutError:
            raise httpx.ReadTimeout("no answer in time", request=request) from None
        finally:
            if not self._fate.is_dead:
                self._fate.reach(f"after {point}")
        return response

    def _send_off(self, request: httpx.Request, point: str) -> None:
        was_alive = not self._fate.is_dead
        try:
            self._fate.reach(f"before {point}")
        except Killed:
            if was_alive and self._name == "target" and request.method in ("PUT", "DELETE"):
                self._fate.on_their_way.append(request)
            raise
