"""Event definitions and actions of the simulated TimeTap: what is stored, what a POST changes, what reads hide. No HTTP."""

import dataclasses
import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.timetap.book import Change
from calrelay.simulators.timetap.rows import BUSINESS_ID, Json, millis
from calrelay.simulators.timetap.settings import ActionPost, TimeTapSettings
from calrelay.simulators.timetap.templates import Refused

FIRST_DEFINITION, FIRST_ACTION = 31_001, 41_901
EVENT_TYPES = {
    1: ("APPT_CREATED", "CALENDAR", "EVENT"),
    2: ("APPT_CHANGED", "CALENDAR", "EVENT"),
    3: ("APPT_REMINDER", "CALENDAR", "REMINDER"),
    4: ("CLASS_SCHEDULE_CREATED", "CLASS_SCHEDULE", "EVENT"),
    5: ("CLASS_SCHEDULE_CHANGED", "CLASS_SCHEDULE", "EVENT"),
    6: ("CLASS_SCHEDULE_REMINDER", "CLASS_SCHEDULE", "REMINDER"),
    7: ("INVITE_CREATED", "INVITATION", "EVENT"),
    8: ("INVITE_REMINDER", "INVITATION", "REMINDER"),
    9: ("INVITE_COMPLETED", "INVITATION", "EVENT"),
    10: ("RECALL", "RECALL", "REMINDER"),
    11: ("INVITE_CHANGED", "INVITATION", "EVENT"),
    12: ("DISCLAIMER_CREATED", "DISCLAIMER", "EVENT"),
    13: ("DISCLAIMER_CHANGED", "DISCLAIMER", "EVENT"),
}
OBJECT_TYPES = ("CALENDAR", "INVITATION_CAMPAIGN", "RECALL", "CLASS_SCHEDULE")
DEFINITION_KEYS = (
    "description",
    "disclaimerFormIdList",
    "groupIdList",
    "locationIdList",
    "newStatus",
    "objectId",
    "objectUUId",
    "oldStatus",
    "professionalIdList",
    "reasonIdList",
)
ACTION_REQUIRED = ("actionType", "active", "businessId", "emailTemplateId", "eventDefnId")
FORM_STATE = ("template", "recipient", "msgType")  # what the vendor's own request form carries and no GET returns


def a_definition_body(event_type_id: int, hours: int, description: str) -> Json:
    """Build what POST /eventDefinition needs for an appointment; lists and statuses are left open."""
    object_type = "CLASS_SCHEDULE" if event_type_id in (4, 5, 6) else "CALENDAR"
    return {
        "active": True,
        "businessId": BUSINESS_ID,
        "description": description,
        "eventActions": None,
        "eventType": {"eventTypeId": event_type_id},
        "objectType": object_type,
        "triggerHours": hours,
        "triggerMinutes": 0,
    }


def an_action_body(definition: int, template: int) -> Json:
    """Build what POST /eventAction needs."""
    return {
        "actionType": "SEND_EMAIL",
        "active": True,
        "businessId": BUSINESS_ID,
        "emailTemplateId": template,
        "eventDefnId": definition,
    }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A create or change trigger that went off for an appointment; its message is sent at `at`."""

    definition_id: int
    calendar_id: int
    at: datetime


def type_of(definition: Json) -> int:
    """Return the event type of a definition."""
    return int(definition["eventType"]["eventTypeId"])


def in_scope(definition: Json, row: Json) -> bool:
    """Tell whether a definition's lists admit an appointment; null and empty lists admit all, which is a guess."""
    wanted = (
        ("locationIdList", "location", "locationId"),
        ("professionalIdList", "staff", "professionalId"),
        ("reasonIdList", "reason", "reasonId"),
    )
    if type_of(definition) in (4, 5, 6) and (row["reason"] or {}).get("reasonType") != "CLASS":
        return False
    return all(not definition[ids] or (row[part] or {}).get(key) in definition[ids] for ids, part, key in wanted)


