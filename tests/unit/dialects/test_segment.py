"""The Segment spec's calls, read as events, and what their senders are answered."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector.acceptance import Acceptance, Policy, accept
from api.collector.dialects.dialect import DecodedBody, IntakeRequest, Reply
from api.collector.dialects.segment import SegmentDialect
from core.event import Event
from core.refusal import RefusalReason, Refused
from tests.unit.accepting import FACTS, LIMITS, Row, read_row

DIALECT = SegmentDialect()
SECRET_KEY, WHOLE_IP = "key-that-is-stored-nowhere", "203.0.113.77"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64)"


def a_call(**different: Any) -> dict[str, Any]:
    """A track call as a server's SDK sends it; None leaves a field out."""
    call = {
        "type": "track",
        "event": "Order Completed",
        "messageId": "m-1",
        "anonymousId": "anon-1",
        "userId": "u_1",
        "timestamp": "2026-11-21T10:15:30.000Z",
        "properties": {"revenue": 39.95},
        "context": {},
        "integrations": {},
    } | different
    return {name: value for name, value in call.items() if value is not None}


def batch_of(*calls: Any, **shared: Any) -> dict[str, Any]:
    return {**shared, "batch": list(calls)}


def a_request(body: Any, path: str = "/v1/batch", *, query: str = "", **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = {name.encode(): value.encode() for name, value in headers.items()}
    method = "GET" if "sourceConfig" in path else "POST"
    return IntakeRequest(method, path, query.encode(), said, raw)


def decode(body: Any, path: str = "/v1/batch", **said: str) -> DecodedBody | Refused:
    return DIALECT.decode(a_request(body, path, **said), limits=LIMITS)


def decoded(body: Any, path: str = "/v1/batch", **said: str) -> DecodedBody:
    found = decode(body, path, **said)
    assert isinstance(found, DecodedBody)
    return found


def the_event(call: dict[str, Any], path: str = "/v1/track") -> Event:
    (event,) = decoded(call, path).events
    assert isinstance(event, Event), event
    return event


def the_refusal(call: Any, path: str = "/v1/track") -> Refused:
    (refused,) = decoded(call, path).events
    assert isinstance(refused, Refused), refused
    return refused


def take_in(body: Any, path: str = "/v1/batch") -> tuple[Acceptance, Reply]:
    request = a_request(body, path)
    acceptance = accept(
        DIALECT.decode(request, limits=LIMITS), facts=FACTS, policy=Policy(limits=LIMITS)
    )
    return acceptance, DIALECT.reply(request, acceptance)


def rows(*calls: Any, **shared: Any) -> list[Row]:
    acceptance, _ = take_in({"batch": list(calls), **shared})
    assert acceptance.refused == []
    return [read_row(event.row) for event in acceptance.accepted]


# --- where each field goes -----------------------------------------------------------------------

WHOLE_CONTEXT = {
    "ip": "203.0.113.77",
    "userAgent": BROWSER,
    "locale": "de-CH",
    "timezone": "Europe/Zurich",
    "page": {
        "url": "https://shop.example/p/7?utm_source=news",
        "path": "/p/7",
        "title": "Red shoes",
        "referrer": "https://www.google.com/",
        "search": "?utm_source=news",
        "tab_url": "https://shop.example/p/7",
    },
    "campaign": {
        "source": "news",
        "medium": "email",
        "name": "autumn",
        "term": "shoes",
        "content": "top",
        "id": "c-9",
    },
    "app": {"name": "portal", "version": "1.4.2", "build": "77"},
    "os": {"name": "iOS", "version": "26.1"},
    "device": {"type": "mobile", "model": "Phone 12"},
    "screen": {"width": 390, "height": 844.0, "density": 3},
    "library": {"name": "analytics.js", "version": "4"},
    "traits": {"plan": "pro"},
    "consent": {"categoryPreferences": {"Advertising": False, "Analytics": True}},
    "network": {"wifi": True, "bluetooth": False},
}


def test_every_field_of_the_context_has_its_place() -> None:
    event = the_event(a_call(context=WHOLE_CONTEXT, channel="browser"))
    fields = {
        name: value
        for name in Event.__struct_fields__
        if (value := getattr(event, name)) is not None and name not in ("properties", "occurred_at")
    }
    assert fields == {
        "event_id": "m-1",
        "event_type": "Order Completed",
        "event_version": 1,
        "site_id": "shop.example",
        "source": "browser",
        "app": "portal",
        "app_version": "1.4.2",
        "visitor_id": "anon-1",
        "user_id": "u_1",
        "url": "https://shop.example/p/7?utm_source=news",
        "path": "/p/7",
        "title": "Red shoes",
        "referrer": "https://www.google.com/",
        "utm_source": "news",
        "utm_medium": "email",
        "utm_campaign": "autumn",
        "utm_term": "shoes",
        "utm_content": "top",
        "user_agent": BROWSER,
        "os": "iOS",
        "os_version": "26.1",
        "device_type": "mobile",
        "screen_width": 390,
        "screen_height": 844,
        "language": "de-CH",
        "timezone": "Europe/Zurich",
        "consent": "granted",
    }


def test_what_has_no_field_is_kept_in_the_properties() -> None:
    event = the_event(a_call(context=WHOLE_CONTEXT, version=2))
    assert event.properties == {
        "revenue": 39.95,
        "version": 2,
        "context": {
            "page": {"tab_url": "https://shop.example/p/7"},
            "campaign": {"id": "c-9"},
            "app": {"build": "77"},
            "device": {"model": "Phone 12"},
            "screen": {"density": 3},
            "library": {"name": "analytics.js", "version": "4"},
            "traits": {"plan": "pro"},
            "consent": {"categoryPreferences": {"Advertising": False, "Analytics": True}},
            "network": {"wifi": True, "bluetooth": False},
        },
    }


def test_the_whole_address_is_handed_on_and_kept_nowhere() -> None:
    calls = [a_call(), a_call(context={"ip": "203.0.113.77"}), a_call(context={"ip": ["x"]})]
    found = decoded({"batch": calls})
    assert found.ips == {1: "203.0.113.77"}
    assert [event.properties for event in found.events if isinstance(event, Event)] == [
        {"revenue": 39.95}
    ] * 3


def test_an_address_of_zeros_asks_that_none_be_known() -> None:
    assert decoded({"batch": [a_call(context={"ip": "0.0.0.0"}), a_call()]}).ips == {0: ""}


@pytest.mark.parametrize(
    ("kind", "event_type"),
    [
        ("page", "page_view"),
        ("screen", "screen_view"),
        ("identify", "identify"),
        ("group", "group"),
        ("alias", "alias"),
    ],
)
def test_a_call_other_than_track_is_named_by_its_kind(kind: str, event_type: str) -> None:
    call = a_call(type=kind, event=None)
    assert the_event(call, f"/v1/{kind}").event_type == event_type
    assert the_event(call, f"/v1/{kind[0]}").event_type == event_type
    (row,) = rows(call)
    assert row.event_type == event_type


def test_a_single_call_needs_no_type_its_path_says_it() -> None:
    assert the_event(a_call(type=None), "/v1/t").event_type == "Order Completed"


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch"])
def test_a_batch_is_read_on_each_of_its_paths(path: str) -> None:
    assert len(decoded({"batch": [a_call(), a_call()]}, path).events) == 2


def test_identify_and_group_keep_their_traits() -> None:
    identify = a_call(type="identify", event=None, traits={"plan": "pro"}, properties=None)
    assert the_event(identify, "/v1/identify").properties == {"traits": {"plan": "pro"}}
    group = a_call(type="group", groupId="g-1", event=None, traits={"seats": 3}, properties=None)
    event = the_event(group, "/v1/group")
    assert (event.company_id, event.properties) == ("g-1", {"traits": {"seats": 3}})


@pytest.mark.parametrize("traits", [None, {"plan": "pro"}])
def test_traits_in_the_context_are_those_of_an_identify_call(traits: Any) -> None:
    call = a_call(
        type="identify", traits=traits, context={"traits": {"plan": "pro"}}, properties=None
    )
    assert the_event(call, "/v1/i").properties == {
        "event": "Order Completed",
        "traits": {"plan": "pro"},
    }


def test_traits_that_differ_are_both_kept() -> None:
    call = a_call(
        type="identify", event=None, traits={"plan": "pro"}, context={"traits": {"plan": "free"}}
    )
    assert the_event(call, "/v1/i").properties == {
        "revenue": 39.95,
        "traits": {"plan": "pro"},
        "context": {"traits": {"plan": "free"}},
    }


def test_alias_names_the_visitor_by_the_id_before() -> None:
    alias = a_call(type="alias", event=None, anonymousId=None, previousId="anon-0", properties=None)
    event = the_event(alias, "/v1/alias")
    assert (event.visitor_id, event.user_id) == ("anon-0", "u_1")
    assert event.properties == {"previousId": "anon-0"}
    both = the_event(alias | {"anonymousId": "anon-1"}, "/v1/alias")
    assert both.visitor_id == "anon-1"


def test_a_page_call_of_a_server_tells_the_page_in_its_properties() -> None:
    properties = {"url": "https://shop.example/a", "title": "A", "path": "/a", "name": "Home"}
    event = the_event(a_call(type="page", event=None, properties=properties), "/v1/page")
    assert (event.url, event.path, event.title) == ("https://shop.example/a", "/a", "A")
    assert event.site_id == "shop.example"
    assert event.properties == properties


def test_a_page_without_a_referrer_has_none_whatever_the_sdk_calls_that() -> None:
    page = {"url": "https://shop.example/a", "referrer": "$direct", "title": "x" * 1_001}
    event = the_event(a_call(type="page", event=None, properties=page), "/v1/page")
    assert (event.referrer, event.title, event.properties) == (None, None, page)


def test_name_and_category_of_a_page_stand_among_its_properties() -> None:
    call = a_call(
        type="page", event=None, name="Home", category="Docs", properties={"name": "Home"}
    )
    assert the_event(call, "/v1/page").properties == {"name": "Home", "category": "Docs"}


def test_a_property_of_the_application_is_never_overwritten() -> None:
    call = a_call(properties={"context": "checkout"}, context={"network": {"wifi": True}})
    assert the_event(call).properties == {
        "context": "checkout",
        "_context": {"network": {"wifi": True}},
    }


@pytest.mark.parametrize(
    ("context", "kept"),
    [
        ({"locale": 7}, {"locale": 7}),
        ({"page": "Home"}, {"page": "Home"}),
        ({"page": {"url": ["a"]}}, {"page": {"url": ["a"]}}),
        ({"screen": {"width": -1, "height": "x"}}, {"screen": {"width": -1, "height": "x"}}),
        ({"screen": {"width": 411.4}}, {"screen": {"width": 411.4}}),
        ({"timezone": "GMT+0100"}, {"timezone": "GMT+0100"}),
        ({"page": {"referrer": "$direct"}}, {"page": {"referrer": "$direct"}}),
        ({"active": False, "x": 0}, {"active": False, "x": 0}),
        ({"os": None, "app": {}, "locale": "", "page": {"url": ""}}, None),
    ],
)
def test_an_odd_context_loses_nothing_and_costs_nothing(context: Any, kept: Any) -> None:
    event = the_event(a_call(context=context))
    assert event.properties == {"revenue": 39.95} | ({"context": kept} if kept else {})


def test_the_session_of_rudderstack_is_the_session() -> None:
    event = the_event(a_call(context={"sessionId": 1795256130123, "sessionStart": True}))
    assert event.session_id == "1795256130123"
    assert event.properties == {"revenue": 39.95, "context": {"sessionStart": True}}


@pytest.mark.parametrize(
    ("preferences", "consent"),
    [
        ({"Analytics": True, "Advertising": False}, "granted"),
        ({"analytics": False, "Advertising": True}, "denied"),
        ({"C0001": False, "C0002": False}, "denied"),
        ({"C0001": True, "C0002": False}, None),
        ({"C0001": True}, None),
        ({"analytics": "yes"}, None),
        ({}, None),
        ("all", None),
    ],
)
def test_consent_is_what_the_categories_say_of_analytics(preferences: Any, consent: Any) -> None:
    context = {"consent": {"categoryPreferences": preferences}}
    assert the_event(a_call(context=context)).consent == consent


def test_integrations_are_kept_when_they_say_something() -> None:
    call = a_call(integrations={"All": False, "Mixpanel": True}, properties=None)
    assert the_event(call).properties == {"integrations": {"All": False, "Mixpanel": True}}
    assert the_event(call | {"integrations": {"All": True}}).properties is None


def test_the_sdk_s_notes_on_its_own_delivery_are_not_the_event_s() -> None:
    call = a_call(_metadata={"retryCount": 2, "bundled": ["Segment.io"]}, properties=None)
    assert the_event(call).properties is None


def test_an_sdk_is_not_the_application() -> None:
    context = {
        "app": {"name": "RudderLabs JavaScript SDK", "version": "3"},
        "library": {"name": "RudderLabs JavaScript SDK", "version": "3"},
    }
    event = the_event(a_call(context=context))
    assert (event.app, event.app_version) == (None, None)
    assert event.properties == {"revenue": 39.95, "context": context}


@pytest.mark.parametrize(
    ("url", "site_id"),
    [
        ("https://Shop.Example:8443/p", "shop.example"),
        ("https://user@shop.example?x", "shop.example"),
        ("http://[::1]:80/", "::1"),
        ("file:///home/page.html", None),
        ("about:blank", None),
        ("https://", None),
    ],
)
def test_the_site_is_the_page_s_host(url: str, site_id: str | None) -> None:
    assert the_event(a_call(context={"page": {"url": url}})).site_id == site_id


def test_a_server_may_name_the_site_itself() -> None:
    context = {"siteId": "shop", "page": {"url": "https://shop.example/"}}
    assert the_event(a_call(context=context)).site_id == "shop"


def test_ids_may_be_numbers() -> None:
    event = the_event(a_call(userId=7, anonymousId=0, messageId=12))
    assert (event.user_id, event.visitor_id, event.event_id) == ("7", "0", "12")


# --- time ------------------------------------------------------------------------------------


def test_a_clock_a_day_ahead_is_corrected_by_the_batch_s_sent_at() -> None:
    (row,) = rows(
        a_call(timestamp="2026-11-22T10:15:20.000Z", sentAt="2026-11-20T00:00:00.000Z"),
        sentAt="2026-11-22T10:15:30.000Z",
    )
    assert row.occurred_at.isoformat() == "2026-11-21T10:15:21.204000+00:00"
    assert row.payload["occurredAt"] == "2026-11-22T10:15:20Z"


def test_the_time_that_the_application_says_goes_before_the_sdk_s() -> None:
    event = the_event(a_call(originalTimestamp="2026-11-21T10:15:31.000Z"))
    assert str(event.occurred_at) == "2026-11-21 10:15:30+00:00"
    assert event.properties == {
        "revenue": 39.95,
        "originalTimestamp": "2026-11-21T10:15:31.000Z",
    }
    only = the_event(a_call(timestamp=None, originalTimestamp="2026-11-21T10:15:31.000Z"))
    assert str(only.occurred_at) == "2026-11-21 10:15:31+00:00"
    assert only.properties == {"revenue": 39.95}


def test_the_same_message_is_the_same_event() -> None:
    first, again = rows(a_call(), a_call(_metadata={"retryCount": 1}))
    assert first.event_id == again.event_id


# --- what a batch says once ---------------------------------------------------------------------


def test_a_batch_s_context_holds_for_each_message_that_does_not_say_otherwise() -> None:
    page = {"url": "https://shop.example/", "tab_url": "x"}
    first, second = decoded(
        {
            "batch": [a_call(), a_call(context={"locale": "fr"})],
            "context": {"locale": "de", "page": page, "ip": "203.0.113.77"},
            "integrations": {"All": False},
        }
    ).events
    assert isinstance(first, Event) and isinstance(second, Event)
    assert (first.language, second.language) == ("de", "fr")
    assert first.url == second.url == "https://shop.example/"
    assert first.properties == second.properties
    assert first.properties == {
        "revenue": 39.95,
        "integrations": {"All": False},
        "context": {"page": {"tab_url": "x"}},
    }


def test_a_shared_context_that_no_event_could_hold_is_refused_once() -> None:
    refused = decode({"batch": [a_call()] * 5, "context": {"x": "y" * 40_000}})
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.field) == (RefusalReason.TOO_LARGE, "context")


