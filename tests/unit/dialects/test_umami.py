from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector.acceptance import Acceptance
from api.collector.dialects.dialect import DecodedBody, IntakeRequest
from api.collector.dialects.umami import UmamiDialect
from core.refusal import RefusalReason, Refused
from tests.unit.dialects.asking import Asked, ask
from tests.unit.dialects.whole import check_whole, deep, values

WEBSITE = "b59e9c65-ae32-47f1-8400-119fcf4861c4"
DONE = {"cache": ""}


def post(body: Any, **headers: str) -> Asked:
    return ask(UmamiDialect(), "/api/send", body, headers=headers)


def post_batch(*items: Any) -> Asked:
    return ask(UmamiDialect(), "/api/batch", list(items))


def sent(kind: str = "event", **payload: Any) -> dict[str, Any]:
    shared = {"website": WEBSITE, "hostname": "shop.example", "url": "https://shop.example/p/7"}
    return {"type": kind, "payload": shared | payload}


def test_what_the_script_sends() -> None:
    asked = post(
        sent(
            screen="1920x1080", language="de-CH", title="Red shoes", tag="a",
            referrer="https://www.google.com/", id="u-1",
        )
    )  # fmt: skip
    assert asked.row.payload.pop("eventId")
    assert asked.row.payload | {"eventId": ""} == {
        "eventId": "",
        "eventType": "page_view",
        "siteId": "shop.example",
        "userId": "u-1",
        "url": "https://shop.example/p/7",
        "title": "Red shoes",
        "referrer": "https://www.google.com/",
        "screenWidth": 1920,
        "screenHeight": 1080,
        "language": "de-CH",
        "properties": {"website": WEBSITE, "tag": "a"},
        "ip": "203.0.113.0",
        "dialect": "umami",
    }
    assert (asked.reply.status, asked.answer) == (200, DONE)


def test_what_a_server_sends() -> None:
    asked = post(
        sent(
            name="purchase", data={"total": 12.5}, ip="198.51.100.77", userAgent="Agent/1",
            browser="firefox", os="Mac OS", device="desktop", timestamp=1795256130,
        ),
        authorization="Bearer key-of-shop",
    )  # fmt: skip
    told = {
        "eventType": "purchase", "userAgent": "Agent/1", "browser": "firefox", "os": "Mac OS",
        "deviceType": "desktop", "properties": {"total": 12.5, "website": WEBSITE},
    }  # fmt: skip
    assert told.items() <= asked.row.payload.items()
    assert asked.row.occurred_at.isoformat() == "2026-11-21T10:15:30+00:00"
    assert isinstance(asked.decoded, DecodedBody)
    assert asked.decoded.ips == {0: "198.51.100.77"}
    assert asked.decoded.write_key == "key-of-shop"
    assert "198.51.100.77" not in repr(asked.acceptance.accepted)


def test_identify_names_the_user() -> None:
    row = post(sent("identify", id="u-1", data={"plan": "pro"})).row
    assert (row.event_type, row.user_id) == ("identify", "u-1")
    assert row.payload["properties"] == {"plan": "pro", "website": WEBSITE}


def test_web_vitals_and_engagement() -> None:
    row = post(sent("performance", lcp=1200, cls=0.02, duration=900)).row
    assert row.event_type == "performance"
    assert row.payload["properties"] == {
        "website": WEBSITE, "lcp": 1200, "cls": 0.02, "duration": 900,
    }  # fmt: skip
    assert post(sent("engagement", engagement=5_000)).row.payload["properties"] == {
        "website": WEBSITE, "engagement": 5_000,
    }  # fmt: skip


def test_an_error_keeps_its_name_its_id_and_its_moment() -> None:
    event_id = "019aa1b2-7c1e-7a50-9d3e-3f1b8c2a4d5e"
    row = post(sent("error", eventId=event_id, timestamp=1795256130123, name="TypeError")).row
    assert (str(row.event_id), row.event_type) == (event_id, "error")
    assert row.occurred_at.isoformat() == "2026-11-21T10:15:30.123000+00:00"
    assert row.payload["properties"] == {"website": WEBSITE, "name": "TypeError"}


