"""Umami's own script in Chromium, and its client for servers, pointed at a running collector."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Request

from tests.sdks.collector import Collector, Row
from tests.sdks.node import run_script
from tests.sdks.page import REFERRER, ShopPage
from tests.sdks.umami_script import fetch_umami_script

WEBSITE = "b59e9c65-ae32-47f1-8400-119fcf4861c4"
DONE = {"cache": ""}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetch_umami_script(tmp_path_factory.mktemp("umami"))


def told(row: Row) -> dict[str, Any]:
    """What the sender said: it makes up no id, and tells no time."""
    assert abs(row.occurred_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert row.session_id is None
    assert row.visitor_id is not None and row.visitor_id.startswith("daily-")
    payload = dict(row.payload)
    assert payload.pop("eventId")
    assert payload.pop("visitorId") == row.visitor_id
    # The test's browser is a bot, and so is Node.
    payload.pop("isBot", None)
    payload.pop("botReason", None)
    return payload


def load_script(shop: ShopPage, script: Path, url: str) -> None:
    """As docs/dialects/umami.md says."""
    shop.page.route("**/script.js", lambda route: route.fulfill(path=script))
    shop.page.evaluate(
        """([website, host]) => new Promise((resolve) => {
          const script = document.createElement("script");
          script.onload = resolve;
          script.src = "/script.js";
          script.dataset.websiteId = website;
          script.dataset.hostUrl = host;
          document.head.append(script);
        })""",
        [WEBSITE, url],
    )


def test_every_field_of_every_call(collector: Collector, shop: ShopPage, script: Path) -> None:
    requests: list[Request] = []
    shop.page.on("request", lambda r: requests.append(r) if r.method == "POST" else None)
    load_script(shop, script, collector.url)
    collector.wait_for_type("page_view")
    shop.page.evaluate("umami.track('signup', { plan: 'pro', seats: 3 })")
    shop.page.evaluate("umami.identify({ role: 'admin' })")
    with shop.page.expect_request("**/api/send"):
        shop.page.evaluate("history.pushState(null, '', '/cart?step=1')")
    rows = collector.wait_for(4)
    shared = {
        "siteId": "shop.localhost", "url": shop.url, "title": "Red shoes", "referrer": REFERRER,
        "screenWidth": 1280, "screenHeight": 720, "language": "de-CH", "ip": "127.0.0.0",
        "dialect": "umami", "properties": {"website": WEBSITE},
    }  # fmt: skip
    first, signup, identified, second = (told(row) for row in rows)
    for payload in (first, signup, identified, second):
        assert "Chrome" in payload.pop("userAgent")
    assert first == shared | {"eventType": "page_view"}
    assert signup == shared | {
        "eventType": "signup", "properties": {"website": WEBSITE, "plan": "pro", "seats": 3},
    }  # fmt: skip
    assert identified == shared | {
        "eventType": "identify", "properties": {"website": WEBSITE, "role": "admin"},
    }  # fmt: skip
    origin, _, _ = shop.url.partition("/p/7")
    assert second == shared | {
        "eventType": "page_view", "url": f"{origin}/cart?step=1", "referrer": shop.url,
    }  # fmt: skip
    caches = [request.headers.get("x-umami-cache") for request in requests]
    assert caches[0] is None
    assert [json.loads(cache or "null") for cache in caches[1:]] == [DONE] * 3


CURRENT_SCRIPT = """([endpoint, website, calls]) => (async () => {
  const { screen: { width, height }, navigator: { language }, location } = window;
  let cache;
  const shared = {
    website, screen: `${width}x${height}`, language, title: document.title,
    hostname: location.hostname, url: location.href, referrer: document.referrer,
    tag: "a", id: undefined,
  };
  for (const { type, ...more } of calls) {
    const answer = await fetch(endpoint, {
      keepalive: true,
      method: "POST",
      body: JSON.stringify({ type, payload: { ...shared, ...more } }),
      headers: {
        "Content-Type": "application/json",
        "x-umami-website-id": website,
        "x-umami-hostname": location.hostname,
        ...(typeof cache !== "undefined" && { "x-umami-cache": cache }),
      },
      credentials: "omit",
    });
    const data = await answer.json();
    if (!answer.ok || data.disabled) throw new Error(`${answer.status}: ${JSON.stringify(data)}`);
    cache = data.cache;
  }
  return cache;
})()"""
"""The requests of the script of 2026, which no package ships, as its source makes them.

