"""Apptoto as a local HTTP server: the parts put together. What each part does stands in the files beside it."""

from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp

from calrelay.simulators.apptoto.api import EventCalls, Gate
from calrelay.simulators.apptoto.contact_calls import ContactCalls
from calrelay.simulators.apptoto.contacts import Contacts
from calrelay.simulators.apptoto.control import ControlCalls
from calrelay.simulators.apptoto.events import Events
from calrelay.simulators.apptoto.listing import Listing
from calrelay.simulators.apptoto.messages import Messages
from calrelay.simulators.apptoto.people import Roster
from calrelay.simulators.apptoto.settings import ApptotoSettings
from calrelay.simulators.apptoto.webhooks import Webhooks
from calrelay.simulators.control import control_app
from calrelay.simulators.faults import FaultMiddleware, Faults, Journal, SimulatedClock


class ApptotoSimulator:
    """One Apptoto account: `events` and `messages` are live views for tests, `settings` the knobs.

    `calls.peak_in_flight` is the largest number of writes that were ever under way at once.
    """

    name = "apptoto"

    def __init__(self, *, seed: int = 0, clock: SimulatedClock | None = None, settings: ApptotoSettings | None = None) -> None:
        self.settings = settings or ApptotoSettings()
        self.clock = clock or SimulatedClock()
        self.faults = Faults(seed)
        self.journal = Journal()
        self.contacts = Contacts()
        roster = Roster(self.contacts.of_participant, self.contacts.all)
        self.events = Events(settings=self.settings, clock=self.clock, roster=roster)
        self.messages = Messages(settings=self.settings, clock=self.clock, events=self.events)
        listing = Listing(settings=self.settings, events=self.events)
        self.webhooks = Webhooks(settings=self.settings, listing=listing)
        self.events.listeners.append(self.webhooks.note)
        self.calls = EventCalls(
            settings=self.settings, clock=self.clock, events=self.events, messages=self.messages, listing=listing, seed=seed
        )
        self._control = ControlCalls(clock=self.clock, events=self.events, messages=self.messages, listing=listing, webhooks=self.webhooks)
        self.app: ASGIApp = FaultMiddleware(self._routed(), faults=self.faults, journal=self.journal, clock=self.clock)

    def add_calendar(self, name: str, time_zone: str | None = None) -> int:
        """Give the id of the calendar of that name, making it if there is none; its zone is the account's unless named."""
        return self.events.add_calendar(name, time_zone).id

    def control_routes(self) -> list[Route]:
        """List the calls that only Apptoto has, relative to /_control."""
        return self._control.routes()

    def snapshot(self) -> dict[str, Any]:
        """Sum up the account, as JSON."""
        live = self.events.live_events()
        return {
            "calendars": [{"id": c.id, "name": c.name, "provisioned": c.provisioned} for c in self.events.calendars.values()],
            "events": len(live),
            "deleted": len(self.events.all_events()) - len(live),
            "duplicates": sorted(self.events.duplicates()),
            "messages_sent": len(self.messages.sent),
            "messages_waiting": len(self.messages.would_send()),
            "extracted": len(self.events.extracted),
            "one_offs": len(self.messages.one_offs),
            "marks": len(self.messages.marks),
        }

    def _routed(self) -> Starlette:
        vendor = Router([*self.calls.routes(), *ContactCalls(self.contacts).routes()])
        gate = Gate(vendor, settings=self.settings, messages=self.messages)
        return Starlette(routes=[*control_app(self), Mount("/v1", app=gate)])
