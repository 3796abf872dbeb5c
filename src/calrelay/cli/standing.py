"""`status` in words and as JSON; what it tells is gathered in `service/standing.py`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from calrelay.cli import tenants
from calrelay.cli.daemon_told import daemon_in_words, daemon_to_json, holder_to_json, workers_to_json
from calrelay.cli.output import Block, Output, Table, elapsed
from calrelay.cli.overlap_texts import overlap_words
from calrelay.cli.session import Session
from calrelay.cli.tenants import Chosen
from calrelay.config.database import sqlite_file
from calrelay.config.load import Config
from calrelay.config.tenants import tenant_of
from calrelay.domain.link import State
from calrelay.domain.words import ago, counted, iso
from calrelay.domain.zones import ZONE_DATA_VERSION, zone_data_is_old
from calrelay.engine.holds import how_to_decide, is_approved
from calrelay.errors import ExitCode
from calrelay.ports import Hold, PassRecord
from calrelay.service.deserted import deserted, deserted_words
from calrelay.service.left_alone import Cause, why
from calrelay.service.loaded import view_daemon
from calrelay.service.standing import Budget, Standing, requests_by_account, standings_of
from calrelay.state.database import Access
from calrelay.state.locks import at_work

PROBLEMS_SHOWN = 5


def status(session: Session, output: Output, names: Sequence[str] = ()) -> int:
    """Tell how everything stands, or what is named."""
    with session.state(Access.READ) as (config, state):
        now = session.now()
        chosen = tenants.choose(config, names, deserted(config, state.ledger, now))
        standings = standings_of(chosen.tables, state.ledger, now)
        rates = requests_by_account(config, state.ledger, now)
        daemon = view_daemon(state, config)
        known = tenants.remembered(state.ledger, chosen.refusals)
        is_new = state.database.is_private
        working = at_work(state.database, [*(table.name for table in chosen.tables), *(one.name for one in known)])
    if not chosen.is_all:
        rates = _rates_of(standings, rates)
    document = document_of(config, standings, rates, now) | {"daemon": daemon_to_json(daemon)}
    document["workers"] = workers_to_json(daemon)
    document["at_work"] = [holder_to_json(name, holder) for name, holder in working.items()]
    document["deserted"] = [{"pipeline": name, "coming": number} for name, number in chosen.deserted.items()]
    if config.tenants:
        document["tenants"] = tenants.tenants_to_json(config, chosen, known)
    told = tenants.refused(config, chosen.refusals, known, now)
    lost = _deserted(chosen.deserted)
    if config.tenants:
        blocks = describe_tenants(config, chosen, standings, rates, now, [*lost, *told])
    elif standings or chosen.is_all:
        blocks = [*describe(config, standings, rates, now), *lost]
    else:
        blocks = lost
    output.answer(
        document,
        [
            *blocks,
            *(_no_state(config) if is_new else []),
            *(f"{name}: at work is {who}" for name, who in working.items()),
            f"daemon {daemon_in_words(daemon, now)}",
        ],
    )
    return ExitCode.CONFIG if chosen.refusals and not chosen.is_all else ExitCode.DONE


def _no_state(config: Config) -> list[Block]:
    file = sqlite_file(config.state_url())
    return [
        f"{f'there is no database {file}' if file else 'the state database is empty'} yet; the first pass makes it",
        "  → if these pipelines ran before, look at `url` under [state], or put a backup back (docs/operations/backup.md)",
    ]


def _deserted(left: Mapping[str, int]) -> list[Block]:
    lines = [line for name, number in left.items() for what, remedy in [deserted_words(name, number)] for line in (what, f"  → {remedy}")]
    return [*lines, ""] if lines else []


def document_of(config: Config, standings: Sequence[Standing], rates: Sequence[Budget], now: datetime) -> dict[str, Any]:
    """Return everything as `status.json` has it."""
    return {
        "at": iso(now),
        "config": str(config.path),
        "zone_data": {"version": ZONE_DATA_VERSION, "is_old": zone_data_is_old(now.date())},
        "pipelines": [_standing_to_json(standing) for standing in standings],
        "accounts": [
            {"account": one.account, "vendor": one.vendor, "requests_last_hour": one.used, "allowed_per_hour": round(one.allowed)}
            for one in rates
        ],
    }


def describe(config: Config, standings: Sequence[Standing], rates: Sequence[Budget], now: datetime) -> list[Block]:
    """Tell everything in tables."""
    if not standings:
        return [f"{config.path} has no pipelines."]
    columns = ("pipeline", "stands", "complete read", "at target", "held", "quarantine", "last pass")
    blocks: list[Block] = [Table(columns=columns, rows=[_row(standing) for standing in standings])]
    for standing in standings:
        blocks += _remarks(standing)
    blocks += ["", *_accounts(rates), f"zone data {ZONE_DATA_VERSION}{' — old: upgrade calrelay' if zone_data_is_old(now.date()) else ''}"]
    return blocks


def describe_tenants(
    config: Config,
    chosen: Chosen,
    standings: Sequence[Standing],
    rates: Sequence[Budget],
    now: datetime,
    refused: Sequence[Block],
) -> list[Block]:
    """Tell of tenants: what is missing or refused, then those that need somebody, then a line for each of the others."""
    shown = tenants.unfolded(standings) if chosen.is_all else standings
    blocks: list[Block] = [tenants.headline(standings, chosen.refusals, deserted=len(chosen.deserted)), ""] if chosen.is_all else []
    blocks += refused
    if shown or not standings:
        is_empty = not shown and bool(chosen.refusals or chosen.deserted)
        blocks += [] if is_empty else describe(config, shown, _rates_of(shown, rates), now)
    return [*blocks, *tenants.folded(standings, shown), ""]


def _rates_of(standings: Sequence[Standing], rates: Sequence[Budget]) -> list[Budget]:
    """Return the budgets of the accounts that pipelines use."""
    used = {account for one in standings for account in (one.table.source, one.table.target)}
    return [one for one in rates if one.account in used]


def _row(standing: Standing) -> tuple[str, ...]:
    return (
        standing.table.name,
        standing.word,
        ago(standing.record.last_complete_at, standing.now),
        str(standing.live),
        str(standing.held),
        str(standing.quarantined),
        _last_pass(standing),
    )


def _last_pass(standing: Standing) -> str:
    last = standing.last
    if last is None:
        return "none yet"
    return f"{last.command} {last.outcome}, {ago(last.started_at, standing.now)}, {elapsed(last.seconds)}"


def _remarks(standing: Standing) -> list[Block]:
    """Say what needs somebody: problems of the last pass, holds, quarantine, a pause, a first load."""
    remarks = [*_problems(standing), *_held(standing), *_counted(standing), *_left_alone(standing), *_overlap(standing)]
    if standing.is_half_retired:
        name = standing.table.name
        remedy = f"calrelay retire {name} --delete goes on, without --delete it lets them go; calrelay adopt {name} takes them up again"
        remarks.append(("retired, but not all of its events are deleted or let go; no pass runs", remedy))
    elif standing.word == "retired":
        remedy = f"remove it from the config; calrelay adopt {standing.table.name} takes its events up again"
        remarks = [("retired: its events were let go, and no pass runs", remedy)]
    elif standing.record.is_paused:
        last = standing.record.last_complete_at
        since = f"; last read completely {ago(last, standing.now)}" if last and standing.is_stale else ""
        remarks.append((f"paused{since}", f"calrelay resume {standing.table.name}"))
    elif standing.word == "never run":
        remarks.append(("never loaded", f"calrelay plan {standing.table.name}"))
    elif standing.word in ("loading", "first load waits") and standing.live:
        remedy = f"if no load is running now, it was cut short: calrelay plan {standing.table.name} says what is left"
        remarks.append((f"its first load is not complete: {counted(standing.live, 'event')} so far", remedy))
    elif standing.word == "loaded":
        remarks.append(("loaded; no pass has read all of it since", f"calrelay run, or calrelay sync {standing.table.name}"))
    lines = [line for what, remedy in remarks for line in (what, f"  → {remedy}" if remedy else "") if line]
    return ["", standing.table.name, Table(rows=[(line,) for line in lines], indent=2)] if lines else []


def _problems(standing: Standing) -> list[tuple[str, str]]:
    return [
        (f"last pass: {_of(problem.get('external_id'))}{problem.get('message', '')}", problem.get("remedy", ""))
        for problem in standing.problems[:PROBLEMS_SHOWN]
    ]


def _of(external_id: str | None) -> str:
    return f"{external_id}: " if external_id else ""


def _held(standing: Standing) -> list[tuple[str, str]]:
    return [_told(hold, standing.now) for hold in standing.holds]


def _told(hold: Hold, now: datetime) -> tuple[str, str]:
    if all(is_approved(item, now) for item in hold.items):
        return f"{hold.words}; approved, goes with the next pass", ""
    return hold.words, how_to_decide(hold.id)


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


def _left_alone(standing: Standing) -> list[tuple[str, str]]:
    remedy = "calrelay ignore --list names them, calrelay ignore ID… --undo looks after them again"
    return [
        (f"{counted(number, 'coming event')} left alone: {why(cause)}", remedy)
        for cause in Cause
        if (number := standing.left_alone.get(cause, 0))
    ]


def _overlap(standing: Standing) -> list[tuple[str, str]]:
    found = standing.overlap
    return [overlap_words(found, standing.table.name, when=f"counted {ago(found.at, standing.now)}")] if found else []


def _accounts(rates: Sequence[Budget]) -> list[Block]:
    rows = [
        (one.account, f"{counted(one.used, 'request')} in the passes of the last hour, of {one.allowed:.0f} the rate allows")
        for one in rates
    ]
    return [Table(rows=rows), ""] if rows else []


def _standing_to_json(standing: Standing) -> dict[str, Any]:
    last = standing.record.last_complete_at
    return {
        "pipeline": standing.table.name,
        "tenant": tenant_of(standing.table.name) or None,
        "source": standing.table.source,
        "target": standing.table.target,
        "standing": standing.word,
        "enabled": standing.table.enabled,
        "paused": standing.record.is_paused,
        "first_complete_at": iso(standing.record.first_complete_at),
        "last_complete_at": iso(last),
        "freshness_seconds": round((standing.now - last).total_seconds()) if last else None,
        "live": standing.live,
        "states": {state.value: standing.counts.get(state, 0) for state in State},
        "left_alone": {cause.value: standing.left_alone.get(cause, 0) for cause in Cause},
        "holds": [hold.id for hold in standing.holds],
        "overlap": standing.overlap.to_json() if standing.overlap is not None else None,
        "last_pass": _pass_to_json(standing.last) if standing.last else None,
    }


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
