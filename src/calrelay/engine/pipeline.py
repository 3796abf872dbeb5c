"""A pipeline ready to run: its two ends, its rules and its memory. The policy is completed here, once calendar names are known as ids."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from calrelay.domain.entry import Hasher
from calrelay.domain.event import Extra
from calrelay.domain.guard import Limits
from calrelay.domain.link import CalendarId
from calrelay.domain.policy import CalendarRef, NamedRoute, Policy, Route
from calrelay.domain.window import Window
from calrelay.domain.words import counted
from calrelay.engine.whereabouts import refuse_another_account, refuse_another_name
from calrelay.errors import CalrelayError, ConfigError
from calrelay.ports import Clock, Ledger, Source, Target

if TYPE_CHECKING:  # loaded for a source that messages people by itself
    from calrelay.engine.listening import Listener

MEMO_CALENDAR = "calendar:{target}:{digest}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One source account, one target account, and everything between them.

    `make_policy` completes the config's rules with the calendars' ids. `owns_prefix` says that no other pipeline of the config writes
    external ids with this prefix to this target, so that an entry nobody knows can only be ours. `listener` is there where the source
    account messages people by itself; the source adds the `extras` to its events out of what it knows. `scope` is a hash of what the config
    says of which bookings are relayed at all, `target_identity` one of whose account the target is.
    """

    name: str
    source: Source
    target: Target
    ledger: Ledger
    clock: Clock
    hasher: Hasher
    limits: Limits
    window: Window
    near: timedelta
    calendar: CalendarRef
    routes: Sequence[NamedRoute]
    make_policy: Callable[[CalendarId, tuple[Route, ...]], Policy]
    every: timedelta
    full_every: timedelta
    stopwatch: Callable[[], float] = time.monotonic
    owns_prefix: bool = True
    scope: str = ""
    target_identity: str = ""
    listener: "Listener | None" = None
    extras: frozenset[Extra] = frozenset()

    async def listen(self) -> None:
        """Renew what the extra fields are made of, where it has grown old. Without extra fields there is no request."""
        if self.listener is not None:
            self.listener.recall()
            await self.listener.renew_for(self.extras)

    async def policy(self, *, remember: bool) -> Policy:
        """Return the policy, with calendar names looked up once and remembered. Raises ConfigError for a calendar that is not there."""
        refs = self._calendar_refs()
        known: dict[str, CalendarId] = {name: found for name in refs if (found := self._remembered(name))}
        missing = sorted(refs - known.keys())
        if missing:
            known |= await self._look_up(missing, remember=remember)

        def id_of(ref: CalendarRef) -> CalendarId:
            return ref.id or known[ref.name or ""]

        routes = tuple(Route(match=route.match, calendar=id_of(route.calendar)) for route in self.routes)
        return self.make_policy(id_of(self.calendar), routes)

    async def calendar_names(self) -> dict[CalendarId, str]:
        """Return the names of its calendars as far as the config has them; none when the target cannot be asked."""
        try:
            policy = await self.policy(remember=False)
        except CalrelayError:
            return {}
        routes = zip(policy.routes, self.routes, strict=True)
        named = [(policy.calendar, self.calendar.name), *((route.calendar, named_route.calendar.name) for route, named_route in routes)]
        return {calendar: name for calendar, name in named if name}

    async def check_target(self, *, remember: bool = False) -> None:
        """Raise ConfigError where coming events are at another account than the config's; VendorErrors of asking come as they are."""
        now = self.clock()
        refuse_another_name(self.ledger, self.name, self.target.account, now=now)
        await refuse_another_account(self.ledger, self.target, self.target_identity, now=now, remember=remember)

    def forget_calendars(self) -> None:
        """Look calendar names up again next time: one of them does not answer any more."""
        for name in self._calendar_refs():
            self.ledger.save_memo(self._memo_of(name), None, self.clock())

    def _memo_of(self, calendar: str) -> str:
        return calendar_memo(self.hasher, self.target.account, self.target_identity, calendar)

    def _calendar_refs(self) -> set[str]:
        """Return the calendars that are given by name."""
        refs = (self.calendar, *(route.calendar for route in self.routes))
        return {ref.name for ref in refs if ref.id is None and ref.name}

    def request_counts(self) -> dict[str, int]:
        """Return the requests each account has made so far."""
        return {self.source.account: self.source.requests, self.target.account: self.target.requests}

    def _remembered(self, name: str) -> CalendarId | None:
        memo = self.ledger.memo(self._memo_of(name))
        return CalendarId(memo[0]) if memo else None

    async def _look_up(self, names: Sequence[str], *, remember: bool) -> dict[str, CalendarId]:
        offered = await self.target.calendars()
        found = {name: calendar for name in names if (calendar := calendar_named(offered, name))}
        if absent := len(names) - len(found):  # unnamed here, because this is logged and told, and a calendar may be called like its person
            raise ConfigError(
                f"pipeline {self.name}: account {self.target.account} lacks {counted(absent, 'calendar')} that the config names",
                remedy="`calrelay check` shows which, and what there is; create it, or correct `calendar`, or give its `calendar_id`",
            )
        if remember:
            for name, calendar in found.items():
                self.ledger.save_memo(self._memo_of(name), calendar, self.clock())
        return found


def calendar_memo(hasher: Hasher, target: str, identity: str, name: str) -> str:
    """Return the key under which a calendar's number is remembered.

    `identity` is that of the account, because another one by the same name has other numbers. The name is hashed with it: it may be a
    person's, which the ledger never holds (rule 23).
    """
    return MEMO_CALENDAR.format(target=target, digest=hasher.of(f"{identity} {name}"))


def calendar_named(offered: Mapping[str, CalendarId], name: str) -> CalendarId | None:
    """Return the calendar of this name, or the only one whose name differs in letter case alone."""
    if name in offered:
        return offered[name]
    alike = [calendar for other, calendar in offered.items() if other.strip().casefold() == name.strip().casefold()]
    return alike[0] if len(alike) == 1 else None
