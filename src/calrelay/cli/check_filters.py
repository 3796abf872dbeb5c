"""The part of `check` that holds what filters and routes name against what an account shows: a mistyped room lets nothing in, silently."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from calrelay.config.load import Config
from calrelay.config.model import Pipeline
from calrelay.config.vendor import MatchModel, suggestion
from calrelay.domain.text import title
from calrelay.ports import Fact


def unknown_names(config: Config, account: str, facts: Iterable[Fact]) -> Iterator[str]:
    """Yield a warning for each name in the filters and routes of an account's pipelines that it does not show among others of its kind."""
    shown: dict[str, set[str]] = defaultdict(set)
    for fact in facts:
        for facet, names in fact.facets.items():
            shown[facet] |= names
    for pipeline in config.enabled:
        if pipeline.source == account:
            for key, match in _matches(pipeline):
                for facet, name in _unknown(match, shown):
                    labels = [one for one in sorted(shown[facet]) if not one.isdecimal()]
                    place = config.place(pipeline.name, f"{key}.{facet}")
                    yield f"{place}: account {account} shows no “{name}” among its {facet}{suggestion(name, labels)}"


def _matches(pipeline: Pipeline) -> Iterator[tuple[str, MatchModel]]:
    yield "filter", pipeline.filter
    if pipeline.filter.exclude is not None:
        yield "filter.exclude", pipeline.filter.exclude
    for index, route in enumerate(pipeline.routes):
        yield f"routes[{index}].match", route.match


def _unknown(match: MatchModel, shown: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str]]:
    for facet, names in match.facets.items():
        known = {title(name).casefold() for name in shown.get(facet, ())}
        yield from ((facet, name) for name in names if known and title(name).casefold() not in known)
