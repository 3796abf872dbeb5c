"""`try`: one event as a trial copy with only the operator's own contact, so that its messages can be seen before any guest sees them."""

import dataclasses

from calrelay.domain.entry import Entry
from calrelay.domain.event import SourceId, Unmappable
from calrelay.domain.link import TRIAL, ExternalId, Field, MessageMode, external_id_of
from calrelay.domain.people import Participant
from calrelay.engine.pipeline import Pipeline
from calrelay.errors import ConfigError, ResponseInvalid
from calrelay.ports import Holding, Put

MEMO_TRIAL = "copy:{target}:{base_id}"  # the generation that is there, or due, and behind a colon the target's id of it, where it was sent
_UNANSWERED = "?"  # in place of an id: noted before a copy is sent, and what stays where no answer comes (rule 19)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A copy as it was sent; one that was there before may have others on it, because the target keeps people it has messaged.

    `people` is how many the target says are on it, None where it does not say.
    """

    external_id: ExternalId
    entry: Entry
    was_there: bool
    people: int | None


async def send_trial(pipeline: Pipeline, source_id: SourceId, contact: Participant, mode: MessageMode | None = None) -> Trial:
    """Send the event as it would look, to nobody but `contact`. Sending it again updates the same copy.

    Raises ConfigError when the source does not have the event, or the target is another account than before, MappingError when it cannot
    be mapped, VendorError from either side, also where the target does not say that it has taken the copy.
    """
    await pipeline.check_target()
    policy = await pipeline.policy(remember=True)
    row = await pipeline.source.find(source_id)
    if row is None:
        raise ConfigError(f"account {pipeline.source.account} has no event {source_id}", remedy="`calrelay plan` lists the ids it has")
    if isinstance(row, Unmappable):
        raise row.error
    entry = dataclasses.replace(policy.entry_of(row, mode or policy.mode, backfilled=False), participants=(contact,))
    base_id = _base_id(policy.base_id(source_id))
    generation, held = await _look(pipeline, base_id)
    while held is not None and held.calendar not in (None, entry.calendar):
        await _delete(pipeline, base_id, generation, held)  # none is ever sent to another calendar (rule 18)
        generation, held = await _look(pipeline, base_id)
    external_id = external_id_of(base_id, generation)
    _remember(pipeline, base_id, generation, _UNANSWERED)
    put = Put(external_id=external_id, calendar=entry.calendar, entry=entry, fields=frozenset(Field))
    sent = next((one for one in await pipeline.target.upsert([put]) if one.external_id == external_id and not one.is_deleted), None)
    if sent is None:
        raise ResponseInvalid(
            f"account {pipeline.target.account} answered without the trial copy {external_id}, so that nobody knows whether it has it",
            remedy="look there for it, and try again",
            account=pipeline.target.account,
        )
    _remember(pipeline, base_id, generation, sent.target_id)
    people = None if sent.participants is None else len(sent.participants)
    return Trial(external_id=external_id, entry=entry, was_there=held is not None, people=people)


async def delete_trial(pipeline: Pipeline, source_id: SourceId) -> tuple[ExternalId, bool]:
    """Delete the trial copy again; return its id, and whether there was one. The next copy is another entry.

    Raises ConfigError when the target is another account than before.
    """
    await pipeline.check_target()
    policy = await pipeline.policy(remember=True)
    base_id = _base_id(policy.base_id(source_id))
    generation, held = await _look(pipeline, base_id)
    if held is not None:
        await _delete(pipeline, base_id, generation, held)
    return external_id_of(base_id, generation), held is not None


async def _look(pipeline: Pipeline, base_id: ExternalId) -> tuple[int, Holding | None]:
    """Return the copy that is there, or else the generation that is due.

    None that was deleted, by whomever, is sent to again: that may bring it back, with whoever was on it (Apptoto: 6).
    """
    generation, was_sent = _known(pipeline, base_id)
    while True:
        held = await pipeline.target.find(external_id_of(base_id, generation))
        if held is not None and not held.is_deleted:
            return generation, held
        if held is None and not was_sent:
            return generation, None
        generation, was_sent = generation + 1, False


async def _delete(pipeline: Pipeline, base_id: ExternalId, generation: int, held: Holding) -> None:
    await pipeline.target.delete(held.target_id)
    _remember(pipeline, base_id, generation + 1)


def _base_id(base_id: ExternalId) -> ExternalId:
    return ExternalId(TRIAL + base_id)


def _known(pipeline: Pipeline, base_id: ExternalId) -> tuple[int, bool]:
    """Return a copy's generation, and whether it was sent."""
    memo = pipeline.ledger.memo(MEMO_TRIAL.format(target=pipeline.target.account, base_id=base_id))
    generation, _, sent = memo[0].partition(":") if memo else ("1", "", "")
    return int(generation), bool(sent)


def _remember(pipeline: Pipeline, base_id: ExternalId, generation: int, sent: str = "") -> None:
    memo = MEMO_TRIAL.format(target=pipeline.target.account, base_id=base_id)
    pipeline.ledger.save_memo(memo, f"{generation}:{sent}", pipeline.clock())
