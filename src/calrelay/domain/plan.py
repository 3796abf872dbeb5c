"""The decision table: what a source says of an event × what the target holds → an action, or the reason why there is none."""

import dataclasses
from datetime import datetime
from enum import StrEnum

from calrelay.domain.entry import Entry, Hasher
from calrelay.domain.event import Event
from calrelay.domain.link import REJECTED, Field, Imprint, Link, Owed, State, Wait, has_extras, once_more, quieter
from calrelay.domain.policy import Policy, Standing

GONE = "gone from the source"
PAST = "moved into the past"


class Cause(StrEnum):
    """What made an action necessary; the guard parks those that nobody at the source caused."""

    SOURCE = "source"  # somebody changed the booking
    ABSENCE = "absence"  # gone from the source, proven by asking for it
    MAPPING = "mapping"  # a new template or release: the source is the same
    FILTER = "filter"  # a filter of the config changed
    ROUTE = "route"  # a route of the config changed
    ZONE_DATA = "zone data"  # a release brought other zone rules


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Put a new entry into the target."""

    link: Link
    event: Event
    entry: Entry
    cause: Cause = Cause.SOURCE
    is_decided: bool = False  # see `_is_decided`, or the delete before it was accepted: it was decided with it


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Send the fields that changed."""

    link: Link
    event: Event
    entry: Entry
    fields: frozenset[Field]
    cause: Cause
    is_decided: bool = False  # see `_is_decided`


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Take the entry out of the target. With a `successor` it is a move to another calendar: the next generation follows (rule 18)."""

    link: Link
    reason: str
    cause: Cause
    event: Event | None = None
    successor: Entry | None = None


Action = Create | Update | Delete


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """The target holds what it should, or what it holds is to be left alone; `link` is the link as it is to be remembered."""

    link: Link
    reason: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Nothing of this event is at the target, and nothing is to be."""

    event: Event
    reason: str
    link: Link | None = None


Decision = Action | Unchanged | Skipped


def plan(event: Event, link: Link | None, *, policy: Policy, hasher: Hasher, now: datetime) -> Decision:
    """Decide about one event. Pure: the same arguments give the same decision, and deciding again after it was carried out gives none."""
    source_hash = hasher.of_event(event)
    was_missing = link is not None and link.until_shown
    link = link.shown_again() if link is not None else None
    if link is not None and _is_as_we_left_it(link, source_hash, policy):
        return Unchanged(link=link) if link.accepted else Skipped(event=event, reason=link.reason or "as before", link=link)
    if link is not None and event.end > now and _is_refused_as_it_is(link, source_hash, policy):
        return Unchanged(link=link, reason="quarantined")
    if link is not None and link.state is State.IGNORED and link.until_changed:
        reason = _why_still_rejected(event, link, source_hash, policy, hasher, now, was_missing=was_missing)
        if reason is not None:
            basis = link.basis if link.is_live else policy.basis
            noted = dataclasses.replace(link, source_hash=source_hash, basis=basis, reason=reason)
            return Skipped(event=event, reason=reason or link.state.value, link=noted)
    elif link is not None and link.is_hands_off:
        return Skipped(event=event, reason=link.reason or link.state.value, link=dataclasses.replace(link, source_hash=source_hash))
    if link is None or not link.is_live:
        return _plan_absent(event, link, source_hash, policy, hasher, now)
    return _plan_live(event, link, source_hash, policy, hasher, now)


