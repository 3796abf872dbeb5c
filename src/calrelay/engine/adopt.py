"""Makes links of what the target already holds, by external_id: after a lost database, a restored backup, and before a first load."""

import dataclasses

from calrelay.domain.entry import Entry
from calrelay.domain.event import SourceId
from calrelay.domain.link import CalendarId, Field, Imprint, Link, MessageMode, State, mode_of_content
from calrelay.domain.plan import Create
from calrelay.domain.policy import LOAD_KEY, LOAD_VALUE, Policy
from calrelay.engine.claims import Claims
from calrelay.engine.holdings import Holdings
from calrelay.engine.pipeline import Pipeline
from calrelay.ports import HeldPerson, Holding

_TO_COME = (State.READY, State.WAITING, State.HELD)


class Adoption:
    """What a pass makes of the entries that the target holds; nothing where it did not have to look.

    `is_anew` says that the links are made anew: what the ledger says of an entry counts only where the target says the same.
    """

    def __init__(self, pipeline: Pipeline, policy: Policy, *, is_anew: bool) -> None:
        self._pipeline = pipeline
        self._policy = policy
        self._is_anew = is_anew
        self._now = pipeline.clock()
        self.holdings: Holdings | None = None  # set where links may have to be adopted

    @property
    def is_in_the_dark(self) -> bool:
        """Whether the target was looked at in vain, because it does not say which entry is which event's."""
        return self.holdings is not None and not self.holdings.tells_external_ids

    def next_generation(self, create: Create) -> int:
        """Return the first generation of an event that the target has not seen yet, as far as anybody looked."""
        return self.holdings.next_generation(create.link.base_id) if self.holdings else 1

    def leaves_alone(self, link: Link) -> bool:
        """Whether somebody said to leave an event alone; not of one that was not to be created, and turns out to be there."""
        is_there = self._is_anew and self.holdings is not None and self.holdings.has_after_all(link)
        return link.shown_again().is_hands_off and not is_there

    def known(self, link: Link) -> Link | None:
        """Return a link of which the target holds what the ledger says, corrected where it waits; None where it is to be made anew.

        What is so keeps its state: what waits, was decided or is not sent yet is the next pass's business, as without an adoption.
        """
        return self.holdings.compared(link, self._pipeline.hasher) if self.holdings else None

    def disowned(self, link: Link) -> Link:
        """Forget what the ledger says of the target, which is looked at anew; what lies beyond the look stays as the ledger has it."""
        if self.holdings is None or (link.accepted is not None and not self.holdings.says(link)):
            return link
        is_settled = link.state is State.SETTLED or link.was_deleted_there
        if is_settled and not link.is_live and self.holdings.find(link.base_id) is None:  # nothing was there, and nothing is
            return link
        if self.is_in_the_dark and self._is_to_come(link, self.holdings):
            return link
        return self.holdings.disown(link)

    def _is_to_come(self, link: Link, holdings: Holdings) -> bool:
        """Whether an entry is still to be created, as far as anybody knows: it is planned as what it is, and asked for by its id then."""
        is_unused = link.generation >= holdings.next_generation(link.base_id) and holdings.find(link.base_id) is None
        return link.accepted is None and link.state in _TO_COME and is_unused

    def found(self, create: Create) -> tuple[int, Holding] | None:
        """Return generation and entry of an event that is about to be created, if the target holds one."""
        return self.holdings.find(create.link.base_id) if self.holdings else None

    def taken_over(self, create: Create, generation: int, holding: Holding, known: Link | None = None) -> Link:
        """Return the link of an entry as it was marked at the target: mode and load are told from it before it is compared."""
        marked = as_marked(create.link, holding)
        entry = self._policy.entry_of(create.event, marked.mode, backfilled=marked.backfilled)
        imprint = self._pipeline.hasher.of_entry(entry)
        accepted = known.accepted if known is not None else None
        link = adopt(dataclasses.replace(marked, wanted=imprint), generation, holding, entry, imprint, known=accepted)
        if known is None or known.accepted is None or not known.source_hash:
            return link
        return dataclasses.replace(link, basis=known.basis, source_hash=known.source_hash)  # an edit that no pass has seen yet is one still

    def unwanted(self, source_id: SourceId, link: Link | None, claims: Claims) -> Link | None:
        """Return a link for an entry that the target holds although it should not, so that it is kept in mind and taken out again.

        None where there is none, where it is over, or where it could be another pipeline's.
        """
        held = self.holdings.find(self._policy.base_id(source_id)) if self.holdings else None
        if held is None or (held[1].end is not None and held[1].end <= self._now):
            return None
        if (
            claims.of_another(source_id) is not None
            or (link is None and not self._pipeline.owns_prefix)
            or (link is not None and (link.is_live or link.is_hands_off))
        ):
            return None
        return orphan(link or self._policy.fresh_link(source_id), *held, self._policy.calendar)


