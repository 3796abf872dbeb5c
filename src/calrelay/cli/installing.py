"""Runs `service install` and `service uninstall`: which steps there are, on which conditions, and how they are told."""

import dataclasses
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from calrelay.cli.machine import Machine
from calrelay.cli.output import Block, Output, Table
from calrelay.cli.shipped import PROGRAM, SERVICE_CONFIG, SERVICE_STATE, SERVICE_UNIT, shipped
from calrelay.cli.steps import Command, ConfigFile, File, Folder, Standing, Step, User, do, doing, is_there, look, undo, undoing
from calrelay.config.database import sqlite_file
from calrelay.config.example import example
from calrelay.config.load import load_config
from calrelay.config.secrets import Kind, SecretRef
from calrelay.errors import ConfigError, ExitCode
from calrelay.vendors.registry import VENDORS

SERVICE: Final = "calrelay.service"
BACKFILL: Final = "calrelay-backfill@.service"
WORKER: Final = "calrelay-worker@.service"
USER: Final = "calrelay"
STATE_FOLDER: Final = Path("/var/lib/calrelay")
# What the unit hides from the service, by ProtectHome=, PrivateTmp= and PrivateDevices=, and what it is. Source: systemd.exec(5).
_HIDDEN: Final = {
    **dict.fromkeys(("/root", "/home", "/run/user"), "in somebody's home"),
    **dict.fromkeys(("/tmp", "/var/tmp"), "among temporary files"),  # noqa: S108 - named, not used
    "/dev": "among devices",
}


class Mode(StrEnum):
    """Whether steps are done, or only shown."""

    DO = "do"
    SHOW = "show"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What was asked for. `program` is what the service is to run: our own; `root` is another place than / in tests only."""

    program: Path = dataclasses.field(default_factory=lambda: Path(sys.executable).with_name("calrelay"))
    root: Path = Path("/")
    starts: bool = True
    replaces_edited: bool = False

    def at(self, path: str | Path) -> Path:
        """Return where a path of the machine lies."""
        return self.root / str(path).removeprefix("/")


def install(output: Output, mode: Mode, wishes: Wishes, machine: Machine) -> int:
    """Install the service, step by step; what is done already is left alone. Raises ConfigError before anything is done, or at a step."""
    mode = _allowed(output, mode)
    if mode is Mode.DO:
        require_systemd(wishes.root)
        require_reachable(wishes.program)
    starts, note = _readiness(wishes)
    note = note if mode is Mode.DO else f"{_obstacle(wishes)}{note}"
    steps = [step for step in installation(wishes, starts=starts) if doing(step)]
    told = [(doing(step), look(step, machine)) for step in steps]
    for step in steps if mode is Mode.DO else ():
        if look(step, machine) is Standing.DUE:
            do(step, machine)
    return _tell(output, "install", mode, told, note)


def uninstall(output: Output, mode: Mode, wishes: Wishes, machine: Machine, *, is_purging: bool) -> int:
    """Take the service away; config and state stay unless they are purged. Raises ConfigError at a step that fails."""
    mode = _allowed(output, mode)
    if mode is Mode.DO:
        require_systemd(wishes.root)
    steps = [step for step in reversed(installation(wishes, starts=True)) if undoing(step, is_purging=is_purging)]
    told = [(undoing(step, is_purging=is_purging), Standing.DUE) for step in steps]
    for step in steps if mode is Mode.DO else ():
        undo(step, machine)
    kept = f"Kept: {SERVICE_CONFIG.parent}, {STATE_FOLDER} and user {USER}. --purge deletes them, for good."
    has_left = any(is_there(wishes.at(folder)) for folder in (SERVICE_CONFIG.parent, STATE_FOLDER))
    return _tell(output, "uninstall", mode, told, kept if has_left and not is_purging else "")


def installation(wishes: Wishes, *, starts: bool) -> Sequence[Step]:
    """Return the steps of an installation in order; undone in reverse order they are those of an uninstallation."""
    at, reload = wishes.at, ("systemctl", "daemon-reload")
    unit = at(str(SERVICE_UNIT))
    return (
        User(name=USER, home=at(STATE_FOLDER)),
        Folder(path=at("/etc/calrelay"), mode=0o750, group=USER),
        Folder(path=at("/etc/calrelay/credentials"), mode=0o700),
        Folder(path=at("/etc/calrelay/backfill"), mode=0o755),
        Folder(path=at(STATE_FOLDER), mode=0o700, user=USER, group=USER),
        ConfigFile(path=at(SERVICE_CONFIG), text=skeleton(), mode=0o640, user="root", group=USER),
        Command(undo_words=[reload], undo_if=unit),
        *_files(wishes),
        Command(words=reload),
        Command(
            words=("systemctl", "enable", *(("--now",) if starts else ()), SERVICE),
            undo_words=[
                ("systemctl", "stop", "calrelay-backfill@*.service", "calrelay-worker@*.service"),
                ("systemctl", "disable", "--now", SERVICE),
            ],
            undo_if=unit,
        ),
    )


def skeleton() -> str:
    """Return the config that is written where there is none: the example, with its state where the service may write."""
    return example(VENDORS, {"state": {"url": SERVICE_STATE}})


def _files(wishes: Wishes) -> Sequence[File]:
    def file(path: str, name: str, *, mode: int = 0o644, comment: str = "#") -> File:
        text = shipped(name).replace(PROGRAM, str(wishes.program))
        return File(path=wishes.at(path), text=text, mode=mode, comment=comment, replaces_edited=wishes.replaces_edited)

    return (
        file(str(SERVICE_UNIT), f"systemd/{SERVICE}"),
        file(f"/etc/systemd/system/{BACKFILL}", f"systemd/{BACKFILL}"),
        file(f"/etc/systemd/system/{WORKER}", f"systemd/{WORKER}"),
        file("/usr/local/bin/calrelay", "bin/calrelay", mode=0o755),
        file("/usr/local/share/bash-completion/completions/calrelay", "completion/calrelay.bash"),
        file("/usr/local/share/zsh/site-functions/_calrelay", "completion/calrelay.zsh"),
        file("/usr/local/share/fish/vendor_completions.d/calrelay.fish", "completion/calrelay.fish"),
        file("/usr/local/share/man/man1/calrelay.1", "man/calrelay.1", comment='.\\"'),
    )


# --- conditions ---


def require_own_config(named: Path | None) -> None:
    """Raise ConfigError where another config is named than the one that the service reads."""
    if named is not None and named.absolute() != SERVICE_CONFIG:
        raise ConfigError(
            f"the service reads {SERVICE_CONFIG} and no other config, and --config names {named}",
            remedy=f"leave --config away, and copy yours there: sudo install -m 640 {named} {SERVICE_CONFIG}",
        )


def require_systemd(root: Path = Path("/")) -> None:
    """Raise ConfigError where systemd does not run the machine. Source: sd_booted(3)."""
    if not (root / "run/systemd/system").is_dir():
        raise ConfigError(
            "systemd does not run this machine, so there is nothing to install a service in",
            remedy="have your own supervisor run `calrelay run`: it stays in the foreground, ends on SIGTERM, reloads on SIGHUP",
        )


def require_reachable(program: Path) -> None:
    """Raise ConfigError where the service's user could not run the program: it or its Python lies where only others may go."""
    remedy = "install it where everybody can read: python3 -m venv /opt/calrelay, then /opt/calrelay/bin/pip install …"
    if not program.exists():
        raise ConfigError(f"there is no {program}: calrelay does not run from an environment of its own", remedy=remedy)
    for path in dict.fromkeys((program, program.resolve(), Path(sys.executable).resolve())):
        if where := hidden_place(path):
            raise ConfigError(f"{path} lies {where}, which the service does not see", remedy=remedy)
        if closed := next((folder for folder in path.parents if not folder.stat().st_mode & 0o001), None):
            raise ConfigError(f"the service's user may not enter {closed}, where {path} lies", remedy=remedy)


