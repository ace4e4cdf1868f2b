"""Each capture of the core, from a real browser to the exported Parquet."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest

from tests.browser.tracked_site import TrackedSite

HIDE = """state => {
  Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
  Object.defineProperty(document, "hidden", { value: state === "hidden", configurable: true });
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
}"""


def test_every_view_counts_once(site: TrackedSite) -> None:
    page = site.open(
        "/p/one?utm_source=news&gclid=x1&password=x", referrer="https://www.google.com/"
    )
    page.evaluate("history.pushState({}, '', '/p/two')")
    page.evaluate("history.replaceState({}, '', '/p/two')")  # the same address
    page.evaluate("location.hash = 'part'")
    page.evaluate("document.title = 'Mail me@x.example'; history.pushState({}, '', '/p/three')")
    page.go_back()
    page.wait_for_url("**/p/two#part")
    site.wait_for_event(page, "page_view", times=5)
    page.close()
    views = site.delivered("page_view", least=5)
    assert [view["path"] for view in views] == ["/p/one", "/p/two", "/p/two", "/p/three", "/p/two"]
    first = views[0]
    assert (first["utm_source"], first["click_id"], first["channel"]) == (
        "news",
        "x1",
        "paid_search",
    )
    assert first["referrer"] == "https://www.google.com/"
    assert "password=x" not in first["url"] and "redacted:secret" in first["url"]
    assert views[1]["referrer"].startswith(f"{site.origin}/p/one")
    assert views[3]["title"] == "Mail [redacted:email]"
    assert len({view["session_id"] for view in views}) == 1
    assert {view["session_index"] for view in views} == {1}


def test_going_back_is_a_view_where_the_page_hears_of_it_first_and_replaces_the_address(
    site: TrackedSite,
) -> None:
    """As Next.js does, whose own listener is there before the tracker's."""
    site.head = (
        "<script>addEventListener('popstate', () =>"
        " history.replaceState(history.state, '', location.href))</script>"
    )
    page = site.open("/p/one")
    for address in ("?x=1", "?x=2", "#part"):
        page.evaluate("address => history.pushState({}, '', address)", address)
    for times in (5, 6, 7):
        page.go_back()
        site.wait_for_event(page, "page_view", times=times)
    page.go_forward()
    site.wait_for_event(page, "page_view", times=8)
    page.evaluate("history.replaceState({}, '', '?x=typed')")
    page.close()
    views = [view["url"].partition("/p/one")[2] for view in site.delivered("page_view", least=8)]
    assert views == ["", "?x=1", "?x=2", "?x=2#part", "?x=2", "?x=1", "", "?x=1"]


def test_an_address_that_is_tidied_up_while_one_goes_back_is_one_view(site: TrackedSite) -> None:
    page = site.open("/p/one")
    for address in ("/p/two?b&a", "/p/three?x=1", "?x=2"):
        page.evaluate("address => history.pushState({}, '', address)", address)
    # It hears of it after the tracker.
    page.evaluate(
        "addEventListener('popstate', () =>"
        " location.search === '?b&a' && history.replaceState({}, '', '?a&b'))"
    )
    for times in (5, 6):
        page.go_back()
        site.wait_for_event(page, "page_view", times=times)
    page.wait_for_url("**/p/two?a&b")
    page.close()
    views = [view["url"].partition("/p/")[2] for view in site.delivered("page_view", least=6)]
    assert views == ["one", "two?b&a", "three?x=1", "three?x=2", "three?x=1", "two?b&a"]


def test_going_back_is_a_view_where_the_page_replaces_by_what_it_kept_of_the_browser(
    site: TrackedSite,
) -> None:
    site.head = """<script>const own = history.replaceState
      addEventListener("popstate", () => own.call(history, {}, "", location.href))</script>"""
    page = site.open("/p/one")
    for address in ("?x=1", "?x=2"):
        page.evaluate("address => history.pushState({}, '', address)", address)
    page.go_back()
    site.wait_for_event(page, "page_view", times=4)
    page.close()
    views = [view["url"].partition("/p/one")[2] for view in site.delivered("page_view", least=4)]
    assert views == ["", "?x=1", "?x=2", "?x=1"]


def test_a_page_that_lets_nobody_go_back_tells_no_view_of_it(site: TrackedSite) -> None:
    site.head = """<script>addEventListener("popstate", () => location.search
      ? history.replaceState({}, "", "/p/login") : history.pushState({}, "", "/p/two"))</script>"""
    page = site.open("/p/one")
    page.evaluate("history.pushState({}, '', '/p/two')")
    page.go_back()
    page.wait_for_url("**/p/two")
    page.evaluate("history.pushState({}, '', '/p/three?x'); history.pushState({}, '', '/p/four')")
    page.go_back()
    page.wait_for_url("**/p/login")
    page.close()
    views = [view["path"] for view in site.delivered("page_view", least=5)]
    assert views == ["/p/one", "/p/two", "/p/three", "/p/four", "/p/login"]


