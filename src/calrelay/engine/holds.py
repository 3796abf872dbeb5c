"""Holds between passes: what is parked stays as it was shown, dissolves when the source changes its mind, and is approved by item."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from calrelay.domain.event import SourceId
from calrelay.domain.guard import FOR_GOOD, Approval, HoldKind, Parked, digest_of, shift_of, start_of, touched_by
from calrelay.domain.plan import Action, Create, Delete, Update
from calrelay.domain.words import counted, signed_shift
from calrelay.ports import Hold, HoldItem

APPROVAL_LASTS = timedelta(hours=24)
CREATE = "create"
DELETE = "delete"
MOVE = "move to another calendar"


def is_approved(item: HoldItem, now: datetime) -> bool:
    """Say whether an item is approved at this moment."""
    return item.approved_at is not None and now - item.approved_at <= APPROVAL_LASTS


def how_to_decide(hold_id: str) -> str:
    """Return the commands that show a hold and decide over it."""
    return f"calrelay holds {hold_id}, then calrelay approve {hold_id} or calrelay reject {hold_id}"


def as_shown(hold: Hold) -> Hold:
    """Return the hold as the operator saw it: without what came, or changed, after it was listed. One never listed is as it is."""
    if hold.shown_at is None:
        return hold
    return dataclasses.replace(hold, items=tuple(item for item in hold.items if item.shown_at is not None))


def soonest(hold: Hold) -> list[HoldItem]:
    """Return the items of a hold by start; those whose start is not known come first."""
    return sorted(hold.items, key=lambda item: (item.start.timestamp() if item.start else 0.0, item.external_id))


def approval_of(holds: Iterable[Hold], now: datetime) -> Approval:
    """Return what is approved at this moment; an approval expires after 24 hours (rule 15)."""
    return Approval(digests={item.source_id: item.digest for hold in holds for item in hold.items if is_approved(item, now)})


def merge(
    pipeline: str,
    before: Sequence[Hold],
    parked: Sequence[Parked],
    *,
    planned: Collection[SourceId],
    going: Mapping[SourceId, Action],
    now: datetime,
) -> list[Hold]:
    """Return the open holds after a plan: one of each kind, with what it parked, and with older items it said nothing about.

    `going` is what is about to be sent: items approved as exactly that stay until it has been.
    """
    kept: Mapping[HoldKind, Hold] = {hold.kind: hold for hold in before}
    fresh = {group.kind: group for group in parked}
    merged = []
    for kind in dict.fromkeys([*kept, *fresh]):
        older, group = kept.get(kind), fresh.get(kind)
        silent = [_kept(item, going.get(item.source_id)) for item in (older.items if older else ()) if _stays(item, planned, going)]
        items = [*silent, *(item_of(action) for action in (group.actions if group else ()))]
        if items:
            merged.append(_hold(pipeline, kind, older, group, items, now))
    return merged


def _stays(item: HoldItem, planned: Collection[SourceId], going: Mapping[SourceId, Action]) -> bool:
    if item.source_id not in planned:
        return True
    action = going.get(item.source_id)
    return item.approved_at is not None and action is not None and digest_of(action) == item.digest


def _kept(item: HoldItem, going: Action | None) -> HoldItem:
    """Return an item as it stays: what comes to the same may be planned for another row by now."""
    return item if going is None else dataclasses.replace(item, source_hash=going.link.source_hash)


def action_word(action: Action) -> str:
    """Name an action as people read it."""
    match action:
        case Create():
            return CREATE
        case Update():
            return "update"
        case Delete(successor=None):
            return DELETE
        case Delete():
            return MOVE


def item_of(action: Action) -> HoldItem:
    """Return an action as a hold has it. What was seen and decided of the same digest stays known: the ledger keeps it."""
    return HoldItem(
        source_id=action.link.source_id,
        external_id=action.link.external_id,
        action=action_word(action),
        digest=digest_of(action),
        start=start_of(action),
        zone=action.event.zone if action.event else None,
        shift=shift_of(action),
        source_hash=action.link.source_hash,
        people=touched_by([action]),
    )


def _hold(pipeline: str, kind: HoldKind, older: Hold | None, group: Parked | None, items: Sequence[HoldItem], now: datetime) -> Hold:
    people, earliest = _reach_of(older, group, items)
    created_at = older.created_at if older else now
    identity = older.id if older else f"{pipeline}-{kind.value.replace(' ', '-')}-{now:%m%d%H%M%S}"
    live = (group.live if group else None) or (older.live if older else None)
    return Hold(
        id=identity,
        pipeline=pipeline,
        kind=kind,
        created_at=created_at,
        words=words_of(kind, items, live),
        people=people,
        earliest=earliest,
        items=tuple(items),
        live=live,
        shown_at=older.shown_at if older else None,
    )


def _reach_of(older: Hold | None, group: Parked | None, items: Sequence[HoldItem]) -> tuple[int, datetime | None]:
    """Return how many people a hold touches, and its earliest start.

    Of items that this pass did not plan only their sums are known: what a pass adds to them counts on top, and who is on two of them
    counts once only as long as the others are there.
    """
    if group is None:
        return (_at_most(older.people, items), older.earliest) if older else (0, None)
    if older is None or len(items) == len(group.actions):
        return group.people, group.earliest
    known = {item.source_id for item in older.items}
    fresh = dataclasses.replace(group, actions=tuple(action for action in group.actions if action.link.source_id not in known))
    return _at_most(older.people + fresh.people, items), min((start for start in (older.earliest, group.earliest) if start), default=None)


def _at_most(people: int, items: Sequence[HoldItem]) -> int:
    """Return a number of people, or how many there are on these items where that is fewer."""
    known = [item.people for item in items if item.people is not None]
    return min(people, sum(known)) if len(known) == len(items) else people


_WHY: Mapping[HoldKind, str] = {
    HoldKind.CREATES: (
        "more new events at once than the `creates` guard lets through, or some that may have been there before: an edit of the config let "
        "them in, another pipeline had them, the target has lost them, or the source shows none of the others"
    ),
    HoldKind.UPDATES: "more changed events at once than this pipeline's `updates` guard lets through",
    HoldKind.DELETES: "more events to delete (the last 24 hours counted too) than this pipeline's `deletes` guard lets through",
    HoldKind.ABSENCES: "more events missing from the source than the `deletes` guard lets through; they were not asked for one by one yet",
    HoldKind.EMPTY_READ: "the source showed none of the events we expect there",
    HoldKind.SAME_SHIFT: "which is what a wrong time zone looks like",
    HoldKind.MAPPING: "a new template, option or release maps the same bookings differently",
    HoldKind.FILTER: "the filter in the config no longer matches these events",
    HoldKind.ROUTE: "a route in the config sends these events to another calendar",
    HoldKind.ZONE_DATA: "new zone rules move these events on the clock",
}


def words_of(kind: HoldKind, items: Sequence[HoldItem], live: int | None = None) -> str:
    """Say in a sentence what waits and why; until somebody decides, the target keeps what it has."""
    what = ", ".join(f"{number} to {word}" for word, number in Counter(item.action for item in items).items())
    moved = f"{_moved(items, live)}, " if kind is HoldKind.SAME_SHIFT else ""
    return f"{what}: {moved}{_WHY[kind]}"


def if_approved(hold: Hold) -> list[str]:
    """Say whom an approval may message."""
    actions = {item.action for item in hold.items}
    told = []
    if CREATE in actions:
        told.append(
            "what is created can message its guests at once, as `messages` of the pipeline says, or with `#nobooking` where it had been "
            "there; "
            f"`calrelay backfill {hold.pipeline}` over their days, with `--messages no-booking`, creates it without"
        )
    if MOVE in actions:
        told.append("each is deleted and created anew, and told of again only where `messages` is `auto`")
    return told


def if_rejected(hold: Hold) -> list[str]:
    """Say what a rejection lets go of."""
    if hold.kind not in FOR_GOOD:
        return []
    return ["these events are let go for good; where the config was edited by mistake, put it back instead: then nothing waits any more"]


def words_of_parked(group: Parked) -> str:
    """Say what would wait, and why, of a plan that has not become a hold."""
    return words_of(group.kind, [item_of(action) for action in group.actions], group.live)


def _moved(items: Sequence[HoldItem], live: int | None) -> str:
    """Say how many events move by how much: `30 of 120 events moved by +1:00`."""
    shifts = Counter(item.shift for item in items if item.shift is not None).most_common()
    if not shifts:
        return "many events moved by the same amount of time"
    (first, number), *others = shifts
    among = f"{number} of {counted(live, 'event')}" if live else counted(number, "event")
    return ", ".join([f"{among} moved by {signed_shift(first)}", *(f"{more} by {signed_shift(shift)}" for shift, more in others)])


def without(hold: Hold, source_ids: Collection[SourceId]) -> Hold:
    """Return the hold without these items."""
    items = tuple(item for item in hold.items if item.source_id not in source_ids)
    if len(items) == len(hold.items):
        return hold
    earliest = min((item.start for item in items if item.start), default=hold.earliest)
    return dataclasses.replace(
        hold, items=items, words=words_of(hold.kind, items, hold.live), people=_at_most(hold.people, items), earliest=earliest
    )


def shifts_held(holds: Iterable[Hold], now: datetime, *, but: Collection[SourceId]) -> dict[timedelta, frozenset[str]]:
    """Return which bookings wait undecided because they move by an amount, by that amount; but for those that are planned anew."""
    found: dict[timedelta, set[str]] = defaultdict(set)
    for item in (item for hold in holds if hold.kind is HoldKind.SAME_SHIFT for item in hold.items):
        if item.shift is not None and item.source_id not in but and not is_approved(item, now):
            found[item.shift].add(item.source_id)
    return {shift: frozenset(bookings) for shift, bookings in found.items()}


def standing_in(holds: Iterable[Hold]) -> dict[SourceId, HoldKind]:
    """Return what is parked, by event."""
    return {item.source_id: hold.kind for hold in holds for item in hold.items}
