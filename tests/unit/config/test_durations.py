from datetime import time, timedelta

import pytest

from calrelay.config.durations import format_duration, format_hours, parse_duration, parse_hours
from calrelay.domain.window import Hours


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0s", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("1h", timedelta(hours=1)),
        ("1h30m", timedelta(minutes=90)),
        ("14d", timedelta(days=14)),
        ("2w", timedelta(days=14)),
        (" 1d ", timedelta(days=1)),
    ],
)
def test_a_number_and_a_unit_is_a_duration(text: str, value: timedelta) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "5", "m", "5 minutes", "-5m", "1.5h", "5M", "٥m", 5, None, True])
def test_anything_else_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match='such as "5m"'):
        parse_duration(text)


def test_a_duration_of_many_years_is_refused_before_it_overflows() -> None:
    with pytest.raises(ValueError, match="ten years"):
        parse_duration("999999999w")


@pytest.mark.parametrize("text", ["0s", "90s", "5m", "90m", "1h", "1d", "14d", "180d"])
def test_durations_are_written_as_they_were_read(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


def test_hours_are_read_and_written() -> None:
    hours = parse_hours("08:00-20:30")
    assert hours == Hours(begin=time(8), end=time(20, 30))
    assert format_hours(hours) == "08:00-20:30"


def test_hours_may_end_at_midnight() -> None:
    assert time(23, 59) in parse_hours("08:00-24:00")
    assert time(7, 59) not in parse_hours("08:00-24:00")


def test_hours_may_run_over_midnight() -> None:
    hours = parse_hours("20:00-02:00")
    assert time(1) in hours
    assert time(3) not in hours


@pytest.mark.parametrize("text", ["8-20", "08:00", "25:00-26:00", "08:60-09:00", "24:01-08:00", "", 8])
def test_what_is_no_stretch_of_a_day_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="08:00-20:00"):
        parse_hours(text)


def test_hours_that_never_begin_are_refused() -> None:
    """Taken literally they would create nothing, ever."""
    with pytest.raises(ValueError, match="leave the key out"):
        parse_hours("08:00-08:00")