def test_a_title_may_come_late(site: TrackedSite) -> None:
    """Next.js sets it when it has been fetched."""
    page = site.open("/p/one")
    page.evaluate("history.pushState({}, '', '/p/two')")
    page.wait_for_timeout(300)
    page.evaluate("document.title = 'Two'")
    page.click("h1")  # on the way to the next
    page.evaluate("history.pushState({}, '', '/p/three')")
    page.wait_for_timeout(300)
    page.evaluate("document.title = 'Three'")
    page.click("h1")
    page.evaluate("document.title = '(1) Somebody wrote'")
    page.close()
    views = site.delivered("page_view", least=3)
    assert [view["title"] for view in views] == ["A page", "Two", "Three"]


def test_a_title_that_a_page_gives_itself_when_nobody_looks_is_not_the_views(
    site: TrackedSite,
) -> None:
    site.head = """<script>document.addEventListener("visibilitychange", () => {
      document.title = document.hidden ? "Come back!" : "Shop" }, true)</script>"""
    page = site.open("/p/one")
    page.evaluate("history.pushState({}, '', '/p/two')")  # under the same title
    page.wait_for_timeout(300)
    page.evaluate(HIDE, "hidden")
    page.close()
    views = site.delivered("page_view", least=2)
    assert [view["title"] for view in views] == ["A page", "A page"]


def test_a_view_that_the_page_tells_leaves_the_one_before_its_title(site: TrackedSite) -> None:
    page = site.open("/p/one")
    for title in ("Address", "Payment"):
        page.wait_for_timeout(200)  # titles settle in 100 ms
        page.evaluate("title => { document.title = title; sluice.page() }", title)
    page.close()
    views = site.delivered("page_view", least=3)
    assert [view["title"] for view in views] == ["A page", "Address", "Payment"]


def test_a_page_that_is_opened_behind_has_its_title(site: TrackedSite) -> None:
    site.head = """<script>
      Object.defineProperty(document, "hidden", { get: () => true });
      Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
      document.title = "An app"</script>"""
    site.body = """<script>const looking = setInterval(() => {
      if (!window.sluice?.isLoaded) return;
      clearInterval(looking);
      setTimeout(() => document.title = "Shoes", 30);
    }, 5)</script>"""
    page = site.open("/p/one")
    page.wait_for_timeout(300)  # titles settle in 100 ms
    page.close()
    assert [view["title"] for view in site.delivered("page_view")] == ["Shoes"]


def test_a_title_is_waited_for_where_the_view_fills_a_batch_or_something_urgent_follows(
    site: TrackedSite,
) -> None:
    page = site.open("/p/one")
    page.wait_for_function("heard.some(([name]) => name === 'sluice:sent')")
    late = "history.pushState({}, '', '%s'); setTimeout(() => document.title = '%s', 30)"
    page.evaluate("for (let i = 0; i < 18; i++) sluice.track('filler')")
    page.evaluate(late % ("/p/two", "Two"))
    page.wait_for_function("heard.filter(([name]) => name === 'sluice:sent').length > 1")
    page.evaluate(late % ("/p/three", "Three") + "; sluice.track('paid', {}, true)")
    page.wait_for_function("heard.filter(([name]) => name === 'sluice:sent').length > 2")
    page.close()
    views = site.delivered("page_view", least=3)
    assert [view["title"] for view in views] == ["A page", "Two", "Three"]


def test_a_title_may_come_after_the_address_was_tidied_up(site: TrackedSite) -> None:
    site.body = """<script>const looking = setInterval(() => {
      if (!window.sluice?.isLoaded) return;
      clearInterval(looking);
      history.replaceState({}, "", "/p/one");
      setTimeout(() => document.title = "Late", 30);
    }, 5)</script>"""
    page = site.open("/p/one?utm_source=n")
    page.wait_for_timeout(300)  # titles settle in 100 ms
    # A page that hears of going back first: the view that is left keeps its own title.
    page.evaluate("addEventListener('popstate', () => document.title = 'Late')")
    page.evaluate("history.pushState({}, '', '?x'); document.title = 'X'; sluice.track('seen')")
    page.wait_for_timeout(300)
    page.go_back()
    site.wait_for_event(page, "page_view", times=3)
    page.close()
    views = site.delivered("page_view", least=3)
    assert [view["title"] for view in views] == ["Late", "X", "Late"]


def test_what_tells_of_a_view_that_was_left_has_its_title(site: TrackedSite) -> None:
    page = site.open("/p/one")
    page.wait_for_timeout(300)  # of attention
    page.evaluate("document.title = 'Two'; history.pushState({}, '', '/p/two')")
    page.close()
    first, *_ = site.delivered("engagement")
    assert (first["path"], first["title"]) == ("/p/one", "A page")


