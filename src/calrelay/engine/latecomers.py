"""Requests that may take effect late: what was in flight when a process died is looked at again until no vendor works on it any more.

A request whose answer was never seen may still be worked on (Apptoto answers after up to 240 s: 5), so what the target says at once is not
the last word: a booking cancelled meanwhile would come back, one that was changed would get its old values, one that returned would go.
"""

import dataclasses
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from calrelay.domain.event import SourceId
from calrelay.domain.link import ExternalId, Imprint, Link, State, external_id_parts
from calrelay.engine.asking import ask_for, check_that_it_answers, may_be_the_event
from calrelay.engine.drift import Drift, as_held, compare
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import Problem
from calrelay.errors import UNCLEAR, RequestRejected, VendorError
from calrelay.ports import DELETED, Happening, Holding

MEMO_LATE = "late:{pipeline}"
SETTLED_AFTER = timedelta(minutes=5)  # the longest wait for an answer is 240 s
FIRST_LOOK = timedelta(seconds=5)
SELDOM = timedelta(hours=1)  # between two questions that the target fails over
OURS_FOR = timedelta(hours=2)  # so long what is otherwise at the target is taken for a request of ours; later it may be a person's doing


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Latecomer:
    """One event that was in a request whose answer nobody saw. `next_look` comes later each time."""

    source_id: SourceId
    external_id: ExternalId
    was_delete: bool
    since: datetime
    next_look: datetime

    @classmethod
    def of(cls, link: Link, now: datetime) -> "Latecomer":
        """Tell a link that is still in SENDING."""
        was_delete = link.wanted is None or (link.accepted is not None and link.accepted.calendar != link.wanted.calendar)
        return cls(source_id=link.source_id, external_id=link.external_id, was_delete=was_delete, since=now, next_look=now + FIRST_LOOK)

    def looked_at(self, now: datetime) -> "Latecomer | None":
        """Return it as it is to be looked at next; None when nothing can come any more."""
        age = now - self.since
        if age >= SETTLED_AFTER:
            return None
        return dataclasses.replace(self, next_look=now + min(max(age, FIRST_LOOK), SETTLED_AFTER - age))

    def not_told(self, now: datetime) -> "Latecomer":
        """Return it as it is to be asked for again where the target could not tell: what came stays, however late it is seen."""
        return dataclasses.replace(self, next_look=now + min(max(now - self.since, FIRST_LOOK), SELDOM))

    def to_json(self) -> dict[str, Any]:
        """Return it as a memo keeps it."""
        return {**dataclasses.asdict(self), "since": self.since.isoformat(), "next_look": self.next_look.isoformat()}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Latecomer":
        """Return it from a memo."""
        return cls(**{**kept, "since": datetime.fromisoformat(kept["since"]), "next_look": datetime.fromisoformat(kept["next_look"])})


def remember(pipeline: Pipeline, unanswered: Iterable[Link]) -> None:
    """Note links in SENDING, before they are resolved."""
    if fresh := [Latecomer.of(link, pipeline.clock()) for link in unanswered]:
        ids = {one.external_id for one in fresh}
        _keep(pipeline, [*(one for one in _kept(pipeline) if one.external_id not in ids), *fresh])


def open_until(pipeline: Pipeline) -> datetime | None:
    """Return until when a create or change whose answer nobody saw may still be carried out; None when there is none."""
    until = max((one.since + SETTLED_AFTER for one in _kept(pipeline) if not one.was_delete), default=None)
    return until if until is not None and until > pipeline.clock() else None


def awaited(pipeline: Pipeline) -> set[SourceId]:
    """Return the events of which a request may still be carried out, or nobody can tell whether it was."""
    return {one.source_id for one in _kept(pipeline)}


