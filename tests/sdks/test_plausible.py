"""Plausible's own tracker, in Chromium, pointed at a collector on another origin."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.sdks.collector import Collector, Row
from tests.sdks.node import bundle
from tests.sdks.page import REFERRER, ShopPage

VERSION = {"tracker_version": 36}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle("plausible-browser.mjs", tmp_path_factory.mktemp("plausible"))


def init(url: str, **settings: Any) -> str:
    """As docs/dialects/plausible.md says; the last setting is for a page on localhost."""
    settings = {"endpoint": f"{url}/api/event", "domain": "shop.example"} | settings
    return f"plausibleTracker.init({json.dumps(settings | {'captureOnLocalhost': True})});"


def track(name: str, **options: Any) -> str:
    """A call that waits for its answer, and leaves its status in `window.statuses`."""
    return f"""
      await new Promise((resolve) => plausibleTracker.track({json.dumps(name)}, {{
        ...{json.dumps(options)},
        callback: (result) => {{ (window.statuses ??= []).push(result?.status); resolve(); }},
      }}));
    """


def told(row: Row) -> dict[str, Any]:
    """What the sender said: it makes up no id, and tells no time; the test's browser is a bot."""
    assert abs(row.occurred_at - datetime.now(UTC)) < timedelta(minutes=1)
    payload = dict(row.payload)
    assert "Chrome" in payload.pop("userAgent")
    assert payload.pop("eventId")
    assert payload.pop("visitorId") == row.visitor_id
    assert payload.pop("isBot") and payload.pop("botReason") == "headless:HeadlessChrome"
    return payload


def test_every_field_of_every_call(collector: Collector, shop: ShopPage, script: Path) -> None:
    revenue = {"amount": "12.50", "currency": "CHF"}
    calls = (
        track("signup", props={"tier": "pro", "seats": 3})
        + track("Purchase", revenue=revenue)
        + track("autoplay", interactive=False)
        + track("pageview", url=f"{shop.url}&page=2")  # the first page's engagement goes before it
    )
    shop.run(script, init(collector.url) + calls)
    rows = collector.wait_for(6)
    shared = {
        "siteId": "shop.example", "url": shop.url, "referrer": REFERRER, "ip": "127.0.0.0",
        "dialect": "plausible",
    }  # fmt: skip
    views = [told(row) for row in rows if row.event_type == "page_view"]
    assert sorted(views, key=lambda view: len(view["url"])) == [
        shared | {"eventType": "page_view", "properties": VERSION},
        shared | {"eventType": "page_view", "url": f"{shop.url}&page=2", "properties": VERSION},
    ]
    by_type = {row.event_type: told(row) for row in rows}
    for event_type, properties in {
        "signup": {"tier": "pro", "seats": 3},
        "Purchase": {"revenue": revenue},
        "autoplay": {"interactive": False},
    }.items():
        assert by_type[event_type] == shared | {
            "eventType": event_type, "properties": VERSION | properties,
        }  # fmt: skip
    engagement = by_type["engagement"]
    assert engagement.pop("properties").keys() == {
        "scroll_depth", "engagement_time", "tracker_version",
    }  # fmt: skip
    del shared["referrer"]
    assert engagement == shared | {"eventType": "engagement"}
    assert {row.session_id for row in rows} == {None}
    (visitor_id,) = {row.visitor_id for row in rows}
    assert visitor_id is not None and visitor_id.startswith("daily-")
    assert shop.page.evaluate("window.statuses") == [202, 202, 202, 202]


def test_hash_mode_outbound_links_and_custom_properties(
    collector: Collector, shop: ShopPage, script: Path
) -> None:
    settings = {
        "hashBasedRouting": True, "outboundLinks": True, "customProperties": {"plan": "pro"},
    }  # fmt: skip
    shop.page.evaluate("location.hash = '/cart'")
    shop.page.evaluate("document.body.innerHTML = '<a href=\"http://other.localhost/x\">x</a>'")
    shop.page.evaluate("addEventListener('click', (event) => event.preventDefault())")
    shop.run(script, init(collector.url, **settings))
    view = collector.wait_for_type("page_view")
    assert (view.payload["path"], view.payload["url"]) == ("/p/7#/cart", f"{shop.url}#/cart")
    shop.page.click("a")
    click = collector.wait_for_type("Outbound Link: Click")
    assert click.properties == VERSION | {"url": "http://other.localhost/x", "plan": "pro"}


def test_a_refusal_and_a_503_are_told_to_the_page(
    collector: Collector, shop: ShopPage, script: Path
) -> None:
    quiet = init(collector.url, autoCapturePageviews=False)
    shop.run(script, quiet + track("x" * 300) + track("odd", props=[1]))
    with collector.answering_503():
        shop.page.evaluate(f"(async () => {{ {track('lost')} }})()")
    shop.page.evaluate(f"(async () => {{ {track('kept')} }})()")
    (row,) = collector.wait_for(1)
    assert row.event_type == "kept", "this tracker sends nothing twice"
    assert shop.page.evaluate("window.statuses") == [400, 400, 503, 202]


def test_a_server_sends_for_its_visitors(collector: Collector) -> None:
    """As Plausible's own example does: https://plausible.io/docs/events-api."""
    body = {
        "name": "pageview", "url": "http://dummy.site", "domain": "dummy.site",
        "props": {"amount": 100}, "interactive": True,
    }  # fmt: skip
    headers = {"User-Agent": "Agent/1", "X-Forwarded-For": "198.51.100.77"}
    assert send(collector.url, body, headers | {"Content-Type": "application/json"}) == (202, "ok")
    (row,) = collector.wait_for(1)
    assert "198.51.100.77" not in json.dumps(row.payload)
    told = {
        "eventType": "page_view", "siteId": "dummy.site", "url": "http://dummy.site",
        "userAgent": "Agent/1", "properties": {"amount": 100, "interactive": True},
    }  # fmt: skip
    assert told.items() <= row.payload.items()
    status, answer = send(collector.url, {"name": "pageview", "props": 1}, headers)
    assert (status, json.loads(answer)) == (
        400, {"errors": {"props": ["expected an object, got a number"]}},
    )  # fmt: skip


def send(url: str, body: object, headers: dict[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(
        f"{url}/api/event", data=json.dumps(body).encode(), headers=headers
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
