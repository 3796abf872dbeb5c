"""What comes in while a simulated venue's pass sends (see `newcomers.Arrivals`): something happens between two batches."""

from collections.abc import Callable

from calrelay.engine.order import Order
from calrelay.engine.report import PassReport
from tests.fakes.simulated_venue import Venue


class Comings:
    """`happens` is called once the pass has sent so many batches, and `look` is taken then; `report` tells of it."""

    def __init__(self, venue: Venue, look: Order, happens: Callable[[], object], *, after: int) -> None:
        self._venue = venue
        self._look: Order | None = look
        self._happens = happens
        self._due_at = venue.asked("PUT") + after
        self.report: PassReport | None = None

    @property
    def are_due(self) -> bool:
        """Whether the look is still to be taken, and now."""
        return self._look is not None and self._venue.asked("PUT") >= self._due_at

    def next_order(self) -> Order | None:
        """Let it happen, and look."""
        self._happens()
        look, self._look = self._look, None
        return look

    def taken_in(self, order: Order, report: PassReport) -> None:
        """Keep what the look found."""
        self.report = report
