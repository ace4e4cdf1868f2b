"""What Safari's engine makes of the tracker: WebKit is asked where a distribution has it."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from benchmarks.tracker.edge import Answer, Edge, Fault, Request
from benchmarks.tracker.lane import Lane, forward_to
from benchmarks.tracker.scenarios import SCENARIOS
from benchmarks.tracker.survival import open_lanes, running
from benchmarks.tracker.trackers import OURS
from benchmarks.tracker.verdict import judge, read_kept
from benchmarks.tracker.visits import Stage
from tests.browser.tracked_site import DeliveredSite
from tests.browser.webkit import (
    IS_INSTALLED,
    WebKitBrowser,
    WebKitPage,
    WebKitProcess,
    screen,
)
from tests.system.running_stack import RunningStack, wait_until

pytestmark = [
    pytest.mark.skipif(not IS_INSTALLED, reason="no WebKit (Debian: webkit2gtk-driver, xvfb)"),
    pytest.mark.timeout(240),
]
ROWS = [
    "close_cold",
    "navigate_cold",
    "burst_then_close",
    "outage_503_idle",
    "left_during_outage_reset",
    "replies_lost",
    "two_tabs",
    "restored",
]
"""What an engine may have its own way with; the rest of `SCENARIOS` is Chromium's to show."""


class WebKitStage(Stage):
    """Where visitors come with WebKit."""

    def __init__(self, playwright: Playwright, lanes: list[Lane], display: str) -> None:
        super().__init__(playwright, lanes, visits=1, revisit_seconds=60)
        self._webkit = WebKitBrowser(display)

    def browser(self) -> Browser:
        return self._webkit.as_playwright()


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with screen() as name:
        yield name


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="module")
def module_stage(
    stack: RunningStack, display: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("lanes")
    with open_lanes(stack, (OURS,), folder) as lanes, sync_playwright() as playwright:
        yield WebKitStage(playwright, lanes, display)


@pytest.fixture
def stage(module_stage: Stage) -> Iterator[Stage]:
    """With nothing wrong, and nobody there."""
    yield module_stage
    module_stage.put(Fault.NONE)
    module_stage.end_visits()


@pytest.mark.parametrize("row", ROWS)
def test_every_event_is_delivered_and_none_twice(
    stack: RunningStack, stage: Stage, row: str
) -> None:
    (cell,) = SCENARIOS[row](stage, row)
    stack.wait_until_delivered()
    outcome = judge(cell, read_kept(stack))
    assert outcome["events"] >= 1
    assert outcome["lost"] == outcome["stored_twice"] == outcome["delivered_twice"] == 0, outcome


@pytest.fixture
def tab(display: str) -> Iterator[WebKitPage]:
    context = WebKitBrowser(display).new_context()
    try:
        yield context.new_page()
    finally:
        context.close()


@dataclass
class Shown:
    """Where a page is to be had, and which paths were asked for."""

    origin: str
    asked: list[str]


@contextmanager
def shown(stack: RunningStack, page: str) -> Iterator[Shown]:
    """A page at every path under /p/, of a site whose collector is the stack."""
    found = Answer(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})
    asked: list[str] = []

    def answer(request: Request) -> Answer | None:
        asked.append(request.path)
        return found if request.path.startswith("/p/") else None

    edge = Edge(page=answer, collect=forward_to(stack.url))
    try:
        yield Shown(f"http://localhost:{edge.port}", asked)
    finally:
        edge.close()


def page_of(site_id: str, *, attributes: str = "", body: str = "") -> str:
    return (
        "<!doctype html><title>A page</title><link rel=icon href='data:,'>"
        f"<script async src=/js/tracking.js data-site-id={site_id} {attributes}></script>{body}"
    )


IS_THERE = "window.sluice && sluice.isLoaded"
BODY = """
<button id=button>Press <b>me</b></button> <a id=away href="https://elsewhere.example/">Away</a>
<form onsubmit="event.preventDefault()"><input id=words name=words><button>Send</button></form>
<p id=sentence>One lantern is company.</p><p style="height: 4000px">Long</p>
<script>window.errors = []; onerror = (message) => errors.push(message);
window.told = [];
addEventListener("sluice:event", ({ detail }) => told.push(detail.event.eventType));
document.getElementById("away").onclick = (event) => event.preventDefault();</script>
"""


