from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any

import pytest

from calrelay.config.load import Config
from calrelay.config.to_domain import (
    account_fingerprint,
    config_fingerprint,
    reading_fingerprint,
    scope_fingerprint,
    sends_without_contact,
    to_calendar,
    to_extras,
    to_filter,
    to_limits,
    to_people,
    to_routes,
    to_texts,
)
from calrelay.domain.event import Event, Extra, Lifecycle, SourceId
from calrelay.domain.guard import Limit, Limits
from calrelay.domain.link import CalendarId
from calrelay.domain.people import Role
from calrelay.domain.policy import CalendarRef, Standing

Load = Callable[[dict[str, Any]], Config]

P = "pipelines/0"


def an_event(**facets: str) -> Event:
    return Event(
        source_id=SourceId("ts-55120"),
        status="DEFINITE",
        lifecycle=Lifecycle.LIVE,
        start=datetime(2026, 11, 30, 23, tzinfo=UTC),
        end=datetime(2026, 12, 1, 2, tzinfo=UTC),
        zone="America/New_York",
        title="Holiday dinner",
        facets={name: frozenset({value}) for name, value in facets.items()},
    )


def fingerprint(config: Config) -> tuple[str, str]:
    pipeline = config.pipelines[0]
    return config_fingerprint(pipeline), reading_fingerprint(pipeline, config.accounts[pipeline.source])


@pytest.mark.parametrize("written", ["Terrace", "TERRACE", " terrace ", 90002])
def test_a_filter_matches_names_and_ids_without_letter_case(load: Load, written: object) -> None:
    found = to_filter(load({f"{P}/filter": {"rooms": [written]}}).pipelines[0].filter)
    room = "90002" if written == 90002 else "terrace"
    assert found.judge(an_event(rooms=room))[0] is Standing.WANTED
    assert found.judge(an_event(rooms="cellar"))[0] is Standing.OUTSIDE


def test_an_exclusion_leaves_out_what_shows_all_its_facets(load: Load) -> None:
    table = {"exclude": {"rooms": ["Terrace"], "event_types": ["Tasting"]}}
    found = to_filter(load({f"{P}/filter": table}).pipelines[0].filter)
    assert found.judge(an_event(rooms="terrace", event_types="tasting"))[0] is Standing.OUTSIDE
    assert found.judge(an_event(rooms="terrace", event_types="wedding"))[0] is Standing.WANTED


def test_statuses_are_upper_case_whatever_is_written(load: Load) -> None:
    found = to_filter(load({f"{P}/filter": {"statuses": ["definite", "Tentative", "DEFINITE"]}}).pipelines[0].filter)
    assert found.statuses == {"DEFINITE", "TENTATIVE"}


def test_routes_keep_their_order_and_calendars(load: Load) -> None:
    routes = [{"match": {"rooms": ["Terrace"]}, "calendar": "Terrace"}, {"match": {"rooms": ["Cellar"]}, "calendar_id": 1000030002}]
    first, second = to_routes(load({f"{P}/routes": routes}).pipelines[0])
    assert first.match(an_event(rooms="terrace"))
    assert not second.match(an_event(rooms="terrace"))
    assert (first.calendar, second.calendar) == (CalendarRef(name="Terrace"), CalendarRef(id=CalendarId("1000030002")))


def test_a_calendar_is_a_name_or_an_id(load: Load, gone: object) -> None:
    assert to_calendar(load({}).pipelines[0]) == CalendarRef(name="Main Hall")
    by_id = load({f"{P}/calendar": gone, f"{P}/calendar_id": 1000030001}).pipelines[0]
    assert to_calendar(by_id) == CalendarRef(id=CalendarId("1000030001"))
    assert str(to_calendar(by_id)) == "calendar 1000030001"


@pytest.mark.parametrize(
    ("written", "limit"),
    [
        (10, Limit(count=10)),
        ({"count": 10}, Limit(count=10, share=0.2, max=25)),
        ({"max": 100}, Limit(count=5, share=0.2, max=100)),
        ({"count": 0, "share": 0, "max": 0}, Limit(count=0, share=0.0, max=0)),
    ],
)
def test_a_guard_is_a_count_or_a_table_over_its_defaults(load: Load, written: object, limit: Limit) -> None:
    assert to_limits(load({f"{P}/guards": {"deletes": written}}).pipelines[0].guards).deletes == limit


