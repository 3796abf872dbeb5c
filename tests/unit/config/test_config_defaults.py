from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from calrelay.config.load import Config
from calrelay.config.to_domain import to_limits, to_window
from calrelay.config.vendor import Role
from calrelay.domain.guard import Limits
from calrelay.domain.window import Window
from calrelay.vendors.registry import VENDORS

Load = Callable[[dict[str, Any]], Config]


def test_the_sections_have_the_defaults_of_the_contract(load: Load) -> None:
    config = load({})
    assert config.state.url.value == "sqlite:///calrelay.db"
    assert (config.log.format, config.log.level) == ("auto", "info")
    assert str(config.web.listen) == "127.0.0.1:8642"
    assert config.web.hooks is None


def test_a_pipeline_has_the_defaults_of_the_contract(load: Load) -> None:
    pipeline = load({}).pipelines[0]
    assert pipeline.model_dump(mode="json", exclude={"event", "guards"}) == {
        "name": "venue",
        "source": "venue",
        "target": "reminders",
        "calendar": "Main Hall",
        "calendar_id": None,
        "enabled": True,
        "every": "5m",
        "window": {"past": "1d", "future": "180d"},
        "near": "14d",
        "full_every": "1h",
        "messages": "send",
        "settle": "0s",
        "create_hours": None,
        "region": "US",
        "people": ["contact"],
        "extras": [],
        "without_contact": "skip",
        "id_prefix": "",
        "filter": {"statuses": ["DEFINITE", "CLOSED"], "exclude": None, "event_types": None, "locations": None, "rooms": None},
        "routes": [],
    }


def test_the_guards_have_the_domains_defaults(load: Load) -> None:
    assert to_limits(load({}).pipelines[0].guards) == Limits()


def test_the_window_is_a_day_back_and_half_a_year_ahead(load: Load) -> None:
    assert to_window(load({}).pipelines[0].window) == Window(past=timedelta(days=1), future=timedelta(days=180))


def test_timetap_has_its_own_statuses_and_people(load: Load) -> None:
    pipeline = load({"pipelines/0/source": "studio"}).pipelines[0]
    assert pipeline.filter.statuses == ("OPEN", "COMPLETED")
    assert pipeline.people == ("client",)


def test_the_accounts_have_the_defaults_of_the_contract(load: Load) -> None:
    accounts = load({}).accounts
    tripleseat = accounts["venue"].model_dump(mode="json")
    assert tripleseat["redirect_uri"] == "http://127.0.0.1:8650/callback"
    assert tripleseat["auth"] == "authorization_code"
    assert tripleseat["base_url"] == "https://api.tripleseat.com/v1"
    assert tripleseat["authorize_url"] == "https://login.tripleseat.com/oauth2/authorize"
    assert tripleseat["token_url"] == "https://api.tripleseat.com/oauth2/token"
    assert tripleseat["requests_per_second"] == 3
    assert accounts["studio"].model_dump(mode="json")["base_url"] == "https://api.timetap.com/live"
    apptoto = accounts["reminders"].model_dump(mode="json")
    assert {key: apptoto[key] for key in ("requests_per_minute", "batch_size", "max_in_flight", "time_zone_names", "schedule")} == {
        "requests_per_minute": 90,
        "batch_size": 10,
        "max_in_flight": 1,
        "time_zone_names": "rails",
        "schedule": [],
    }


def test_another_base_url_takes_the_oauth_pages_along(load: Load) -> None:
    """Else a test against a simulator would show its secrets to the real vendor."""
    account = load({"accounts/venue/base_url": "http://127.0.0.1:9000/v1"}).accounts["venue"].model_dump()
    assert account["token_url"] == "http://127.0.0.1:9000/oauth2/token"
    assert account["authorize_url"] == "http://127.0.0.1:9000/oauth2/authorize"


def test_an_oauth_page_that_is_named_stays(load: Load) -> None:
    changes = {"accounts/venue/base_url": "http://127.0.0.1:9000/v1", "accounts/venue/token_url": "http://127.0.0.1:9001/token"}
    assert load(changes).accounts["venue"].model_dump()["token_url"] == "http://127.0.0.1:9001/token"


def test_rates_are_requests_a_second_whatever_the_key_says(load: Load) -> None:
    accounts = load({"accounts/reminders/requests_per_minute": 60}).accounts
    assert {name: account.rate for name, account in accounts.items()} == {"venue": 3.0, "studio": 2.0, "reminders": 1.0}


@pytest.mark.parametrize("name", VENDORS)
def test_a_vendor_says_the_same_in_all_its_places(name: str) -> None:
    vendor = VENDORS[name]
    assert vendor.name == name
    assert get_args(vendor.account.model_fields["vendor"].annotation) == (name,)
    assert set(vendor.default_people) <= set(vendor.people)
    assert (vendor.role is Role.SOURCE) == (vendor.filter is not None) == (vendor.match is not None)


@pytest.mark.parametrize("name", ["tripleseat", "timetap"])
def test_a_sources_filter_has_its_statuses_and_facets(name: str) -> None:
    vendor = VENDORS[name]
    assert vendor.filter is not None
    assert vendor.match is not None
    assert vendor.filter.model_fields["statuses"].default == vendor.statuses
    assert set(vendor.statuses) <= set(vendor.filter.known_statuses) - set(vendor.filter.gone_statuses)
    assert set(vendor.filter.model_fields) == {*vendor.match.model_fields, "statuses", "exclude"}


def test_a_config_does_not_change(load: Load) -> None:
    config = load({})
    with pytest.raises(ValidationError):
        config.pipelines[0].region = "CA"
    with pytest.raises(AttributeError):
        config.path = Path("/elsewhere")  # type: ignore[misc] # that it is frozen is the point


def test_the_sections_listen_on_ipv6_too(load: Load) -> None:
    listen = load({"web/listen": "[::1]:8642"}).web.listen
    assert listen is not None
    assert (listen.host, listen.port, listen.is_loopback, str(listen)) == ("::1", 8642, True, "[::1]:8642")


def test_nothing_listens_when_the_address_is_empty(load: Load) -> None:
    assert load({"web/listen": ""}).web.listen is None
