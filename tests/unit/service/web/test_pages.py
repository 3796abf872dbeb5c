"""What the pages show and do, asked as a browser asks."""

import asyncio
import dataclasses
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from calrelay.domain.guard import Limit, Limits
from calrelay.domain.link import ExternalId, State
from calrelay.domain.words import in_place
from calrelay.engine.order import Reach
from calrelay.errors import StateError, VendorUnavailable
from calrelay.service.daemon import Daemon
from calrelay.service.web.gate import LARGEST_FORM
from tests.fakes.links import a_link
from tests.fakes.memory_source import an_event, with_status
from tests.fakes.memory_target import Poison
from tests.unit.service.stand import Stand
from tests.unit.service.web.conftest import BASE, TOKEN, Browser, a_browser, form_token, forms

CAREFUL = Limits(first_load=100, deletes=Limit(count=1), creates=Limit(count=100))


async def a_pass(browser: Browser) -> None:
    browser.daemon.runners["venue"].due(Reach.COMPLETE)
    await browser.stand.next_pass()


@pytest.fixture
async def held(stand: Stand) -> Browser:
    """A page on which two deletes wait for a decision."""
    stand.source.put(*(an_event(number) for number in range(1, 6)))
    stand.limits = CAREFUL
    return None  # type: ignore[return-value] # filled by the test's own context


async def hold_two(browser: Browser) -> str:
    """Have two deletes held, and return the hold's id."""
    browser.stand.source.remove(1, 2)
    await a_pass(browser)
    (hold,) = browser.daemon.relay.ledger.holds()
    return hold.id


@pytest.fixture
def careful(stand: Stand) -> Stand:
    """Five events, and a guard that parks more than one delete."""
    stand.source.put(*(an_event(number) for number in range(1, 6)))
    stand.limits = CAREFUL
    return stand


# --- looking ---


async def test_it_says_at_a_glance_that_all_is_well(browser: Browser) -> None:
    page = await browser.read()
    assert "Everything is in step." in page
    assert "venue → reminders" in page
    assert "1 event</dd>" in page
    assert "Last 1 pass: 1 ok" in page
    assert "Zone data" in page


async def test_what_changed_today_is_told_without_names(browser: Browser) -> None:
    page = await browser.read()
    assert '<a class="id" href="/events/ms-1">ms-1</a> created' in page
    assert "Guest 1" not in page
    assert "Dinner 1" not in page


async def test_the_next_pass_is_announced(browser: Browser) -> None:
    browser.stand.now = browser.daemon.schedule.next_of("venue quick") - timedelta(minutes=2)
    assert "in 2 min" in await browser.read() or "in 120 s" in await browser.read()


async def test_a_visitor_without_the_token_reads_but_is_offered_no_deed(careful: Stand) -> None:
    async with a_browser(careful) as browser:
        await hold_two(browser)
        page = await browser.read()
        assert "2 to delete" in page
        assert 'method="post"' not in page
        assert '<a href="/login">Log in</a> to decide' in page


async def test_an_events_page_asks_the_source_live_and_needs_the_token(browser: Browser) -> None:
    refused = await browser.http.get("/events/ms-1")
    assert (refused.status_code, "Guest 1" in refused.text) == (401, False)
    assert '<input type="hidden" name="to" value="/events/ms-1">' in refused.text
    await browser.log_in()
    browser.stand.source.put(an_event(1, title="Supper, moved to a larger room"))
    page = await browser.read("/events/ms-1")
    assert "Supper, moved to a larger room" in page
    assert "Guest 1" in page
    assert "Target holds now" in page


async def test_an_events_page_says_when_the_source_does_not_answer(browser: Browser) -> None:
    await browser.log_in()
    browser.stand.source.find_error = VendorUnavailable("Tripleseat did not answer", remedy="it passes")
    assert "Tripleseat did not answer" in await browser.read("/events/ms-1")


