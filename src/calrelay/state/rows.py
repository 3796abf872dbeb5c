"""How values of the domain become rows, and rows values again. Conversion only; nothing here runs a statement."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Table

from calrelay.domain.event import SourceId
from calrelay.domain.guard import HoldKind
from calrelay.domain.link import Basis, CalendarId, ExternalId, Field, Imprint, Link, MessageMode, State
from calrelay.errors import StateError
from calrelay.ports import Happening, Hold, HoldItem, PassRecord, PipelineRecord
from calrelay.state.tables import Table as Base

Values = dict[str, Any]
_FIELDS: Mapping[str, Field] = {field.value: field for field in Field}  # five times cheaper than calling Field, 16 times per link
_STATES: Mapping[str, State] = {state.value: state for state in State}
_MODES: Mapping[str, MessageMode] = {mode.value: mode for mode in MessageMode}


def table_of(row: type[Base]) -> Table:
    """Return the Core table behind a row class; the hot path speaks Core."""
    return Base.metadata.tables[str(row.__tablename__)]


def values_of_link(link: Link) -> Values:
    """Return a link as a row's values."""
    held = link.wanted or link.accepted
    return {
        "pipeline": link.pipeline,
        "source_id": link.source_id,
        "target": link.target,
        "base_id": link.base_id,
        "generation": link.generation,
        "target_id": link.target_id,
        "state": link.state.value,
        "reason": link.reason,
        "remedy": link.remedy,
        "mode": link.mode.value,
        "backfilled": link.backfilled,
        "source_hash": link.source_hash,
        "zone_data": link.basis.zone_data,
        "mapping": link.basis.mapping,
        "config": link.basis.config,
        "starts_at": held.start if held else None,
        **_values_of_imprint("wanted", link.wanted),
        **_values_of_imprint("accepted", link.accepted),
        "hold": link.hold,
        "until_changed": link.until_changed,
        "until_shown": link.until_shown,
        "let_in": link.let_in,
        "attempts": link.attempts,
        "since": link.since,
    }


