"""The React and Next.js components of tracking/snippets."""

from __future__ import annotations

import html
import json
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.sdks.collector import Collector
from tests.sdks.snippets import (
    SNIPPETS,
    SitePage,
    bundle_snippet,
    open_site,
    snippets_modules,
    wait_for_type,
)

ICON = "<link rel=icon href=data:,>"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    target = tmp_path_factory.mktemp("react") / "page.js"
    return bundle_snippet("page.tsx", target, "--jsx=automatic").read_text()


def test_their_types_hold() -> None:
    tsc = snippets_modules() / ".bin/tsc"
    done = subprocess.run([tsc, "-p", SNIPPETS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_single_page_application_counts_each_view_once(
    collector: Collector, browser: Browser, script: str
) -> None:
    tracker = {
        "src": "/js/tracking.js",
        "siteId": "shop.example",
        "endpoint": collector.url + "/collect",
        "options": {"flushSeconds": 0.2},
    }
    root = f"<div id=root data-tracker='{html.escape(json.dumps(tracker))}'></div>"
    page = f"<!doctype html><title>App</title>{ICON}{root}<script src=/page.js></script>"
    with open_site(browser, {"/": page, "/page.js": script}) as site:
        visit(site)
        (tag,) = site.tags
        views = wait_for_type(collector, "page_view", 2)
    assert [urlsplit(row.payload["url"]).path for row in views] == ["/", "/second"]
    # Strict mode runs each effect twice in development, the page's own among them.
    seen = wait_for_type(collector, "form_seen", 2)
    (signup,) = wait_for_type(collector, "signup", 1)
    assert signup.properties == {"plan": "pro"}
    assert {row.site_id for row in [*views, *seen, signup]} == {"shop.example"}
    assert tag == {
        "src": "/js/tracking.js",
        "async": "",
        "data-sluice-tracker": "",
        "data-site-id": "shop.example",
        "data-endpoint": collector.url + "/collect",
        "data-flush-seconds": "0.2",
    }


def visit(site: SitePage) -> None:
    site.page.goto(site.origin + "/")
    site.page.wait_for_function("window.sluice && window.sluice.isLoaded")
    site.page.evaluate("document.querySelector('button').click()")
    site.page.evaluate("document.querySelector('#on').click()")


def test_a_server_renders_the_tag_of_next_and_nothing_of_react(tmp_path: Path) -> None:
    target = tmp_path / "server.cjs"
    bundle_snippet(
        "server.tsx",
        target,
        "--jsx=automatic",
        "--platform=node",
        "--alias:next/script=./test/next-script.tsx",
    )
    done = subprocess.run(["node", target], capture_output=True, text=True, check=True, timeout=60)
    told = json.loads(done.stdout)
    assert told["tracker"] == ""
    assert told["caller"] == "<p>Called</p>"
    assert told["bare"] == (
        '<script data-strategy="afterInteractive" id="sluice" src="/js/tracking.js"'
        ' data-sluice-tracker=""></script>'
    )
    for attribute in (
        'data-site-id="shop &quot;A&quot; &amp; B"',
        'data-endpoint="https://events.shop.example/collect"',
        'data-respect-dnt="false"',
        'data-consent="pending"',
        'data-plugins="vitals errors"',
        'data-flush-seconds="10"',
        'data-debug="true"',
        'nonce="n0nce"',
    ):
        assert attribute in told["script"]
