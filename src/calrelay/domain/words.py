"""Times and numbers as people read them: an event's in its place, a pass's on this machine's clock, ages in round words. JSON has ISO."""

from datetime import UTC, datetime, timedelta


def in_place(instant: datetime, zone: str | None) -> str:
    """Show an event's time on the clock of its place, or in UTC where the place is not known: `Fri 2026-11-27 18:00 EST`."""
    if zone is None:
        return f"{instant.astimezone(UTC):%a %Y-%m-%d %H:%M} UTC"
    from calrelay.domain.zones import abbreviation, resolve_zone, with_offset  # noqa: PLC0415 - loads the zone data

    known = resolve_zone(zone)
    return f"{with_offset(instant, known):%a %Y-%m-%d %H:%M} {abbreviation(instant, known)}"


def on_this_machine(instant: datetime) -> str:
    """Show when something happened to us, on this machine's clock."""
    return f"{instant.astimezone():%Y-%m-%d %H:%M:%S}"


def counted(number: int, one: str, many: str = "") -> str:
    """Say a number of things: `1 event`, `2 events`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def ago(instant: datetime | None, now: datetime) -> str:
    """Say how long ago something was: `12 min ago`, `never`."""
    if instant is None:
        return "never"
    age = now - instant
    return "just now" if age < timedelta(seconds=1) else f"{span_in_words(age)} ago"


def span_in_words(span: timedelta) -> str:
    """Say how long a span is in its largest fitting unit: `45 s`, `12 min`, `3 h`, `2 days`."""
    seconds = round(abs(span).total_seconds())
    if seconds < 90:
        return f"{seconds} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 36 * 3600:
        return f"{round(seconds / 3600)} h"
    return f"{round(seconds / 86_400)} days"


def shift_in_words(shift: timedelta) -> str:
    """Say by how much an event moves, to the minute: `1 h 30 min later`, `2 days earlier`."""
    minutes = round(abs(shift).total_seconds() / 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "day" if days == 1 else "days"), (hours, "h"), (minutes, "min")]
    words = " ".join(f"{number} {unit}" for number, unit in parts if number) or "less than a minute"
    return f"{words} {'later' if shift > timedelta() else 'earlier'}"


def signed_shift(shift: timedelta) -> str:
    """Show a shift as clocks do, to the minute: `+1:00`, `-0:30`."""
    minutes = round(abs(shift).total_seconds() / 60)
    return f"{'-' if shift < timedelta() else '+'}{minutes // 60}:{minutes % 60:02}"


def iso(instant: datetime | None) -> str | None:
    """Return an instant as JSON has it."""
    return instant.astimezone(UTC).isoformat() if instant else None
