"""`show`: everything known of one event — the source row now, how it was mapped, what we remember, what the target holds."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import TypeVar

from calrelay.domain.entry import Entry
from calrelay.domain.event import Event, Unmappable
from calrelay.domain.link import Link
from calrelay.domain.plan import Decision, Delete, Skipped, plan, plan_gone
from calrelay.domain.policy import Policy, Standing
from calrelay.engine.decisions import find_links
from calrelay.engine.pipeline import Pipeline
from calrelay.errors import CalrelayError, MappingError
from calrelay.ports import Happening, Holding

Answer = TypeVar("Answer")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What `show` tells. Where an end could not be asked, its error stands instead. Holds names: for stdout and pages only."""

    pipeline: str
    link: Link | None
    event: Event | None = None
    unmappable: MappingError | None = None
    is_gone: bool = False
    source_error: CalrelayError | None = None
    standing: Standing | None = None
    standing_reason: str = ""
    entry: Entry | None = None
    decision: Decision | None = None
    holding: Holding | None = None
    target_error: CalrelayError | None = None
    history: Sequence[Happening] = ()
    at: datetime | None = None

    @property
    def errors(self) -> list[CalrelayError]:
        """What kept it from being told whole."""
        return [error for error in (self.source_error, self.target_error) if error]


async def tell(pipeline: Pipeline, link: Link) -> Story:
    """Ask both ends about one linked event and explain what the next pass would do. Writes nothing.

    An end that cannot be asked leaves its error in the story; the rest is told all the same.
    """
    story = Story(pipeline=pipeline.name, link=link, history=pipeline.ledger.history(pipeline.name, link.base_id), at=pipeline.clock())
    row, holding, policy = await asyncio.gather(  # at once: an end that is down takes its time
        _answer_or_error(pipeline.source.find(link.source_id)),
        _answer_or_error(pipeline.target.find(link.external_id)),
        _answer_or_error(pipeline.policy(remember=False)),
    )
    match holding:
        case CalrelayError():
            story = dataclasses.replace(story, target_error=holding)
        case _:
            story = dataclasses.replace(story, holding=holding)
    match row:
        case CalrelayError():
            return dataclasses.replace(story, source_error=row)
        case None:
            return dataclasses.replace(story, is_gone=True, decision=plan_gone(link, now=pipeline.clock()))
        case Unmappable():
            return dataclasses.replace(story, unmappable=row.error)
        case Event():
            story = dataclasses.replace(story, event=row)
            return _without_policy(story, policy) if isinstance(policy, CalrelayError) else _explain(pipeline, policy, link, row, story)


def known_links(pipelines: Sequence[Pipeline], external_id: str) -> list[tuple[Pipeline, Link]]:
    """Return each pipeline that has a link of this event. Raises ConfigError when none has."""
    by_name = {pipeline.name: pipeline for pipeline in pipelines}
    links = find_links(pipelines[0].ledger, external_id)
    return [(by_name[link.pipeline], link) for link in links if link.pipeline in by_name]


def _explain(pipeline: Pipeline, policy: Policy, link: Link, event: Event, story: Story) -> Story:
    standing, reason = policy.judge(event)
    story = dataclasses.replace(story, standing=standing, standing_reason=reason)
    try:
        entry = policy.entry_of(event, link.mode, backfilled=link.backfilled)
        decision = plan(event, link, policy=policy, hasher=pipeline.hasher, now=pipeline.clock())
    except MappingError as error:
        return dataclasses.replace(story, unmappable=error)
    return dataclasses.replace(story, entry=entry if _is_wanted(decision) else None, decision=decision)


def _is_wanted(decision: Decision) -> bool:
    """Say whether the target is to hold the event at all."""
    match decision:
        case Skipped() | Delete(successor=None):
            return False
        case _:
            return True


def _without_policy(story: Story, error: CalrelayError) -> Story:
    """Return a story without a decision: the target's calendars, which it rests on, could not be looked up."""
    return dataclasses.replace(story, target_error=story.target_error or error)


async def _answer_or_error(asked: Awaitable[Answer]) -> Answer | CalrelayError:
    try:
        return await asked
    except CalrelayError as error:
        return error
