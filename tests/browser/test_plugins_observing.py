"""The plugins that observe, as they are built, in a real browser; the tracker is a recorder."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.observing_site import Site, serving_observed_pages

ROOT = Path(__file__).resolve().parents[2]
_BUILD = """
const [bundler, folder] = process.argv.slice(1);
const { bundleInto } = await import(bundler);
await bundleInto({ dist: folder, site: folder + "/site", plugin: folder + "/plugin" });
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chunks as they are now, built into a folder of the test's own."""
    if shutil.which("node") is None or (ROOT / "tracking/node_modules/.absent").exists():
        pytest.skip("no Node here")
    folder = tmp_path_factory.mktemp("dist")
    bundler = (ROOT / "tracking/scripts/bundle.mjs").as_uri()
    command = ["node", "--input-type=module", "-e", _BUILD, bundler, str(folder)]
    subprocess.run(command, check=True, timeout=120)
    return folder


@pytest.fixture
def site(dist: Path) -> Iterator[Site]:
    with serving_observed_pages(dist) as site:
        yield site


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    yield page
    if not page.is_closed():
        page.close()


def open_page(page: Page, site: Site, plugin: str, **options: str) -> None:
    page.goto(site.address(plugin, **options))
    page.wait_for_selector("[data-ready]")


def told(page: Page, name: str) -> list[dict[str, Any]]:
    """What was told so far under this name; nothing may have been thrown."""
    assert page.evaluate("window.thrown || []") == []
    events = page.evaluate("tracked")
    return [event["properties"] for event in events if event["name"] == name]


def wait_until_told(page: Page, name: str, times: int = 1) -> list[dict[str, Any]]:
    page.wait_for_function(
        "([name, times]) => tracked.filter((event) => event.name === name).length >= times",
        arg=[name, times],
        timeout=10_000,
    )
    return told(page, name)


def click_at(page: Page, selector: str, *, times: int = 1) -> None:
    """Press where it is, without Playwright's own waiting and scrolling."""
    box = page.locator(selector).bounding_box()
    assert box
    for _ in range(times):
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


@pytest.mark.chromium("no other engine tells layout shifts")
def test_each_web_vital_is_handed_over_with_its_cause_when_the_page_is_left(
    site: Site, page: Page
) -> None:
    open_page(page, site, "vitals")
    page.wait_for_timeout(300)
    page.evaluate("shift()")
    page.wait_for_timeout(300)
    page.click("#slow", delay=150)  # as long as a finger takes
    page.wait_for_timeout(1_500)
    assert told(page, "web_vital") == [], "each may still grow"
    page.goto(f"{site.url}/elsewhere")
    events = site.wait_for(lambda all: len(all) >= 5)
    vitals = {event["properties"]["name"]: event["properties"] for event in events}
    assert set(vitals) == {"TTFB", "FCP", "LCP", "INP", "CLS"} and len(events) == 5
    for vital in vitals.values():
        assert vital["rating"] in {"good", "needs-improvement", "poor"}
        assert vital["navigationType"] == "navigate" and vital["metricId"]
        assert vital["loadedUrl"].startswith(f"{site.url}/observing.html")

    assert vitals["LCP"]["target"] == "#hero"
    assert vitals["LCP"]["url"] == f"{site.url}/hero.bmp?token=[redacted]"
    assert vitals["INP"]["target"] == "#slow", "though it is gone by now"
    assert vitals["INP"]["processingMs"] >= 140
    assert vitals["INP"]["rating"] in {"good", "needs-improvement"}
    assert vitals["CLS"]["value"] > 0 and vitals["CLS"]["target"]
    assert not any(name.endswith("Ms") for name in vitals["CLS"])
    assert vitals["TTFB"]["requestMs"] > 0 and "renderDelayMs" not in vitals["TTFB"]
    for name in ("TTFB", "FCP", "LCP", "INP"):
        phases = [ms for key, ms in vitals[name].items() if key.endswith("Ms")]
        assert sum(phases) == pytest.approx(vitals[name]["value"], abs=len(phases)), vitals[name]


