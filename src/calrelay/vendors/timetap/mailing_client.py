"""The two calls of TimeTap that mail people at once, to complete the client. Nothing of the program imports this file; a test proves it."""

from collections.abc import Sequence

from calrelay.vendors.timetap.asking import send
from calrelay.vendors.timetap.messages_client import Body, TimeTapMessagesClient
from calrelay.vendors.timetap.messages_wire import InvitationCampaign, parse_one


class TimeTapMailingClient(TimeTapMessagesClient):
    """The client of messages, with the calls that send some. Never repeated: once more would be one mail more."""

    async def invite_clients(self, client_ids: Sequence[str], body: Body) -> InvitationCampaign | None:
        """Make a campaign and mail an invitation to each of these clients."""
        return await self._invite("client", client_ids, body)

    async def invite_staff(self, staff_ids: Sequence[str], body: Body) -> InvitationCampaign | None:
        """Make a campaign and mail an invitation to each of these staff members."""
        return await self._invite("staff", staff_ids, body)

    async def _invite(self, whom: str, ids: Sequence[str], body: Body) -> InvitationCampaign | None:
        if not ids or not all(identity.isdecimal() for identity in ids):
            raise ValueError("somebody to invite is named by a number")
        path = f"/invitationCampaign/{whom}/{','.join(ids)}"
        answer = await send(self.http, "POST", path, f"invitationCampaign/{whom}/{{ids}}", body=body, idempotent=False, now=self._now)
        return parse_one(InvitationCampaign, answer.json())
