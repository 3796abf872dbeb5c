"""What the pages show, gathered from the daemon in one go; no HTML, no HTTP, and no names of people."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, time
from enum import StrEnum
from typing import Final

from calrelay.config.tenants import tenant_of
from calrelay.domain.link import Link, State
from calrelay.domain.words import ago, counted
from calrelay.domain.zones import ZONE_DATA_VERSION, zone_data_is_old
from calrelay.ports import DELETED, DELETED_AS_APPROVED, Happening, Hold
from calrelay.service.daemon import Daemon
from calrelay.service.deserted import deserted_words
from calrelay.service.freshness import Freshness
from calrelay.service.refusals import Refusal
from calrelay.service.standing import Budget, Standing, requests_by_account, standings_of
from calrelay.service.web.chart import Chart, chart_of

HAPPENED_READ: Final = 300  # lines of a pipeline; many of one pass become one group
GROUPS_SHOWN: Final = 15
NAMED: Final = 5  # pipelines in the headline
CHANGES: Final = ("created", "updated", DELETED, DELETED_AS_APPROVED, "quarantined", "held", "approved", "rejected", "retried", "dropped")


class Mood(StrEnum):
    """How much a pipeline wants somebody to look."""

    WELL = "well"
    WAITING = "waiting"
    BAD = "bad"
    OFF = "off"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PipelineView:
    """A pipeline as its card shows it."""

    standing: Standing
    freshness: Freshness | None
    next_at: datetime | None
    is_working: bool
    chart: Chart
    problems: Sequence[tuple[str, str]]  # of the last pass as a whole: message and remedy

    @property
    def name(self) -> str:
        """Its name."""
        return self.standing.table.name

    @property
    def word(self) -> str:
        """How it stands, in a word or two."""
        may_be_stale = self.standing.word in ("late", "in step", "partial", "loaded", "waits for you")
        is_stale = may_be_stale and self.freshness is not None and self.freshness.is_stale
        return "stale" if is_stale else self.standing.word

    @property
    def trouble(self) -> str:
        """Say what is wrong, of one that is."""
        if self.word == "failed":
            return f"The last pass of {self.name} failed"
        if self.word == "refused":  # not its first load: that one waits for somebody
            return f"The last pass of {self.name} was refused"
        last = self.standing.record.last_complete_at
        read = f"was last read completely {ago(last, self.standing.now)}" if last else "was never read completely"
        return f"{self.name} is paused, and {read}" if self.word == "paused" else f"{self.name} {read}"

    @property
    def mood(self) -> Mood:
        """How much it wants somebody to look."""
        match self.word:
            case "paused" if self.freshness is not None and self.freshness.is_stale:
                return Mood.BAD
            case "disabled" | "paused" | "retired":
                return Mood.OFF
            case "in step" | "loaded":
                return Mood.WELL
            case "failed" | "refused" | "stale" | "late":
                return Mood.BAD
            case _:
                return Mood.WAITING


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """The pipelines of one tenant; those of the config itself have none, and an empty name."""

    name: str
    pipelines: Sequence[PipelineView]

    @property
    def is_well(self) -> bool:
        """Whether nobody has to look."""
        return all(one.mood in (Mood.WELL, Mood.OFF) for one in self.pipelines)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Events to which the same happened in the same minute."""

    at: datetime
    pipeline: str
    what: str
    detail: str
    external_ids: Sequence[str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """What changed since midnight on this machine's clock: counts by kind, and what happened last, newest first."""

    counts: Sequence[tuple[str, int]]
    groups: Sequence[Group]

    @property
    def more(self) -> int:
        """How many changes are not shown."""
        return sum(number for _, number in self.counts) - sum(len(group.external_ids) for group in self.groups)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything the first page shows."""

    now: datetime
    pipelines: Sequence[PipelineView]
    holds: Sequence[Hold]
    quarantine: Sequence[Link]
    refusals: Sequence[Refusal]
    deserted: Sequence[tuple[str, str]]  # what is wrong, and what to do
    today: Today
    budgets: Sequence[Budget]
    zone_data: str
    is_zone_data_old: bool

    @property
    def groups(self) -> Sequence["Tenant"]:
        """The pipelines by tenant, those of the config itself first, then those that need somebody."""
        found: dict[str, list[PipelineView]] = {"": []}
        for one in self.pipelines:
            found.setdefault(tenant_of(one.name), []).append(one)
        own, *others = (Tenant(name=name, pipelines=group) for name, group in found.items())
        return [own, *sorted(others, key=lambda one: one.is_well)]

    @property
    def undecided(self) -> Sequence[Hold]:
        """The holds that wait for somebody."""
        return [hold for hold in self.holds if not is_approved(hold)]

    @property
    def mood(self) -> Mood:
        """The worst that stands."""
        moods = {one.mood for one in self.pipelines}
        if Mood.BAD in moods or self.refusals or self.deserted:
            return Mood.BAD
        return Mood.WAITING if Mood.WAITING in moods or self.undecided or self.quarantine else Mood.WELL

    @property
    def headline(self) -> str:
        """Say in one sentence how things stand."""
        refused = [f"{one.name} is refused by the config" for one in self.refusals]
        bad = _some([*refused, *(what for what, _ in self.deserted), *(one.trouble for one in self.pipelines if one.mood is Mood.BAD)])
        waits = [f"{counted(len(self.undecided), 'decision')}" if self.undecided else ""]
        waits.append(f"{counted(len(self.quarantine), 'event')} in quarantine" if self.quarantine else "")
        waiting = " and ".join(word for word in waits if word)
        loads = _some([one.name for one in self.pipelines if one.word in ("first load waits", "never run")])
        if bad:
            return f"{'; '.join(bad)}."
        if waiting:
            return f"{waiting[0].upper()}{waiting[1:]} {'wait' if self._waiting > 1 else 'waits'} for you."
        if loads:
            return f"The first load of {' and '.join(loads)} waits for you."
        if self.holds:
            return "What was approved goes out with the next pass."
        if begun := _some([one.name for one in self.pipelines if one.word == "loading"]):
            return f"The first load of {' and '.join(begun)} is not complete yet."
        return "Everything is in step." if self.pipelines else "There is no pipeline yet."

    @property
    def _waiting(self) -> int:
        return len(self.undecided) + len(self.quarantine)


def _some(words: Sequence[str]) -> list[str]:
    """Return as many as a sentence holds, and how many there are besides."""
    more = len(words) - NAMED
    return [*words[:NAMED], f"{more} more"] if more > 0 else list(words)


def is_approved(hold: Hold) -> bool:
    """Whether somebody has approved all of it; the next pass applies it."""
    return all(item.approved_at for item in hold.items)


def seen(hold: Hold) -> str:
    """Return what a decision goes by: another word as soon as anything in the hold is not as it was shown (rule 15)."""
    shown = "\n".join(sorted(f"{item.source_id} {item.digest}" for item in hold.items))
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def actions_of(hold: Hold) -> str:
    """Say what would be done: `6 deletes, 1 update`."""
    return ", ".join(counted(number, action) for action, number in Counter(item.action for item in hold.items).items())


def overview(daemon: Daemon) -> Overview:
    """Gather the first page. Raises StateError."""
    relay, now = daemon.relay, daemon.clock()
    standings = standings_of(relay.config.pipelines, relay.ledger, now)
    freshness = daemon.freshness()
    names = [one.table.name for one in standings]
    return Overview(
        now=now,
        pipelines=[_pipeline(daemon, one, freshness.get(one.table.name)) for one in standings],
        holds=[hold for one in standings for hold in one.holds],
        quarantine=[link for one in standings if one.quarantined for link in relay.ledger.links_in(one.table.name, {State.QUARANTINED})],
        refusals=list(daemon.refusals.values()),
        deserted=[deserted_words(*one) for one in daemon.deserted.items()],
        today=_today(daemon, names, now),
        budgets=requests_by_account(relay.config, relay.ledger, now),
        zone_data=ZONE_DATA_VERSION,
        is_zone_data_old=zone_data_is_old(now.date()),
    )


def _pipeline(daemon: Daemon, standing: Standing, freshness: Freshness | None) -> PipelineView:
    runner = daemon.runners.get(standing.table.name)
    return PipelineView(
        standing=standing,
        freshness=freshness,
        next_at=_next(daemon, standing.table.name) if runner and not standing.record.is_paused else None,
        is_working=runner is not None and runner.is_working,
        chart=chart_of(standing.passes),
        problems=[(one.get("message", ""), one.get("remedy", "")) for one in standing.problems],
    )


def _next(daemon: Daemon, pipeline: str) -> datetime | None:
    """Return when the next pass is due."""
    names = {f"{pipeline} complete", f"{pipeline} quick"} & daemon.schedule.names
    return min((daemon.schedule.next_of(name) for name in names), default=None)


def _today(daemon: Daemon, pipelines: Sequence[str], now: datetime) -> Today:
    midnight = datetime.combine(now.astimezone(), time()).astimezone()
    ledger = daemon.relay.ledger
    counts = sum((Counter(ledger.count_happened(name, CHANGES, midnight)) for name in pipelines), Counter[str]())
    lines = [line for name in pipelines for line in ledger.happened_since(name, CHANGES, midnight, limit=HAPPENED_READ)]
    return Today(
        counts=[(what, counts[what]) for what in CHANGES if counts[what]],
        groups=_grouped(sorted(lines, key=lambda line: line.at, reverse=True))[:GROUPS_SHOWN],
    )


def _grouped(lines: Sequence[Happening]) -> list[Group]:
    """Put together what happened alike, in the order of each group's newest line."""
    groups: dict[tuple[datetime, str, str, str], list[Happening]] = {}
    for line in lines:
        minute = line.at.replace(second=0, microsecond=0)
        groups.setdefault((minute, line.pipeline, line.what, line.detail.removeprefix(f"{line.what}: ")), []).append(line)
    return [
        Group(at=found[0].at, pipeline=pipeline, what=what, detail=detail, external_ids=[line.external_id for line in found])
        for (_, pipeline, what, detail), found in groups.items()
    ]
