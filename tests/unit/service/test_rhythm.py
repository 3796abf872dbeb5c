"""Which pass comes when; seconds of a made-up monotonic clock."""

from datetime import timedelta

import pytest

from calrelay.engine.order import Reach
from calrelay.engine.report import PassReport
from calrelay.service.rhythm import Health, Rhythm
from tests.unit.service.passes_made import a_gap, a_refusal, a_report, an_outage

MINUTE = 60.0
HOUR = 60 * MINUTE


def a_rhythm() -> Rhythm:
    return Rhythm(every=timedelta(minutes=5), full_every=timedelta(hours=1))


def ticks_run(rhythm: Rhythm, until: float) -> list[float]:
    """Let quick ticks come every five minutes to a source that is down, and return the minutes at which passes ran."""
    ran = []
    for tick in range(0, int(until), int(5 * MINUTE)):
        if (reach := rhythm.choose(Reach.QUICK, tick)) is not None:
            ran.append(tick / MINUTE)
            rhythm.note(reach, an_outage(), tick)
    return ran


def test_the_first_pass_is_complete_and_quick_ones_follow() -> None:
    rhythm = a_rhythm()
    assert rhythm.choose(Reach.QUICK, 0) is Reach.COMPLETE
    rhythm.note(Reach.COMPLETE, a_report(), 1)
    assert rhythm.choose(Reach.QUICK, 5 * MINUTE) is Reach.QUICK
    assert rhythm.choose(Reach.COMPLETE, HOUR) is Reach.COMPLETE


def test_two_passes_due_at_once_are_one() -> None:
    rhythm = a_rhythm()
    rhythm.note(Reach.COMPLETE, a_report(seconds=2), 10)
    assert rhythm.choose(Reach.QUICK, 11) is None


def test_a_long_pass_does_not_cost_the_next_quick_one() -> None:
    rhythm = a_rhythm()
    rhythm.note(Reach.COMPLETE, a_report(seconds=4 * MINUTE), 4 * MINUTE)
    assert rhythm.choose(Reach.QUICK, 5 * MINUTE) is Reach.QUICK


def test_a_vendor_that_is_down_is_asked_ever_less_often_up_to_full_every() -> None:
    assert ticks_run(a_rhythm(), 5 * HOUR) == [0, 5, 15, 35, 75, 135, 195, 255]


def test_a_vendor_that_is_back_is_asked_as_before() -> None:
    rhythm = a_rhythm()
    ticks_run(rhythm, HOUR)
    rhythm.note(Reach.COMPLETE, a_report(), HOUR)
    assert rhythm.health is Health.WELL
    assert rhythm.choose(Reach.QUICK, HOUR + 5 * MINUTE) is Reach.QUICK
    rhythm.note(Reach.QUICK, an_outage(), HOUR + 5 * MINUTE)
    assert rhythm.choose(Reach.QUICK, HOUR + 10 * MINUTE) is not None


def test_while_only_part_of_the_window_can_be_read_quick_passes_go_on() -> None:
    rhythm = a_rhythm()
    rhythm.note(Reach.COMPLETE, a_gap(), 0)
    assert rhythm.choose(Reach.QUICK, 5 * MINUTE) is Reach.COMPLETE
    rhythm.note(Reach.COMPLETE, a_gap(), 5 * MINUTE)
    assert rhythm.choose(Reach.QUICK, 10 * MINUTE) is Reach.QUICK


def test_a_quick_pass_that_works_does_not_hide_that_complete_ones_do_not() -> None:
    rhythm = a_rhythm()
    rhythm.note(Reach.COMPLETE, a_gap(), 0)
    healths = []
    for reach, minutes in ((Reach.QUICK, 10), (Reach.COMPLETE, 15)):
        rhythm.note(reach, a_report(), minutes * MINUTE)
        healths.append(rhythm.health)
    assert healths == [Health.DOWN, Health.WELL]


def test_what_is_refused_is_tried_again_after_full_every_only() -> None:
    rhythm = a_rhythm()
    rhythm.note(Reach.COMPLETE, a_refusal(), 0)
    assert rhythm.health is Health.REFUSED
    assert [rhythm.choose(Reach.QUICK, minutes * MINUTE) for minutes in (5, 30, 50)] == [None, None, None]
    assert rhythm.choose(Reach.QUICK, HOUR) is Reach.COMPLETE


def test_a_pass_that_is_owed_comes_with_the_next_tick() -> None:
    rhythm = a_rhythm()
    rhythm.note(Reach.COMPLETE, a_refusal(), 0)
    rhythm.owe()
    assert rhythm.choose(Reach.QUICK, 1) is Reach.COMPLETE


@pytest.mark.parametrize("report", [a_report(held=3), a_report(quarantined=2)], ids=["held", "quarantined"])
def test_events_that_wait_do_not_make_a_pipeline_ill(report: PassReport) -> None:
    rhythm = a_rhythm()
    rhythm.note(Reach.COMPLETE, report, 0)
    assert rhythm.health is Health.WELL
