"""What one table alone cannot tell: names given twice, pipelines in each other's way, and what is allowed but may not be meant."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any, Final

from calrelay.config.model import Pipeline
from calrelay.config.secrets import SecretRef
from calrelay.config.section import Address
from calrelay.config.sections import WebSection
from calrelay.config.vendor import AccountModel, FilterModel, Role, VendorConfig, fold

NAMED: Final = 8  # names in a sentence; the others are counted
COMPARED: Final = 1000  # filters of one account, each of them with each other; of more, any two may have an event in common


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What one file of the config brings, and what its problems begin with: nothing, for the config itself."""

    pipelines: Sequence[Pipeline]
    accounts: Mapping[str, AccountModel]
    prefix: str = ""


def impossibilities(raw: Mapping[str, Any]) -> list[str]:
    """Return the problems between tables. Works on what was read, so that they are told together with wrong values."""
    pipelines = raw.get("pipelines")
    tables = [table if isinstance(table, dict) else {} for table in pipelines] if isinstance(pipelines, list) else []
    return [*_names_given_twice(tables), *_same_events_twice(tables)]


def _names_given_twice(pipelines: list[dict[str, Any]]) -> Iterator[str]:
    names = [table.get("name") for table in pipelines]
    for index, name in enumerate(names):
        if name is not None and names.index(name) < index:
            yield f"pipelines[{index}].name: “{name}” is the name of pipelines[{names.index(name)}] too — give each its own"


def _same_events_twice(pipelines: list[dict[str, Any]]) -> Iterator[str]:
    """Two pipelines that would claim every event of each other: refused here, before the ledger refuses each event (rule 3.3)."""
    seen: dict[str, int] = {}
    for index, table in enumerate(pipelines):
        if table.get("enabled") is False or not isinstance(table.get("source"), str) or not isinstance(table.get("target"), str):
            continue
        key = repr([table["source"], table["target"], table.get("id_prefix", ""), _as_set(table.get("filter", {}))])
        first = seen.setdefault(key, index)
        if first != index:
            other = f"pipelines[{first}] ({pipelines[first].get('name', '')})"
            yield (
                f"pipelines[{index}]: relays the same events as {other} to the same account — give them filters that keep them apart, or "
                "use one pipeline with routes"
            )


def _as_set(value: object) -> object:
    """Forget the order of keys and lists, which means nothing in a filter."""
    if isinstance(value, dict):
        return sorted((str(key), repr(_as_set(inner))) for key, inner in value.items())
    return sorted({fold(str(item)) for item in value}) if isinstance(value, list) else value


def doubts(files: Sequence[File], web: WebSection, vendors: Mapping[str, VendorConfig]) -> Iterator[str]:
    """Yield what is allowed but may not be meant, each with its path and what to do."""
    pipelines = [one for file in files for one in file.pipelines]
    accounts = {name: account for file in files for name, account in file.accounts.items()}
    if not pipelines:
        yield "pipelines: there is none, so nothing is relayed — add [[pipelines]]"
    yield from _shared_sources(pipelines, accounts, vendors)
    yield from _shared_targets(pipelines, accounts, vendors)
    yield from _same_target_twice(accounts, vendors)
    for file in files:
        yield from (f"{file.prefix}{doubt}" for doubt in _doubts_within(file, vendors))
    yield from _web_doubts(web, accounts)


def _doubts_within(file: File, vendors: Mapping[str, VendorConfig]) -> Iterator[str]:
    for index, pipeline in enumerate(file.pipelines):
        yield from (f"pipelines[{index}].filter.statuses ({pipeline.name}): {doubt}" for doubt in pipeline.filter.doubts())
    yield from _fast_accounts(file.accounts, vendors)


def _whose(account: AccountModel) -> tuple[str, ...]:
    """Tell accounts apart by what they are; two names, or two tenants' files, may have the same one."""
    return (account.vendor, *(str(getattr(account, key)) for key in account.identity_keys))


def _shared_sources(
    pipelines: Sequence[Pipeline], accounts: Mapping[str, AccountModel], vendors: Mapping[str, VendorConfig]
) -> Iterator[str]:
    """Doubt pipelines that carry the same bookings to the same account: twice under different ids, or in each other's way."""
    shared: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Pipeline]] = defaultdict(list)
    for one in (one for one in pipelines if one.enabled):
        shared[_whose(accounts[one.source]), _whose(accounts[one.target])].append(one)
    for (source, _), ones in shared.items():
        twice, refused = _in_the_way(ones)
        what = f"the same account of {vendors[source[0]].label} to {ones[0].target}"
        remove = "; if one is a copy of another, remove it" if len({one.source for one in ones}) > 1 else ""
        if twice:
            yield (
                f"pipelines: {_listed(twice)} relay {what}, under ids of their own: who is on an event that fits several of their filters "
                f"gets every message twice — keep the filters apart{remove}"
            )
        if refused:
            yield (
                f"pipelines: {_listed(refused)} all relay {what} — an event that fits several of their filters is refused; keep the "
                f"filters apart{remove}"
            )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Choice:
    """One filter, folded, and the pipelines that have it; what it leaves out is not looked at."""

    filter: FilterModel
    values: Mapping[str, frozenset[str]]
    pipelines: list[Pipeline] = dataclasses.field(default_factory=list)


