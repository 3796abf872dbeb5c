"""Bookings that come in while a pass sends: between two batches they are planned and guarded, and join the queue by their start.

Who tells that something has come in, and what a pass does about it, is agreed upon here; nothing is read, planned or sent here.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from calrelay.domain.event import SourceId
from calrelay.domain.guard import digest_of
from calrelay.domain.plan import Action, Delete
from calrelay.engine.order import Order
from calrelay.engine.report import PassReport
from calrelay.engine.survey import Survey


class Arrivals(Protocol):
    """What may have come in since a pass began; kept by whoever runs the pass."""

    @property
    def are_due(self) -> bool:
        """Whether there is something to look at now. Asked between any two batches."""

    def next_order(self) -> Order | None:
        """Return the look to take, IDS or QUICK, or None after all; either way it is not due any more."""

    def taken_in(self, order: Order, report: PassReport) -> None:
        """Hear what a look found: the report counts reading only, because what it sends is sent, and counted, by the pass under way."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What a look in between came to: what is to be sent, and the events decided anew, of which nothing older is to be sent."""

    actions: Sequence[Action] = ()
    decided: frozenset[SourceId] = frozenset()


class Interlude(Protocol):
    """Lets newcomers in between two batches."""

    @property
    def is_due(self) -> bool:
        """Whether somebody waits to be let in."""

    async def take_in(self, queued: Sequence[Action]) -> Intake:
        """Read, plan and guard what came in. Nothing of the pipeline may be in flight meanwhile. Raises no VendorError."""


def leave_queued(survey: Survey, queued: Sequence[Action], *, is_load: bool) -> frozenset[SourceId]:
    """Take out of a survey what waits in the queue as it is; the guard has let it through, and is not to see it twice.

    Of a load also what has changed meanwhile stays as the load marked it (rule 16); the next pass brings it up to date.
    """
    waiting = {action.link.source_id: digest_of(action) for action in queued}
    stay = [
        action
        for action in survey.actions
        if (digest := waiting.get(action.link.source_id)) is not None
        and (digest == digest_of(action) or (is_load and not isinstance(action, Delete)))
    ]
    left = frozenset(action.link.source_id for action in stay)
    survey.actions = [action for action in survey.actions if action.link.source_id not in left]
    survey.seen -= left
    return left