def test_the_path_of_a_hash_router_counts_when_it_is_replaced(site: TrackedSite) -> None:
    page = site.open("/p/one")
    for address in ("#/", "#/login", "#/home", "#/home?tab=2", "#!/other", "#/цены", "#part"):
        page.evaluate("address => history.replaceState({}, '', address)", address)
    page.close()
    views = [unquote(view["url"].partition("/p/one")[2]) for view in site.delivered("page_view")]
    # The last is /p/one again.
    assert views == ["", "#/login", "#/home", "#!/other", "#/цены", "#part"]


@pytest.mark.chromium("the others may not have the Navigation API")
def test_a_router_on_the_navigation_api_is_heard(site: TrackedSite) -> None:
    site.head = (
        "<script>navigation.addEventListener('navigate', (event) =>"
        " event.canIntercept && event.intercept())</script>"
    )
    site.body = "<a id=next href='/p/two'>Two</a>"
    page = site.open("/p/one")
    page.click("#next")
    site.wait_for_event(page, "page_view", times=2)
    page.evaluate("navigation.navigate('/p/three').finished.then(() => 0)")
    page.evaluate("navigation.navigate('/p/four', { history: 'replace' }).finished.then(() => 0)")
    page.evaluate("navigation.navigate('/p/four?q', { history: 'replace' }).finished.then(() => 0)")
    page.evaluate("navigation.back().finished.then(() => 0)")
    page.evaluate("location.hash = 'part'")
    site.wait_for_event(page, "page_view", times=6)
    page.close()
    views = [view["url"].partition("/p/")[2] for view in site.delivered("page_view", least=6)]
    assert views == ["one", "two", "three", "four", "two", "two#part"]


@pytest.mark.parametrize(
    "said",
    [
        "var navigation = { open() {} }",
        "function navigation() {}",
        "let screen",
        "window.Temporal = {}",
        "var CSS = {}",
        "let CSS = null",
    ],
)
def test_names_that_a_page_has_for_itself_cost_nothing(site: TrackedSite, said: str) -> None:
    site.head = f"<script>{said}</script>"
    site.body = "<button id=b type=button>Buy</button><a href='#' data-sluice-opt-out>No</a>"
    page = site.open("/p/one")
    page.click("button")
    page.evaluate("sluice.track('bought'); history.pushState({}, '', '/p/two')")
    page.go_back()
    site.wait_for_event(page, "page_view", times=3)
    page.evaluate("sluice.flush()")
    page.wait_for_function("heard.some(([name]) => name === 'sluice:sent')")
    page.click("a")
    assert page.evaluate("localStorage.sluice_opt_out") == "1"
    assert not site.heard(page, "sluice:failed")
    page.close()
    told = {row["event_type"] for row in site.delivered()}
    assert told >= {"click", "bought"} and "tracker_error" not in told


def test_clicks_tell_what_was_clicked_and_nothing_private(site: TrackedSite) -> None:
    site.body = """
      <main id=shop style="padding:20px"><button class=b>Buy <b>now</b></button>
      <a id=call href="tel:+41446681800">Call +41 44 668 18 00</a>
      <p id=ignored data-sluice-ignore><button>Never told</button></p>
      <button id=masked data-sluice-mask>Dear Jane</button>
      <label>Name <input id=name value="typed"></label>
      <div id=host></div><p id=plain>Just text, not a control</p></main>
      <script>document.querySelector("#host").attachShadow({ mode: "open" }).innerHTML =
        "<button>In the shadow</button>"</script>"""
    page = site.open()
    page.click(".b", position={"x": 5, "y": 6})
    page.click("#ignored button")
    page.click("#masked")
    page.click("#name")
    page.click("#host >> button")
    page.click("#plain")
    page.focus(".b")
    page.keyboard.press("Enter")
    page.evaluate(
        "document.querySelector('#call').addEventListener('click', e => e.preventDefault())"
    )
    page.click("#call")
    page.close()
    clicks = [row["properties"] for row in site.delivered("click", least=7)]
    buy, masked, field, shadow, plain, key, call = clicks
    assert buy["selector"] == "#shop > button:nth-of-type(1)"
    assert (buy["tag"], buy["text"]) == ("button", "Buy now")
    assert (buy["elementX"], buy["elementY"]) == (7, 8), "from the border box"
    assert buy["x"] > 20 and buy["y"] > 20
    assert masked["selector"] == "#masked" and "text" not in masked
    assert field["selector"] == "#name" and "text" not in field
    assert shadow["text"] == "In the shadow"
    assert plain["selector"] == "#plain" and "text" not in plain
    assert key["text"] == "Buy now" and "x" not in key
    assert call["text"] == "Call [redacted:phone]"
    assert "typed" not in str(clicks) and "Jane" not in str(clicks) and "Never" not in str(clicks)


