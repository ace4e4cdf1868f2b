"""Consent, signals and opt-out: what is stored and sent in each state, as the bucket shows it."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.tracked_site import TrackedSite
from tests.system.running_stack import wait_until

STORED = """async () => ({
  local: Object.keys(localStorage), cookie: document.cookie,
  databases: (await indexedDB.databases()).map(({ name }) => name),
  locks: (await navigator.locks.query()).held.map(({ name }) => name),
})"""
NOTHING: dict[str, Any] = {"local": [], "cookie": "", "databases": [], "locks": []}


def collects(page: Page) -> list[str]:
    """The bodies that go to the collector from now on."""
    bodies: list[str] = []
    page.on("request", lambda r: bodies.append(r.post_data or "") if "/collect" in r.url else None)
    return bodies


def hide(page: Page) -> None:
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")


def test_before_consent_nothing_is_stored_or_sent_and_on_grant_what_was_held_goes(
    site: TrackedSite,
) -> None:
    site.attributes = "data-consent"
    page = site.open()
    bodies = collects(page)
    page.click("h1")
    page.evaluate("sluice.identify('u-1', { plan: 'a' }); sluice.track('own', { n: 1 }, true)")
    hide(page)
    assert page.evaluate(STORED) == NOTHING
    assert bodies == []
    page.evaluate("sluice.consent('granted', { policy: '2026-11' })")
    site.wait_for_event(page, "own")
    page.evaluate("sluice.track('later')")
    page.close()
    site.delivered("later")
    of_leaving = ("engagement", "visibility_change")
    rows = [row for row in site.rows() if row["event_type"] not in of_leaving]
    assert [row["event_type"] for row in rows[:5]] == [
        "page_view",
        "click",
        "identify",
        "own",
        "later",
    ]
    assert {(row["consent"], row["consent_policy"]) for row in rows} == {("granted", "2026-11")}
    assert len({(row["visitor_id"], row["session_id"]) for row in rows}) == 1
    assert rows[0]["visitor_id"] and rows[3]["user_id"] == "u-1"


def test_an_answer_is_remembered_and_can_be_taken_back(site: TrackedSite) -> None:
    site.attributes = "data-consent"
    page = site.open()
    page.evaluate("sluice.consent('granted')")
    site.wait_for_event(page, "page_view")
    visitor = page.evaluate("localStorage.sluice_visitor")
    site.go(page, "/p/two")
    site.wait_for_event(page, "page_view")
    assert page.evaluate("localStorage.sluice_visitor") == visitor
    page.evaluate("sluice.consent('denied')")
    bodies = collects(page)
    page.click("h1")
    page.evaluate("sluice.track('own', {}, true)")
    site.go(page, "/p/three")
    page.evaluate("sluice.track('own', {}, true)")
    hide(page)
    assert page.evaluate("Object.entries(localStorage)") == [["sluice_consent", "denied "]]
    assert bodies == []
    page.evaluate("sluice.consent('granted')")
    page.evaluate("sluice.track('again')")
    assert page.evaluate("localStorage.sluice_visitor") not in (None, visitor)
    page.close()
    (again,) = site.delivered("again")
    assert again["visitor_id"] != visitor
    assert site.rows("own") == []


def test_denied_at_once_nothing_is_ever_told(site: TrackedSite) -> None:
    site.attributes = "data-consent"
    page = site.open()
    bodies = collects(page)
    page.click("h1")
    page.evaluate("sluice.consent('denied'); sluice.track('own', {}, true)")
    hide(page)
    assert page.evaluate("Object.keys(localStorage)") == ["sluice_consent"]
    assert bodies == []


def test_cookieless_pings_go_without_ids_and_store_nothing(site: TrackedSite) -> None:
    site.attributes = 'data-consent data-before-consent="cookieless" data-flush-seconds="0"'
    page = site.open()
    page.evaluate("sluice.identify('u-1', {plan: 'pro'}); sluice.group('g-1')")
    page.click("h1")
    page.wait_for_function("heard.filter(([name]) => name === 'sluice:sent').length > 0")
    hide(page)
    assert page.evaluate("Object.keys(localStorage)") == []
    assert page.evaluate("document.cookie") == ""
    page.close()
    rows = site.delivered("page_view")
    assert [row["session_id"] for row in rows] == [None]
    assert all((row["visitor_id"] or "daily-").startswith("daily-") for row in site.rows())
    assert {row["consent"] for row in site.rows()} == {None}
    assert site.rows("identify") == site.rows("group") == []


@pytest.mark.parametrize("signal", ["globalPrivacyControl", "doNotTrack"])
def test_a_privacy_signal_is_heard_before_anything_is_read(site: TrackedSite, signal: str) -> None:
    value = "true" if signal == "globalPrivacyControl" else "'1'"
    site.context.add_init_script(
        f"Object.defineProperty(navigator, '{signal}', {{ get: () => {value} }});"
        "const touched = window.touched = [];"
        "for (const name of ['localStorage', 'indexedDB']) {"
        "  const { get } = Object.getOwnPropertyDescriptor(window, name);"
        "  Object.defineProperty(window, name, {"
        "    get() { touched.push(name); return get.call(window) } }) }"
    )
    page = site.open()
    bodies = collects(page)
    page.click("h1")
    page.evaluate("sluice.identify('u'); sluice.consent('granted'); sluice.track('own', {}, true)")
    page.evaluate("sluice.reset(); sluice.group('g'); sluice.flush()")
    hide(page)
    assert page.evaluate("touched") == []
    assert page.evaluate(STORED) == NOTHING
    assert bodies == []


def test_a_site_may_decide_against_the_signals(site: TrackedSite) -> None:
    site.attributes = 'data-respect-dnt="false"'
    site.context.add_init_script(
        "Object.defineProperty(navigator, 'doNotTrack', { get: () => '1' })"
    )
    page = site.open()
    site.wait_for_event(page, "page_view")
    page.close()
    assert len(site.delivered("page_view")) == 1


def test_an_opt_out_forgets_everything_and_holds_on_the_next_page(site: TrackedSite) -> None:
    page = site.open()
    page.evaluate("sluice.identify('u-1')")
    page.evaluate("sluice.track('unsent'); sluice.optOut(); sluice.track('own', {}, true)")
    bodies = collects(page)
    site.go(page, "/p/two")
    page.click("h1")
    hide(page)
    assert page.evaluate("Object.entries(localStorage)") == [["sluice_opt_out", "1"]]
    kept = """() => new Promise((resolve) => {
      const open = indexedDB.open("sluice");
      open.onsuccess = () => {
        if (!open.result.objectStoreNames.length) {
          open.result.close();
          indexedDB.deleteDatabase("sluice").onsuccess = () => resolve(0);
          return;
        }
        const all = open.result.transaction("events").objectStore("events").count();
        all.onsuccess = () => {
          open.result.close();
          resolve(all.result);
        };
      };
    })"""
    wait_until(lambda: page.evaluate(kept) == 0, seconds=10, what="an empty database")
    assert bodies == []
    page.evaluate("sluice.optIn(); sluice.track('back')")
    page.close()
    assert len(site.delivered("back")) == 1
    assert site.rows("unsent") == site.rows("own") == []


def test_local_storage_that_is_refused_falls_back_to_a_cookie_and_then_to_memory(
    site: TrackedSite,
) -> None:
    refuse = "Object.defineProperty(window, '{}', {{ get() {{ throw new DOMException('no') }} }});"
    site.context.add_init_script(refuse.format("localStorage"))
    page = site.open()
    site.wait_for_event(page, "page_view")
    assert "sluice_visitor=" in page.evaluate("document.cookie")
    site.go(page, "/p/two")
    site.wait_for_event(page, "page_view")
    page.close()
    one, two = site.delivered("page_view", least=2)
    assert (one["visitor_id"], one["session_id"]) == (two["visitor_id"], two["session_id"])
    site.context.add_init_script(
        "Object.defineProperty(document, 'cookie',"
        " { get() { throw Error() }, set() { throw Error() } });" + refuse.format("indexedDB")
    )
    page = site.open("/p/three")
    page.evaluate("sluice.track('in memory')")
    page.close()
    (row,) = site.delivered("in memory")
    assert row["visitor_id"] not in (None, one["visitor_id"])


_WATCH_COOKIES = """
window.readings = [];
const { get, set } = Object.getOwnPropertyDescriptor(Document.prototype, "cookie");
Object.defineProperty(document, "cookie", {
  get() {
    readings.push(Error().stack.split("\\n    at ").slice(2));
    return get.call(document);
  },
  set(value) {
    set.call(document, value);
  },
});
"""


@pytest.mark.chromium("it is Chromium's way with what reads a cookie, and told by its stacks")
@pytest.mark.parametrize("attributes", ["", "data-consent"])
def test_cookies_are_read_once_at_the_start_and_where_few_functions_wait(
    site: TrackedSite, attributes: str
) -> None:
    """Chromium parses each function that waits for it once more (benchmarks/README.md)."""
    site.attributes = attributes
    site.context.add_init_script(_WATCH_COOKIES)
    page = site.open()
    page.wait_for_function("readings.length")
    page.evaluate("new Promise(requestIdleCallback)")
    (callers, *later) = page.evaluate("readings")
    assert 1 <= len(callers) <= 8  # of more than a dozen, otherwise
    assert not later or attributes, "the visitor's id is in localStorage by now"


def test_where_only_cookies_are_kept_a_no_in_one_tab_holds_in_the_others(site: TrackedSite) -> None:
    site.attributes = "data-consent"
    site.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no') } });"
    )
    first, second = site.open("/p/one"), site.open("/p/two")
    first.evaluate("sluice.consent('granted'); sluice.track('told')")
    told = site.wait_for_event(first, "told")
    second.wait_for_function("document.cookie.includes('sluice_consent=granted')")
    second.wait_for_timeout(200)  # what was read of cookies holds for half of that
    second.evaluate("sluice.track('beside')")
    beside = site.wait_for_event(second, "beside")
    ids = ("visitorId", "sessionId")
    assert [told[name] for name in ids] == [beside[name] for name in ids]
    second.evaluate("sluice.consent('denied')")
    first.wait_for_timeout(200)  # as above
    first.evaluate("sluice.track('untold')")
    names = first.evaluate(
        "heard.filter(([name]) => name === 'sluice:event').map(([, d]) => d.event.eventType)"
    )
    assert "told" in names
    assert "untold" not in names
    assert "sluice_visitor" not in first.evaluate("document.cookie")


def test_local_storage_that_cannot_be_read_keeps_nothing_from_the_site(site: TrackedSite) -> None:
    """As where the browser's own files of it are broken."""
    site.context.add_init_script("""
      Storage.prototype.getItem = Storage.prototype.setItem = () => { throw Error("broken"); };
    """)
    page = site.open()
    site.wait_for_event(page, "page_view")
    page.evaluate("sluice.track('own')")
    page.close()
    assert site.delivered("own")
    assert site.errors == []


