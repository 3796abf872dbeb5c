"""A thousand webhooks in ten seconds, of every kind, at the vendors' real paces."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.system_local.hooked import SECRET, Edits, Hooked, a_storm, receiving
from tests.system_local.stage import Stage, a_stage

pytestmark = pytest.mark.system

EVERY, FULL_EVERY = 5.0, 15.0
JITTER = 1.0  # of each tick, either way
WAVES = 4
GROWTH = 16.0  # MiB


def at_real_paces(config: str) -> str:
    """Put the default rates into a config that is made for speed."""
    text = config.replace("requests_per_second = 500", "requests_per_second = 3", 1).replace(
        "requests_per_second = 500", "requests_per_second = 2"
    )
    return text.replace("requests_per_minute = 30000", "requests_per_minute = 90")


def test_a_thousand_in_ten_seconds_neither_double_nor_lose_nor_delay_and_memory_stays_flat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(11)
    with a_stage(tmp_path, capsys, events=60, appointments=40) as stage:
        edits = Edits(stage, 11)
        with receiving(stage, every=f"{EVERY:.0f}s", full_every=f"{FULL_EVERY:.0f}s", rates=at_real_paces) as daemon:
            _storm(daemon, edits, rng, number=250, within=2.5)  # what a first storm needs once, for good
            _until_calm(daemon, stage)
            before, began = daemon.memory(), len(daemon.lines())
            statuses: Counter[int] = Counter()
            for _ in range(WAVES):
                statuses += _storm(daemon, edits, rng, number=1000 // WAVES, within=10 / WAVES)
            _until_calm(daemon, stage)
            after = daemon.memory()
            lines = daemon.lines()[began:]
            assert daemon.end() == 0
        assert statuses == {200: 1000 - 4 * 53, 401: 4 * 50, 413: 4 * 3}
        assert after - before < GROWTH, (before, after)
        assert stage.world.apptoto.events.duplicates() == {}
        assert _changes(stage) == [(0, 0, 0), (0, 0, 0)]
        assert stage.type("verify").code == 0
        for pipeline in ("venue", "studio"):
            mine = [line for line in lines if line["pipeline"] == pipeline]
            gaps = _gaps([line for line in mine if line["because"] == "run"])
            longest = max(line["seconds"] for line in mine if line["because"] == "webhook")
            # One that is due waits for the one under way, and goes first; a tick during a scheduled pass, or right after, is let go by.
            assert max(gaps) < 1.5 * EVERY + 2 * JITTER + longest, (gaps, longest)
        assert {line["because"] for line in lines} == {"run", "webhook"}
        assert SECRET not in daemon.log.read_text()


def _storm(daemon: Hooked, edits: Edits, rng: random.Random, *, number: int, within: float) -> Counter[int]:
    changes = [edits.next()[1] for _ in range(number // 4)]
    return Counter(daemon.post(a_storm(changes, rng, number=number, forged=50, huge=3), within=within))


def _until_calm(daemon: Hooked, stage: Stage) -> None:
    """Wait until two scheduled passes of each pipeline in a row had nothing to send."""

    def is_calm() -> bool:
        last = [[line for line in daemon.lines() if line["pipeline"] == name][-2:] for name in ("venue", "studio")]
        return all(line["updated"] + line["created"] + line["deleted"] == 0 for lines in last for line in lines)

    seen = len(daemon.lines())
    daemon.wait_for(lambda: len(daemon.lines()) >= seen + 4 and is_calm(), within=120)
    assert stage.world.apptoto.events.duplicates() == {}


def _changes(stage: Stage) -> list[tuple[int, int, int]]:
    """Return what a pass would still have to do, per pipeline."""
    passes: Sequence[dict[str, Any]] = stage.type("plan", "--json").document["passes"]
    return [(one["created"], one["updated"], one["deleted"]) for one in passes]


def _gaps(lines: Sequence[dict[str, Any]]) -> list[float]:
    """Return the seconds from the end of each pass to the beginning of the next."""
    spans = [(datetime.fromisoformat(line["timestamp"]), timedelta(seconds=line["seconds"])) for line in lines]
    return [(end - seconds - before).total_seconds() for (before, _), (end, seconds) in itertools.pairwise(spans)]
