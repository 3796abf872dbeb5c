import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calrelay.config.load import Config, parse_config
from calrelay.errors import ConfigError
from calrelay.vendors.registry import VENDORS

Load = Callable[[dict[str, Any]], Config]
Problems = Callable[[dict[str, Any]], tuple[str, ...]]

P = "pipelines/0"
SECOND = {"name": "second", "source": "venue", "target": "reminders", "calendar": "Main Hall"}

# Each change to a sound config, and the one problem it must lead to: its path, what is wrong, and after the dash the fix.
TABLE: list[tuple[str, object, str]] = [
    ("bogus", 1, "bogus: is no key of this table — there is include, state, log"),
    ("pipeline", [], "pipeline: is no key of this table — did you mean “pipelines”?"),
    ("state/ur", "x", "state.ur: is no key of this table — did you mean “url”?"),
    ("state/url", "mysql://x/y", "state.url: is no database this release can use — write"),
    ("state/url", "sqlite://", "state.url: is no database this release can use — write"),
    ("state/url", "sqlite:///:memory:", "state.url: names no file"),
    ("state/url", "postgres://h/d", "state.url: begins with postgres:// — write postgresql://"),
    ("state/url", "postgresql://h", "state.url: names no database — write"),
    ("state/url", "postgresql://h:x/d", "state.url: cannot be read as a URL — write"),
    ("state/url", "postgresql://u:hunt@er/2@h/d", "state.url: has an @, /, ? or # where it cannot stand for itself — percent-encode"),
    ("state/url", "postgresql://u:7/2@h/d", "state.url: has an @, /, ? or # where it cannot stand for itself — percent-encode"),
    ("log/level", "loud", "log.level: is none of its values — write 'debug', 'info'"),
    ("log/format", 5, "log.format: is none of its values — write 'auto'"),
    ("web/listen", "8642", "web.listen: is no address to listen on — write"),
    ("web/listen", "127.0.0.1:99999", "web.listen: is no address to listen on — write"),
    ("web/hooks", "127.0.0.1:8642", "web.hooks: is the address of `listen` — choose"),
    ("accounts/a b", {"vendor": "apptoto", "username": "a", "api_key": "k"}, 'accounts."a b": “a b” is no usable name — use'),
    ("accounts/x", 5, "accounts.x: must be a table — write"),
    ("accounts/x", {}, "accounts.x.vendor: is missing — add it"),
    ("accounts/x", {"vendor": "tripleset"}, "accounts.x.vendor: “tripleset” is no vendor this release knows — did you mean “tripleseat”?"),
    ("accounts/x", {"vendor": 5}, "accounts.x.vendor: must be a text — put it in quotes"),
    ("accounts/venue/client_secret", 5, "accounts.venue.client_secret: is no secret — write"),
    ("accounts/venue/client_secret", {"vault": "x"}, "accounts.venue.client_secret: is no secret — write"),
    ("accounts/venue/client_idd", "x", "accounts.venue.client_idd: is no key of this table — did you mean “client_id”?"),
    ("accounts/venue/auth", "password", "accounts.venue.auth: is none of its values — write 'authorization_code'"),
    ("accounts/venue/base_url", "http://api.example.com/v1", "accounts.venue.base_url: is http:// to another machine"),
    ("accounts/venue/base_url", "ftp://127.0.0.1/", "accounts.venue.base_url: is no URL — write"),
    ("accounts/venue/base_url", "https://api.example.com/v1?key=1", "accounts.venue.base_url: has a user, query or fragment — write"),
    ("accounts/venue/zones", {"room:1": "America/New_York"}, "accounts.venue.zones: “room:1” names no place — write"),
    ("accounts/venue/zones", {"site:1": "Nowhere"}, "accounts.venue.zones: “Nowhere” (for site:1) is no time zone — write"),
    ("accounts/venue/requests_per_second", 0, "accounts.venue.requests_per_second: is too small — write more than 0"),
    ("accounts/venue/requests_per_second", "3", "accounts.venue.requests_per_second: must be a number — write"),
    ("accounts/venue/location_ids", [], "accounts.venue.location_ids: is an empty list"),
    ("accounts/venue/location_ids", 2601, "accounts.venue.location_ids: is no list — write"),
    ("accounts/studio/zones", {"site:1": "America/New_York"}, "accounts.studio.zones: “site:1” names no place — write"),
    ("accounts/studio/page_size", 0, "accounts.studio.page_size: is too small — write 1 or more"),
    ("accounts/reminders/batch_size", 1.5, "accounts.reminders.batch_size: must be a whole number — write"),
    ("accounts/reminders/batch_size", True, "accounts.reminders.batch_size: must be a whole number — write"),
    ("accounts/reminders/schedule", ["soon"], "accounts.reminders.schedule[0]: is no duration — write"),
    ("accounts/reminders/time_zone_names", "windows", "accounts.reminders.time_zone_names: is none of its values — write 'rails'"),
    ("pipelines", {}, "pipelines: must be a list — write"),
    (f"{P}/name", "no blanks", "pipelines[0].name: “no blanks” is no usable name — use"),
    (f"{P}/source", "venu", "pipelines[0].source: “venu” is no account of this file — did you mean “venue”?"),
    (f"{P}/source", "reminders", "pipelines[0].source: “reminders” is an account of Apptoto, which is a target — there is venue, studio"),
    (f"{P}/target", "studio", "pipelines[0].target: “studio” is an account of TimeTap, which is a source — there is reminders"),
    (f"{P}/calendar", " ", "pipelines[0].calendar: is empty — write"),
    (f"{P}/calendar_id", 7, "pipelines[0].calendar_id: both `calendar` and `calendar_id` are given — keep"),
    (f"{P}/calendar_id", "main", "pipelines[0].calendar_id: is no calendar id — write"),
    (f"{P}/enabled", "yes", "pipelines[0].enabled: must be true or false — write"),
    (f"{P}/every", "5 minutes", "pipelines[0].every: is no duration — write"),
    (f"{P}/every", "0s", "pipelines[0].every: must be longer than nothing — name"),
    (f"{P}/every", 5, "pipelines[0].every: is no duration — write"),
    (f"{P}/near", "200d", "pipelines[0].near: looks further ahead than window.future — shorten"),
    (f"{P}/near", "0s", "pipelines[0].near: must be longer than nothing — name"),
    (f"{P}/full_every", "1m", "pipelines[0].full_every: is shorter than `every` — make"),
    (f"{P}/window", "180d", "pipelines[0].window: must be a table — write"),
    (f"{P}/window", {"future": "0d"}, "pipelines[0].window.future: must be longer than nothing — name"),
    (f"{P}/window", {"futur": "9d"}, "pipelines[0].window.futur: is no key of this table — did you mean “future”?"),
    (f"{P}/messages", "loud", "pipelines[0].messages: is none of its values — write 'send', 'auto', 'no-booking' or 'skip'"),
    (f"{P}/settle", "-1s", "pipelines[0].settle: is no duration — write"),
    (f"{P}/create_hours", "8-20", "pipelines[0].create_hours: is no stretch of a day — write"),
    (f"{P}/region", "XX", "pipelines[0].region: “XX” is no country with phone numbers — write"),
    (f"{P}/extras", ["next_message"], "pipelines[0].extras: Tripleseat offers none — leave it out"),
    (f"{P}/people", ["client"], "pipelines[0].people: “client” is nobody Tripleseat knows — there is contact"),
    (f"{P}/people", ["contacts"], "pipelines[0].people: “contacts” is nobody Tripleseat knows — did you mean “contact”?"),
    (f"{P}/people", [], "pipelines[0].people: is empty, so nobody would be messaged — name"),
    (f"{P}/people", "contact", "pipelines[0].people: must be a list — write"),
    (f"{P}/without_contact", "drop", "pipelines[0].without_contact: is none of its values — write 'skip' or 'send'"),
    (f"{P}/id_prefix", "a b", "pipelines[0].id_prefix: holds what it may not — use"),
    (f"{P}/filter", [], "pipelines[0].filter: must be a table — write"),
    (f"{P}/filter", {"staff": ["Ada"]}, "pipelines[0].filter.staff: is no key of this table — there is"),
    (f"{P}/filter", {"rooms": []}, "pipelines[0].filter.rooms: is an empty list, which nothing would match — leave"),
    (f"{P}/filter", {"rooms": [True]}, "pipelines[0].filter.rooms: holds something that is no name or id — write"),
    (f"{P}/filter", {"statuses": []}, "pipelines[0].filter.statuses: allows no status"),
    (f"{P}/filter", {"statuses": ["lost", "DEFINITE"]}, "pipelines[0].filter.statuses: LOST means that the booking will not take place"),
    (f"{P}/filter", {"exclude": {"room": ["x"]}}, "pipelines[0].filter.exclude.room: is no key of this table — did you mean “rooms”?"),
    (f"{P}/routes", [{"match": {"rooms": ["T"]}}], "pipelines[0].routes[0].calendar_id: neither `calendar` nor `calendar_id`"),
    (f"{P}/routes", [{"calendar": "T"}], "pipelines[0].routes[0].match: is missing — add it"),
    (f"{P}/routes", [{"match": {}, "calendar": "T"}], "pipelines[0].routes[0].match: names no facet"),
    (f"{P}/routes", [{"match": {"staff": ["A"]}, "calendar": "T"}], "pipelines[0].routes[0].match.staff: is no key of this table"),
    (f"{P}/routes", [5], "pipelines[0].routes[0]: must be a table — write"),
    (f"{P}/event", {"title": "{{ event.title"}, "pipelines[0].event.title: is no valid template (line 1"),
    (f"{P}/event", {"custom_data": {"Hall": "x"}}, "pipelines[0].event.custom_data.Hall: is no name for custom data — use"),
    (f"{P}/event", {"custom_data": {"calrelay_load": "x"}}, "pipelines[0].event.custom_data.calrelay_load: begins with calrelay_"),
    (f"{P}/guards", {"first_load": -1}, "pipelines[0].guards.first_load: is too small — write 0 or more"),
    (f"{P}/guards", {"creates": {"count": "x"}}, "pipelines[0].guards.creates.count: must be a whole number — write"),
    (f"{P}/guards", {"creates": {"share": 20}}, "pipelines[0].guards.creates.share: is too large — write 1"),
    (f"{P}/guards", {"creates": -1}, "pipelines[0].guards.creates.count: is too small — write 0 or more"),
    (f"{P}/guards", {"deletes": True}, "pipelines[0].guards.deletes: is no guard — write"),
    (f"{P}/guards", {"same_shift": {"max": 3}}, "pipelines[0].guards.same_shift.max: is no key of this table — there is count, share"),
    ("pipelines/1", SECOND, "pipelines[1]: relays the same events as pipelines[0] (venue) to the same account — give"),
    ("pipelines/1", SECOND | {"source": "studio", "extras": ["next_mesage"]}, "pipelines[1].extras: “next_mesage” is nothing TimeTap"),
    ("pipelines/1", SECOND | {"name": "venue", "source": "studio"}, "pipelines[1].name: “venue” is the name of pipelines[0] too — give"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "problem"), TABLE, ids=[f"{path}={value!r}"[:70] for path, value, _ in TABLE])