def test_a_no_in_one_tab_holds_in_the_others_at_once(site: TrackedSite) -> None:
    site.attributes = "data-consent"
    first, second = site.open("/p/one"), site.open("/p/two")
    first.evaluate("sluice.consent('granted')")
    second.wait_for_function("localStorage.sluice_consent")
    second.evaluate("sluice.track('unsent')")
    site.wait_for_event(second, "unsent")
    first.evaluate("sluice.consent('denied')")
    second.wait_for_function("localStorage.sluice_consent === 'denied '")
    bodies = collects(second)
    second.wait_for_function("!localStorage.sluice_visitor")
    second.evaluate("sluice.track('later', {}, true); sluice.flush()")
    hide(second)
    assert second.evaluate("Object.keys(localStorage)") == ["sluice_consent"]
    assert bodies == []


@pytest.mark.parametrize("word", ["reject", "Denied", "", "true"])
def test_a_word_that_nobody_knows_is_no_consent(site: TrackedSite, word: str) -> None:
    site.attributes = "data-consent"
    page = site.open()
    bodies = collects(page)
    page.evaluate("word => sluice.consent(word)", word)
    page.evaluate("sluice.track('own', {}, true)")
    hide(page)
    assert bodies == []
    assert page.evaluate("Object.keys(localStorage)") == ["sluice_consent"]


