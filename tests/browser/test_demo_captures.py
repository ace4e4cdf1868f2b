"""The demo's page of stations: each is pressed as a visitor would, and its events are delivered."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.engines import CHROMIUM
from tests.browser.tracked_site import TrackedSite
from tests.system.running_stack import ROOT, RunningStack, wait_until

PAGE = ROOT / "nginx" / "site" / "captures.html"
NAMED = re.findall(r"<captured-type>(\w+)</captured-type>", PAGE.read_text())
SECRET = "Tensing and hunter2"  # typed into the stations' fields, and to be found nowhere

Rows = dict[str, list[dict[str, Any]]]


def _open_context(
    parts: tuple[RunningStack, Browser], **options: Any
) -> tuple[TrackedSite, BrowserContext]:
    stack, browser = parts
    context = browser.new_context(**options)
    # The shop's tag names no site: it is the host's.
    return TrackedSite(stack, context=context, site_id="localhost"), context


@pytest.fixture(scope="module")
def rows(site_stack: tuple[RunningStack, Browser]) -> Rows:
    """What stands in the client's bucket after a visit to every station."""
    site, context = _open_context(site_stack)
    page = site.open("/captures.html")
    for visit in (
        _look_at_the_first_station,
        _press_what_does_nothing,
        _change_the_address,
        _fail,
        _select_and_copy,
        _fill_forms,
        _search,
        _follow_a_widget,
        _push_into_the_data_layer,
        _say_who_it_is,
        _see_both_variants,
        _scroll_through,
        _look_away,
        _play,
    ):
        visit(site, page)
    site.go(page, "/captures.html")
    page.click("#boil")
    captured = set(page.evaluate("sluiceTrail.steps().map(({ event }) => event.eventId)"))
    # Sent with the page still open: what a reload cut off is taken up again by the next page.
    told = _by_type(_wait_until_delivered(site, captured))
    context.close()
    assert all("provoked on this page" in error for error in site.errors), site.errors
    assert len(site.errors) == 2
    return told


@pytest.mark.parametrize("event_type", sorted(set(NAMED)))
def test_what_a_station_names_arrives_in_the_bucket(rows: Rows, event_type: str) -> None:
    assert rows.get(event_type), sorted(rows)


def test_the_page_names_every_event_that_its_stations_make(rows: Rows) -> None:
    assert set(rows) == set(NAMED)
    assert len(NAMED) == len(set(NAMED)) >= 39


def test_the_stations_tell_what_they_say_they_do(rows: Rows, engine: str) -> None:
    told = {name: [row["properties"] for row in found] for name, found in rows.items()}
    texts = {click.get("text") for click in told["click"]}
    assert texts >= {"Just a button", "Outbound", "Download"}
    assert "Not told" not in str(rows)
    assert [click["text"] for click in told["click"] if click.get("outbound")] == ["Outbound"]
    assert told["dead_click"][0]["label"] == told["rage_click"][0]["label"] == "Does nothing"
    assert {error["kind"] for error in told["js_error"]} == {"error", "rejection"}
    assert told["resource_error"][0]["url"].endswith(".png")
    assert told["text_select"][0] == told["copy"][0] == {"length": 45}
    assert told["form_complete"][0]["form"] == told["form_abandon"][0]["form"] == "wish"
    assert [field["name"] for field in told["form_complete"][0]["fields"]] == ["nickname", "season"]
    assert SECRET not in str(rows)
    assert [search["results"] for search in told["search"]] == [1, 0]
    assert told["search_failed"] == [{"query": "unicorn"}]
    assert {widget["postId"] for widget in told["widget_impression"]} >= {"tin-mug"}
    assert told["widget_click"][0]["clickTarget"] == "picture"
    assert told["purchase"][0]["value"] == 52 and told["purchase"][0]["orderId"].startswith("D-")
    assert {step["percent"] for step in told["media_progress"]} == {25, 50, 75, 100}
    assert {shown["variant"] for shown in told["exposure"]} == {"rust", "moss"}
    assert {change["focused"] for change in told["focus_change"]} == {True, False}
    assert rows["identify"][0]["user_id"] == rows["group"][0]["user_id"] == "u_ada"
    assert rows["group"][0]["company_id"] == "g_alpine_club"
    vitals = {"TTFB", "FCP"} | ({"CLS"} if engine == CHROMIUM else set())
    assert {vital["name"] for vital in told["web_vital"]} >= vitals