CENTRE = """() => {
  const box = document.querySelector("#a").getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
}"""
COMPONENTS = """<script>
  const define = (name, html) => customElements.define(name, class extends HTMLElement {
    connectedCallback() { this.attachShadow({ mode: "open" }).innerHTML = html }
  });
  define("x-pay", `<span><button aria-label="Label">
    <slot name=icon></slot> <b><slot></slot></b></button></span>`);
  define("x-tab-button", "<slot></slot>");
  define("x-mask", "<b data-sluice-mask><slot></slot></b>");
  define("x-ignore", "<b data-sluice-ignore><slot></slot></b>");
  define("x-editor-button", "<p contenteditable><slot></slot></p>");
  define("x-slot", "<button><slot data-sluice-mask></slot></button>");
  define("x-quiet", "<button><slot data-sluice-ignore></slot></button>");
  define("x-wrap", "<x-pay><slot></slot></x-pay>");
  define("x-save", "<button><style>b{}</style><slot>Save</slot><noscript>off</noscript></button>");
  define("x-mask-button", "<b data-sluice-mask><slot></slot></b>");
  define("x-deep", "<i><x-mask>Dear Jane</x-mask></i>");
  define("x-ends", "<button><slot name=prefix></slot><slot></slot></button>");
  define("x-number", "044 668 18 00");
  customElements.define("x-own", class extends HTMLElement { get assignedNodes() { return [] } });
  define("x-hushed", "<b data-sluice-ignore>Never</b>");
  customElements.define("x-check", class extends HTMLElement {
    static formAssociated = true;
    connectedCallback() { this.attachShadow({ mode: "open" }).innerHTML = "<b>☑</b>" }
  });
</script>"""
BUTTON = " > span > button"
WITHIN_COMPONENTS = [
    # What is clicked, its place, what is told of its text.
    ("<x-pay id=a><i slot=icon>→</i>Pay <b>now</b></x-pay>", f"#a{BUTTON}", "→ Pay now"),
    ("<x-pay id=a>&nbsp;&nbsp;&nbsp;</x-pay>", f"#a{BUTTON}", "Label"),
    ("<x-pay id=a>jane<wbr>@x.example</x-pay>", f"#a{BUTTON}", "[redacted:email]"),
    ("<x-pay id=a><b data-sluice-mask>Dear Jane</b></x-pay>", f"#a{BUTTON}", None),
    ("<x-pay id=a role=radio>Surgery</x-pay>", f"#a{BUTTON}", None),
    ("<x-pay id=a><x-mask>Dear Jane</x-mask></x-pay>", f"#a{BUTTON}", None),
    ("<x-tab-button id=a>Prices</x-tab-button>", "#a", "Prices"),
    ("<x-editor-button id=a>What I wrote</x-editor-button>", "#a", None),
    ("<x-messages-tab><i id=a>Dear Jane</i></x-messages-tab>", "#a", None),
    ("<x-mask><button id=a>Dear Jane</button></x-mask>", "#a", None),
    ("<form><input name=matches><x-pay id=a>Odd</x-pay></form>", f"#a{BUTTON}", "Odd"),
    ("<form><input name=parentElement><x-pay id=a>Odd</x-pay></form>", f"#a{BUTTON}", "Odd"),
    ("<form><input name=assignedSlot><i id=a>Plain</i></form>", "#a", None),
    ("<iframe name=documentElement></iframe><button id=a>Go</button>", "#a", "Go"),
    ("<x-slot id=a>Dear Jane</x-slot>", "#a > button", None),
    ("<x-wrap id=a>Pay</x-wrap>", f"#a > x-pay{BUTTON}", "Pay"),
    ("<button id=a><x-wrap>Pay</x-wrap> now</button>", f"#a > x-wrap > x-pay{BUTTON}", "Pay"),
    ("<button id=a>Dear <i>you</i><x-mask>Jane</x-mask></button>", "#a", None),
    # What stands apart is apart: else nothing is found in it.
    (
        "<x-ends id=a><i slot=prefix>Call</i>044 668 18 00</x-ends>",
        "#a > button",
        "Call [redacted:phone]",
    ),
    ("<button id=a>Call<x-number></x-number></button>", "#a", "Call [redacted:phone]"),
    ("<button id=a><div>Jane</div>044 668 18 00</button>", "#a", "Jane [redacted:phone]"),
    ("<button id=a>Go<x-own></x-own></button>", "#a", "Go"),
    (
        "<div role=button id=a>Go<form><output name=childNodes></output></form></div>",
        "#a",
        "Go",
    ),
    ("<x-save id=a>Keep</x-save>", "#a > button", "Keep"),
    ("<x-save id=a></x-save>", "#a > button", "Save"),
    (f"<button id=a>{' ' * 1_000}Buy</button>", "#a", "Buy"),
    ("<button id=a><style>b { top: 0 }</style>Buy</button>", "#a", "Buy"),
    ("<x-pay id=a><form><input type=hidden name=matches>No</form></x-pay>", f"#a{BUTTON}", None),
]


@pytest.mark.parametrize(("body", "selector", "text"), WITHIN_COMPONENTS)
def test_a_click_within_a_component_is_told_as_the_page_shows_it(
    site: TrackedSite, body: str, selector: str, text: str | None
) -> None:
    site.body = COMPONENTS + body
    page = site.open()
    # Not by Playwright's own way, which takes a form's field for its method.
    page.mouse.click(*page.evaluate(CENTRE))
    click = site.wait_for_event(page, "click")["properties"]
    assert (click["selector"], click.get("text")) == (selector, text)
    page.close()


