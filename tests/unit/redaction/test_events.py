"""Whole events: what is redacted in them, what never is, and what a site may allow."""

from __future__ import annotations

import time
import uuid
from typing import Any

import msgspec
import pytest

from api.collector.redaction import Detector, Redactor
from benchmarks.events import encode, make_events
from core.event import Event

EVERY = Redactor(frozenset(Detector))
SITE = "shop.example"


def an_event(**fields: Any) -> Event:
    return Event(event_type="click", **fields)


def test_every_text_of_an_event_is_looked_at() -> None:
    event = an_event(
        url="https://x.example/?email=a%40b.example",
        title="For a@b.example",
        user_id="a@b.example",
        event_label="4111 1111 1111 1111",
        properties={"form": [{"password": "hunter2"}]},
    )
    assert EVERY.redact_event(event, site_id=SITE) == 5
    assert event.url == "https://x.example/?email=[redacted:email]"
    assert event.title == "For [redacted:email]"
    assert event.user_id == "[redacted:email]"
    assert event.event_label == "[redacted:card]"
    assert event.properties == {"form": [{"password": "[redacted:secret]"}]}


def test_ids_are_left_alone_whatever_their_digits() -> None:
    fields = {
        "event_id": "4111111111111111", "session_id": "4111 1111 1111 1111",
        "visitor_id": "5555555555554444", "site_id": "078-05-1120.example",
    }  # fmt: skip
    event = an_event(**fields, title="a@b.example")
    assert EVERY.redact_event(event, site_id=SITE) == 1
    assert {name: getattr(event, name) for name in fields} == fields


def test_a_visitor_who_is_an_address_loses_it() -> None:
    event = an_event(visitor_id="a@b.example", session_id="s-a@b.example-1")
    assert EVERY.redact_event(event, site_id=SITE) == 2
    assert (event.visitor_id, event.session_id) == ("[redacted:email]", "[redacted:email]-1")


def test_properties_that_events_share_are_counted_on_each() -> None:
    shared = {"user": {"email": "a@b.example"}}
    events = [an_event(properties=shared | {"n": n}) for n in range(3)]
    assert [EVERY.redact_event(event, site_id=SITE) for event in events] == [1, 1, 1]
    assert shared == {"user": {"email": "a@b.example"}}


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("shop.example", "userId"), ("*", "user_id"), ("*.example", "userId"),
        ("SHOP.*", "userId"),
    ],
)  # fmt: skip
def test_a_site_may_allow_a_field(pattern: str, name: str) -> None:
    redactor = Redactor(frozenset(Detector), allow={pattern: frozenset({name})})
    event = an_event(user_id="a@b.example", title="a@b.example")
    assert redactor.redact_event(event, site_id=SITE) == 1
    assert event.user_id == "a@b.example"


@pytest.mark.parametrize("name", ["order_no", "properties.order_no", "cart.order_no", "cart"])
def test_a_site_may_allow_a_property_by_name_or_path(name: str) -> None:
    redactor = Redactor(frozenset(Detector), allow={SITE: frozenset({name})})
    card = "4111111111111111"
    place = {"order_no": card} if name == "properties.order_no" else {"cart": [{"order_no": card}]}
    for site_id, count in ((SITE, 0), ("other.example", 1)):
        assert redactor.redact_event(an_event(properties=place), site_id=site_id) == count
        assert redactor.redact_value({"properties": place}, site_id=site_id)[1] == count


def test_what_is_allowed_is_allowed_in_json_in_a_string() -> None:
    redactor = Redactor(frozenset(Detector), allow={"*": frozenset({"mail"})})
    value = {"body": '{"mail":"a@b.example","other":"c@d.example"}'}
    expected = {"body": '{"mail":"a@b.example","other":"[redacted:email]"}'}
    assert redactor.redact_value(value, site_id=SITE) == (expected, 1)


def test_ordinary_events_are_not_suspect() -> None:
    events = [encode(event) for event in make_events(5_000, seed=3)]
    suspects = sum(map(EVERY.suspects, events))
    assert suspects / len(events) < 0.01
    events = [
        encode({"ts": 1795256130123 + n, "id": str(uuid.uuid4()), "v": n / 7,
                "sku": "4006381333931", "ga": f"GA1.1.{n}123456789.1795256130"})
        for n in range(5_000)
    ]  # fmt: skip
    assert sum(map(EVERY.suspects, events)) / len(events) < 0.01


def test_an_ordinary_event_comes_out_as_it_went_in() -> None:
    for raw in map(encode, make_events(200, seed=4)):
        event = msgspec.json.decode(raw, type=Event)
        assert EVERY.redact_event(event, site_id=SITE) == 0
        assert event == msgspec.json.decode(raw, type=Event)


@pytest.mark.parametrize(
    "unit",
    ["1 ", "4111 ", "a@", "(0", "%41", "\\", "token=", '"token":{', "token: '", "{", '"', "://a@",
     "+41", "012 345 ", "DE89", "ip=1.2.3.4&", "a@b.cd ", "0"],
)  # fmt: skip
def test_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    def seconds(chars: int) -> float:
        text = "a@b.cd 4111111111111111 password=q&" + unit * (chars // len(unit))
        start = time.thread_time()
        EVERY.redact_text(text)
        return time.thread_time() - start

    seconds(1_000)
    # The best of three: a collection of garbage may fall into any of them.
    small = min(seconds(10_000) for _ in range(3))
    large = min(seconds(160_000) for _ in range(3))
    assert large < 16 * 4 * small + 0.05
