"""Pipelines as a whole: their records, how many links they have, what is held, how the last passes went. Inside the caller's transaction.

It takes the same few statements for two hundred pipelines as for one: `status`, the page and metrics tell of all of them at once.
"""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import BindParameter, Connection, Select, bindparam, func, select

from calrelay.domain.link import AT_FAULT_AFTER, OWING, State
from calrelay.ports import Hold, PassRecord, PipelineRecord
from calrelay.state import holds, pipelines
from calrelay.state.rows import pass_of, state_of, table_of
from calrelay.state.tables import LinkRow, PassRow

_LINK = table_of(LinkRow)
_PASS = table_of(PassRow)
_NAMES: BindParameter[str] = bindparam("names", expanding=True)
_PER_PIPELINE = select(_LINK.c.pipeline, func.count()).where(_LINK.c.pipeline.in_(_NAMES)).group_by(_LINK.c.pipeline)
_PER_STATE = _PER_PIPELINE.add_columns(_LINK.c.state).group_by(_LINK.c.state)
_ACCEPTED = _PER_PIPELINE.where(_LINK.c.accepted_end.is_not(None))
_ON_THEIR_WAY = _PER_PIPELINE.where(_LINK.c.state == State.SENDING.value, _LINK.c.accepted_end.is_(None))
_FAILING = _PER_PIPELINE.where(_LINK.c.state.in_(sorted(OWING)), _LINK.c.attempts >= AT_FAULT_AFTER)  # `Link.keeps_failing`
_NUMBERED = (
    select(_PASS.c.id, func.row_number().over(partition_by=_PASS.c.pipeline, order_by=_PASS.c.id.desc()).label("number"))
    .where(_PASS.c.pipeline.in_(_NAMES))
    .subquery()
)
_LAST_IDS = select(_NUMBERED.c.id).where(_NUMBERED.c.number <= bindparam("most"))
_LAST = select(_PASS).where(_PASS.c.id.in_(_LAST_IDS)).order_by(_PASS.c.id.desc())

Of = TypeVar("Of", Hold, PassRecord)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One pipeline as a whole.

    `live` counts the links with an accepted entry or in SENDING, `failing` those over which the target has failed in
    `AT_FAULT_AFTER` passes or more and that it has not taken since; `passes` are the last, newest first.
    """

    record: PipelineRecord
    states: Mapping[State, int]
    live: int
    failing: int
    holds: Sequence[Hold]
    passes: Sequence[PassRecord]


def of_pipelines(connection: Connection, names: Sequence[str], *, passes: int) -> dict[str, Overview]:
    """Return the overview of each of these pipelines, with so many of its passes."""
    named = {"names": names}
    records = pipelines.records_of(connection, names)
    states = _states(connection, named)
    live = Counter(_counts(connection, _ACCEPTED, named))
    if any(State.SENDING in counts for counts in states.values()):
        live.update(_counts(connection, _ON_THEIR_WAY, named))
    may_fail = any(not counts.keys().isdisjoint(OWING) for counts in states.values())
    failing = _counts(connection, _FAILING, named) if may_fail else {}
    parked = _by_pipeline(holds.of_pipelines(connection, names))
    last = _by_pipeline(map(pass_of, connection.execute(_LAST, {**named, "most": passes}))) if passes else {}
    return {
        name: Overview(
            record=records.get(name, PipelineRecord(name=name)),
            states=states.get(name, {}),
            live=live[name],
            failing=failing.get(name, 0),
            holds=parked.get(name, ()),
            passes=last.get(name, ()),
        )
        for name in names
    }


def _states(connection: Connection, named: Mapping[str, Any]) -> Mapping[str, Mapping[State, int]]:
    found: dict[str, dict[State, int]] = defaultdict(dict)
    for pipeline, number, state in connection.execute(_PER_STATE, named):
        found[pipeline][state_of(state)] = number
    return found


def _counts(connection: Connection, query: Select[Any], named: Mapping[str, Any]) -> dict[str, int]:
    return {row[0]: row[1] for row in connection.execute(query, named)}


def _by_pipeline(many: Iterable[Of]) -> Mapping[str, Sequence[Of]]:
    found: dict[str, list[Of]] = defaultdict(list)
    for one in many:
        found[one.pipeline].append(one)
    return {name: tuple(group) for name, group in found.items()}