@pytest.mark.parametrize("name", ["x-mask-button", "x-slot"])
def test_a_mask_around_a_components_slot_holds_when_nobody_points_at_it(
    site: TrackedSite, name: str
) -> None:
    site.body = f"{COMPONENTS}<{name} id=a>Dear Jane</{name}>"
    page = site.open()
    page.evaluate("(a.shadowRoot.querySelector('button') || a).click()")
    assert "text" not in site.wait_for_event(page, "click")["properties"]
    page.close()


@pytest.mark.parametrize(
    "choice",
    [
        *("role=checkbox", "role=switch", "role=radio", "role=option", "role=combobox"),
        *("role=menuitemradio", "role=menuitemcheckbox", "aria-haspopup=listbox", "role=RADIO"),
    ],
)
def test_what_is_chosen_in_a_control_of_the_pages_own_is_not_told(
    site: TrackedSite, choice: str
) -> None:
    site.body = f"<button id=a {choice} aria-label=Surgery>Surgery</button>"
    page = site.open()
    page.click("#a")
    click = site.wait_for_event(page, "click")["properties"]
    assert click["selector"] == "#a" and "text" not in click
    page.close()


@pytest.mark.parametrize(
    ("body", "selectors"),
    [
        # A component's press may be told by nothing else; a video in a label takes its own.
        ("<label id=a>News <x-check></x-check></label>", ["#a"]),
        ("<label id=l><video id=a controls width=300></video><input hidden></label>", ["#l"]),
        # The page removes it, passes the press on later, or to others.
        ("<label onclick=take(event)><i id=a>x</i><input></label>", ["html > body > label"]),
        ("<label id=a for=b onclick=take(event,b)>x</label><input id=b>", ["#b"]),
        # Or tells the document, which is no field.
        (
            "<label id=a for=b onclick=\"take(event);document.dispatchEvent(new Event('click'))\">"
            "x</label><input id=b>",
            ["#a"],
        ),
        (
            "<label onclick=pass(event,b,c)><i id=a>x</i><input id=b></label><input id=c>",
            ["#b", "#c"],
        ),
    ],
)
def test_a_press_of_a_label_is_told_once(
    site: TrackedSite, body: str, selectors: list[str]
) -> None:
    site.body = f"""{COMPONENTS}<script>
      const take = (event, field) => {{
        event.preventDefault();
        if (event.currentTarget.querySelector("#a")) event.currentTarget.remove();
        setTimeout(() => field?.click());
      }};
      const pass = (event, ...fields) => {{
        if (fields.includes(event.target)) return;
        event.preventDefault();
        for (const field of fields) field.click();
      }}</script>{body}"""
    page = site.open()
    page.mouse.click(*page.evaluate(CENTRE))
    site.wait_for_event(page, "click")
    page.wait_for_timeout(100)  # what is to be told by itself waits for another click
    told = [detail["event"] for detail in site.heard(page)]
    clicks = [event["properties"] for event in told if event["eventType"] == "click"]
    assert [click["selector"] for click in clicks] == selectors
    page.close()


@pytest.mark.chromium("Playwright's other engines have no middle button")
def test_the_middle_button_on_a_label_is_told(site: TrackedSite) -> None:
    site.body = "<label id=a>News <input type=checkbox></label>"
    page = site.open()
    page.click("#a", button="middle", position={"x": 5, "y": 5})
    assert site.wait_for_event(page, "click")["properties"]["selector"] == "#a"
    page.close()


def test_a_link_around_a_component_is_the_clicks(site: TrackedSite) -> None:
    site.body = COMPONENTS + '<a href="https://other.example/"><x-pay id=a>Away</x-pay></a>'
    page = site.open()
    page.click("#a")
    page.close()
    (click,) = site.delivered("click")
    assert click["properties"]["href"] == "https://other.example/"
    assert (click["properties"]["outbound"], click["properties"]["text"]) == (True, "Away")


def test_what_is_slotted_into_something_ignored_or_masked_is_not_told(site: TrackedSite) -> None:
    site.attributes = "data-selection-text"
    site.body = (
        COMPONENTS
        + """<x-ignore>Never <button id=never>told</button></x-ignore>
      <x-mask id=masked>Dear Jane</x-mask><x-quiet>Never</x-quiet>"""
    )
    page = site.open()
    page.click("#never")
    page.click("x-quiet")
    page.dblclick("x-ignore", position={"x": 9, "y": 9})
    page.wait_for_timeout(800)  # a selection settles in 700 ms; nothing is to come of it
    page.dblclick("#masked")
    selected = site.wait_for_event(page, "text_select")
    assert set(selected["properties"]) == {"length"}
    page.close()
    assert [click["properties"]["selector"] for click in site.delivered("click", least=2)] == [
        "#masked > b"
    ] * 2


