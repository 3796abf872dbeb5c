"""`verify --repair`: has the target hold again what it accepted. Marks links and deletes doubles; a usual pass does the rest."""

import dataclasses

from calrelay.domain.link import LOST, Link, Owed, State, once_more
from calrelay.domain.policy import Policy
from calrelay.domain.words import counted
from calrelay.engine.adopt import orphan
from calrelay.engine.drift import Drift, DriftKind, as_held, generation_of
from calrelay.engine.generations import next_generation, used_up
from calrelay.engine.heirs import is_retired
from calrelay.engine.order import Order, Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import Problem
from calrelay.engine.sync import DAY, Progress, run_pass
from calrelay.engine.verify import Verification, source_id_of
from calrelay.errors import CalrelayError, ExitCode, GuardRefused, RequestRejected
from calrelay.ports import DELETED, Happening

A_FEW = 50  # events asked for by id; more of them come sooner with a complete read


async def repair(pipeline: Pipeline, found: Verification, *, progress: Progress | None = None) -> None:
    """Repair what a verification found, under the guards; the caller holds the pipeline's lock since before the target was read.

    Changed: what differs is forgotten, so that the pass sends exactly that. Lost: the next generation is created, if the source still
    wants the event. Unknown: adopted. Doubled: the entry that the link does not know is deleted, never both. Whatever goes wrong is
    noted in the report.
    """
    if not found.drifts or not found.is_whole:
        return
    try:
        _refuse(pipeline, found)
        await pipeline.check_target()
        policy = await pipeline.policy(remember=True)
        await _delete_doubles(pipeline, found)
        await _send(pipeline, policy, found, progress)
    except CalrelayError as error:
        if error.exit_code in (ExitCode.STATE, ExitCode.BUG):
            raise
        found.fail(error)


def _refuse(pipeline: Pipeline, found: Verification) -> None:
    """Refuse what no repair should begin with, before anything is marked."""
    name = pipeline.name
    if pipeline.ledger.pipeline(name).is_paused:
        raise GuardRefused(f"pipeline {name} is paused; nothing was repaired", remedy=f"calrelay resume {name}")
    if is_retired(pipeline.ledger, name):
        raise GuardRefused(f"pipeline {name} was retired; nothing was repaired", remedy=f"calrelay adopt {name} takes its events up again")
    if found.is_all_lost:
        raise GuardRefused(
            f"none of the {found.compared} events that account {pipeline.target.account} accepted is there any more; nothing was repaired",
            remedy=f"is it the right account? If they were deleted: `calrelay adopt {name}`, then `calrelay sync {name}`",
        )


# --- doubles ---


async def _delete_doubles(pipeline: Pipeline, found: Verification) -> None:
    doubles = [drift for drift in found.drifts if drift.kind is DriftKind.DOUBLED]
    recent = pipeline.ledger.deletes_since(pipeline.name, pipeline.clock() - DAY)
    if doubles and pipeline.limits.deletes.is_exceeded(len(doubles) + recent, lambda: pipeline.ledger.count_live(pipeline.name)):
        refusal = GuardRefused(
            f"{counted(len(doubles), 'doubled entry', 'doubled entries')} and the last day's deletes are more than the `deletes` guard "
            "lets through; left alone",
            remedy="look at them in Apptoto; delete them there, or raise `deletes` under [pipelines.guards] and repair again",
        )
        found.fail(refusal)
        return
    for drift in doubles:
        await _delete_double(pipeline, found, drift)


async def _delete_double(pipeline: Pipeline, found: Verification, drift: Drift) -> None:
    """Delete an extra entry by the target's own id; the link and its entry stay."""
    extra = drift.holding
    if extra is None or (drift.link is not None and extra.target_id == drift.link.target_id):
        return
    try:
        await pipeline.target.delete(extra.target_id)
    except RequestRejected as error:
        found.problems.append(Problem.of(error, drift.external_id))
        return
    link, generation = drift.link, generation_of(extra)
    kept = used_up(link, generation) if link is not None and generation > link.generation else []
    what = Happening(
        at=pipeline.clock(),
        pipeline=pipeline.name,
        external_id=drift.external_id,
        what=DELETED,
        detail=f"doubled: entry {extra.target_id} of the target, not the one we know",
    )
    pipeline.ledger.store(kept, [what])
    found.repaired.append(drift)


# --- everything else ---


async def _send(pipeline: Pipeline, policy: Policy, found: Verification, progress: Progress | None) -> None:
    """Mark the links, and let a pass do what they then owe."""
    marked = [(drift, link) for drift in found.drifts if (link := _marked(pipeline, policy, drift, found)) is not None]
    if not marked:
        return
    pipeline.ledger.store([link for _, link in marked], [_told(pipeline, drift, link) for drift, link in marked])
    ids = frozenset(link.source_id for _, link in marked)
    order = Order(command="verify", reach=Reach.IDS, ids=ids) if len(ids) <= A_FEW else Order(command="verify")
    found.passed = await run_pass(pipeline, order, progress=progress)
    after = pipeline.ledger.links(pipeline.name, ids)
    found.repaired += [drift for drift, link in marked if _is_mended(after.get(link.source_id))]


def _is_mended(link: Link | None) -> bool:
    """Say whether nothing is owed any more; what is held, waits or is in quarantine is different still."""
    return link is not None and link.state is State.SETTLED and link.owed is Owed.NOTHING


def _marked(pipeline: Pipeline, policy: Policy, drift: Drift, found: Verification) -> Link | None:
    match drift.kind:
        case DriftKind.CHANGED:
            return as_held(drift)
        case DriftKind.LOST if drift.link is not None:
            generation = next_generation(pipeline.ledger, drift.link, seen=found.used.get(drift.link.base_id, 0))
            lost = dataclasses.replace(drift.link, accepted=None, target_id=None, generation=generation, attempts=0, hold=None)
            # Waiting, not ready: it is no move under way, so the guards look at it. Its guest has heard of the booking (rule 18).
            return dataclasses.replace(lost, state=State.WAITING, reason=LOST, mode=once_more(lost.mode))
        case DriftKind.UNKNOWN if drift.holding is not None:
            return _adopted(policy, drift)
        case _:
            return None


def _adopted(policy: Policy, drift: Drift) -> Link | None:
    """Return a link that knows the entry; its fields are compared with nothing, so the pass sends them."""
    holding = drift.holding
    if holding is None:
        return None
    link = drift.link or policy.fresh_link(source_id_of(drift, policy))
    generation = generation_of(holding) if holding.external_id else link.generation
    return orphan(link, generation, holding, policy.calendar)


def _told(pipeline: Pipeline, drift: Drift, link: Link) -> Happening:
    detail = f"{drift.kind.value} at the target{': ' if drift.what else ''}{', '.join(drift.what)}"
    return Happening(at=pipeline.clock(), pipeline=pipeline.name, external_id=link.external_id, what="to be repaired", detail=detail)