async def look_for_latecomers(pipeline: Pipeline) -> list[Problem]:
    """Look at those that are due; what has come late is noted in their links, and the pass acts on it. Without any there is no request.

    Returns what the target would not take out, and what may as well be a person's doing. Neither is forgotten before it is cleared up, nor
    are those of which the target does not tell though it answers otherwise. Raises VendorError when it cannot be asked.
    """
    now, left = pipeline.clock(), _kept(pipeline)
    due = [one for one in left if one.next_look <= now or one.since > now]  # a clock that went back makes nothing wait for ever
    links = pipeline.ledger.links(pipeline.name, [one.source_id for one in due])
    asked = {one.external_id: links[one.source_id] for one in due if one.source_id in links and _is_looked_at(links[one.source_id])}
    failed: dict[ExternalId, VendorError] = {}
    holdings = await ask_for(pipeline, asked, failed=failed)
    if failed and not holdings:
        await check_that_it_answers(pipeline, failed)
    problems = []
    for one in due:
        later = one.looked_at(now) if one.since <= now else None
        if one.external_id in failed:
            later = one.not_told(now)
        elif one.external_id not in holdings:  # its link is on its way, or left alone: when that is over, it is asked for
            later = _not_looked_at(one, links.get(one.source_id), now)
        else:
            link = pipeline.ledger.links(pipeline.name, [one.source_id])[one.source_id]  # anew: another generation of it may have been seen
            try:
                problem = await _look_at(pipeline, one, link, holdings[one.external_id])
            except VendorError as error:
                if not (isinstance(error, RequestRejected) or may_be_the_event(error)):
                    raise
                problem = _left_there(one, error)
            if problem is not None:
                problems.append(problem)
                later = dataclasses.replace(one, next_look=now)
        left = [other for other in left if other is not one] + ([later] if later else [])
        _keep(pipeline, left)
    return problems


def _not_looked_at(late: Latecomer, link: Link | None, now: datetime) -> Latecomer | None:
    """Keep one whose link is on its way, or left alone, for when that is over; not beyond the end of what is left alone."""
    if link is None or (link.is_hands_off and _is_over(link, now)):
        return None
    return dataclasses.replace(late, next_look=now + SELDOM if link.is_hands_off else now)


def _left_there(late: Latecomer, error: VendorError) -> Problem:
    return Problem(
        kind=error.kind,
        is_unresolved=True,
        message=f"an entry that came late stands beside the one we know, and the target does not take it out: {error.message}",
        remedy="it is tried again until it is gone; or delete it in Apptoto",
        external_id=late.external_id,
    )


def _whose_doing(pipeline: Pipeline, late: Latecomer, what: str) -> Problem:
    repair = f"`calrelay verify {pipeline.name}` shows it, and with `--repair` puts it right"
    return Problem(
        kind=UNCLEAR,
        is_unresolved=True,
        message=f"{what}: a request of ours that had no answer and was carried out late, or a person's doing; nobody could look for hours",
        remedy=f"{repair}; `calrelay ignore {late.external_id}` leaves it as it is",
        external_id=late.external_id,
    )


def _is_over(link: Link, now: datetime) -> bool:
    held = link.accepted or link.wanted
    return held is not None and held.end <= now


def _is_looked_at(link: Link) -> bool:
    """Whether what comes late matters: what was rejected is planned again when its row changes, what was ignored or released is not."""
    return link.state is not State.SENDING and (not link.is_hands_off or (link.state is State.IGNORED and link.until_changed))


async def _look_at(pipeline: Pipeline, late: Latecomer, link: Link, holding: Holding | None) -> Problem | None:
    """Note in its link what has come late, or take it out. Returns what may as well be a person's doing."""
    entry = None if holding is None or holding.is_deleted else holding
    if link.accepted is not None and link.external_id == late.external_id:
        return _look_at_ours(pipeline, late, link, entry)
    if entry is None:
        return None
    if link.accepted is not None:
        await _take_out(pipeline, late, entry, link)
    elif not _is_another_pipelines(pipeline, link) and (back := _come_back(link, late, entry)):
        _note(pipeline, late, link, back, "is there after all")
    return None