def test_each_mistake_is_one_problem_with_its_path_and_a_fix(problems: Problems, path: str, value: object, problem: str) -> None:
    (found,) = problems({path: value})
    assert re.sub(r"^(pipelines.*?) \(.*?\): ", r"\1: ", found).startswith(problem)
    assert " — " in found


def test_a_problem_of_a_pipeline_has_its_name_beside_its_path(problems: Problems) -> None:
    (found,) = problems({"pipelines/1": SECOND | {"source": "studio", "every": "soon"}})
    assert found.startswith("pipelines[1].every (second): is no duration")


def test_a_pipeline_without_a_usable_name_is_told_by_its_path_alone(problems: Problems) -> None:
    assert [one.partition(": ")[0] for one in problems({"pipelines/0/name": 5})] == ["pipelines[0].name"]


def test_a_missing_key_is_told_with_its_meaning(problems: Problems, gone: object) -> None:
    (problem,) = problems({"accounts/venue/client_id": gone})
    assert problem == "accounts.venue.client_id: is missing — add it. UID of the OAuth 2.0 client application in Tripleseat."


def test_accounts_that_are_no_table_are_a_problem_of_their_own(problems: Problems) -> None:
    assert "accounts: must be a table — write its keys in braces, or below a [heading]" in problems({"accounts": []})


