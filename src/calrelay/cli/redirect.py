"""Waits for the answer to a consent: on the loopback address the browser is led back to, and for what somebody pastes meanwhile."""

import asyncio
import contextlib
import dataclasses
import errno
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from html import escape
from typing import Final
from urllib.parse import urlsplit

from calrelay.cli.output import Output
from calrelay.config.section import is_loopback
from calrelay.errors import CalrelayError, ConfigError
from calrelay.vendors.tripleseat.auth import consent_missing

PATIENCE: Final = 300.0  # seconds; Tripleseat's codes live for minutes
_LONGEST_HEAD: Final = 16_384
_SLOWEST_BROWSER: Final = 10.0  # seconds for one request


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """What is waited for. `show` prints the address, once we listen; `accept` makes a code of an answer, or raises why it is none."""

    account: str
    redirect_uri: str
    show: Callable[[], None]
    accept: Callable[[str], str]


async def await_answer(output: Output, awaited: Awaited, patience: float = PATIENCE) -> str:
    """Return the code. Raises AuthFailed for a refusal or after five minutes, ConfigError where an answer could never arrive."""
    arrivals = _Arrivals(awaited)
    async with _listening(awaited, arrivals) as deafness:
        with _reading_terminal(arrivals) as can_paste:
            if deafness and not can_paste:
                raise ConfigError(
                    f"account {awaited.account}: {deafness}, and there is no terminal to paste the answer in",
                    remedy=f"run `calrelay login {awaited.account}` on a terminal, or give the code with --code CODE",
                )
            awaited.show()
            output.say(*([f"Note: {deafness}."] if deafness else []), _waiting_for(awaited, can_paste=can_paste, is_heard=not deafness))
            return await arrivals.first(patience)


def _waiting_for(awaited: Awaited, *, can_paste: bool, is_heard: bool) -> str:
    ways = [f"for the answer at {awaited.redirect_uri}"] if is_heard else []
    ways += ["for the address you are led to, or its code, pasted here"] if can_paste else []
    return f"Waiting {', or '.join(ways)} …"


class _Arrivals:
    """The answers that have come in; the first one decides."""

    def __init__(self, awaited: Awaited) -> None:
        self._awaited = awaited
        self._first: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def take(self, answer: str) -> CalrelayError | None:
        """Judge an answer, and return why it is refused."""
        try:
            code = self._awaited.accept(answer)
        except CalrelayError as error:
            if not self._first.done():
                self._first.set_exception(error)
            return error
        if not self._first.done():
            self._first.set_result(code)
        return None

    async def first(self, patience: float) -> str:
        """Return the first answer's code, or raise what is wrong with it."""
        try:
            return await asyncio.wait_for(self._first, patience)
        except TimeoutError:
            raise consent_missing(self._awaited.account, f"nobody consented within {patience / 60:.0f} minutes") from None


# --- the browser ---


@contextlib.asynccontextmanager
async def _listening(awaited: Awaited, arrivals: _Arrivals) -> AsyncIterator[str]:
    """Serve the redirect address, where it is this machine's; yields why it cannot be served, "" when it is."""
    parts = urlsplit(awaited.redirect_uri)
    host, port, path = parts.hostname or "", parts.port or 80, parts.path or "/"
    if parts.scheme != "http" or not is_loopback(host):
        yield f"redirect_uri {awaited.redirect_uri} is not on this machine"
        return

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await asyncio.wait_for(_answer(reader, writer, path, arrivals), _SLOWEST_BROWSER)
        writer.close()

    try:
        server = await asyncio.start_server(serve, host, port, limit=_LONGEST_HEAD)
    except OSError as error:
        why = "another program uses it" if error.errno == errno.EADDRINUSE else error.strerror or type(error).__name__
        yield f"{host}:{port}, where the answer would arrive, cannot be used ({why})"
        return
    try:
        yield ""
    finally:
        server.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, arrivals: _Arrivals) -> None:
    """Read one request and answer it with a page; what is not the redirect, such as a favicon, is not there."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    method, target, *_ = [*head.partition("\r\n")[0].split(" "), "", ""]
    if method != "GET" or urlsplit(target).path != path:
        await _send(writer, "404 Not Found", "There is nothing here.")
        return
    refusal = arrivals.take(target)
    if refusal is None:
        await _send(writer, "200 OK", "calrelay has the answer. You can close this page; the terminal says how it went.")
    else:
        await _send(writer, "400 Bad Request", f"This did not work: {refusal.message} {refusal.remedy}")


async def _send(writer: asyncio.StreamWriter, status: str, text: str) -> None:
    page = f"<!DOCTYPE html><html lang='en'><meta charset='utf-8'><title>calrelay</title><p>{escape(text)}</p></html>".encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(page)}\r\n"
        "Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + page)
    await writer.drain()


# --- the terminal ---


@contextlib.contextmanager
def _reading_terminal(arrivals: _Arrivals) -> Iterator[bool]:
    """Take a line that is pasted; yields whether there is a terminal to paste it in."""
    if not sys.stdin.isatty():
        yield False
        return
    loop, terminal = asyncio.get_running_loop(), sys.stdin.fileno()

    def read() -> None:
        line = sys.stdin.readline()
        if not line:
            loop.remove_reader(terminal)  # Ctrl-D: the browser may still answer
        elif line.strip():
            arrivals.take(line)

    loop.add_reader(terminal, read)
    try:
        yield True
    finally:
        loop.remove_reader(terminal)
