"""Who holds a lock, and how others are told. Values and words only."""

import json
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from calrelay.errors import Busy


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock, as it wrote itself down; `host` is empty where the lock cannot be held by another machine.

    `since` is None where a server does not tell it: to a user of its own who is another than the holder's.
    """

    pid: int
    command: str
    since: datetime | None
    host: str = ""

    def __str__(self) -> str:
        where = f" on {self.host}" if self.host else ""
        since = f", since {self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since else ""
        return f"process {self.pid}{where} (calrelay {self.command}){since}"

    def to_json(self) -> str:
        """Return what is written down."""
        known = {"pid": self.pid, "command": self.command, "since": self.since.isoformat() if self.since else ""}
        return json.dumps(known | ({"host": self.host} if self.host else {}))


def this_process(command: str, *, names_host: bool = False) -> Holder:
    """Return this process as a holder from now on."""
    return Holder(pid=os.getpid(), command=command, since=datetime.now(UTC), host=socket.gethostname() if names_host else "")


def holder_from(text: str | bytes | None) -> Holder | None:
    """Return a holder as it was written down, None for what nobody wrote, or only half of it."""
    try:
        known = json.loads(text or "")
        return Holder(pid=known["pid"], command=known["command"], since=datetime.fromisoformat(known["since"]), host=known.get("host", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def busy(
    what: str, holder: Holder | None, *, remedy: str = "wait for it to finish, or end it first", again_after: timedelta | None = None
) -> Busy:
    """Return what to raise when somebody else holds the lock of `what`."""
    who = str(holder) if holder else "another process"
    return Busy(f"{what} is being worked on by {who}", remedy=remedy, again_after=again_after)
