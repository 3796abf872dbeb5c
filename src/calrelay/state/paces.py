"""Where all processes on one PostgreSQL book their requests to an account, by its clock. When to send is `http/shared_pacing`'s."""

import contextlib
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, func, or_, text, update

from calrelay.http.shared_pacing import Booking
from calrelay.state.database import Database
from calrelay.state.rows import table_of
from calrelay.state.tables import PaceRow

_SLOWEST = 8  # as `http/pacing`
_ONE_BURST = timedelta(seconds=1)

_PACE = table_of(PaceRow)
_NOW = func.clock_timestamp()
# clock_timestamp(), not now(), which is when the statement began and may have waited for the row. The answer is when our slot begins.
_BOOK = text(
    "INSERT INTO pace AS p (account, next_free_at, slots) "
    "VALUES (:account, clock_timestamp() + CAST(:interval AS interval) + CAST(:allowance AS interval), 1) "
    "ON CONFLICT (account) DO UPDATE SET next_free_at = greatest(p.next_free_at, clock_timestamp()) "
    "+ p.slots * CAST(:interval AS interval) + CAST(:allowance AS interval) "
    "RETURNING p.slots, "
    "p.next_free_at - p.slots * CAST(:interval AS interval) - CAST(:allowance AS interval) - clock_timestamp() AS wait"
)


class SqlPaces:
    """Bookings of requests, on a connection of their own; see `http.shared_pacing.Bookings`.

    Bookings need not survive a power cut: at worst some requests of the moments before it meet others after it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None

    def book(self, account: str, interval: timedelta, allowance: timedelta) -> Booking:
        """Take the next free slot."""
        values = {"account": account, "interval": interval, "allowance": allowance}
        row = self._execute(_BOOK, values).one()
        return Booking(wait=row.wait, slots=row.slots)

    def slow_down(self, account: str) -> None:
        """Double what a request costs."""
        is_new = or_(_PACE.c.slowed_at.is_(None), _PACE.c.slowed_at < _NOW - _ONE_BURST)
        slots = func.least(_PACE.c.slots * 2, _SLOWEST)
        self._execute(update(_PACE).where(_PACE.c.account == account, is_new).values(slots=slots, slowed_at=_NOW))

    def speed_up(self, account: str) -> None:
        """Let a request cost one slot less."""
        self._execute(update(_PACE).where(_PACE.c.account == account, _PACE.c.slots > 1).values(slots=_PACE.c.slots - 1))

    def close(self) -> None:
        """Close the connection; the next booking opens another. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it may be broken already
                connection.close()

    def _execute(self, statement: Any, values: dict[str, Any] | None = None) -> Any:
        try:
            with self._database.told():
                if self._connection is None:
                    self._connection = self._database.connect_alone(application_name="calrelay pace")
                    self._connection.execute(text("SET synchronous_commit = off"))
                return self._connection.execute(statement, values)
        except BaseException:
            self.close()
            raise
