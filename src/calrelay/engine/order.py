"""What a pass is asked to do: how much to read, whether to write, and how new events are marked."""

import dataclasses
from enum import StrEnum

from calrelay.domain.event import SourceId
from calrelay.domain.guard import Earlier
from calrelay.domain.link import MessageMode
from calrelay.domain.window import Span


class Reach(StrEnum):
    """How much of the source a pass reads."""

    COMPLETE = "complete"  # the whole window: the truth
    QUICK = "quick"  # what changed, where the source can tell, else the next days
    IDS = "ids"  # named events only, as after a webhook


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The arguments of a pass.

    `span` replaces the window (a backfill's chunk). A `is_load` pass creates and updates only, without the creates guard, and marks new
    events with `mode`. `is_dry_run` writes nothing anywhere; `adopts_only` rebuilds links from the target and sends nothing.
    `earlier` is what the guards count with this pass (see there). With `fills_batches` a load leaves the last events of its span to the
    next one, where they would not fill a batch; its report says from when on.
    """

    command: str
    reach: Reach = Reach.COMPLETE
    span: Span | None = None
    ids: frozenset[SourceId] = frozenset()
    is_dry_run: bool = False
    is_load: bool = False
    fills_batches: bool = False
    adopts_only: bool = False
    mode: MessageMode | None = None
    earlier: Earlier = dataclasses.field(default_factory=Earlier)
