"""Snowplow's own trackers, for Python and for Node, pointed at a running collector."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from snowplow_tracker import (
    Emitter,
    PagePing,
    PageView,
    SelfDescribing,
    SelfDescribingJson,
    StructuredEvent,
    Subject,
    Tracker,
)

from tests.sdks.collector import Collector, Row
from tests.sdks.gate import Gate
from tests.sdks.node import run_script
from tests.system.running_stack import wait_until

CHECKOUT = "iglu:com.acme/checkout_started/jsonschema/2-0-1"
USER = {"schema": "iglu:com.acme/user/jsonschema/1-0-0", "data": {"plan": "pro", "name": "Zoë?>~"}}
TRUE_TIME = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)

SUBJECT: dict[str, Any] = {
    "userId": "u-1", "visitorId": "d-1", "sessionId": "s-1", "sessionIndex": 3,
    "userAgent": "Agent/1", "screenWidth": 1920, "screenHeight": 1080, "viewportWidth": 1280,
    "viewportHeight": 720, "timezone": "Europe/Zurich", "language": "de-CH", "source": "srv",
    "dialect": "snowplow",
}  # fmt: skip
PAGE = {
    "siteId": "shop.example", "url": "https://shop.example/p/7?a=1", "title": "Red shoes ü",
    "referrer": "https://www.google.com/",
}  # fmt: skip
STRUCT = {"eventCategory": "shop", "eventAction": "add", "eventLabel": "p7"}


def told(row: Row) -> dict[str, Any]:
    """What the sender said, without the ids and moments that it made up."""
    payload = dict(row.payload)
    for name in ("eventId", "occurredAt", "sentAt"):
        payload.pop(name, None)
    return payload


def check_moments(row: Row) -> None:
    assert len(str(row.payload["eventId"])) == 36
    assert str(row.event_id) == row.payload["eventId"]
    assert abs(row.occurred_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert {"occurredAt", "sentAt"} <= row.payload.keys()


# --- Python -------------------------------------------------------------------------------------


def a_python_tracker(url: str, *, method: str = "post", base64: bool = True) -> Tracker:
    subject = Subject()
    subject.set_platform("srv").set_user_id("u-1").set_domain_user_id("d-1")
    subject.set_network_user_id("n-1").set_domain_session_id("s-1").set_domain_session_index(3)
    subject.set_useragent("Agent/1").set_ip_address("198.51.100.77")
    subject.set_screen_resolution(1920, 1080).set_viewport(1280, 720).set_color_depth(24)
    subject.set_timezone("Europe/Zurich").set_lang("de-CH")
    emitter = Emitter(url, method=method, batch_size=100, max_retry_delay_seconds=1)
    return Tracker("py", emitter, subject=subject, app_id="shop-py", encode_base64=base64)


def track_with_python(tracker: Tracker) -> None:
    page = {"page_url": PAGE["url"], "page_title": PAGE["title"], "referrer": PAGE["referrer"]}
    user = SelfDescribingJson(USER["schema"], USER["data"])
    tracker.track(PageView(**page, context=[user]))
    tracker.track(PagePing(**page, min_x=0, max_x=1, min_y=2, max_y=300))
    tracker.track(StructuredEvent("shop", "add", label="p7", property_="red", value=2.5))
    checkout = SelfDescribingJson(CHECKOUT, {"cart": "c-7"})
    tracker.track(
        SelfDescribing(checkout, context=[user], true_timestamp=TRUE_TIME.timestamp() * 1_000)
    )
    tracker.flush()


@pytest.mark.parametrize("method", ["post", "get"])
@pytest.mark.parametrize("base64", [True, False])
def test_python(collector: Collector, method: str, base64: bool) -> None:
    track_with_python(a_python_tracker(collector.url, method=method, base64=base64))
    rows = {row.event_type: row for row in collector.wait_for(4)}
    shared = {
        "tracker_version": rows["struct"].properties["tracker_version"],
        "tracker_name": "py", "network_userid": "n-1", "br_colordepth": "24",
    }  # fmt: skip
    assert shared["tracker_version"].startswith("py-1.")
    subject = SUBJECT | {"app": "shop-py"}
    _check_ip(rows.values())
    assert told(rows["page_view"]) == subject | PAGE | {
        "eventType": "page_view", "properties": shared | {"contexts": [USER]},
    }  # fmt: skip
    offsets = {
        "pp_xoffset_min": 0, "pp_xoffset_max": 1, "pp_yoffset_min": 2, "pp_yoffset_max": 300,
    }  # fmt: skip
    assert told(rows["page_ping"]) == subject | PAGE | {
        "eventType": "page_ping", "properties": shared | offsets,
    }  # fmt: skip
    assert told(rows["struct"]) == subject | STRUCT | {
        "eventType": "struct", "siteId": "shop-py",
        "properties": shared | {"se_property": "red", "se_value": 2.5},
    }  # fmt: skip
    created = rows["checkout_started"].properties.pop("dvce_created_tstamp")
    sent = rows["checkout_started"].properties.pop("dvce_sent_tstamp")
    assert abs(created - sent) < 60_000
    assert told(rows["checkout_started"]) == subject | {
        "eventType": "checkout_started", "eventVersion": 2, "siteId": "shop-py",
        "properties": shared | {"cart": "c-7", "_schema": CHECKOUT, "contexts": [USER]},
    }  # fmt: skip
    assert rows.pop("checkout_started").occurred_at == TRUE_TIME
    for row in rows.values():
        check_moments(row)


def _check_ip(rows: Any) -> None:
    """Whatever is kept of the visitor's address, it is not all of it."""
    for row in rows:
        assert "198.51.100.77" not in json.dumps(row.payload)
        assert row.payload.pop("ip", "").endswith((".0", ""))


