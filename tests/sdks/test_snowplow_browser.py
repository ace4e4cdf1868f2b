"""Snowplow's own browser tracker, in Chromium, pointed at a collector on another origin."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.sdks.collector import Collector, Row
from tests.sdks.node import bundle
from tests.sdks.page import REFERRER, ShopPage

SNOWPLOW = "iglu:com.snowplowanalytics.snowplow"
CHECKOUT = "iglu:com.acme/checkout_started/jsonschema/2-0-1"
USER = {"schema": "iglu:com.acme/user/jsonschema/1-0-0", "data": {"plan": "pro"}}
CALLS = f"""
  snowplow.enableActivityTracking({{ minimumVisitLength: 1, heartbeatDelay: 1 }});
  snowplow.setUserId("u-1");
  snowplow.trackPageView({{ context: [{json.dumps(USER)}] }});
  snowplow.trackStructEvent(
    {{ category: "shop", action: "add", label: "p7", property: "red", value: 2.5 }});
  snowplow.trackSelfDescribingEvent(
    {{ event: {{ schema: "{CHECKOUT}", data: {{ cart: "c-7" }} }} }});
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle("snowplow-browser.mjs", tmp_path_factory.mktemp("snowplow"))


def new_tracker(url: str, settings: str = "") -> str:
    """As docs/dialects/snowplow.md says."""
    return f'snowplow.newTracker("sp", "{url}", {{ appId: "shop", {settings} }});'


def context_of(row: Row, name: str) -> dict[str, object]:
    """The only entity of that name."""
    (data,) = [
        context["data"]
        for context in row.properties["contexts"]
        if context["schema"].startswith(f"{SNOWPLOW}/{name}/")
    ]
    assert isinstance(data, dict)
    return data


@pytest.mark.parametrize("settings", ["", 'eventMethod: "get",', "encodeBase64: true,"])
def test_every_field_of_every_call(
    collector: Collector, shop: ShopPage, script: Path, settings: str
) -> None:
    settings += 'appVersion: "1.4.2", contexts: { webPage: true, session: true, browser: true }'
    shop.page.evaluate("document.body.style = 'margin: 0; height: 3000px'")
    shop.run(script, new_tracker(collector.url, settings) + CALLS)
    shop.page.mouse.move(10, 10)
    shop.page.mouse.wheel(0, 300)
    collector.wait_for_type("page_ping")
    rows = {row.event_type: row for row in collector.rows()}
    assert set(rows) == {"page_view", "struct", "checkout_started", "page_ping"}
    for row in rows.values():
        payload = row.payload
        session = context_of(row, "client_session")
        assert row.visitor_id == session["userId"]
        assert row.session_id == session["sessionId"]
        assert payload["sessionIndex"] == session["sessionIndex"] == 1
        assert abs(row.occurred_at - datetime.now(UTC)) < timedelta(minutes=1)
        assert {"occurredAt", "sentAt", "eventId"} <= payload.keys()
        told = {
            "siteId": "shop.localhost", "app": "shop", "appVersion": "1.4.2", "source": "web",
            "userId": "u-1", "url": shop.url, "referrer": REFERRER, "language": "de-CH",
            "screenWidth": 1280, "screenHeight": 720, "viewportWidth": 1280, "viewportHeight": 720,
            "ip": "127.0.0.0", "dialect": "snowplow",
        }  # fmt: skip
        assert told.items() <= payload.items()
        assert payload["timezone"] and "Chrome" in payload["userAgent"]
        page_view_id = context_of(row, "web_page")["id"]
        kept = {
            "tracker_version": "js-4.10.1", "tracker_name": "sp", "br_cookies": True,
            "br_colordepth": "24", "doc_width": 1280, "doc_height": 3000,
            "doc_charset": "windows-1252", "page_view_id": page_view_id,
        }  # fmt: skip
        assert kept.items() <= row.properties.items()
        assert context_of(row, "browser_context")["viewport"] == "1280x720"
        assert context_of(row, "application") == {"version": "1.4.2"}
    view, struct, checkout = rows["page_view"], rows["struct"], rows["checkout_started"]
    assert view.payload["title"] == rows["page_ping"].payload["title"] == "Red shoes"
    assert USER in view.properties["contexts"]
    assert [struct.payload[f"event{part}"] for part in ("Category", "Action", "Label")] == [
        "shop", "add", "p7",
    ]  # fmt: skip
    assert (struct.properties["se_property"], struct.properties["se_value"]) == ("red", 2.5)
    assert (checkout.properties["cart"], checkout.properties["_schema"]) == ("c-7", CHECKOUT)
    assert checkout.payload["eventVersion"] == 2
    assert rows["page_ping"].properties["pp_yoffset_max"] == 300
    assert shop.hosts == {urlsplit(shop.url).netloc, urlsplit(collector.url).netloc}


def test_a_503_can_be_read_and_is_tried_again(
    collector: Collector, shop: ShopPage, script: Path
) -> None:
    statuses = "onRequestFailure: (failure) => (window.failed ??= []).push(failure.status)"
    with collector.answering_503():
        shop.run(script, new_tracker(collector.url, statuses) + "snowplow.trackPageView();")
        shop.page.wait_for_function("window.failed?.length")
    # It waits for the next event, and goes before it.
    shop.page.evaluate("snowplow.trackStructEvent({ category: 'shop', action: 'add' })")
    rows = collector.wait_for(2)
    assert {row.event_type for row in rows} == {"page_view", "struct"}
    assert set(shop.page.evaluate("window.failed")) == {503}


def test_server_side_anonymisation(collector: Collector, shop: ShopPage, script: Path) -> None:
    anonymous = "anonymousTracking: { withServerAnonymisation: true }"
    shop.run(script, new_tracker(collector.url, anonymous) + "snowplow.trackPageView();")
    (row,) = collector.wait_for(1)
    assert (row.visitor_id, row.session_id, row.user_id) == (None, None, None)


def test_headers_of_the_page_s_own_pass_the_preflight(
    collector: Collector, shop: ShopPage, script: Path
) -> None:
    own = 'customHeaders: { "X-Acme-Tenant": "7" }'
    shop.run(script, new_tracker(collector.url, own) + "snowplow.trackPageView();")
    collector.wait_for(1)