def test_a_label_whose_press_the_page_keeps_from_its_field_tells_of_it_itself(
    site: TrackedSite,
) -> None:
    site.body = """<label for=alerts onclick="event.preventDefault()">Alerts</label>
      <label for=news>News</label><input id=alerts type=checkbox><input id=news type=checkbox>
      <label for=own onclick="event.preventDefault(); own.click()">Own</label>
      <input id=own type=checkbox>"""
    page = site.open()
    for label in ("Alerts", "News", "Own"):
        page.click(f"text={label}")
    page.close()
    clicks = [row["properties"] for row in site.delivered("click", least=3)]
    assert [(click["selector"], click.get("text")) for click in clicks] == [
        ("html > body > label:nth-of-type(1)", None),  # what somebody chooses is theirs
        ("#news", None),
        ("#own", None),
    ]


def test_a_label_whose_field_takes_no_press_tells_of_it_itself(site: TrackedSite) -> None:
    site.body = "<label for=size>Sold out</label><input id=size type=checkbox disabled>"
    page = site.open()
    page.click("label", force=True)  # a visitor presses what a script would wait for
    page.close()
    (click,) = site.delivered("click")
    assert (click["properties"]["tag"], click["properties"]["text"]) == ("label", "Sold out")


def test_outbound_links_and_downloads_are_told_at_once(site: TrackedSite) -> None:
    site.body = """<a id=out href="https://other.example/x?token=t&a=1">Out</a>
      <a id=file href="/p/price-list.PDF">List</a><a id=in href="/p/two">In</a>"""
    page = site.open()
    for link in ("#out", "#file", "#in"):
        page.evaluate(
            f"document.querySelector('{link}').addEventListener('click', e => e.preventDefault())"
        )
    page.click("#out")
    page.wait_for_function("heard.some(([name]) => name === 'sluice:sent')")
    page.click("#file")
    page.click("#in")
    page.close()
    out, file, inside = [row["properties"] for row in site.delivered("click", least=3)]
    assert out["outbound"] is True and "download" not in out
    assert out["href"] == "https://other.example/x?token=[redacted:secret]&a=1"
    assert file["download"] is True and "outbound" not in file
    assert "outbound" not in inside and "download" not in inside


def test_a_submitted_form_is_told_without_its_values(site: TrackedSite) -> None:
    site.body = """<form id=order name=order action="/p/done?token=t" method=post>
      <input name=name value="Jane"><input type=password name=action value="hunter2">
      <button>Go</button></form>"""
    page = site.open()
    page.click("#order button")
    page.wait_for_url("**/p/done**")
    page.close()
    (form,) = site.delivered("form_submit")
    assert form["properties"] == {
        "selector": "#order",
        "form": "order",
        "action": "/p/done?token=[redacted:secret]",
        "method": "post",
        "fields": 3,
    }
    assert "Jane" not in str(site.rows()) and "hunter2" not in str(site.rows())


def test_selections_and_copies_tell_their_length_only(site: TrackedSite) -> None:
    site.body = (
        "<p id=text>Write to me@x.example today</p><textarea id=area>My own words</textarea>"
    )
    page = site.open()
    select = "id => getSelection().selectAllChildren(document.querySelector(id))"
    page.evaluate(select, "#text")
    selected = site.wait_for_event(page, "text_select")
    assert selected["properties"] == {"length": 27}
    page.evaluate("document.execCommand('copy')")
    assert site.wait_for_event(page, "copy")["properties"] == {"length": 27}
    page.focus("#area")
    page.keyboard.press("Control+A")
    page.keyboard.press("Control+C")
    page.close()
    rows = site.delivered("copy") + site.rows("text_select")
    assert [row["properties"]["length"] for row in rows] == [27, 27]


def test_selected_text_is_told_where_the_page_asks_for_it_redacted(site: TrackedSite) -> None:
    site.attributes = "data-selection-text"
    site.body = "<p id=text>Write to me@x.example today</p>"
    page = site.open()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#text'))")
    site.wait_for_event(page, "text_select")
    page.close()
    (row,) = site.delivered("text_select")
    assert row["properties"] == {"length": 27, "text": "Write to [redacted:email] today"}


def test_scroll_depth_is_told_by_quarters_once_a_view(site: TrackedSite) -> None:
    site.body = '<div style="height:5000px">tall</div>'
    page = site.open()
    page.evaluate("scrollTo(0, 1500)")
    site.wait_for_event(page, "scroll_depth")
    page.evaluate("scrollTo(0, 0)")
    page.evaluate("scrollTo(0, 5000)")
    site.wait_for_event(page, "scroll_depth", times=4)
    page.evaluate("history.pushState({}, '', '/p/two'); scrollTo(0, 0)")
    page.evaluate("scrollTo(0, 1400)")
    site.wait_for_event(page, "scroll_depth", times=5)
    page.close()
    rows = [
        (row["path"], row["properties"]["percent"])
        for row in site.delivered("scroll_depth", least=5)
    ]
    one = [("/p/one", percent) for percent in (25, 50, 75, 100)]
    assert rows == [*one, ("/p/two", 25)]


