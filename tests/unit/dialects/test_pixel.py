from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from api.collector.dialects.dialect import IntakeRequest
from api.collector.dialects.pixel import PIXEL, SHORT_NAMES, PixelDialect
from core.event import COLUMNS, Event
from core.refusal import RefusalReason
from tests.unit.accepting import ARRIVED_AT
from tests.unit.dialects.asking import Asked, ask

FORM = {"content-type": "application/x-www-form-urlencoded"}


def get(query: str | bytes = "", **headers: str) -> Asked:
    raw = query.encode() if isinstance(query, str) else query
    return ask(PixelDialect(), b"/pixel.gif?" + raw, method="GET", headers=headers)


def properties_of(query: str | bytes) -> Any:
    return get(query).row.payload.get("properties")


# --- the picture --------------------------------------------------------------------------------


def test_the_picture_is_one_transparent_point() -> None:
    assert len(PIXEL) == 43
    signature, width, height = struct.unpack_from("<6sHH", PIXEL)
    assert (signature, width, height) == (b"GIF89a", 1, 1)
    assert PIXEL.endswith(b"\x3b")
    control = PIXEL.index(b"\x21\xf9\x04")
    assert PIXEL[control + 3] & 1, "it has a transparent colour"


@pytest.mark.parametrize(
    ("query", "result"),
    [
        ("e=email_open", b"accepted"),
        ("", b"accepted"),
        ("ts=yesterday", b"refused; reason=invalid_time; field=occurredAt"),
        ("p=nothing", b"refused; reason=invalid_json; field=properties"),
        ("&".join(["a=1"] * 201), b"refused; reason=too_large"),
        ("e=" + "x" * 201, b"refused; reason=too_long; field=eventType"),
        ("a=" + "x" * 40_000, b"refused; reason=too_large"),
        ("a=" + "x" * 70_000, b"refused; reason=too_large"),
        ("t=%00", b"refused; reason=nul_character"),
    ],
)
def test_the_picture_is_shown_whatever_became_of_the_event(query: str, result: bytes) -> None:
    reply = get(query).reply
    assert (reply.status, reply.content_type, reply.body) == (200, b"image/gif", PIXEL)
    assert dict(reply.headers)[b"sluice-result"] == result


def test_the_picture_is_shown_while_nothing_can_be_stored() -> None:
    request = IntakeRequest("GET", "/pixel.gif", b"e=email_open", {}, b"")
    reply = PixelDialect().fail(request, 503, "buffer_unavailable", "send it again")
    assert (reply.status, reply.content_type, reply.body) == (200, b"image/gif", PIXEL)
    assert dict(reply.headers)[b"sluice-result"] == b"not stored; reason=buffer_unavailable"


def test_a_method_that_no_picture_is_asked_for_by_is_told_so() -> None:
    request = IntakeRequest("DELETE", "/pixel.gif", b"", {}, b"")
    assert PixelDialect().fail(request, 405, "method_not_allowed", "…").status == 405


# --- parameters ---------------------------------------------------------------------------------


def test_without_a_word_it_was_shown_now() -> None:
    row = get().row
    assert (row.event_type, row.occurred_at) == ("pixel_view", ARRIVED_AT)
    assert row.site_id == "fallback.example"
    assert row.payload["dialect"] == "pixel"


def test_short_names() -> None:
    row = get(
        "e=email_open&s=news.example&u=https%3A%2F%2Fa.example%2Fp&r=https%3A%2F%2Fb.example%2F"
        "&t=Autumn+sale&v=v-1&sid=s-1&uid=u-1&id=one&ts=1795256130123&p=%7B%22issue%22%3A7%7D"
    ).row
    assert (row.event_type, row.site_id) == ("email_open", "news.example")
    assert (row.visitor_id, row.session_id, row.user_id) == ("v-1", "s-1", "u-1")
    assert row.occurred_at == datetime(2026, 11, 21, 10, 15, 30, 123_000, tzinfo=UTC)
    assert row.payload["url"] == "https://a.example/p"
    assert row.payload["referrer"] == "https://b.example/"
    assert row.payload["title"] == "Autumn sale"
    assert row.payload["eventId"] == "one"
    assert row.payload["properties"] == {"issue": 7}


@pytest.mark.parametrize("column", [c for c in COLUMNS if c.wire_name], ids=lambda c: c.name)
def test_every_field_goes_by_both_its_names(column: Any) -> None:
    example = column.example.strip('"')
    rows = [
        get(urlencode({name: example, "id": "one"})).row for name in (column.wire_name, column.name)
    ]
    assert rows[0] == rows[1]
    assert "properties" not in rows[0].payload or column.name == "properties"


def test_short_names_hide_no_name_of_the_contract() -> None:
    assert set(SHORT_NAMES.values()) <= set(Event.__struct_fields__)
    taken = {name for c in COLUMNS for name in (c.name, c.wire_name)}
    assert not set(SHORT_NAMES) & taken


