"""What the plugins for search, shops, forms, experiments and consent tell, in a real browser.

Each runs as it is built, under a policy that allows no script but the site's own, with a host that
writes down what it is told.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.plugin_site import Site, build_chunks, serving_plugins


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_chunks(tmp_path_factory.mktemp("built"))


@pytest.fixture
def site(dist: Path) -> Iterator[Site]:
    with serving_plugins(dist) as site:
        yield site


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new visitor's tab; whatever the page and the plugin do, no error may be seen."""
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    yield page
    assert [error for error in errors if "favicon" not in error] == []
    assert kept(page, "errors") == [], "errors that the plugin kept from the page"
    context.close()


def visit(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("html[data-ready]", state="attached")


def kept(page: Page, key: str, count: int = 0) -> list[Any]:
    """What was said so far under this key, once it is as much. Asked again and again from here:
    `wait_for_function` needs `eval`, which the site does not allow."""
    until = time.monotonic() + 8
    while True:
        said = page.evaluate("key => JSON.parse(localStorage.getItem(key) || '[]')", key)
        if len(said) >= count:
            return said  # type: ignore[no-any-return]
        assert time.monotonic() < until, f"{count} were to come, and these came: {said}"
        page.wait_for_timeout(50)


def told(page: Page, count: int = 0) -> list[Any]:
    """The events told so far, `[type, properties]` each, once there are as many."""
    return kept(page, "told", count)


# Search

RESULTS = '<p data-sluice-results>1,234 things for “wool”</p><a href="?q=wool&page=2">Next</a>'


def test_a_page_of_results_tells_the_search_and_its_next_page_does_not(
    site: Site, page: Page
) -> None:
    visit(page, site.page("/results", "search", RESULTS, search_filters="color") + "?q=wool+socks")
    assert told(page, 1) == [["search", {"query": "wool socks", "results": 1234}]]
    visit(page, f"{site.url}/results?q=wool&color=red&color=blue&size=9")
    filtered = ["search", {"query": "wool", "filters": {"color": "red,blue"}, "results": 1234}]
    assert told(page, 2)[1:] == [filtered]
    visit(page, f"{site.url}/results?q=ann@mail.example")
    assert told(page, 3)[2][1]["query"] == "[redacted:email]"
    visit(page, f"{site.url}/results?q=wool")
    told(page, 4)
    page.get_by_role("link", name="Next").click()
    page.wait_for_url("**page=2")
    page.wait_for_selector("html[data-ready]", state="attached")
    page.wait_for_timeout(500)
    assert len(told(page)) == 4


@pytest.mark.parametrize("body", ['<b data-sluice-results="0"></b>', "<b data-sluice-no-results>"])
def test_a_search_without_results_has_failed(site: Site, page: Page, body: str) -> None:
    visit(page, site.page("/results", "search", body) + "?query=unicorn")
    expected = [
        ["search", {"query": "unicorn", "results": 0}],
        ["search_failed", {"query": "unicorn"}],
    ]
    assert told(page, 2) == expected


def test_what_is_typed_is_no_search_until_the_address_says_so(site: Site, page: Page) -> None:
    body = '<form role=search><input type=search name=find></form><i data-sluice-results="3"></i>'
    visit(page, site.page("/", "search", body, search_params="find"))
    page.get_by_role("searchbox").press_sequentially("kettle")
    page.wait_for_timeout(300)
    assert told(page) == []
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url("**find=kettle")
    assert told(page, 1) == [["search", {"query": "kettle", "results": 3}]]


def test_in_an_application_the_count_of_the_search_before_is_not_told(
    site: Site, page: Page
) -> None:
    visit(page, site.page("/app", "search", "<i data-sluice-results>7</i>") + "?q=mug")
    told(page, 1)
    page.evaluate("history.pushState(0, '', '?q=lamp')")
    page.wait_for_timeout(400)
    assert len(told(page)) == 1
    page.evaluate("document.querySelector('[data-sluice-results]').textContent = '2'")
    assert told(page, 2)[1] == ["search", {"query": "lamp", "results": 2}]
    page.evaluate("history.pushState(0, '', '?q=board')")
    page.goto(f"{site.url}/elsewhere")
    assert told(page, 3)[2] == ["search", {"query": "board"}], "left before anybody knew"


# Commerce

PURCHASE = """
window.dataLayer = window.dataLayer || [];
function gtag() { dataLayer.push(arguments); }
gtag("event", "purchase", {
  transaction_id: "L-7", value: 129, currency: "EUR", shipping: 6,
  items: [{ item_id: "wool-blanket", item_name: "Wool blanket", price: 129, quantity: 1 }],
});
"""
# As GTM does when its container comes: it puts its own `push` over the one that is there.
CONTAINER = """() => {
  const before = dataLayer.push;
  window.seenByContainer = [];
  dataLayer.push = function (...entries) {
    seenByContainer.push(...entries);
    before.apply(dataLayer, entries);
    return true;
  };
}"""


def test_a_purchase_is_told_once_though_its_page_is_loaded_again(site: Site, page: Page) -> None:
    site.files["/shop.js"] = PURCHASE
    url = site.page("/thanks", "commerce", "Thank you", head='<script src="/shop.js"></script>')
    visit(page, url)
    product = {"productId": "wool-blanket", "name": "Wool blanket", "price": 129, "quantity": 1}
    order = {"orderId": "L-7", "value": 129, "revenue": 129, "currency": "EUR", "shipping": 6}
    expected = [["purchase", {**order, "itemCount": 1, "items": [product]}]]
    assert told(page) == expected
    page.reload()
    page.wait_for_selector("html[data-ready]", state="attached")
    page.evaluate("gtag('event', 'purchase', {transaction_id: 'L-7'})")
    assert told(page) == expected
    page.evaluate("gtag('event', 'purchase', {transaction_id: 'L-8'})")
    assert [properties["orderId"] for _, properties in told(page)] == ["L-7", "L-8"]


def test_the_data_layer_goes_on_working_for_a_tag_manager(site: Site, page: Page) -> None:
    visit(page, site.page("/", "commerce", "A shop without a data layer yet"))
    page.evaluate(CONTAINER)
    answer = page.evaluate("""() => dataLayer.push({ event: "view_item", ecommerce: {
        currency: "EUR", items: [{ item_id: "tin-mug", price: 18 }] } })""")
    assert answer is True
    assert page.evaluate("[seenByContainer.length, dataLayer.length]") == [1, 1]
    view = {"productId": "tin-mug", "price": 18, "currency": "EUR", "value": 18}
    assert told(page) == [["product_view", view]]


# Forms

CHECKOUT = """
<form id="checkout" action="/thanks">
  <input name="email" type="email"> <input aria-label="Town">
  <select name="country"><option value="">
  <option>Hidden Land</select> <input type="checkbox" name="terms">
  <input type="password" name="secret-1"> <input name="number" autocomplete="cc-number">
  <input name="private" data-sluice-ignore> <button>Pay</button>
</form>"""
TYPED = ["ann@mail.example", "Zermatt", "Hidden Land", "hunter2", "4111111111111111", "diary"]


def fill_in(page: Page) -> None:
    page.locator("[name=email]").click()
    page.keyboard.type(TYPED[0])
    page.wait_for_timeout(60)
    page.keyboard.press("Tab")
    page.keyboard.type(TYPED[1])
    page.locator("[name=secret-1]").fill(TYPED[3])
    page.locator("[name=number]").fill(TYPED[4])
    page.locator("[name=private]").fill(TYPED[5])
    page.locator("select").select_option(TYPED[2])
    page.locator("[name=terms]").check()
    page.locator("[name=terms]").uncheck()


def assert_private(page: Page) -> None:
    everything = json.dumps(kept(page, "told"))
    for secret in [*TYPED, "secret-1", "number", "private"]:
        assert secret not in everything


def test_a_form_left_without_sending_is_told_as_abandoned(site: Site, page: Page) -> None:
    visit(page, site.page("/checkout", "forms", CHECKOUT) + "?token=1")
    fill_in(page)
    assert told(page) == [["form_start", {"form": "checkout", "field": "email"}]]
    page.goto(f"{site.url}/elsewhere")
    _, (type_, journey) = told(page)
    assert type_ == "form_abandon"
    assert (journey["form"], journey["lastField"]) == ("checkout", "terms")
    assert journey["formUrl"] == f"{site.url}/checkout"
    fields = {one["name"]: one for one in journey["fields"]}
    assert list(fields) == ["email", "Town", "country", "terms"]
    assert [one["order"] for one in fields.values()] == [1, 2, 3, 4]
    assert [one["changes"] for one in fields.values()] == [1, 1, 1, 2]
    assert [one["wasFilled"] for one in fields.values()] == [True, True, True, False]
    assert 50 <= fields["email"]["focusMs"] < journey["elapsedMs"]
    assert_private(page)


def test_a_form_that_is_sent_is_complete_and_not_abandoned(site: Site, page: Page) -> None:
    visit(page, site.page("/checkout", "forms", CHECKOUT))
    fill_in(page)
    page.get_by_role("button").click()
    page.wait_for_url("**/thanks?*")
    page.goto(f"{site.url}/elsewhere")
    assert [type_ for type_, _ in told(page)] == ["form_start", "form_complete"]
    assert [one["name"] for one in told(page)[1][1]["fields"]] == [
        "email",
        "Town",
        "country",
        "terms",
    ]
    assert_private(page)


def test_a_closed_tab_and_a_form_taken_away_are_leaving_too(site: Site, page: Page) -> None:
    url = site.page("/checkout", "forms", CHECKOUT)
    other = page.context.new_page()
    visit(other, url)
    other.locator("[name=email]").fill("x")
    other.close(run_before_unload=True)
    page.goto(f"{site.url}/elsewhere")
    assert [type_ for type_, _ in told(page, 2)] == ["form_start", "form_abandon"]

    visit(page, url)
    page.locator("[name=terms]").check()
    page.evaluate("history.pushState(0, '', '/next'); document.querySelector('form').remove()")
    assert told(page, 4)[3][1]["lastField"] == "terms"
    page.goto(f"{site.url}/elsewhere")
    assert len(told(page)) == 4, "told once"


HIDE = """() => {
  Object.defineProperty(document, "hidden", { value: true, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
  delete document.hidden;
}"""


def test_who_comes_back_and_goes_on_takes_the_leaving_back(site: Site, page: Page) -> None:
    form = '<form name="ask" data-sluice-mask><input aria-label="Ann"><button>Ask</button></form>'
    visit(page, site.page("/ask", "forms", form))
    page.evaluate(HIDE)
    page.get_by_role("textbox").fill("why")
    page.evaluate(HIDE)
    page.evaluate(HIDE)
    page.get_by_role("textbox").fill("why not")
    page.get_by_role("button").click()
    page.wait_for_url("**/ask?")
    page.wait_for_selector("html[data-ready]", state="attached")
    assert [type_ for type_, _ in told(page)] == ["form_start", "form_abandon", "form_complete"]
    assert told(page)[0][1] == {"form": "ask", "field": "input"}, "a masked label is not told"


# Experiments

VARIANTS = """
<main data-experiment="hero:big">Shown at once</main><div style="height:3000px"></div>
<p data-experiment="shop/foot:line:b">Far below</p>
<p data-experiment="hidden:a" style="display:none">Never</p><p data-experiment="unnamed">Neither</p>
<p data-experiment="private:a" data-sluice-ignore>Nor this</p>"""


def exposure(experiment: str, variant: str, source: str = "attribute") -> list[Any]:
    return ["exposure", {"experiment": experiment, "variant": variant, "source": source}]


def test_a_variant_counts_when_it_is_seen_once_in_a_session(site: Site, page: Page) -> None:
    visit(page, site.page("/", "experiments", VARIANTS))
    assert told(page, 1) == [exposure("hero", "big")]
    page.evaluate("scrollTo(0, 9e9)")
    assert told(page, 2)[1:] == [exposure("shop/foot:line", "b")]
    page.evaluate("document.querySelector('[data-experiment^=shop]').dataset.experiment = 'late:1'")
    assert told(page, 3)[2:] == [exposure("late", "1")]
    page.reload()
    page.wait_for_selector("html[data-ready]", state="attached")
    page.evaluate(
        "document.body.insertAdjacentHTML('afterbegin', '<i data-experiment=new:2>i</i>')"
    )
    page.evaluate("scrollTo(0, 0)")
    assert told(page, 4)[3:] == [exposure("new", "2")], "and the others not again"


def test_a_variant_may_count_when_it_is_there(site: Site, page: Page) -> None:
    visit(page, site.page("/", "experiments", VARIANTS, experiments_when="present"))
    assert {said["experiment"] for _, said in told(page, 3)} == {"hero", "shop/foot:line", "hidden"}


def test_exposures_are_read_from_what_test_tools_say(site: Site, page: Page) -> None:
    visit(page, site.page("/", "experiments", "Nothing marked"))
    page.evaluate("""() => {
      function gtag() { dataLayer.push(arguments); }
      dataLayer.push({ event: "experiment_viewed", experiment_id: "checkout", variation_id: 0 });
      dataLayer.push({ event: "experiment_viewed", experiment_id: "checkout", variation_id: 0 });
      gtag("event", "experience_impression", { exp_variant_string: "CONV-1004-77" });
      dataLayer.push({ event: "Experiment Viewed", experimentName: "Price", variationName: "Low" });
      dataLayer.push({ event: "page_view", experiment_id: "none" });
      window.optimizely = { get: () => ({
        getActiveExperimentIds: () => ["31"],
        getVariationMap: () => ({ 31: { id: "9", name: "Red" } }) }) };
      history.pushState(0, "", "/next");
    }""")
    assert told(page, 4) == [
        exposure("checkout", "0", "dataLayer"),
        exposure("1004", "77", "dataLayer"),
        exposure("Price", "Low", "dataLayer"),
        exposure("31", "Red", "optimizely"),
    ]


# Consent

STUB = """
const queue = [];
window.__tcfapi = (...call) => (call.length ? void queue.push(call) : queue);
const locator = Object.assign(document.createElement("iframe"), { name: "__tcfapiLocator" });
document.documentElement.append(locator);
"""
BANNER = """() => {
  const listeners = [];
  const queue = window.__tcfapi ? window.__tcfapi() : [];
  window.__tcfapi = (command, version, hear) => {
    listeners.push(hear);
    hear({ eventStatus: "cmpuishown", gdprApplies: true }, true);
  };
  window.answer = (...ids) => listeners.forEach((hear) => hear({
    eventStatus: "useractioncomplete", gdprApplies: true,
    purpose: { consents: Object.fromEntries(ids.map((id) => [id, true])) } }, true));
  queue.forEach((call) => window.__tcfapi(...call));
}"""


@pytest.mark.parametrize("stub", [STUB, ""], ids=["with a stub", "without"])
def test_a_banner_that_comes_late_is_listened_to(site: Site, page: Page, stub: str) -> None:
    site.files["/stub.js"] = stub
    visit(
        page, site.page("/", "consent", "", head='<script src="/stub.js"></script>', consent="tcf")
    )
    page.wait_for_timeout(600)
    assert kept(page, "consents") == []
    page.evaluate(BANNER)
    assert len(kept(page, "consents", 1)) == 1
    page.evaluate("answer(1, 8); answer(1); answer()")
    assert kept(page, "consents") == [
        [state, {"policy": "tcf-2.2"}] for state in ("pending", "granted", "denied", "denied")
    ]


def test_consent_mode_is_heard_before_and_after(site: Site, page: Page) -> None:
    site.files["/gtag.js"] = """
      window.dataLayer = []; function gtag() { dataLayer.push(arguments); }
      gtag("consent", "default", { analytics_storage: "denied", wait_for_update: 500 });"""
    visit(
        page, site.page("/", "consent", "", head='<script src="/gtag.js"></script>', consent="gcm")
    )
    page.evaluate("gtag('consent', 'update', { analytics_storage: 'granted' })")
    page.evaluate("gtag('consent', 'update', { analytics_storage: 'denied' })")
    assert kept(page, "consents") == [
        [state, {"policy": "gcm-v2"}] for state in ("granted", "denied")
    ]
