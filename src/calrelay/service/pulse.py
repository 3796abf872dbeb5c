"""Shows that all is well to whoever watches from outside (a dead man's switch): by asking an address, and by silence when it is not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from calrelay.config.load import Config
from calrelay.config.notify import check_ping_url
from calrelay.errors import CalrelayError, ConfigError
from calrelay.http.ping import ping
from calrelay.log import get_logger, register_secret

if TYPE_CHECKING:
    from calrelay.service.daemon import Daemon

Ping = Callable[[str], Awaitable[str | None]]
_log = get_logger(__name__)


async def show_life(daemon: "Daemon") -> None:
    """Ask the ping address every `ping_every` while all is well."""
    await Pulse(daemon).run()


def ping_url_of(config: Config) -> str | None:
    """Return the address, which is kept out of every log line from here on; None where there is none. Raises ConfigError."""
    ref = config.notify.ping_url
    if ref is None:
        return None
    url = config.resolve(ref)
    register_secret(url)
    try:
        return check_ping_url(url)
    except ValueError as error:
        raise ConfigError(f"notify.ping_url: {error}") from None


class Pulse:
    """Asks the address, one request at a time; a failure is logged once, and once that it works again."""

    def __init__(self, daemon: "Daemon", *, ask: Ping = ping) -> None:
        self._daemon = daemon
        self._ask = ask
        self._has_failed = False

    async def run(self) -> None:
        """Beat until cancelled. An address that is set or changed counts from the next beat after a reload."""
        while True:
            await self.beat()
            await asyncio.sleep(self._daemon.relay.config.notify.ping_every.total_seconds())

    async def beat(self) -> None:
        """Ask once, if there is an address and all is well."""
        try:
            url = ping_url_of(self._daemon.relay.config)
            if url is not None and self._is_well():
                self._note(await self._ask(url))
        except CalrelayError as error:  # an unreadable ledger or secret: silence is the right answer
            self._note(error.message)

    def _is_well(self) -> bool:
        ages, runners = self._daemon.freshness(), self._daemon.runners
        if any(not refusal.is_kept for refusal in self._daemon.refusals.values()):
            return False
        return not any(age.is_stale for age in ages.values()) and not any(runner.is_stuck() for runner in runners.values())

    def _note(self, why: str | None) -> None:
        if why is not None and not self._has_failed:
            _log.error("ping failed", why=why, remedy="look at notify.ping_url; whoever watches it will raise the alarm")
        if why is None and self._has_failed:
            _log.info("ping works again")
        self._has_failed = why is not None
