"""Keeps the leases of this process alive (rule 22). What a lease is, and how it is taken, is `leases`' business."""

import threading
import time
from datetime import timedelta

from sqlalchemy import Engine, Interval, func, literal, update
from sqlalchemy.exc import SQLAlchemyError

from calrelay.log import get_logger
from calrelay.state.fence import Fence
from calrelay.state.rows import table_of
from calrelay.state.tables import PipelineRow

BEATS = 4  # in a lease's length; two may be missed

_PIPELINE = table_of(PipelineRow)
_log = get_logger(__name__)


class Heartbeat:
    """Puts off the end of all leases of a fence, from a thread of its own: through requests that take minutes, and through long computing.

    The thread ends when there is nothing to keep alive. It never raises: whoever lost a lease finds out at the next write. A lease that ran
    out while the database was away is taken up again, unless somebody else has it by then.
    """

    def __init__(self, engine: Engine, fence: Fence, *, length: timedelta) -> None:
        self._engine = engine
        self._fence = fence
        self._length = length
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_well = True

    def keep_going(self) -> None:
        """See to it that the thread runs."""
        with self._mutex:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="calrelay-leases", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(self._length.total_seconds() / BEATS)
            with self._mutex:
                epochs = self._fence.epochs()
                if not epochs:
                    self._thread = None
                    return
            self._beat(epochs)

    def _beat(self, epochs: dict[str, int]) -> None:
        until = func.clock_timestamp() + literal(self._length, Interval)
        try:
            # A commit each: several rows locked at a time could wait for a writer who locks them in another order.
            with self._engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                for pipeline, epoch in epochs.items():
                    # Without an owner it was given back since we looked: renewed, it would keep everybody out for a lease's length.
                    ours = (_PIPELINE.c.name == pipeline, _PIPELINE.c.epoch == epoch, _PIPELINE.c.owner.is_not(None))
                    connection.execute(update(_PIPELINE).where(*ours).values(lease_until=until))
        except SQLAlchemyError as error:
            self._note(is_well=False, why=type(error).__name__)
        else:
            self._note(is_well=True)

    def _note(self, *, is_well: bool, why: str = "") -> None:
        """Say once that leases cannot be renewed, and once that they can again."""
        if is_well and not self._is_well:
            _log.info("leases are renewed again")
        if self._is_well and not is_well:
            _log.warning("leases could not be renewed", why=why)
        self._is_well = is_well
