"""Zone names, wall clocks and instants. Rules come from pytz's own data alone (rule 6); nobody else does zone arithmetic."""

import html
import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import Final, NewType, cast

import pytz
from pytz.tzfile import build_tzinfo
from tzlocal.windows_tz import win_tz

from calrelay.errors import MappingError

Zone = NewType("Zone", str)
"""A canonical IANA id. `resolve_zone` alone makes one, so that two spellings of a zone are always equal."""

ZONE_DATA_VERSION: Final[str] = pytz.OLSON_VERSION  # type: ignore[attr-defined] # its stubs forget it

# The formats Tripleseat writes (un-padded) and documents (padded): strptime reads both alike.
US_FORMATS: Final = ("%m/%d/%Y %I:%M %p", "%m/%d/%Y", "%m/%d/%Y %I:%M%p", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M")

_NAME_A_ZONE: Final = "Name the zone of this site, location or staff member in the account's `zones` in config.toml, as an IANA id."
_CORRECT_THE_TIME: Final = "Correct the date or time at the source; the event is read again in the next pass."
_PLAUSIBLE_YEARS: Final = range(1970, 2201)
_LONGEST_DATE: Final = 64  # characters; bounds what a lenient reading may cost
_DAY: Final = timedelta(days=1)
_TIMES_KEPT: Final = 1024  # bookings start and end at few times of day, and every pass reads the same ones again

_MENU_PREFIX = re.compile(r"^\((?:GMT|UTC)[+\-−]\d{1,2}:?\d{2}\)\s*", re.IGNORECASE)
_OFFSET_IN_DISGUISE = re.compile(r"UTC[+-]\d", re.IGNORECASE)
_ISO_DATE = re.compile(r"\d{4}-\d\d?-\d\d?")
_FOUR_DIGIT_YEAR = re.compile(r"\b(?:19|20|21)\d\d\b")
# Where dateutil would guess: another country's order, a 13th month, a sign it turns round ("GMT+3" becomes -03:00).
_MISLEADING = re.compile(
    r"""^\d{1,2}[.\-\s]+\d{1,2}[.\-\s] | ^(?:00?|1[3-9]|[2-9]\d)/ | ^\d{4}[.\-/\s]+(?:00?|1[3-9]|[2-9]\d)\b | (?:GMT|UTC)\s*[+\-]\s*\d""",
    re.IGNORECASE | re.VERBOSE,
)

# IANA merged these into the same clock elsewhere; their newer names say which place was meant (comments in IANA's `backward`).
_RENAMED: Final[Mapping[str, str]] = {
    "Africa/Asmera": "Africa/Asmara",
    "Africa/Timbuktu": "Africa/Bamako",
    "America/Coral_Harbour": "America/Atikokan",
    "America/Virgin": "America/St_Thomas",
    "Antarctica/South_Pole": "Antarctica/McMurdo",
    "Atlantic/Jan_Mayen": "Europe/Oslo",
    "Iceland": "Atlantic/Reykjavik",
    "Pacific/Ponape": "Pacific/Pohnpei",
    "Pacific/Truk": "Pacific/Chuuk",
    "Pacific/Yap": "Pacific/Chuuk",
    "CST6CDT": "America/Chicago",
    "EST5EDT": "America/New_York",
    "MST7MDT": "America/Denver",
    "PST8PDT": "America/Los_Angeles",
}

_EARLIER_RAILS_SPELLINGS: Final[Mapping[str, str]] = {"Ulaan Bataar": "Asia/Ulaanbaatar"}

# Where several Rails names share a zone; and names for zones that have none but keep the same clock as one that has. Both lists are those
# of the vendors' page on Rails time zones ("Use", 4 and 5); a test compares the clocks.
_PREFERRED_NAMES: Final[Mapping[str, str]] = {
    "Europe/London": "London",
    "Europe/Moscow": "Moscow",
    "Europe/Zurich": "Zurich",
    "America/Mexico_City": "Mexico City",
    "America/Lima": "Lima",
    "Asia/Kolkata": "New Delhi",
    "Asia/Karachi": "Karachi",
    "Asia/Muscat": "Abu Dhabi",
    "Asia/Tokyo": "Tokyo",
    "Asia/Bangkok": "Bangkok",
    "Asia/Almaty": "Almaty",
    "Pacific/Auckland": "Auckland",
    "Asia/Shanghai": "Beijing",
    "Australia/Sydney": "Sydney",
}
_SAME_CLOCK_NAMES: Final[Mapping[str, str]] = {
    "America/Anchorage": "Alaska",
    "America/Detroit": "Eastern Time (US & Canada)",
    "America/Toronto": "Eastern Time (US & Canada)",
    "America/Kentucky/Louisville": "Eastern Time (US & Canada)",
    "America/Boise": "Mountain Time (US & Canada)",
    "America/Menominee": "Central Time (US & Canada)",
    "America/Guayaquil": "Quito",
    "America/Cancun": "Bogota",
    "Atlantic/Bermuda": "Atlantic Time (Canada)",
    "Asia/Dubai": "Abu Dhabi",
    "Asia/Ho_Chi_Minh": "Hanoi",
}


class Resolution(StrEnum):
    """How a wall clock became an instant."""

    EXACT = "exact"
    GAP = "gap"  # the clock jumped over it; read with the offset before the gap
    FOLD = "fold"  # the clock showed it twice; the first occurrence is meant


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalInstant:
    """An instant in UTC, and whether the wall clock it came from was one of the odd ones."""

    instant: datetime
    flag: Resolution


@lru_cache(maxsize=1024)
def resolve_zone(name: str) -> Zone:
    """Return the one zone that a Rails name, IANA id, legacy alias or Windows name means; letter case does not matter.

    HTML's `&amp;` and Rails' menu prefix `(GMT-05:00) ` are forgiven (vendors' page on Rails time zones, "Use"). An offset is no zone,
    nor is an abbreviation, unless IANA lists it (EST is Panama's clock, without summer time). Raises MappingError with a remedy when
    the name means none.
    """
    zone = _zones_by_name().get(_key(_MENU_PREFIX.sub("", html.unescape(name).strip())))
    if zone is None:
        shown = f"“{name.strip()[:60]}”" if name.strip() else "An empty text"
        raise MappingError(f"{shown} is no time zone this release knows.", remedy=_NAME_A_ZONE)
    return zone


def rails_name(zone: Zone) -> str | None:
    """Return the Rails display name of the zone, or of one that keeps the same clock; None when there is none."""
    return _rails_names().get(zone)


@lru_cache(maxsize=_TIMES_KEPT)
def to_instant(wall: datetime, zone: Zone) -> LocalInstant:
    """Find the instant at which the clocks of the zone show `wall` (RFC 5545, 3.3.5: DATE-TIME with local time and zone).

    An aware `wall` already names its instant and is taken at its word. The decision rests on offsets alone, because jumps need not
    be daylight saving (Samoa skipped a day, Casablanca's is negative); no two transitions of a zone are closer than three days.
    """
    if wall.tzinfo is not None:
        return LocalInstant(instant=wall.astimezone(UTC), flag=Resolution.EXACT)
    as_utc = wall.replace(tzinfo=UTC)
    before, after = offset_at(as_utc - _DAY, zone), offset_at(as_utc + _DAY, zone)
    candidates = sorted(as_utc - offset for offset in {before, after} if offset_at(as_utc - offset, zone) == offset)
    if not candidates:
        return LocalInstant(instant=as_utc - before, flag=Resolution.GAP)
    return LocalInstant(instant=candidates[0], flag=Resolution.EXACT if len(candidates) == 1 else Resolution.FOLD)


@lru_cache(maxsize=_TIMES_KEPT)
def with_offset(instant: datetime, zone: Zone) -> datetime:
    """Return the same instant on the zone's clock, with a plain numeric offset: isoformat() is what the target gets (rule 8)."""
    offset = offset_at(instant, zone)
    return instant.astimezone(timezone(offset))


def offset_at(instant: datetime, zone: Zone) -> timedelta:
    """Return how far the zone's clocks are ahead of UTC at that instant."""
    return cast("timedelta", _on_clock(instant, zone).utcoffset())


def abbreviation(instant: datetime, zone: Zone) -> str:
    """Return the zone's abbreviation at that instant, such as EDT; for people only, it is never read back."""
    return _on_clock(instant, zone).tzname() or ""


def zone_data_is_old(today: date, version: str = ZONE_DATA_VERSION) -> bool:
    """Tell whether the zone data deserves a warning: more than some nine months old, or without Canada's change of 2026."""
    return today - zone_data_released(version) > timedelta(days=274) or not _knows_canada_2026()


def zone_data_released(version: str = ZONE_DATA_VERSION) -> date:
    """Return about when zone data was released.

    A version such as 2026f says its year and how many releases that year had seen; they come about every second month.
    """
    year, letter = int(version[:4]), version[4:5] or "a"
    return date(year, min(2 * (ord(letter) - ord("a")) + 1, 12), 1)


@lru_cache(maxsize=_TIMES_KEPT)
def parse_wall_clock(text: str, formats: tuple[str, ...] = US_FORMATS) -> datetime:
    """Read a vendor's date, with or without time, as ISO 8601 or one of `formats`; anything else leniently, but never guessing.

    Naive when the text names no offset, aware when it does; a date alone is its midnight. Raises MappingError for what cannot be
    read, for a date that is not whole, and for a zone abbreviation, which could mean several zones.
    """
    text = text.strip()
    value = _read_strictly(text, formats) or _read_leniently(text)
    if value.year not in _PLAUSIBLE_YEARS:
        raise _unreadable(text, "has an implausible year")
    return value


def parse_instant(text: str) -> datetime:
    """Read a date and time that names its offset (or Z) and return it in UTC; a naive one is a MappingError."""
    value = parse_wall_clock(text)
    if value.tzinfo is None:
        raise _unreadable(text, "names no offset, so it is no instant")
    return value.astimezone(UTC)


def hhmm(value: int) -> time:
    """Turn TimeTap's integer clock into a time: 0 is midnight, 30 is 00:30, 1430 is 14:30 (TimeTap: section 3.1)."""
    hour, minute = divmod(value, 100)
    if not (0 <= hour <= 23 and 0 <= minute <= 59):
        raise MappingError(f"{value} is no time of day written as HHMM.", remedy=_CORRECT_THE_TIME)
    return time(hour, minute)


@lru_cache(maxsize=1024)
def _rules(zone: Zone) -> tzinfo:
    """Read one zone's file. `pytz.timezone` looks first whether those of all six hundred are there, which takes as long as a small pass."""
    try:
        with pytz.open_resource(zone) as stream:  # type: ignore[attr-defined] # its stubs forget it
            rules: tzinfo = build_tzinfo(zone, stream)
    except (OSError, ValueError):
        raise pytz.UnknownTimeZoneError(zone) from None
    return rules


def _on_clock(instant: datetime, zone: Zone) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("an instant is aware; a naive datetime would be read on this machine's clock")
    return instant.astimezone(_rules(zone))


def _knows_canada_2026() -> bool:
    """Since 2026 Vancouver keeps UTC-7 in winter; data without it is an hour wrong for western Canada (rule 6)."""
    return offset_at(datetime(2026, 12, 15, 20, tzinfo=UTC), Zone("America/Vancouver")) == timedelta(hours=-7)


def _key(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("’", "'").split()).casefold()


@lru_cache(maxsize=1)
def _zones_by_name() -> Mapping[str, Zone]:
    """Every name we accept. Where lists overlap the later one wins: Windows, then IANA, then Rails."""
    windows = {name: iana for name, iana in win_tz.items() if not _OFFSET_IN_DISGUISE.match(name)}
    iana = {name: name for name in pytz.all_timezones}
    table = {**windows, **iana, **_EARLIER_RAILS_SPELLINGS, **_rails_table()}
    return {_key(name): _canonical(target) for name, target in table.items()}


def _canonical(iana: str) -> Zone:
    """Follow an alias to the zone it stands for, but leave the zones that countries call their own as they are.

    IANA also links Europe/Stockholm to Europe/Berlin, and turns such links round at will: what `zone.tab` lists is a zone of its own.
    """
    if iana in _RENAMED:
        return Zone(_RENAMED[iana])
    return Zone(iana if iana in _country_zones() else _links().get(iana, iana))


@lru_cache(maxsize=1)
def _country_zones() -> frozenset[str]:
    return frozenset(line.split("\t")[2] for line in _pytz_lines("zone.tab") if not line.startswith("#"))


@lru_cache(maxsize=1)
def _links() -> Mapping[str, str]:
    return {alias: target for _, target, alias in (line.split() for line in _pytz_lines("tzdata.zi") if line.startswith("L "))}


def _pytz_lines(name: str) -> Iterator[str]:
    with pytz.open_resource(name) as stream:  # type: ignore[attr-defined] # its stubs forget it
        yield from stream.read().decode().splitlines()


@lru_cache(maxsize=1)
def _rails_table() -> Mapping[str, str]:
    return cast(
        "Mapping[str, str]", json.loads(importlib.resources.files("calrelay.domain").joinpath("rails_zones.json").read_text("utf-8"))
    )


@lru_cache(maxsize=1)
def _rails_names() -> Mapping[str, str]:
    by_zone: dict[str, str] = {_canonical(iana): name for name, iana in _rails_table().items()}
    return {**_SAME_CLOCK_NAMES, **by_zone, **_PREFERRED_NAMES}


def _read_strictly(text: str, formats: tuple[str, ...]) -> datetime | None:
    if _ISO_DATE.match(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return None
    for layout in formats:
        try:
            return datetime.strptime(text, layout)  # noqa: DTZ007 - a wall clock has no zone yet
        except ValueError:
            continue
    return None


def _read_leniently(text: str) -> datetime:
    """Ask dateutil, against two different defaults: what differs was not in the text but guessed."""
    from dateutil import parser as lenient  # noqa: PLC0415 - heavy, and only for dates that no known format fits

    if len(text) > _LONGEST_DATE or _MISLEADING.search(text) or not _FOUR_DIGIT_YEAR.search(text):
        raise _unreadable(text, "cannot be read without guessing")
    zones: list[tzinfo | None] = []

    def note_zone(name: str | None, seconds: int | None) -> None:
        if seconds is None and name:
            raise _unreadable(text, "carries a zone abbreviation, which may mean several zones")
        zones.append(None if seconds is None else timezone(timedelta(seconds=seconds)))

    try:
        readings = {lenient.parse(text, default=default, tzinfos=note_zone) for default in _DEFAULTS}
    except (ValueError, OverflowError):
        raise _unreadable(text, "cannot be read") from None
    if len(readings) != 1:
        raise _unreadable(text, "is not a whole date")
    return readings.pop().replace(tzinfo=zones[0])


_DEFAULTS: Final = (datetime(2001, 1, 1), datetime(2004, 2, 2))  # noqa: DTZ001 - midnights to fill in a date without a time


def _unreadable(text: str, fault: str) -> MappingError:
    """Describe the text by its shape: a field filled by hand may hold a guest's name or number (rule 23)."""
    shape = re.sub(r"[^\W\d_]", "A", re.sub(r"\d", "9", text))[:40]
    return MappingError(f"A date of the form “{shape}” {fault}.", remedy=_CORRECT_THE_TIME)
