"""TimeTap as a local HTTP server: puts book, lists, tokens and their routes together. What each of them does lives in its own file."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from calrelay.simulators.control import control_app
from calrelay.simulators.faults import FaultMiddleware, Faults, Journal, SimulatedClock
from calrelay.simulators.timetap_appointments import AppointmentCalls
from calrelay.simulators.timetap_book import AppointmentBook
from calrelay.simulators.timetap_control import ControlCalls
from calrelay.simulators.timetap_directory import DirectoryCalls
from calrelay.simulators.timetap_mail import Mails
from calrelay.simulators.timetap_report import Report
from calrelay.simulators.timetap_settings import TimeTapSettings
from calrelay.simulators.timetap_tokens import TokenGate, Tokens


class TimeTapSimulator:
    """One TimeTap business below /live and /test (the same data: its test system is to be treated as real).

    What staff do is done through `book`, what API calls caused is in `mails`.
    """

    name = "timetap"

    def __init__(self, *, seed: int = 0, clock: SimulatedClock | None = None, settings: TimeTapSettings | None = None) -> None:
        self.settings = settings or TimeTapSettings()
        self.clock = clock or SimulatedClock()
        self.faults = Faults(seed)
        self.journal = Journal()
        self.book = AppointmentBook(self.clock)
        self.mails = Mails(self.clock)
        self.report = Report(self.book, self.settings)
        self.tokens = Tokens(self.settings, self.clock, random.Random(seed))
        self.directory = DirectoryCalls(book=self.book, settings=self.settings)
        self.appointments = AppointmentCalls(book=self.book, report=self.report, mails=self.mails, settings=self.settings)
        self._control = ControlCalls(book=self.book, tokens=self.tokens, mails=self.mails)
        self.app: ASGIApp = self._build_app()

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
        }

    def _build_app(self) -> ASGIApp:
        vendor = [
            Route("/sessionToken", self.tokens.serve),
            *self.appointments.routes(),
            *self.directory.routes(),
        ]
        gate = TokenGate(Starlette(routes=vendor), tokens=self.tokens, settings=self.settings)
        routes = [*control_app(self), Mount("/live", gate), Mount("/test", gate)]
        return FaultMiddleware(Starlette(routes=routes), faults=self.faults, journal=self.journal, clock=self.clock)
