"""Pages as they are: built-ins replaced, names taken, tags that something else runs, closed roots.

Not here, since Playwright needs them itself: a page with a `Map` or a `Set` of its own.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.tracked_site import TrackedSite

PROTOTYPE_1_6 = """Array.prototype.toJSON = function () {
  return "[" + this.map((one) => JSON.stringify(one)).join(", ") + "]" }"""
DATEJS = """Date.parse = () => null; const now = Date.now; Date.now = () => new Date(now())"""
PROTOTYPE_1_6_0_2 = """Element = Object.assign((name) => document.createElement(name), {})"""
KEPT = """() => new Promise((resolve) => {
  indexedDB.open("sluice").onsuccess = ({ target: { result } }) =>
    (result.transaction("events").objectStore("events").getAll().onsuccess = (event) => {
      result.close();
      resolve(event.target.result.map((record) => record.event.eventType));
    });
})"""


@pytest.mark.parametrize(
    "head",
    [
        PROTOTYPE_1_6,
        PROTOTYPE_1_6_0_2,
        DATEJS,
        "Object.prototype.each = () => {}",
        "function dispatchEvent() { throw Error('broken') }",
    ],
    ids=["Prototype.js", "Prototype.js 1.6.0.2", "Datejs", "Object.prototype", "dispatchEvent"],
)
def test_what_a_page_has_replaced_costs_no_event(site: TrackedSite, head: str) -> None:
    site.head = f"<script>{head}</script>"
    site.body = "<button type=button>Buy</button>"
    page = site.open("/p/one")
    site.context.route("**/collect", lambda route: route.abort())
    page.click("button")
    page.evaluate("sluice.track('bought', { value: 12 }, true)")
    page.wait_for_timeout(300)  # a request fails, and what waits is kept
    site.context.unroute("**/collect")
    site.go(page, "/p/two")
    page.evaluate("sluice.track('later', {}, true)")
    page.wait_for_function(
        "performance.getEntriesByType('resource')"
        ".filter((one) => /collect/.test(one.name)).length > 1"
    )  # what was left is sent
    page.close()
    site.delivered("later")
    rows = site.rows()
    assert {row["event_type"] for row in rows} >= {"page_view", "click", "bought"}
    assert {row["session_id"] for row in rows} == {rows[0]["session_id"]}
    assert len({row["event_id"] for row in rows}) == len(rows)


def test_a_tag_that_something_else_runs_is_heeded_all_the_same(site: TrackedSite) -> None:
    # Another product's tag says what ours says, too.
    site.head = '<script type="text/plain" src="/other.js" data-site-id="other"></script>'
    site.attributes = 'type="module" data-consent="pending" data-sluice'
    page = site.open()
    page.evaluate("sluice.track('before')")
    page.wait_for_timeout(300)  # nothing is to come of it
    assert page.evaluate("Object.keys(localStorage)") == []
    page.evaluate("sluice.consent('granted')")
    page.close()
    assert {row["consent"] for row in site.delivered("before")} == {"granted"}


def test_a_tag_that_cannot_be_found_tells_nothing(site: TrackedSite) -> None:
    """What its page asks for is not known then: perhaps to wait for consent."""
    site.body = """<script>const root = document.documentElement.appendChild(
        document.createElement("x-root")).attachShadow({ mode: "open" });
      const tag = document.createElement("script");
      tag.src = "/js/tracking.js?hidden";
      Object.assign(tag.dataset, { name: "other", consent: "pending" });
      tag.onload = () => document.body.dataset.loaded = "yes";
      root.append(tag)</script>"""
    site.attributes = 'type="text/plain"'
    page = site.context.new_page()
    page.goto(f"{site.origin}/p/one")
    page.wait_for_function("document.body.dataset.loaded")
    assert page.evaluate("Object.keys(localStorage)") == []
    page.close()


@pytest.mark.parametrize(
    "body",
    [
        "<div id=root></div><script>document.querySelector('#root').attachShadow({ mode: 'open' })"
        ".innerHTML = '<a href=# data-sluice-opt-out>No</a>'</script>",
        "<a href='#' data-sluice-opt-out>No</a>"
        "<script>addEventListener('click', (event) => event.stopPropagation(), true)</script>",
        "<a href='#' data-sluice-opt-out>No</a>"
        "<script>function dispatchEvent(element, name) { element.fireEvent('on' + name) }</script>",
    ],
    ids=["in a component", "where clicks are stopped", "where the page dispatches its own way"],
)
def test_an_opt_out_is_heard(site: TrackedSite, body: str) -> None:
    site.body = body
    page = site.open()
    page.click("a")
    page.wait_for_function("localStorage.sluice_opt_out === '1'")
    page.close()


def _type_and_copy(page: Page, focus: str) -> None:
    page.evaluate(focus)
    page.keyboard.type("my secret words")
    page.keyboard.press("Control+A")
    page.wait_for_timeout(800)  # a selection settles in 700 ms
    page.keyboard.press("Control+C")


@pytest.mark.parametrize("field", ["<input>", "<textarea></textarea>", "<p contenteditable>.</p>"])
def test_what_is_typed_in_a_closed_root_is_not_told(site: TrackedSite, field: str) -> None:
    site.attributes = "data-selection-text"
    site.body = f"""<p>Hello</p><div id=root></div><script>
      window.root = document.querySelector("#root").attachShadow({{ mode: "closed" }});
      root.innerHTML = "{field}"</script>"""
    page = site.open()
    _type_and_copy(page, "root.firstChild.focus()")
    page.evaluate("sluice.track('done')")
    page.close()
    site.delivered("done")
    assert site.rows("text_select") == site.rows("copy") == []


def test_what_is_typed_into_a_whole_page_is_not_told(site: TrackedSite) -> None:
    site.attributes = "data-selection-text"
    page = site.open()
    _type_and_copy(page, "document.designMode = 'on'; document.body.focus()")
    page.evaluate("sluice.track('done')")
    page.close()
    site.delivered("done")
    assert not [row for row in site.rows() if "text" in row["properties"]]


def test_what_was_typed_into_an_editor_that_is_locked_is_not_told(site: TrackedSite) -> None:
    site.attributes = "data-selection-text"
    site.body = """<button>Saved <b contenteditable=false>my words</b></button>
      <p contenteditable=false>my note</p>"""
    page = site.open()
    page.click("button")
    page.click("p", click_count=3)
    page.wait_for_timeout(800)  # a selection settles in 700 ms
    page.close()
    (click,) = [row for row in site.delivered("click") if row["properties"]["tag"] == "button"]
    assert "text" not in click["properties"]
    assert not [row for row in site.rows() if "my" in row["properties"].get("text", "")]


def test_a_copy_of_what_an_editor_shows_to_be_read_is_told(site: TrackedSite) -> None:
    site.attributes = "data-selection-text"
    site.body = "<article contenteditable=false><p>The published words</p></article>"
    page = site.open()
    page.click("p", click_count=3)
    page.wait_for_timeout(800)  # a selection settles in 700 ms
    page.keyboard.press("Control+C")
    page.close()
    (copy,) = site.delivered("copy")
    assert copy["properties"] == {"length": len("The published words")}


def test_what_is_ignored_within_a_component_is_not_told(site: TrackedSite) -> None:
    site.attributes = "data-selection-text"
    site.body = """<div id=root></div><script>document.querySelector("#root")
      .attachShadow({ mode: "open" }).innerHTML =
      "<p data-sluice-ignore style='margin: 0'>private words</p>"</script>"""
    page = site.open()
    page.click("#root >> p", click_count=3)
    page.wait_for_timeout(800)  # a selection settles in 700 ms
    page.evaluate("sluice.track('done')")
    page.close()
    site.delivered("done")
    assert site.rows("text_select") == []


def test_properties_of_a_frame_and_without_a_prototype_are_told(site: TrackedSite) -> None:
    site.body = "<iframe id=checkout srcdoc='<p>Pay</p>'></iframe>"
    page = site.open()
    page.evaluate("""
      const frame = document.querySelector("#checkout").contentWindow;
      sluice.track("bought", frame.eval("({ value: 12 })"));
      sluice.track("matched", /(?<size>L)/.exec("L").groups);
      sluice.track("dated", new Date());
      sluice.identify({ plan: "pro" })""")
    page.close()
    told = {row["event_type"]: row["properties"] for row in site.delivered("dated")}
    told |= {row["event_type"]: row["properties"] for row in site.rows()}
    assert (told["bought"], told["matched"], told["dated"]) == ({"value": 12}, {"size": "L"}, {})
    assert "identify" not in told


@pytest.mark.parametrize(
    "more",
    [
        "<form name=host><input></form>",
        "<form name=referrer><input></form>",
        "<script>addEventListener('load', () =>"
        " document.querySelector('button').control = { id: 1 })</script>",
    ],
    ids=["host", "referrer", "ASP.NET"],
)
def test_what_elements_are_called_costs_no_event(site: TrackedSite, more: str) -> None:
    site.body = f"{more}<form id='leave-jane@x.example' action='/p/done'><button>Go</button></form>"
    page = site.open()
    page.click("button:has-text('Go')")
    page.wait_for_url("**/p/done**")
    page.close()
    views = site.delivered("page_view", least=2)
    assert [(view["referrer"] or "http://").split(":")[0] for view in views] == ["http"] * 2
    (click,) = site.rows("click")
    assert click["properties"]["text"] == "Go"
    (form,) = site.rows("form_submit")
    assert form["properties"]["form"] == "[redacted:email]"


@pytest.mark.parametrize(
    "more",
    ["<div id=localName></div>", "<form name=localName></form>", "<script>var localName</script>"],
)
def test_something_called_like_an_elements_property_costs_no_event(
    site: TrackedSite, more: str
) -> None:
    site.body = f"<p id=text>Some words</p><button>Go</button>{more}"
    page = site.open()
    page.click("#text", click_count=3)
    site.wait_for_event(page, "text_select")
    page.click("button")
    page.close()
    clicks = site.delivered("click", least=4)
    assert [row["properties"]["tag"] for row in clicks] == ["p", "p", "p", "button"]
    assert not site.rows("tracker_error")


def test_plugins_do_without_the_pages_own_element(site: TrackedSite) -> None:
    site.head = "<script>Element = (name) => document.createElement(name)</script>"
    site.attributes = 'data-plugins="impressions frustration errors"'
    site.body = """<div data-widget-tracking data-post-id=1><button id=go>Go</button></div>
      <img id=image>"""
    page = site.open()
    site.wait_for_event(page, "widget_impression")
    page.click("#go", click_count=6)
    page.evaluate("document.querySelector('#image').src = '/js/none.png'")
    site.wait_for_event(page, "rage_click")
    site.wait_for_event(page, "resource_error")
    page.close()
    assert len(site.delivered("widget_click", least=6)) == 6
    assert not site.rows("js_error") and not site.rows("tracker_error")


@pytest.mark.chromium("what it asks the browser only Chromium is asked")
def test_events_are_kept_after_somebody_cleared_the_sites_data(site: TrackedSite) -> None:
    site.context.route("**/collect", lambda route: route.abort())
    page = site.open()
    page.wait_for_function(f"({KEPT})().then((kept) => kept.length)")
    devtools = site.context.new_cdp_session(page)
    given = {"origin": site.origin, "storageTypes": "indexeddb"}
    devtools.send("Storage.clearDataForOrigin", given)
    page.wait_for_timeout(200)  # until the page's connection was closed
    page.evaluate("sluice.track('later')")
    page.wait_for_timeout(200)
    assert page.evaluate(KEPT) == ["later"]
    page.close()


def test_captures_are_switched_off_with_commas_too(site: TrackedSite) -> None:
    site.attributes = 'data-off="clicks, views, scroll,focus"'
    page = site.open()
    page.click("h1")
    page.evaluate("sluice.track('own')")
    page.close()
    site.delivered("own")
    assert {row["event_type"] for row in site.rows()} <= {"own", "engagement", "visibility_change"}