def _obstacle(wishes: Wishes) -> str:
    """Say what would keep an installation from being done, for those who are only shown it."""
    try:
        require_systemd(wishes.root)
        require_reachable(wishes.program)
    except ConfigError as error:
        return f"It would be refused: {error.message}.\n  → {error.remedy}\n"
    return ""


def hidden_place(path: Path) -> str:
    """Say where a path lies that the service does not see; empty for any other."""
    return next((what for place, what in _HIDDEN.items() if path.is_relative_to(place)), "")


def _allowed(output: Output, mode: Mode) -> Mode:
    if mode is Mode.DO and os.geteuid() != 0:
        output.message("calrelay: only root can do this, so this is what would be done; run it again with sudo")
        return Mode.SHOW
    return mode


def _readiness(wishes: Wishes) -> tuple[bool, str]:
    """Return whether the service can be started, and what comes next. Raises ConfigError for a config that `run` would refuse."""
    path = wishes.at(SERVICE_CONFIG)
    if not is_there(path):
        return False, f"Not started: fill in {SERVICE_CONFIG}, then `calrelay check`, then `systemctl start calrelay`."
    if os.access(path, os.R_OK):
        _require_state_in_its_place(load_config(path, VENDORS).state.url)
    return wishes.starts, "Next: `calrelay check`, then `calrelay plan`. After an upgrade: `systemctl restart calrelay`."


def _require_state_in_its_place(url: SecretRef) -> None:
    file = sqlite_file(url.value) if url.kind in (Kind.PLAIN, Kind.LITERAL) else None
    place = Path(os.path.normpath(SERVICE_CONFIG.parent / file)) if file is not None else STATE_FOLDER
    if not place.is_relative_to(STATE_FOLDER):
        raise ConfigError(
            f"state.url: {place} lies outside {STATE_FOLDER}, the only folder that the service may write",
            remedy=f'under [state] say url = "{SERVICE_STATE}", and move the database there if there is one',
        )


# --- words ---

_MARKS: Final = {Standing.DONE: "as it should be", Standing.EDITED: "EDITED, kept", Standing.HIDDEN: "root may look"}
_EDITED: Final = (
    "What somebody edited is kept, and may not fit this release. Put changes into drop-ins (`systemctl edit calrelay`) and run this again",
    "with --replace-edited: the edited file is set aside as NAME.edited.",
)


def _tell(output: Output, action: str, mode: Mode, told: Sequence[tuple[str, Standing]], note: str) -> int:
    is_done = mode is Mode.DO
    steps = [{"step": step, "standing": standing.value} for step, standing in told]
    marks = _MARKS | {Standing.DUE: "done" if is_done else "to do"}
    blocks: list[Block] = ["Done, in this order:" if is_done else "What would be done, in this order:"]
    blocks.append(Table(rows=[(marks[standing], step) for step, standing in told], indent=2))
    blocks = blocks if told else ["Nothing of the service is on this machine."]
    if any(standing is Standing.EDITED for _, standing in told):
        blocks += ["", *_EDITED]
    blocks += ["", note] if note else []
    blocks += [] if is_done else ["", "Nothing was done."]
    output.answer({"action": action, "done": is_done, "steps": steps, "note": note}, blocks)
    return ExitCode.DONE
