"""The webhook receiver as a service of the daemon: where it listens, for which accounts, and whom it tells."""

import asyncio
import functools
import socket
from collections.abc import Mapping

from calrelay.config.load import Config
from calrelay.config.secrets import SecretRef
from calrelay.config.section import Address
from calrelay.config.tenants import tenant_of
from calrelay.domain.event import SourceId
from calrelay.errors import ConfigError
from calrelay.log import get_logger, register_secret
from calrelay.ports import Hook
from calrelay.service.daemon import Daemon
from calrelay.service.hints import Fate
from calrelay.service.hooks.bursts import Bursts, Named
from calrelay.service.hooks.receiver import Receiver
from calrelay.service.listening import address_of, bound, serve
from calrelay.vendors.hooks import HOOKS

_log = get_logger(__name__)


async def serve_hooks(daemon: Daemon) -> None:
    """Receive webhooks where the config says so; a reload takes other secrets and another address into use, or says why not.

    Raises ConfigError with its first step where it cannot listen there, or lacks a secret.
    """
    place = Place(daemon)
    changed = asyncio.Event()
    daemon.on_reload.append(changed.set)
    bursts = Bursts(functools.partial(_hand_on, daemon))
    receiver = Receiver(lambda: place.hooks, bursts, daemon.metrics, clock=daemon.clock)
    try:
        while True:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(_serve(place, receiver))
                await _moved(place, changed)
                serving.cancel()
    finally:
        bursts.close()


async def _serve(place: "Place", receiver: Receiver) -> None:
    if place.listening is not None:
        _log.info("receiving webhooks", address=str(address_of(place.listening)), accounts=sorted(place.hooks))
        await serve(receiver.app(), place.listening)


async def _moved(place: "Place", changed: asyncio.Event) -> None:
    """Wait for a config with another address; one with other secrets is followed on the way."""
    while True:
        await changed.wait()
        changed.clear()
        if place.follow():
            return


class Place:
    """Where webhooks are received, None where they are not, and what tells genuine ones by account: as the config in use says."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._asked: Address | None = None
        self.listening: socket.socket | None = None
        self.hooks: Mapping[str, Hook] = {}
        self._take(daemon.relay.config)

    def follow(self) -> bool:
        """Take the config in use, and say whether the address is another one now. What cannot be had leaves everything as it was."""
        before = self.listening
        try:
            self._take(self._daemon.relay.config)
        except ConfigError as error:
            _log.error("webhooks: the new config cannot be followed; the old one stays in use", why=error.message, remedy=error.remedy)
        return self.listening is not before

    def _take(self, config: Config) -> None:
        asked = config.web.hooks
        hooks = hooks_of(config) if asked else {}
        if asked != self._asked:
            self.listening = bound(asked, key="web.hooks") if asked else None
        self._asked, self.hooks = asked, hooks


def hooks_of(config: Config) -> dict[str, Hook]:
    """Return what tells genuine webhooks, for each account with a `webhook_secret`.

    Raises ConfigError for one that cannot be resolved; a tenant's is logged, and its webhooks are refused.
    """
    found = {}
    for name, account in config.accounts.items():
        ref: SecretRef | None = getattr(account, "webhook_secret", None)
        if ref is not None and (secret := _resolved(config, name, ref)) is not None:
            register_secret(secret)
            found[name] = HOOKS[account.vendor](secret)
    return found


def _resolved(config: Config, account: str, ref: SecretRef) -> str | None:
    try:
        return config.resolve(ref)
    except ConfigError as error:
        if not tenant_of(account):
            raise
        _log.error("webhooks of a tenant are refused", account=account, why=error.message, remedy=error.remedy)
        return None


def _hand_on(daemon: Daemon, account: str, named: Mapping[SourceId, Named]) -> None:
    """Tell every pipeline that reads this account."""

    def told(fate: Fate, seconds: float) -> None:
        if fate is Fate.READ:
            daemon.metrics.note_webhook_lag(account, seconds)

    for runner in daemon.runners.values():
        if runner.pipeline.source.account != account:
            continue
        for source_id, when in named.items():
            runner.hint([source_id], at=when.first, told=told)
            if when.last > when.first:
                runner.hint([source_id], at=when.last)