# --- the write key -----------------------------------------------------------------------------


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_the_write_key_is_the_user_of_basic_authentication() -> None:
    found = decoded({"batch": [a_call()], "writeKey": "other"}, authorization=basic("key-1:"))
    assert found.write_key == "key-1"


@pytest.mark.parametrize("authorization", ["", "Basic", "Basic !", "Digest x", basic(":x")])
def test_an_authorization_that_names_nobody_is_none(authorization: str) -> None:
    assert decoded({"batch": [a_call()]}, authorization=authorization).write_key is None


def test_a_browser_says_its_write_key_in_the_body() -> None:
    assert decoded({"batch": [a_call()], "writeKey": "key-1"}).write_key == "key-1"
    assert decoded({"batch": [a_call(writeKey="key-1")]}).write_key == "key-1"
    found = decoded(a_call(writeKey="key-1"), "/v1/t")
    assert found.write_key == "key-1"
    (event,) = found.events
    assert isinstance(event, Event) and event.properties == {"revenue": 39.95}


def test_a_beacon_says_its_write_key_in_the_query() -> None:
    found = decoded({"batch": [a_call()]}, "/beacon/v1/batch", query="x=1&writeKey=key%2D1")
    assert found.write_key == "key-1"


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("different", "field", "reason"),
    [
        ({"event": None}, "event", RefusalReason.INVALID_EVENT),
        ({"event": ""}, "event", RefusalReason.INVALID_EVENT),
        ({"event": 5}, "event", RefusalReason.INVALID_EVENT),
        ({"event": "x" * 201}, "event", RefusalReason.TOO_LONG),
        ({"messageId": "x" * 201}, "messageId", RefusalReason.TOO_LONG),
        ({"messageId": {"a": 1}}, "messageId", RefusalReason.INVALID_EVENT),
        ({"anonymousId": True}, "anonymousId", RefusalReason.INVALID_EVENT),
        ({"userId": ["u"]}, "userId", RefusalReason.INVALID_EVENT),
        ({"groupId": "x" * 201}, "groupId", RefusalReason.TOO_LONG),
        ({"timestamp": "yesterday"}, "timestamp", RefusalReason.INVALID_TIME),
        (
            {"timestamp": None, "originalTimestamp": "2026-13-01T00:00:00Z"},
            "originalTimestamp",
            RefusalReason.INVALID_TIME,
        ),
        ({"sentAt": "now"}, "sentAt", RefusalReason.INVALID_TIME),
        ({"properties": "none"}, "properties", RefusalReason.INVALID_EVENT),
        ({"context": [1]}, "context", RefusalReason.INVALID_EVENT),
        ({"traits": 5}, "traits", RefusalReason.INVALID_EVENT),
        (
            {"context": {"page": {"title": "x" * 1_001}}},
            "context.page.title",
            RefusalReason.TOO_LONG,
        ),
        ({"context": {"locale": "x" * 201}}, "context.locale", RefusalReason.TOO_LONG),
        (
            {"context": {"campaign": {"name": "x" * 1_001}}},
            "context.campaign.name",
            RefusalReason.TOO_LONG,
        ),
    ],
)
def test_a_refusal_names_the_field_as_its_sender_does(
    different: dict[str, Any], field: str, reason: RefusalReason
) -> None:
    refused = the_refusal(a_call(**{"event": "Order Completed"} | different))
    assert (refused.field, refused.reason) == (field, reason)


