"""Odd events that Tripleseat was seen to serve, or may: each variant changes one row in place. Pure."""

import html
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum

from calrelay.simulators.tripleseat.places import ALDER_HOUSE
from calrelay.simulators.tripleseat.rows import Row, relocated


class Variant(StrEnum):
    """What is odd about a row (Tripleseat: What a simulator must do, items 8 and 9)."""

    NULL_GUEST_COUNTS = "null_guest_counts"
    MONEY_NUMBERS = "money_numbers"
    MONEY_NULLS = "money_nulls"
    TWO_ROOMS = "two_rooms"
    BLANKS_IN_NAMES = "blanks_in_names"
    HTML_IN_NAME = "html_in_name"
    NO_CONTACT = "no_contact"
    EMPTY_PHONES = "empty_phones"
    NO_CONTACT_ARRAYS = "no_contact_arrays"
    ABSENT_KEYS = "absent_keys"
    ACCOUNT_IN_BOOKING = "account_in_booking"
    ROOMS_AS_OBJECT = "rooms_as_object"
    IANA_ZONE = "iana_zone"
    NO_ZONE = "no_zone"
    NO_UTC = "no_utc"
    NO_OFFSETS = "no_offsets"
    WALL_CLOCK_ONLY = "wall_clock_only"
    PADDED_DATES = "padded_dates"
    UTC_DISAGREES = "utc_disagrees"
    NO_TIMES = "no_times"


_MONEY = ("food_and_beverage_min", "deposit_amount", "rental_fee", "actual_amount", "grand_total", "amount_due")
_UTC = ("event_start_utc", "event_end_utc")
_OFFSETS = ("event_start_iso8601", "event_end_iso8601", "event_start_with_setup_iso8601", "event_end_with_teardown_iso8601")
_OPTIONAL = ("lead", "lost_reason", "lost_reason_details", "delivery_instructions", "selected_gratuity", "documents", "attachments")
_WALL = ("event_start", "event_end", "start_time", "end_time")


def vary(row: Row, variant: Variant) -> None:
    """Make this row odd in this way."""
    _VARIANTS[variant](row)


def _set(**changes: object) -> Callable[[Row], None]:
    return lambda row: row.update(changes)


def _drop(*keys: str) -> Callable[[Row], None]:
    def drop(row: Row) -> None:
        for key in keys:
            row.pop(key, None)

    return drop


def _number_money(row: Row) -> None:
    row.update({key: float(row[key]) for key in _MONEY if row.get(key) is not None})


def _blank_names(row: Row) -> None:
    row["name"] = f"  {row['name']} "
    row["rooms"] = [{**room, "name": f"{room['name']}  "} for room in row["rooms"]]


def _mark_up_name(row: Row) -> None:
    row["name"] = f"<b>{html.escape(row['name'])}</b> &amp; friends"
    row["description"] = "<p>Doors at&nbsp;six.<br>Bring <i>nothing</i>.</p>"


def _empty_phones(row: Row) -> None:
    row["contact"] = {**row["contact"], "phone_numbers": []}


def _drop_arrays(row: Row) -> None:
    row["contact"] = {k: v for k, v in row["contact"].items() if k not in ("email_addresses", "phone_numbers")}


def _pad_dates(row: Row) -> None:
    for key in _WALL:
        moment = datetime.strptime(row[key], "%m/%d/%Y %I:%M %p")  # noqa: DTZ007  # a wall clock time has no zone
        row[key] = moment.strftime("%m/%d/%Y %I:%M %p")


def _disagree(row: Row) -> None:
    for key in _UTC:
        moment = datetime.fromisoformat(row[key]) + timedelta(hours=1)
        row[key] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _wall_clock_only(row: Row) -> None:
    _drop(*_UTC, *_OFFSETS)(row)


_VARIANTS: dict[Variant, Callable[[Row], None]] = {
    Variant.NULL_GUEST_COUNTS: _set(guest_count=None, guaranteed_guest_count=None),
    Variant.MONEY_NUMBERS: _number_money,
    Variant.MONEY_NULLS: _set(**dict.fromkeys(_MONEY)),
    Variant.TWO_ROOMS: lambda row: row.update(relocated(ALDER_HOUSE, ALDER_HOUSE.rooms[:2])),
    Variant.BLANKS_IN_NAMES: _blank_names,
    Variant.HTML_IN_NAME: _mark_up_name,
    Variant.NO_CONTACT: _set(contact=None, contact_id=None, lead=None),
    Variant.EMPTY_PHONES: _empty_phones,
    Variant.NO_CONTACT_ARRAYS: _drop_arrays,
    Variant.ABSENT_KEYS: _drop(*_OPTIONAL),
    Variant.ACCOUNT_IN_BOOKING: _drop("account"),
    Variant.ROOMS_AS_OBJECT: lambda row: row.update(rooms=row["rooms"][0]),
    Variant.IANA_ZONE: _set(event_timezone="America/New_York"),
    Variant.NO_ZONE: _drop("event_timezone"),
    Variant.NO_UTC: _drop(*_UTC),
    Variant.NO_OFFSETS: _drop(*_OFFSETS),
    Variant.WALL_CLOCK_ONLY: _wall_clock_only,
    Variant.PADDED_DATES: _pad_dates,
    Variant.UTC_DISAGREES: _disagree,
    Variant.NO_TIMES: _drop(*_UTC, *_OFFSETS, *_WALL, "event_date", "event_date_iso8601", "start_date", "end_date"),
}
