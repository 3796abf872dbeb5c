"""What can be switched off at a source that messages people by itself, and what is remembered of it. Values only."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from calrelay.domain.reminders import Recipient


class SwitchKind(StrEnum):
    """What is switched; the values are what an operator types before the id."""

    ACTION = "action"
    DEFINITION = "definition"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Something that sends messages, as it is now.

    `recipients` are those it messages; None among them stands for somebody who cannot be told. `kept` is the object whole, without the
    names of those who made it, and `parts` what belongs to it, each of them in the vendor's own words: they go back as they came.
    """

    kind: SwitchKind
    id: str
    belongs_to: str
    recipients: frozenset[Recipient | None]
    kept: Mapping[str, Any] = dataclasses.field(repr=False)
    parts: Sequence[Mapping[str, Any]] = dataclasses.field(default=(), repr=False)

    @property
    def name(self) -> str:
        """How it is named on the command line: `action:41901`."""
        return f"{self.kind}:{self.id}"

    @property
    def is_for_guests_alone(self) -> bool:
        """Whether nobody but guests is messaged, as far as can be told."""
        return self.recipients == {Recipient.GUEST}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One going-off of a trigger for an event: past when `is_done`, else scheduled."""

    trigger: str
    at: datetime
    is_done: bool
