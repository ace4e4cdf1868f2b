from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector.acceptance import Acceptance
from api.collector.dialects.dialect import DecodedBody, IntakeRequest
from api.collector.dialects.pixel import PIXEL
from api.collector.dialects.snowplow import PAYLOAD_DATA, POST_PATH, SnowplowDialect
from api.collector.dialects.snowplow_columns import COLUMNS
from core.refusal import RefusalReason, Refused
from tests.unit.dialects.asking import Asked, ask
from tests.unit.dialects.whole import TEXTS, check_whole, deep, values

SNOWPLOW = "iglu:com.snowplowanalytics.snowplow"
CHECKOUT = "iglu:com.acme/checkout_started/jsonschema/2-0-1"


def an_envelope(kind: str, data: Any) -> dict[str, Any]:
    return {"schema": f"{SNOWPLOW}/{kind}/jsonschema/1-0-0", "data": data}


def base64(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).decode().rstrip("=")


def post(*events: Any, **headers: str) -> Asked:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"schema": PAYLOAD_DATA, "data": list(events)}
    return ask(SnowplowDialect(), POST_PATH, body, headers=headers)


def get(path: str = "/i", **params: str) -> Asked:
    return ask(SnowplowDialect(), f"{path}?{urlencode(params)}", method="GET")


def a_page_view(**different: Any) -> dict[str, Any]:
    return {"e": "pv", "eid": "e-1", "url": "https://shop.example/p/7"} | different


def self_described(data: Any, **different: Any) -> dict[str, Any]:
    event = an_envelope("unstruct_event", data)
    return {"e": "ue", "aid": "shop", "ue_px": base64(event)} | different


def decoded(asked: Asked) -> DecodedBody:
    assert isinstance(asked.decoded, DecodedBody)
    return asked.decoded


# --- what becomes of the parameters -------------------------------------------------------------


def test_parameters_stand_where_the_contract_has_them() -> None:
    row = post(
        {
            "e": "pv", "eid": "019aa1b2-7c1e-7a50-9d3e-3f1b8c2a4d5e", "dtm": "1795256130123",
            "stm": "1795256131204", "aid": "shop", "p": "web", "uid": "u-1", "duid": "d-1",
            "sid": "s-1", "vid": "3", "url": "https://Shop.Example:8443/p/7?a=1",
            "page": "Red shoes", "refr": "https://www.google.com/", "ua": "Agent/1",
            "lang": "de-CH", "tz": "Europe/Zurich", "res": "1920x1080", "vp": "1280x720",
        }
    ).row  # fmt: skip
    assert row.payload == {
        "eventId": "019aa1b2-7c1e-7a50-9d3e-3f1b8c2a4d5e",
        "eventType": "page_view",
        "occurredAt": "2026-11-21T10:15:30.123000Z",
        "sentAt": "2026-11-21T10:15:31.204000Z",
        "siteId": "shop.example",
        "source": "web",
        "app": "shop",
        "userId": "u-1",
        "visitorId": "d-1",
        "sessionId": "s-1",
        "sessionIndex": 3,
        "url": "https://Shop.Example:8443/p/7?a=1",
        "title": "Red shoes",
        "referrer": "https://www.google.com/",
        "userAgent": "Agent/1",
        "language": "de-CH",
        "timezone": "Europe/Zurich",
        "screenWidth": 1920,
        "screenHeight": 1080,
        "viewportWidth": 1280,
        "viewportHeight": 720,
        "ip": "203.0.113.0",
        "dialect": "snowplow",
    }
    assert row.occurred_at.isoformat() == "2026-11-21T10:15:30.123000+00:00"


