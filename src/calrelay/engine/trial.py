"""`try`: one event as a trial copy with only the operator's own contact, so that its messages can be seen before any guest sees them."""

import dataclasses

from calrelay.domain.entry import Entry
from calrelay.domain.event import SourceId, Unmappable
from calrelay.domain.link import ExternalId, Field, MessageMode, TargetId
from calrelay.domain.people import Participant
from calrelay.engine.pipeline import Pipeline
from calrelay.errors import ConfigError
from calrelay.ports import Put

PREFIX = "try-"
MEMO_TRIAL = "trial:{target}:{external_id}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A copy as it was sent; one that was there before may have others on it, because the target keeps people it has messaged."""

    external_id: ExternalId
    entry: Entry
    was_there: bool


async def send_trial(pipeline: Pipeline, source_id: SourceId, contact: Participant, mode: MessageMode | None = None) -> Trial:
    """Send the event as it would look, to nobody but `contact`. Sending it again updates the same copy.

    Raises ConfigError when the source does not have the event, or the target is another account than before, MappingError when it cannot
    be mapped, VendorError from either side.
    """
    await pipeline.check_target()
    policy = await pipeline.policy(remember=True)
    row = await pipeline.source.find(source_id)
    if row is None:
        raise ConfigError(f"account {pipeline.source.account} has no event {source_id}", remedy="`calrelay plan` lists the ids it has")
    if isinstance(row, Unmappable):
        raise row.error
    entry = dataclasses.replace(policy.entry_of(row, mode or policy.mode, backfilled=False), participants=(contact,))
    external_id = ExternalId(PREFIX + policy.base_id(source_id))
    was_there = pipeline.ledger.memo(_memo(pipeline, external_id)) is not None
    holdings = await pipeline.target.upsert([Put(external_id=external_id, calendar=entry.calendar, entry=entry, fields=frozenset(Field))])
    target_id = holdings[0].target_id if holdings else None
    pipeline.ledger.save_memo(_memo(pipeline, external_id), target_id or "", pipeline.clock())
    return Trial(external_id=external_id, entry=entry, was_there=was_there)


async def delete_trial(pipeline: Pipeline, source_id: SourceId) -> bool:
    """Delete the trial copy again; return whether there was one. Raises ConfigError when the target is another account than before."""
    await pipeline.check_target()
    policy = await pipeline.policy(remember=True)
    external_id = ExternalId(PREFIX + policy.base_id(source_id))
    memo = pipeline.ledger.memo(_memo(pipeline, external_id))
    target_id = TargetId(memo[0]) if memo and memo[0] else None
    if target_id is None:
        holding = await pipeline.target.find(external_id)
        target_id = holding.target_id if holding and not holding.is_deleted else None
    if target_id is not None:
        await pipeline.target.delete(target_id)
    pipeline.ledger.save_memo(_memo(pipeline, external_id), None, pipeline.clock())
    return target_id is not None


def _memo(pipeline: Pipeline, external_id: ExternalId) -> str:
    return MEMO_TRIAL.format(target=pipeline.target.account, external_id=external_id)
