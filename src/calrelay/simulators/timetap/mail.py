"""What the simulated TimeTap has sent because somebody called its API or edited something: the ledger that proves we never did."""

import dataclasses
from datetime import datetime

from calrelay.simulators.faults import SimulatedClock


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SentMail:
    """One mail; `cause` is the API call that made TimeTap send it, as method and path."""

    at: datetime
    cause: str
    to: str
    subject: str
    calendar_id: int | None = None


class Mails:
    """All mails that API calls caused, in order."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.sent: list[SentMail] = []

    def record(self, *, cause: str, to: str, subject: str, calendar_id: int | None = None) -> None:
        """Note that a mail went out now."""
        self.sent.append(SentMail(at=self._clock.now(), cause=cause, to=to, subject=subject, calendar_id=calendar_id))