def test_what_the_contract_does_not_know_is_kept_under_snowplows_name_for_it() -> None:
    row = post(
        a_page_view(
            tv="js-4.10.1", tna="sp", cs="UTF-8", cd="24", cookie="1", ds="1280x3000",
            duid="d", tnuid="n", fp="7", tid="8", f_pdf="1", cv="x",
        )
    ).row  # fmt: skip
    assert row.payload["properties"] == {
        "tracker_version": "js-4.10.1", "tracker_name": "sp", "doc_charset": "UTF-8",
        "br_colordepth": "24", "br_cookies": True, "doc_width": 1280, "doc_height": 3000,
        "network_userid": "n", "user_fingerprint": "7", "txn_id": 8, "f_pdf": "1", "cv": "x",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "event_type", "params", "properties"),
    [
        ("pp", "page_ping", {"pp_mix": "0", "pp_max": "1", "pp_miy": "-2", "pp_may": "30"},
         {"pp_xoffset_min": 0, "pp_xoffset_max": 1, "pp_yoffset_min": -2, "pp_yoffset_max": 30}),
        ("se", "struct", {"se_pr": "HD", "se_va": "9.99"},
         {"se_property": "HD", "se_value": 9.99}),
        ("tr", "transaction", {"tr_id": "#1", "tr_tt": "12.50", "tr_tx": "2", "tr_cu": "CHF"},
         {"tr_orderid": "#1", "tr_total": 12.5, "tr_tax": 2, "tr_currency": "CHF"}),
        ("ti", "transaction_item", {"ti_id": "#1", "ti_sk": "p7", "ti_qu": "2", "ti_pr": "x"},
         {"ti_orderid": "#1", "ti_sku": "p7", "ti_quantity": 2, "ti_price": "x"}),
    ],
)  # fmt: skip
def test_each_kind_of_event(
    kind: str, event_type: str, params: dict[str, str], properties: dict[str, Any]
) -> None:
    row = post({"e": kind, "aid": "shop"} | params).row
    assert row.event_type == event_type
    assert row.payload["properties"] == properties


def test_a_structured_event_has_columns_of_its_own() -> None:
    row = post({"e": "se", "aid": "a", "se_ca": "shop", "se_ac": "add", "se_la": "p7"}).row
    assert {name: row.payload[name] for name in ("eventCategory", "eventAction", "eventLabel")} == {
        "eventCategory": "shop", "eventAction": "add", "eventLabel": "p7",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("params", "site_id"),
    [
        ({"url": "https://shop.example/p", "aid": "app"}, "shop.example"),
        ({"aid": "app"}, "app"),
        ({"url": "file:///p", "aid": "app"}, "app"),
        ({"url": "https://" + "x" * 300 + ".example/", "aid": "app"}, "app"),
        ({}, "fallback.example"),
    ],
)
def test_the_site_is_the_pages_host_else_the_application(
    params: dict[str, str], site_id: str
) -> None:
    assert post({"e": "pv"} | params).row.site_id == site_id


@pytest.mark.parametrize(
    ("params", "visitor_id", "properties"),
    [
        ({"duid": "d", "tnuid": "t", "nuid": "n"}, "d",
         {"network_userid": "t", "_network_userid": "n"}),
        ({"tnuid": "t"}, "t", None),
        ({"nuid": "n", "duid": ""}, "n", None),
        ({}, None, None),
    ],
)  # fmt: skip
def test_the_visitor_is_the_first_id_that_is_told(
    params: dict[str, str], visitor_id: str | None, properties: dict[str, str] | None
) -> None:
    row = post(a_page_view(**params)).row
    assert (row.visitor_id, row.payload.get("properties")) == (visitor_id, properties)


def test_a_true_time_is_not_corrected_for_the_clocks_skew() -> None:
    row = post(a_page_view(ttm="1700000000000", dtm="1795256130123", stm="1795256130124")).row
    assert row.occurred_at.isoformat() == "2023-11-14T22:13:20+00:00"
    assert row.payload["properties"] == {
        "dvce_created_tstamp": 1795256130123, "dvce_sent_tstamp": 1795256130124,
    }  # fmt: skip
    assert "sentAt" not in row.payload


def test_small_numbers_are_milliseconds_too() -> None:
    assert post(a_page_view(dtm="5000")).row.occurred_at.isoformat() == "1970-01-01T00:00:05+00:00"


@pytest.mark.parametrize("name", ["dtm", "stm", "ttm"])
@pytest.mark.parametrize("value", ["yesterday", "9" * 40, "999999999999999", True, [1], 10**400])
def test_an_impossible_time_is_refused_by_its_own_name(name: str, value: Any) -> None:
    refused = post(a_page_view(**{name: value})).refused
    assert (refused.reason, refused.field) == (RefusalReason.INVALID_TIME, name)


def test_an_odd_value_costs_its_column_and_no_more() -> None:
    odd = {"page": "t" * 2_000, "vid": "first", "res": "large", "lang": 7, "ds": "tall", "p": ["x"]}
    row = post(a_page_view(**odd)).row
    assert row.payload["properties"] == odd
    assert {"title", "sessionIndex", "screenWidth", "language", "source"}.isdisjoint(row.payload)