@pytest.mark.parametrize("no", ["sluice.optOut()", "sluice.consent('denied')"])
def test_a_no_holds_where_storage_is_refused(site: TrackedSite, no: str) -> None:
    site.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw Error('no') } })"
    )
    page = site.open()
    site.wait_for_event(page, "page_view")
    bodies = collects(page)
    page.evaluate(f"sluice.track('unsent'); {no}; sluice.track('own', {{}}, true)")
    site.go(page, "/p/two")
    hide(page)
    assert "sluice_visitor" not in page.evaluate("document.cookie")
    assert bodies == []


def test_what_a_full_storage_left_in_cookies_is_forgotten_too(site: TrackedSite) -> None:
    site.context.add_init_script(
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }"
    )
    page = site.open()
    site.wait_for_event(page, "page_view")
    assert "sluice_visitor=" in page.evaluate("document.cookie")
    page.evaluate("sluice.optOut()")
    assert page.evaluate("document.cookie") == "sluice_opt_out=1"
    page.evaluate("sluice.optIn(); sluice.reset()")
    assert page.evaluate("document.cookie") == ""


@pytest.mark.parametrize(
    ("no", "yes"),
    [
        ("sluice.optOut()", "sluice.optIn()"),
        ("sluice.consent('denied')", "sluice.consent('unknown')"),
    ],
)
def test_a_no_outlives_a_page_that_clears_its_storage(site: TrackedSite, no: str, yes: str) -> None:
    """Many an application does, when somebody signs out."""
    page = site.open()
    site.wait_for_event(page, "page_view")
    page.evaluate(f"{no}; localStorage.clear()")
    bodies = collects(page)
    site.go(page, "/p/two")
    page.evaluate("sluice.track('own', {}, true)")
    hide(page)
    assert bodies == []
    page.evaluate(yes)
    assert page.evaluate("document.cookie") == ""


