"""Fetch, map and plan in one go: each page is planned as it arrives and unchanged rows are let go, so memory grows with what changed."""

import asyncio
import dataclasses
import functools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeGuard

from calrelay.domain.event import Event, Row, SourceId, Unmappable
from calrelay.domain.link import ExternalId, Link, State
from calrelay.domain.plan import Action, Cause, Create, Decision, Delete, Skipped, Unchanged, Update, plan
from calrelay.domain.policy import Policy, Standing
from calrelay.domain.window import Span
from calrelay.engine.adopt import Adoption
from calrelay.engine.claims import Claims, as_barred
from calrelay.engine.order import Order
from calrelay.engine.overlap import OverlapCount
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport, Problem
from calrelay.engine.shelf import Shelf
from calrelay.errors import MappingError, VendorError
from calrelay.ports import Flaw, Holding, Page, Recall

FINDS_AT_ONCE = 5
KEPT_AT_HAND = 1_000  # actions that are not folded away: folding takes a twentieth of the time of a create
FOLDED_TOGETHER = 50


@dataclasses.dataclass(slots=True, kw_only=True)
class Survey:
    """What planning one pass found: actions in order of reading, links to remember, and what was seen."""

    actions: list[Action] = dataclasses.field(default_factory=list)
    links: dict[SourceId, Link] = dataclasses.field(default_factory=dict)  # as they were before the plan, of everything acted upon
    changed: list[Link] = dataclasses.field(default_factory=list)  # to be stored though nothing is owed
    unmappable: list[Link] = dataclasses.field(default_factory=list)  # of those, what came into quarantine, or has another reason now
    seen: set[SourceId] = dataclasses.field(default_factory=set)
    undecided: set[SourceId] = dataclasses.field(default_factory=set)  # seen, and left to another pass
    shown: set[SourceId] = dataclasses.field(default_factory=set)  # of these, the ones whose rows came
    unwanted: list[tuple[Event, Link | None]] = dataclasses.field(default_factory=list)  # where the target does not tell what it holds
    flaws: list[Flaw] = dataclasses.field(default_factory=list)


