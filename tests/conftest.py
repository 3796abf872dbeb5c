"""Settings of the whole test run."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A busy two-core machine is slow now and then; that is no finding.
settings.register_profile("calrelay", deadline=None)
settings.load_profile("calrelay")


@pytest.fixture(autouse=True)
def _logs_from_the_same_level_on() -> Iterator[None]:
    """Undo what a command that ran in this process made of the log's level, which the next test's lines would go by."""
    root = logging.getLogger()
    before = root.level
    yield
    root.setLevel(before)