def _why_still_rejected(
    event: Event, link: Link, source_hash: str, policy: Policy, hasher: Hasher, now: datetime, *, was_missing: bool
) -> str | None:
    """Say why what was rejected, or dropped, is left alone: its row is the one of which it was, or has its entry come to the very same.

    What was not to be deleted is left alone for as long as the same wants to delete it, a booking that was cancelled for as long as it is;
    then what its source says counts again. What was not to be created is another booking with another row, be it only that it is certain
    now. None where it is to be planned like any other.
    """
    is_of_this_row = link.is_of_row(source_hash)
    is_kept = link.wanted is None and link.accepted is not None
    if is_of_this_row and not is_kept:
        return link.reason
    if not (link.source_hash or link.attempts or link.reason.startswith(REJECTED)):  # dropped because its row could not be read
        return None
    settled = dataclasses.replace(link, state=State.SETTLED, until_changed=False)
    if not link.is_live:
        again: Decision = _plan_absent(event, settled, source_hash, policy, hasher, now)
    else:
        again = _judge_live(event, settled, source_hash, policy, hasher, now)
    if is_kept:  # an older version did not note the row; where its absence was rejected there is none
        is_of_this_row = is_of_this_row or (not link.source_hash and not was_missing)
        if not isinstance(again, Delete) or again.successor is not None:
            return None
        if not link.reason.startswith(REJECTED):  # dropped, which is until its row changes
            return link.reason if is_of_this_row else None
        reason = f"{REJECTED} for as long as the same would delete it ({again.reason})"
        return reason if is_of_this_row or link.reason == reason else None
    if not isinstance(again, Create | Update | Delete):
        return None
    if isinstance(again, Create) and link.source_hash and not _is_read_anew(link, policy):
        return None
    return link.reason if _is_the_same_wish(again.link.wanted, link, source_hash) else None


def _is_read_anew(link: Link, policy: Policy) -> bool:
    """Whether a release, or the config, reads rows otherwise than when this was planned: then its row may be the same as before."""
    known, now = link.basis, policy.basis
    return known.mapping not in ("", now.mapping) or known.zone_data not in ("", now.zone_data)


def _is_the_same_wish(wanted: Imprint | None, link: Link, source_hash: str) -> bool:
    """Whether the target would be told the same as before; custom data aside where extra fields are in it, and there is more to tell."""
    if wanted is None or link.wanted is None or wanted.calendar != link.wanted.calendar:
        return False
    other = wanted.differs_from(link.wanted)
    held = link.accepted
    has_more = held is None or held.calendar != wanted.calendar or bool(link.wanted.differs_from(held) - other)
    return not other or (other == {Field.CUSTOM_DATA} and has_more and has_extras(source_hash))


def was_ignored_since(now: Link, planned: Link) -> bool:
    """Say whether somebody has ignored, rejected or released an event since this was planned for it; `now` is its link as it is.

    What was left alone when it was planned is not meant: its row has changed since, or `retire` deletes what it let go.
    """
    return now.is_hands_off and (now.state, now.until_changed) != (planned.state, planned.until_changed)


def _plan_absent(event: Event, link: Link | None, source_hash: str, policy: Policy, hasher: Hasher, now: datetime) -> Decision:
    """The target holds nothing of it: create it if it is wanted and still to come."""
    standing, reason = policy.judge(event)
    is_over = event.end <= now
    was_deleted_there = link is not None and link.was_deleted_there and not (is_over and _ended(link, now))
    if standing is not Standing.CANCELLED and link is not None and was_deleted_there:  # by a person (rule 19)
        return Unchanged(link=link if link.source_hash else dataclasses.replace(link, source_hash=source_hash), reason="quarantined")
    if standing is Standing.WANTED and is_over:  # a follow-up for something that has ended would go to people at once
        reason = "has ended"
    elif standing is Standing.WANTED:
        return _create(event, link, source_hash, policy, hasher)
    if link is not None and policy.filter.judge(event)[0] is Standing.OUTSIDE and not policy.is_rescoped:
        link = dataclasses.replace(link, let_in=False)  # if it is in again, its source has done it, or another edit, which shows
    return Skipped(event=event, reason=reason, link=link and _seen(link, source_hash, policy, reason))


def _plan_live(event: Event, link: Link, source_hash: str, policy: Policy, hasher: Hasher, now: datetime) -> Decision:
    """The target holds it, or may: keep it in step, or take it out; of what row and config changed together the row's part goes first."""
    decision = _judge_live(event, link, source_hash, policy, hasher, now)
    if isinstance(decision, Delete) and decision.cause in _OF_A_CHOICE and event.end > now and _is_only_choice(link, policy):
        return _first_in_place(event, link, source_hash, policy, hasher) or decision
    return decision