class Surveyor:
    """Plans rows of one pass against the ledger."""

    def __init__(self, pipeline: Pipeline, policy: Policy, order: Order, report: PassReport, shelf: Shelf | None = None) -> None:
        """With a `shelf`, creates that need no guard are put there where they are many, and are none of the survey's actions."""
        self._pipeline = pipeline
        self._policy = policy
        self._order = order
        self._report = report
        self._now = pipeline.clock()
        self.overlap = self._overlap_count()
        self._hash_row = pipeline.hasher.of_rows(policy.basis, [policy.calendar, *(route.calendar for route in policy.routes)])
        self._sound_rows: dict[SourceId, tuple[str, str]] = {}  # of the page in hand: nothing is owed for them
        self._shelf = shelf
        self._at_hand = KEPT_AT_HAND
        self._tallies: list[tuple[datetime, Counter[tuple[str, str]]]] = []  # by the row's start, where some may be left to another pass
        self.adoption = Adoption(pipeline, policy, is_anew=order.adopts_only)
        self.survey = Survey()

    def _overlap_count(self) -> OverlapCount | None:
        listener = self._pipeline.listener
        return OverlapCount(self._policy, listener.rules, account=listener.account, now=self._now) if listener else None

    def leave_out(self, source_ids: Collection[SourceId]) -> None:
        """Plan nothing for these, whatever the source shows or does not show of them."""
        self.survey.seen.update(source_ids)
        self.survey.undecided.update(source_ids)

    @property
    def recall(self) -> Recall | None:
        """What a source may ask of its rows; None where each row is to be looked at: loads, adoptions, and messages that are counted."""
        return None if self._order.is_load or self._order.adopts_only or self.overlap is not None else self._recall

    def _recall(self, rows: Mapping[SourceId, bytes]) -> dict[SourceId, str]:
        known = self._pipeline.ledger.known_rows(self._policy.pipeline, rows.keys())
        hashes = {source_id: self._hash_row(row) for source_id, row in rows.items()}
        return {source_id: row_hash for source_id, row_hash in hashes.items() if known.get(source_id) != row_hash}

    def take_page(self, page: Page, span: Span) -> None:
        """Plan a page's rows; rows outside the span count only where they are linked (rule 17)."""
        self.survey.shown.update(row.source_id for row in page.rows if row.source_id in self.survey.undecided)
        rows = [row for row in page.rows if row.source_id not in self.survey.seen]
        links = self._pipeline.ledger.links(self._policy.pipeline, [row.source_id for row in rows])
        cared_for = frozenset() if self._order.is_load else links.keys()  # a load leaves other days to the chunk they belong to
        rows = [row for row in rows if row.source_id in cared_for or _starts_in(row, span)]
        self.take_rows(rows, links)
        for source_id in page.unchanged:
            self._pass_over(source_id)
        if self._sound_rows and not self._order.is_dry_run:
            self._pipeline.ledger.note_rows(self._policy.pipeline, self._sound_rows)
        self._sound_rows = {}
        if self._shelf is not None and not self.adoption.is_in_the_dark:
            self._put_away(self._shelf)

    def _put_away(self, shelf: Shelf) -> None:
        """Put new events on the shelf where they are many; or take all back, where they are more than a first load may have."""
        actions = self.survey.actions
        if len(actions) + len(shelf) > self._pipeline.limits.first_load:
            actions.extend(shelf.take_all())
            self._shelf = None
            return
        if len(actions) <= self._at_hand:
            return
        plain: list[Create] = []
        stay: list[Action] = []
        for action in actions:
            if isinstance(action, Create) and self._is_plain(action):
                plain.append(action)
            else:
                stay.append(action)
        for at in range(0, len(plain), FOLDED_TOGETHER):
            shelf.put(plain[at : at + FOLDED_TOGETHER])
        self.survey.actions = stay
        self._at_hand = len(stay)

    def _is_plain(self, create: Create) -> bool:
        """Say whether nothing was known of an event before: nobody has decided, parked or caused anything of it."""
        return create.cause is Cause.SOURCE and create.link.source_id not in self.survey.links

    def _pass_over(self, source_id: SourceId) -> None:
        """Count a row that came as it was when nothing was owed for it, by the same rules: it would be found unchanged."""
        if source_id not in self.survey.seen:
            self.survey.seen.add(source_id)
            self._report.read += 1
            self._report.unchanged += 1

    def take_rows(self, rows: Sequence[Row], links: dict[SourceId, Link]) -> None:
        """Plan rows whose links are at hand."""
        claims = self._claims_on(row.source_id for row in rows if row.source_id not in links or not links[row.source_id].is_live)
        for row in rows:
            if row.source_id in self.survey.seen:
                continue
            before = self._report.tally() if self._order.fills_batches else None
            self.survey.seen.add(row.source_id)
            self._report.read += 1
            link = links.get(row.source_id)
            if isinstance(row, Unmappable):
                self._quarantine(row.source_id, link, row.error, claims)
            else:
                self._take_event(row, link, claims)
                if before is not None:
                    self._tallies.append((row.start, self._report.tally() - before))

    def tally_from(self, since: datetime) -> Counter[tuple[str, str]]:
        """Count what came of the rows that start then or later, in a load that may leave them to the next."""
        return sum((tally for start, tally in self._tallies if start >= since), Counter())

    async def find(
        self,
        source_ids: Collection[SourceId],
        links: Mapping[SourceId, Link],
        *,
        missing: Collection[SourceId] = (),
        discover_in: Span | None = None,
    ) -> list[Link]:
        """Ask the source for events by id and plan what it answers; return the links proven gone. What is not proven is a flaw.

        `missing` are those that a complete read of their days has just failed to show. Events without a link that start outside
        `discover_in` are let go.
        """
        gone: list[Link] = []
        gate = asyncio.Semaphore(FINDS_AT_ONCE)

        async def ask(source_id: SourceId) -> None:
            async with gate:
                try:
                    row = await self._pipeline.source.find(source_id, is_missing=source_id in missing)
                except VendorError as error:
                    self.survey.flaws.append(Flaw(what=f"event {source_id} could not be asked for by its id", error=error))
                    self.survey.seen.add(source_id)
                    self.survey.undecided.add(source_id)
                    return
            link = links.get(source_id)
            if row is not None and link is None and discover_in is not None and not _starts_in(row, discover_in):
                self.survey.seen.add(source_id)
            elif row is not None:
                self.take_rows([row], {source_id: link} if link else {})
            elif link is not None:
                self.survey.seen.add(source_id)
                gone.append(link)

        async with asyncio.TaskGroup() as group:
            for source_id in source_ids:
                if source_id not in self.survey.undecided:
                    group.create_task(ask(source_id))
        return gone

    def add(self, decision: Decision, link: Link | None, *, row_hash: str = "") -> None:
        """File a decision: actions wait for the guard, changed links for the ledger, the rest is counted."""
        match decision:
            case Create() | Update() | Delete():
                self.survey.actions.append(decision)
                if link is not None:
                    self.survey.links[link.source_id] = link
            case Unchanged():
                if decision.link is link and link.state is State.SETTLED and link.accepted and row_hash:
                    self._sound_rows[link.source_id] = (link.source_hash, row_hash)
                if decision.link.state is not State.QUARANTINED:
                    self._report.unchanged += 1
                self._remember(decision.link, link)
            case Skipped():
                self._report.skipped[decision.reason] += 1
                if decision.link is not None:
                    self._remember(decision.link, link)

    def _take_event(self, event: Event, link: Link | None, claims: Claims) -> None:
        if self.overlap is not None:
            self.overlap.note(event, link)
        known = link
        try:
            if self._order.adopts_only and link is not None and not self.adoption.leaves_alone(link):
                if corrected := self.adoption.known(link):
                    self._report.unchanged += 1
                    self._remember(corrected, link)
                    return
                link = self.adoption.disowned(link)
            if (link is None or not (link.is_live or link.is_hands_off)) and (heir := self._inherited(event, link, claims)):
                link = heir
            decision: Decision | None = self._plan(event, link)
            if isinstance(decision, Create) and (link is None or not link.is_live):
                decision = self._claim(decision, link, claims)
            if isinstance(decision, Create) and (held := self.adoption.found(decision)):
                link = self._taken_over(decision, *held, known)
                decision = self._plan(event, link)
            elif isinstance(decision, Skipped) and (kept := self.adoption.unwanted(event.source_id, link, claims)):
                link, decision = self._remembered(kept), self._plan(event, kept)
            elif self._order.adopts_only and link is not None and decision is not None:
                self.survey.changed.append(link)
        except MappingError as error:
            self._quarantine(event.source_id, link, error, claims)
            return
        if not isinstance(decision, Skipped):  # why it is skipped says all there is to say
            self._report.notes.update(event.notes)
        if decision is not None:
            self.add(decision, link, row_hash=event.known_by)
        if isinstance(decision, Skipped) and (decision.link is None or self._order.adopts_only) and self.adoption.is_in_the_dark:
            self._note_unwanted(event, link)

    def _note_unwanted(self, event: Event, link: Link | None) -> None:
        """Note a coming event that the target may hold though it should not, as far as anybody knows."""
        is_known = link is not None and (link.is_live or link.is_hands_off)
        if not is_known and event.end > self._now:
            self.survey.unwanted.append((event, link))

    def _plan(self, event: Event, link: Link | None) -> Decision:
        decision = plan(event, link, policy=self._policy, hasher=self._pipeline.hasher, now=self._now)
        if self._order.is_load and isinstance(decision, Create):  # marked as typed now, whatever an earlier attempt was told
            return self._as_backfilled(decision)
        if self._order.is_load and isinstance(decision, Unchanged | Skipped) and _is_put_aside(decision.link):
            return dataclasses.replace(decision, link=self._marked(decision.link))  # for when it is taken up again
        if self._order.is_load and isinstance(decision, Delete):  # a load creates and updates only
            self.survey.undecided.add(event.source_id)
            return Skipped(event=event, reason="to be deleted or moved by the next sync")
        return decision

    def _as_backfilled(self, create: Create) -> Create:
        link = self._marked(create.link)
        entry = self._policy.entry_of(create.event, link.mode, backfilled=True)
        link = dataclasses.replace(link, wanted=self._pipeline.hasher.of_entry(entry))
        return dataclasses.replace(create, link=link, entry=entry)

    def _marked(self, link: Link) -> Link:
        return dataclasses.replace(link, backfilled=True, mode=self._order.mode or link.mode)

    def hold_newcomers(self) -> None:
        """Let nothing new in unasked: a read that showed none of what was expected may be one of another account (rule 2)."""
        if self._shelf is not None:
            self.survey.actions.extend(self._shelf.take_all())
            self._shelf = None
        self.survey.actions = [
            dataclasses.replace(action, link=dataclasses.replace(action.link, let_in=True))
            if isinstance(action, Create) and not action.is_decided
            else action
            for action in self.survey.actions
        ]

    def adopt(self, create: Create, generation: int, holding: Holding) -> None:
        """Replace a planned create by what is left to do for an entry that the target turned out to hold."""
        self.survey.actions.remove(create)
        link = self._taken_over(create, generation, holding)
        self.add(self._plan(create.event, link), link)

    def adopt_unwanted(self, event: Event, link: Link | None, external_id: ExternalId, holding: Holding) -> None:
        """Plan an event again that was skipped, now that the target turned out to hold it."""
        if self.adoption.holdings is None:
            return
        self.adoption.holdings.add(dataclasses.replace(holding, external_id=external_id))
        kept = self.adoption.unwanted(event.source_id, link, self._claims_on([event.source_id]))
        if kept is not None:
            self.add(self._plan(event, self._remembered(kept)), kept)

    def _taken_over(self, create: Create, generation: int, holding: Holding, known: Link | None = None) -> Link:
        self._report.notes["adopted from the target"] += 1
        return self._remembered(self.adoption.taken_over(create, generation, holding, known))

    def _inherited(self, event: Event, link: Link | None, claims: Claims) -> Link | None:
        """Take over an event that a retired pipeline left at the target, where this one wants it, or it was cancelled since.

        So is what another was told to leave alone, of an event of which this one has nothing.
        """
        standing = self._policy.judge(event)[0]
        if standing not in (Standing.WANTED, Standing.CANCELLED):
            return None
        legacy = claims.legacy(event.source_id)
        if legacy is None:
            has_nothing = link is None or (link.state is State.SETTLED and link.wanted is None)
            kept = claims.decision(event.source_id, link) if has_nothing and standing is Standing.WANTED else None
            return self._remembered(kept) if kept is not None and kept.is_hands_off else kept
        self._report.notes[f"taken over from pipeline {legacy.given_up.pipeline}"] += 1
        self.survey.changed.append(legacy.given_up)
        return self._remembered(legacy.taken)

    def _remembered(self, link: Link) -> Link:
        self.survey.changed.append(link)
        return link

    def _claims_on(self, source_ids: Iterable[SourceId]) -> Claims:
        return Claims(self._pipeline, self._policy, source_ids)

    def _claim(self, create: Create, link: Link | None, claims: Claims) -> Create | None:
        """Take the event's external id, in the generation that is due; None when another pipeline has it (design: one claim at a time)."""
        source_id = create.link.source_id
        if barring := claims.of_another(source_id):
            if create.link.let_in or self._is_first_look or (link is not None and link.state is State.QUARANTINED):
                barred = as_barred(link or self._policy.fresh_link(source_id), barring)
                self._remember(self._marked(barred) if self._order.is_load else barred, link)
            self._report.skipped[f"claimed by pipeline {barring.pipeline}"] += 1
            self._report.problems.append(claims.problem(source_id, barring))
            return None
        used, seen = claims.of(source_id), self.adoption.next_generation(create)
        return self._with_generation(create, max(create.link.generation, seen, used.generation if used else 1))

    @functools.cached_property
    def _is_first_look(self) -> bool:
        """Whether the pipeline has never looked at all its bookings."""
        return self._pipeline.ledger.pipeline(self._policy.pipeline).first_complete_at is None

    def _with_generation(self, create: Create, generation: int) -> Create:
        if create.link.generation == generation:
            return create
        return dataclasses.replace(create, link=dataclasses.replace(create.link, generation=generation))

    def _quarantine(self, source_id: SourceId, link: Link | None, error: MappingError, claims: Claims) -> None:
        """Keep an event that cannot be mapped, and what the target holds of it, until its row, the mapping or the config changes."""
        is_let_in = self._policy.is_rescoped or (self._is_first_look and claims.of_another(source_id) is not None)
        if link is not None and link.was_deleted_there:  # that its row cannot be read either makes nothing of it
            self._report.problems.append(Problem.of(error, link.external_id))
            return
        if link is not None and self.adoption.leaves_alone(link) and not link.is_only_missing:
            shown = link.shown_again()
            self._report.skipped[shown.reason or shown.state.value] += 1
            self._remember(shown.as_let_in(is_rescoped=is_let_in and shown.until_changed), link)
            return
        if self._order.adopts_only and link is not None:
            link = self.adoption.known(link) or self.adoption.disowned(link)
        if kept := self.adoption.unwanted(source_id, link, claims):
            link = self._remembered(kept)
        link = link or dataclasses.replace(self._policy.fresh_link(source_id), let_in=is_let_in)
        since = link.since if link.state is State.QUARANTINED else None
        shown = link.shown_again().as_let_in(is_rescoped=is_let_in)
        quarantined = dataclasses.replace(
            shown, state=State.QUARANTINED, reason=error.message, remedy=error.remedy, attempts=0, since=since or self._now
        )
        if since is None or link.reason != quarantined.reason:
            self.survey.unmappable.append(quarantined)
        if self._order.is_load and not link.is_live:
            quarantined = self._marked(quarantined)
        self._report.problems.append(Problem.of(error, link.external_id))
        self._remember(quarantined, link if link.state is State.QUARANTINED else None)

    def _remember(self, link: Link, before: Link | None) -> None:
        if link != before:
            self.survey.changed.append(link)


def _is_put_aside(link: Link | None) -> TypeGuard[Link]:
    """Say whether the target holds nothing of an event that may be taken up again later: refused, or ignored."""
    return link is not None and not link.is_live and link.state in (State.QUARANTINED, State.IGNORED)


def _starts_in(row: Row, span: Span) -> bool:
    """Say whether a row belongs to a span; one that cannot be read may belong to any."""
    return isinstance(row, Unmappable) or row.start in span
