from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from api.collector.dialects.dialect import IntakeRequest
from api.collector.dialects.ecomdash import EcomDashDialect
from core.refusal import RefusalReason
from tests.unit.dialects.asking import Asked, ask

PAGE_VIEW: dict[str, Any] = {
    "type": "pageview",
    "url": "/products/shoe-7",
    "referrer": "google.com",
    "timestamp": 1_795_255_200_000,
    "session_id": "s-1",
    "visitor_id": "5d41402abc4b2a76",
    "viewport": {"width": 1920, "height": 1080},
    "performance": {"lcp": 1.2, "fid": 0.05, "cls": 0.01},
}


def track(route: str, body: Any, **headers: str) -> Asked:
    return ask(EcomDashDialect(), f"/api/v1/track/{route}", body, headers=headers)


@pytest.mark.parametrize("body", [PAGE_VIEW, {"events": [PAGE_VIEW]}, [PAGE_VIEW]])
def test_a_page_view_lands_in_the_contracts_columns(body: Any) -> None:
    asked = track("pageview", body, origin="https://shop.example")
    row = asked.row
    assert (row.event_type, row.session_id) == ("page_view", "s-1")
    assert row.visitor_id == "5d41402abc4b2a76", "taken as given, whatever it was made of"
    assert row.occurred_at == datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert row.payload["url"] == "https://shop.example/products/shoe-7"
    assert row.payload["referrerDomain"] == "google.com"
    assert "referrer" not in row.payload
    assert (row.payload["viewportWidth"], row.payload["viewportHeight"]) == (1920, 1080)
    assert row.payload["properties"] == {"performance": PAGE_VIEW["performance"]}
    assert row.payload["dialect"] == "ecomdash"
    assert asked.reply.status == 200
    assert asked.answer == {"status": "ok", "accepted": 1, "rejected": 0}


@pytest.mark.parametrize(
    ("route", "event", "event_type"),
    [
        ("pageview", {}, "page_view"),
        ("session", {"duration": 30}, "session"),
        ("performance", {"lcp": 1.2}, "performance"),
        ("event", {"type": "add_to_cart"}, "add_to_cart"),
        ("event", {"type": "pageview"}, "page_view"),
        ("pageview", {"type": None}, "page_view"),
        ("pageview", {"type": "click"}, "click"),
        ("pageview", {"eventType": "scroll"}, "scroll"),
        ("pageview", {"event_type": "scroll"}, "scroll"),
    ],
)
def test_the_route_says_what_an_event_is_unless_the_event_does(
    route: str, event: dict[str, Any], event_type: str
) -> None:
    assert track(route, event).row.event_type == event_type
    assert track(route, {"events": [event]}).row.event_type == event_type


def test_an_event_of_no_type_is_refused_where_the_route_has_none() -> None:
    refused = track("event", {"url": "/"}).refused
    assert (refused.reason, refused.field) == (RefusalReason.INVALID_EVENT, "eventType")


def test_a_type_beside_an_event_type_is_kept() -> None:
    row = track("event", {"eventType": "search", "type": "visual"}).row
    assert row.payload["properties"] == {"type": "visual"}


@pytest.mark.parametrize(
    ("url", "headers", "stored"),
    [
        ("/p/7?utm_source=x", {"origin": "https://shop.example"}, "https://shop.example/p/7?utm_source=x"),
        ("/p/7", {"referer": "https://shop.example:8443/p/6?a=1"}, "https://shop.example:8443/p/7"),
        ("/p/7", {"referer": "https://user:secret@shop.example/"}, "https://shop.example/p/7"),
        ("/p/7", {"origin": "null"}, "/p/7"),
        ("/p/7", {"origin": "https://[broken"}, "/p/7"),
        ("/p/7", {"origin": "https://bü.example"}, "/p/7"),
        ("/p/7", {}, "/p/7"),
        ("//cdn.example/x", {"origin": "https://shop.example"}, "//cdn.example/x"),
        ("https://a.example/", {"origin": "https://shop.example"}, "https://a.example/"),
    ],
)  # fmt: skip
def test_a_bare_path_is_completed_by_the_page_that_sends(
    url: str, headers: dict[str, str], stored: str
) -> None:
    assert track("pageview", {"url": url}, **headers).row.payload["url"] == stored


@pytest.mark.parametrize(
    ("referrer", "column"),
    [
        ("google.com", "referrerDomain"),
        ("m.facebook.com:443", "referrerDomain"),
        ("bücher.example", "referrerDomain"),
        ("https://google.com/", "referrer"),
        ("google.com/search?q=x", "referrer"),
        ("direct", "referrer"),
        ("/p/6", "referrer"),
        ("", "referrer"),
    ],
)
def test_a_bare_host_is_a_referrers_domain(referrer: str, column: str) -> None:
    assert track("pageview", {"referrer": referrer}).row.payload[column] == referrer


@pytest.mark.parametrize(
    ("viewport", "columns", "kept"),
    [
        ({"width": 390, "height": 844}, (390, 844), None),
        ({"width": 390.4, "height": 844.5}, (390, 844), None),
        ({"width": 390, "height": 844, "scale": 2}, (390, 844), {"scale": 2}),
        ({"width": 390}, (None, None), {"width": 390}),
        ({"width": "wide", "height": 1}, (None, None), {"width": "wide", "height": 1}),
        ({"width": True, "height": 1}, (None, None), {"width": True, "height": 1}),
        ("390x844", (None, None), "390x844"),
    ],
)
def test_a_viewport(viewport: Any, columns: tuple[int | None, ...], kept: Any) -> None:
    payload = track("pageview", {"viewport": viewport}).row.payload
    assert (payload.get("viewportWidth"), payload.get("viewportHeight")) == columns
    assert payload.get("properties", {}).get("viewport") == kept


@pytest.mark.parametrize("side", [-1, 10**400, 2**31])
def test_a_viewport_that_no_screen_has_is_refused_by_name(side: int) -> None:
    refused = track("pageview", {"viewport": {"width": side, "height": 1}}).refused
    assert refused.field == "viewportWidth"


def test_what_a_shop_says_is_kept() -> None:
    order = {"order_id": "o-7", "total": 99.5, "items": [{"sku": "shoe-7", "quantity": 1}]}
    row = track("event", {"type": "purchase", "user_id": 7, **order}).row
    assert row.user_id == "7"
    assert row.payload["properties"] == order


def test_what_is_refused_is_named_beside_what_is_not() -> None:
    asked = track("event", {"events": [{"type": "click"}, {"url": "/"}]})
    assert asked.reply.status == 200
    assert asked.answer["status"] == "ok"
    assert (asked.answer["accepted"], asked.answer["rejected"]) == (1, 1)
    assert asked.answer["errors"][0]["index"] == 1


def test_nothing_acceptable_is_an_error() -> None:
    asked = track("event", b"{")
    assert (asked.reply.status, asked.answer["status"]) == (400, "error")
    request = IntakeRequest("POST", "/api/v1/track/event", b"", {}, b"")
    reply = EcomDashDialect().fail(request, 503, "buffer_unavailable", "send it again")
    assert reply.status == 503
    assert reply.body.startswith(b'{"status":"error","accepted":0,')
