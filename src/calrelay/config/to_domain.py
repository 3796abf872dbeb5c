"""From the config's tables to the domain's values; calendars stay names or ids, which the engine looks up at the target."""

import hashlib
import json
from collections.abc import Callable, Mapping

from calrelay.config.model import Pipeline, RouteSection, WithoutContact
from calrelay.config.secrets import SecretRef
from calrelay.config.sections import GuardLimit, GuardsSection, ShiftLimit, WindowSection
from calrelay.config.vendor import AccountModel, FilterModel, MatchModel
from calrelay.domain.event import Extra
from calrelay.domain.guard import Limit, Limits
from calrelay.domain.link import CalendarId
from calrelay.domain.people import Role
from calrelay.domain.policy import CalendarRef, Filter, Match, NamedRoute
from calrelay.domain.rendering import Texts
from calrelay.domain.window import Window


def to_calendar(table: Pipeline | RouteSection) -> CalendarRef:
    """Return the calendar that a pipeline or a route names."""
    return CalendarRef(name=table.calendar, id=None if table.calendar_id is None else CalendarId(table.calendar_id))


def to_routes(pipeline: Pipeline) -> tuple[NamedRoute, ...]:
    """Return a pipeline's routes in order."""
    return tuple(NamedRoute(match=to_match(route.match), calendar=to_calendar(route)) for route in pipeline.routes)


def to_match(match: MatchModel) -> Match:
    """Return facets as events are compared with them: on one line, letter case folded."""
    return Match(facets=match.folded)


def to_filter(table: FilterModel) -> Filter:
    """Return a pipeline's filter."""
    return Filter(
        statuses=frozenset(table.statuses),
        include=to_match(table),
        exclude=None if table.exclude is None else to_match(table.exclude),
    )


def to_window(table: WindowSection) -> Window:
    """Return a pipeline's window."""
    return Window(past=table.past, future=table.future)


def to_limits(table: GuardsSection) -> Limits:
    """Return a pipeline's guards."""
    return Limits(
        first_load=table.first_load,
        creates=_limit(table.creates),
        updates=_limit(table.updates),
        deletes=_limit(table.deletes),
        same_shift=_limit(table.same_shift),
    )


def _limit(table: ShiftLimit) -> Limit:
    return Limit(count=table.count, share=table.share, max=table.max if isinstance(table, GuardLimit) else None)


def to_texts(pipeline: Pipeline) -> Texts:
    """Return a pipeline's compiled templates."""
    table = pipeline.event
    return Texts(title=table.title, location=table.location, content=table.content, custom_data=table.custom_data, region=pipeline.region)


def to_people(pipeline: Pipeline) -> frozenset[Role]:
    """Return the roles of those a pipeline reaches."""
    return frozenset(Role(word) for word in pipeline.people)


def to_extras(pipeline: Pipeline) -> frozenset[Extra]:
    """Return the extra fields a pipeline wants. Turning them on or off shows in its source's `mapping_version`."""
    return frozenset(Extra(word) for word in pipeline.extras)


def sends_without_contact(pipeline: Pipeline) -> bool:
    """Say whether events with nobody to reach are relayed too (rule 10)."""
    return pipeline.without_contact is WithoutContact.SEND


def reading_fingerprint(pipeline: Pipeline, source: AccountModel) -> str:
    """Return a hash over what changes how a row is read: people, region, zones, places. Part of the `mapping` of a `Basis` (rule 14).

    A change of these alters the event itself, so that it cannot be told from a change at the source afterwards.
    """
    zones: Mapping[str, str] = getattr(source, "zones", {})
    places = {key: str(value) for key in ("site_id", "location_ids") if (value := getattr(source, key, None))}
    return _hash({"people": sorted(pipeline.people), "region": pipeline.region, "zones": dict(zones), **places})


def config_fingerprint(pipeline: Pipeline) -> str:
    """Return a hash over what changes which events are wanted and what their entries hold: the `config` of a `Basis` (rule 14).

    Stable over restarts, key order and letter case of facets. Rates, intervals, guards, modes and names do not count: they change when and
    how much is sent, not what.
    """
    choice = {
        "filter": _filter_words(to_filter(pipeline.filter)),
        "calendar": _calendar_words(to_calendar(pipeline)),
        "routes": [[_match_words(route.match), _calendar_words(route.calendar)] for route in to_routes(pipeline)],
        "without_contact": pipeline.without_contact,
    }
    return f"{_hash(choice)} {_hash({'event': pipeline.event.model_dump(mode='json')})}"


def account_fingerprint(account: AccountModel, resolve: Callable[[SecretRef], str]) -> str:
    """Return a hash over what says whose account it is; how it is asked, and with which secret, does not count."""
    values = {key: getattr(account, key) for key in account.identity_keys}
    return _hash({key: resolve(value) if isinstance(value, SecretRef) else str(value) for key, value in values.items()})


def scope_fingerprint(pipeline: Pipeline, source: AccountModel, whose: str) -> str:
    """Return a hash over what says which bookings a pipeline relays at all, and under which ids; the `scope` of a pipeline (rule 13).

    `whose` is the fingerprint of the source's account.
    """
    scope = {
        "source": pipeline.source,
        "filter": _filter_words(to_filter(pipeline.filter)),
        "without_contact": pipeline.without_contact,
        "reading": reading_fingerprint(pipeline, source),
        "window": [str(pipeline.window.past), str(pipeline.window.future)],
        "id_prefix": pipeline.id_prefix,
    }
    return f"{_hash(scope)}@{whose}"


def _hash(meaning: Mapping[str, object]) -> str:
    text = json.dumps(meaning, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _filter_words(table: Filter) -> list[object]:
    return [sorted(table.statuses), _match_words(table.include), None if table.exclude is None else _match_words(table.exclude)]


def _match_words(match: Match) -> dict[str, list[str]]:
    return {name: sorted(values) for name, values in match.facets.items()}


def _calendar_words(calendar: CalendarRef) -> list[str | None]:
    return [calendar.name, calendar.id]
