"""The ledger over SQL: `ports.Ledger`, and what only the command line asks for. Rules about links live in the domain and the engine."""

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, case, delete, func, null, or_, select, update

from calrelay.domain.event import SourceId
from calrelay.domain.link import HANDS_OFF, ExternalId, Link, State, TargetId, external_id_of, external_id_parts
from calrelay.ports import NO_ROWS, Claim, EntryAt, Happening, Hold, PassRecord, PipelineRecord
from calrelay.state import history, holds, overviews, pipelines, row_hashes
from calrelay.state.asked import asked_since
from calrelay.state.bulk import execute_many
from calrelay.state.claims import claim_after
from calrelay.state.database import Access, Database, Durability
from calrelay.state.overviews import Overview
from calrelay.state.rows import Values, links_of, pass_of, state_of, table_of, values_of_link, values_of_pass
from calrelay.state.tables import ClaimRow, LinkRow, MemoRow, MetaRow, PassRow

BATCH = 500  # ids in one statement, rows in memory at a time
PASSES_KEPT = 500  # per pipeline

_LINK = table_of(LinkRow)
_CLAIM = table_of(ClaimRow)
_PASS = table_of(PassRow)
_MEMO = table_of(MemoRow)
_META = table_of(MetaRow)
_BY_ID = select(_LINK).where(_LINK.c.pipeline == bindparam("of"), _LINK.c.source_id.in_(bindparam("ids", expanding=True)))
_CLAIMS_BY_ID = select(_CLAIM).where(_CLAIM.c.target == bindparam("at"), _CLAIM.c.base_id.in_(bindparam("ids", expanding=True)))
_IS_HANDS_OFF = or_(_LINK.c.state == State.IGNORED.value, _LINK.c.state == State.RELEASED.value)
_SETTLE = (  # what was sent is in the row already: copying it there costs a tenth of writing it again
    update(_LINK)
    .where(_LINK.c.pipeline == bindparam("of"), _LINK.c.source_id == bindparam("id"))
    .values(
        state=case((_IS_HANDS_OFF, _LINK.c.state), else_=State.SETTLED.value),
        target_id=bindparam("as_id"),
        accepted_calendar=_LINK.c.wanted_calendar,
        accepted_start=_LINK.c.wanted_start,
        accepted_end=_LINK.c.wanted_end,
        accepted_hashes=_LINK.c.wanted_hashes,
        attempts=0,
        hold=None,
        row_hash=case((_IS_HANDS_OFF, null()), else_=bindparam("row")),
    )
)

T = TypeVar("T")