def _judge_live(event: Event, link: Link, source_hash: str, policy: Policy, hasher: Hasher, now: datetime) -> Decision:
    standing, reason = policy.judge(event)
    is_over = event.end <= now
    if is_over and _ended(link, now):  # over means over (rule 17)
        return Unchanged(link=_seen(link, source_hash, policy, "over"), reason="over")
    match standing:
        case Standing.CANCELLED:  # by the source, whatever else changed since
            return _delete(event, link, source_hash, policy, reason, cause=Cause.SOURCE)
        case Standing.KEPT:  # NO_SHOW: the reminder has gone out, the entry is history
            return Unchanged(link=_seen(link, source_hash, policy, reason), reason=reason)
        case Standing.UNKNOWN if is_over:  # updated but never deleted
            return Unchanged(link=_seen(link, source_hash, policy, reason), reason=reason)
        case Standing.WANTED | Standing.OUTSIDE if is_over:
            cause = _cause(link, source_hash, policy, _TIMES, ours=Cause.FILTER)
            return _delete(event, link, source_hash, policy, PAST, cause=cause)
        case Standing.OUTSIDE:  # moved out of the filter, or the filter moved away from it
            cause = _cause_of_choice(link, source_hash, policy, frozenset(), ours=Cause.FILTER)
            return _delete(event, link, source_hash, policy, reason, cause=cause)
        case Standing.WANTED | Standing.UNKNOWN:
            return _update(event, link, source_hash, policy, hasher, may_move=standing is Standing.WANTED)


def _is_only_choice(link: Link, policy: Policy) -> bool:
    """Whether the choice of the config has changed since this was planned last, and nothing else of ours but texts."""
    known, now = link.basis, policy.basis
    has_changed = known.choice not in ("", now.choice) and bool(link.source_hash)
    return has_changed and (known.zone_data, known.mapping) == (now.zone_data, now.mapping)


def _first_in_place(event: Event, link: Link, source_hash: str, policy: Policy, hasher: Hasher) -> Update | None:
    """Bring an entry in step with its row where it is, None where it is; what the config makes of it is left to the next plan.

    So an entry that waits in a hold has the time and the people that its booking has, also where what was sent of them did not arrive.
    """
    update = _update(event, link, source_hash, policy, hasher, may_move=False)
    if not isinstance(update, Update):
        return None
    unsettled = dataclasses.replace(update.link, basis=policy.basis.with_choice_of(link.basis))
    has_arrived = link.basis.texts != policy.basis.texts and not update.fields & _OF_THE_ROW  # for all that anybody can tell
    if link.is_of_row(source_hash) and (has_arrived or _waits_without_it(link) or _was_tried_in_vain(link, unsettled, policy)):
        return None
    unread = dataclasses.replace(event, row_hash="")  # its row is to be looked at again
    return dataclasses.replace(update, link=unsettled, event=unread, cause=Cause.SOURCE)


def _waits_without_it(link: Link) -> bool:
    """Whether the target refused to bring an entry in step where it is, or it is held since, to be taken out or elsewhere."""
    if link.state is State.HELD and link.accepted is not None:
        return link.wanted is None or link.wanted.calendar != link.accepted.calendar
    return link.state is State.QUARANTINED and link.attempts > 0


def _was_tried_in_vain(link: Link, again: Link, policy: Policy) -> bool:
    """Whether this very update did not arrive in a calendar that the config has given up, perhaps because it is there no more."""
    is_given_up = link.accepted is not None and link.accepted.calendar not in policy.calendars
    return is_given_up and link.state is State.READY and link.basis == again.basis and link.wanted == again.wanted


def plan_gone(link: Link, *, now: datetime) -> Delete | Unchanged:
    """Decide about a linked event that its source does not have any more, proven by asking for it (rule 2)."""
    if link.outlives_its_row:
        return Unchanged(link=link, reason=link.reason)
    if not link.is_live or _ended(link, now):
        known = link.source_hash if link.is_live else ""  # else what comes back as it was would be taken for what nothing is owed for
        return Unchanged(link=dataclasses.replace(link, state=State.SETTLED, wanted=link.accepted, source_hash=known, hold=None))
    unwanted = dataclasses.replace(link, wanted=None, source_hash="", reason=GONE, remedy="", attempts=failures_of(link))
    return Delete(link=unwanted, reason=GONE, cause=Cause.ABSENCE)


