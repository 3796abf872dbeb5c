"""The knobs of the TimeTap simulator: everything the vendor page calls unknown, switchable. No behaviour lives here."""

import dataclasses
from enum import StrEnum


class UnknownId(StrEnum):
    """How a GET of an id that is not there is answered (TimeTap page, sections 7 and 11)."""

    NOT_FOUND = "404"
    BAD_REQUEST = "400"  # with the bare JSON string `"Appointment for Id 123 not found!"`
    EMPTY = "empty"  # 200 and no body


class StaffFilter(StrEnum):
    """Which parameter name the report obeys; the other one is ignored like any unknown parameter."""

    STAFF = "staffIdList"
    PROFESSIONAL = "professionalIdList"
    NEITHER = "neither"


class WithoutStatuses(StrEnum):
    """What a report without statusList gives."""

    ALL = "all"
    OPEN = "open"
    NOTHING = "nothing"


class BeyondEnd(StrEnum):
    """What a page behind the last one holds."""

    EMPTY = "empty"
    LAST = "last"  # the last page again, so that only "no new id" ends the reading


class Spelling(StrEnum):
    """How an appointment's keys are written (TimeTap page, section 3.1)."""

    REST = "rest"  # calendarId, staff
    WEBHOOK = "webhook"  # calendarid, createddate …, staff
    WEBHOOK_OLD = "webhook-old"  # the same with `professional`


class IdLists(StrEnum):
    """Shape of /reasonIdList and its sisters."""

    ARRAY = "array"
    OBJECT = "object"


class DefinitionShape(StrEnum):
    """Shape of GET /eventDefinition/{id}: the text says object, the sample says array."""

    OBJECT = "object"
    ARRAY = "array"


class ActionPost(StrEnum):
    """Which body of POST /eventAction changes an action that exists; the others are echoed with 200 and change nothing."""

    ANY = "any"
    REQUEST_FORM = "request-form"  # only one with the interface's own state (template, recipient, msgType)
    NONE = "none"


class Anchor(StrEnum):
    """What a positive triggerHours counts from."""

    END = "end"
    START = "start"


@dataclasses.dataclass(slots=True, kw_only=True)
class TimeTapSettings:
    """How this TimeTap behaves; changed at run time by tests and the control page.

    `page_cap` silently bounds pageSize. `page_shift` moves every page after the first: 2 loses two rows to earlier pages, -2 serves
    two again. `count_offset` is added to every count. `token_minutes` None means a token lives until it is expired on demand, `token_calls`
    None that it may be used for any number of calls.
    """

    api_key: str = "55500"
    private_key: str = "0123456789abcdef0123456789abcdef"
    business_id: int = 55500
    token_minutes: float | None = 60.0
    token_calls: int | None = None
    parallel_tokens: bool = True
    requests_per_minute: int = 0  # 0: no limit

    page_size: int = 25
    page_cap: int | None = None
    page_shift: int = 0
    beyond_end: BeyondEnd = BeyondEnd.EMPTY
    count_offset: int = 0
    counts: bool = True  # False: no reportCount, 404
    list_key: str = "appointments"
    count_key: str = "count"
    staff_filter: StaffFilter = StaffFilter.NEITHER
    without_statuses: WithoutStatuses = WithoutStatuses.ALL
    time_off_always: bool = False
    unknown_id: UnknownId = UnknownId.NOT_FOUND
    id_lists: IdLists = IdLists.ARRAY

    utc_fields: bool = True
    staff_time_zone: bool = True
    staff_zone_object: bool = True  # False: only GET /staff/{id} tells the zone
    spelling: Spelling = Spelling.REST
    legacy_zones: bool = False
    null_fields: bool = False
    null_client: bool = False

    webhook_url: str = ""
    webhook_spelling: Spelling = Spelling.WEBHOOK

    definition_shape: DefinitionShape = DefinitionShape.OBJECT
    action_post: ActionPost = ActionPost.ANY
    pending_trigger_status: str = "PENDING"
    deleted_definitions_fire: bool = False  # scheduled triggers outlive the DELETE of their definition
    restored_definitions_lose_actions: bool = False
    after_counts_from: Anchor = Anchor.END
