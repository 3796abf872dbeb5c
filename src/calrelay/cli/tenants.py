"""`status` by tenant: who is meant by a name, who needs somebody, and a line for each of the others."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from calrelay.cli.output import Block, Table
from calrelay.config.load import Config
from calrelay.config.model import Pipeline
from calrelay.config.tenants import SCOPE, tenant_of
from calrelay.domain.words import ago, counted
from calrelay.errors import ConfigError
from calrelay.ports import PassRecord, PipelineRecord
from calrelay.service.standing import Standing
from calrelay.state.ledger import SqlLedger


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The pipelines that are told of, the tenants of which there is only their refusal to tell, and what no file names any more."""

    tables: Sequence[Pipeline]
    refusals: Mapping[str, ConfigError]
    is_all: bool
    deserted: Mapping[str, int] = dataclasses.field(default_factory=dict)


def choose(config: Config, names: Sequence[str], deserted: Mapping[str, int]) -> Chosen:
    """Find what names mean: pipelines, and tenants with all of theirs. Raises ConfigError for what there is not.

    `deserted` are the coming events of each pipeline that no file names any more.
    """
    if not names:
        return Chosen(tables=config.pipelines, refusals=config.refusals, is_all=True, deserted=deserted)
    tables: dict[str, Pipeline] = {}
    refusals: dict[str, ConfigError] = {}
    left: dict[str, int] = {}
    known = {one.name for one in config.pipelines}
    for name in names:
        tenant = name.removesuffix(SCOPE)
        lost = {one: number for one, number in deserted.items() if name == one or (tenant and tenant_of(one) == tenant)}
        if name not in known and tenant in config.tenants:
            tables |= {one.name: one for one in config.tenants[tenant].pipelines}
            refusals |= {key: error for key, error in config.refusals.items() if key == tenant}
        elif name in known or not lost:
            tables[name] = config.pipeline(name)
        left |= lost
    return Chosen(tables=list(tables.values()), refusals=refusals, is_all=False, deserted=left)


def unfolded(standings: Sequence[Standing]) -> list[Standing]:
    """Return those to tell of one by one: of the config itself, and of tenants with a pipeline that needs somebody; these first."""
    needy = {tenant_of(one.table.name) for one in standings if one.needs_somebody}
    shown = [one for one in standings if tenant_of(one.table.name) in needy | {""}]
    return sorted(shown, key=lambda one: not one.needs_somebody)


def headline(standings: Sequence[Standing], refusals: Mapping[str, ConfigError], *, deserted: int = 0) -> str:
    """Count tenants and those that need somebody; `deserted` are pipelines that no file names any more."""
    needy = {tenant_of(one.table.name) for one in standings if one.needs_somebody} - {""}
    tenants = {tenant_of(one.table.name) for one in standings} - {""} | refusals.keys()
    parts = [
        f"{counted(deserted, 'pipeline')} that no file names" if deserted else "",
        f"{len(refusals)} refused" if refusals else "",
        f"{len(needy)} in need of somebody" if needy else "",
    ]
    words = ", ".join(part for part in parts if part) or "all of them well"
    return f"{counted(len(tenants), 'tenant')}, {counted(len(standings), 'pipeline')}: {words}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A pipeline of a tenant that is refused, as the state knows it: a process that has loaded it before may go on with it."""

    name: str
    live: int
    record: PipelineRecord
    last: PassRecord | None


def remembered(ledger: SqlLedger, refusals: Iterable[str]) -> list[Remembered]:
    """Gather what is known of the pipelines of these tenants."""
    names = [name for tenant in refusals for name in ledger.pipelines_under(f"{tenant}{SCOPE}")]
    known = ledger.overviews(names, passes=1)
    return [Remembered(name=name, live=one.live, record=one.record, last=next(iter(one.passes), None)) for name, one in known.items()]


def refused(config: Config, refusals: Mapping[str, ConfigError], known: Sequence[Remembered], now: datetime) -> list[Block]:
    """Say what is wrong with the files of tenants that are refused, and what is remembered of their pipelines."""
    rows = [row for tenant, error in refusals.items() for row in _refusal_rows(tenant, error)]
    if not config.tenants or not rows:
        return []
    note = "They do not start; a daemon or worker that ran one goes on with its old tables until it is started anew."
    remedy = f"mend {'the file' if len(refusals) == 1 else 'the files'}, `calrelay check --offline`, and reload the daemon, or all workers"
    return ["Refused", Table(rows=rows, indent=2), f"  {note}", f"  → {remedy}", "", *_known(known, now)]


def _known(known: Sequence[Remembered], now: datetime) -> list[Block]:
    columns = ("pipeline", "stands", "complete read", "at target", "last pass")
    rows = [
        (
            one.name,
            "refused",
            ago(one.record.last_complete_at, now),
            str(one.live),
            f"{one.last.command} {one.last.outcome}, {ago(one.last.started_at, now)}" if one.last else "none yet",
        )
        for one in known
    ]
    return [Table(columns=columns, rows=rows, indent=2), ""] if rows else []


def folded(standings: Sequence[Standing], shown: Sequence[Standing]) -> list[Block]:
    """Return a line for each tenant of which nothing else is told."""
    told = {one.table.name for one in shown}
    tenants: dict[str, list[Standing]] = {}
    for one in standings:
        if one.table.name not in told:
            tenants.setdefault(tenant_of(one.table.name), []).append(one)
    columns = ("tenant", "stands", "pipelines", "oldest complete read", "at target")
    return ["", Table(columns=columns, rows=[_line(tenant, group) for tenant, group in tenants.items()])] if tenants else []


def tenants_to_json(config: Config, chosen: Chosen, known: Sequence[Remembered]) -> list[dict[str, Any]]:
    """Return the tenants as status.json has them."""
    names = [name for name in config.tenants if chosen.is_all] or sorted(
        {*map(tenant_of, (one.name for one in chosen.tables)), *chosen.refusals}
    )
    return [
        {
            "tenant": name,
            "file": config.tenants[name].label,
            "problems": list(error.problems) if (error := chosen.refusals.get(name)) else [],
            **({"remembered": [one.name for one in known if tenant_of(one.name) == name]} if error else {}),
        }
        for name in names
        if name
    ]


def _refusal_rows(tenant: str, error: ConfigError) -> list[tuple[str, str]]:
    return [(tenant if index == 0 else "", problem) for index, problem in enumerate(error.problems)]


def _line(tenant: str, group: Sequence[Standing]) -> tuple[str, ...]:
    words = list(dict.fromkeys(one.word for one in group))
    reads = [one.record.last_complete_at for one in group if one.record.last_complete_at is not None]
    oldest = ago(min(reads), group[0].now) if reads else "never"
    return tenant, ", ".join(words), str(len(group)), oldest, str(sum(one.live for one in group))
