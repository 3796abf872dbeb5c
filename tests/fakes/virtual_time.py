"""An event loop in which nobody waits: when nothing is left to do but to wait, its time moves on to the next timer at once."""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

STEP = 1e-6  # seconds that each turn of the loop takes, so that sums of small numbers come out above what they are compared with


class _Skipping(selectors.DefaultSelector):
    """Looks at the sockets without waiting for them, and counts the time that would have passed."""

    def __init__(self, on_skip: Callable[[float], object] | None = None) -> None:
        super().__init__()
        self.skipped = 0.0
        self._on_skip = on_skip

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everybody waits for something that will never happen")
        skipped = max(timeout, 0.0) + STEP
        self.skipped += skipped
        if self._on_skip:
            self._on_skip(skipped)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """For tests whose whole world lives in one process: sleeps, timeouts and paces cost nothing and keep their order.

    Its time stands still but for those waits, so that the same run always is the same. Threads and sockets cannot be waited for.
    `on_skip` hears of each step in seconds, so that another clock can go with it.
    """

    def __init__(self, begins_at: float = 0.0, *, on_skip: Callable[[float], object] | None = None) -> None:
        self._skipping = _Skipping(on_skip)
        self._begins_at = begins_at
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._begins_at + self._skipping.skipped

    def run(self, work: Any) -> Any:
        """Run a coroutine to its end; what it left behind is ended as well when it raises."""
        try:
            return self.run_until_complete(work)
        except BaseException:
            self.end_all()
            raise

    def end_all(self) -> None:
        """Cancel every task and let it see that."""
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    def end(self) -> None:
        """Cancel what is left and close the loop."""
        self.end_all()
        self.run_until_complete(self.shutdown_asyncgens())
        self.close()
