"""The daemon as `status` and `check` tell of it: in words, and as JSON."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from calrelay.cli.shipped import SERVICE_UNIT
from calrelay.domain.words import ago, counted, iso
from calrelay.service.loaded import DaemonView
from calrelay.state.holder import Holder

BEHIND = "the running daemon has not loaded the config as it is now"


def daemon_in_words(view: DaemonView, now: datetime) -> str:
    """Say whether it runs, since when, and with which config."""
    if view.holder is None:
        return f"does not run — {'systemctl start calrelay' if SERVICE_UNIT.exists() else 'calrelay run'}"
    if view.workers:
        return f"does not run: {_workers_in_words(view.workers)}"
    if not view.is_running:
        return f"does not run, and cannot while {view.holder} is at work"
    where = f" on {view.holder.host}" if view.holder.host else ""
    since = f", started {ago(view.holder.since, now)}" if view.holder.since else ""
    running = f"runs (process {view.holder.pid}{where}){since}"
    return f"{running}; {BEHIND} — {view.reload}" if view.is_behind else running


def _workers_in_words(workers: Sequence[Holder]) -> str:
    on_hosts: dict[str, list[str]] = defaultdict(list)
    for one in workers:
        on_hosts[one.host or "this machine"].append(str(one.pid))
    where = [f"{host} (process{'es' * (len(processes) > 1)} {', '.join(processes)})" for host, processes in sorted(on_hosts.items())]
    return f"{counted(len(workers), 'worker shares', 'workers share')} the pipelines, on {', '.join(where)}"


def workers_to_json(view: DaemonView) -> list[dict[str, Any]]:
    """Return the workers as status.json has them."""
    return [{"process": one.pid, "host": one.host, "since": iso(one.since)} for one in view.workers]


def holder_to_json(pipeline: str, holder: Holder) -> dict[str, Any]:
    """Return who is at work on a pipeline, as status.json has it."""
    return {
        "pipeline": pipeline,
        "process": holder.pid,
        "host": holder.host,
        "command": holder.command,
        "since": iso(holder.since),
    }


def daemon_to_json(view: DaemonView) -> dict[str, Any]:
    """Return it as status.json and check.json have it."""
    holder = view.holder if view.is_running else None
    return {
        "running": view.is_running,
        "process": holder.pid if holder else None,
        "since": iso(holder.since) if holder else None,
        "config_loaded_at": iso(view.loaded_at),
        "config_is_current": view.is_current,
    }