@pytest.mark.parametrize("name", ["eid", "uid", "sid", "duid", "tnuid", "nuid"])
@pytest.mark.parametrize("value", ["x" * 201, ["x"], True])
def test_an_odd_id_costs_the_event(name: str, value: Any) -> None:
    assert post(a_page_view(**{name: value})).refused.field == name


def test_numbers_are_ids_too() -> None:
    row = post(a_page_view(eid=7, uid=8, duid=9)).row
    assert (row.payload["eventId"], row.user_id, row.visitor_id) == ("7", "8", "9")


def test_the_whole_address_is_handed_over_and_kept_nowhere() -> None:
    asked = post(a_page_view(), a_page_view(ip="198.51.100.77"), {"e": "x", "ip": "198.51.100.77"})
    assert decoded(asked).ips == {1: "198.51.100.77", 2: "198.51.100.77"}
    assert "198.51.100.77" not in repr(asked.acceptance.accepted)
    (refused,) = asked.acceptance.refused
    assert b"198.51.100.77" not in (refused.payload or b"")


def test_server_side_anonymisation_hides_the_address() -> None:
    asked = post(a_page_view(ip="198.51.100.77"), a_page_view(), sp_anonymous="*")
    assert decoded(asked).ips == {0: "", 1: ""}


def test_a_server_may_show_a_write_key() -> None:
    assert decoded(post(a_page_view(), authorization="Bearer key-of-shop")).write_key == (
        "key-of-shop"
    )


# --- self-describing events and entities --------------------------------------------------------


@pytest.mark.parametrize("encode", [base64, lambda v: b64encode(json.dumps(v).encode()).decode()])
def test_a_self_describing_event_is_called_as_its_schema_is(encode: Any) -> None:
    data = {"cart": "c-7", "total": 12.5, "subject?": "ü?>~"}
    event = an_envelope("unstruct_event", {"schema": CHECKOUT, "data": data})
    row = post({"e": "ue", "aid": "shop", "ue_px": encode(event)}).row
    assert row.event_type == "checkout_started"
    assert row.payload["eventVersion"] == 2
    assert row.payload["properties"] == data | {"_schema": CHECKOUT}


@pytest.mark.parametrize("as_it_is", [False, True])
def test_it_may_be_plain_json(as_it_is: bool) -> None:
    event = an_envelope("unstruct_event", {"schema": CHECKOUT, "data": {"a": 1}})
    row = post({"e": "ue", "aid": "a", "ue_pr": event if as_it_is else json.dumps(event)}).row
    assert row.payload["properties"] == {"a": 1, "_schema": CHECKOUT}


def test_nothing_of_an_event_is_overwritten() -> None:
    data = {"_schema": "mine", "contexts": "mine", "tracker_version": "mine", "page_view_id": "me"}
    web_page = {"schema": f"{SNOWPLOW}/web_page/jsonschema/1-0-0", "data": {"id": "p"}}
    asked = post(
        self_described(
            {"schema": CHECKOUT, "data": data},
            tv="js-4",
            cx=base64(an_envelope("contexts", [web_page])),
        )
    )
    assert asked.row.payload["properties"] == data | {
        "__schema": CHECKOUT, "_contexts": [web_page], "_tracker_version": "js-4",
    }  # fmt: skip


ENTITIES = [
    {"schema": f"{SNOWPLOW}/web_page/jsonschema/1-0-0", "data": {"id": "page-1"}},
    {
        "schema": f"{SNOWPLOW}/client_session/jsonschema/1-0-2",
        "data": {"userId": "v-9", "sessionId": "s-9", "sessionIndex": 4},
    },
    {
        "schema": f"{SNOWPLOW}/browser_context/jsonschema/2-0-0",
        "data": {"viewport": "10x20", "resolution": "30x40", "browserLanguage": "fr"},
    },
    {"schema": f"{SNOWPLOW}/application/jsonschema/1-0-0", "data": {"version": "1.4"}},
    {
        "schema": f"{SNOWPLOW}/mobile_context/jsonschema/1-0-3",
        "data": {"osType": "ios", "osVersion": "26.1"},
    },
    {"schema": "iglu:com.acme/user/jsonschema/1-0-0", "data": {"plan": "pro"}},
    {"schema": "iglu:com.acme/flag/jsonschema/1-0-0", "data": True},
]