def _look_at_ours(pipeline: Pipeline, late: Latecomer, link: Link, entry: Holding | None) -> Problem | None:
    """The same for the entry that its link knows."""
    now, seen = pipeline.clock(), _as_seen(pipeline, link, entry, late)
    if seen is None:
        return None
    if now - late.since <= OURS_FOR or link.is_hands_off:  # what is left alone is only to be known
        _note(pipeline, late, link, seen, "is there after all" if entry else "was deleted after all")
        return None
    is_over_there = entry is None or entry.end is None or entry.end <= now
    if _is_over(link, now) and is_over_there:
        return None
    return _whose_doing(pipeline, late, f"its entry in Apptoto is {'otherwise than what was sent last' if entry else 'gone'}")


def _note(pipeline: Pipeline, late: Latecomer, link: Link, seen: Link, what: str) -> None:
    if link.is_hands_off:  # rejected meanwhile
        seen = dataclasses.replace(seen, state=link.state)
    pipeline.ledger.store([seen], [_happening(pipeline, late.external_id, "came late", what)])


def _is_another_pipelines(pipeline: Pipeline, link: Link) -> bool:
    """Whether the entry under this external id is another pipeline's, to which the booking went meanwhile."""
    claim = pipeline.ledger.claims(link.target, [link.base_id]).get(link.base_id)
    return claim is not None and claim.bars(pipeline.name)


def _as_seen(pipeline: Pipeline, link: Link, holding: Holding | None, late: Latecomer) -> Link | None:
    """Return a link that knows what a late change did to its entry, so that it is sent again; None where nothing has changed."""
    if link.accepted is None:
        return None
    if holding is None:
        if not late.was_delete:  # a person's doing; `verify` tells of it
            return None
        return dataclasses.replace(link, state=State.READY, accepted=None, target_id=None, generation=link.generation + 1)
    drift: Drift | None = compare(link, link.accepted, holding, pipeline.hasher)
    held = as_held(drift) if drift else None
    return dataclasses.replace(held, state=State.READY if held.state is State.SETTLED else held.state) if held else None


def _come_back(link: Link, late: Latecomer, holding: Holding) -> Link | None:
    """Return a link that has its entry again, so that the pass updates it, or takes it out where its source wants none."""
    if holding.start is None or holding.end is None or holding.calendar is None:
        return None
    accepted = Imprint(calendar=holding.calendar, start=holding.start, end=holding.end, hashes={})
    generation = external_id_parts(late.external_id)[1]
    state = State.QUARANTINED if link.state is State.QUARANTINED else State.READY
    return dataclasses.replace(link, state=state, generation=generation, target_id=holding.target_id, accepted=accepted, hold=None)


async def _take_out(pipeline: Pipeline, late: Latecomer, holding: Holding, link: Link) -> None:
    """Delete an entry of an older generation that came back beside the one we know."""
    if holding.target_id == link.target_id:
        return
    await pipeline.target.delete(holding.target_id)
    pipeline.ledger.store([], [_happening(pipeline, late.external_id, DELETED, "came late, beside the one we know")])


def _happening(pipeline: Pipeline, external_id: ExternalId, what: str, detail: str) -> Happening:
    return Happening(at=pipeline.clock(), pipeline=pipeline.name, external_id=external_id, what=what, detail=detail)


def _kept(pipeline: Pipeline) -> list[Latecomer]:
    memo = pipeline.ledger.memo(MEMO_LATE.format(pipeline=pipeline.name))
    return [Latecomer.from_json(kept) for kept in json.loads(memo[0])] if memo else []


def _keep(pipeline: Pipeline, latecomers: list[Latecomer]) -> None:
    text = json.dumps([one.to_json() for one in latecomers]) if latecomers else None
    pipeline.ledger.save_memo(MEMO_LATE.format(pipeline=pipeline.name), text, pipeline.clock())