class SqlLedger:
    """The table of links and what belongs to it, in a database. See `ports.Ledger` for what each method promises."""

    def __init__(self, database: Database, *, pipeline: str | None = None) -> None:
        """With a pipeline, every write raises LeaseLost once the lease on that one was lost; else those that name the pipeline do."""
        self._database = database
        self._bound = () if pipeline is None else (pipeline,)
        self._hash_key: bytes | None = None

    def of(self, pipeline: str) -> "SqlLedger":
        """Return this ledger for the passes of one pipeline: whatever they write, they write under its lease."""
        return SqlLedger(self._database, pipeline=pipeline)

    # --- the installation and its pipelines ---

    def hash_key(self) -> bytes:
        """Return this installation's secret key for hashes; it is made with the database."""
        if self._hash_key is None:
            with self._database.reading() as connection:
                known = connection.scalar(select(_META.c.value).where(_META.c.key == "hash_key"))
            self._hash_key = bytes.fromhex(known) if known else self._make_hash_key()
        return self._hash_key

    def pipeline(self, name: str) -> PipelineRecord:
        """Return what is remembered of a pipeline; a new one's record when there is none."""
        with self._database.reading() as connection:
            return pipelines.record_of(connection, name)

    def pipelines(self, names: Collection[str]) -> dict[str, PipelineRecord]:
        """Return the records of several pipelines, by name."""
        with self._database.reading() as connection:
            known = {name: record for chunk in _batches(names) for name, record in pipelines.records_of(connection, chunk).items()}
        return {name: known.get(name, PipelineRecord(name=name)) for name in names}

    def overviews(self, names: Iterable[str], *, passes: int = 0) -> dict[str, Overview]:
        """Return pipelines as a whole, by name, from one moment's state; each with so many of its last passes, newest first."""
        with self._database.reading() as connection:
            found: dict[str, Overview] = {}
            for chunk in _batches(names):
                found |= overviews.of_pipelines(connection, chunk, passes=passes)
            return found

    def note_pipeline(
        self,
        name: str,
        *,
        is_paused: bool | None = None,
        first_complete_at: datetime | None = None,
        last_complete_at: datetime | None = None,
        last_read_at: datetime | None = None,
    ) -> None:
        """Remember what is given of a pipeline; see `ports.Ledger`. Its lease is left alone."""
        times = {"first_complete_at": first_complete_at, "last_complete_at": last_complete_at, "last_read_at": last_read_at}
        given = {column: value for column, value in {"is_paused": is_paused, **times}.items() if value is not None}
        with self._writing(name) as connection:
            pipelines.note(connection, self._database, name, given)

    def forget_pipeline(self, name: str) -> None:
        """Forget a pipeline and its links; its external ids become free, their generations stay remembered."""
        with self._writing(name) as connection:
            pipelines.forget(connection, name)

    def rename_pipeline(self, old: str, new: str) -> None:
        """Give a pipeline another name, with all that is remembered of it. Raises StateError when the new name is in use."""
        with self._writing(old, new) as connection:
            pipelines.rename(connection, self._database, old, new)

    # --- links ---

    def links(self, pipeline: str, source_ids: Collection[SourceId]) -> dict[SourceId, Link]:
        """Return the links of these events that exist. Any number of ids."""
        if not source_ids:
            return {}
        with self._database.reading() as connection:
            return {link.source_id: link for chunk in _batches(source_ids) for link in _links_by_id(connection, pipeline, chunk)}

    def links_in(self, pipeline: str, states: Collection[State], *, reason: str | None = None) -> list[Link]:
        """Return the links in these states, soonest wanted or accepted start first; those without any come last."""
        query = select(_LINK).where(_LINK.c.pipeline == pipeline, _LINK.c.state.in_([state.value for state in states]))
        query = query if reason is None else query.where(_LINK.c.reason == reason)
        with self._database.reading() as connection:
            return links_of(connection.execute(query.order_by(_LINK.c.starts_at.is_(None), _LINK.c.starts_at, _LINK.c.source_id)))

    def live_links(self, pipeline: str, *, ending_after: datetime) -> Iterator[Link]:
        """Yield the links whose accepted entry ends after this instant, soonest start first, a batch in memory at a time.

        Which they are is settled when the first is asked for; each comes as it is when its batch is read, or not at all when it has ended.
        """
        query = select(_LINK.c.source_id).where(_LINK.c.pipeline == pipeline, _LINK.c.accepted_end > ending_after)
        with self._database.reading() as connection:
            ids = connection.scalars(query.order_by(_LINK.c.accepted_start, _LINK.c.source_id)).all()
        for chunk in _batches(ids):
            found = self.links(pipeline, chunk)
            for source_id in chunk:
                link = found.get(source_id)
                if link is not None and link.accepted is not None and link.accepted.end > ending_after:
                    yield link

    def live_starts(self, pipeline: str, *, ending_after: datetime) -> Iterator[tuple[SourceId, datetime, State]]:
        """Yield id, accepted start and state of the same links, soonest start first. Nothing may be written before it is at its end."""
        query = select(_LINK.c.source_id, _LINK.c.accepted_start, _LINK.c.state)
        live = query.where(_LINK.c.pipeline == pipeline, _LINK.c.accepted_end > ending_after)
        with self._database.reading() as connection:
            for source_id, start, state in connection.execute(live.order_by(_LINK.c.accepted_start, _LINK.c.source_id)):
                yield source_id, start, state_of(state)

    def all_links(self, pipeline: str) -> Iterator[Link]:
        """Yield every link of a pipeline by source id, a batch in memory at a time."""
        last = ""
        while True:
            query = select(_LINK).where(_LINK.c.pipeline == pipeline, _LINK.c.source_id > last).order_by(_LINK.c.source_id).limit(BATCH)
            with self._database.reading() as connection:
                found = links_of(connection.execute(query))
            yield from found
            if len(found) < BATCH:
                return
            last = found[-1].source_id

    def link_by_external_id(self, external_id: ExternalId) -> list[Link]:
        """Return the links with this external id of any generation, one per pipeline that has or had it."""
        bases = {external_id, external_id_parts(external_id)[0]}
        with self._database.reading() as connection:
            return links_of(connection.execute(select(_LINK).where(_LINK.c.base_id.in_(bases)).order_by(_LINK.c.pipeline)))

    def pipelines_under(self, prefix: str) -> list[str]:
        """Return the names of remembered pipelines that begin so."""
        with self._database.reading() as connection:
            return pipelines.names_under(connection, prefix)

    def count_live(self, pipeline: str) -> int:
        """Count the links with an accepted entry, or in SENDING."""
        accepted = _LINK.c.accepted_end.is_not(None)
        sending = and_(_LINK.c.state == State.SENDING.value, _LINK.c.accepted_end.is_(None))
        with self._database.reading() as connection:  # two counts, because an index answers each by itself
            return _count(connection, pipeline, accepted) + _count(connection, pipeline, sending)

    def count_coming(self, pipeline: str, now: datetime) -> int:
        """Count the entries at the target that have not ended; what was let go is left out."""
        with self._database.reading() as connection:
            return _count(connection, pipeline, and_(_LINK.c.accepted_end > now, _LINK.c.state != State.RELEASED.value))

    def live_targets(self, pipeline: str, *, ending_after: datetime) -> set[str]:
        """Return the target accounts at which this pipeline has entries that end after this instant, or may; released ones left out."""
        targets = select(_LINK.c.target).where(_LINK.c.pipeline == pipeline)
        held = targets.distinct().where(_LINK.c.accepted_end > ending_after, _LINK.c.state != State.RELEASED.value)
        # Few are in flight. In the index's order, or SQLite takes the state for one that all links share, and looks at every link.
        sending = targets.where(_LINK.c.state == State.SENDING.value).order_by(_LINK.c.starts_at)
        with self._database.reading() as connection:  # two questions, because an index answers each by itself
            return {*connection.scalars(held), *connection.scalars(sending)}

    def entries_at(self, target: str, *, ending_after: datetime) -> list[EntryAt]:
        """Return what any pipeline has at an account, or may have, beyond this instant; soonest first, what is in flight last.

        It looks at all links: an account is seldom exchanged.
        """
        is_there = or_(_LINK.c.accepted_end > ending_after, and_(_LINK.c.state == State.SENDING.value, _LINK.c.accepted_end.is_(None)))
        columns = (_LINK.c.pipeline, _LINK.c.base_id, _LINK.c.generation, _LINK.c.target_id, _LINK.c.state)
        query = select(*columns).where(_LINK.c.target == target, is_there)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(_LINK.c.accepted_start.is_(None), _LINK.c.accepted_start, _LINK.c.base_id))
            return [
                EntryAt(
                    pipeline=row.pipeline,
                    external_id=external_id_of(row.base_id, row.generation),
                    target_id=row.target_id,
                    is_let_go=State(row.state) in HANDS_OFF,
                )
                for row in rows
            ]

    def count_states(self, pipeline: str, states: Collection[State] = tuple(State)) -> dict[State, int]:
        """Count the links by state, those in some states only where the others are many and do not matter."""
        named = _LINK.c.state.in_([state.value for state in states])
        query = select(_LINK.c.state, func.count()).where(_LINK.c.pipeline == pipeline, named).group_by(_LINK.c.state)
        with self._database.reading() as connection:
            return {State(state): number for state, number in connection.execute(query)}

    def store(self, links: Iterable[Link], happenings: Iterable[Happening] = ()) -> None:
        """Insert or replace links, with their claims and a history line for each happening, in one transaction.

        Raises Busy, and stores nothing, when another pipeline uses the external id of one of them.
        """
        links, happenings = list(links), list(happenings)
        if not links and not happenings:
            return
        named = {link.pipeline for link in links} | {happening.pipeline for happening in happenings}
        with self._writing(*named) as connection:
            self._store(connection, links, happenings)

    def conclude(self, pipeline: str, links: Iterable[Link], happenings: Iterable[Happening] = ()) -> None:
        """Store what has become of links that were in a request, but for those that the operator ignored meanwhile."""
        links = list(links)
        with self._writing(pipeline) as connection:
            now = _links_by_id(connection, pipeline, [link.source_id for link in links])
            ignored = {link.source_id for link in now if link.is_hands_off}
            self._store(connection, [link for link in links if link.source_id not in ignored], happenings)

    def settle(
        self, pipeline: str, taken: Mapping[SourceId, TargetId], happenings: Iterable[Happening], rows: Mapping[SourceId, str] = NO_ROWS
    ) -> None:
        """Note that the target accepted all that was wanted of these links, which are stored as SENDING; see `ports.Ledger`."""
        happenings = list(happenings)
        values = [
            {"of": pipeline, "id": source_id, "as_id": target_id, "row": rows.get(source_id)} for source_id, target_id in taken.items()
        ]
        # An answer lost in a power cut leaves its links SENDING: the target is asked again.
        durability = Durability.WITH_THE_NEXT
        with self._database.writing(*self._bound, pipeline, durability=durability) as connection:
            execute_many(connection, _SETTLE, values)
            history.append(connection, happenings)

    def known_rows(self, pipeline: str, source_ids: Collection[SourceId]) -> dict[SourceId, str]:
        """Return what the rows of these events hashed to, where nobody has touched the link since; see `ports.Ledger`."""
        with self._database.reading() as connection:
            return dict(found for chunk in _batches(source_ids) for found in row_hashes.known(connection, pipeline, chunk))

    def note_rows(self, pipeline: str, rows: Mapping[SourceId, tuple[str, str]]) -> None:
        """Note of settled links what their rows hash to, as long as they still rest on the source hash given first; see `ports.Ledger`."""
        with self._database.writing(*self._bound, pipeline, durability=Durability.WITH_THE_NEXT) as connection:
            row_hashes.note(connection, pipeline, rows)

    def claims(self, target: str, base_ids: Collection[ExternalId]) -> dict[ExternalId, Claim]:
        """Return who claims these external ids at this target account."""
        with self._database.reading() as connection:
            return _claims(connection, target, base_ids)

    # --- history and passes ---

    def history(self, pipeline: str, base_id: ExternalId) -> list[Happening]:
        """Return what happened to an event, oldest first, over all generations."""
        with self._database.reading() as connection:
            return history.of_event(connection, pipeline, base_id)

    def happened_since(self, pipeline: str, what: Collection[str], since: datetime, *, limit: int) -> list[Happening]:
        """Return the last lines of these kinds, over all events of a pipeline, after this instant; newest first."""
        with self._database.reading() as connection:
            return history.recent(connection, pipeline, what, since, limit)

    def count_happened(self, pipeline: str, what: Collection[str], since: datetime) -> dict[str, int]:
        """Count the lines of these kinds, over all events of a pipeline, after this instant."""
        with self._database.reading() as connection:
            return history.count_kinds(connection, pipeline, what, since)

    def forget_old_history(self, now: datetime) -> None:
        """Forget what happened more than some 13 months ago, some lines in each transaction, so that nobody waits for long."""
        has_more = True
        while has_more:
            with self._writing() as connection:
                has_more = history.forget_before(connection, now - history.KEPT_FOR)

    def deletes_since(self, pipeline: str, since: datetime) -> int:
        """Count the deletes the target accepted after this instant that nobody had approved."""
        with self._database.reading() as connection:
            return history.count_deletes(connection, pipeline, since)

    def record_pass(self, record: PassRecord) -> None:
        """Remember a pass, and forget those beyond the last few hundred of its pipeline."""
        of_pipeline = _PASS.c.pipeline == record.pipeline
        oldest = select(_PASS.c.id).where(of_pipeline).order_by(_PASS.c.id.desc()).limit(1).offset(PASSES_KEPT).scalar_subquery()
        with self._writing(record.pipeline) as connection:
            connection.execute(_PASS.insert(), values_of_pass(record))
            connection.execute(delete(_PASS).where(of_pipeline, _PASS.c.id <= oldest))

    def passes(self, pipeline: str, limit: int = 20) -> list[PassRecord]:
        """Return the last passes, newest first."""
        query = select(_PASS).where(_PASS.c.pipeline == pipeline).order_by(_PASS.c.id.desc()).limit(limit)
        with self._database.reading() as connection:
            return [pass_of(row) for row in connection.execute(query)]

    def asked_since(self, since: datetime) -> dict[str, int]:
        """Return how many requests the passes of all pipelines made that ended after this instant, by account."""
        with self._database.reading() as connection:
            return asked_since(connection, since)

    # --- holds ---

    def holds(self, pipeline: str | None = None) -> list[Hold]:
        """Return the open holds with their items, oldest first."""
        with self._database.reading() as connection:
            return holds.open_holds(connection) if pipeline is None else holds.of_pipeline(connection, pipeline)

    def hold(self, hold_id: str) -> Hold | None:
        """Return one open hold with its items."""
        with self._database.reading() as connection:
            return holds.with_id(connection, hold_id)

    def save_holds(
        self, pipeline: str, holds_now: Sequence[Hold], links: Iterable[Link] = (), happenings: Iterable[Happening] = ()
    ) -> None:
        """Replace the open holds of a pipeline by these, and store the links that tell of them; see `ports.Ledger`."""
        links = list(links)
        with self._writing(pipeline, *(link.pipeline for link in links)) as connection:
            holds.replace(connection, pipeline, holds_now)
            self._store(connection, links, happenings)

    def note_shown(self, shown: Sequence[Hold], at: datetime) -> None:
        """Remember that an operator had these items listed; those that stand otherwise by now were not shown as they are."""
        with self._writing(*{hold.pipeline for hold in shown}) as connection:
            for hold in shown:
                holds.note_shown(connection, hold, at)

    def approve(self, shown: Sequence[Hold], at: datetime) -> list[Hold]:
        """Approve these items, where they are still held exactly as given (rule 15); returns the holds that are open, as they are now.

        What has come into a hold since it was read stays undecided.
        """
        with self._writing(*{hold.pipeline for hold in shown}) as connection:
            for hold in shown:
                holds.approve(connection, hold, at)
            found = [now for hold in shown if (now := holds.with_id(connection, hold.id))]
            history.append(connection, _approvals(found, at))
            return found

    # --- memos ---

    def memo(self, key: str) -> tuple[str, datetime] | None:
        """Return a remembered small fact and when it was noted."""
        with self._database.reading() as connection:
            row = connection.execute(select(_MEMO.c.value, _MEMO.c.at).where(_MEMO.c.key == key)).one_or_none()
            return (row.value, row.at) if row else None

    def memos(self, prefix: str) -> dict[str, tuple[str, datetime]]:
        """Return the remembered facts whose keys begin like this, by key."""
        query = select(_MEMO).where(_MEMO.c.key.startswith(prefix, autoescape=True)).order_by(_MEMO.c.key)
        with self._database.reading() as connection:
            return {row.key: (row.value, row.at) for row in connection.execute(query)}

    def save_memo(self, key: str, value: str | None, at: datetime) -> None:
        """Remember a small fact, or forget it with None."""
        with self._writing() as connection:
            if value is None:
                connection.execute(delete(_MEMO).where(_MEMO.c.key == key))
            else:
                self._upsert(connection, _MEMO, [{"key": key, "value": value, "at": at}])

    # --- what several of them share ---

    def _make_hash_key(self) -> bytes:
        key = secrets.token_bytes(32)
        if self._database.access is Access.WRITE:
            with self._database.writing() as connection:
                connection.execute(_META.insert(), {"key": "hash_key", "value": key.hex()})
        return key

    def _writing(self, *names: str) -> AbstractContextManager[Connection]:
        return self._database.writing(*self._bound, *names)

    def _upsert(self, connection: Connection, table: Table, rows: Sequence[Values]) -> None:
        execute_many(connection, self._database.upsert(table), rows)

    def _store(self, connection: Connection, links: Sequence[Link], happenings: Iterable[Happening]) -> None:
        if links:
            self._upsert(connection, _LINK, [values_of_link(link) for link in links])
            self._let_claims_follow(connection, links)
        history.append(connection, happenings)

    def _let_claims_follow(self, connection: Connection, links: Iterable[Link]) -> None:
        by_target: dict[str, list[Link]] = defaultdict(list)
        for link in links:
            by_target[link.target].append(link)
        self._database.queue_up(connection, (f"claims {target}" for target in by_target))  # a claim that is not there cannot be locked
        for target, group in by_target.items():
            known = _claims(connection, target, [link.base_id for link in group])
            changed: dict[ExternalId, Claim] = {}
            for link in group:
                if after := claim_after(changed.get(link.base_id, known.get(link.base_id)), link):
                    changed[link.base_id] = after
            if changed:
                self._upsert(connection, _CLAIM, [_claim_values(target, base_id, claim) for base_id, claim in changed.items()])