def links_of(rows: Iterable[Row[Any]]) -> list[Link]:
    """Return rows as links. Raises StateError for values this program never wrote."""
    try:
        return [_link_of(row) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(
            f"the state database holds a link this program cannot read ({type(error).__name__})",
            remedy="restore a backup; without one move the file away and run `calrelay adopt PIPELINE`",
        ) from error


def state_of(value: str) -> State:
    """Return a state. Raises KeyError for one this program never wrote."""
    return _STATES[value]


def values_of_happening(happening: Happening, base_id: ExternalId) -> Values:
    """Return a history line as a row's values."""
    return {
        "pipeline": happening.pipeline,
        "base_id": base_id,
        "external_id": happening.external_id,
        "at": happening.at,
        "what": happening.what,
        "detail": happening.detail,
    }


def happening_of(row: Row[Any]) -> Happening:
    """Return a row as a history line."""
    return Happening(at=row.at, pipeline=row.pipeline, external_id=ExternalId(row.external_id), what=row.what, detail=row.detail)


def values_of_hold(hold: Hold) -> Values:
    """Return a hold, without its items, as a row's values."""
    return {
        "id": hold.id,
        "pipeline": hold.pipeline,
        "kind": hold.kind.value,
        "created_at": hold.created_at,
        "words": hold.words,
        "people": hold.people,
        "earliest": hold.earliest,
        "live": hold.live,
        "shown_at": hold.shown_at,
    }


def values_of_item(hold_id: str, position: int, item: HoldItem) -> Values:
    """Return a hold's item as a row's values."""
    return {
        "hold_id": hold_id,
        "source_id": item.source_id,
        "position": position,
        "external_id": item.external_id,
        "action": item.action,
        "digest": item.digest,
        "approved_at": item.approved_at,
        "start": item.start,
        "zone": item.zone,
        "shift_seconds": None if item.shift is None else round(item.shift.total_seconds()),
        "shown_at": item.shown_at,
        "source_hash": item.source_hash,
        "people": item.people,
    }


def hold_of(row: Row[Any], items: Sequence[Row[Any]]) -> Hold:
    """Return rows as a hold with its items, in the order given."""
    return Hold(
        id=row.id,
        pipeline=row.pipeline,
        kind=HoldKind(row.kind),
        created_at=row.created_at,
        words=row.words,
        people=row.people,
        earliest=row.earliest,
        items=tuple(_item_of(item) for item in items),
        live=row.live,
        shown_at=row.shown_at,
    )


def values_of_pass(record: PassRecord) -> Values:
    """Return a pass as a row's values."""
    return {
        "pipeline": record.pipeline,
        "command": record.command,
        "started_at": record.started_at,
        "seconds": record.seconds,
        "outcome": record.outcome,
        "is_complete": record.is_complete,
        "counts": dict(record.counts),
        "requests": dict(record.requests),
        "problems": [dict(problem) for problem in record.problems],
    }


def pipeline_of(row: Row[Any]) -> PipelineRecord:
    """Return a row as the record of a pipeline."""
    return PipelineRecord(
        name=row.name,
        is_paused=row.is_paused,
        first_complete_at=row.first_complete_at,
        last_complete_at=row.last_complete_at,
        last_read_at=row.last_read_at,
    )


def pass_of(row: Row[Any]) -> PassRecord:
    """Return a row as a pass."""
    return PassRecord(
        pipeline=row.pipeline,
        command=row.command,
        started_at=row.started_at,
        seconds=row.seconds,
        outcome=row.outcome,
        is_complete=row.is_complete,
        counts=row.counts,
        requests=row.requests,
        problems=tuple(row.problems),
    )


def _values_of_imprint(side: str, imprint: Imprint | None) -> Values:
    return {
        f"{side}_calendar": imprint.calendar if imprint else None,
        f"{side}_start": imprint.start if imprint else None,
        f"{side}_end": imprint.end if imprint else None,
        f"{side}_hashes": dict(imprint.hashes) if imprint else None,
    }


def _link_of(row: Row[Any]) -> Link:
    # By position, in the order of the table's columns: asking for 29 names takes half as long again, for every event of every pass.
    (
        pipeline,
        source_id,
        target,
        base_id,
        generation,
        target_id,
        state,
        reason,
        remedy,
        mode,
        backfilled,
        source_hash,
        zone_data,
        mapping,
        config,
        _starts_at,
        wanted_calendar,
        wanted_start,
        wanted_end,
        wanted_hashes,
        accepted_calendar,
        accepted_start,
        accepted_end,
        accepted_hashes,
        hold,
        until_changed,
        attempts,
        since,
        _row_hash,
        until_shown,
        let_in,
    ) = tuple(row)
    wanted = _imprint_of(wanted_calendar, wanted_start, wanted_end, wanted_hashes)
    is_same = (accepted_calendar, accepted_start, accepted_end, accepted_hashes) == (
        wanted_calendar,
        wanted_start,
        wanted_end,
        wanted_hashes,
    )
    # Nearly every link is settled: its two sides are one value.
    accepted = wanted if is_same else _imprint_of(accepted_calendar, accepted_start, accepted_end, accepted_hashes)
    return Link(
        pipeline=pipeline,
        target=target,
        source_id=source_id,
        base_id=base_id,
        generation=generation,
        target_id=target_id,
        state=_STATES[state],
        reason=reason,
        remedy=remedy,
        mode=_MODES[mode],
        backfilled=backfilled,
        source_hash=source_hash,
        basis=_basis_of(zone_data, mapping, config),
        wanted=wanted,
        accepted=accepted,
        hold=hold,
        until_changed=until_changed,
        until_shown=until_shown,
        let_in=let_in,
        attempts=attempts,
        since=since,
    )


@functools.lru_cache(maxsize=64)
def _basis_of(zone_data: str, mapping: str, config: str) -> Basis:
    """Nearly all links of a pipeline rest on the same one."""
    return Basis(zone_data=zone_data, mapping=mapping, config=config)


def _imprint_of(calendar: str | None, start: Any, end: Any, hashes: Mapping[str, str] | None) -> Imprint | None:
    if calendar is None or hashes is None:
        return None
    return Imprint(calendar=CalendarId(calendar), start=start, end=end, hashes={_FIELDS[name]: digest for name, digest in hashes.items()})


def _item_of(row: Row[Any]) -> HoldItem:
    return HoldItem(
        source_id=SourceId(row.source_id),
        external_id=ExternalId(row.external_id),
        action=row.action,
        digest=row.digest,
        start=row.start,
        zone=row.zone,
        shift=None if row.shift_seconds is None else timedelta(seconds=row.shift_seconds),
        shown_at=row.shown_at,
        approved_at=row.approved_at,
        source_hash=row.source_hash,
        people=row.people,
    )
