"""Serves simulators on loopback ports of their own, with a page of knobs beside them. Vendors' behaviour lives with the vendors."""

import asyncio
import logging
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from calrelay.simulators.control import Simulator
from calrelay.simulators.faults import SimulatedReset
from calrelay.simulators.page import page_app

PAGE = "page"
DEFAULT_PORTS: Mapping[str, int] = {PAGE: 8700, "tripleseat": 8701, "timetap": 8702, "apptoto": 8703}
FREE_PORTS: Mapping[str, int] = dict.fromkeys(DEFAULT_PORTS, 0)
_LOG = logging.getLogger("calrelay.simulators.server")


class SimulatorServer:
    """The simulators and their page as HTTP servers inside this event loop, for as long as the context lasts.

    `urls` holds the real base URL of each simulator by its name, and of the page, from the moment the context is entered: from then
    on every one of them accepts requests. Port 0, or no port, means a free one; a port that is taken is an OSError that names it. On
    leaving, requests that are still being answered are cut off. Installs no signal handlers.
    """

    def __init__(self, simulators: Iterable[Simulator], *, ports: Mapping[str, int] = DEFAULT_PORTS, host: str = "127.0.0.1") -> None:
        self._simulators = tuple(simulators)
        self._ports = ports
        self._host = host
        self._running: list[tuple[uvicorn.Server, socket.socket]] = []
        self.urls: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        try:
            for simulator in self._simulators:
                self.urls[simulator.name] = await self._serve(simulator.name, simulator.app)
            self.urls[PAGE] = await self._serve(PAGE, page_app(self._simulators, self.urls))
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def _serve(self, name: str, app: ASGIApp) -> str:
        listening = _listen(name, self._host, self._ports.get(name, 0))
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            date_header=False,  # simulators date their answers themselves
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        self._running.append((server, listening))
        await server.startup(sockets=[listening])
        return f"http://{self._host}:{listening.getsockname()[1]}"

    async def _stop(self) -> None:
        running, self._running = self._running, []
        await asyncio.gather(*(_stop(server, listening) for server, listening in running))


class _Protocol(H11Protocol):
    """HTTP/1.1 that does not report as a crash what a simulator did on purpose."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _LOG

    def cut_off(self) -> None:
        """Drop the connection if an answer is under way on it."""
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        if cycle is not None and not cycle.response_complete:
            self.transport.abort()


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (SimulatedReset, asyncio.CancelledError))


_LOG.addFilter(_is_worth_a_line)


def _listen(name: str, host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        why = os.strerror(error.errno or 0)  # Python's own text would name the address once more
        raise OSError(error.errno, f"{host}:{port}, where {name} is to be simulated, cannot be used: {why}") from error


async def _stop(server: uvicorn.Server, listening: socket.socket) -> None:
    """Cut off what is being answered, such as a simulated hang, then close every connection."""
    for connection in list(server.server_state.connections):
        if isinstance(connection, _Protocol):
            connection.cut_off()
    tasks = list(server.server_state.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await server.shutdown(sockets=[listening])
