"""Segment's and RudderStack's own SDKs for servers, pointed at a running collector."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import rudderstack.analytics.client as rudder_client
import rudderstack.analytics.request as rudder_request
import segment.analytics.client as segment_client
import segment.analytics.request as segment_request

from tests.sdks.collector import Collector, Row
from tests.sdks.gate import Gate
from tests.sdks.node import HERE, run_script
from tests.system.running_collector import RunningCollector, running_collector

KEY = "key-of-the-shop"
CALLS: list[dict[str, Any]] = json.loads((HERE / "segment-calls.json").read_text())
A_DAY = timedelta(days=1)

Send = Callable[..., list[str]]
"""Sends calls to a host; returns what the SDK reports as failed."""


def send_with_python(
    client_module: Any,
    request_module: Any,
    host: str,
    calls: list[Any],
    ahead: timedelta,
    **settings: Any,
) -> list[str]:
    failures: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        clock = _clock_ahead(ahead)
        patch.setattr(client_module, "datetime", clock)
        patch.setattr(request_module, "datetime", clock)
        client = client_module.Client(
            KEY,
            host=host,
            upload_interval=0.1,
            on_error=lambda error, _: failures.append(str(error)),
            **settings,
        )
        for call in calls:
            arguments = {_snake(name): value for name, value in call.items() if name != "type"}
            getattr(client, call["type"])(**arguments)
        client.shutdown()
    return failures


def _clock_ahead(ahead: timedelta) -> type[datetime]:
    class ClockAhead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> ClockAhead:
            return super().now(tz) + ahead  # type: ignore[return-value]

    return ClockAhead


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def segment_python(host: str, calls: list[Any], ahead: timedelta = timedelta()) -> list[str]:
    return send_with_python(segment_client, segment_request, host, calls, ahead)


def segment_python_gzip(host: str, calls: list[Any], ahead: timedelta = timedelta()) -> list[str]:
    return send_with_python(segment_client, segment_request, host, calls, ahead, gzip=True)


def rudder_python(host: str, calls: list[Any], ahead: timedelta = timedelta()) -> list[str]:
    return send_with_python(rudder_client, rudder_request, host, calls, ahead)


def segment_node(host: str, calls: list[Any], ahead: timedelta = timedelta()) -> list[str]:
    return _run("segment-node.mjs", host, calls, ahead)


def rudder_node(host: str, calls: list[Any], ahead: timedelta = timedelta()) -> list[str]:
    return _run("rudder-node.mjs", host, calls, ahead)


def _run(script: str, host: str, calls: list[Any], ahead: timedelta, **settings: Any) -> list[str]:
    done = run_script(
        script,
        host,
        json.dumps(calls),
        json.dumps(settings),
        clock_ahead_seconds=ahead.total_seconds(),
    )
    failures: list[str] = done["failures"]
    return failures


SDKS: dict[str, Send] = {
    "segment-analytics-python": segment_python,
    "segment-analytics-python, gzip": segment_python_gzip,
    "rudder-sdk-python": rudder_python,
    "@segment/analytics-node": segment_node,
    "@rudderstack/rudder-sdk-node": rudder_node,
}
each_sdk = pytest.mark.parametrize("send", SDKS.values(), ids=SDKS.keys())


def sent(rows: list[Row], event_type: str) -> Row:
    (row,) = (row for row in rows if row.event_type == event_type)
    return row


@each_sdk
def test_every_call_is_a_row_with_every_field(collector: Collector, send: Send) -> None:
    assert send(collector.url, CALLS) == []
    rows = collector.wait_for(len(CALLS))
    for row in rows:
        assert (row.user_id, row.payload["dialect"]) == ("u_1", "segment")
        assert abs(row.occurred_at - datetime.now(UTC)) < timedelta(minutes=1)
        assert row.occurred_at <= row.received_at
        assert "203.0.113.77" not in json.dumps(row.payload)
        library = row.properties["context"]["library"]
        assert library["name"].endswith(("analytics-python", "analytics-node"))
    order = sent(rows, "Order Completed")
    assert (order.site_id, order.visitor_id) == ("shop.example", "anon-1")
    assert (
        order.payload
        | {
            "url": "https://shop.example/p/7?utm_source=news",
            "path": "/p/7",
            "title": "Red shoes",
            "referrer": "https://www.google.com/",
            "utmSource": "news",
            "utmMedium": "email",
            "utmCampaign": "autumn",
            "utmTerm": "shoes",
            "utmContent": "top",
            "userAgent": CALLS[0]["context"]["userAgent"],
            "language": "de-CH",
            "timezone": "Europe/Zurich",
            "app": "portal",
            "appVersion": "1.4.2",
            "os": "macOS",
            "osVersion": "26.1",
            "deviceType": "desktop",
            "screenWidth": 1920,
            "screenHeight": 1080,
        }
        == order.payload
    )
    assert order.properties["revenue"] == 39.95
    assert order.properties["products"] == [{"sku": "a-1", "quantity": 2}]
    assert order.properties["context"]["network"] == {"wifi": True}
    page = sent(rows, "page_view")
    assert (page.site_id, page.payload["url"]) == ("docs.example", "https://docs.example/home")
    assert (page.properties["name"], page.properties["category"]) == ("Home", "Docs")
    assert sent(rows, "screen_view").properties["name"] == "Basket"
    identify = sent(rows, "identify")
    assert identify.visitor_id == "anon-1"
    assert identify.properties["traits"] == {"plan": "pro", "seats": 3}
    group = sent(rows, "group")
    assert (group.payload["companyId"], group.properties["traits"]) == ("g_1", {"name": "Initech"})
    alias = sent(rows, "alias")
    assert (alias.visitor_id, alias.properties["previousId"]) == ("anon-1", "anon-1")


@each_sdk
def test_a_client_s_clock_may_be_a_day_wrong(collector: Collector, send: Send) -> None:
    for ahead in (A_DAY, -A_DAY):
        collector.forget()
        assert send(collector.url, [CALLS[1]], ahead) == []
        (row,) = collector.wait_for(1)
        told = datetime.fromisoformat(row.payload["occurredAt"])
        assert abs(told - row.received_at - ahead) < timedelta(minutes=1)
        assert abs(row.occurred_at - row.received_at) < timedelta(seconds=30)


@each_sdk
def test_what_is_answered_503_is_sent_again_and_stored_once(
    collector: Collector, gate: Gate, send: Send
) -> None:
    gate.faults.extend(["refuse", "refuse"])
    assert send(gate.url, [CALLS[1]]) == []
    collector.wait_for(1)
    assert [passed.status for passed in gate.posts] == [503, 503, 200]


@each_sdk
def test_a_message_whose_answer_was_lost_comes_again_as_the_same_event(
    collector: Collector, gate: Gate, send: Send
) -> None:
    gate.faults.append("lose")
    assert send(gate.url, [CALLS[1]]) == []
    collector.wait_for(1)
    assert [passed.status for passed in gate.posts] == [503, 200], "it came twice"


@each_sdk
def test_what_is_refused_is_reported_to_the_application_and_not_sent_again(
    collector: Collector, gate: Gate, send: Send
) -> None:
    too_long = CALLS[0] | {"event": "x" * 201}
    (failure,) = set(send(gate.url, [too_long]))
    assert "too_long" in failure or "400" in failure or "Bad Request" in failure
    assert [passed.status for passed in gate.posts] == [400]
    assert collector.rows() == []


@each_sdk
def test_one_poison_call_among_good_ones_costs_them_nothing(
    collector: Collector, send: Send
) -> None:
    poison = CALLS[0] | {"properties": {"text": "a\0b"}}
    send(collector.url, [CALLS[1], poison, CALLS[2]])
    rows = collector.wait_for(2)
    assert {row.event_type for row in rows} == {"page_view", "screen_view"}


# --- a stack that has write keys -----------------------------------------------------------------


@pytest.fixture(scope="module")
def keyed(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCollector]:
    """It knows the key that each SDK is given."""
    folder = tmp_path_factory.mktemp("keyed")
    with running_collector(database, folder, WRITE_KEYS=f"{KEY}=shop.example") as running:
        yield running


@pytest.fixture(scope="module")
def foreign(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCollector]:
    """It knows another."""
    folder = tmp_path_factory.mktemp("foreign")
    keys = "key-of-somebody-else=shop.example"
    with running_collector(database, folder, WRITE_KEYS=keys) as running:
        yield running


@each_sdk
def test_a_write_key_says_which_site_it_is(keyed: RunningCollector, send: Send) -> None:
    collector = Collector(keyed)
    assert send(collector.url, [CALLS[2]]) == []
    (row,) = collector.wait_for(1)
    assert row.site_id == "shop.example"
    assert KEY not in json.dumps(row.payload)


@each_sdk
def test_a_key_that_is_not_ours_is_told_once(foreign: RunningCollector, send: Send) -> None:
    collector, gate = Collector(foreign), Gate(foreign.url)
    try:
        assert len(set(send(gate.url, [CALLS[2]]))) == 1
        assert [post.status for post in gate.posts] == [401]
    finally:
        gate.close()
    assert collector.rows() == []
