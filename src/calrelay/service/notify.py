"""Tells the operator, once when a trouble begins and once when it ends. Disturbs no pass, and judges nothing itself.

What was told is remembered in the ledger, so that a restart repeats nothing. While a command runs nothing is looked at: however slow it is,
nothing piles up behind it.
"""

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from calrelay.config.tenants import SCOPE, tenant_of
from calrelay.domain.link import State, external_id_parts
from calrelay.domain.words import span_in_words
from calrelay.engine.order import Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport
from calrelay.errors import CalrelayError
from calrelay.log import get_logger
from calrelay.service.daemon import Daemon
from calrelay.service.deserted import deserted_words
from calrelay.service.notices import Change, Notice, announce
from calrelay.service.refusals import Refusal
from calrelay.service.rhythm import Health
from calrelay.service.troubles import Kind, LastPass, Sight, Trouble, is_known, troubles_of

LOOK_EVERY: Final = timedelta(seconds=30)
FIRST_PAUSE: Final = timedelta(minutes=1)  # after a command that failed; doubled each time
LONGEST_PAUSE: Final = timedelta(hours=1)
MEMO: Final = "told:"
Announce = Callable[[Sequence[str], Notice], Awaitable[str | None]]
_log = get_logger(__name__)


async def keep_watch(daemon: Daemon) -> None:
    """Look at every pipeline after each pass and every half minute: systemd's status line follows, and the operator is told."""
    await Watch(daemon).run()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was told of a trouble that still lasts."""

    count: int
    since: datetime


News = tuple[str, Notice | None, Told | None]  # of a trouble's key: what is told, if anything, and what is then remembered


class Watch:
    """Compares what is wrong with what was told. `look` may be called at any time, one call at a time."""

    def __init__(self, daemon: Daemon, *, tell: Announce = announce) -> None:
        self._daemon = daemon
        self._tell = tell
        self._last: dict[str, LastPass] = {}
        self._changed = asyncio.Event()
        self._pause = timedelta()
        self._silent_until: datetime | None = None
        daemon.listeners.append(self._hear)

    async def run(self) -> None:
        """Look until cancelled. A ledger that cannot be read is the passes' business, and is looked at again later."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LOOK_EVERY.total_seconds())
            self._changed.clear()
            with contextlib.suppress(CalrelayError):
                self._daemon.tell_status()
                await self.look()

    async def look(self) -> None:
        """Tell what has begun, grown or ended since it was last told."""
        command = self._daemon.relay.config.notify.command
        now = self._daemon.clock()
        if not command or (self._silent_until is not None and now < self._silent_until):
            return
        for key, notice, told in list(self._news(now)):
            if notice is not None and not await self._delivered(command, notice):
                return
            self._remember(key, told, now)

    def _hear(self, pipeline: Pipeline, reach: Reach, report: PassReport, health: Health) -> None:
        before = self._last.get(pipeline.name)
        down_since = (before.down_since if before else None) or report.started_at
        was_sound = before is not None and before.is_sound
        unresolved, stuck = (before.unresolved, before.stuck) if before else (None, None)
        if reach is Reach.COMPLETE and health is Health.WELL:
            found = frozenset(problem.external_id for problem in report.problems if problem.is_unresolved)
            unresolved, stuck = found, _unresolved_again(found, unresolved)
        self._last[pipeline.name] = LastPass(
            report=report,
            health=health,
            down_since=down_since if health is Health.DOWN else None,
            has_tried=reach is Reach.COMPLETE or (before is not None and before.has_tried),
            unresolved=unresolved,
            stuck=stuck,
            is_sound=health is Health.WELL if reach is Reach.COMPLETE else was_sound and health is Health.WELL,
        )
        self._changed.set()

    # --- what is news ---

    def _news(self, now: datetime) -> Iterator[News]:
        """Yield what is to be told, if anything, and what is then to be remembered."""
        told, sights = self._told(), self._sights(now)
        here = {trouble.key: trouble for sight in sights.values() for trouble in troubles_of(sight)}
        refusals = self._daemon.refusals
        here |= {trouble.key: trouble for trouble in map(_of_config, refusals.values())}
        here |= {trouble.key: trouble for trouble in itertools.starmap(_of_deserted, self._daemon.deserted.items())}
        for key, trouble in here.items():
            yield from _beginning(trouble, told.get(key), now)
        for key in sorted(told.keys() - here.keys()):
            pipeline, kind, _ = key.split(":", 2)
            if kind in (Kind.CONFIG, Kind.DESERTED):
                yield key, _ending(pipeline, Kind(kind), told[key], now), None
            elif pipeline not in sights and not refusals.keys().isdisjoint((pipeline, f"{tenant_of(pipeline)}{SCOPE}")):
                continue  # nobody looks after it, so nothing is known to be over
            elif pipeline not in sights:
                yield key, None, None  # taken out of the config
            elif is_known(Kind(kind), sights[pipeline]):
                yield key, _ending(pipeline, Kind(kind), told[key], now), None

    def _sights(self, now: datetime) -> dict[str, Sight]:
        ages = self._daemon.freshness()
        return {
            name: Sight(
                record=one.record,
                freshness=ages[name],
                holds=one.holds if one.states.get(State.HELD) else (),
                quarantined=one.states.get(State.QUARANTINED, 0),
                failing=one.failing - self._counted_as_stuck(name) if one.failing else 0,
                last=self._last.get(name),
                started_at=self._daemon.started_at,
                now=now,
            )
            for name, one in self._daemon.relay.ledger.overviews(self._daemon.runners).items()
        }

    def _counted_as_stuck(self, pipeline: str) -> int:
        """Count the events over which the target fails and of which the last passes tell as well."""
        last = self._last.get(pipeline)
        bases = {external_id_parts(external_id)[0] for external_id in (last.stuck or ())} if last else set()
        links = [link for base in bases for link in self._daemon.relay.ledger.link_by_external_id(base)]
        return sum(link.pipeline == pipeline and link.keeps_failing for link in links)

    # --- what was told ---

    def _told(self) -> dict[str, Told]:
        known = self._daemon.relay.ledger.memos(MEMO)
        return {key.removeprefix(MEMO): Told(count=int(value), since=at) for key, (value, at) in known.items()}

    def _remember(self, key: str, told: Told | None, now: datetime) -> None:
        value, since = (None, now) if told is None else (str(told.count), told.since)
        self._daemon.relay.ledger.save_memo(f"{MEMO}{key}", value, since)

    # --- telling ---

    async def _delivered(self, command: Sequence[str], notice: Notice) -> bool:
        """Run the command; one that fails is tried again, ever less often, and logged once."""
        why = await self._tell(command, notice)
        if why is None:
            if self._pause:
                _log.info("notification command works again")
            self._pause, self._silent_until = timedelta(), None
            return True
        if not self._pause:
            _log.error("notification command failed", why=why, remedy="`calrelay check --notify` tries it; docs/operations/alerts.md")
        self._pause = min(max(self._pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        self._silent_until = self._daemon.clock() + self._pause
        return False


def _unresolved_again(found: frozenset[str], before: frozenset[str] | None) -> frozenset[str] | None:
    """Return the events that could not be cleared up in two passes; after a start one pass does not tell."""
    if not found:
        return found
    return None if before is None else found & before


def _of_config(refusal: Refusal) -> Trouble:
    return Trouble(pipeline=refusal.name, kind=Kind.CONFIG, summary=refusal.summary, remedy=refusal.error.remedy)


def _of_deserted(name: str, number: int) -> Trouble:
    summary, remedy = deserted_words(name, number)
    return Trouble(pipeline=name, kind=Kind.DESERTED, summary=summary, remedy=remedy, count=number)


def _beginning(trouble: Trouble, told: Told | None, now: datetime) -> Iterator[News]:
    """Tell of what is new, and of what has grown; what has become less is only remembered, so that it can grow again."""
    count, since = trouble.count, told.since if told else now
    if told is not None and count == told.count:
        return
    change = Change.BEGINS if told is None else Change.GROWS
    notice = Notice(
        change=change,
        kind=trouble.kind.value,
        pipeline=trouble.pipeline,
        summary=trouble.summary,
        remedy=trouble.remedy,
        at=now,
        since=since,
        count=count,
    )
    yield trouble.key, notice if told is None or count > told.count else None, Told(count=count, since=since)


def _ending(pipeline: str, kind: Kind, told: Told, now: datetime) -> Notice:
    return Notice(
        change=Change.ENDS,
        kind=kind.value,
        pipeline=pipeline,
        summary=f"{kind} (it lasted {span_in_words(now - told.since)})",
        remedy="",
        at=now,
        since=told.since,
    )
