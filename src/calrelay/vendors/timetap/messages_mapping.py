"""What TimeTap's definitions, templates and invitations mean in our words. Pure: no requests, no clock."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from calrelay.domain.event import SourceId
from calrelay.domain.messages import Action, Invitation, InvitationStatus, Moment, Scope, Template, Trigger
from calrelay.domain.reminders import Recipient
from calrelay.domain.switches import Occurrence
from calrelay.vendors.timetap import messages_wire as wire

EVENT_TYPES: Final = range(1, 14)  # there is no list of all definitions (TimeTap: 9)
_MOMENTS: Final[Mapping[int, Moment]] = {
    1: Moment.CREATED,
    2: Moment.CHANGED,
    3: Moment.TIME,
    4: Moment.CREATED,
    5: Moment.CHANGED,
    6: Moment.TIME,
    7: Moment.INVITED,
    8: Moment.INVITATION_OPEN,
    9: Moment.INVITATION_COMPLETED,
}
_OF_CLASSES: Final = frozenset({4, 5, 6})
_OF_INVITATIONS: Final = frozenset({Moment.INVITED, Moment.INVITATION_OPEN, Moment.INVITATION_COMPLETED})
_DONE: Final = "COMPLETED"  # the only documented status of a trigger; any other is taken for "still to come" (TimeTap: 11)
_LANES: Final = ("APPT", "CLASS", "DISCLAIMER", "INVOICE")


def to_trigger(definition: wire.EventDefinition, event_type: int, actions: Sequence[wire.EventAction]) -> Trigger:
    """Return a definition with its actions; `event_type` is the type it was found under."""
    moment = _MOMENTS.get(event_type, Moment.OTHER)
    return Trigger(
        id=definition.event_defn_id or "",
        moment=moment,
        delay=timedelta(hours=definition.trigger_hours or 0, minutes=definition.trigger_minutes or 0),
        description=definition.description or "",
        scope=Scope(
            services=_ids(definition.reason_id_list),
            staff=_ids(definition.professional_id_list),
            locations=_ids(definition.location_id_list),
            is_for_classes=event_type in _OF_CLASSES,
        ),
        old_status=(definition.old_status or "").upper(),
        new_status=(definition.new_status or "").upper(),
        campaign=definition.object_id if moment in _OF_INVITATIONS else None,
        actions=tuple(to_action(action) for action in actions if action.active is not False),
    )


def to_action(action: wire.EventAction) -> Action:
    """Return an action."""
    return Action(id=action.event_action_id or "", template_id=action.email_template_id, category=action.email_category_id)


def to_template(template: wire.EmailTemplate) -> Template:
    """Return a template; who gets it stands in its address and nowhere else (TimeTap: 3.3)."""
    return Template(
        id=template.email_template_id or "",
        category=template.email_category.email_category_id if template.email_category else None,
        level=template.level,
        language=template.language,
        services=_ids(template.reason_id_list),
        recipient=to_recipient(template.to_address),
    )


def to_recipient(address: str | None) -> Recipient | None:
    """Read whom a template is addressed to; None where it is a fixed address, or one nobody has seen."""
    text = (address or "").upper()
    if "%CLIENT_" in text:
        return Recipient.GUEST
    return Recipient.STAFF if "%STAFF_" in text or "%PROFESSIONAL_" in text else None


def to_invitation(invitation: wire.Invitation, campaign: wire.InvitationCampaign) -> Invitation | None:
    """Return an invitation that concerns an appointment, by itself or by its campaign; None for one that asks somebody to book."""
    is_of_appointment = (invitation.object_type or "").upper() == "APPOINTMENT"
    event = invitation.object_id if is_of_appointment else campaign.calendar_id
    if event is None or invitation.created_date is None:
        return None
    return Invitation(
        campaign=invitation.invitation_campaign_id or campaign.invitation_campaign_id or "",
        event=SourceId(event),
        guest_id=None if is_of_appointment else invitation.object_id,
        created_at=invitation.created_date,
        completed_at=invitation.completed_date,
        is_answered=bool(invitation.completed or invitation.declined or invitation.unsubscribed),
        status=_to_status(invitation),
    )


def _to_status(invitation: wire.Invitation) -> InvitationStatus:
    """Return the documented word, else what the flags say: at times they are ahead of one another (TimeTap: 7, clicked but not opened)."""
    word = (invitation.status or "").lower()
    if word in list(InvitationStatus):
        return InvitationStatus(word)
    flags = (
        (invitation.declined, InvitationStatus.DECLINED),
        (invitation.completed, InvitationStatus.COMPLETED),
        (invitation.clicked, InvitationStatus.CLICKED),
        (invitation.opened, InvitationStatus.OPENED),
        (invitation.sent, InvitationStatus.SENT),
    )
    return next((status for flag, status in flags if flag), InvitationStatus.PENDING)


def to_occurrence(trigger: wire.EventTrigger) -> Occurrence | None:
    """Return a going-off of a definition; None where it does not tell when."""
    if trigger.scheduled_time is None or trigger.event_defn_id is None:
        return None
    return Occurrence(trigger=trigger.event_defn_id, at=trigger.scheduled_time, is_done=(trigger.status or "").upper() == _DONE)


def to_request_form(body: Mapping[str, Any], template: wire.EmailTemplate, options: Sequence[wire.EmailTemplate]) -> dict[str, Any]:
    """Return an action as TimeTap's own pages post it, with the state of their form, for when a plain one does not take (TimeTap: 3.2)."""
    category = template.email_category.to_json().get("emailCategoryId") if template.email_category else None
    is_client = to_recipient(template.to_address) is Recipient.GUEST
    return {
        **body,
        "categoryForLookup": category,
        "msgType": {"eventTypeCodes": list(_LANES), "label": "Email", "value": "email"},
        "noTemplatesInCategory": False,
        "recipient": {"label": "Client", "value": "client"} if is_client else {"label": "Staff", "value": "staff"},
        "template": template.to_json(),
        "templateOptions": [option.to_json() for option in options] or [template.to_json()],
    }


def _ids(ids: Sequence[str] | None) -> frozenset[str] | None:
    return None if ids is None else frozenset(identity.casefold() for identity in ids)