def test_python_sends_again_what_a_503_kept_out(collector: Collector) -> None:
    tracker = a_python_tracker(collector.url)
    with collector.answering_503():
        track_with_python(tracker)
        assert tracker.emitters[0].event_store.size() == 4
    assert len(collector.wait_for(4)) == 4
    assert tracker.emitters[0].event_store.size() == 0


def test_a_lost_answer_is_the_same_event(collector: Collector, gate: Gate) -> None:
    gate.faults.append("lose")
    tracker = a_python_tracker(gate.url)
    tracker.track(PageView(page_url=PAGE["url"]))
    tracker.flush()
    wait_until(lambda: len(gate.posts) == 2, seconds=20, what="the event to come again")
    collector.wait_for(1)
    assert [passed.status for passed in gate.posts] == [503, 200]


def test_python_is_not_stopped_by_an_event_that_is_refused(collector: Collector) -> None:
    tracker = a_python_tracker(collector.url)
    tracker.track(SelfDescribing(SelfDescribingJson("no-schema", {"cart": "c-7"})))
    tracker.flush()
    tracker.track(PageView(page_url=PAGE["url"]))
    tracker.flush()
    (row,) = collector.wait_for(1)
    assert row.event_type == "page_view"
    assert tracker.emitters[0].event_store.size() == 0


# --- Node ---------------------------------------------------------------------------------------


def send_with_node(url: str, method: str = "post", *, base64: bool = True) -> dict[str, Any]:
    settings = json.dumps({"eventMethod": method, "encodeBase64": base64})
    done: dict[str, Any] = run_script("snowplow-node.mjs", url, settings)
    return done


@pytest.mark.parametrize("method", ["post", "get"])
@pytest.mark.parametrize("base64", [True, False])
def test_node(collector: Collector, method: str, base64: bool) -> None:
    assert send_with_node(collector.url, method, base64=base64) == {"sent": 3, "failures": []}
    rows = {row.event_type: row for row in collector.wait_for(3)}
    _check_ip(rows.values())
    shared = {
        "tracker_version": "node-4.8.0", "tracker_name": "node", "network_userid": "n-1",
        "br_colordepth": "24",
    }  # fmt: skip
    subject = SUBJECT | {"app": "shop-node"}
    assert told(rows["page_view"]) == subject | PAGE | {
        "eventType": "page_view", "properties": shared | {"contexts": [USER]},
    }  # fmt: skip
    assert told(rows["struct"]) == subject | STRUCT | {
        "eventType": "struct", "siteId": "shop-node",
        "properties": shared | {"se_property": "red", "se_value": 2.5},
    }  # fmt: skip
    checkout = rows.pop("checkout_started")
    assert checkout.properties.pop("dvce_sent_tstamp")
    assert told(checkout) == subject | {
        "eventType": "checkout_started", "eventVersion": 2, "siteId": "shop-node",
        "properties": shared | {"cart": "c-7", "_schema": CHECKOUT, "contexts": [USER]},
    }  # fmt: skip
    assert checkout.occurred_at == TRUE_TIME
    for row in rows.values():
        check_moments(row)


def test_node_sends_again_what_a_503_kept_out(collector: Collector) -> None:
    done: list[dict[str, Any]] = []
    sender = threading.Thread(target=lambda: done.append(send_with_node(collector.url)))
    with collector.answering_503():
        sender.start()
        time.sleep(3)
    sender.join(60)
    assert done[0]["sent"] == 3
    assert set(done[0]["failures"]) == {503}
    assert len(collector.wait_for(3)) == 3
