"""What a scrape shows, and that it never hurts: neither the daemon nor the number of series."""

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from calrelay.config.load import parse_config
from calrelay.domain.link import State
from calrelay.engine.order import Reach
from calrelay.engine.report import Outcome
from calrelay.errors import ConfigError, StateError
from calrelay.http.client import Finished
from calrelay.service.freshness import Freshness, freshness
from calrelay.service.metrics import Metrics, Spent
from calrelay.service.refusals import Refusal
from calrelay.service.rhythm import Health
from calrelay.state.database import open_in_memory
from calrelay.state.ledger import SqlLedger
from calrelay.vendors.registry import VENDORS
from tests.fakes.memory_source import NOW, an_event
from tests.fakes.pipelines import Bench, a_bench
from tests.unit.service.passes_made import a_gap, a_report, an_outage

Series = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
ACCOUNTS = """
[accounts.venue]
vendor = "tripleseat"
client_id = "an-app"
client_secret = { env = "NOWHERE" }
requests_per_second = 2
"""


@dataclasses.dataclass(slots=True, kw_only=True)
class Watched:
    """A daemon as far as metrics look at it, over a pipeline in memory."""

    bench: Bench
    started_at: Any = NOW
    is_started: bool = True
    is_broken: bool = False
    refusals: dict[str, Refusal] = dataclasses.field(default_factory=dict)

    def clock(self) -> Any:
        return self.bench.now

    @property
    def runners(self) -> Any:
        return {"venue": SimpleNamespace(pipeline=self.bench.pipeline)} if self.is_started else {}

    @property
    def relay(self) -> Any:
        return SimpleNamespace(config=parse_config(ACCOUNTS, path=Path("config.toml"), vendors=VENDORS), ledger=self.bench.ledger)

    def freshness(self) -> dict[str, Freshness]:
        if self.is_broken:
            raise StateError("the disk is full")
        record = self.bench.ledger.pipeline("venue")
        return {"venue": freshness(record, timedelta(hours=1), started_at=self.started_at, now=self.bench.now)}


@pytest.fixture
def bench() -> Iterator[Bench]:
    with open_in_memory() as database:
        yield dataclasses.replace(a_bench(*(an_event(number) for number in range(3))), ledger=SqlLedger(database))


@pytest.fixture
def watched(bench: Bench) -> Watched:
    return Watched(bench=bench)


@pytest.fixture
def metrics(watched: Watched) -> Metrics:
    return Metrics(watched)


def scraped(metrics: Metrics) -> Series:
    body, kind = metrics.render()
    assert kind.startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return scraped(metrics)[name, tuple(sorted(labels.items()))]


def a_request(account: str = "venue", *, status: int | None = 200, attempts: int = 1) -> Finished:
    return Finished(
        account=account, vendor="Tripleseat", method="GET", endpoint="events/search", status=status, seconds=0.1, attempts=attempts
    )


async def test_freshness_grows_from_the_start_and_falls_with_a_complete_read(metrics: Metrics, bench: Bench) -> None:
    bench.now = NOW + timedelta(hours=2)
    assert value(metrics, "calrelay_freshness_seconds", pipeline="venue") == 7200
    assert value(metrics, "calrelay_freshness_limit_seconds", pipeline="venue") == 3 * 3600
    await bench.sync()
    assert value(metrics, "calrelay_freshness_seconds", pipeline="venue") == 0


async def test_what_stands_in_the_ledger_is_read_at_the_scrape(metrics: Metrics, bench: Bench) -> None:
    assert value(metrics, "calrelay_first_load_pending", pipeline="venue") == 1
    await bench.sync()
    assert value(metrics, "calrelay_links", pipeline="venue", state=State.SETTLED.value) == 3
    assert value(metrics, "calrelay_links", pipeline="venue", state=State.QUARANTINED.value) == 0
    assert value(metrics, "calrelay_holds", pipeline="venue") == 0
    bench.source.rows.clear()
    await bench.sync()
    assert value(metrics, "calrelay_holds", pipeline="venue") == 1
    assert value(metrics, "calrelay_links", pipeline="venue", state=State.HELD.value) == 3
    assert value(metrics, "calrelay_first_load_pending", pipeline="venue") == 0


def test_passes_are_counted_with_what_they_did(metrics: Metrics, bench: Bench) -> None:
    metrics.note_pass(bench.pipeline, Reach.COMPLETE, a_report(created=4, read=9, seconds=3.0), Health.WELL)
    metrics.note_pass(bench.pipeline, Reach.QUICK, an_outage(), Health.DOWN)
    assert value(metrics, "calrelay_passes_total", pipeline="venue", outcome=Outcome.OK.value) == 1
    assert value(metrics, "calrelay_passes_total", pipeline="venue", outcome=Outcome.FAILED.value) == 1
    assert value(metrics, "calrelay_events_total", pipeline="venue", action="created") == 4
    assert value(metrics, "calrelay_pass_seconds_sum", pipeline="venue", reach="complete") == 3
    assert value(metrics, "calrelay_pipeline_health", pipeline="venue", health="down") == 1
    assert value(metrics, "calrelay_pipeline_health", pipeline="venue", health="well") == 0


