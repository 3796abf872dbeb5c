"""A short soak; `make soak` runs longer ones."""

from pathlib import Path

import pytest

from tests.soak import soak

pytestmark = pytest.mark.system


async def test_fifteen_seconds_of_trouble_lose_nothing_double_nothing_and_message_nobody_by_accident(tmp_path: Path) -> None:
    """The real daemon, killed and restarted, over misbehaving vendors; what came of it is asked of the vendors alone."""
    outcome = await soak(15, 1, tmp_path, events=60, appointments=48)
    assert outcome.wrong == []
    assert outcome.edits.total() > 10
    assert outcome.survived.total() > 0  # a busy machine comes to few
    assert outcome.signals.total() > 0
    assert outcome.writes > 5
