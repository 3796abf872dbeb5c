"""How many guests would hear of an event twice, counted while a pass reads; numbers only, remembered for `status`."""

import dataclasses
import json
from datetime import datetime
from typing import Final, Protocol

from calrelay.domain.event import Event
from calrelay.domain.link import Link
from calrelay.domain.messages import Action, Moment, Rules, messages_of
from calrelay.domain.policy import Policy
from calrelay.domain.reminders import Recipient
from calrelay.domain.window import Span
from calrelay.engine.listening import remembered_rules
from calrelay.engine.messages import guest_is_messaged
from calrelay.engine.pipeline import Pipeline
from calrelay.ports import Flaw, Scope

MEMO_OVERLAP: Final = "overlap:{pipeline}"


class Memory(Protocol):
    """The small facts of the ledger."""

    def memo(self, key: str) -> tuple[str, datetime] | None:
        """Return a remembered fact, and when it was noted."""

    def save_memo(self, key: str, value: str | None, at: datetime) -> None:
        """Remember a small fact, or forget it with None."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Overlapping:
    """Guests, and their events, of one pipeline whom the source account messages, too.

    `with_triggers` False: its triggers were not known, so built-in reminders alone were counted; `uncounted` is how many triggers turned
    out since to mail guests.
    """

    account: str
    guests: int
    events: int
    with_triggers: bool
    at: datetime
    uncounted: int = 0

    def __bool__(self) -> bool:
        return bool(self.guests or self.uncounted)

    def to_json(self) -> dict[str, object]:
        """Return it as `status`, `plan` and `check` have it."""
        return {
            "guests": self.guests,
            "events": self.events,
            "with_triggers": self.with_triggers,
            "uncounted_triggers": self.uncounted,
            "at": self.at.isoformat(),
        }


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


def remember_overlap(memory: Memory, pipeline: str, overlap: Overlapping) -> None:
    """Keep what a complete pass counted."""
    words = {"guests": overlap.guests, "events": overlap.events, "with_triggers": overlap.with_triggers}
    memory.save_memo(MEMO_OVERLAP.format(pipeline=pipeline), json.dumps(words), overlap.at)


def remembered_overlap(memory: Memory, pipeline: str, account: str) -> Overlapping | None:
    """Return what the last complete pass counted, and the triggers that were learnt of since; None before the first."""
    memo = memory.memo(MEMO_OVERLAP.format(pipeline=pipeline))
    if memo is None:
        return None
    found = Overlapping(account=account, **json.loads(memo[0]), at=memo[1])
    rules = None if found.with_triggers else remembered_rules(memory, account)
    return dataclasses.replace(found, uncounted=mailing_triggers(rules)) if rules else found


def mailing_triggers(rules: Rules) -> int:
    """Count the triggers that mail guests at a time before or after an event."""
    return sum(
        trigger.moment is Moment.TIME and any(_mails_guests(action, rules) for action in trigger.actions) for trigger in rules.triggers
    )


def _mails_guests(action: Action, rules: Rules) -> bool:
    template = rules.template_of(action, None)
    return template is not None and template.recipient is Recipient.GUEST
