"""Runs `check`: looks at this machine, then asks every account at the same time, reading only; one that fails hides no other."""

import asyncio
import dataclasses
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Final, cast

from calrelay.assembly import assemble, identity_of
from calrelay.cli.check_around import examine_listeners, examine_notify, try_notify, zones_without_name
from calrelay.cli.check_entries import examine_entries
from calrelay.cli.check_filters import unknown_names
from calrelay.cli.check_machine import examine_secrets, examine_state, examine_templates, examine_zone_data, findings_of
from calrelay.cli.check_overlap import examine_overlap
from calrelay.cli.check_texts import describe, document_of
from calrelay.cli.examination import AccountView, Examination, Finding, PipelineView, Verdict
from calrelay.cli.output import Output
from calrelay.cli.session import Session
from calrelay.config.load import Config, find_config
from calrelay.config.model import Pipeline
from calrelay.config.to_domain import to_calendar, to_routes
from calrelay.config.vendor import AccountModel
from calrelay.domain.entry import Hasher
from calrelay.domain.link import CalendarId
from calrelay.domain.policy import CalendarRef
from calrelay.domain.zones import ZONE_DATA_VERSION
from calrelay.engine.pipeline import calendar_memo, calendar_named
from calrelay.errors import CalrelayError, ConfigError
from calrelay.ports import Fact, Ledger, Source, Target
from calrelay.state.database import Access

_SKEW_WORTH_A_WORD: Final = 30  # seconds
_SKEW_TOO_FAR: Final = 300
_RAILS: Final = "rails"  # how a target is told of zones, unless its account says otherwise
_AT_ONCE: Final = 20  # accounts; each has connections of its own
_SHOWN: Final = 12  # calendars or places named in a sentence


def check(session: Session, output: Output, *, is_offline: bool, tries_notify: bool = False) -> int:
    """Examine everything and tell it; the exit code is the worst problem's. With `tries_notify` a notice is sent for a trial."""
    found = Examination(zone_data=ZONE_DATA_VERSION, is_offline=is_offline)
    examine_zone_data(found)
    try:
        found.config = find_config(session.config_file, os.environ)
        config = session.load()
    except ConfigError as error:
        found.problems += findings_of(error)
    else:
        _examine(session, output, config, found)
        if tries_notify and not found.problems:
            session.run(try_notify(config, found))
    output.answer(document_of(found), describe(found))
    return found.exit_code


def _examine(session: Session, output: Output, config: Config, found: Examination) -> None:
    found.config = config.path
    found.warnings += config.warnings
    found.problems += [finding for error in config.refusals.values() for finding in findings_of(error)]
    found.accounts = {name: AccountView(name=name, vendor=account.vendor) for name, account in config.accounts.items()}
    found.pipelines = [_view_of(pipeline) for pipeline in config.pipelines]
    unready = examine_secrets(config, found)
    examine_templates(config, found)
    access = examine_state(config, found)
    examine_listeners(config, found)
    examine_notify(config, found)
    names = [name for name in config.accounts if name not in unready]
    if access is None or found.is_offline or not names:
        return
    output.message(f"Asking {_listed(names)} …")
    session.run(_ask_all(config, names, access, found))
    session.run(examine_entries(config, access, found))
    session.run(examine_overlap(config, access, found))


def _view_of(pipeline: Pipeline) -> PipelineView:
    calendars = tuple(dict.fromkeys(str(calendar) for calendar in _calendars_of(pipeline)))
    return PipelineView(
        name=pipeline.name, source=pipeline.source, target=pipeline.target, calendars=calendars, is_enabled=pipeline.enabled
    )


def _calendars_of(pipeline: Pipeline) -> list[CalendarRef]:
    return [to_calendar(pipeline), *(route.calendar for route in to_routes(pipeline))]


# --- accounts ---


async def _ask_all(config: Config, names: Sequence[str], access: Access, found: Examination) -> None:
    places = asyncio.Semaphore(_AT_ONCE)

    async def ask(name: str) -> None:
        async with places:
            await _ask(config, name, access, found)

    await asyncio.gather(*(ask(name) for name in names))


async def _ask(config: Config, name: str, access: Access, found: Examination) -> None:
    """Ask one account, in an assembly of its own: what is wrong with another cannot be in its way."""
    account = config.account(name)
    alone = dataclasses.replace(config, accounts={name: account}, pipelines=())
    try:
        async with assemble(alone, command="check", access=access) as relay:
            end = relay.ends[name]
            try:
                facts = [*await end.probe(), *_zone_facts(account)]
                found.warnings += [*_nameless_zones(config, name, facts), *unknown_names(config, name, facts)]
                found.accounts[name] = _seen(found.accounts[name], Verdict.WORKS, end, _with_doubts(facts, account))
                await _examine_calendars(config, name, end, relay.ledger, found)
            except CalrelayError:
                found.accounts[name] = _seen(found.accounts[name], Verdict.FAILED, end, found.accounts[name].facts)
                raise
            finally:
                _examine_clock(name, end.clock_skew_seconds, found)
    except CalrelayError as error:
        found.accounts[name] = dataclasses.replace(found.accounts[name], verdict=Verdict.FAILED)
        found.problems += [dataclasses.replace(one, account=name) for one in findings_of(error)]