@pytest.mark.chromium("Playwright switches the back/forward cache of the others off")
def test_a_page_that_comes_back_has_vitals_of_its_own(site: Site, page: Page) -> None:
    open_page(page, site, "vitals")
    page.wait_for_timeout(300)
    page.goto(f"{site.url}/elsewhere")
    site.wait_for(lambda all: len(all) >= 4)
    site.collected.clear()
    page.evaluate("history.back()")
    page.wait_for_timeout(700)
    page.goto(f"{site.url}/elsewhere")
    events = site.wait_for_names("web_vital")
    found = {event["properties"]["name"]: event["properties"] for event in events}
    assert {"FCP", "LCP", "CLS"} <= set(found) and "TTFB" not in found, "nothing was loaded"
    assert {vital["navigationType"] for vital in found.values()} == {"back-forward-cache"}
    assert "requestMs" not in found["LCP"] and "target" not in found["LCP"]


def test_a_sample_may_be_empty(site: Site, page: Page) -> None:
    open_page(page, site, "vitals", vitalsSample="0")
    page.wait_for_timeout(300)
    page.goto(f"{site.url}/elsewhere")
    page.wait_for_timeout(300)
    assert site.collected == []


def test_errors_rejections_and_failed_resources_are_told_and_repetitions_counted(
    site: Site, page: Page
) -> None:
    open_page(page, site, "errors")
    page.evaluate("for (let i = 0; i < 5; i++) setTimeout(failDeep)")
    (error,) = wait_until_told(page, "js_error")
    assert error["kind"] == "error" and error["count"] == 1
    # Chromium says "Uncaught" before it.
    assert error["message"].endswith("TypeError: no such user: [email]")
    assert error["source"] == f"{site.url}/observing_page.js" and error["line"] == 20
    assert "failDeep" in error["stack"] and "joe@" not in error["stack"]

    page.evaluate("setTimeout(() => Promise.reject(new Error('late')))")
    rejection = wait_until_told(page, "js_error", 2)[1]
    assert (rejection["kind"], rejection["message"]) == ("rejection", "late")

    page.evaluate("document.body.append(Object.assign(new Image(), {src: '/gone.png?token=x'}))")
    page.evaluate(
        "document.head.append(Object.assign(document.createElement('script'), {src: '/gone.js'}))"
    )
    resources = wait_until_told(page, "resource_error", 2)
    assert sorted((one["tag"], one["url"]) for one in resources) == [
        ("img", f"{site.url}/gone.png?token=[redacted]"),
        ("script", f"{site.url}/gone.js"),
    ]
    page.goto(f"{site.url}/elsewhere")
    errors = site.wait_for_names("js_error")
    counts = [e["properties"]["count"] for e in errors if "no such" in e["properties"]["message"]]
    assert counts == [1, 4]


def test_rage_is_told_with_all_its_clicks(site: Site, page: Page) -> None:
    open_page(page, site, "frustration")
    page.wait_for_timeout(100)
    click_at(page, "#dead", times=5)
    (rage,) = wait_until_told(page, "rage_click")
    assert (rage["selector"], rage["label"], rage["clicks"]) == ("#dead", "Buy now", 5)
    assert rage["x"] > 0 and rage["y"] > 300 and rage["durationMs"] < 5_000
    assert [dead["selector"] for dead in wait_until_told(page, "dead_click")] == ["#dead"], "once"

    page.locator("#plain").click(click_count=3)
    page.wait_for_timeout(1_300)
    click_at(page, "#hidden", times=5)
    click_at(page, "#label", times=2)
    page.wait_for_timeout(1_300)
    assert len(told(page, "rage_click")) == 1


def test_rage_at_a_choice_or_at_a_text_tells_no_text(site: Site, page: Page) -> None:
    open_page(page, site, "frustration")
    page.evaluate("""document.body.insertAdjacentHTML("afterbegin", `<p id=text>Dear Jane</p>
      <label><b id=choice>Surgery</b><input type=checkbox></label>
      <label><span id=part></span><input type=checkbox></label>`);
      part.attachShadow({ mode: "open" }).innerHTML = "<button>Surgery</button>"; null""")
    for times, selector in enumerate(("#text", "#choice", "#part"), 1):
        click_at(page, selector, times=5)
        wait_until_told(page, "rage_click", times)
    assert [rage.get("label") for rage in told(page, "rage_click")] == [None] * 3
    assert [rage["clicks"] for rage in told(page, "rage_click")] == [5] * 3
    assert told(page, "dead_click") == [], "labels answer in ways that no script sees"


