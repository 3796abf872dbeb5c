"""A bench whose source messages people by itself, and whose pipeline may want extra fields about it."""

import dataclasses
from datetime import timedelta

from calrelay.domain.event import Event, Extra, SourceId
from calrelay.domain.link import CalendarId
from calrelay.domain.messages import Invitation, InvitationStatus
from calrelay.domain.policy import Policy, Route
from calrelay.domain.reminders import Guest, OwnMessages
from calrelay.engine.enriched import EnrichedSource
from calrelay.engine.listening import Listener
from calrelay.engine.order import Order
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport
from calrelay.engine.sync import run_pass
from tests.fakes.memory_messenger import MemoryMessenger, a_trigger
from tests.fakes.memory_source import NOW, an_event
from tests.fakes.pipelines import Bench, a_bench


def a_booking(number: int) -> Event:
    """An event whose guest the source knows."""
    own = OwnMessages(guest=Guest(id=str(9_100_000 + number), email=f"guest{number}@example.com"), booked_at=NOW - timedelta(days=9))
    return an_event(number, own=own)


def an_invitation(number: int, status: InvitationStatus, *, campaign: str = "99001") -> Invitation:
    """An invitation of an event's guest."""
    return Invitation(
        campaign=campaign, event=SourceId(str(number)), guest_id=str(9_100_000 + number), created_at=NOW - timedelta(days=1), status=status
    )


class Studio:
    """A bench whose source messages people by itself, and whose pipeline wants extra fields or none."""

    def __init__(self, events: int = 12, *, wanted: frozenset[Extra] = frozenset()) -> None:
        self.bench: Bench = a_bench(*(a_booking(number) for number in range(1, events + 1)))
        self.messenger = MemoryMessenger(a_trigger())
        self.messenger.invited = (an_invitation(3, InvitationStatus.SENT),)
        self.wanted = wanted
        self.is_kept = True
        self.restart()

    def restart(self) -> None:
        """Start the process anew: what was in memory is gone."""
        self.listener = Listener(self.messenger, self.bench.ledger, clock=lambda: self.bench.now, is_kept=self.is_kept)

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline as the config is now."""
        plain = self.bench.pipeline
        source = EnrichedSource(plain.source, listener=self.listener, extras=self.wanted, now=plain.clock) if self.wanted else plain.source

        def policy(calendar: CalendarId, routes: tuple[Route, ...]) -> Policy:
            made = plain.make_policy(calendar, routes)
            return dataclasses.replace(made, basis=dataclasses.replace(made.basis, mapping=source.mapping_version))

        return dataclasses.replace(plain, source=source, listener=self.listener, extras=self.wanted, make_policy=policy)

    async def sync(self, **changes: object) -> PassReport:
        """Run one complete pass."""
        return await run_pass(self.pipeline, Order(command="sync", **changes))  # type: ignore[arg-type] # the fields of Order

    async def switch_on(self) -> None:
        """Load without extra fields, want both, and approve what that holds."""
        await self.sync()
        self.wanted = frozenset(Extra)
        await self.sync()
        self.bench.ledger.approve(self.bench.ledger.holds("venue"), self.bench.now)
        await self.sync()
        self.forget()

    def forget(self) -> None:
        """Forget what was asked and sent so far."""
        self.messenger.asked.clear()
        self.bench.target.upserts.clear()

    def custom(self, number: int) -> dict[str, str]:
        """What the target holds as custom data."""
        return dict(self.bench.target.held(f"ms-{number}").custom_data or {})