def test_one_opt_out_holds_for_every_tracker_of_the_page(site: TrackedSite) -> None:
    site.body = """<script async src="/js/tracking.js" data-name="other"></script>
      <a href="#" data-sluice-opt-out>Do not measure my visit</a>"""
    page = site.open()
    page.wait_for_function("window.other?.isLoaded")
    bodies = collects(page)
    page.evaluate("other.track('unsent'); sluice.optOut()")
    assert page.evaluate("Object.keys(localStorage)") == ["sluice_opt_out"]
    page.evaluate("other.optIn(); other.track('unsent')")
    page.click("text=Do not measure")
    page.evaluate("sluice.track('own', {}, true); other.track('own', {}, true)")
    hide(page)
    assert bodies == []


ASKED_FIRST = """<script>window.sluice = function () {
  (sluice.q = sluice.q || []).push(arguments) }; window.ran = [];
  sluice("use", (_, host) => host.whenGranted(() => ran.push("granted"), true));
  if (location.pathname !== "/p/signed-out") { sluice("identify", "u-1"); sluice("group", "g-1") }
  const now = Date.now;
  // A tab that was opened two hours ago.
  if (location.pathname === "/p/waiting") Date.now = () => now() - (window.isNow ? 0 : 7.2e6);
</script>"""


@pytest.fixture
def asking(site: TrackedSite) -> TrackedSite:
    """A site that asks its visitors, and signs them in at once."""
    site.attributes = "data-consent"
    site.head = ASKED_FIRST
    return site


