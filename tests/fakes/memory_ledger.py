"""A ledger in dictionaries, for engine tests; it keeps the same contract as the one over SQL (tests/contracts)."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from calrelay.domain.event import SourceId
from calrelay.domain.link import ExternalId, Link, State, TargetId, external_id_parts
from calrelay.errors import StateError
from calrelay.ports import DELETED, NO_ROWS, Claim, EntryAt, Happening, Hold, HoldItem, PassRecord, PipelineRecord
from calrelay.state.claims import claim_after
from calrelay.state.holds import with_decisions

_NEVER = datetime.max.replace(tzinfo=UTC)


class MemoryLedger:
    """See `ports.Ledger`; what is beyond it is what `SqlLedger` offers the command line."""

    def __init__(self) -> None:
        self._pipelines: dict[str, PipelineRecord] = {}
        self._links: dict[tuple[str, SourceId], Link] = {}
        self._claims: dict[tuple[str, ExternalId], Claim] = {}
        self._history: list[Happening] = []
        self._passes: list[PassRecord] = []
        self._holds: dict[str, list[Hold]] = defaultdict(list)
        self._memos: dict[str, tuple[str, datetime]] = {}
        self._rows: dict[tuple[str, SourceId], str] = {}

    def hash_key(self) -> bytes:
        return b"a key for tests, of 32 bytes....."[:32]

    def pipeline(self, name: str) -> PipelineRecord:
        return self._pipelines.get(name, PipelineRecord(name=name))

    def note_pipeline(
        self,
        name: str,
        *,
        is_paused: bool | None = None,
        first_complete_at: datetime | None = None,
        last_complete_at: datetime | None = None,
        last_read_at: datetime | None = None,
    ) -> None:
        known = self.pipeline(name)
        self._pipelines[name] = PipelineRecord(
            name=name,
            is_paused=known.is_paused if is_paused is None else is_paused,
            first_complete_at=known.first_complete_at or first_complete_at,
            last_complete_at=last_complete_at or known.last_complete_at,
            last_read_at=last_read_at or known.last_read_at,
        )

    def forget_pipeline(self, name: str) -> None:
        self._links = {key: link for key, link in self._links.items() if link.pipeline != name}
        self._rows = {key: row for key, row in self._rows.items() if key[0] != name}
        self._claims = {
            key: dataclasses.replace(claim, is_free=claim.is_free or claim.pipeline == name) for key, claim in self._claims.items()
        }
        self._history = [line for line in self._history if line.pipeline != name]
        self._passes = [record for record in self._passes if record.pipeline != name]
        self._holds.pop(name, None)
        self._pipelines.pop(name, None)

    def rename_pipeline(self, old: str, new: str) -> None:
        owners = {link.pipeline for link in self._links.values()} | {one.pipeline for one in self._claims.values() if not one.is_free}
        owners |= {line.pipeline for line in self._history} | {record.pipeline for record in self._passes}
        if new in owners or self._holds.get(new):
            raise StateError(f"there is a pipeline {new} already")
        mine = [link for link in self._links.values() if link.pipeline == old]
        for link in mine:
            del self._links[old, link.source_id]
            self._links[new, link.source_id] = dataclasses.replace(link, pipeline=new)
            if (old, link.source_id) in self._rows:
                self._rows[new, link.source_id] = self._rows.pop((old, link.source_id))
        self._claims = {k: dataclasses.replace(c, pipeline=new) if c.pipeline == old else c for k, c in self._claims.items()}
        self._history = [dataclasses.replace(line, pipeline=new) if line.pipeline == old else line for line in self._history]
        self._passes = [dataclasses.replace(record, pipeline=new) if record.pipeline == old else record for record in self._passes]
        self._holds[new] = [dataclasses.replace(hold, pipeline=new) for hold in self._holds.pop(old, [])]
        if old in self._pipelines:
            self._pipelines[new] = dataclasses.replace(self._pipelines.pop(old), name=new)

    def links(self, pipeline: str, source_ids: Collection[SourceId]) -> dict[SourceId, Link]:
        return {source_id: self._links[pipeline, source_id] for source_id in source_ids if (pipeline, source_id) in self._links}

    def links_in(self, pipeline: str, states: Collection[State], *, reason: str | None = None) -> list[Link]:
        return sorted((link for link in self._of(pipeline) if link.state in states and reason in (None, link.reason)), key=_soonest)

    def live_links(self, pipeline: str, *, ending_after: datetime) -> Iterator[Link]:
        chosen = [link for link in self._of(pipeline) if _ends_after(link, ending_after)]
        for known in sorted(chosen, key=lambda link: (link.accepted.start if link.accepted else _NEVER, link.source_id)):
            link = self._links.get((pipeline, known.source_id))
            if link is not None and _ends_after(link, ending_after):
                yield link

    def live_starts(self, pipeline: str, *, ending_after: datetime) -> Iterator[tuple[SourceId, datetime, State]]:
        for link in self.live_links(pipeline, ending_after=ending_after):
            if link.accepted is not None:
                yield link.source_id, link.accepted.start, link.state

    def all_links(self, pipeline: str) -> Iterator[Link]:
        return iter(sorted(self._of(pipeline), key=lambda link: link.source_id))

    def link_by_external_id(self, external_id: ExternalId) -> list[Link]:
        bases = {external_id, external_id_parts(external_id)[0]}
        return sorted((link for link in self._links.values() if link.base_id in bases), key=lambda link: link.pipeline)

    def count_live(self, pipeline: str) -> int:
        return sum(link.is_live for link in self._of(pipeline))

    def live_targets(self, pipeline: str, *, ending_after: datetime) -> set[str]:
        return {
            link.target
            for link in self._of(pipeline)
            if link.state is State.SENDING or (_ends_after(link, ending_after) and link.state is not State.RELEASED)
        }

    def entries_at(self, target: str, *, ending_after: datetime) -> list[EntryAt]:
        def is_there(link: Link) -> bool:
            return _ends_after(link, ending_after) or (link.state is State.SENDING and link.accepted is None)

        there = [link for link in self._links.values() if link.target == target and is_there(link)]
        there.sort(key=lambda link: (link.accepted is None, link.accepted.start if link.accepted else _NEVER, link.base_id))
        return [
            EntryAt(pipeline=link.pipeline, external_id=link.external_id, target_id=link.target_id, is_let_go=link.is_hands_off)
            for link in there
        ]

    def count_states(self, pipeline: str, states: Collection[State] = tuple(State)) -> dict[State, int]:
        return dict(Counter(link.state for link in self._of(pipeline) if link.state in states))

    def store(self, links: Iterable[Link], happenings: Iterable[Happening] = ()) -> None:
        claims, stored = dict(self._claims), dict(self._links)
        for link in links:
            stored[link.pipeline, link.source_id] = link
            self._rows.pop((link.pipeline, link.source_id), None)
            if after := claim_after(claims.get((link.target, link.base_id)), link):
                claims[link.target, link.base_id] = after
        self._claims, self._links = claims, stored
        self._history.extend(happenings)

    def conclude(self, pipeline: str, links: Iterable[Link], happenings: Iterable[Happening] = ()) -> None:
        known = self._links
        self.store([link for link in links if not known[pipeline, link.source_id].is_hands_off], happenings)

    def settle(
        self, pipeline: str, taken: Mapping[SourceId, TargetId], happenings: Iterable[Happening], rows: Mapping[SourceId, str] = NO_ROWS
    ) -> None:
        sent = [(self._links[pipeline, source_id], target_id) for source_id, target_id in taken.items()]
        settled = [
            dataclasses.replace(
                link,
                state=link.state if link.is_hands_off else State.SETTLED,
                accepted=link.wanted,
                target_id=target_id,
                attempts=0,
                hold=None,
            )
            for link, target_id in sent
        ]
        self.store(settled, happenings)
        sound = {link.source_id for link in settled if not link.is_hands_off}
        self._rows |= {(pipeline, source_id): rows[source_id] for source_id in taken if source_id in rows and source_id in sound}

    def known_rows(self, pipeline: str, source_ids: Collection[SourceId]) -> dict[SourceId, str]:
        return {source_id: self._rows[pipeline, source_id] for source_id in source_ids if (pipeline, source_id) in self._rows}

    def note_rows(self, pipeline: str, rows: Mapping[SourceId, tuple[str, str]]) -> None:
        for source_id, (known, row_hash) in rows.items():
            link = self._links.get((pipeline, source_id))
            if link is not None and link.state is State.SETTLED and link.source_hash == known:
                self._rows[pipeline, source_id] = row_hash

    def claims(self, target: str, base_ids: Collection[ExternalId]) -> dict[ExternalId, Claim]:
        return {base_id: self._claims[target, base_id] for base_id in base_ids if (target, base_id) in self._claims}

    def history(self, pipeline: str, base_id: ExternalId) -> list[Happening]:
        lines = [line for line in self._history if line.pipeline == pipeline and external_id_parts(line.external_id)[0] == base_id]
        return lines[-200:]

    def happened_since(self, pipeline: str, what: Collection[str], since: datetime, *, limit: int) -> list[Happening]:
        lines = [line for line in self._history if line.pipeline == pipeline and line.what in what and line.at > since]
        return sorted(lines, key=lambda line: line.at)[::-1][:limit]

    def count_happened(self, pipeline: str, what: Collection[str], since: datetime) -> dict[str, int]:
        return dict(Counter(line.what for line in self._history if line.pipeline == pipeline and line.what in what and line.at > since))

    def deletes_since(self, pipeline: str, since: datetime) -> int:
        return sum(line.pipeline == pipeline and line.what == DELETED and line.at > since for line in self._history)

    def record_pass(self, record: PassRecord) -> None:
        self._passes.append(record)

    def passes(self, pipeline: str, limit: int = 20) -> list[PassRecord]:
        return [record for record in reversed(self._passes) if record.pipeline == pipeline][: min(limit, 500)]

    def asked_since(self, since: datetime) -> dict[str, int]:
        ended = [one.requests for one in self._passes if one.started_at + timedelta(seconds=one.seconds) >= since]
        return dict(sum(map(Counter, ended), Counter[str]()))

    def holds(self, pipeline: str | None = None) -> list[Hold]:
        chosen = [hold for name, holds in self._holds.items() if pipeline in (None, name) for hold in holds]
        return sorted(chosen, key=lambda hold: (hold.created_at, hold.id))

    def hold(self, hold_id: str) -> Hold | None:
        return next((hold for hold in self.holds() if hold.id == hold_id), None)

    def save_holds(self, pipeline: str, holds: Sequence[Hold], links: Iterable[Link] = (), happenings: Iterable[Happening] = ()) -> None:
        self.store(links, happenings)
        self._holds[pipeline] = with_decisions(holds, self._holds[pipeline])

    def note_shown(self, shown: Sequence[Hold], at: datetime) -> None:
        for hold in shown:
            self._mark(hold, "shown_at", at)
            self._holds[hold.pipeline] = [
                dataclasses.replace(one, shown_at=at) if one.id == hold.id else one for one in self._holds[hold.pipeline]
            ]

    def approve(self, shown: Sequence[Hold], at: datetime) -> list[Hold]:
        for hold in shown:
            self._mark(hold, "approved_at", at)
        found = [now for hold in shown if (now := self.hold(hold.id))]
        self._history.extend(
            Happening(at=at, pipeline=hold.pipeline, external_id=i.external_id, what="approved", detail=f"{i.action}, hold {hold.id}")
            for hold in found
            for i in hold.items
            if i.approved_at == at
        )
        return found

    def memo(self, key: str) -> tuple[str, datetime] | None:
        return self._memos.get(key)

    def memos(self, prefix: str) -> dict[str, tuple[str, datetime]]:
        return {key: self._memos[key] for key in sorted(self._memos) if key.startswith(prefix)}

    def save_memo(self, key: str, value: str | None, at: datetime) -> None:
        if value is None:
            self._memos.pop(key, None)
        else:
            self._memos[key] = (value, at)

    def _of(self, pipeline: str) -> list[Link]:
        return [link for link in self._links.values() if link.pipeline == pipeline]

    def _mark(self, given: Hold, what: str, at: datetime) -> None:
        same = {(item.source_id, item.digest) for item in given.items}
        self._holds[given.pipeline] = [
            dataclasses.replace(
                one, items=tuple(_marked(item, what, at) if (item.source_id, item.digest) in same else item for item in one.items)
            )
            if one.id == given.id
            else one
            for one in self._holds[given.pipeline]
        ]


def _marked(item: HoldItem, what: str, at: datetime) -> HoldItem:
    return dataclasses.replace(item, shown_at=at) if what == "shown_at" else dataclasses.replace(item, approved_at=at)


def _soonest(link: Link) -> tuple[datetime, SourceId]:
    held = link.wanted or link.accepted
    return (held.start if held else _NEVER, link.source_id)


def _ends_after(link: Link, instant: datetime) -> bool:
    return link.accepted is not None and link.accepted.end > instant
