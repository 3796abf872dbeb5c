"""What Prometheus may ask: counters that listeners fill, and gauges read from the ledger at the moment of a scrape. It judges nothing.

Labels are names of the config and words of ours, never an id, a person, a path or a vendor's text.
"""

import dataclasses
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from calrelay import __version__
from calrelay.domain.link import State
from calrelay.domain.zones import ZONE_DATA_VERSION, zone_data_is_old, zone_data_released
from calrelay.engine.order import Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport
from calrelay.errors import AuthFailed, CalrelayError
from calrelay.http.client import Finished
from calrelay.ports import Clock
from calrelay.service.freshness import Freshness
from calrelay.service.rhythm import Health

if TYPE_CHECKING:
    from calrelay.assembly import Relay
    from calrelay.service.refusals import Refusal
    from calrelay.service.runner import Runner

disable_created_metrics()  # type: ignore[no-untyped-call] # else every counter brings a second series, the moment at which it was made

PASS_SECONDS: Final = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
LAG_SECONDS: Final = (0.5, 1, 2, 5, 10, 30, 60, 300)
WINDOW: Final = 60  # seconds over which the rate is looked at
_SEEN: Final = ("read", "created", "updated", "deleted", "unchanged", "skipped")


class Watched(Protocol):
    """What is asked of the daemon when somebody scrapes."""

    @property
    def started_at(self) -> datetime:
        """When the daemon started."""

    @property
    def clock(self) -> Clock:
        """The daemon's clock."""

    @property
    def runners(self) -> "Mapping[str, Runner]":
        """The runners by pipeline; none before the start."""

    @property
    def relay(self) -> "Relay":
        """The relay in use, once there are runners."""

    @property
    def refusals(self) -> "Mapping[str, Refusal]":
        """What the config keeps from running, by tenant or pipeline; nothing before the start."""

    def freshness(self) -> dict[str, Freshness]:
        """How old what each pipeline knows is. Raises StateError."""


class Metrics:
    """The metrics of one daemon, in a registry of their own. `render` never raises and sends nothing."""

    def __init__(self, watched: Watched) -> None:
        self.registry = CollectorRegistry()
        self._spent = Spent()
        self._last: dict[str, _LastPass] = {}
        _build_info(self.registry)
        self._passes = Counter("calrelay_passes", "Passes that have ended.", ["pipeline", "outcome"], registry=self.registry)
        self._seconds = Histogram(
            "calrelay_pass_seconds", "How long passes took.", ["pipeline", "reach"], buckets=PASS_SECONDS, registry=self.registry
        )
        self._events = Counter(
            "calrelay_events",
            "created, updated, deleted: accepted by the target. read, unchanged, skipped: seen by passes, each time anew.",
            ["pipeline", "action"],
            registry=self.registry,
        )
        self._requests = Counter(
            "calrelay_requests", "Requests that came to their end.", ["account", "vendor", "status"], registry=self.registry
        )
        self._repeats = Counter(
            "calrelay_request_repeats", "Attempts beyond the first of a request.", ["account", "vendor"], registry=self.registry
        )
        self._webhooks = Counter("calrelay_webhooks", "Webhooks by what became of them.", ["account", "outcome"], registry=self.registry)
        self._lag = Histogram(
            "calrelay_webhook_lag_seconds",
            "From a webhook's arrival to the end of the pass that reads its event.",
            ["account"],
            buckets=LAG_SECONDS,
            registry=self.registry,
        )
        self.registry.register(_Standing(watched, self._spent, self._last))

    # --- what the daemon tells ---

    def note_pass(self, pipeline: Pipeline, reach: Reach, report: PassReport, health: Health) -> None:
        """Count a pass; a listener of runners."""
        name = pipeline.name
        self._passes.labels(name, report.outcome.value).inc()
        self._seconds.labels(name, reach.value).observe(report.seconds)
        for action in _SEEN:
            self._events.labels(name, action).inc(report.counts()[action])
        is_refused = any(problem.kind == AuthFailed.__name__ for problem in report.problems)
        self._last[name] = _LastPass(began=report.started_at, health=health, is_refused=is_refused)

    def note_request(self, finished: Finished) -> None:
        """Count a request; an observer of HTTP clients."""
        self._requests.labels(finished.account, finished.vendor, str(finished.status or "none")).inc()
        self._repeats.labels(finished.account, finished.vendor).inc(max(finished.attempts - 1, 0))
        self._spent.note(finished.account, finished.attempts)

    def note_webhook(self, account: str, outcome: str, *, count: int = 1) -> None:
        """Count webhooks of an account; `outcome` is a word of ours, such as accepted, repeated, refused or too_large."""
        self._webhooks.labels(account, outcome).inc(count)

    def note_webhook_lag(self, account: str, seconds: float) -> None:
        """Note how long a webhook waited until its event had been read again and carried over."""
        self._lag.labels(account).observe(seconds)

    def render(self) -> tuple[bytes, str]:
        """Return the text and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _LastPass:
    """What the last pass of a pipeline left behind."""

    began: datetime
    health: Health
    is_refused: bool  # a vendor refused the credentials


class Spent:
    """Attempts of each account in the last minute, second by second: 60 numbers an account, whatever the rate."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._by_second: dict[str, dict[int, int]] = defaultdict(dict)

    def note(self, account: str, attempts: int) -> None:
        """Count attempts that ended now."""
        seconds, second = self._recent(account), int(self._now())
        seconds[second] = seconds.get(second, 0) + attempts

    def count(self, account: str) -> int:
        """Return the attempts of the last minute."""
        return sum(self._recent(account).values())

    def _recent(self, account: str) -> dict[int, int]:
        begin = int(self._now()) - WINDOW
        recent = {second: number for second, number in self._by_second[account].items() if second > begin}
        self._by_second[account] = recent
        return recent