def _batches(values: Iterable[T]) -> Iterator[list[T]]:
    ordered = list(values)
    return (ordered[at : at + BATCH] for at in range(0, len(ordered), BATCH))


def _links_by_id(connection: Connection, pipeline: str, source_ids: list[SourceId]) -> list[Link]:
    return links_of(connection.execute(_BY_ID, {"of": pipeline, "ids": source_ids}))


def _count(connection: Connection, pipeline: str, condition: ColumnElement[bool]) -> int:
    return connection.scalar(select(func.count()).select_from(_LINK).where(_LINK.c.pipeline == pipeline, condition)) or 0


def _claims(connection: Connection, target: str, base_ids: Iterable[ExternalId]) -> dict[ExternalId, Claim]:
    found: dict[ExternalId, Claim] = {}
    for chunk in _batches(base_ids):
        for row in connection.execute(_CLAIMS_BY_ID, {"at": target, "ids": chunk}):
            found[row.base_id] = Claim(pipeline=row.pipeline, generation=row.generation, is_free=row.is_free)
    return found


def _claim_values(target: str, base_id: ExternalId, claim: Claim) -> Values:
    return {"target": target, "base_id": base_id, "pipeline": claim.pipeline, "generation": claim.generation, "is_free": claim.is_free}


def _approvals(holds_now: Iterable[Hold], at: datetime) -> list[Happening]:
    return [
        Happening(at=at, pipeline=hold.pipeline, external_id=item.external_id, what="approved", detail=f"{item.action}, hold {hold.id}")
        for hold in holds_now
        for item in hold.items
        if item.approved_at == at
    ]
