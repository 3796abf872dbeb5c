"""`messages silence` and `messages restore`: what would be switched, and what became of it."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

from calrelay.assembly import Relay, assemble
from calrelay.cli.messages_told import speaking
from calrelay.cli.output import Block, Output, Table
from calrelay.cli.session import Session
from calrelay.config.load import Config
from calrelay.domain.switches import SwitchKind
from calrelay.domain.words import iso
from calrelay.engine import silence as engine
from calrelay.engine.silence import Done, Target
from calrelay.errors import ConfigError, ExitCode
from calrelay.state.database import Access

Wanted = Sequence[tuple[SwitchKind, str]]


def wanted_of(words: Sequence[str], *, may_lose_actions: bool) -> Wanted:
    """Read `action:41901` and `definition:31001`. Raises ConfigError for anything else, and for a definition without consent."""
    wanted = [_wanted(word) for word in words]
    if not may_lose_actions and any(kind is SwitchKind.DEFINITION for kind, _ in wanted):
        raise ConfigError(
            "a definition that is restored may have lost its actions, so that it is there and sends nothing",
            remedy="switch off its actions instead (action:ID), or add --definition-loses-actions",
        )
    return wanted


def silence(session: Session, output: Output, wanted: Wanted, account: str | None, *, with_staff: bool, is_applied: bool) -> int:
    """Switch off what is named, or show what would be."""
    return session.run(_silence(session.load(), output, wanted, account, with_staff=with_staff, is_applied=is_applied))


def restore(session: Session, output: Output, account: str | None, *, is_applied: bool) -> int:
    """Switch on again what was switched off, or show what would be."""
    return session.run(_restore(session.load(), output, account, is_applied=is_applied))


def _wanted(word: str) -> tuple[SwitchKind, str]:
    kind, _, identity = word.partition(":")
    if kind not in list(SwitchKind) or not identity.isdecimal():
        raise ConfigError(f"{word} is neither action:ID nor definition:ID", remedy="`calrelay messages` shows them")
    return SwitchKind(kind), identity


async def _silence(config: Config, output: Output, wanted: Wanted, account: str | None, *, with_staff: bool, is_applied: bool) -> int:
    async with assemble(config, command="messages", pipelines=_pipelines(config, account), access=_access(is_applied)) as relay:
        messengers = list(relay.messengers.values())
        targets = await engine.find_switches(messengers, wanted, with_staff=with_staff)
        if not is_applied:
            return _show(output, targets, "would be switched off", "Nothing was changed. Add --apply to do it.")
        coming = engine.silence(messengers, targets, relay.ledger, relay.clock())
        done = await _gathered(relay, output, "switching off", coming, len(targets))
        return _report(output, done, "switched off")


async def _restore(config: Config, output: Output, account: str | None, *, is_applied: bool) -> int:
    async with assemble(config, command="messages", pipelines=_pipelines(config, account), access=_access(is_applied)) as relay:
        targets = engine.remembered(relay.ledger, _accounts(relay))
        if not targets:
            output.answer({"applied": is_applied, "switches": []}, ["Nothing was switched off by calrelay, or all of it is back."])
            return ExitCode.DONE
        if not is_applied:
            return _show(output, targets, "would be switched on again", "Nothing was changed. Add --apply to do it.")
        coming = engine.restore(list(relay.messengers.values()), targets, relay.ledger, relay.clock())
        done = await _gathered(relay, output, "switching on again", coming, len(targets))
        return _report(output, done, "switched on again")


async def _gathered(relay: Relay, output: Output, title: str, coming: AsyncIterator[Done], number: int) -> list[Done]:
    """Tell of each switch when it is done, since one may take many seconds, and of the look around that follows."""
    done: list[Done] = []
    with output.progress(title) as progress:
        async for one in coming:
            done.append(one)
            progress.advance(len(done), number + 1, f"{one.target.switch.name}: {one.words}")
        await _learn(relay, done)
        progress.advance(number + 1, number + 1, "what is still sent was read anew")
    return done


async def _learn(relay: Relay, done: Sequence[Done]) -> None:
    """Look anew at what the accounts send by themselves, so that nobody is warned of what is off."""
    for account in {one.target.account for one in done}:
        await relay.listeners[account].renew_rules(timedelta())


def _pipelines(config: Config, account: str | None) -> list[str]:
    tables = [table for table in speaking(config, []) if account in (None, table.source)]
    if not tables:
        what = f"account {account}" if account else "a TimeTap account"
        raise ConfigError(
            f"no enabled pipeline reads {what}", remedy="only what TimeTap sends can be switched; name a TimeTap account of the config"
        )
    return [table.name for table in tables]


def _accounts(relay: Relay) -> list[str]:
    return list(relay.messengers)


def _access(is_applied: bool) -> Access:
    return Access.WRITE if is_applied else Access.READ


def _show(output: Output, targets: Sequence[Target], what: str, hint: str) -> int:
    document = {"applied": False, "switches": [_switch(target, what) for target in targets]}
    output.answer(document, [Table(rows=[_row(target, what) for target in targets]), "", hint])
    return ExitCode.DONE


def _report(output: Output, done: Sequence[Done], what: str) -> int:
    switches = [_switch(one.target, what if one.error is None else "failed") | {"how": one.words} for one in done]
    blocks: list[Block] = [Table(rows=[_row(one.target, what if one.error is None else "NOT " + what, one.words) for one in done])]
    for one in done:
        if one.error is not None:
            output.message(one.error.message, f"  → {one.error.remedy}")
    output.answer({"applied": True, "switches": switches}, blocks)
    return ExitCode.worst(*(one.error.exit_code for one in done if one.error is not None))


def _switch(target: Target, state: str) -> dict[str, Any]:
    switch = target.switch
    return {
        "account": target.account,
        "what": switch.kind.value,
        "id": int(switch.id) if switch.id.isdecimal() else switch.id,
        "definition_id": int(switch.belongs_to) if switch.belongs_to.isdecimal() else switch.belongs_to,
        "recipients": sorted(one.value if one else "other" for one in switch.recipients),
        "state": state,
        "kept_at": iso(target.kept_at),
    }


def _row(target: Target, what: str, words: str = "") -> tuple[str, ...]:
    switch = target.switch
    whom = " and ".join(sorted(one.value if one else "an address of its own" for one in switch.recipients)) or "somebody"
    return (switch.name, f"of trigger {switch.belongs_to}, account {target.account}, messages {whom}", what, words)