def test_neither_calendar_nor_id_is_a_problem(problems: Problems, gone: object) -> None:
    (problem,) = problems({"pipelines/0/calendar": gone})
    assert "neither `calendar` nor `calendar_id`" in problem


def test_all_problems_come_at_once(problems: Problems) -> None:
    changes = {
        "log/level": "loud",
        "accounts/venue/client_secret": 5,
        "accounts/reminders/batch_size": 0,
        "pipelines/0/every": "soon",
        "pipelines/0/guards": {"deletes": "few", "creates": {"cont": 1}},
        "pipelines/1": SECOND | {"name": "venue", "region": "ZZ", "filter": {"room": ["x"]}},
    }
    paths = [problem.partition(": ")[0] for problem in problems(changes)]
    assert paths == [
        "log.level",
        "accounts.venue.client_secret",
        "accounts.reminders.batch_size",
        "pipelines[0].every (venue)",
        "pipelines[0].guards.creates.cont (venue)",
        "pipelines[0].guards.deletes (venue)",
        "pipelines[1].region (venue)",
        "pipelines[1].filter.room (venue)",
        "pipelines[1].name (venue)",
    ]


def test_the_message_holds_every_problem(load: Load) -> None:
    """A document with an error has a message only, so nothing may stand beside it alone."""
    with pytest.raises(ConfigError) as caught:
        load({"log/level": "loud", "pipelines/0/every": "soon"})
    assert all(problem in caught.value.message for problem in caught.value.problems)


