"""How many guests would hear of an event twice, counted while a pass reads."""

from datetime import datetime

from calrelay.domain.event import Event
from calrelay.domain.link import Link
from calrelay.domain.messages import Rules, messages_of
from calrelay.domain.policy import Policy
from calrelay.domain.window import Span
from calrelay.engine.messages import guest_is_messaged
from calrelay.engine.overlapping import Overlapping
from calrelay.engine.pipeline import Pipeline
from calrelay.ports import Flaw, Scope


class OverlapCount:
    """Counts over the events of a pass, as `calrelay messages` does. Guests are told apart by a hash; nobody is kept."""

    def __init__(self, policy: Policy, rules: Rules | None, *, account: str, now: datetime) -> None:
        self._policy = policy
        self._rules = rules
        self._account = account
        self._span: Span = policy.window.at(now)
        self._now = now
        self._guests: set[int] = set()
        self._events = 0

    def note(self, event: Event, link: Link | None) -> None:
        """Take an event into account, whose link is as it was before the pass."""
        if event.own is None or event.end <= self._now or event.start not in self._span:
            return
        if not guest_is_messaged(self._policy, event, link):
            return
        if any(message.is_to_come_for_its_guest(self._now) for message in messages_of(event, self._rules or Rules())):
            self._events += 1
            self._guests.add(hash(event.own.guest.address))

    @property
    def found(self) -> Overlapping:
        """What was counted so far."""
        return Overlapping(
            account=self._account,
            guests=len(self._guests),
            events=self._events,
            with_triggers=self._rules is not None and self._rules.is_told,
            at=self._now,
        )


async def survey_overlap(pipeline: Pipeline, span: Span, now: datetime) -> Overlapping:
    """Count over the events that start in a span, in a reading of its own. Raises CalrelayError; what a flawed read shows, counts."""
    policy = await pipeline.policy(remember=False)
    rules = pipeline.listener.rules if pipeline.listener else None
    count = OverlapCount(policy, rules, account=pipeline.source.account, now=now)
    async for page in pipeline.source.read(Scope(span=span)):
        if not isinstance(page, Flaw):
            links = pipeline.ledger.links(pipeline.name, [row.source_id for row in page.rows])
            for row in page.rows:
                if isinstance(row, Event) and row.start in span:
                    count.note(row, links.get(row.source_id))
    return count.found
