"""The pixel that a Shopify shop pastes, in a sandbox like Shopify's, to a running collector."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from tests.sdks.collector import Collector
from tests.sdks.gate import Gate
from tests.sdks.node import run_script

SHOP = "https://shop.example"
VARIANT = {
    "id": "v-1",
    "sku": "shoe-7-red",
    "title": "Red",
    "price": {"amount": 89.5, "currencyCode": "CHF"},
    "product": {"id": "p-7", "title": "Shoe", "vendor": "Initech", "type": "Shoes"},
}
TOLD = {
    "productId": "p-7",
    "variantId": "v-1",
    "sku": "shoe-7-red",
    "name": "Shoe",
    "variant": "Red",
    "brand": "Initech",
    "category": "Shoes",
    "price": 89.5,
    "currency": "CHF",
}
CHECKOUT = {
    "token": "secret-token",
    "email": "anna@example.com",
    "phone": "+41 44 668 18 00",
    "shippingAddress": {"firstName": "Anna", "address1": "Example Street 1"},
    "currencyCode": "CHF",
    "totalPrice": {"amount": 186, "currencyCode": "CHF"},
    "totalTax": {"amount": 13.3, "currencyCode": "CHF"},
    "shippingLine": {"price": {"amount": 7, "currencyCode": "CHF"}},
    "lineItems": [{"quantity": 2, "variant": VARIANT}],
}
VISIT: list[dict[str, Any]] = [
    {"name": "page_viewed", "id": "e-0", "at": f"{SHOP}/products/shoe"},
    {
        "name": "product_viewed",
        "id": "e-1",
        "at": f"{SHOP}/products/shoe?utm_source=news",
        "data": {"productVariant": VARIANT},
    },
    {
        "name": "product_added_to_cart",
        "id": "e-2",
        "at": f"{SHOP}/products/shoe",
        "data": {"cartLine": {"quantity": 2, "merchandise": VARIANT}},
    },
    {"name": "page_viewed", "id": "e-3", "at": f"{SHOP}/checkouts/cn/secret-token?key=k"},
    {
        "name": "checkout_started",
        "id": "e-4",
        "at": f"{SHOP}/checkouts/cn/secret-token",
        "data": {"checkout": CHECKOUT},
    },
    {
        "name": "checkout_completed",
        "id": "e-5",
        "at": f"{SHOP}/checkouts/cn/secret-token/thank-you",
        "data": {"checkout": CHECKOUT | {"order": {"id": "1001", "customer": {"id": "c-1"}}}},
    },
]


_RUNS = itertools.count()


def run(url: str, *, steps: list[dict[str, Any]], **scenario: Any) -> dict[str, Any]:
    """With ids of its own for the shop's events: those of another run would be repeats."""
    number = next(_RUNS)
    scenario["steps"] = [s | {"id": f"{s['id']}-{number}"} if "id" in s else s for s in steps]
    told: dict[str, Any] = run_script("shopify-pixel.mjs", url + "/collect", json.dumps(scenario))
    return told


def test_a_purchase_from_product_to_thank_you(collector: Collector) -> None:
    session = json.dumps({"id": "s-1", "lastAt": time.time() * 1000, "index": 3})
    run(
        collector.url,
        steps=VISIT,
        stored={"sluice_visitor": "ours", "sluice_session": session},
    )
    rows = {row.event_type: row for row in collector.wait_for(5)}
    assert set(rows) == {"page_view", "product_view", "add_to_cart", "checkout", "purchase"}
    for row in rows.values():
        assert row.site_id == "shop.example"
        assert (row.visitor_id, row.session_id) == ("ours", "s-1"), "as the tracker calls them"
        assert (row.payload["source"], row.payload["consent"]) == ("shopify", "granted")
        assert row.payload["language"] == "de-CH"
    assert rows["product_view"].properties == TOLD | {"quantity": 1, "value": 89.5}
    assert rows["product_view"].payload["url"] == f"{SHOP}/products/shoe?utm_source=news"
    assert rows["add_to_cart"].properties == TOLD | {"quantity": 2, "value": 179}
    money = {"value": 186, "itemCount": 2, "tax": 13.3, "shipping": 7, "currency": "CHF"}
    items = {"items": [TOLD | {"quantity": 2}]}
    assert rows["checkout"].properties == money | items
    assert rows["purchase"].properties == money | items | {"orderId": "1001", "revenue": 186}
    # The theme's tracker counts the shop's own pages; the pixel those that it cannot be on.
    assert rows["page_view"].payload["url"] == f"{SHOP}/checkouts/cn/…"
    assert rows["purchase"].payload["path"] == "/checkouts/cn/…/thank-you"
    everything = json.dumps([row.payload for row in rows.values()])
    for private in ("secret-token", "anna", "Anna", "668", "Example Street", "c-1"):
        assert private not in everything


def test_without_the_tracker_it_counts_every_page_by_shopify_s_visitor(
    collector: Collector,
) -> None:
    ended = json.dumps({"id": "s-1", "lastAt": (time.time() - 1801) * 1000, "index": 3})
    run(collector.url, steps=VISIT[:1], pageViews="all", stored={"sluice_session": ended})
    (row,) = collector.wait_for(1)
    assert (row.event_type, row.visitor_id) == ("page_view", "shopify-client")
    assert row.session_id is None


def test_nothing_leaves_before_consent_and_what_was_held_goes_then(collector: Collector) -> None:
    assert run(collector.url, steps=VISIT, allowed=False)["requests"] == 0
    told = run(collector.url, steps=[*VISIT[1:3], {"consent": True}, VISIT[4]], allowed=False)
    assert told["requests"] == 3
    collector.wait_for(3)


def test_a_denial_forgets_what_was_held(collector: Collector) -> None:
    steps = [*VISIT[1:3], {"consent": False}, {"consent": True}]
    assert run(collector.url, steps=steps, allowed=False)["requests"] == 0
    steps = [VISIT[1], {"consent": False}, VISIT[2]]
    assert run(collector.url, steps=steps)["requests"] == 1, "and a withdrawal ends it"
    collector.wait_for(1)


def test_who_opted_out_or_whose_browser_says_no_is_not_told_of(collector: Collector) -> None:
    assert run(collector.url, steps=VISIT, stored={"sluice_opt_out": "1"})["requests"] == 0
    assert run(collector.url, steps=VISIT, gpc=True)["requests"] == 0
    collector.wait_for(0)


def test_an_order_is_one_purchase_however_often_it_is_told(
    collector: Collector, gate: Gate
) -> None:
    gate.faults.extend(["refuse", "lose"])
    first = VISIT[5] | {"data": {"checkout": CHECKOUT | {"order": {"id": "2002"}}}}
    run(gate.url, steps=[first, first | {"id": "e-6"}])
    assert [post.status for post in gate.posts].count(200) == 2
    collector.wait_for(1)