https://github.com/umami-software/umami/blob/master/src/tracker/index.ts
"""


def test_what_the_current_script_sends(collector: Collector, shop: ShopPage) -> None:
    calls = [
        {"type": "event"},
        {"type": "event", "name": "signup", "data": {"plan": "pro"}},
        {"type": "identify", "id": "u-1", "data": {"role": "admin"}},
        {"type": "performance", "ttfb": 12.5, "fcp": 80, "lcp": 120, "cls": 0.01, "duration": 900},
    ]
    endpoint = f"{collector.url}/api/send"
    assert shop.page.evaluate(CURRENT_SCRIPT, [endpoint, WEBSITE, calls]) == ""
    rows = {row.event_type: row for row in collector.wait_for(4)}
    kept = {"website": WEBSITE, "tag": "a"}
    shared = {
        "siteId": "shop.localhost", "url": shop.url, "title": "Red shoes", "referrer": REFERRER,
        "screenWidth": 1280, "screenHeight": 720, "language": "de-CH",
    }  # fmt: skip
    for row in rows.values():
        assert shared.items() <= told(row).items()
    assert rows["page_view"].properties == kept
    assert rows["signup"].properties == kept | {"plan": "pro"}
    assert rows["identify"].user_id == "u-1"
    assert rows["identify"].properties == kept | {"role": "admin"}
    assert rows["performance"].properties == kept | {
        "ttfb": 12.5, "fcp": 80, "lcp": 120, "cls": 0.01, "duration": 900,
    }  # fmt: skip


def test_a_503_is_not_tried_again_and_costs_the_page_nothing(
    collector: Collector, shop: ShopPage, script: Path
) -> None:
    load_script(shop, script, collector.url)
    collector.wait_for_type("page_view")
    collector.forget()
    with collector.answering_503():
        shop.page.evaluate("umami.track('lost')")
    shop.page.evaluate("umami.track('kept')")
    (row,) = collector.wait_for(1)
    assert row.event_type == "kept"


def test_node(collector: Collector) -> None:
    answers = run_script("umami-node.mjs", collector.url, WEBSITE)
    assert answers == [{"status": 200, "body": DONE}] * 4
    rows = {row.event_type: row for row in collector.wait_for(4)}
    agent = {"userAgent": "Agent/1", "ip": "127.0.0.0", "dialect": "umami"}
    page = agent | {
        "siteId": "shop.example", "url": "https://shop.example/p/7?utm_source=news",
        "referrer": "https://shop.example/", "title": "Red shoes", "language": "de-CH",
        "screenWidth": 1920, "screenHeight": 1080,
    }  # fmt: skip
    assert told(rows["page_view"]) == page | {
        "eventType": "page_view", "properties": {"website": WEBSITE},
    }  # fmt: skip
    assert told(rows["signup"]) == page | {
        "eventType": "signup", "properties": {"website": WEBSITE, "plan": "pro", "seats": 3},
    }  # fmt: skip
    # No page, no browser: the site is the host that it was sent to.
    assert told(rows["heartbeat"]) == agent | {
        "eventType": "heartbeat", "siteId": "127.0.0.1",
        "properties": {"website": WEBSITE, "n": 1},
    }  # fmt: skip
    assert told(rows["identify"]) == agent | {
        "eventType": "identify", "siteId": "127.0.0.1",
        "properties": {"website": WEBSITE, "role": "admin"},
    }  # fmt: skip