class EventStore:
    """All definitions and actions by id; inactive ones are kept and never shown."""

    def __init__(self, clock: SimulatedClock, settings: TimeTapSettings) -> None:
        self._clock = clock
        self._settings = settings
        self._definition_numbers = itertools.count(FIRST_DEFINITION)
        self._action_numbers = itertools.count(FIRST_ACTION)
        self.definitions: dict[int, Json] = {}
        self.actions: dict[int, Json] = {}
        self.fired: list[Fired] = []

    def visible(self, number: int) -> Json | None:
        """Return an active definition or None."""
        found = self.definitions.get(number)
        return found if found and found["active"] else None

    def of_type(self, event_type: int) -> Iterator[Json]:
        """Go through the active definitions of a type."""
        return (d for d in self.definitions.values() if d["active"] and type_of(d) == event_type)

    def of_campaign(self, campaign: int) -> Iterator[Json]:
        """Go through the active definitions of an invitation campaign."""
        return (
            d for d in self.definitions.values() if d["active"] and (d["objectType"], d["objectId"]) == ("INVITATION_CAMPAIGN", campaign)
        )

    def actions_of(self, definition: int) -> Iterator[Json]:
        """Go through the active actions of a definition."""
        return (a for a in self.actions.values() if a["active"] and a["eventDefnId"] == definition)

    def firing(self, *event_types: int) -> Iterator[Json]:
        """Go through the definitions that send: the active ones, and retired ones where those still fire."""
        ghosts = self._settings.deleted_definitions_fire
        return (d for d in self.definitions.values() if type_of(d) in event_types and (d["active"] or ghosts))

    def save_definition(self, body: Json) -> Json:
        """Update the definition whose eventDefnId is in the body, else create one; returns the stored one. Raises Refused."""
        self._check_definition(body)
        number = body.get("eventDefnId")
        old = self.definitions.get(number) if number else None
        if number and old is None:
            raise Refused(f"Event definition for Id {number} not found!")
        stored = self._store_definition(body, old)
        if old and body["active"] and not old["active"] and self._settings.restored_definitions_lose_actions:
            self._drop_actions(stored["eventDefnId"])
        for action in body.get("templateActions") or body.get("eventActions") or ():
            self._store_action(action | {"eventDefnId": stored["eventDefnId"]})
        return stored

    def save_action(self, body: Json) -> Json:
        """Update the action whose eventActionId is in the body, else create a further one. Raises Refused.

        Where the settings make TimeTap insist on its own request form, another body for an action that exists is echoed and ignored.
        """
        missing = [key for key in ACTION_REQUIRED if body.get(key) is None]
        if missing:
            raise Refused(f"{', '.join(missing)} required")
        if body["eventDefnId"] not in self.definitions:
            raise Refused(f"Event definition for Id {body['eventDefnId']} not found!")
        old = self.actions.get(body.get("eventActionId") or 0)
        if body.get("eventActionId") and old is None:
            raise Refused(f"Event action for Id {body['eventActionId']} not found!")
        if old is not None and not self._takes(body):
            return old | {key: body[key] for key in ACTION_REQUIRED}
        return self._store_action(body)

    def retire(self, number: int) -> Json:
        """Set a definition inactive; its actions stay as they are. Raises Refused."""
        old = self.visible(number)
        if old is None:
            raise Refused(f"Event definition for Id {number} not found!")
        self.definitions[number] = old | {"active": False, "modifiedDate": millis(self._clock.now()), "modifiedUser": "api"}
        return self.definitions[number]

    def note_change(self, change: Change, before: Json | None, after: Json) -> None:
        """Let create and change triggers go off; the listener of the appointment book."""
        if change is Change.DELETED or after["client"] is None:
            return
        types = (1, 4) if before is None else (2, 5)
        for definition in self.firing(*types):
            if in_scope(definition, after) and _status_fits(definition, before, after):
                delay = timedelta(hours=max(0, definition["triggerHours"]), minutes=max(0, definition["triggerMinutes"]))
                at = self._clock.now() + delay
                self.fired.append(Fired(definition_id=definition["eventDefnId"], calendar_id=after["calendarId"], at=at))

    def _takes(self, body: Json) -> bool:
        mode = self._settings.action_post
        return mode is ActionPost.ANY or (mode is ActionPost.REQUEST_FORM and all(body.get(key) for key in FORM_STATE))

    def _check_definition(self, body: Json) -> None:
        missing = [key for key in ("active", "businessId", "objectType", "triggerHours") if body.get(key) is None]
        # Required by the table, absent from the vendor's own request, which has templateActions and a null triggerMinutes.
        if "triggerMinutes" not in body:
            missing.append("triggerMinutes")
        if "eventActions" not in body and "templateActions" not in body:
            missing.append("eventActions")
        if missing:
            raise Refused(f"{', '.join(missing)} required")
        if (body.get("eventType") or {}).get("eventTypeId") not in EVENT_TYPES:
            raise Refused("eventType is required")
        if body["objectType"] not in OBJECT_TYPES:
            raise Refused("objectType is unknown")

    def _store_definition(self, body: Json, old: Json | None) -> Json:
        base = old or self._stamped({"eventDefnId": next(self._definition_numbers)} | dict.fromkeys(DEFINITION_KEYS))
        if old:
            base = base | {"modifiedDate": millis(self._clock.now()), "modifiedUser": "api"}
        stored: Json = base | {key: body[key] for key in DEFINITION_KEYS if key in body}
        stored |= {"active": body["active"], "objectType": body["objectType"], "eventActions": None}
        stored |= {"triggerHours": body["triggerHours"], "triggerMinutes": body["triggerMinutes"] or 0}
        stored["eventType"] = event_type(body["eventType"]["eventTypeId"])
        self.definitions[stored["eventDefnId"]] = stored
        return stored

    def _store_action(self, body: Json) -> Json:
        old = self.actions.get(body.get("eventActionId") or 0)
        base = old or self._stamped({"eventActionId": next(self._action_numbers), "emailCategoryId": None})
        if old:
            base = base | {"modifiedDate": millis(self._clock.now()), "modifiedUser": "api"}
        stored: Json = base | {key: body.get(key) for key in ("actionType", "active", "emailTemplateId", "eventDefnId")}
        self.actions[stored["eventActionId"]] = stored
        return stored

    def _stamped(self, row: Json) -> Json:
        now = millis(self._clock.now())
        return {"businessId": BUSINESS_ID, "createdDate": now, "createdUser": "mhall", "modifiedDate": None, "modifiedUser": None} | row

    def _drop_actions(self, definition: int) -> None:
        for number, action in self.actions.items():
            if action["eventDefnId"] == definition:
                self.actions[number] = action | {"active": False}


def event_type(number: int) -> Json:
    """Return the eventType object that reads show."""
    name, object_type, category = EVENT_TYPES[number]
    return {"eventCategory": category, "eventType": name, "eventTypeId": number, "objectType": object_type}


def posted_definition(stored: Json) -> Json:
    """Return a definition as POST answers it: eventType null but for its id, filterTagMapJson added."""
    bare = {"eventCategory": None, "eventType": None, "eventTypeId": type_of(stored), "objectType": None}
    return stored | {"eventType": bare, "filterTagMapJson": None}


def _status_fits(definition: Json, before: Json | None, after: Json) -> bool:
    """Tell whether a change is the one a definition waits for; without statuses any edit is, `*` is any status."""
    old, new = definition["oldStatus"], definition["newStatus"]
    if before is None or (old is None and new is None):
        return True
    moved = before["status"] != after["status"]
    return moved and old in (None, "*", before["status"]) and new in (None, "*", after["status"])
