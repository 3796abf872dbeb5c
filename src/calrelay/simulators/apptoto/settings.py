"""The knobs of the Apptoto simulator: what the vendor's documents leave open, each as a mode to choose. No behaviour here."""

import dataclasses
from enum import StrEnum


class CalendarChange(StrEnum):
    """What a PUT with another calendar does to a known external_id (Apptoto: section 6, unknown)."""

    IGNORE = "ignore"
    REFUSE = "refuse"  # 400
    DUPLICATE = "duplicate"


class AfterDelete(StrEnum):
    """What a PUT on the external_id of a deleted event does (Apptoto: section 6, unknown)."""

    REVIVE = "revive"
    UPDATE_DELETED = "update-deleted"  # patched, and still deleted
    NEW = "new"


class BadEvents(StrEnum):
    """What happens to a batch with an event that cannot be used (Apptoto: section 7, no format known)."""

    REFUSE_ALL = "refuse-all"  # 400 {}, nothing applied
    REFUSE_PARTLY = "refuse-partly"  # 400 {}, although the sound ones were applied
    PARTIAL = "partial"  # 200 with a short list: nothing from the bad one on was applied
    DROP = "drop"  # 200: the bad one is left out, the rest applied


class Overload(StrEnum):
    """How much of a batch was applied when the 502 comes."""

    BEFORE = "before"
    HALF_WAY = "half-way"
    AFTER = "after"


class Race(StrEnum):
    """What concurrent PUTs of one new external_id make."""

    ONE = "one"
    SEVERAL = "several"


class CalendarList(StrEnum):
    """The shape of GET /v1/calendars (Apptoto: section 3.4, guessed)."""

    WRAPPED = "wrapped"
    BARE = "bare"
    MISSING = "missing"  # 404


class Extraction(StrEnum):
    """When people are taken out of title, location and content (Apptoto: section 7, extraction hazard)."""

    ABSENT = "absent"  # only where no participants were ever sent
    EMPTY = "empty"  # also beside `participants: []`
    ALWAYS = "always"  # also beside explicit participants


@dataclasses.dataclass(slots=True, kw_only=True)
class ApptotoSettings:
    """What may be turned between two requests; every value takes effect with the next one.

    `poison` names events that are refused as bad: each entry is an external_id or a part of a title. `rules` are the account's
    auto messages, one per line of words: purpose (booking, reminder, follow-up), channel (sms, call, email), distance ("24h",
    "30m", "2d") and "off" for one that is defined but not enabled.
    """

    username: str = "ops@example.com"
    api_key: str = "apptoto-key"
    forbidden: bool = False  # 403 although the key is right
    requests_per_minute: int | None = 100
    retry_after: bool = True  # a 429 says how long to wait

    calendar_refusal: int = 422  # unknown name with prevent_calendar_creation; 400 is as likely
    unknown_calendar_status: int = 400
    calendar_change: CalendarChange = CalendarChange.IGNORE
    calendar_list: CalendarList = CalendarList.WRAPPED

    delete_again_status: int = 200  # or 404
    show_deleted: bool = True  # GET /v1/event of a deleted event answers it, flagged; else 404
    after_delete: AfterDelete = AfterDelete.REVIVE
    bad_events: BadEvents = BadEvents.REFUSE_ALL
    poison: tuple[str, ...] = ()
    race: Race = Race.ONE
    race_seconds: float = 0.02

    shuffle: bool = True  # results come in another order than sent
    echo_external_id: bool = True
    echo_time_zone: bool = False
    rendered_zone: str | None = None  # an IANA id: times come back with that zone's offset
    page_cap: int = 350

    seconds_per_event: float = 0.0  # the real thing takes about 0.75
    overload_above: int | None = None  # a 502 for larger batches
    failing: tuple[str, ...] = ()  # a 502 for batches with an event of one of these external ids
    overload: Overload = Overload.BEFORE  # what was applied before either

    account_zone: str = "America/New_York"
    extraction: Extraction = Extraction.ABSENT
    keep_messaged: bool = True  # participants already messaged stay when dropped from the array

    master_switch: bool = True  # Auto Messages
    rules: tuple[str, ...] = (
        "booking sms",
        "booking email",
        "reminder sms 24h",
        "reminder email 24h",
        "reminder sms 1h",
        "reminder call 24h off",
        "follow-up email 24h",
    )
    ignore_nobooking: bool = False  # that #nobooking is obeyed is a guess
    release_bookings: bool = False  # taking #skip or #nobooking away sends the booking message after all
    book_added: bool = False  # a participant added later gets a booking message
    use_event_zone: bool = True  # "Use time zone specified for event"
    stop_list: tuple[str, ...] = ()  # E.164 numbers and addresses that said STOP

    webhook_url: str | None = None
    webhook_triggers: tuple[str, ...] = ("state", "replied")  # also: created, modified, deleted
