"""What a cassette may keep as it came: vendor words, shapes of dates and clocks, headers. Whatever is not here is replaced."""

import re
from typing import Final

from calrelay.vendors.timetap.mapping import STATUSES as TIMETAP_STATUSES
from calrelay.vendors.tripleseat.settings import STATUSES as TRIPLESEAT_STATUSES

SCRUBBED: Final = "scrubbed"

KEPT_HEADERS: Final = frozenset({"accept", "content-type", "date", "retry-after"})
SECRET_KEYS: Final = frozenset(
    {
        *("accesstoken", "refreshtoken", "sessiontoken", "token", "apikey", "privatekey", "publickey", "clientid", "clientsecret"),
        *("signature", "timestamp", "code", "password", "secret", "authorization", "subdomain"),
    }
)
"""Keys of queries, forms and JSON whose values open something or name the customer; compared folded."""

OUR_QUERY: Final = frozenset({"page", "pagesize", "pagenumber", "order", "sortdirection", "includedeleted", "includeconversations"})
"""Parameters whose values are words of our own clients."""

FREE_MAPS: Final = frozenset({"customdata", "parametermap", "fielddatamap", "filtertagmapjson"})
"""Objects whose very keys are typed by customers."""
OUR_CUSTOM_KEYS: Final = frozenset({"source", "status", "guest_count", "calrelay_load", "event_type", "service", "booking_id"})

PERSONAL_KEY: Final = re.compile(r"birth|zip|postal|address|(?<!capa)city|street|phone|fax|extension|^value$|note|custom(?!er)|card|ssn")
"""Keys under which even a date or a small number may tell who somebody is; compared folded."""
TIME_KEY: Final = re.compile(r"date|time|at$|expire")
NAME_KEY: Final = re.compile(r"name|user$")
PHONE_KEY: Final = re.compile(r"phone|fax|mobile|cell|^number$")
URL_KEY: Final = re.compile(r"ur[il]$|link")

_PARTICIPANT_STATES: Final = (
    *("initial", "accepted", "declined", "reminded", "confirmed"),
    *("not_coming", "not_coming_needs_reschedule", "not_coming_no_reschedule"),
)
_SENTENCES: Final = (
    *("Record not found", "The access token is invalid", "Token resource owner not found", "You don't have permission"),
    *("Invalid signature", "Session token is not valid", "Too many requests", "unauthorized", "forbidden", "invalid_grant"),
    *("must be selected", "is invalid", "can't be blank"),
)
_WORDS: Final = (
    *("Main", "Work", "Home", "Mobile", "Fax", "Pager", "Skype"),  # Tripleseat's types of phone numbers
    *("SERVICE", "CLASS", "Active", "WebClient", "event_trigger", "api", "Office", "business"),
    *("SEND_EMAIL", "CALENDAR", "INVITATION", "INVITATION_CAMPAIGN", "CLASS_SCHEDULE", "RECALL", "CLIENT", "STAFF"),  # TimeTap's messages
    *("APPT_CREATED", "APPT_CHANGED", "APPT_REMINDER", "INVITE_REMINDER", "REMINDER", "SENT", "OPENED", "CLICKED"),
    *("Bearer", "read", "write", "refresh_token", "authorization_code", "client_credentials"),
    *("tripleseat", "timetap", "USD", "CAD", "GBP", "true", "false", "#skip"),
)
VOCABULARY: Final = frozenset(
    word.casefold() for word in (*TRIPLESEAT_STATUSES, *TIMETAP_STATUSES, *_PARTICIPANT_STATES, *_SENTENCES, *_WORDS)
)

HARMLESS: Final = re.compile(
    r"""
      \d{4}-\d\d-\d\d(?:[T\ ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)?   # ISO dates and instants
    | \d\d?/\d\d?/\d{4}(?:\ \d\d?:\d\d\ ?[AP]M)?                                    # Tripleseat's dates
    | \d\d?:\d\d\ ?[AP]M
    | \d{1,4}                                                                       # clocks, counts, minutes
    | 0\.0
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Shapes that tell nobody's name; a longer number may be anything and gets another one."""

PLACEHOLDER: Final = re.compile(
    r"""
      (?:Name|Text|<p>Text)\ \d+(?:</p>)?
    | scrubbed | key_\d+ | external-\d+ | guest\d+@example\.com | https://example\.com/\d+
    | 212-555-01\d\d | \+121255501\d\d
    | 10*\d{3} | ivt\d{1,4}
    | (?:ts|tt)-10*\d{3}(?:\.\d+)?
    | Appointment\ for\ Id\ 10*\d{3}\ not\ found!
    """,
    re.VERBOSE,
)
"""What the scrubber itself writes; it leaves that alone, so that scrubbing twice is scrubbing once."""
