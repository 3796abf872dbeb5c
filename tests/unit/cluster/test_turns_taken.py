"""Which pass of a shared pipeline comes when, whoever runs it; minutes after noon."""

import dataclasses
from datetime import UTC, datetime, timedelta

from calrelay.cluster.rhythm import Ended, after, after_bug, health_before, look_again, reach_due
from calrelay.engine.order import Reach
from calrelay.engine.report import PassReport
from calrelay.ports import PipelineRecord
from calrelay.service.rhythm import Health
from calrelay.state.turns import Turn
from tests.unit.service.passes_made import a_gap, a_refusal, a_report, an_outage

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
RECORD = PipelineRecord(name="venue", first_complete_at=NOON)


@dataclasses.dataclass(frozen=True)
class Paced:
    every: timedelta = timedelta(minutes=5)
    full_every: timedelta = timedelta(hours=1)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def a_turn(next_at: float = 0, complete_at: float = 0, failures: int = 0) -> Turn:
    return Turn(pipeline="venue", next_at=at(next_at), complete_at=at(complete_at), failures=failures)


def then(turn: Turn, reach: Reach, report: PassReport, minutes: float, record: PipelineRecord = RECORD) -> Turn:
    return after(turn, Paced(), Ended(reach=reach, report=report, record=record, began=at(minutes), now=at(minutes)))


def minutes(instant: datetime) -> float:
    return (instant - NOON) / timedelta(minutes=1)


def test_a_new_pipeline_is_read_completely_then_quickly_then_completely_again() -> None:
    turn = a_turn()
    assert reach_due(turn, RECORD, at(0)) is Reach.COMPLETE
    turn = then(turn, Reach.COMPLETE, a_report(), 0)
    assert (minutes(turn.next_at), minutes(turn.complete_at)) == (5, 60)
    assert reach_due(turn, RECORD, at(4)) is None
    assert reach_due(turn, RECORD, at(5)) is Reach.QUICK
    turn = then(turn, Reach.QUICK, a_report(), 57)
    assert minutes(turn.next_at) == 60, "the complete read comes in time"
    assert reach_due(turn, RECORD, at(60)) is Reach.COMPLETE


def test_a_vendor_that_is_down_is_asked_ever_less_often_up_to_full_every_by_whichever_worker() -> None:
    turn, ran = a_turn(), []
    while minutes(turn.next_at) < 300:
        now = minutes(turn.next_at)
        ran.append(now)
        turn = then(turn, Reach.COMPLETE, an_outage(), now)
        assert health_before(turn) is Health.DOWN
    assert ran == [0, 5, 15, 35, 75, 135, 195, 255]


def test_one_that_is_back_is_read_as_before() -> None:
    turn = then(a_turn(failures=4), Reach.COMPLETE, a_report(), 0)
    assert (turn.failures, health_before(turn)) == (0, Health.WELL)


def test_while_sound_pages_come_quick_passes_go_on_and_the_complete_one_is_tried_ever_less_often() -> None:
    turn = then(a_turn(failures=2), Reach.COMPLETE, a_gap(), 0)
    assert (minutes(turn.next_at), minutes(turn.complete_at)) == (5, 20)
    assert reach_due(turn, RECORD, at(5)) is Reach.QUICK
    turn = then(turn, Reach.QUICK, a_report(), 5)
    assert health_before(turn) is Health.DOWN, "the complete read has not worked again yet"


def test_one_that_was_refused_is_left_alone_until_something_about_it_changes() -> None:
    waiting = PipelineRecord(name="venue")
    turn = then(a_turn(), Reach.COMPLETE, a_refusal(), 0, waiting)
    assert health_before(turn) is Health.REFUSED
    assert minutes(turn.next_at) == 5
    assert reach_due(turn, waiting, at(5)) is None
    assert minutes(look_again(turn, Paced(), at(5)).next_at) == 10
    assert reach_due(turn, RECORD, at(5)) is Reach.COMPLETE, "it was loaded meanwhile"
    assert reach_due(turn, waiting, at(60)) is Reach.COMPLETE


def test_an_error_of_ours_is_tried_again_ever_less_often() -> None:
    turn = a_turn(complete_at=30)
    waits = []
    for _ in range(5):
        turn = after_bug(turn, Paced(), at(0))
        waits.append(minutes(turn.next_at))
    assert waits == [5, 10, 20, 40, 60]
