"""`verify`: reads the target back over the window and tells what is different from what it last accepted from us. Writes nothing."""

import dataclasses
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from calrelay.domain.event import SourceId
from calrelay.domain.link import ExternalId, Link, State, TargetId, external_id_parts
from calrelay.domain.policy import Policy
from calrelay.domain.window import Span
from calrelay.engine.asking import check_that_it_answers, may_be_the_event
from calrelay.engine.drift import Drift, DriftKind, compare, generation_of, is_at_another_offset, part
from calrelay.engine.latecomers import awaited
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport, Problem, requests_since
from calrelay.errors import AuthFailed, CalrelayError, ExitCode, VendorError, VendorUnavailable
from calrelay.ports import Flaw, Holding

Glance = Callable[[int], None]  # entries read so far


@dataclasses.dataclass(slots=True, kw_only=True)
class Verification:
    """What `verify` found in one pipeline; filled while it runs. Names nobody: ids, kinds and names of fields."""

    pipeline: str
    span: Span
    is_whole: bool = False  # the target was read whole, so that the counts are conclusions
    compared: int = 0
    drifts: list[Drift] = dataclasses.field(default_factory=list)
    not_ours: int = 0  # in our calendars, without an id of this pipeline
    left_alone: int = 0  # ignored, or let go
    in_motion: int = 0  # being sent, or changed by a pass while the target was read
    at_another_offset: int = 0
    used: dict[ExternalId, int] = dataclasses.field(default_factory=dict)  # the highest generation the target has shown of an event
    problems: list[Problem] = dataclasses.field(default_factory=list)
    repaired: list[Drift] = dataclasses.field(default_factory=list)
    passed: PassReport | None = None  # the pass that carried repairs to the target
    requests: dict[str, int] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    @property
    def left(self) -> list[Drift]:
        """What is different still."""
        return [drift for drift in self.drifts if drift not in self.repaired]

    @property
    def exit_code(self) -> int:
        """Return the exit code this calls for: 1 while something is different."""
        codes = [problem.exit_code for problem in self.problems]
        if self.left:
            codes.append(ExitCode.ATTENTION)
        if self.passed is not None:
            codes.append(self.passed.exit_code)
        return ExitCode.worst(*codes)

    @property
    def is_all_lost(self) -> bool:
        """Whether nothing that was accepted is there any more, as at a wrong account; like a source that shows nothing (rule 2)."""
        lost = self.count(DriftKind.LOST)
        return lost >= 2 and lost == self.compared

    def count(self, kind: DriftKind) -> int:
        """Count the differences of a kind."""
        return sum(drift.kind is kind for drift in self.drifts)

    def fail(self, error: CalrelayError) -> None:
        """Note the error that ended it: then nothing is concluded."""
        self.problems.append(Problem.of(error))

    def to_json(self) -> dict[str, Any]:
        """Return it as `verify.json` has it."""
        return {
            "pipeline": self.pipeline,
            "outcome": _outcome(self),
            "from": self.span.begin.isoformat(),
            "to": self.span.end.isoformat(),
            "compared": self.compared,
            **{kind.value: self.count(kind) for kind in DriftKind},
            "not_ours": self.not_ours,
            "left_alone": self.left_alone,
            "in_motion": self.in_motion,
            "at_another_offset": self.at_another_offset,
            "drifts": [_to_json(drift, is_repaired=drift in self.repaired) for drift in self.drifts],
            "repair": self.passed.to_json() if self.passed else None,
            "requests": dict(self.requests),
            "seconds": round(self.seconds, 3),
            "problems": [problem.to_json() for problem in self.problems],
        }


async def verify(pipeline: Pipeline, *, glance: Glance | None = None) -> Verification:
    """Compare what the target holds with what it last accepted; never raises for what a vendor does.

    Asks the target only: its list over the window, and each entry by external id that the list does not show. Where the list has a gap
    nothing is concluded (exit 3). Needs no lock: what a pass changes meanwhile is counted as in motion.
    """
    started, before = time.monotonic(), pipeline.request_counts()
    found = Verification(pipeline=pipeline.name, span=pipeline.window.at(pipeline.clock()))
    try:
        await pipeline.check_target()
        await _Comparison(pipeline, await pipeline.policy(remember=False), found, glance).run()
    except CalrelayError as error:
        if error.exit_code in (ExitCode.STATE, ExitCode.BUG):
            raise
        found.drifts.clear()
        found.fail(error)
    found.seconds = time.monotonic() - started
    found.requests = requests_since(before, pipeline.request_counts())
    return found


