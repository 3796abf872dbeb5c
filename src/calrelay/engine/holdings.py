"""What the target holds, as it was asked: its entries by external id, and what that says of our links."""

import dataclasses
from collections.abc import Iterable
from datetime import timedelta

from calrelay.domain.entry import Hasher
from calrelay.domain.link import LOST, ExternalId, Field, Link, State, external_id_of, external_id_parts, once_more
from calrelay.domain.window import Span
from calrelay.engine.drift import as_held, compare
from calrelay.engine.pipeline import Pipeline
from calrelay.errors import AuthFailed, VendorUnavailable
from calrelay.ports import Flaw, Holding

DAY = timedelta(days=1)  # target days and ours may differ by a zone
BEYOND = timedelta(days=730)  # nobody books further ahead than that


class Holdings:
    """The target's live entries by the external id of their first generation; of several generations the newest counts.

    `span` is where was looked; None means everywhere.
    """

    def __init__(self, holdings: Iterable[Holding] = (), *, span: Span | None = None) -> None:
        self.span = span
        self._by_base: dict[ExternalId, tuple[int, Holding]] = {}
        self._used: dict[ExternalId, int] = {}
        self._nameless = 0
        self._named = 0
        for holding in holdings:
            self.add(holding)

    @property
    def tells_external_ids(self) -> bool:
        """Whether the list can be relied upon to name our entries: it names one, or there is nothing that it could have left unnamed."""
        return self._named > 0 or self._nameless == 0

    def add(self, holding: Holding, *, is_listed: bool = True) -> None:
        """Note one entry of the target; a deleted one is nothing to adopt, but its external id is used up."""
        if holding.external_id is None:
            self._nameless += 0 if holding.is_deleted else 1
            return
        self._named += is_listed
        base, generation = external_id_parts(holding.external_id)
        self._used[base] = max(generation, self._used.get(base, 0))
        if holding.is_deleted:
            return
        if generation > self._by_base.get(base, (0, holding))[0]:
            self._by_base[base] = (generation, holding)

    def find(self, base: ExternalId) -> tuple[int, Holding] | None:
        """Return generation and entry of an event, if the target holds one."""
        return self._by_base.get(base)

    def next_generation(self, base: ExternalId) -> int:
        """Return the first generation of an event that the target has not seen yet, as far as it tells."""
        return self._used.get(base, 0) + 1

    def says(self, link: Link) -> bool:
        """Say whether this tells what has become of a link's entry: it is here, or was to be found where was looked."""
        is_here = link.base_id in self._by_base
        return is_here or link.accepted is None or self.span is None or link.accepted.start in self.span

    def compared(self, link: Link, hasher: Hasher) -> Link | None:
        """Return a link of whose entry the ledger is right: it is there as it was accepted, or nothing is there and nothing was.

        One that waits for a decision is corrected instead, where somebody changed its entry: it goes on waiting.
        """
        held = self._by_base.get(link.base_id)
        if link.accepted is None:
            is_unused = link.generation >= self.next_generation(link.base_id)
            is_right = held is None and is_unused and self.tells_external_ids and link.state is not State.SENDING
            return link if is_right else None
        # Of what waits for nobody's decision its row can say what the entry is compared with, where that is not known.
        is_known = link.state is State.HELD or link.accepted.hashes.keys() >= set(Field)
        if held is None or not is_known or (held[0], held[1].target_id) != (link.generation, link.target_id):
            return None
        drift = compare(link, link.accepted, held[1], hasher)
        return link if drift is None else as_held(drift) if link.state is State.HELD else None

    def disown(self, link: Link) -> Link:
        """Return a link that forgets what the ledger says of the target; an id that is not held any more is used up.

        What is lost has somebody taken out, so it is not created again unasked; and its guest has heard of what was accepted.
        """
        generation = link.generation
        if link.base_id not in self._by_base:
            generation = max(generation + (1 if link.is_live else 0), self.next_generation(link.base_id))
            if link.is_live:
                link = dataclasses.replace(link, let_in=True, mode=once_more(link.mode) if link.accepted else link.mode)
        # Waiting, not ready: what is created again is no move under way, so the guards look at it.
        return dataclasses.replace(link, state=State.WAITING, accepted=None, target_id=None, generation=generation, reason=LOST)

    def has_after_all(self, link: Link) -> bool:
        """Say whether somebody rejected to have an event created of which this has the entry."""
        return link.state is State.IGNORED and link.until_changed and not link.is_live and link.base_id in self._by_base

    def with_prefix(self, prefix: str) -> dict[ExternalId, tuple[int, Holding]]:
        """Return the entries whose external ids begin like this."""
        return {base: held for base, held in self._by_base.items() if base.startswith(prefix)}


async def look_at_target(pipeline: Pipeline, span: Span) -> Holdings:
    """Read what the target holds in a span and far beyond its end, before anything is created there.

    Beyond it are bookings that were moved out of the window: the source shows them when they are asked for by id.

    Raises VendorUnavailable where the list has a gap: it could hide what would then be doubled.
    """
    padded = span.padded(DAY)
    whole = Span(begin=padded.begin, end=padded.end + BEYOND)
    holdings = Holdings(span=whole)
    async for page in pipeline.target.listing(whole, include_deleted=True):
        if isinstance(page, Flaw):
            if isinstance(page.error, AuthFailed):
                raise page.error
            raise VendorUnavailable(
                f"what account {pipeline.target.account} already holds could not be read whole ({page.what}); nothing was sent",
                remedy=page.error.remedy if page.error else "try again",
                account=pipeline.target.account,
            )
        for holding in page:
            holdings.add(holding)
    return holdings


async def ask_for_unlisted(pipeline: Pipeline, holdings: Holdings) -> None:
    """Ask by external id for what the ledger has where was looked and the list does not show: moved since, deleted, or unnamed."""
    for link in list(pipeline.ledger.live_links(pipeline.name, ending_after=pipeline.clock())):
        if link.state in (State.IGNORED, State.RELEASED) or holdings.find(link.base_id) is not None or not holdings.says(link):
            continue
        generation = link.generation
        while (holding := await pipeline.target.find(external_id_of(link.base_id, generation))) is not None:
            holdings.add(holding, is_listed=False)
            if not holding.is_deleted:
                break
            generation += 1