def adopt(link: Link, generation: int, holding: Holding, entry: Entry, imprint: Imprint, *, known: Imprint | None = None) -> Link:
    """Return a link that knows what the target holds; a field the target shows otherwise is one we know nothing about, so it is sent.

    So is one that was accepted otherwise, by what is `known`, and that the target does not show to be exactly as we would send it.
    """
    changed = frozenset(field for field, value in imprint.hashes.items() if known and known.hashes.get(field, value) != value)
    same = frozenset(
        field for field in Field if _is_same(field, holding, entry) and (field not in changed or _is_shown(field, holding, entry))
    )
    accepted = Imprint(
        calendar=holding.calendar or entry.calendar,
        start=holding.start or imprint.start,
        end=holding.end or imprint.end,
        hashes={field: imprint.hashes[field] for field in same},
    )
    return dataclasses.replace(
        link,
        generation=generation,
        target_id=holding.target_id,
        accepted=accepted,
        state=State.SETTLED,
        until_changed=False,
        let_in=False,
        hold=None,
        reason="adopted",
    )


def as_marked(link: Link, holding: Holding) -> Link:
    """Return the link with the message mode and the load mark that the target's entry shows; what it does not tell stays."""
    mode = mode_of_content(holding.content or "") or (link.mode if holding.content is None else MessageMode.SEND)
    is_loaded = link.backfilled if holding.custom_data is None else holding.custom_data.get(LOAD_KEY) == LOAD_VALUE
    return dataclasses.replace(link, mode=mode, backfilled=is_loaded)


def orphan(link: Link, generation: int, holding: Holding, calendar: CalendarId) -> Link | None:
    """Return a link for an entry of ours that the source does not show; None when the target does not say when it is."""
    if holding.start is None or holding.end is None:
        return None
    accepted = Imprint(calendar=holding.calendar or calendar, start=holding.start, end=holding.end, hashes={})
    return dataclasses.replace(
        as_marked(link, holding),
        generation=generation,
        target_id=holding.target_id,
        accepted=accepted,
        wanted=accepted,
        state=State.SETTLED,
        until_changed=False,
        let_in=False,
        reason="adopted",
    )


def _is_same(field: Field, holding: Holding, entry: Entry) -> bool:
    """Compare one field with what the target tells; what it does not tell is taken to be as we would send it."""
    match field:
        case Field.START:
            return holding.start is None or holding.start == entry.start
        case Field.END:
            return holding.end is None or holding.end == entry.end
        case Field.TITLE:
            return holding.title is None or holding.title == entry.title
        case Field.LOCATION:
            return holding.location is None or holding.location == entry.location
        case Field.CONTENT:
            return holding.content is None or holding.content == entry.content
        case Field.PARTICIPANTS:
            return holding.participants is None or _has_all(holding.participants, entry)
        case Field.CUSTOM_DATA:
            return holding.custom_data is None or dict(holding.custom_data) == dict(entry.custom_data)
        case Field.TIME_ZONE:
            return True  # not echoed, and without effect on the instant


def _is_shown(field: Field, holding: Holding, entry: Entry) -> bool:
    """Say of a field that is not told otherwise whether it is told at all, and of people that there is nobody else."""
    match field:
        case Field.PARTICIPANTS:
            return holding.participants is not None and len(holding.participants) == len(entry.participants)
        case Field.TIME_ZONE:
            return False
        case _:
            return getattr(holding, field.value) is not None


def _has_all(held: tuple[HeldPerson, ...], entry: Entry) -> bool:
    """Whether everybody we would send is there; the target keeps people it has messaged already, so there may be more."""
    there = {(p.name, p.email.casefold(), p.phone) for p in held}
    return all((p.name, (p.email or "").casefold(), p.phone or "") in there for p in entry.participants)
