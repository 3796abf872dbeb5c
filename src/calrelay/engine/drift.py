"""What is different at the target from what it last accepted from us, judged event by event. Pure: hashes against what a holding tells."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from enum import StrEnum
from itertools import combinations
from typing import TypeVar

from calrelay.domain.entry import Hasher
from calrelay.domain.link import ExternalId, Field, Imprint, Link
from calrelay.ports import HeldPerson, Holding

T = TypeVar("T")
MANY = 10  # people or custom values of one event among which ours are looked for


class DriftKind(StrEnum):
    """How the target's entries differ from what we remember of them."""

    CHANGED = "changed"  # by a person at the target: it holds other fields than it accepted
    LOST = "lost"  # it accepted the event, and does not hold it any more
    DOUBLED = "doubled"  # a second live entry of one event
    UNKNOWN = "unknown"  # an entry under an id of ours that we know nothing about


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference. `holding` is the entry at the target that it is about; no people and no titles are told of it."""

    kind: DriftKind
    external_id: ExternalId
    link: Link | None
    holding: Holding | None = None
    fields: frozenset[Field] = frozenset()
    is_elsewhere: bool = False  # in another calendar than it was put in

    @property
    def start(self) -> datetime | None:
        """When the event is: as the target holds it, else as it accepted it."""
        if self.holding is not None and self.holding.start is not None:
            return self.holding.start
        return self.link.accepted.start if self.link and self.link.accepted else None

    @property
    def what(self) -> list[str]:
        """Name what differs."""
        return [*sorted(self.fields), *(["calendar"] if self.is_elsewhere else [])]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The live entries of one event: the one to keep, and those beside it."""

    keeper: Holding
    extras: tuple[Holding, ...]


def compare(link: Link, accepted: Imprint, holding: Holding, hasher: Hasher) -> Drift | None:
    """Return how an entry differs from what the target accepted, or None where it does not."""
    fields = frozenset(field for field in Field if _is_other(field, accepted, holding, hasher))
    is_elsewhere = holding.calendar is not None and holding.calendar != accepted.calendar
    if not fields and not is_elsewhere:
        return None
    return Drift(kind=DriftKind.CHANGED, external_id=link.external_id, link=link, holding=holding, fields=fields, is_elsewhere=is_elsewhere)


def as_held(drift: Drift) -> Link | None:
    """Return a link that knows where the target holds the event now, and nothing about the fields that differ."""
    link, holding = drift.link, drift.holding
    if link is None or holding is None or link.accepted is None:
        return None
    accepted = Imprint(
        calendar=holding.calendar or link.accepted.calendar,
        start=holding.start or link.accepted.start,
        end=holding.end or link.accepted.end,
        hashes={field: digest for field, digest in link.accepted.hashes.items() if field not in drift.fields},
    )
    return dataclasses.replace(link, accepted=accepted)


def is_at_another_offset(accepted: Imprint, holding: Holding, hasher: Hasher) -> bool:
    """Say whether the same instant is told at another offset than was sent.

    No drift: it is unknown on which clock the vendor renders times (Apptoto: 5), and messages go by the event's zone.
    """
    sent = accepted.hashes.get(Field.START)
    if not sent or holding.start is None or holding.offset is None or holding.start != accepted.start:
        return False
    return hasher.of(holding.start.astimezone(timezone(holding.offset)).isoformat()) != sent


def part(entries: Sequence[Holding], link: Link | None) -> Candidates:
    """Choose which of an event's live entries is ours: the one the link knows, else the newest generation, else the oldest entry."""
    known = next((entry for entry in entries if link is not None and entry.target_id == link.target_id), None)
    keeper = known or min(entries, key=_newest_then_oldest)
    return Candidates(keeper=keeper, extras=tuple(entry for entry in entries if entry.target_id != keeper.target_id))


def generation_of(holding: Holding) -> int:
    """Return the generation an entry's external id tells."""
    suffix = (holding.external_id or "").rpartition(".")[2]
    return int(suffix) if "." in (holding.external_id or "") and suffix.isdecimal() else 1


def _newest_then_oldest(holding: Holding) -> tuple[int, int, str]:
    return -generation_of(holding), len(holding.target_id), holding.target_id


def _is_other(field: Field, accepted: Imprint, holding: Holding, hasher: Hasher) -> bool:
    """Compare one field; what the target does not tell, or we do not know, is no difference."""
    sent = accepted.hashes.get(field)
    match field:
        case Field.START:
            return holding.start is not None and holding.start != accepted.start
        case Field.END:
            return holding.end is not None and holding.end != accepted.end
        case Field.TITLE:
            return _is_other_text(sent, holding.title, hasher)
        case Field.LOCATION:
            return _is_other_text(sent, holding.location, hasher)
        case Field.CONTENT:
            return _is_other_text(sent, holding.content, hasher)
        case Field.PARTICIPANTS:
            return bool(sent) and holding.participants is not None and not _holds(sent, holding.participants, hasher, _people)
        case Field.CUSTOM_DATA:
            held = None if holding.custom_data is None else list(holding.custom_data.items())
            return bool(sent) and held is not None and not _holds(sent, held, hasher, dict)
        case Field.TIME_ZONE:
            return False  # not echoed, and without effect on the instant


def _is_other_text(sent: str | None, held: str | None, hasher: Hasher) -> bool:
    return bool(sent) and held is not None and sent not in {hasher.of(spelling) for spelling in _spellings(held)}


def _spellings(text: str) -> Iterator[str]:
    """Give a text as it is held, and as it may have been before line ends were rewritten."""
    yield text
    yield text.replace("\r\n", "\n").strip()


def _holds(sent: str | None, held: Sequence[T], hasher: Hasher, value: Callable[[Iterable[T]], object]) -> bool:
    """Say whether what was sent is among what is held.

    There may be more: a participant who was messaged already stays when dropped (Apptoto: 7), and people add their own.
    """
    if len(held) > MANY:
        return hasher.of(value(held)) == sent
    chosen = (some for count in range(len(held), -1, -1) for some in combinations(held, count))
    return any(hasher.of(value(some)) == sent for some in chosen)


def _people(held: Iterable[HeldPerson]) -> list[list[str]]:
    return sorted([person.name, person.email, person.phone] for person in held)