def _seen(view: AccountView, verdict: Verdict, end: Source | Target, facts: Sequence[Fact]) -> AccountView:
    return dataclasses.replace(view, verdict=verdict, facts=facts, clock_skew=end.clock_skew_seconds, requests=end.requests)


def _examine_clock(name: str, skew: float | None, found: Examination) -> None:
    """Hold our clock against the Date of the vendor's answers: what is over, and what may be created now, is judged by ours."""
    if skew is None or abs(skew) <= _SKEW_WORTH_A_WORD:
        return
    direction = "behind" if skew > 0 else "ahead of"
    message = f"this machine's clock is {abs(skew):.0f} s {direction} that of {name}"
    if abs(skew) > _SKEW_TOO_FAR:
        problem = ConfigError(message, remedy="set this machine's clock, by NTP if you can: `timedatectl set-ntp true`")
        found.problems.append(Finding.of(problem, account=name))
    else:
        found.warnings.append(f"{message} — set it, by NTP if you can")


# --- zones ---


def _zone_facts(account: AccountModel) -> Iterator[Fact]:
    zones: Mapping[str, str] = getattr(account, "zones", {})
    for place, zone in zones.items():
        yield Fact(name=f"zones {place}", value=f"{zone}, as the config says")


def _nameless_zones(config: Config, account: str, facts: Sequence[Fact]) -> Iterator[str]:
    """Warn of zones that a target is not told of: in messages times then read on the clock of its calendar."""
    targets = [config.account(one.target) for one in config.pipelines if one.source == account and one.enabled]
    if any(getattr(target, "time_zone_names", None) == _RAILS for target in targets):
        for zone in zones_without_name(facts):
            yield (
                f"{account}: {zone} has no Rails name, so its events are sent without time_zone, and messages show times on the clock of "
                "Apptoto's calendar — set that calendar's own zone, or time_zone_names of the target account"
            )


def _with_doubts(facts: Sequence[Fact], account: AccountModel) -> list[Fact]:
    """Warn of a zone override for a place that the account does not show though it shows others of its kind."""
    zones: Mapping[str, str] = getattr(account, "zones", {})
    shown = {fact.name for fact in facts}
    doubtful = {}
    for place in zones:
        kind, _, identity = place.partition(":")
        others = sorted(name.removeprefix(f"{kind} ") for name in shown if name.startswith(f"{kind} "))
        if others and identity not in others:
            doubtful[f"zones {place}"] = f"the account shows no {kind} {identity}; it has {_listed(others)}"
    return [dataclasses.replace(fact, warning=doubtful.get(fact.name, fact.warning)) for fact in facts]


# --- calendars ---


async def _examine_calendars(config: Config, account: str, end: Source | Target, ledger: Ledger, found: Examination) -> None:
    """Look up the calendars of every enabled pipeline that writes to this account."""
    pipelines = [one for one in config.enabled if one.target == account]
    if not pipelines:
        return
    target = cast("Target", end)  # the config's models let pipelines write to nothing else
    offered = await target.calendars()
    hasher = Hasher(ledger.hash_key())
    identity = identity_of(config, account, hasher)
    known = {name for name in _named(pipelines) if ledger.memo(calendar_memo(hasher, account, identity, name))}
    found.accounts[account] = dataclasses.replace(found.accounts[account], calendars=dict(offered), requests=target.requests)
    for pipeline in pipelines:
        for table, calendar in zip(_tables(pipeline), _calendars_of(pipeline), strict=True):
            place = config.place(pipeline.name, f"{table}{'calendar' if calendar.id is None else 'calendar_id'}")
            problem = await _problem_with(calendar, place, target, offered, known)
            if problem is not None:
                found.problems.append(Finding.of(problem, account=account))


def _named(pipelines: Iterable[Pipeline]) -> set[str]:
    return {calendar.name for pipeline in pipelines for calendar in _calendars_of(pipeline) if calendar.id is None and calendar.name}


def _tables(pipeline: Pipeline) -> list[str]:
    return ["", *(f"routes[{route}]." for route in range(len(pipeline.routes)))]


async def _problem_with(
    calendar: CalendarRef, place: str, target: Target, offered: Mapping[str, CalendarId], known: Collection[str]
) -> ConfigError | None:
    if calendar.id is not None:
        if calendar.id in offered.values() or await target.calendar_is_sound(calendar.id):
            return None
        return ConfigError(
            f"{place}: account {target.account} shows no calendar {calendar.id}",
            remedy=f"correct it; there is {_with_ids(offered)}",
        )
    name = calendar.name or ""
    if calendar_named(offered, name) or name in known:
        return None
    close = get_close_matches(name, list(offered), n=1, cutoff=0.6)
    guess = f"did you mean “{close[0]}”? " if close else ""
    remedy = (
        f"{guess}There is {_with_ids(offered)}; or create it there" if offered else "create it there, or give its number as `calendar_id`"
    )
    return ConfigError(f"{place}: account {target.account} has no calendar named “{name}”", remedy=remedy)


def _with_ids(offered: Mapping[str, CalendarId]) -> str:
    return _listed([f"“{name}” ({identity})" for name, identity in sorted(offered.items())]) if offered else "none that it tells of"


def _listed(words: Sequence[str]) -> str:
    more = len(words) - _SHOWN
    return ", ".join(words[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
