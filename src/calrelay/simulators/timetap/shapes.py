"""The shapes in which a stored appointment can be served: what is left out, null, respelt or called by an old name."""

from calrelay.simulators.timetap.rows import Json, zone_object
from calrelay.simulators.timetap.settings import Spelling, TimeTapSettings

LEGACY = {
    "America/New_York": "US/Eastern",
    "America/Chicago": "US/Central",
    "America/Denver": "US/Mountain",
    "America/Phoenix": "US/Arizona",
    "America/Los_Angeles": "US/Pacific",
    "America/Anchorage": "US/Alaska",
    "Pacific/Honolulu": "US/Hawaii",
    "America/Toronto": "Canada/Eastern",
    "America/Vancouver": "Canada/Pacific",
}
WEBHOOK_KEYS = {
    "calendarId": "calendarid",
    "createdDate": "createddate",
    "modifiedDate": "modifieddate",
    "createdUser": "createduser",
    "modifiedUser": "modifieduser",
}
STRINGS_IN_WEBHOOKS = ("createddate", "modifieddate")


def dress(row: Json, settings: TimeTapSettings, spelling: Spelling | None = None) -> Json:
    """Return the row as these settings let it be seen; the stored row stays as it is."""
    shown = dict(row)
    if settings.null_client:
        shown["client"] = None
    if settings.null_fields:
        shown["fields"] = None
    if not settings.utc_fields:
        del shown["startDateTimeUTC"], shown["endDateTimeUTC"]
    shown["staff"] = dress_staff(row["staff"], settings)
    _dress_zones(shown, settings)
    return respell(shown, spelling or settings.spelling)


def dress_staff(staff: Json | None, settings: TimeTapSettings, *, whole: bool = False) -> Json | None:
    """Return a staff object as served; `whole` is for GET /staff/{id}, which always tells the zone."""
    if staff is None:
        return None
    zone = staff["timeZoneCode"]
    if not settings.staff_zone_object and not whole:
        return staff | {"timeZoneCode": None}
    code = zone["timeZoneCode"]
    return staff | {"timeZoneCode": zone_object(LEGACY.get(code, code))} if settings.legacy_zones else staff


def _dress_zones(shown: Json, settings: TimeTapSettings) -> None:
    if settings.legacy_zones:
        for key in ("staffTimeZone", "clientTimeZone"):
            shown[key] = LEGACY.get(shown[key], shown[key])
    if not settings.staff_time_zone:
        del shown["staffTimeZone"]


def respell(row: Json, spelling: Spelling) -> Json:
    """Return a row with the keys of REST or of one of the two webhook spellings; webhook timestamps are strings."""
    if spelling is Spelling.REST:
        return row
    renamed = {WEBHOOK_KEYS.get(key, key): value for key, value in row.items()}
    for key in STRINGS_IN_WEBHOOKS:
        renamed[key] = None if renamed.get(key) is None else str(renamed[key])
    if spelling is Spelling.WEBHOOK_OLD:
        renamed["professional"] = renamed.pop("staff")
    return renamed
