"""The first page with tenants: refused ones on top, pipelines in groups, those that are well folded."""

import re

import pytest

from calrelay.errors import ConfigError
from calrelay.service.daemon import Daemon
from calrelay.service.refusals import Refusal
from calrelay.service.web import views
from tests.unit.service.web.conftest import Browser


async def test_a_refused_tenant_is_told_first_with_what_to_do(browser: Browser) -> None:
    refusal = Refusal(name="acme/", error=ConfigError("tenants/acme.toml: it is broken", remedy="mend the file"), is_kept=True)
    browser.daemon._refusals = {"acme/": refusal}
    html = await browser.read()
    assert "acme/ is refused by the config." in html
    assert re.search(r"acme/ <span[^>]*>its old tables stay in use</span>", html)
    assert "mend the file" in html
    assert html.index("Refused by the config") < html.index('id="pipelines"')


async def test_readyz_is_red_for_a_tenant_that_does_not_run_and_green_for_one_that_runs_as_before(browser: Browser) -> None:
    error = ConfigError("it is broken")
    browser.daemon._refusals = {"acme/": Refusal(name="acme/", error=error, is_kept=True)}
    kept = await browser.http.get("/readyz")
    browser.daemon._refusals = {"acme/": Refusal(name="acme/", error=error)}
    refused = await browser.http.get("/readyz")
    assert (kept.status_code, refused.status_code) == (200, 503)
    assert refused.json()["refused"] == [{"name": "acme/", "runs_as_before": False}]


async def test_a_pipeline_that_the_config_does_not_name_any_more_is_told_first(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Daemon, "deserted", {"hall": 46})
    html = await browser.read()
    assert "46 coming events of pipeline hall, which the config does not name: nobody looks after them." in html
    assert "calrelay rename hall NEW" in html
    assert "Everything is in step" not in html
    assert html.index("Looked after by nobody") < html.index('id="pipelines"')


async def test_without_tenants_nothing_is_grouped(browser: Browser) -> None:
    assert 'class="tenant"' not in await browser.read()
    (group,) = views.overview(browser.daemon).groups
    assert [one.name for one in group.pipelines] == ["venue"]


def test_a_sentence_names_some_and_counts_the_others() -> None:
    assert views._some(["a", "b"]) == ["a", "b"]
    assert views._some(list("abcdefgh")) == ["a", "b", "c", "d", "e", "3 more"]
