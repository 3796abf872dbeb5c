"""Whose the files of the state are: the folder's owner, as whom the daemon runs, also where root typed the command that made them."""

import contextlib
import os
from pathlib import Path


def give_to_owner(path: Path) -> None:
    """Hand a file over to the owner of its folder, if we are root and it is somebody else's; SQLite does so with its own files."""
    if os.geteuid() != 0:
        return
    with contextlib.suppress(OSError):  # a file system that knows no owners is no reason to stop
        owner = path.parent.stat()
        if path.stat().st_uid != owner.st_uid:
            os.chown(path, owner.st_uid, owner.st_gid)
