"""Which events are to blame for what a target refuses: they are quarantined, and only they. Where it fails, they wait (rule 21)."""

import dataclasses
from collections.abc import Collection, Sequence
from datetime import datetime

from calrelay.domain.event import SourceId
from calrelay.domain.link import AT_FAULT_AFTER, CalendarId, Link, State
from calrelay.domain.plan import Action, Delete
from calrelay.engine.latecomers import remember
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.queue import Upsert
from calrelay.engine.report import Outcome, PassReport, Problem
from calrelay.engine.unanswered import resolve
from calrelay.errors import ExitCode, RequestRejected, VendorError, VendorUnavailable
from calrelay.ports import DELETED, DELETED_AS_APPROVED, Happening

ALIKE = 3  # refused one by one, all of them: then it may be the calendar (rule 20)
IN_A_ROW = 5  # events that each drew a server error, with nothing taken in between: then it is the vendor


_TAKEN = ("created", "updated", DELETED, DELETED_AS_APPROVED)


class Blame:
    """What was refused, or left open, by itself in one pass, and the calendars that are known to be sound."""

    def __init__(self, pipeline: Pipeline, report: PassReport) -> None:
        self._pipeline = pipeline
        self._target = pipeline.target
        self._report = report
        self._sound_calendars: set[CalendarId] = set()  # looked at, or seen to take an event in this pass
        self._refused: list[tuple[Upsert, RequestRejected]] = []
        self._open: dict[SourceId, tuple[Link, VendorError]] = {}  # each drew a server error by itself
        self._in_a_row = 0  # of those, since something was taken
        self._has_taken = False

    @property
    def refused(self) -> Sequence[Upsert]:
        """What was refused by itself, and is not judged yet."""
        return [action for action, _ in self._refused]

    def let_go(self, decided: Collection[SourceId]) -> None:
        """Blame none of these as they were planned: they have been decided anew."""
        self._refused = [(action, error) for action, error in self._refused if action.link.source_id not in decided]

    def note_taken(self, calendar: CalendarId | None = None) -> None:
        """Note that the target took something, into this calendar where it is an event."""
        self._in_a_row = 0
        self._has_taken = True
        if calendar is not None:
            self._sound_calendars.add(calendar)

    # --- refused by itself ---

    async def refuse(self, action: Upsert, error: RequestRejected, *, is_open: bool) -> None:
        """Note a refused event. When the first three of a calendar fail and none was taken, the calendar is looked at (rule 20).

        Where an earlier try may have been carried out, the target is asked what it holds: a quarantined event that is cancelled is deleted.
        """
        link = await self._as_held(action.link) if is_open else dataclasses.replace(action.link, state=State.READY)
        action = dataclasses.replace(action, link=link)
        if link.state is State.QUARANTINED:
            self.quarantine(action, RequestRejected(link.reason, remedy=link.remedy, account=self._target.account))
            return
        self._pipeline.ledger.conclude(self._pipeline.name, [link])
        self._refused.append((action, error))
        calendar = action.entry.calendar
        if sum(other.entry.calendar == calendar for other, _ in self._refused) == ALIKE:
            await self._look_at(calendar)

    async def quarantine_refused(self) -> None:
        """Quarantine what was refused. Raises VendorUnavailable where its calendar is to blame."""
        for calendar in dict.fromkeys(action.entry.calendar for action, _ in self._refused):
            await self._look_at(calendar)
        self.quarantine_accused()

    def quarantine_accused(self) -> None:
        """Quarantine what was refused in calendars that are known to be sound; the others' events stay as they are."""
        accused = [(action, error) for action, error in self._refused if action.entry.calendar in self._sound_calendars]
        self._refused = [(action, error) for action, error in self._refused if action.entry.calendar not in self._sound_calendars]
        for action, error in accused:
            self.quarantine(action, error)

    async def _look_at(self, calendar: CalendarId) -> None:
        """Ask once whether a calendar answers well, unless it has taken an event; it is to blame before its events are."""
        if calendar in self._sound_calendars:
            return
        if not await self._target.calendar_is_sound(calendar):
            self._pipeline.forget_calendars()
            raise VendorUnavailable(
                f"account {self._target.account}: calendar {calendar} does not answer any more; nothing was quarantined",
                remedy="see `calrelay check`: was the calendar removed or renamed at the target?",
                account=self._target.account,
            )
        self._sound_calendars.add(calendar)

    # --- alone with a server error ---

    @property
    def open(self) -> frozenset[SourceId]:
        """The events over which the target failed."""
        return frozenset(self._open)

    @property
    def is_enough(self) -> bool:
        """Whether too many have failed in a row to try further ones of those that failed before."""
        return self._in_a_row >= IN_A_ROW

    async def leave_open(self, action: Action, error: VendorError) -> None:
        """Leave an event that drew a server error by itself in SENDING, and go on: it may be its own fault (rule 21).

        Nothing is quarantined for it: an outage must not be taken for bad events. Raises the error of too many in a row, unless it is the
        old acquaintances that fail.
        """
        since = (action.link.since if action.link.attempts else None) or self._pipeline.clock()
        link = dataclasses.replace(action.link, state=State.SENDING, hold=None, attempts=action.link.attempts + 1, since=since)
        self._pipeline.ledger.conclude(self._pipeline.name, [link])
        self._open[link.source_id] = (link, error)
        self._in_a_row += 1
        if self.is_enough and not (self._is_at_fault(link) and await self._works_after(link)):
            raise error

    async def judge_open(self) -> None:
        """Tell of the events that are open, when all others have been sent.

        Raises an error as long as it may be the vendor's trouble: one of them was not tried in enough passes yet, the vendor
        has taken nothing else since, or it neither took anything after them nor tells what it holds of the last.
        """
        if not self._open:
            return
        failures = list(self._open.values())
        if not (all(self._is_at_fault(link) for link, _ in failures) and await self._works_after(failures[-1][0])):
            doubtful = [failure for failure in failures if not self._is_at_fault(failure[0])] or failures
            raise self._in_doubt(*max(doubtful, key=lambda failure: failure[0].attempts))
        self._report.worsen(Outcome.PARTIAL)
        for link, error in failures:
            self._report.problems.append(
                Problem(
                    kind=VendorUnavailable.__name__,
                    message=f"{self._circumstance(link)} failed over this event {link.attempts} times, at last so: {error.message}",
                    remedy=f"each pass tries it again, after all others; correct the booking at its source, or {_ignoring(link)}",
                    external_id=link.external_id,
                    exit_code=ExitCode.ATTENTION,
                )
            )

    def _is_at_fault(self, link: Link) -> bool:
        """Whether it is the event, and not the vendor: it failed in several passes, and others were taken since.

        One by itself is taken for it also where there was nothing else to take: else it would keep a quiet pipeline, or a load, for ever.
        """
        if link.attempts < AT_FAULT_AFTER or link.since is None:
            return False
        return len(self._open) == 1 or self._has_taken_since(link.since)

    def _has_taken_since(self, since: datetime) -> bool:
        return self._has_taken or bool(self._pipeline.ledger.count_happened(self._pipeline.name, _TAKEN, since))

    def _circumstance(self, link: Link) -> str:
        is_proven = link.since is not None and self._has_taken_since(link.since)
        return "the target takes others, and" if is_proven else "the target answers when it is asked, had nothing else to take, and"

    def _in_doubt(self, link: Link, error: VendorError) -> VendorError:
        """Return the error of an event in words that say what to do should it be the event's fault after all."""
        if link.attempts < AT_FAULT_AFTER:
            return error
        return VendorUnavailable(
            f"failed over event {link.external_id} {link.attempts} times, and has taken nothing else since: {error.message}",
            remedy=f"each pass tries again; if the target is well, and only this booking does not arrive, {_ignoring(link)}",
            account=self._target.account,
            status=error.status,
        )

    async def _works_after(self, link: Link) -> bool:
        if self._in_a_row == 0:
            return True
        try:
            await self._target.find(link.external_id)
        except VendorError:
            return False
        return True

    # --- quarantine ---

    async def quarantine_as_held(self, action: Action, error: RequestRejected) -> bool:
        """Quarantine what may have been applied, as the target holds it; True where it is a delete, and done."""
        link = await self._as_held(action.link)
        if isinstance(action, Delete) and link.accepted is None:
            return True
        if link.state is State.QUARANTINED:  # somebody deleted it there: creating it again could message its guest
            error = RequestRejected(link.reason, remedy=link.remedy, account=self._target.account)
        self.quarantine(dataclasses.replace(action, link=link), error)
        return False

    def quarantine(self, action: Action, error: VendorError) -> None:
        """Quarantine an event, and tell it."""
        now = self._pipeline.clock()
        link = dataclasses.replace(
            action.link,
            state=State.QUARANTINED,
            reason=error.message,
            remedy=error.remedy
            or "correct the booking at its source; it is tried again when it changes, or with `calrelay quarantine retry`",
            attempts=action.link.attempts + 1,
            hold=None,
            since=now,
        )
        line = Happening(
            at=now,
            pipeline=self._pipeline.name,
            external_id=link.external_id,
            what="quarantined",
            detail=error.message,
        )
        self._pipeline.ledger.conclude(self._pipeline.name, [link], [line])
        self._report.problems.append(
            Problem(kind=error.kind, message=link.reason, remedy=link.remedy, external_id=link.external_id, exit_code=ExitCode.ATTENTION)
        )

    async def _as_held(self, link: Link) -> Link:
        """Ask the target what became of a link that is in SENDING."""
        remember(self._pipeline, [link])
        return resolve(link, await self._target.find(link.external_id))


def _ignoring(link: Link) -> str:
    return f"`calrelay ignore {link.external_id}` leaves it alone"
