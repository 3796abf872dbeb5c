"""Stages of different sizes, and no waiting between two attempts."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from calrelay.http.retry import Retry
from tests.system_local.stage import Stage, a_stage

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are repeated as often as ever, without the seconds in between."""

    async def at_once(_: float) -> None:
        return None

    defaults = Retry.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "wait", at_once)


@pytest.fixture
def full_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    """130 events and 70 appointments around this very moment."""
    with a_stage(tmp_path, capsys, events=130, appointments=70) as stage:
        yield stage


@pytest.fixture
def small_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    """24 events and 12 appointments around this very moment."""
    with a_stage(tmp_path, capsys, events=24, appointments=12) as stage:
        yield stage


@pytest.fixture
def bare_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    """No bookings, on 21 November 2026 at 15:00 UTC, for tests that bring their own."""
    with a_stage(tmp_path, capsys, now=NOW) as stage:
        yield stage