@pytest.mark.parametrize(
    ("payload", "headers", "url", "referrer"),
    [
        ({"url": "/p?a=1", "referrer": "/"}, {}, "https://shop.example/p?a=1", "https://shop.example/"),
        ({"url": "/p", "referrer": "/q"}, {"origin": "http://shop.example:8080"},
         "http://shop.example:8080/p", "http://shop.example:8080/q"),
        ({"url": "/p"}, {"origin": "https://other.example"}, "https://shop.example/p", None),
        ({"url": "/p", "hostname": None}, {"origin": "https://a.example"},
         "https://a.example/p", None),
        ({"url": "/p", "hostname": None}, {}, "/p", None),
        ({"url": "", "referrer": ""}, {}, None, None),
        ({"url": "//[", "referrer": 7}, {}, "//[", None),
    ],
)  # fmt: skip
def test_addresses_are_completed(
    payload: dict[str, Any], headers: dict[str, str], url: str | None, referrer: str | None
) -> None:
    row = post(sent(**payload), **headers).row
    assert (row.payload.get("url"), row.payload.get("referrer")) == (url, referrer)


@pytest.mark.parametrize(
    ("sent_title", "title"),
    [
        ("Red%20shoes", "Red shoes"),
        ("%C3%BC", "ü"),
        ("100% wool", "100% wool"),
        ("%ff", "%ff"),
        ("a%20b%", "a%20b%"),
    ],
)
def test_titles_are_decoded_as_umami_decodes_them(sent_title: str, title: str) -> None:
    assert post(sent(title=sent_title)).row.payload["title"] == title


def test_the_site_is_the_hostname_else_the_pages_host() -> None:
    assert post(sent(hostname="a.example")).row.site_id == "a.example"
    assert post(sent(hostname=None)).row.site_id == "shop.example"
    assert post(sent(hostname=None, url="/p")).row.site_id == "fallback.example"


def test_nothing_of_the_data_is_overwritten() -> None:
    row = post(sent(name="a", tag="ours", data={"website": "mine", "tag": "mine"})).row
    assert row.payload["properties"] == {
        "website": "mine", "tag": "mine", "_website": WEBSITE, "_tag": "ours",
    }  # fmt: skip


def test_an_odd_value_costs_its_column_and_no_more() -> None:
    odd = {"title": "x" * 2_000, "screen": "large", "language": 7, "browser": ["x"]}
    row = post(sent(**odd)).row
    assert row.payload["properties"] == odd | {"website": WEBSITE}


