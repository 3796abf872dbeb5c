"""What systemd is told, by sd_notify's protocol and our own few lines. Nothing here waits, and nothing here fails."""

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from datetime import timedelta


class Systemd:
    """The notification socket of a unit with Type=notify; without one every call does nothing.

    Source: sd_notify(3), sd_watchdog_enabled(3). A leading "@" names an abstract socket.
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        env = os.environ if env is None else env
        address = env.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog = _watchdog(env)

    def tell(self, *lines: str) -> None:
        """Send these lines as one message; a socket that is full or gone costs the message, never time."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.setblocking(False)
            sending.sendto("\n".join(lines).encode(), self._address)

    def tell_status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        self.tell(f"STATUS={' '.join(text.split())}")

    def tell_reloading(self) -> None:
        """Announce a reload, which Type=notify-reload waits for; READY=1 ends it."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def _watchdog(env: Mapping[str, str]) -> timedelta | None:
    """Return how long systemd waits for a sign of life, or None where it does not, or where another process is meant."""
    microseconds, pid = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return timedelta(microseconds=int(microseconds))
