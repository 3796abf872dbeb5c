"""Which config the running daemon has loaded, for commands that look from outside: noted in the state, compared with the file."""

import dataclasses
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from calrelay.config.load import Config
from calrelay.errors import StateError
from calrelay.state.holder import Holder
from calrelay.state.ledger import SqlLedger
from calrelay.state.locks import WORKER, DaemonLock, workers
from calrelay.state.opening import State

COMMAND: Final = "run"  # as a daemon calls itself where it holds a lock
MEMO: Final = "daemon:config"
RELOAD: Final = "systemctl reload calrelay, or kill -HUP {pid}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DaemonView:
    """The daemon as seen from outside; `loaded_at` and `is_current` are of a daemon that runs, and None where nothing is known.

    `holder` has its lock: the daemon itself, a worker, or a command that lets none run meanwhile.
    """

    holder: Holder | None = None
    workers: Sequence[Holder] = ()  # all of them, where they have it
    loaded_at: datetime | None = None
    is_current: bool | None = None

    @property
    def is_running(self) -> bool:
        """Whether it is the daemon that has its lock."""
        return self.holder is not None and self.holder.command == COMMAND

    @property
    def is_behind(self) -> bool:
        """Whether a daemon runs that has not loaded the config as it is now."""
        return self.is_running and self.is_current is False

    @property
    def reload(self) -> str:
        """What makes it load the config."""
        return RELOAD.format(pid=self.holder.pid if self.holder else "PID")


def note_loaded(ledger: SqlLedger, config: Config, at: datetime) -> None:
    """Remember which config is in use: a keyed hash, because it covers secrets too."""
    ledger.save_memo(MEMO, _fingerprint(ledger, config), at)


def view_daemon(state: State, config: Config) -> DaemonView:
    """Look whether a daemon runs on this state, and whether it has loaded this config."""
    if state.database.is_private:
        return DaemonView()  # there is no state yet
    try:
        holder = DaemonLock(state.database).holder()
        sharing = (workers(state.database) or [holder]) if holder and holder.command == WORKER else []
    except StateError:
        return DaemonView()
    view = DaemonView(holder=holder, workers=sharing)
    known = state.ledger.memo(MEMO) if view.is_running else None
    if known is None:
        return view
    return DaemonView(holder=holder, loaded_at=known[1], is_current=hmac.compare_digest(known[0], _fingerprint(state.ledger, config)))


def _fingerprint(ledger: SqlLedger, config: Config) -> str:
    return hmac.new(ledger.hash_key(), config.digest.encode(), hashlib.sha256).hexdigest()[:32]