REFUSED: dict[str, tuple[Any, str, str | None]] = {
    "nothing": (b"", "invalid_json", None),
    "no JSON": (b"{", "invalid_json", None),
    "no UTF-8": (b'{"type":"\xff"}', "invalid_json", None),
    "a text": ("event", "invalid_event", None),
    "deep": (deep(100_000), "too_deep", None),
    "no type": ({"payload": {}}, "invalid_event", "type"),
    "an unknown type": (sent("collect"), "invalid_event", "type"),
    "a type of another type": ({"type": ["event"], "payload": {}}, "invalid_event", "type"),
    "no payload": ({"type": "event"}, "invalid_event", "payload"),
    "a payload that is a list": ({"type": "event", "payload": []}, "invalid_event", "payload"),
    "data that is a list": (sent(data=[1]), "invalid_event", "payload.data"),
    "data that is a text": (sent("identify", data="x"), "invalid_event", "payload.data"),
    "a long name": (sent(name="x" * 300), "too_long", "payload.name"),
    "a name of another type": (sent(name=7), "invalid_event", "payload.name"),
    "a long hostname": (sent(hostname="x" * 300), "too_long", "payload.hostname"),
    "a hostname of another type": (sent(hostname=[1]), "invalid_event", "payload.hostname"),
    "a long id": (sent(id="x" * 300), "too_long", "payload.id"),
    "an impossible time": (sent(timestamp="soon"), "invalid_time", "payload.timestamp"),
    "a NUL": (sent(title="a\0b"), "nul_character", None),
    "deep data": (sent(data={"x": json.loads(deep(60))}), "too_deep", "properties"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_gets_a_clear_answer(name: str) -> None:
    body, reason, field = REFUSED[name]
    asked = post(body)
    refused = asked.refused
    assert (str(refused.reason), refused.field, asked.reply.status) == (reason, field, 400)
    error = {"message": refused.message, "code": reason, "status": 400}
    assert asked.answer == {"error": error | ({"field": field} if field else {})}


@pytest.mark.parametrize(
    "name", [name for name in REFUSED if not isinstance(REFUSED[name][0], bytes)]
)
def test_a_poison_event_costs_its_neighbours_nothing(name: str) -> None:
    body, reason, field = REFUSED[name]
    asked = post_batch(sent(), body, sent())
    (refused,) = asked.acceptance.refused
    assert (str(refused.reason), refused.field, refused.index) == (reason, field, 1)
    assert [event.place for event in asked.acceptance.accepted] == [0, 2]
    assert asked.reply.status == 200
    details = asked.answer.pop("details")
    assert (asked.answer["size"], details[0]["index"]) == (3, 1)
    assert details[0]["response"]["error"]["code"] == reason


def test_a_batch_is_answered_as_umami_does() -> None:
    assert post_batch(sent(), sent(name="a")).answer == {
        "size": 2, "processed": 2, "errors": 0, "details": [],
    }  # fmt: skip


@pytest.mark.parametrize("item", [deep(10_000), b'{"a":"\\ud83d"}', b"1e400"])
def test_a_batch_that_cannot_be_read_whole_is_read_piece_by_piece(item: bytes) -> None:
    good = json.dumps(sent()).encode()
    asked = ask(UmamiDialect(), "/api/batch", b"[%s,%s,%s]" % (good, item, good))
    check_whole(asked)
    assert [event.place for event in asked.acceptance.accepted] == [0, 2]


@pytest.mark.parametrize(
    ("body", "reason", "status"),
    [
        (b"", "invalid_json", 400),
        ({}, "invalid_event", 400),
        ([], "empty_batch", 400),
        ([sent()] * 3_000, "too_large", 413),
    ],
)
def test_no_batch_at_all(body: Any, reason: str, status: int) -> None:
    asked = ask(UmamiDialect(), "/api/batch", body)
    assert (str(asked.refused.reason), asked.reply.status) == (reason, status)
    assert asked.answer["error"]["code"] == reason


def test_what_is_refused_can_be_read_again() -> None:
    poison = sent(name="x" * 300, ip="198.51.100.77")
    refused = post(poison).refused
    assert refused.event_type == "x" * 300
    assert b"198.51.100.77" not in (refused.payload or b"")
    assert post(refused.payload).refused.field == "payload.name"
    (refused,) = post_batch(sent(), poison).acceptance.refused
    again = ask(UmamiDialect(), "/api/batch", refused.payload)
    assert again.refused.field == "payload.name"


def test_what_is_left_out_by_policy_is_no_error() -> None:
    left_out = Acceptance(refused=[Refused(RefusalReason.DO_NOT_TRACK, "why", index=0)])
    request = IntakeRequest("POST", "/api/send", b"", {}, b"")
    assert UmamiDialect().reply(request, left_out)[:2] == (200, b'{"cache":""}')


def test_a_failure_has_the_same_form() -> None:
    request = IntakeRequest("POST", "/api/send", b"", {}, b"")
    reply = UmamiDialect().fail(request, 503, "queue_full", "later")
    assert (reply.status, json.loads(reply.body)) == (
        503, {"error": {"message": "later", "code": "queue_full", "status": 503}},
    )  # fmt: skip


NAMES = st.sampled_from(
    ["type", "payload", "website", "hostname", "screen", "language", "url", "referrer", "title",
     "name", "tag", "id", "data", "timestamp", "ip", "userAgent", "browser", "os", "device",
     "eventId", "lcp"]
) | st.text(max_size=5)  # fmt: skip
JSON = values(NAMES)
TYPES = st.sampled_from(["event", "identify", "performance", "engagement", "error"])
ITEMS = st.builds(
    lambda kind, payload: {"type": kind, "payload": payload},
    TYPES,
    st.dictionaries(NAMES, JSON, max_size=8),
)


@given(st.binary(max_size=200), st.text(st.characters(max_codepoint=255), max_size=20))
def test_arbitrary_bytes_never_raise(body: bytes, origin: str) -> None:
    check_whole(post(body))
    check_whole(post(sent(url="/p"), origin=origin))
    check_whole(ask(UmamiDialect(), "/api/batch", body))


@given(JSON | ITEMS, st.lists(JSON | ITEMS, max_size=4))
def test_arbitrary_json_never_raises(body: Any, items: list[Any]) -> None:
    check_whole(post(body))
    check_whole(post_batch(*items))


@given(JSON | ITEMS, st.integers(1, 3))
def test_any_event_leaves_its_neighbours_alone(item: Any, good: int) -> None:
    asked = post_batch(*[sent() for _ in range(good)], item, sent())
    check_whole(asked)
    places = {accepted.place for accepted in asked.acceptance.accepted}
    assert places >= set(range(good)) | {good + 1}