def test_engaged_time_is_told_as_increments_for_the_view_it_was_spent_on(site: TrackedSite) -> None:
    page = site.open()
    page.wait_for_timeout(1_500)  # time itself is what is measured
    page.evaluate("history.pushState({}, '', '/p/two')")
    page.wait_for_timeout(700)
    page.evaluate(HIDE, "hidden")
    page.wait_for_timeout(1_500)  # away: this does not count
    page.evaluate(HIDE, "visible")
    page.wait_for_timeout(400)
    page.close()
    spent = [
        (row["path"], row["properties"]["engagedMs"])
        for row in site.delivered("engagement", least=3)
    ]
    assert [path for path, _ in spent] == ["/p/one", "/p/two", "/p/two"]
    (_, one), (_, two), (_, three) = spent
    assert 1_300 <= one <= 3_500 and 600 <= two <= 2_000 and 300 <= three <= 1_400, spent
    states = [row["properties"]["state"] for row in site.rows("visibility_change")]
    assert states[:2] == ["hidden", "visible"]


_NOTE_BODIES = """
const { fetch } = window;
window.fetch = (address, options) => {
  localStorage[location.pathname] = (localStorage[location.pathname] || "") + options.body + "\\n";
  return fetch(address, options);
};
"""


def test_a_page_that_is_left_hands_over_all_it_has_in_one_request(site: TrackedSite) -> None:
    site.attributes = 'data-flush-seconds="60"'  # however slow the machine
    site.context.add_init_script(_NOTE_BODIES)
    page = site.open("/p/left")
    page.evaluate("sluice.track('last')")
    site.go(page, "/p/next")
    (body,) = page.evaluate("localStorage['/p/left']").splitlines()
    told = [event["eventType"] for event in json.loads(body)["events"]]
    assert told[:2] == ["page_view", "last"]
    assert told.count("visibility_change") == 1


def test_focus_is_told_where_it_is_switched_on_and_anything_else_can_be_off(
    site: TrackedSite,
) -> None:
    site.attributes = 'data-off="clicks views engagement scroll visibility"'
    page = site.open()
    page.click("h1")
    page.evaluate("dispatchEvent(new Event('blur')); dispatchEvent(new Event('focus'))")
    page.evaluate("sluice.track('own')")
    page.close()
    rows = site.delivered(least=3)
    told = [(row["event_type"], row["properties"].get("focused")) for row in rows]
    assert told == [("focus_change", False), ("focus_change", True), ("own", None)]


def test_the_page_sees_no_error_and_is_told_of_none_twice(site: TrackedSite) -> None:
    site.head = """<script>
      document.addEventListener("click", () => { throw Error("the page's own") })</script>"""
    page = site.open()
    page.evaluate(
        "sluice('nope'); sluice('use', 'no-such-plugin'); sluice('track', {}, 7); sluice()"
    )
    page.evaluate(
        "const a = {}; a.a = a; sluice.track('cyclic', a);"
        "sluice.track('big', { text: 'x'.repeat(40000) })"
    )
    page.click("h1")
    page.close()
    rows = site.delivered("tracker_error")
    assert len(rows) == 1, rows
    assert [row["properties"] for row in site.rows("cyclic") + site.rows("big")] == [{}, {}]
    assert site.errors == ["the page's own"]
    site.errors.clear()


def test_masks_hold_in_shadow_roots_and_selections(site: TrackedSite) -> None:
    site.attributes = "data-selection-text"
    site.body = """<div id=host data-sluice-mask></div>
      <script>document.querySelector("#host").attachShadow({ mode: "open" }).innerHTML =
        "<button>Dear Jane</button><input id=typed value=secret>"</script>
      <p id=around>Before <b data-sluice-mask>Jane Doe</b> after</p>
      <p id=wide>Before <b data-sluice-ignore>never</b> after</p>"""
    page = site.open()
    page.click("#host >> button")
    select = "id => getSelection().selectAllChildren(document.querySelector(id))"
    page.evaluate(select, "#around")
    around = site.wait_for_event(page, "text_select")
    assert around["properties"] == {"length": 21}
    page.evaluate(select, "#wide")
    page.focus("#host >> #typed")
    page.keyboard.press("Control+A")
    page.keyboard.press("Control+C")
    page.wait_for_timeout(800)  # a selection settles in 700 ms; nothing is to come of it
    page.close()
    (click,) = site.delivered("click")
    assert "text" not in click["properties"]
    assert len(site.rows("text_select")) == 1 and site.rows("copy") == []


