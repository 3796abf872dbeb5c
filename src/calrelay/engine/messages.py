"""`messages`: what a source will send by itself for the events of a pipeline, and which of it doubles what the target sends. Reads only."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from calrelay.domain.event import Event, SourceId, Unmappable
from calrelay.domain.link import ExternalId, Link, MessageMode
from calrelay.domain.messages import Message, Rules, messages_of, possible_of, sent_by
from calrelay.domain.people import Role
from calrelay.domain.policy import Policy, Standing
from calrelay.domain.switches import Occurrence
from calrelay.domain.window import Span
from calrelay.engine.pipeline import Pipeline
from calrelay.errors import MappingError
from calrelay.ports import Flaw, Messenger, Page, Scope

_OURS = frozenset({Role.STAFF, Role.OWNER})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EventMessages:
    """One event with all that is sent about it. `is_messaged`: the target messages its guest, or would.

    `messages` are in order of time; `possible` are those that wait for a change; `reminders` is when the target reminds, as far as the
    config says. `ghosts` are goings-off of triggers that are not there any more: whether they will send is unknown.
    """

    pipeline: str
    external_id: ExternalId
    event: Event
    is_messaged: bool
    messages: tuple[Message, ...]
    possible: tuple[Message, ...] = ()
    reminders: tuple[datetime, ...] = ()
    ghosts: tuple[Occurrence, ...] = ()
    now: datetime

    def is_doubled(self, message: Message) -> bool:
        """Say whether a message goes to the event's guest, whom the target messages as well, and is still to come."""
        return self.is_messaged and message.is_to_come_for_its_guest(self.now)

    @property
    def doubled_guest(self) -> str:
        """The address of the guest where a message to them is doubled; else empty. To be counted, never shown."""
        guest = self.event.own.guest.address if self.event.own else ""
        return guest if any(self.is_doubled(message) for message in self.messages) else ""


@dataclasses.dataclass(slots=True, kw_only=True)
class Overlap:
    """What was found of one source account, over the pipelines that read it. `events` come in order of their start."""

    account: str
    rules: Rules
    events: list[EventMessages] = dataclasses.field(default_factory=list)
    flaws: list[Flaw] = dataclasses.field(default_factory=list)
    unreadable: int = 0

    @property
    def guests_doubled(self) -> frozenset[str]:
        """The addresses of those who would hear of an event twice. To be counted, never shown."""
        return frozenset(one.doubled_guest for one in self.events if one.doubled_guest)


async def survey_messages(
    pipelines: Sequence[Pipeline], messenger: Messenger, schedules: Mapping[str, Sequence[timedelta]], now: datetime
) -> Overlap:
    """Compute what will be sent for every event of the pipelines' windows that is not over; the pipelines share one source account.

    `schedules` is when each pipeline's target reminds before an event, as the config says. An event that several pipelines read is told
    once, for the one that relays it.
    """
    found = Overlap(account=messenger.account, rules=await messenger.rules())
    events: dict[SourceId, EventMessages] = {}
    for pipeline in pipelines:
        policy = await pipeline.policy(remember=False)
        span = pipeline.window.at(now)
        for page in await _pages(pipeline, span, found):
            links = pipeline.ledger.links(pipeline.name, [row.source_id for row in page.rows])
            for row in page.rows:
                if isinstance(row, Unmappable):
                    found.unreadable += 1
                elif row.start in span and row.end > now:
                    told = _told(pipeline.name, policy, row, links.get(row.source_id), found.rules, schedules, now)
                    if row.source_id not in events or (told.is_messaged and not events[row.source_id].is_messaged):
                        events[row.source_id] = told
    found.events = sorted(events.values(), key=lambda one: (one.event.start, one.external_id))
    return found


async def tell_messages(
    pipeline: Pipeline, link: Link, is_known: bool, messenger: Messenger, schedules: Mapping[str, Sequence[timedelta]], now: datetime
) -> Overlap:
    """Tell of one event everything that was and will be sent, its triggers read one by one. Raises MappingError when it cannot be."""
    row = await pipeline.source.find(link.source_id)
    if row is None or isinstance(row, Unmappable):
        raise row.error if row else MappingError(f"{link.external_id} is not there any more at the source")
    found = Overlap(account=messenger.account, rules=await messenger.rules())
    policy = await pipeline.policy(remember=False)
    told = _told(pipeline.name, policy, row, link if is_known else None, found.rules, schedules, now)
    found.events = [with_occurrences(told, await messenger.occurrences(link.source_id), found.rules)]
    return found


def with_occurrences(told: EventMessages, occurrences: Sequence[Occurrence], rules: Rules) -> EventMessages:
    """Put what the source says of its triggers' times in the place of what was computed for them."""
    triggers = {trigger.id: trigger for trigger in rules.triggers}
    said = {occurrence.trigger for occurrence in occurrences}
    computed = [message for message in told.messages if message.trigger is None or message.trigger.id not in said]
    real = [
        message
        for occurrence in occurrences
        if occurrence.trigger in triggers
        for message in sent_by(triggers[occurrence.trigger], told.event, rules, occurrence.at)
    ]
    ghosts = tuple(occurrence for occurrence in occurrences if occurrence.trigger not in triggers and not occurrence.is_done)
    return dataclasses.replace(told, messages=_in_order([*computed, *real]), ghosts=ghosts)


async def _pages(pipeline: Pipeline, span: Span, found: Overlap) -> list[Page]:
    pages: list[Page] = []
    async for part in pipeline.source.read(Scope(span=span)):
        if isinstance(part, Flaw):
            found.flaws.append(part)
        else:
            pages.append(part)
    return pages


def _told(
    name: str, policy: Policy, event: Event, link: Link | None, rules: Rules, schedules: Mapping[str, Sequence[timedelta]], now: datetime
) -> EventMessages:
    is_messaged = guest_is_messaged(policy, event, link)
    return EventMessages(
        pipeline=name,
        external_id=link.external_id if link else policy.base_id(event.source_id),
        event=event,
        is_messaged=is_messaged,
        messages=_in_order([message for message in messages_of(event, rules) if message.at is not None and message.at >= now]),
        possible=tuple(possible_of(event, rules)),
        reminders=tuple(event.start - before for before in schedules.get(name, ())) if is_messaged else (),
        now=now,
    )


def guest_is_messaged(policy: Policy, event: Event, link: Link | None) -> bool:
    """Say whether the target messages the event's guest, or would once it is relayed: link mode `send`, `auto` or `no-booking`."""
    if (link.mode if link else policy.mode) is MessageMode.SKIP:
        return False
    if not any(person.is_reachable and person.role not in _OURS for person in event.participants):
        return False
    standing, _ = policy.judge(event)
    if link is not None and (link.is_hands_off or standing in (Standing.KEPT, Standing.UNKNOWN)):
        return link.is_live
    return standing is Standing.WANTED


def _in_order(messages: Sequence[Message]) -> tuple[Message, ...]:
    return tuple(sorted(messages, key=lambda one: (one.at.timestamp() if one.at else 0.0, one.recipient, one.channel, one.subject_id)))
