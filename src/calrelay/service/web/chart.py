"""The last passes of a pipeline as a small chart: a bar each, as high as the pass was long, coloured by how it ended. Pure."""

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from calrelay.domain.words import counted, on_this_machine
from calrelay.ports import LOAD, PassRecord

SHOWN: Final = 20
STEP: Final = 12  # units of the drawing from bar to bar
HEIGHT: Final = 32
_LEAST: Final = 3
_DONE: Final = ("created", "updated", "deleted")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One pass; `kind` is the class it is coloured by, `words` what it says when it is pointed at."""

    x: int
    y: int
    height: int
    kind: str
    words: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Bars, oldest first and always up to the right edge, and the sentence for whoever does not see them."""

    bars: Sequence[Bar]
    words: str
    width: int = SHOWN * STEP
    height: int = HEIGHT


def chart_of(passes: Sequence[PassRecord]) -> Chart:
    """Draw the last passes, given newest first."""
    shown = list(passes[:SHOWN])[::-1]
    longest = max((one.seconds for one in shown), default=0.0)
    first = (SHOWN - len(shown)) * STEP
    bars = [_bar(one, first + at * STEP, longest) for at, one in enumerate(shown)]
    outcomes = Counter(one.outcome for one in shown)
    told = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
    return Chart(bars=bars, words=f"Last {counted(len(shown), 'pass', 'passes')}: {told}" if shown else "No pass yet")


def _bar(record: PassRecord, x: int, longest: float) -> Bar:
    share = math.sqrt(record.seconds / longest) if longest > 0 else 0.0  # one long pass would flatten all others
    height = round(_LEAST + share * (HEIGHT - _LEAST))
    done = [f"{record.counts.get(word, 0)} {word}" for word in _DONE if record.counts.get(word, 0)]
    reach = "load" if record.command == LOAD else "complete" if record.is_complete else "quick"
    words = f"{on_this_machine(record.started_at)}: {reach}, {record.outcome}, {', '.join(done) or 'no changes'}, {record.seconds:.1f} s"
    return Bar(x=x, y=HEIGHT - height, height=height, kind=f"{record.outcome} {'changed' if done else 'calm'}", words=words)
