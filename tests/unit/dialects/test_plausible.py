from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector.acceptance import Acceptance
from api.collector.dialects.dialect import DecodedBody, IntakeRequest
from api.collector.dialects.plausible import PlausibleDialect
from core.refusal import RefusalReason, Refused
from tests.unit.dialects.asking import Asked, ask
from tests.unit.dialects.whole import check_whole, deep, values

PATH = "/api/event"


def post(body: Any, **headers: str) -> Asked:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(PlausibleDialect(), PATH, body, headers=headers)


def a_page_view(**different: Any) -> dict[str, Any]:
    event = {"n": "pageview", "u": "https://shop.example/p/7", "d": "shop.example"}
    return event | different


def test_what_the_script_sends() -> None:
    row = post(
        a_page_view(r="https://www.google.com/", v=36, p={"tier": "pro"}, i=False),
        content_type="text/plain",
    ).row
    assert row.payload.pop("eventId")
    assert row.payload == {
        "eventType": "page_view",
        "siteId": "shop.example",
        "url": "https://shop.example/p/7",
        "referrer": "https://www.google.com/",
        "properties": {"tier": "pro", "tracker_version": 36, "interactive": False},
        "ip": "203.0.113.0",
        "dialect": "plausible",
    }


def test_what_a_server_sends() -> None:
    body = {
        "name": "Purchase", "url": "https://shop.example/p?utm_source=news", "domain": "shop",
        "referrer": "https://a.example/", "screen_width": 1280, "interactive": True,
        "props": {"tier": "pro"}, "revenue": {"currency": "CHF", "amount": "12.50"}, "extra": [1],
    }  # fmt: skip
    asked = post(
        body, x_forwarded_for="198.51.100.77, 10.0.0.1", authorization="Bearer key-of-shop"
    )
    row = asked.row
    assert (row.event_type, row.site_id, row.visitor_id) == ("Purchase", "shop", None)
    assert row.payload["viewportWidth"] == 1280
    assert row.payload["properties"] == {
        "tier": "pro", "interactive": True, "extra": [1],
        "revenue": {"currency": "CHF", "amount": "12.50"},
    }  # fmt: skip
    assert isinstance(asked.decoded, DecodedBody)
    assert asked.decoded.ips == {0: "198.51.100.77"}
    assert asked.decoded.write_key == "key-of-shop"


def test_plausibles_own_header_counts_more() -> None:
    asked = post(a_page_view(), x_plausible_ip="198.51.100.77", x_forwarded_for="10.0.0.1")
    assert isinstance(asked.decoded, DecodedBody)
    assert asked.decoded.ips == {0: "198.51.100.77"}


def test_engagement_is_an_event_of_its_own() -> None:
    row = post(a_page_view(n="engagement", sd=75, e=3_000)).row
    assert row.event_type == "engagement"
    assert row.payload["properties"] == {"scroll_depth": 75, "engagement_time": 3_000}


def test_older_scripts_write_json_into_json() -> None:
    revenue = json.dumps({"currency": "CHF", "amount": 2})
    row = post(a_page_view(m=json.dumps({"a": 1}), **{"$": revenue})).row
    assert row.payload["properties"] == {"a": 1, "revenue": {"currency": "CHF", "amount": 2}}


def test_in_hash_mode_the_fragment_is_part_of_the_path() -> None:
    assert post(a_page_view(u="https://a.example/app#/cart", h=1)).row.payload["path"] == (
        "/app#/cart"
    )
    assert "path" not in post(a_page_view(u="https://a.example/app#/cart")).row.payload
    assert "path" not in post(a_page_view(u="https://a.example/app", h=1)).row.payload


def test_a_list_of_domains_is_one_event_of_the_first() -> None:
    row = post(a_page_view(d="shop.example, all.example ,")).row
    assert row.site_id == "shop.example"
    assert row.payload["properties"] == {"domains": ["shop.example", "all.example"]}


@pytest.mark.parametrize(
    ("different", "site_id"),
    [
        ({"d": "shop"}, "shop"),
        ({"d": None}, "shop.example"),
        ({"d": ""}, "shop.example"),
        ({"d": None, "u": "app://home"}, "fallback.example"),
        ({"d": " , "}, "fallback.example"),
    ],
)
def test_the_site_is_the_domain_else_the_pages_host(
    different: dict[str, Any], site_id: str
) -> None:
    assert post(a_page_view(**different)).row.site_id == site_id


