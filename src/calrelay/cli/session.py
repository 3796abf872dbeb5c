"""One invocation of the command line: its global options, the config it found, and the event loop its command runs in."""

import contextlib
import dataclasses
import gc
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import typer

if TYPE_CHECKING:
    from calrelay.config.load import Config
    from calrelay.state.database import Access
    from calrelay.state.opening import State

Answer = TypeVar("Answer")


class LogLevel(StrEnum):
    """The levels of `[log] level`, spelled out here because `--help` does not load the config's models."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Interrupted(Exception):
    """Somebody ended the command, by Ctrl-C or SIGTERM; the exit code is the shell's convention, 128 and the signal's number."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.exit_code = 128 + number
        self.message = f"interrupted ({number.name})"
        self.remedy = "nothing is lost: what was just being sent is looked up by the next pass; run the command again to go on"


@dataclasses.dataclass(slots=True, kw_only=True)
class Session:
    """The options given before the command."""

    config_file: Path | None = None
    log_level: LogLevel | None = None
    is_debugging: bool = False

    def load(self) -> "Config":
        """Find and check the config, and have logs look as it says. Resolves no secret. Raises ConfigError with all problems."""
        from calrelay import log  # noqa: PLC0415 - heavy parts of the command that is run, as are the two below
        from calrelay.config.load import find_config, load_config  # noqa: PLC0415
        from calrelay.vendors.registry import VENDORS  # noqa: PLC0415

        config = load_config(find_config(self.config_file, os.environ), VENDORS)
        log.configure(format=config.log.format.value, level=cast("log.Level", (self.log_level or config.log.level).value))
        return config

    @contextlib.contextmanager
    def state(self, access: "Access") -> Iterator[tuple["Config", "State"]]:
        """Open the config and its state: all that commands need that ask no vendor. Resolves no vendor's secret."""
        from calrelay.state.opening import open_state  # noqa: PLC0415 - heavy

        config = self.load()
        with open_state(config.state_url(), config.folder, access) as state:
            yield config, state

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return datetime.now(UTC)

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Run the command's coroutine. Raises Interrupted when somebody ended it, after what it held was given back."""
        return run_interruptibly(work)


def session_of(ctx: typer.Context) -> Session:
    """Return the session of a command's context."""
    return ctx.find_object(Session) or Session()


def run_interruptibly(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine until it ends, or SIGINT or SIGTERM cancel it; then raises Interrupted."""
    import asyncio  # noqa: PLC0415 - `--help` does without

    received: list[signal.Signals] = []

    async def supervised() -> Answer:
        task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()

        def stop(number: signal.Signals) -> None:
            received.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(ValueError, RuntimeError):  # signals belong to the main thread; elsewhere there are none
                loop.add_signal_handler(number, stop, number)
        return await task

    _collect_garbage_rarely()
    try:
        return asyncio.run(supervised())
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise Interrupted(received[0] if received else signal.SIGINT) from None


def _collect_garbage_rarely() -> None:
    """Look for cycles less often than Python does: a pass makes many values and no cycles, and each look at them costs a tenth of it.

    What was imported so far stays for good and is not looked at again.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def is_json_wanted(arguments: list[str]) -> bool:
    """Say whether `--json` stands among the arguments, for errors that come before they could be read."""
    return "--json" in arguments


def arguments() -> list[str]:
    """Return what was typed after the program's name."""
    return sys.argv[1:]