@pytest.mark.parametrize("key", ["client_secret", "webhook_secret", "public_key", "client_id"])
def test_no_problem_quotes_a_secret(problems: Problems, key: str) -> None:
    for value in (["sesame-open"], {"env": "A", "file": "sesame-open"}, {"vault": "sesame-open"}):
        assert "sesame-open" not in repr(problems({f"accounts/venue/{key}": value, "pipelines/0/every": 1}))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "[::1]", "localhost"])
def test_http_is_accepted_for_this_machine(load: Load, host: str) -> None:
    account = load({"accounts/venue/base_url": f"http://{host}:8080/v1/"}).accounts["venue"]
    assert account.model_dump()["base_url"] == f"http://{host}:8080/v1"


def test_a_longer_interval_or_shorter_window_takes_the_other_defaults_along(load: Load) -> None:
    """Nobody should have to change a default they never wrote."""
    pipeline = load({"pipelines/0/every": "2h", "pipelines/0/window": {"future": "7d"}}).pipelines[0]
    assert pipeline.full_every == pipeline.every
    assert pipeline.near == pipeline.window.future


def test_two_pipelines_with_different_filters_are_allowed_with_a_warning(load: Load) -> None:
    config = load({"pipelines/1": SECOND | {"filter": {"rooms": ["Terrace"]}}})
    assert [warning.partition(" — ")[0] for warning in config.warnings] == [
        "pipelines: venue, second all relay the same account of Tripleseat to reminders"
    ]