def test_php_s_empty_objects_are_empty() -> None:
    assert the_event(a_call(properties=[], context=[], traits=[])).properties is None


@pytest.mark.parametrize("ip", [WHOLE_IP, [WHOLE_IP]])
@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
def test_what_is_kept_of_a_refused_call_can_be_read_again(path: str, ip: Any) -> None:
    context = {"ip": ip, "locale": "de"}
    call = a_call(userId=["u"], writeKey=SECRET_KEY, context=context)
    body = call if path == "/v1/track" else batch_of(a_call(), call, context=context)
    refused = decoded(body, path).events[-1]
    assert isinstance(refused, Refused) and refused.payload is not None
    assert refused.event_type == "Order Completed"
    assert SECRET_KEY.encode() not in refused.payload
    assert WHOLE_IP.encode() not in refused.payload
    assert json.loads(refused.payload.replace(b'["u"]', b'"u"'))
    (again,) = decoded(refused.payload, path).events
    assert isinstance(again, Refused) and again.field == "userId"
    (mended,) = decoded(refused.payload.replace(b'["u"]', b'"u"'), path).events
    assert isinstance(mended, Event)
    assert (mended.language, mended.properties) == ("de", {"revenue": 39.95})


@pytest.mark.parametrize(
    "body",
    [
        b'{"batch":[{"context":{"ip":"203.0.113.77"},"x":NaN}],"writeKey":"%s"}',
        b'{"batch":[{"context":{"ip" : "203.0.113.77',
        b'{"writeKey":"%s","context":{"ip":"203.0.113.77"}}',
        b'{"context":[{"ip":"203.0.113.77"}],"writeKey":"%s","batch":[{}]}',
        b'{"writeKey":"%s","ip":["203.0.113.77"',
    ],
)
@pytest.mark.parametrize("path", ["/v1/batch", "/v1/track"])
def test_no_body_however_broken_is_kept_with_its_key_and_its_address(
    path: str, body: bytes
) -> None:
    found = decode(body.replace(b"%s", SECRET_KEY.encode()), path)
    refused = found if isinstance(found, Refused) else found.events[0]
    assert isinstance(refused, Refused) and refused.payload is not None
    assert SECRET_KEY.encode() not in refused.payload
    assert WHOLE_IP.encode() not in refused.payload