def test_a_press_of_a_label_that_a_component_has_counts_once(site: Site, page: Page) -> None:
    open_page(page, site, "frustration")
    page.evaluate("""document.body.insertAdjacentHTML("afterbegin", "<p id=own><b>Choice</b></p>");
      own.attachShadow({ mode: "open" }).innerHTML =
        "<label><slot></slot><input type=checkbox></label>"; null""")
    click_at(page, "#own b", times=5)
    (rage,) = wait_until_told(page, "rage_click")
    assert rage["clicks"] == 5


@pytest.mark.parametrize("selector", ["#dead", "#styled", "#top"])
def test_a_click_that_nothing_answers_is_dead(site: Site, page: Page, selector: str) -> None:
    open_page(page, site, "frustration")
    click_at(page, selector)
    (dead,) = wait_until_told(page, "dead_click")
    assert dead["selector"] == selector and dead["x"] > 0 and dead["y"] > 0


def test_a_click_that_is_answered_is_not_dead(site: Site, page: Page) -> None:
    open_page(page, site, "frustration")
    for selector in ("#alive", "#pressed", "#plain", "#box", "#label", "#hidden", "#inner"):
        click_at(page, selector)
        page.wait_for_timeout(1_200)
        assert told(page, "dead_click") == [], selector
    page.evaluate("dead.onclick = () => scrollTo(0, 50); null")
    click_at(page, "#dead")
    page.wait_for_timeout(1_200)
    assert told(page, "dead_click") == [], "scrolled"
    page.evaluate("holdsLinks = true")
    click_at(page, "#next")
    assert [dead["selector"] for dead in wait_until_told(page, "dead_click")] == ["#next"]


def test_a_link_to_a_slow_page_is_not_dead(site: Site, page: Page) -> None:
    open_page(page, site, "frustration")
    click_at(page, "#next")
    page.wait_for_timeout(1_300)
    page.wait_for_url("**/slow")
    page.goto(f"{site.url}/elsewhere")
    page.wait_for_timeout(200)
    assert site.collected == []


def test_a_heatmap_tells_moves_reach_and_attention_of_each_view(site: Site, page: Page) -> None:
    open_page(page, site, "heatmap")
    page.wait_for_timeout(600)
    page.mouse.move(500, 100)
    page.wait_for_timeout(150)
    page.mouse.move(250, 700)
    page.wait_for_timeout(150)
    page.evaluate("scrollTo(0, 2000)")
    page.wait_for_timeout(800)
    page.mouse.move(100, 10)
    page.wait_for_timeout(150)
    page.evaluate("view('/second?token=1')")
    page.wait_for_timeout(300)
    page.goto(f"{site.url}/elsewhere")
    events = site.wait_for(lambda all: len(all) >= 2)
    assert {event["name"] for event in events} == {"heatmap"} and len(events) == 2
    first, second = (event["properties"] for event in events)
    assert [move[:2] for move in first["moves"]] == [[500, 100], [250, 700], [100, 2_010]]
    assert first["moves"][0][2] >= 500 and first["moves"] == sorted(first["moves"], key=_time)
    bands = first["attention"]
    assert bands[0] >= 800 and bands[5] == 0 and 700 <= bands[10] < 3_000, bands
    assert first["scrollMax"] == 2_800 and first["pageHeight"] > 4_000
    assert (first["viewportWidth"], first["viewportHeight"]) == (1_000, 800)
    assert first["viewUrl"].startswith(f"{site.url}/observing.html")
    assert second["viewUrl"] == f"{site.url}/second?token=[redacted]" and second["moves"] == []
    assert second["attention"][0] == 0 and second["attention"][10] >= 200


def _time(move: list[int]) -> int:
    return move[2]


def test_what_was_in_view_for_a_second_was_seen_once(site: Site, page: Page) -> None:
    open_page(page, site, "impressions")
    page.evaluate("scrollTo(0, 300)")
    (widget,) = wait_until_told(page, "widget_impression")
    assert page.evaluate("tracked[0].atMs - readyMs") >= 1_000
    assert widget == {
        "mappingId": 456,
        "postId": 123,
        "widgetIndex": 0,
        "deviceSlug": "iphone-15-pro",
        "viewportPercent": 100,
    }
    (banner,) = wait_until_told(page, "impression")
    assert banner == {"name": "spring", "selector": "#banner", "viewportPercent": 100}

    page.evaluate("document.querySelector('#below').scrollIntoView()")
    page.wait_for_timeout(300)
    page.evaluate("scrollTo(0, 300)")  # flown past
    page.wait_for_timeout(1_300)
    assert [one["name"] for one in told(page, "impression")] == ["spring"]

    page.evaluate("document.querySelector('#tall').scrollIntoView()")
    tall = wait_until_told(page, "impression", 2)[1]
    assert tall["name"] == "tall" and tall["viewportPercent"] > 50

    page.evaluate("scrollTo(0, 300); banner.insertAdjacentHTML('afterend', banner.outerHTML)")
    assert [one["name"] for one in wait_until_told(page, "impression", 3)][2] == "spring"

    page.evaluate("view('/second')")
    assert wait_until_told(page, "widget_impression", 2) == [widget, widget]
    page.goto(f"{site.url}/elsewhere")
    times = [event["properties"] for event in site.wait_for_names("impression_time")]
    assert [time["viewUrl"].rpartition("/")[2] for time in times][-1] == "second"
    seen = {item.get("name") or item["mappingId"]: item["visibleMs"] for item in times[0]["items"]}
    assert set(seen) == {"spring", "tall", 456}
    assert 2_000 <= seen[456] < 15_000 and seen["tall"] >= 1_000