@pytest.mark.parametrize("external_id", ["xx-1", "ms 1", "<script>alert(1)</script>", "ms-1;--"])
async def test_an_id_nobody_knows_is_no_page(browser: Browser, external_id: str) -> None:
    await browser.log_in()
    answer = await browser.http.get(f"/events/{external_id}")
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text


async def test_an_event_is_looked_up_by_its_id(browser: Browser) -> None:
    await browser.log_in()
    answer = await browser.http.get("/events", params={"id": " ms-1 "})
    assert (answer.status_code, answer.headers["location"]) == (303, "/events/ms-1")
    assert (await browser.http.get("/events", params={"id": "//evil.example.com"})).status_code == 400


async def test_what_a_guest_wrote_is_text_on_the_page(browser: Browser) -> None:
    await browser.log_in()
    browser.stand.source.put(an_event(1, title='<img src=x onerror="alert(1)">'))
    page = await browser.read("/events/ms-1")
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


@pytest.mark.parametrize("path", ["/", "/nothing", "/healthz", "/metrics", "/events/ms-1", "/login"])
async def test_every_answer_forbids_foreign_script_and_being_framed(browser: Browser, path: str) -> None:
    headers = (await browser.http.get(path)).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    assert headers["referrer-policy"] == "same-origin"


async def test_no_page_needs_anything_from_elsewhere(browser: Browser) -> None:
    page = await browser.read()
    assert 'src="' not in page
    assert "style=" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "").replace("'http://www.w3.org", "")
    assert " onclick" not in page


async def test_it_works_without_script_by_loading_itself_again(browser: Browser) -> None:
    assert '<noscript><meta http-equiv="refresh" content="30"></noscript>' in await browser.read()
    await browser.log_in()
    assert "http-equiv" not in await browser.read("/events/ms-1")  # it would ask the vendors again and again


# --- the login ---


async def test_a_login_gives_a_cookie_scripts_and_other_sites_never_see(browser: Browser) -> None:
    answer = await browser.log_in()
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 303
    assert ("HttpOnly" in cookie, "SameSite=strict" in cookie, "Secure" in cookie, TOKEN in cookie) == (True, True, False, False)


async def test_behind_https_the_cookie_never_leaves_it(browser: Browser) -> None:
    origin = {"origin": BASE.replace("http://", "https://")}
    assert "Secure" in (await browser.http.post("/login", data={"token": TOKEN}, headers=origin)).headers["set-cookie"]


async def test_a_wrong_token_is_told_kindly_and_logged_without_it(browser: Browser) -> None:
    with capture_logs() as lines:
        answer = await browser.http.post("/login", data={"token": "not-the-token-at-all", "to": "/events/ms-1"})
    assert (answer.status_code, "That is not the token." in answer.text) == (401, True)
    assert 'value="/events/ms-1"' in answer.text
    assert "set-cookie" not in answer.headers
    assert "not-the-token-at-all" not in f"{lines}"
    assert any(line["event"] == "wrong token on the page" for line in lines)