@pytest.mark.parametrize(
    ("within", "told"),
    [
        ("<x-mask>Jane</x-mask>", {"length"}),
        ("<x-deep></x-deep>", {"length"}),
        ("<x-save>Keep</x-save>", {"length", "text"}),
        ("<x-ignore>never</x-ignore>", None),
        ("<x-hushed></x-hushed>", None),
    ],
)
def test_selected_components_keep_what_they_mask_or_ignore(
    site: TrackedSite, within: str, told: set[str] | None
) -> None:
    site.attributes = "data-selection-text"
    site.body = f"{COMPONENTS}<p id=text>Dear <b>{within}</b> and so on</p>"
    page = site.open()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#text'))")
    if told:
        assert set(site.wait_for_event(page, "text_select")["properties"]) == told
    page.wait_for_timeout(800)  # a selection settles in 700 ms
    events = [detail["event"]["eventType"] for detail in site.heard(page)]
    assert events.count("text_select") == (1 if told else 0)
    page.close()


@pytest.mark.parametrize(
    ("body", "selector"),
    [
        (
            "<button>Go</button><input form=f name=nextElementSibling><form id=f></form>",
            "html > body > button",
        ),
        (
            "<form><input form=f name=previousElementSibling></form><form id=f></form>"
            "<button>Go</button>",
            "html > body > button",
        ),
        (
            "<form><input name=parentElement><button type=button>Go</button></form>",
            "html > body > form > button",
        ),
        ("<fb:like><button>Go</button></fb:like>", "html > body > fb\\:like > button"),
    ],
)
def test_a_selector_finds_what_was_clicked(site: TrackedSite, body: str, selector: str) -> None:
    site.body = body
    page = site.open()
    # By another way than Playwright's own, which takes a form's field for its parent.
    page.mouse.click(*page.evaluate(CENTRE.replace("#a", "button")))
    assert site.wait_for_event(page, "click")["properties"]["selector"] == selector
    assert page.evaluate("selector => document.querySelector(selector).localName", selector)
    page.close()


def test_links_within_drawings_lead_away_too(site: TrackedSite) -> None:
    site.body = """<svg xmlns:xlink="http://www.w3.org/1999/xlink" onclick="event.preventDefault()">
      <a xlink:href="https://other.example/"><text y=20>Map</text></a>
      <a href="list.pdf"><text y=50>List</text></a></svg>
      <p onclick="event.preventDefault()"><a href="mailto:jane@x.zip">Write</a></p>"""
    page = site.open()
    for text in ("Map", "List", "Write"):
        page.click(f"text={text}")
    page.close()
    clicks = [row["properties"] for row in site.delivered("click", least=3)]
    assert [(one["href"], one.get("outbound"), one.get("download")) for one in clicks] == [
        ("https://other.example/", True, None),
        ("list.pdf", None, True),
        ("mailto:", None, None),
    ]


def test_fields_called_like_an_elements_own_properties_break_nothing(site: TrackedSite) -> None:
    site.body = """<form id=booking name=title action="/p/done"><input name=children value=2>
      <input name=elements><input name=id><button>Book</button></form>"""
    page = site.open()
    page.click("#booking button")
    page.wait_for_url("**/p/done**")
    page.close()
    (click,) = site.delivered("click")
    assert click["properties"]["selector"] == "#booking > button"
    (form,) = site.rows("form_submit")
    assert (form["properties"]["form"], form["properties"]["fields"]) == ("booking", 4)


def test_links_of_other_kinds_tell_their_kind_only(site: TrackedSite) -> None:
    site.body = """<a id=data href="data:text/csv,name%0AJane" download>Export</a>
      <a id=mail href="mailto:jane@x.example">Write</a><label for=name>Name</label>
      <input id=name><div onclick="void 0">A whole card of text</div>"""
    page = site.open()
    stop = "id => document.querySelector(id).addEventListener('click', e => e.preventDefault())"
    for link in ("#data", "#mail"):
        page.evaluate(stop, link)
        page.click(link)
    page.click("label")
    page.click("div")
    page.close()
    clicks = [row["properties"] for row in site.delivered("click", least=4)]
    assert [click.get("href") for click in clicks] == ["data:", "mailto:", None, None]
    assert [click["tag"] for click in clicks] == ["a", "a", "input", "div"]
    assert "text" not in clicks[3]


def test_a_form_that_a_script_carries_out_tells_that_only(site: TrackedSite) -> None:
    """React gives its forms an address that throws a long explanation."""
    site.body = """<form action="javascript:throw new Error('Unexpectedly submitted')">
      <button>Send</button></form><script>document.querySelector("form").onsubmit = () => false
      </script>"""
    page = site.open()
    page.click("button")
    page.close()
    (form,) = site.delivered("form_submit")
    assert form["properties"]["action"] == "javascript:"


def test_an_address_that_is_only_tidied_up_is_the_same_view(site: TrackedSite) -> None:
    page = site.open("/p/one?utm_source=n")
    page.evaluate("history.replaceState({}, '', '/p/one')")
    page.evaluate("history.replaceState({}, '', '/p/one?q=s')")
    page.evaluate("history.replaceState({}, '', '/p/two')")
    assert page.evaluate("history.pushState({}, '', '/p/two?page=2')") is None
    page.close()
    rows = site.delivered("page_view", least=3)
    assert [row["url"].partition("/p/")[2] for row in rows] == [
        "one?utm_source=n",
        "two",
        "two?page=2",
    ]
