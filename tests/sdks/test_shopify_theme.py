"""The theme snippet's part that tells the tracker what Shopify's consent banner was told."""

from __future__ import annotations

import re

from playwright.sync_api import Browser

from tests.sdks.snippets import SNIPPETS, open_site

SHOPIFY = SNIPPETS / "shopify"
BANNER = """
  window.told = [];
  window.sluice = (...command) => told.push(command);
  window.answer = "";
  window.Shopify = {
    loadFeatures(features, done) {
      window.features = features;
      Shopify.customerPrivacy = {
        analyticsProcessingAllowed: () => answer === "yes",
        currentVisitorConsent: () => ({ analytics: answer }),
      };
      done();
    },
  };
  window.say = (value) => {
    answer = value;
    document.dispatchEvent(new CustomEvent("visitorConsentCollected"));
  };
"""
PAGE = """<!doctype html><title>Shop</title><link rel=icon href=data:,>
<script src=/banner.js></script><script src=/consent.js defer></script>"""


def test_the_banner_s_answer_is_told_at_once_and_when_it_changes(browser: Browser) -> None:
    consent = (SHOPIFY / "sluice-consent.js").read_text()
    site_files = {"/": PAGE, "/banner.js": BANNER, "/consent.js": consent}
    with open_site(browser, site_files) as site:
        site.page.goto(site.origin + "/")
        for answer in ("yes", "no"):
            site.page.evaluate("say", answer)
        told = site.page.evaluate("told")
        (feature,) = site.page.evaluate("features")
    assert told == [["consent", "pending"], ["consent", "granted"], ["consent", "denied"]]
    assert feature["name"] == "consent-tracking-api"


def test_without_shopify_it_leaves_the_page_alone(browser: Browser) -> None:
    consent = (SHOPIFY / "sluice-consent.js").read_text()
    page = "<!doctype html><link rel=icon href=data:,><script src=/consent.js></script>"
    with open_site(browser, {"/": page, "/consent.js": consent}) as site:
        site.page.goto(site.origin + "/")
        assert site.page.evaluate("window.sluice.q") is None


def test_the_snippet_holds_until_it_is_told() -> None:
    snippet = (SHOPIFY / "sluice.liquid").read_text()
    tag = re.search(r"<script\s+async[^>]*>", snippet)
    assert tag is not None
    assert 'data-consent="pending"' in tag.group()
    assert "'sluice-consent.js' | asset_url" in snippet