def test_guards_not_named_keep_their_defaults(load: Load) -> None:
    limits = to_limits(load({f"{P}/guards": {"creates": 3, "first_load": 9}}).pipelines[0].guards)
    assert limits == Limits(creates=Limit(count=3), first_load=9)


def test_hours_people_and_contact_come_in_the_domains_words(load: Load) -> None:
    changes = {f"{P}/create_hours": "08:00-20:00", f"{P}/people": ["contact", "owner"], f"{P}/without_contact": "send"}
    pipeline = load(changes).pipelines[0]
    assert pipeline.create_hours is not None
    assert time(9) in pipeline.create_hours
    assert to_people(pipeline) == {Role.CONTACT, Role.OWNER}
    assert sends_without_contact(pipeline)


def test_extra_fields_come_as_the_domain_knows_them(load: Load) -> None:
    wanted = {f"{P}/source": "studio", f"{P}/extras": ["next_message", "invitation_status"]}
    assert to_extras(load(wanted).pipelines[0]) == set(Extra)
    assert to_extras(load({}).pipelines[0]) == frozenset()


def test_templates_are_compiled(load: Load) -> None:
    texts = to_texts(load({f"{P}/event": {"title": "{{ event.title | upper }}", "custom_data": {"hall": "East"}}}).pipelines[0])
    rendered = texts.render(an_event())
    assert rendered.title == "HOLIDAY DINNER"
    assert rendered.custom_data["hall"] == "East"


def test_zones_come_out_canonical(load: Load) -> None:
    zones = {"location:2601": "Pacific Time (US & Canada)", "site: 1501 ": "US/Eastern"}
    account = load({"accounts/venue/zones": zones}).accounts["venue"].model_dump()
    assert account["zones"] == {"location:2601": "America/Los_Angeles", "site:1501": "America/New_York"}


CHANGES_THE_MAPPING: dict[str, Any] = {
    f"{P}/filter": {"rooms": ["Terrace"]},
    f"{P}/calendar": "Terrace",
    f"{P}/routes": [{"match": {"rooms": ["Terrace"]}, "calendar": "Terrace"}],
    f"{P}/event": {"title": "{{ event.status }}"},
    f"{P}/people": ["owner"],
    f"{P}/region": "CA",
    f"{P}/without_contact": "send",
    "accounts/venue/zones": {"location:2601": "America/Vancouver"},
}
CHANGES_NOTHING_OF_IT: dict[str, Any] = {
    f"{P}/name": "other",
    f"{P}/every": "10m",
    f"{P}/near": "7d",
    f"{P}/full_every": "2h",
    f"{P}/window": {"future": "90d"},
    f"{P}/messages": "skip",
    f"{P}/settle": "5m",
    f"{P}/create_hours": "08:00-20:00",
    f"{P}/guards": {"deletes": 1},
    "accounts/venue/requests_per_second": 1,
    "accounts/venue/client_secret": {"env": "OTHER"},
    "accounts/reminders/batch_size": 1,
    "log/level": "debug",
}


@pytest.mark.parametrize("path", CHANGES_THE_MAPPING)
def test_what_changes_events_changes_the_fingerprint(load: Load, path: str) -> None:
    assert fingerprint(load({path: CHANGES_THE_MAPPING[path]})) != fingerprint(load({}))


@pytest.mark.parametrize("path", CHANGES_NOTHING_OF_IT)
def test_what_does_not_change_events_leaves_the_fingerprint(load: Load, path: str) -> None:
    assert fingerprint(load({path: CHANGES_NOTHING_OF_IT[path]})) == fingerprint(load({}))


