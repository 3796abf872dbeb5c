"""What is known of an account that messages people by itself: read at most every so often, kept in memory and in the ledger.

What cannot be read anew stays as it was last read: nothing here stops a pass, or makes a read incomplete. Ids and times only (rule 23).
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from calrelay.domain.event import Extra
from calrelay.domain.extras import Known
from calrelay.domain.messages import Invitation, Rules
from calrelay.errors import VendorError, VendorUnavailable
from calrelay.log import get_logger
from calrelay.ports import Clock, Messenger

KEPT: Final = timedelta(hours=1)  # how old what extra fields are made of may be
RETRY: Final = timedelta(minutes=15)  # how long an account that failed is left in peace
LIMIT: Final = timedelta(seconds=90)  # how long a pass waits for it at most
MEMO_RULES: Final = "own-messages:{account}"
MEMO_INVITATIONS: Final = "invitations:{account}"

_FORGOTTEN: Final = timedelta(days=400)  # an invitation that old is of no event to come
_RULES: Final = TypeAdapter(Rules)
_INVITATIONS: Final = TypeAdapter(tuple[Invitation, ...])

_log = get_logger(__name__)
Value = TypeVar("Value")


class Memory(Protocol):
    """The small facts of the ledger."""

    def memo(self, key: str) -> tuple[str, datetime] | None:
        """Return a remembered fact, and when it was noted."""

    def save_memo(self, key: str, value: str | None, at: datetime) -> None:
        """Remember a small fact, or forget it with None."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Remembered(Generic[Value]):
    """One thing that an account tells. `is_kept` False: the ledger is only read."""

    account: str
    what: str
    key: str
    form: TypeAdapter[Value]
    ask: Callable[[], Awaitable[Value]]
    memory: Memory
    clock: Clock
    is_kept: bool
    value: Value | None = None
    at: datetime | None = None
    error: VendorError | None = None
    _failed_at: datetime | None = None
    _lock: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.recall()

    def recall(self) -> None:
        """Take over what the ledger has where it is newer: another process may have written it."""
        memo = self.memory.memo(self.key)
        if memo is not None and (self.at is None or memo[1] > self.at):
            value = _read(self.form, memo[0])
            self.value, self.at = (self.value, self.at) if value is None else (value, memo[1])

    async def renew(self, older_than: timedelta) -> None:
        """Read it anew where it is older than this. Never raises VendorError: the last known value stays."""
        async with self._lock:
            if not self._is_due(older_than):
                return
            try:
                async with asyncio.timeout(LIMIT.total_seconds()):
                    value = await self.ask()
            except TimeoutError:
                self._note_failure(VendorUnavailable(f"account {self.account} took too long to tell {self.what}", account=self.account))
            except VendorError as error:
                self._note_failure(error)
            else:
                self._note(value)

    def _is_due(self, older_than: timedelta) -> bool:
        now = self.clock()
        if self._failed_at is not None and now - self._failed_at < RETRY:
            return False
        return self.at is None or now - self.at > older_than

    def _note(self, value: Value) -> None:
        if self.error is not None:
            _log.info("an account tells again", account=self.account, what=self.what)
        self.value, self.at, self.error, self._failed_at = value, self.clock(), None, None
        if self.is_kept:
            self.memory.save_memo(self.key, self.form.dump_json(value).decode(), self.at)

    def _note_failure(self, error: VendorError) -> None:
        if self.error is None:  # said once when it begins, and once when it is over (rule 25)
            _log.warning("an account does not tell", account=self.account, what=self.what, kind=error.kind, why=error.message)
        self.error, self._failed_at = error, self.clock()


class Listener:
    """Listens to one account; several pipelines may share it.

    Args:
        messenger: the account.
        memory: where it is remembered over restarts.
        clock: now.
        is_kept: False leaves the ledger alone, as a plan does.
    """

    def __init__(self, messenger: Messenger, memory: Memory, *, clock: Clock, is_kept: bool = True) -> None:
        self.account = messenger.account
        self._messenger = messenger
        self._clock = clock
        self._rules: Remembered[Rules] = Remembered(
            account=self.account,
            what="what it sends by itself",
            key=MEMO_RULES.format(account=self.account),
            form=_RULES,
            ask=self._ask_rules,
            memory=memory,
            clock=clock,
            is_kept=is_kept,
        )
        self._invitations: Remembered[tuple[Invitation, ...]] = Remembered(
            account=self.account,
            what="how far its invitations came",
            key=MEMO_INVITATIONS.format(account=self.account),
            form=_INVITATIONS,
            ask=self._ask_invitations,
            memory=memory,
            clock=clock,
            is_kept=is_kept,
        )

    def recall(self) -> None:
        """Take over what another process has read since."""
        self._rules.recall()
        self._invitations.recall()

    @property
    def rules(self) -> Rules | None:
        """What the account has set up, as last read; None when it never was."""
        return self._rules.value

    @property
    def known(self) -> Known:
        """Everything as last read."""
        return Known(rules=self._rules.value, invitations=self._invitations.value)

    async def renew_rules(self, older_than: timedelta) -> VendorError | None:
        """Read anew what the account has set up, where it is older than this; return why it could not be."""
        await self._rules.renew(older_than)
        return self._rules.error

    async def renew_for(self, extras: Collection[Extra]) -> None:
        """Read anew what these extra fields are made of, where it is older than KEPT; no request without any."""
        for extra in sorted(extras):
            await self._behind(extra).renew(KEPT)

    def trouble_with(self, extras: Collection[Extra]) -> str:
        """Say in words for a report which extra fields are not up to date, or nothing."""
        stale = sorted(extra.value for extra in extras if self._behind(extra).error is not None)
        return f"{', '.join(stale)} could not be read anew and stays as last known" if stale else ""

    def _behind(self, extra: Extra) -> "Remembered[Rules] | Remembered[tuple[Invitation, ...]]":
        return self._rules if extra is Extra.NEXT_MESSAGE else self._invitations

    async def _ask_rules(self) -> Rules:
        """Ask, and drop the descriptions: people wrote them, and nothing is computed from them."""
        rules = await self._messenger.rules()
        triggers = tuple(dataclasses.replace(trigger, description="") for trigger in rules.triggers)
        return dataclasses.replace(rules, triggers=triggers)

    async def _ask_invitations(self) -> tuple[Invitation, ...]:
        """Ask, and keep what is known of campaigns that were not asked this time: their answers do not change, or have their turn later."""
        now = self._clock()
        answer = await self._messenger.invitations()
        before = self._invitations.value or ()
        kept = [one for one in before if one.campaign not in answer.campaigns and now - one.created_at < _FORGOTTEN]
        return (*kept, *answer.found)


def remembered_rules(memory: Memory, account: str) -> Rules | None:
    """Return what an account had set up when it was last read; None where it never was."""
    memo = memory.memo(MEMO_RULES.format(account=account))
    return None if memo is None else _read(_RULES, memo[0])


def _read(form: TypeAdapter[Value], text: str) -> Value | None:
    """Read what was remembered; what another release wrote in another form is as good as nothing."""
    try:
        return form.validate_json(text)
    except ValidationError:
        return None