def test_in_a_batch_each_call_says_what_it_is() -> None:
    batch = [a_call(type=None), a_call(type="merge"), a_call(type=["track"]), 5, None, a_call()]
    events = decoded({"batch": batch}).events
    fields = [event.field if isinstance(event, Refused) else "fine" for event in events]
    assert fields == ["type", "type", "type", None, None, "fine"]


POISON: dict[str, bytes] = {
    "not a number": b'{"type":"track","event":"a","properties":{"x":NaN}}',
    "a number beyond all": b'{"type":"track","event":"a","properties":{"x":1e999}}',
    "10,000 levels": b'{"type":"track","event":"a","properties":{"x":%s}}'
    % (b"[" * 10_000 + b"]" * 10_000),
    "900 levels": b'{"type":"track","event":"a","properties":{"x":%s}}' % (b"[" * 900 + b"]" * 900),
    "NUL": b'{"type":"track","event":"a","properties":{"x":"\\u0000"}}',
    "a large event": b'{"type":"track","event":"a","properties":{"x":"%s"}}' % (b"x" * 40_000),
    "no event": b'{"type":"track"}',
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
def test_one_poison_message_costs_its_neighbours_nothing(poison: bytes) -> None:
    good = json.dumps(a_call(context={"page": {"title": '[,]{"batch":'}})).encode()
    body = b'{"sentAt":"2026-11-21T10:15:31Z","batch":[%s],"writeKey":"k"}' % b",".join(
        [good, poison, good]
    )
    acceptance, reply = take_in(body)
    assert [event.place for event in acceptance.accepted] == [0, 2]
    assert [refused.index for refused in acceptance.refused] == [1]
    answer = json.loads(reply.body)
    assert (reply.status, answer["success"], answer["rejected"]) == (200, True, 1)
    assert (answer["errors"][0]["index"]) == 1


def test_half_of_a_surrogate_pair_is_mended() -> None:
    body = b'{"batch":[{"type":"track","event":"a","properties":{"x":"\\ud83d"}}]}'
    acceptance, _ = take_in(body)
    (event,) = acceptance.accepted
    assert read_row(event.row).payload["properties"] == {"x": "\ufffd"}


BAD: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "invalid_json"),
    "broken JSON": (b'{"batch":[{"type":"tr', 400, "invalid_json"),
    "no UTF-8": (b"\xff\xfe", 400, "invalid_json"),
    "no batch": (b"{}", 400, "invalid_event"),
    "an array": (b"[]", 400, "invalid_event"),
    "an array with poison": (b"[{},NaN]", 400, "invalid_json"),
    "a text": (b'"batch"', 400, "invalid_event"),
    "a batch that is no array": (b'{"batch":{}}', 400, "invalid_event"),
    "an empty batch": (b'{"batch":[]}', 400, "empty_batch"),
    "a context that is none": (b'{"batch":[{}],"context":[1]}', 400, "invalid_event"),
    "3,000 messages": (b'{"batch":[%s]}' % b",".join([b"{}"] * 3_000), 413, "too_large"),
    "10,000 levels bare": (b"[" * 10_000, 400, "too_deep"),
    "poison and no batch": (b'{"x":NaN}', 400, "invalid_json"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_body_that_cannot_be_read_is_refused_as_a_whole(name: str) -> None:
    body, status, reason = BAD[name]
    acceptance, reply = take_in(body)
    answer = json.loads(reply.body)
    assert acceptance.accepted == []
    assert (reply.status, answer["success"], answer["code"]) == (status, False, reason)
    assert answer["message"] == answer["errors"][0]["message"]


# --- answers -----------------------------------------------------------------------------------


def test_what_is_stored_is_a_plain_success() -> None:
    _, reply = take_in({"batch": [a_call(), a_call()]})
    assert (reply.status, json.loads(reply.body)) == (200, {"success": True})


def test_when_nothing_is_stored_the_sdk_is_told_not_to_come_again() -> None:
    _, reply = take_in({"batch": [a_call(event=""), a_call(timestamp="x")]})
    answer = json.loads(reply.body)
    assert (reply.status, answer["success"], answer["rejected"]) == (400, False, 2)
    assert [error["field"] for error in answer["errors"]] == ["event", "timestamp"]
    assert (answer["code"], answer["message"]) == ("invalid_event", "a track call names its event")


def test_what_may_be_sent_again_later_decides_when_nothing_is_stored() -> None:
    acceptance = Acceptance()
    acceptance.refuse(Refused(RefusalReason.INVALID_EVENT, "bad", index=0))
    acceptance.refuse(Refused(RefusalReason.RATE_LIMITED, "slower", index=1))
    assert DIALECT.reply(a_request({}), acceptance).status == 429


def test_a_visitor_who_does_not_want_it_is_no_failure_of_the_sdk_s() -> None:
    acceptance = Acceptance()
    acceptance.refuse(Refused(RefusalReason.DO_NOT_TRACK, "asked not to be tracked", index=0))
    reply = DIALECT.reply(a_request({}), acceptance)
    answer = json.loads(reply.body)
    assert (reply.status, answer["success"], answer["rejected"]) == (200, True, 1)


def test_a_failure_has_the_same_form() -> None:
    reply = DIALECT.fail(a_request({}), 503, "buffer_unavailable", "again later")
    assert json.loads(reply.body) == {
        "success": False,
        "code": "buffer_unavailable",
        "message": "again later",
    }


def test_rudderstack_s_sdk_is_told_of_a_source_without_destinations() -> None:
    request = a_request(b"", "/sourceConfig/", query="p=npm&writeKey=key-1")
    decoded = DIALECT.decode(request, limits=LIMITS)
    assert isinstance(decoded, DecodedBody)
    assert (decoded.events, decoded.write_key) == ([], "key-1")
    acceptance = accept(decoded, facts=FACTS, policy=Policy(limits=LIMITS))
    reply = DIALECT.reply(request, acceptance)
    source = json.loads(reply.body)["source"]
    assert (reply.status, source["id"], source["destinations"]) == (200, "key-1", [])


# --- whatever is sent --------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.just("\ud83d\0"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
NAMES = [
    *("type", "event", "messageId", "anonymousId", "userId", "groupId", "previousId"),
    *("timestamp", "originalTimestamp", "sentAt", "properties", "traits", "integrations"),
    *("channel", "name"),
]
CONTEXT_NAMES = [
    *("page", "campaign", "app", "os", "device", "screen", "locale", "timezone", "userAgent"),
    *("consent", "traits", "sessionId", "siteId", "library"),
]
PART_NAMES = ["url", "path", "title", "search", "name", "version", "width", "categoryPreferences"]
CONTEXTS = st.dictionaries(
    st.sampled_from(CONTEXT_NAMES),
    JSON_VALUES | st.dictionaries(st.sampled_from(PART_NAMES), JSON_VALUES),
    max_size=5,
).map(lambda context: context | {"ip": WHOLE_IP})
CALLS = st.builds(
    lambda kind, fields, context: {
        **({"type": kind} | fields),
        "context": context,
        "writeKey": SECRET_KEY,
    },
    st.sampled_from(["track", "page", "identify", "alias"]),
    st.dictionaries(st.sampled_from(NAMES), JSON_VALUES | st.text(min_size=201), max_size=6),
    CONTEXTS | JSON_VALUES,
)
PATHS = sorted(DIALECT.routes)


@given(
    body=st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()),
    path=st.sampled_from(PATHS),
)
def test_no_body_whatsoever_raises(body: bytes, path: str) -> None:
    _, reply = take_in(body, path)
    assert 200 <= reply.status < 500
    json.loads(reply.body)


