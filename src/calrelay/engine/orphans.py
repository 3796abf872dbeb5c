"""What the target holds, or should hold, and no row of the read accounts for: asked for by id before anything is concluded."""

import dataclasses

from calrelay.domain.event import SourceId
from calrelay.domain.link import ExternalId, State, external_id_of
from calrelay.domain.plan import Create
from calrelay.domain.policy import Policy
from calrelay.engine.adopt import orphan
from calrelay.engine.claims import Claims
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.survey import Surveyor
from calrelay.ports import Holding


async def adopt_unlisted(pipeline: Pipeline, policy: Policy, surveyor: Surveyor) -> None:
    """Ask for events without a link one by one, where the target's list does not tell external ids (a guess of the vendor page).

    Asked for are those about to be created, and those that should not be there and may be. What the source does not show any more, and a
    later generation where deleted ones are not shown, cannot be found so.
    """
    if not surveyor.adoption.is_in_the_dark:
        return
    for create in [action for action in surveyor.survey.actions if isinstance(action, Create)]:
        if found := await _find_live(pipeline, create.link.base_id, create.link.generation):
            surveyor.adopt(create, *found)
    for event, link in surveyor.survey.unwanted:
        base = policy.base_id(event.source_id)
        for generation in dict.fromkeys(
            (link.generation if link is not None else 1, 1)
        ):  # nothing leads to one behind a deleted one, unless shown
            if found := await _find_live(pipeline, base, generation):
                surveyor.adopt_unwanted(event, link, external_id_of(base, found[0]), found[1])
                break


async def _find_live(pipeline: Pipeline, base: ExternalId, generation: int) -> tuple[int, Holding] | None:
    """Ask for a generation, and for the next one as long as the target shows deleted ones."""
    while (holding := await pipeline.target.find(external_id_of(base, generation))) is not None:
        if not holding.is_deleted:
            return generation, holding
        generation += 1
    return None


async def adopt_orphans(pipeline: Pipeline, policy: Policy, surveyor: Surveyor, *, anew: bool) -> None:
    """Link entries of ours that the source did not show, so that their deletion at the source is known again.

    An entry that the source does not know at all is taken up where the ledger has it, where a retired pipeline left it, or where no other
    pipeline writes such ids: else it could be theirs. `anew` says that links are made anew; else live ones are as absent as any other.
    """
    holdings = surveyor.adoption.holdings
    if holdings is None:
        return
    unseen: dict[SourceId, tuple[int, Holding]] = {}
    for base, held in holdings.with_prefix(policy.id_prefix).items():
        source_id = SourceId(base.removeprefix(policy.id_prefix))
        if source_id not in surveyor.survey.seen:
            unseen[source_id] = held
    linked = pipeline.ledger.links(pipeline.name, unseen.keys())
    claims = Claims(pipeline, policy, unseen)
    links, legacies = {}, {}
    for source_id, held in unseen.items():
        if not anew and source_id in linked and linked[source_id].is_live:
            continue
        known = linked.get(source_id)
        if known is not None and holdings.compared(known, pipeline.hasher) is known:  # as absent as for any other pass
            continue
        if claims.of_another(source_id):
            is_taken = known is not None and (known.is_live or known.is_hands_off)
            if not is_taken and (legacy := claims.legacy(source_id)):
                links[source_id], legacies[source_id] = legacy.taken, legacy
        elif known is None or not known.shown_again().is_hands_off or holdings.has_after_all(known):
            link = orphan(known or policy.fresh_link(source_id), *held, policy.calendar)
            links |= {source_id: link} if link else {}
    known_as_ours = {i: link for i, link in links.items() if i not in legacies and (pipeline.owns_prefix or i in linked)}
    surveyor.survey.changed += await surveyor.find(links.keys(), known_as_ours)
    for source_id, legacy in legacies.items():  # gone at the source, or it would have been taken over with its row
        if source_id not in surveyor.survey.seen:
            surveyor.survey.changed += [legacy.given_up, legacy.taken]


def forget_lost(pipeline: Pipeline, surveyor: Surveyor) -> None:
    """Let go of entries that were deleted at both ends since the ledger was written, so that they are not taken for absent bookings."""
    holdings = surveyor.adoption.holdings
    if holdings is None:
        return
    for link in pipeline.ledger.live_links(pipeline.name, ending_after=pipeline.clock()):
        is_here = holdings.find(link.base_id) is not None
        if link.source_id in surveyor.survey.seen or link.is_hands_off or is_here or not holdings.says(link):
            continue
        gone = holdings.disown(link)
        surveyor.survey.changed.append(dataclasses.replace(gone, state=State.SETTLED, wanted=None, source_hash="", hold=None))