def _is_as_we_left_it(link: Link, source_hash: str, policy: Policy) -> bool:
    """The cheap way out, taken by nearly every row of every pass: same row, same rules, nothing owed."""
    return (
        link.state is State.SETTLED
        and link.source_hash == source_hash
        and link.basis == policy.basis
        and link.owed is Owed.NOTHING
        and not link.let_in
    )  # fmt: skip


def _is_refused_as_it_is(link: Link, source_hash: str, policy: Policy) -> bool:
    """The target refused exactly this; it is tried again when the row, the mapping or the config changes, or on request."""
    return bool(link.state is State.QUARANTINED and link.attempts and link.is_of_row(source_hash) and link.basis == policy.basis)


def _ended(link: Link, now: datetime) -> bool:
    """Whether what the target holds is over; an entry we never saw confirmed counts by what we wanted."""
    held = link.accepted or link.wanted
    return held is not None and held.end <= now


def _seen(link: Link, source_hash: str, policy: Policy, reason: str) -> Link:
    """Remember that nothing is owed for this state of the source."""
    return dataclasses.replace(
        link,
        state=State.SETTLED,
        wanted=link.accepted,
        source_hash=source_hash,
        basis=policy.basis,
        reason=reason,
        remedy="",
        hold=None,
        attempts=0,
    )


def _create(event: Event, link: Link | None, source_hash: str, policy: Policy, hasher: Hasher) -> Create:
    if link is None:
        return _create_new(event, source_hash, policy, hasher)
    base = policy.base_id(event.source_id)
    if link.target != policy.target or (link.state is not State.READY and link.base_id != base):  # nothing of it is anywhere
        link = dataclasses.replace(link, target=policy.target, base_id=base, generation=1)  # generations count for one id at one account
    ends_move = link.state is State.READY and link.wanted is not None and link.generation > 1
    is_decided = ends_move or _is_decided(link, source_hash, policy) or (link.state is State.WAITING and link.reason in tuple(Wait))
    if not (ends_move or link.backfilled):  # what was parked under another mode follows a config that was made quieter since
        mode = quieter(link.mode, policy.mode)
        link = link if link.mode is mode else dataclasses.replace(link, mode=mode)
    link = link.as_let_in(is_rescoped=policy.is_rescoped)
    entry = policy.entry_of(event, link.mode, backfilled=link.backfilled)
    return Create(link=_wanting(link, hasher.of_entry(entry), source_hash, policy), event=event, entry=entry, is_decided=is_decided)


def _create_new(event: Event, source_hash: str, policy: Policy, hasher: Hasher) -> Create:
    entry = policy.entry_of(event, policy.mode, backfilled=False)
    link = Link(
        pipeline=policy.pipeline,
        target=policy.target,
        source_id=event.source_id,
        base_id=policy.base_id(event.source_id),
        mode=policy.mode,
        source_hash=source_hash,
        basis=policy.basis,
        wanted=hasher.of_entry(entry),
        let_in=policy.is_rescoped,
    )
    return Create(link=link, event=event, entry=entry)