def test_refused_credentials_show_until_a_pass_goes_well(metrics: Metrics, bench: Bench) -> None:
    metrics.note_pass(bench.pipeline, Reach.COMPLETE, a_gap(), Health.DOWN)
    assert value(metrics, "calrelay_credentials_refused", pipeline="venue") == 1
    metrics.note_pass(bench.pipeline, Reach.COMPLETE, a_report(), Health.WELL)
    assert value(metrics, "calrelay_credentials_refused", pipeline="venue") == 0


def test_a_pipeline_that_is_gone_after_a_reload_takes_its_health_along(metrics: Metrics, watched: Watched) -> None:
    metrics.note_pass(watched.bench.pipeline, Reach.COMPLETE, an_outage(), Health.DOWN)
    watched.is_started = False
    assert not any(name == "calrelay_pipeline_health" for name, _ in scraped(metrics))


def test_requests_are_counted_by_account_and_status_and_never_by_address(metrics: Metrics) -> None:
    metrics.note_request(a_request(attempts=3))
    metrics.note_request(a_request(status=None))
    assert value(metrics, "calrelay_requests_total", account="venue", vendor="Tripleseat", status="200") == 1
    assert value(metrics, "calrelay_requests_total", account="venue", vendor="Tripleseat", status="none") == 1
    assert value(metrics, "calrelay_request_repeats_total", account="venue", vendor="Tripleseat") == 2
    assert "events/search" not in metrics.render()[0].decode()


def test_the_rate_budget_is_the_share_of_the_last_minute(metrics: Metrics) -> None:
    for _ in range(30):
        metrics.note_request(a_request())
    assert value(metrics, "calrelay_rate_budget_used_ratio", account="venue") == 30 / (2 * 60)


def test_what_was_spent_is_forgotten_after_a_minute() -> None:
    now = [0.0]
    spent = Spent(lambda: now[0])
    for now[0] in range(300):
        spent.note("venue", 2)
    assert spent.count("venue") == 120
    now[0] += 61
    assert spent.count("venue") == 0


def test_before_the_start_a_scrape_shows_the_daemon_alone(metrics: Metrics, watched: Watched) -> None:
    watched.is_started = False
    names = {name for name, _ in scraped(metrics)}
    assert "calrelay_build_info" in names
    assert "calrelay_freshness_seconds" not in names


def test_a_ledger_that_cannot_be_read_costs_its_own_gauges_only(metrics: Metrics, watched: Watched) -> None:
    watched.is_broken = True
    found = scraped(metrics)
    assert found["calrelay_state_readable", ()] == 0
    assert not any(name == "calrelay_freshness_seconds" for name, _ in found)
    watched.is_broken = False
    assert value(metrics, "calrelay_state_readable") == 1


def test_labels_are_escaped(metrics: Metrics, bench: Bench) -> None:
    """Names of the config hold letters, digits, dots and dashes only; whatever came in another way must not break the text."""
    odd = dataclasses.replace(bench.pipeline, name='a "quoted"\\ name\nand a line')
    metrics.note_pass(odd, Reach.QUICK, a_report(), Health.WELL)
    assert value(metrics, "calrelay_passes_total", pipeline=odd.name, outcome="ok") == 1


def test_two_daemons_share_no_series(watched: Watched) -> None:
    first, second = Metrics(watched), Metrics(watched)
    first.note_request(a_request())
    assert not any(name == "calrelay_requests_total" for name, _ in scraped(second))


def test_a_thousand_events_add_no_series(metrics: Metrics, bench: Bench) -> None:
    def series() -> int:
        return len(scraped(metrics))

    metrics.note_pass(bench.pipeline, Reach.COMPLETE, a_report(created=1), Health.WELL)
    before = series()
    for _ in range(1000):
        metrics.note_pass(bench.pipeline, Reach.COMPLETE, a_report(created=1), Health.WELL)
    assert series() == before


def test_webhooks_are_counted_with_their_lag(metrics: Metrics) -> None:
    metrics.note_webhook("venue", "accepted")
    metrics.note_webhook("venue", "repeated", count=3)
    metrics.note_webhook_lag("venue", 1.5)
    assert value(metrics, "calrelay_webhooks_total", account="venue", outcome="repeated") == 3
    assert value(metrics, "calrelay_webhook_lag_seconds_bucket", account="venue", le="2.0") == 1


def test_what_the_config_refuses_is_counted(metrics: Metrics, watched: Watched) -> None:
    assert value(metrics, "calrelay_config_refused") == 0
    watched.refusals["acme/"] = Refusal(name="acme/", error=ConfigError("broken"))
    assert value(metrics, "calrelay_config_refused") == 1


def test_counters_bring_no_second_series(metrics: Metrics) -> None:
    metrics.note_webhook("venue", "accepted")
    assert not [name for name, _ in scraped(metrics) if name.endswith("_created")]


def names_of(metrics: Metrics) -> Iterator[str]:
    yield from (family.name for family in text_string_to_metric_families(metrics.render()[0].decode()))


def test_every_name_begins_alike(metrics: Metrics) -> None:
    assert {name.partition("_")[0] for name in names_of(metrics)} == {"calrelay"}
