"""What one table alone cannot tell: names given twice, pipelines in each other's way, and what is allowed but may not be meant."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from calrelay.config.model import Document, Pipeline
from calrelay.config.vendor import VendorConfig


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
            yield (
                f"pipelines[{index}]: relays the same events as pipelines[{first}] to the same account — give them filters that keep "
                "them apart, or use one pipeline with routes"
            )


def _as_set(value: object) -> object:
    """Forget the order of keys and lists, which means nothing in a filter."""
    if isinstance(value, dict):
        return sorted((str(key), repr(_as_set(inner))) for key, inner in value.items())
    return sorted(str(item).casefold() for item in value) if isinstance(value, list) else value


def doubts(document: Document, vendors: Mapping[str, VendorConfig]) -> Iterator[str]:
    """Yield what is allowed but may not be meant, each with its path and what to do."""
    if not document.pipelines:
        yield "pipelines: there is none, so nothing is relayed — add [[pipelines]]"
    yield from _shared_prefixes(document.pipelines)
    for index, pipeline in enumerate(document.pipelines):
        yield from (f"pipelines[{index}].filter.statuses: {doubt}" for doubt in pipeline.filter.doubts())
    yield from _fast_accounts(document, vendors)
    yield from _web_doubts(document)


def _shared_prefixes(pipelines: tuple[Pipeline, ...]) -> Iterator[str]:
    shared: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for pipeline in (one for one in pipelines if one.enabled):
        shared[pipeline.source, pipeline.target, pipeline.id_prefix].append(pipeline.name)
    for (source, target, _), names in shared.items():
        if len(names) > 1:
            yield (
                f"pipelines: {', '.join(names)} all relay {source} to {target} — an event that fits several of their filters is refused; "
                "keep the filters apart"
            )


def _fast_accounts(document: Document, vendors: Mapping[str, VendorConfig]) -> Iterator[str]:
    for name, account in document.accounts.items():
        limit = vendors[account.vendor].known_requests_per_second
        if limit is not None and account.rate > limit:
            yield (
                f"accounts.{name}: {account.rate:.3g} requests a second are more than {vendors[account.vendor].label} is known to take "
                f"({limit:.3g}) — lower the rate"
            )


def _web_doubts(document: Document) -> Iterator[str]:
    listen = document.web.listen
    if listen is not None and not listen.is_loopback:
        yield f"web.listen: {listen} can be reached from other machines, and has no HTTPS — listen on 127.0.0.1 behind a proxy that has it"
    yield from _hook_doubts(document)


def _hook_doubts(document: Document) -> Iterator[str]:
    hooks = document.web.hooks
    able = {name: account for name, account in document.accounts.items() if "webhook_secret" in type(account).model_fields}
    signed = [name for name, account in able.items() if getattr(account, "webhook_secret", None) is not None]
    if hooks is None:
        return
    if not hooks.is_loopback:
        yield (
            f"web.hooks: {hooks} can be reached from other machines without HTTPS, and webhooks carry names and a secret — listen on "
            "127.0.0.1 behind a proxy that has it"
        )
    if not signed:
        yield "web.hooks: no account has a webhook_secret, so every webhook is refused — add one, or leave hooks off"
    for name in sorted(able.keys() - signed) if signed else ():
        yield f"accounts.{name}: has no webhook_secret, so its webhooks are refused — add one, or leave it to the schedule"
