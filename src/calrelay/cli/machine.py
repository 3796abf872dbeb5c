"""The machine that calrelay is installed on: its users, its owners of files, and commands that are run without a shell."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from calrelay.errors import ConfigError


class Machine:
    """The machine we are on, as far as it is more than files; tests put another in its place."""

    def has_user(self, name: str) -> bool:
        """Tell whether there is a user."""
        try:
            pwd.getpwnam(name)
        except KeyError:
            return False
        return True

    def run(self, *words: str) -> None:
        """Run a command. Raises ConfigError with its own words when it fails."""
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own words, no shell
        except OSError as error:
            raise ConfigError(f"`{' '.join(words)}` cannot be run: {error.strerror}", remedy=f"install what brings {words[0]}") from None
        if done.returncode != 0:
            why = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
            raise ConfigError(f"`{' '.join(words)}` failed: {why}", remedy="mend that and run this again; what was done stays done")

    def own(self, path: Path, user: str, group: str) -> None:
        """Give a file or folder to a user and a group."""
        shutil.chown(path, user, group)

    def owner(self, path: Path) -> tuple[str, str]:
        """Return the user and the group that a file or folder belongs to."""
        return path.owner(), path.group()


def write_whole(path: Path, text: str, give: Callable[[Path], None]) -> None:
    """Write a file whole or not at all; nobody else reads it before `give` has set its rights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    copy = path.with_name(f".{path.name}.new")
    copy.unlink(missing_ok=True)
    with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    give(copy)
    copy.replace(path)
