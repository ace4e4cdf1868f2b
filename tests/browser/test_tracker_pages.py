"""Pages that come and go: the back/forward cache between tracked pages, and the build for views."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.serving_pages import serving_pages
from tests.conftest import ROOT
from tests.system.running_collector import RunningCollector, running_collector
from tests.system.running_stack import wait_until

TELL_WHEN_RESTORED = """() => addEventListener("pageshow", ({ persisted }) =>
  persisted && sluice.track("back", {}, true))"""


@pytest.fixture
def collector(database_url: str, tmp_path: Path) -> Iterator[RunningCollector]:
    dist = str(ROOT / "tracking/dist")
    with running_collector(database_url, tmp_path, TRACKER_DIR=dist) as collector:
        yield collector


@pytest.fixture
def pages(collector: RunningCollector) -> Iterator[str]:
    with serving_pages(collector.url) as url:
        yield url


def is_loaded(page: Page) -> None:
    page.wait_for_function("window.sluice && sluice.isLoaded")


@pytest.mark.chromium("Playwright switches the back/forward cache of the others off")
def test_the_tracker_keeps_no_page_out_of_the_back_forward_cache(
    collector: RunningCollector, pages: str, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(f"{pages}/tracked.html?one")
    is_loaded(page)
    page.click("h1")
    # The page tells itself: Playwright has lost it when it comes out of the cache.
    page.evaluate(TELL_WHEN_RESTORED)
    page.evaluate("location.assign('/tracked.html?two')")
    page.wait_for_url("**/tracked.html?two")
    is_loaded(page)
    page.wait_for_function("performance.now() > 1000")  # it is a page, and not passed through
    page.go_back(wait_until="commit")
    wait_until(
        lambda: any(row["event_type"] == "back" for row in collector.rows()),
        seconds=15,
        what="the page out of the cache",
    )
    # Nobody learns whether what a leaving page sends arrives: the export drops what came twice.
    once = {row["payload"]["eventId"]: row for row in collector.rows()}.values()
    counted = Counter((row["event_type"], row["payload"]["url"][-3:]) for row in once)
    assert counted["page_view", "one"] == 2
    assert counted["page_view", "two"] == 1
    assert counted["click", "one"] == counted["back", "one"] == 1


def test_the_build_for_views_heeds_consent_and_the_opt_out(
    collector: RunningCollector, pages: str, browser: Browser
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{pages}/views.html?pending")
    page.evaluate("history.pushState({}, '', '?still-pending')")
    assert page.evaluate("Object.keys(localStorage)") == []
    page.evaluate("localStorage.sluice_consent = 'granted 2026-11'")
    page.evaluate("history.pushState({}, '', '?granted')")
    (row,) = collector.wait_for_rows(1)
    assert row["payload"]["url"].endswith("?granted")
    assert row["event_type"] == "page_view" and row["visitor_id"] and row["session_id"]
    page.evaluate("localStorage.sluice_opt_out = '1'; history.pushState({}, '', '?out')")
    page.evaluate("localStorage.removeItem('sluice_opt_out')")
    page.evaluate("localStorage.sluice_consent = 'denied '; history.pushState({}, '', '?denied')")
    page.evaluate("localStorage.sluice_consent = 'granted '; history.pushState({}, '', '?again')")
    rows = collector.wait_for_rows(2)
    assert [row["payload"]["url"].partition("?")[2] for row in rows] == ["granted", "again"]