def wait_for_storage(page: Page, *, after: str, other: Page) -> None:
    """Until a page has heard all that another one stored."""
    page.evaluate("addEventListener('storage', ({ newValue }) => (window.last = newValue))")
    other.evaluate(f"{after}; localStorage.last = performance.now()")
    last = other.evaluate("localStorage.last")
    page.wait_for_function("last => window.last === last", arg=last)


@pytest.mark.parametrize("yes", ["sluice.consent('granted')", "sluice.optIn()"])
def test_a_yes_in_one_tab_is_heard_in_the_others(asking: TrackedSite, yes: str) -> None:
    asking.attributes = "data-consent" if "consent" in yes else "data-consent=granted"
    waiting = asking.open("/p/waiting")
    waiting.wait_for_timeout(400)  # longer than a session's first event may lie behind it
    asked = asking.open("/p/asked")
    if "opt" in yes:
        asked.evaluate("sluice.optOut()")
    waiting.evaluate("isNow = true")
    waiting.wait_for_timeout(400)  # and before it
    wait_for_storage(waiting, after=f"{yes}; sluice.track('at once')", other=asked)
    asked.evaluate("sluice.track('afterwards')")
    waiting.evaluate("sluice.track('afterwards')")
    assert waiting.evaluate("ran").pop() == "granted"
    # Who signs out in the one tab is not signed in again by the other.
    wait_for_storage(waiting, after="sluice.reset()", other=asked)
    assert waiting.evaluate("localStorage.sluice_user") is None
    waiting.close()
    asked.close()
    rows = asking.delivered("afterwards", least=2) + asking.rows("at once")
    if "consent" in yes:
        # Leaving tells of somebody new: that was after the reset.
        before = {"page_view", "identify", "group", "at once", "afterwards"}
        rows = [row for row in asking.delivered(least=8) if row["event_type"] in before]
        views = {row["path"]: row for row in rows if row["event_type"] == "page_view"}
        assert set(views) == {"/p/asked", "/p/waiting"}
        assert views["/p/asked"]["is_entry"], "the visit began with what was held"
        (who,) = {
            (row["user_id"], row["company_id"]) for row in rows if row["event_type"] == "afterwards"
        }
        assert who == ("u-1", "g-1")
    assert len({(row["visitor_id"], row["session_id"]) for row in rows}) == 1


def test_a_tab_that_waited_signs_nobody_in_who_signed_out(asking: TrackedSite) -> None:
    waiting = asking.open("/p/waiting")
    asked = asking.open("/p/asked")
    asked.evaluate("sluice.reset()")
    asking.go(asked, "/p/signed-out")
    wait_for_storage(waiting, after="sluice.consent('granted')", other=asked)
    asked.evaluate("sluice.track('next person')")
    assert waiting.evaluate("localStorage.sluice_user") is None
    waiting.close()
    asked.close()
    (row,) = asking.delivered("next person")
    assert (row["user_id"], row["company_id"]) == (None, None)
    # It is still known who it was on the page that waited.
    (view,) = [row for row in asking.rows("identify") if row["path"] == "/p/waiting"]
    assert view["user_id"] == "u-1"


def test_a_no_and_a_yes_in_one_tab_make_one_visitor_beside_another_tab(asking: TrackedSite) -> None:
    beside = asking.open("/p/signed-out")
    page = asking.open("/p/one")
    for no, yes in (
        ("sluice.consent('denied')", "sluice.consent('granted')"),
        ("sluice.optOut()", "sluice.optIn()"),
    ):
        wait_for_storage(beside, after=no, other=page)
        wait_for_storage(beside, after=f"{yes}; sluice.track('first')", other=page)
        page.evaluate("sluice.track('second')")
        both = [asking.wait_for_event(page, name) for name in ("first", "second")]
        assert both[0]["visitorId"] == both[1]["visitorId"]
        assert both[0]["sessionId"] == both[1]["sessionId"]