async def test_guessing_at_the_login_is_stopped(browser: Browser) -> None:
    statuses = [(await browser.http.post("/login", data={"token": "wrong"})).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2


@pytest.mark.parametrize(
    ("to", "leads"),
    [
        ("/events/ms-1", "/events/ms-1"),
        ("//evil.example.com", "/"),
        ("/\\evil.example.com", "/"),
        ("https://evil.example.com", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
async def test_a_login_leads_only_to_pages_of_ours(browser: Browser, to: str, leads: str) -> None:
    answer = await browser.http.post("/login", data={"token": TOKEN, "to": to})
    assert answer.headers["location"] == leads


async def test_logging_out_takes_the_cookie_away(browser: Browser) -> None:
    await browser.log_in()
    await browser.press("/logout")
    assert (await browser.http.get("/events/ms-1")).status_code == 401


# --- deciding ---


async def test_an_approval_is_applied_at_once(careful: Stand) -> None:
    async with a_browser(careful) as browser:
        await hold_two(browser)
        await browser.log_in()
        page = await browser.read()
        assert "1 decision waits for you." in page
        answer = await browser.press("/holds/approve")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert await browser.stand.next_pass() is Reach.COMPLETE
        page = await browser.read()
        assert "Approved: 2 to delete. A pass of venue applies it now." in page
        assert "Everything is in step." in page
        assert len(careful.target.live) == 3
        assert "Approved:" not in await browser.read()


async def test_nothing_is_called_in_step_while_an_approval_still_has_to_go_out(careful: Stand) -> None:
    async with a_browser(careful) as browser:
        await hold_two(browser)
        (hold,) = browser.daemon.relay.ledger.holds()
        approved = [dataclasses.replace(item, approved_at=hold.created_at) for item in hold.items]
        browser.daemon.relay.ledger.save_holds("venue", [dataclasses.replace(hold, items=tuple(approved))])
        page = await browser.read()
        assert "What was approved goes out with the next pass." in page
        assert "Everything is in step." not in page


async def test_a_first_load_that_has_begun_is_not_called_in_step(stand: Stand) -> None:
    stand.source.gate.close()
    async with stand.running() as daemon:
        await stand.source.gate.reached.wait()
        daemon.relay.ledger.store([a_link(1)])
        browser = Browser(daemon, stand)
        async with browser.http:
            page = await browser.read()
        assert "The first load of venue is not complete yet." in page
        assert "Everything is in step." not in page
        stand.source.gate.open()
        await stand.next_pass()


async def test_a_hold_is_shown_whole_with_what_a_decision_needs(careful: Stand) -> None:
    async with a_browser(careful) as browser:
        identity = await hold_two(browser)
        page = await browser.read(f"/holds/{identity}")
        for shown in (
            "2 to delete",
            "People touched</dt><dd>2",
            "Earliest start</dt><dd>Sun 2026-11-22 15:00 UTC",
            "ms-1",
            "ms-2",
            "delete",
        ):
            assert shown in page
        assert (await browser.http.get("/holds/nobody-knows-it")).status_code == 404


async def test_a_holds_events_are_told_on_the_clock_of_their_place(careful: Stand) -> None:
    async with a_browser(careful) as browser:
        browser.stand.source.put(with_status(an_event(2), "LOST"), with_status(an_event(1), "LOST"))
        await a_pass(browser)
        (hold,) = browser.daemon.relay.ledger.holds()
        page = await browser.read(f"/holds/{hold.id}")
        first = in_place(an_event(1).start, an_event(1).zone)
        assert f"Earliest start</dt><dd>{first}</dd>" in page
        assert f'href="/events/ms-1">ms-1</a> <span>{first}</span> <span>delete</span>' in page
        assert " UTC" not in first


async def test_a_hold_that_grew_since_it_was_shown_is_not_approved(careful: Stand) -> None:
    """Rule 15: an approval covers what was shown."""
    async with a_browser(careful) as browser:
        await hold_two(browser)
        await browser.log_in()
        (shown,) = forms(await browser.read(), "/holds/approve")
        browser.stand.source.remove(3)
        await a_pass(browser)
        answer = await browser.http.post("/holds/approve", data=shown, headers={"origin": BASE})
        assert (answer.status_code, "has changed since it was shown" in answer.text) == (409, True)
        assert all(item.approved_at is None for hold in browser.daemon.relay.ledger.holds() for item in hold.items)


async def test_a_rejection_leaves_the_target_as_it_is_and_is_counted(careful: Stand) -> None:
    async with a_browser(careful) as browser:
        await hold_two(browser)
        await browser.log_in()
        await browser.press("/holds/reject")
        assert not browser.daemon.relay.ledger.holds()
        assert '<dt>Left alone</dt><dd title="2 rejected">2, by decision</dd>' in await browser.read()
        await a_pass(browser)
        assert len(careful.target.live) == 5


async def test_a_rejection_waits_for_the_pass_under_way(careful: Stand) -> None:
    async with a_browser(careful) as browser:
        await hold_two(browser)
        await browser.log_in()
        (form,) = forms(await browser.read(), "/holds/reject")
        gate = careful.source.gate
        gate.close()
        browser.daemon.runners["venue"].due(Reach.COMPLETE)
        await asyncio.wait_for(gate.reached.wait(), 5)
        rejecting = asyncio.create_task(browser.http.post("/holds/reject", data=form, headers={"origin": BASE}))
        assert "under way" in await browser.read()  # the page answers meanwhile
        assert not rejecting.done()
        assert browser.daemon.relay.ledger.holds()
        gate.open()
        assert (await asyncio.wait_for(rejecting, 5)).status_code == 303
        assert not browser.daemon.relay.ledger.holds()


async def test_a_pass_that_takes_its_time_is_not_waited_for_for_ever(careful: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calrelay.service.web.deeds.PATIENCE", timedelta())
    async with a_browser(careful) as browser:
        await hold_two(browser)
        await browser.log_in()
        async with browser.daemon.runners["venue"].at_rest():
            answer = await browser.press("/holds/reject")
        assert (answer.status_code, "takes its time" in answer.text) == (503, True)
        assert browser.daemon.relay.ledger.holds()


async def test_a_decision_that_was_made_already_is_told(careful: Stand) -> None:
    async with a_browser(careful) as browser:
        await hold_two(browser)
        await browser.log_in()
        (form,) = forms(await browser.read(), "/holds/reject")
        await browser.press("/holds/reject")
        answer = await browser.http.post("/holds/reject", data=form, headers={"origin": BASE})
        assert (answer.status_code, "not open any more" in answer.text) == (409, True)


async def test_an_event_in_quarantine_is_tried_again_at_once(browser: Browser) -> None:
    stand = browser.stand
    stand.target.poison[ExternalId("ms-2")] = Poison.REFUSE
    stand.source.put(an_event(2))
    await a_pass(browser)
    await browser.log_in()
    assert "1 event in quarantine waits for you." in await browser.read()
    stand.target.poison.clear()
    await browser.press("/quarantine/retry", external_id="ms-2")
    assert await stand.next_pass() is Reach.COMPLETE
    assert len(stand.target.live) == 2
    assert "ms-2 will be tried again now." in await browser.read()


async def test_an_event_in_quarantine_is_dropped(browser: Browser) -> None:
    stand = browser.stand
    stand.target.poison[ExternalId("ms-2")] = Poison.REFUSE
    stand.source.put(an_event(2))
    await a_pass(browser)
    await browser.log_in()
    await browser.press("/quarantine/drop", external_id="ms-2")
    assert not browser.daemon.relay.ledger.links_in("venue", {State.QUARANTINED})
    assert "Everything is in step." in await browser.read()


async def test_a_pipeline_is_paused_and_resumed_with_a_pass_at_once(browser: Browser) -> None:
    await browser.log_in()
    await browser.press("/pipelines/pause", pipeline="venue")
    assert "venue is paused." in await browser.read()
    await browser.press("/pipelines/resume", pipeline="venue")
    assert await browser.stand.next_pass() is Reach.COMPLETE


async def test_a_paused_pipeline_is_in_step_with_nothing_once_it_was_not_read_for_long(browser: Browser) -> None:
    await browser.log_in()
    await browser.press("/pipelines/pause", pipeline="venue")
    assert "Everything is in step." in await browser.read("/")
    browser.stand.now += timedelta(hours=3, minutes=1)
    page = await browser.read("/")
    assert "venue is paused, and was last read completely 3 h ago." in page
    assert "Everything is in step." not in page


async def test_a_pass_that_was_refused_is_not_called_a_first_load(browser: Browser) -> None:
    browser.stand.source.clock_skew_seconds = 600
    await a_pass(browser)
    page = await browser.read()
    assert "The last pass of venue was refused." in page
    assert (await browser.http.get("/readyz")).json()["pipelines"][0]["health"] == "refused"
    assert "first load" not in page


@pytest.mark.parametrize(
    "path", ["/holds/approve", "/holds/reject", "/quarantine/retry", "/quarantine/drop", "/pipelines/pause", "/pipelines/resume"]
)
async def test_nothing_is_done_without_the_token_or_from_another_site(browser: Browser, path: str) -> None:
    bare = await browser.http.post(path, data={"pipeline": "venue"})
    await browser.log_in()
    token = form_token(await browser.read())
    crossed = await browser.http.post(path, data={"pipeline": "venue", "form_token": token}, headers={"origin": "https://evil.example.com"})
    tokenless = await browser.http.post(path, data={"pipeline": "venue"}, headers={"origin": BASE})
    asked = await browser.http.get(path)
    assert [one.status_code for one in (bare, crossed, tokenless)] == [401, 403, 403]
    assert asked.status_code in (404, 405)
    assert not browser.daemon.relay.ledger.pipeline("venue").is_paused


async def test_a_form_that_is_too_large_is_not_read(browser: Browser) -> None:
    answer = await browser.http.post("/login", content=b"token=" + b"x" * LARGEST_FORM)
    assert answer.status_code == 413


async def test_a_form_with_too_many_fields_is_an_empty_one(browser: Browser) -> None:
    answer = await browser.http.post("/login", content="&".join(f"a{n}=1" for n in range(100)) + f"&token={TOKEN}")
    assert answer.status_code == 401


# --- what machines ask ---


async def test_health_and_readiness_name_nobody_and_are_open_on_this_machine_alone(stand: Stand) -> None:
    async with a_browser(stand) as browser:
        health = await browser.http.get("/healthz")
        ready = await browser.http.get("/readyz")
        assert (health.status_code, health.text) == (200, "ok\n")
        assert ready.status_code == 200
        (row,) = ready.json()["pipelines"]
        assert (row["pipeline"], row["standing"], row["health"], row["held"]) == ("venue", "fresh", "well", 0)
    async with a_browser(stand, is_loopback_only=False, client="10.0.0.7") as browser:
        for path in ("/", "/metrics", "/healthz", "/readyz"):
            assert (await browser.http.get(path)).status_code == 401, path


async def test_a_pipeline_without_complete_reads_turns_readiness_red(browser: Browser) -> None:
    browser.stand.now += timedelta(hours=3, minutes=1)
    answer = await browser.http.get("/readyz")
    assert answer.status_code == 503
    assert [(one["standing"], one["health"]) for one in answer.json()["pipelines"]] == [("stale", "well")]
    assert "venue was last read completely 3 h ago." in await browser.read()


async def test_a_state_that_cannot_be_read_turns_readiness_red_not_health(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Daemon) -> None:
        raise StateError("the disk is gone")

    monkeypatch.setattr(Daemon, "freshness", broken)
    answer = await browser.http.get("/readyz")
    assert (answer.status_code, answer.json()["state"]) == (503, "not reachable")
    assert (await browser.http.get("/healthz")).status_code == 200
    assert (await browser.http.get("/")).status_code == 503
    monkeypatch.undo()


async def test_metrics_are_handed_through(browser: Browser) -> None:
    answer = await browser.http.get("/metrics")
    assert (answer.text, answer.headers["content-type"]) == ("calrelay_up 1\n", "text/plain; version=0.0.4")


async def test_unknown_addresses_are_told_and_never_redirected(browser: Browser) -> None:
    for path in ("/nothing", "/healthz/", "/holds/x/y", "/EVENTS"):
        answer = await browser.http.get(path)
        assert answer.status_code == 404, path


async def test_an_event_that_is_held_leads_to_its_hold(careful: Stand) -> None:
    async with a_browser(careful) as browser:
        identity = await hold_two(browser)
        await browser.log_in()
        assert f'href="/holds/{identity}"' in await browser.read("/events/ms-1")