@given(batch=st.lists(CALLS | JSON_VALUES, min_size=1, max_size=4))
def test_each_message_is_accepted_or_refused_alone(batch: list[Any]) -> None:
    acceptance, reply = take_in({"batch": [a_call(), *batch, a_call()]})
    accepted = [event.place for event in acceptance.accepted]
    refused = [refused.index for refused in acceptance.refused]
    assert accepted[0] == 0 and accepted[-1] == len(batch) + 1
    assert sorted([*accepted, *refused]) == list(range(len(batch) + 2))
    assert reply.status == 200
    kept = [event.row for event in acceptance.accepted]
    kept += [refused.payload or b"" for refused in acceptance.refused]
    assert not any(SECRET_KEY.encode() in row or WHOLE_IP.encode() in row for row in kept)


@given(call=CALLS, cut=st.integers(0, 400))
def test_a_body_cut_anywhere_is_answered(call: Any, cut: int) -> None:
    _, reply = take_in(json.dumps({"batch": [a_call(), call]}).encode()[:cut])
    assert reply.status in (200, 400)


@given(depth=st.integers(1, 1_100), path=st.sampled_from(["/v1/batch", "/v1/track"]))
def test_no_depth_whatsoever_raises(depth: int, path: str) -> None:
    deep = "[" * depth + "]" * depth
    call = '{"type":"track","event":"a","%s":{"x":' + deep + "}}"
    for part in ("context", "properties", "integrations"):
        body = call % part if path == "/v1/track" else '{"batch":[' + call % part + "]}"
        take_in(body.encode(), path)
    take_in(b'{"batch":[{}],"context":{"x":' + deep.encode() + b"}}")


@pytest.mark.parametrize("depth", range(980, 1_000))
def test_what_is_too_deep_to_be_compared_is_refused(depth: int) -> None:
    traits = b'{"traits":{"x":%s}}' % (b"[" * depth + b"]" * depth)
    call = b'{"type":"identify","context":%s,"properties":%s,%s' % (traits, traits, traits[1:])
    acceptance, _ = take_in(call, "/v1/identify")
    assert [refused.reason for refused in acceptance.refused] == [RefusalReason.TOO_DEEP]
