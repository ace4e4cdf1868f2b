"""The bodies that senders document, over HTTP, and the rows that they become."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.system.running_collector import RunningCollector, running_collector
from tests.system.running_stack import free_port

ORIGIN = {"Origin": "https://shop.example"}


@pytest.fixture
def collector(database_url: str, tmp_path: Path) -> Iterator[RunningCollector]:
    with running_collector(database_url, tmp_path) as collector:
        yield collector


def test_widget_events(collector: RunningCollector) -> None:
    impression = {
        "event_type": "widget_impression",
        "occurred_at": "2026-01-15T10:30:00.000Z",
        "session_id": "s_abc",
        "visitor_id": "v_xyz",
        "page_url": "https://blog.example/post/7",
        "properties": {"mapping_id": 456, "post_id": 7, "viewport_percent": 100},
    }
    status, _, body = collector.send("/v1/events", {"events": [impression, {"no": "type"}]})
    assert status == 200
    answer = json.loads(body)
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    (row,) = collector.rows()
    assert (row["event_type"], row["visitor_id"]) == ("widget_impression", "v_xyz")
    assert row["occurred_at"].isoformat() == "2026-01-15T10:30:00+00:00"
    assert row["payload"]["properties"]["mapping_id"] == 456
    assert row["payload"]["dialect"] == "widget_events"


def test_ecomdash(collector: RunningCollector) -> None:
    page_view = {
        "type": "pageview",
        "url": "/products/shoe-7",
        "referrer": "google.com",
        "timestamp": 1_767_225_600_000,
        "session_id": "abc",
        "visitor_id": "of some kind",
        "viewport": {"width": 1920, "height": 1080},
        "performance": {"lcp": 1.2, "fid": 0.05, "cls": 0.01},
    }
    track = "/api/v1/track"
    for target, sent in (
        (f"{track}/pageview", {"events": [page_view]}),
        (f"{track}/event", {"type": "add_to_cart", "product_id": "shoe-7", "price": 99.5}),
        (f"{track}/session", {"session_id": "abc", "duration": 30}),
        (f"{track}/performance", {"events": [{"lcp": 1.2, "url": "/products/shoe-7"}]}),
    ):
        status, _, body = collector.send(target, sent, headers=ORIGIN)
        assert (status, json.loads(body)) == (200, {"status": "ok", "accepted": 1, "rejected": 0})
    rows = collector.rows()
    types = ["page_view", "add_to_cart", "session", "performance"]
    assert [row["event_type"] for row in rows] == types
    assert {row["site_id"] for row in rows} == {"shop.example"}
    view = rows[0]["payload"]
    assert view["url"] == "https://shop.example/products/shoe-7"
    assert (view["referrerDomain"], view["viewportWidth"]) == ("google.com", 1920)
    assert view["properties"] == {"performance": page_view["performance"]}
    assert rows[0]["occurred_at"].isoformat() == "2026-01-01T00:00:00+00:00"
    assert rows[1]["payload"]["properties"] == {"product_id": "shoe-7", "price": 99.5}


def test_heatmap(collector: RunningCollector) -> None:
    click = {
        "timestamp": "2026-01-01T00:00:00.123Z",
        "website_id": "shop.example",
        "session_id": "s-1",
        "visitor_id": "v-1",
        "page_url": "https://shop.example/",
        "element_selector": "#buy",
        "x_coordinate": 412,
        "y_coordinate": 1_980,
        "viewport_width": 1280,
        "viewport_height": 720,
        "device_type": "desktop",
        "user_agent": "Agent/1",
        "ip_address": "203.0.113.77",
    }
    events = "/v1/events"
    for target, sent in (
        (f"{events}/collect", {"events": [click | {"event_type": "click"}]}),
        (f"{events}/click", click),
        (f"{events}/scroll", {"website_id": "shop.example", "depth": 80}),
        (f"{events}/mouse", [{"website_id": "shop.example", "x_coordinate": 1}]),
    ):
        status, _, body = collector.send(target, sent)
        assert (status, json.loads(body)) == (200, {"accepted": 1, "rejected": 0})
    rows = collector.rows()
    assert [row["event_type"] for row in rows] == ["click", "click", "scroll", "mouse_move"]
    assert {row["site_id"] for row in rows} == {"shop.example"}
    assert rows[1]["payload"]["properties"] == {"selector": "#buy", "x": 412, "y": 1_980}
    assert rows[1]["payload"]["viewportWidth"] == 1280
    assert rows[3]["payload"]["properties"] == {"x": 1}
    assert "203.0.113.77" not in json.dumps([row["payload"] for row in rows])
    status, _, body = collector.send(f"{events}/health")
    assert (status, json.loads(body)) == (200, {"status": "ok"})
    assert len(collector.rows()) == 4


def test_the_pixel(collector: RunningCollector) -> None:
    target = "/pixel.gif?e=email_open&s=news.example&uid=7&issue=12&ts=1767225600000"
    status, headers, body = collector.send(target)
    assert (status, headers["content-type"], len(body)) == (200, "image/gif", 43)
    assert headers["cache-control"] == "no-store"
    assert headers["sluice-result"] == "accepted"
    (row,) = collector.rows()
    assert (row["event_type"], row["site_id"], row["user_id"]) == (
        "email_open",
        "news.example",
        "7",
    )
    assert row["occurred_at"].isoformat() == "2026-01-01T00:00:00+00:00"
    assert row["payload"]["properties"] == {"issue": "12"}
    assert row["payload"]["dialect"] == "pixel"


def test_head_is_answered_with_headers_only(collector: RunningCollector) -> None:
    connection = http.client.HTTPConnection(urlsplit(collector.url).netloc, timeout=10)
    for _ in range(2):  # a body after the first would spoil the second
        connection.request("HEAD", "/pixel.gif?e=email_open&s=news.example")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("content-length")) == (200, "43")
        assert answer.read() == b""
    connection.close()
    assert len(collector.rows()) == 2


def test_while_postgresql_is_away_the_picture_is_shown_and_nothing_claims_to_be_stored(
    tmp_path: Path,
) -> None:
    nowhere = f"postgresql://sluice@127.0.0.1:{free_port()}/sluice"
    with running_collector(nowhere, tmp_path, COMMIT_TIMEOUT="2s") as collector:
        assert collector.send("/collect", {"eventType": "click"})[0] == 503
        status, headers, body = collector.send("/pixel.gif?e=email_open")
        assert (status, headers["content-type"], len(body)) == (200, "image/gif", 43)
        assert headers["sluice-result"].startswith("not stored; reason=")
        assert collector.send("/pixel.gif", b"e=vote", method="POST")[0] == 204
        status, _, body = collector.send("/v1/events/health")
        assert (status, json.loads(body)) == (503, {"status": "unavailable"})
        status, _, body = collector.send("/api/v1/track/event", {"type": "click"})
        assert (status, json.loads(body)["status"]) == (503, "error")