def test_a_visit_that_follows_a_no_begins_with_its_first_event(asking: TrackedSite) -> None:
    asking.attributes = "data-consent=denied"
    page = asking.open("/p/one")
    page.evaluate("sluice.consent('granted')")
    page.wait_for_timeout(400)  # longer than a session's first event may lie behind it
    page.evaluate("sluice.track('own')")
    page.close()
    asking.delivered("own")
    assert [row["is_entry"] for row in asking.rows()].count(True) == 1


def test_a_no_from_elsewhere_holds_after_the_storage_was_cleared(asking: TrackedSite) -> None:
    page = asking.open("/p/one")
    page.evaluate("sluice.consent('granted')")
    other = asking.open("/p/two")
    wait_for_storage(page, after="sluice.consent('denied')", other=other)
    wait_for_storage(
        page,
        after="localStorage.clear(); document.cookie = 'sluice_consent=;path=/;max-age=0'",
        other=other,
    )
    before = len(asking.heard(page))
    page.evaluate("sluice.track('own')")
    assert len(asking.heard(page)) == before


def test_a_yes_outlives_a_page_that_clears_its_storage(asking: TrackedSite) -> None:
    page = asking.open("/p/one")
    page.evaluate("sluice.consent('granted', { policy: 'p1' }); localStorage.clear()")
    page.evaluate("sluice.track('own')")
    event = asking.wait_for_event(page, "own")
    assert (event["consent"], event["consentPolicy"]) == ("granted", "p1")
    asking.go(page, "/p/two")
    assert asking.wait_for_event(page, "page_view")["visitorId"] == event["visitorId"]


def test_who_it_is_stands_there_before_the_answer_does(asking: TrackedSite) -> None:
    """Other tabs hear what is written in its order."""
    asking.context.add_init_script("""window.written = [];
      const { setItem } = Storage.prototype;
      Storage.prototype.setItem = function (key, value) {
        written.push(key);
        setItem.call(this, key, value);
      };""")
    asking.head += "<script>sluice('consent', 'granted')</script>"
    page = asking.open()
    asking.wait_for_event(page, "page_view")
    written = page.evaluate("written")
    assert written[:3] == ["sluice_visitor", "sluice_session", "sluice_consent"]


@pytest.mark.parametrize("attributes", ["data-consent", ""])
def test_a_yes_that_is_taken_back_elsewhere_holds_no_more(
    asking: TrackedSite, attributes: str
) -> None:
    asking.attributes = attributes
    first = asking.open("/p/one")
    first.evaluate("sluice.consent('granted')")
    second = asking.open("/p/two")
    wait_for_storage(first, after="sluice.consent('pending')", other=second)
    bodies = collects(first)
    first.evaluate("sluice.track('own', {}, true)")
    assert "own" not in [detail["event"]["eventType"] for detail in asking.heard(first)]
    assert bodies == []


def test_a_plugin_waits_for_consent_and_is_told_of_a_no(site: TrackedSite) -> None:
    site.attributes = "data-consent"
    site.head = """<script>window.sluice = function () {
      (sluice.q = sluice.q || []).push(arguments) }; window.ran = [];
      sluice("use", (_, host) => {
        host.whenGranted(() => ran.push("granted"));
        host.whenGranted(() => ran.push("explicitly"), true);
        host.whenDenied(() => ran.push("denied"));
      })</script>"""
    page = site.open()
    assert page.evaluate("ran") == []
    page.evaluate("sluice.consent('unknown')")
    assert page.evaluate("ran") == ["granted"]
    page.evaluate("sluice.consent('granted')")
    assert page.evaluate("ran") == ["granted", "explicitly"]
    page.evaluate("sluice.consent('denied')")
    assert page.evaluate("ran") == ["granted", "explicitly", "denied"]
    page.evaluate("sluice.consent('granted'); sluice.consent('granted')")
    assert page.evaluate("ran.slice(3)") == ["granted", "explicitly"]
    # All stop where one may not go on; what may begins again.
    page.evaluate("sluice.consent('unknown')")
    assert page.evaluate("ran.slice(5)") == ["denied", "granted"]
    page.evaluate("sluice.consent('pending')")
    assert page.evaluate("ran.slice(7)") == ["denied"]


