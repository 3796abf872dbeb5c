"""A TimeTap account as one that messages people by itself: reads all it has set up, and switches off what it is told to.

Never writes an appointment: that would mail its client (TimeTap: 7 and 9). Nothing here sends a message.
"""

import contextlib
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from calrelay.domain.event import SourceId
from calrelay.domain.messages import Invitation, Rules, Template, Trigger
from calrelay.domain.reminders import Recipient
from calrelay.domain.switches import Occurrence, Switch, SwitchKind
from calrelay.errors import AuthFailed, NotFound, RequestRejected, ResponseInvalid
from calrelay.ports import Clock, Invitations
from calrelay.vendors.timetap import messages_wire as wire
from calrelay.vendors.timetap.auth import VENDOR, utc_now
from calrelay.vendors.timetap.messages_client import TimeTapMessagesClient
from calrelay.vendors.timetap.messages_mapping import (
    EVENT_TYPES,
    to_invitation,
    to_occurrence,
    to_recipient,
    to_request_form,
    to_template,
    to_trigger,
)

CAMPAIGN_PAGES: Final = 200
CAMPAIGNS_ASKED: Final = 25  # how many campaigns are asked for their invitations at a time, one request each
_MARGIN: Final = timedelta(days=2)  # a campaign may seem to be a day younger than what it sent (TimeTap: 7)
_BY_HAND: Final = "Switch it off in TimeTap itself: Messaging > Automated Messaging Triggers."


