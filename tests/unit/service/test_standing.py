"""How a pipeline stands: which of its passes count as the last one."""

from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from calrelay.config.model import Pipeline
from calrelay.ports import LOAD, PassRecord, PipelineRecord
from calrelay.service.standing import Standing
from tests.fakes.links import NOON, a_pass


def a_chunk(seconds_after_noon: float, *, outcome: str = "ok", command: str = LOAD) -> PassRecord:
    """A pass of ten seconds that created one event."""
    at = NOON + timedelta(seconds=seconds_after_noon)
    return a_pass(command=command, started_at=at, seconds=10.0, outcome=outcome, counts={"created": 1})


def last_of(*passes: PassRecord) -> PassRecord:
    """Return what is told as the last pass; the passes are given in the order in which they ran."""
    table = cast("Pipeline", SimpleNamespace(name="venue", enabled=True, full_every=timedelta(hours=1)))
    newest_first = list(reversed(passes))
    record = PipelineRecord(name="venue")
    last = Standing(table=table, record=record, live=0, counts={}, holds=(), passes=newest_first, now=NOON + timedelta(hours=1)).last
    assert last is not None
    return last


def test_the_chunks_of_a_load_are_one_pass_with_live_passes_between_them() -> None:
    last = last_of(a_chunk(0), a_chunk(11), a_chunk(22, command="run"), a_chunk(33))
    assert (last.command, last.started_at, last.counts, last.seconds) == (LOAD, NOON, {"created": 3}, 30.0)


@pytest.mark.parametrize(
    "before",
    [[a_chunk(0), a_chunk(60, command="run")], [a_chunk(80, outcome="failed")], [a_chunk(0), a_chunk(80, outcome="refused")]],
    ids=["minutes ago", "that failed", "that was refused"],
)
def test_another_load_before_it_is_none_of_its_chunks(before: list[PassRecord]) -> None:
    last = last_of(*before, a_chunk(91))
    assert (last.started_at, last.counts) == (NOON + timedelta(seconds=91), {"created": 1})