def test_what_the_contract_does_not_know_becomes_a_property() -> None:
    assert properties_of("issue=7&list=&e=open") == {"issue": "7", "list": ""}


def test_repeated_parameters_become_a_list_and_a_fields_first_counts() -> None:
    assert properties_of("tag=a&tag=b&tag=c") == {"tag": ["a", "b", "c"]}
    assert get("uid=first&userId=second").row.user_id == "first"


def test_an_empty_parameter_is_as_absent_as_an_unfilled_template_means_it() -> None:
    row = get("uid=&v=&u=&user_id=u-1").row
    assert (row.user_id, row.visitor_id) == ("u-1", None)


def test_properties_as_json_stand_before_parameters() -> None:
    query = urlencode({"properties": '{"a":1,"b":{"c":[2]}}', "a": "x", "d": "y"})
    assert properties_of(query) == {"a": 1, "b": {"c": [2]}, "d": "y"}


@pytest.mark.parametrize("text", ["{", "[1]", "7", "null", '{"a":1e999}', "[" * 5_000])
def test_properties_that_are_no_object(text: str) -> None:
    refused = get(urlencode({"properties": text})).refused
    assert (refused.reason, refused.field) == (RefusalReason.INVALID_JSON, "properties")


def test_numbers_are_read_where_the_contract_has_numbers() -> None:
    payload = get("vw=1&viewport_width=1280&screenHeight=720&eventVersion=2&title=007").row.payload
    assert (payload["viewportWidth"], payload["screenHeight"]) == (1280, 720)
    assert payload["eventVersion"] == 2
    assert payload["title"] == "007"
    assert payload["properties"] == {"vw": "1"}


@pytest.mark.parametrize("text", ["wide", "1e3", "12.5", "-1", "9" * 30, "١٢"])
def test_numbers_that_are_none(text: str) -> None:
    assert get(urlencode({"viewport_width": text})).refused.field == "viewportWidth"


TEN = datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T10:00:00Z",
        "2026-11-21T11:00:00+01:00",
        "2026-11-21T11:00:00%2B01:00",
        "2026-11-21+10:00:00",
        "1795255200",
        "1795255200.0",
        "1795255200000",
    ],
)
def test_times_in_every_form_a_plus_sign_for_a_space_included(text: str) -> None:
    assert get(f"occurredAt={text}").row.occurred_at == TEN


def test_spoilt_encodings_are_tolerated() -> None:
    assert properties_of("a=%zz&b=100%&c=%") == {"a": "%zz", "b": "100%", "c": "%"}
    assert properties_of(b"a=M\xfcller&b=M%FCller") == {"a": "M\ufffdller", "b": "M\ufffdller"}
    assert properties_of("a=%F0%9F%98%80+%C3%A9") == {"a": "😀 é"}
    assert properties_of("&&a=1&=&b") == {"a": "1", "": "", "b": ""}
    assert properties_of("a=%ED%A0%80") == {"a": "\ufffd\ufffd\ufffd"}


def test_an_address_escaped_once_too_often() -> None:
    row = get("e=open&amp;s=news.example&amp;issue=7").row
    assert (row.event_type, row.site_id) == ("open", "news.example")
    assert row.payload["properties"] == {"issue": "7"}


def test_two_hundred_parameters_are_the_limit() -> None:
    many = [f"n{n}={n}" for n in range(200)]
    assert len(properties_of("&".join(many))) == 200
    assert get("&".join([*many, "one=more"])).refused.reason is RefusalReason.TOO_LARGE


# --- what stands beside the query ---------------------------------------------------------------


def test_the_page_is_the_one_that_refers_unless_the_query_says_otherwise() -> None:
    page = "https://shop.example/p/7?utm_source=news"
    assert get(referer=page).row.payload["url"] == page
    assert get("u=https://own.example/", referer=page).row.payload["url"] == "https://own.example/"
    assert "url" not in get(referer="https://shop.example/" + "x" * 8_000).row.payload
    assert "url" not in get(referer="android-app://mail").row.payload


def test_a_form_adds_its_fields_to_the_querys() -> None:
    asked = ask(
        PixelDialect(), "/pixel.gif?e=vote&s=shop.example", b"answer=yes&tag=a&tag=b", headers=FORM
    )
    assert (asked.row.event_type, asked.row.site_id) == ("vote", "shop.example")
    assert asked.row.payload["properties"] == {"answer": "yes", "tag": ["a", "b"]}
    assert (asked.reply.status, asked.reply.body) == (204, b"")


def test_a_ping_says_nothing_in_its_body() -> None:
    asked = ask(
        PixelDialect(),
        "/pixel.gif?e=outbound&to=" + quote("https://b.example/?a=1&b=2", safe=""),
        b"PING",
        headers={"content-type": "text/ping"},
    )
    assert asked.row.payload["properties"] == {"to": "https://b.example/?a=1&b=2"}