def test_every_key_of_a_pipeline_was_weighed_for_the_fingerprint(load: Load) -> None:
    """A new key must be put on one of the two lists above, or to those that name an event's identity."""
    weighed = {path.removeprefix(f"{P}/") for path in (*CHANGES_THE_MAPPING, *CHANGES_NOTHING_OF_IT) if path.startswith(P)}
    identity = {"source", "target", "id_prefix", "calendar_id", "enabled"}
    by_its_source = {"extras"}  # part of its `mapping_version`, once something is known of them
    assert set(type(load({}).pipelines[0]).model_fields) == weighed | identity | by_its_source


def test_the_same_meaning_in_other_words_has_the_same_fingerprint(load: Load) -> None:
    one = {f"{P}/filter": {"rooms": ["Terrace", "Cellar"], "statuses": ["DEFINITE"]}, "accounts/venue/zones": {"site:1": "US/Pacific"}}
    other = {
        f"{P}/filter": {"statuses": ["definite"], "rooms": ["cellar", "TERRACE"]},
        "accounts/venue/zones": {"site:1": "America/Los_Angeles"},
    }
    assert fingerprint(load(one)) == fingerprint(load(other))


def test_the_order_of_routes_counts(load: Load) -> None:
    routes = [{"match": {"rooms": ["Terrace"]}, "calendar": "A"}, {"match": {"rooms": ["Cellar"]}, "calendar": "B"}]
    assert fingerprint(load({f"{P}/routes": routes})) != fingerprint(load({f"{P}/routes": routes[::-1]}))


def test_the_fingerprint_outlives_a_release(load: Load) -> None:
    """It stands in ledgers: when it changes for a config that did not, every pipeline there is holds a mapping change."""
    assert fingerprint(load({})) == ("3d6fbd3df748d69857e215c3 932d0b1edd1b66e2e85902a6", "ee7e2585c47ac1cb3bd1b239")


@pytest.mark.parametrize("path", [f"{P}/people", f"{P}/region", "accounts/venue/zones"])
def test_what_changes_how_a_row_is_read_is_told_apart(load: Load, path: str) -> None:
    """It alters the event itself, so it must not pass as a change at the source."""
    changed, before = fingerprint(load({path: CHANGES_THE_MAPPING[path]})), fingerprint(load({}))
    assert (changed[0] == before[0], changed[1] == before[1]) == (True, False)


# --- which bookings are relayed at all ---

LETS_IN_OTHERS = {
    **{path: CHANGES_THE_MAPPING[path] for path in (f"{P}/filter", f"{P}/people", f"{P}/region", f"{P}/without_contact")},
    "accounts/venue/zones": CHANGES_THE_MAPPING["accounts/venue/zones"],
    "accounts/venue/location_ids": [2601],
    f"{P}/window": {"future": "90d"},
    "accounts/venue/base_url": "https://api.example.org/v1",
    "accounts/venue/client_id": "another-application",
    f"{P}/source": "studio",
    f"{P}/id_prefix": "hall-",
}


def scope(config: Config) -> str:
    pipeline = config.pipelines[0]
    return scope_fingerprint(pipeline, config.accounts[pipeline.source], account(config, pipeline.source))


def account(config: Config, name: str) -> str:
    return account_fingerprint(config.account(name), config.resolve)


@pytest.mark.parametrize("path", LETS_IN_OTHERS)
def test_what_lets_in_other_bookings_changes_the_scope(load: Load, path: str) -> None:
    assert scope(load({path: LETS_IN_OTHERS[path]})) != scope(load({}))


@pytest.mark.parametrize("path", sorted((CHANGES_THE_MAPPING | CHANGES_NOTHING_OF_IT).keys() - LETS_IN_OTHERS.keys()))
def test_what_lets_in_no_other_bookings_leaves_the_scope(load: Load, path: str) -> None:
    assert scope(load({path: (CHANGES_THE_MAPPING | CHANGES_NOTHING_OF_IT)[path]})) == scope(load({}))


def test_the_scope_outlives_a_release(load: Load) -> None:
    """When it changes for a config that did not, whatever is booked while a release is installed waits for a decision."""
    assert scope(load({})) == "7bbbe84f2819f0ef28a63e56@1f5a18e13ed2eb0a8b4d6ec2"
