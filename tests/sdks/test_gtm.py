"""What is put into Google Tag Manager: its template, and its HTML tag in Chromium."""

from __future__ import annotations

import subprocess

from playwright.sync_api import Browser

from tests.sdks.collector import Collector
from tests.sdks.node import needs_node, run_script
from tests.sdks.snippets import SNIPPETS, open_site, wait_for_type

GTM = SNIPPETS / "gtm"
SRC = "https://events.shop.example/js/tracking.js"
CONSENT = """<script>
  window.dataLayer = [];
  function gtag() { dataLayer.push(arguments); }
  gtag("consent", "default", { analytics_storage: "denied" });
  gtag("consent", "update", { analytics_storage: "granted" });
</script>"""
START = [["consent", "granted"], ["use", "vitals"], ["use", "errors"]]


def test_the_template_is_what_its_parts_make() -> None:
    needs_node()
    command = ["node", "make-template.mjs", "--check"]
    done = subprocess.run(command, cwd=GTM, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_template_loads_on_consent_and_tells_what_its_tags_say() -> None:
    told = run_script("gtm-template.mjs")
    assert told["sections"] == [
        "INFO",
        "TEMPLATE_PARAMETERS",
        "SANDBOXED_JS_FOR_WEB_TEMPLATE",
        "WEB_PERMISSIONS",
        "TESTS",
        "NOTES",
    ]
    assert told["withConsent"] == {"injected": [SRC], "success": 1, "queued": START}
    assert told["before"] == {"injected": [], "success": 1, "queued": []}
    assert told["after"]["injected"] == [SRC], "once, however often consent is given"
    assert told["after"]["queued"] == [*START, ["consent", "denied"], ["consent", "granted"]]
    assert told["events"] == [
        ["track", "signup", {"plan": "pro"}],
        ["identify", "u_1", None],
        ["reset"],
    ]
    assert told["calls"] == [["track", "late", None]]


def test_the_html_tag_loads_the_tracker_with_its_attributes(
    collector: Collector, browser: Browser
) -> None:
    tag = (GTM / "custom-html.html").read_text()
    assert SRC in tag
    tag = tag.replace(SRC, "/js/tracking.js")
    tag = tag.replace("https://events.shop.example/collect", collector.url + "/collect")
    # As Tag Manager does it: the markup is put in, and its scripts are made anew to run.
    page = f"<!doctype html><title>Shop</title><link rel=icon href=data:,>{CONSENT}<div>{tag}</div>"
    allow_inline = (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; connect-src *; img-src data:"
    )
    with open_site(browser, {"/": page}, csp=allow_inline) as site:
        site.page.goto(site.origin + "/")
        site.page.wait_for_function("window.sluice && window.sluice.isLoaded")
        site.page.evaluate("window.sluice('track', 'signup', { plan: 'pro' })")
        site.page.evaluate("window.sluice('flush')")
        (signup,) = wait_for_type(collector, "signup", 1)
        wait_for_type(collector, "page_view", 1)
        (attributes,) = site.tags
    assert (signup.site_id, signup.properties) == ("shop.example", {"plan": "pro"})
    assert attributes["data-consent"] == "gcm"
    assert attributes["data-plugins"] == "vitals errors"
