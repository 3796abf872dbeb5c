"""Notices that a machine slept, or that its clock was set, while a pass was at work: what the pass has read is then too old to act upon."""

from calrelay.engine.pipeline import Pipeline
from calrelay.errors import VendorUnavailable

TOO_MUCH = 300.0  # seconds by which the clock may part from the time that passed; NTP's small steps are well below


class Vigil:
    """Kept over one pass; starts when it is made.

    A clock goes on while a machine sleeps, the time that a process has lived does not (`time.monotonic` on Linux, clock_gettime(2)).
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._began = self._gap()

    def check(self) -> None:
        """Raise VendorUnavailable when clock and time have parted: bookings may have been cancelled, or be over, since they were read."""
        parted = self._gap() - self._began
        if abs(parted) <= TOO_MUCH:
            return
        raise VendorUnavailable(
            f"this machine slept, or its clock was set, in the middle of the pass (by {abs(parted) / 60:.0f} minutes): what was read of "
            f"account {self._pipeline.source.account} is out of date; the rest was not sent",
            remedy="nothing to do: the next pass reads again",
            account=self._pipeline.source.account,
        )

    def _gap(self) -> float:
        return self._pipeline.clock().timestamp() - self._pipeline.stopwatch()
