"""How each pipeline stands, from the state alone: what `status`, the web page and metrics tell. Words for it are theirs; no HTTP here."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from calrelay.config.load import Config
from calrelay.config.model import Pipeline
from calrelay.domain.link import HANDS_OFF, State
from calrelay.engine.heirs import retired_ones
from calrelay.engine.holds import is_approved
from calrelay.engine.overlapping import Overlapping, remembered_overlaps
from calrelay.errors import CLAIMED, UNCLEAR, VendorUnavailable
from calrelay.ports import LOAD, Hold, Ledger, PassRecord, PipelineRecord
from calrelay.service.freshness import INTERVALS
from calrelay.service.left_alone import Cause, counted_by_cause, left_alone
from calrelay.state.ledger import SqlLedger

HOUR = timedelta(hours=1)
_LATE = 2  # complete reads missed before a pipeline is called late
_OF_ONE_EVENT = (VendorUnavailable.__name__, UNCLEAR)  # kinds of problems: the target fails over it, or nobody can tell
_PASSES_SEEN = 20
_CHUNKS_SEEN = 110  # of a load, each of them a pass: two years of them
_CHUNKS_APART = timedelta(seconds=5)  # at most, live passes between them aside: each follows at once
_ENDS_A_LOAD = ("failed", "refused")
_STANDING_COUNTS = frozenset({"quarantined", "held", "waiting"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one pipeline stands."""

    table: Pipeline
    record: PipelineRecord
    live: int
    counts: Mapping[State, int]
    holds: Sequence[Hold]
    passes: Sequence[PassRecord]  # newest first
    now: datetime
    overlap: Overlapping | None = None  # as the last complete pass counted it; None where the source messages nobody by itself
    is_retired: bool = False
    left_alone: Mapping[Cause, int] = dataclasses.field(default_factory=dict)  # of those to come, by a decision of somebody

    @property
    def last(self) -> PassRecord | None:
        """Its last pass; what a load did chunk by chunk counts as one."""
        if not self.passes or self.passes[0].command != LOAD:
            return self.passes[0] if self.passes else None
        return _joined(_chunks(self.passes))

    @property
    def problems(self) -> Sequence[Mapping[str, str]]:
        """What was wrong with the last pass as a whole, or with single events that are not in quarantine: nothing else tells of them."""
        found = self.passes[0].problems if self.passes else ()
        told = [problem for problem in found if not problem.get("external_id") or problem.get("kind") in _OF_ONE_EVENT]
        return [*told, *self.claimed]

    @property
    def claimed(self) -> Sequence[Mapping[str, str]]:
        """What another pipeline has, one problem for all of them, as the last complete pass found it: no other looks at each booking."""
        complete = next((one for one in self.passes if one.is_complete), None)
        found = [problem for problem in (complete.problems if complete else ()) if problem.get("kind") == CLAIMED]
        many = Counter(problem["message"] for problem in found)
        first = {problem["message"]: problem for problem in reversed(found)}
        return [{**first[message], "message": f"{message}{', and others' * (number > 1)}"} for message, number in many.items()]

    @property
    def word(self) -> str:
        """Say in a word or two whether somebody has to look."""
        if not self.table.enabled:
            return "disabled"
        if self.is_retired:
            return "retired"
        if self.record.is_paused:
            return "paused"
        if self.record.first_complete_at is None:
            return self._before_the_first_load
        if self.is_stale:
            return "stale"
        if self.passes and self.passes[0].outcome in ("failed", "refused"):
            return self.passes[0].outcome
        if self.is_late:
            return "late"
        if not all(is_approved(item, self.now) for hold in self.holds for item in hold.items):
            return "waits for you"
        if self.claimed or (self.passes and self.passes[0].outcome == "partial" and self.problems):
            return "partial"
        return "in step" if self.record.last_complete_at else "loaded"

    @property
    def _before_the_first_load(self) -> str:
        if self.passes and self.passes[0].outcome == "failed":
            return "failed"
        if self.passes and (self.passes[0].outcome == "refused" or not self.live):
            return "first load waits"
        return "loading" if self.live else "never run"

    @property
    def needs_somebody(self) -> bool:
        """Whether it is neither well nor switched off on purpose."""
        is_well = self.word in ("in step", "loading", "loaded", "disabled")  # one that is retired is to be taken out of the config
        return not is_well or bool(self.held or self.quarantined)

    @property
    def is_half_retired(self) -> bool:
        """Whether `retire --delete` has begun and is not done: what was let go instead is not in these states."""
        return self.is_retired and any(self.counts.get(state) for state in State if state not in HANDS_OFF)

    @property
    def is_stale(self) -> bool:
        """Whether so many complete reads are missing that cancellations may have been missed for long; `/readyz` is red then."""
        last = self.record.last_complete_at
        return last is not None and self.now - last > INTERVALS * self.table.full_every

    @property
    def is_late(self) -> bool:
        """Whether complete reads have failed to come."""
        last = self.record.last_complete_at
        return last is not None and self.now - last > _LATE * self.table.full_every

    @property
    def held(self) -> int:
        """How many actions are parked."""
        return sum(len(hold.items) for hold in self.holds)

    @property
    def quarantined(self) -> int:
        """How many events are in quarantine."""
        return self.counts.get(State.QUARANTINED, 0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What an account was asked in the last hour, and what an hour allows at the configured rate."""

    account: str
    vendor: str
    used: int
    allowed: float


def _chunks(passes: Sequence[PassRecord]) -> Sequence[PassRecord]:
    """Return the passes of the load that ended last, newest first; live passes go between them."""
    found: list[PassRecord] = []
    waited = timedelta()
    for one in passes:
        length = timedelta(seconds=one.seconds)
        if one.command != LOAD:
            waited += length
            continue
        if found and (one.outcome in _ENDS_A_LOAD or found[-1].started_at - one.started_at - length - waited > _CHUNKS_APART):
            break
        found.append(one)
        waited = timedelta()
    return found


def _joined(chunks: Sequence[PassRecord]) -> PassRecord:
    """Return one record of several: their sums, and what stands after the newest."""
    newest = chunks[0]
    counts, requests = (sum(map(Counter, many), Counter[str]()) for many in ([c.counts for c in chunks], [c.requests for c in chunks]))
    return dataclasses.replace(
        newest,
        started_at=chunks[-1].started_at,
        seconds=sum(one.seconds for one in chunks),
        counts={name: newest.counts[name] if name in _STANDING_COUNTS else counts[name] for name in newest.counts},
        requests=dict(requests),
    )


def standings_of(tables: Sequence[Pipeline], ledger: SqlLedger, now: datetime) -> list[Standing]:
    """Gather what the ledger knows of pipelines, in their order."""
    known = ledger.overviews([table.name for table in tables], passes=_PASSES_SEEN)
    retired = retired_ones(ledger)
    overlaps = remembered_overlaps(ledger, {table.name: table.source for table in tables})
    return [
        Standing(
            table=table,
            record=one.record,
            live=one.live,
            counts=one.states,
            holds=one.holds,
            passes=_passes(ledger, table.name, one.passes),
            now=now,
            overlap=overlaps.get(table.name),
            is_retired=table.name in retired,
            left_alone={} if table.name in retired else _left_alone(ledger, table.name, one.states, now),
        )
        for table in tables
        for one in [known[table.name]]
    ]


def _passes(ledger: Ledger, name: str, last: Sequence[PassRecord]) -> Sequence[PassRecord]:
    """Return the last passes; after a load so many that all of its chunks are among them."""
    return ledger.passes(name, _CHUNKS_SEEN) if last and last[0].command == LOAD else last


def _left_alone(ledger: Ledger, name: str, states: Mapping[State, int], now: datetime) -> Mapping[Cause, int]:
    return counted_by_cause(left_alone(ledger, name, now)) if states.keys() & HANDS_OFF else {}


def requests_by_account(config: Config, ledger: Ledger, now: datetime) -> list[Budget]:
    """Return the budget of each account: the requests of the passes that ended in the last hour against the configured rate."""
    used = ledger.asked_since(now - HOUR)
    return [
        Budget(
            account=name,
            vendor=account.vendor,
            used=used.get(name, 0),
            allowed=account.rate * HOUR.total_seconds(),
        )
        for name, account in config.accounts.items()
    ]
