"""The sign of life for a watcher outside: given while all is well, withheld when it is not."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from calrelay.config.load import parse_config
from calrelay.errors import ConfigError
from calrelay.log import scrub
from calrelay.service.daemon import Daemon
from calrelay.service.freshness import Freshness
from calrelay.service.pulse import Pulse, ping_url_of
from calrelay.service.refusals import Refusal
from calrelay.vendors.registry import VENDORS

HOUR = timedelta(hours=1)
URL = "https://watch.example.com/ping/6f2c1d0a-token"


class Stand:
    """A daemon as far as its pulse looks at it."""

    def __init__(self, written: str = f'ping_url = "{URL}"') -> None:
        self.config = parse_config(f"[notify]\n{written}\n", path=Path("config.toml"), vendors=VENDORS)
        self.age = timedelta()
        self.is_stuck = False
        self.refusals: dict[str, Refusal] = {}
        self.asked: list[str] = []
        self.answer: str | None = None
        self.pulse = Pulse(cast("Daemon", self), ask=self._ask)

    @property
    def relay(self) -> Any:
        return SimpleNamespace(config=self.config)

    @property
    def runners(self) -> Any:
        return {"venue": SimpleNamespace(is_stuck=lambda: self.is_stuck)}

    def freshness(self) -> dict[str, Freshness]:
        return {"venue": Freshness(pipeline="venue", last_complete_at=None, age=self.age, allowed=3 * HOUR)}

    async def _ask(self, url: str) -> str | None:
        self.asked.append(url)
        return self.answer

    async def beats(self) -> bool:
        """Beat once, and say whether the address was asked."""
        self.asked.clear()
        await self.pulse.beat()
        return self.asked == [URL]


async def test_it_beats_while_every_pipeline_is_fresh() -> None:
    stand = Stand()
    assert await stand.beats()
    stand.age = 3 * HOUR + timedelta(seconds=1)
    assert not await stand.beats()
    stand.age = timedelta()
    assert await stand.beats()


async def test_it_is_silent_while_a_tenant_does_not_run() -> None:
    stand = Stand()
    stand.refusals = {"acme/": Refusal(name="acme/", error=ConfigError("broken"))}
    assert not await stand.beats()
    stand.refusals = {"acme/": Refusal(name="acme/", error=ConfigError("broken"), is_kept=True)}
    assert await stand.beats()


async def test_it_is_silent_while_a_pass_of_ours_hangs() -> None:
    stand = Stand()
    stand.is_stuck = True
    assert not await stand.beats()


async def test_without_an_address_it_asks_nobody() -> None:
    stand = Stand("")
    assert not await stand.beats()


async def test_a_failure_is_logged_once_and_without_the_address() -> None:
    stand = Stand()
    stand.answer = "no answer (ConnectError)"
    with capture_logs() as lines:
        for _ in range(3):
            await stand.beats()
        stand.answer = None
        await stand.beats()
    assert [line["event"] for line in lines] == ["ping failed", "ping works again"]
    assert "watch.example.com" not in str(lines)


async def test_a_secret_that_is_nowhere_is_a_failure_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PING", raising=False)
    stand = Stand('ping_url = { env = "NO_PING" }')
    with capture_logs() as lines:
        assert not await stand.beats()
    assert "NO_PING" in lines[0]["why"]


def test_an_address_from_elsewhere_is_checked_and_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PING", "watch.example.com/6f2c1d0a-token")
    with pytest.raises(ConfigError, match=r"notify\.ping_url") as refused:
        ping_url_of(Stand('ping_url = { env = "PING" }').config)
    assert "6f2c" not in str(refused.value)


def test_the_address_is_kept_out_of_the_log_from_then_on() -> None:
    ping_url_of(Stand().config)
    assert "token" not in scrub(f"GET {URL}")


@pytest.mark.parametrize(
    "url", ["watch.example.com/x", "ftp://watch.example.com/x", "https://user:word@watch.example.com/x", "https://[::1"]
)
def test_what_is_no_address_is_refused_with_the_config(url: str) -> None:
    with pytest.raises(ConfigError, match=r"notify\.ping_url: is no URL"):
        parse_config(f'[notify]\nping_url = "{url}"\n', path=Path("config.toml"), vendors=VENDORS)
