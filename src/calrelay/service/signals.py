"""The signals of a process that runs passes until it is told to end: a daemon's, and a worker's."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from typing import Protocol


class Obedient(Protocol):
    """Who listens to signals."""

    def stop(self) -> None:
        """End after the answers in hand."""

    def reload(self) -> None:
        """Read the config again."""


@contextlib.contextmanager
def obeying_signals(process: Obedient) -> Iterator[None]:
    """Let SIGTERM and SIGINT stop it and SIGHUP reload its config, for as long as the context lasts."""
    loop = asyncio.get_running_loop()
    wishes = {signal.SIGTERM: process.stop, signal.SIGINT: process.stop, signal.SIGHUP: process.reload}
    for number, obey in wishes.items():
        loop.add_signal_handler(number, obey)
    try:
        yield
    finally:
        for number in wishes:
            loop.remove_signal_handler(number)