def test_consent_holds_sends_and_forgets(site_stack: tuple[RunningStack, Browser]) -> None:
    site, context = _open_context(site_stack)
    page = site.open("/captures.html")
    state = page.locator("#consent-state")
    answer = page.locator("#consent button")
    answer.filter(has_text="Ask me later").click()
    assert "Pending" in state.inner_text()
    before = len(site.heard(page))
    page.click("#boil")
    assert len(site.heard(page)) == before, "held, and told to nobody"
    answer.filter(has_text="Yes").click()
    first = site.wait_for_event(page, "kettle_boiled")
    # The next answer forgets what is not sent.
    _send(page, first)
    answer.filter(has_text="No").first.click()
    assert "Denied" in state.inner_text()
    _check_silence(site, page, because="You said no")
    answer.filter(has_text="Yes").click()
    page.get_by_role("link", name="Opt out of everything").click()
    assert "Opted out" in state.inner_text()
    _check_silence(site, page, because="You opted out")
    page.get_by_role("link", name="Opt in again").click()
    page.click("#boil")
    second = site.wait_for_event(page, "kettle_boiled", times=2)
    _send(page, second)
    context.close()
    rows = {row["event_id"]: row for row in site.delivered("kettle_boiled")}
    one, two = rows[first["eventId"]], rows[second["eventId"]]
    assert (one["consent"], one["consent_policy"]) == ("granted", "demo-2026")
    assert one["visitor_id"] != two["visitor_id"], "the no forgot who it was"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_panel_says_what_each_event_is_about(
    site_stack: tuple[RunningStack, Browser], width: int
) -> None:
    site, context = _open_context(site_stack, viewport={"width": width, "height": 844})
    page = site.open("/captures.html")
    _fail(site, page)
    page.click("#boil")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if width < 800:
        page.locator(".sl-launcher").click()
    items = page.locator("#sl-live > li")
    error = items.filter(has_text="resource_error").first
    error.wait_for()
    assert re.search(r"img · no-such-picture-\d\.png", error.inner_text())
    assert "The kettle is empty" in items.filter(has_text="js_error").last.inner_text()
    items.filter(has_text="kettle_boiled").get_by_text("accepted").wait_for()
    site.stack.wait_until_delivered()
    items.filter(has_text="kettle_boiled").get_by_text("in your bucket").wait_for(timeout=30_000)
    context.close()


def _by_type(rows: list[dict[str, Any]]) -> Rows:
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["event_type"]].append(row)
    return dict(found)


def _wait_until_delivered(site: TrackedSite, event_ids: set[str]) -> list[dict[str, Any]]:
    def delivered() -> list[dict[str, Any]] | None:
        rows = site.delivered()
        return rows if event_ids <= {row["event_id"] for row in rows} else None

    rows: list[dict[str, Any]] = wait_until(delivered, seconds=60, what="every event of the tab")
    return rows


def _send(page: Page, event: dict[str, Any]) -> None:
    page.evaluate("sluice.flush()")
    page.wait_for_function(
        "id => heard.some(([name, { eventIds }]) =>"
        " name === 'sluice:sent' && eventIds.includes(id))",
        arg=event["eventId"],
    )


def _check_silence(site: TrackedSite, page: Page, *, because: str) -> None:
    before = len(site.heard(page))
    page.click("#boil")
    page.wait_for_timeout(300)
    assert len(site.heard(page)) == before
    kept = page.evaluate("Object.keys(localStorage)")
    assert not {"sluice_visitor", "sluice_session", "sluice_user"} & set(kept)
    assert because in (page.locator(".sl-notice").text_content() or "")


# The stations, in the order in which they are visited.


def _look_at_the_first_station(site: TrackedSite, page: Page) -> None:
    page.locator("#clicks").get_by_role("button", name="Just a button").click()
    page.locator("#clicks").get_by_role("button", name="Not told").click()
    with page.expect_download():
        page.get_by_role("link", name="Download").click()
    page.get_by_role("link", name="Outbound").click()
    page.wait_for_url("https://www.openstreetmap.org/**")
    # From the back/forward cache, where there is no loading to wait for.
    page.go_back(wait_until="commit")
    page.wait_for_function("window.sluice && sluice.isLoaded")


