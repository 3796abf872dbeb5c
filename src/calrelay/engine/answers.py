"""Matches a target's answer to what was sent: by the target's id, else by external id, else by asking (rule 19)."""

import dataclasses
from collections.abc import Sequence

from calrelay.domain.link import ExternalId, Field, TargetId
from calrelay.domain.plan import Create, Update
from calrelay.engine.report import Problem
from calrelay.ports import Holding, Target

MOVES = 3  # of an event that the target puts elsewhere, each under a new external id; then it may be its numbers that mean nothing


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the target says about one event that was sent; no holding: it left the event out."""

    action: Create | Update
    holding: Holding | None
    is_elsewhere: bool = False  # created, or revived, in another calendar, and to be moved
    is_anew: bool = False  # an update of some fields that made another entry: the one that was there is gone
    problems: tuple[Problem, ...] = ()


async def match_answers(target: Target, sent: Sequence[Create | Update], holdings: Sequence[Holding]) -> list[Answered]:
    """Find the answer to each event, asking for those that cannot be told apart otherwise, or were created in another calendar."""
    by_id = {holding.target_id: holding for holding in holdings}
    by_external = {holding.external_id: holding for holding in holdings if holding.external_id}
    is_told = len(by_external) == len(holdings)
    answered = [await _answer(target, action, by_id, by_external, is_told=is_told) for action in sent]
    return [await _seen_elsewhere(target, one) if _is_elsewhere(one) else one for one in answered]


async def _answer(
    target: Target, action: Create | Update, by_id: dict[TargetId, Holding], by_external: dict[ExternalId, Holding], *, is_told: bool
) -> Answered:
    link = action.link
    holding = by_id.get(link.target_id) if link.target_id else None
    holding = holding or by_external.get(link.external_id)
    # An answer always names the target's own ids, so one that is known and not named was left out. Otherwise nobody can be told apart: ask.
    is_left_out = link.target_id is not None or (is_told and bool(by_external))
    if holding is None and not is_left_out:
        holding = await target.find(link.external_id)
    if holding is None:
        return Answered(action=action, holding=None)
    return Answered(action=action, holding=holding, is_anew=_is_anew(action, holding), problems=tuple(_complaints(action, holding)))


def _is_anew(action: Create | Update, holding: Holding) -> bool:
    """Whether the target made a bare entry of an update; not where all was sent: numbers that mean nothing are not minded for ever."""
    return isinstance(action, Update) and action.link.target_id not in (None, holding.target_id) and action.fields != frozenset(Field)


def _is_elsewhere(answered: Answered) -> bool:
    action, holding = answered.action, answered.holding
    if holding is None or holding.calendar is None or not isinstance(action, Create):
        return False
    return holding.calendar != action.entry.calendar


async def _seen_elsewhere(target: Target, answered: Answered) -> Answered:
    """Ask about an event that was to go to one calendar and is said to be in another: that has it moved (rule 18), but not for ever."""
    holding = await target.find(answered.action.link.external_id)
    if holding is None or holding.is_deleted or holding.calendar in (None, answered.action.entry.calendar):
        return answered
    is_moved = answered.action.link.generation <= MOVES
    odd = Problem(
        kind="ResponseInvalid",
        message="the target created the event in another calendar than it was sent to, most likely because it was deleted there before",
        remedy="the next pass moves it" if is_moved else "look at its calendar in Apptoto; it is left where it is",
        external_id=answered.action.link.external_id,
    )
    return dataclasses.replace(answered, holding=holding, is_elsewhere=is_moved, problems=(*answered.problems, odd))


def _complaints(action: Create | Update, holding: Holding) -> list[Problem]:
    """Tell what is odd about an accepted event; it is recorded as accepted all the same, so that it is not sent for ever."""
    odd = []
    if action.link.target_id and holding.target_id != action.link.target_id:
        odd.append(f"the target answered with another id of its own ({holding.target_id} instead of {action.link.target_id})")
    if holding.is_deleted:
        odd.append("the target took the event, and shows it as deleted")
    if holding.start is not None and holding.start != action.entry.start:
        odd.append(f"the target holds it at {holding.start.isoformat()}, we sent {action.entry.start.isoformat()}")
    remedy = "look at the event in Apptoto; `calrelay show` tells what we sent"
    return [Problem(kind="ResponseInvalid", message=words, remedy=remedy, external_id=action.link.external_id) for words in odd]
