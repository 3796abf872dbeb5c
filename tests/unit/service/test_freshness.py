from datetime import UTC, datetime, timedelta

from calrelay.ports import PipelineRecord
from calrelay.service.freshness import freshness

HOUR = timedelta(hours=1)
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


def test_three_intervals_without_a_complete_read_are_allowed_and_no_more() -> None:
    fresh = freshness(PipelineRecord(name="venue", last_complete_at=NOW - 3 * HOUR), HOUR, started_at=NOW - 9 * HOUR, now=NOW)
    stale = freshness(
        PipelineRecord(name="venue", last_complete_at=NOW - 3 * HOUR - timedelta(seconds=1)), HOUR, started_at=NOW - 9 * HOUR, now=NOW
    )
    assert (fresh.is_stale, stale.is_stale) == (False, True)


def test_a_pipeline_that_was_never_read_whole_is_counted_from_the_start() -> None:
    found = freshness(PipelineRecord(name="venue"), HOUR, started_at=NOW - 4 * HOUR, now=NOW)
    assert (found.age, found.is_stale) == (4 * HOUR, True)


def test_a_daemon_that_rested_for_a_day_is_stale_until_it_has_read() -> None:
    found = freshness(PipelineRecord(name="venue", last_complete_at=NOW - 24 * HOUR), HOUR, started_at=NOW, now=NOW)
    assert found.is_stale


def test_a_clock_set_back_makes_nothing_negative() -> None:
    found = freshness(PipelineRecord(name="venue", last_complete_at=NOW + HOUR), HOUR, started_at=NOW, now=NOW)
    assert found.age == timedelta(0)
