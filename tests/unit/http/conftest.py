"""What the tests of the HTTP toolkit share: time that passes without waiting, and clients over in-memory applications."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import httpx
import pytest

from calrelay.http.client import Finished, VendorClient
from calrelay.http.pacing import Pacer
from calrelay.http.retry import Retry

Result = TypeVar("Result")
App = Callable[[httpx.Request], httpx.Response]


class SkippingSelector(selectors.DefaultSelector):
    """Lets the loop's clock jump over every wait, a microsecond at least, so that nothing waits for the same moment for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += max(timeout or 0.0, 1e-6)
        return super().select(0)


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is the selector's."""

    def __init__(self) -> None:
        self.clock = SkippingSelector()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end in simulated time: an hour's sleep takes no time at all."""
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(main)


def loop_time() -> float:
    return asyncio.get_running_loop().time()


class Waits:
    """A clock and a wait for Retry, which remember instead of waiting."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waited: list[float] = []

    async def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now

    def retry(self, **options: Any) -> Retry:
        return Retry(**{"wait": self.wait, "clock": self.clock, "jitter": lambda: 0.0} | options)


@pytest.fixture
def in_no_time() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return run


@pytest.fixture
def now() -> Callable[[], float]:
    return loop_time


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def finished() -> list[Finished]:
    """What the observer was told."""
    return []


@pytest.fixture
def client_of(waits: Waits, finished: list[Finished]) -> Callable[..., VendorClient]:
    """Build a client over a function that answers requests."""

    def build(app: Any, **options: Any) -> VendorClient:
        defaults: dict[str, Any] = {
            "account": "venue",
            "vendor": "Tripleseat",
            "base_url": "https://api.example.com/v1",
            "pacer": Pacer(10_000),
            "retry": waits.retry(),
            "transport": app if isinstance(app, httpx.AsyncBaseTransport) else httpx.MockTransport(app),
            "observer": finished.append,
        }
        return VendorClient(**defaults | options)

    return build