def _press_what_does_nothing(site: TrackedSite, page: Page) -> None:
    page.wait_for_timeout(500)  # the plugins come when the page is idle
    page.get_by_role("button", name="Does nothing").click(click_count=4, delay=20)
    site.wait_for_event(page, "dead_click")
    site.wait_for_event(page, "rage_click")


def _change_the_address(site: TrackedSite, page: Page) -> None:
    for name in ("Another address", "Another hash", "The same again"):
        page.get_by_role("button", name=name).click()


def _fail(site: TrackedSite, page: Page) -> None:
    page.wait_for_timeout(500)
    page.click("#throw")
    page.click("#reject")
    page.click("#picture")
    site.wait_for_event(page, "js_error", times=2)
    site.wait_for_event(page, "resource_error")
    if len(site.errors) > 2:
        site.errors[:] = site.errors[:2]


def _select_and_copy(site: TrackedSite, page: Page) -> None:
    page.locator("#sentence").select_text()
    site.wait_for_event(page, "text_select")
    page.keyboard.press("Control+C")
    site.wait_for_event(page, "copy")


def _fill_forms(site: TrackedSite, page: Page) -> None:
    for leave in ("Submit", "Give up"):
        form = page.locator("#wish")
        form.get_by_label("Nickname").fill(SECRET)
        form.get_by_label("Season").select_option("Winter")
        form.get_by_label("Password").fill(SECRET)
        form.get_by_role("button", name=leave).click()
    site.wait_for_event(page, "form_complete")
    site.wait_for_event(page, "form_abandon")


def _search(site: TrackedSite, page: Page) -> None:
    for times, query in enumerate(("wool", "unicorn"), 1):
        page.get_by_role("searchbox").fill(query)
        page.get_by_role("searchbox").press("Enter")
        site.wait_for_event(page, "search", times=times)


def _follow_a_widget(site: TrackedSite, page: Page) -> None:
    page.locator("#seen ul").scroll_into_view_if_needed()
    site.wait_for_event(page, "widget_impression")
    page.locator("#seen").get_by_role("link", name="Tin mug").click()
    page.wait_for_url("**/product.html?id=tin-mug")
    site.go(page, "/captures.html")


def _push_into_the_data_layer(site: TrackedSite, page: Page) -> None:
    for name in ("View", "Add", "Remove", "Check out", "Buy"):
        page.locator("#shop").get_by_role("button", name=name).click()
    site.wait_for_event(page, "purchase")


def _say_who_it_is(site: TrackedSite, page: Page) -> None:
    for name in ("identify", "group", "alias", "reset"):
        page.click(f"#{name}")
    site.wait_for_event(page, "alias")


def _see_both_variants(site: TrackedSite, page: Page) -> None:
    page.locator("#variant").scroll_into_view_if_needed()
    shown = "sluiceTrail.steps().filter(({ event }) => event.eventType === 'exposure').length"
    page.wait_for_function(f"{shown} === 1")
    page.click("#other-variant")
    page.wait_for_function(f"{shown} === 2")


def _scroll_through(site: TrackedSite, page: Page) -> None:
    page.evaluate("scrollTo({ top: document.body.scrollHeight, behavior: 'instant' })")
    site.wait_for_event(page, "scroll_depth", times=4)


def _look_away(site: TrackedSite, page: Page) -> None:
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open another tab").click()
    opened.value.wait_for_load_state()
    opened.value.close()
    page.bring_to_front()
    # Under automation every tab believes to have the focus.
    page.evaluate("for (const type of ['blur', 'focus']) dispatchEvent(new Event(type))")


def _play(site: TrackedSite, page: Page) -> None:
    audio = page.locator("#playing audio")
    audio.evaluate("player => player.play()")
    site.wait_for_event(page, "media_progress")
    audio.evaluate("player => player.pause()")
    site.wait_for_event(page, "media_pause")
    audio.evaluate("player => player.play()")
    site.wait_for_event(page, "media_end")
    audio.evaluate("player => { player.currentTime = 0; return player.play() }")
    page.click("#reload")
    page.wait_for_load_state()