def test_nothing_of_the_props_is_overwritten() -> None:
    row = post(a_page_view(d="a, b", v=36, p={"tracker_version": "mine", "domains": "mine"})).row
    assert row.payload["properties"] == {
        "tracker_version": "mine", "domains": "mine",
        "_tracker_version": 36, "_domains": ["a", "b"],
    }  # fmt: skip


def test_an_odd_value_costs_its_column_and_no_more() -> None:
    row = post(a_page_view(r="x" * 9_000, w="wide")).row
    assert row.payload["properties"] == {"r": "x" * 9_000, "w": "wide"}


REFUSED: dict[str, tuple[Any, str, str | None, int]] = {
    "nothing": (b"", "invalid_json", None, 400),
    "no JSON": (b"{", "invalid_json", None, 400),
    "no UTF-8": (b'{"n":"\xff"}', "invalid_json", None, 400),
    "an array": ([a_page_view()], "invalid_event", None, 400),
    "deep": (deep(100_000), "too_deep", None, 400),
    "no name": (a_page_view(n=None), "invalid_event", "name", 400),
    "a name of another type": (a_page_view(n=[1]), "invalid_event", "n", 400),
    "a long name": ({"name": "x" * 300}, "too_long", "name", 400),
    "a domain of another type": (a_page_view(d=7), "invalid_event", "d", 400),
    "a long domain": (a_page_view(d="x" * 300), "too_long", "d", 400),
    "props that are a list": (a_page_view(p=[1]), "invalid_event", "p", 400),
    "props that are a number": (a_page_view(props=1), "invalid_event", "props", 400),
    "props that are no JSON": (a_page_view(meta="{"), "invalid_json", "meta", 400),
    "props that are JSON of a list": (a_page_view(m="[]"), "invalid_event", "m", 400),
    "deep props": (a_page_view(p={"x": json.loads(deep(60))}), "too_deep", "properties", 400),
    "a NUL": (a_page_view(r="a\0b"), "nul_character", None, 400),
    "an event too large": (a_page_view(p={"x": "x" * 40_000}), "too_large", None, 413),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_gets_a_clear_answer(name: str) -> None:
    body, reason, field, status = REFUSED[name]
    asked = post(body)
    refused = asked.refused
    assert (str(refused.reason), refused.field) == (reason, field)
    assert asked.reply.status == status
    assert asked.answer == {"errors": {field or "request": [refused.message]}}


def test_what_is_refused_can_be_read_again() -> None:
    refused = post(a_page_view(n="x" * 300)).refused
    assert refused.event_type == "x" * 300
    assert post(refused.payload).refused.field == "n"


def test_the_answer_is_plausibles() -> None:
    assert post(a_page_view()).reply[:2] == (202, b"ok")
    request = IntakeRequest("POST", PATH, b"", {}, b"")
    left_out = Acceptance(refused=[Refused(RefusalReason.DO_NOT_TRACK, "why", index=0)])
    reply = PlausibleDialect().reply(request, left_out)
    assert (reply.status, reply.headers) == (202, ((b"x-plausible-dropped", b"1"),))
    failed = PlausibleDialect().fail(request, 503, "queue_full", "later")
    assert failed[:2] == (503, b'{"errors":{"request":["later"]}}')


NAMES = st.sampled_from(
    ["n", "name", "u", "url", "d", "domain", "r", "referrer", "p", "props", "m", "meta", "h",
     "hashMode", "i", "interactive", "$", "revenue", "e", "sd", "v", "w", "screen_width"]
) | st.text(max_size=5)  # fmt: skip
JSON = values(NAMES)


@given(st.binary(max_size=200), st.binary(max_size=30))
def test_arbitrary_bytes_never_raise(body: bytes, address: bytes) -> None:
    check_whole(post(body, x_forwarded_for=address.decode("latin-1")))


@given(JSON, st.dictionaries(NAMES, JSON, max_size=8))
def test_arbitrary_json_never_raises(body: Any, event: dict[str, Any]) -> None:
    check_whole(post(body))
    check_whole(post(event))
    check_whole(post({"n": "pageview"} | event))