class _Standing(Collector):
    """Gauges read at the moment of the scrape, of the pipelines there are then. A ledger that cannot be read costs its own gauges."""

    def __init__(self, watched: Watched, spent: Spent, last: Mapping[str, _LastPass]) -> None:
        self._watched = watched
        self._spent = spent
        self._last = last

    def collect(self) -> Iterable[Metric]:
        """Yield every gauge; called by the registry."""
        yield from _zone_data(self._watched.clock().date())
        yield _gauge("calrelay_start_timestamp_seconds", "When the daemon started (Unix time).", self._watched.started_at.timestamp())
        yield self._refused()
        if not self._watched.runners:
            return
        yield self._rate_budget()
        yield from self._last_passes()
        try:
            found = [*self._freshness(), *self._ledger()]
        except CalrelayError:  # told by the pass that meets it; here it must not disturb anybody
            found = []
        yield from found
        yield _gauge("calrelay_state_readable", "1 while the state database can be read.", float(bool(found)))

    def _refused(self) -> Metric:
        meaning = "Tenants and pipelines that the config keeps from running, or from being reloaded."
        return _gauge("calrelay_config_refused", meaning, len(self._watched.refusals))

    def _rate_budget(self) -> Metric:
        used = GaugeMetricFamily(
            "calrelay_rate_budget_used_ratio", "Requests of the last minute as a share of what the rate allows.", labels=["account"]
        )
        for name, account in self._watched.relay.config.accounts.items():
            used.add_metric([name], self._spent.count(name) / (account.rate * WINDOW))
        return used

    def _last_passes(self) -> Iterable[Metric]:
        began = _family("calrelay_last_pass_timestamp_seconds", "When the last pass began (Unix time).")
        healths = _family("calrelay_pipeline_health", "1 for how the last pass left a pipeline, else 0.", "health")
        refused = _family("calrelay_credentials_refused", "1 while a vendor refuses the credentials of a pipeline.")
        for name in self._watched.runners.keys() & self._last.keys():
            last = self._last[name]
            began.add_metric([name], last.began.timestamp())
            refused.add_metric([name], last.is_refused)
            for health in Health:
                healths.add_metric([name, health.value], health is last.health)
        return began, healths, refused

    def _freshness(self) -> Iterable[Metric]:
        age = _family("calrelay_freshness_seconds", "Age of the last complete read; before the first, of the daemon.")
        allowed = _family("calrelay_freshness_limit_seconds", "The age beyond which a pipeline is stale: three intervals.")
        for name, one in self._watched.freshness().items():
            age.add_metric([name], one.age.total_seconds())
            allowed.add_metric([name], one.allowed.total_seconds())
        return age, allowed

    def _ledger(self) -> Iterable[Metric]:
        links = _family("calrelay_links", "Events that are remembered, by state.", "state")
        holds = _family("calrelay_holds", "Holds that wait for a decision.")
        paused = _family("calrelay_paused", "1 while a pipeline is paused.")
        loading = _family("calrelay_first_load_pending", "1 until a pipeline's first complete pass.")
        for name, one in self._watched.relay.ledger.overviews(self._watched.runners).items():
            for state in State:
                links.add_metric([name, state.value], one.states.get(state, 0))
            holds.add_metric([name], len(one.holds) if one.states.get(State.HELD) else 0)
            paused.add_metric([name], one.record.is_paused)
            loading.add_metric([name], one.record.first_complete_at is None)
        return links, holds, paused, loading


def _build_info(registry: CollectorRegistry) -> None:
    info = Gauge("calrelay_build_info", "Version and zone data; always 1.", ["version", "zone_data"], registry=registry)
    info.labels(__version__, ZONE_DATA_VERSION).set(1)


def _zone_data(today: date) -> Iterator[Metric]:
    age = (today - zone_data_released()).total_seconds()
    yield _gauge("calrelay_zone_data_age_seconds", "About how long ago the zone data was released, judged by its version.", age)
    yield _gauge("calrelay_zone_data_old", "1 when the zone data is too old to be trusted.", float(zone_data_is_old(today)))


def _family(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, labels=["pipeline", *labels])


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)
