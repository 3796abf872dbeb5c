"""Whether our entries are at the account that the config names: it may name another one, or another one by the same name."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from calrelay.domain.link import ExternalId, TargetId
from calrelay.domain.words import counted
from calrelay.errors import ConfigError, VendorError
from calrelay.ports import EntryAt, Ledger, Target

MEMO_ACCOUNT = "account:{target}"  # a hash of whose account the name stood for at the last pass of any pipeline
ASKED = 5  # of a pipeline's entries: one that is there is proof enough
ASKED_IN_ALL = 50


def refuse_another_name(ledger: Ledger, pipeline: str, target: str, *, now: datetime) -> None:
    """Raise ConfigError where coming events are at another account than the config names: their ids mean something else at this one."""
    if others := ledger.live_targets(pipeline, ending_after=now) - {target}:
        raise ConfigError(
            f"pipeline {pipeline} has events at account {min(others)}, and its config names {target} as the target; nothing was read or "
            "sent",
            remedy=f"set `target` back; or name the pipeline for {target} anew, and end this one with `calrelay retire {pipeline}`",
        )


async def refuse_another_account(ledger: Ledger, target: Target, identity: str, *, now: datetime, remember: bool) -> None:
    """Raise ConfigError where the name stands for another account than before, and coming entries are known by it; of any pipeline.

    At another account a change is answered as at the right one, and a deletion by "not there", which counts as done: the old account
    would go on reminding. A user name or address may change, so a few entries are asked for; VendorErrors of that come as they are.
    """
    memo = MEMO_ACCOUNT.format(target=target.account)
    known = ledger.memo(memo)
    if known is not None and known[0] == identity:
        return
    entries = ledger.entries_at(target.account, ending_after=now)
    asked = _some_of_each(entries)
    if entries and not await _holds_one(target, asked):
        whose = "has another user name or address than before" if known is not None else "was not looked at by this version before"
        shows = f"it shows none ({len(asked)} asked for)" if asked else "nobody knows whether they have arrived"
        count = counted(len(entries), "coming event")
        raise ConfigError(
            f"account {target.account} {whose}, and of {count} known by that name {shows}; nothing was read or sent",
            remedy="set it back; or, if it is another account, put it beside the old one, with a name of its own and pipelines of its own, "
            "and end the old ones with `calrelay retire NAME --delete`: without it the old account goes on reminding",
        )
    if remember:
        ledger.save_memo(memo, identity, now)


def _some_of_each(entries: Iterable[EntryAt]) -> list[tuple[ExternalId, TargetId]]:
    """Choose a few of each pipeline, those that are looked after before those that were let go; ids that the target gave prove most.

    The first, the last and some between: somebody may have removed the entries of a day.
    """
    groups = defaultdict[tuple[bool, str], list[tuple[ExternalId, TargetId]]](list)
    for entry in entries:
        if entry.target_id is not None:
            groups[entry.is_let_go, entry.pipeline].append((entry.external_id, entry.target_id))
    chosen = []
    for _, group in sorted(groups.items()):
        last = len(group) - 1
        chosen += [group[at] for at in sorted({round(last * part / (ASKED - 1)) for part in range(ASKED)})]
    return chosen[:ASKED_IN_ALL]


async def _holds_one(target: Target, entries: Iterable[tuple[ExternalId, TargetId]]) -> bool:
    failure: VendorError | None = None
    for external_id, target_id in entries:
        try:
            found = await target.find(external_id)
        except VendorError as error:
            failure = error
            continue
        if found is not None and found.target_id == target_id:
            return True
    if failure is not None:
        raise failure
    return False
