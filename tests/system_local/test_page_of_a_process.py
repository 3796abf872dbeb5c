"""The page of a real daemon over a real socket: readiness, a decision with everything it takes, and what is refused."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from calrelay.simulators.faults import Fault, Kind
from tests.system_local.page_house import TOKEN, PageHouse, a_page_house, wait_for


@pytest.fixture
def page(tmp_path: Path) -> Iterator[PageHouse]:
    with a_page_house(tmp_path) as page:
        yield page


def log_in(page: PageHouse) -> str:
    status, _, headers = page.ask("/login", {"token": TOKEN}, origin=page.url)
    assert status == 303
    return str(headers["set-cookie"]).partition(";")[0]


def form_on(html: str, action: str) -> dict[str, str]:
    form = re.search(rf'<form action="{action}" method="post">(.*?)</form>', html, re.DOTALL)
    assert form is not None, html
    return dict(re.findall(r'name="([^"]*)" value="([^"]*)"', form[1]))


def test_readiness_turns_red_when_reads_fail_and_green_again_when_they_work(page: PageHouse) -> None:
    """Stale after three times `full_every`, here 6 s."""
    assert page.get("/healthz") == (200, "ok\n")
    assert page.get("/readyz")[0] == 200
    page.house.world.tripleseat.faults.add(Fault(kind=Kind.STATUS, status=503, times=None))
    wait_for(lambda: page.get("/readyz")[0] == 503)
    (row,) = json.loads(page.get("/readyz")[1])["pipelines"]
    assert (row["pipeline"], row["standing"]) == ("venue", "stale")
    assert page.get("/healthz")[0] == 200
    page.house.world.tripleseat.faults.clear()
    wait_for(lambda: page.get("/readyz")[0] == 200)


def test_a_hold_is_approved_over_http_and_the_events_go(page: PageHouse) -> None:
    lost = page.cancel(5)
    wait_for(lambda: "5 to delete" in page.get("/")[1])
    cookie = log_in(page)
    form = form_on(page.get("/", cookie=cookie)[1], "/holds/approve")
    assert page.ask("/holds/approve", form, origin=page.url)[0] == 401
    assert page.ask("/holds/approve", form, cookie=cookie, origin="https://evil.example.com")[0] == 403
    assert page.ask("/holds/approve", {**form, "form_token": "x"}, cookie=cookie, origin=page.url)[0] == 403
    assert set(lost) <= set(page.ids)
    assert page.ask("/holds/approve", form, cookie=cookie, origin=page.url)[0] == 303
    wait_for(lambda: not set(lost) & set(page.ids))


def test_what_is_not_loopback_in_every_respect_is_asked_for_the_token(page: PageHouse) -> None:
    assert page.get("/")[0] == 200
    for headers in ({"host": "evil.example.com"}, {"x_forwarded_for": "127.0.0.1"}, {"forwarded": "for=127.0.0.1"}, {"via": "1.1 proxy"}):
        assert page.get("/", **headers)[0] == 401, headers
        assert page.get("/", **headers, authorization=f"Bearer {TOKEN}")[0] == 200, headers
    assert page.get("/metrics")[0] == 200
    assert page.get("/events/ts-1")[0] == 401
