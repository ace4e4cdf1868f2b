"""The commands, plugins, several trackers on a page, and tabs that share a visit."""

from __future__ import annotations

import pytest

from tests.browser.tracked_site import TrackedSite
from tests.system.running_stack import wait_until

STUB = """<script>window.sluice = window.sluice || function () {
  (sluice.q = sluice.q || []).push(arguments) }; sluice('track', 'early', { n: 1 })</script>"""


def test_commands_from_before_the_script_are_run_in_order(site: TrackedSite) -> None:
    site.head = STUB
    page = site.open()
    page.evaluate("sluice('track', 'late', { n: 2 })")
    page.close()
    rows = site.delivered(least=3)
    assert [row["event_type"] for row in rows[:3]] == ["page_view", "early", "late"]
    assert rows[1]["properties"] == {"n": 1}


def test_who_is_signed_in_is_said_until_reset(site: TrackedSite) -> None:
    page = site.open()
    page.evaluate("sluice.identify(42, { plan: 'pro' }); sluice.group('acme', { size: 3 })")
    page.evaluate("sluice.alias('u-43'); sluice.track('known')")
    site.go(page, "/p/two")
    page.evaluate("sluice.track('still'); sluice.reset(); sluice.track('new')")
    page.close()
    rows = {row["event_type"]: row for row in site.delivered(least=8)}
    assert rows["identify"]["user_id"] == "42" and rows["identify"]["properties"] == {"plan": "pro"}
    assert rows["group"]["properties"] == {"size": 3, "groupId": "acme"}
    assert rows["alias"]["properties"] == {"previousId": "42"}
    for name in ("known", "still"):
        assert (rows[name]["user_id"], rows[name]["company_id"]) == ("u-43", "acme")
    assert (rows["new"]["user_id"], rows["new"]["company_id"]) == (None, None)
    assert rows["new"]["visitor_id"] != rows["still"]["visitor_id"]
    assert rows["new"]["session_id"] != rows["still"]["session_id"]


def test_tabs_share_visitor_and_session(site: TrackedSite) -> None:
    first, second = site.open("/p/one"), site.open("/p/two")
    for page in (first, second, first):
        page.evaluate("sluice.track('own')")
    first.close()
    second.close()
    rows = site.delivered("own", least=3)
    assert len({(row["visitor_id"], row["session_id"]) for row in rows}) == 1


def test_every_session_of_a_visitor_has_its_entry(site: TrackedSite) -> None:
    site.head = """<script>
      const session = JSON.parse(localStorage.sluice_session || "{}");
      session.lastAt -= 7.2e6;
      if (session.id) localStorage.sluice_session = JSON.stringify(session);
    </script>"""
    page = site.open("/p/one")
    site.wait_for_event(page, "page_view")
    site.go(page, "/p/two")
    site.wait_for_event(page, "page_view")
    page.wait_for_timeout(300)  # of what is sent apart within 250 ms any may come first
    page.close()
    rows = site.delivered("page_view", least=2)
    assert [(row["session_index"], row["is_entry"]) for row in rows] == [(1, True), (2, True)]
    assert [row["session_entry_path"] for row in rows] == ["/p/one", "/p/two"]


def test_a_new_campaign_begins_a_session_where_that_is_asked_for(site: TrackedSite) -> None:
    site.attributes = "data-session-campaign"
    page = site.open("/p/one?utm_source=a")
    for path in ("/p/two", "/p/one?utm_source=a", "/p/three?gclid=b"):
        site.go(page, path)
    page.close()
    rows = site.delivered("page_view", least=4)
    assert [row["session_index"] for row in rows] == [1, 1, 1, 2]


def test_a_campaign_that_is_redacted_begins_one_session(site: TrackedSite) -> None:
    site.head = "<script>window.sluice = { q: [['consent', 'granted']] }</script>"
    site.attributes = "data-session-campaign data-consent=pending"
    page = site.open("/p/one?utm_source=a&utm_content=jane@x.example")
    assert "jane" not in page.evaluate("localStorage.sluice_session")
    page.close()
    (view,) = site.delivered("page_view")
    assert (view["session_index"], view["is_entry"]) == (1, True)


def test_a_campaign_that_waited_for_consent_begins_one_session(site: TrackedSite) -> None:
    site.attributes = "data-session-campaign data-consent=pending"
    page = site.open("/p/one?utm_source=a")
    page.evaluate("history.pushState({}, '', '/p/two')")
    page.evaluate("sluice.consent('granted')")
    site.go(page, "/p/one?utm_source=a")
    page.close()
    rows = site.delivered("page_view", least=3)
    assert [row["session_index"] for row in rows] == [1, 1, 1]


def test_two_campaigns_that_waited_for_consent_are_two_sessions(site: TrackedSite) -> None:
    site.attributes = "data-session-campaign data-consent=pending"
    page = site.open("/p/one?utm_source=a")
    page.evaluate("history.pushState({}, '', '/p/two?utm_source=b')")
    page.evaluate("sluice.consent('granted')")
    page.close()
    rows = site.delivered("page_view", least=2)
    assert [row["session_index"] for row in rows] == [1, 2]


