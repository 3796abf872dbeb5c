"""`status`: how each pipeline stands, from the state alone."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from calrelay.cli.output import Block, Output, Table, elapsed
from calrelay.cli.pass_texts import counted
from calrelay.cli.session import Session
from calrelay.cli.times import ago, iso
from calrelay.config.load import Config
from calrelay.config.model import Pipeline
from calrelay.domain.link import State
from calrelay.domain.zones import ZONE_DATA_VERSION, zone_data_is_old
from calrelay.ports import Hold, Ledger, PassRecord, PipelineRecord
from calrelay.state.database import Access

HOUR = timedelta(hours=1)
PROBLEMS_SHOWN = 5
_LATE = 2  # complete reads missed before a pipeline is called late


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

    @property
    def word(self) -> str:
        """Say in a word or two whether somebody has to look."""
        if not self.table.enabled:
            return "disabled"
        if self.record.is_paused:
            return "paused"
        if self.record.first_complete_at is None:
            return "first load waits" if self.passes else "never run"
        if self.passes and self.passes[0].outcome in ("failed", "refused"):
            return self.passes[0].outcome
        if self.is_late:
            return "late"
        if self.holds:
            return "waits for you"
        return "in step" if self.record.last_complete_at else "loaded"

    @property
    def is_late(self) -> bool:
        """Whether complete reads have failed to come."""
        last = self.record.last_complete_at
        return last is not None and self.now - last > _LATE * self.table.full_every

    def to_json(self) -> dict[str, Any]:
        """Return the pipeline as `status.json` has it."""
        last = self.record.last_complete_at
        return {
            "pipeline": self.table.name,
            "source": self.table.source,
            "target": self.table.target,
            "standing": self.word,
            "enabled": self.table.enabled,
            "paused": self.record.is_paused,
            "first_complete_at": iso(self.record.first_complete_at),
            "last_complete_at": iso(last),
            "freshness_seconds": round((self.now - last).total_seconds()) if last else None,
            "live": self.live,
            "states": {state.value: self.counts.get(state, 0) for state in State},
            "holds": [hold.id for hold in self.holds],
            "last_pass": _pass_to_json(self.passes[0]) if self.passes else None,
        }


def status(session: Session, output: Output) -> int:
    """Tell how everything stands."""
    with session.state(Access.READ) as (config, state):
        now = session.now()
        standings = [standing_of(table, state.ledger, now) for table in config.pipelines]
        rates = requests_by_account(config, standings, now)
    output.answer(document_of(config, standings, rates, now), describe(config, standings, rates, now))
    return 0


def standing_of(table: Pipeline, ledger: Ledger, now: datetime) -> Standing:
    """Gather what the ledger knows of a pipeline."""
    return Standing(
        table=table,
        record=ledger.pipeline(table.name),
        live=ledger.count_live(table.name),
        counts=ledger.count_states(table.name),
        holds=ledger.holds(table.name),
        passes=ledger.passes(table.name),
        now=now,
    )


def requests_by_account(config: Config, standings: Sequence[Standing], now: datetime) -> dict[str, tuple[int, float]]:
    """Return each account's requests of the last hour's passes, and what an hour allows at the configured rate."""
    recent = [one for standing in standings for one in standing.passes if now - one.started_at <= HOUR]
    return {
        name: (sum(one.requests.get(name, 0) for one in recent), account.rate * HOUR.total_seconds())
        for name, account in config.accounts.items()
    }


def document_of(config: Config, standings: Sequence[Standing], rates: Mapping[str, tuple[int, float]], now: datetime) -> dict[str, Any]:
    """Return everything as `status.json` has it."""
    return {
        "at": iso(now),
        "config": str(config.path),
        "zone_data": {"version": ZONE_DATA_VERSION, "is_old": zone_data_is_old(now.date())},
        "pipelines": [standing.to_json() for standing in standings],
        "accounts": [
            {"account": name, "vendor": config.accounts[name].vendor, "requests_last_hour": used, "allowed_per_hour": round(allowed)}
            for name, (used, allowed) in rates.items()
        ],
    }


def describe(config: Config, standings: Sequence[Standing], rates: Mapping[str, tuple[int, float]], now: datetime) -> list[Block]:
    """Tell everything in tables."""
    if not standings:
        return [f"{config.path} has no pipelines."]
    columns = ("pipeline", "stands", "complete read", "at target", "held", "quarantine", "last pass")
    blocks: list[Block] = [Table(columns=columns, rows=[_row(standing) for standing in standings])]
    for standing in standings:
        blocks += _remarks(standing)
    blocks += ["", *_accounts(rates), f"zone data {ZONE_DATA_VERSION}{' — old: upgrade calrelay' if zone_data_is_old(now.date()) else ''}"]
    return blocks


def _row(standing: Standing) -> tuple[str, ...]:
    held = sum(len(hold.items) for hold in standing.holds)
    return (
        standing.table.name,
        standing.word,
        ago(standing.record.last_complete_at, standing.now),
        str(standing.live),
        str(held),
        str(standing.counts.get(State.QUARANTINED, 0)),
        _last_pass(standing),
    )


def _last_pass(standing: Standing) -> str:
    if not standing.passes:
        return "none yet"
    last = standing.passes[0]
    return f"{last.command} {last.outcome}, {ago(last.started_at, standing.now)}, {elapsed(last.seconds)}"


def _remarks(standing: Standing) -> list[Block]:
    """Say what needs somebody: problems of the last pass, holds, quarantine, a pause, a first load."""
    remarks = [*_problems(standing), *_held(standing), *_counted(standing)]
    if standing.record.is_paused:
        remarks.append(("paused", f"calrelay resume {standing.table.name}"))
    elif standing.word == "never run":
        remarks.append(("never loaded", f"calrelay plan {standing.table.name}"))
    lines = [line for what, remedy in remarks for line in (what, f"  → {remedy}" if remedy else "") if line]
    return ["", standing.table.name, Table(rows=[(line,) for line in lines], indent=2)] if lines else []


def _problems(standing: Standing) -> list[tuple[str, str]]:
    """Tell what was wrong with the last pass as a whole; single events are in quarantine."""
    problems = standing.passes[0].problems if standing.passes else []
    whole = [problem for problem in problems if not problem.get("external_id")]
    return [(f"last pass: {problem.get('message', '')}", problem.get("remedy", "")) for problem in whole[:PROBLEMS_SHOWN]]


def _held(standing: Standing) -> list[tuple[str, str]]:
    return [(hold.words, f"calrelay approve {hold.id}, or calrelay reject {hold.id}") for hold in standing.holds]


def _counted(standing: Standing) -> list[tuple[str, str]]:
    words = {
        State.QUARANTINED: ("in quarantine", "calrelay quarantine list"),
        State.WAITING: ("settling, or waiting for creating hours", ""),
        State.SENDING: ("sent without an answer seen yet; the next pass finds out", ""),
    }
    return [
        (f"{counted(number, 'event')} {what}", remedy)
        for state, (what, remedy) in words.items()
        if (number := standing.counts.get(state, 0))
    ]


def _accounts(rates: Mapping[str, tuple[int, float]]) -> list[Block]:
    rows = [
        (name, f"{counted(used, 'request')} in the last hour, of {allowed:.0f} the rate allows") for name, (used, allowed) in rates.items()
    ]
    return [Table(rows=rows), ""] if rows else []


def _pass_to_json(record: PassRecord) -> dict[str, Any]:
    return {
        "command": record.command,
        "started_at": iso(record.started_at),
        "seconds": round(record.seconds, 3),
        "outcome": record.outcome,
        "is_complete": record.is_complete,
        **record.counts,
        "requests": dict(record.requests),
        "problems": [dict(problem) for problem in record.problems],
    }
