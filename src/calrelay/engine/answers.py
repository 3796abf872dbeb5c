"""Matches a target's answer to what was sent: by the target's id, else by external id, else by asking (rule 19)."""

import dataclasses
from collections.abc import Sequence

from calrelay.domain.link import ExternalId, TargetId
from calrelay.domain.plan import Create, Update
from calrelay.engine.report import Problem
from calrelay.ports import Holding, Target


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the target says about one event that was sent; no holding: it left the event out."""

    action: Create | Update
    holding: Holding | None
    problems: tuple[Problem, ...] = ()


async def match_answers(target: Target, sent: Sequence[Create | Update], holdings: Sequence[Holding]) -> list[Answered]:
    """Find the answer to each event, asking for those that cannot be told apart otherwise."""
    by_id = {holding.target_id: holding for holding in holdings}
    by_external = {holding.external_id: holding for holding in holdings if holding.external_id}
    return [await _answer(target, action, by_id, by_external, is_told=len(by_external) == len(holdings)) for action in sent]


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
    return Answered(action=action, holding=holding, problems=tuple(_complaints(action, holding)))


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