def test_an_element_taller_than_the_window_is_seen_when_it_fills_half_of_it(
    site: Site, page: Page
) -> None:
    page.set_viewport_size({"width": 1000, "height": 500})
    open_page(page, site, "impressions", impressionsMs="200")
    page.evaluate("document.querySelector('#tall').scrollIntoView()")
    (tall,) = wait_until_told(page, "impression")
    assert tall["name"] == "tall" and tall["viewportPercent"] < 50


def test_share_time_and_elements_are_the_pages_to_choose(site: Site, page: Page) -> None:
    options = {"impressionsMs": "200", "impressionsShare": "1", "impressionsSelector": "#hero"}
    page.set_viewport_size({"width": 1000, "height": 700})
    open_page(page, site, "impressions", **options)
    page.wait_for_timeout(600)
    hero = {"selector": "#hero", "viewportPercent": 100}
    assert told(page, "impression") == [hero], "of the banner some tenths are below the fold"
    page.mouse.wheel(0, 300)
    (_, banner) = wait_until_told(page, "impression", 2)
    assert banner["name"] == "spring"


def test_an_element_that_a_framework_draws_anew_is_seen_once_a_view(site: Site, page: Page) -> None:
    page.set_viewport_size({"width": 1000, "height": 900})
    open_page(page, site, "impressions", impressionsMs="200")
    wait_until_told(page, "impression")
    page.evaluate("document.querySelector('#banner').outerHTML += ''")
    page.evaluate("w1.outerHTML = w1.outerHTML")
    page.wait_for_timeout(800)
    assert [one["name"] for one in told(page, "impression")] == ["spring"]
    assert len(told(page, "widget_impression")) == 1
    page.goto(f"{site.url}/elsewhere")
    (seen,) = [event["properties"] for event in site.wait_for_names("impression_time")]
    assert all(item["visibleMs"] >= 600 for item in seen["items"])


def test_an_element_that_a_framework_keeps_for_something_else_is_seen_as_that(
    site: Site, page: Page
) -> None:
    page.set_viewport_size({"width": 1000, "height": 900})
    open_page(page, site, "impressions", impressionsMs="200")
    wait_until_told(page, "impression")
    seen = len(told(page, "widget_impression"))
    page.evaluate("document.querySelector('#banner').dataset.sluiceImpression = 'summer'")
    page.evaluate("w1.dataset.postId = '77'")
    *_, summer = wait_until_told(page, "impression", 2)
    *_, widget = wait_until_told(page, "widget_impression", seen + 1)
    assert (summer["name"], widget["postId"]) == ("summer", 77)
    # And as itself once a view.
    page.evaluate("document.querySelector('#banner').dataset.sluiceImpression = 'spring'")
    page.wait_for_timeout(800)
    assert [one["name"] for one in told(page, "impression")] == ["spring", "summer"]


def test_an_element_that_is_written_anew_as_it_was_is_seen_once(site: Site, page: Page) -> None:
    page.set_viewport_size({"width": 1000, "height": 900})
    open_page(page, site, "impressions", impressionsMs="300")
    again = "w1.setAttribute('data-post-id', w1.dataset.postId)"
    page.evaluate(f"timer = setInterval(() => {again}, 100)")
    wait_until_told(page, "widget_impression")
    page.evaluate("clearInterval(timer)")
    # A twin was seen; each stays what it is.
    page.evaluate("w1.after(w1.cloneNode(true))")
    wait_until_told(page, "widget_impression", 2)
    page.evaluate(f"document.querySelectorAll('#w1').forEach((w1) => {{ {again} }})")
    page.wait_for_timeout(800)
    assert len(told(page, "widget_impression")) == 2


