"""Durations and hours as people write them in the config ("5m", "14d", "08:00-20:00"), and back."""

import re
from collections.abc import Mapping
from datetime import time, timedelta
from typing import Annotated, Final

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from calrelay.domain.window import Hours

_UNITS: Final[Mapping[str, timedelta]] = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
_PART: Final = r"([0-9]{1,9})([wdhms])"
_DURATION = re.compile(rf"(?:{_PART})+")
_LONGEST: Final = timedelta(days=3660)
_HOURS = re.compile(r"([0-9]{2}):([0-9]{2})\s*-\s*([0-9]{2}):([0-9]{2})")
_NOT_A_DURATION: Final = 'is no duration — write a number and a unit of s, m, h, d or w as text, such as "5m", "1h30m" or "14d"'
_NOT_HOURS: Final = 'is no stretch of a day — write begin and end as "08:00-20:00"'


def parse_duration(text: object) -> timedelta:
    """Read "90s", "5m", "1h30m", "14d" or "2w". Raises ValueError with the fix."""
    if not isinstance(text, str) or not _DURATION.fullmatch(text.strip()):
        raise ValueError(_NOT_A_DURATION)
    parts: list[tuple[str, str]] = re.findall(_PART, text)
    total = sum(int(count) * (_UNITS[unit] / timedelta(seconds=1)) for count, unit in parts)
    if total > _LONGEST / timedelta(seconds=1):
        raise ValueError("is longer than ten years — name a shorter time")
    return timedelta(seconds=total)


def format_duration(value: timedelta) -> str:
    """Write a duration in the largest unit that leaves no rest: "14d", "90s"; "0s" for none. Whole days stay days."""
    for unit, length in list(_UNITS.items())[1:]:
        if value and not value % length:
            return f"{value // length}{unit}"
    return f"{int(value.total_seconds())}s"


def parse_hours(text: object) -> Hours:
    """Read "08:00-20:00"; "24:00" may end it, and an end before the begin runs over midnight. Raises ValueError with the fix."""
    found = _HOURS.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError(_NOT_HOURS)
    begin_hour, begin_minute, end_hour, end_minute = map(int, found.groups())
    if (end_hour, end_minute) == (24, 0):
        end_hour = 0
    try:
        hours = Hours(begin=time(begin_hour, begin_minute), end=time(end_hour, end_minute))
    except ValueError:
        raise ValueError(_NOT_HOURS) from None
    if hours.begin == hours.end:
        raise ValueError("begins when it ends — leave the key out to allow every hour")
    return hours


def format_hours(value: Hours) -> str:
    """Write hours as they are read."""
    return f"{value.begin:%H:%M}-{value.end:%H:%M}"


def _duration(value: object) -> timedelta:
    return value if isinstance(value, timedelta) else parse_duration(value)


def _positive(value: object) -> timedelta:
    duration = _duration(value)
    if duration <= timedelta():
        raise ValueError('must be longer than nothing — name a time such as "5m"')
    return duration


def _hours(value: object) -> Hours:
    return value if isinstance(value, Hours) else parse_hours(value)


_SCHEMA: Final = {"type": "string", "pattern": r"^(\d{1,9}[wdhms])+$"}

Duration = Annotated[timedelta, PlainValidator(_duration), PlainSerializer(format_duration), WithJsonSchema(_SCHEMA)]
PositiveDuration = Annotated[timedelta, PlainValidator(_positive), PlainSerializer(format_duration), WithJsonSchema(_SCHEMA)]
DayHours = Annotated[
    Hours,
    PlainValidator(_hours),
    PlainSerializer(format_hours),
    WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d-\d\d:\d\d$"}),
]
