from __future__ import annotations

from typing import Any

import pytest

from api.collector.decode import decode_body
from api.collector.dialects.dialect import DecodedBody, IntakeRequest
from api.collector.dialects.json_body import decode_json
from core.event import Event
from core.refusal import RefusalReason, Refused
from tests.unit.accepting import LIMITS

SITE = {"name": "site_id", "what": "eventType"}


def rename(fields: dict[str, Any]) -> dict[str, Any]:
    return {SITE.get(name, name): value for name, value in fields.items()}


def decode(body: bytes, *, content_type: str = "", renamed: bool = True) -> DecodedBody | Refused:
    headers = {b"content-type": content_type.encode()} if content_type else {}
    return decode_json(
        IntakeRequest("POST", "/", b"", headers, body),
        limits=LIMITS,
        rename=rename if renamed else None,
    )


def events_of(body: bytes) -> list[Event | Refused]:
    decoded = decode(body)
    assert isinstance(decoded, DecodedBody)
    return decoded.events


ONE = b'{"what":"click","name":"a.example","n":1}'


@pytest.mark.parametrize("body", [ONE, b"[%s]" % ONE, b'{"events":[%s]}' % ONE])
def test_one_event_many_or_many_in_a_wrapper(body: bytes) -> None:
    (event,) = events_of(body)
    assert isinstance(event, Event)
    assert (event.event_type, event.site_id, event.properties) == ("click", "a.example", {"n": 1})


def test_a_wrapper_is_renamed_and_inherited_too() -> None:
    first, second = events_of(
        b'{"name":"wrapper.example","theme":"dark","events":[%s,{"what":"scroll"}]}' % ONE
    )
    assert isinstance(first, Event) and isinstance(second, Event)
    assert (first.site_id, second.site_id) == ("a.example", "wrapper.example")
    assert (first.properties, second.properties) == ({"theme": "dark", "n": 1}, {"theme": "dark"})


@pytest.mark.parametrize(
    "poison",
    [
        b'{"what":1}', b"7", b"null", b'{"what":"a","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"what":"a","x":1e400}', b'{"what":"' + b"x" * 300 + b'"}',
    ],
)  # fmt: skip
def test_a_poison_event_stands_alone(poison: bytes) -> None:
    events = events_of(b'{"events":[%s,%s,%s]}' % (ONE, poison, ONE))
    assert [type(event) for event in events] == [Event, Refused, Event]


def test_a_cut_surrogate_is_mended() -> None:
    (event,) = events_of(b'{"what":"click","title":"cut \\ud83d"}')
    assert isinstance(event, Event)
    assert event.title == "cut \ufffd"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", RefusalReason.INVALID_JSON),
        (b"{", RefusalReason.INVALID_JSON),
        (b"[]", RefusalReason.EMPTY_BATCH),
        (b'{"events":[]}', RefusalReason.EMPTY_BATCH),
        (b'{"events":7}', RefusalReason.INVALID_EVENT),
        (b"[%s]" % b",".join([ONE] * 2_001), RefusalReason.TOO_LARGE),
    ],
)
def test_a_body_without_events_that_could_be_taken(body: bytes, reason: RefusalReason) -> None:
    decoded = decode(body)
    refused = decoded if isinstance(decoded, Refused) else decoded.events[0]
    assert isinstance(refused, Refused)
    assert refused.reason is reason


@pytest.mark.parametrize(
    ("content_type", "is_read"),
    [
        ("", True),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/plain;charset=UTF-8", True),
        ("application/x-www-form-urlencoded", True),
        ("text/xml", False),
        ("multipart/form-data; boundary=x", False),
    ],
)
@pytest.mark.parametrize("renamed", [True, False])
def test_content_types(content_type: str, is_read: bool, renamed: bool) -> None:
    body = b'{"eventType":"click"}'
    decoded = decode(body, content_type=content_type, renamed=renamed)
    assert isinstance(decoded, DecodedBody) == is_read
    if isinstance(decoded, Refused):
        assert decoded.reason is RefusalReason.UNSUPPORTED_TYPE


def test_without_other_names_it_is_the_contract_itself() -> None:
    body = b'{"eventType":"batch","siteId":"a.example","events":[{"eventType":"click"}]}'
    decoded = decode(body, renamed=False)
    assert isinstance(decoded, DecodedBody)
    assert decoded.events == decode_body(body, max_events=10, max_shared_bytes=1_000)
