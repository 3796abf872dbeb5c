"""Two workers on many pipelines and few accounts, as `bench/cluster.py` measures larger crews."""

from pathlib import Path

from bench.cluster import measure
from bench.crowd import Terms


async def test_two_workers_together_keep_to_the_rate_of_each_account(tmp_path: Path) -> None:
    """Twenty pipelines want more than two accounts may give; the vendors' journals say how much they were asked. Takes half a minute."""
    terms = Terms(pipelines=20, accounts=2, every=1, rate=4.5, target_rate=60, seconds=6)
    (measured,) = [one async for one in measure(terms, [2], tmp_path)]
    assert measured.busiest <= 1
    assert measured.refused == 0
    assert measured.runs > 2, "hardly anything was asked, so nothing is proven"