@pytest.mark.parametrize("leaves", [False, True], ids=["same page", "next page"])
def test_a_reset_forgets_what_waits_of_somebody_who_gave_a_name_before(
    site: TrackedSite, *, leaves: bool
) -> None:
    site.attributes = "data-consent=pending data-off='engagement visibility'"
    page = site.open()
    page.evaluate("sluice.consent('granted'); sluice.identify('anna'); sluice.consent('pending')")
    if leaves:
        site.go(page, "/p/annas-bill")
    page.evaluate("sluice.track('of_anna'); sluice.reset()")
    page.evaluate("sluice.consent('granted'); sluice.track('of_ben')")
    page.close()
    site.delivered("of_ben")
    told = [(row["event_type"], row["user_id"]) for row in site.rows()]
    assert told == [("page_view", None), ("identify", "anna"), ("of_ben", None)]


@pytest.mark.parametrize(
    ("somebody", "told"), [("", ["page_view", "mine"]), ("sluice.identify('u')", ["mine"])]
)
def test_a_reset_before_consent_takes_along_only_what_somebody_with_a_name_did(
    site: TrackedSite, somebody: str, told: list[str]
) -> None:
    site.attributes = "data-consent=pending data-off='engagement visibility'"
    page = site.open()
    page.evaluate(f"{somebody}; sluice.reset(); sluice.track('mine'); sluice.consent('granted')")
    page.close()
    site.delivered("mine")
    assert [(row["event_type"], row["user_id"]) for row in site.rows()] == [
        (event_type, None) for event_type in told
    ]


def test_a_routers_new_campaign_begins_a_session_too(site: TrackedSite) -> None:
    site.attributes = "data-session-campaign"
    page = site.open("/p/one?utm_source=a")
    for path in ("/p/two", "/p/three?utm_source=a", "/p/four?utm_source=b#c", "/p/five"):
        page.wait_for_timeout(100)  # for some time to have been spent on each
        page.evaluate("(path) => history.pushState({}, '', path)", path)
    page.evaluate("sluice.track('ready')")
    page.close()
    rows = site.delivered("page_view", least=5)
    assert [row["session_index"] for row in rows] == [1, 1, 1, 2, 2]
    assert [row["is_entry"] for row in rows] == [True, False, False, True, False]
    assert site.rows("ready")[0]["session_index"] == 2
    # The time spent on a view belongs to the view's session.
    spent = {row["path"]: row["session_index"] for row in site.rows("engagement")}
    assert spent.pop("/p/five", 2) == 2
    assert spent == {"/p/one": 1, "/p/two": 1, "/p/three": 1, "/p/four": 2}


def test_two_trackers_on_one_page_know_nothing_of_each_other(site: TrackedSite) -> None:
    site.body = """<script async src="/js/tracking.js" data-name="other"
      data-site-id="other.example" data-off="clicks"></script><h1>Hello</h1>"""
    page = site.open()
    page.wait_for_function("window.other && other.isLoaded !== undefined || window.other")
    page.evaluate("sluice.track('mine'); other.track('theirs'); other.identify('o')")
    page.click("h1")
    page.close()
    (mine,) = site.delivered("mine")
    assert site.rows("theirs") == [] and len(site.rows("click")) == 1
    site.site_id = "other.example"
    (theirs,) = site.delivered("theirs")
    assert theirs["visitor_id"] != mine["visitor_id"]
    assert site.rows("click") == []


def test_what_waits_for_an_idle_moment_does_not_wait_for_a_frame(site: TrackedSite) -> None:
    """After a click on a button Chromium finds none for as long as nothing moves on the page."""
    site.body = "<button type=button>Press</button>"
    page = site.open()
    page.evaluate("sluice.use((_, host) => { window.whenIdle = host.whenIdle })")
    page.click("button")
    page.evaluate("setTimeout(() => whenIdle(() => { window.ran = true }), 500)")
    wait_until(lambda: page.evaluate("window.ran"), seconds=10, what="an idle moment")


def test_a_script_tag_that_stands_twice_counts_once(site: TrackedSite) -> None:
    site.body = (
        f'<script async src="/js/tracking.js" data-site-id="{site.site_id}"></script><h1>Hi</h1>'
    )
    page = site.open()
    page.click("h1")
    page.close()
    assert len(site.delivered("click")) == 1
    assert len(site.rows("page_view")) == 1


def test_plugins_of_ours_are_loaded_by_name_and_others_are_functions(site: TrackedSite) -> None:
    site.attributes = 'data-plugins="errors" data-own-setting="7"'
    page = site.open()
    page.evaluate("""sluice('use', (sluice, host) => {
      const text = host.redact('a@b.example');
      sluice.track('from_plugin', { setting: host.option('ownSetting'), text });
      host.onHide(() => sluice.track('last_words'));
      host.onView(() => sluice.track('after_view'));
    })""")
    page.wait_for_function(
        "performance.getEntriesByType('resource').some(r => /[0-9a-f]{9}.js/.test(r.name))"
    )
    page.evaluate("history.pushState({}, '', '/p/two')")
    page.evaluate("setTimeout(() => { throw Error('oh no') })")
    site.wait_for_event(page, "js_error")
    page.close()
    rows = {row["event_type"]: row for row in site.delivered(least=6)}
    assert rows["from_plugin"]["properties"] == {"setting": "7", "text": "[redacted:email]"}
    assert "last_words" in rows and rows["after_view"]["path"] == "/p/two"
    assert "oh no" in rows["js_error"]["properties"]["message"]
    site.errors.clear()


def test_a_long_quiet_page_still_sends_what_waits(site: TrackedSite) -> None:
    page = site.open()
    page.evaluate("sluice.track('own')")
    page.wait_for_function("heard.some(([name, detail]) => name === 'sluice:sent')", timeout=15_000)
    sent = site.heard(page, "sluice:sent")
    assert sum(len(one["eventIds"]) for one in sent) == 2