class _Comparison:
    """One reading of the target, and the ledger as it was before."""

    def __init__(self, pipeline: Pipeline, policy: Policy, found: Verification, glance: Glance | None) -> None:
        self._pipeline = pipeline
        self._policy = policy
        self._found = found
        self._glance = glance
        self._now = pipeline.clock()
        self._by_id: dict[TargetId, Holding] = {}
        self._by_base: dict[ExternalId, list[Holding]] = defaultdict(list)
        self._nameless: list[Holding] = []
        self._ids_of_links: set[TargetId] = set()
        self._awaited = awaited(pipeline)  # their entries may be anywhere, also those of bookings that are over

    async def run(self) -> None:
        links = self._expected()
        await self._read()
        links |= self._linked_elsewhere(links)
        self._ids_of_links = {link.target_id for link in links.values() if link.target_id}
        claimed = {link.base_id for link in links.values()}
        for link in links.values():
            await self._judge(link)
        self._judge_unlinked(claimed)
        self._found.drifts = self._still_standing(self._found.drifts, links)
        self._found.is_whole = True

    def _expected(self) -> dict[SourceId, Link]:
        live = self._pipeline.ledger.live_links(self._pipeline.name, ending_after=self._now)
        expected = {link.source_id: link for link in live if link.accepted is not None and link.accepted.start in self._found.span}
        late = self._pipeline.ledger.links(self._pipeline.name, self._awaited - expected.keys())
        return expected | {source_id: link for source_id, link in late.items() if link.accepted is not None}

    async def _read(self) -> None:
        async for page in self._pipeline.target.listing(self._found.span, include_deleted=True):
            if isinstance(page, Flaw):
                if isinstance(page.error, AuthFailed):
                    raise page.error
                raise VendorUnavailable(
                    f"what account {self._pipeline.target.account} holds could not be read whole ({page.what}); nothing is concluded",
                    remedy=page.error.remedy if page.error and page.error.remedy else "try again",
                    account=self._pipeline.target.account,
                )
            for holding in page:
                self._take(holding)
            if self._glance:
                self._glance(len(self._by_id) + len(self._nameless))

    def _take(self, holding: Holding) -> None:
        base, generation = external_id_parts(holding.external_id) if holding.external_id else (ExternalId(""), 0)
        if base:
            self._found.used[base] = max(generation, self._found.used.get(base, 0))
        if holding.is_deleted or (holding.end is not None and holding.end <= self._now):
            return  # over: whatever it is, it messages nobody any more
        self._by_id[holding.target_id] = holding
        if base:
            self._by_base[base].append(holding)
        else:
            self._nameless.append(holding)

    def _linked_elsewhere(self, links: Mapping[SourceId, Link]) -> dict[SourceId, Link]:
        """Return the links of listed entries that were not expected here: moved into the window at the target, or deleted by us before."""
        prefix = self._policy.id_prefix
        ids = {SourceId(base.removeprefix(prefix)) for base in self._by_base if base.startswith(prefix)} - links.keys()
        return self._pipeline.ledger.links(self._pipeline.name, ids)

    # --- an event we know ---

    async def _judge(self, link: Link) -> None:
        is_over = link.accepted is not None and link.accepted.end <= self._now
        if link.is_hands_off or (is_over and link.source_id not in self._awaited):
            self._found.left_alone += 1
            return
        if link.state is State.SENDING:
            self._found.in_motion += 1
            return
        entries: list[Holding] | None = self._entries_of(link)
        if not entries and link.accepted is not None:
            entries = await self._ask(link)
        if entries is None:
            self._found.in_motion += 1
            return
        if is_over and not any(entry.end is not None and entry.end > self._now for entry in entries):
            self._found.left_alone += 1
            return
        self._found.compared += 1
        if not entries:
            if link.accepted is not None:
                self._note(Drift(kind=DriftKind.LOST, external_id=link.external_id, link=link))
            return
        chosen = part(entries, link)
        self._judge_keeper(link, chosen.keeper)
        for extra in chosen.extras:
            self._note(Drift(kind=DriftKind.DOUBLED, external_id=_name_of(extra, link), link=link, holding=extra))

    def _judge_keeper(self, link: Link, keeper: Holding) -> None:
        if link.accepted is None or keeper.target_id != link.target_id:
            self._note(Drift(kind=DriftKind.UNKNOWN, external_id=_name_of(keeper, link), link=link, holding=keeper))
            return
        if drift := compare(link, link.accepted, keeper, self._pipeline.hasher):
            self._note(drift)
        elif is_at_another_offset(link.accepted, keeper, self._pipeline.hasher):
            self._found.at_another_offset += 1

    def _entries_of(self, link: Link) -> list[Holding]:
        entries = {holding.target_id: holding for holding in self._by_base.get(link.base_id, ())}
        if link.target_id in self._by_id:
            entries[link.target_id] = self._by_id[link.target_id]
        return list(entries.values())

    async def _ask(self, link: Link) -> list[Holding] | None:
        """Ask for an entry that the list does not show: it may have been moved out of the window. Raises VendorError.

        None where the target fails over one of which it could not tell before: that is told, and keeps nobody else from being compared.
        """
        try:
            holding = await self._pipeline.target.find(link.external_id)
        except VendorError as error:
            if link.source_id not in self._awaited or not may_be_the_event(error):
                raise
            await check_that_it_answers(self._pipeline, {link.external_id: error})
            problem = Problem(kind=error.kind, message=error.message, remedy=error.remedy, external_id=link.external_id)
            self._found.problems.append(problem)
            return None
        return [] if holding is None or holding.is_deleted else [holding]

    # --- entries without an event of ours ---

    def _judge_unlinked(self, claimed: Collection[ExternalId]) -> None:
        bases = [base for base in self._by_base if base not in claimed]
        claims = self._pipeline.ledger.claims(self._policy.target, bases)
        for base in bases:
            entries, claim = self._by_base[base], claims.get(base)
            is_theirs = claim is not None and claim.bars(self._pipeline.name)
            if is_theirs or not base.startswith(self._policy.id_prefix) or not self._pipeline.owns_prefix:
                self._count_not_ours(entries)
                continue
            chosen = part(entries, None)
            self._note(Drift(kind=DriftKind.UNKNOWN, external_id=_name_of(chosen.keeper), link=None, holding=chosen.keeper))
            for extra in chosen.extras:
                self._note(Drift(kind=DriftKind.DOUBLED, external_id=_name_of(extra), link=None, holding=extra))
        self._count_not_ours(holding for holding in self._nameless if holding.target_id not in self._ids_of_links)

    def _count_not_ours(self, entries: Iterable[Holding]) -> None:
        ours = self._policy.calendars
        self._found.not_ours += sum(holding.calendar in ours for holding in entries)

    # --- conclusions ---

    def _still_standing(self, drifts: Iterable[Drift], links: Mapping[SourceId, Link]) -> list[Drift]:
        """Leave out what a pass changed while the target was read: then the list was older, or newer, than the ledger."""
        by_source = [(source_id_of(drift, self._policy), drift) for drift in drifts]
        now = self._pipeline.ledger.links(self._pipeline.name, {source_id for source_id, _ in by_source})
        standing = [drift for source_id, drift in by_source if now.get(source_id) == links.get(source_id)]
        self._found.in_motion += len(by_source) - len(standing)
        return standing

    def _note(self, drift: Drift) -> None:
        self._found.drifts.append(drift)


def source_id_of(drift: Drift, policy: Policy) -> SourceId:
    """Return the event at the source that a difference is about."""
    if drift.link is not None:
        return drift.link.source_id
    return SourceId(external_id_parts(drift.external_id)[0].removeprefix(policy.id_prefix))


def _name_of(holding: Holding, link: Link | None = None) -> ExternalId:
    return holding.external_id or (link.external_id if link else ExternalId(""))


def _outcome(found: Verification) -> str:
    if not found.is_whole:
        return "failed"
    return "drifted" if found.left else "ok"


def _to_json(drift: Drift, *, is_repaired: bool) -> dict[str, Any]:
    start: datetime | None = drift.start
    return {
        "external_id": drift.external_id,
        "kind": drift.kind.value,
        "fields": drift.what,
        "start": start.isoformat() if start else None,
        "target_id": drift.holding.target_id if drift.holding else (drift.link.target_id if drift.link else None),
        "generation": generation_of(drift.holding) if drift.holding else (drift.link.generation if drift.link else 1),
        "repaired": is_repaired,
    }