def test_two_pipelines_with_ids_of_their_own_tell_every_guest_twice_unless_their_filters_are_apart(load: Load) -> None:
    second = SECOND | {"id_prefix": "x-"}
    (warning,) = load({"pipelines/1": second}).warnings
    assert "who is on an event that fits several of their filters gets every message twice" in warning
    rooms = {"pipelines/0/filter": {"rooms": ["Main Hall"]}}
    assert len(load(rooms | {"pipelines/1": second | {"filter": {"rooms": ["main hall", "Terrace"]}}}).warnings) == 1
    assert len(load(rooms | {"pipelines/1": second | {"filter": {"rooms": ["Terrace"]}}}).warnings) == 1, "an event may be in both rooms"
    places = {"pipelines/0/filter": {"locations": ["Main Hall"]}}
    assert load(places | {"pipelines/1": second | {"filter": {"locations": ["Terrace"]}}}).warnings == ()
    assert len(load(places | {"pipelines/1": second | {"filter": {"locations": ["90001"]}}}).warnings) == 1, (
        "a number may be of the same place"
    )
    assert (
        load({"pipelines/0/filter/statuses": ["DEFINITE"], "pipelines/1": second | {"filter": {"statuses": ["TENTATIVE"]}}}).warnings == ()
    )


def test_pipelines_for_rooms_of_their_own_under_the_same_ids_are_no_doubt(load: Load) -> None:
    rooms = {"pipelines/0/filter": {"rooms": ["Main Hall"]}}
    assert load(rooms | {"pipelines/1": SECOND | {"filter": {"rooms": ["Terrace"]}}}).warnings == ()
    assert len(load(rooms | {"pipelines/1": SECOND | {"filter": {"rooms": ["90001"]}}}).warnings) == 1


@pytest.mark.parametrize(
    ("ours", "theirs", "warnings"),
    [
        ({"staff": ["J. Reyes"]}, {"staff": ["jreyes"]}, 1),
        ({"staff": ["61001"]}, {"staff": ["61002"]}, 0),
        ({"services": ["Portrait"]}, {"services": ["Tasting"]}, 1),
        ({"services": ["1"], "locations": ["Downtown"]}, {"services": ["2"], "locations": ["Downtown"]}, 0),
    ],
)
def test_staff_and_services_have_several_names_and_one_number(load: Load, ours: Any, theirs: Any, warnings: int) -> None:
    studio = {"vendor": "timetap", "api_key": "340000", "private_key": "a-key"}
    second = SECOND | {"id_prefix": "x-", "source": "studio", "filter": theirs}
    changes = {"accounts/studio": studio, "pipelines/0/source": "studio", "pipelines/0/filter": ours, "pipelines/1": second}
    assert len(load(changes).warnings) == warnings


@pytest.mark.parametrize("prefix", ["x-", ""])
@pytest.mark.parametrize(("ours", "theirs"), [("Main  Hall", "main hall"), ("Bar &amp; Grill", "Bar & Grill")])
def test_two_spellings_that_a_filter_takes_for_one_are_one(load: Load, ours: str, theirs: str, prefix: str) -> None:
    second = SECOND | {"id_prefix": prefix, "filter": {"locations": [theirs, "Elsewhere"]}}
    (warning,) = load({"pipelines/0/filter": {"locations": [ours]}, "pipelines/1": second}).warnings
    assert "pipelines: venue, second" in warning