def _in_the_way(ones: Sequence[Pipeline]) -> tuple[list[str], list[str]]:
    """Name those that may have an event in common: under ids of their own, where every guest would be told twice, and under the same ones.

    Under the same ids the second is refused when it happens, so that pipelines for rooms of their own are not doubted for it.
    """
    choices: dict[str, _Choice] = {}
    for one in ones:
        values = {"statuses": frozenset(one.filter.statuses), **one.filter.folded}
        choices.setdefault(
            repr(sorted((name, sorted(each)) for name, each in values.items())), _Choice(one.filter, values)
        ).pipelines.append(one)
    twice: dict[str, None] = {}
    refused: dict[str, None] = {}
    for some, others in combinations_with_replacement(choices.values(), 2) if len(choices) <= COMPARED else [_all_of(choices.values())]:
        is_same = some is others
        if not is_same and _are_apart(some, others, surely=True):
            continue
        both = {one.name: one for one in (*some.pipelines, *others.pipelines)}.values()
        prefixes = Counter(one.id_prefix for one in both)
        if len(prefixes) > 1:
            twice |= dict.fromkeys(one.name for one in both)
        if is_same or not _are_apart(some, others, surely=False):
            refused |= dict.fromkeys(one.name for one in both if prefixes[one.id_prefix] > 1)
    return [*twice], [*refused]


def _all_of(choices: Collection[_Choice]) -> tuple[_Choice, _Choice]:
    """Return all filters as if they were one."""
    first = next(iter(choices))
    together = dataclasses.replace(first, pipelines=[one for choice in choices for one in choice.pipelines])
    return together, together


def _are_apart(some: _Choice, others: _Choice, *, surely: bool) -> bool:
    """Whether both filters name values of one facet, and none in common; `surely` no event, and no thing of two names, is in both."""
    return any(
        some.values[name].isdisjoint(others.values[name]) and _can_tell(some, others, name, surely=surely)
        for name in some.values.keys() & others.values
    )


def _can_tell(some: _Choice, others: _Choice, name: str, *, surely: bool) -> bool:
    """Whether different values of a facet are of different events; a number and a name may be of the same thing."""
    if name == "statuses":
        return True
    numbers = {value.isdecimal() for value in some.values[name] | others.values[name]}
    if len(numbers) > 1:
        return False
    return not surely or name in some.filter.exclusive or (name in some.filter.numbered and numbers == {True})


def _shared_targets(
    pipelines: Sequence[Pipeline], accounts: Mapping[str, AccountModel], vendors: Mapping[str, VendorConfig]
) -> Iterator[str]:
    """Doubt different sources of one vendor that write to one target under ids that nobody could tell apart afterwards."""
    shared: dict[tuple[str, str, str], dict[tuple[str, ...], str]] = defaultdict(dict)
    for one in (one for one in pipelines if one.enabled):
        source = accounts[one.source]
        shared[source.vendor, one.target, one.id_prefix].setdefault(_whose(source), one.name)
    for (vendor, target, _), names in shared.items():
        if len(names) > 1:
            yield (
                f"pipelines: {_listed(list(names.values()))} relay different accounts of {vendors[vendor].label} to {target} without an "
                "id_prefix that tells them apart, so that after a lost database nobody knows whose an event there is — give each its own "
                "before its first load"
            )


def _same_target_twice(accounts: Mapping[str, AccountModel], vendors: Mapping[str, VendorConfig]) -> Iterator[str]:
    """Doubt two names for one account at a target: each would have the whole rate, and neither sees the other's ids."""
    seen: dict[str, list[str]] = defaultdict(list)
    for name, account in accounts.items():
        if vendors[account.vendor].role is Role.TARGET:
            keys = sorted(
                (key, ref.kind, ref.value) for key in type(account).model_fields if isinstance(ref := getattr(account, key), SecretRef)
            )
            seen[repr([account.vendor, getattr(account, "base_url", ""), keys])].append(name)
    for names in seen.values():
        if len(names) > 1:
            yield (
                f"accounts: {_listed(names)} are one account under several names, each with the whole rate — name it once, in the config "
                "itself if tenants share it"
            )


def _fast_accounts(accounts: Mapping[str, AccountModel], vendors: Mapping[str, VendorConfig]) -> Iterator[str]:
    for name, account in accounts.items():
        limit = vendors[account.vendor].known_requests_per_second
        if limit is not None and account.rate > limit:
            yield (
                f"accounts.{name.rpartition('/')[2]}: {account.rate:.3g} requests a second are more than "
                f"{vendors[account.vendor].label} is known to take ({limit:.3g}) — lower the rate"
            )


def _web_doubts(web: WebSection, accounts: Mapping[str, AccountModel]) -> Iterator[str]:
    listen = web.listen
    if listen is not None and not listen.is_loopback:
        yield f"web.listen: {listen} can be reached from other machines, and has no HTTPS — listen on 127.0.0.1 behind a proxy that has it"
    if web.hooks is not None:
        yield from _hook_doubts(web.hooks, accounts)


def _hook_doubts(hooks: Address, accounts: Mapping[str, AccountModel]) -> Iterator[str]:
    able = {name: account for name, account in accounts.items() if "webhook_secret" in type(account).model_fields}
    signed = [name for name, account in able.items() if getattr(account, "webhook_secret", None) is not None]
    if not hooks.is_loopback:
        yield (
            f"web.hooks: {hooks} can be reached from other machines without HTTPS, and webhooks carry names and a secret — listen on "
            "127.0.0.1 behind a proxy that has it"
        )
    if not signed:
        yield "web.hooks: no account has a webhook_secret, so every webhook is refused — add one, or leave hooks off"
    silent = sorted(able.keys() - signed) if signed else []
    if len(silent) > NAMED:
        yield f"accounts: {_listed(silent)} have no webhook_secret, so their webhooks are refused — add them, or leave it to the schedule"
        return
    for name in silent:
        yield f"accounts.{name}: has no webhook_secret, so its webhooks are refused — add one, or leave it to the schedule"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return f"{', '.join(names[:NAMED])} and {more} more" if more > 0 else ", ".join(names)
