"""The daemon as `status` and `check` tell of it: in words, and as JSON."""

from datetime import datetime
from typing import Any

from calrelay.domain.words import ago, iso
from calrelay.service.loaded import DaemonView

BEHIND = "the running daemon has not loaded the config as it is now"


def daemon_in_words(view: DaemonView, now: datetime) -> str:
    """Say whether it runs, since when, and with which config."""
    if view.holder is None:
        return "does not run — systemctl start calrelay, or calrelay run"
    where = f" on {view.holder.host}" if view.holder.host else ""
    running = f"runs (process {view.holder.pid}{where}), started {ago(view.holder.since, now)}"
    return f"{running}; {BEHIND} — {view.reload}" if view.is_behind else running


def daemon_to_json(view: DaemonView) -> dict[str, Any]:
    """Return it as status.json and check.json have it."""
    holder = view.holder
    return {
        "running": holder is not None,
        "process": holder.pid if holder else None,
        "since": iso(holder.since) if holder else None,
        "config_loaded_at": iso(view.loaded_at),
        "config_is_current": view.is_current,
    }