def _update(event: Event, link: Link, source_hash: str, policy: Policy, hasher: Hasher, *, may_move: bool) -> Decision:
    entry = policy.entry_of(event, link.mode, backfilled=link.backfilled)
    if link.accepted is not None and not may_move:
        entry = dataclasses.replace(entry, calendar=link.accepted.calendar)
    elif link.accepted is not None and entry.calendar != link.accepted.calendar:  # its guest has heard of the booking (rule 18)
        link = dataclasses.replace(link, mode=once_more(link.mode))
        entry = policy.entry_of(event, link.mode, backfilled=link.backfilled)
    wanting = _wanting(link, hasher.of_entry(entry), source_hash, policy)
    match wanting.owed:
        case Owed.CREATE:  # a create whose answer was never seen, and that turned out not to have happened
            return Create(link=wanting, event=event, entry=entry)
        case Owed.MOVE if wanting.wanted is not None and wanting.accepted is not None:
            cause = _cause_of_choice(link, source_hash, policy, wanting.wanted.differs_from(wanting.accepted), ours=Cause.ROUTE)
            if cause is Cause.SOURCE:  # or a person put it elsewhere, and its new words are undecided
                cause = _cause(link, source_hash, policy, frozenset())
            return Delete(link=wanting, event=event, reason="belongs to another calendar", cause=cause, successor=entry)
        case Owed.UPDATE if wanting.wanted is not None and wanting.accepted is not None:
            fields = wanting.wanted.differs_from(wanting.accepted)
            return Update(
                link=wanting,
                event=event,
                entry=entry,
                fields=fields,
                cause=_cause(link, source_hash, policy, fields),
                is_decided=_is_decided(link, source_hash, policy),
            )
        case _:
            return Unchanged(link=_seen(wanting, source_hash, policy, ""))


def _delete(event: Event, link: Link, source_hash: str, policy: Policy, reason: str, *, cause: Cause) -> Delete:
    return Delete(link=_wanting(link, None, source_hash, policy, reason), event=event, reason=reason, cause=cause)


def _wanting(link: Link, wanted: Imprint | None, source_hash: str, policy: Policy, reason: str = "") -> Link:
    """Return the link as it is to be once the action was carried out.

    Whoever parks an action keeps the old hash and basis, so that the next pass recognises again who caused it.
    """
    return dataclasses.replace(
        link, wanted=wanted, source_hash=source_hash, basis=policy.basis, reason=reason, remedy="", attempts=failures_of(link)
    )


def failures_of(link: Link) -> int:
    """Return how often the target has failed over this; refusals were of another row, mapping or config."""
    return link.attempts if link.state in (State.READY, State.WAITING) else 0


def _is_decided(link: Link, source_hash: str, policy: Policy) -> bool:
    """Whether exactly this was let through before: it could not be sent, was retried by the operator, or was asked for (`retag`).

    A READY link comes from nowhere else, and its row and rules are as they were then. The guards do not count it again.
    """
    return link.state is State.READY and link.is_of_row(source_hash) and link.basis == policy.basis


_TIMES = frozenset({Field.START, Field.END, Field.TIME_ZONE})
_OF_THE_ROW = _TIMES | {Field.PARTICIPANTS}  # no filter, route or template has a say in these
_OF_A_CHOICE = (Cause.FILTER, Cause.ROUTE)


def _cause_of_choice(link: Link, source_hash: str, policy: Policy, fields: frozenset[Field], *, ours: Cause) -> Cause:
    """Say who took an event out, or elsewhere. Where row and choice have both changed nobody can tell: then the choice (rule 13)."""
    return ours if _is_only_choice(link, policy) else _cause(link, source_hash, policy, fields, ours=ours)


def _cause(link: Link, source_hash: str, policy: Policy, fields: frozenset[Field], *, ours: Cause = Cause.MAPPING) -> Cause:
    """Say who caused a difference: somebody at the source, or a change of ours (rules 9, 13, 14).

    Whether a row has changed cannot be told where its hash is not known, or new zone rules move instants: then it counts as ours. But times
    and people are the row's: an earlier try of them did not arrive.
    """
    has_new_zones = link.basis.zone_data not in ("", policy.basis.zone_data)
    if has_new_zones and fields & _TIMES:
        return Cause.ZONE_DATA
    if link.basis.mapping not in ("", policy.basis.mapping):
        return ours
    has_changed_row = bool(link.source_hash) and not link.is_of_row(source_hash)
    is_of_the_row = has_changed_row or (ours is Cause.MAPPING and fields & _OF_THE_ROW)
    if is_of_the_row and not has_new_zones:
        return Cause.SOURCE
    known, now = link.basis, policy.basis
    has_changed = known.choice not in ("", now.choice) if ours in _OF_A_CHOICE else known.texts not in ("", now.texts)
    return ours if has_changed else Cause.SOURCE
