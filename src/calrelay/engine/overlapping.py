"""What was counted of guests who would hear of an event twice: numbers only, remembered for `status`. Who counts is `overlap`."""

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

MEMO_OVERLAP: Final = "overlap:{pipeline}"


class Memory(Protocol):
    """The small facts of the ledger."""

    def memo(self, key: str) -> tuple[str, datetime] | None:
        """Return a remembered fact, and when it was noted."""

    def memos(self, prefix: str) -> dict[str, tuple[str, datetime]]:
        """Return the remembered facts whose keys begin like this, by key."""

    def save_memo(self, key: str, value: str | None, at: datetime) -> None:
        """Remember a small fact, or forget it with None."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Overlapping:
    """Guests, and their events, of one pipeline whom the source account messages, too.

    `with_triggers` False: its triggers were not known, so built-in reminders alone were counted; `uncounted` is how many triggers turned
    out since to mail guests.
    """

    account: str
    guests: int
    events: int
    with_triggers: bool
    at: datetime
    uncounted: int = 0

    def __bool__(self) -> bool:
        return bool(self.guests or self.uncounted)

    def to_json(self) -> dict[str, object]:
        """Return it as `status`, `plan` and `check` have it."""
        return {
            "guests": self.guests,
            "events": self.events,
            "with_triggers": self.with_triggers,
            "uncounted_triggers": self.uncounted,
            "at": self.at.isoformat(),
        }


def remember_overlap(memory: Memory, pipeline: str, overlap: Overlapping) -> None:
    """Keep what a complete pass counted."""
    words = {"guests": overlap.guests, "events": overlap.events, "with_triggers": overlap.with_triggers}
    memory.save_memo(MEMO_OVERLAP.format(pipeline=pipeline), json.dumps(words), overlap.at)


def remembered_overlap(memory: Memory, pipeline: str, account: str) -> Overlapping | None:
    """Return what the last complete pass counted, and the triggers that were learnt of since; None before the first."""
    return remembered_overlaps(memory, {pipeline: account}).get(pipeline)


def remembered_overlaps(memory: Memory, accounts: Mapping[str, str]) -> dict[str, Overlapping]:
    """Return the same of several pipelines, by name, from the names of their source accounts; those without any are left out."""
    keys = {name: MEMO_OVERLAP.format(pipeline=name) for name in accounts}
    memos = memory.memos(MEMO_OVERLAP.format(pipeline=""))
    return {name: _overlap_of(memory, memos[key], accounts[name]) for name, key in keys.items() if key in memos}


def _overlap_of(memory: Memory, memo: tuple[str, datetime], account: str) -> Overlapping:
    found = Overlapping(account=account, **json.loads(memo[0]), at=memo[1])
    return found if found.with_triggers else dataclasses.replace(found, uncounted=_learnt_since(memory, account))


def _learnt_since(memory: Memory, account: str) -> int:
    from calrelay.domain.messages import mailing_triggers  # noqa: PLC0415 - heavy for `status`, and of one vendor only
    from calrelay.engine.listening import remembered_rules  # noqa: PLC0415

    rules = remembered_rules(memory, account)
    return mailing_triggers(rules) if rules else 0
