"""What Prometheus reads from the whole daemon over the simulators, and that the alert rules ask for nothing that is not there."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.scraped_daemon import a_scrape, running
from tests.unit.cli.house import House, a_house

RULES = Path(__file__).parents[2] / "packaging" / "prometheus" / "calrelay.rules.yml"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with a_house(tmp_path) as house:
        yield house


async def test_every_metric_of_the_alert_rules_is_in_a_scrape(house: House) -> None:
    families = text_string_to_metric_families(await a_scrape(house))
    shown = {sample.name for family in families for sample in family.samples}
    named = set(re.findall(r"\bcalrelay_\w+", RULES.read_text()))
    assert len(named) > 10
    assert named <= shown


async def test_a_scrape_tells_nothing_of_bookings_or_guests(house: House) -> None:
    """Labels are names of the config and words of ours."""
    text = await a_scrape(house)
    labels = dict(re.findall(r'(\w+)="([^"]*)"', text))
    assert set(labels) == {"version", "zone_data", "pipeline", "outcome", "reach", "le", "action", "account", "vendor", "status"} | {
        "health",
        "state",
    }
    assert not re.search(r"\b(ts|tt)-\d|@|https?://|/v1", text)


async def test_a_scrape_while_a_pass_runs_waits_for_nothing(house: House) -> None:
    async with running(house) as (daemon, passes):
        await asyncio.wait_for(daemon.ready.wait(), 10)
        scrapes = 0
        while passes.empty():
            assert b"calrelay_freshness_seconds{" in daemon.metrics.render()[0]
            scrapes += 1
            await asyncio.sleep(0)
        assert scrapes > 10
        assert (await passes.get()).problems == []
