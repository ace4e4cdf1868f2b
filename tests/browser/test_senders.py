"""Senders that are not our tracker, in a real browser, with script and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.serving_pages import serving_pages
from tests.system.running_collector import RunningCollector, running_collector


@pytest.fixture
def collector(database_url: str, tmp_path: Path) -> Iterator[RunningCollector]:
    with running_collector(database_url, tmp_path) as collector:
        yield collector


@pytest.fixture
def pages(collector: RunningCollector) -> Iterator[str]:
    with serving_pages(collector.url) as url:
        yield url


def test_a_widget_scripts_beacons_arrive_though_the_tab_is_closed(
    collector: RunningCollector, pages: str, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(f"{pages}/widgets.html?private=1", referer="https://www.google.com/search?q=x")
    page.wait_for_function("waiting.length === 2")
    page.evaluate("flush()")
    assert page.evaluate("window.beaconWasQueued") is True
    user_agent = page.evaluate("navigator.userAgent")
    collector.wait_for_rows(2)
    page.evaluate("scrollTo(0, 3000)")
    page.wait_for_function("waiting.length === 1")
    page.close()
    rows = collector.wait_for_rows(3)
    assert [row["payload"]["properties"]["mapping_id"] for row in rows] == [11, 12, 13]
    assert {(row["event_type"], row["visitor_id"], row["session_id"]) for row in rows} == {
        ("widget_impression", "v_1", "s_1")
    }
    assert {row["site_id"] for row in rows} == {"localhost"}, "as Origin says"
    payload = rows[0]["payload"]
    assert payload["url"] == f"{pages}/widgets.html"
    assert payload["path"] == "/widgets.html"
    assert payload["dialect"] == "widget_events"
    assert payload["userAgent"] == user_agent


def test_a_widget_scripts_fetch_is_preflighted_and_may_read_the_answer(
    collector: RunningCollector, pages: str, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(f"{pages}/widgets.html")
    page.wait_for_function("waiting.length === 2")
    assert page.evaluate("flushByFetch()") == {"accepted": 2, "rejected": 0}
    assert len(collector.rows()) == 2


def test_pixel_form_and_ping_work_without_script(
    collector: RunningCollector, pages: str, browser: Browser
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{pages}/no_script.html?utm_source=news")
    assert page.title() == "A page that works without script"
    (view,) = collector.wait_for_rows(1)
    assert (view["event_type"], view["site_id"]) == ("page_view", "shop.example")
    assert view["payload"]["url"] == f"{pages}/no_script.html?utm_source=news"
    assert view["payload"]["title"] == "No script"
    assert page.locator("#pixel").evaluate("image => [image.complete, image.naturalWidth]") == [
        True,
        1,
    ]

    page.get_by_role("button", name="Yes").click()
    _, vote = collector.wait_for_rows(2)
    assert vote["event_type"] == "vote"
    assert vote["payload"]["properties"] == {"comment": "Grüezi & tschüss", "helpful": "yes"}
    assert page.url.startswith(f"{pages}/no_script.html"), "the page stays where it is"

    page.get_by_role("link", name="Elsewhere").click()
    page.wait_for_url("**/elsewhere.html")
    *_, click = collector.wait_for_rows(3)
    assert (click["event_type"], click["site_id"]) == ("click", "shop.example")
    assert click["payload"]["properties"] == {"selector": "a"}
    context.close()
