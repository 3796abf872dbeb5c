"""The simulated business's appointment book: its rows, what staff do to them, and who is told. No HTTP."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Unpack

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.timetap.rows import ClientPair, Json, RowExtras, an_appointment_row, end_of, millis, start_of, when

KNOWN_STATUSES = ("PENDING", "OPEN", "COMPLETED", "CANCELLED", "NO_SHOW")
FIRST_ID = 70_000_001


class RowKind(StrEnum):
    """What a calendar row is to the business; TimeTap tells it only by what the row lacks."""

    APPOINTMENT = "appointment"
    TIME_OFF = "time off"
    HOLD = "hold"  # kept for somebody on the waitlist
    BUSY = "busy"  # imported from a synced calendar


@dataclasses.dataclass(slots=True, kw_only=True)
class Booking:
    """One row; `listed` False keeps it out of every list while its id still answers."""

    row: Json
    kind: RowKind = RowKind.APPOINTMENT
    listed: bool = True

    @property
    def order(self) -> tuple[datetime, int]:
        """Where the row stands in a list."""
        return start_of(self.row), self.row["calendarId"]


class Change(StrEnum):
    """What happened to a row."""

    CREATED = "created"
    EDITED = "edited"
    DELETED = "deleted"


Listener = Callable[[Change, Json | None, Json], None]
"""Called after a change with the row before it (None when created) and the row after it (the last one when deleted)."""


class AppointmentBook:
    """All rows by calendarId; every change raises `version`, and all but `vanish` and `hide` are told to the listeners."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._numbers = itertools.count(FIRST_ID)
        self._audit_numbers = itertools.count(81_001)
        self.bookings: dict[int, Booking] = {}
        self.audit: list[Json] = []
        self.listeners: list[Listener] = []
        self.version = 0

    def next_id(self) -> int:
        """Return an id that no row has."""
        return next(n for n in self._numbers if n not in self.bookings)

    def listed(self) -> Iterator[Booking]:
        """Go through the rows that lists may show, in no order."""
        return (booking for booking in self.bookings.values() if booking.listed)

    def row(self, calendar_id: int) -> Json:
        """Return the stored row; KeyError when there is none."""
        return self.bookings[calendar_id].row

    def add(self, row: Json, kind: RowKind = RowKind.APPOINTMENT) -> int:
        """Take a row made by `an_appointment_row` into the book and return its id."""
        calendar_id = int(row["calendarId"])
        if calendar_id in self.bookings:
            raise ValueError(f"calendarId {calendar_id} is taken")
        self.bookings[calendar_id] = Booking(row=row, kind=kind)
        self._tell(Change.CREATED, None, row)
        return calendar_id

    def book(self, start_local: datetime, minutes: int, staff_zone: str, **extras: Unpack[RowExtras]) -> int:
        """Build a row with the next id, booked now, and add it."""
        extras.setdefault("created", self._clock.now())
        return self.add(an_appointment_row(self.next_id(), start_local, minutes, staff_zone, **extras))

    def patch(self, calendar_id: int, changes: Json, *, user: str = "mhall") -> Json:
        """Change fields of a row as an edit in TimeTap does and return the new row; KeyError when there is none."""
        booking = self.bookings[calendar_id]
        before = booking.row
        changes = {"displayStatus": changes["status"], **changes} if "status" in changes else changes
        booking.row = before | changes | {"modifiedDate": millis(self._clock.now()), "modifiedUser": user}
        self._note_audit(calendar_id, before, changes, user)
        self._tell(Change.EDITED, before, booking.row)
        return booking.row

    def move(self, calendar_id: int, start_local: datetime, minutes: int | None = None) -> Json:
        """Give a row another start on the staff member's clock, and another length if told; all time fields follow."""
        row = self.row(calendar_id)
        length = minutes if minutes is not None else int((end_of(row) - start_of(row)) / timedelta(minutes=1))
        staff_clock = {key: row[key] for key in ("startDate", "startTime")}
        pair = ClientPair.CORRECT
        if row["staffTimeZone"] != row["clientTimeZone"] and staff_clock == _client_start(row):
            pair = ClientPair.STAFF_CLOCK
        return self.patch(calendar_id, when(start_local, length, row["staffTimeZone"], row["clientTimeZone"], pair))

    def mark(self, calendar_id: int, status: str, sub_status: str | None = None) -> Json:
        """Give a row another status, known or not."""
        return self.patch(calendar_id, {"status": status, "subStatus": sub_status})

    def cancel(self, calendar_id: int, reason: str = "client asked") -> Json:
        """Cancel: the row stays, with who and why."""
        return self.patch(calendar_id, {"status": "CANCELLED", "cancelReason": reason, "cancelUser": "mhall"})

    def reopen(self, calendar_id: int) -> Json:
        """Open a cancelled row again."""
        return self.patch(calendar_id, {"status": "OPEN", "cancelReason": None, "cancelUser": None})

    def no_show(self, calendar_id: int) -> Json:
        """Note that nobody came."""
        return self.mark(calendar_id, "NO_SHOW")

    def complete(self, calendar_id: int) -> Json:
        """Note that it took place."""
        return self.mark(calendar_id, "COMPLETED")

    def delete(self, calendar_id: int) -> Json:
        """Delete a row for good and tell the listeners."""
        row = self.bookings.pop(calendar_id).row
        self._tell(Change.DELETED, row, row)
        return row

    def vanish(self, calendar_id: int) -> Json:
        """Let a row disappear without a word, as an unpaid PENDING one does."""
        row = self.bookings.pop(calendar_id).row
        self.version += 1
        return row

    def hide(self, calendar_id: int) -> None:
        """Leave a row out of every list while GET by id still gives it."""
        self.bookings[calendar_id].listed = False
        self.version += 1

    def show(self, calendar_id: int) -> None:
        """Undo `hide`."""
        self.bookings[calendar_id].listed = True
        self.version += 1

    def _tell(self, change: Change, before: Json | None, after: Json) -> None:
        self.version += 1
        for listener in self.listeners:
            listener(change, before, after)

    def _note_audit(self, calendar_id: int, before: Json, changes: Json, user: str) -> None:
        for column, value in changes.items():
            if before.get(column) != value:
                self.audit.append(
                    {
                        "auditTrailId": next(self._audit_numbers),
                        "columnName": column,
                        "oldValue": str(before.get(column)),
                        "newValue": str(value),
                        "dateChanged": millis(self._clock.now()),
                        "changedUser": user,
                        "tableName": "calendar",
                        "tableId": calendar_id,
                    }
                )


def _client_start(row: Json) -> Json:
    return {"startDate": row["clientStartDate"], "startTime": row["clientStartTime"]}
