"""`retire` and `rename`: a pipeline ends, or goes on under another name, and none of its events is lost or doubled by it."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Protocol

from calrelay.domain.event import SourceId
from calrelay.domain.guard import Approval, digest_of
from calrelay.domain.link import Imprint, Link, State, TargetId
from calrelay.domain.plan import Cause, Delete, failures_of
from calrelay.domain.window import Span
from calrelay.domain.words import counted
from calrelay.engine.apply import Applier
from calrelay.engine.heirs import MEMO_RETIRED, RETIRED
from calrelay.engine.latecomers import look_for_latecomers, open_until
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import Outcome, PassReport, requests_since
from calrelay.engine.scope import MEMO_LOADED
from calrelay.engine.unanswered import resolve_unanswered
from calrelay.errors import UNCLEAR, CalrelayError, ConfigError, ExitCode, GuardRefused
from calrelay.ports import Clock, Flaw, Happening, Ledger


class WholeLedger(Ledger, Protocol):
    """What these two need of a ledger beyond what passes do."""

    def all_links(self, pipeline: str) -> Iterator[Link]:
        """Yield every link of a pipeline."""

    def forget_pipeline(self, name: str) -> None:
        """Forget a pipeline and its links."""

    def rename_pipeline(self, old: str, new: str) -> None:
        """Give a pipeline another name."""


_MEMOS = ("backfill:{}:", "loaded:{}", "far:{}", "late:{}", "overlap:{}", "retired:{}", "scope:{}")  # what is noted of a pipeline


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """What `retire --delete` would delete: the events, and how many people are on them (None: the target could not be asked)."""

    links: tuple[Link, ...]
    left_alone: int
    people: int | None


def release(ledger: WholeLedger, pipeline: str, *, clock: Clock) -> int:
    """Let go of all events of a pipeline: the target keeps them, nobody touches them; return how many it holds.

    They stay claimed. A pipeline that relays the same events takes them over with all that is known of them, instead of creating them
    again; `adopt` of the pipeline itself takes them up again. Holds are closed. The caller holds the pipeline's lock.
    """
    known = list(ledger.all_links(pipeline))
    released = [_released(link) for link in known if link.state is not State.RELEASED]
    now = clock()
    told = [Happening(at=now, pipeline=pipeline, external_id=link.external_id, what="let go", detail=RETIRED) for link in released]
    _note_retired(ledger, pipeline, clock)
    ledger.save_holds(pipeline, [], released, told)
    let_go_before = (link for link in known if link.state is State.RELEASED)
    return sum(link.accepted is not None and link.accepted.end > now for link in [*released, *let_go_before])


async def doomed(pipeline: Pipeline) -> Doomed:
    """Return what `delete_all` would delete. Writes nothing; ignored events and released ones are the operator's and stay.

    Raises ConfigError where the events are at another account.
    """
    await pipeline.check_target()
    now = pipeline.clock()
    live = list(pipeline.ledger.live_links(pipeline.name, ending_after=now))
    here = [link for link in live if link.target == pipeline.target.account]
    chosen = tuple(link for link in here if not link.is_hands_off or link.reason == RETIRED)
    return Doomed(links=chosen, left_alone=len(live) - len(chosen), people=await _count_people(pipeline, chosen))


async def delete_all(pipeline: Pipeline) -> PassReport:
    """Delete every live event of a pipeline at its target, soonest first; never raises for what a vendor does.

    What was in flight at a crash is asked for first. Somebody has confirmed it: no guard, and it counts as approved. What could not be
    deleted stays linked, so that it can be run again; no pass runs any more from the first delete on. The caller holds the lock.
    """
    before = pipeline.request_counts()
    report = PassReport(pipeline=pipeline.name, command="retire", started_at=pipeline.clock())
    started = pipeline.stopwatch()
    try:
        late = await look_for_latecomers(pipeline)
        untold = await resolve_unanswered(pipeline)
        report.problems += untold.values()
        _refuse_while_open(pipeline, [problem.external_id for problem in untold.values()])
        deletes = [_delete(link) for link in (await doomed(pipeline)).links]
        _note_retired(pipeline.ledger, pipeline.name, pipeline.clock)
        going = {delete.link.external_id for delete in deletes}
        report.problems += [problem for problem in late if problem.kind != UNCLEAR or problem.external_id not in going]
        report.actions = list(deletes)
        approval = Approval(digests={delete.link.source_id: digest_of(delete) for delete in deletes})
        await Applier(pipeline, report, approval=approval).apply(deletes)
    except CalrelayError as error:
        if error.exit_code in (ExitCode.STATE, ExitCode.BUG):
            raise
        report.fail(error, Outcome.REFUSED if isinstance(error, GuardRefused) else Outcome.FAILED)
    report.requests = requests_since(before, pipeline.request_counts())
    report.seconds = pipeline.stopwatch() - started
    if report.problems:
        report.worsen(Outcome.PARTIAL)
    pipeline.ledger.record_pass(report.to_record())
    return report


def _refuse_while_open(pipeline: Pipeline, untold: Sequence[str]) -> None:
    """Refuse to delete what a request may yet bring back: after this no pass looks any more."""
    if until := open_until(pipeline):
        first = f"`calrelay ignore {' '.join(untold)}`, of which the target cannot tell; then " if untold else ""
        raise GuardRefused(
            f"requests of pipeline {pipeline.name} that were not answered may still be carried out by account {pipeline.target.account}; "
            "nothing was deleted",
            remedy=f"{first}run it again after {until:%H:%M:%S} UTC; where passes go on meanwhile, `calrelay pause {pipeline.name}` first",
        )


def end(ledger: WholeLedger, pipeline: str, *, clock: Clock) -> int:
    """Forget a pipeline whose events were deleted; where the target still holds some, let those go instead. Return how many those are.

    That it was retired stays remembered, so that a config that still has it does not begin anew.
    """
    if any(ledger.live_links(pipeline, ending_after=clock())):
        return release(ledger, pipeline, clock=clock)
    ledger.forget_pipeline(pipeline)
    return 0


def rename(ledger: WholeLedger, old: str, new: str, *, clock: Clock) -> int:
    """Give a pipeline another name, with all that is remembered of it; return how many events it has at the target.

    What a pass under the new name left behind before this (the config was edited first) holds nothing at the target, and is dropped.
    So is what a retired one of that name was. Raises ConfigError when nothing is known under the old name, or the new one has events of its
    own. The caller holds the locks of both.
    """
    if not is_known(ledger, old):
        raise ConfigError(f"nothing is remembered of a pipeline {old}", remedy="`calrelay status` lists the pipelines there are")
    if number := ledger.count_live(new):
        raise ConfigError(
            f"there is a pipeline {new} already, with {counted(number, 'event')} of its own at the target",
            remedy=f"choose another name; or, if {new} is to have what {old} has, `calrelay retire {old}`, and {new} takes its events over",
        )
    ledger.forget_pipeline(new)
    for prefix in _MEMOS:
        _rename_memos(ledger, prefix.format(new), None, clock)
    ledger.rename_pipeline(old, new)
    for prefix in _MEMOS:
        _rename_memos(ledger, prefix.format(old), prefix.format(new), clock)
    return ledger.count_live(new)


def is_known(ledger: Ledger, pipeline: str) -> bool:
    """Say whether anything is remembered of a pipeline."""
    return bool(ledger.count_states(pipeline) or ledger.passes(pipeline, 1))


def _note_retired(ledger: Ledger, pipeline: str, clock: Clock) -> None:
    ledger.save_memo(MEMO_RETIRED.format(pipeline=pipeline), clock().isoformat(), clock())
    ledger.save_memo(MEMO_LOADED.format(pipeline=pipeline), None, clock())
    ledger.note_pipeline(pipeline, is_paused=False)  # no pass runs any more; a pause from now on stops what retires it


def _rename_memos(ledger: WholeLedger, old: str, new: str | None, clock: Clock) -> None:
    """Keep what is noted of a pipeline under its new name; without one it is forgotten."""
    for key, (value, _) in ledger.memos(old).items():
        if old.endswith(":") or key == old:  # `far:venue` is not `far:venue-two`
            ledger.save_memo(key, None, clock())
            if new is not None:
                ledger.save_memo(new + key.removeprefix(old), value, clock())


def _released(link: Link) -> Link:
    """Return a link that is let go. What was in flight may be at the target: it counts as being there, its fields unknown."""
    accepted = link.accepted
    if accepted is None and link.state is State.SENDING and link.wanted is not None:
        accepted = Imprint(calendar=link.wanted.calendar, start=link.wanted.start, end=link.wanted.end, hashes={})
    if link.state is State.HELD:
        link = link.shown_again()  # its absence, or its filter, was not decided upon; what was rejected of it before is
    if link.state is State.IGNORED or link.was_deleted_there:
        return dataclasses.replace(link, hold=None)
    return dataclasses.replace(
        link,
        state=State.RELEASED,
        accepted=accepted,
        wanted=accepted,
        source_hash=link.source_hash if accepted else "",  # what was never sent is planned anew, should it be taken up again
        reason=RETIRED,
        remedy="",
        hold=None,
    )


def _delete(link: Link) -> Delete:
    wanting_none = dataclasses.replace(link, wanted=None, reason="its pipeline was retired", remedy="", attempts=failures_of(link))
    return Delete(link=wanting_none, reason="its pipeline was retired", cause=Cause.SOURCE)


async def _count_people(pipeline: Pipeline, links: tuple[Link, ...]) -> int | None:
    """Count the distinct people on these entries by looking at the target; None where it does not tell."""
    starts = [link.accepted.start for link in links if link.accepted is not None]
    if not starts:
        return 0
    ids: dict[TargetId | None, SourceId] = {link.target_id: link.source_id for link in links}
    people: set[str] = set()
    async for page in pipeline.target.listing(Span(begin=min(starts), end=max(starts))):
        if isinstance(page, Flaw):
            return None
        held = [person for holding in page if holding.target_id in ids for person in holding.participants or ()]
        people |= {person.phone or person.email or person.name for person in held}
    return len(people)
