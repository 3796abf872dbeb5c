"""The steps of an installation, as values, and what can be done with one: tell it, look how it stands, do it, undo it."""

import dataclasses
import hashlib
import re
import shutil
import stat
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, assert_never

from calrelay.cli.machine import Machine, write_whole

ROOT: Final = "root"
_SEAL: Final = "As shipped by calrelay; changes belong into drop-ins. sha256 "


class Standing(StrEnum):
    """How a step stands before it is done."""

    DUE = "due"
    DONE = "done"
    EDITED = "edited"  # somebody changed a file of ours by hand
    HIDDEN = "hidden"  # we may not look


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A system user with a group of its own, without password and shell; purged only."""

    name: str
    home: Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder of our own; purged only, with all it holds."""

    path: Path
    mode: int
    user: str = ROOT
    group: str = ROOT


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of ours, sealed with a hash, so that one somebody edited is recognised and never overwritten unasked."""

    path: Path
    text: str
    mode: int = 0o644
    user: str = ROOT
    group: str = ROOT
    comment: str = "#"
    replaces_edited: bool = False

    @property
    def sealed(self) -> str:
        """The text, and below it the seal."""
        return f"{self.text}{self.comment} {_SEAL}{_hash(self.text)}\n"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """The config: a skeleton where there is none; one that is there keeps its words, and gets its rights. Purged only."""

    path: Path
    text: str
    mode: int
    user: str
    group: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Commands that are run each time; where one of the two is empty, that way does nothing. `undo_if` must be there to undo it."""

    words: Sequence[str] = ()
    undo_words: Sequence[Sequence[str]] = ()
    undo_if: Path = Path("/")


Step = User | Folder | File | ConfigFile | Command
"""Looking, doing and undoing may be repeated."""


def doing(step: Step) -> str:
    """Say what doing a step does; empty where it does nothing."""
    match step:
        case User():
            return f"add user {step.name}: a system user with a group of its own, no password, no shell"
        case Folder():
            return f"make folder {step.path} ({_rights(step)})"
        case File():
            return f"write {step.path} ({_rights(step)})"
        case ConfigFile() if is_there(step.path):
            return f"set the rights of {step.path} ({_rights(step)}); its words stay"
        case ConfigFile():
            return f"write {step.path} ({_rights(step)}), a skeleton for you to fill in"
        case Command():
            return f"run {' '.join(step.words)}" if step.words else ""
        case _:
            assert_never(step)


def undoing(step: Step, *, is_purging: bool) -> str:
    """Say what undoing a step does; empty where it does nothing."""
    match step:
        case User():
            return f"delete user {step.name}" if is_purging else ""
        case Folder():
            return f"delete {step.path} and all in it" if is_purging and is_there(step.path) else ""
        case File() if not is_there(step.path):
            return ""
        case File():
            return f"delete {step.path}" if _is_ours(step.path) else f"move {step.path}, which was edited, to {_aside(step.path)}"
        case ConfigFile():
            return f"delete {step.path}" if is_purging and is_there(step.path) else ""
        case Command() if not is_there(step.undo_if):
            return ""
        case Command():
            return ", then ".join(f"run {' '.join(words)}" for words in step.undo_words)
        case _:
            assert_never(step)


def look(step: Step, machine: Machine) -> Standing:
    """Tell how a step stands."""
    try:
        return _look(step, machine)
    except PermissionError:
        return Standing.HIDDEN


def _look(step: Step, machine: Machine) -> Standing:
    match step:
        case User():
            is_done = machine.has_user(step.name)
        case Folder():
            is_done = step.path.is_dir() and _has_rights(step, machine)
        case ConfigFile():
            is_done = step.path.exists() and _has_rights(step, machine)
        case File():
            return _look_at_file(step, machine)
        case Command():
            is_done = not step.words
        case _:
            assert_never(step)
    return Standing.DONE if is_done else Standing.DUE


def _look_at_file(file: File, machine: Machine) -> Standing:
    if not file.path.exists():
        return Standing.DUE
    if not _is_ours(file.path) and not file.replaces_edited:
        return Standing.EDITED
    is_same = file.path.read_text("utf-8", errors="replace") == file.sealed
    return Standing.DONE if is_same and _has_rights(file, machine) else Standing.DUE


def do(step: Step, machine: Machine) -> None:
    """Do a step."""
    match step:
        case User():
            home = ("--home-dir", str(step.home), "--no-create-home")
            machine.run("useradd", "--system", "--user-group", *home, "--shell", "/usr/sbin/nologin", "--comment", "calrelay", step.name)
        case Folder():
            step.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _give(step, step.path, machine)
        case ConfigFile() if step.path.exists():
            _give(step, step.path, machine)
        case File():
            _set_aside(step.path)
            write_whole(step.path, step.sealed, lambda path: _give(step, path, machine))
        case ConfigFile():
            write_whole(step.path, step.text, lambda path: _give(step, path, machine))
        case Command():
            machine.run(*step.words)
        case _:
            assert_never(step)


def undo(step: Step, machine: Machine) -> None:
    """Undo a step."""
    match step:
        case User() if machine.has_user(step.name):
            machine.run("userdel", step.name)
        case User():
            return
        case Folder():
            shutil.rmtree(step.path)
        case File():
            _set_aside(step.path)
            step.path.unlink(missing_ok=True)
        case ConfigFile():
            step.path.unlink(missing_ok=True)
        case Command():
            for words in step.undo_words:
                machine.run(*words)
        case _:
            assert_never(step)


def is_there(path: Path) -> bool:
    """Tell whether there is a file, as far as we may look; one in a folder closed to us counts as there."""
    try:
        return path.exists()
    except PermissionError:
        return True


def is_sealed(text: str) -> bool:
    """Tell whether a file is as some release of ours wrote it."""
    body, _, last = text.rstrip("\n").rpartition("\n")
    found = re.search(rf"{re.escape(_SEAL)}([0-9a-f]+)$", last)
    return found is not None and found[1] == _hash(f"{body}\n")


def _is_ours(path: Path) -> bool:
    return is_sealed(path.read_text("utf-8", errors="replace"))


def _set_aside(path: Path) -> None:
    """Keep a file that is not as we wrote it, under another name."""
    if path.exists() and not _is_ours(path):
        path.replace(_aside(path))


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.edited")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _rights(owned: Folder | File | ConfigFile) -> str:
    return f"{owned.user}:{owned.group} {owned.mode:04o}"


def _give(owned: Folder | File | ConfigFile, path: Path, machine: Machine) -> None:
    machine.own(path, owned.user, owned.group)
    path.chmod(owned.mode)


def _has_rights(owned: Folder | File | ConfigFile, machine: Machine) -> bool:
    return stat.S_IMODE(owned.path.stat().st_mode) == owned.mode and machine.owner(owned.path) == (owned.user, owned.group)