@pytest.mark.parametrize("name", ["cx", "co"])
def test_known_entities_fill_columns_and_all_are_kept(name: str) -> None:
    contexts = an_envelope("contexts", ENTITIES)
    text = base64(contexts) if name == "cx" else json.dumps(contexts)
    row = post(a_page_view(**{name: text})).row
    assert row.payload["properties"] == {"contexts": ENTITIES, "page_view_id": "page-1"}
    told = {
        "visitorId": "v-9", "sessionId": "s-9", "sessionIndex": 4, "viewportWidth": 10,
        "viewportHeight": 20, "screenWidth": 30, "screenHeight": 40, "language": "fr",
        "appVersion": "1.4", "os": "ios", "osVersion": "26.1",
    }  # fmt: skip
    assert told.items() <= row.payload.items()


def test_a_parameter_counts_more_than_an_entity() -> None:
    params = {"duid": "d", "sid": "s", "vid": "1", "vp": "1x2", "res": "3x4", "lang": "de"}
    row = post(a_page_view(cx=base64(an_envelope("contexts", ENTITIES)), **params)).row
    assert (row.visitor_id, row.session_id) == ("d", "s")
    assert [row.payload[n] for n in ("sessionIndex", "viewportWidth", "screenHeight")] == [1, 1, 4]


def test_an_entity_with_odd_values_costs_nothing() -> None:
    odd = [
        entity | {"data": dict.fromkeys(entity["data"], "x" * 300)}
        for entity in ENTITIES
        if isinstance(entity["data"], dict)
    ]
    row = post(a_page_view(cx=base64(an_envelope("contexts", odd)))).row
    assert row.payload["properties"] == {"contexts": odd}


CONTEXT = {"schema": CHECKOUT, "data": {}}
POISON: dict[str, tuple[Any, str, str | None]] = {
    "no object": ("pv", "invalid_event", None),
    "no type": ({"aid": "a"}, "invalid_event", "e"),
    "an unknown type": ({"e": "ad"}, "invalid_event", "e"),
    "a type of another type": ({"e": ["pv"]}, "invalid_event", "e"),
    "self-describing, nothing described": ({"e": "ue"}, "invalid_event", "ue_pr"),
    "bad base64": ({"e": "ue", "ue_px": "a$b"}, "invalid_json", "ue_px"),
    "cut base64": ({"e": "ue", "ue_px": "abcde"}, "invalid_json", "ue_px"),
    "base64 beyond ASCII": ({"e": "ue", "ue_px": "ü"}, "invalid_json", "ue_px"),
    "base64 of no JSON": ({"e": "ue", "ue_px": base64(b"{")}, "invalid_json", "ue_px"),
    "base64 of no UTF-8": ({"e": "ue", "ue_px": base64(b'"\xff"')}, "invalid_json", "ue_px"),
    "plain text that is no JSON": ({"e": "ue", "ue_pr": "{"}, "invalid_json", "ue_pr"),
    "no envelope": ({"e": "ue", "ue_pr": "[1]"}, "invalid_event", "ue_pr"),
    "an envelope without data": ({"e": "ue", "ue_pr": "{}"}, "invalid_event", "ue_pr"),
    "nothing in the envelope": (self_described([]), "invalid_event", "ue_px.data"),
    "no schema": (self_described({"data": {}}), "invalid_event", "ue_px.data.schema"),
    "a schema of another registry": (
        self_described({"schema": "https://a/b", "data": {}}), "invalid_event", "ue_px.data.schema",
    ),
    "data that is a list": (
        self_described({"schema": CHECKOUT, "data": [1]}), "invalid_event", "ue_px.data.data",
    ),
    "data that is nothing": (
        self_described({"schema": CHECKOUT}), "invalid_event", "ue_px.data.data",
    ),
    "contexts in bad base64": (a_page_view(cx="*"), "invalid_json", "cx"),
    "contexts that are one": (
        a_page_view(co=json.dumps(an_envelope("contexts", CONTEXT))), "invalid_event", "co.data",
    ),
    "a context that is a text": (
        a_page_view(cx=base64(an_envelope("contexts", [CONTEXT, "x"]))),
        "invalid_event", "cx.data[1]",
    ),
    "a context without schema": (
        a_page_view(cx=base64(an_envelope("contexts", [{"data": {}}]))),
        "invalid_event", "cx.data[0].schema",
    ),
    "deep inner JSON": (a_page_view(co=deep(100_000).decode()), "too_deep", "co"),
    "deep properties": (
        self_described({"schema": CHECKOUT, "data": {"x": json.loads(deep(60))}}),
        "too_deep", "properties",
    ),
    "a NUL": (a_page_view(page="a\0b"), "nul_character", None),
    "a type too long": (
        self_described({"schema": f"iglu:a/{'x' * 201}/jsonschema/1-0-0", "data": {}}),
        "invalid_event", "ue_px.data.schema",
    ),
    "an application too long to be a site": ({"e": "pv", "aid": "x" * 201}, "too_long", "aid"),
    "an event too large": (a_page_view(f=["x" * 40_000]), "too_large", None),
}  # fmt: skip