def test_clicks_in_widgets_tell_what_and_where_to(site: Site, page: Page) -> None:
    open_page(page, site, "impressions")
    page.click("#inert")
    page.click("#buy", button="middle")
    page.click("#buy")
    page.wait_for_url("**/elsewhere*")
    page.goto(f"{site.url}/elsewhere")
    clicks = [event["properties"] for event in site.wait_for_names("widget_click")]
    assert clicks == 2 * [
        {
            "mappingId": 456,
            "postId": 123,
            "widgetIndex": 0,
            "deviceSlug": "iphone-15-pro",
            "clickTarget": "buy_button",
            "destinationUrl": f"{site.url}/elsewhere?token=[redacted]",
        }
    ]


def test_a_click_within_a_component_of_a_widget_is_the_widgets(site: Site, page: Page) -> None:
    open_page(page, site, "impressions")
    page.evaluate("""() => {
      w1.insertAdjacentHTML("beforeend", "<div id=component data-click-target=component></div>");
      component.attachShadow({ mode: "open" }).innerHTML = "<button type=button>Buy</button>";
    }""")
    page.click("#component button")
    page.goto(f"{site.url}/elsewhere")
    (click,) = [event["properties"] for event in site.wait_for_names("widget_click")]
    assert (click["postId"], click["clickTarget"]) == (123, "component")


def test_a_label_and_the_field_that_it_presses_are_one_click_in_a_widget(
    site: Site, page: Page
) -> None:
    open_page(page, site, "impressions")
    page.evaluate(
        "w1.insertAdjacentHTML('beforeend',"
        " '<label data-click-target=red><input type=checkbox> <b>Red</b></label>"
        "  <label><span data-click-target=blue>Blue</span> <input type=checkbox></label>')"
    )
    for selector in ("#w1 b", "#w1 label span", "[data-click-target=red] input"):
        page.click(selector)
    page.goto(f"{site.url}/elsewhere")
    clicks = [event["properties"] for event in site.wait_for_names("widget_click")]
    assert [click["clickTarget"] for click in clicks] == ["red", "blue", "red"]


def test_playback_is_told_from_play_to_end(site: Site, page: Page) -> None:
    open_page(page, site, "media")
    page.click("#plain")  # a browser plays after a gesture
    page.evaluate("sound.play()")
    page.wait_for_function("() => sound.currentTime > 0.7")
    page.evaluate("sound.pause()")
    (pause,) = wait_until_told(page, "media_pause")
    assert pause["src"] == f"{site.url}/sound.wav?token=[redacted]"
    assert (pause["kind"], pause["title"], pause["durationMs"]) == ("audio", "Bell", 2_000)
    assert 600 <= pause["playedMs"] <= 2_000 and pause["positionMs"] >= 600
    page.evaluate("sound.play()")
    (end,) = wait_until_told(page, "media_end")
    assert end["playedMs"] == pytest.approx(2_000, abs=100)
    progress = [one["percent"] for one in told(page, "media_progress")]
    assert progress == [25, 50, 75, 100]
    names = [event["name"] for event in page.evaluate("tracked")]
    assert [name for name in names if name != "media_progress"] == [
        "media_play",
        "media_pause",
        "media_play",
        "media_end",
    ]


def test_a_part_that_was_skipped_was_not_played(site: Site, page: Page) -> None:
    open_page(page, site, "media")
    page.click("#plain")
    page.evaluate("sound.play()")
    page.wait_for_function("() => sound.currentTime > 0.2")
    page.evaluate("sound.currentTime = 1.7")
    (end,) = wait_until_told(page, "media_end")
    assert end["positionMs"] == pytest.approx(2_000, abs=100) and end["playedMs"] < 1_200
    assert 100 not in [one["percent"] for one in told(page, "media_progress")]


def test_left_in_the_middle_of_it_how_much_was_heard_is_told(site: Site, page: Page) -> None:
    open_page(page, site, "media")
    page.click("#plain")
    page.evaluate("sound.play()")
    page.wait_for_function("() => sound.currentTime > 0.5")
    page.goto(f"{site.url}/elsewhere")
    leaves = site.wait_for_names("media_leave")
    assert len(leaves) >= 1 and leaves[0]["properties"]["playedMs"] >= 400
