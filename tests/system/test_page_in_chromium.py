"""The page in a real browser, as an operator uses it: with and without JavaScript, by keyboard alone, at any width, in light and dark."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system_local.page_house import TOKEN, PageHouse, a_page_house, wait_for

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is among the requirements of make test-system")
pytestmark = pytest.mark.system

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE = 20_000  # milliseconds
SCREENSHOTS = os.environ.get("CALRELAY_SCREENSHOTS", "")  # a folder to look at them in
OpenPage = Callable[..., Any]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PageHouse]:
    with a_page_house(tmp_path) as house:
        yield house


@pytest.fixture
def open_page(chromium: Any, house: PageHouse) -> Iterator[OpenPage]:
    """Opens pages in browsers of their own; whatever they complain about fails the test."""
    complaints: list[str] = []
    contexts = []

    def opened(*, is_logged_in: bool = True, **options: Any) -> Any:
        context = chromium.new_context(base_url=house.url, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" and "401" not in said.text else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith((house.url, "data:")) else complaints.append(asked.url))
        if is_logged_in:
            page.goto("/login")
            page.fill("#token", TOKEN)
            page.click("main button")
            page.wait_for_selector("#live")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def headline(page: Any) -> Any:
    return page.locator("h1.headline")


def test_a_hold_appears_is_approved_and_the_events_arrive(house: PageHouse, open_page: OpenPage) -> None:
    """Nothing is reloaded by hand: the page keeps itself fresh."""
    page = open_page()
    sync_api.expect(headline(page)).to_have_text("Everything is in step.")
    lost = house.cancel(5)
    sync_api.expect(headline(page)).to_have_text("1 decision waits for you.", timeout=PATIENCE)
    card = page.locator("article.decide")
    sync_api.expect(card).to_contain_text("5 to delete")
    card.locator("summary").click()
    sync_api.expect(card.locator(".items li")).to_have_count(5)
    card.get_by_role("button", name="Approve").click()
    sync_api.expect(page.locator("main > .note")).to_contain_text("Approved: 5 to delete")
    sync_api.expect(headline(page)).to_have_text("Everything is in step.", timeout=PATIENCE)
    sync_api.expect(page.locator(".log")).to_contain_text("5 events deleted as approved")
    assert not set(lost) & set(house.ids)


def test_an_open_list_stays_open_while_the_page_keeps_itself_fresh(house: PageHouse, open_page: OpenPage) -> None:
    page = open_page()
    house.cancel(5)
    page.locator("article.decide summary").click(timeout=PATIENCE)
    before = page.locator("#as-of").get_attribute("datetime")
    page.wait_for_function("before => document.getElementById('as-of').dateTime !== before", arg=before)
    sync_api.expect(page.locator("article.decide details")).to_have_attribute("open", "")


def test_an_event_in_quarantine_is_tried_again(house: PageHouse, open_page: OpenPage) -> None:
    page = open_page()
    number = house.poison()
    sync_api.expect(headline(page)).to_have_text("1 event in quarantine waits for you.", timeout=PATIENCE)
    house.cure()
    page.get_by_role("button", name=f"Retry ts-{number}").click()
    sync_api.expect(page.locator("main > .note")).to_contain_text(f"ts-{number} will be tried again now.")
    sync_api.expect(headline(page)).to_have_text("Everything is in step.", timeout=PATIENCE)


def test_the_page_works_without_javascript(house: PageHouse, open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False)
    lost = house.cancel(5)
    wait_for(lambda: "5 to delete" in house.get("/")[1])
    page.goto("/")
    page.get_by_role("button", name="Approve").click()
    sync_api.expect(page.locator("main > .note")).to_contain_text("Approved: 5 to delete")
    wait_for(lambda: not set(lost) & set(house.ids))
    wait_for(lambda: "Everything is in step." in house.get("/")[1])  # the pass that deleted them has ended
    page.goto("/")
    sync_api.expect(headline(page)).to_have_text("Everything is in step.")
    page.locator(".log summary").first.click()
    page.locator(".log a.id").first.click()
    page.wait_for_url("**/events/ts-*")
    sync_api.expect(page.locator("main")).to_contain_text("Target holds now")


def test_the_keyboard_is_enough(house: PageHouse, open_page: OpenPage) -> None:
    page = open_page(is_logged_in=False)
    page.goto("/login")
    field = page.get_by_label("Token")
    sync_api.expect(field).to_be_focused()  # which chromium sees to when it draws, at times after all is loaded
    page.keyboard.type(TOKEN)
    sync_api.expect(field).to_have_value(TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_selector("#live")
    lost = house.cancel(5)
    sync_api.expect(headline(page)).to_have_text("1 decision waits for you.", timeout=PATIENCE)
    assert_reached(page, "Approve: 5 to delete")
    page.keyboard.press("Enter")
    sync_api.expect(page.locator("main > .note")).to_contain_text("Approved: 5 to delete")
    wait_for(lambda: not set(lost) & set(house.ids))


def assert_reached(page: Any, label: str) -> None:
    """Tab until the button with this label has the focus, and is seen to have it."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == label:
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
            return
    raise AssertionError(f"{label!r} cannot be reached by keyboard")


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_legible(house: PageHouse, open_page: OpenPage, scheme: str, width: int) -> None:
    house.cancel(5)
    number = house.poison()
    wait_for(lambda: all(words in house.get("/")[1] for words in ("5 to delete", "In quarantine")))
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    for name, path in {"first": "/", "event": f"/events/ts-{number}", "hold": _hold_path(page)}.items():
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"
        assert page.evaluate(_FAINT) == []
        if SCREENSHOTS:
            page.screenshot(path=f"{SCREENSHOTS}/{name}-{scheme}-{width}.png", full_page=True)


def _hold_path(page: Any) -> str:
    return str(page.locator("article.decide h3 a").get_attribute("href"))


# Texts with less than 4.5:1 against what they stand on (WCAG 2.2, 1.4.3).
_FAINT = """() => {
  const rgb = (css) => css.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (node) => { for (; node; node = node.parentElement) {
    const colour = rgb(getComputedStyle(node).backgroundColor); if ((colour[3] ?? 1) > 0) return colour; } return [255, 255, 255]; };
  const faint = [];
  for (const node of document.querySelectorAll("main *, header *, footer *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || node.closest("svg") || !node.checkVisibility()) continue;
    const [one, other] = [light(rgb(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a);
    if ((one + 0.05) / (other + 0.05) < 4.5) faint.push(node.textContent.trim().slice(0, 40));
  }
  return faint;
}"""