@pytest.mark.parametrize("name", POISON)
def test_a_poison_event_costs_its_neighbours_nothing(name: str) -> None:
    poison, reason, field = POISON[name]
    asked = post(a_page_view(eid="first"), poison, a_page_view(eid="last"))
    (refused,) = asked.acceptance.refused
    assert (str(refused.reason), refused.field, refused.index) == (reason, field, 1)
    assert [event.place for event in asked.acceptance.accepted] == [0, 2]
    assert asked.reply.status == 200
    assert asked.answer["errors"][0]["index"] == 1


@pytest.mark.parametrize("item", [deep(10_000), b'{"e":"pv","page":"\\ud83d"}', b'{"e":1e400}'])
def test_a_body_that_cannot_be_read_whole_is_read_piece_by_piece(item: bytes) -> None:
    good = json.dumps(a_page_view()).encode()
    body = b'{"schema":"%s","data":[%s]}' % (PAYLOAD_DATA.encode(), b",".join([good, item, good]))
    asked = ask(SnowplowDialect(), POST_PATH, body)
    check_whole(asked)
    assert {0, 2} <= {event.place for event in asked.acceptance.accepted}


def test_what_is_refused_can_be_read_again() -> None:
    asked = post(a_page_view(), a_page_view(eid="x" * 300), {"e": "ue", "ue_px": "*"})
    for refused, kind in zip(asked.acceptance.refused, ("page_view", ""), strict=True):
        assert refused.event_type == kind
        again = ask(SnowplowDialect(), POST_PATH, refused.payload)
        assert again.refused.field == refused.field
    refused = get(e="pv", eid="x" * 300).refused
    again = ask(SnowplowDialect(), b"/i?" + (refused.payload or b""), method="GET")
    assert again.refused.field == "eid"


# --- answers ------------------------------------------------------------------------------------


def test_the_answers_are_those_of_snowplows_collector() -> None:
    assert post(a_page_view()).reply[:2] == (200, b"ok")
    for path in ("/i", "/ice.png", POST_PATH):
        answer = get(path, e="pv", aid="a").reply
        assert answer[:3] == (200, PIXEL, b"image/gif")


def test_a_query_string_is_one_event() -> None:
    row = get(e="se", aid="shop ü", se_va="1", stm="1795256131204", tv="js-4", uid="").row
    assert (row.event_type, row.site_id, row.user_id) == ("struct", "shop ü", None)
    assert row.payload["properties"] == {"se_value": 1, "tracker_version": "js-4"}


def test_an_event_that_is_refused_is_not_asked_for_again() -> None:
    asked = post({"e": "x"})
    assert (asked.reply.status, asked.answer["rejected"]) == (200, 1)
    assert get(e="x").reply[:2] == (200, PIXEL)
    assert get().refused.field == "e"


