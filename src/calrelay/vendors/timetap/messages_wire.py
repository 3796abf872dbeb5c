"""TimeTap's messages as they come over the wire: definitions, actions, triggers, templates, invitations. Shapes only, no meaning.

Each object is typed, and also kept as it came: what is sent back to TimeTap is what it told, with single keys changed, so that no field
is lost on the way, known to us or not.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self, TypeVar

from dateutil.parser import isoparse
from pydantic import AliasChoices, BeforeValidator, Field, ModelWrapValidatorHandler, PrivateAttr, ValidationError, model_validator
from pydantic_core import from_json

from calrelay.vendors.timetap.wire import Id, Text, Wire

Json = dict[str, Any]
Kind = TypeVar("Kind", bound="Kept")

USERS: Final = ("createdUser", "modifiedUser")
"""The keys that name people who work there; what is stored goes without them (rule 23)."""


def _to_flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _to_number(value: object) -> int | None:
    """Read a whole number, also out of text."""
    match value:
        case bool():
            return None
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if value.strip().lstrip("-").isdecimal() and value.strip().isascii():
            return int(value)
        case _:
            return None


def _to_moment(value: object) -> datetime | None:
    """Read an instant: milliseconds in replies, a date in requests (`expireDate`; TimeTap: Invitations), which begins in UTC."""
    number = _to_number(value)
    try:
        if number is not None:
            return datetime.fromtimestamp(number / 1000, UTC)
        moment = isoparse(value.strip()) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _items(value: object) -> list[object]:
    """Return the items of a list, however it is written: bare, by index, joined by commas, or a single one."""
    match value:
        case None:
            return []
        case str():
            return [part for part in value.split(",") if part.strip()]
        case Mapping():
            return list(value.values()) if all(str(key).isdecimal() for key in value) else [value]
        case Sequence():
            return list(value)
        case _:
            return [value]


def _to_ids(value: object) -> tuple[str, ...] | None:
    """Read a list of ids or words; null stays null, because it means all of them where an empty list may not (TimeTap: 3.2)."""
    return None if value is None else tuple(str(item).strip() for item in _items(value) if isinstance(item, str | int))


def _to_objects(value: object) -> list[object]:
    return [item for item in _items(value) if isinstance(item, Mapping)]


def _to_object(value: object) -> object:
    return value if isinstance(value, Mapping) else None


def _to_words(value: object) -> dict[str, str]:
    """Read an object of texts, also out of the JSON text that `parameters` is."""
    if isinstance(value, str):
        try:
            value = from_json(value)
        except ValueError:
            return {}
    return {str(key): str(inner) for key, inner in value.items() if inner is not None} if isinstance(value, Mapping) else {}


def _without_users(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _without_users(inner) for key, inner in value.items() if key not in USERS}
        case list():
            return [_without_users(item) for item in value]
        case _:
            return value


Flag = Annotated[bool | None, BeforeValidator(_to_flag)]
Number = Annotated[int | None, BeforeValidator(_to_number)]
Moment = Annotated[datetime | None, BeforeValidator(_to_moment)]
Ids = Annotated[tuple[str, ...] | None, BeforeValidator(_to_ids)]
Words = Annotated[dict[str, str], BeforeValidator(_to_words)]
Form = Annotated[dict[str, Any] | None, BeforeValidator(_to_object)]  # state of TimeTap's own pages, handed back as it came


class Kept(Wire):
    """An object that remembers how it came."""

    _given: Json = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made = handler(value)
        if isinstance(value, Mapping):
            made._given = dict(value)  # noqa: SLF001 - its own, a moment after its birth
        return made

    def to_json(self, **changed: object) -> Json:
        """Return the object as it came, with these keys, in TimeTap's spelling, changed or added."""
        return self._given | changed

    def without_users(self) -> Json:
        """Return the object as it came, without the names of those who made and changed it, or anything that stands in it."""
        return {key: _without_users(value) for key, value in self._given.items() if key not in USERS}


class EventType(Kept):
    """What sets a definition off; POST answers with nothing but its id, requests carry the state of a form."""

    event_type_id: Number = None
    event_type: Text = None
    event_category: Text = None
    object_type: Text = None
    event_type_code: Text = None
    event_type_desc: Text = None
    event_type_ids: Ids = None


class EmailCategory(Kept):
    """A kind of mail. Its full shape is documented elsewhere."""

    email_category_id: Id = None
    allow_duplicates: Flag = None
    sent_to: Text = None


class EmailTemplate(Kept):
    """A mail's text and address; `to_address` is the only stored hint of who gets it (TimeTap: 3.3)."""

    active: Flag = None
    email_template_id: Id = None
    business_id: Id = None
    email_category: Annotated[EmailCategory | None, BeforeValidator(_to_object)] = None
    level: Number = None
    language: Text = None
    reason_id_list: Ids = None
    reason_name_list: Ids = None
    template_name: Text = None
    external_name: Text = None
    subject: Text = None
    to_address: Text = None
    to_name: Text = None
    from_address: Text = None
    from_name: Text = None
    cc_address: Text = None
    bcc_address: Text = None
    reply_to_address: Text = None
    email_because: Text = None
    email_body: Text = None
    email_body_text: Text = None
    attach_file_library_uuids: Ids = None
    s3_file_name: Text = None
    allow_online: Flag = None
    no_header: Flag = None
    location: Form = None
    reseller_id: Id = None
    sort_order: Number = None
    created_date: Moment = None
    created_user: Text = None
    modified_date: Moment = None
    modified_user: Text = None
    # Only in requests, or in previews.
    address_counts_invalid: Flag = None
    bcc_address_char_count_invalid: Flag = None
    cc_address_char_count_invalid: Flag = None
    to_address_char_count_invalid: Flag = None
    files_for_display: Annotated[tuple[dict[str, Any], ...], BeforeValidator(_to_objects)] = ()
    language_object: Form = None
    parameter_map: Words = Field(default={})
    professional_id: Id = None


