"""Short soaks; `make soak` runs longer ones. Those of the workers go on from the seed of tests/system_local/test_workers_in_trouble.py."""

from pathlib import Path

import pytest

from tests import soak_cluster
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


@pytest.mark.parametrize("seed", [13, 21])
async def test_three_workers_in_trouble_let_no_two_passes_of_a_pipeline_overlap(tmp_path: Path, seed: int) -> None:
    """Killed, suspended, ended, the server restarted, each at least once: everything comes into step again."""
    outcome = await soak_cluster.soak(10, seed, tmp_path)
    assert outcome.wrong == []
    assert outcome.settled_in is not None
    assert outcome.disturbed.keys() == soak_cluster.DISTURBANCES.keys()
    assert outcome.leases > 4
    assert outcome.writes > 5