BODIES: dict[str, tuple[Any, str, str | None]] = {
    "nothing": (b"", "invalid_json", None),
    "no JSON": (b'{"schema":', "invalid_json", None),
    "no UTF-8": (b"\xff", "invalid_json", None),
    "an array": ([a_page_view()], "invalid_event", None),
    "no schema": ({"data": [a_page_view()]}, "invalid_event", "schema"),
    "another schema": ({"schema": CHECKOUT, "data": [a_page_view()]}, "invalid_event", "schema"),
    "no data": ({"schema": PAYLOAD_DATA}, "invalid_event", "data"),
    "data of another type": ({"schema": PAYLOAD_DATA, "data": {}}, "invalid_event", "data"),
    "empty data": ({"schema": PAYLOAD_DATA, "data": []}, "empty_batch", "data"),
    "3,000 events": ({"schema": PAYLOAD_DATA, "data": [{"e": "pv"}] * 3_000}, "too_large", "data"),
    "an array of arrays": (deep(100_000), "invalid_event", None),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_of_another_protocol_is_refused_for_good(name: str) -> None:
    body, reason, field = BODIES[name]
    asked = ask(SnowplowDialect(), POST_PATH, body)
    assert (str(asked.refused.reason), asked.refused.field) == (reason, field)
    # At 413 or 415 these trackers would send it again, for ever.
    assert asked.reply.status == 400
    assert asked.answer["errors"][0]["reason"] == reason


@pytest.mark.parametrize(
    ("reasons", "whole", "status"),
    [
        ([RefusalReason.RATE_LIMITED], True, 429),
        ([RefusalReason.WRITE_KEY_REFUSED], True, 401),
        ([RefusalReason.SITE_REFUSED], True, 403),
        ([RefusalReason.TOO_LARGE], True, 400),
        ([RefusalReason.UNSUPPORTED_TYPE], True, 400),
        ([RefusalReason.INVALID_EVENT, RefusalReason.RATE_LIMITED], False, 429),
        ([RefusalReason.BOT], False, 200),
        ([RefusalReason.SITE_REFUSED], False, 200),
    ],
)
def test_only_what_may_come_later_is_asked_for_again(
    reasons: list[RefusalReason], whole: bool, status: int
) -> None:
    refused = [Refused(reason, "why", index=None if whole else 0) for reason in reasons]
    acceptance = Acceptance(refused=refused, whole_request_refused=whole)
    for method in ("POST", "GET"):
        request = IntakeRequest(method, POST_PATH, b"", {}, b"")
        reply = SnowplowDialect().reply(request, acceptance)
        assert reply.status == status
        # An old tracker takes a picture for success, whatever the status.
        assert (reply.content_type == b"image/gif") == (method == "GET" and status == 200)


def test_too_many_parameters_are_refused() -> None:
    asked = get(**{f"p{n}": "x" for n in range(300)})
    assert (asked.refused.reason, asked.reply.status) == (RefusalReason.TOO_LARGE, 400)


# --- whatever is sent ---------------------------------------------------------------------------

NAMES = st.sampled_from(
    ["e", "eid", "dtm", "stm", "ttm", "aid", "p", "url", "page", "refr", "uid", "duid", "tnuid",
     "sid", "vid", "res", "vp", "ds", "cx", "co", "ue_px", "ue_pr", "ip", "ua", "se_ca",
     "schema", "data", "id", "userId", "sessionIndex", *COLUMNS]
) | st.text(max_size=5)  # fmt: skip
JSON = values(NAMES)
EVENTS = st.dictionaries(NAMES, JSON, max_size=8).flatmap(
    lambda event: st.sampled_from(["pv", "pp", "se", "ue", "tr", "ti"]).map(
        lambda e: {"e": e} | event
    )
)
ENCODED = JSON.map(lambda value: base64(json.dumps(value).encode()))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(body: bytes, query: bytes) -> None:
    check_whole(ask(SnowplowDialect(), POST_PATH, body))
    check_whole(ask(SnowplowDialect(), b"/i?" + query, method="GET"))


@given(JSON, st.lists(JSON | EVENTS, max_size=4))
def test_arbitrary_json_never_raises(body: Any, events: list[Any]) -> None:
    check_whole(ask(SnowplowDialect(), POST_PATH, body))
    check_whole(post(*events))


@given(st.dictionaries(NAMES, TEXTS | ENCODED, max_size=8))
def test_arbitrary_queries_never_raise(params: dict[str, str]) -> None:
    for event in (params, {"e": "pv"} | params, {"e": "ue"} | params):
        query = urlencode(event, errors="replace").encode()
        check_whole(ask(SnowplowDialect(), b"/i?" + query, method="GET"))


@given(JSON, st.sampled_from(["unstruct_event", "contexts"]), st.booleans())
def test_arbitrary_inner_json_never_raises(data: Any, kind: str, wrapped: bool) -> None:
    inner = {"schema": CHECKOUT, "data": data} if wrapped else data
    text = base64(an_envelope(kind, [inner] if kind == "contexts" else inner))
    check_whole(post({"e": "ue", "ue_px": text}, a_page_view(cx=text)))


@given(EVENTS | JSON, st.integers(1, 3))
def test_any_event_leaves_its_neighbours_alone(event: Any, good: int) -> None:
    asked = post(*[a_page_view() for _ in range(good)], event, a_page_view())
    check_whole(asked)
    places = {accepted.place for accepted in asked.acceptance.accepted}
    assert places >= set(range(good)) | {good + 1}
