"""Serves an ASGI app on an address of its own inside the daemon's event loop. What the app answers is its own business."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from calrelay.config.section import Address
from calrelay.errors import ConfigError

GRACE: Final = 2  # seconds for answers under way when the daemon ends
ARRIVES_WITHIN: Final = 20.0  # seconds from a request's beginning to its last byte
OPEN_MOST: Final = 250  # connections of one address: well below the 1,024 files that a process may have open, which the passes need too


async def serve(app: ASGIApp, listening: socket.socket, *, connections: int | None = None) -> None:
    """Serve on a bound socket until cancelled, and close it; beyond so many connections at once others are told 503.

    Answers under way may take a moment more, then connections are cut. Nobody keeps a connection by sending nothing, or half a request.
    Writes no access log: paths may hold a secret. Believes no forwarded header.
    """
    server = _Server(
        uvicorn.Config(
            app,
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=connections,
            timeout_graceful_shutdown=GRACE,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await serving


def address_of(listening: socket.socket) -> Address:
    """Return where a socket really listens; port 0 has become one."""
    host, port = listening.getsockname()[:2]
    return Address(host=host, port=port)


def bound(address: Address, *, key: str) -> socket.socket:
    """Return a socket that listens there already; port 0 lets the system choose. Raises ConfigError where it cannot be had.

    `key` is the config's name of the address.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        why = os.strerror(error.errno) if isinstance(error.errno, int) and error.errno > 0 else type(error).__name__
        raise ConfigError(
            f"{key}: cannot listen on {address}: {why}",
            remedy=f"end what uses it (`ss -ltnp` shows it), or set another address as `{key.removeprefix('web.')}` under [web]",
        ) from None


class _Server(uvicorn.Server):
    """A server that leaves signals to the daemon."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Connection(H11Protocol):
    """A connection that is cut where its request does not arrive, or where too many are open; the server by itself waits for ever."""

    _cut: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the server has it
        super().connection_made(transport)
        if len(self.connections) > OPEN_MOST:
            transport.abort()
        else:
            self._wait_for_it()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._wait_for_it()
        else:
            self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait_for_it(self) -> None:
        if self._cut is None:
            self._cut = self.loop.call_later(ARRIVES_WITHIN, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