class TimeTapMessenger:
    """Reads and switches one account's own messages; implements `ports.Messenger`.

    Args:
        account: the account's name in the config.
        client: the account's endpoints about messages.
        now: our clock.
    """

    vendor = "timetap"

    def __init__(self, *, account: str, client: TimeTapMessagesClient, now: Clock = utc_now) -> None:
        self.account = account
        self._client = client
        self._now = now

    # --- reading ---

    async def rules(self) -> Rules:
        """Return everything that is set up: definitions of all types, their actions and templates, and invitations to appointments.

        An account without the Events API may be refused or shown nothing (TimeTap: 9, enabled on request): refused is not told.
        """
        try:
            found = [(number, definition) for number in EVENT_TYPES for definition in await self._definitions(number)]
        except (AuthFailed, RequestRejected) as error:
            if isinstance(error, AuthFailed) and error.status != HTTPStatus.FORBIDDEN:
                raise
            return Rules(is_told=False)
        triggers = [
            to_trigger(definition, number, await self._client.actions_of(definition.event_defn_id or "")) for number, definition in found
        ]
        templates, lost = await self._templates(triggers)
        return Rules(
            triggers=tuple(triggers),
            templates=templates,
            excluded=await self._excluded(),
            invitations=tuple(await self._invitations(triggers)),
            lost=lost,
        )

    async def invitations(self) -> Invitations:
        """Return the invitations of campaigns that are still open, those that name an appointment and the newest first.

        One request for every hundred campaigns and one more, and one for each of the campaigns asked, CAMPAIGNS_ASKED at most. Which
        campaigns invite because of an appointment is only told by `calendarId`, or by their invitations (TimeTap: 3.4).
        """
        open_ones = [campaign for campaign in await self._campaigns() if self._is_open(campaign)]
        open_ones.sort(key=lambda one: one.created_date.timestamp() if one.created_date else 0.0, reverse=True)
        open_ones.sort(key=lambda one: one.calendar_id is None)
        asked: set[str] = set()
        found: list[Invitation] = []
        for campaign in open_ones[:CAMPAIGNS_ASKED]:
            identity = campaign.invitation_campaign_id or ""
            rows = await self._client.invitations_of(identity)
            asked.add(identity)
            found += [one for row in rows if (one := to_invitation(row, campaign)) is not None]
        return Invitations(campaigns=frozenset(asked), found=tuple(found))

    def _is_open(self, campaign: wire.InvitationCampaign) -> bool:
        """Say whether anybody may still answer; a campaign without an end is open for ever."""
        return campaign.expire_date is None or campaign.expire_date + _MARGIN >= self._now()

    async def occurrences(self, source_id: SourceId) -> list[Occurrence]:
        """Return what went off for an appointment and what is scheduled to; one request."""
        return [found for row in await self._client.triggers_of(source_id) if (found := to_occurrence(row)) is not None]

    async def _definitions(self, event_type: int) -> list[wire.EventDefinition]:
        found = await self._client.definitions_of_type(event_type)
        return [definition for definition in found if definition.active is not False and definition.event_defn_id]

    async def _templates(self, triggers: Sequence[Trigger]) -> tuple[dict[str, Template], frozenset[str]]:
        """Read what the actions send; a template that is gone is replaced by its category, where the action tells it (TimeTap: 9)."""
        found: dict[str, Template] = {}
        lost: set[str] = set()
        for action in (action for trigger in triggers for action in trigger.actions):
            if action.template_id is None or action.template_id in found.keys() | lost:
                continue
            try:
                found[action.template_id] = to_template(await self._client.template(action.template_id))
            except NotFound:
                lost.add(action.template_id)
                if action.category is not None:
                    others = [to_template(row) for row in await self._client.templates_of_category(action.category)]
                    found |= {template.id: template for template in others if template.id not in found}
        return found, frozenset(lost)

    async def _excluded(self) -> frozenset[str]:
        try:
            rows = await self._client.excluded_categories()
        except (AuthFailed, RequestRejected):  # the rest can be told without it
            return frozenset()
        return frozenset(row.email_category_id for row in rows if row.email_category_id)

    async def _invitations(self, triggers: Sequence[Trigger]) -> list[Invitation]:
        """Read the invitations of those campaigns that may still send something."""
        latest: dict[str, timedelta] = {}
        for trigger in triggers:
            if trigger.campaign is not None and trigger.actions:
                latest[trigger.campaign] = max(latest.get(trigger.campaign, trigger.delay), trigger.delay)
        found: list[Invitation] = []
        for campaign in await self._campaigns() if latest else []:
            identity = campaign.invitation_campaign_id or ""
            if identity in latest and self._may_speak(campaign, latest[identity]):
                rows = await self._client.invitations_of(identity)
                found += [one for row in rows if (one := to_invitation(row, campaign)) is not None]
        return found

    def _may_speak(self, campaign: wire.InvitationCampaign, delay: timedelta) -> bool:
        """Say whether a reminder that counts from a campaign's day may still lie ahead."""
        return campaign.created_date is None or campaign.created_date + delay + _MARGIN >= self._now()

    async def _campaigns(self) -> list[wire.InvitationCampaign]:
        found: dict[str, wire.InvitationCampaign] = {}
        for page in range(1, CAMPAIGN_PAGES + 1):
            rows = {row.invitation_campaign_id: row for row in await self._client.campaigns(page) if row.invitation_campaign_id}
            if rows.keys() <= found.keys():
                break
            found |= rows
        return list(found.values())

    # --- switching ---

    async def switch(self, kind: SwitchKind, identity: str) -> Switch:
        """Return something that sends messages, as it is now. Raises NotFound where there is none, or it is off already."""
        if kind is SwitchKind.DEFINITION:
            definition = await self._client.definition(identity)
            actions = await self._client.actions_of(identity)
            return Switch(
                kind=kind,
                id=identity,
                belongs_to=identity,
                recipients=frozenset([await self._recipient(action) for action in actions]),
                kept=definition.without_users(),
                parts=[action.without_users() for action in actions],
            )
        action = await self._find_action(identity)
        return Switch(
            kind=kind,
            id=identity,
            belongs_to=action.event_defn_id or "",
            recipients=frozenset({await self._recipient(action)}),
            kept=action.without_users(),
        )

    async def silence(self, switch: Switch) -> str:
        """Switch something off, and say how it took. Idempotent.

        An action: its own object with `active` false; where that does not take, in the form of TimeTap's own pages. Read back after each:
        an answer may be an echo. Raises RequestRejected when neither takes, ResponseInvalid where a second one appears.
        """
        if switch.kind is SwitchKind.DEFINITION:
            with contextlib.suppress(NotFound):  # a request that is repeated meets what its first attempt did
                await self._client.delete_definition(switch.id)
            if await self._is_there(switch.id):
                raise self._not_taken(switch, "did not go")
            return "deleted; read back, and gone"
        before = await self._client.actions_of(switch.belongs_to)
        action = _with_id(before, switch.id)
        if action is None:
            return "was off already"
        return await self._save(switch, action.to_json(active=False), before, is_wanted=False)

    async def restore(self, switch: Switch) -> str:
        """Switch something on again as it was kept, and say how it took. Idempotent. Raises RequestRejected when it does not take."""
        if switch.kind is SwitchKind.ACTION:
            before = await self._client.actions_of(switch.belongs_to)
            return await self._save(switch, dict(switch.kept) | {"active": True}, before, is_wanted=True)
        await self._client.save_definition(dict(switch.kept) | {"active": True})
        if not await self._is_there(switch.id):
            raise self._not_taken(switch, "did not come back")
        return await self._restore_parts(switch)

    async def _restore_parts(self, switch: Switch) -> str:
        """Bring back the actions that a definition lost on its way (TimeTap: 3.2)."""
        there = {action.event_action_id for action in await self._client.actions_of(switch.id)}
        lost = [wire.EventAction.model_validate(part) for part in switch.parts]
        lost = [action for action in lost if action.event_action_id not in there]
        for action in lost:
            part = Switch(
                kind=SwitchKind.ACTION,
                id=action.event_action_id or "",
                belongs_to=switch.id,
                recipients=frozenset(),
                kept=action.to_json(),
            )
            await self.restore(part)
        return f"it is back, {len(lost)} lost actions were brought back" if lost else "it is back, with its actions"

    async def _save(self, switch: Switch, body: dict[str, Any], before: Sequence[wire.EventAction], *, is_wanted: bool) -> str:
        """Post an action until it reads as wanted, in the second form only where the first does not take."""
        for form, words in ((_plain, "its own object"), (self._in_form, "the form of TimeTap's own pages")):
            try:
                await self._client.save_action(await form(body))
            except RequestRejected:
                continue  # refused, or its template is gone: the next form is due
            after = await self._read_back(switch)
            self._forbid_twins(switch, before, after)
            if (_with_id(after, switch.id) is not None) == is_wanted:
                return f"sent as {words}; read back, and {'active' if is_wanted else 'off'}"
        raise self._not_taken(switch, "is as it was: TimeTap takes neither form of the request")

    async def _read_back(self, switch: Switch) -> Sequence[wire.EventAction]:
        """Return the actions there are now; that a definition has none any more may be told as "not found"."""
        try:
            return await self._client.actions_of(switch.belongs_to)
        except NotFound:
            return ()

    async def _in_form(self, body: dict[str, Any]) -> dict[str, Any]:
        template = await self._client.template(str(body.get("emailTemplateId")))
        category = template.email_category.email_category_id if template.email_category else None
        options = await self._client.templates_of_category(category) if category else []
        return to_request_form(body, template, options)

    def _forbid_twins(self, switch: Switch, before: Sequence[wire.EventAction], after: Sequence[wire.EventAction]) -> None:
        """Notice a second action, which would mail twice (TimeTap: 9); none was asked for, so it is told and left alone.

        Raises ResponseInvalid and not RequestRejected: what became of the first one is not certain.
        """
        known = {action.event_action_id for action in before} | {switch.id}
        if twins := [action.event_action_id or "" for action in after if action.event_action_id not in known]:
            what = f"{VENDOR} (account {self.account}): {switch.name} got a second one beside it, action {', '.join(twins)}."
            raise ResponseInvalid(what, remedy=_BY_HAND, account=self.account)

    def _not_taken(self, switch: Switch, what: str) -> RequestRejected:
        return RequestRejected(f"{VENDOR} (account {self.account}): {switch.name} {what}.", remedy=_BY_HAND, account=self.account)

    async def _find_action(self, identity: str) -> wire.EventAction:
        """Look for an action under all definitions: there is no call that shows one by its id."""
        for number in EVENT_TYPES:
            for definition in await self._definitions(number):
                action = _with_id(await self._client.actions_of(definition.event_defn_id or ""), identity)
                if action is not None:
                    return action
        raise NotFound(f"{VENDOR} (account {self.account}) has no active action {identity}.", account=self.account)

    async def _recipient(self, action: wire.EventAction) -> Recipient | None:
        try:
            template = await self._client.template(action.email_template_id or "")
        except NotFound:
            return None
        return to_recipient(template.to_address)

    async def _is_there(self, definition_id: str) -> bool:
        try:
            return (await self._client.definition(definition_id)).active is not False
        except NotFound:
            return False


async def _plain(body: dict[str, Any]) -> dict[str, Any]:
    return body


def _with_id(actions: Sequence[wire.EventAction], identity: str) -> wire.EventAction | None:
    """Return the active action of this id; an inactive one counts as absent."""
    return next((one for one in actions if one.event_action_id == identity and one.active is not False), None)