class EventAction(Kept):
    """What a definition does: so far nothing but sending a mail. The prose says eventDefinitionId, every sample eventDefnId."""

    event_action_id: Id = None
    event_defn_id: Annotated[Id, Field(validation_alias=AliasChoices("eventdefnid", "eventdefinitionid"))] = None
    action_type: Text = None
    active: Flag = None
    business_id: Id = None
    email_category_id: Id = None
    email_template_id: Id = None
    created_date: Moment = None
    created_user: Text = None
    modified_date: Moment = None
    modified_user: Text = None
    # Only in requests: the state of TimeTap's own form.
    category_for_lookup: Id = None
    msg_type: Form = None
    no_templates_in_category: Flag = None
    recipient: Form = None
    template: Annotated[EmailTemplate | None, BeforeValidator(_to_object)] = None
    template_options: Annotated[tuple[EmailTemplate, ...], BeforeValidator(_to_objects)] = ()


class EventDefinition(Kept):
    """A trigger of the Events API: what sets it off, for which appointments. Its actions are null in reads, filled inside a campaign."""

    event_defn_id: Annotated[Id, Field(validation_alias=AliasChoices("eventdefnid", "eventdefinitionid"))] = None
    active: Flag = None
    business_id: Id = None
    description: Text = None
    event_type: Annotated[EventType | None, BeforeValidator(_to_object)] = None
    event_actions: Annotated[tuple[EventAction, ...], BeforeValidator(_to_objects)] = ()
    object_type: Text = None
    object_id: Id = None
    object_uuid: Text = None
    old_status: Text = None
    new_status: Text = None
    trigger_hours: Number = None
    trigger_minutes: Number = None
    location_id_list: Ids = None
    professional_id_list: Ids = None
    reason_id_list: Ids = None
    disclaimer_form_id_list: Ids = None
    group_id_list: Ids = None
    filter_tag_map_json: Text = None
    created_date: Moment = None
    created_user: Text = None
    modified_date: Moment = None
    modified_user: Text = None
    # Only in requests: the state of TimeTap's own form.
    all_or_none_select: Form = None
    new_status_object: Form = None
    old_status_object: Form = None
    template_actions: Annotated[tuple[EventAction, ...], BeforeValidator(_to_objects)] = ()
    trigger_days: Number = None
    trigger_hours_value: Number = None
    trigger_minutes_value: Number = None
    trigger_months: Number = None
    trigger_weeks: Number = None
    trigger_when: Form = None
    triggered_by: Form = None


class EventTrigger(Kept):
    """One going-off of a definition for one appointment or invitation, past or scheduled."""

    event_trigger_id: Id = None
    event_defn_id: Annotated[Id, Field(validation_alias=AliasChoices("eventdefnid", "eventdefinitionid"))] = None
    business_id: Id = None
    object_id: Id = None
    object_type: Text = None
    object_uuid: Text = None
    scheduled_time: Moment = None
    completed_time: Moment = None
    status: Text = None
    created_date: Moment = None
    created_user: Text = None
    modified_date: Moment = None
    modified_user: Text = None


class Invitation(Kept):
    """One person's or appointment's part in a campaign."""

    invitation_uuid: Text = None
    invitation_campaign_id: Id = None
    business_id: Id = None
    object_id: Id = None
    object_type: Text = None
    status: Text = None
    email: Form = None
    sent: Flag = None
    opened: Flag = None
    open_date: Moment = None
    clicked: Flag = None
    click_date: Moment = None
    completed: Flag = None
    completed_date: Moment = None
    declined: Flag = None
    decline_date: Moment = None
    unsubscribed: Flag = None
    created_date: Moment = None
    created_user: Text = None
    modified_date: Moment = None
    modified_user: Text = None


class InvitationCampaign(Kept):
    """A mailing that asks people to book. `parameters` is JSON inside a text, at times at odds with the map (TimeTap: 7)."""

    invitation_campaign_id: Id = None
    business_id: Id = None
    calendar_id: Id = None
    description: Text = None
    email: Form = None
    email_template_id: Id = None
    event_definition_list: Annotated[tuple[EventDefinition, ...], BeforeValidator(_to_objects)] = ()
    expire_date: Moment = None
    parameter_map: Words = Field(default={})
    parameters: Words = Field(default={})
    coordinator_staff_id: Id = None
    professional_id: Id = None
    staff_id: Id = None
    location_id: Id = None
    location_name: Text = None
    reason_id: Id = None
    waitlist_id: Id = None
    disclaimer_form_uuid: Text = None
    employment_duration_type: Text = None
    job_requisition_id: Id = None
    job_title: Text = None
    requisition_number: Annotated[Id, Field(validation_alias=AliasChoices("requisitionnumber", "requisitionnnmber"))] = None
    status: Text = None
    created_date: Moment = None
    created_user: Text = None
    modified_date: Moment = None
    modified_user: Text = None


def parse_list(kind: type[Kind], value: object) -> list[Kind]:
    """Read a list of objects, where one of them alone counts as a list of one; an object that cannot be read costs only itself."""
    found: list[Kind] = []
    for item in _to_objects(value):
        try:
            found.append(kind.model_validate(item))
        except ValidationError:
            continue
    return found


def parse_one(kind: type[Kind], value: object) -> Kind | None:
    """Read one object, also where it comes as a list of one (TimeTap: 7, one definition); None where there is none."""
    found = parse_list(kind, value)
    return found[0] if len(found) == 1 else None