def test_a_recorder_begins_no_visit(site: TrackedSite) -> None:
    site.attributes = 'data-consent data-plugins="replay" data-replay-sample="1"'
    page = site.open()
    page.evaluate("sluice.consent('granted')")
    site.wait_for_event(page, "page_view")
    page.wait_for_function("performance.getEntriesByType('resource').length > 1")
    page.evaluate("sluice.consent('denied'); sluice.consent('granted')")
    # What waits for an idle moment has had one after two seconds.
    page.wait_for_timeout(2_500)
    page.evaluate("sluice.track('first')")
    page.close()
    (row,) = site.delivered("first")
    assert row["is_entry"]


GTAG = "<script>window.dataLayer = []; function gtag() { dataLayer.push(arguments); }%s</script>"
DEFAULT = "gtag('consent', 'default', { analytics_storage: '%s' });"
UPDATE = "gtag('consent', 'update', { analytics_storage: '%s' })"


def remembered(page: Page, state: str) -> None:
    page.wait_for_function("state => localStorage.sluice_consent?.startsWith(state)", arg=state)


def test_an_answer_counts_again_though_another_tab_said_otherwise_since(site: TrackedSite) -> None:
    site.attributes, site.head = "data-consent=gcm", GTAG % (DEFAULT % "denied")
    first, second = site.open("/p/one"), site.open("/p/two")
    first.evaluate(UPDATE % "denied")
    remembered(second, "denied")
    second.evaluate(UPDATE % "granted")
    remembered(first, "granted")
    first.evaluate(UPDATE % "denied")
    remembered(second, "denied")
    first.evaluate("sluice.track('untold', {}, true)")
    assert "untold" not in {heard["event"]["eventType"] for heard in site.heard(first)}
    first.evaluate(UPDATE % "granted")
    remembered(second, "granted")


def test_a_default_takes_no_answer_of_another_tab_back(site: TrackedSite) -> None:
    site.attributes, site.head = "data-consent=gcm", GTAG % (DEFAULT % "denied")
    first, second = site.open("/p/one"), site.open("/p/two")
    first.evaluate(UPDATE % "granted")
    second.wait_for_timeout(2_500)  # a default that is to count does so after two seconds
    remembered(first, "granted")
    first.evaluate("sluice.track('told')")
    site.wait_for_event(first, "told")


@pytest.mark.parametrize("default", ["granted", "denied"])
def test_what_a_visitor_refused_stays_refused_whatever_a_banners_default_says(
    site: TrackedSite, default: str
) -> None:
    """With cookieless pings until somebody answers: a no is an answer."""
    site.attributes = "data-consent=gcm data-before-consent=cookieless"
    site.head = GTAG % (DEFAULT % default)
    page = site.open("/p/one")
    page.evaluate(UPDATE % "denied")
    remembered(page, "denied")
    site.go(page, "/p/two")
    bodies = collects(page)
    page.wait_for_timeout(2_500)  # as above
    page.evaluate("sluice.track('untold', {}, true)")
    hide(page)
    remembered(page, "denied")
    assert page.evaluate("localStorage.sluice_visitor") is None
    assert bodies == []


def test_a_tcf_banner_that_is_still_loading_has_not_said_no(site: TrackedSite) -> None:
    site.attributes = "data-consent=tcf"
    site.head = """<script>
      const loading = { eventStatus: "tcloaded", tcString: "", gdprApplies: true,
        purpose: { consents: {} } };
      window.__tcfapi = (command, version, hear) => {
        hear(loading, true);
        const purpose = { consents: { 1: true, 8: true } };
        setTimeout(hear, 50, { ...loading, tcString: "CP", purpose }, true);
      };</script>"""
    page = site.open("/p/one")
    first = site.wait_for_event(page, "page_view")
    site.go(page, "/p/two")
    page.wait_for_timeout(500)
    page.evaluate("sluice.track('later')")
    later = site.wait_for_event(page, "later")
    assert later["visitorId"] == first["visitorId"]
