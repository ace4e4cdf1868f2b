"""One example for each thing that is found, and for each neighbour that is not."""

from __future__ import annotations

from typing import Any

import pytest

from api.collector.redaction import Detector, Redactor

EVERY = Redactor(frozenset(Detector))


def redacted(value: Any) -> Any:
    return EVERY.redact_value(value)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4111111111111111", "[redacted:card]"),
        ("pay 4111 1111 1111 1111 now", "pay [redacted:card] now"),
        ("4111-1111-1111-1111", "[redacted:card]"),
        ("3782 822463 10005", "[redacted:card]"),
        ("4111\u00a01111\u00a01111\u00a01111", "[redacted:card]"),
        ("4111 1111 1111 1111 12/29 123", "[redacted:card] 12/29 123"),
        ("4111 1111 1111 1111 4242 4242 4242 4242", "[redacted:card] [redacted:card]"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "[redacted:card]"),
        ("卡号4111111111111111。", "卡号[redacted:card]。"),
        ("card 4222222222222", "card [redacted:card]"),
        ("4111111111111111.0", "[redacted:card].0"),
        ("078-05-1120", "[redacted:ssn]"),
        ("SSN 078 05 1120.", "SSN [redacted:ssn]."),
        ("DE89370400440532013000", "[redacted:iban]"),
        ("gb82 west 1234 5698 7654 32", "[redacted:iban]"),
        ("IBAN:CH93 0076 2011 6238 5295 7", "IBAN:[redacted:iban]"),
        ("Jane <jane.doe+x@mail.example.co.uk>", "Jane <[redacted:email]>"),
        ("mailto:jürgen@exämple.de?subject=hi", "mailto:[redacted:email]?subject=hi"),
        ("/u/jane%40example.com/edit", "/u/[redacted:email]/edit"),
        ("/u/jane%2540example.com/edit", "/u/[redacted:email]/edit"),
        ("ring +41 44 668 18 00 today", "ring [redacted:phone] today"),
        ("+41 (0)44 668 18 00", "[redacted:phone]"),
        ("0041 44 668 18 00", "[redacted:phone]"),
        ("(415) 555-2671", "[redacted:phone]"),
        ("06 12 34 56 78", "[redacted:phone]"),
        ("tel:0446681800", "tel:[redacted:phone]"),
        ("Tel. 22 12 34 56", "Tel. [redacted:phone]"),
        ("https://wa.me/41446681800", "https://wa.me/[redacted:phone]"),
    ],
)
def test_found_in_a_text(text: str, expected: str) -> None:
    assert redacted({"note": text}) == {"note": expected}


@pytest.mark.parametrize(
    "value",
    [
        4111111111111112, 1795256130123, 4006381333931, "4222222222222", "0.4111111111111111",
        "a4111111111111111", "4111111111111111b", "41111111-1111-4111-8111-111111111111",
        "9400 1111 1111 1111 1111 12", "000-12-3456", "666-12-3456", "900-12-3456", "078-00-1120",
        "DE89370400440532013001", "XX89370400440532013000", "icon@2x.png", "react@18.2.0",
        "pkg@1.2.3-rc.1", "/@47.3768871,8.5416944,15z", "@handle", "me@localhost",
        "git@github.com:org/repo.git", "4155552671", "+47.3768871", "203.0.113.77", "10:15:30",
        "2026-11-21 10:15:30", "Version/26.1 Mobile/15E148", "21.11.2026 10.15", "1 234 567 890",
    ],
)  # fmt: skip
def test_left_alone(value: Any) -> None:
    assert redacted({"note": value}) == {"note": value}


def test_a_card_sent_as_a_number_becomes_its_mark() -> None:
    value = {"a": 4111111111111111, "b": [4111111111111111.0], "c": 1795256130123456}
    assert redacted(value) == {
        "a": "[redacted:card]", "b": ["[redacted:card]"], "c": 1795256130123456,
    }  # fmt: skip


def test_addresses_are_cut_under_their_names_only() -> None:
    value = {
        "ip": "203.0.113.77", "clientIp": "2001:db8:1:2::3",
        "x-forwarded-for": "203.0.113.7, 10.1.2.3",
        "host": "203.0.113.77", "ip_address": "203.0.113.0", "remote_addr": "203.0.113.9:8080",
    }  # fmt: skip
    cut = {
        "ip": "203.0.113.0", "clientIp": "2001:db8:1::", "x-forwarded-for": "203.0.113.0, 10.1.2.0",
        "host": "203.0.113.77", "ip_address": "203.0.113.0", "remote_addr": "203.0.113.0:8080",
    }  # fmt: skip
    assert EVERY.redact_value(value) == (cut, 4)


def test_keys_that_are_addresses_are_replaced_and_stay_two() -> None:
    value = {"clicks": {"a@b.example": 1, "c@d.example": 2, "page": 3}}
    assert redacted(value) == {
        "clicks": {"[redacted:email]": 1, "[redacted:email] 2": 2, "page": 3}
    }


def test_json_in_a_string_stays_json() -> None:
    text = '{"user":{"mail":"a@b.example"},"pin":1234,"n":[1,2]}'
    expected = '{"user":{"mail":"[redacted:email]"},"pin":"[redacted:secret]","n":[1,2]}'
    assert redacted({"body": text}) == {"body": expected}


def test_only_what_is_switched_on_is_found() -> None:
    value = {"a": "x@y.example", "b": "4111111111111111", "password": "hunter2"}
    only_cards = Redactor(frozenset({Detector.CARD}))
    assert only_cards.redact_value(value) == (value | {"b": "[redacted:card]"}, 1)
    nothing = Redactor(frozenset())
    assert nothing.redact_value(value) == (value, 0)
    assert not nothing.suspects(b'{"password":"hunter2"}')


def test_nesting_beyond_pythons_stack_is_no_obstacle() -> None:
    value: Any = {"password": "hunter2"}
    for _ in range(20_000):
        value = [value]
    redacted, count = EVERY.redact_value(value)
    while isinstance(redacted, list):
        (redacted,) = redacted
    assert (redacted, count) == ({"password": "[redacted:secret]"}, 1)
