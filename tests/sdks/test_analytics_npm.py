"""The npm package `analytics` with our plugin, under Node and in Chromium."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from tests.conftest import ROOT
from tests.sdks.collector import Collector, Row
from tests.sdks.gate import Gate
from tests.sdks.node import MODULES, run_script
from tests.sdks.page import REFERRER, ShopPage

ANALYTICS = MODULES / "analytics/dist/analytics.min.js"
PLUGIN = ROOT / "tracking/plugin-analytics/dist/sluice-plugin.js"


def by_type(rows: list[Row]) -> dict[str, Row]:
    found = {row.event_type: row for row in rows}
    assert len(found) == len(rows)
    return found


def test_every_call_of_a_server_is_a_row(collector: Collector) -> None:
    assert run_script("analytics-npm.mjs", collector.url + "/collect") == {"failures": []}
    rows = by_type(collector.wait_for(6))
    assert set(rows) == {
        "page_view", "Order Completed", "identify", "Signed Up", "x" * 200, "Left",
    }  # fmt: skip
    for row in rows.values():
        assert row.site_id == "shop.example"
        payload = row.payload
        assert (payload["app"], payload["appVersion"]) == ("portal", "1.4.2")
        assert payload["source"] == "server"
        assert uuid.UUID(payload["eventId"]).version == 7
        assert "dialect" not in payload
        assert abs(row.occurred_at - datetime.now(UTC)) < timedelta(minutes=1)
        assert "key-of-the-shop" not in str(payload)
    page = rows["page_view"]
    assert (
        page.payload
        | {
            "url": "https://shop.example/a",
            "path": "/a",
            "title": "A",
            "referrer": "https://www.google.com/",
            "properties": {"section": 3},
        }
        == page.payload
    )
    assert page.visitor_id is not None
    assert rows["Order Completed"].properties == {"revenue": 39.95, "products": [{"sku": "a-1"}]}
    assert (rows["identify"].user_id, rows["identify"].properties) == ("u_1", {"plan": "pro"})
    assert rows["Signed Up"].user_id == "u_1"
    assert rows["Signed Up"].visitor_id == page.visitor_id
    assert rows["Left"].user_id is None


def test_an_outage_loses_nothing_and_repeats_nothing(collector: Collector, gate: Gate) -> None:
    gate.faults.extend(["refuse", "lose"])
    done = run_script("analytics-npm.mjs", gate.url + "/collect")
    assert done["failures"] == [{"reason": "unavailable", "status": 503, "dropped": False}] * 2
    rows = collector.rows()
    assert len({row.event_id for row in rows}) == 6
    assert {post.path for post in gate.posts} == {"/collect?writeKey=key-of-the-shop"}


# --- in a browser ------------------------------------------------------------------------------


def load(url: str) -> str:
    source = base64.b64encode(PLUGIN.read_bytes()).decode()
    return f"""
      const {{ sluicePlugin }} = await import("data:text/javascript;base64,{source}");
      window.analytics = _analytics.init({{
        app: "portal", plugins: [sluicePlugin({{ endpoint: "{url}/collect" }})],
      }});
      await new Promise((resolve) => analytics.ready(resolve));
    """


def test_a_visit_in_a_browser_the_last_of_it_while_leaving(
    collector: Collector, gate: Gate, shop: ShopPage
) -> None:
    shop.run(ANALYTICS, load(gate.url) + "await analytics.page();")
    shop.page.evaluate("analytics.plugins.sluice.flush()")
    (page,) = collector.wait_for(1)
    shop.page.evaluate("analytics.identify('u_1', { plan: 'pro' })")
    shop.page.evaluate("analytics.track('Order Completed', { revenue: 39.95 })")
    shop.page.goto("about:blank")
    rows = by_type(collector.wait_for(3))
    assert (
        page.payload
        | {
            "siteId": "shop.localhost",
            "url": shop.url,
            "path": "/p/7",
            "title": "Red shoes",
            "referrer": REFERRER,
            "app": "portal",
            "source": "web",
            "language": "de-CH",
            "viewportWidth": 1280,
            "sessionIndex": 1,
        }
        == page.payload
    )
    order = rows["Order Completed"]
    assert (order.properties, order.user_id) == ({"revenue": 39.95}, "u_1")
    assert (order.session_id, order.visitor_id) == (page.session_id, page.visitor_id)
    assert page.visitor_id and page.session_id
    assert order.payload["url"] == shop.url
    assert rows["identify"].properties == {"plan": "pro"}
    last = {name.lower(): value for name, value in gate.posts[-1].headers.items()}
    assert last["content-type"].lower() == "text/plain;charset=utf-8"
    assert [post.method for post in gate.passed] == ["POST"] * 2, "and nothing asks for a preflight"
    assert shop.hosts <= {urlsplit(shop.url).netloc, urlsplit(gate.url).netloc, ""}


def test_a_privacy_signal_is_honoured(collector: Collector, shop: ShopPage) -> None:
    shop.page.evaluate("Object.defineProperty(navigator, 'globalPrivacyControl', { value: true })")
    shop.run(ANALYTICS, load(collector.url) + "await analytics.track('Signed Up');")
    shop.page.goto("about:blank")
    collector.wait_for(0)
