"""The part of `check` that looks around the config: rights of files, disk space, the running daemon, its listeners, who is notified."""

import contextlib
import os
import re
import shutil
import socket
import stat
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from calrelay.cli.daemon_told import BEHIND
from calrelay.cli.examination import Examination, Finding
from calrelay.config.load import Config
from calrelay.config.secrets import Kind
from calrelay.config.section import Address
from calrelay.domain.zones import rails_name, resolve_zone
from calrelay.errors import ConfigError, ExitCode, MappingError
from calrelay.http.ping import ping
from calrelay.ports import Fact
from calrelay.service.loaded import DaemonView
from calrelay.service.notices import Change, Notice, announce
from calrelay.service.pulse import ping_url_of

_OTHERS_MAY: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_MEGABYTE: Final = 1_000_000
_SPACE: Final = 200 * _MEGABYTE  # free at least; a large database wants as much again, for a migration
_ZONE: Final = re.compile(r"\b[A-Z][A-Za-z]+/[A-Za-z_]+(?:/[A-Za-z_]+)?")


def examine_rights(config: Config, database: Path | None, found: Examination) -> None:
    """Warn of a config that others may change, and of a database that others may open; opening that mends it, so this comes first."""
    for path in (config.path, *(config.folder / tenant.label for tenant in config.tenants.values())):
        if _mode(path) & _OTHERS_WRITE:
            found.warnings.append(f"others than its owner may change {path} — chmod go-w {path}")
    for path in _beside(database) if database else ():
        if _mode(path) & _OTHERS_MAY:
            found.warnings.append(f"others than its owner may open {path}, which can hold OAuth tokens — chmod 600 {path}")


def examine_space(database: Path, found: Examination) -> None:
    """Warn where the disk of the database is nearly full: a pass that cannot be recorded stops everything."""
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(database.parent).free
        wanted = max(_SPACE, database.stat().st_size if database.exists() else 0)
        if free < wanted:
            found.warnings.append(
                f"only {free / _MEGABYTE:.0f} MB are free in {database.parent}, where the state is — make room: "
                f"{wanted / _MEGABYTE:.0f} MB are safe"
            )


def examine_daemon(view: DaemonView, found: Examination) -> None:
    """Warn of a daemon that goes on with an older config."""
    found.daemon = view
    if view.is_behind:
        found.warnings.append(f"{BEHIND} — {view.reload}")


def examine_listeners(config: Config, found: Examination) -> None:
    """Warn of an address that `run` could not listen on. A running daemon listens there itself, so that nothing can be tried beside it."""
    if found.daemon is not None and found.daemon.is_running:
        return
    for key, address in (("listen", config.web.listen), ("hooks", config.web.hooks)):
        if address is not None and (why := _cannot_listen(address)):
            found.warnings.append(f"web.{key}: {address} cannot be listened on ({why}) — end what listens there, or choose another port")


def examine_notify(config: Config, found: Examination) -> None:
    """Look whether the command is there, and the ping address is one."""
    command = config.notify.command
    if command and shutil.which(command[0]) is None:
        _problem(found, f"notify.command: there is no program {command[0]} that can be run", "write its whole path; make it executable")
    ref = config.notify.ping_url
    if ref is None:
        return
    try:
        ping_url_of(config)
    except ConfigError as error:
        if found.is_offline and ref.kind is not Kind.LITERAL:
            found.warnings.append(f"{error.message} — {error.remedy}")
        else:
            _problem(found, error.message, error.remedy)


async def try_notify(config: Config, found: Examination) -> None:
    """Send a notice for a trial, and one ping; what came of them stands among the problems, or the facts."""
    now = datetime.now(UTC)
    if command := config.notify.command:
        summary, remedy = "this is a trial; nothing is wrong", "nothing needs to be done"
        notice = Notice(change=Change.TEST, kind="test", pipeline="", summary=summary, remedy=remedy, at=now, since=now)
        _told(found, "notify.command", await announce(command, notice))
    if (url := ping_url_of(config)) is not None:
        _told(found, "notify.ping_url", await ping(url))
    if not config.notify.command and config.notify.ping_url is None:
        found.warnings.append("[notify] names nobody, so nothing could be tried — set `command` or `ping_url`")


def zones_without_name(facts: Iterable[Fact]) -> Iterator[str]:
    """Yield the zones among an account's facts that have no Rails name, which is the way Apptoto is told by default."""
    for word in dict.fromkeys(word for fact in facts for word in _ZONE.findall(fact.value)):
        with contextlib.suppress(MappingError):
            if rails_name(zone := resolve_zone(word)) is None:
                yield zone


def _told(found: Examination, key: str, why: str | None) -> None:
    if why is None:
        found.notified.append(key)
    else:
        _problem(found, f"{key}: {why}", "correct it, and try again with `calrelay check --notify`")


def _problem(found: Examination, message: str, remedy: str) -> None:
    found.problems.append(Finding(kind=ConfigError.__name__, message=message, remedy=remedy, exit_code=ExitCode.CONFIG))


def _beside(database: Path) -> list[Path]:
    """Return the database and the files that SQLite and we keep beside it, locks left out: they hold nothing."""
    return [path for path in sorted(database.parent.glob(f"{database.name}*")) if not path.name.endswith(".lock")]


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _cannot_listen(address: Address) -> str | None:
    """Return why nobody could listen there, or None."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as asyncio's servers do
        try:
            trial.bind((address.host, address.port))
        except OSError as error:
            return os.strerror(error.errno) if error.errno else type(error).__name__
    return None
