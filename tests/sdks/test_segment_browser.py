"""Segment's and RudderStack's own SDKs in Chromium, pointed at a running collector."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from tests.sdks.collector import Collector
from tests.sdks.gate import Gate
from tests.sdks.node import MODULES
from tests.sdks.page import REFERRER, ShopPage
from tests.system.running_stack import wait_until

SEGMENT = MODULES / "@segment/analytics-next/dist/umd/index.js"
RUDDER = MODULES / "@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js"


def load_segment(url: str, more: str = "") -> str:
    """As docs/dialects/segment.md says."""
    return f"""
      window.analytics = AnalyticsNext.AnalyticsBrowser.load({{
        writeKey: "key-of-the-shop",
        cdnSettings: {{
          integrations: {{ "Segment.io": {{
            apiKey: "key-of-the-shop", apiHost: "{urlsplit(url).netloc}/v1", protocol: "http" {more}
          }} }},
          metrics: {{ sampleRate: 0 }},
        }},
      }});
      await window.analytics.ready();
    """


def load_rudder(url: str, more: str = "") -> str:
    """As docs/dialects/segment.md says."""
    return f"""
      window.rudder = new rudderanalytics.RudderAnalytics();
      await new Promise((resolve) => {{
        rudder.load("key-of-the-shop", "{url}", {{
          configUrl: "{url}", logLevel: "DEBUG", onLoaded: resolve,
          queueOptions: {{ minRetryDelay: 500, timerScaleFactor: 1 }}, {more}
        }});
      }});
    """


CALLS = """
  await tracker.page("Docs", "Home", { section: "a" });
  await tracker.track("Order Completed", { revenue: 39.95, products: [{ sku: "a-1" }] });
  await tracker.alias("u_1", "old-1");
  await tracker.identify("u_1", { plan: "pro" });
  await tracker.group("g_1", { name: "Initech" });
"""
TYPES = {"page_view", "Order Completed", "identify", "group", "alias"}


def check_rows(collector: Collector, shop: ShopPage) -> None:
    """Every field of every call, whichever SDK it was."""
    rows = {row.event_type: row for row in collector.wait_for(len(TYPES))}
    assert set(rows) == TYPES
    (visitor_id,) = {row.visitor_id for row in rows.values()}
    assert visitor_id
    for row in rows.values():
        assert row.site_id == "shop.localhost"
        assert abs(row.occurred_at - datetime.now(UTC)) < timedelta(minutes=1)
        payload = row.payload
        assert (payload["url"], payload["path"], payload["title"]) == (
            shop.url,
            "/p/7",
            "Red shoes",
        )
        assert payload["referrer"] == REFERRER
        assert (payload["utmSource"], payload["utmCampaign"]) == ("news", "autumn")
        assert "Chrome" in payload["userAgent"]
        assert payload["language"] == "de-CH"
        assert (payload["dialect"], payload["ip"]) == ("segment", "127.0.0.0")
    assert (rows["page_view"].properties["name"], rows["page_view"].properties["section"]) == (
        "Home",
        "a",
    )
    order = rows["Order Completed"].properties
    assert (order["revenue"], order["products"]) == (39.95, [{"sku": "a-1"}])
    assert rows["identify"].user_id == "u_1"
    assert rows["identify"].properties["traits"] == {"plan": "pro"}
    assert rows["group"].payload["companyId"] == "g_1"
    assert rows["group"].properties["traits"] == {"name": "Initech"}
    assert (rows["alias"].user_id, rows["alias"].properties["previousId"]) == ("u_1", "old-1")
    assert shop.hosts == {urlsplit(shop.url).netloc, urlsplit(collector.url).netloc}


def test_analytics_js_call_by_call(collector: Collector, shop: ShopPage) -> None:
    shop.run(SEGMENT, load_segment(collector.url) + "const tracker = analytics;" + CALLS)
    check_rows(collector, shop)


def test_analytics_js_in_batches(collector: Collector, gate: Gate, shop: ShopPage) -> None:
    batching = ', deliveryStrategy: { strategy: "batching", config: { size: 5 } }'
    shop.run(SEGMENT, load_segment(gate.url, batching) + "const tracker = analytics;" + CALLS)
    shop.hosts = {
        host.replace(urlsplit(gate.url).netloc, urlsplit(collector.url).netloc)
        for host in shop.hosts
    }
    check_rows(collector, shop)
    assert [post.path for post in gate.posts] == ["/v1/b"]


def test_rudderstack_s_sdk_by_its_two_addresses_alone(collector: Collector, shop: ShopPage) -> None:
    shop.run(RUDDER, load_rudder(collector.url) + "const tracker = rudder;" + CALLS)
    check_rows(collector, shop)
    (row,) = (row for row in collector.rows() if row.event_type == "page_view")
    assert row.session_id is not None
    assert (row.payload["screenWidth"], row.payload["viewportWidth"]) == (1280, 1280)
    assert row.payload["source"] == "web"


def test_rudderstack_s_beacon(collector: Collector, gate: Gate, shop: ShopPage) -> None:
    beacon = "useBeacon: true, beaconQueueOptions: { flushQueueInterval: 200 }"
    code = load_rudder(gate.url, beacon) + 'rudder.track("Signed Up"); rudder.track("Left");'
    shop.run(RUDDER, code)
    assert {row.event_type for row in collector.wait_for(2)} == {"Signed Up", "Left"}
    assert {post.path for post in gate.posts} == {"/beacon/v1/batch?writeKey=key-of-the-shop"}


@pytest.mark.parametrize("sdk", ["segment", "rudder"])
def test_a_503_is_tried_again_and_a_lost_answer_is_the_same_event(
    collector: Collector, gate: Gate, shop: ShopPage, sdk: str
) -> None:
    script, load, tracker = {
        "segment": (SEGMENT, load_segment(gate.url), "analytics"),
        "rudder": (RUDDER, load_rudder(gate.url), "rudder"),
    }[sdk]
    gate.faults.extend(["refuse", "lose"])
    shop.run(script, load + f'{tracker}.track("Signed Up", {{ plan: "pro" }});')
    wait_until(lambda: len(gate.posts) == 3, seconds=40, what="the event to come three times")
    collector.wait_for(1)
    assert [post.status for post in gate.posts] == [503, 503, 200]
