from __future__ import annotations

import json
import re
from typing import Any

import pytest

from api.collector.dialects.dialect import DecodedBody, IntakeRequest
from api.collector.dialects.heatmap import HeatmapDialect
from tests.conftest import ROOT
from tests.unit.dialects.asking import Asked, ask

CLICK: dict[str, Any] = {
    "timestamp": "2026-11-21T10:00:00.000Z",
    "website_id": "shop.example",
    "session_id": "s-1",
    "visitor_id": "v-1",
    "page_url": "https://shop.example/p/7",
    "element_selector": "#buy > span",
    "x_coordinate": 412,
    "y_coordinate": 1_980,
    "viewport_width": 1280,
    "viewport_height": 720,
    "device_type": "desktop",
    "user_agent": "Agent/1",
}


def post(route: str, body: Any) -> Asked:
    return ask(HeatmapDialect(), f"/v1/events/{route}", body)


@pytest.mark.parametrize("body", [CLICK, [CLICK], {"events": [CLICK]}])
def test_a_click_lands_where_our_own_trackers_lands(body: Any) -> None:
    row = post("click", body).row
    assert (row.event_type, row.site_id) == ("click", "shop.example")
    assert (row.visitor_id, row.session_id) == ("v-1", "s-1")
    assert row.payload["url"] == "https://shop.example/p/7"
    assert row.payload["properties"] == {"selector": "#buy > span", "x": 412, "y": 1_980}
    assert (row.payload["viewportWidth"], row.payload["viewportHeight"]) == (1280, 720)
    assert (row.payload["deviceType"], row.payload["userAgent"]) == ("desktop", "Agent/1")
    assert row.payload["dialect"] == "heatmap"
    tracker = (ROOT / "tracking" / "src" / "clicks.ts").read_text()
    for name in row.payload["properties"]:
        assert re.search(rf"^ +{name}\??: ", tracker, re.MULTILINE), name


@pytest.mark.parametrize(
    ("route", "event", "event_type"),
    [
        ("click", {}, "click"),
        ("scroll", {"depth": 80}, "scroll"),
        ("mouse", {"x_coordinate": 1}, "mouse_move"),
        ("mouse", {"event_type": "hover"}, "hover"),
        ("collect", {"event_type": "click"}, "click"),
        ("collect", {"eventType": "click"}, "click"),
    ],
)
def test_the_route_says_what_an_event_is_unless_the_event_does(
    route: str, event: dict[str, Any], event_type: str
) -> None:
    assert post(route, event).row.event_type == event_type


def test_an_event_of_no_type_is_refused_where_the_route_has_none() -> None:
    assert post("collect", {"events": [CLICK]}).refused.field == "eventType"


def test_a_wrappers_fields_are_renamed_and_shared() -> None:
    first, second = post(
        "collect",
        {
            "website_id": "shop.example",
            "events": [{"event_type": "click"}, {"event_type": "scroll"}],
        },
    ).rows
    assert (first.site_id, second.site_id) == ("shop.example", "shop.example")


def test_a_forwarded_address_is_told_apart_and_stored_nowhere() -> None:
    asked = post("collect", [CLICK | {"event_type": "click", "ip_address": "203.0.113.77"}] * 2)
    assert isinstance(asked.decoded, DecodedBody)
    assert asked.decoded.ips == {0: "203.0.113.77", 1: "203.0.113.77"}
    assert "203.0.113.77" not in json.dumps([row.payload for row in asked.rows])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_is_ok_while_events_are_taken_in(method: str) -> None:
    asked = ask(HeatmapDialect(), "/v1/events/health", method=method)
    assert (asked.acceptance.accepted, asked.acceptance.refused) == ([], [])
    assert (asked.reply.status, asked.answer) == (200, {"status": "ok"})


def test_health_is_not_ok_while_they_are_not() -> None:
    request = IntakeRequest("GET", "/v1/events/health", b"", {}, b"")
    reply = HeatmapDialect().fail(request, 503, "buffer_unavailable", "send it again")
    assert (reply.status, json.loads(reply.body)) == (503, {"status": "unavailable"})