@pytest.mark.parametrize(("count", "last", "warnings"), [(200, "P101", 1), (200, "Elsewhere", 0), (1001, "Elsewhere", 1)])
def test_every_filter_of_an_account_is_compared_and_where_there_are_too_many_all_are_doubted(
    load: Load, count: int, last: str, warnings: int
) -> None:
    tables = {
        f"pipelines/{n}": SECOND | {"name": f"p{n}", "id_prefix": f"p{n}-", "filter": {"locations": [f"P{n}"]}} for n in range(1, count)
    }
    tables[f"pipelines/{count}"] = SECOND | {"name": "last", "id_prefix": "last-", "filter": {"locations": [last]}}
    assert len(load({"pipelines/0/filter": {"locations": ["P0"]}} | tables).warnings) == warnings


def test_no_ids_begin_like_those_of_trial_copies(problems: Problems) -> None:
    (problem,) = problems({"pipelines/0/id_prefix": "Try-west-"})
    assert "under which `calrelay try` puts its copies" in problem


def test_filters_that_differ_in_order_only_are_the_same(problems: Problems) -> None:
    one, other = {"rooms": ["A", "B"], "statuses": ["DEFINITE"]}, {"statuses": ["definite"], "rooms": ["b", "a"]}
    (problem,) = problems({"pipelines/0/filter": one, "pipelines/1": SECOND | {"filter": other}})
    assert problem.startswith("pipelines[1] (second): relays the same events")


def test_a_pipeline_that_is_switched_off_is_in_nobodys_way(load: Load) -> None:
    assert load({"pipelines/1": SECOND | {"enabled": False}}).warnings == ()


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"accounts/venue/requests_per_second": 20}, "accounts.venue: 20 requests a second are more than Tripleseat"),
        ({"accounts/reminders/requests_per_minute": 120}, "accounts.reminders: 2 requests a second are more than Apptoto"),
        ({"web/listen": "0.0.0.0:8642"}, "web.listen: 0.0.0.0:8642 can be reached from other machines"),
        ({"web/hooks": "127.0.0.1:8643"}, "web.hooks: no account has a webhook_secret"),
        (
            {"web/hooks": "0.0.0.0:8643", "accounts/venue/webhook_secret": "a-key", "accounts/studio/webhook_secret": "another-key"},
            "web.hooks: 0.0.0.0:8643 can be reached from other machines without HTTPS",
        ),
        ({"pipelines/0/filter/statuses": ["DEFINTE"]}, "pipelines[0].filter.statuses (venue): “DEFINTE” is no status this release knows"),
    ],
)  # fmt: skip
def test_what_may_not_be_meant_is_a_warning(load: Load, changes: dict[str, Any], warning: str) -> None:
    (found,) = load(changes).warnings
    assert found.startswith(warning)


def test_an_account_whose_webhooks_would_be_refused_is_named_where_another_receives(load: Load) -> None:
    studio = {"vendor": "timetap", "api_key": "340000", "private_key": "a-key"}
    changes = {"web/hooks": "127.0.0.1:8643", "accounts/venue/webhook_secret": "a-key", "accounts/studio": studio}
    (found,) = load(changes).warnings
    assert found.startswith("accounts.studio: has no webhook_secret")


@pytest.mark.parametrize(("vendor", "key", "value"), [("venue", "requests_per_second", 10), ("reminders", "requests_per_minute", 100)])
def test_a_rate_at_the_known_limit_is_no_warning(load: Load, vendor: str, key: str, value: int) -> None:
    assert load({f"accounts/{vendor}/{key}": value}).warnings == ()


def test_the_default_rates_are_within_the_limits(load: Load) -> None:
    assert load({}).warnings == ()


def test_a_dead_source_does_not_hide_other_problems() -> None:
    text = '[[pipelines]]\nname = "a"\nsource = "x"\ntarget = 5\ncalendar = "C"\nfilter = { anything = 1 }\nevery = "soon"\n'
    with pytest.raises(ConfigError) as caught:
        parse_config(text, path=Path("/nowhere/config.toml"), vendors=VENDORS)
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        "pipelines[0].source (a)",
        "pipelines[0].target (a)",
        "pipelines[0].every (a)",
    ]