def test_what_a_visitor_does_is_captured(stack: RunningStack, tab: WebKitPage) -> None:
    site = DeliveredSite(stack, "captures.example")
    plugins = "data-plugins='vitals errors forms heatmap' data-off='' data-debug"
    with shown(stack, page_of(site.site_id, attributes=plugins, body=BODY)) as shop:
        tab.goto(f"{shop.origin}/p/one?utm_source=news&gclid=x1")
        tab.wait_for_function(IS_THERE)
        for id in ("button", "away"):
            tab.driver.find_element(By.ID, id).click()
        tab.driver.find_element(By.ID, "words").send_keys("ada@example.org", Keys.ENTER)
        # What is selected while a field has the focus is taken for what is in it.
        tab.evaluate("document.activeElement.blur()")
        tab.evaluate("getSelection().selectAllChildren(document.getElementById('sentence'))")
        tab.wait_for_function("told.includes('text_select')")
        tab.evaluate("scrollTo(0, document.body.scrollHeight)")
        tab.evaluate("() => { setTimeout(() => { throw new Error('provoked') }) }")
        tab.evaluate("history.pushState({}, '', '/p/two')")
        tab.evaluate("() => { location.hash = 'part' }")
        tab.go_back()
        tab.wait_for_function("location.hash === ''")
        errors = tab.evaluate("errors")
        tab.close()
        # What is told at the end may take more than one request.
        site.delivered("web_vital", least=2)
        rows = site.delivered(least=24)
    assert [error for error in errors if "provoked" not in error] == []
    views = [row for row in rows if row["event_type"] == "page_view"]
    assert [view["path"] for view in views] == ["/p/one", "/p/two", "/p/two", "/p/two"]
    assert (views[0]["utm_source"], views[0]["channel"]) == ("news", "paid_search")
    assert (views[0]["browser"], views[0]["is_entry"]) == ("Safari", True)
    assert len({row["session_id"] for row in rows}) == len({row["visitor_id"] for row in rows}) == 1
    told = {row["event_type"]: row["properties"] for row in reversed(rows)}
    assert told["click"]["text"] == "Press me"
    assert told["text_select"]["length"] == len("One lantern is company.")
    assert told["js_error"]["message"].endswith("provoked")
    assert {"form_start", "form_submit", "scroll_depth", "engagement", "heatmap"} <= set(told)
    assert values(rows, "scroll_depth", "percent") == {25, 50, 75, 100}
    assert values(rows, "web_vital", "name") >= {"FCP", "TTFB"}
    assert "ada@example.org" not in json.dumps(rows, default=str)


def values(rows: list[dict[str, Any]], event_type: str, name: str) -> set[Any]:
    """What a property had in all events of a type."""
    return {row["properties"][name] for row in rows if row["event_type"] == event_type}


def test_before_consent_nothing_is_kept_sent_or_recorded(
    stack: RunningStack, tab: WebKitPage
) -> None:
    site = DeliveredSite(stack, "consent.example")
    attributes = "data-consent=pending data-plugins=replay data-replay-sample=1"
    page = page_of(site.site_id, attributes=attributes, body="<p>Words of the page</p>")
    with shown(stack, page) as shop:
        tab.goto(f"{shop.origin}/p/one")
        tab.wait_for_function(IS_THERE)
        tab.evaluate("sluice.track('held'), sluice.flush()")
        tab.wait_for_timeout(500)
        assert tab.evaluate("[Object.keys(localStorage).length, document.cookie]") == [0, ""]
        assert tab.evaluate("indexedDB.databases().then((all) => all.length)") == 0
        tab.evaluate("sluice.consent('granted', { policy: 'v1' })")
        wait_until(lambda: recorded(stack), seconds=30, what="a recording")
        tab.goto(f"{shop.origin}/p/two")
        tab.wait_for_function(IS_THERE)
        tab.evaluate("sluice.track('unsent'), sluice.consent('denied'), sluice.track('untold')")
        tab.close()
        rows = site.delivered(least=2)
    told = {row["event_type"] for row in rows}
    assert {"page_view", "held"} <= told
    assert not {"unsent", "untold"} & told
    assert {(row["consent"], row["consent_policy"]) for row in rows} == {("granted", "v1")}
    # The second page's, too, where it was pictured before the no.
    for file in recorded(stack):
        assert rows[0]["session_id"] in str(file)
        recording = gzip.decompress(file.read_bytes()).decode()
        assert "***** ** *** ****" in recording
        assert "Words" not in recording


def recorded(stack: RunningStack) -> list[Path]:
    """The recordings that are in the bucket, once what there is was exported."""
    stack.post("/export/run", {})
    return list(stack.bucket("client").glob("replay/**/*.ndjson.gz"))


def test_what_happened_300_ms_before_the_browser_was_killed_is_delivered(
    stack: RunningStack, display: str, tmp_path: Path
) -> None:
    site = DeliveredSite(stack, "killed.example")
    last_words = "if (location.pathname === '/p/one') sluice.track('last_words'), fetch('/p/said')"
    body = f"<script>addEventListener('load', () => {{ {last_words} }})</script>"
    with shown(stack, page_of(site.site_id, body=body)) as shop:
        profile = tmp_path / "profile"
        browser = WebKitProcess(display, profile, f"{shop.origin}/p/one")
        try:
            wait_until(lambda: "/p/said" in shop.asked, seconds=30, what="the event")
            time.sleep(0.3)
        finally:
            browser.kill()
        assert site.rows() == []
        again = WebKitProcess(display, profile, f"{shop.origin}/p/again")
        try:
            delivered = site.delivered("last_words")
        finally:
            again.kill()
    assert len(delivered) == 1
    # Not as the same visitor: localStorage is not kept as early as IndexedDB is.
    assert [view["path"] for view in site.rows("page_view")] == ["/p/one", "/p/again"]
