"""TimeTap as a local HTTP server: puts book, lists, tokens and their routes together. What each of them does lives in its own file."""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from calrelay.simulators.control import control_app
from calrelay.simulators.faults import FaultMiddleware, Faults, Journal, SimulatedClock
from calrelay.simulators.timetap.appointments import AppointmentCalls
from calrelay.simulators.timetap.book import AppointmentBook
from calrelay.simulators.timetap.control import ControlCalls
from calrelay.simulators.timetap.directory import DirectoryCalls
from calrelay.simulators.timetap.due import Message, MessageSchedule, MessageStores
from calrelay.simulators.timetap.events import EventStore
from calrelay.simulators.timetap.invitations import InvitationStore
from calrelay.simulators.timetap.mail import Mails
from calrelay.simulators.timetap.messages import EventCalls, InvitationCalls, SentMailCalls, TemplateCalls
from calrelay.simulators.timetap.report import Report
from calrelay.simulators.timetap.settings import TimeTapSettings
from calrelay.simulators.timetap.templates import TemplateStore
from calrelay.simulators.timetap.tokens import TokenGate, Tokens
from calrelay.simulators.timetap.webhooks import WebhookSender


class TimeTapSimulator:
    """One TimeTap business below /live and /test (the same data: its test system is to be treated as real).

    What staff do is done through `book`, what TimeTap sends by itself is set up in `stores`, what API calls made it send is in `mails`.
    """

    name = "timetap"

    def __init__(self, *, seed: int = 0, clock: SimulatedClock | None = None, settings: TimeTapSettings | None = None) -> None:
        self._settings = settings or TimeTapSettings()
        self.clock = clock or SimulatedClock()
        self.faults = Faults(seed)
        self.journal = Journal()
        rng = random.Random(seed)
        self.book = AppointmentBook(self.clock)
        self.mails = Mails(self.clock)
        self.tokens = Tokens(self.settings, self.clock, rng)
        self.webhooks = WebhookSender(self.settings, rng)
        events = EventStore(self.clock, self.settings)
        invitations = InvitationStore(clock=self.clock, events=events, mails=self.mails, rng=rng)
        self.stores = MessageStores(templates=TemplateStore(self.clock), events=events, invitations=invitations)
        self.schedule = MessageSchedule(book=self.book, stores=self.stores, clock=self.clock, settings=self.settings)
        self.book.listeners += [events.note_change, self.webhooks.note_change]
        self.directory = DirectoryCalls(book=self.book, settings=self.settings)
        self.appointments = AppointmentCalls(
            book=self.book, report=Report(self.book, self.settings), mails=self.mails, settings=self.settings
        )
        self._control = ControlCalls(book=self.book, tokens=self.tokens, mails=self.mails, webhooks=self.webhooks, schedule=self.schedule)
        self.app: ASGIApp = self._build_app()

    @property
    def settings(self) -> TimeTapSettings:
        """The knobs; turned in place, never exchanged."""
        return self._settings

    def messages_due(self, begin: datetime, end: datetime) -> list[Message]:
        """Return what TimeTap itself sends from `begin` until before `end`, as things stand: see `MessageSchedule.due`."""
        return self.schedule.due(begin, end)

    def messages_possible(self, begin: datetime, end: datetime) -> list[Message]:
        """Return what TimeTap would send if somebody created, edited or marked an appointment that starts in this span."""
        return self.schedule.possible(begin, end)

    def control_routes(self) -> Sequence[BaseRoute]:
        """List TimeTap's own control calls, with paths relative to /_control."""
        return self._control.routes()

    def snapshot(self) -> dict[str, Any]:
        """Sum up what the business holds and what it was made to send."""
        rows = [booking.row for booking in self.book.bookings.values()]
        return {
            "appointments": len(rows),
            "statuses": dict(sorted(Counter(str(row["status"]) for row in rows).items())),
            "without_client": sum(1 for row in rows if row["client"] is None),
            "tokens_minted": self.tokens.count,
            "mails_sent": len(self.mails.sent),
            "definitions": sum(1 for definition in self.stores.events.definitions.values() if definition["active"]),
            "templates": sum(1 for template in self.stores.templates.templates.values() if template["active"]),
            "campaigns": len(self.stores.invitations.campaigns),
            "webhooks_waiting": len(self.webhooks.pending),
            "webhooks_delivered": len(self.webhooks.delivered),
        }

    def _build_app(self) -> ASGIApp:
        sent = SentMailCalls(book=self.book, mails=self.mails, schedule=self.schedule, clock=self.clock)
        vendor = [
            Route("/sessionToken", self.tokens.serve),
            *self.appointments.routes(),
            *self.directory.routes(),
            *EventCalls(stores=self.stores, schedule=self.schedule, settings=self.settings).routes(),
            *TemplateCalls(stores=self.stores, settings=self.settings).routes(),
            *InvitationCalls(stores=self.stores, settings=self.settings).routes(),
            *sent.routes(),
        ]
        gate = TokenGate(Starlette(routes=vendor), tokens=self.tokens, settings=self.settings)
        routes = [*control_app(self), Mount("/live", gate), Mount("/test", gate)]
        return FaultMiddleware(Starlette(routes=routes), faults=self.faults, journal=self.journal, clock=self.clock)
