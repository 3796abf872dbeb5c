"""Whether a pipeline's entries are at the account that the config names: it may name another one, or another one by the same name."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from calrelay.domain.link import Link, State
from calrelay.domain.words import counted
from calrelay.errors import ConfigError, VendorError
from calrelay.ports import Ledger, Target

MEMO_TARGET = "target:{pipeline}"  # a hash of whose account it was at the last pass
BEING_ADOPTED = "in transit"  # nobody's: neither the account of before nor the one of now
_ADOPTED = " adopted"  # in place of another: what is remembered may be at either
ASKED = 5  # of its entries: one that is there is proof enough
_UNSETTLED = frozenset(State) - {State.SETTLED, State.RELEASED}
_T = TypeVar("_T")


def refuse_another_name(ledger: Ledger, pipeline: str, target: str, *, now: datetime) -> None:
    """Raise ConfigError where coming events are at another account than the config names: their ids mean something else at this one."""
    if others := ledger.live_targets(pipeline, ending_after=now) - {target}:
        raise ConfigError(
            f"pipeline {pipeline} has events at account {min(others)}, and its config names {target} as the target; nothing was read or "
            "sent",
            remedy=f"set `target` back; or name the pipeline for {target} anew, and end this one with `calrelay retire {pipeline}`",
        )


def remembered_account(ledger: Ledger, pipeline: str) -> str | None:
    """Return whose account it was at the last pass, as a hash; None before the first, and for older versions."""
    known = ledger.memo(MEMO_TARGET.format(pipeline=pipeline))
    return known[0].removesuffix(_ADOPTED) if known else None


async def refuse_another_account(ledger: Ledger, pipeline: str, target: Target, *, now: datetime) -> None:
    """Raise ConfigError where none of our entries is at the account that the config names; VendorErrors come as they are.

    At another account a change is answered as at the right one, and a deletion by "not there", which counts as done: the old account
    would go on reminding.
    """
    live = ledger.live_links(pipeline, ending_after=now)
    held = sorted((link.accepted.start, link.external_id, link.target_id) for link in live if link.accepted and link.target_id)
    asked = [] if _was_adopted(ledger, pipeline) else _some_of(held)
    failure: VendorError | None = None
    for _, external_id, target_id in asked:
        try:
            found = await target.find(external_id)
        except VendorError as error:
            failure = error
            continue
        if found is not None and found.target_id == target_id:
            return
    if failure is not None:
        raise failure
    if held or any(_is_of_some_account(link, now) for link in ledger.links_in(pipeline, _UNSETTLED)):
        found_none = f"of the {counted(len(held), 'coming event')} of pipeline {pipeline} none is there ({len(asked)} asked for)"
        raise ConfigError(
            f"account {target.account} has another user name or address than before, and "
            f"{found_none if asked else f'nothing of pipeline {pipeline} is known to be there'}; nothing was read or sent",
            remedy=f"set it back; or, if that is the account from now on, `calrelay adopt {pipeline}` looks at what it holds; what it does "
            "not hold is created by approval alone",
        )


def remember_account(ledger: Ledger, pipeline: str, identity: str, *, now: datetime) -> None:
    """Note whose account a pipeline's entries are at, and for good whether one has taken the place of another.

    What is left alone keeps what was accepted at the account of before, which proves nothing any more: the next change is adopted, too.
    """
    is_adopted = _was_adopted(ledger, pipeline)
    ledger.save_memo(MEMO_TARGET.format(pipeline=pipeline), identity + _ADOPTED if is_adopted else identity, now)


def _was_adopted(ledger: Ledger, pipeline: str) -> bool:
    known = ledger.memo(MEMO_TARGET.format(pipeline=pipeline))
    return known is not None and known[0].endswith((_ADOPTED, BEING_ADOPTED))


def _is_of_some_account(link: Link, now: datetime) -> bool:
    """Whether something that is to come was to be done, or decided, at the account of before."""
    is_unread = link.state is State.QUARANTINED and link.attempts == 0 and not link.was_deleted_there
    return not is_unread and link.wanted is not None and link.wanted.end > now


def _some_of(links: Sequence[_T]) -> Sequence[_T]:
    """Return a few, the first, the last and some between: somebody may have removed the entries of a day."""
    last = len(links) - 1
    return [links[at] for at in sorted({round(last * part / (ASKED - 1)) for part in range(ASKED)})] if links else []
