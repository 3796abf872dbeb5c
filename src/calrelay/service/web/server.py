"""Serves the page beside the passes and follows the config when it is reloaded. What is answered is the pages' business."""

import asyncio
import dataclasses
import socket
from typing import Final

from calrelay.config.load import Config
from calrelay.config.section import Address
from calrelay.errors import CalrelayError
from calrelay.log import get_logger
from calrelay.service.daemon import Daemon
from calrelay.service.listening import address_of, bound, serve
from calrelay.service.web.access import Access
from calrelay.service.web.page_token import make_token
from calrelay.service.web.pages import Pages

CONNECTIONS_MOST: Final = 200
_log = get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where the page is, and what answers there; `asked` is the address as the config has it."""

    asked: Address
    listening: socket.socket
    pages: Pages


async def serve_pages(daemon: Daemon) -> None:
    """Serve the page as long as the daemon lives; a reload moves it to another address or token, or says why not.

    Raises ConfigError with its first step when there can be no page.
    """
    changed = asyncio.Event()
    daemon.on_reload.append(changed.set)
    site = _opened(daemon)
    while True:
        if site is None:
            await _moved(daemon, None, changed)
        else:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(serve(site.pages.app, site.listening, connections=CONNECTIONS_MOST))
                await _moved(daemon, site, changed)
                serving.cancel()
        site = _reopened(daemon, site)


async def _moved(daemon: Daemon, site: Site | None, changed: asyncio.Event) -> None:
    """Wait for a config with another address; one with another token is followed on the way."""
    while True:
        await changed.wait()
        changed.clear()
        if daemon.relay.config.web.listen != (site.asked if site else None):
            return
        if site:
            _take_token(daemon, site)


def _opened(daemon: Daemon) -> Site | None:
    """Open the page of the config in use; None when it is switched off. Raises ConfigError."""
    config = daemon.relay.config
    return None if config.web.listen is None else _opened_at(daemon, config, config.web.listen)


def _opened_at(daemon: Daemon, config: Config, asked: Address) -> Site:
    token = make_token(config)
    listening = bound(asked, key="web.listen")
    address = address_of(listening)
    pages = Pages(daemon, access_of(token, address), metrics=daemon.metrics.render)
    _log.info("page", url=address.url)
    return Site(asked=asked, listening=listening, pages=pages)


def _reopened(daemon: Daemon, before: Site | None) -> Site | None:
    """Open the page of a reloaded config; where that cannot be, stay where it was."""
    try:
        return _opened(daemon)
    except CalrelayError as error:
        _log.error("the page cannot move", why=error.message, remedy=error.remedy, stays_at=str(before.asked) if before else "off")
    return None if before is None else dataclasses.replace(before, listening=bound(before.asked, key="web.listen"))


def _take_token(daemon: Daemon, site: Site) -> None:
    try:
        site.pages.access = access_of(make_token(daemon.relay.config), address_of(site.listening))
    except CalrelayError as error:
        _log.error("the page keeps its old token", why=error.message, remedy=error.remedy)


def access_of(token: str, address: Address) -> Access:
    """Return the rules for a page at this address. Cookies know no ports: the name keeps two daemons of one machine apart."""
    return Access(token, cookie=f"calrelay_{address.port}", is_loopback_only=address.is_loopback)
