"""A source account in memory that messages people by itself; counts what it is asked, and fails on demand."""

from collections.abc import Sequence
from datetime import timedelta

from calrelay.domain.event import SourceId
from calrelay.domain.messages import Action, Invitation, Moment, Rules, Template, Trigger
from calrelay.domain.reminders import Recipient
from calrelay.domain.switches import Occurrence, Switch, SwitchKind
from calrelay.errors import VendorError
from calrelay.ports import Invitations

TO_GUEST = Template(id="12001", recipient=Recipient.GUEST)


def a_trigger(hours: int = -24, *, identity: str = "31001") -> Trigger:
    """A trigger that mails the guest some hours before the start."""
    actions = (Action(id=f"4{identity}", template_id=TO_GUEST.id),)
    return Trigger(id=identity, moment=Moment.TIME, delay=timedelta(hours=hours), description="Ana's idea", actions=actions)


def some_rules(*triggers: Trigger) -> Rules:
    """What an account has set up."""
    return Rules(triggers=triggers, templates={TO_GUEST.id: TO_GUEST})


class MemoryMessenger:
    """Implements ports.Messenger as far as reading goes; nothing can be switched."""

    vendor = "memory"

    def __init__(self, *triggers: Trigger, account: str = "venue") -> None:
        self.account = account
        self.setup = some_rules(*triggers)
        self.invited: tuple[Invitation, ...] = ()
        self.campaigns: frozenset[str] = frozenset({"99001"})
        self.error: VendorError | None = None
        self.asked: list[str] = []

    async def rules(self) -> Rules:
        """Return what is set up."""
        self._ask("rules")
        return self.setup

    async def invitations(self) -> Invitations:
        """Return the invitations of the campaigns that are asked."""
        self._ask("invitations")
        return Invitations(campaigns=self.campaigns, found=self.invited)

    async def occurrences(self, source_id: SourceId) -> Sequence[Occurrence]:
        """Return nothing."""
        self._ask(f"occurrences {source_id}")
        return ()

    async def switch(self, kind: SwitchKind, identity: str) -> Switch:
        """Refuse."""
        raise NotImplementedError

    async def silence(self, switch: Switch) -> str:
        """Refuse."""
        raise NotImplementedError

    async def restore(self, switch: Switch) -> str:
        """Refuse."""
        raise NotImplementedError

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error
