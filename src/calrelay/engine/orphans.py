"""What the target holds under our ids that no link and no row of the read accounts for: asked for by id before it is taken up again."""

from calrelay.domain.event import SourceId
from calrelay.domain.link import ExternalId, Link
from calrelay.domain.plan import Create
from calrelay.domain.policy import Policy
from calrelay.engine.adopt import orphan
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.survey import Surveyor
from calrelay.ports import Holding


async def adopt_unlisted(pipeline: Pipeline, surveyor: Surveyor) -> None:
    """Ask for each event about to be created, where the target's list does not tell external ids (a guess of the vendor page)."""
    if surveyor.holdings is None or surveyor.holdings.tells_external_ids:
        return
    for create in [action for action in surveyor.survey.actions if isinstance(action, Create)]:
        holding = await pipeline.target.find(create.link.external_id)
        if holding is not None and not holding.is_deleted:
            surveyor.adopt(create, create.link.generation, holding)


async def adopt_orphans(pipeline: Pipeline, policy: Policy, surveyor: Surveyor) -> None:
    """Link entries of ours that the source did not show, so that their deletion at the source is known again.

    An entry that the source does not know at all is taken up only where no other pipeline writes such ids: it could be theirs.
    """
    if surveyor.holdings is None:
        return
    unknown: dict[SourceId, tuple[int, Holding]] = {}
    for base, held in surveyor.holdings.with_prefix(policy.id_prefix).items():
        source_id = SourceId(base.removeprefix(policy.id_prefix))
        if source_id not in surveyor.survey.seen:
            unknown[source_id] = held
    linked = pipeline.ledger.links(pipeline.name, unknown.keys())
    links = {source_id: link for source_id, held in unknown.items() if (link := _orphan(policy, source_id, held, linked.get(source_id)))}
    for link in await surveyor.find(links.keys(), links):
        if pipeline.owns_prefix:
            surveyor.survey.changed.append(link)


def _orphan(policy: Policy, source_id: SourceId, held: tuple[int, Holding], known: Link | None) -> Link | None:
    base = policy.base_id(source_id)
    fresh = Link(pipeline=policy.pipeline, target=policy.target, source_id=source_id, base_id=ExternalId(base), mode=policy.mode)
    return orphan(known or fresh, *held, policy.calendar)
