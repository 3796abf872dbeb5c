"""What Apptoto reads out of texts: in-event commands, people, times, numbers and zones. Pure; holds no state."""

import re
from datetime import datetime, tzinfo

import pytz

# "#word" and "[WORD]" command, "# word" does not (Apptoto: section 7, in-event commands).
_COMMAND = re.compile(r"(?<![\w&#])#([a-z]+)(?![\w])|\[([a-z]+)\]", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w+-])(?:\+\d{8,15}|(?:\+?1[\s.-]?)?\(?[2-9]\d{2}\)?[\s.-]?[2-9]\d{2}[\s.-]?\d{4})(?!\d)")
_FIELD = re.compile(r"^\s*([A-Za-z][\w ]*?)\s*:\s*(\S.*)$", re.MULTILINE)

# The friendly names that matter for reading a message in a test; any other name is accepted and not understood.
_FRIENDLY_ZONES = {
    "Hawaii": "Pacific/Honolulu",
    "Alaska": "America/Juneau",
    "Pacific Time (US & Canada)": "America/Los_Angeles",
    "Arizona": "America/Phoenix",
    "Mountain Time (US & Canada)": "America/Denver",
    "Central Time (US & Canada)": "America/Chicago",
    "Saskatchewan": "America/Regina",
    "Eastern Time (US & Canada)": "America/New_York",
    "Atlantic Time (Canada)": "America/Halifax",
    "Newfoundland": "America/St_Johns",
    "London": "Europe/London",
    "UTC": "Etc/UTC",
}


def commands_in(*texts: str) -> frozenset[str]:
    """Collect the commands of an event's texts, lower-case, without their hash or brackets; unknown words are harmless."""
    return frozenset((a or b).lower() for text in texts for a, b in _COMMAND.findall(text))


def phones_in(text: str) -> list[str]:
    """Find the telephone numbers a text mentions, as written."""
    return [found.strip() for found in _PHONE.findall(text)]


def emails_in(text: str) -> list[str]:
    """Find the e-mail addresses a text mentions."""
    return [found.rstrip(".") for found in _EMAIL.findall(text)]


def fields_in(content: str) -> dict[str, str]:
    """Read `name: value` lines, which become custom fields (Apptoto: section 7)."""
    return {name.strip().lower().replace(" ", "_"): value.strip() for name, value in _FIELD.findall(content)}


def normalize_phone(raw: object) -> str | None:
    """Give the E.164 form of a number: a full `+…` is kept, US numbers get +1, anything else is None."""
    if not isinstance(raw, str):
        return None
    bare = re.sub(r"[\s().-]", "", raw)
    if re.fullmatch(r"\+\d{8,15}", bare):
        return bare
    if re.fullmatch(r"1?\d{10}", bare):
        return "+1" + bare[-10:]
    return None


def zone_named(name: str | None) -> tzinfo | None:
    """Find the zone of an IANA id or a common friendly name; None for what Apptoto would accept without understanding."""
    try:
        return pytz.timezone(_FRIENDLY_ZONES.get(name, name)) if name else None
    except pytz.UnknownTimeZoneError:
        return None


def read_time(value: object, zone_name: str) -> datetime | None:
    """Read an ISO 8601 time; a naive one is in that zone, an unusable value is None (Apptoto: section 5)."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    if not 1970 <= at.year <= 2999:
        return None
    return at if at.tzinfo else _localize(at, zone_name)


def _localize(naive: datetime, zone_name: str) -> datetime:
    zone = pytz.timezone(zone_name)
    local: datetime = zone.normalize(zone.localize(naive, is_dst=True))
    return local
