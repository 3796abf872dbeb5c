"""A second opinion on what to do about an event, written from rules 9, 13, 14, 17 and 18 on plain values; slow, and without hashes."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from calrelay.domain.event import Event, Lifecycle
from calrelay.domain.link import Basis, MessageMode

Values = Mapping[str, object]
TIMES = frozenset({"start", "end", "time_zone"})
OF_THE_ROW = TIMES | {"participants"}
MINUS_FIVE = timezone(timedelta(hours=-5))  # New York in the winter of these histories
TAGS = {MessageMode.SEND: "", MessageMode.AUTO: "#auto", MessageMode.NO_BOOKING: "#nobooking", MessageMode.SKIP: "#skip"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The config, in plain words."""

    statuses: frozenset[str] = frozenset({"DEFINITE", "CLOSED"})
    room: str = ""  # only this one; "" is all
    terrace_apart: bool = False
    prefix: str = ""  # of titles
    mode: MessageMode = MessageMode.SEND
    basis: Basis = Basis(zone_data="a", mapping="a", config="a a")


@dataclasses.dataclass(slots=True, kw_only=True)
class Memory:
    """What we know of one event. `there` is what the target holds, and the end of it as an instant; `doubtful` fields may be otherwise."""

    there: Values | None = None
    there_ends: datetime | None = None
    doubtful: frozenset[str] = frozenset()
    generation: int = 1
    mode: MessageMode | None = None
    seen: Event | None = None
    seen_basis: Basis | None = None
    refused: tuple[Event, Basis] | None = None
    left_alone: str = ""  # "for good", or "until changed"
    left_at: Event | None = None  # None: gone from its source
    is_missing_left: bool = False  # that it is gone was rejected
    asked: Values | None = None  # what was wanted last, whatever became of it
    asked_of: Event | None = None  # and of which row
    standing: str = ""  # what became of that: "refused", "parked", or something else


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What is to be done: "create", "update", "delete", "move" or nothing."""

    what: str = ""
    fields: frozenset[str] = frozenset()
    cause: str = ""
    values: Values | None = None
    is_half: bool = False  # what the source made of it, and not what the config did


def values_of(event: Event, wishes: Wishes, mode: MessageMode) -> dict[str, object]:
    """What the target is to hold of an event."""
    return {
        "title": wishes.prefix + event.title,
        "start": event.start.astimezone(MINUS_FIVE).isoformat(),
        "end": event.end.astimezone(MINUS_FIVE).isoformat(),
        "time_zone": event.zone,
        "location": event.location,
        "content": "\n".join(part for part in (f"{event.custom['guest_count']} guests", TAGS[mode]) if part),
        "participants": {(p.name, p.email, p.phone) for p in event.participants},
        "custom_data": dict(event.custom),
        "calendar": "terrace" if wishes.terrace_apart and "terrace" in event.facets["rooms"] else "hall",
    }


def judge(event: Event | None, memory: Memory, wishes: Wishes, now: datetime, *, in_halves: bool = True) -> Opinion:
    """Say what is to be done about an event as its source shows it now; None is one that is proven gone."""
    if event is None:
        return _judge_gone(memory, now)
    is_kept = (
        memory.asked is None and memory.there is not None
    )  # a deletion was rejected: that holds as long as something wants to delete it
    if memory.left_alone == "for good" or (memory.left_alone and memory.left_at == event and not is_kept):
        return Opinion()
    if memory.left_alone:
        taken_up = dataclasses.replace(memory, left_alone="", standing="")
        plain = judge(event, taken_up, wishes, now, in_halves=False)
        if plain.what != "create" and plain.values is not None and plain.values == memory.asked:
            return Opinion()  # it would be told exactly what was rejected
        if memory.left_at == event:  # it was not to be deleted: does anything want to?
            return Opinion() if plain.what == "delete" else judge(event, taken_up, wishes, now)
    if memory.refused == (event, wishes.basis) and event.end > now:
        return Opinion()
    mode = memory.mode or wishes.mode
    wanted = values_of(event, wishes, mode)
    standing, over = _standing(event, wishes), event.end <= now
    if memory.there is None:
        is_due = standing == "wanted" and not over
        return Opinion(what="create", cause="source", values=wanted) if is_due else Opinion()
    if over and memory.there_ends is not None and memory.there_ends <= now:
        return Opinion()
    if standing == "cancelled":
        return Opinion(what="delete", cause="source")
    if in_halves and _is_only_choice(memory, wishes) and (half := _judge_half(event, memory, wishes, standing, is_over=over)):
        return half
    return _judge_live(event, memory, wishes, standing, is_over=over)


def _judge_half(event: Event, memory: Memory, wishes: Wishes, standing: str, *, is_over: bool) -> Opinion | None:
    """The source's half first, where it is; then what the config makes of it, as the config's doing. None where the config does nothing."""
    assert memory.there is not None
    wanted = values_of(event, wishes, memory.mode or wishes.mode)
    is_elsewhere = standing == "wanted" and wanted["calendar"] != memory.there["calendar"]
    if is_over or (standing != "outside" and not is_elsewhere):
        return None
    in_place = {**wanted, "calendar": memory.there["calendar"]}
    fields = _fields(memory, in_place)
    waits_elsewhere = memory.standing == "parked" and (memory.asked is None or memory.asked["calendar"] != memory.there["calendar"])
    has_new_texts = memory.seen_basis is not None and said_by(memory.seen_basis) != said_by(wishes.basis)
    is_behind = bool(fields & OF_THE_ROW if has_new_texts else fields) and not waits_elsewhere and memory.standing != "refused"
    if memory.seen == event and _was_tried_in_vain(in_place, memory, wishes):
        is_behind = False
    if fields and (is_behind or memory.seen != event):
        return Opinion(what="update", fields=fields, cause="source", values=in_place, is_half=True)
    return Opinion(what="move", cause="route", values=wanted) if is_elsewhere else Opinion(what="delete", cause="filter")


def _was_tried_in_vain(in_place: Values, memory: Memory, wishes: Wishes) -> bool:
    """Whether it did not arrive in a calendar that nothing in the config names any more: that may be why."""
    assert memory.there is not None
    is_given_up = memory.there["calendar"] == "terrace" and not wishes.terrace_apart
    is_same = memory.seen_basis is not None and wishes.basis.with_choice_of(memory.seen_basis) == memory.seen_basis
    return is_given_up and memory.standing.startswith("lost") and memory.asked == in_place and is_same


def _judge_live(event: Event, memory: Memory, wishes: Wishes, standing: str, *, is_over: bool) -> Opinion:
    assert memory.there is not None
    wanted = values_of(event, wishes, memory.mode or wishes.mode)
    if standing == "outside" or (standing == "wanted" and is_over):
        moved = TIMES if is_over else frozenset[str]()
        return Opinion(what="delete", cause=_cause(event, memory, wishes, moved, "filter"))
    if standing == "kept" or is_over:
        return Opinion()
    if standing == "unknown":
        wanted["calendar"] = memory.there["calendar"]
    fields = _fields(memory, wanted)
    if wanted["calendar"] != memory.there["calendar"]:
        return Opinion(what="move", cause=_cause(event, memory, wishes, fields, "route"), values=wanted)
    if not fields:
        return Opinion()
    return Opinion(what="update", fields=fields, cause=_cause(event, memory, wishes, fields, "mapping"), values=wanted)


def _fields(memory: Memory, wanted: Values) -> frozenset[str]:
    """What is otherwise at the target, or may be."""
    assert memory.there is not None
    return frozenset(name for name, value in wanted.items() if name in memory.doubtful or memory.there[name] != value)


def _judge_gone(memory: Memory, now: datetime) -> Opinion:
    is_history = memory.there_ends is not None and memory.there_ends <= now
    is_left = memory.left_alone == "for good" or (memory.left_alone and (memory.asked is None or memory.is_missing_left))
    if memory.there is None or is_history or is_left:
        return Opinion()
    return Opinion(what="delete", cause="absence")


def _is_only_choice(memory: Memory, wishes: Wishes) -> bool:
    """Whether filter or routes have changed since its row was looked at, and no release came between."""
    known, basis = memory.seen_basis, wishes.basis
    if known is None or memory.seen is None:
        return False
    return chosen_by(known) != chosen_by(basis) and (known.mapping, known.zone_data) == (basis.mapping, basis.zone_data)


def _standing(event: Event, wishes: Wishes) -> str:
    if event.lifecycle is Lifecycle.CANCELLED:
        return "cancelled"
    if event.status not in wishes.statuses:
        return {Lifecycle.KEPT: "kept", Lifecycle.UNKNOWN: "unknown"}.get(event.lifecycle, "outside")
    if wishes.room and wishes.room not in event.facets["rooms"]:
        return "outside"
    return "wanted" if event.participants else "outside"


def _cause(event: Event, memory: Memory, wishes: Wishes, fields: frozenset[str], ours: str) -> str:
    """Who made it necessary: somebody at the source, or a change of ours (rules 9, 13, 14)."""
    known, basis = memory.seen_basis, wishes.basis
    if known is None:
        return "source"
    if fields & TIMES and known.zone_data != basis.zone_data:
        return "zone data"
    if known.mapping != basis.mapping:  # a release may read the same row otherwise, so nobody can tell
        return ours
    if ours == "mapping" and known.zone_data == basis.zone_data and fields & OF_THE_ROW:
        return "source"  # no template has a say in these
    nobody_can_tell = memory.seen is None or known.zone_data != basis.zone_data
    has_changed = said_by(known) != said_by(basis) if ours == "mapping" else chosen_by(known) != chosen_by(basis)
    return ours if (nobody_can_tell or memory.seen == event) and has_changed else "source"


def chosen_by(basis: Basis) -> str:
    """The version of what chooses events and calendars; after the blank stands that of the texts."""
    return basis.config.split(" ")[0].rstrip("?")


def said_by(basis: Basis) -> str:
    """The version of the texts."""
    return basis.config.split(" ")[1]
