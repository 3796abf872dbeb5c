"""`messages silence` and `restore`: switches a source's own messages off and on. What was there is remembered before it is touched."""

import dataclasses
import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from calrelay.domain.reminders import Recipient
from calrelay.domain.switches import Switch, SwitchKind
from calrelay.errors import CalrelayError, ConfigError, NotFound, RequestRejected
from calrelay.log import get_logger
from calrelay.ports import Messenger

MEMO_SWITCH = "switched-off:{account}:{kind}:{identity}"
_PREFIX = "switched-off:"

_log = get_logger(__name__)


class Memory(Protocol):
    """The small facts of the ledger."""

    def memos(self, prefix: str) -> dict[str, tuple[str, datetime]]:
        """Return the remembered facts whose keys begin like this, by key."""

    def save_memo(self, key: str, value: str | None, at: datetime) -> None:
        """Remember a small fact, or forget it with None."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Something to be switched, and whose it is; `kept_at` where it was switched off by us before."""

    account: str
    switch: Switch
    kept_at: datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a switch; `error` where it did not take, or nobody knows."""

    target: Target
    words: str
    error: CalrelayError | None = None


async def find_switches(messengers: Sequence[Messenger], wanted: Sequence[tuple[SwitchKind, str]], *, with_staff: bool) -> list[Target]:
    """Look for everything that is to be switched off, before any of it is. Raises ConfigError for what is not there or not allowed."""
    found = [await _find(messengers, kind, identity) for kind, identity in dict.fromkeys(wanted)]
    for target in found:
        if not with_staff and not target.switch.is_for_guests_alone:
            raise ConfigError(
                f"{target.switch.name} does not message guests alone: {_whom(target.switch)}",
                remedy="add --staff to switch it off all the same",
            )
    return found


async def silence(messengers: Sequence[Messenger], targets: Sequence[Target], memory: Memory, now: datetime) -> AsyncIterator[Done]:
    """Switch everything off, one after another, and tell of each; one that does not take does not stop the others.

    Each object is remembered before it is touched, and forgotten again only where it is certain that nothing was changed.
    """
    by_account = {messenger.account: messenger for messenger in messengers}
    for target in targets:
        yield await _switch_off(by_account[target.account], target, memory, now)


async def _switch_off(messenger: Messenger, target: Target, memory: Memory, now: datetime) -> Done:
    key = _key(target)
    memory.save_memo(key, _to_text(target.switch), now)
    try:
        words = await messenger.silence(target.switch)
    except RequestRejected as error:
        memory.save_memo(key, None, now)
        return Done(target=target, words="did not take", error=error)
    except CalrelayError as error:
        return Done(target=target, words="unknown whether it took; `calrelay messages restore` would undo it", error=error)
    _log.info("a message of the source was switched off", account=target.account, what=target.switch.name)
    return Done(target=target, words=words)


def remembered(memory: Memory, accounts: Sequence[str]) -> list[Target]:
    """Return what was switched off at these accounts and not restored."""
    found = []
    for key, (text, at) in memory.memos(_PREFIX).items():
        account = key.removeprefix(_PREFIX).rsplit(":", 2)[0]
        if account in accounts:
            found.append(Target(account=account, switch=_from_text(text), kept_at=at))
    # A definition that is gone takes no action: it comes back first.
    return sorted(found, key=lambda target: (target.switch.kind is not SwitchKind.DEFINITION, target.account, target.switch.id))


async def restore(messengers: Sequence[Messenger], targets: Sequence[Target], memory: Memory, now: datetime) -> AsyncIterator[Done]:
    """Switch on again what was switched off, and tell of each; what is back is forgotten."""
    by_account = {messenger.account: messenger for messenger in messengers}
    for target in targets:
        yield await _switch_on(by_account[target.account], target, memory, now)


async def _switch_on(messenger: Messenger, target: Target, memory: Memory, now: datetime) -> Done:
    try:
        words = await messenger.restore(target.switch)
    except CalrelayError as error:
        return Done(target=target, words="is not back", error=error)
    memory.save_memo(_key(target), None, now)
    _log.info("a message of the source was switched on again", account=target.account, what=target.switch.name)
    return Done(target=target, words=words)


async def _find(messengers: Sequence[Messenger], kind: SwitchKind, identity: str) -> Target:
    for messenger in messengers:
        try:
            return Target(account=messenger.account, switch=await messenger.switch(kind, identity))
        except NotFound:
            continue
    raise ConfigError(
        f"there is no active {kind} {identity} at {', '.join(messenger.account for messenger in messengers) or 'any account'}",
        remedy="`calrelay messages` lists those there are; one that is off already is not shown by its vendor any more",
    )


def _whom(switch: Switch) -> str:
    words = sorted(recipient.value if recipient else "an address of its own" for recipient in switch.recipients)
    return f"it messages {' and '.join(words)}" if words else "nobody can tell whom it messages"


def _key(target: Target) -> str:
    return MEMO_SWITCH.format(account=target.account, kind=target.switch.kind, identity=target.switch.id)


def _to_text(switch: Switch) -> str:
    values = {"kind": switch.kind, "id": switch.id, "belongs_to": switch.belongs_to, "kept": switch.kept, "parts": switch.parts}
    return json.dumps(values | {"recipients": sorted(one.value for one in switch.recipients if one)}, ensure_ascii=False)


def _from_text(text: str) -> Switch:
    values = json.loads(text)
    return Switch(
        kind=SwitchKind(values["kind"]),
        id=values["id"],
        belongs_to=values["belongs_to"],
        recipients=frozenset(Recipient(word) for word in values["recipients"]),
        kept=values["kept"],
        parts=values["parts"],
    )
