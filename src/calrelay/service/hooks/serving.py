"""The webhook receiver as a service of the daemon: where it listens, for which accounts, and whom it tells."""

import functools
from collections.abc import Mapping

from calrelay.config.load import Config
from calrelay.config.secrets import SecretRef
from calrelay.domain.event import SourceId
from calrelay.errors import ConfigError
from calrelay.log import get_logger, register_secret
from calrelay.ports import Hook
from calrelay.service.daemon import Daemon
from calrelay.service.hints import Fate
from calrelay.service.hooks.bursts import Bursts, Named
from calrelay.service.hooks.receiver import Receiver
from calrelay.service.listening import listen
from calrelay.vendors.hooks import HOOKS

_log = get_logger(__name__)


async def serve_hooks(daemon: Daemon) -> None:
    """Receive webhooks where the config says so. Raises ConfigError where it cannot listen there, or lacks a secret."""
    address = daemon.relay.config.web.hooks
    if address is None:
        return
    accounts = Accounts(daemon)
    bursts = Bursts(functools.partial(_hand_on, daemon))
    receiver = Receiver(accounts, bursts, daemon.metrics, clock=daemon.clock)
    _log.info("receiving webhooks", address=str(address), accounts=sorted(accounts()))
    try:
        await listen(address, receiver.app(), key="web.hooks")
    finally:
        bursts.close()


class Accounts:
    """The accounts that receive webhooks, by name, as the config in use has them; called for each webhook."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._config: Config = daemon.relay.config
        self._hooks = hooks_of(self._config)

    def __call__(self) -> Mapping[str, Hook]:
        """Return them; after a reload those of the new config, or still the old ones where a new secret cannot be had."""
        config = self._daemon.relay.config
        if config is not self._config:
            self._follow(config)
        return self._hooks

    def _follow(self, config: Config) -> None:
        if config.web.hooks != self._config.web.hooks:
            _log.warning("the address of webhooks has changed, which a running daemon does not follow", remedy="restart it")
        self._config = config
        try:
            self._hooks = hooks_of(config)
        except ConfigError as error:
            _log.error("webhook secrets not reloaded; the old ones stay in use", why=error.message, remedy=error.remedy)


def hooks_of(config: Config) -> dict[str, Hook]:
    """Return what tells genuine webhooks, for each account with a `webhook_secret`. Raises ConfigError for one that cannot be resolved."""
    found = {}
    for name, account in config.accounts.items():
        ref: SecretRef | None = getattr(account, "webhook_secret", None)
        if ref is not None:
            secret = config.resolve(ref)
            register_secret(secret)
            found[name] = HOOKS[account.vendor](secret)
    return found


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
